"""What takes minutes is counted once at a time, and ends where nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from syncer.errors import NotFound
from syncer.web.long_counting import KEPT, Long, LongCounting, Tell

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture
def counting() -> LongCounting:
    return LongCounting(lambda: NOW)


def until(counting: LongCounting, key: str, *states: str) -> Long:
    latest = time.monotonic() + 10
    while time.monotonic() < latest:
        found = counting.look(key)
        if found is not None and found.state in states:
            return found
        time.sleep(0.005)
    raise AssertionError(f"{key} is {counting.look(key)}")


def slow(go_on: threading.Event, ended: list[str]) -> Callable[[Tell], int]:
    """Counts until it is told to go on; says that it has begun as 1 of 10."""

    def work(tell: Tell) -> int:
        try:
            tell(1, 10)
            while not go_on.wait(0.005):
                tell(1, 10)
            tell(10, 10)
            return 42
        finally:
            ended.append("ended")

    return work


def test_how_far_it_is_is_told_and_then_the_figure(counting: LongCounting) -> None:
    go_on = threading.Event()
    assert counting.look("a") is None
    counting.begin("a", slow(go_on, []))
    counting.begin("a", lambda _tell: pytest.fail("it is being counted already"))
    until(counting, "a", "running")
    go_on.set()
    assert until(counting, "a", "done", "failed") == Long("done", 10, 10, 42, NOW)


def test_another_one_ends_the_one_before_and_waits_for_its_end(counting: LongCounting) -> None:
    ended: list[str] = []
    counting.begin("a", slow(threading.Event(), ended))
    until(counting, "a", "running")
    counting.begin("b", lambda _tell: list(ended))
    assert until(counting, "b", "done").value == ["ended"], "two at a time would take twice the memory"
    assert until(counting, "a", "replaced").value is None


def test_one_that_was_ended_for_another_begins_again_when_it_is_asked_for_again(counting: LongCounting) -> None:
    on_its_way, go_on = threading.Event(), threading.Event()

    def late_to_look(tell: Tell) -> int:
        on_its_way.set()
        assert go_on.wait(10)
        tell(1, 10)
        return 0

    counting.begin("a", late_to_look)
    assert on_its_way.wait(10)
    counting.begin("b", lambda _tell: 1)
    counting.begin("a", lambda _tell: 2)
    go_on.set()
    assert until(counting, "a", "done", "replaced").value == 2
    assert until(counting, "b", "done", "replaced").state == "replaced"


def test_what_cannot_be_counted_says_why(counting: LongCounting) -> None:
    def gone(_tell: Tell) -> None:
        raise NotFound("no lead is known yet")

    def broken(_tell: Tell) -> None:
        raise ZeroDivisionError

    counting.begin("a", gone)
    assert until(counting, "a", "failed").why == "no lead is known yet"
    counting.begin("b", broken)
    assert until(counting, "b", "failed").why == "this could not be counted; the log says why"
    counting.begin("b", lambda _tell: 1)
    assert until(counting, "b", "done").value == 1


def test_only_some_figures_are_kept(counting: LongCounting) -> None:
    for number in range(KEPT + 2):
        counting.begin(str(number), lambda _tell: 1)
        until(counting, str(number), "done")
    assert [counting.look(str(number)) is None for number in range(4)] == [True, True, False, False]
