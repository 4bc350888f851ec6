"""Requests that overlap: a few threads of a client's own.

Neither the end of the interpreter nor a shutdown waits for them: they are daemon threads, and who waits for an answer
leaves soon after being asked to stop. They end when the `Workers` are garbage.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from syncer.errors import Stopped

T = TypeVar("T")
_Calls = SimpleQueue[Callable[[], None] | None]

_LOOK_S = 0.25  # how often a thread that waits for an answer looks whether to stop
_GRACE_S = 3.0  # how long an answer under way is still waited for then
_within = threading.local()  # `calls` of the Workers this thread belongs to


class Workers:
    """At most so many calls under way at once, in threads that are made when they are first needed."""

    def __init__(self, at_once: int, stop: threading.Event) -> None:
        self._at_once = at_once
        self._stop = stop
        self._calls: _Calls = SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._threads = 0
        weakref.finalize(self, _dismiss, self._calls, at_once).atexit = False

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Its answer or error, once it has been worked. A call made from within a call is worked on the spot: waiting
        for a free thread there could last for ever."""
        answer: Future[T] = Future()
        if getattr(_within, "calls", None) is self._calls:
            _work(answer, call)
            return answer
        context = copy_context()
        with self._lock:
            self._unfinished += 1
            answer.add_done_callback(self._finished)
            self._calls.put(lambda: context.run(_work, answer, call))
            if self._threads < min(self._unfinished, self._at_once):
                self._threads += 1
                threading.Thread(target=_serve, args=(self._calls,), name="crm", daemon=True).start()
        return answer

    def together(self, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The answers in order, while later calls are under way; the first error ends it, and what has not started by
        then never does. The calls are drawn as they are needed."""
        rest = iter(calls)
        waiting: deque[Future[T]] = deque()
        try:
            while True:
                while len(waiting) < self._at_once and (call := next(rest, None)) is not None:
                    waiting.append(self.start(call))
                if not waiting:
                    return
                yield self.wait_for(waiting[0])
                waiting.popleft()
        finally:
            for each in waiting:
                each.cancel()

    def answer(self, call: Callable[[], T]) -> T:
        """The answer of one call."""
        return self.wait_for(self.start(call))

    def wait_for(self, answer: Future[T]) -> T:
        """Its answer; `Stopped` soon after being asked to stop, even where it never comes."""
        looks_left = round(_GRACE_S / _LOOK_S)
        while not wait([answer], _LOOK_S).done:
            looks_left -= self._stop.is_set()
            if looks_left <= 0:
                answer.cancel()
                raise Stopped("asked to stop while the CRM did not answer")
        return answer.result()

    def _finished(self, _answer: Future[Any]) -> None:
        with self._lock:
            self._unfinished -= 1


def _work(answer: Future[T], call: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        found = call()
    except BaseException as error:  # noqa: BLE001  # it belongs to who waits for the answer
        answer.set_exception(error)
    else:
        answer.set_result(found)


def _serve(calls: _Calls) -> None:
    _within.calls = calls
    while (call := calls.get()) is not None:
        call()
        del call  # it holds the client, which must be able to become garbage


def _dismiss(calls: _Calls, threads: int) -> None:
    for _ in range(threads):
        calls.put(None)
