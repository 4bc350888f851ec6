"""APScheduler rings the bell on one machine; signals, reload, drain.

The database is the truth: due times, leases and outbox are rows, so a daemon that dies loses nothing but its bell, and
several daemons on one database take turns.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection

from syncer.app import App, opened, read_project
from syncer.errors import ConfigError, Stopped, SyncerError
from syncer.parts import PARKED_FROM_S, wish_s
from syncer.run import deliver, follow, sync
from syncer.settings import ProcessSettings, Project, SettingsError, digest
from syncer.store import hints, runs

log = structlog.get_logger(__name__)

WATCH_S = 5.0  # how often the files and the clock are looked at
HINTS_S = 3.0  # a connection's hints are followed no sooner than so long after the last time
DELIVER_S = 30.0  # how often messages that could not be sent are tried again
BUSY_S = 10.0  # how soon to look again where another process is at work on the connection
_STEP_S = 2.0  # the wall clock was set when it and the monotonic clock went apart by more than this
_JITTER = 0.1  # of the interval, at most 10 s: several connections do not start together
_LONGEST_JITTER_S = 10.0
_THREADS = 32  # at most; a thread is made when a connection first needs it
_ROUNDING = timedelta(milliseconds=100)  # due times are kept in whole milliseconds
_NEVER = datetime.min.replace(tzinfo=UTC)
_BUSY = "SY070"  # another process holds the connection's lease
_DEFAULTS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}

Call = Literal["stop", "reload", "look"]
Serve = Callable[[Callable[[], App], Callable[[], None]], AbstractContextManager[None]]
"""(the app as it is now, what to call when hints wait) -> listening, as long as the context is open."""


def served_by_nobody(now: Callable[[], App], wake: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


class Daemon:
    """Runs every connection when it is due, until it is told to stop."""

    def __init__(self, process: ProcessSettings, serve: Serve = served_by_nobody) -> None:
        self._process = process
        self._serve = serve
        # A signal handler may put into this queue at any line; setting an Event could wait for its own lock for ever.
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._busy = _Busy()
        self._down: dict[str, dict[runs.Kind, str]] = {}  # connection -> codes of the failures that have been told
        self._running: set[str] = set()  # connections; each sets its own alarm when it is done
        self._heard: dict[str, datetime | None] = {}  # connection -> its due time in the database, as seen last
        self._following: set[str] = set()  # connections whose hints are being followed
        self._hints_from: dict[str, tuple[int, datetime]] = {}  # connection -> failures in a row, when to follow again
        self._woken = threading.Event()
        self._bells = threading.Lock()  # held while alarms are set
        self._app: App
        self._scheduler: BackgroundScheduler

    def run(self) -> bool:
        """Until SIGTERM or Ctrl-C; whether what was under way could finish in time.

        A configuration that is wrong at the start is a ConfigError; a later one is not taken.
        """
        with opened(self._process) as self._app, self._signals(), self._serve(lambda: self._app, self.wake):
            pool = {"default": ThreadPoolExecutor(max_workers=_THREADS)}
            self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=_DEFAULTS, executors=pool)
            self._schedule()
            self._scheduler.start()
            log.info("daemon_started", connections=[each.name for each in self._app.project.connections])
            self._tell_parked()
            self._watch()
            return self._drain()

    def stop(self) -> None:
        """Ask it to leave; safe from any thread and from a signal handler."""
        self._calls.put("stop")

    def wake(self) -> None:
        """Hints wait; from any thread. Calls that come before they are looked at count once."""
        if not self._woken.is_set():
            self._woken.set()
            self._calls.put("look")

    # when

    def _schedule(self) -> None:
        """An alarm for each connection's due time, and a job that delivers what waits between runs."""
        with self._bells:
            self._scheduler.remove_all_jobs()
            for name in (each.name for each in self._app.project.connections):
                if name not in self._running:
                    self._arm(name, self._first(name, self._app.project))
                self._scheduler.add_job(self._deliver, "interval", args=[name], id=f"{name}/deliver", seconds=DELIVER_S)

    def _first(self, name: str, project: Project) -> datetime:
        """The due time in the database, but never further away than one interval: it may have become shorter."""
        now, every_s = self._app.clock(), project.sync.every.total_seconds()
        with self._app.store.writing() as tx:
            kept = runs.due_at(tx, name)
            due = min(kept or now, now + timedelta(seconds=every_s))
            if kept != due:
                runs.set_due(tx, name, due)
            due = max(due, self._rests_until(tx, name))
            self._heard[name] = due
        spread_s = min(every_s * _JITTER, _LONGEST_JITTER_S) if len(project.connections) > 1 else 0.0
        return max(due, now) + timedelta(seconds=random.uniform(0, spread_s))

    def _rests_until(self, tx: Connection, name: str) -> datetime:
        """When its CRM may be asked again; long past: now."""
        parked = runs.parked(tx, name, self._app.clock())
        return parked.until if parked is not None else _NEVER

    def _tell_parked(self) -> None:
        """Which connections are left alone for now: else a daemon that does nothing looks broken."""
        with self._app.store.reading() as tx:
            names = [each.name for each in self._app.project.connections]
            parked = {name: runs.parked(tx, name, self._app.clock()) for name in names}
        for name, rest in parked.items():
            if rest is not None:
                told = {"until": rest.until.isoformat(), "reason": rest.reason}
                log.warning("connection_left_alone", connection=name, **told, help=f"`syncer run {name}` tries at once")

    def _wake_at(self, tx: Connection, name: str) -> datetime | None:
        """None: at once."""
        due, rests_until = runs.due_at(tx, name), self._rests_until(tx, name)
        return due if rests_until is _NEVER else max(due or rests_until, rests_until)

    def _arm(self, name: str, due: datetime) -> None:
        """Ring then. Nothing where the daemon leaves, or the connection has left the project."""
        if not self._app.stop.is_set() and any(each.name == name for each in self._app.project.connections):
            self._scheduler.add_job(self._ring, "date", args=[name], id=name, run_date=due, replace_existing=True)

    def _hear(self) -> None:
        """A run of another connection, or of another process, may have made a connection due before its alarm."""
        try:
            with self._app.store.reading() as tx:
                due = {each.name: self._wake_at(tx, each.name) for each in self._app.project.connections}
        except SyncerError as failure:
            log.debug("due_times_unread", reason=failure.message)  # the runs themselves tell of an outage
            return
        with self._bells:
            for name, at in due.items():
                alarm = self._scheduler.get_job(name)
                if alarm is None or at is None or at == self._heard.get(name):
                    continue
                if at < alarm.next_run_time - _ROUNDING:
                    self._arm(name, at)
            self._heard |= due

    # what

    def _ring(self, name: str) -> None:
        """One run, unless another daemon had it meanwhile. What it raises is told and never stops the daemon."""
        with self._busy, structlog.contextvars.bound_contextvars(connection=name):
            if self._app.stop.is_set() or not self._begin(name):
                return
            started = self._app.clock()
            following = started + self._app.project.sync.every
            try:
                following = self._run_if_due(name, started)
            except SyncerError as failure:  # the database does not answer
                self._tell(name, failure)
            except Exception:
                log.exception("run_crashed")
            with self._bells:
                self._running.discard(name)
                self._arm(name, following)
            self.wake()

    def _begin(self, name: str) -> bool:
        """False, and an alarm a moment later, where hints of the connection are being followed."""
        with self._bells:
            if name in self._following:
                self._arm(name, self._app.clock() + timedelta(seconds=1))
                return False
            self._running.add(name)
            return True

    def _run_if_due(self, name: str, started: datetime) -> datetime:
        """When to ring next."""
        with self._app.store.reading() as tx:
            due, wake_at = runs.due_at(tx, name), self._wake_at(tx, name)
        if wake_at is not None and wake_at > started + _ROUNDING:
            return wake_at
        pause_s = 0.0
        try:
            report = sync(self._app.parts(name))
            self._tell(name, next(iter(report.failures.values()), None))
            if not report.failures:
                self._hints_from.pop(name, None)
            pause_s = max((wish_s(failure) for failure in report.failures.values()), default=0.0)
        except Stopped:
            return started  # still due: the next daemon begins with it
        except SyncerError as failure:
            if failure.code == _BUSY:
                log.debug("connection_busy")
                return started + min(timedelta(seconds=BUSY_S), self._app.project.sync.every)
            pause_s = wish_s(failure)
            self._tell(name, failure)
        except Exception:
            log.exception("run_crashed")  # a bug; the next run starts from what is stored
        return self._due_again(name, started, due, pause_s)

    def _due_again(self, name: str, started: datetime, was_due: datetime | None, pause_s: float) -> datetime:
        """The next beat of the interval, at once where somebody rang meanwhile, later where the CRM asked for it; kept
        in the database. A long wish of the CRM's is kept by itself: a person's run may end it."""
        every = self._app.project.sync.every
        with self._app.store.writing() as tx:
            runs.lock_connection(tx, name)  # who rings now waits, and is heard by the next look
            rung, now = runs.due_at(tx, name), self._app.clock()
            following = started + every * (max((now - started) // every, 0) + 1)
            if rung is not None and rung != was_due and started < rung <= now:
                following = rung
            if pause_s <= PARKED_FROM_S:
                following = max(following, now + timedelta(seconds=pause_s))
            runs.set_due(tx, name, following)
            return max(following, self._rests_until(tx, name))

    # hints

    def _look_for_hints(self) -> None:
        """An alarm for each connection whose CRM has spoken of leads. What runs already is left alone: it either takes
        the hints along, or looks again at its end."""
        now, names = self._app.clock(), [each.name for each in self._app.project.connections]
        try:
            with self._app.store.reading() as tx:
                waiting = {name: self._rests_until(tx, name) for name in names if hints.waiting(tx, name, 1, now=now)}
        except SyncerError as failure:
            log.debug("hints_unread", reason=failure.message)
            return
        with self._bells:
            for name, rests_until in waiting.items():
                job = f"{name}/hints"
                if name not in self._running | self._following and self._scheduler.get_job(job) is None:
                    _, since = self._hints_from.get(name, (0, _NEVER))
                    at = max(now, since, rests_until)
                    if at <= now + timedelta(seconds=WATCH_S):  # what rests longer may be woken before: look again
                        self._scheduler.add_job(self._follow, "date", args=[name], id=job, run_date=at)

    def _follow(self, name: str) -> None:
        """A quick run. The full run's due time stays."""
        with self._busy, structlog.contextvars.bound_contextvars(connection=name):
            with self._bells:
                if self._app.stop.is_set() or name in self._running:
                    return
                self._following.add(name)
            followed, pause_s = False, 0.0
            try:
                followed, pause_s = self._follow_now(name)
            except Exception:
                log.exception("run_crashed")
            self._pause_hints(name, followed, pause_s)
            with self._bells:
                self._following.discard(name)
            self.wake()

    def _follow_now(self, name: str) -> tuple[bool, float]:
        """Whether any hint was followed, and the patience that the CRM asked for, in seconds."""
        try:
            report = follow(self._app.parts(name))
        except SyncerError as failure:
            if failure.code != _BUSY and not isinstance(failure, Stopped):
                self._tell(name, failure, "quick")
            return False, wish_s(failure)
        if report.run:
            self._tell(name, next(iter(report.failures.values()), None), "quick")
        return report.counts["hints"] > 0, max((wish_s(each) for each in report.failures.values()), default=0.0)

    def _pause_hints(self, name: str, followed: bool, patience_s: float) -> None:
        """A moment; where none could be followed, twice as long as the last time, at most an interval, unless the CRM
        asked for more."""
        failures = 0 if followed else self._hints_from.get(name, (0, _NEVER))[0] + 1
        pause_s = min(HINTS_S * 2 ** min(failures, 20), self._app.project.sync.every.total_seconds())
        self._hints_from[name] = failures, self._app.clock() + timedelta(seconds=max(pause_s, patience_s))

    def _deliver(self, name: str) -> None:
        with self._busy, structlog.contextvars.bound_contextvars(connection=name):
            try:
                if not self._app.stop.is_set():
                    deliver(self._app.parts(name))
            except SyncerError as failure:
                log.debug("delivery_put_off", reason=failure.message)  # the next run tells of an outage
            except Exception:
                log.exception("delivery_crashed")

    def _tell(self, name: str, failure: SyncerError | None, kind: runs.Kind = "full") -> None:
        """An outage is told once when it starts and once when it ends; again only where it became another one. A quick
        run asks for little, so that it fared well says nothing of a full one; a full run asks for all."""
        if self._app.stop.is_set():
            return
        down = self._down.setdefault(name, {})
        if failure is None:
            ended = [down.pop(each) for each in (list(down) if kind == "full" else [kind]) if each in down]
            if ended and not down:
                log.info("connection_recovered")
            return
        is_new = failure.code not in down.values()
        down[kind] = failure.code
        if is_new:
            log.error("connection_failing", reason=failure.message, code=failure.code, kind=type(failure).__name__)

    # reload

    def _watch(self) -> None:
        """Wait for the end; look at files and clock now and then, and at once on SIGHUP; at hints whenever called."""
        watched: Sequence[Path] = self._app.project.files
        known, clock, until = digest(watched), _Clock(), time.monotonic() + WATCH_S
        while True:
            call = self._call_before(until)
            if call == "stop":
                self._app.stop.set()
                return
            self._woken.clear()
            self._look_for_hints()
            if call == "look" and time.monotonic() < until:
                continue
            until = time.monotonic() + WATCH_S
            now = digest(watched)
            if call == "reload" or now != known:
                watched = self._read_again()
                known = now if set(watched) == set(self._app.project.files) else digest(watched)
            if clock.was_set():
                log.warning("clock_was_set")
                self._schedule()
            self._hear()

    def _call_before(self, until: float) -> Call | None:
        """The next call; None where none has come by that time of the monotonic clock."""
        try:
            return self._calls.get(timeout=max(until - time.monotonic(), 0.0))
        except Empty:
            return None

    def _read_again(self) -> Sequence[Path]:
        """Take the new configuration, or keep the old one where the new one is wrong and say so; the files to watch."""
        old = self._app.project
        try:
            project = read_project(self._process)
        except ConfigError as error:
            problems = [str(each.message) for each in getattr(error, "problems", ())] or [error.message]
            log.error("reload_refused", problems=problems)
            more = error.files if isinstance(error, SettingsError) else ()
            return tuple(dict.fromkeys([*old.files, *more]))
        if project.web != old.web:
            log.warning("web_unchanged", help="`web` is read when the daemon starts; restart it")
        self._app = replace(self._app, project=project)
        self._try_changed(old)
        self._schedule()
        log.info("reloaded", fingerprint=project.fingerprint, changed=project.fingerprint != old.fingerprint)
        return project.files

    def _try_changed(self, old: Project) -> None:
        """A person has changed these connections: what made them rest may be mended, so they are tried at once."""
        before = {each.name: (each.type, each.settings) for each in old.connections}
        now = {each.name: (each.type, each.settings) for each in self._app.project.connections}
        changed = [name for name, chosen in now.items() if chosen != before.get(name)]
        with self._app.store.writing() as tx:
            for name in changed:
                runs.unpark(tx, name)
                runs.set_due(tx, name, self._app.clock())

    # the end

    def _drain(self) -> bool:
        """Start nothing more, let what runs reach its next safe place, and give up on it in time."""
        log.info("draining", seconds=self._process.drain_s)
        self._scheduler.remove_all_jobs()  # waits for the round of alarms that is going off; a bare shutdown does not
        finished = self._busy.wait_idle(self._process.drain_s)
        self._scheduler.shutdown(wait=False)
        log.info("daemon_stopped", drained=finished)
        return finished

    @contextmanager
    def _signals(self) -> Iterator[None]:
        calls: dict[int, Call] = {signal.SIGTERM: "stop", signal.SIGINT: "stop", signal.SIGHUP: "reload"}

        def call(number: int, _frame: Any) -> None:
            self._calls.put(calls[number])

        before = {number: signal.signal(number, call) for number in calls}
        try:
            yield
        finally:
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


class _Busy:
    """Counts the jobs under way, so that the drain can wait for them with a limit."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout_s)
