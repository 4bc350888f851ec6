"""Second step of the kernel: windows, frequency, repeats, fading, caps and bounds, as integer arithmetic on arrays.

The same function serves one lead and a million. Nothing here is a float, so no order of summation can change a digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Condition,
    Dimension,
    FieldTest,
    Frequency,
    Model,
    NoneOf,
    Rule,
)
from syncer.scoring.fading import factor_at, round_points
from syncer.scoring.match import Leaves, Matched, leaves_of
from syncer.scoring.predicates import RELATIVE
from syncer.scoring.values import HOUR_MS, epoch_ms

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_QUARTER_MS = HOUR_MS // 4
_ANCHOR_MS = epoch_ms(datetime.fromisoformat("1900-01-01T00:00:00+00:00"))  # a Monday, so 7d windows are weeks


@dataclass(frozen=True)
class Evaluation:
    """The points of n leads, in hundredths. Every dimension is the exact sum of its lines, the total of dimensions."""

    rules: Ints  # [n, rule], what each rule gives before its cap
    caps: Ints  # [n, rule], what its cap takes back (opposite sign)
    bounds: Ints  # [n, dimension], what the dimension's max or min adds
    dimensions: Ints  # [n, dimension]
    total: Ints  # [n]
    matches: Ints  # [n, rule], how many activities paid
    paid: tuple[tuple[Ints, Ints], ...]  # for each rule (row, time) of the activities that paid, sorted
    shortcuts: Bools  # [n, stage], the stage's `or_any` holds
    vetoes: Bools  # [n, veto]


@dataclass(frozen=True)
class _Now:
    """What a condition is looked at with."""

    matched: Matched
    leaves: Leaves
    as_of_ms: int
    timezone: str


def evaluate(matched: Matched, model: Model, as_of: datetime) -> Evaluation:
    """Points per rule, dimension and lead as of a time; later facts do not count."""
    now = _Now(matched, leaves_of(model), epoch_ms(as_of), model.timezone)
    every = [_rule_points(rule, now) for _, rule in model.rules]
    rules = _columns([points for points, _, _ in every], matched)
    caps = _columns([_cap(rules[:, i], rule) for i, (_, rule) in enumerate(model.rules)], matched)
    owner = [model.dimensions.index(dimension) for dimension, _ in model.rules]
    sums = _columns(
        [
            (rules + caps)[:, [i for i, o in enumerate(owner) if o == d]].sum(axis=1)
            for d in range(len(model.dimensions))
        ],
        matched,
    )
    bounds = _columns([_bound(sums[:, i], each) for i, each in enumerate(model.dimensions)], matched)
    return Evaluation(
        rules=rules,
        caps=caps,
        bounds=bounds,
        dimensions=sums + bounds,
        total=(sums + bounds).sum(axis=1),
        matches=_columns([count for _, count, _ in every], matched),
        paid=tuple(paid for _, _, paid in every),
        shortcuts=_flags([AnyOf(stage.or_any) for stage in model.stages], now),
        vetoes=_flags([veto.when for veto in model.vetoes], now),
    )


def _columns(columns: list[Ints], matched: Matched) -> Ints:
    return np.stack(columns, axis=1) if columns else np.zeros((matched.leads, 0), dtype=np.int64)


def _flags(conditions: list[Condition], now: _Now) -> Bools:
    columns = [_holds(condition, now) for condition in conditions]
    return np.stack(columns, axis=1) if columns else np.zeros((now.matched.leads, 0), dtype=np.bool_)


def _rule_points(rule: Rule, now: _Now) -> tuple[Ints, Ints, tuple[Ints, Ints]]:
    """(hundredths, matches that paid) of one rule for each lead, before its cap; and (row, time) of those matches."""
    counted = rule.counted
    if counted is None:
        pays = _holds(rule.when, now).astype(np.int64)
        return pays * rule.points, pays, (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    lead, at = _paying(rule, counted, now)
    if isinstance(rule.when, All):
        rest = tuple(part for part in rule.when.conditions if part is not counted)
        allowed = _holds(All(rest), now)[lead]
        lead, at = lead[allowed], at[allowed]
    factor = factor_at(rule.fade, (now.as_of_ms - at) // HOUR_MS)
    points = round_points(_per_lead(lead, factor, now), rule.points)
    return points, _per_lead(lead, np.ones_like(lead), now), (lead, at)


def _paying(rule: Rule, counted: ActivityTest, now: _Now) -> tuple[Ints, Ints]:
    """(lead, time) of the matches that pay: windows first, then frequency, then `at_least`, then each or the newest."""
    lead, at = _in_window(counted, now)
    if rule.frequency is not None:
        window = calendar_window(at, rule.frequency, now.timezone)
        order = np.lexsort((at, window, lead))  # a clock set back may lead back into an earlier window
        first = np.zeros(len(lead), dtype=np.bool_)
        first[order] = _rank(lead[order], window[order]) < rule.frequency.count
        lead, at = lead[first], at[first]
    rank = _rank(lead)
    if rule.each:
        pays = rank >= rule.at_least - 1
    else:
        count = _per_lead(lead, np.ones_like(lead), now)[lead]
        pays = (rank == count - 1) & (count >= rule.at_least)
    return lead[pays], at[pays]


def _in_window(test: ActivityTest, now: _Now) -> tuple[Ints, Ints]:
    """(lead, time) of the activities that count as of now: none from the future, none older than the window."""
    lead, at = now.matched.hits(now.leaves.number(test))
    counts = at <= now.as_of_ms
    if test.in_last_ms is not None:
        counts &= at >= now.as_of_ms - test.in_last_ms
    return lead[counts], at[counts]


def _rank(*sorted_keys: Ints) -> Ints:
    """0, 1, 2 ... within each run of equal keys; the arrays are sorted so that equal keys stand together."""
    length = len(sorted_keys[0])
    positions = np.arange(length, dtype=np.int64)
    if length == 0:
        return positions
    new = np.zeros(length, dtype=np.bool_)
    for key in sorted_keys:
        new[1:] |= key[1:] != key[:-1]
    starts = np.maximum.accumulate(np.where(new, positions, 0))
    rank: Ints = positions - starts
    return rank


def _per_lead(lead: Ints, amounts: Ints, now: _Now) -> Ints:
    """The exact sum of the amounts of each lead; `lead` is sorted."""
    sums = np.zeros(now.matched.leads, dtype=np.int64)
    np.add.at(sums, lead, amounts)
    return sums


def calendar_window(at: Ints, frequency: Frequency, timezone: str) -> Ints:
    """The number of the calendar window each time falls into, on the wall clock of the time zone."""
    quarters, back = np.unique(at // _QUARTER_MS, return_inverse=True)
    offsets = np.array([_offset_ms(timezone, int(quarter)) for quarter in quarters], dtype=np.int64)
    windows: Ints = (at + offsets[back] - _ANCHOR_MS) // frequency.every_ms
    return windows


@lru_cache(maxsize=1 << 17)
def _offset_ms(timezone: str, quarter: int) -> int:
    """The zone's distance from UTC in milliseconds during that quarter of an hour since 1970. Clocks change on the
    quarter in UTC (Adelaide's on the half hour), but for a few that once changed within it."""
    start = datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(milliseconds=quarter * _QUARTER_MS)
    offset = start.astimezone(ZoneInfo(timezone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) * 1000


def _holds(condition: Condition, now: _Now) -> Bools:
    """For each lead: does the condition hold as of now?"""
    if isinstance(condition, FieldTest):
        return _field_holds(condition, now)
    if isinstance(condition, ActivityTest):
        lead, _ = _in_window(condition, now)
        found = np.zeros(now.matched.leads, dtype=np.bool_)
        found[lead] = True
        return found
    parts = [_holds(part, now) for part in condition.conditions]
    none = np.zeros(now.matched.leads, dtype=np.bool_)
    if isinstance(condition, All):
        both: Bools = np.logical_and.reduce([~none, *parts])
        return both
    either: Bools = np.logical_or.reduce([none, *parts])
    return ~either if isinstance(condition, NoneOf) else either


def _field_holds(test: FieldTest, now: _Now) -> Bools:
    number = now.leaves.number(test)
    if test.operator not in RELATIVE:
        bits: Bools = now.matched.bits[:, number]
        return bits
    lead, at = now.matched.hits(number)
    age, span = now.as_of_ms - at, int(float(str(test.argument)))
    holds = (age >= 0) & (age <= span) if test.operator == "newer_than" else age > span
    answer = np.zeros(now.matched.leads, dtype=np.bool_)
    answer[lead] = holds != test.negated
    return answer


def _cap(points: Ints, rule: Rule) -> Ints:
    """What the cap takes back; it bounds the size of what a rule gives, also of what it takes."""
    if rule.cap is None:
        return np.zeros_like(points)
    taken: Ints = np.clip(points, -rule.cap, rule.cap) - points
    return taken


def _bound(sums: Ints, dimension: Dimension) -> Ints:
    bounded = sums
    if dimension.max is not None:
        bounded = np.minimum(bounded, dimension.max)
    if dimension.min is not None:
        bounded = np.maximum(bounded, dimension.min)
    change: Ints = bounded - sums
    return change
