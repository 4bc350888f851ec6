"""Hand-offs with what has come of them: whom they were told, when sales acted, how long that took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import JSON, ColumnElement, Connection, and_, case, cast, func, literal, select, true, tuple_

from syncer.model import Handoff, Notice, Told
from syncer.store.outbox import OPEN, messages_of
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among
from syncer.store.tables import handoffs as kept
from syncer.store.tables import notices

NOBODY = ""
"""In place of an address: hand-offs on which nobody in particular shall act."""
_TICK = timedelta(milliseconds=1)
_LATEST = (kept.c.at.desc(), kept.c.key.desc())
_SOONEST = (kept.c.due_at, kept.c.at, kept.c.key)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """One hand-off and what has come of it."""

    handoff: Handoff
    lead: int  # whose it is now; `handoff.lead` is whose it was when it was made
    closed_at: datetime | None  # when its lead left the stage
    told_at: datetime | None
    due_at: datetime | None  # None: sales acts when it likes
    touched_at: datetime | None
    touched_by: str | None
    system_ms: int | None = None  # from the activity that made the lead ready until sales was told
    human_ms: int | None = None  # from then until sales acted
    human_work_ms: int | None = None  # the same, of working time
    notices: tuple[Notice, ...] = ()

    def is_open(self) -> bool:
        """Whether sales still has to act."""
        return self.closed_at is None and self.touched_at is None

    def is_late(self, now: datetime) -> bool:
        return self.is_open() and self.due_at is not None and self.due_at < now


Only = Literal["open", "late", "unsent"]
"""See HandedOver; unsent: a message of it is dead, or may have arrived or not."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which hand-offs are asked for: of these connections, from `since` on and before `until`."""

    connections: tuple[str, ...]
    now: datetime
    only: Only | None = None
    since: datetime | None = None
    until: datetime | None = None
    person: str | None = None  # who shall act, in lower case; NOBODY: nobody in particular; None: anybody

    def condition(self, tx: Connection) -> ColumnElement[bool]:
        theirs, told = (among(tx, table.c.connection, self.connections) for table in (kept, notices))
        return theirs & self._besides(told)

    def of(self, connection: str) -> ColumnElement[bool]:
        """Of one of these connections, and so that an index gives them in order."""
        return (kept.c.connection == connection) & self._besides(notices.c.connection == connection)

    def _besides(self, told: ColumnElement[bool]) -> ColumnElement[bool]:
        """`told`: which messages may be theirs."""
        found: list[ColumnElement[bool]] = [true()]
        if self.since is not None:
            found.append(kept.c.at >= self.since)
        if self.until is not None:
            found.append(kept.c.at < self.until)
        if self.person is not None:
            found.append(kept.c.for_whom == self.person if self.person else kept.c.for_whom.is_(None))
        if self.only is not None:
            found.append({"open": OPEN, "late": _late(self.now), "unsent": _unsent(told)}[self.only])
        return and_(*found)


def _late(now: datetime) -> ColumnElement[bool]:
    return OPEN & (kept.c.due_at < now)


def _unsent(told: ColumnElement[bool]) -> ColumnElement[bool]:
    return kept.c.key.in_(select(notices.c.handoff_key).where(told, notices.c.state.in_(("dead", "uncertain"))))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many hand-offs there are, and of these how many are so."""

    handoffs: int
    open: int
    late: int
    in_time: int  # sales has acted before they were due


def tally(tx: Connection, wanted: Wanted) -> Tally:
    which = (OPEN, _late(wanted.now), _IN_TIME)
    every, *some = tx.execute(select(func.count(), *map(_count, which)).where(wanted.condition(tx))).one()
    return Tally(every, *some)


_IN_TIME = kept.c.touched_at <= kept.c.due_at


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took: `of` so many hand-offs half took no longer than `median_ms`, nine in ten no longer than
    `p90_ms`. None where nothing is known."""

    of: int
    median_ms: int | None
    p90_ms: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """How fast hand-offs were told, and acted on."""

    timed: int  # those whose time is over, or on which sales has acted while it ran
    system: Spread  # from the activity that made the lead ready until sales was told
    human: Spread  # from then until sales acted
    human_work: Spread  # the same, of working time


def figures(tx: Connection, wanted: Wanted) -> Figures:
    """The database sorts, so that no list of them is ever here."""
    condition = wanted.condition(tx)
    spans = (kept.c.system_ms, kept.c.human_ms, kept.c.human_work_ms)
    counted = select(_count(_timed(wanted.now)), *map(func.count, spans)).where(condition)
    of, *known = tx.execute(counted).one()
    return Figures(of, *(_spread(tx, condition, span, count) for span, count in zip(spans, known, strict=True)))


def _timed(now: datetime) -> ColumnElement[bool]:
    over = kept.c.due_at < func.coalesce(kept.c.closed_at, _instant(now))
    return kept.c.due_at.is_not(None) & (kept.c.touched_at.is_not(None) | over)


def _instant(at: datetime) -> ColumnElement[Any]:
    return literal(at, kept.c.at.type)


def _spread(tx: Connection, condition: ColumnElement[bool], span: ColumnElement[int], known: int) -> Spread:
    if not known:
        return Spread(0, None, None)
    told = select(span).where(condition, span.is_not(None)).order_by(span).limit(1)
    ranks = (-(-known * tenths // 10) - 1 for tenths in (5, 9))  # the nearest ranks, rounded up
    return Spread(known, *(tx.execute(told.offset(rank)).scalar_one() for rank in ranks))


@dataclass(frozen=True, slots=True)
class Kept:
    """Of hand-offs whose time is over, or on which sales has acted: how many, and how many of them in time."""

    of: int
    in_time: int


def kept_by_route(tx: Connection, wanted: Wanted) -> dict[str | None, Kept]:
    """Route of the hand-offs (see model.Handoff) -> how many were acted on in time; one without any is absent."""
    timed, route = _timed(wanted.now), _of_payload(tx, "route")
    counted = select(route, func.count(), _count(_IN_TIME)).where(wanted.condition(tx), timed).group_by(route)
    return {name: Kept(of, in_time) for name, of, in_time in tx.execute(counted)}


def _of_payload(tx: Connection, name: str) -> ColumnElement[Any]:
    """A text of the payload; NULL where it has none of that name."""
    found: ColumnElement[Any]
    if tx.dialect.name == "postgresql":
        found = cast(kept.c.payload, JSON)[name].as_string()
    else:
        found = func.json_extract(kept.c.payload, f"$.{name}")
    return found


@dataclass(frozen=True, slots=True)
class Load:
    """On how many hand-offs somebody still has to act."""

    person: str | None  # see Handoff.for_whom
    open: int
    late: int
    due_at: datetime | None  # when the first of them is, or was, due


def loads(tx: Connection, wanted: Wanted, most: int) -> list[Load]:
    """Of those who have the most late ones, then the most open ones, first."""
    opened, late = func.count().label("opened"), _count(kept.c.due_at < wanted.now).label("late")
    found = select(kept.c.for_whom, opened, late, func.min(kept.c.due_at)).where(wanted.condition(tx), OPEN)
    most_first = found.group_by(kept.c.for_whom).order_by(late.desc(), opened.desc(), kept.c.for_whom)
    return [Load(*row) for row in tx.execute(most_first.limit(most))]


def listed(tx: Connection, wanted: Wanted, limit: int | None = None) -> list[HandedOver]:
    """The latest first."""
    return _found(tx, wanted.condition(tx), (kept.c.at.desc(), kept.c.key), limit)


def with_keys(tx: Connection, keys: Iterable[str]) -> list[HandedOver]:
    """The hand-offs of these keys, the latest first."""
    return _found(tx, among(tx, kept.c.key, keys), (kept.c.at.desc(), kept.c.key))


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list of hand-offs one stands."""

    at: datetime
    key: str
    due_at: datetime | None = None


def place_of(tx: Connection, lead: int, at: datetime, due_at: datetime | None) -> Place:
    """Where the lead's hand-off of that time stands. Where there is none any more, or there are several, rather some
    hand-offs of that time come twice than one not at all."""
    key, first = kept.c.key, kept.c.key.desc() if due_at is None else kept.c.key
    its = select(key).where(kept.c.lead_id == lead, kept.c.at == at).order_by(first).limit(1)
    found = tx.execute(its).scalar_one_or_none()
    if found is not None:
        return Place(at, found, due_at)
    return Place(at + _TICK if due_at is None else at, "", due_at)


def after(tx: Connection, wanted: Wanted, place: Place | None, limit: int) -> list[HandedOver]:
    """Those that follow on that one; None: the first ones. On which sales still has to act: by when they are due, and
    those that are never due behind them. These and all others: the latest first.

    It takes as long for the last ones of very many as for the first.
    """
    if wanted.only not in ("open", "late"):
        return _next(tx, wanted, _earlier(place), _LATEST, limit)
    found: list[HandedOver] = []
    if place is None or place.due_at is not None:
        found = _next(tx, wanted, kept.c.due_at.is_not(None) & _due_later(place), _SOONEST, limit)
        place = None
    if wanted.only == "open" and len(found) < limit:
        found += _next(tx, wanted, kept.c.due_at.is_(None) & _earlier(place), _LATEST, limit - len(found))
    return found


def _earlier(place: Place | None) -> ColumnElement[bool]:
    if place is None:
        return true()
    return tuple_(kept.c.at, kept.c.key) < tuple_(_instant(place.at), _key(place))


def _key(place: Place) -> ColumnElement[str]:
    return literal(place.key, kept.c.key.type)


def _due_later(place: Place | None) -> ColumnElement[bool]:
    if place is None or place.due_at is None:
        return true()
    here = tuple_(_instant(place.due_at), _instant(place.at), _key(place))
    return tuple_(kept.c.due_at, kept.c.at, kept.c.key) > here


def _next(
    tx: Connection, wanted: Wanted, which: ColumnElement[bool], order: Sequence[Any], limit: int
) -> list[HandedOver]:
    """Each connection's first ones are read along an index, and the first of all are among these."""
    theirs = select(kept.c.key).where(which).order_by(*order).limit(limit)
    keys = [key for name in wanted.connections for key in tx.execute(theirs.where(wanted.of(name))).scalars()]
    return _found(tx, among(tx, kept.c.key, keys), order, limit) if keys else []


def _found(
    tx: Connection, condition: ColumnElement[bool], order: Sequence[Any], limit: int | None = None
) -> list[HandedOver]:
    found = tx.execute(select(kept).where(condition).order_by(*order).limit(limit)).all()
    told = messages_of(tx, [row.key for row in found])
    return [_handed_over(row, told.get(row.key, ())) for row in found]


def _handed_over(row: Any, told: Sequence[Notice]) -> HandedOver:
    return HandedOver(
        handoff=HANDOFF.value(row.payload),
        lead=row.lead_id,
        closed_at=row.closed_at,
        told_at=row.told_at,
        due_at=row.due_at,
        touched_at=row.touched_at,
        touched_by=row.touched_by,
        system_ms=row.system_ms,
        human_ms=row.human_ms,
        human_work_ms=row.human_work_ms,
        notices=tuple(told),
    )


def of_lead(tx: Connection, lead: int) -> list[Told]:
    """Every hand-off of the lead, the oldest first."""
    theirs = select(kept.c.key, kept.c.stage, kept.c.at).where(kept.c.lead_id == lead)
    return [Told(*told) for told in tx.execute(theirs.order_by(kept.c.at, kept.c.key))]
