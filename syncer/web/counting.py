"""Figures that take longer than a page may: counted beside it, and told again while they are fresh."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog

from syncer.errors import SyncerError

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE_S = 0.08  # a page waits so long for a figure that was never counted, or not since something was done
FAILED_FOR = timedelta(seconds=10)  # and then it is tried again
AT_ONCE = 2
MOST = 20  # being counted or waiting for their turn, a thread each: whoever asks for more comes again
KEPT = 64  # figures; those asked for longest ago go first


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """What is known of a figure. `value` None: it is still being counted, or could not be (`failed` says why)."""

    value: T | None = None
    at: datetime | None = None  # when the value was counted
    running: bool = False  # asked for again in a moment, a newer one may be there
    failed: str = ""  # why it could not be counted when that was tried last; the value is the one before


@dataclass(frozen=True, slots=True)
class _Known:
    told: Counted[Any] = Counted()
    tried_at: datetime | None = None


class Counting:
    """For any thread. What was counted is told again at once, also when it is old; then it is counted anew beside."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._done: dict[Hashable, threading.Event] = {}
        self._overtaken: set[Hashable] = set()  # counted before the last act
        self._places = threading.Semaphore(AT_ONCE)

    def ask(self, key: Hashable, work: Callable[[], T], fresh_for: timedelta) -> Counted[T]:
        """The figure of that name. `work` counts it, in another thread; it may read the database and takes its time."""
        with self._lock:
            known = self._known.get(key, _Known())
            if key in self._known:
                self._known.move_to_end(key)
            overtaken = known.tried_at is None or key in self._overtaken
            fresh = min(fresh_for, FAILED_FOR) if known.told.failed else fresh_for
            old = overtaken or known.tried_at is None or self._clock() - known.tried_at >= fresh
            done = self._done.get(key)
            put_off = old and done is None and len(self._done) >= MOST
            if old and done is None and not put_off:
                done = self._done[key] = threading.Event()
                self._overtaken.discard(key)
                # No pool: its threads would keep a process from ending.
                threading.Thread(target=self._count, args=(key, work, done), daemon=True, name="counting").start()
        if overtaken and done is not None:
            done.wait(PATIENCE_S)
        with self._lock:
            told: Counted[T] = self._known.get(key, _Known()).told
            return replace(told, running=put_off or key in self._done)

    def forget(self) -> None:
        """Something was done: whatever is asked for next is counted anew, and what was known is told until then."""
        with self._lock:
            self._overtaken |= {*self._known, *self._done}

    def _count(self, key: Hashable, work: Callable[[], Any], done: threading.Event) -> None:
        found: Counted[Any] = Counted()
        failed = ""
        try:
            with self._places:
                found = Counted(work(), self._clock())
        except SyncerError as failure:
            failed = failure.message
        except Exception:
            log.exception("counting_crashed", figure=str(key))
            failed = "this could not be counted; the log says why"
        with self._lock:
            before = self._known.get(key, _Known()).told
            self._known[key] = _Known(replace(before, failed=failed) if failed else found, self._clock())
            while len(self._known) > KEPT:
                self._overtaken.discard(self._known.popitem(last=False)[0])
            del self._done[key]
        done.set()
