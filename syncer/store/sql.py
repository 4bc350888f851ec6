"""The few statements SQLAlchemy does not spell alike for both databases."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from syncer.model import RecordKey
from syncer.store.columns import clean

Row = Mapping[str, Any]


def among(tx: Connection, column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """`column IN values` with one bound parameter, however many values: no limit on their number, one cached text."""
    listed = [clean(value) for value in values]
    if not listed:
        return false()
    if tx.dialect.name == "postgresql":
        kind = BigInteger() if isinstance(listed[0], int) else Text()
        return column == any_(literal(listed, ARRAY(kind)))
    each = func.json_each(orjson.dumps(listed).decode()).table_valued("value")
    return column.in_(select(each.c.value))


KeyColumns = tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]


def keys_among(tx: Connection, columns: KeyColumns, keys: Iterable[RecordKey]) -> ColumnElement[bool]:
    """`columns` (connection, object, id) are one of the keys: one condition for each kind of object there is."""
    ids: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        ids.setdefault((key.connection, key.object), []).append(key.id)
    connection, kind, record_id = columns
    parts = [
        and_(connection == its_connection, kind == its_object, among(tx, record_id, its_ids))
        for (its_connection, its_object), its_ids in sorted(ids.items())
    ]
    return or_(*parts) if parts else false()


def insert(tx: Connection, table: Table) -> postgresql.Insert:
    """An INSERT that knows ON CONFLICT, in the database's own dialect."""
    if tx.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)  # type: ignore[return-value]  # the same methods under another class


def upsert(tx: Connection, table: Table, rows: Sequence[Row], *, keep: Sequence[str] = ()) -> None:
    """Insert the rows; a row whose key is there already replaces it, except the columns of `keep`.

    All rows carry the same columns; no key appears twice.
    """
    if not rows:
        return
    statement = insert(tx, table)
    key = [column.name for column in table.primary_key]
    new = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=new), rows)


def insert_new(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose key is not there yet, leave the others alone."""
    if rows:
        tx.execute(insert(tx, table).on_conflict_do_nothing(), rows)


def now_ms(tx: Connection) -> ColumnElement[int]:
    """The clock that leases go by: the database's own on PostgreSQL, this machine's on SQLite. Milliseconds."""
    if tx.dialect.name == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
    return literal(time.time_ns() // 1_000_000, BigInteger)
