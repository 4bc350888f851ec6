"""Hand-offs: which there are, what they come to, and how an answer to one is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import ConfigError, NotFound, Refused
from syncer.handoff import Taken, take
from syncer.handoff.text import one_line
from syncer.measures import Share
from syncer.model import Answer, Handoff, Notice
from syncer.queries.explaining import find_one
from syncer.queries.texts import day_and_time, verdict
from syncer.settings import HandoffSettings, Project
from syncer.store import answers, audit, handed_over
from syncer.store.handed_over import Figures, Kept, Load, Tally, Wanted

WEEKS = 8
_MOST_PEOPLE = 100


@dataclass(frozen=True, slots=True)
class Sums:
    """What all hand-offs that were asked for come to."""

    tally: Tally
    figures: Figures
    reasons: Mapping[str, int]  # of those that were rejected, the most frequent first; "": none was given
    accepted: int  # and not rejected afterwards

    @property
    def in_time(self) -> Share:
        return Share(self.tally.in_time, self.figures.timed)

    @property
    def taken(self) -> Share:
        """The accepted ones of those that were answered."""
        return Share(self.accepted, self.accepted + sum(self.reasons.values()))


def sums(tx: Connection, wanted: Wanted) -> Sums:
    tally, figures = handed_over.tally(tx, wanted), handed_over.figures(tx, wanted)
    return Sums(tally, figures, answers.by_reason(tx, wanted), answers.count_accepted(tx, wanted))


@dataclass(frozen=True, slots=True)
class RouteLevels:
    """How many of the hand-offs that took a route were acted on in time. A week counts those that were handed over in
    it, and of these those whose time is over, or on which sales has acted."""

    route: str | None  # see model.Handoff
    weeks: tuple[Kept, ...]  # in the order of ServiceLevels.weeks
    whole: Kept


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """Week by week."""

    weeks: tuple[datetime, ...]  # when each began, on a Monday; the last one is not over
    routes: tuple[RouteLevels, ...]  # those that most hand-offs took first
    every: RouteLevels


def service_levels(tx: Connection, wanted: Wanted, timezone: str) -> ServiceLevels:
    """Of the last weeks, by the project's clock."""
    begins = week_begins(wanted.now, timezone, WEEKS)
    spans = zip(begins, (*begins[1:], None), strict=True)
    found = [handed_over.kept_by_route(tx, replace(wanted, since=start, until=end)) for start, end in spans]
    routes = {route for week in found for route in week}
    levels = [_levels(route, [week.get(route, _NONE) for week in found]) for route in routes]
    by_size = sorted(levels, key=lambda each: (-each.whole.of, each.route or ""))
    every = _levels(None, [_together(week.values()) for week in found])
    return ServiceLevels(begins, tuple(by_size), every)


_NONE = Kept(0, 0)


def _levels(route: str | None, weeks: list[Kept]) -> RouteLevels:
    return RouteLevels(route, tuple(weeks), _together(weeks))


def _together(levels: Iterable[Kept]) -> Kept:
    found = list(levels)
    return Kept(sum(each.of for each in found), sum(each.in_time for each in found))


def week_begins(now: datetime, timezone: str, count: int) -> tuple[datetime, ...]:
    """The starts of the last weeks there, on Mondays at midnight; of the one under way last."""
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    days = (monday - timedelta(weeks=weeks) for weeks in reversed(range(count)))
    return tuple(datetime.combine(day, time.min, zone) for day in days)


def loads(tx: Connection, connections: tuple[str, ...], now: datetime) -> tuple[Load, ...]:
    """On how many hand-offs everybody still has to act."""
    return tuple(handed_over.loads(tx, Wanted(connections, now), _MOST_PEOPLE))


def settings_of(project: Project) -> HandoffSettings:
    if project.handoff is None:
        raise ConfigError("the project hands no lead over: it has no section `handoff`", code="SY201")
    return project.handoff


def key_of(app: App, selector: str) -> str:
    """The hand-off of that key, or of the lead that is called so."""
    with app.store.reading() as tx:
        if handed_over.with_keys(tx, [selector]):
            return selector
    return _key_of_lead(app, selector)


def _key_of_lead(app: App, selector: str) -> str:
    """Of the hand-off for which the lead is in its stage, else of its last one. NotFound (SY202) for none."""
    lead = find_one(app, selector)
    with app.store.reading() as tx:
        found = handed_over.with_keys(tx, [each.key for each in handed_over.of_lead(tx, lead)])
    if not found:
        raise NotFound(f"sales was never told of {selector}; there is nothing to answer", code="SY202")
    return next((each for each in found if each.closed_at is None), found[0]).handoff.key


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer, and the address that it came from; None: from no request of theirs (Slack asks in their place)."""

    answer: Answer
    address: str | None = None


def heard(tx: Connection, key: str, said: Spoken, settings: HandoffSettings) -> Taken:
    """Take the answer, and where it is kept note it in the audit log."""
    taken, answer = take(tx, key, said.answer, settings), said.answer
    if taken.result == "taken":
        act: audit.Act = "handoff_accept" if answer.accepted else "handoff_reject"
        details = {"source": answer.source, "goes_to": taken.goes_to}
        audit.note(tx, audit.Entry(answer.at, one_line(answer.author), act, key, said.address, details))
    return taken


def answer(tx: Connection, key: str, said: Spoken, project: Project, named: str) -> Taken:
    """The same. `named`: what the hand-off is called in a refusal. NotFound for no such hand-off, Refused for one that
    was answered so before, or whose lead has left the stage (SY207)."""
    taken = heard(tx, key, said, settings_of(project))
    if taken.result == "unknown":
        raise NotFound(f"there is no hand-off {one_line(named)}", code="SY275")
    if taken.result == "already" and taken.earlier is not None:
        earlier = taken.earlier
        why = one_line(f"{verdict(earlier)} {day_and_time(earlier.at, project.timezone)}")
        final = "" if earlier.accepted else "; a rejection is final"
        raise Refused(f"{named} was {why}{final}. Nothing was changed", code="SY207")
    if taken.result == "over":
        raise Refused(f"{named} has left the stage in which sales was told of it. Nothing was changed", code="SY207")
    return taken


def lead_name(handoff: Handoff) -> str:
    return one_line(handoff.email or handoff.name or str(handoff.record))


def addressee(notice: Notice) -> str:
    """ "mail to ana@acme.es", "team", "(owner) queue:LatAm"; what a person's message is not the first of says what it
    is."""
    if notice.kind == "assignment":
        return one_line(f"{notice.channel} {notice.recipient}")
    kind = "" if notice.kind == "handoff" else f" ({notice.kind})"
    to = f" to {notice.recipient}" if "@" in notice.recipient else ""
    return one_line(f"{notice.channel}{to}{kind}")
