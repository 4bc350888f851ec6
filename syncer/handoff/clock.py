"""How long sales has to act on a hand-off: one reminder, then one escalation, and silence once somebody has acted.

The clock of a hand-off starts with the first message of it that was sent, or, where none can be sent, when the lead was
handed over. Whoever acts does so in the CRM: what the mirror knows of that is looked at before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection

from syncer.handoff.routing import notice_key
from syncer.model import ActivitySignal, Answer, Decision, Handoff, LeadPlan, Notice, NoticeKind
from syncer.settings import Apprise, Clock, Email, HandoffSettings, Slack
from syncer.store import answers, clocks, outbox
from syncer.store.clocks import Deed, Touch, Waiting
from syncer.worktime import after, between, is_open

_AT_ONCE = 200  # hand-offs that are looked at in one transaction
_LOST_FOR = timedelta(days=14)
"""How old a hand-off may be whose clock starts although nobody was told: a message is given up after three days or so,
and nobody wants to be alarmed at once of all that was ever lost."""
_BY_STAGE = "stage"
_NOT_DONE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "call": frozenset({"scheduled", "queued", "canceled", "missed"}),
        "email_sent": frozenset({"scheduled", "failed"}),
        "email": frozenset({"draft"}),
        "meeting": frozenset({"canceled"}),
        "task": frozenset({"not_started", "in_progress", "waiting", "deferred"}),
    }
)
"""Kind -> what its status or its outcome is where nobody has acted, or only means to. HubSpot's words; Salesforce's
connector brings closed tasks and calls alone."""


def first_touch(handoff: Handoff, deeds: Iterable[Deed]) -> Touch | None:
    """When sales acted first on it. What had been known when the lead was handed over is no answer to that: a meeting
    still to come counts when it is first heard of, if that was later."""
    touches = [Touch(_moment(each), each.activity.kind) for each in deeds if _acts(each.activity, handoff)]
    return min((each for each in touches if each.at >= handoff.at), key=lambda each: each.at, default=None)


def _acts(activity: ActivitySignal, handoff: Handoff) -> bool:
    words = {activity.fields.get("status"), activity.fields.get("outcome")}
    if activity.fields.get("direction") == "incoming" or words & _NOT_DONE.get(activity.kind, frozenset()):
        return False
    return activity.seen_at is None or activity.seen_at > handoff.at


def _moment(deed: Deed) -> datetime:
    """A task is dated by when it is due; it was done when it was changed last."""
    activity = deed.activity
    seen_at = activity.seen_at or activity.at
    if activity.kind == "task":
        return min(deed.modified_at or seen_at, seen_at)
    return min(activity.at, seen_at)


def tell(tx: Connection, handoff: Handoff, settings: HandoffSettings, at: datetime) -> None:
    """A message has gone out: with the first of a hand-off its clock starts."""
    clocks.tell(tx, handoff.key, at, *_times(at, settings.clock))


def _times(start: datetime, clock: Clock) -> tuple[datetime, datetime] | tuple[None, None]:
    """(until when sales shall have acted, when to look whether it has)."""
    if clock.respond_within is None:
        return None, None
    due_at = after(start, clock.respond_within, clock.calendar)
    return due_at, after(start, clock.remind_after or clock.respond_within, clock.calendar)


def catch_up(tx: Connection, connection: str, settings: HandoffSettings, now: datetime) -> None:
    """Start the clocks that stand still: of hand-offs whose message went out just before the process died or while
    another transaction had the hand-off, and of those of which nobody could be told."""
    for handoff, sent_at in clocks.owed(tx, connection, _AT_ONCE):
        tell(tx, handoff, settings, sent_at)
    if settings.clock.respond_within is None:
        return
    for handoff in clocks.lost(tx, connection, now - _LOST_FOR):
        due_at, look_at = _times(handoff.at, settings.clock)
        if due_at is not None and look_at is not None:
            clocks.start(tx, handoff.key, due_at, look_at)


def heed(tx: Connection, plans: Sequence[LeadPlan], settings: HandoffSettings, stages: Sequence[str]) -> None:
    """Keep who has acted on earlier hand-offs of these leads; before the plans close them. `stages`: coldest first."""
    decisions = {each.decision.lead: each.decision for each in plans}
    waiting = clocks.waiting(tx, list(decisions))
    untouched = _keep_touches(tx, waiting, settings.clock)
    for each in untouched:
        decision = decisions[each.lead]
        if _moved_by_somebody(each.handoff, decision, stages):
            _keep(tx, each, Touch(max(decision.score.as_of, each.handoff.at), _BY_STAGE), settings.clock)


def answered(tx: Connection, handoff: Handoff, touch: Touch, clock: Clock) -> None:
    """Sales has said something: whoever does that has acted, unless somebody had before."""
    waiting = clocks.named(tx, handoff.key)
    if waiting is not None:
        _keep(tx, waiting, Touch(max(touch.at, handoff.at), touch.by), clock)


def _moved_by_somebody(handoff: Handoff, decision: Decision, stages: Sequence[str]) -> bool:
    """Another team has the lead now, a person has moved it, or it has gone on to a hotter stage."""
    stage, held_by = decision.after.stage, decision.after.held_by
    if held_by == "protected":
        return True
    if not decision.moved or stage == handoff.stage:
        return False
    rank = {name: place for place, name in enumerate(stages)}
    return held_by == "person" or rank.get(stage, -1) > rank.get(handoff.stage, len(stages))


def anything_due(tx: Connection, connection: str, settings: HandoffSettings, now: datetime) -> bool:
    """Whether somebody is to be reminded now, never while nobody works; or a clock has to be started."""
    to_remind = is_open(now, settings.clock.calendar) and clocks.anything_due(tx, connection, now)
    return to_remind or clocks.anything_owed(tx, connection)


def remind(tx: Connection, connection: str, settings: HandoffSettings, now: datetime) -> frozenset[str]:
    """Queue reminders and escalations of some of the hand-offs whose time has come; the keys of those looked at. Each
    is looked at again only when its next step is due."""
    if not is_open(now, settings.clock.calendar):
        return frozenset()
    due = clocks.due(tx, connection, now, _AT_ONCE)
    for each in _keep_touches(tx, due, settings.clock):
        outbox.queue(tx, list(_step(tx, each, settings, now)))
    return frozenset(each.handoff.key for each in due)


def _step(tx: Connection, each: Waiting, settings: HandoffSettings, now: datetime) -> Iterator[Notice]:
    clock, key = settings.clock, each.handoff.key
    if clock.respond_within is None:
        clocks.rest(tx, key)
    elif each.reminded_at is None:
        if clocks.reminded(tx, key, now, _escalates_at(each, clock, now)):
            yield from reminders(each.handoff, clocks.told(tx, key), settings)
    elif clocks.escalated(tx, key, now):
        yield from escalations(each.handoff, settings)


def _escalates_at(each: Waiting, clock: Clock, now: datetime) -> datetime | None:
    """Who was reminded late, after an outage, has as long to act as anybody else."""
    reminded_after = clock.remind_after or clock.respond_within
    if not clock.escalate_to or clock.escalate_after is None or reminded_after is None:
        return None
    planned = after(each.told_at or each.handoff.at, clock.escalate_after, clock.calendar)
    return max(planned, after(now, clock.escalate_after - reminded_after, clock.calendar))


def reminders(handoff: Handoff, told: Iterable[tuple[str, str]], settings: HandoffSettings) -> Iterator[Notice]:
    """To everybody who has had the hand-off by e-mail, Slack or Apprise, wherever its route leads by now. `told`:
    (channel, recipient) of its messages."""
    for channel, recipient in told:
        if isinstance(settings.notifiers.get(channel), Email | Slack | Apprise):
            yield _notice(handoff, channel, recipient, "reminder")


def escalations(handoff: Handoff, settings: HandoffSettings) -> Iterator[Notice]:
    """Over the first notifier that sends e-mail."""
    mail = next((name for name in settings.notify if isinstance(settings.notifiers[name], Email)), None)
    for address in settings.clock.escalate_to if mail is not None else ():
        yield _notice(handoff, mail or "", address, "escalation")


def _notice(handoff: Handoff, channel: str, recipient: str, kind: NoticeKind) -> Notice:
    return Notice(notice_key(handoff, channel, recipient, kind), handoff, channel, recipient, "ready", kind=kind)


def no_longer_wanted(tx: Connection, notices: Sequence[Notice], settings: HandoffSettings) -> dict[str, str]:
    """Key of each of these messages that shall not go out any more -> why."""
    said = answers.of(tx, [each.handoff.key for each in notices])
    reasons = ((each, _against(tx, each, said.get(each.handoff.key, ()), settings)) for each in notices)
    return {each.key: why for each, why in reasons if why is not None}


def _against(tx: Connection, notice: Notice, said: Iterable[Answer], settings: HandoffSettings) -> str | None:
    """A record does not go to whom an earlier hand-off of it named; of a hand-off that sales has not acted on there are
    reminders, as long as the lead is where it was. None: nothing is against it."""
    if any(not each.accepted for each in said):
        return "sales had rejected the lead before this could go out"
    if notice.kind == "handoff":
        return None
    if notice.kind == "assignment":
        followed = outbox.is_followed(tx, notice.handoff)
        return "the lead was handed over again before this could go out" if followed else None
    waiting = clocks.named(tx, notice.handoff.key)
    wanted = waiting is not None and bool(_keep_touches(tx, [waiting], settings.clock))
    return None if wanted else "sales had acted, or the lead had left the stage, before this could go out"


def _keep_touches(tx: Connection, waiting: Sequence[Waiting], clock: Clock) -> list[Waiting]:
    """Those on which nobody has acted; of the others it is kept who did."""
    if not waiting:
        return []
    since = min(each.handoff.at for each in waiting)
    deeds = clocks.deeds(tx, [each.lead for each in waiting], clock.touched_by, since)
    found = [(each, first_touch(each.handoff, deeds.get(each.lead, ()))) for each in waiting]
    for each, touch in found:
        if touch is not None:
            _keep(tx, each, touch, clock)
    return [each for each, touch in found if touch is None]


def _keep(tx: Connection, each: Waiting, touch: Touch, clock: Clock) -> None:
    worked = None if each.told_at is None else between(each.told_at, touch.at, clock.calendar)
    clocks.touch(tx, each, touch, worked)
