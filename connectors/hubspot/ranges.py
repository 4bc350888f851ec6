"""Where to cut the list of all records, so that several requests walk through it at once. Ids tell nothing of how many
records lie between them: old portals have small ids, new records have twelve digits, and there are gaps of any size.
So the cuts are guesses, made one at a time by whoever has nothing left to read; a bad one costs one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import lt

from connectors.hubspot.shapes import is_id

PAGE = 100  # HubSpot's limit for lists
_WORTH = 6 * PAGE  # records: what is left of less is read to its end by whoever has begun it


@dataclass(frozen=True, slots=True)
class Rest:
    """What lies before one walk: the ids from `at` to before `end`, and how many records came to one id of late."""

    at: int
    end: int
    density: float

    def records(self, left: int) -> float:
        """A guess at how many they are; not more than are left to be read at all."""
        return min(self.density * max(0, self.end - self.at), left)

    def middle(self, left: int) -> int:
        """The id that halves what comes behind the page that is being read."""
        span = self.records(left) / self.density
        page = min(PAGE / self.density, span)
        return self.at + int(page + (span - page) / 2)


def cut(rests: Iterable[tuple[int, Rest]], left: int) -> tuple[int, int] | None:
    """Which walk (by its number) shall share, and from which id on; None where nothing is worth it."""
    widest = max(rests, key=lambda each: each[1].records(left), default=None)
    if widest is None or widest[1].records(left) < _WORTH:
        return None
    number, rest = widest
    middle = rest.middle(left)
    return (number, middle) if rest.at < middle < rest.end else None


def steals(total: int, at_once: int) -> int:
    """How many cuts a load of so many records may make: each can cost a request, and these are rationed."""
    return at_once + 3 + total // PAGE // 40


def in_order(asked: str | None, ids: Sequence[str], after: str | None) -> bool:
    """Whether a page of the list shows what HubSpot's documents say: ids in ascending order, from the one asked for on,
    and `after` behind them. Where not, `after` is something else than an id, and the list cannot be cut."""
    if not all(map(is_id, (*ids, asked or "0", after or "0"))):
        return False
    numbers = list(map(int, ids))
    ascending = all(map(lt, numbers, numbers[1:]))
    first, last = int(asked or 0), max(numbers, default=int(asked or 0))
    return ascending and first <= min(numbers, default=first) and (after is None or last <= int(after))
