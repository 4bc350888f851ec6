"""Leases and the fence: who may write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from syncer.errors import LeaseLost
from syncer.store import Lease, Store, leases, runs, tables

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def taken(store: Store, holder: str = "a", ttl_s: float = 60) -> Lease:
    lease = leases.take(store, "crm", holder=holder, ttl_s=ttl_s)
    assert lease is not None
    return lease


def test_one_holder_at_a_time(store: Store) -> None:
    taken(store, "a")
    assert leases.take(store, "crm", holder="b", ttl_s=60) is None
    assert leases.take(store, "crm", holder="a", ttl_s=60) is None
    assert leases.take(store, "other crm", holder="b", ttl_s=60) is not None


def test_a_lease_that_was_given_back_or_ended_is_free_again_under_a_new_epoch(store: Store) -> None:
    first = taken(store, "a")
    leases.release(store, first)
    second = taken(store, "b", ttl_s=0.01)
    time.sleep(0.05)
    third = taken(store, "c")
    assert [first.epoch, second.epoch, third.epoch] == [1, 2, 3]


def test_a_frozen_holder_that_wakes_after_another_took_over_writes_nothing(store: Store) -> None:
    frozen = taken(store, "a", ttl_s=0.01)
    time.sleep(0.05)
    taken(store, "b")
    with pytest.raises(LeaseLost), store.writing(frozen) as tx:
        runs.start(tx, "crm", NOW)
    with store.reading() as tx:
        assert runs.last(tx, "crm", 1) == []


def test_a_holder_of_the_same_name_from_before_is_fenced_by_the_epoch(store: Store) -> None:
    old = taken(store, "a", ttl_s=0.01)
    time.sleep(0.05)
    new = taken(store, "a")
    with pytest.raises(LeaseLost), store.writing(old):
        pass
    with store.writing(new) as tx:
        runs.start(tx, "crm", NOW)


def test_every_writing_transaction_renews_the_lease(store: Store) -> None:
    lease = replace(taken(store, "a", ttl_s=2), ttl_s=500)
    assert leases.time_left(store, lease) <= 2
    with store.writing(lease):
        pass
    assert 490 < leases.time_left(store, lease) <= 500


def test_no_time_is_left_of_a_lease_that_is_not_ours_any_more(store: Store) -> None:
    lease = taken(store, "a")
    leases.release(store, lease)
    assert leases.time_left(store, lease) == 0
    taken(store, "b")
    assert leases.time_left(store, lease) == 0


def test_giving_back_a_lost_lease_leaves_the_new_holder_alone(store: Store) -> None:
    lost = taken(store, "a", ttl_s=0.01)
    time.sleep(0.05)
    taken(store, "b")
    leases.release(store, lost)
    assert leases.take(store, "crm", holder="c", ttl_s=60) is None


def test_the_holder_is_known_until_it_gives_the_lease_back(store: Store) -> None:
    with store.reading() as tx:
        assert leases.holder_of(tx, "crm") is None
    lease = taken(store, "host/1")
    with store.reading() as tx:
        found = leases.holder_of(tx, "crm")
    assert found is not None
    assert found[0] == "host/1"
    assert 0 < (found[1] - datetime.now(UTC)).total_seconds() <= 60
    leases.release(store, lease)
    with store.reading() as tx:
        assert leases.holder_of(tx, "crm") is None


def test_of_many_who_ask_at_once_one_gets_the_lease(store: Store) -> None:
    got: list[Lease | None] = []
    gate = threading.Barrier(8)

    def ask(name: str) -> None:
        gate.wait()
        got.append(leases.take(store, "crm", holder=name, ttl_s=60))

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([lease for lease in got if lease is not None]) == 1


def test_a_kept_lease_outlasts_its_time_and_ends_soon_after_nobody_keeps_it(store: Store) -> None:
    lease, fence = taken(store, "a", ttl_s=0.6), leases.Fence()
    with fence.kept(store, lease):
        time.sleep(1.0)
        fence.insist()
        assert leases.take(store, "crm", holder="b", ttl_s=60) is None
    time.sleep(0.8)
    assert leases.take(store, "crm", holder="b", ttl_s=60) is not None


def test_a_fence_lets_nothing_pass_once_another_took_over(store: Store) -> None:
    lease, fence = taken(store, "a", ttl_s=0.01), leases.Fence()
    time.sleep(0.05)
    taken(store, "b")
    with fence.kept(store, lease), pytest.raises(LeaseLost):
        fence.insist()
    fence.insist()  # holds no lease any more, as somebody's `setup`


def test_a_fence_asks_the_database_only_where_the_lease_is_not_fresh(store: Store) -> None:
    lease, fence = taken(store, "a"), leases.Fence()
    with fence.kept(store, lease):
        fence.insist()
        leases.release(store, lease)
        fence.insist()  # renewed a moment ago
        with pytest.raises(LeaseLost):
            fence.renew()


def test_a_fence_lets_nothing_pass_where_another_took_over_before_the_run_began_to_keep_its_lease(store: Store) -> None:
    lease, fence = taken(store, "a"), leases.Fence()
    with store.writing() as tx:  # the process froze between taking and keeping it
        tx.execute(update(tables.leases).values(expires_at=1))
    taken(store, "b")
    with fence.kept(store, lease), pytest.raises(LeaseLost):
        fence.insist()


def test_a_fence_asks_the_database_again_after_the_machine_slept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, fence = taken(store, "a"), leases.Fence()
    with fence.kept(store, lease):
        fence.insist()
        leases.release(store, lease)
        told, asleep = time.clock_gettime, {time.CLOCK_BOOTTIME: lease.ttl_s}  # the monotonic clock stands still then
        monkeypatch.setattr(time, "clock_gettime", lambda clock: told(clock) + asleep.get(clock, 0.0))
        with pytest.raises(LeaseLost):
            fence.insist()


def test_a_lease_that_a_long_transaction_outlasts_is_whole_again_when_it_commits(store: Store) -> None:
    lease = taken(store, "a", ttl_s=0.9)
    with store.writing(lease):
        time.sleep(0.8)
    assert leases.time_left(store, lease) > 0.5


def test_a_lease_whose_holder_is_in_the_middle_of_writing_is_held_however_long_it_takes(store: Store) -> None:
    if store.dialect == "sqlite":
        pytest.skip("SQLite has one writer: who asks waits for it")
    lease, asked = taken(store, "a", ttl_s=0.01), []
    with store.writing(lease):
        asker = threading.Thread(target=lambda: asked.append(leases.take(store, "crm", holder="b", ttl_s=60)))
        asker.start()
        asker.join()
    assert asked == [None]


FROZEN = """
import sys
from datetime import UTC, datetime
from syncer.errors import LeaseLost
from syncer.store import leases, open_store, runs
store = open_store(sys.argv[1])
lease = leases.take(store, "crm", holder="frozen", ttl_s=0.5)
print("taken", flush=True)
sys.stdin.readline()
try:
    with store.writing(lease) as tx:
        runs.start(tx, "crm", datetime.now(UTC))
    print("wrote")
except LeaseLost:
    print("lost")
store.close()
"""


def test_a_process_stopped_by_a_signal_finds_itself_fenced_when_it_goes_on(store: Store, database_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        taken(store, "b")
        process.send_signal(signal.SIGCONT)
        answer, _ = process.communicate("go\n", timeout=20)
    assert answer == "lost\n"
    with store.reading() as tx:
        assert runs.last(tx, "crm", 1) == []


def dead_process() -> str:
    """The name of a process that has ended, as it gave it to itself."""
    program = "from syncer.store import leases; print(leases.this_process())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.strip()


def test_the_lease_of_a_process_of_this_machine_that_died_is_free_at_once(store: Store) -> None:
    dead = dead_process()
    assert leases.is_dead(dead)
    old = taken(store, dead)
    new = taken(store, leases.this_process())
    assert new.epoch == old.epoch + 1
    with pytest.raises(LeaseLost), store.writing(old):
        pass


def test_only_a_process_that_certainly_died_is_called_dead(store: Store) -> None:
    host, _place, number, lot = dead_process().split("/")
    assert not leases.is_dead(leases.this_process())
    assert not leases.is_dead(f"{host}/another-start-of-the-machine/{number}/{lot}")
    assert not leases.is_dead(f"{host}//{number}/{lot}")
    assert not leases.is_dead("somebody")
    taken(store, leases.this_process())
    assert leases.take(store, "crm", holder="b", ttl_s=60) is None
