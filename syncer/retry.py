"""The one retry policy for one request: back off, jitter, two limits, only what patience can mend.

All waits of connectors go through `wait` and all their looks at the clock through `monotonic`, called as attributes of
this module, so that a test that replaces both lets a day pass in a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity import wait_exponential_jitter as backoff

from syncer.errors import Stopped, TemporaryError

T = TypeVar("T")

_LOOK_S = 0.25  # how often a thread that waits for another one looks whether to stop
PATIENCE_S = 120.0  # what lasts longer is put off by the caller instead of waited for


def wait(seconds: float, stop: threading.Event) -> None:
    """Sleep, unless asked to stop: then raise `Stopped` at once."""
    if stop.wait(seconds):
        raise Stopped("asked to stop while waiting")


@contextmanager
def holding(lock: threading.Lock, stop: threading.Event) -> Iterator[None]:
    """Hold the lock; raises `Stopped` when asked to stop while waiting for it."""
    while not lock.acquire(timeout=_LOOK_S):
        wait(0, stop)
    try:
        yield
    finally:
        lock.release()


def monotonic() -> float:
    """Seconds on a clock that nobody sets; only differences mean anything."""
    return time.monotonic()


def once_more(
    request: Callable[[], T],
    *,
    stop: threading.Event,
    attempts: int = 6,
    patience_s: float = PATIENCE_S,
    heeds_wishes: bool = False,
) -> T:
    """The answer of one request, asked up to `attempts` times while it raises `TemporaryError`.

    Waits what the other side asked for (`retry_after_s`), else from half a second doubling to 20 seconds with jitter.
    A wish longer than `patience_s` seconds is passed on at once: the caller parks its work instead of blocking.
    `heeds_wishes`: the request itself waits as long as was wished before it is made again, so nothing does so here.
    """
    fallback = backoff(multiplier=0.5, max=20.0, jitter=0.5)
    began = monotonic()

    def pause_s(state: RetryCallState) -> float:
        wish = _wish_s(state)
        if wish is None:
            return fallback(state)
        return 0.0 if heeds_wishes else wish + 0.1

    def enough(state: RetryCallState) -> bool:
        late = monotonic() - began >= patience_s
        return late or state.attempt_number >= attempts or (_wish_s(state) or 0.0) > patience_s

    policy = Retrying(
        retry=retry_if_exception_type(TemporaryError),
        stop=enough,
        wait=pause_s,
        sleep=lambda seconds: wait(seconds, stop),
        reraise=True,
    )
    return policy(request)


def _wish_s(state: RetryCallState) -> float | None:
    """None also for a wish of no time at all: that would be a repetition without a pause."""
    failure = state.outcome.exception() if state.outcome else None
    return (failure.retry_after_s or None) if isinstance(failure, TemporaryError) else None
