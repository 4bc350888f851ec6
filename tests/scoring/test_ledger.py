"""The ledger adds up exactly for any lead, and every line names its rule, its facts and its place in the file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Contribution, Reading, RecordKey, Signals
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
)
from syncer.scoring import dimensions_of, evaluate, match, score, score_of
from tests.scoring import worlds
from tests.scoring.reference import told

NOW = datetime(2025, 11, 20, 12, 0, tzinfo=UTC)
AT = "models/b2b.yml:34"
OPEN = ActivityTest("open")


def lines(signals: Signals, *rules: Rule, **bounds: int) -> tuple[Contribution, ...]:
    dimension = Dimension("fit", rules, where="models/b2b.yml:9", **bounds)
    return score(signals, Model("m", "Europe/Madrid", (dimension,), (Stage("cold"),)), NOW).contributions


def evidence(when: Condition, signals: Signals, *, each: bool = False) -> str:
    (line,) = lines(signals, Rule("r", "R", when, 100, each=each, where=AT))
    return line.evidence


def acts(kind: str, *days_ago: float, observed: bool = False) -> tuple[ActivitySignal, ...]:
    return tuple(ActivitySignal(kind, NOW - timedelta(days=day), observed=observed) for day in days_ago)


class TestAddsUp:
    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(model=worlds.models(), lead=worlds.leads)
    def test_the_lines_of_any_lead_add_up_to_each_dimension_and_these_to_the_total(
        self, model: Model, lead: Signals
    ) -> None:
        found = score(lead, model, worlds.AS_OF)
        sums: dict[str, int] = defaultdict(int)
        for line in found.contributions:
            sums[line.dimension] += line.hundredths
        assert {name: sums[name] for name in found.dimensions} == dict(found.dimensions)
        assert sum(found.dimensions.values()) == found.total == sum(sums.values())
        assert found.total == told(lead, model, worlds.AS_OF).total

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(model=worlds.models(), leads=st.lists(worlds.leads, min_size=1, max_size=3))
    def test_a_row_of_a_chunk_is_the_score_of_the_lead_alone(self, model: Model, leads: list[Signals]) -> None:
        evaluation = evaluate(match(leads, model), model, worlds.AS_OF)
        for row, lead in enumerate(leads):
            found = score_of(lead, model, worlds.AS_OF, evaluation, row)
            assert found == score(lead, model, worlds.AS_OF)
            assert found.dimensions == dimensions_of(model, evaluation, row)
            assert (found.lead, found.as_of, found.model) == (lead.lead, worlds.AS_OF, model.version)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(model=worlds.models(), lead=worlds.leads)
    def test_every_line_names_its_rule_its_evidence_and_its_file_line(self, model: Model, lead: Signals) -> None:
        known = {rule.id: rule for _, rule in model.rules}
        for line in score(lead, model, worlds.AS_OF).contributions:
            assert line.where.startswith("models/m.yml:")
            assert line.evidence
            assert line.name
            if line.rule in known:
                assert (line.name, line.where) == (known[line.rule].name, known[line.rule].where)
            else:
                assert line.rule.rpartition(".")[2] in ("cap", "max", "min")


class TestLines:
    def test_a_score_says_of_whom_as_of_when_and_by_which_model(self) -> None:
        model = Model("m", "UTC", (), (Stage("cold"),), version="m@1")
        found = score(Signals(7), model, NOW)
        assert (found.lead, found.as_of, found.model) == (7, NOW, "m@1")

    def test_a_line_says_rule_name_dimension_points_evidence_and_place(self) -> None:
        rule = Rule("r", "Opens", OPEN, 1000, each=True, cap=1500, where=AT)
        dated = "2 × open (18 Nov 2025, 19 Nov 2025)"
        assert lines(Signals(1, activities=acts("open", 1, 2)), rule, max=700) == (
            Contribution("r", "Opens", "fit", 2000, dated, AT),
            Contribution("r.cap", "Opens", "fit", -500, "cap: 15 at most", AT),
            Contribution("fit.max", "fit", "fit", -800, "max: 7 at most", "models/b2b.yml:9"),
        )

    def test_a_cap_that_does_not_bite_has_no_line(self) -> None:
        found = lines(Signals(1, activities=acts("open", 1)), Rule("r", "R", OPEN, 1000, cap=1000, where=AT))
        assert [line.rule for line in found] == ["r"]

    def test_a_cap_that_bites_is_a_line_of_its_own(self) -> None:
        found = lines(
            Signals(1, activities=acts("open", 1, 2)), Rule("r", "Opens", OPEN, 1000, each=True, cap=1500, where=AT)
        )
        assert [(line.rule, line.hundredths, line.where) for line in found] == [("r", 2000, AT), ("r.cap", -500, AT)]
        assert found[1].evidence == "cap: 15 at most"

    @pytest.mark.parametrize(
        ("points", "rule", "words"), [(1000, "fit.max", "max: 7.5 at most"), (-1000, "fit.min", "min: -3 at least")]
    )
    def test_a_bound_that_bites_is_a_line_of_its_own(self, points: int, rule: str, words: str) -> None:
        found = lines(Signals(1), Rule("r", "R", All(()), points, where=AT), max=750, min=-300)
        assert [(line.rule, line.hundredths, line.evidence) for line in found[1:]] == [
            (rule, (750 if points > 0 else -300) - points, words)
        ]
        assert found[1].where == "models/b2b.yml:9"

    def test_what_neither_gives_nor_matches_has_no_line(self) -> None:
        assert lines(Signals(1), Rule("r", "R", OPEN, 1000), max=750, min=0) == ()

    def test_a_rule_whose_points_have_faded_to_nothing_still_shows_its_match(self) -> None:
        (line,) = lines(Signals(1, activities=acts("open", 1)), Rule("r", "R", OPEN, 0, where=AT))
        assert (line.hundredths, line.evidence) == (0, "open (19 Nov 2025)")


class TestEvidence:
    def test_a_field_is_shown_with_its_value(self) -> None:
        assert evidence(FieldTest("country", "any_of", ("es",)), Signals(1, {"country": " ES "})) == "country = ES"

    def test_every_fact_of_a_joint_condition_is_shown_once(self) -> None:
        both = All((FieldTest("size", "over", 50), FieldTest("size", "under", 90), FieldTest("city", "is_set", False)))
        assert evidence(both, Signals(1, {"size": 60.0})) == "size = 60, city (empty)"

    def test_of_alternatives_only_what_is_there_is_shown(self) -> None:
        either = AnyOf((FieldTest("a", "any_of", ("x",)), FieldTest("b", "any_of", ("y",))))
        assert evidence(either, Signals(1, {"b": "Y"})) == "b = Y"

    def test_an_exclusion_that_holds_because_nothing_is_there_says_so(self) -> None:
        none = NoneOf((FieldTest("country", "any_of", ("ES",)),))
        assert evidence(none, Signals(1)) == "country (empty)"
        assert evidence(none, Signals(1, {"country": "FR"})) == "country = FR"

    def test_activities_are_counted_and_dated_on_the_models_wall_clock(self) -> None:
        late = ActivitySignal("open", datetime(2025, 11, 18, 23, 30, tzinfo=UTC))
        seen = (late, *acts("open", 5, 12))
        assert (
            evidence(OPEN, Signals(1, activities=seen), each=True) == "3 × open (8 Nov 2025, 15 Nov 2025, 19 Nov 2025)"
        )

    def test_only_what_paid_is_evidence(self) -> None:
        seen = Signals(1, activities=acts("open", 5, 5, 12, 40))
        assert evidence(OPEN, seen) == "open (15 Nov 2025)", "the newest"
        once_a_day = Rule("r", "R", OPEN, 100, each=True, frequency=Frequency(1, worlds.DAY_MS), where=AT)
        (line,) = lines(seen, once_a_day)
        assert line.evidence == "3 × open (11 Oct 2025, 8 Nov 2025, 15 Nov 2025)"

    def test_evidence_is_the_leads_own_also_in_a_chunk(self) -> None:
        """The other lead was paid for an opening at the very time at which this one has an older one."""
        model = Model("m", "UTC", (Dimension("fit", (Rule("r", "R", OPEN, 100),)),), (Stage("cold"),))
        leads = [Signals(1, activities=acts("open", 1, 5)), Signals(2, activities=acts("open", 5))]
        evaluation = evaluate(match(leads, model), model, NOW)
        for row, lead in enumerate(leads):
            assert score_of(lead, model, NOW, evaluation, row) == score(lead, model, NOW)

    def test_of_several_that_are_needed_each_must_count(self) -> None:
        priced = ActivityTest("open", (FieldTest("page", "contains", ("price",)),), in_last_ms=worlds.DAY_MS * 3)
        good = ActivitySignal("open", NOW - timedelta(days=3), {"page": "/prices"})
        others = (
            replace(good, kind="click", at=NOW - timedelta(days=1)),
            replace(good, fields={"page": "/home"}, at=NOW - timedelta(days=2)),
            replace(good, at=NOW - timedelta(days=4)), replace(good, at=NOW + timedelta(days=1)),
        )  # fmt: skip
        seen = Signals(1, activities=(good, *others, replace(good, at=NOW)))
        (line,) = lines(seen, Rule("r", "R", priced, 100, at_least=2, where=AT))
        assert line.evidence == "2 × open (17 Nov 2025, 20 Nov 2025)"

    def test_where_several_are_needed_all_of_them_are_the_reason(self) -> None:
        (line,) = lines(Signals(1, activities=acts("open", 5, 12)), Rule("r", "R", OPEN, 100, at_least=2, where=AT))
        assert line.evidence == "2 × open (8 Nov 2025, 15 Nov 2025)"

    def test_how_much_is_left_of_faded_points_is_said(self) -> None:
        fading = Rule("r", "R", OPEN, 1000, each=True, fade=Fade("exponential", 24), where=AT)
        (line,) = lines(Signals(1, activities=acts("open", 1, 2)), fading)
        assert (line.hundredths, line.evidence) == (750, "2 × open (18 Nov 2025, 19 Nov 2025), faded to 37 %")

    def test_faded_points_are_never_said_to_be_all_there(self) -> None:
        barely = Rule("r", "R", OPEN, 1000, fade=Fade("linear", 500), where=AT)
        (line,) = lines(Signals(1, activities=acts("open", 1 / 24)), barely)
        assert (line.hundredths, line.evidence) == (999, "open (20 Nov 2025), faded to 99 %")

    def test_five_days_are_named_without_more(self) -> None:
        shown = evidence(OPEN, Signals(1, activities=acts("open", *range(1, 6))), each=True)
        assert shown.startswith("5 × open (15 Nov 2025, 16 Nov 2025,")

    def test_only_the_last_five_days_are_named_but_all_are_counted(self) -> None:
        shown = evidence(OPEN, Signals(1, activities=acts("open", *range(1, 8))), each=True)
        assert shown == "7 × open (…, 15 Nov 2025, 16 Nov 2025, 17 Nov 2025, 18 Nov 2025, 19 Nov 2025)"

    def test_activities_of_other_kinds_times_and_fields_are_no_evidence(self) -> None:
        test = ActivityTest("open", (FieldTest("page", "contains", ("price",)),), in_last_ms=worlds.DAY_MS * 3)
        good = ActivitySignal("open", NOW - timedelta(days=3), {"page": "/prices"})
        others = (
            replace(good, kind="click"), replace(good, fields={"page": "/home"}),
            replace(good, at=NOW - timedelta(days=3, milliseconds=1)),
            replace(good, at=NOW + timedelta(milliseconds=1)),
        )  # fmt: skip
        assert evidence(test, Signals(1, activities=(good, *others)), each=True) == "open (17 Nov 2025)"

    def test_what_a_counter_betrayed_is_marked(self) -> None:
        at = NOW - timedelta(days=1)
        lead = Signals(1, readings=(Reading(RecordKey("crm", "contacts", "1"), "open", 4, at, NOW),))
        assert evidence(OPEN, lead) == "open (19 Nov 2025, seen by a counter)"

    def test_a_long_value_is_cut_and_stays_on_one_line(self) -> None:
        shown = evidence(FieldTest("note", "contains", ("x",)), Signals(1, {"note": "x\ny " * 100}))
        assert "\n" not in shown
        assert len(shown) == len("note = ") + 80
        assert shown.endswith("…")
        whole = FieldTest("note", "is_set", True)
        assert evidence(whole, Signals(1, {"note": "x" * 80})) == "note = " + "x" * 80
        assert evidence(whole, Signals(1, {"note": " a\n b"})) == "note = a b"

    def test_a_rule_without_conditions_says_so(self) -> None:
        assert evidence(All(()), Signals(1)) == "holds for every lead"
