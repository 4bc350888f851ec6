"""What a daemon and a worker share: one process that works until it is told to stop. Signals, reload, the watch over
files and clock, systemd's watchdog, and leaving in time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

import structlog

from syncer import systemd
from syncer.app import App, opened
from syncer.ringing import Ringing
from syncer.settings import ProcessSettings, digest

log = structlog.get_logger(__name__)

WATCH_S = 5.0  # how often the files and the clock are looked at
_HARD_S = 1.5  # what hangs so long after the drain, in a call that nobody can interrupt, is left behind
_STEP_S = 2.0  # the wall clock was set when it and the monotonic clock went apart by more than this

Call = Literal["stop", "reload", "look"]
Serve = Callable[[Callable[[], App], Callable[[], None]], AbstractContextManager[None]]
"""(the app as it is now, what to call when hints wait) -> listening, as long as the context is open."""


def served_by_nobody(now: Callable[[], App], wake: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


class Bell(Protocol):
    """What rings for the connections. Called from the service's thread alone, and soon back."""

    def begin(self) -> None: ...

    def rearm(self) -> None:
        """The project has changed, or the clock was set."""

    def look(self) -> None:
        """Hints may wait: somebody woke the service, or a moment has passed."""

    def hear(self) -> None:
        """A few seconds have passed: due times may have changed in the database."""

    def rings(self) -> bool:
        """Whether it still does. Where it does not, only a new process helps."""

    def end(self, within_s: float) -> bool:
        """Ring no more, and let what is under way reach its next safe place; whether it did in time."""


class Service:
    """Stands between the outside and the bell."""

    def __init__(self, kind: Literal["daemon", "worker", "web"], process: ProcessSettings, serve: Serve) -> None:
        self._kind = kind
        self._process = process
        self._serve = serve
        # A signal handler may put into this queue at any line; setting an Event could wait for its own lock for ever.
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._woken = threading.Event()
        self._silent = False  # it was told that the bell has stopped

    def run(self, bell_of: Callable[[Ringing, Callable[[], None]], Bell]) -> bool:
        """Until SIGTERM or Ctrl-C; whether what was under way could finish in time. `bell_of`: (what is done for a
        connection, what to call when hints may wait) -> the bell.

        A configuration that is wrong at the start is a ConfigError; a later one is not taken.
        """
        with opened(self._process) as app, self._signals():
            ringing = Ringing(app)
            bell = bell_of(ringing, self.wake)
            with self._serve(lambda: ringing.app, self.wake):
                bell.begin()
                log.info(f"{self._kind}_started", connections=ringing.names)
                ringing.tell_parked()
                systemd.notify("READY=1")
                self._watch(ringing, bell)
                systemd.notify("STOPPING=1")
                log.info("draining", seconds=self._process.drain_s)
                finished = bell.end(self._process.drain_s)
                log.info(f"{self._kind}_stopped", drained=finished)
                return finished

    def stop(self) -> None:
        """Ask it to leave; safe from any thread and from a signal handler."""
        self._calls.put("stop")

    def wake(self) -> None:
        """Hints wait; from any thread. Calls that come before they are looked at count once."""
        if not self._woken.is_set():
            self._woken.set()
            self._calls.put("look")

    def _watch(self, ringing: Ringing, bell: Bell) -> None:
        """Wait for the end; look at files and clock now and then, and at once on SIGHUP; at hints whenever called."""
        watched: Sequence[Path] = ringing.app.project.files
        pause_s = min(WATCH_S, systemd.watchdog_s() or WATCH_S)
        known, clock, until = digest(watched), _Clock(), time.monotonic() + pause_s
        while True:
            call = self._call_before(until)
            if call == "stop":
                ringing.app.stop.set()
                return
            self._woken.clear()
            bell.look()
            if call == "look" and time.monotonic() < until:
                continue
            until = time.monotonic() + pause_s
            self._say_alive(ringing, bell)
            now = digest(watched)
            if call == "reload" or now != known:
                watched = self._reload(ringing, bell)
                known = now if set(watched) == set(ringing.app.project.files) else digest(watched)
            if clock.was_set():
                log.warning("clock_was_set")
                bell.rearm()
            bell.hear()

    def _say_alive(self, ringing: Ringing, bell: Bell) -> None:
        """Not by the mere turning of this loop: systemd starts us anew where nothing rings any more."""
        rings = bell.rings()
        if rings:
            systemd.notify("WATCHDOG=1", f"STATUS={ringing.standing()}")
        elif not self._silent:
            log.critical("bell_stopped", help="restart it; with a watchdog, systemd does")
        self._silent = not rings

    def _reload(self, ringing: Ringing, bell: Bell) -> Sequence[Path]:
        """The files to watch from now on."""
        systemd.notify("RELOADING=1")
        before = ringing.app
        try:
            watched = ringing.read_again(self._process)
        except Exception:
            log.exception("reload_crashed")  # a bug in reading it stops nothing
            watched = before.project.files
        if ringing.app is not before:
            bell.rearm()
        systemd.notify("READY=1")
        return watched

    def _call_before(self, until: float) -> Call | None:
        """The next call; None where none has come by that time of the monotonic clock."""
        try:
            return self._calls.get(timeout=max(until - time.monotonic(), 0.0))
        except Empty:
            return None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        calls: dict[int, Call] = {signal.SIGTERM: "stop", signal.SIGINT: "stop", signal.SIGHUP: "reload"}

        leaving = False

        def call(number: int, _frame: Any) -> None:
            nonlocal leaving
            leaving |= calls[number] == "stop"
            self._calls.put(calls[number])
            if calls[number] == "stop" and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
                # Whatever hangs, also in the interpreter's own end: SIGALRM ends a process where it stands.
                signal.setitimer(signal.ITIMER_REAL, self._process.drain_s + _HARD_S)

        before = {number: signal.signal(number, call) for number in calls}
        try:
            yield
        finally:
            if not leaving:  # then the process ends, and one who asks again must not break it off at the last moment
                for number, handler in before.items():
                    signal.signal(number, handler)


class _Clock:
    """Notices that somebody set the wall clock, or that the machine slept."""

    def __init__(self) -> None:
        self._apart_s = time.time() - time.monotonic()

    def was_set(self) -> bool:
        """Since this was asked last."""
        apart_s = time.time() - time.monotonic()
        step_s, self._apart_s = abs(apart_s - self._apart_s), apart_s
        return step_s > _STEP_S
