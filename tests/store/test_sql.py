"""Rows that go to the driver past SQLAlchemy end up as those that it would have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, Table, select
from sqlalchemy import insert as plain_insert

from syncer.store import Store
from syncer.store.sql import insert_new, upsert
from syncer.store.tables import lead_states, leads, records

AT = datetime(2026, 3, 1, 13, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=1)))
PEOPLE: list[dict[str, Any]] = [
    {"id": "1", "email": "ana\x00@acme.es", "fields": {"a": 1, "b": 1.5, "c": True, "d": None}, "deleted": False},
    {"id": "2", "email": None, "fields": {}, "deleted": True},
    {"id": "3", "email": "\ud83d broken", "fields": {"big": 2**70, "ñ": "…"}, "deleted": False},
]
STATES = [
    {"lead_id": 2**40, "revision": 3, "rules": "r", "model": "m@1", "bits": b"\x00\xff", "hits": b""},
    {"lead_id": 2, "revision": 1, "rules": "", "model": "m", "bits": b"", "hits": bytes(range(256))},
]
Way = Callable[[Connection, Table, Sequence[Mapping[str, Any]]], object]


def the_slow_way(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    tx.execute(plain_insert(table), rows)


def people(tx: Connection) -> list[Mapping[str, Any]]:
    tx.execute(plain_insert(leads), [{"id": 7, "connection": "crm"}])
    common = {"connection": "crm", "object": "contacts", "lead_id": 7, "modified_at": AT, "since": AT}
    return [{**common, **each} for each in PEOPLE]


def written(store: Store, table: Table, rows: Callable[[Connection], Sequence[Mapping[str, Any]]], way: Way) -> Any:
    """What a write leaves behind, which is taken back then."""
    with store.writing() as tx, tx.begin_nested() as attempt:
        way(tx, table, rows(tx))
        found = [tuple(row) for row in tx.execute(select(table).order_by(*table.primary_key))]
        attempt.rollback()
    return found


@pytest.mark.parametrize("way", [upsert, insert_new])
@pytest.mark.parametrize(
    ("table", "rows"), [(records, people), (lead_states, lambda _tx: STATES)], ids=["records", "lead_states"]
)
def test_what_goes_past_sqlalchemy_is_stored_as_sqlalchemy_would(
    store: Store, way: Way, table: Table, rows: Callable[[Connection], Sequence[Mapping[str, Any]]]
) -> None:
    expected = written(store, table, rows, the_slow_way)
    assert len(expected) >= 2
    assert written(store, table, rows, way) == expected


def test_a_column_that_is_empty_throughout_empties_what_was_there(store: Store) -> None:
    def before_and_after(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        upsert(tx, table, [{**row, "stage": "mql", "owner": "ana@us.com"} for row in rows])
        owners = {"1": "ana@us.com"}
        upsert(tx, table, [{**row, "stage": None, "owner": owners.get(row["id"])} for row in rows])

    found = written(store, records, people, before_and_after)
    stage, owner = (list(records.c.keys()).index(name) for name in ("stage", "owner"))
    assert [(row[stage], row[owner]) for row in found] == [(None, "ana@us.com"), (None, None), (None, None)]
