"""Rules that gave a lead nothing because something is not there: a field nobody filled, an activity that never was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncer.model import ActivitySignal, Score, Signals
from syncer.rules import ActivityTest, All, AnyOf, Condition, FieldTest, Model, Rule, duration_text
from syncer.scoring.hygiene import sieve
from syncer.scoring.values import is_set


@dataclass(frozen=True, slots=True)
class NotGiven:
    rule: Rule
    dimension: str
    why: str  # "current_tool is empty"


@dataclass(frozen=True, slots=True)
class _Facts:
    signals: Signals
    activities: Sequence[ActivitySignal]  # those that hygiene has kept
    as_of: datetime


def not_given(model: Model, score: Score, signals: Signals) -> list[NotGiven]:
    """The model's rules that would give points and gave none, where what they ask for is not there at all; those that
    would give most first. Rules whose question was answered otherwise (another country) are left out."""
    gave = {line.rule for line in score.contributions}
    facts = _Facts(signals, sieve(model)(signals).kept, score.as_of)
    found = [
        NotGiven(rule, dimension.name, ", ".join(dict.fromkeys(lacking)))
        for dimension, rule in model.rules
        if rule.points > 0 and rule.id not in gave and (lacking := _lacking(rule.when, facts))
    ]
    return sorted(found, key=lambda each: -each.rule.points)


def _lacking(condition: Condition, facts: _Facts) -> list[str]:
    """What the condition needs and is not there. Nothing: it is there, or its absence is not what is in the way."""
    if isinstance(condition, FieldTest):
        return [] if is_set(facts.signals.fields.get(condition.field)) else list(_empty(condition))
    if isinstance(condition, ActivityTest):
        return list(_absent(condition, facts))
    parts = [_lacking(part, facts) for part in condition.conditions]
    if isinstance(condition, All) or (isinstance(condition, AnyOf) and all(parts)):
        return [lacking for part in parts for lacking in part]
    return []


def _empty(test: FieldTest) -> Iterator[str]:
    asks_for_empty = test.operator == "is_set" and test.argument == test.negated
    if not asks_for_empty:
        yield f"{test.field} is empty"


def _absent(test: ActivityTest, facts: _Facts) -> Iterator[str]:
    newest = max(
        (each.at for each in facts.activities if each.kind == test.kind and each.at <= facts.as_of), default=None
    )
    if newest is None:
        yield f"no {test.kind}"
    elif test.in_last_ms is not None and newest < facts.as_of - timedelta(milliseconds=test.in_last_ms):
        yield f"no {test.kind} in the last {duration_text(test.in_last_ms)}"
