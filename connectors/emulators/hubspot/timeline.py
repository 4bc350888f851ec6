"""Entries in the order of their time, read page by page from either end while new ones arrive."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
Position = tuple[int, int]  # (epoch ms, serial number): what a paging cursor stands for
END_OF_TIME = 1 << 62


class Timeline(Generic[Entry]):
    """Entries by time; those of one millisecond in the order they came."""

    def __init__(self) -> None:
        self._rows: list[tuple[Position, Entry]] = []
        self._serial = count(1)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, at_ms: int, entry: Entry) -> None:
        """Note an entry."""
        insort(self._rows, ((at_ms, next(self._serial)), entry), key=_position)

    def drop(self, unwanted: Callable[[Entry], bool]) -> None:
        """Forget entries for good."""
        self._rows = [row for row in self._rows if not unwanted(row[1])]

    def __iter__(self) -> Iterator[tuple[Position, Entry]]:
        return iter(self._rows)

    def newest_first(self, first_ms: int, last_ms: int, below: Position | None) -> Iterator[tuple[Position, Entry]]:
        """Entries from last_ms down to first_ms, both included; those older than `below` when it is given."""
        end = bisect_left(self._rows, min(below or (END_OF_TIME, 0), (last_ms + 1, 0)), key=_position)
        start = bisect_left(self._rows, (first_ms, 0), key=_position)
        return (self._rows[at] for at in range(end - 1, start - 1, -1))

    def oldest_first(self, first_ms: int, last_ms: int, above: Position | None) -> Iterator[tuple[Position, Entry]]:
        """The other way round; those newer than `above` when it is given."""
        start = bisect_right(self._rows, max(above or (0, 0), (first_ms, 0)), key=_position)
        end = bisect_left(self._rows, (last_ms + 1, 0), key=_position)
        return (self._rows[at] for at in range(start, end))


def _position(row: tuple[Position, Entry]) -> Position:
    return row[0]


def page(walk: Iterable[tuple[Position, Entry]], size: int) -> tuple[list[Entry], Position | None]:
    """The next `size` entries, and the position of the last of them when more follow."""
    found = list(islice(walk, size + 1))
    return [entry for _, entry in found[:size]], found[size - 1][0] if len(found) > size else None
