"""For whom the fleet's bell rings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from syncer.model import RecordKey
from syncer.store import Store, hints, leases, rings, runs
from syncer.store.tables import connections
from syncer.store.tables import leases as held

NOW = datetime.now(UTC)
NAMES = ("anna", "berta", "carla")


@pytest.fixture(autouse=True)
def known(store: Store) -> None:
    """Three connections, none of them due."""
    with store.writing() as tx:
        for name in NAMES:
            runs.set_due(tx, name, NOW + timedelta(hours=1))


def due(store: Store, *, at: datetime = NOW, names: Sequence[str] = NAMES) -> list[tuple[str, str]]:
    with store.writing() as tx:
        return [*rings.due(tx, rings.Look(names, at))]


def set_due(store: Store, name: str, at: datetime) -> None:
    with store.writing() as tx:
        runs.set_due(tx, name, at)


def pass_time(store: Store, seconds: float) -> None:
    """By the database's clock, as far as rings go."""
    with store.writing() as tx:
        tx.execute(update(connections).values(rung_at=connections.c.rung_at - round(seconds * 1000)))


def test_it_rings_for_what_is_due_the_longest_due_first_and_for_nobody_else(store: Store) -> None:
    set_due(store, "carla", NOW - timedelta(minutes=2))
    set_due(store, "anna", NOW - timedelta(minutes=1))
    assert due(store) == [("carla", "sync"), ("anna", "sync")]


def test_it_rings_once_and_again_where_nobody_took_up_the_work(store: Store) -> None:
    set_due(store, "anna", NOW)
    assert due(store) == [("anna", "sync")]
    assert due(store) == []
    pass_time(store, rings.AGAIN_S + 0.1)
    assert due(store) == [("anna", "sync")]


def test_of_many_that_look_at_once_one_rings(store: Store, database_url: str) -> None:
    for name in NAMES:
        set_due(store, name, NOW)
    with ThreadPoolExecutor(6) as threads:
        found = [call for calls in threads.map(lambda _: due(store), range(12)) for call in calls]
    assert sorted(found) == [(name, "sync") for name in NAMES]


def test_what_has_run_well_may_be_due_again_at_once(store: Store) -> None:
    set_due(store, "anna", NOW)
    assert due(store) == [("anna", "sync")]
    with store.writing() as tx:
        rings.answered(tx, "anna")
    assert due(store) == [("anna", "sync")]


def test_it_does_not_ring_while_somebody_is_at_work_and_rings_once_that_lease_has_ended(store: Store) -> None:
    set_due(store, "anna", NOW)
    assert leases.take(store, "anna", holder="somebody", ttl_s=60) is not None
    assert due(store) == []
    with store.writing() as tx:
        tx.execute(update(held).values(expires_at=held.c.expires_at - 61_000))
    assert due(store) == [("anna", "resume")]


def test_a_run_that_was_cut_off_goes_first_and_one_that_ended_does_not(store: Store) -> None:
    set_due(store, "anna", NOW)
    lease = leases.take(store, "anna", holder="somebody", ttl_s=60)
    assert lease is not None
    leases.release(store, lease)
    assert due(store) == [("anna", "sync")]


def test_whose_process_of_this_machine_has_died_is_not_at_work(store: Store) -> None:
    set_due(store, "anna", NOW)
    here, place, _, name = leases.this_process().split("/")
    with subprocess.Popen([sys.executable, "-c", ""]) as brief:
        pass
    assert leases.take(store, "anna", holder=f"{here}/{place}/{brief.pid}/{name}", ttl_s=60) is not None
    assert due(store) == [("anna", "resume")]


def test_who_is_left_alone_is_not_rung_for(store: Store) -> None:
    set_due(store, "anna", NOW)
    with store.writing() as tx:
        runs.park(tx, "anna", NOW + timedelta(minutes=5), "its CRM asked for it")
    assert due(store) == []
    assert due(store, at=NOW + timedelta(minutes=5)) == [("anna", "sync")]


def test_a_park_of_a_clock_that_was_wrong_holds_nobody_up(store: Store) -> None:
    set_due(store, "anna", NOW)
    with store.writing() as tx:
        runs.park(tx, "anna", NOW + timedelta(days=30), "a year in the future")
    assert due(store) == [("anna", "sync")]


def test_a_ring_of_a_clock_that_was_set_back_holds_nobody_up(store: Store) -> None:
    set_due(store, "anna", NOW)
    assert due(store) == [("anna", "sync")]
    pass_time(store, -3600)
    assert due(store) == [("anna", "sync")]


def test_connections_of_other_projects_are_left_to_them(store: Store) -> None:
    for name in NAMES:
        set_due(store, name, NOW)
    assert due(store, names=["berta", "nobody"]) == [("berta", "sync")]


def test_hints_are_followed_where_no_whole_run_is_due_which_takes_them_along(store: Store) -> None:
    with store.writing() as tx:
        for name in ("anna", "berta"):
            hints.hint(tx, [RecordKey(name, "contacts", "7")], NOW)
        hints.hint(tx, [RecordKey("carla", "contacts", "7")], NOW + timedelta(minutes=5))
    set_due(store, "berta", NOW)
    assert due(store) == [("berta", "sync"), ("anna", "follow")]
    pass_time(store, rings.AGAIN_S + 0.1)
    assert due(store, at=NOW + timedelta(minutes=5)) == [("berta", "sync"), ("anna", "follow"), ("carla", "follow")]
