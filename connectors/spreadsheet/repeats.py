"""What stands more than once in a file that may have a million rows."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

_BITS = 0xFFFFFFFF


class Repeats:
    """Of keys that can be gone through again and again, those that stand at more than one place, and where last.

    Four bytes a key are kept, so some keys are looked at twice that are unlike each other."""

    def __init__(self, keys: Callable[[], Iterator[tuple[int, str | None]]]) -> None:
        hashes = array("I", (hash(key) & _BITS for _, key in keys() if key is not None))
        self.count = len(hashes)  # of the rows with a key
        suspects = _twice(hashes)
        found = (
            []
            if not suspects
            else [(key, row) for row, key in keys() if key is not None and hash(key) & _BITS in suspects]
        )
        self._last = dict(found)
        self.more = len(found) - len(self._last)  # rows whose key stands again further down

    def last(self, key: str, row: int) -> int:
        """The last row in which it stands, which is `row` for nearly all."""
        return self._last.get(key, row)

    def suspected(self, key: str) -> bool:
        """Whether it may stand more than once."""
        return key in self._last


def _twice(hashes: Iterable[int]) -> frozenset[int]:
    ordered = np.frombuffer(hashes, dtype=np.uint32) if hashes else np.empty(0, np.uint32)  # type: ignore[call-overload]
    ordered.sort()
    return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
