"""APScheduler rings the bell on one machine; signals, reload, drain.

The database is the truth: due times, leases and outbox are rows, so a daemon that dies loses nothing but its bell, and
several daemons on one database take turns.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from syncer.app import App, opened, read_project
from syncer.errors import ConfigError, Stopped, SyncerError, TemporaryError
from syncer.run import Asked, deliver, sync
from syncer.settings import ProcessSettings, Project, SettingsError, digest
from syncer.store import runs

log = structlog.get_logger(__name__)

WATCH_S = 5.0  # how often the files and the clock are looked at
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

Call = Literal["stop", "reload"]


class Daemon:
    """Runs every connection when it is due, until it is told to stop."""

    def __init__(self, process: ProcessSettings) -> None:
        self._process = process
        # A signal handler may put into this queue at any line; setting an Event could wait for its own lock for ever.
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._busy = _Busy()
        self._down: dict[str, str] = {}  # connection -> code of the failure that has been told
        self._patient_until: dict[str, datetime] = {}  # connection -> when its CRM may be written to again
        self._running: set[str] = set()  # connections; each sets its own alarm when it is done
        self._heard: dict[str, datetime | None] = {}  # connection -> its due time in the database, as seen last
        self._bells = threading.Lock()  # held while alarms are set
        self._app: App
        self._scheduler: BackgroundScheduler

    def run(self) -> bool:
        """Until SIGTERM or Ctrl-C; whether what was under way could finish in time.

        A configuration that is wrong at the start is a ConfigError; a later one is not taken.
        """
        with opened(self._process) as self._app, self._signals():
            pool = {"default": ThreadPoolExecutor(max_workers=_THREADS)}
            self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=_DEFAULTS, executors=pool)
            self._schedule()
            self._scheduler.start()
            log.info("daemon_started", connections=[each.name for each in self._app.project.connections])
            self._watch()
            return self._drain()

    def stop(self) -> None:
        """Ask it to leave; safe from any thread and from a signal handler."""
        self._calls.put("stop")

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
            self._heard[name] = runs.due_at(tx, name)
        spread_s = min(every_s * _JITTER, _LONGEST_JITTER_S) if len(project.connections) > 1 else 0.0
        return max(due, now) + timedelta(seconds=random.uniform(0, spread_s))

    def _arm(self, name: str, due: datetime) -> None:
        """Ring then. Nothing where the daemon leaves, or the connection has left the project."""
        if not self._app.stop.is_set() and any(each.name == name for each in self._app.project.connections):
            self._scheduler.add_job(self._ring, "date", args=[name], id=name, run_date=due, replace_existing=True)

    def _hear(self) -> None:
        """A run of another connection, or of another process, may have made a connection due before its alarm."""
        try:
            with self._app.store.reading() as tx:
                due = {each.name: runs.due_at(tx, each.name) for each in self._app.project.connections}
        except SyncerError as failure:
            log.debug("due_times_unread", reason=failure.message)  # the runs themselves tell of an outage
            return
        with self._bells:
            for name, at in due.items():
                alarm = self._scheduler.get_job(name)
                if at is not None and at != self._heard.get(name) and alarm is not None:
                    at = max(at, self._patient_until.get(name, _NEVER))
                    if at < alarm.next_run_time - _ROUNDING:
                        self._arm(name, at)
            self._heard |= due

    # what

    def _ring(self, name: str) -> None:
        """One run, unless another daemon had it meanwhile. What it raises is told and never stops the daemon."""
        with self._busy, structlog.contextvars.bound_contextvars(connection=name):
            if self._app.stop.is_set():
                return
            self._running.add(name)
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

    def _run_if_due(self, name: str, started: datetime) -> datetime:
        """When to ring next."""
        with self._app.store.reading() as tx:
            due = runs.due_at(tx, name)
        if due is not None and due > started + _ROUNDING:
            return due
        wish_s = 0.0
        try:
            report = sync(self._app.parts(name), Asked())
            self._tell(name, next(iter(report.failures.values()), None))
            wish_s = max((_wish_s(failure) for failure in report.failures.values()), default=0.0)
        except Stopped:
            return started  # still due: the next daemon begins with it
        except SyncerError as failure:
            if failure.code == _BUSY:
                log.debug("connection_busy")
                return started + min(timedelta(seconds=BUSY_S), self._app.project.sync.every)
            wish_s = _wish_s(failure)
            self._tell(name, failure)
        except Exception:
            log.exception("run_crashed")  # a bug; the next run starts from what is stored
        return self._due_again(name, started, due, wish_s)

    def _due_again(self, name: str, started: datetime, was_due: datetime | None, wish_s: float) -> datetime:
        """The next beat of the interval, at once where somebody rang meanwhile, later where the CRM asked for it; kept
        in the database."""
        every = self._app.project.sync.every
        with self._app.store.writing() as tx:
            runs.lock_connection(tx, name)  # who rings now waits, and is heard by the next look
            rung, now = runs.due_at(tx, name), self._app.clock()
            following = started + every * (max((now - started) // every, 0) + 1)
            if rung is not None and rung != was_due and started < rung <= now:
                following = rung
            self._patient_until[name] = now + timedelta(seconds=wish_s)
            due = max(following, self._patient_until[name])
            runs.set_due(tx, name, due)
        return due

    def _deliver(self, name: str) -> None:
        with self._busy, structlog.contextvars.bound_contextvars(connection=name):
            try:
                if not self._app.stop.is_set():
                    deliver(self._app.parts(name), write=self._app.clock() >= self._patient_until.get(name, _NEVER))
            except SyncerError as failure:
                log.debug("delivery_put_off", reason=failure.message)  # the next run tells of an outage
            except Exception:
                log.exception("delivery_crashed")

    def _tell(self, name: str, failure: SyncerError | None) -> None:
        """An outage is told once when it starts and once when it ends; again only where it became another one."""
        if self._app.stop.is_set():
            return
        if failure is None:
            if self._down.pop(name, None) is not None:
                log.info("connection_recovered")
        elif self._down.get(name) != failure.code:
            self._down[name] = failure.code
            log.error("connection_failing", reason=failure.message, code=failure.code, kind=type(failure).__name__)

    # reload

    def _watch(self) -> None:
        """Wait for the end; look at files and clock now and then, and at once on SIGHUP."""
        watched: Sequence[Path] = self._app.project.files
        known, clock = digest(watched), _Clock()
        while True:
            try:
                call: Call | None = self._calls.get(timeout=WATCH_S)
            except Empty:
                call = None
            if call == "stop":
                self._app.stop.set()
                return
            now = digest(watched)
            if call == "reload" or now != known:
                watched = self._read_again()
                known = now if set(watched) == set(self._app.project.files) else digest(watched)
            if clock.was_set():
                log.warning("clock_was_set")
                self._schedule()
            self._hear()

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
        self._app = replace(self._app, project=project)
        self._schedule()
        log.info("reloaded", fingerprint=project.fingerprint, changed=project.fingerprint != old.fingerprint)
        return project.files

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


def _wish_s(failure: SyncerError) -> float:
    """The patience that the other side asked for, in seconds."""
    return (failure.retry_after_s or 0.0) if isinstance(failure, TemporaryError) else 0.0


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
