"""Since when a fact counts as known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """When something is stored; `history`: it is told of for the first time, but was there before we looked."""

    at: datetime
    history: bool = False

    def known_since(self, happened: datetime | None) -> datetime:
        return min(happened or self.at, self.at) if self.history else self.at
