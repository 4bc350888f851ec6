"""SIGTERM to the daemon in each step of a run: it is gone within ten seconds and has given its lease back, the next
process goes on at once, and everything ends as if nothing had happened.

    SYNCER_TEST_SIGTERM=20 pytest tests/crash/test_sigterm.py -m slow       20 times each, on both databases

Without the variable it is some of the steps, once each, on SQLite.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from connectors.emulators.hubspot import Fault
from syncer.store import open_store, runs, schema
from tests.crash.child import Ending
from tests.crash.test_kill import finish_and_compare
from tests.crash.world import Undisturbed, World
from tests.receivers import HANG
from tests.reporting import FAILURES

pytestmark = pytest.mark.slow  # a daemon for each step, and an undisturbed day beside them

TIMES = int(os.environ.get("SYNCER_TEST_SIGTERM", "0"))
WITHIN_S = 10.0
PLACES = (
    *("pull: after commit", "apply: part done", "write: after request", "send: before hook left", "sweep: page came"),
    *("pull: page came", "plan: after commit", "apply: after commit", "write: before request"),
    *("send: after mail arrived", "send: before task created"),
)
ONCE = ("plan: after commit", "apply: after commit")  # in a run
SLOW = {
    "a request for a page that hangs": Fault(path="contacts", method="POST", hang_s=60),
    "a request to write that hangs": Fault(path="batch/update", hang_s=60),
    "a wait for a rate limit": Fault(path="search|list", status=429, headers={"Retry-After": "50"}),
}


WAITS = ("a request for a page that hangs", "nothing to do", "a wait for a rate limit", *SLOW, "a message that hangs")


def insist_on_good_manners(world: World, database: str, ending: Ending) -> None:
    assert (ending.signal, ending.code) == (0, 0), world.children.complaints
    assert 0 < ending.took_s < WITHIN_S
    assert world.lease_holder(database) is None
    with closing(open_store(database)) as store, store.reading() as tx:
        due = runs.due_at(tx, "crm")
    assert due is None or due <= world.times.second + timedelta(minutes=15), "within one interval"


@pytest.mark.parametrize("place", PLACES if TIMES else PLACES[:5])
def test_asked_to_leave_in_any_step_it_leaves_in_time_and_the_next_process_ends_what_it_began(
    place: str, sigterm: Undisturbed, record_property: Callable[[str, object], None]
) -> None:
    world, tally, took = sigterm.world, Counter[str](), []
    for number in range(TIMES or 1):
        database = world.go_back(sigterm.acted)
        order = world.order(database, world.times.second)
        config = _that_sweeps(world) if place.startswith("sweep") else order.config
        nth = 1 if place in ONCE else number % 2 + 1
        ending = world.start(replace(order, config=config, work="daemon", place=place, nth=nth))
        insist_on_good_manners(world, database, ending)
        took.append(ending.took_s)
        world.finish(order)
        finish_and_compare(sigterm, database, tally)
        assert max([*world.hook_keys().values(), *world.mail_keys().values()]) == 1, "nobody is told twice"
        world.databases.drop(database)
    record_property(FAILURES, [f"SIGTERM, {place} ({sigterm.name})", _seen(took)])


def _that_sweeps(world: World) -> str:
    """The same project, whose second run sweeps."""
    path = world.folder / "sweeping.yml"
    path.write_text(world.project.read_text().replace("sync: {", "sync: {sweep: 10m, sweep_activities: 10m, "))
    return str(path)


def _seen(took_s: Sequence[float]) -> str:
    return f"{len(took_s)} x, gone in {max(took_s):.1f} s at most"


@pytest.mark.parametrize("what", dict.fromkeys(WAITS if TIMES else WAITS[:2]))
def test_asked_to_leave_while_it_waits_it_waits_no_longer(
    what: str, sigterm: Undisturbed, record_property: Callable[[str, object], None]
) -> None:
    world, tally, took = sigterm.world, Counter[str](), []
    for _ in range(TIMES or 1):
        database = world.go_back(sigterm.acted)
        order = world.order(database, world.times.second)
        if what in SLOW:
            world.portal.faults.add(SLOW[what])
        elif "message" in what:
            world.hook.script.append(HANG)
        ending = world.start(replace(order, work="daemon", after_s=1.5))
        insist_on_good_manners(world, database, ending)
        took.append(ending.took_s)
        world.portal.faults.clear()
        world.finish(order)
        finish_and_compare(sigterm, database, tally)
        world.databases.drop(database)
    record_property(FAILURES, [f"SIGTERM, {what} ({sigterm.name})", _seen(took)])


def test_asked_to_leave_while_it_migrates_it_leaves_the_database_as_it_was_and_the_next_one_migrates_it(
    sigterm: Undisturbed, tmp_path: Path
) -> None:
    world, url = sigterm.world, f"sqlite:///{tmp_path / 'older.db'}"
    engine = create_engine(url)
    with engine.begin() as tx:
        schema.make(tx, "0010")
    engine.dispose()
    ending = world.start(replace(world.order(url, world.times.second), work="daemon", place=": migrated"))
    assert ending.signal == signal.SIGTERM, "at once: what is not committed was never there"
    engine = create_engine(url)
    with engine.connect() as tx:
        assert schema.schema_state(tx).current == "0010"
    engine.dispose()
    with closing(open_store(url)) as store, store.reading() as tx:
        assert schema.schema_state(tx).up_to_date
