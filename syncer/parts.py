"""What one run of one connection works with, what is asked of it, and what it tells of itself."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from syncer.connector import Destination, Source
from syncer.errors import ShareUsed, Stopped, SyncerError, TemporaryError
from syncer.planning import Limits
from syncer.settings import Project
from syncer.store import Store
from syncer.store.leases import Fence

PARKED_FROM_S = 60.0
"""A CRM that asks for more than this is left alone until then: the connection is parked."""

LONGEST_PARK_S = 26 * 3600.0
"""No CRM's day is longer (one of 25 hours ends summer time): a greater wish is a mistake."""

Step = Literal["pull", "sweep", "score", "write", "send"]


@dataclass(frozen=True)
class Parts:
    """Everything one connection's run works with."""

    name: str
    source: Source
    store: Store
    project: Project
    holder: str  # who this process is, in leases
    clock: Callable[[], datetime]
    stop: threading.Event
    writable: frozenset[str]  # the project's connections that can be written to
    destination: Destination | None = None
    progress: Callable[[Step, str, int, int | None], None] = lambda step, what, done, of: None
    fence: Fence = field(default_factory=Fence)  # the one that `source` asks before it writes

    def heed(self) -> None:
        """Look whether to stop: between two pages, or two chunks."""
        if self.stop.is_set():
            raise Stopped(f"{self.name}: asked to stop")


@dataclass(frozen=True)
class Asked:
    """What a person asked of this run beyond the ordinary."""

    full: bool = False  # look at everything again and score every lead
    limits: Limits | None = None  # None: the project file's
    notify: bool = True
    notify_model_changes: bool = False


ORDINARY = Asked()


@dataclass
class Report:
    """What a run did, counted as it goes."""

    run: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, SyncerError] = field(default_factory=dict)  # by stream, or "hints", "sweep", "write"
    moves: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    history: set[str] = field(default_factory=set)  # streams of which we read what was there before we looked
    read_whole: set[str] = field(default_factory=set)  # those of them that came to their end
    rings: set[str] = field(default_factory=set)  # connections that are due at once: there are leads for them to decide
    answered: bool = False  # the CRM has let itself be read or written
    allowed: Limits | None = None  # by a person who has approved the plan that waited; None: the project file's limits

    def add(self, part: Report) -> None:
        """What was counted elsewhere for this run."""
        self.counts.update(part.counts)
        self.moves.update(part.moves)

    @property
    def outcome(self) -> str:
        return "partial" if self.failures else "ok"

    @property
    def patience(self) -> TemporaryError | None:
        """The failure for which the CRM is to be left alone longest; None: it may be asked. That our own share of its
        requests is used up is none: what the rest of the share is kept for goes on."""
        wishes = [each for each in self.failures.values() if not isinstance(each, ShareUsed)]
        wishes = [each for each in wishes if wish_s(each) > PARKED_FROM_S]
        return max((each for each in wishes if isinstance(each, TemporaryError)), key=wish_s, default=None)

    @property
    def rationed(self) -> bool:
        """Whether our own share of the CRM's requests did not suffice."""
        return any(isinstance(each, ShareUsed) for each in self.failures.values())

    @property
    def may_read(self) -> bool:
        """Whether neither the CRM nor our own share of its requests is against it."""
        return self.patience is None and not self.rationed


def wish_s(failure: SyncerError) -> float:
    """The patience that the other side asked for, in seconds; what makes no sense is none."""
    wish = failure.retry_after_s if isinstance(failure, TemporaryError) else None
    return 0.0 if wish is None or math.isnan(wish) else min(max(wish, 0.0), LONGEST_PARK_S)
