from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Signals, Value
from syncer.rules import ActivityTest, Dimension, FieldTest, Model, Rule, Stage
from syncer.scoring.hygiene import remembered
from syncer.scoring.match import leaves_of, match
from tests.scoring import worlds

NOW = datetime(2025, 6, 15, tzinfo=UTC)


def model_of(*tests: FieldTest | ActivityTest) -> Model:
    rules = tuple(Rule(str(i), "R", test, 100) for i, test in enumerate(tests))
    return Model("m", "UTC", (Dimension("fit", rules),), (Stage("cold"),))


def test_a_test_written_twice_is_one_leaf_and_windows_share_their_hits() -> None:
    es = FieldTest("country", "any_of", ("ES",))
    known = leaves_of(
        model_of(es, es, ActivityTest("open", in_last_ms=5), ActivityTest("open"),
                 FieldTest("signed", "newer_than", 5), FieldTest("signed", "older_than", 9, negated=True))
    )  # fmt: skip
    assert (len(known.bits), len(known.activities), len(known.dates)) == (1, 1, 1)


def test_tests_that_differ_only_in_true_and_one_are_two_leaves() -> None:
    true, one = FieldTest("f", "any_of", (True,)), FieldTest("f", "any_of", (1,))
    assert len(leaves_of(model_of(true, one)).bits) == 2
    assert len(leaves_of(model_of(ActivityTest("a", (true,)), ActivityTest("a", (one,)))).activities) == 2


def test_two_models_that_differ_only_in_true_and_one_are_read_apart() -> None:
    for argument, value, expected in ((True, True, True), (1, True, False), (True, 1, False), (1, 1, True)):
        found = match([Signals(1, {"f": value})], model_of(FieldTest("f", "any_of", (argument,))))
        assert bool(found.bits[0, 0]) is expected


def test_a_predicate_is_asked_once_for_each_distinct_value_and_type() -> None:
    asked: list[Value] = []

    def ask(value: Value) -> bool:
        asked.append(value)
        return True

    holds = remembered(ask)
    for value in ("a", "a", 1, True, 1.0, 1, None, None):
        holds(value)
    assert [repr(value) for value in asked] == ["'a'", "1", "True", "1.0", "None"]


def test_hits_of_a_leaf_come_by_lead_and_oldest_first() -> None:
    times = [NOW, NOW - timedelta(days=2), NOW - timedelta(days=1)]
    leads = [Signals(i, activities=tuple(ActivitySignal("open", at) for at in times)) for i in (1, 2)]
    model = model_of(ActivityTest("click"), ActivityTest("open"))
    lead, at = match(leads, model).hits(1)
    assert lead.tolist() == [0, 0, 0, 1, 1, 1]
    assert (np.diff(at[:3]) > 0).all()
    assert len(match(leads, model).hits(0)[0]) == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=worlds.models(), leads=st.lists(worlds.leads, max_size=3))
def test_matching_knows_no_time_and_no_lead_ids(model: Model, leads: list[Signals]) -> None:
    first, second = match(leads, model), match([replace(lead, lead=lead.lead + 7) for lead in leads], model)
    for name in ("bits", "hit_leaf", "hit_lead", "hit_at"):
        assert (getattr(first, name) == getattr(second, name)).all()
