"""Figures that are counted beside a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from syncer.errors import NotFound
from syncer.web import counting
from syncer.web.counting import Counting

MINUTE = timedelta(minutes=1)


class Watch:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """What is counted quickly is waited for also where other tests take the processor."""
    if "does_not_wait" not in request.node.name and "before_an_act" not in request.node.name:
        monkeypatch.setattr(counting, "PATIENCE_S", 5.0)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_counted_quickly_is_there_at_once_and_not_counted_again_while_it_is_fresh(watch: Watch) -> None:
    figures, calls = Counting(watch), []
    for _ in range(3):
        found = figures.ask("leads", lambda: calls.append(1) or 7, MINUTE)  # type: ignore[func-returns-value]
        assert (found.value, found.at, found.running, found.failed) == (7, watch.now, False, "")
    assert len(calls) == 1


def test_a_page_does_not_wait_for_what_takes_long_and_gets_it_when_it_asks_again(watch: Watch) -> None:
    figures, go = Counting(watch), threading.Event()

    def slowly() -> int:
        assert go.wait(10)
        return 3

    begun = time.monotonic()
    first = figures.ask("flow", slowly, MINUTE)
    assert time.monotonic() - begun < 2
    assert (first.value, first.running) == (None, True)
    assert figures.ask("flow", slowly, MINUTE).running
    go.set()
    until(lambda: figures.ask("flow", slowly, MINUTE).value == 3)
    assert not figures.ask("flow", slowly, MINUTE).running


def test_what_is_old_is_told_at_once_and_counted_anew_beside(watch: Watch) -> None:
    figures, go, numbers = Counting(watch), threading.Event(), iter((1, 2))

    def next_one() -> int:
        number = next(numbers)
        assert number == 1 or go.wait(10)
        return number

    assert figures.ask("n", next_one, MINUTE).value == 1
    watch.now += MINUTE
    old = figures.ask("n", next_one, MINUTE)
    assert (old.value, old.running) == (1, True)
    go.set()
    until(lambda: figures.ask("n", next_one, MINUTE).value == 2)


def test_a_failure_is_told_and_tried_again_when_it_is_old(
    watch: Watch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    figures = Counting(watch)

    def fails() -> int:
        raise NotFound("there is no lead 7", code="SY067")

    def crashes() -> int:
        raise ZeroDivisionError

    assert figures.ask("known", fails, MINUTE).failed == "there is no lead 7"
    assert "log" in figures.ask("bug", crashes, MINUTE).failed
    assert "ZeroDivisionError" in capsys.readouterr().out + caplog.text, "wherever another test has sent the log"
    watch.now += counting.FAILED_FOR
    figures.ask("known", lambda: 5, MINUTE)
    until(lambda: figures.ask("known", lambda: 5, MINUTE) == counting.Counted(5, watch.now))


def test_a_figure_that_cannot_be_counted_just_now_is_told_as_it_was(watch: Watch) -> None:
    figures, then = Counting(watch), watch.now

    def fails() -> int:
        raise NotFound("the database is away", code="SY067")

    assert figures.ask("leads", lambda: 42, MINUTE).value == 42
    watch.now += MINUTE
    figures.ask("leads", fails, MINUTE)
    until(lambda: not figures.ask("leads", fails, MINUTE).running)
    assert figures.ask("leads", fails, MINUTE) == counting.Counted(42, then, failed="the database is away")
    watch.now += counting.FAILED_FOR
    figures.ask("leads", lambda: 43, MINUTE)
    until(lambda: figures.ask("leads", lambda: 43, MINUTE) == counting.Counted(43, watch.now))


def test_whoever_asks_for_many_figures_at_once_starts_no_more_threads_than_a_few(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PATIENCE_S", 0.0)
    figures, go = Counting(watch), threading.Event()

    def slowly() -> int:
        assert go.wait(10)
        return 7

    before = threading.active_count()
    told = [figures.ask(key, slowly, MINUTE) for key in range(400)]
    assert threading.active_count() - before <= counting.MOST
    assert all(each == counting.Counted(running=True) for each in told)
    go.set()
    until(lambda: figures.ask(399, slowly, MINUTE).value == 7)


def test_after_a_change_everything_is_counted_anew_and_no_more_is_kept_than_bounds_allow(watch: Watch) -> None:
    figures, calls = Counting(watch), []

    def count() -> int:
        calls.append(1)
        return len(calls)

    assert figures.ask(0, count, MINUTE).value == 1
    figures.forget()
    assert figures.ask(0, count, MINUTE).value == 2
    assert figures.ask(0, count, MINUTE).value == 2, "once"
    for key in range(1, counting.KEPT + 5):
        figures.ask(key, lambda: 0, MINUTE)
    assert len(figures._known) == counting.KEPT
    assert figures.ask(0, count, MINUTE).value == 3, "it was asked for longest ago"


def test_no_more_is_counted_at_once_than_there_are_places(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PATIENCE_S", 0.01)
    figures, go, begun = Counting(watch), threading.Event(), []

    def slowly() -> int:
        begun.append(1)
        assert go.wait(10)
        return 0

    for key in range(5):
        figures.ask(key, slowly, MINUTE)
    until(lambda: len(begun) == counting.AT_ONCE)
    time.sleep(0.1)
    assert len(begun) == counting.AT_ONCE
    go.set()
    until(lambda: all(figures.ask(key, slowly, MINUTE).value == 0 for key in range(5)))


def test_what_was_known_before_an_act_is_told_until_it_is_counted_anew(watch: Watch) -> None:
    figures, go = Counting(watch), threading.Event()
    assert figures.ask("n", lambda: 1, MINUTE).value == 1
    figures.forget()

    def slowly() -> int:
        assert go.wait(10)
        return 2

    told = figures.ask("n", slowly, MINUTE)
    assert (told.value, told.running) == (1, True)
    go.set()
    until(lambda: figures.ask("n", slowly, MINUTE).value == 2)
