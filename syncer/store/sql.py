"""The few statements SQLAlchemy does not spell alike for both databases."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from operator import is_not
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
    bindparam,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from syncer.model import RecordKey
from syncer.store.columns import CleanText, clean, encoder

Row = Mapping[str, Any]
Columns = Mapping[str, Sequence[Any]]
"""Rows, column by column; all of one length."""
Encode = Callable[[Sequence[Any]], Sequence[Any]]


def among(tx: Connection, column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """`column IN values` with one bound parameter, however many values: no limit on their number, one cached text."""
    listed = list(clean(tuple(values)))
    if not listed:
        return false()
    kind = BigInteger() if isinstance(listed[0], int) else Text()
    if tx.dialect.name == "postgresql":
        return _is_in(tx.dialect.name, column, literal(listed, ARRAY(kind)))
    return _is_in(tx.dialect.name, column, literal(orjson.dumps(listed).decode()))


def _is_in(dialect: str, column: ColumnElement[Any], listed: ColumnElement[Any]) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return column == any_(listed)
    each = func.json_each(listed).table_valued("value")
    return column.in_(select(each.c.value))


KeyColumns = tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]


def keys_among(tx: Connection, columns: KeyColumns, keys: Iterable[RecordKey]) -> ColumnElement[bool]:
    """`columns` (connection, object, id) are one of the keys: one condition for each kind of object there is."""
    connection, kind, record_id = columns
    parts = [
        and_(connection == its_connection, kind == its_object, among(tx, record_id, its_ids))
        for (its_connection, its_object), its_ids in sorted(_by_kind(keys).items())
    ]
    return or_(*parts) if parts else false()


def keys_of_a_kind(dialect: str, columns: KeyColumns) -> ColumnElement[bool]:
    """`keys_among` for a statement that is built once and bound to each of `kinds`. A page asks the same few questions
    whatever is on it, and building one costs ten times what asking it does."""
    connection, kind, record_id = columns
    listed = bindparam("ids", type_=ARRAY(Text()) if dialect == "postgresql" else Text())
    return and_(
        connection == bindparam("of_connection", type_=CleanText()),
        kind == bindparam("of_object", type_=CleanText()),
        _is_in(dialect, record_id, listed),
    )


def kinds(tx: Connection, keys: Iterable[RecordKey]) -> Iterator[Mapping[str, Any]]:
    """What `keys_of_a_kind` is bound to, for each kind of object there is."""
    for (connection, kind), ids in sorted(_by_kind(keys).items()):
        listed = list(clean(tuple(ids)))
        bound = listed if tx.dialect.name == "postgresql" else orjson.dumps(listed).decode()
        yield {"of_connection": connection, "of_object": kind, "ids": bound}


def _by_kind(keys: Iterable[RecordKey]) -> Mapping[tuple[str, str], list[str]]:
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for connection, kind, record_id in keys:
        ids[connection, kind].append(record_id)
    return ids


def insert(tx: Connection, table: Table) -> postgresql.Insert:
    """An INSERT that knows ON CONFLICT, in the database's own dialect."""
    return _plain_insert(tx.dialect.name, table)


def _plain_insert(dialect: str, table: Table) -> postgresql.Insert:
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)  # type: ignore[return-value]  # the same methods under another class


def upsert(tx: Connection, table: Table, rows: Sequence[Row], *, keep: Sequence[str] = ()) -> None:
    """Insert the rows; a row whose key is there already replaces it, except the columns of `keep`.

    All rows carry the same columns; no key appears twice.
    """
    if rows:
        upsert_columns(tx, table, _by_column(rows), keep=keep)


def upsert_columns(tx: Connection, table: Table, columns: Columns, *, keep: Sequence[str] = ()) -> None:
    """The same, of rows that are given column by column."""
    _send(tx, table, columns, tuple(keep))


def insert_new(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose key is not there yet, leave the others alone. All rows carry the same columns."""
    if rows:
        _send(tx, table, _by_column(rows), None)


def _by_column(rows: Sequence[Row]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}


@dataclass(frozen=True, slots=True)
class _Insertion:
    """An INSERT in the database's own words, and what it takes in which order, with how that becomes the driver's.

    SQLAlchemy would look this up again each time and encode value by value: most of what storing a page would cost.
    """

    text: str
    columns: Sequence[tuple[str, Encode | None]]


def _send(tx: Connection, table: Table, columns: Columns, keep: Sequence[str] | None) -> None:
    """A column that is empty throughout is not bound: SQLite's driver takes longest over each None."""
    empty = tuple(name for name, values in columns.items() if not any(map(_is_there, values)))
    insertion = _insertion(tx.dialect.name, table, tuple(columns), empty, keep)
    encoded = [columns[name] if encode is None else encode(columns[name]) for name, encode in insertion.columns]
    if rows := list(zip(*encoded, strict=True)):
        tx.exec_driver_sql(insertion.text, rows)


_is_there = partial(is_not, None)


_POSTGRESQL = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]  # values in order, not by name
_SQLITE = SQLiteDialect_pysqlite()


@cache
def _insertion(
    dialect: str, table: Table, names: Sequence[str], empty: Sequence[str], keep: Sequence[str] | None
) -> _Insertion:
    """`empty`: of these names those of columns that stay so. `keep` None: a row whose key is there already stays as it
    is."""
    spelled = _POSTGRESQL if dialect == "postgresql" else _SQLITE
    statement = _plain_insert(dialect, table).values({name: null() for name in empty})
    if keep is None:
        statement = statement.on_conflict_do_nothing()
    else:
        key = [column.name for column in table.primary_key]
        new = {name: statement.excluded[name] for name in names if name not in key and name not in keep}
        statement = statement.on_conflict_do_update(index_elements=key, set_=new)
    compiled: Any = statement.compile(dialect=spelled, column_keys=[name for name in names if name not in empty])
    return _Insertion(str(compiled), [(name, encoder(table.c[name].type, dialect)) for name in compiled.positiontup])


def now_ms(tx: Connection) -> ColumnElement[int]:
    """The clock that leases go by: the database's own on PostgreSQL, this machine's on SQLite. Milliseconds."""
    if tx.dialect.name == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
    return literal(time.time_ns() // 1_000_000, BigInteger)
