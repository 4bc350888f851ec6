"""Hand-offs with what has come of them: whom they were told, when sales acted, how long that took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, select

from syncer.model import Handoff, Notice, Told
from syncer.store.outbox import OPEN, messages_of
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among
from syncer.store.tables import handoffs as kept


@dataclass(frozen=True, slots=True)
class HandedOver:
    """One hand-off and what has come of it."""

    handoff: Handoff
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which hand-offs are asked for: of these connections, from `since` on."""

    connections: tuple[str, ...]
    now: datetime
    only: str | None = None  # "open" or "late": see HandedOver
    since: datetime | None = None

    def condition(self, tx: Connection) -> ColumnElement[bool]:
        found = among(tx, kept.c.connection, self.connections)
        if self.since is not None:
            found &= kept.c.at >= self.since
        narrowed = {"open": OPEN, "late": OPEN & (kept.c.due_at < self.now)}
        return found if self.only is None else found & narrowed[self.only]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many hand-offs there are, and of these how many are so."""

    handoffs: int
    open: int
    late: int
    in_time: int  # sales has acted before they were due


def tally(tx: Connection, wanted: Wanted) -> Tally:
    which = (OPEN, OPEN & (kept.c.due_at < wanted.now), kept.c.touched_at <= kept.c.due_at)
    counted = (func.count(case((condition, 1))) for condition in which)
    every, *some = tx.execute(select(func.count(), *counted).where(wanted.condition(tx))).one()
    return Tally(every, *some)


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
    over = kept.c.due_at < func.coalesce(kept.c.closed_at, _instant(wanted.now))
    timed = kept.c.due_at.is_not(None) & (kept.c.touched_at.is_not(None) | over)
    spans = (kept.c.system_ms, kept.c.human_ms, kept.c.human_work_ms)
    counted = select(func.count(case((timed, 1))), *map(func.count, spans)).where(condition)
    of, *known = tx.execute(counted).one()
    return Figures(of, *(_spread(tx, condition, span, count) for span, count in zip(spans, known, strict=True)))


def _instant(at: datetime) -> ColumnElement[Any]:
    return literal(at, kept.c.at.type)


def _spread(tx: Connection, condition: ColumnElement[bool], span: ColumnElement[int], known: int) -> Spread:
    if not known:
        return Spread(0, None, None)
    told = select(span).where(condition, span.is_not(None)).order_by(span).limit(1)
    ranks = (-(-known * tenths // 10) - 1 for tenths in (5, 9))  # the nearest ranks, rounded up
    return Spread(known, *(tx.execute(told.offset(rank)).scalar_one() for rank in ranks))


def listed(tx: Connection, wanted: Wanted, limit: int | None = None) -> list[HandedOver]:
    """The latest first."""
    return _found(tx, wanted.condition(tx), limit)


def with_keys(tx: Connection, keys: Iterable[str]) -> list[HandedOver]:
    """The hand-offs of these keys, the latest first."""
    return _found(tx, among(tx, kept.c.key, keys))


def _found(tx: Connection, condition: ColumnElement[bool], limit: int | None = None) -> list[HandedOver]:
    found = tx.execute(select(kept).where(condition).order_by(kept.c.at.desc(), kept.c.key).limit(limit)).all()
    told = messages_of(tx, [row.key for row in found])
    return [_handed_over(row, told.get(row.key, ())) for row in found]


def _handed_over(row: Any, told: Sequence[Notice]) -> HandedOver:
    return HandedOver(
        handoff=HANDOFF.value(row.payload),
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
