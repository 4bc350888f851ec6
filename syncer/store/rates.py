"""How fast something may be asked by all processes together: the generic cell rate algorithm (ITU-T I.371), which
needs one number for each thing: when it is idle again."""

from __future__ import annotations

import time

from sqlalchemy import BigInteger, Connection, case, cast, func, literal, text
from sqlalchemy.sql.elements import ColumnElement

from syncer.store.sql import insert
from syncer.store.tables import rates

_LONGEST_US = 60_000_000  # nobody waits longer: who was told more was told so by a clock that has been set back


def take(tx: Connection, name: str, rate: float, burst: int = 1) -> float:
    """In how many seconds this request may leave, so that of all processes together `rate` leave in a second, and
    `burst` at once after a pause. Its turn is taken, whether or not it leaves."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET LOCAL synchronous_commit = off"))  # a rate that is forgotten in a crash does no harm
    now, step = _now_us(tx), round(1_000_000 / rate)
    first = insert(tx, rates).values(name=name, next_us=now + step)
    known = case((rates.c.next_us > now + _LONGEST_US, now), (rates.c.next_us > now, rates.c.next_us), else_=now)
    taken = first.on_conflict_do_update(index_elements=["name"], set_={"next_us": known + step})
    wait_us = tx.execute(taken.returning(rates.c.next_us - burst * step - _now_us(tx))).scalar_one()
    return max(float(wait_us), 0.0) / 1_000_000


def _now_us(tx: Connection) -> ColumnElement[int]:
    if tx.dialect.name == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
    return literal(time.time_ns() // 1000, BigInteger)
