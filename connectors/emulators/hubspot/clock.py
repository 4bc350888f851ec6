"""The portal's clock, and times as HubSpot writes them."""

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

_DIGITS = re.compile(r"-?\d+")


class Clock:
    """Milliseconds since 1970, following the machine's clock from a start of one's choosing; it can be advanced."""

    def __init__(self, start: datetime | None = None) -> None:
        wall_ms = time.time_ns() // 1_000_000
        begin_ms = wall_ms if start is None else to_ms(start)
        self._offset_ms = begin_ms - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        """The portal's present in epoch milliseconds."""
        return time.monotonic_ns() // 1_000_000 + self._offset_ms

    def advance(self, seconds: float) -> None:
        """Let time pass at once, so that tests of windows, lags and expiry need not sleep."""
        self._offset_ms += int(seconds * 1000)


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
