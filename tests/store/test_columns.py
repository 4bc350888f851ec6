"""What others say of a failure may repeat a secret: it is not kept, in whichever row it lands."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, insert, select

from syncer import log
from syncer.store import Store, runs
from syncer.store.columns import Told, encoder
from syncer.store.tables import metadata
from tests.store.samples import NOW

SECRET = "planted-secret-of-the-crm"
TOLD = {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.c
        if isinstance(column.type, Told)}  # fmt: skip


def test_every_column_for_somebodys_words_is_one_that_keeps_no_secret() -> None:
    words = {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.c
             if column.name.endswith(("reason", "error"))}  # fmt: skip
    assert words == TOLD
    assert {"runs.error", "notices.error", "connections.parked_reason", "write_backs.reason", "rejected.reason"} <= TOLD


def test_a_secret_is_blotted_out_on_its_way_into_the_database(store: Store) -> None:
    log.protect(SECRET)
    with store.writing() as tx:
        run = runs.start(tx, "crm", NOW)
        runs.finish(tx, run, "failed", {}, f"the CRM says \x00{SECRET}!", NOW)
        runs.park(tx, "crm", NOW, f"{SECRET[:15]}")
        parked: Table = metadata.tables["connections"]
        assert tx.scalar(select(parked.c.parked_reason)) == "***"
        assert runs.get(tx, run).error == "the CRM says ***!"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_so_is_one_that_goes_in_with_many_at_once(dialect: str) -> None:
    log.protect(SECRET)
    encoded = encoder(Told(), dialect)
    assert encoded is not None
    assert encoded([f"a {SECRET}", None, "b\x00"]) == ["a ***", None, "b"]


def test_a_comparison_asks_for_what_was_stored(store: Store) -> None:
    log.protect(SECRET)
    rejected = metadata.tables["rejected"]
    row = {"connection": "crm", "stream": "s", "id": "1", "reason": SECRET, "first_seen": NOW, "last_seen": NOW}
    with store.writing() as tx:
        tx.execute(insert(rejected).values(row))
        assert tx.scalar(select(rejected.c.id).where(rejected.c.reason == SECRET)) == "1"
