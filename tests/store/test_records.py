"""The shortcuts by which records are stored: none of them may be seen in what is there afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select

from syncer.connector import PackedFields
from syncer.model import Cursor, Page, Record, RecordKey, Value
from syncer.store import Store, mirror
from syncer.store.records import RECORD_COLUMNS, record_of
from syncer.store.tables import leads, records
from tests.store.samples import NOW, all_leads, key, put, record, settle

FULL = record(
    "1",
    email="ana@acme.es",
    fields={"title": "CEO", "staff": 12},
    stage="mql",
    stage_by="marta@acme.es",
    lifecycle="lead",
    lifecycle_stage="iql",
    owner="rep@us.com",
    name="Ana",
    url="https://crm/1",
)


def stored(store: Store) -> list[Record]:
    with store.reading() as tx:
        return [record_of(row) for row in tx.execute(select(*RECORD_COLUMNS).order_by(records.c.id))]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "ana@other.es"},
        {"fields": {"title": "CEO"}},
        {"fields": {"title": "CEO", "staff": 12.0}},
        {"fields": {"title": "CEO", "staff": True}},
        {"fields": {"title": "CEO", "staff": 12, "city": None}},
        {"stage": "sql"},
        {"stage_by": None},
        {"lifecycle": "customer"},
        {"lifecycle_stage": None},
        {"protected": True},
        {"owner": "other@us.com"},
        {"name": "Anaïs"},
        {"url": "https://crm/one"},
        {"deleted": True},
        {"merged_into": key("9")},
    ],
    ids=str,
)
def test_whatever_alone_changed_of_a_record_is_stored(store: Store, change: dict[str, Any]) -> None:
    put(store, FULL)
    changed = replace(FULL, **change)
    put(store, changed)
    (found,) = stored(store)
    assert found == changed
    assert [type(each) for each in found.fields.values()] == [type(each) for each in changed.fields.values()]


def test_records_that_are_stored_already_as_they_are_are_not_written_again(store: Store) -> None:
    written: list[str] = []

    @event.listens_for(store._writer, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        written.extend([statement] if "INTO records" in statement else [])

    put(store, FULL, record("2"))
    assert len(written) == 1
    put(store, FULL, record("2"))
    assert len(written) == 1
    put(store, FULL, record("2", minute=1))
    assert len(written) == 2


def test_new_records_of_several_connections_in_one_page_get_each_a_lead_at_home_in_its_own(store: Store) -> None:
    keys = [RecordKey(connection, "contacts", str(each)) for each in range(50) for connection in ("crm", "erp")]
    with store.writing() as tx:
        page = Page(Cursor("c"), tuple(Record(each, NOW) for each in keys))
        mirror.store_page(tx, "crm", "contacts", page, NOW)
    with store.reading() as tx:
        homes = {row.id: row.connection for row in tx.execute(select(leads.c.id, leads.c.connection))}
        theirs = {row.lead_id: row.connection for row in tx.execute(select(records.c.lead_id, records.c.connection))}
    assert len(theirs) == len(keys)
    assert theirs == homes


def test_a_large_page_of_new_and_known_records_makes_leads_for_the_new_ones_alone(store: Store) -> None:
    put(store, *(record(str(each), email=f"{each}@old.es") for each in range(0, 300, 2)))
    before = {lead.records[0].key: lead.id for lead in all_leads(store)}
    put(store, *(record(str(each), minute=1, email=f"{each}@new.es") for each in range(300)))
    after = {lead.records[0].key: lead for lead in all_leads(store)}
    assert {each: after[each].id for each in before} == before
    assert len({lead.id for lead in after.values()}) == 300
    assert all(lead.records[0].email == f"{each.id}@new.es" for each, lead in after.items())


@pytest.mark.parametrize(
    ("broken", "cleaned"),
    [
        ({"fields": {"title": "C\x00EO"}}, {"fields": {"title": "CEO"}}),
        ({"fields": {"ti\x00tle": "CEO"}}, {"fields": {"title": "CEO"}}),
        ({"fields": PackedFields({"ti\x00tle": "C\x00EO"})}, {"fields": {"title": "CEO"}}),
        ({"fields": {"title": "CEO \ud83d"}}, {"fields": {"title": "CEO ?"}}),
        ({"url": "https://crm/\x001"}, {"url": "https://crm/1"}),
        ({"key": key("1\x00")}, {"key": key("1")}),
        ({"merged_into": key("9\x00")}, {"merged_into": key("9")}),
    ],
    ids=str,
)
def test_a_text_that_a_database_refuses_is_cleaned_wherever_in_a_record_it_stands(
    store: Store, broken: dict[str, Any], cleaned: dict[str, Any]
) -> None:
    put(store, replace(FULL, **broken))
    assert stored(store) == [replace(FULL, **cleaned)]


def test_packed_fields_are_fields_like_any_others(store: Store) -> None:
    fields: dict[str, Value] = {"title": "CEO", "staff": 12, "city": "Málaga", "empty": None}
    put(store, replace(FULL, fields=PackedFields(fields)))
    assert stored(store) == [replace(FULL, fields=fields)]
    assert dict(PackedFields(fields)) == fields
    assert len(PackedFields(fields)) == 4
    settle(store)
    put(store, replace(FULL, fields=PackedFields(fields)))
    assert all_leads(store)[0].state.touched == frozenset()
    put(store, replace(FULL, fields=PackedFields(fields | {"staff": 13})))
    assert all_leads(store)[0].state.touched == {"profile"}
