"""What takes minutes: counted one at a time, beside the pages, and only when somebody asks for it. Who asks for another
one ends the one before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import structlog

from syncer.errors import Stopped, SyncerError

log = structlog.get_logger(__name__)

KEPT = 8  # figures; those begun longest ago go first
Tell = Callable[[int, int], None]
"""Says how many are done, of how many. Raises Stopped where nobody waits for the figure any more."""


@dataclass(frozen=True, slots=True)
class Long:
    """How far it is: `value` once it is done, `why` where it failed. replaced: another one was asked for meanwhile."""

    state: Literal["running", "done", "failed", "replaced"]
    done: int
    of: int
    value: Any = None
    at: datetime | None = None
    why: str = ""


@dataclass
class _Count:
    stop: threading.Event = field(default_factory=threading.Event)
    told: Long = field(default=Long("running", 0, 0))

    def tell(self, done: int, of: int) -> None:
        if self.stop.is_set():
            raise Stopped("another count was asked for")
        self.told = Long("running", done, of)


class LongCounting:
    """For any thread."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._place = threading.Lock()
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()

    def begin(self, key: Hashable, work: Callable[[Tell], Any]) -> None:
        """`work` counts it, in another thread, and calls what it is given often. Nothing new begins where it is being
        counted already."""
        with self._lock:
            known = self._counts.get(key)
            if known is not None and known.told.state == "running" and not known.stop.is_set():
                return
            for each in self._counts.values():
                each.stop.set()
            count = self._counts[key] = _Count()
            self._counts.move_to_end(key)
            while len(self._counts) > KEPT:
                self._counts.popitem(last=False)
        # No pool: its threads would keep a process from ending.
        threading.Thread(target=self._do, args=(count, work), daemon=True, name="long counting").start()

    def look(self, key: Hashable) -> Long | None:
        """None: nobody has asked for it lately."""
        with self._lock:
            count = self._counts.get(key)
            return None if count is None else count.told

    def _do(self, count: _Count, work: Callable[[Tell], Any]) -> None:
        with self._place:  # the one before looks whether it shall stop with each chunk of leads
            try:
                count.tell(0, 0)
                value = work(count.tell)
                count.told = Long("done", count.told.done, count.told.of, value, self._clock())
            except Stopped:
                count.told = Long("replaced", count.told.done, count.told.of)
            except SyncerError as failure:
                count.told = Long("failed", 0, 0, why=failure.message)
            except Exception:
                log.exception("counting_crashed")
                count.told = Long("failed", 0, 0, why="this could not be counted; the log says why")
