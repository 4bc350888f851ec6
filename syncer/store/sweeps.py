"""Reconcile sweeps: now and then all of a stream is looked at, for what no increment shows.

A sweep has a number, with which everything it comes across is marked. What is stored and not marked in the end is
missing in the CRM, or moved away under our eyes: it is asked for by id. A sweep goes on where it stood, over any number
of runs and deaths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from syncer.model import Cursor, Page
from syncer.store.sql import among, keys_among
from syncer.store.tables import LIVE, RECORD_KEY, activities, cursors, records


@dataclass(frozen=True, slots=True)
class Sweep:
    """One that is under way; `cursor` None: at the beginning."""

    number: int
    cursor: Cursor | None


def due(tx: Connection, connection: str, every: Mapping[str, timedelta], now: datetime) -> list[str]:
    """Of these streams those with a sweep under way, and those not swept for so long; what is due for longest first.
    Not those whose first whole pull is not over."""
    here = (cursors.c.connection == connection, among(tx, cursors.c.stream, every))
    found = tx.execute(select(cursors).where(*here, cursors.c.history.is_(False)))
    since = {row.stream: _due_at(row, every[row.stream]) for row in found}
    ripe = [(at, stream) for stream, at in since.items() if at is None or at <= now]
    return [stream for _, stream in sorted(ripe, key=lambda each: (each[0] is not None, each[0], each[1]))]


def _due_at(row: Any, every: timedelta) -> datetime | None:
    """None: it was never swept."""
    if row.sweep_began_at is not None or row.swept_at is None:
        began: datetime | None = row.sweep_began_at
        return began
    swept_at: datetime = row.swept_at
    return swept_at + every


def begin(tx: Connection, connection: str, stream: str, at: datetime, *, anew: bool = False) -> Sweep:
    """The one under way; a new one where there is none, or where `anew` is asked for."""
    here = (cursors.c.connection == connection, cursors.c.stream == stream)
    row = tx.execute(select(cursors.c.sweep, cursors.c.sweep_cursor, cursors.c.sweep_began_at).where(*here)).one()
    if row.sweep_began_at is not None and not anew:
        return Sweep(row.sweep, None if row.sweep_cursor is None else Cursor(row.sweep_cursor))
    number: int = row.sweep + 1
    tx.execute(update(cursors).where(*here).values(sweep=number, sweep_cursor=None, sweep_began_at=at))
    return Sweep(number, None)


def mark(tx: Connection, page: Page, number: int) -> None:
    """The sweep of that number has come across everything on the page."""
    keys = [record.key for record in page.records]
    if keys:
        tx.execute(update(records).where(keys_among(tx, RECORD_KEY, keys)).values(swept=number))
    ids: dict[str, list[str]] = {}
    for activity in page.activities:
        ids.setdefault(activity.connection, []).append(activity.id)
    for connection, its_ids in ids.items():
        these = (activities.c.connection == connection, among(tx, activities.c.id, its_ids))
        tx.execute(update(activities).where(*these).values(swept=number))


def unswept(  # noqa: PLR0913  # which, of which sweep, and where to go on
    tx: Connection, connection: str, stream: str, number: int, after: str | None, limit: int, *, people: bool
) -> list[str]:
    """Ids, as the CRM writes them, that are stored and that the sweep of that number has not come across; up to
    `limit` of those behind `after`, in the database's order. Of `people` those who were deleted as well: by now they
    may have been erased. Not `people`: activities."""
    prefix = "" if people else f"{stream}/"
    name = records.c.id if people else activities.c.id
    missing = _people(connection, stream) if people else _activities(tx, connection, stream)
    behind = missing if after is None else missing.where(name > prefix + after)
    found = behind.where(name.table.c.swept != number).order_by(name).limit(limit)
    return [each.removeprefix(prefix) for each in tx.execute(found).scalars()]


def _people(connection: str, stream: str) -> Select[Any]:
    there = (records.c.merged_into.is_(None), records.c.erased.is_(False))
    return select(records.c.id).where(records.c.connection == connection, records.c.object == stream, *there)


def _activities(tx: Connection, connection: str, stream: str) -> Select[Any]:
    """PostgreSQL's index is in the order of some language, in which a stream's ids need not stand together; SQLite's
    LIKE takes large letters for small ones."""
    theirs = select(activities.c.id).where(activities.c.connection == connection)
    if tx.dialect.name == "postgresql":
        return theirs.where(activities.c.id.startswith(f"{stream}/", autoescape=True))
    return theirs.where(activities.c.id >= f"{stream}/", activities.c.id < f"{stream}0")  # "0" is the letter behind "/"


def shortfall(tx: Connection, connection: str, stream: str, number: int) -> tuple[int, int]:
    """Of the people of the stream who live here: how many the sweep of that number has not come across; how many there
    are."""
    theirs = (records.c.connection == connection, records.c.object == stream, LIVE)
    seen = func.count().filter(records.c.swept == number)
    found = tx.execute(select(func.count() - seen, func.count()).select_from(records).where(*theirs)).one()
    return found[0], found[1]


def end(tx: Connection, connection: str, stream: str, at: datetime) -> None:
    """It is over, and so is a first whole pull, which has seen as much."""
    here = (cursors.c.connection == connection, cursors.c.stream == stream)
    tx.execute(update(cursors).where(*here).values(sweep_cursor=None, sweep_began_at=None, swept_at=at))
