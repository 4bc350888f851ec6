"""kill -9 in the middle of storing pages: whatever is there afterwards, pages and cursor agree."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from syncer.store import Store, mirror
from tests.store.samples import all_leads

STORE_PAGES = """
import sys
from datetime import UTC, datetime
from syncer.model import Activity, Cursor, Page, Record, RecordKey
from syncer.store import mirror, open_store
store = open_store(sys.argv[1])
with store.reading() as tx:
    number = int(mirror.cursor(tx, "crm", "contacts") or 0)
print("ready", flush=True)
at = datetime(2026, 3, 1, tzinfo=UTC)
while True:
    number += 1
    keys = [RecordKey("crm", "contacts", f"{number}-{each}") for each in range(20)]
    records = tuple(Record(key, at) for key in keys)
    activities = tuple(Activity("crm", f"calls/{key.id}", "call", at, (key,)) for key in keys)
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor(str(number)), records, activities), at)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_pages_and_cursor_together(store: Store, database_url: str) -> None:
    pages = [0]
    for after_s in (0.03, 0.11, 0.27):
        with subprocess.Popen(
            [sys.executable, "-c", STORE_PAGES, database_url],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(after_s)
            process.kill()
        pages.append(_pages_that_are_whole(store))
    assert pages == sorted(pages)
    assert pages[-1] > 0


def _pages_that_are_whole(store: Store) -> int:
    """How many pages the cursor says there are, having looked that each of them is there, and no more."""
    with store.writing() as tx:  # waits until the server has noticed the death, too
        cursor = int(mirror.cursor(tx, "crm", "contacts") or 0)
    leads = all_leads(store)
    assert len(leads) == 20 * cursor
    assert {int(lead.records[0].key.id.split("-")[0]) for lead in leads} == set(range(1, cursor + 1))
    assert all(len(lead.signals.activities) == 1 for lead in leads)
    assert all(lead.state.touched for lead in leads)
    return cursor
