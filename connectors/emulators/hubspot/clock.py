"""The portal's clock, and times as HubSpot writes them."""

import re
import threading
import time
from datetime import UTC, datetime
from functools import lru_cache

_DIGITS = re.compile(r"-?\d+")


class Clock:
    """Milliseconds since 1970, following the machine's clock from a start of one's choosing; it can be advanced.

    Frozen, it moves only by `advance`: a test drives a whole day through. May be used from any thread.
    """

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        wall_ms = time.time_ns() // 1_000_000
        begin_ms = wall_ms if start is None else to_ms(start)
        self._lock = threading.Lock()
        self._offset_ms = begin_ms - time.monotonic_ns() // 1_000_000
        self._stopped_ms = begin_ms if frozen else None

    def now_ms(self) -> int:
        """The portal's present in epoch milliseconds."""
        with self._lock:
            return self._now_ms()

    def advance(self, seconds: float) -> None:
        """Let time pass at once, so that tests of windows, lags and expiry need not sleep."""
        with self._lock:
            self._offset_ms += int(seconds * 1000)
            if self._stopped_ms is not None:
                self._stopped_ms += int(seconds * 1000)

    def freeze(self) -> None:
        """From now on time moves only by `advance`."""
        with self._lock:
            self._stopped_ms = self._now_ms()

    def thaw(self) -> None:
        """Run on from where the clock stands, with the machine's."""
        with self._lock:
            self._offset_ms = self._now_ms() - time.monotonic_ns() // 1_000_000
            self._stopped_ms = None

    def _now_ms(self) -> int:
        running_ms = time.monotonic_ns() // 1_000_000 + self._offset_ms
        return running_ms if self._stopped_ms is None else self._stopped_ms


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime; ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a portal's time must be an aware datetime")
    return round(moment.timestamp() * 1000)


@lru_cache(maxsize=65536)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(ms: int) -> str:
    """ISO 8601 with milliseconds; like Java's Instant it leaves them out when they are zero."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=4096)
def parse_ms(text: str) -> int:
    """Epoch milliseconds from `1735689600000` or ISO 8601 (naive means UTC), without finer digits; else ValueError."""
    if _DIGITS.fullmatch(text):
        return int(text)
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() // 0.001) if aware.microsecond % 1000 else to_ms(aware)
