"""Keeping below HubSpot's limits instead of running into them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

from syncer.retry import wait

_SHARE = 0.9  # of the burst limit; the rest is for requests under way and for clocks that differ
_SLOWEST_SEARCHES = 0.5  # a second
_RECOVERY = 1.05


class Pace:
    """When the next request may leave. HubSpot counts requests in a rolling window (10 s) for each app, told in the
    headers of most answers, and searches a second for the whole portal, told nowhere."""

    def __init__(self, search_rate: float, stop: threading.Event) -> None:
        self._stop = stop
        self._sent: deque[float] = deque()  # monotonic times of the requests in the window, others' too
        self._limit: int | None = None
        self._span_s = 10.0
        self._search_rate = self._fastest = search_rate
        self._next_search = 0.0

    def wait_turn(self, searching: bool) -> None:
        """Wait until a request may leave; raises `Stopped` when asked to stop."""
        wait(0, self._stop)
        if searching:
            self._wait_until(self._next_search)
            self._next_search = time.monotonic() + 1 / self._search_rate
        while self._limit is not None and self._in_window() >= max(1, int(self._limit * _SHARE)):
            self._wait_until(self._sent[0] + self._span_s)
        self._sent.append(time.monotonic())

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer's headers; where others used up requests of ours, count these too."""
        try:
            limit = int(headers["X-HubSpot-RateLimit-Max"])
            remaining = int(headers["X-HubSpot-RateLimit-Remaining"])
            self._span_s = int(headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")) / 1000
        except (KeyError, ValueError):  # answers to searches carry none
            return
        self._limit = limit if limit > 0 else None
        foreign = limit - remaining - self._in_window()
        self._sent.extend([time.monotonic()] * max(0, min(foreign, limit)))

    def search_refused(self) -> None:
        """Others search too: halve our rate."""
        self._search_rate = max(_SLOWEST_SEARCHES, self._search_rate / 2)

    def search_answered(self) -> None:
        """Come back to the full rate, little by little."""
        self._search_rate = min(self._fastest, self._search_rate * _RECOVERY)

    def _in_window(self) -> int:
        oldest = time.monotonic() - self._span_s
        while self._sent and self._sent[0] <= oldest:
            self._sent.popleft()
        return len(self._sent)

    def _wait_until(self, monotonic: float) -> None:
        pause_s = monotonic - time.monotonic()
        if pause_s > 0:
            wait(pause_s, self._stop)
