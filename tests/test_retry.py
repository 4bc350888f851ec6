"""The one retry policy: what is asked again, how long it waits, and when it gives up. The clock is a stop event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from syncer import retry
from syncer.errors import ConfigError, LeaseLost, Stopped, SyncerError, TemporaryError, UnsafePlanError
from syncer.retry import once_more, wait


class Clock(threading.Event):
    """A stop event that keeps the waits asked of it and never really waits."""

    def __init__(self, stop_after: int = 10**9) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._stop_after = stop_after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return len(self.waits) >= self._stop_after


def failing(*failures: Exception) -> tuple[Callable[[], str], list[int]]:
    """A request that fails so often, then answers; and how often it was asked."""
    asked: list[int] = []

    def request() -> str:
        asked.append(1)
        if len(asked) <= len(failures):
            raise failures[len(asked) - 1]
        return "answer"

    return request, asked


def test_what_works_is_asked_once() -> None:
    request, asked = failing()
    clock = Clock()
    assert once_more(request, stop=clock) == "answer"
    assert (len(asked), clock.waits) == (1, [])


def test_a_temporary_failure_is_asked_again_with_doubling_waits() -> None:
    request, asked = failing(*[TemporaryError("unwell")] * 5)
    clock = Clock()
    assert once_more(request, stop=clock) == "answer"
    assert len(asked) == 6
    for waited, least in zip(clock.waits, (0.5, 1, 2, 4, 8), strict=True):
        assert least <= waited <= least + 0.5


def test_no_wait_is_longer_than_twenty_seconds() -> None:
    request, _ = failing(*[TemporaryError("unwell")] * 9)
    clock = Clock()
    once_more(request, stop=clock, attempts=10)
    assert clock.waits[-3:] == [20.0, 20.0, 20.0]


def test_waits_are_jittered() -> None:
    first: set[float] = set()
    for _ in range(5):
        request, _ = failing(TemporaryError("unwell"))
        clock = Clock()
        once_more(request, stop=clock)
        first.add(clock.waits[0])
    assert len(first) > 1


def test_the_other_sides_wish_is_obeyed() -> None:
    request, _ = failing(TemporaryError("slow down", retry_after_s=7), TemporaryError("slow down", retry_after_s=1))
    clock = Clock()
    assert once_more(request, stop=clock) == "answer"
    assert clock.waits == pytest.approx([7.1, 1.1])


@pytest.mark.parametrize("heeds_wishes", [True, False])
def test_a_wish_of_no_time_is_no_wish_and_backs_off_as_ever(heeds_wishes: bool) -> None:
    request, _ = failing(*[TemporaryError("slow down", retry_after_s=0)] * 3)
    clock = Clock()
    once_more(request, stop=clock, heeds_wishes=heeds_wishes)
    assert [wait >= least for wait, least in zip(clock.waits, (0.5, 1.0, 2.0), strict=True)] == [True] * 3


def test_the_last_of_all_attempts_raises_its_own_error() -> None:
    failures = [TemporaryError(str(number)) for number in range(9)]
    request, asked = failing(*failures)
    clock = Clock()
    with pytest.raises(TemporaryError) as caught:
        once_more(request, stop=clock, attempts=3)
    assert caught.value is failures[2]
    assert (len(asked), len(clock.waits)) == (3, 2)


def test_a_wish_longer_than_patience_is_passed_on_at_once() -> None:
    request, asked = failing(TemporaryError("come back tomorrow", retry_after_s=120.5))
    clock = Clock()
    with pytest.raises(TemporaryError) as caught:
        once_more(request, stop=clock, patience_s=120)
    assert caught.value.retry_after_s == 120.5
    assert (len(asked), clock.waits) == (1, [])


def test_a_wish_as_long_as_patience_is_still_obeyed() -> None:
    request, asked = failing(TemporaryError("slow down", retry_after_s=120))
    assert once_more(request, stop=Clock(), patience_s=120) == "answer"
    assert len(asked) == 2


def test_a_request_that_heeds_wishes_by_itself_is_made_again_at_once() -> None:
    failures = [TemporaryError("slow down", retry_after_s=7), TemporaryError("unwell")]
    request, _ = failing(*failures)
    clock = Clock()
    assert once_more(request, stop=clock, heeds_wishes=True) == "answer"
    assert clock.waits[0] == 0
    assert clock.waits[1] >= 0.5


def test_patience_is_measured_by_the_clock_that_tests_may_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = iter(range(0, 3600 * 100, 3600))
    monkeypatch.setattr(retry, "monotonic", lambda: float(next(hours)))
    request, asked = failing(*[TemporaryError("unwell")] * 5)
    with pytest.raises(TemporaryError):
        once_more(request, stop=Clock(), patience_s=2 * 3600)
    assert len(asked) == 2


def test_patience_ends_although_attempts_are_left() -> None:
    asked: list[int] = []

    def request() -> str:
        asked.append(1)
        time.sleep(0.02)
        raise TemporaryError("unwell")

    with pytest.raises(TemporaryError):
        once_more(request, stop=Clock(), attempts=1_000, patience_s=0.1)
    assert 2 <= len(asked) <= 10


@pytest.mark.parametrize("failure", [ConfigError, UnsafePlanError, LeaseLost, SyncerError, ValueError, KeyError])
def test_what_patience_cannot_mend_is_raised_at_once(failure: type[Exception]) -> None:
    request, asked = failing(failure("no"))
    clock = Clock()
    with pytest.raises(failure):
        once_more(request, stop=clock)
    assert (len(asked), clock.waits) == (1, [])


def test_a_stop_while_waiting_ends_it_at_once() -> None:
    request, asked = failing(*[TemporaryError("unwell")] * 5)
    with pytest.raises(Stopped):
        once_more(request, stop=Clock(stop_after=2))
    assert len(asked) == 2


def test_a_real_wait_wakes_up_when_it_is_asked_to_stop() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        wait(30, stop)
    timer.join()
    assert time.monotonic() - started < 5


def test_a_wait_undisturbed_ends_by_itself() -> None:
    started = time.monotonic()
    wait(0.02, threading.Event())
    assert time.monotonic() - started >= 0.02
