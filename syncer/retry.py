"""The one retry policy for one request: back off, jitter, two limits, only what patience can mend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, stop_any
from tenacity import wait_exponential_jitter as backoff

from syncer.errors import Stopped, TemporaryError

T = TypeVar("T")


def wait(seconds: float, stop: threading.Event) -> None:
    """Sleep, unless asked to stop: then raise `Stopped` at once."""
    if stop.wait(seconds):
        raise Stopped("asked to stop while waiting")


def once_more(request: Callable[[], T], *, stop: threading.Event, attempts: int = 6, patience_s: float = 120.0) -> T:
    """The answer of one request, asked up to `attempts` times while it raises `TemporaryError`.

    Waits what the other side asked for (`retry_after_s`), else from half a second doubling to 20 seconds with jitter.
    A wish longer than `patience_s` seconds is passed on at once: the caller parks its work instead of blocking.
    """
    fallback = backoff(multiplier=0.5, max=20.0, jitter=0.5)

    def pause_s(state: RetryCallState) -> float:
        wish = _wish_s(state)
        return fallback(state) if wish is None else wish + 0.1

    limits = stop_any(stop_after_attempt(attempts), stop_after_delay(patience_s))

    def too_long(state: RetryCallState) -> bool:
        return (_wish_s(state) or 0.0) > patience_s

    policy = Retrying(
        retry=retry_if_exception_type(TemporaryError),
        stop=lambda state: too_long(state) or limits(state),
        wait=pause_s,
        sleep=lambda seconds: wait(seconds, stop),
        reraise=True,
    )
    return policy(request)


def _wish_s(state: RetryCallState) -> float | None:
    failure = state.outcome.exception() if state.outcome else None
    return failure.retry_after_s if isinstance(failure, TemporaryError) else None
