"""The ledger of one lead: every line that gave or took points, with its evidence, adding up exactly.

The points come from the kernel; here they only get their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from syncer.model import ActivitySignal, Contribution, Ignored, Score, Signals, Value
from syncer.rules import ActivityTest, All, AnyOf, Condition, Dimension, FieldTest, Ignore, Model, NoneOf, Rule, leaves
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.hygiene import Sifted, meets, sieve
from syncer.scoring.match import match
from syncer.scoring.predicates import RELATIVE
from syncer.scoring.values import epoch_ms, is_set, text

_MOST_DATES = 5  # evidence names so many days of a repeated activity; the count is always given
_LONGEST_VALUE = 80

Bound = Literal["max", "min"]


def score(signals: Signals, model: Model, as_of: datetime) -> Score:
    """One lead's score with every contribution; the same hundredths as in a chunk of a million."""
    return score_of(signals, model, as_of, evaluate(match([signals], model), model, as_of), 0)


def score_of(signals: Signals, model: Model, as_of: datetime, evaluation: Evaluation, row: int) -> Score:
    """The score of the lead in one row of an evaluation, with its ledger written out."""
    sifted = sieve(model)(signals)
    words = _Words(signals, model, as_of, sifted)
    return Score(
        lead=signals.lead,
        as_of=as_of,
        model=model.version,
        dimensions=dimensions_of(model, evaluation, row),
        total=int(evaluation.total[row]),
        contributions=tuple(_lines(words, evaluation, row)),
        ignored=tuple(_ignored(words)),
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """What a ledger's lines are worded from."""

    signals: Signals
    model: Model
    as_of: datetime
    sifted: Sifted


def dimensions_of(model: Model, evaluation: Evaluation, row: int) -> dict[str, int]:
    """Dimension -> hundredths of the lead in one row."""
    return {each.name: int(evaluation.dimensions[row, i]) for i, each in enumerate(model.dimensions)}


def cap_id(rule_id: str) -> str:
    """The line that says what a rule's cap takes back: "came.cap"."""
    return f"{rule_id}.cap"


def bound_id(dimension: Dimension, bound: Bound) -> str:
    """The line that says what a bound of the dimension changes: "fit.max"."""
    return f"{dimension.name}.{bound}"


def bound_of(change: int) -> Bound:
    """Which bound changed a dimension's points by so much."""
    return "max" if change < 0 else "min"


def _lines(words: _Words, evaluation: Evaluation, row: int) -> Iterator[Contribution]:
    for index, (dimension, rule) in enumerate(words.model.rules):
        points, capped = int(evaluation.rules[row, index]), int(evaluation.caps[row, index])
        if points or evaluation.matches[row, index]:
            evidence = _evidence(rule, words, _paid_at(evaluation, index, row), points)
            yield Contribution(rule.id, rule.name, dimension.name, points, evidence, rule.where)
        if capped and rule.cap is not None:
            named = f"cap: {rule.cap / 100:g} at most"
            yield Contribution(cap_id(rule.id), rule.name, dimension.name, capped, named, rule.where)
    for index, dimension in enumerate(words.model.dimensions):
        change = int(evaluation.bounds[row, index])
        bound = bound_of(change)
        limit = dimension.max if bound == "max" else dimension.min
        if change and limit is not None:
            named = f"{bound}: {limit / 100:g} at {'most' if bound == 'max' else 'least'}"
            line = bound_id(dimension, bound)
            yield Contribution(line, dimension.name, dimension.name, change, named, dimension.where)


def _paid_at(evaluation: Evaluation, rule: int, row: int) -> Counter[int]:
    """Time in milliseconds -> how many activities of that time paid for the rule."""
    lead, at = evaluation.paid[rule]
    first, last = np.searchsorted(lead, [row, row + 1])
    return Counter(at[first:last].tolist())


def _evidence(rule: Rule, words: _Words, paid: Counter[int], points: int) -> str:
    """The facts that made the rule pay: "country = ES", "3 × page_view (8 Nov, 15 Nov, 20 Nov)"."""
    parts = list(dict.fromkeys(_facts(rule.when, words.signals)))
    for test in (leaf for leaf in leaves(rule.when) if isinstance(leaf, ActivityTest)):
        found = _activities(test, words)
        if test is rule.counted and rule.at_least == 1:  # else all of them are the reason
            found = _payers(found, paid)
        if found:
            parts.append(_named(test.kind, found, words.model))
    return (", ".join(parts) or "holds for every lead") + _faded(rule, points, paid.total())


def _payers(found: Iterable[ActivitySignal], paid: Counter[int]) -> list[ActivitySignal]:
    """Those that paid; of several at the very same time as many as paid."""
    left = Counter(paid)
    payers = []
    for activity in found:
        at = epoch_ms(activity.at)
        if left[at]:
            left[at] -= 1
            payers.append(activity)
    return payers


def _faded(rule: Rule, points: int, times: int) -> str:
    whole = rule.points * times
    return f", faded to {points * 100 // whole} %" if whole and points != whole else ""


def _ignored(words: _Words) -> Iterator[Ignored]:
    """What hygiene has voided, a line for each rule and kind, whatever the order in which the activities were told."""
    found: dict[tuple[Ignore, str], list[ActivitySignal]] = {}
    for ignore, activity in words.sifted.voided:
        if epoch_ms(activity.at) <= epoch_ms(words.as_of):
            found.setdefault((ignore, activity.kind), []).append(activity)
    ranks = {ignore: rank for rank, ignore in enumerate(words.model.ignores)}
    for (ignore, kind), activities in sorted(found.items(), key=lambda each: (ranks[each[0][0]], each[0][1])):
        ordered = sorted(activities, key=lambda each: each.at)
        yield Ignored(ignore.id, ignore.name, _named(kind, ordered, words.model), ignore.where)


def _facts(condition: Condition, signals: Signals) -> Iterator[str]:
    """The lead's fields that a condition looks at, as they stand."""
    if isinstance(condition, FieldTest):
        value = signals.fields.get(condition.field)
        shown = _short(text(value)) if is_set(value) else "(empty)"
        yield f"{condition.field} = {shown}" if _plain(condition, value) else f"{condition.field} {shown}"
    elif isinstance(condition, All | AnyOf | NoneOf):
        for part in condition.conditions:
            facts = list(_facts(part, signals))
            # Of alternatives, the ones that are empty say nothing; of exclusions they say why it holds.
            yield from (fact for fact in facts if not isinstance(condition, AnyOf) or not fact.endswith("(empty)"))


def _plain(test: FieldTest, value: Value) -> bool:
    return test.operator not in RELATIVE and is_set(value)


def _short(shown: str) -> str:
    flat = " ".join(shown.split())
    return flat if len(flat) <= _LONGEST_VALUE else flat[: _LONGEST_VALUE - 1] + "…"


def _activities(test: ActivityTest, words: _Words) -> list[ActivitySignal]:
    """The matching activities that count as of then, oldest first."""
    passes, now_ms = meets(test.tests), epoch_ms(words.as_of)
    oldest_ms = now_ms - test.in_last_ms if test.in_last_ms is not None else None
    found = [
        activity
        for activity in words.sifted.kept
        if activity.kind == test.kind
        and epoch_ms(activity.at) <= now_ms
        and (oldest_ms is None or epoch_ms(activity.at) >= oldest_ms)
        and passes(activity)
    ]
    return sorted(found, key=lambda activity: activity.at)


def _named(kind: str, found: Sequence[ActivitySignal], model: Model) -> str:
    zone = ZoneInfo(model.timezone)
    days = list(dict.fromkeys(_day(activity.at.astimezone(zone)) for activity in found))
    shown = ", ".join([*(["…"] if len(days) > _MOST_DATES else []), *days[-_MOST_DATES:]])
    times = f"{len(found)} × " if len(found) > 1 else ""
    observed = ", seen by a counter" if any(activity.observed for activity in found) else ""
    return f"{times}{kind} ({shown}{observed})"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"
