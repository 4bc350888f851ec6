"""The kernel against the plain reference, over random models and histories; and every sentence on points, by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Reading, RecordKey, Signals
from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Condition,
    Dimension,
    Fade,
    FieldTest,
    Frequency,
    Model,
    NoneOf,
    Rule,
    Stage,
    Veto,
)
from syncer.scoring import Evaluation, evaluate, match
from tests.scoring import worlds
from tests.scoring.reference import Told, told
from tests.scoring.worlds import DAY_MS, HOUR_MS

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
OPEN = ActivityTest("open")
thorough = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_told(evaluation: Evaluation, row: int) -> Told:
    return Told(
        rules=evaluation.rules[row].tolist(),
        caps=evaluation.caps[row].tolist(),
        bounds=evaluation.bounds[row].tolist(),
        dimensions=evaluation.dimensions[row].tolist(),
        total=int(evaluation.total[row]),
        paid=evaluation.matches[row].tolist(),
        shortcuts=evaluation.shortcuts[row].tolist(),
        vetoes=evaluation.vetoes[row].tolist(),
    )


def kernel(leads: Sequence[Signals], model: Model, as_of: datetime) -> list[Told]:
    evaluation = evaluate(match(leads, model), model, as_of)
    return [as_told(evaluation, row) for row in range(len(leads))]


def rule(when: Condition, points: int = 1000) -> Rule:
    return Rule("r", "R", when, points)


def model_of(*rules: Rule, timezone: str = "UTC") -> Model:
    return Model("m", timezone, (Dimension("engagement", rules),), (Stage("cold"),))


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def opens(*times: datetime) -> Signals:
    return Signals(1, activities=tuple(ActivitySignal("open", at) for at in times))


def points_of(signals: Signals, *rules: Rule, timezone: str = "UTC") -> int:
    """The total, after kernel and reference were found to agree."""
    model = model_of(*rules, timezone=timezone)
    (said,) = kernel([signals], model, NOW)
    assert said == told(signals, model, NOW)
    return said.total


class TestAgainstTheReference:
    @thorough
    @given(model=worlds.models(), leads=st.lists(worlds.leads, min_size=1, max_size=4))
    def test_many_leads_in_a_chunk_get_the_hundredths_of_the_plain_reference(
        self, model: Model, leads: list[Signals]
    ) -> None:
        assert kernel(leads, model, worlds.AS_OF) == [told(lead, model, worlds.AS_OF) for lead in leads]

    @quick
    @given(model=worlds.models(), leads=st.lists(worlds.leads, min_size=2, max_size=5), seed=st.integers(0, 99))
    def test_a_lead_scores_the_same_alone_in_a_chunk_and_in_any_order(
        self, model: Model, leads: list[Signals], seed: int
    ) -> None:
        together = kernel(leads, model, worlds.AS_OF)
        assert together == [kernel([lead], model, worlds.AS_OF)[0] for lead in leads]
        order = random.Random(seed).sample(range(len(leads)), len(leads))
        assert kernel([leads[i] for i in order], model, worlds.AS_OF) == [together[i] for i in order]

    @quick
    @given(model=worlds.models(), lead=worlds.leads, seed=st.integers(0, 99))
    def test_the_order_of_activities_and_fields_means_nothing(self, model: Model, lead: Signals, seed: int) -> None:
        dice = random.Random(seed)
        activities = tuple(dice.sample(lead.activities, len(lead.activities)))
        fields = dict(dice.sample(list(lead.fields.items()), len(lead.fields)))
        shuffled = replace(lead, activities=activities, fields=fields)
        assert kernel([shuffled], model, worlds.AS_OF) == kernel([lead], model, worlds.AS_OF)

    @quick
    @given(model=worlds.models(), lead=worlds.leads, hours=st.integers(-100, 24 * 90))
    def test_any_past_or_later_time_can_be_replayed(self, model: Model, lead: Signals, hours: int) -> None:
        as_of = worlds.AS_OF + timedelta(hours=hours, minutes=hours % 60, milliseconds=hours % 3)
        assert kernel([lead], model, as_of) == [told(lead, model, as_of)]

    def test_no_leads_and_no_rules_are_fine(self) -> None:
        empty = evaluate(match([], model_of(rule(OPEN))), model_of(rule(OPEN)), NOW)
        assert empty.total.shape == (0,)
        assert empty.rules.shape == (0, 1)
        bare = Model("m", "UTC", (), (Stage("cold"),))
        assert kernel([Signals(1)], bare, NOW)[0].total == 0


class TestRepeats:
    def test_a_rule_pays_once_for_the_newest_match(self) -> None:
        fading = replace(rule(OPEN), fade=Fade("exponential", 24))
        assert points_of(opens(ago(days=3), ago(days=1), ago(days=2)), fading) == 500

    def test_each_pays_for_every_match(self) -> None:
        assert points_of(opens(ago(days=1), ago(days=2), ago(days=3)), replace(rule(OPEN), each=True)) == 3000

    @pytest.mark.parametrize(("matches", "once", "every"), [(2, 0, 0), (3, 1000, 1000), (4, 1000, 2000)])
    def test_at_least_pays_only_from_the_third_match_on(self, matches: int, once: int, every: int) -> None:
        seen = opens(*(ago(days=day) for day in range(matches)))
        third = replace(rule(OPEN), at_least=3)
        assert points_of(seen, third) == once
        assert points_of(seen, replace(third, each=True)) == every

    def test_at_least_counts_only_inside_the_window(self) -> None:
        recent = replace(rule(ActivityTest("open", in_last_ms=7 * DAY_MS)), at_least=2)
        assert points_of(opens(ago(days=1), ago(days=8)), recent) == 0
        assert points_of(opens(ago(days=1), ago(days=7)), recent) == 1000

    @pytest.mark.parametrize(("late_ms", "expected"), [(-1, 1000), (0, 1000), (1, 0)])
    def test_the_edge_of_in_last_is_inside(self, late_ms: int, expected: int) -> None:
        edge = ago(days=30) - timedelta(milliseconds=late_ms)
        assert points_of(opens(edge), rule(ActivityTest("open", in_last_ms=30 * DAY_MS))) == expected

    @pytest.mark.parametrize(("ahead_ms", "expected"), [(0, 1000), (1, 0)])
    def test_an_activity_after_as_of_does_not_count(self, ahead_ms: int, expected: int) -> None:
        assert points_of(opens(NOW + timedelta(milliseconds=ahead_ms)), rule(OPEN)) == expected

    def test_cap_bounds_a_rule_and_shows_as_a_line_of_its_own(self) -> None:
        capped = replace(rule(OPEN), each=True, cap=1500)
        said = kernel([opens(ago(days=1), ago(days=2))], model_of(capped), NOW)[0]
        assert (said.rules, said.caps, said.total) == ([2000], [-500], 1500)

    def test_cap_bounds_the_size_of_negative_points_too(self) -> None:
        capped = replace(rule(OPEN, -1000), each=True, cap=1500)
        said = kernel([opens(ago(days=1), ago(days=2))], model_of(capped), NOW)[0]
        assert (said.rules, said.caps, said.total) == ([-2000], [500], -1500)

    def test_max_and_min_bound_a_dimension(self) -> None:
        for bound, expected in ((Dimension("fit", (rule(All(())),), max=700), 700),
                                (Dimension("fit", (rule(All(()), -1000),), min=-300), -300)):  # fmt: skip
            said = kernel([Signals(1)], Model("m", "UTC", (bound,), (Stage("cold"),)), NOW)[0]
            assert (said.dimensions, said.total) == ([expected], expected)
            assert said.bounds == [expected - said.rules[0]]

    def test_total_is_the_sum_of_bounded_dimensions(self) -> None:
        parts = tuple(Dimension(name, (rule(All(())),), max=700) for name in ("fit", "engagement", "need", "readiness"))
        assert kernel([Signals(1)], Model("m", "UTC", parts, (Stage("cold"),)), NOW)[0].total == 2800

    def test_a_rule_on_a_profile_pays_once_and_never_fades(self) -> None:
        old = FieldTest("signed", "older_than", DAY_MS)
        fading = replace(rule(old), fade=Fade("exponential", 1), each=True)
        assert points_of(Signals(1, {"signed": "2020-01-01"}), fading) == 1000

    def test_the_rest_of_a_condition_gates_every_match(self) -> None:
        both = replace(rule(All((FieldTest("country", "any_of", ("ES",)), OPEN))), each=True)
        seen = opens(ago(days=1), ago(days=2))
        assert points_of(replace(seen, fields={"country": "es"}), both) == 2000
        assert points_of(replace(seen, fields={"country": "fr"}), both) == 0

    def test_points_of_a_million_and_many_activities_do_not_overflow(self) -> None:
        huge = replace(rule(OPEN, 100_000_000), each=True, fade=Fade("exponential", 24))
        seen = opens(*([ago(minutes=1)] * 500), ago(hours=7))
        assert points_of(seen, huge) == 500 * 100_000_000 + round(100_000_000 * 0.5 ** (7 / 24))


class TestRounding:
    @pytest.mark.parametrize(("points", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
    def test_a_half_goes_to_the_even_hundredth(self, points: int, expected: int) -> None:
        halved = replace(rule(OPEN, points), fade=Fade("step", 1))
        assert points_of(opens(ago(hours=1)), halved) == expected

    def test_a_contribution_is_rounded_once_not_once_for_each_match(self) -> None:
        quarter = replace(rule(OPEN, 1), each=True, fade=Fade("step", 1))
        assert points_of(opens(*([ago(hours=2)] * 4)), quarter) == 1


class TestFading:
    @pytest.mark.parametrize(
        ("curve", "hours", "expected"),
        [
            ("exponential", 0, 10000), ("exponential", 24, 5000), ("exponential", 12, 7071), ("exponential", 48, 2500),
            ("linear", 0, 10000), ("linear", 12, 7500), ("linear", 24, 5000), ("linear", 48, 0), ("linear", 100, 0),
            ("step", 23, 10000), ("step", 24, 5000), ("step", 47, 5000), ("step", 48, 2500),
            ("none", 9999, 10000),
        ],
    )  # fmt: skip
    def test_each_curve_gives_what_it_says(self, curve: str, hours: int, expected: int) -> None:
        fading = replace(rule(OPEN, 10_000), fade=Fade(curve, 24))  # type: ignore[arg-type]
        assert points_of(opens(ago(hours=hours)), fading) == expected

    def test_age_counts_whole_hours_exactly_to_the_millisecond(self) -> None:
        fading = replace(rule(OPEN), fade=Fade("step", 1))
        assert points_of(opens(ago(hours=1) + timedelta(milliseconds=1)), fading) == 1000
        assert points_of(opens(ago(hours=1)), fading) == 500

    def test_fading_and_windows_work_together(self) -> None:
        both = replace(rule(ActivityTest("open", in_last_ms=2 * DAY_MS)), each=True, fade=Fade("exponential", 24))
        assert points_of(opens(ago(days=1), ago(days=2), ago(days=3)), both) == 750


class TestFrequency:
    def test_only_the_first_of_each_day_counts(self) -> None:
        daily = replace(rule(OPEN), each=True, frequency=Frequency(1, DAY_MS), fade=Fade("step", 1))
        seen = opens(NOW.replace(hour=11), NOW.replace(hour=10), NOW.replace(hour=9), NOW.replace(day=14, hour=12))
        assert points_of(seen, daily) == 125  # the one at nine, three hours old; yesterday's has faded to nothing

    def test_a_day_begins_at_midnight_of_the_models_time_zone(self) -> None:
        daily = replace(rule(OPEN), each=True, frequency=Frequency(1, DAY_MS))
        around = opens(datetime(2025, 6, 1, 21, 59, tzinfo=UTC), datetime(2025, 6, 1, 22, 1, tzinfo=UTC))
        assert points_of(around, daily, timezone="UTC") == 1000
        assert points_of(around, daily, timezone="Europe/Madrid") == 2000

    def test_a_week_begins_on_monday(self) -> None:
        weekly = replace(rule(OPEN), each=True, frequency=Frequency(1, 7 * DAY_MS))
        sunday, monday = datetime(2025, 6, 8, 23, tzinfo=UTC), datetime(2025, 6, 9, 1, tzinfo=UTC)
        assert points_of(opens(sunday, monday), weekly) == 2000
        assert points_of(opens(monday, monday + timedelta(days=5)), weekly) == 1000

    def test_windows_are_looked_at_before_frequency(self) -> None:
        """What fell out of `in_last` does not use up the first of its day."""
        recent = replace(rule(ActivityTest("open", in_last_ms=3 * DAY_MS)), each=True, frequency=Frequency(1, DAY_MS))
        assert points_of(opens(ago(days=3, hours=1), ago(days=3)), recent) == 1000

    def test_frequency_is_looked_at_before_at_least(self) -> None:
        twice = replace(rule(OPEN), at_least=2, frequency=Frequency(1, DAY_MS))
        assert points_of(opens(ago(hours=1), ago(hours=2)), twice) == 0
        assert points_of(opens(ago(hours=1), ago(days=1)), twice) == 1000

    def test_every_lead_of_a_chunk_has_its_own_first_of_the_day(self) -> None:
        daily = replace(rule(OPEN), each=True, frequency=Frequency(1, DAY_MS))
        same_day = opens(ago(hours=1), ago(hours=2))
        assert [said.total for said in kernel([same_day] * 3, model_of(daily), NOW)] == [1000] * 3

    def test_clocks_of_before_1970_are_read_right_too(self) -> None:
        change = datetime(1968, 2, 18, 2, 0, tzinfo=UTC)  # London: 02:00 becomes 03:00
        hourly = replace(rule(OPEN), each=True, frequency=Frequency(1, HOUR_MS))
        seen = opens(change - timedelta(minutes=20), change - timedelta(minutes=10))
        assert points_of(seen, hourly, timezone="Europe/London") == 1000

    def test_a_day_of_25_hours_is_one_day_and_a_repeated_half_hour_one_half_hour(self) -> None:
        change = datetime(2024, 10, 27, 0, 0, tzinfo=UTC)  # Madrid: 02:00 summer time, comes again at 01:00 UTC
        daily = replace(rule(OPEN), each=True, frequency=Frequency(1, DAY_MS))
        day = opens(datetime(2024, 10, 26, 22, 5, tzinfo=UTC), datetime(2024, 10, 27, 22, 55, tzinfo=UTC))
        assert points_of(day, daily, timezone="Europe/Madrid") == 1000
        halves = replace(daily, frequency=Frequency(1, HOUR_MS // 2))
        four = opens(*(change + timedelta(minutes=m) for m in (10, 40, 70, 100)))
        assert points_of(four, halves, timezone="Europe/Madrid") == 2000

    def test_zones_that_change_clocks_on_the_half_hour_in_utc_are_exact(self) -> None:
        hourly = replace(rule(OPEN), each=True, frequency=Frequency(1, HOUR_MS))
        change = datetime(2024, 10, 5, 16, 30, tzinfo=UTC)  # Adelaide: 02:00 becomes 03:00
        seen = opens(change + timedelta(minutes=10), change + timedelta(minutes=50))
        assert points_of(seen, hourly, timezone="Australia/Adelaide") == 1000


class TestCounters:
    KEY = RecordKey("crm", "contacts", "1")

    def readings(self, *values: int, kind: str = "open") -> tuple[Reading, ...]:
        return tuple(
            Reading(self.KEY, kind, value, ago(days=10 - i), ago(days=10 - i)) for i, value in enumerate(values)
        )

    def counted(self, readings: tuple[Reading, ...], first: worlds.FirstReading = "once") -> int:
        model = replace(model_of(replace(rule(OPEN, 100), each=True)), first_reading=first)
        (said,) = kernel([Signals(1, readings=readings)], model, NOW)
        assert said == told(Signals(1, readings=readings), model, NOW)
        return said.total // 100

    @pytest.mark.parametrize(("first", "expected"), [("ignore", 2), ("once", 3), ("all", 9)])
    def test_the_first_reading_counts_as_the_model_says(self, first: worlds.FirstReading, expected: int) -> None:
        assert self.counted(self.readings(7, 9), first) == expected

    def test_a_first_reading_of_nothing_is_no_activity(self) -> None:
        assert self.counted(self.readings(0)) == 0

    def test_a_counter_that_falls_takes_nothing_and_counts_on_from_there(self) -> None:
        assert self.counted(self.readings(7, 2, 5), "ignore") == 3

    def test_a_jump_counts_as_a_thousand_at_most(self) -> None:
        assert self.counted(self.readings(0, 1_001), "ignore") == 1000
        assert self.counted(self.readings(0, 1_000), "ignore") == 1000
        assert self.counted(self.readings(5_000), "all") == 1000

    def test_rises_are_counted_for_each_record_and_kind_by_itself(self) -> None:
        other = Reading(RecordKey("crm", "contacts", "2"), "open", 9, ago(days=1), ago(days=1))
        clicks = self.readings(100, 200, kind="click")
        assert self.counted((*clicks, *self.readings(3, 4), other), "ignore") == 1

    def test_a_rise_happened_when_the_crm_says_else_when_it_was_seen(self) -> None:
        step = replace(rule(OPEN, 100), each=True, fade=Fade("step", 24))
        base = Reading(self.KEY, "open", 1, None, ago(days=9))
        model = replace(model_of(step), first_reading="ignore")
        told_by_crm = Signals(1, readings=(base, Reading(self.KEY, "open", 2, ago(days=2), ago(days=1))))
        unsaid = Signals(1, readings=(base, Reading(self.KEY, "open", 2, None, ago(days=1))))
        assert [said.total for said in kernel([told_by_crm, unsaid], model, NOW)] == [25, 50]


class TestConditions:
    ES = FieldTest("country", "any_of", ("ES",))
    BIG = FieldTest("size", "over", 50)

    def holds(self, condition: Condition, signals: Signals) -> bool:
        model = Model("m", "UTC", (), (Stage("cold"), Stage("sql", or_any=(condition,))),
                      vetoes=(Veto("v", "V", condition, "cold"),))  # fmt: skip
        (said,) = kernel([signals], model, NOW)
        assert said == told(signals, model, NOW)
        assert said.shortcuts[1] == said.vetoes[0]
        return said.vetoes[0]

    @pytest.mark.parametrize("es", [True, False])
    @pytest.mark.parametrize("big", [True, False])
    def test_all_any_and_none_join_conditions(self, es: bool, big: bool) -> None:
        lead = Signals(1, {"country": "ES" if es else "FR", "size": 51 if big else 50})
        assert self.holds(All((self.ES, self.BIG)), lead) == (es and big)
        assert self.holds(AnyOf((self.ES, self.BIG)), lead) == (es or big)
        assert self.holds(NoneOf((self.ES, self.BIG)), lead) == (not es and not big)

    def test_none_holds_for_a_field_that_is_not_set_where_a_negated_test_does_not(self) -> None:
        assert self.holds(NoneOf((self.ES,)), Signals(1))
        assert not self.holds(replace(self.ES, negated=True), Signals(1))

    def test_an_activity_holds_with_its_tests_and_its_window(self) -> None:
        pricing = ActivityTest("page", (FieldTest("url", "contains", ("pricing",)),), in_last_ms=DAY_MS)
        for url, age, expected in (("/Pricing", 1, True), ("/home", 1, False), ("/pricing", 25, False)):
            lead = Signals(1, activities=(ActivitySignal("page", ago(hours=age), {"url": url}),))
            assert self.holds(pricing, lead) is expected

    def test_one_activity_must_pass_all_tests_by_itself(self) -> None:
        both = ActivityTest("page", (FieldTest("a", "any_of", ("x",)), FieldTest("b", "any_of", ("y",))))
        split = (ActivitySignal("page", ago(hours=1), {"a": "x"}), ActivitySignal("page", ago(hours=1), {"b": "y"}))
        assert not self.holds(both, Signals(1, activities=split))
        assert self.holds(both, Signals(1, activities=(ActivitySignal("page", ago(hours=1), {"a": "x", "b": "y"}),)))

    @pytest.mark.parametrize(
        ("signed", "younger", "older"),
        [
            (ago(days=90), True, False), (ago(days=90, seconds=1), False, True), (NOW, True, False),
            (NOW + timedelta(days=1), False, False),
        ],
    )  # fmt: skip
    def test_dates_are_seen_from_now(self, signed: datetime, younger: bool, older: bool) -> None:
        lead = Signals(1, {"signed": signed.isoformat()})
        assert self.holds(FieldTest("signed", "newer_than", 90 * DAY_MS), lead) is younger
        assert self.holds(FieldTest("signed", "older_than", 90 * DAY_MS), lead) is older
        assert self.holds(FieldTest("signed", "newer_than", 90 * DAY_MS, negated=True), lead) is not younger

    @pytest.mark.parametrize("signed", ["", "soon", "31/12/2024", None, True, 2024, "99999999999999999999", 1e300])
    @pytest.mark.parametrize("negated", [True, False])
    def test_a_date_that_cannot_be_read_is_not_set(self, signed: str | float | None, negated: bool) -> None:
        lead = Signals(1, {"signed": signed})
        model = Model("m", "UTC", (), (Stage("cold"),),
                      vetoes=tuple(Veto("v", "V", FieldTest("signed", operator, DAY_MS, negated), "cold")
                                   for operator in ("older_than", "newer_than")))  # fmt: skip
        assert kernel([lead], model, NOW)[0].vetoes == [False, False]

    def test_a_date_of_an_activity_is_seen_from_the_activitys_own_time(self) -> None:
        fresh = ActivityTest("reply", (FieldTest("sent", "newer_than", DAY_MS),))
        reply = ActivitySignal("reply", ago(days=100), {"sent": ago(days=100, hours=3).isoformat()})
        assert self.holds(fresh, Signals(1, activities=(reply,)))
        slow = replace(reply, fields={"sent": ago(days=103).isoformat()})
        assert not self.holds(fresh, Signals(1, activities=(slow,)))

    def test_true_and_one_are_different_values_in_one_model(self) -> None:
        yes, one = FieldTest("optin", "any_of", (True,)), FieldTest("optin", "any_of", (1,))
        for value, expected in ((True, [1000, 0]), ("true", [1000, 0]), (1, [0, 1000]), ("1", [0, 1000])):
            for order in ((yes, one), (one, yes)):
                model = model_of(*(rule(test) for test in order))
                said = kernel([Signals(1, {"optin": value})], model, NOW)[0].rules
                assert said == (expected if order[0] is yes else expected[::-1]), (value, order)


@pytest.mark.parametrize("seen", [opens(ago(days=1)), Signals(1)])
def test_the_kernel_counts_in_integers_only(seen: Signals) -> None:
    model = model_of(rule(OPEN), replace(rule(OPEN), each=True, frequency=Frequency(1, DAY_MS)), rule(All(())))
    found = evaluate(match([seen], model), model, NOW)
    arrays = (found.rules, found.caps, found.bounds, found.dimensions, found.total, found.matches)
    assert {array.dtype for array in (*arrays, *(times for pair in found.paid for times in pair))} == {
        np.dtype(np.int64)
    }


def test_where_a_model_asks_nothing_the_answers_are_empty_and_of_the_same_kind() -> None:
    bare = Model("m", "UTC", (), (Stage("cold"),))
    found = evaluate(match([Signals(1)], bare), bare, NOW)
    for array in (found.rules, found.caps, found.bounds, found.dimensions, found.matches):
        assert (array.dtype, array.shape) == (np.dtype(np.int64), (1, 0))
    assert (found.vetoes.dtype, found.vetoes.shape) == (np.dtype(np.bool_), (1, 0))


def test_dates_and_activities_of_one_model_are_told_apart() -> None:
    fresh, came = rule(FieldTest("signed", "newer_than", DAY_MS)), rule(OPEN)
    for signed, expected in ((ago(days=3), [0, 1000]), (ago(hours=3), [1000, 1000])):
        seen = replace(opens(ago(hours=1)), fields={"signed": signed.isoformat()})
        assert kernel([seen], model_of(fresh, came), NOW)[0].rules == expected


def test_no_activity_pays_for_a_rule_on_the_profile() -> None:
    model = model_of(rule(All(())))
    ((row, at),) = evaluate(match([Signals(1)], model), model, NOW).paid
    assert (len(row), len(at)) == (0, 0)
