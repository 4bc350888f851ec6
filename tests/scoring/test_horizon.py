"""A lead is looked at again before anything that matters changes by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Signals
from syncer.rules import ActivityTest, Condition, Dimension, Fade, FieldTest, Gate, Model, Rule, Stage, Veto
from syncer.scoring import dimensions_of, evaluate, match, next_looks
from syncer.stages import Marks, passes
from tests.scoring import worlds
from tests.scoring.worlds import DAY_MS

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = ActivityTest("open")

gates = st.builds(
    Gate,
    st.sampled_from(("fit", "engagement", "need", "readiness", "total")),
    st.sampled_from((">=", ">", "<=", "<")),
    st.integers(-2000, 4000),
)


def matters(lead: Signals, model: Model, as_of: datetime) -> tuple[tuple[bool, ...], int]:
    """(every gate, shortcut and veto, the points a CRM would show in hundredths)."""
    found = evaluate(match([lead], model), model, as_of)
    marks = Marks(dimensions_of(model, found, 0), int(found.total[0]))
    answers = [passes(gate, marks) for stage in model.stages for gate in (*stage.enter, *stage.leave_below)]
    return (*answers, *found.shortcuts[0].tolist(), *found.vetoes[0].tolist()), int(found.total[0]) // 100 * 100


def look(lead: Signals, model: Model, as_of: datetime = NOW, min_step: int = 100) -> datetime | None:
    (found,) = next_looks(match([lead], model), model, as_of, min_step)
    return found


def one_way(model: Model, sign: int, enter: list[Gate], leave: list[Gate]) -> Model:
    """All points of one sign, so that what fades never comes back; more gates."""
    dimensions = tuple(
        replace(each, rules=tuple(replace(rule, points=sign * abs(rule.points)) for rule in each.rules))
        for each in model.dimensions
    )
    stages = (model.stages[0], replace(model.stages[1], enter=tuple(enter), leave_below=tuple(leave)), model.stages[2])
    return replace(model, dimensions=dimensions, stages=stages)


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    model=st.builds(
        one_way, worlds.models(), st.sampled_from((1, -1)), st.lists(gates, max_size=3), st.lists(gates, max_size=2)
    ),
    lead=worlds.leads,
    min_step=st.sampled_from((0, 100, 500)),
    more=st.lists(st.integers(0, 24 * 120), max_size=25),
)
def test_nothing_that_matters_changes_between_now_and_the_look(
    model: Model, lead: Signals, min_step: int, more: list[int]
) -> None:
    again = look(lead, model, worlds.AS_OF, min_step)
    answers, shown = matters(lead, model, worlds.AS_OF)
    assert again is None or again > worlds.AS_OF
    last = (again - worlds.AS_OF) / HOUR if again else 24 * 120
    steps = {*range(min(24, int(last))), int(last) - 1, int(last) - 2, *more}
    for hours in sorted(step for step in steps if 0 < step < last):
        later_answers, later_shown = matters(lead, model, worlds.AS_OF + hours * HOUR)
        assert later_answers == answers, hours
        assert abs(later_shown - shown) < max(min_step, 1), hours


def model_of(*rules: Rule, **stage: Any) -> Model:
    return Model("m", "UTC", (Dimension("engagement", rules),), (Stage("cold"), Stage("mql", **stage)))


def opens(*ages: timedelta) -> Signals:
    return Signals(1, activities=tuple(ActivitySignal("open", NOW - age) for age in ages))


FADING = Rule("r", "R", OPEN, 1000, fade=Fade("exponential", 24))


def test_a_gate_is_met_in_the_hour_in_which_fading_crosses_it() -> None:
    model = model_of(FADING, enter=(Gate("engagement", ">=", 500),))
    at: datetime | None = NOW
    seen: list[datetime] = []
    while at is not None and matters(opens(timedelta(0)), model, at)[0][0]:
        seen.append(at)
        at = look(opens(timedelta(0)), model, at, min_step=10**6)
    assert at == NOW + 25 * HOUR
    assert len(seen) <= 6


def test_slack_is_looked_at_too() -> None:
    model = model_of(FADING, leave_below=(Gate("engagement", ">=", 500),))
    assert look(opens(timedelta(0)), model, min_step=10**6) == NOW + 16 * HOUR


def test_a_lead_that_nothing_can_change_is_not_looked_at_again() -> None:
    assert look(opens(timedelta(0)), model_of(replace(FADING, fade=Fade("none")))) is None
    assert look(Signals(1), model_of(FADING)) is None
    assert look(opens(timedelta(days=400)), model_of(FADING)) is None


def test_a_whole_point_lost_is_seen_although_the_exact_total_moved_less() -> None:
    """The CRM shows points rounded down: from 10.00 to 9.99 it shows one less."""
    barely = replace(FADING, fade=Fade("linear", 24 * 40))
    again = look(opens(timedelta(0)), model_of(barely), min_step=100)
    assert again == NOW + HOUR


def test_an_activity_still_to_come_is_looked_at_when_it_happens() -> None:
    """A meeting in twelve days opens a shortcut for a week; looks that only double would step over it."""
    meeting = ActivityTest("meeting", in_last_ms=7 * DAY_MS)
    lead = Signals(1, activities=(ActivitySignal("meeting", NOW + timedelta(hours=300)),))
    model = model_of(or_any=(meeting,))
    opened = look(lead, model)
    assert opened == NOW + timedelta(hours=300)
    closed = look(lead, model, opened)
    assert closed == opened + timedelta(days=7, milliseconds=1)
    assert look(lead, model, closed) is None


def test_a_window_of_years_is_looked_at_when_it_closes() -> None:
    long = replace(FADING, when=ActivityTest("open", in_last_ms=730 * DAY_MS), fade=Fade("none"))
    closes = NOW + timedelta(days=730, milliseconds=1)
    assert look(opens(timedelta(0)), model_of(long)) == closes
    old = Rule("r", "R", FieldTest("signed", "older_than", 730 * DAY_MS), 1000)
    assert look(Signals(1, {"signed": NOW.isoformat()}), model_of(old)) == closes


def test_a_date_still_to_come_is_looked_at_when_it_comes() -> None:
    starts = NOW + timedelta(days=500)
    veto = Veto("v", "V", FieldTest("contract", "newer_than", DAY_MS), "cold")
    model = replace(model_of(), vetoes=(veto,))
    assert look(Signals(1, {"contract": starts.isoformat()}), model) == starts


def test_very_slow_fading_is_never_forgotten() -> None:
    slow = replace(FADING, points=10_000, fade=Fade("exponential", 24 * 1000))
    again = look(opens(timedelta(0)), model_of(slow, enter=(Gate("engagement", ">=", 5000),)), min_step=10**6)
    assert again is not None
    assert timedelta(days=100) < again - NOW < timedelta(days=400)


def test_a_turn_is_known_to_the_millisecond_whatever_the_microseconds_of_the_clock() -> None:
    lead = opens(timedelta(days=7))
    model = model_of(replace(FADING, when=ActivityTest("open", in_last_ms=7 * DAY_MS), fade=Fade("none")))
    for microseconds in (-1_500, -1_000, -500, 0):
        as_of = NOW + timedelta(microseconds=microseconds)
        assert look(lead, model, as_of) == NOW + timedelta(milliseconds=1)


def test_what_turns_in_a_millisecond_is_seen_beside_what_turns_now() -> None:
    lead = opens(timedelta(0), timedelta(milliseconds=-1))
    still = replace(FADING, fade=Fade("none"))
    assert look(lead, model_of(still)) == NOW + timedelta(milliseconds=1)


def test_a_plain_field_has_no_turn() -> None:
    tests: tuple[Condition, ...] = (FieldTest("country", "any_of", ("ES",)), FieldTest("size", "over", 5), OPEN)
    model = model_of(*(Rule(str(n), "R", test, 100) for n, test in enumerate(tests)))
    assert look(replace(opens(timedelta(0)), fields={"country": "ES", "size": 9}), model) is None


SLOPE = Fade("linear", 100)  # one half in a hundred hours: 5 points of 1000 each hour


@pytest.mark.parametrize(("min_step", "hours"), [(0, 16), (1, 16), (100, 16), (101, 32), (200, 32)])
def test_points_shown_are_compared_with_points_shown(min_step: int, hours: int) -> None:
    """10.90 points: after 16 hours 10.03 are left, shown as 10; after 32 hours 9.16; after 64 hours 7.41."""
    model = model_of(replace(FADING, points=1090, fade=SLOPE), enter=(Gate("total", ">=", 1),))
    assert look(opens(timedelta(0)), model, min_step=min_step) == NOW + hours * HOUR


@pytest.mark.parametrize(("comparison", "hours"), [(">=", 8), (">", 4), ("<=", 4), ("<", 8)])
@pytest.mark.parametrize("measure", ["engagement", "total"])
def test_a_gate_is_compared_as_it_is_written(comparison: Any, hours: int, measure: Any) -> None:
    """After 8 hours exactly 9.60 of the 10 points are left; what is seen at 8 hours is looked at from 4 on."""
    gates = (Gate(measure, comparison, 960), Gate(measure, ">=", -1))
    model = model_of(replace(FADING, fade=SLOPE), enter=gates)
    assert look(opens(timedelta(0)), model, min_step=10**6) == NOW + hours * HOUR


def test_a_gate_on_a_dimension_without_rules_never_turns() -> None:
    model = model_of(replace(FADING, fade=SLOPE), enter=(Gate("need", ">", 0), Gate("need", ">=", 0)))
    assert look(opens(timedelta(0)), model, min_step=10**6) == NOW + 4096 * HOUR, "the last look ahead: it still fades"


def test_each_lead_of_a_chunk_has_its_own_look() -> None:
    leads = [opens(timedelta(0)), Signals(2), opens(timedelta(days=400))]
    found = next_looks(match(leads, model_of(FADING)), model_of(FADING), NOW, 100)
    assert found == [look(lead, model_of(FADING)) for lead in leads]
    assert found[0] is not None
    assert found[1:] == [None, None]
