"""Since when a fact counts as known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """When something is stored. `history`: it is told of for the first time, but was there before we looked.
    `seen_now`: it was asked for by id, read back, or seen in a sweep, so that is how it is, whatever we had heard.
    `by_id`: it was asked for by id, and who is gone was told from who is erased. `oldest`: activities from before are
    not kept (`retention`); None: all are."""

    at: datetime
    history: bool = False
    seen_now: bool = False
    by_id: bool = False
    oldest: datetime | None = None

    def known_since(self, happened: datetime | None) -> datetime:
        return min(happened or self.at, self.at) if self.history else self.at
