"""The clock of each hand-off: when sales was told, when it must have acted, and when it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, select, update

from syncer.model import ActivitySignal, Handoff
from syncer.store.columns import EPOCH
from syncer.store.leads import COUNTS
from syncer.store.outbox import ENDED, OPEN
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among
from syncer.store.tables import activities, activity_links, handoffs, notices, records

_MILLISECOND = timedelta(milliseconds=1)
_TO_COME = handoffs.c.look_at.is_not(None) & handoffs.c.closed_at.is_(None)  # as the index says it


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hand-off whose lead is still in the stage, and on which sales has not acted as far as is known."""

    handoff: Handoff
    lead: int  # whose it is now; `handoff.lead` is whose it was when it was made
    told_at: datetime | None  # None: nobody knows of it yet
    reminded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Deed:
    """An activity of a lead, and when its CRM changed it last; None: it does not tell."""

    activity: ActivitySignal
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Touch:
    """The first time sales acted. `by`: the kind of activity, or "stage"."""

    at: datetime
    by: str


def waiting(tx: Connection, leads: Sequence[int]) -> list[Waiting]:
    """Those of these leads, the oldest first."""
    return _found(tx, _waiting().where(among(tx, handoffs.c.lead_id, leads), OPEN).order_by(handoffs.c.at))


def named(tx: Connection, key: str) -> Waiting | None:
    """The hand-off of that key; None where there is nothing to wait for."""
    return next(iter(_found(tx, _waiting().where(handoffs.c.key == key, OPEN))), None)


def due(tx: Connection, connection: str, now: datetime, limit: int) -> list[Waiting]:
    """Those of which somebody must be reminded by now, the longest due first."""
    its_time = _its_time(connection, now)
    return _found(tx, _waiting().where(its_time).order_by(handoffs.c.look_at).limit(limit))


def anything_due(tx: Connection, connection: str, now: datetime) -> bool:
    return tx.execute(select(handoffs.c.key).where(_its_time(connection, now)).limit(1)).first() is not None


def _its_time(connection: str, now: datetime) -> ColumnElement[bool]:
    return (handoffs.c.connection == connection) & (handoffs.c.look_at <= now) & _TO_COME & OPEN


def _waiting() -> Select[Any]:
    return select(handoffs.c.payload, handoffs.c.lead_id, handoffs.c.told_at, handoffs.c.reminded_at)


def _found(tx: Connection, wanted: Select[Any]) -> list[Waiting]:
    return [Waiting(HANDOFF.value(payload), *rest) for payload, *rest in tx.execute(wanted)]


def deeds(tx: Connection, leads: Sequence[int], kinds: Sequence[str], since: datetime) -> Mapping[int, Sequence[Deed]]:
    """Lead -> its activities of these kinds that were stored, as they are now, after `since`."""
    linked = (
        (activity_links.c.connection == records.c.connection)
        & (activity_links.c.object == records.c.object)
        & (activity_links.c.record_id == records.c.id)
    )
    told = (activities.c.connection == activity_links.c.connection) & (activities.c.id == activity_links.c.activity_id)
    columns = [activities.c[name] for name in ("kind", "at", "fields", "seen_at", "modified_at")]
    found = tx.execute(
        select(records.c.lead_id, *columns)
        .select_from(records.join(activity_links, linked).join(activities, told))
        .where(among(tx, records.c.lead_id, leads), COUNTS)
        .where(among(tx, activities.c.kind, kinds), activities.c.seen_at > since)
    )
    theirs: dict[int, list[Deed]] = defaultdict(list)
    for lead, kind, at, fields, seen_at, modified_at in found:
        theirs[lead].append(Deed(ActivitySignal(kind, at, fields or {}, seen_at=seen_at), modified_at))
    return theirs


def owe(tx: Connection, notice_key: str) -> None:
    """The message has left, and its hand-off's clock has not heard of it. Only the message's own row is written: that
    of the hand-off may be locked by another connection's run, and what was sent must be kept whatever else fails.

    A sent message waits for nothing, so its `not_before` is free to say this, and the index on it finds it.
    """
    tx.execute(update(notices).where(notices.c.key == notice_key).values(not_before=notices.c.sent_at))


def owed(tx: Connection, connection: str, limit: int) -> list[tuple[Handoff, datetime]]:
    """(hand-off, when a message of it was sent) where the clock has not heard of that, the earliest first."""
    found = select(handoffs.c.payload, notices.c.sent_at).join(notices, notices.c.handoff_key == handoffs.c.key)
    first = found.where(_owed(connection)).order_by(notices.c.not_before, notices.c.sent_at).limit(limit)
    return [(HANDOFF.value(payload), sent_at) for payload, sent_at in tx.execute(first)]


def anything_owed(tx: Connection, connection: str) -> bool:
    return tx.execute(select(notices.c.key).where(_owed(connection)).limit(1)).first() is not None


def _owed(connection: str) -> ColumnElement[bool]:
    return (notices.c.connection == connection) & (notices.c.state == "sent") & (notices.c.not_before >= EPOCH)


def tell(tx: Connection, key: str, at: datetime, due_at: datetime | None, look_at: datetime | None) -> None:
    """Sales knows of it since `at`; what was told before stays, and so does a clock that `start` has started. Whoever
    had acted by then took no time. While another transaction has the hand-off nothing is done: it stays owed."""
    free = select(handoffs.c.payload).where(_untold(key)).with_for_update(skip_locked=True)
    payload = tx.execute(free).scalar()
    if payload is not None:
        caused_at, begins = HANDOFF.value(payload).caused_at, OPEN & handoffs.c.due_at.is_(None)
        acted = handoffs.c.touched_at.is_not(None)
        values = {
            "told_at": at,
            "due_at": func.coalesce(handoffs.c.due_at, _moment(due_at)),
            "look_at": case((begins, _moment(look_at)), else_=handoffs.c.look_at),
            "system_ms": None if caused_at is None else max((at - caused_at) // _MILLISECOND, 0),
            "human_ms": case((acted, 0), else_=handoffs.c.human_ms),
            "human_work_ms": case((acted, 0), else_=handoffs.c.human_work_ms),
        }
        tx.execute(update(handoffs).where(_untold(key)).values(values))
    told = select(handoffs.c.key).where(handoffs.c.key == key, handoffs.c.told_at.is_not(None))
    heard = update(notices).where(notices.c.handoff_key.in_(told), notices.c.state == "sent")
    tx.execute(heard.where(notices.c.not_before.is_not(None)).values(not_before=None))


def _moment(at: datetime | None) -> ColumnElement[Any]:
    return literal(at, handoffs.c.look_at.type)


def _untold(key: str) -> ColumnElement[bool]:
    return (handoffs.c.key == key) & handoffs.c.told_at.is_(None)


def lost(tx: Connection, connection: str, since: datetime) -> list[Handoff]:
    """The open ones made after `since` of which nobody could be told: a message of theirs is dead, none is left to go
    out, and their clock stands still. Those that another transaction has are left out."""
    first = notices.c.kind == "handoff"
    dead = select(notices.c.handoff_key).where(notices.c.connection == connection, notices.c.state == "dead", first)
    theirs = notices.c.handoff_key == handoffs.c.key
    living = select(notices.c.key).where(theirs, first, notices.c.state.not_in(ENDED)).exists()
    silent = handoffs.c.told_at.is_(None) & handoffs.c.due_at.is_(None) & OPEN & (handoffs.c.at > since)
    found = select(handoffs.c.payload).where(handoffs.c.key.in_(dead), silent, ~living)
    return [HANDOFF.value(payload) for payload in tx.execute(found.with_for_update(skip_locked=True)).scalars()]


def start(tx: Connection, key: str, due_at: datetime, look_at: datetime) -> None:
    """Its clock runs although nobody was told."""
    still = OPEN & handoffs.c.due_at.is_(None)
    tx.execute(update(handoffs).where(_untold(key), still).values(due_at=due_at, look_at=look_at))


def told(tx: Connection, key: str) -> list[tuple[str, str]]:
    """(channel, recipient) of the messages that tell of the hand-off, but for those that came to nothing."""
    columns = (notices.c.channel, notices.c.recipient)
    theirs = select(*columns).where(notices.c.handoff_key == key, notices.c.kind == "handoff")
    found = tx.execute(theirs.where(notices.c.state.not_in(ENDED)).order_by(*columns))
    return [(channel, recipient) for channel, recipient in found]


def touch(tx: Connection, each: Waiting, touch: Touch, worked: timedelta | None) -> None:
    """Sales has acted; nothing is to come. `worked`: the working time it took; None where nobody had been told."""
    took = None if each.told_at is None else max((touch.at - each.told_at) // _MILLISECOND, 0)
    values = {
        "touched_at": touch.at,
        "touched_by": touch.by,
        "look_at": None,
        "human_ms": took,
        "human_work_ms": None if worked is None else worked // _MILLISECOND,
    }
    tx.execute(update(handoffs).where(handoffs.c.key == each.handoff.key, OPEN).values(values))


def reminded(tx: Connection, key: str, at: datetime, look_at: datetime | None) -> bool:
    """`look_at`: when to escalate; None: never. False: sales has acted meanwhile, or the lead has left the stage."""
    return _write(tx, key, reminded_at=at, look_at=look_at)


def escalated(tx: Connection, key: str, at: datetime) -> bool:
    """False: as above."""
    return _write(tx, key, escalated_at=at, look_at=None)


def rest(tx: Connection, key: str) -> None:
    """Nothing is to come any more."""
    _write(tx, key, look_at=None)


def _write(tx: Connection, key: str, **values: datetime | None) -> bool:
    """The condition stands in the write: who has acted since the row was read must not be overwritten."""
    return tx.execute(update(handoffs).where(handoffs.c.key == key, OPEN).values(values)).rowcount == 1
