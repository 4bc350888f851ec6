"""Who works in the fleet: a row for each process, which it renews every few seconds by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from syncer.store.columns import from_ms
from syncer.store.sql import insert, now_ms
from syncer.store.tables import workers

ALIVE_FOR = timedelta(seconds=20)  # after it was seen last
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the fleet. `version`: syncer's, and after a plus sign what names its project files."""

    holder: str  # as in `leases`
    started_at: datetime
    seen_at: datetime
    version: str
    places: int  # how many connections it works on at once
    busy: int


def seen(tx: Connection, holder: str, *, version: str, places: int, busy: int) -> None:
    """It lives, and works on so many connections."""
    now = _now(tx)
    new = insert(tx, workers).values(
        holder=holder, started_at=now, seen_at=now, version=version, places=places, busy=busy
    )
    told = {"seen_at": now, "version": version, "places": places, "busy": busy}
    tx.execute(new.on_conflict_do_update(index_elements=["holder"], set_=told))


def left(tx: Connection, holder: str) -> None:
    tx.execute(delete(workers).where(workers.c.holder == holder))


def forget_dead(tx: Connection) -> None:
    """Those that nobody has seen for a day."""
    tx.execute(delete(workers).where(workers.c.seen_at < _now(tx) - _FORGOTTEN_AFTER))


def known(tx: Connection) -> list[Worker]:
    """All of them, also those that have died lately; who has worked longest first."""
    found = tx.execute(select(workers).order_by(workers.c.started_at, workers.c.holder))
    return [Worker(row.holder, row.started_at, row.seen_at, row.version, row.places, row.busy) for row in found]


def others(tx: Connection, holder: str) -> int:
    """How many are alive besides this one."""
    since = _now(tx) - ALIVE_FOR
    counted = select(func.count()).where(workers.c.holder != holder, workers.c.seen_at >= since)
    found: int = tx.execute(counted).scalar_one()
    return found


def versions(tx: Connection) -> set[str]:
    """Of those that are alive."""
    return set(tx.execute(select(workers.c.version).where(workers.c.seen_at >= _now(tx) - ALIVE_FOR)).scalars())


def _now(tx: Connection) -> datetime:
    return from_ms(tx.execute(select(now_ms(tx))).scalar_one())
