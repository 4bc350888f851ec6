"""APScheduler rings the bell on one machine.

The database is the truth: due times, leases and outbox are rows, so a daemon that dies loses nothing but its bell, and
several daemons on one database take turns.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from syncer import service
from syncer.errors import SyncerError
from syncer.ringing import NEVER, ROUNDING, Followed, Ringing
from syncer.service import Serve, Service, served_by_nobody
from syncer.settings import ProcessSettings
from syncer.store import hints

log = structlog.get_logger(__name__)

HINTS_S = 3.0  # a connection's hints are followed no sooner than so long after the last time
DELIVER_S = 30.0  # how often messages that could not be sent are tried again
_JITTER = 0.1  # of the interval, at most 10 s: several connections do not start together
_LONGEST_JITTER_S = 10.0
_LOST_S = 60.0  # an alarm that went off so long ago and reached nobody is set anew
_THREADS = 32  # at most; a thread is made when a connection first needs it
_DEFAULTS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
# Whether a connection is being worked on we know ourselves. The scheduler knows it a moment too long: it would drop the
# alarm that a run sets at its very end.
_AT_ONCE = {"max_instances": 1_000}


class Daemon:
    """Runs every connection when it is due, until it is told to stop."""

    def __init__(self, process: ProcessSettings, serve: Serve = served_by_nobody) -> None:
        self._service = Service("daemon", process, serve)
        self.stop = self._service.stop
        self.wake = self._service.wake

    def run(self) -> bool:
        """Until SIGTERM or Ctrl-C; whether what was under way could finish in time.

        A configuration that is wrong at the start is a ConfigError; a later one is not taken.
        """
        return self._service.run(Alarms)


class Alarms:
    """A bell of one process: an alarm for each connection's due time, and for its hints."""

    def __init__(self, ringing: Ringing, wake: Callable[[], None]) -> None:
        self._ringing = ringing
        self._wake = wake
        self._busy = _Busy()
        self._running: set[str] = set()  # connections; each sets its own alarm when it is done
        self._following: set[str] = set()  # connections whose hints are being followed
        self._heard: dict[str, datetime | None] = {}  # connection -> its due time in the database, as seen last
        self._hints_from: dict[str, tuple[int, datetime]] = {}  # connection -> failures in a row, when to follow again
        self._gone: dict[str, float] = {}  # connections without an alarm that nobody works on -> since when, monotonic
        self._stale = False  # alarms could not be set, for the database did not answer
        self._bells = threading.Lock()  # held while alarms are set
        pool = {"default": ThreadPoolExecutor(max_workers=_THREADS)}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=_DEFAULTS, executors=pool)

    def begin(self) -> None:
        self.rearm()
        self._scheduler.start()

    def rearm(self) -> None:
        """An alarm for each connection's due time, and a job that delivers what waits between runs."""
        with self._bells:
            self._stale = False
            self._hints_from.clear()  # by a clock that may have been wrong
            self._scheduler.remove_all_jobs()
            for name in self._ringing.names:
                if name not in self._running:
                    self._arm(name, self._first(name))
                self._scheduler.add_job(self._deliver, "interval", args=[name], id=f"{name}/deliver", seconds=DELIVER_S)

    def _first(self, name: str) -> datetime:
        now = self._ringing.app.clock()
        try:
            due = self._heard[name] = self._ringing.first(name)
        except SyncerError as failure:
            log.debug("due_time_unread", connection=name, reason=failure.message)  # the runs tell of an outage
            self._stale = True
            return now + timedelta(seconds=service.WATCH_S)
        every_s = self._ringing.app.project.sync.every.total_seconds()
        spread_s = min(every_s * _JITTER, _LONGEST_JITTER_S) if len(self._ringing.names) > 1 else 0.0
        return max(due, now) + timedelta(seconds=random.uniform(0, spread_s))

    def _arm(self, name: str, due: datetime) -> None:
        """Ring then. Nothing where the daemon leaves, or the connection has left the project."""
        if not self._ringing.app.stop.is_set() and name in self._ringing.names:
            alarm = {"id": name, "run_date": due, "replace_existing": True, **_AT_ONCE}
            self._scheduler.add_job(self._ring, "date", args=[name], **alarm)

    def hear(self) -> None:
        """A run of another connection, or of another process, may have made a connection due before its alarm."""
        if self._stale:
            self.rearm()
        try:
            with self._ringing.app.store.reading() as tx:
                due = {name: self._ringing.wake_at(tx, name) for name in self._ringing.names}
        except SyncerError as failure:
            log.debug("due_times_unread", reason=failure.message)  # the runs themselves tell of an outage
            return
        with self._bells:
            for name, at in due.items():
                alarm = self._scheduler.get_job(name)
                if self._is_lost(name, alarm is not None):
                    log.warning("alarm_lost", connection=name)
                    self._arm(name, self._ringing.app.clock())
                elif alarm is None or at is None or at == self._heard.get(name):
                    continue
                elif at < alarm.next_run_time - ROUNDING:
                    self._arm(name, at)
            self._heard |= due

    def _is_lost(self, name: str, armed: bool) -> bool:
        """Whether it would never be rung for again: no thread could be had for it, for one."""
        now = time.monotonic()
        if armed or name in self._running:
            self._gone.pop(name, None)
            return False
        if now - self._gone.setdefault(name, now) < _LOST_S:
            return False
        self._gone[name] = now
        return True

    def rings(self) -> bool:
        thread = getattr(self._scheduler, "_thread", None)
        return thread is not None and thread.is_alive()

    # what

    def _ring(self, name: str) -> None:
        with self._busy:
            if self._ringing.app.stop.is_set() or not self._begin(name):
                return
            rung = self._ringing.run(name)
            if rung.well:
                self._hints_from.pop(name, None)
            with self._bells:
                self._running.discard(name)
                self._arm(name, rung.again)
            self._wake()

    def _begin(self, name: str) -> bool:
        """False where it is being run already, which sets its own alarm; and, with an alarm a moment later, where hints
        of the connection are being followed."""
        with self._bells:
            if name in self._running:
                return False
            if name in self._following:
                self._arm(name, self._ringing.app.clock() + timedelta(seconds=1))
                return False
            self._running.add(name)
            return True

    def look(self) -> None:
        """An alarm for each connection whose CRM has spoken of leads. What runs already is left alone: it either takes
        the hints along, or looks again at its end."""
        now, names = self._ringing.app.clock(), self._ringing.names
        try:
            with self._ringing.app.store.reading() as tx:
                waiting = [name for name in names if hints.waiting(tx, name, 1, now=now)]
                rests = {name: self._ringing.rests_until(tx, name) for name in waiting}
        except SyncerError as failure:
            log.debug("hints_unread", reason=failure.message)
            return
        with self._bells:
            for name, rests_until in rests.items():
                job = f"{name}/hints"
                if name not in self._running | self._following and self._scheduler.get_job(job) is None:
                    _, since = self._hints_from.get(name, (0, NEVER))
                    at = max(now, since, rests_until)
                    # What rests longer than until the next look may be woken before: it is looked at again.
                    if at <= now + timedelta(seconds=service.WATCH_S):
                        self._scheduler.add_job(self._follow, "date", args=[name], id=job, run_date=at, **_AT_ONCE)

    def _follow(self, name: str) -> None:
        """A quick run. The full run's due time stays."""
        with self._busy:
            with self._bells:
                if self._ringing.app.stop.is_set() or name in self._running | self._following:
                    return
                self._following.add(name)
            self._pause_hints(name, self._ringing.follow(name))
            with self._bells:
                self._following.discard(name)
            self._wake()

    def _pause_hints(self, name: str, followed: Followed) -> None:
        """A moment; where none could be followed, twice as long as the last time, at most an interval, unless the CRM
        asked for more."""
        failures = 0 if followed.hints else self._hints_from.get(name, (0, NEVER))[0] + 1
        every_s = self._ringing.app.project.sync.every.total_seconds()
        pause_s = max(min(HINTS_S * 2 ** min(failures, 20), every_s), followed.patience_s)
        self._hints_from[name] = failures, self._ringing.app.clock() + timedelta(seconds=pause_s)

    def _deliver(self, name: str) -> None:
        with self._busy:
            if not self._ringing.app.stop.is_set():
                self._ringing.deliver(name)

    def end(self, within_s: float) -> bool:
        self._scheduler.remove_all_jobs()  # waits for the round of alarms that is going off; a bare shutdown does not
        finished = self._busy.wait_idle(within_s)
        self._scheduler.shutdown(wait=False)
        return finished


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
