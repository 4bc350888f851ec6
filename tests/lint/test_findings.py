"""Rules, gates and stages that can never be, and points that make the others worthless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.lint import Finding, findings
from syncer.lint.reach import Range, allowed, never, ranges_of
from syncer.model import Signals, StageState
from syncer.planning import marks_of
from syncer.rules import (
    ActivityTest,
    All,
    Dimension,
    FieldTest,
    Follows,
    Frequency,
    Gate,
    Ignore,
    Model,
    Rule,
    Stage,
    Veto,
)
from syncer.scoring import evaluate, match
from syncer.settings import load_model
from syncer.stages import Hands, Occasion, next_state
from tests.scoring import worlds

CONFIG = Path(__file__).parents[2] / "config" / "models"
DAY_MS = worlds.DAY_MS
_HEAD = """\
fit:
  max: 60
  rules:
    - {name: Country, when: {country: ES}, points: 20}
    - {name: Title, when: {title: {contains: director}}, points: 20}
    - {name: Size, when: {size: {at_least: 50}}, points: 20}
engagement:
  rules:
    - {name: Opened, when: {activity: email_open}, points: 1, each: true, cap: 5}
    - {name: Met us, when: {activity: meeting}, points: 6}
    - {name: Left, when: {left: yes}, points: -4}
stages:
  - {name: cold}
"""


def told(folder: Path, stages: str, head: str = _HEAD) -> list[Finding]:
    """What is said of a model with these stages above cold."""
    path = folder / "model.yml"
    path.write_text(head + stages)
    return list(findings(load_model(path)))


def only(folder: Path, stages: str, head: str = _HEAD) -> Finding:
    (finding,) = told(folder, stages, head)
    return finding


def test_a_model_in_order_is_told_nothing_of(tmp_path: Path) -> None:
    stages = """\
  - {name: iql, enter: [fit >= 40]}
  - {name: mql, enter: [fit < 60, engagement >= 8], leave_below: [engagement >= 3]}
  - {name: sql, enter: [engagement >= 11, total <= 71], falls_back: false}
"""
    assert told(tmp_path, stages) == []


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yml")), ids=lambda path: path.name)
def test_every_model_we_ship_has_no_error_and_no_rule_that_cannot_fire(path: Path) -> None:
    assert {each.code for each in findings(load_model(path))} <= {"SY094"}


# Rules.


def test_a_rule_with_contradicting_conditions_can_never_fire(tmp_path: Path) -> None:
    head = _HEAD.replace("{at_least: 50}", "{at_least: 50, under: 20}")
    assert only(tmp_path, "", head) == Finding(
        "warning",
        "'Size' can never fire: size would have to be at least 50 and be under 20 at once",
        "SY091",
        "model.yml:6",
        "take one of the two out, or put them into `any`",
    )


@pytest.mark.parametrize(("at_least", "fires"), [(8, True), (9, True), (10, False), (11, False)])
def test_a_rule_that_waits_for_more_matches_than_its_windows_let_count_can_never_fire(
    at_least: int, fires: bool, tmp_path: Path
) -> None:
    when = f"{{activity: visit, in_last: 7d}}, per_day: 1, at_least: {at_least}"
    head = _HEAD.replace("{activity: meeting}", when).replace("fit:", "timezone: Europe/Madrid\nfit:", 1)
    found = told(tmp_path, "", head)
    assert [each.code for each in found] == [] if fires else ["SY091"]
    if not fires:
        assert f"it pays from match {at_least} on, and at most 9 count within 7d" in found[0].message


def test_without_clock_changes_eight_days_of_the_calendar_are_the_most_in_seven_days() -> None:
    rule = Rule("r", "R", ActivityTest("visit", in_last_ms=7 * DAY_MS), 100, frequency=Frequency(2, DAY_MS))
    assert never(replace(rule, at_least=16), "UTC") is None
    assert never(replace(rule, at_least=17), "UTC") is not None
    assert never(replace(rule, at_least=17), "Europe/Madrid") is None  # when clocks go forward within the seven days


def test_vetoes_shortcuts_and_ignoring_rules_that_can_never_hold_are_told_too() -> None:
    clash = FieldTest("size", "over", 5), FieldTest("size", "under", 2)
    kept = FieldTest("country", "any_of", ("ES",))
    model = Model(
        "m", "UTC", (), (Stage("cold"), Stage("iql", or_any=(kept, All(clash)), where="m.yml:9")),
        vetoes=(Veto("v", "Student", All(clash), "cold", "m.yml:5"), Veto("w", "Other", kept, "cold")),
        ignores=(Ignore("i", "Robots", tests=clash), Ignore("j", "Own", lead=All(clash)),
                 Ignore("k", "Fast", follows=Follows("sent", 5000))),
    )  # fmt: skip
    assert [(each.code, each.message.partition(": ")[0], each.where) for each in findings(model)] == [
        ("SY091", "the veto 'Student' can never hold anybody", "m.yml:5"),
        ("SY091", "'Robots' can never ignore anything", ""),
        ("SY091", "'Own' can never ignore anything", ""),
        ("SY091", "shortcut 2 to iql (`or_any`) can never hold", "m.yml:9"),
    ]


# Points.


def test_points_beyond_the_most_of_the_dimension_are_told(tmp_path: Path) -> None:
    finding = told(tmp_path, "", _HEAD.replace("max: 60", "max: 19.5"))[0]
    assert finding.message == "'Country' gives 20 points, and fit never counts more than 19.5"


def test_the_cap_of_a_rule_counts_before_the_most_of_the_dimension(tmp_path: Path) -> None:
    head = _HEAD.replace("points: 1, each: true, cap: 5", "points: 30, each: true, cap: 8")
    assert told(tmp_path, "", head.replace("engagement:", "engagement:\n  max: 8")) == []


def test_one_rule_that_alone_leads_into_a_stage_is_named_with_its_points(tmp_path: Path) -> None:
    head = _HEAD.replace("{contains: director}}, points: 20", "{contains: director}}, points: 45")
    finding = only(tmp_path, "  - {name: iql, enter: [fit >= 40]}\n", head)
    assert finding.message == "'Title' alone leads to iql: its 45 points meet fit >= 40"
    assert (finding.level, finding.code, finding.where) == ("warning", "SY094", "model.yml:5")


def test_a_rule_alone_meets_a_threshold_on_the_total_as_well(tmp_path: Path) -> None:
    head = _HEAD.replace("{contains: director}}, points: 20", "{contains: director}}, points: 45")
    assert "meet total >= 40" in only(tmp_path, "  - {name: iql, enter: [total >= 40]}\n", head).message


def test_one_rule_that_opens_and_shuts_a_gate_among_others_is_named_with_what_the_others_give(tmp_path: Path) -> None:
    finding = only(tmp_path, "  - {name: mql, enter: [engagement >= 6, fit >= 40]}\n")
    assert finding.message == (
        "'Met us' alone decides engagement >= 6 of mql: its 6 points meet it, and all others of engagement together "
        "give 5"
    )


def test_a_gate_that_any_rule_meets_or_that_the_others_meet_together_is_nobodys_alone(tmp_path: Path) -> None:
    stages = "  - {name: iql, enter: [fit >= 20]}\n  - {name: mql, enter: [engagement > 4.99, fit > 39.99]}\n"
    assert told(tmp_path, stages) == []


def test_the_only_rule_of_a_dimension_decides_and_nobody_is_surprised(tmp_path: Path) -> None:
    need = "need:\n  rules:\n    - {name: Told us, when: {problem: {is_set: true}}, points: 10}\nstages:"
    assert told(tmp_path, "  - {name: iql, enter: [need >= 10]}\n", _HEAD.replace("stages:", need)) == []


# Gates.


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("fit >= 60.01", "the rules give fit at most 60"),
        ("fit > 60", "the rules give fit at most 60"),
        ("engagement >= 12", "the rules give engagement at most 11"),
        ("engagement < -4", "the rules give engagement at least -4"),
        ("engagement <= -4.01", "the rules give engagement at least -4"),
        ("total >= 72", "the rules give total at most 71"),
        ("need > 0", "no rule of need gives any points"),
    ],
)
def test_a_gate_beyond_what_the_rules_can_give_is_an_error(gate: str, why: str, tmp_path: Path) -> None:
    finding = only(tmp_path, f"  - {{name: iql, enter: ['{gate}']}}\n")
    assert (finding.level, finding.code, finding.where) == ("error", "SY092", "model.yml:14")
    assert finding.message == f"iql can never be entered: it asks for {gate}, and {why}"


@pytest.mark.parametrize("gate", ["fit >= 60", "engagement >= 11", "engagement <= -4", "total >= 71", "need >= 0"])
def test_a_gate_at_the_edge_of_what_the_rules_can_give_is_none(gate: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"  - {{name: iql, enter: ['{gate}']}}\n") == []


@pytest.mark.parametrize("more", ["each: true", "each: true, per_day: 3", "each: true, at_least: 4"])
def test_a_rule_that_every_match_pays_without_an_end_meets_any_gate(more: str, tmp_path: Path) -> None:
    head = _HEAD.replace("{activity: meeting}, points: 6", f"{{activity: meeting}}, points: 6, {more}")
    assert told(tmp_path, "  - {name: iql, enter: [engagement >= 100000]}\n", head) == []


def test_calendar_windows_within_a_time_are_an_end(tmp_path: Path) -> None:
    """At most 3 a day on at most 3 days of two days' time, the first of these 9 is not paid: 8 x 6, and 5 for opens."""
    when = "{activity: meeting, in_last: 2d}, points: 6, each: true, per_day: 3, at_least: 2"
    head = _HEAD.replace("{activity: meeting}, points: 6", when)
    assert told(tmp_path, "  - {name: iql, enter: [engagement >= 53]}\n", head) == []
    assert "at most 53" in only(tmp_path, "  - {name: iql, enter: [engagement > 53]}\n", head).message


def test_a_stage_behind_one_that_nobody_enters_names_both(tmp_path: Path) -> None:
    stages = "  - {name: iql, enter: [fit >= 70]}\n  - {name: mql, enter: [engagement >= 8]}\n"
    first, second = told(tmp_path, stages)
    assert first.message.startswith("iql can never be entered: it asks for fit >= 70")
    assert (second.level, second.where) == ("error", "model.yml:15")
    assert second.message == "mql can never be entered, because iql before it cannot"


def test_gates_that_exclude_each_other_are_named_with_their_stages(tmp_path: Path) -> None:
    stages = "  - {name: iql, enter: [fit >= 40]}\n  - {name: mql, enter: [fit < 40, engagement > 0]}\n"
    finding = only(tmp_path, stages)
    assert finding.message == "mql can never be entered: fit >= 40 (iql) and fit < 40 (mql) exclude each other"
    total = "  - {name: iql, enter: [fit <= 20, engagement <= 6, total >= 27]}\n"
    assert "fit <= 20 (iql) and engagement <= 6 (iql) and total >= 27 (iql)" in only(tmp_path, total).message


def test_the_slack_of_a_stage_lets_its_leads_pass_what_its_entry_would_exclude(tmp_path: Path) -> None:
    stages = "  - {name: iql, enter: [fit >= 40], leave_below: [fit >= 20]}\n  - {name: mql, enter: [fit < 40]}\n"
    assert told(tmp_path, stages) == []


def test_where_a_shortcut_leads_in_a_gate_that_cannot_be_met_is_a_warning(tmp_path: Path) -> None:
    stage = "  - {name: iql, enter: [fit >= 70], or_any: [{country: ES}]}\n"
    finding = only(tmp_path, stage)
    assert finding.level == "warning"
    assert finding.message == "fit >= 70 can never be met (the rules give fit at most 60): only `or_any` leads to iql"
    assert only(tmp_path, stage + "  - {name: mql, enter: [engagement >= 8]}\n") == finding


def test_a_shortcut_that_skips_gates_leads_past_a_stage_that_nobody_enters(tmp_path: Path) -> None:
    shortcut = "or_any: [{country: ES}], skip_gates: true"
    stages = f"  - {{name: iql, enter: [fit >= 70]}}\n  - {{name: mql, enter: [fit >= 30], {shortcut}}}\n"
    assert [each.message[:12] for each in told(tmp_path, stages)] == ["iql can neve"]


def test_a_shortcut_that_skips_no_gates_does_not_lead_past_a_stage_that_nobody_enters(tmp_path: Path) -> None:
    stages = "  - {name: iql, enter: [fit >= 70]}\n  - {name: mql, enter: [fit >= 30], or_any: [{country: ES}]}\n"
    assert told(tmp_path, stages)[1].message == "mql can never be entered, because iql before it cannot"


def test_the_points_of_a_rule_that_can_never_fire_open_no_gate_and_are_nobodys_rival(tmp_path: Path) -> None:
    head = _HEAD.replace("{at_least: 50}", "{at_least: 50, under: 20}")
    _, error = told(tmp_path, "  - {name: iql, enter: [fit >= 41]}\n", head)
    assert error.message == "iql can never be entered: it asks for fit >= 41, and the rules give fit at most 40"
    alone = head.replace("{country: ES}", "{country: {over: 2, under: 1}}")
    codes = [each.code for each in told(tmp_path, "  - {name: iql, enter: [fit >= 20]}\n", alone)]
    assert codes == ["SY091", "SY091"]


# Slack.


def test_slack_that_is_no_lower_than_the_entry_never_matters(tmp_path: Path) -> None:
    finding = only(tmp_path, "  - {name: iql, enter: [fit >= 40], leave_below: [fit >= 40]}\n")
    assert (finding.level, finding.code) == ("warning", "SY093")
    assert finding.message == "`leave_below` of iql never matters: fit >= 40 is what `enter` asks for already"


def test_slack_that_is_always_given_is_told(tmp_path: Path) -> None:
    slack = "  - {{name: iql, enter: [engagement >= 8], leave_below: [engagement >= {}]}}\n"
    assert only(tmp_path, slack.format(-4)).message == (
        "nobody ever leaves iql by `leave_below`: engagement >= -4 is always so"
    )
    assert told(tmp_path, slack.format(-3.99)) == []


def test_slack_of_a_last_stage_that_nobody_leaves_never_matters(tmp_path: Path) -> None:
    last = "  - {name: iql, enter: [fit >= 40], leave_below: [fit >= 30], falls_back: false}\n"
    assert "with `falls_back: false` nobody moves down from it" in only(tmp_path, last).message
    assert told(tmp_path, last + "  - {name: mql, enter: [engagement >= 8]}\n") == []


# What is said never to be, never is.

_measures = st.sampled_from(("fit", "engagement", "need", "total"))
_gates = st.builds(
    Gate, _measures, st.sampled_from((">=", ">", "<=", "<")), st.integers(-20, 40).map(lambda n: n * 250)
)


@st.composite
def _staged(draw: st.DrawFn) -> Model:
    """Random rules under random gates, of which many cannot be met."""
    model = draw(worlds.models())
    enters = draw(st.lists(st.lists(_gates, max_size=2).map(tuple), min_size=2, max_size=3))
    stages = tuple(
        Stage(
            f"s{rank}",
            enter=enter,
            leave_below=draw(st.just(()) if not enter else st.sampled_from(((), (replace(enter[0], threshold=0),)))),
            or_any=draw(st.lists(worlds.conditions, max_size=1).map(tuple)) if rank == 1 else (),
            skip_gates=draw(st.booleans()),
            falls_back=draw(st.booleans()),
        )
        for rank, enter in enumerate(enters, start=1)
    )
    return replace(model, stages=(Stage("s0"), *stages), vetoes=())


def _unreachable(model: Model) -> set[str]:
    return {each.message.split(" ")[0] for each in findings(model) if each.level == "error"}


@settings(max_examples=100)
@given(model=_staged(), leads=st.lists(worlds.leads, min_size=3, max_size=8))
def test_no_lead_ever_does_what_is_said_never_to_be(model: Model, leads: list[Signals]) -> None:
    """However a lead changes from one of these into the next: no rule, no gate, no stage that is told of."""
    evaluation = evaluate(match(leads, model), model, worlds.AS_OF)
    paid = evaluation.matches.sum(axis=0)
    for place, (_, rule) in enumerate(model.rules):
        assert not paid[place] or never(rule, model.timezone) is None
    unreachable = _unreachable(model)
    state: StageState | None = None
    for row in range(len(leads)):
        marks = marks_of(model, evaluation, row)
        state = next_state(state, marks, model, Hands(), Occasion(worlds.AS_OF, "profile"))
        assert state.stage not in unreachable
        for measure, reach in ranges_of(model).items():
            have = marks.total if measure == "total" else marks.dimensions.get(measure, 0)
            assert reach.low <= have <= reach.high


@pytest.mark.parametrize(
    ("comparison", "points"), [(">=", Range(100, 1e18)), (">", Range(101, 1e18)), ("<", Range(-1e18, 99))]
)
def test_a_gate_lets_whole_hundredths_pass(comparison: str, points: Range) -> None:
    gate = Gate("fit", comparison, 100)  # type: ignore[arg-type]  # one of four texts
    assert allowed(gate).within(Range(-1e18, 1e18)) == points


def test_a_dimension_bounds_first_above_then_below() -> None:
    rules = (Rule("a", "A", FieldTest("x", "is_set", True), 500), Rule("b", "B", FieldTest("y", "is_set", True), -300))
    model = Model("m", "UTC", (Dimension("fit", rules, max=400, min=-100),), (Stage("cold"),))
    assert ranges_of(model)["fit"] == Range(-100, 400)
    assert ranges_of(model)["total"] == Range(-100, 400)
