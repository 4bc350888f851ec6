"""Leads counted under other rules: in chunks of bounded memory, replayed under one or two rule sets; all of them, or a
sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import compress

from syncer import deciding
from syncer.app import App, Progress, quiet
from syncer.errors import NotFound, Stopped
from syncer.history import History
from syncer.model import Lead
from syncer.settings import Outcome
from syncer.simulation import Ending, RuleSet, Trial, days_until, ending, replay, trials
from syncer.store import mirror
from syncer.store.histories import histories
from syncer.store.leads import Which
from syncer.store.sampling import sample

_CHUNK = 2000  # leads; each has a row for every day on which something of it changed
_BATCH = 2000  # leads of the back-test
ENDED_WEEKS = 52  # outcomes of the last year are looked at ...
_TRIED_WEEKS = 104  # ... and each lead from a year before at the latest
UNPLACED = "(none)"  # no segment is for the lead

Showing = Callable[[str], AbstractContextManager[Progress]]
"""Shows how far the counting of a connection is. What it raises ends the counting."""


def unseen(_connection: str) -> AbstractContextManager[Progress]:
    return nullcontext(quiet)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the rule sets, by the name people know it."""

    name: str
    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Move:
    """A lead that the two sides place differently."""

    id: int
    lead: str  # its record's key
    email: str | None
    stages: tuple[str, str]
    totals: tuple[int, int]  # hundredths


@dataclass
class Tally:
    """What came out, counted chunk by chunk; lists and tuples have one entry for each side."""

    places: Counter[tuple[str, ...]] = field(default_factory=Counter)  # (stage by each side) -> leads
    moves: list[Move] = field(default_factory=list)
    protected: int = 0
    handoffs: list[list[int]] = field(default_factory=list)  # [side][week]
    unsure: list[int] = field(default_factory=list)  # [side], qualified nobody knows when
    tried: list[list[Trial | None]] = field(default_factory=list)  # [side]
    older: int = 0  # ended longer ago than is looked at
    waiting: list[tuple[History, Ending]] = field(default_factory=list)  # for the back-test: many at a time cost less


@dataclass(frozen=True, slots=True)
class Task:
    """What to replay: the sides, the days for the hand-offs, how leads end, and of whom it is told that they move."""

    sides: tuple[Side, ...]
    days: tuple[datetime, ...]
    outcome: Outcome | None
    most_moves: int | None  # so many for each pair of stages are kept; None: all of them
    only: Mapping[str, Sequence[int]] | None = None  # the leads of each connection; None: all of them

    @property
    def now(self) -> datetime:
        return self.days[-1]

    @property
    def past(self) -> tuple[datetime, ...]:
        """The days of the back-test."""
        return days_until(self.now, _TRIED_WEEKS)


def sampled(app: App, connection: str | None, most: int) -> tuple[dict[str, list[int]] | None, int]:
    """(of each connection some leads from all over it, as many of 100 as of the other ones; how many leads there are).
    None: there are no more than that, so nobody is left out."""
    with app.store.reading() as tx:
        counts = {each.name: mirror.count(tx, each.name) for each in app.chosen(connection)}
        total = sum(counts.values())
        if total <= most:
            return None, total
        return {name: sample(tx, name, round(most * leads / total)) for name, leads in counts.items()}, total


def tallied(app: App, connection: str | None, task: Task, showing: Showing = unseen) -> Tally:
    """The live leads of the connections asked for. NotFound (SY110) where there are none; Stopped."""
    sides, weeks = len(task.sides), (len(task.days) - 1) // 7
    tally = Tally(handoffs=[[0] * weeks] * sides, unsure=[0] * sides, tried=[[] for _ in task.sides])
    rules, done = deciding.fingerprint(app.project.segments), 0  # with them, activities are read only once
    for each in app.chosen(connection):
        which: Which = "all" if task.only is None else task.only[each.name]
        with showing(each.name) as moves:
            for leads in mirror.chunks(app.store, each.name, which=which, now=task.now, size=_CHUNK, rules=rules):
                if app.stop.is_set():
                    raise Stopped("the leads are not counted")
                known = list(histories(app.store, [lead.id for lead in leads], size=_CHUNK))
                _count(tally, task, {lead.id: lead for lead in leads}, known)
                done += len(leads)
                moves("score", "leads", done, None)
    _try(tally, task)
    if not done:
        raise NotFound("no lead is known yet; `syncer plan` reads them and writes nothing to the CRM", code="SY110")
    return tally


def _count(tally: Tally, task: Task, leads: Mapping[int, Lead], known: Sequence[History]) -> None:
    ends = [_ending(history, task) for history in known]
    _wait(tally, task, known, ends)
    ours = [not any(record.protected for record in leads[history.lead].records) for history in known]
    tally.protected += ours.count(False)
    known, ends = list(compress(known, ours)), list(compress(ends, ours))
    placed = [replay(known, side.rules, task.days, ends) for side in task.sides]
    for side, there in enumerate(placed):
        tally.unsure[side] += there.unsure
        tally.handoffs[side] = [sum(pair) for pair in zip(tally.handoffs[side], there.handoffs, strict=True)]
    for row, history in enumerate(known):
        stages = tuple(there.stages[row] or UNPLACED for there in placed)
        tally.places[stages] += 1
        if len(set(stages)) == 2 and (task.most_moves is None or tally.places[stages] <= task.most_moves):
            record = leads[history.lead].records[0]
            totals = (placed[0].totals[row], placed[1].totals[row])
            tally.moves.append(Move(history.lead, str(record.key), record.email, (stages[0], stages[1]), totals))


def _ending(history: History, task: Task) -> Ending | None:
    outcome = task.outcome
    return None if outcome is None else ending(history, outcome.won, outcome.lost, outcome.at, task.now)


def _wait(tally: Tally, task: Task, known: Sequence[History], ends: Sequence[Ending | None]) -> None:
    """Those that ended within a year are kept for the back-test."""
    begin = task.now - timedelta(weeks=ENDED_WEEKS)
    ended = [(history, end) for history, end in zip(known, ends, strict=True) if end is not None]
    recent = [(history, end) for history, end in ended if end.at >= begin]
    tally.older += len(ended) - len(recent)
    tally.waiting += recent
    if len(tally.waiting) >= _BATCH:
        _try(tally, task)


def _try(tally: Tally, task: Task) -> None:
    for side, tried in zip(task.sides, tally.tried, strict=True):
        ends = [end for _, end in tally.waiting]
        tried += trials([history for history, _ in tally.waiting], side.rules, task.past, ends)
    tally.waiting.clear()
