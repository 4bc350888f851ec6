"""What rules would have done: stages, hand-offs and a back-test, replayed day by day from what was known then. Pure.

A replay knows the rules alone: no overrides, and nothing of stages that belong to others. On its first day a lead is
placed by the gates; from then on the stage machine goes on from where it stood, with slack, dwell and owned stages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from syncer import scoring
from syncer.history import History, merged_fields, signals_at, versions_at
from syncer.measures import Share, auc, top_decile_lift
from syncer.model import Signals, StageState, Value
from syncer.planning import marks_of
from syncer.rules import FieldTest, Model, Segment
from syncer.scoring.conditions import questions
from syncer.scoring.predicates import predicate
from syncer.scoring.values import epoch_ms, moment_ms
from syncer.stages import Hands, Marks, Occasion, next_state

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST = 30
"""Fewer leads with an outcome than this tell nothing."""

_DAY = timedelta(days=1)
_NONE = -1  # the rank of a lead that no rules have placed yet; the row of one of which nothing is known
_NEVER = np.iinfo(np.int64).max
_ROOM = 1 << 61  # greater numbers could not be doubled any more
_NOBODY = Hands()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules to replay: the models with their segments, and the stage that is handed to sales."""

    segments: tuple[Segment, ...]
    handoff_stage: str

    @property
    def stages(self) -> tuple[str, ...]:
        """Coldest first; all segments have the same."""
        return tuple(stage.name for stage in self.segments[0].model.stages)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a lead ended, and since when that was known."""

    won: bool
    at: datetime


@dataclass(frozen=True)
class Day:
    """One replayed day of n leads."""

    at: datetime
    active: Bools  # [n], known by then, and not ended yet
    before: Ints  # [n], the rank of the stage on the day before; -1: none yet
    ranks: Ints  # [n]
    totals: Ints  # [n], hundredths; of the last day on which the lead was active


@dataclass(frozen=True, slots=True)
class Replayed:
    """Some leads on the last day of a replay, in the order of their histories, and what sales got on the way."""

    stages: tuple[str | None, ...]  # None: nothing was known of it, or no segment is for it
    totals: tuple[int, ...]  # hundredths
    handoffs: tuple[int, ...]  # of each week, the oldest first
    unsure: int  # qualified at first sight though they had acted before: nobody knows when, so they are in no week


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rules made of one lead before its end."""

    won: bool
    qualified: bool  # stood in the hand-off stage on a day before
    total: int  # hundredths, on the last day before


@dataclass(frozen=True, slots=True)
class BackTest:
    """How the leads ended of which something was known before."""

    leads: int
    won: Share  # of those won, how many had qualified before
    qualified: Share  # of those that had qualified, how many were won
    auc: float | None  # of the total on the day before the end; None without both won and lost
    lift: float | None
    unknown: int  # ended before anything was known of them, so they are in none of the numbers

    @property
    def too_few(self) -> bool:
        """Is there too little to tell anything from?"""
        return self.leads < FEWEST or self.won.vague or self.qualified.vague


def days_until(now: datetime, weeks: int) -> tuple[datetime, ...]:
    """The same time of each day (24 hours apart), the last one now: one more than the weeks have days."""
    return tuple(now - _DAY * back for back in range(weeks * 7, -1, -1))


def replay(
    histories: Sequence[History], rules: RuleSet, days: Sequence[datetime], endings: Sequence[Ending | None]
) -> Replayed:
    """Where the rules have the leads on the last day, and how many they handed to sales in each week of the way.

    The first day hands nobody over, nor does the first sight of a lead that had acted before. A lead that has ended is
    not handed over any more.
    """
    handed, ended = rules.stages.index(rules.handoff_stage), _ends(endings)
    acted = np.array([_first_act(history) for history in histories], dtype=np.int64)
    ranks, totals = np.full(len(histories), _NONE), np.zeros(len(histories), dtype=np.int64)
    weeks, unsure = [0] * ((len(days) - 1) // 7), 0
    for number, day in enumerate(walk(histories, rules, days)):
        ranks, totals = day.ranks, day.totals
        enters = day.active & (ranks == handed) & (day.before != handed) & (ended > epoch_ms(day.at))
        late = enters & (day.before == _NONE) & (acted < epoch_ms(day.at - _DAY))
        if number:
            weeks[(number - 1) // 7] += int((enters & ~late).sum())
            unsure += int(late.sum())
    stages = tuple(None if rank == _NONE else rules.stages[rank] for rank in ranks.tolist())
    return Replayed(stages, tuple(totals.tolist()), tuple(weeks), unsure)


def trials(
    histories: Sequence[History], rules: RuleSet, days: Sequence[datetime], endings: Sequence[Ending]
) -> list[Trial | None]:
    """Each lead as the rules saw it on the days before its end; None where nothing was known of it by then."""
    handed = rules.stages.index(rules.handoff_stage)
    ranks, totals = np.full(len(histories), _NONE), np.zeros(len(histories), dtype=np.int64)
    qualified = np.zeros(len(histories), dtype=np.bool_)
    for day in walk(histories, rules, days, endings):
        ranks, totals = day.ranks, day.totals
        qualified |= ranks == handed
    return [
        Trial(ending.won, bool(qualified[lead]), int(totals[lead])) if ranks[lead] != _NONE else None
        for lead, ending in enumerate(endings)
    ]


def back_test(tried: Sequence[Trial | None]) -> BackTest:
    """All trials of one rule set in a few numbers."""
    known = [trial for trial in tried if trial is not None]
    totals, won = [trial.total for trial in known], [trial.won for trial in known]
    both = sum(trial.won and trial.qualified for trial in known)
    return BackTest(
        leads=len(known),
        won=Share(both, sum(won)),
        qualified=Share(both, sum(trial.qualified for trial in known)),
        auc=auc(totals, won),
        lift=top_decile_lift(totals, won) if not all(won) else None,
        unknown=len(tried) - len(known),
    )


def ending(
    history: History, won: FieldTest, lost: FieldTest | None, at_field: str | None, now: datetime
) -> Ending | None:
    """How the lead has ended by now: known since its fields say so without a break, or since the date in `at_field`
    where that is earlier. None where they say neither won nor lost."""
    tests = [(predicate(won), True), *([(predicate(lost), False)] if lost else [])]

    def said(moment: datetime) -> bool | None:
        fields = _fields_at(history, moment)
        return next((answer for holds, answer in tests if holds(fields.get(won.field))), None)

    answer, since = said(now), now
    if answer is None:
        return None
    for moment in sorted({version.since for version in history.versions if version.since <= now}, reverse=True):
        if said(moment) != answer:
            break
        since = moment
    dated_ms = moment_ms(_fields_at(history, now).get(at_field)) if at_field else None
    dated = since if dated_ms is None else _EPOCH + timedelta(milliseconds=dated_ms)
    return Ending(answer, min(since, dated))


def _fields_at(history: History, moment: datetime) -> Mapping[str, Value]:
    return merged_fields(versions_at(history, moment).values())


def _ends(endings: Sequence[Ending | None]) -> Ints:
    return np.array([epoch_ms(each.at) if each else _NEVER for each in endings], dtype=np.int64)


def _first_act(history: History) -> int:
    return min((epoch_ms(each.signal.at) for each in history.activities), default=_NEVER)


# The walk.


@dataclass(frozen=True, slots=True)
class _Rows:
    """The leads' signals: one row for each day on which a lead's facts had changed, by lead and day."""

    signals: list[Signals]
    begins: list[list[tuple[int, int]]]  # for each day the (lead, row) that hold from it on; row -1: nothing is known


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where n leads stand between two days."""

    ranks: Ints
    since: Ints  # epoch milliseconds
    totals: Ints


def walk(
    histories: Sequence[History],
    rules: RuleSet,
    days: Sequence[datetime],
    endings: Sequence[Ending | None] | None = None,
) -> Iterator[Day]:
    """The leads on each day; from its end on a lead is not looked at any more.

    Facts are matched once for each day on which those of a lead had changed, not once a day.
    """
    ended = _ends(endings if endings is not None else [None] * len(histories))
    rows = _rows(histories, days, ended)
    scorers = [(segment.model, scoring.match(rows.signals, segment.model)) for segment in rules.segments]
    asked = questions([segment.when for segment in rules.segments])
    chooser = (asked, scoring.match(rows.signals, asked))
    current = np.full(len(histories), _NONE)
    standing = _Standing(current.copy(), np.zeros_like(current), np.zeros_like(current))
    for day, begins in zip(days, rows.begins, strict=True):
        for lead, row in begins:
            current[lead] = row
        active = (current != _NONE) & (ended > epoch_ms(day))
        before = standing.ranks
        standing = _next_day(standing, (np.flatnonzero(active), current[active]), (chooser, *scorers), day)
        yield Day(day, active, before, standing.ranks, standing.totals)


def _rows(histories: Sequence[History], days: Sequence[datetime], ended: Ints) -> _Rows:
    signals: list[Signals] = []
    begins: list[list[tuple[int, int]]] = [[] for _ in days]
    for lead, history in enumerate(histories):
        for number in _turning_days(history, days):
            if epoch_ms(days[number]) >= ended[lead]:
                break
            live = any(versions[-1].live for versions in versions_at(history, days[number]).values())
            begins[number].append((lead, len(signals) if live else _NONE))
            if live:
                signals.append(signals_at(history, days[number]))
    return _Rows(signals, begins)


def _turning_days(history: History, days: Sequence[datetime]) -> list[int]:
    """The numbers of the days on which something is known, or not believed any more, that was not the day before."""
    times = chain(
        (version.since for version in history.versions),
        (each.signal.seen_at or each.signal.at for each in history.activities),
        (each.until for each in history.activities if each.until is not None),
        (reading.seen_at for reading in history.readings),
    )
    return sorted({bisect_left(days, time) for time in times} - {len(days)})


_Matcher = tuple[Model, scoring.Matched]


def _next_day(standing: _Standing, here: tuple[Ints, Ints], matchers: Sequence[_Matcher], day: datetime) -> _Standing:
    """`here`: the leads to look at, and the row of each. `matchers`: who asks for the segment, then each segment's."""
    leads, rows = here
    if not len(leads):
        return standing
    (asked, answers), *scorers = matchers
    fits = scoring.evaluate(_taken(answers, rows), asked, day).vetoes
    ranks, since, totals = standing.ranks.copy(), standing.since.copy(), standing.totals.copy()
    for number, (model, matched) in enumerate(scorers):
        mine = fits[:, number] & ~fits[:, :number].any(axis=1)
        if not mine.any():
            continue
        theirs = leads[mine]
        evaluation = scoring.evaluate(_taken(matched, rows[mine]), model, day)
        placed = _placed(model, evaluation, (ranks[theirs], since[theirs]), day)
        since[theirs] = np.where(placed != ranks[theirs], epoch_ms(day), since[theirs])
        ranks[theirs], totals[theirs] = placed, evaluation.total
    return _Standing(ranks, since, totals)


def _taken(matched: scoring.Matched, rows: Ints) -> scoring.Matched:
    """Only these rows, which ascend, numbered anew."""
    place = np.full(matched.leads, _NONE)
    place[rows] = np.arange(len(rows))
    lead = place[matched.hit_lead]
    kept = lead != _NONE
    return scoring.Matched(matched.bits[rows], matched.hit_leaf[kept], lead[kept], matched.hit_at[kept])


def _placed(model: Model, evaluation: scoring.Evaluation, stood: tuple[Ints, Ints], day: datetime) -> Ints:
    """The next rank of each lead; `stood` is the rank and since when (epoch milliseconds).

    The stage machine is asked once for all leads that look the same to it: same rank, old enough to move down or not,
    the same gates passed, the same shortcuts and vetoes.
    """
    ranks, since = stood
    dwell = np.array([*(stage.dwell_ms for stage in model.stages), 0])  # the last one for those without a rank: -1
    young = epoch_ms(day) - since < dwell[ranks]
    gates = [scoring.passed(gate, evaluation, model) for gate in scoring.gates_of(model)]
    kind = _kinds(ranks, [young, *gates, *evaluation.shortcuts.T, *evaluation.vetoes.T])
    _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
    answers = [
        _next_rank(model, marks_of(model, evaluation, row), (int(ranks[row]), int(since[row])), day)
        for row in first.tolist()
    ]
    return np.array(answers, dtype=np.int64)[kind]


def _kinds(ranks: Ints, flags: Sequence[Bools]) -> Ints:
    """A number for each lead, the same for those with the same rank and flags."""
    kinds = ranks + 1
    for flag in flags:
        kinds = kinds * 2 + flag
        if kinds.max() >= _ROOM:
            kinds = np.unique(kinds, return_inverse=True)[1]
    return kinds


def _next_rank(model: Model, marks: Marks, stood: tuple[int, int], day: datetime) -> int:
    rank, since_ms = stood
    previous = None
    if rank != _NONE:
        name = model.stages[rank].name
        previous = StageState(name, name, since=day - timedelta(milliseconds=epoch_ms(day) - since_ms))
    return model.stage_rank(next_state(previous, marks, model, _NOBODY, Occasion(day, "fading")).stage)
