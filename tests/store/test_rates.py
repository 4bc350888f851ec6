"""Keeping step with every process that asks the same portal."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from syncer.store import Store, rates
from syncer.store.tables import rates as kept


def take(store: Store, name: str, rate: float, burst: int = 1) -> float:
    with store.writing() as tx:
        return rates.take(tx, name, rate, burst)


def test_a_burst_leaves_at_once_and_then_each_waits_its_turn(store: Store) -> None:
    waits = [take(store, "portal", 2.0, 3) for _ in range(6)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == pytest.approx([0.5, 1.0, 1.5], abs=0.3)


def test_what_is_not_the_same_does_not_wait(store: Store) -> None:
    assert take(store, "one portal", 0.1) == 0
    assert take(store, "another portal", 0.1) == 0
    assert take(store, "one portal", 0.1) == pytest.approx(10, abs=1)


def test_a_clock_that_was_set_back_holds_nobody_up(store: Store) -> None:
    take(store, "portal", 10.0)
    with store.writing() as tx:
        tx.execute(update(kept).values(next_us=kept.c.next_us + 3_600_000_000))
    assert take(store, "portal", 10.0) == 0


@pytest.mark.hypothesis
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(5, 200), st.integers(1, 8), st.integers(2, 4), st.integers(3, 10))
def test_of_many_at_once_no_more_leave_than_the_rate_allows(
    store: Store, rate: float, burst: int, askers: int, each: int
) -> None:
    name = f"{rate} {burst} {time.monotonic_ns()}"

    def ask(_asker: int) -> list[float]:
        return [take(store, name, rate, burst) + time.monotonic() for _ in range(each)]

    began = time.monotonic()
    with ThreadPoolExecutor(askers) as threads:
        leave = sorted(at for times in threads.map(ask, range(askers)) for at in times)
    took = time.monotonic() - began
    # In any span of time at most `burst` beyond the rate; a turn is told to its asker a little after it was given.
    late_s = min(took, 0.25)
    for first, at in enumerate(leave):
        within = sum(at <= other < at + 1.0 for other in leave[first:])
        assert within <= burst + rate * (1.0 + late_s) + 1
    assert leave[-1] - began >= (askers * each - burst - 1) / rate - 0.001
