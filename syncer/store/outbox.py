"""Hand-offs, and the notices that tell sales of them. A notice is a row before it is a message.

waiting -> ready -> sending -> sent | uncertain | dead. What was `sending` when a process died may have arrived. What is
dead could not be sent, and a person may make it ready again. What is dropped shall not be sent: it is no news any more,
or a person did not want it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.sql.dml import Update

from syncer.model import Decision, Handoff, LeadPlan, Notice, NoticeKind, NoticeState, RecordKey, Told
from syncer.store.columns import Instant, to_ms
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, insert_new, keys_among
from syncer.store.tables import RECORD_KEY, notices, records
from syncer.store.tables import handoffs as kept

UNSENT: tuple[NoticeState, ...] = ("waiting", "ready", "uncertain")  # to be sent, or sent again
ENDED: tuple[NoticeState, ...] = ("dead", "dropped")  # not sent, and not to be sent
OPEN = kept.c.closed_at.is_(None) & kept.c.touched_at.is_(None)  # hand-offs on which sales still has to act
_LEFT = "the lead left the stage before the CRM had shown it"
_RECORD = (kept.c.connection, kept.c.object, kept.c.record_id)
_MILLISECOND = timedelta(milliseconds=1)


def keep(tx: Connection, plans: Sequence[LeadPlan], new: Sequence[Notice], at: datetime) -> None:
    """Close the open hand-offs of leads that left their stage, keep the plans' new ones and their notices. What is
    there already under its key stays as it is."""
    moved = [plan.decision for plan in plans if plan.decision.moved]
    if moved:
        _close(tx, moved, at)
    if resumed := [plan.resumes for plan in plans if plan.resumes is not None]:
        _resume(tx, resumed)
    insert_new(tx, kept, [_handoff_row(plan.handoff, at) for plan in plans if plan.handoff is not None])
    queue(tx, new)


def queue(tx: Connection, new: Sequence[Notice]) -> None:
    """Further notices of hand-offs that are kept; one that is there already under its key stays as it is."""
    insert_new(tx, notices, [_notice_row(notice) for notice in new])


def _close(tx: Connection, moved: Sequence[Decision], at: datetime) -> None:
    """A lead that left before the CRM had shown the stage is no news any more."""
    lead = kept.c.lead_id == bindparam("lead")
    left = update(kept).where(lead, kept.c.closed_at.is_(None), kept.c.stage != bindparam("now_in"))
    where = [{"lead": decision.lead, "now_in": decision.after.stage} for decision in moved]
    tx.execute(left.values(closed_at=at), where)
    closed = select(kept.c.key).where(lead, kept.c.closed_at.is_not(None))
    untold = update(notices).where(notices.c.state == "waiting", notices.c.handoff_key.in_(closed))
    told = {"state": "dropped", "error": _LEFT}
    tx.execute(untold.values(told), [{"lead": decision.lead} for decision in moved])


def _resume(tx: Connection, keys: Sequence[str]) -> None:
    """They are open again, and what was dropped only because their leads had left is news again: part of it may have
    gone out before, while a task waited for its CRM. It goes when the CRM shows the stage, or as late as it would
    have."""
    tx.execute(update(kept).where(among(tx, kept.c.key, keys)).values(closed_at=None))
    left = update(notices).where(among(tx, notices.c.handoff_key, keys), notices.c.state == "dropped")
    tx.execute(left.where(notices.c.error == _LEFT).values(state="waiting", error=None))


def last_told(tx: Connection, leads: Iterable[int]) -> dict[int, Told]:
    """Lead -> its last hand-off that is more than dead letters. A lead without any is absent."""
    told = (notices.c.handoff_key == kept.c.key, notices.c.kind != "assignment")
    alive = select(notices.c.key).where(*told, notices.c.state.not_in(ENDED))
    columns = (kept.c.lead_id, kept.c.key, kept.c.stage, kept.c.at)
    theirs = select(*columns).where(among(tx, kept.c.lead_id, leads), alive.exists())
    return {lead: Told(*told) for lead, *told in tx.execute(theirs.order_by(kept.c.at, kept.c.key))}


def _handoff_row(handoff: Handoff, at: datetime) -> dict[str, Any]:
    return {
        "assigned_to": handoff.assigned_to.lower() if handoff.assigned_to else None,
        "assigned_at": at if handoff.assigned_to else None,
        "for_whom": handoff.for_whom,
        "key": handoff.key,
        "lead_id": handoff.lead,
        "connection": handoff.record.connection,
        "object": handoff.record.object,
        "record_id": handoff.record.id,
        "stage": handoff.stage,
        "at": handoff.at,
        "payload": HANDOFF.text(handoff),
    }


def _notice_row(notice: Notice) -> dict[str, Any]:
    names = ("key", "channel", "recipient", "state", "attempts", "not_before", "error", "kind", "unsure")
    named = {name: getattr(notice, name) for name in names}
    return {**named, "handoff_key": notice.handoff.key, "connection": notice.handoff.record.connection}


@dataclass(frozen=True, slots=True)
class Which:
    """Which of a connection's messages: those over one channel, to one recipient, of one kind; None: any. `after`: the
    last one that was read, in the order of the hand-offs' times and the messages' keys. `unsure`: whether they may have
    arrived before."""

    channel: str | None = None
    recipient: str | None = None
    kind: NoticeKind | None = None
    after: Notice | None = None
    unsure: bool | None = None

    def condition(self) -> ColumnElement[bool]:
        named = ((notices.c[name], getattr(self, name)) for name in ("channel", "recipient", "kind", "unsure"))
        found = [column == wanted for column, wanted in named if wanted is not None]
        if self.after is not None:
            at, key = self.after.handoff.at, self.after.key
            found.append(or_(kept.c.at > at, (kept.c.at == at) & (notices.c.key > key)))
        return and_(true(), *found)


EVERY_ONE = Which()


def anything_due(tx: Connection, connection: str, now: datetime) -> bool:
    """Whether a message could go out now, or be tried again."""
    found = select(notices.c.key).where(notices.c.connection == connection, _is_due(now, "sending"))
    return tx.execute(found.limit(1)).first() is not None


def due_over(tx: Connection, connection: str, now: datetime) -> list[str]:
    """The channels over which something may be sent."""
    found = select(notices.c.channel).where(notices.c.connection == connection, _is_due(now)).distinct()
    return sorted(tx.execute(found).scalars())


def due(tx: Connection, connection: str, now: datetime, limit: int = 100, which: Which = EVERY_ONE) -> list[Notice]:
    """What may be sent, or sent again, by itself: ready or uncertain and not put off, or waiting for longer than it
    should; the oldest hand-off first."""
    by_itself = or_(notices.c.digest.is_(None), notices.c.state != "uncertain")
    found = _with_handoffs().where(notices.c.connection == connection, _is_due(now), by_itself, which.condition())
    return [_notice(row) for row in tx.execute(found.limit(limit))]


def due_to(tx: Connection, connection: str, channel: str, now: datetime) -> Counter[tuple[str, NoticeKind]]:
    """(recipient, kind) -> how many messages may be sent for the first time over the channel."""
    fresh = (notices.c.connection == connection, notices.c.channel == channel, _is_due(now))
    columns = (notices.c.recipient, notices.c.kind)
    found = select(*columns, func.count()).where(*fresh, notices.c.state != "uncertain").group_by(*columns)
    return Counter({(recipient, kind): count for recipient, kind, count in tx.execute(found)})


def sent_to(tx: Connection, connection: str, channel: str, since: datetime) -> Counter[tuple[str, NoticeKind]]:
    """(recipient, kind) -> how many messages have gone out over the channel after `since`; a digest is one."""
    lately = (notices.c.connection == connection, notices.c.channel == channel, notices.c.sent_at > since)
    columns = (notices.c.recipient, notices.c.kind)
    messages = func.count(func.coalesce(notices.c.digest, notices.c.key).distinct())
    found = select(*columns, messages).where(*lately).group_by(*columns)
    return Counter({(recipient, kind): count for recipient, kind, count in tx.execute(found)})


def uncertain_digests(tx: Connection, connection: str, channel: str, now: datetime) -> list[str]:
    """The names of those that may have arrived, and may be sent again."""
    found = select(notices.c.digest).where(*_uncertain(connection, channel), _may_go(now))
    return sorted(tx.execute(found.distinct()).scalars())


def of_digest(tx: Connection, connection: str, channel: str, name: str) -> list[Notice]:
    """What of one that may have arrived is to be sent again."""
    found = _with_handoffs().where(*_uncertain(connection, channel), notices.c.digest == name)
    return [_notice(row) for row in tx.execute(found)]


def _uncertain(connection: str, channel: str) -> tuple[ColumnElement[bool], ...]:
    theirs = (notices.c.connection == connection, notices.c.channel == channel)
    return (*theirs, notices.c.state == "uncertain", notices.c.digest.is_not(None))


def rest(tx: Connection, connection: str, channel: str, now: datetime, until: Rest) -> None:
    """What is due over the channel waits, which is no attempt."""
    later = _rested(until)
    theirs = (notices.c.connection == connection, notices.c.channel == channel, _is_due(now))
    tx.execute(update(notices).where(*theirs, later > now).values(not_before=later))


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when messages wait: those that tell of a hand-off until `at_most` after it was made, if that is sooner."""

    ends: datetime
    at_most: timedelta | None = None


def _rested(until: Rest) -> ColumnElement[Any]:
    if until.at_most is None:
        return literal(until.ends, Instant())
    made = select(kept.c.at).where(kept.c.key == notices.c.handoff_key).scalar_subquery()
    latest, ends = type_coerce(made, BigInteger) + until.at_most // _MILLISECOND, to_ms(until.ends)
    sooner = and_(notices.c.kind == "handoff", latest < ends)
    return type_coerce(case((sooner, latest), else_=ends), Instant())


def _is_due(now: datetime, *besides: NoticeState) -> ColumnElement[bool]:
    """`besides`: further states. All of them stand in one list, for SQLite reads every message that was ever sent where
    they are spread over an OR."""
    wanted = notices.c.state.in_((*UNSENT, *besides))
    at_once = notices.c.not_before.is_(None) & (notices.c.state != "waiting")
    return wanted & or_(at_once, notices.c.not_before <= now)


def _may_go(now: datetime) -> ColumnElement[bool]:
    return or_(notices.c.not_before.is_(None), notices.c.not_before <= now)


def _with_handoffs() -> Select[Any]:
    both = notices.join(kept, kept.c.key == notices.c.handoff_key)
    return select(notices, kept.c.payload).select_from(both).order_by(kept.c.at, notices.c.key)


def _notice(row: Any) -> Notice:
    return Notice(
        key=row.key,
        handoff=HANDOFF.value(row.payload),
        channel=row.channel,
        recipient=row.recipient,
        state=row.state,
        attempts=row.attempts,
        not_before=row.not_before,
        error=row.error,
        kind=row.kind,
        unsure=row.unsure,
        digest=row.digest,
    )


def release(tx: Connection, records: Sequence[RecordKey]) -> None:
    """The CRM shows the stage: what waited for that may go now."""
    if records:
        tx.execute(_waiting_for(tx, records).values(state="ready", not_before=None))


def hold(tx: Connection, record: RecordKey, reason: str) -> None:
    """The CRM does not take the stage for now: nobody is told until it does, or the lead leaves the stage."""
    tx.execute(_waiting_for(tx, [record]).values(not_before=None, error=reason))


def withhold(tx: Connection, record: RecordKey, reason: str) -> None:
    """The CRM does not show the stage and will not: nobody is told."""
    tx.execute(_waiting_for(tx, [record]).values(state="dropped", error=reason))


def _waiting_for(tx: Connection, records: Iterable[RecordKey]) -> Update:
    theirs = select(kept.c.key).where(keys_among(tx, _RECORD, records))
    return update(notices).where(notices.c.state == "waiting", notices.c.handoff_key.in_(theirs))


def mark_sending(tx: Connection, key: str, settled_at: datetime | None = None, digest: str | None = None) -> bool:
    """Claim it just before it goes out, by itself or in a digest; False: somebody else did, or it is done. Where
    nothing more is heard of it, it is not touched again before `settled_at`: until then its receiver may still be at
    work on it."""
    claimed = update(notices).where(notices.c.key == key, notices.c.state.in_(UNSENT))
    return tx.execute(claimed.values(state="sending", not_before=settled_at, digest=digest)).rowcount == 1


def mark_sent(tx: Connection, key: str, at: datetime) -> None:
    _mark(tx, key, "sent", sent_at=at, error=None, attempts=notices.c.attempts + 1)


def mark_failed(tx: Connection, key: str, error: str, next_at: datetime) -> None:
    """It certainly did not arrive; to be sent again from `next_at` on, with whatever is due then. What was dropped
    meanwhile stays so."""
    again = {"error": error, "not_before": next_at, "attempts": notices.c.attempts + 1, "digest": None}
    tx.execute(_undropped(key).values(state="ready", **again))


def mark_dropped(tx: Connection, key: str, why: str) -> None:
    """It was about to be sent, and its receiver needs it no more."""
    _mark(tx, key, "dropped", error=why, attempts=notices.c.attempts + 1)


def mark_dead(tx: Connection, key: str, error: str) -> None:
    """It will not be sent any more; a person sees it, unless one has dropped it."""
    tx.execute(_undropped(key).values(state="dead", error=error))


def mark_uncertain(tx: Connection, key: str, error: str, next_at: datetime | None = None) -> None:
    """It may have arrived: the receiver broke off in the middle. To be looked at again from `next_at` on,
    unless it was dropped meanwhile."""
    again = {"error": error, "not_before": next_at, "attempts": notices.c.attempts + 1, "unsure": True}
    tx.execute(_undropped(key).values(state="uncertain", **again))


def _undropped(key: str) -> Update:
    return update(notices).where(notices.c.key == key, notices.c.state != "dropped")


def _mark(tx: Connection, key: str, state: NoticeState, **values: Any) -> None:
    tx.execute(update(notices).where(notices.c.key == key).values(state=state, **values))


def recover(tx: Connection, connection: str) -> None:
    """Call what a dead process left `sending` uncertain. Only under the lease."""
    left = update(notices).where(notices.c.connection == connection, notices.c.state == "sending")
    tx.execute(left.values(state="uncertain", unsure=True))


def is_followed(tx: Connection, handoff: Handoff) -> bool:
    """Whether its record has been handed over again since."""
    theirs = [column == of_it for column, of_it in zip(_RECORD, handoff.record, strict=True)]
    later = select(kept.c.key).where(*theirs, kept.c.at > handoff.at).limit(1)
    return tx.execute(later).first() is not None


def counts(tx: Connection, connection: str) -> dict[NoticeState, int]:
    """State -> notices; a state without any is absent."""
    found = tx.execute(
        select(notices.c.state, func.count()).where(notices.c.connection == connection).group_by(notices.c.state)
    )
    return dict(iter(found))


def handoffs(
    tx: Connection, connection: str, *, open_only: bool = False, limit: int = 1000
) -> list[tuple[Handoff, datetime | None, list[Notice]]]:
    """(hand-off, when its lead left the stage, its notices), the latest first."""
    wanted = select(kept.c.key, kept.c.payload, kept.c.closed_at).where(kept.c.connection == connection)
    if open_only:
        wanted = wanted.where(kept.c.closed_at.is_(None))
    found = tx.execute(wanted.order_by(kept.c.at.desc(), kept.c.key).limit(limit)).all()
    told = messages_of(tx, [row.key for row in found])
    return [(HANDOFF.value(row.payload), row.closed_at, told.get(row.key, [])) for row in found]


def messages(tx: Connection, connections: Iterable[str], states: Collection[NoticeState]) -> list[Notice]:
    """Those of the connections in one of the states, the oldest hand-off first."""
    wanted = _with_handoffs().where(among(tx, notices.c.connection, connections), notices.c.state.in_(sorted(states)))
    return [_notice(row) for row in tx.execute(wanted)]


def beginning_with(tx: Connection, connections: Iterable[str], prefix: str, most: int = 5) -> list[Notice]:
    """The messages whose key begins so, and no more than `most` of them."""
    connection = notices.c.connection.concat("")  # so that SQLite takes no index of it, but that of the keys
    found = _with_handoffs().where(among(tx, connection, connections), *_begins(tx, prefix))
    return [_notice(row) for row in tx.execute(found.limit(most))]


def _begins(tx: Connection, prefix: str) -> Iterable[ColumnElement[bool]]:
    """A range that SQLite's index serves, while nobody else can write. PostgreSQL's is in the order of some language,
    in which keys that begin alike need not stand together (Danish has "aa" behind "z"); there nobody waits for it."""
    if tx.dialect.name == "postgresql":
        return (notices.c.key.startswith(prefix, autoescape=True),)
    return notices.c.key >= prefix, notices.c.key < f"{prefix}~"  # "~" is behind every letter of a key


def named(tx: Connection, keys: Iterable[str]) -> list[Notice]:
    """The messages of these keys, the oldest hand-off first."""
    return [_notice(row) for row in tx.execute(_with_handoffs().where(among(tx, notices.c.key, keys)))]


def make_ready(tx: Connection, keys: Iterable[str]) -> int:
    """Of these what is dead may go out again, at once and as often as a new one; how many there were. It takes no
    lease: nobody sends what is dead."""
    dead = update(notices).where(among(tx, notices.c.key, keys), notices.c.state == "dead")
    return tx.execute(dead.values(state="ready", not_before=None, attempts=0, digest=None)).rowcount


def renew_owner(tx: Connection, handoff: Handoff) -> Handoff:
    """The hand-off with who owns its record by now; kept so, for its reminders."""
    owner = tx.execute(select(records.c.owner).where(keys_among(tx, RECORD_KEY, [handoff.record]))).scalar()
    if owner is None or owner == handoff.owner:
        return handoff
    renewed = replace(handoff, owner=owner)
    told = {"payload": HANDOFF.text(renewed), "for_whom": renewed.for_whom}
    tx.execute(update(kept).where(kept.c.key == handoff.key).values(told))
    return renewed


def drop(tx: Connection, key: str, why: str) -> bool:
    """It is never sent; False: it was sent, is being sent, or was dropped before. Whoever is about to send it finds it
    gone when they claim it."""
    unsent: tuple[NoticeState, ...] = ("waiting", "ready", "uncertain", "dead")
    ended = update(notices).where(notices.c.key == key, notices.c.state.in_(unsent))
    return tx.execute(ended.values(state="dropped", not_before=None, error=why)).rowcount == 1


def messages_of(tx: Connection, keys: Sequence[str]) -> dict[str, list[Notice]]:
    """Key of a hand-off -> its messages."""
    told: dict[str, list[Notice]] = {}
    for row in tx.execute(_with_handoffs().where(among(tx, notices.c.handoff_key, keys))):
        told.setdefault(row.handoff_key, []).append(_notice(row))
    return told
