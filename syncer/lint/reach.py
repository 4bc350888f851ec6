"""How far can points go? The least and the most that rules, dimensions and the total can ever give, in hundredths.

These are bounds: no lead is outside of them, though perhaps nobody can have all of it at once. Without a bound, the
most is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from syncer.lint.conflicts import conflict
from syncer.rules import DIMENSIONS, Dimension, Gate, Model, Rule, duration_text

_CLOCKS_FROM = datetime(1990, 1, 1, tzinfo=UTC)
_CLOCKS_YEARS = 60


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included; whole hundredths or infinite."""

    low: float
    high: float

    @property
    def empty(self) -> bool:
        return self.low > self.high

    def within(self, other: Range) -> Range:
        """What both have."""
        return Range(max(self.low, other.low), min(self.high, other.high))


ANYTHING = Range(-math.inf, math.inf)
Ranges = Mapping[str, Range]  # measure -> what it can be


def never(rule: Rule, timezone: str) -> str | None:
    """Why the rule pays nobody at any time, in words; None where it may pay."""
    most = _most_matches(rule, timezone)
    if rule.at_least > most and rule.counted is not None and rule.counted.in_last_ms is not None:
        within = duration_text(rule.counted.in_last_ms)
        return f"it pays from match {rule.at_least} on, and at most {most:g} count within {within}"
    return conflict(rule.when)


def one_payment(rule: Rule) -> int:
    """What the newest match alone gives when it is fresh, in hundredths."""
    return rule.points if rule.cap is None else max(-rule.cap, min(rule.cap, rule.points))


def ranges_of(model: Model) -> Ranges:
    """What each dimension and the total can be; a dimension without rules is nothing, always."""
    found = {name: Range(0, 0) for name in DIMENSIONS}
    found |= {each.name: _of_dimension(each, model.timezone) for each in model.dimensions}
    return found | {"total": _sum(found.values())}


def most_of(rules: Iterable[Rule], timezone: str) -> float:
    """What rules give together at most, in hundredths, whatever the bounds of their dimension."""
    return _sum(_of_rule(rule, timezone) for rule in rules).high


def agree(gates: Iterable[Gate], ranges: Ranges) -> bool:
    """Can one lead have points that pass all of the gates?"""
    left = dict(ranges)
    for gate in gates:
        left[gate.measure] = left[gate.measure].within(allowed(gate))
    left["total"] = left["total"].within(_sum(left[name] for name in DIMENSIONS))
    return not any(each.empty for each in left.values())


def allowed(gate: Gate) -> Range:
    """The points that pass the gate."""
    if gate.comparison in (">=", ">"):
        return Range(gate.threshold + (gate.comparison == ">"), math.inf)
    return Range(-math.inf, gate.threshold - (gate.comparison == "<"))


def _sum(ranges: Iterable[Range]) -> Range:
    every = list(ranges)
    return Range(sum(each.low for each in every), sum(each.high for each in every))


def _of_dimension(dimension: Dimension, timezone: str) -> Range:
    whole = _sum(_of_rule(rule, timezone) for rule in dimension.rules)
    return Range(_bound(whole.low, dimension), _bound(whole.high, dimension))


def _bound(points: float, dimension: Dimension) -> float:
    """As `evaluate` does it: first the most, then the least."""
    bounded = points if dimension.max is None else min(points, dimension.max)
    return bounded if dimension.min is None else max(bounded, dimension.min)


def _of_rule(rule: Rule, timezone: str) -> Range:
    """Fading only brings points nearer to nothing."""
    if not rule.points or never(rule, timezone) is not None:
        return Range(0, 0)
    repeats = rule.each and rule.counted is not None
    times = _most_matches(rule, timezone) - rule.at_least + 1 if repeats else 1
    most = times * rule.points
    if rule.cap is not None:
        most = max(-rule.cap, min(rule.cap, most))
    return Range(min(most, 0), max(most, 0))


def _most_matches(rule: Rule, timezone: str) -> float:
    """How many activities the rule's windows let count at one time."""
    counted = rule.counted
    if counted is None:
        return 1
    if counted.in_last_ms is None or rule.frequency is None:
        return math.inf
    wall_ms = counted.in_last_ms + _clock_changes_ms(timezone)
    windows = -(-wall_ms // rule.frequency.every_ms) + 1  # it may begin at the end of one and end at the start of one
    return rule.frequency.count * windows


@lru_cache(maxsize=64)
def _clock_changes_ms(timezone: str) -> int:
    """By how much the zone's clocks are set forward and back: a window of time may span so much more on the wall."""
    zone = ZoneInfo(timezone)
    days = (_CLOCKS_FROM + timedelta(days=day) for day in range(0, _CLOCKS_YEARS * 365, 15))
    offsets = [offset for day in days if (offset := day.astimezone(zone).utcoffset()) is not None]
    return int((max(offsets) - min(offsets)).total_seconds() * 1000)
