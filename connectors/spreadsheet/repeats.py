"""What stands more than once in a file that may have a million rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

_BITS = 0xFFFFFFFF

Keys = Callable[[], Iterator[tuple[Sequence[int], Sequence[str]]]]
"""(rows, the key of each), piece by piece; to be gone through again and again."""


class Repeats:
    """Of the keys of a file those that stand in more than one row, and where last.

    Four bytes a key are kept, so some keys are looked at twice that are unlike each other."""

    def __init__(self, keys: Keys) -> None:
        hashes = [(np.fromiter(map(hash, some), np.int64, len(some)) & _BITS).astype(np.uint32) for _, some in keys()]
        suspects = _twice(hashes)
        self.count = sum(map(len, hashes))  # of the rows with a key
        found: list[tuple[str, int]] = []
        for rows, some in keys() if suspects else ():
            found += [(key, row) for row, key in zip(rows, some, strict=True) if hash(key) & _BITS in suspects]
        self._last = dict(found)
        self.more = len(found) - len(self._last)  # rows whose key stands again further down

    def last(self, key: str, row: int) -> int:
        """The last row in which it stands, which is `row` for nearly all."""
        return self._last.get(key, row)

    def suspected(self, key: str) -> bool:
        """Whether it may stand more than once."""
        return key in self._last


def _twice(hashes: Sequence[np.ndarray[Any, np.dtype[np.uint32]]]) -> frozenset[int]:
    ordered = np.concatenate(hashes) if hashes else np.empty(0, np.uint32)
    ordered.sort()
    return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
