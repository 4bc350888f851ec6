"""How connections stand: their runs, what waits, and who works on them. What is read at once is apart from figures that
take a while to count in a large base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from syncer.app import App
from syncer.log import redact
from syncer.model import NoticeState, Run
from syncer.store import decisions, mirror, outbox, queues, runs, vitals, workers, write_backs

GOOD = ("ok", "partial")
BAD = ("failed", "crashed")
LAST_RUNS = 96
_SHOWN_REASONS = 5


@dataclass(frozen=True, slots=True)
class RunTold:
    """A run, fit to be shown."""

    run: int
    outcome: str
    started_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int]
    error: str | None


@dataclass(frozen=True, slots=True)
class Rest:
    """Why nothing is asked of the CRM for now."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Present:
    """A connection and its last runs. Health is that of full runs: a quick one asks the CRM for little, and fares well
    where a full one fails."""

    last: tuple[RunTold, ...]  # full runs, the latest first
    last_good: datetime | None  # when the last good one ended
    failures_in_a_row: int  # that got nothing from the CRM
    outages: Mapping[runs.Kind, str]  # kind of run -> the code of what keeps it from working now
    quick_today: int
    last_quick: RunTold | None
    next_run: datetime | None
    parked: Rest | None
    held_by: str | None  # who is at work on it
    waiting: int | None  # the run whose plan waits at the fuse
    approved: bool  # and a person has let it go

    @property
    def last_run(self) -> RunTold | None:
        return self.last[0] if self.last else None

    @property
    def failed(self) -> tuple[RunTold, ...]:
        return tuple(run for run in self.last if run.outcome in BAD)

    def late_s(self, now: datetime) -> float:
        """How long a run has been due with nobody at work on it; 0: it is not late."""
        if self.held_by or self.parked or self.next_run is None:
            return 0.0
        return max(0.0, (now - self.next_run).total_seconds())


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted of a connection."""

    leads: int
    stages: Mapping[str, int]  # those that have leads, in the project's order
    write_backs: Mapping[str, int]  # pending, put_off, given_up
    refused: Mapping[str, int]  # why the CRM did not take something -> how many records; the most frequent first
    notices: Mapping[NoticeState, int]
    rejected: int  # records that cannot be read
    makes_no_sense: Mapping[str, int]  # of records that were read but for a part: why -> how many


@dataclass(frozen=True, slots=True)
class WorkerTold:
    """A process of the fleet."""

    holder: str
    started_at: datetime
    seen_at: datetime
    version: str
    places: int
    busy: int
    alive: bool


@dataclass(frozen=True, slots=True)
class Fleet:
    workers: tuple[WorkerTold, ...]
    queue: queues.Waiting | None
    lag_s: float  # of the most overdue connection that somebody might work on

    @property
    def versions(self) -> frozenset[str]:
        """Of those that are alive; there should be one."""
        return frozenset(each.version for each in self.workers if each.alive)


def presents(app: App, names: Sequence[str]) -> dict[str, Present]:
    """A few statements, however many connections there are."""
    now = app.clock()
    with app.store.reading() as tx:
        last, quick = vitals.last_runs(tx, names, "full", LAST_RUNS), vitals.last_runs(tx, names, "quick", 1)
        today, rows = vitals.runs_since(tx, names, midnight(app)), vitals.conditions(tx, names, now)
        held, waiting = vitals.holders(tx, names, now), vitals.waiting(tx, names)
    quick_today: Counter[str] = Counter()
    for (name, kind, _), count in today.items():
        quick_today[name] += count if kind == "quick" else 0
    return {
        name: Present(
            last=tuple(map(told, last[name])),
            last_good=next((run.finished_at for run in last[name] if run.outcome in GOOD), None),
            failures_in_a_row=row.failures,
            outages=row.outages,
            quick_today=quick_today[name],
            last_quick=next(map(told, quick[name]), None),
            next_run=max(row.due_at, row.parked.until) if row.due_at and row.parked else row.due_at,
            parked=Rest(row.parked.until, redact(row.parked.reason)) if row.parked else None,
            held_by=held.get(name),
            waiting=waiting.get(name),
            approved=name in waiting and row.word_on == waiting[name],
        )
        for name, row in ((name, rows.get(name, vitals.Condition())) for name in names)
    }


def figures(app: App, name: str) -> Figures:
    """Takes a while in a large base."""
    with app.store.reading() as tx:
        counts = decisions.stage_counts(tx, name)
        return Figures(
            leads=mirror.count(tx, name),
            stages={stage: counts[stage] for stage in app.project.stages if stage in counts},
            write_backs=write_backs.counts(tx, name),
            refused=_told(write_backs.reasons(tx, name, _SHOWN_REASONS)),
            notices=outbox.counts(tx, name),
            rejected=vitals.unreadable(tx, [name]).get((name,), 0),
            makes_no_sense=_told(mirror.reasons_in_part(tx, name, _SHOWN_REASONS)),
        )


def fleet(app: App, connections: Iterable[Present]) -> Fleet | None:
    """Who works on this database, what waits in their queue, and how late they are. None: no workers."""
    now = app.clock()
    with app.store.reading() as tx:
        known, queue = workers.known(tx), queues.waiting(tx)
    if not known:
        return None
    at_work = tuple(_worker(each, now) for each in known)
    return Fleet(at_work, queue, round(max([0.0, *(each.late_s(now) for each in connections)]), 1))


def _worker(known: workers.Worker, now: datetime) -> WorkerTold:
    alive = now - known.seen_at <= workers.ALIVE_FOR
    return WorkerTold(
        *(known.holder, known.started_at, known.seen_at, known.version, known.places, known.busy), alive=alive
    )


def is_stale(last_good: datetime | None, oldest: timedelta | None, now: datetime) -> bool:
    """Whether the last good run is longer ago than it may be; `oldest` None: it may be any time ago."""
    return oldest is not None and (last_good is None or now - last_good > oldest)


def told(run: Run) -> RunTold:
    error = redact(run.error) if run.error else None
    return RunTold(run.id, run.outcome, run.started_at, run.finished_at, dict(run.counts), error)


def midnight(app: App) -> datetime:
    """When today began, in the project's time zone."""
    here = app.clock().astimezone(ZoneInfo(app.project.timezone))
    return here.replace(hour=0, minute=0, second=0, microsecond=0)


def requests_today(tx: Connection, app: App, names: Sequence[str]) -> Mapping[str, int]:
    """Connection -> requests to its CRM that the finished runs of today have counted."""
    spent = vitals.calls_since(tx, names, midnight(app))
    return {name: spent.get((name,), 0) for name in names}


def _told(reasons: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Fit to be shown, where two may come to read alike."""
    found: Counter[str] = Counter()
    for reason, count in reasons:
        found[redact(reason)] += count
    return dict(found)
