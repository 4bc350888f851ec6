"""What happens when the bell rings for a connection: a run where one is due, its hints, its messages.

What must be known at the next ring (when that is due, how often it failed in a row, which outage was told) are rows:
whoever rings next, in this process or on another machine, goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection

from syncer.app import App, read_project
from syncer.errors import ConfigError, LeaseLost, Stopped, SyncerError, UnsafePlanError
from syncer.parts import PARKED_FROM_S, Report, wish_s
from syncer.run import deliver, follow, sync
from syncer.settings import ProcessSettings, SettingsError, fingerprint
from syncer.store import runs

log = structlog.get_logger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)
ROUNDING = timedelta(milliseconds=100)  # due times are kept in whole milliseconds
BUSY_S = 10.0  # how soon to ring again where another process is at work, or the database does not answer
OPEN_FROM = 3  # failures in a row that only a person can mend
OPEN_FOR = timedelta(hours=1)  # then the CRM is asked so seldom: a refused login, repeated, locks accounts
_FIRST_PAUSE = timedelta(minutes=1)  # after a failure
_LONGEST_PAUSE = timedelta(hours=1)
_BUSY = "SY070"  # another process holds the connection's lease
_DATABASE = "SY066"  # it did not answer
_NO_OUTAGE = (Stopped, LeaseLost, UnsafePlanError)


@dataclass(frozen=True, slots=True)
class Rung:
    """What came of ringing for a connection."""

    again: datetime  # when to ring next
    well: bool = False  # it has run, and nothing failed


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following a connection's hints."""

    hints: bool  # any was followed
    patience_s: float = 0.0  # that the CRM asked for


class Ringing:
    """Runs connections of the project as it is now; from any thread."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._database_is_down = False

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.app.project.connections]

    # when

    def first(self, name: str) -> datetime:
        """When to ring for a connection first: its due time in the database, but never further away than one interval,
        for that may have become shorter; at once where its settings have changed since it ran."""
        now, every = self.app.clock(), self.app.project.sync.every
        with self.app.store.writing() as tx:
            changed = runs.take_settings(tx, name, self._settings(name))
            kept = now if changed else runs.due_at(tx, name)
            due = min(kept or now, now + every)
            if changed or kept != due:
                runs.set_due(tx, name, due)
            return max(due, self.rests_until(tx, name))

    def _settings(self, name: str) -> str:
        connection = self.app.connection(name)
        return fingerprint((connection.type, connection.settings))

    def rests_until(self, tx: Connection, name: str) -> datetime:
        """When its CRM may be asked again; long past: now."""
        parked = runs.parked(tx, name, self.app.clock())
        return parked.until if parked is not None else NEVER

    def wake_at(self, tx: Connection, name: str) -> datetime | None:
        """When it is due and its CRM may be asked; None: at once."""
        due, rests_until = runs.due_at(tx, name), self.rests_until(tx, name)
        return due if rests_until is NEVER else max(due or rests_until, rests_until)

    def tell_parked(self) -> None:
        """Which connections are left alone for now: else a process that does nothing looks broken."""
        with self.app.store.reading() as tx:
            parked = {name: runs.parked(tx, name, self.app.clock()) for name in self.names}
        for name, rest in parked.items():
            if rest is not None:
                told = {"until": rest.until.isoformat(), "reason": rest.reason}
                log.warning("connection_left_alone", connection=name, **told, help=f"`syncer run {name}` tries at once")

    # what

    def run(self, name: str) -> Rung:
        """One run, unless another process had it meanwhile. What goes wrong is told and never raised."""
        started = self.app.clock()
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                return self._run_if_due(name, started)
            except SyncerError as failure:  # the database does not answer
                self._tell_database(failure)
            except Exception:
                log.exception("run_crashed")
            return self._soon(started)

    def _soon(self, started: datetime) -> Rung:
        return Rung(started + min(timedelta(seconds=BUSY_S), self.app.project.sync.every))

    def _run_if_due(self, name: str, started: datetime) -> Rung:
        with self.app.store.reading() as tx:
            due, wake_at = runs.due_at(tx, name), self.wake_at(tx, name)
        self._database_answers()
        if wake_at is not None and wake_at > started + ROUNDING:
            return Rung(wake_at)
        failure: SyncerError | None = None
        well = False
        try:
            report = sync(self.app.parts(name))
            failure, well = _outage(report), not report.failures
            self._tell(name, failure or next(iter(report.failures.values()), None))
            pause_s = max((wish_s(each) for each in report.failures.values()), default=0.0)
        except Stopped:
            return Rung(started)  # still due: the next process begins with it
        except SyncerError as error:
            if error.code == _DATABASE:
                raise
            if error.code == _BUSY:
                log.debug("connection_busy")
                return self._soon(started)
            failure, pause_s = error, wish_s(error)
            self._tell(name, error)
        except Exception:
            log.exception("run_crashed")  # a bug; the next run starts from what is stored
            pause_s = 0.0
        return Rung(self._due_again(name, _Ended(started, due, failure, pause_s)), well)

    def _due_again(self, name: str, ended: _Ended) -> datetime:
        """The next beat of the interval, at once where somebody rang meanwhile, later where the CRM asked for it or
        keeps failing; kept in the database. A long wish of the CRM's is kept by itself: a person's run may end it."""
        every = self.app.project.sync.every
        with self.app.store.writing() as tx:
            runs.lock_connection(tx, name)  # who rings now waits, and is heard by the next look
            rung, now = runs.due_at(tx, name), self.app.clock()
            following = ended.started + every * (max((now - ended.started) // every, 0) + 1)
            following = self._after_failure(tx, name, ended, following)
            if rung is not None and rung != ended.was_due and ended.started < rung <= now:
                following = rung
            if ended.pause_s <= PARKED_FROM_S:
                following = max(following, now + timedelta(seconds=ended.pause_s))
            runs.set_due(tx, name, following)
            return max(following, self.rests_until(tx, name))

    def _after_failure(self, tx: Connection, name: str, ended: _Ended, following: datetime) -> datetime:
        """A passing trouble is tried again soon, then ever more seldom. What only a person can mend is not asked for
        again and again: after the third time the connection is left alone for an hour at a time."""
        if ended.failure is None or isinstance(ended.failure, _NO_OUTAGE):
            runs.count_failures(tx, name, 0)
            return following
        every, now = self.app.project.sync.every, self.app.clock()
        failures = runs.failures(tx, name) + 1
        runs.count_failures(tx, name, failures)
        if isinstance(ended.failure, ConfigError) and failures >= OPEN_FROM:
            reason = (
                f"{ended.failure.message} ({failures} times in a row; tried once an hour, or when its settings change)"
            )
            runs.park(tx, name, now + OPEN_FOR, reason)
            log.error("connection_needs_a_person", failures=failures, code=ended.failure.code)
        longest = max(every, min(10 * every, _LONGEST_PAUSE))
        return now + min(min(every, _FIRST_PAUSE) * int(2 ** min(failures - 1, 20)), longest)

    def follow(self, name: str) -> Followed:
        """A quick run over what the CRM has spoken of. The full run's due time stays."""
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                report = follow(self.app.parts(name))
            except SyncerError as failure:
                if failure.code != _BUSY and not isinstance(failure, _NO_OUTAGE):
                    self._tell(name, failure, "quick")
                return Followed(False, wish_s(failure))
            except Exception:
                log.exception("run_crashed")
                return Followed(False)
            if report.run:
                self._tell(name, next(iter(report.failures.values()), None), "quick")
            patience_s = max((wish_s(each) for each in report.failures.values()), default=0.0)
            return Followed(report.counts["hints"] > 0, patience_s)

    def deliver(self, name: str) -> None:
        """What could not be written or sent before."""
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                deliver(self.app.parts(name))
            except SyncerError as failure:
                log.debug("delivery_put_off", reason=failure.message)  # the next run tells of an outage
            except Exception:
                log.exception("delivery_crashed")

    # telling

    def _tell(self, name: str, failure: SyncerError | None, kind: runs.Kind = "full") -> None:
        """An outage is told once when it starts and once when it ends; again only where it became another one. A quick
        run asks for little, so that it fared well says nothing of a full one; a full run asks for all."""
        if self.app.stop.is_set():
            return
        if failure is not None and failure.code == _DATABASE:
            self._tell_database(failure)
            return
        with self.app.store.writing() as tx:
            down = runs.failing(tx, name)
            left = {
                each: code for each, code in down.items() if failure is not None or (kind != "full" and each != kind)
            }
            known = failure is not None and failure.code in down.values()
            now = {**left, kind: failure.code} if failure is not None else left
            if now != down:
                runs.set_failing(tx, name, now)
        if failure is None and down and not now:
            log.info("connection_recovered")
        if failure is not None and not known:
            log.error("connection_failing", reason=failure.message, code=failure.code, kind=type(failure).__name__)

    def _tell_database(self, failure: SyncerError) -> None:
        """Once for all connections: where there is no database, nobody can keep whether it was told."""
        if not self._database_is_down and not self.app.stop.is_set():
            log.error("database_failing", reason=failure.message, code=failure.code)
        self._database_is_down = True

    def _database_answers(self) -> None:
        if self._database_is_down:
            log.info("database_recovered")
        self._database_is_down = False

    # reload

    def read_again(self, process: ProcessSettings) -> Sequence[Path]:
        """Take the new configuration, or keep the old one where the new one is wrong and say so; the files to watch."""
        old = self.app.project
        try:
            project = read_project(process)
        except ConfigError as error:
            problems = [str(each.message) for each in getattr(error, "problems", ())] or [error.message]
            log.error("reload_refused", problems=problems)
            more = error.files if isinstance(error, SettingsError) else ()
            return tuple(dict.fromkeys([*old.files, *more]))
        if project.web != old.web:
            log.warning("web_unchanged", help="`web` is read when the daemon starts; restart it")
        self.app = replace(self.app, project=project)
        log.info("reloaded", fingerprint=project.fingerprint, changed=project.fingerprint != old.fingerprint)
        return project.files


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run, once it is over."""

    started: datetime
    was_due: datetime | None
    failure: SyncerError | None
    pause_s: float  # that the CRM asked for


def _outage(report: Report) -> SyncerError | None:
    """Why nothing could be had from the CRM; None where at least something was, or there was no need to ask."""
    return None if report.answered else next(iter(report.failures.values()), None)
