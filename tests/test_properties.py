"""What must hold for any lead under any rules, beyond what stands beside the code it is about.

There: one equals chunk equals reference, order means nothing to the points, any time can be replayed
(scoring/test_evaluate), the ledger adds up (scoring/test_ledger), after apply nothing is left to plan, chunk size and
thread count change nothing (test_deciding), replay equals live (store/test_replay), parts by cause add up
(test_differences).
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.history import History, KnownActivity, Version, signals_at
from syncer.model import ActivitySignal, RecordKey, Signals, StageState
from syncer.rules import ActivityTest, Condition, FieldTest, Gate, Model, NoneOf, Rule, Stage, Veto
from syncer.scoring import score
from syncer.stages import Hands, Marks, Occasion, next_state
from tests.scoring import worlds

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
NAMES = ("cold", "iql", "mql", "sql")
MEASURES = ("fit", "engagement", "need", "total")
economical = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def only_fading(model: Model) -> Model:
    """The model without what time could turn on: points are positive, no condition asks for what is not or for a date,
    and no minimum lifts what has faded."""
    dimensions = (replace(each, rules=tuple(map(_fading, each.rules)), min=None) for each in model.dimensions)
    return replace(model, dimensions=tuple(dimensions))


def _fading(rule: Rule) -> Rule:
    """Also without a limit per window: where `in_last` takes the first of a day away, a newer one is its first, and
    pays more. What is counted is all of its kind, so that rules pay often."""
    counted = rule.counted
    when = rule.when
    if counted is not None or any(map(_may_turn_on, _parts(when))):
        when = ActivityTest(counted.kind if counted else "open", in_last_ms=counted.in_last_ms if counted else None)
    return replace(rule, when=when, points=abs(rule.points), frequency=None)


def _parts(condition: Condition) -> list[Condition]:
    """The condition and everything in it."""
    if isinstance(condition, FieldTest | ActivityTest):
        return [condition]
    return [condition, *(part for inner in condition.conditions for part in _parts(inner))]


def _may_turn_on(part: Condition) -> bool:
    return isinstance(part, NoneOf) or (isinstance(part, FieldTest) and part.operator in ("older_than", "newer_than"))


@economical
@given(model=worlds.models().map(only_fading), lead=worlds.leads, hours=st.lists(st.integers(1, 24 * 80), max_size=4))
def test_without_new_facts_fading_never_raises_a_score_of_positive_rules(
    model: Model, lead: Signals, hours: list[int]
) -> None:
    known = replace(lead, activities=tuple(each for each in lead.activities if each.at <= worlds.AS_OF))
    times = [worlds.AS_OF + timedelta(hours=later) for later in sorted({0, *hours})]
    found = [score(known, model, at) for at in times]
    for earlier, later in pairwise(found):
        assert all(later.dimensions[name] <= points for name, points in earlier.dimensions.items())
        assert later.total <= earlier.total


gates = st.builds(Gate, st.sampled_from(MEASURES), st.sampled_from((">=", ">")), st.sampled_from((0, 100, 200)))
names = st.sampled_from(NAMES)


@st.composite
def ladders(draw: st.DrawFn) -> Model:
    """Stages whose gates all ask for more."""
    stages = [
        Stage(
            name,
            enter=tuple(draw(st.lists(gates, max_size=1))),
            leave_below=tuple(draw(st.lists(gates, max_size=1))),
            skip_gates=draw(st.booleans()),
            owned_by=draw(st.sampled_from((None, None, "sales"))),
            falls_back=draw(st.booleans()),
            dwell_ms=draw(st.sampled_from((0, worlds.DAY_MS))),
        )
        for name in NAMES
    ]
    return Model("m", "UTC", (), tuple(stages))


states = st.builds(StageState, names, names, st.sampled_from((NOW, NOW - timedelta(days=2))))


@settings(max_examples=300, deadline=None)
@given(ladders(), st.none() | states, st.data())
def test_more_points_never_lower_a_stage(model: Model, before: StageState | None, data: st.DataObject) -> None:
    points = {name: data.draw(st.sampled_from((-100, 0, 99, 100, 200))) for name in MEASURES}
    more = {name: have + data.draw(st.sampled_from((0, 1, 100, 300))) for name, have in points.items()}
    shortcuts = data.draw(st.frozensets(names, max_size=1))
    vetoes = tuple(Veto("v", "V", NoneOf(()), name) for name in data.draw(st.lists(names, max_size=1)))

    def rank(have: dict[str, int]) -> int:
        seen = Marks(have, have["total"], shortcuts, vetoes)
        return model.stage_rank(next_state(before, seen, model, Hands(), Occasion(NOW, "activity")).stage)

    assert rank(more) >= rank(points)


@economical
@given(model=worlds.models(), lead=worlds.leads, seed=st.integers(0, 99))
def test_the_order_of_activities_changes_no_word_of_a_score(model: Model, lead: Signals, seed: int) -> None:
    shuffled = tuple(random.Random(seed).sample(lead.activities, len(lead.activities)))
    assert score(replace(lead, activities=shuffled), model, worlds.AS_OF) == score(lead, model, worlds.AS_OF)


@economical
@given(activities=st.lists(worlds.activities, max_size=8), seed=st.integers(0, 99))
def test_what_is_told_twice_or_in_another_order_is_known_once(activities: list[ActivitySignal], seed: int) -> None:
    key = RecordKey("crm", "contacts", "1")
    known = [KnownActivity(f"crm/{number}", (key,), each) for number, each in enumerate(activities)]
    dice = random.Random(seed)
    again = dice.sample([*known, *known], 2 * len(known))
    versions = (Version(key, worlds.AS_OF - timedelta(days=99)),)
    for as_of in (worlds.AS_OF, worlds.AS_OF - timedelta(days=30)):
        assert signals_at(History(1, versions, tuple(again)), as_of) == signals_at(
            History(1, versions, tuple(known)), as_of
        )
