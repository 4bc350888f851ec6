"""A lead's matches survive being packed, whatever the lead: evaluated later they give the same hundredths."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Signals
from syncer.rules import ActivityTest, Dimension, FieldTest, Model, Rule, Stage
from syncer.scoring import evaluate, match, packed, unpacked
from syncer.scoring.footprints import MOST_LEAVES
from tests.scoring import worlds
from tests.scoring.reference import told
from tests.scoring.test_evaluate import as_told

NOW = datetime(2025, 6, 15, tzinfo=UTC)


def counting(*kinds: str) -> Model:
    rules = tuple(Rule(kind, kind, ActivityTest(kind), 100) for kind in kinds)
    return Model("m", "UTC", (Dimension("engagement", rules),), (Stage("cold"),), version="m@1")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=worlds.models(), leads=st.lists(worlds.leads, max_size=4), hours=st.integers(-50, 24 * 60))
def test_what_was_packed_is_evaluated_like_what_was_matched(model: Model, leads: list[Signals], hours: int) -> None:
    matched = match(leads, model)
    footprints = packed(matched, model)
    assert {each.model for each in footprints} <= {model.version}
    again = unpacked(footprints, model)
    assert np.array_equal(again.bits, matched.bits)
    for name in ("hit_leaf", "hit_lead", "hit_at"):
        assert getattr(again, name).tolist() == getattr(matched, name).tolist()
    as_of = worlds.AS_OF + timedelta(hours=hours)
    evaluation = evaluate(again, model, as_of)
    assert [as_told(evaluation, row) for row in range(len(leads))] == [told(lead, model, as_of) for lead in leads]


def test_many_tests_of_many_leads_come_out_as_they_went_in() -> None:
    """Seventeen bits are three bytes; and more hits than are sorted one by one."""
    kinds = ("open", "click", "visit")
    fields = tuple(Rule(f"f{n}", "F", FieldTest("n", "over", n), 1) for n in range(17))
    model = replace(counting(*kinds), dimensions=(*counting(*kinds).dimensions, Dimension("fit", fields)))
    leads = [
        Signals(lead, {"n": lead}, tuple(ActivitySignal(kinds[n % 3], NOW - timedelta(hours=n)) for n in range(60)))
        for lead in range(11)
    ]
    matched = match(leads, model)
    footprints = packed(matched, model)
    assert [each.model for each in footprints] == ["m@1"] * 11
    again = unpacked(footprints, model)
    assert again.bits.dtype == np.bool_
    assert again.bits.tolist() == matched.bits.tolist()
    for name in ("hit_leaf", "hit_lead", "hit_at"):
        assert getattr(again, name).tolist() == getattr(matched, name).tolist()


def test_footprints_of_other_chunks_can_be_put_together_in_any_order() -> None:
    model = counting("open", "click")
    leads = [
        Signals(number, activities=(ActivitySignal(kind, NOW - timedelta(hours=number)),))
        for number, kind in enumerate(("open", "click", "open"))
    ]
    apart = [footprint for lead in leads for footprint in packed(match([lead], model), model)]
    together = unpacked([apart[2], apart[0], apart[1]], model)
    expected = match([leads[2], leads[0], leads[1]], model)
    assert together.hit_lead.tolist() == expected.hit_lead.tolist()
    assert together.hit_at.tolist() == expected.hit_at.tolist()


EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=EAST), datetime(9999, 12, 31, 23, 59, tzinfo=WEST)])
def test_the_first_and_the_last_day_there_are_fit_into_a_hit(at: datetime) -> None:
    model = counting("open")
    matched = match([Signals(1, activities=(ActivitySignal("open", at),))], model)
    (footprint,) = packed(matched, model)
    assert len(footprint.hits) == 8
    assert unpacked([footprint], model).hit_at.tolist() == matched.hit_at.tolist()


def test_a_model_with_more_tests_than_fit_is_not_packed() -> None:
    assert MOST_LEAVES << 49 == 2**63, "the number of a test has what a time leaves of 63 bits"
    tests = [ActivityTest("open", (FieldTest("page", "at_least", float(number)),)) for number in range(MOST_LEAVES + 1)]
    rules = tuple(Rule(str(number), "R", test, 1) for number, test in enumerate(tests))
    large = replace(counting("open"), dimensions=(Dimension("fit", rules),))
    lead = Signals(1, activities=(ActivitySignal("open", NOW, {"page": MOST_LEAVES}),))
    assert packed(match([lead], large), large) == []
