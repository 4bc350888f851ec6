"""A run's leads to be scored, cut into ranges, so that several workers score them together.

A range belongs to whoever claimed it last, for a while by the database's clock: one whose taker died is claimed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from syncer.store.columns import to_ms
from syncer.store.sql import now_ms
from syncer.store.tables import leads, score_ranges

_TAKEN_S = 20.0  # longer than a few thousand leads take; they are renewed with each such chunk


@dataclass(frozen=True, slots=True)
class Range:
    """Leads by their numbers, both ends included. `work` is what whoever scores them must know, as plain values;
    `rules` names the rules by which it is meant."""

    run: int
    first: int
    last: int
    rules: str
    work: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which leads of a connection are to be scored: those due by then, or all (None)."""

    connection: str
    due_by: datetime | None

    def condition(self) -> ColumnElement[bool]:
        theirs = (leads.c.connection == self.connection) & leads.c.live.is_(True)
        return theirs if self.due_by is None else theirs & (leads.c.due_at <= to_ms(self.due_by))


def count(tx: Connection, wanted: Wanted) -> int:
    found: int = tx.execute(select(func.count()).select_from(leads).where(wanted.condition())).scalar_one()
    return found


def cut(tx: Connection, wanted: Wanted, size: int, template: Range) -> int:
    """Cut them into ranges of `size` leads, each like the template but for its ends; how many. What an earlier run of
    the connection has left goes."""
    forget(tx, wanted.connection)
    part = ((func.row_number().over(order_by=leads.c.id) - 1) // size).label("part")
    numbered = select(leads.c.id, part).where(wanted.condition()).subquery()
    ends = select(func.min(numbered.c.id), func.max(numbered.c.id)).group_by(numbered.c.part)
    shared = {
        "run_id": template.run,
        "connection": wanted.connection,
        "rules": template.rules,
        "policy": dict(template.work),
    }
    rows = [{**shared, "first_lead": first, "last_lead": last} for first, last in tx.execute(ends)]
    if rows:
        tx.execute(insert(score_ranges), rows)
    return len(rows)


def claim(tx: Connection, run: int, holder: str) -> Range | None:
    """The next of the run's ranges that nobody works on, now ours. None: there is none just now."""
    now = now_ms(tx)
    free = (  # as a single value: PostgreSQL may look for one of a list several times, and so take several
        select(score_ranges.c.first_lead)
        .where(score_ranges.c.run_id == run, score_ranges.c.done.is_(False), score_ranges.c.taken_until <= now)
        .order_by(score_ranges.c.first_lead)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    this = (score_ranges.c.run_id == run) & (score_ranges.c.first_lead == free)
    taken = update(score_ranges).where(this).values(taken_by=holder, taken_until=now + round(_TAKEN_S * 1000))
    row = tx.execute(taken.returning(*score_ranges.c)).first()
    return None if row is None else Range(row.run_id, row.first_lead, row.last_lead, row.rules, row.policy)


def renew(tx: Connection, taken: Range, holder: str) -> bool:
    """Whether it is still ours; then it stays so for a while."""
    later = now_ms(tx) + round(_TAKEN_S * 1000)
    return tx.execute(update(score_ranges).where(_ours(taken, holder)).values(taken_until=later)).rowcount == 1


def finish(tx: Connection, taken: Range, holder: str, counts: Mapping[str, Any]) -> bool:
    """All of it is scored; whether it was still ours."""
    ended = update(score_ranges).where(_ours(taken, holder)).values(done=True, counts=dict(counts))
    return tx.execute(ended).rowcount == 1


def give_back(tx: Connection, taken: Range, holder: str) -> None:
    tx.execute(update(score_ranges).where(_ours(taken, holder)).values(taken_until=0))


def left(tx: Connection, run: int) -> int:
    """How many of the run's ranges are not done."""
    undone = select(func.count()).where(score_ranges.c.run_id == run, score_ranges.c.done.is_(False))
    found: int = tx.execute(undone).scalar_one()
    return found


def counts(tx: Connection, run: int) -> list[Mapping[str, Any]]:
    """What was counted over each of the run's ranges, in their order."""
    done = select(score_ranges.c.counts).where(score_ranges.c.run_id == run, score_ranges.c.done.is_(True))
    return list(tx.execute(done.order_by(score_ranges.c.first_lead)).scalars())


def run_of(tx: Connection, connection: str) -> int | None:
    """The run of the connection for which help is wanted."""
    return tx.execute(select(func.max(score_ranges.c.run_id)).where(score_ranges.c.connection == connection)).scalar()


def forget(tx: Connection, connection: str) -> None:
    tx.execute(delete(score_ranges).where(score_ranges.c.connection == connection))


def _ours(taken: Range, holder: str) -> ColumnElement[bool]:
    this = (score_ranges.c.run_id == taken.run) & (score_ranges.c.first_lead == taken.first)
    return this & (score_ranges.c.taken_by == holder) & score_ranges.c.done.is_(False)
