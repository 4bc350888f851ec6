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
from syncer.store import decisions, leases, mirror, outbox, queues, runs, workers, write_backs

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
    quick_today: int
    last_quick: RunTold | None
    next_run: datetime | None
    parked: Rest | None
    held_by: str | None  # who is at work on it

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


def present(app: App, name: str) -> Present:
    with app.store.reading() as tx:
        now = app.clock()
        last = tuple(map(told, runs.last(tx, name, LAST_RUNS, "full")))
        quick = runs.last(tx, name, 1, "quick")
        held = leases.holder_of(tx, name)
        due, parked = runs.due_at(tx, name), runs.parked(tx, name, now)
        return Present(
            last=last,
            last_good=next((run.finished_at for run in last if run.outcome in GOOD), None),
            failures_in_a_row=runs.failures(tx, name),
            quick_today=runs.begun(tx, name, "quick", midnight(app)),
            last_quick=told(quick[0]) if quick else None,
            next_run=max(due, parked.until) if due and parked else due,
            parked=Rest(parked.until, redact(parked.reason)) if parked else None,
            held_by=held[0] if held and held[1] > now else None,
        )


def figures(app: App, name: str) -> Figures:
    """Takes a while in a large base."""
    with app.store.reading() as tx:
        counts, rejections = decisions.stage_counts(tx, name), mirror.rejections(tx, name)
        return Figures(
            leads=mirror.count(tx, name),
            stages={stage: counts[stage] for stage in app.project.stages if stage in counts},
            write_backs=write_backs.counts(tx, name),
            refused=_most_frequent(each.reason for each in write_backs.troubles(tx, name)),
            notices=outbox.counts(tx, name),
            rejected=sum(not each.arrived for each in rejections),
            makes_no_sense=_most_frequent(each.rejected.reason for each in rejections if each.arrived),
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
    since = midnight(app)
    return {name: runs.spent(tx, name, since) for name in names}


def _most_frequent(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(map(redact, reasons)).most_common(_SHOWN_REASONS))
