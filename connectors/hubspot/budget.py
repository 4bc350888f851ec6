"""The share of the portal's daily requests that one connection may use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, time, timedelta

from syncer.errors import ShareUsed, TemporaryError

_AFTER_MIDNIGHT = timedelta(minutes=1)  # the counter is set back at midnight, not a moment before
_FOR_READING = 0.9  # of the share; the rest is kept for writing


class Budget:
    """Counts this connection's requests of the portal's day: those of its finished runs and its own since. May be used
    from any thread."""

    def __init__(self, name: str, share: float, spent: Callable[[datetime], int]) -> None:
        self._name = name
        self._spent = spent
        self._lock = threading.Lock()
        self._day: datetime | None = None
        self._before = 0
        self._ours = 0
        self.share = share

    def insist(self, limit: int, now: datetime, *, pulling: bool) -> None:
        """TemporaryError where the share is used up; ShareUsed where the rest of it is not for this. `limit`: the
        portal's requests a day; `now`: in its time zone; `pulling`: it is a request that must leave the last tenth
        alone."""
        if self.used(now) < self.allowed(limit, pulling=pulling):
            return
        message = (
            f"{self._name}: this connection's share of the day's requests is used up ({self.share:.0%} of {limit:,}"
            f"{', the last tenth of it kept for writing' if pulling else ''}); goes on at the portal's midnight"
        )
        kind = ShareUsed if pulling else TemporaryError
        raise kind(message, code="SY029", retry_after_s=until_midnight_s(now))

    def allowed(self, limit: int, *, pulling: bool = False) -> int:
        """Requests a day."""
        return int(limit * self.share * (_FOR_READING if pulling else 1))

    def sent(self) -> None:
        """One more request has left."""
        with self._lock:
            self._ours += 1

    def used(self, now: datetime) -> int:
        """Requests of this connection in the portal's day."""
        midnight = datetime.combine(now.date(), time(), now.tzinfo)
        with self._lock:
            if midnight != self._day:
                self._ours = self._ours if self._day is None else 0
                self._day, self._before = midnight, self._spent(midnight)
            return self._before + self._ours


def until_midnight_s(now: datetime) -> float:
    """Seconds until the day ends in `now`'s time zone, and a minute more."""
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo) + _AFTER_MIDNIGHT
    return midnight.timestamp() - now.timestamp()
