"""The runs of connections, as the page about them shows them: the last ones, their troubles, and what they spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from syncer.app import App
from syncer.model import Run
from syncer.queries import fuse, standing
from syncer.queries.fuse import Move
from syncer.queries.standing import Figures, Present, Rest, RunTold
from syncer.settings import Connection
from syncer.store import runs
from syncer.store.runs import Kind

TICKS = 90
_LATE_S = 60.0  # whoever rings looks every few seconds
_LOWEST, _HIGHEST = 8, 60  # of a tick, in any unit


@dataclass(frozen=True, slots=True)
class Tick:
    """One full run as a mark among others. `height` grows with the square root of how long it took: 8 to 60."""

    run: int
    outcome: str
    started_at: datetime
    seconds: float | None  # None: it has not ended, or nobody saw it end
    stage_changes: int
    handoffs: int
    error: str | None
    height: int


@dataclass(frozen=True, slots=True)
class ConnectionRuns:
    """How one connection stands; what takes longer to count is in `Counts`."""

    name: str
    type: str
    ticks: tuple[Tick, ...]  # the oldest first
    failed: int  # of them
    last_run: RunTold | None
    last_good: datetime | None
    last_failure: RunTold | None
    failures_in_a_row: int
    outages: Mapping[Kind, str]  # kind of run -> the code of what keeps it from working now
    quick_today: int
    last_quick: RunTold | None
    next_run: datetime | None
    late_s: float  # due for so long with nobody at work on it; 0: it is not late
    parked: Rest | None
    held_by: str | None
    waiting: int | None  # the run whose plan waits at the fuse
    approved: bool  # and a person has let it go


@dataclass(frozen=True, slots=True)
class Counts:
    """What takes a while to count."""

    figures: Figures
    requests_today: int  # to the CRM, of the finished runs since midnight
    share: float | None  # of the CRM's requests that it may use; None: nothing is said of it


@dataclass(frozen=True, slots=True)
class ConfigFile:
    name: str  # as seen from the project's folder
    changed_at: datetime | None  # None: it is not there any more


@dataclass(frozen=True, slots=True)
class Detail:
    """One run, whole."""

    connection: str
    kind: str
    run: RunTold
    seconds: float | None
    project: str | None  # the fingerprint of the settings that it ran with; None: nobody knows of old runs
    same_settings: bool  # as now
    moves: tuple[Move, ...]  # what it has planned, the most leads first
    waits: bool  # at the fuse, now


def connections(app: App, names: Sequence[str]) -> tuple[tuple[ConnectionRuns, ...], Mapping[str, Present]]:
    """NotFound (SY080) for a connection that is none."""
    chosen = [app.connection(name) for name in names]
    present, now = standing.presents(app, names), app.clock()
    return tuple(_connection(present[each.name], each, now) for each in chosen), present


def _connection(present: Present, settings: Connection, now: datetime) -> ConnectionRuns:
    late_s = present.late_s(now)
    return ConnectionRuns(
        name=settings.name,
        type=settings.type,
        ticks=_ticks(present.last[:TICKS]),
        failed=sum(run.outcome in standing.BAD for run in present.last[:TICKS]),
        last_run=present.last_run,
        last_good=present.last_good,
        last_failure=next(iter(present.failed), None),
        failures_in_a_row=present.failures_in_a_row,
        outages=present.outages,
        quick_today=present.quick_today,
        last_quick=present.last_quick,
        next_run=present.next_run,
        late_s=late_s if late_s >= _LATE_S else 0.0,
        parked=present.parked,
        held_by=present.held_by,
        waiting=present.waiting,
        approved=present.approved,
    )


def _ticks(last: Sequence[RunTold]) -> tuple[Tick, ...]:
    longest = max((_seconds(run) or 0.0 for run in last), default=0.0)
    return tuple(_tick(run, longest) for run in reversed(last))


def _tick(run: RunTold, longest: float) -> Tick:
    seconds = _seconds(run)
    share = (seconds / longest) ** 0.5 if seconds and longest else 0.0
    counts = run.counts
    return Tick(
        *(run.run, run.outcome, run.started_at, seconds, counts.get("stage_changes", 0), counts.get("handoffs", 0)),
        error=run.error,
        height=round(_LOWEST + share * (_HIGHEST - _LOWEST)),
    )


def _seconds(run: RunTold) -> float | None:
    """A clock that was set back in the middle makes no run shorter than nothing."""
    if run.finished_at is None or run.outcome == "crashed":  # which was found out later
        return None
    return max(0.0, (run.finished_at - run.started_at).total_seconds())


def counts(app: App) -> Mapping[str, Counts]:
    """By connection. Takes a while in a large base."""
    known = {each.name: each.settings for each in app.project.connections}
    with app.store.reading() as tx:
        spent = standing.requests_today(tx, app, list(known))
    return {
        name: Counts(standing.figures(app, name), spent[name], getattr(settings, "use_at_most", None))
        for name, settings in known.items()
    }


def files(app: App) -> tuple[ConfigFile, ...]:
    """Those that the settings in force were read from."""
    home = app.project.path.parent
    return tuple(ConfigFile(_seen_from(home, path), _changed_at(path)) for path in app.project.files)


def _seen_from(home: Path, path: Path) -> str:
    return str(path.relative_to(home)) if path.is_relative_to(home) else path.name


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def detail(app: App, number: int) -> Detail:
    """NotFound (SY068) for a run that is none."""
    with app.store.reading() as tx:
        run: Run = runs.get(tx, number)
        kind, project = runs.made_with(tx, number)
        waiting = runs.waits(tx, run.connection)
        moves = fuse.moves_of(tx, number)
    told = standing.told(run)
    return Detail(
        connection=run.connection,
        kind=kind,
        run=told,
        seconds=_seconds(told),
        project=project,
        same_settings=project == app.project.fingerprint,
        moves=moves,
        waits=waiting is not None and waiting.id == number,
    )
