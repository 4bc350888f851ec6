"""Records that the CRM has spoken of, to be read again now. A hint says nothing but the record's key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, bindparam, case, delete, or_, select, tuple_, type_coerce

from syncer.model import RecordKey
from syncer.store.sql import insert
from syncer.store.tables import hints

LATER = timedelta(minutes=10)
"""A hint may be for later, but by no more than this: whatever is said to be later still, a clock was set back."""


@dataclass(frozen=True, slots=True)
class Hint:
    """`at`: when the CRM spoke of the record last."""

    key: RecordKey
    at: datetime


def hint(tx: Connection, keys: Iterable[RecordKey], at: datetime) -> None:
    """Each is to be read again. One that waits already gets a later `at`, so that whoever reads it right now does not
    take this hint for the one before."""
    rows = [{**key._asdict(), "at": at} for key in sorted(set(keys))]
    if rows:
        new = insert(tx, hints)
        a_tick_later = type_coerce(hints.c.at, BigInteger) + 1
        later = case((new.excluded.at > hints.c.at, type_coerce(new.excluded.at, BigInteger)), else_=a_tick_later)
        key = [column.name for column in hints.primary_key]
        tx.execute(new.on_conflict_do_update(index_elements=key, set_={"at": later}), rows)


def waiting(
    tx: Connection, connection: str, limit: int, after: RecordKey | None = None, *, now: datetime | None = None
) -> list[Hint]:
    """Up to `limit` hints by key, those behind `after`; with `now`, not those that are for later."""
    place = tuple_(hints.c.object, hints.c.id)
    found = select(hints).where(hints.c.connection == connection)
    if after is not None:
        found = found.where(place > tuple_(after.object, after.id))
    if now is not None:
        found = found.where(or_(hints.c.at <= now, hints.c.at > now + LATER))
    rows = tx.execute(found.order_by(hints.c.object, hints.c.id).limit(limit))
    return [Hint(RecordKey(row.connection, row.object, row.id), row.at) for row in rows]


def settle(tx: Connection, read: Sequence[Hint]) -> None:
    """The records were read after these hints; what was hinted at since then waits on."""
    if read:
        these = [hints.c[name] == bindparam(f"its_{name}") for name in ("connection", "object", "id", "at")]
        rows = [{**each.key._asdict(), "at": each.at} for each in read]
        tx.execute(delete(hints).where(*these), [{f"its_{name}": row[name] for name in row} for row in rows])
