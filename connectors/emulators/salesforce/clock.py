"""The org's clock, and times as Salesforce writes them: always UTC, to the second, `2026-11-22T01:02:03.000+0000`."""

import threading
import time
from datetime import UTC, date, datetime
from functools import lru_cache


class Clock:
    """Follows the machine's clock from a start of one's choosing; it can be advanced.

    Frozen, it moves only by `advance`: a test drives a whole day through. May be used from any thread.
    """

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        begin_s = time.time() if start is None else to_seconds(start)
        self._lock = threading.Lock()
        self._offset_s = begin_s - time.monotonic()
        self._stopped_s = begin_s if frozen else None

    def now_s(self) -> float:
        """The org's present in epoch seconds."""
        with self._lock:
            return self._now_s()

    def now(self) -> datetime:
        """The org's present, aware."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def stamp(self) -> str:
        """The present as system fields show it: a fraction of a second is cut off."""
        return stamp_of(int(self.now_s()))

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        with self._lock:
            self._offset_s += seconds
            if self._stopped_s is not None:
                self._stopped_s += seconds

    def freeze(self) -> None:
        """From now on time moves only by `advance`."""
        with self._lock:
            self._stopped_s = self._now_s()

    def thaw(self) -> None:
        """Run on from where the clock stands, with the machine's."""
        with self._lock:
            self._offset_s = self._now_s() - time.monotonic()
            self._stopped_s = None

    def _now_s(self) -> float:
        return time.monotonic() + self._offset_s if self._stopped_s is None else self._stopped_s


def to_seconds(moment: datetime) -> float:
    """Epoch seconds of an aware datetime; ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("an org's time must be an aware datetime")
    return moment.timestamp()


@lru_cache(maxsize=65536)
def stamp_of(seconds: int) -> str:
    """Epoch seconds as the API writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def stamp_from(moment: datetime) -> str:
    """An aware datetime as the API writes it, with its milliseconds; the texts sort as the moments do."""
    there = moment.astimezone(UTC)
    return f"{there:%Y-%m-%dT%H:%M:%S}.{there.microsecond // 1000:03d}+0000"


@lru_cache(maxsize=65536)
def moment_of(stamp: str) -> datetime:
    """The aware datetime of a stamp as the API writes it."""
    return datetime.fromisoformat(stamp)


def day_of(stamp: str) -> date:
    """The UTC day of a stamp."""
    return date.fromisoformat(stamp[:10])
