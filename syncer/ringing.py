"""What happens when the bell rings for a connection: a run where one is due, its hints, its messages.

What must be known at the next ring (when that is due, how often it failed in a row, which outage was told) are rows:
whoever rings next, in this process or on another machine, goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from syncer.app import App, read_project
from syncer.errors import ConfigError, LeaseLost, Stopped, SyncerError, UnsafePlanError
from syncer.handoff import Alert, announce
from syncer.handoff.text import one_line
from syncer.log import redact
from syncer.parts import PARKED_FROM_S, Report, wish_s
from syncer.run import deliver, follow, sync
from syncer.settings import ProcessSettings, Project, SettingsError, fingerprint, show
from syncer.store import audit, runs

log = structlog.get_logger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)
ROUNDING = timedelta(milliseconds=100)  # due times are kept in whole milliseconds
BUSY_S = 10.0  # how soon to ring again where another process is at work, or the database does not answer
OPEN_FROM = 3  # refusals in a row that only a person can mend
OPEN_FOR = timedelta(hours=1)  # then the CRM is asked so seldom: a refused login, repeated, locks accounts
_FIRST_PAUSE = timedelta(minutes=1)  # after a failure
_LONGEST_PAUSE = timedelta(hours=1)
_LONGEST_WITHOUT_S = 60.0  # a run that cannot be stored is for nothing, and has asked the CRM all the same
_BUSY = "SY070"  # another process holds the connection's lease
_DATABASE = frozenset({"SY066", "SY061"})  # it did not do its part, or is damaged: no connection's trouble
_GOOD = ("ok", "partial")
_MOST_TOLD = 50  # changes of settings, or mistakes in them, that the audit log keeps
_NO_OUTAGE = (Stopped, LeaseLost, UnsafePlanError)

_Verdict = Literal["well", "news", "known", "over"]
"""What there is to say of a connection: nothing, an outage that is new, one that was told, or that it has ended."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What came of ringing for a connection."""

    again: datetime  # when to ring next
    well: bool = False  # it has run, and nothing failed
    kept: bool = True  # the database knows when; False: only this process does


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following a connection's hints."""

    hints: bool  # any was followed
    patience_s: float = 0.0  # that the CRM asked for


class Ringing:
    """Runs connections of the project as it is now; from any thread."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._unwell: set[str] = set()  # connections whose last run here failed, as a whole or in part
        self._undone: dict[str, int] = {}  # connection -> how often in a row the database has kept it from its run
        self._guard = threading.Lock()  # of these two

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

    def standing(self) -> str:
        """In one line, as far as this process knows."""
        names = self.names
        well = len(names) - len(self._unwell.intersection(names))
        return f"{well} of {len(names)} connections well"

    # what

    def run(self, name: str) -> Rung:
        """One run, unless another process had it meanwhile. What goes wrong is told and never raised."""
        app = self.app  # as it is now; a reload meanwhile is heeded at the end
        started = app.clock()
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                rung = self._run_if_due(app, name, started)
                return rung if self.app is app else self._heeding_reload(name, rung)
            except Stopped:
                return Rung(started)  # still due: the next process begins with it
            except LeaseLost:
                log.warning("lease_lost")  # whoever has it now sets the next due time
            except SyncerError as failure:
                if failure.code != _BUSY:
                    return self._without_database(name, failure)
                log.debug("connection_busy")
            except Exception:
                log.exception("run_crashed")
            return self._soon(BUSY_S)

    def _soon(self, seconds: float) -> Rung:
        return Rung(self.app.clock() + min(timedelta(seconds=seconds), self.app.project.sync.every), kept=False)

    def _heeding_reload(self, name: str, rung: Rung) -> Rung:
        return replace(rung, again=self.first(name)) if name in self.names else rung

    def _run_if_due(self, app: App, name: str, started: datetime) -> Rung:
        if not _has(app, name):
            return self._soon(BUSY_S)  # it has left the project
        with app.store.reading() as tx:
            due, wake_at = runs.due_at(tx, name), self.wake_at(tx, name)
            served_at = _served_at(tx, name, due, started)
        if wake_at is not None and wake_at > started + ROUNDING:
            return Rung(wake_at)
        if served_at is not None:
            return self._leave_to_others(name, due, served_at)
        ended = _run(app, name, started, due)
        if ended.outage is not None and app.stop.is_set():
            return Rung(started)  # what breaks while the process leaves says nothing of the CRM
        return self._end(app, name, ended)

    def _leave_to_others(self, name: str, due: datetime | None, served_at: datetime) -> Rung:
        """Who has run it gives the lease back before it sets the next due time, and may die in between."""
        following = served_at + self.app.project.sync.every
        with self.app.store.writing() as tx:
            runs.lock_connection(tx, name)
            if runs.due_at(tx, name) == due:
                runs.set_due(tx, name, following)
        return Rung(following)

    def _end(self, app: App, name: str, ended: _Ended) -> Rung:
        """Keep in the database what must be known at the next ring, and tell what is new."""
        with app.store.writing() as tx:
            runs.lock_connection(tx, name)  # who rings now waits, and is heard by the next look
            verdict = _judge(tx, name, ended.trouble, "full")
            failures = _count_failures(tx, name, ended, verdict)
            due = self._due_again(tx, name, ended, failures)
            told, since = runs.person_told(tx, name), _since(tx, name, ended, failures)
            runs.set_due(tx, name, due)
            rests_until = self.rests_until(tx, name)
        self._remember(name, ended)
        _say(verdict, ended.trouble)
        if ended.needs_a_person(failures):
            self._tell_a_person(app, name, ended, (told, since))
        elif told is not None and ended.outage is None:
            self._tell_that_it_works(app, name, told)
        return Rung(max(due, rests_until), well=ended.well)

    def _remember(self, name: str, ended: _Ended) -> None:
        with self._guard:
            recovered = self._undone.pop(name, None) is not None and not self._undone
            (self._unwell.discard if ended.well else self._unwell.add)(name)
        if recovered:
            log.info("database_recovered")

    def _due_again(self, tx: Connection, name: str, ended: _Ended, failures: int) -> datetime:
        """The next beat of the interval, at once where somebody rang meanwhile, later where the CRM asked for it or
        keeps failing. A long wish of the CRM's is kept by itself: a person's run may end it."""
        every, now = self.app.project.sync.every, self.app.clock()
        rung = runs.due_at(tx, name)
        following = ended.started + every * (max((now - ended.started) // every, 0) + 1)
        following = min(following, now + every)  # the clock may have been set back in the middle of the run
        if failures:
            following = now + _pause(every, failures)
        elif rung is not None and rung != ended.was_due and ended.started < rung <= now:
            following = rung
        if isinstance(ended.outage, ConfigError) and failures >= OPEN_FROM:
            self._open_circuit(tx, name, ended.outage, failures)
        if ended.pause_s <= PARKED_FROM_S:
            following = max(following, now + timedelta(seconds=ended.pause_s))
        return following

    def _open_circuit(self, tx: Connection, name: str, failure: ConfigError, failures: int) -> None:
        """What only a person can mend is not asked for again and again."""
        until = self.app.clock() + OPEN_FOR
        often = f"{failures} times in a row; tried once an hour, or when its settings change"
        runs.park(tx, name, until, f"{failure.message} ({often})")
        if failures == OPEN_FROM:
            log.warning("connection_left_alone", until=until.isoformat(), help=f"`syncer run {name}` tries at once")

    def follow(self, name: str) -> Followed:
        """A quick run over what the CRM has spoken of. The full run's due time stays."""
        app = self.app
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                return self._follow(app, name) if _has(app, name) else Followed(False)
            except _NO_OUTAGE:
                return Followed(False)
            except SyncerError as failure:
                self._without_database(name, failure)
            except Exception:
                log.exception("run_crashed")
            return Followed(False)

    def _follow(self, app: App, name: str) -> Followed:
        try:
            report = follow(app.parts(name))
            _insist_on_database(report)
        except SyncerError as failure:
            if failure.code in _DATABASE or isinstance(failure, _NO_OUTAGE):
                raise
            if failure.code != _BUSY:
                self._tell_quick(app, name, failure)
            return Followed(False, wish_s(failure))
        if report.run:
            self._tell_quick(app, name, next(iter(report.failures.values()), None))
        patience_s = max((wish_s(each) for each in report.failures.values()), default=0.0)
        return Followed(report.counts["hints"] > 0, patience_s)

    def _tell_quick(self, app: App, name: str, trouble: SyncerError | None) -> None:
        if app.stop.is_set():
            return
        with app.store.writing() as tx:
            runs.lock_connection(tx, name)
            verdict = _judge(tx, name, trouble, "quick")
        _say(verdict, trouble)

    def deliver(self, name: str) -> None:
        """What could not be written or sent before."""
        app = self.app
        with structlog.contextvars.bound_contextvars(connection=name):
            try:
                if _has(app, name):
                    deliver(app.parts(name))
            except SyncerError as failure:
                log.debug("delivery_put_off", reason=failure.message)  # the next run tells of an outage
            except Exception:
                log.exception("delivery_crashed")

    # telling

    def _without_database(self, name: str, failure: SyncerError) -> Rung:
        """Told once for all connections: where there is no database, nobody can keep whether it was told. Tried again
        soon, then more seldom."""
        with self._guard:
            news = not self._undone and not self.app.stop.is_set()
            tries = self._undone[name] = self._undone.get(name, 0) + 1
            self._unwell.add(name)
        if news:
            log.error("database_failing", reason=failure.message, code=failure.code)
        return self._soon(min(BUSY_S * 2 ** max(min(tries, 10) - OPEN_FROM, 0), _LONGEST_WITHOUT_S))

    def _tell_a_person(self, app: App, name: str, ended: _Ended, known: tuple[str | None, datetime]) -> None:
        """Once, however long it lasts; tried again after the next run where nobody could be reached. `known`: the code
        of what was told before, and since when it lasts."""
        failure, (told, since) = ended.trouble, known
        if failure is None or told == failure.code:
            return
        help = f"Once it is mended, `syncer run {name}` tries at once; by itself it is tried again once an hour."
        if isinstance(failure, UnsafePlanError):
            help = "Until a person has looked, the runs go on planning and write nothing."
        alert = Alert("needs_a_person", name, failure.code, _there(app, since), failure.message, help)
        reached = _reached(app, alert)
        if reached:
            with app.store.writing() as tx:
                runs.set_person_told(tx, name, failure.code, app.clock())
        log.error("connection_needs_a_person", code=failure.code, reason=failure.message, told=reached)

    def _tell_that_it_works(self, app: App, name: str, code: str) -> None:
        if _reached(app, Alert("recovered", name, code, _there(app, app.clock()), "", "")):
            with app.store.writing() as tx:
                runs.set_person_told(tx, name, None, app.clock())
            log.info("connection_needs_nobody")

    # reload

    def read_again(self, process: ProcessSettings) -> Sequence[Path]:
        """Take the new configuration, or keep the old one where the new one is wrong and say so; the files to watch."""
        old = self.app.project
        try:
            project = read_project(process)
        except ConfigError as error:
            wrong = error.problems if isinstance(error, SettingsError) else ()
            problems = [f"{each.place}: {each.message}" for each in wrong] or [error.message]
            log.error("reload_refused", problems=problems)
            self._note("config_refused", process, {"problems": [redact(each) for each in problems[:_MOST_TOLD]]})
            more = error.files if isinstance(error, SettingsError) else ()
            return tuple(dict.fromkeys([*old.files, *more]))
        if _place(project) != _place(old):
            log.warning("web_unchanged", help="`web.host` and `web.port` are read when it starts; restart it")
        self.app = replace(self.app, project=project)
        with self._guard:
            self._undone = {name: tries for name, tries in self._undone.items() if name in self.names}
        log.info("reloaded", fingerprint=project.fingerprint, changed=project.fingerprint != old.fingerprint)
        if project.fingerprint != old.fingerprint:
            told = {"fingerprint": project.fingerprint, "before": old.fingerprint, "changed": _changed(old, project)}
            self._note("config_reloaded", process, told)
        return project.files

    def _note(self, act: audit.Act, process: ProcessSettings, details: Mapping[str, Any]) -> None:
        """In the audit log; a database that does not answer keeps nobody from new settings."""
        app = self.app
        where = {**details, "process": app.holder}
        try:
            with app.store.writing() as tx:
                audit.note(tx, audit.Entry(app.clock(), "daemon", act, process.config.name, details=where))
        except SyncerError as failure:
            log.warning("reload_not_noted", reason=failure.message, code=failure.code)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run, once it is over."""

    started: datetime
    was_due: datetime | None
    outage: Exception | None = None  # why nothing could be had from the CRM; a bug, where it is no SyncerError
    trouble: SyncerError | None = None  # what to tell: that outage, or what failed in part
    pause_s: float = 0.0  # that the CRM asked for

    @property
    def well(self) -> bool:
        return self.outage is None and self.trouble is None

    def needs_a_person(self, failures: int) -> bool:
        return isinstance(self.outage, UnsafePlanError) or (
            isinstance(self.outage, ConfigError) and failures >= OPEN_FROM
        )


def _place(project: Project) -> tuple[str, int] | None:
    """Where it listens."""
    return None if project.web is None else (project.web.host, project.web.port)


def _changed(old: Project, new: Project) -> list[str]:
    """What is in force now and was not: "sync.every: 15m -> 5m". Secrets show as such: that one has changed is not told
    by its value."""
    before, after = show(old), show(new)
    pairs = {path: (before.get(path), after.get(path)) for path in dict.fromkeys([*after, *before])}
    told = {path: [_value(each) for each in pair] for path, pair in pairs.items()}
    return [f"{path}: {was} -> {is_}" for path, (was, is_) in told.items() if was != is_][:_MOST_TOLD]


def _value(shown: tuple[Any, str] | None) -> str:
    return "-" if shown is None else one_line(redact(str(shown[0])))


def _served_at(tx: Connection, name: str, due: datetime | None, now: datetime) -> datetime | None:
    """When a run began that was due then and went well; None: there was none since."""
    for run in runs.last(tx, name, 1, "full"):
        if due is not None and due <= run.started_at <= now and run.outcome in _GOOD:
            return run.started_at
    return None


def _has(app: App, name: str) -> bool:
    return any(each.name == name for each in app.project.connections)


def _run(app: App, name: str, started: datetime, due: datetime | None) -> _Ended:
    """Raises what is not the CRM's nor the configuration's trouble: Stopped, LeaseLost, busy, no database."""
    try:
        report = sync(app.parts(name))
    except (Stopped, LeaseLost):
        raise
    except SyncerError as error:
        if error.code in {_BUSY, *_DATABASE}:
            raise
        return _Ended(started, due, error, error, wish_s(error))
    except Exception as bug:  # the next run starts from what is stored
        log.exception("run_crashed")
        return _Ended(started, due, bug)
    _insist_on_database(report)
    trouble = next(iter(report.failures.values()), None)
    pause_s = max((wish_s(each) for each in report.failures.values()), default=0.0)
    return _Ended(started, due, _outage(report), trouble, pause_s)


def _insist_on_database(report: Report) -> None:
    """A full disk still takes a little: a run ends, and what it read is not stored."""
    for failure in report.failures.values():
        if failure.code in _DATABASE:
            raise failure


def _outage(report: Report) -> SyncerError | None:
    """Why nothing could be had from the CRM; None where at least something was, or there was no need to ask."""
    return None if report.answered else next(iter(report.failures.values()), None)


def _judge(tx: Connection, name: str, trouble: SyncerError | None, kind: runs.Kind) -> _Verdict:
    """An outage is told once when it starts and once when it ends; again only where it became another one. A quick run
    asks for little, so that it fared well says nothing of a full one; a full run asks for all."""
    down = runs.failing(tx, name)
    left = {each: code for each, code in down.items() if trouble is not None or (kind != "full" and each != kind)}
    now = {**left, kind: trouble.code} if trouble is not None else left
    if now != down:
        runs.set_failing(tx, name, now)
    if trouble is not None:
        return "known" if trouble.code in down.values() else "news"
    return "over" if down and not now else "well"


def _say(verdict: _Verdict, trouble: SyncerError | None) -> None:
    if verdict == "over":
        log.info("connection_recovered")
    elif verdict == "news" and trouble is not None:
        log.error("connection_failing", reason=trouble.message, code=trouble.code, kind=type(trouble).__name__)


def _count_failures(tx: Connection, name: str, ended: _Ended, verdict: _Verdict) -> int:
    """In a row. What only a person can mend is counted by itself: that the CRM was down before is no refusal."""
    if ended.outage is None or isinstance(ended.outage, UnsafePlanError):
        count = 0
    elif isinstance(ended.outage, ConfigError) and verdict == "news":
        count = 1
    else:
        count = runs.failures(tx, name) + 1
    runs.count_failures(tx, name, count)
    return count


def _pause(every: timedelta, failures: int) -> timedelta:
    """A passing trouble is tried again soon, then ever more seldom."""
    longest = max(every, min(10 * every, _LONGEST_PAUSE))
    return min(min(every, _FIRST_PAUSE) * int(2 ** min(failures - 1, 20)), longest)


def _since(tx: Connection, name: str, ended: _Ended, failures: int) -> datetime:
    """When the first of the runs began that failed in a row."""
    since = ended.started
    for run in runs.last(tx, name, max(failures, 1), "full"):
        if run.outcome in _GOOD:
            break
        since = min(since, run.started_at)
    return since


def _there(app: App, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(app.project.timezone))


def _reached(app: App, alert: Alert) -> bool:
    """Whether somebody was told, or nobody is to be told; the log says who could not be reached."""
    alerts, settings = app.project.alerts, app.project.handoff
    if alerts is None or settings is None:
        return True
    told = announce(alert, alerts, settings)
    for who, why in told.items():
        if why is not None:
            log.warning("operator_not_told", notifier=who, reason=why)
    return any(why is None for why in told.values())
