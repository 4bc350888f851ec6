"""Keeping two messages to one place apart, whoever of this process sends them: several connections may share a place,
and each drains its outbox in a thread of its own."""

from __future__ import annotations

import threading
import time

_free_at: dict[str, float] = {}  # place -> when the next message may leave, by the monotonic clock
_turns = threading.Lock()


def wait_s(place: str | None) -> float:
    """How long until a message may leave; None: at any time."""
    return 0.0 if place is None else max(_free_at.get(place, 0.0) - time.monotonic(), 0.0)


def take(place: str | None, apart_s: float) -> float:
    """How long the caller has to wait before it sends; whoever comes next waits for `apart_s` more."""
    if place is None:
        return 0.0
    with _turns:
        now = time.monotonic()
        turn = max(_free_at.get(place, 0.0), now)
        _free_at[place] = turn + apart_s
        return turn - now


def done(place: str | None, apart_s: float) -> None:
    """Its message has arrived, or not: what leaves next must not arrive together with it."""
    if place is not None:
        with _turns:
            _free_at[place] = max(_free_at.get(place, 0.0), time.monotonic() + apart_s)
