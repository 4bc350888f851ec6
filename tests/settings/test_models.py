"""A model file -> a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.rules import ActivityTest, All, Burst, Fade, FieldTest, Follows, Frequency, Gate
from tests.settings.samples import MODEL, model_of, model_problems, only, with_rule

DAY_MS = 86_400_000


def test_a_rule_gets_everything_it_says(tmp_path: Path) -> None:
    text = with_rule(
        "{id: prices, name: Looked at prices, when: {activity: page_view, url: {contains: /precios}}, in_last: 30d, "
        "points: 2.5, each: true, at_least: 2, per: {count: 2, every: 7d}, cap: 15, half_life: 12h, fade: linear}",
        "engagement",
    )
    model = model_of(tmp_path, text)
    dimension, rule = only(model.rules)
    assert dimension.name == "engagement"
    assert rule.when == ActivityTest("page_view", (FieldTest("url", "contains", ("/precios",)),), 30 * DAY_MS)
    assert (rule.id, rule.name, rule.points, rule.each, rule.at_least) == ("prices", "Looked at prices", 250, True, 2)
    assert (rule.frequency, rule.cap, rule.fade) == (Frequency(2, 7 * DAY_MS), 1500, Fade("linear", 12))
    assert rule.where == "b2b.yml:3"


def test_an_id_is_made_of_the_name(tmp_path: Path) -> None:
    model = model_of(tmp_path, with_rule('{name: "Visitó precios (2×)", when: {a: 1}, points: 1}'))
    assert only(model.rules)[1].id == "visito-precios-2"


def test_a_name_without_latin_letters_needs_an_id_of_its_own(tmp_path: Path) -> None:
    assert (
        only(model_problems(tmp_path, with_rule("{name: 日本, when: {a: 1}, points: 1}"))).path == "fit.rules[0].name"
    )
    assert model_of(tmp_path, with_rule("{id: japan, name: 日本, when: {a: 1}, points: 1}")).rules[0][1].id == "japan"


def test_stages_get_everything_they_say(tmp_path: Path) -> None:
    text = MODEL + (
        "  - name: hot\n    label: {es: Caliente, en: Hot}\n    enter: [engagement >= 20, need > 0]\n"
        "    leave_below: [engagement >= 12]\n    or_any: [{activity: demo_request, in_last: 7d}]\n"
        "    skip_gates: true\n    owned_by: sales\n    falls_back: false\n    dwell: 24h\n"
    )
    stage = model_of(tmp_path, text).stages[3]
    assert stage.label == (("en", "Hot"), ("es", "Caliente"))
    assert stage.enter == (Gate("engagement", ">=", 2000), Gate("need", ">", 0))
    assert stage.leave_below == (Gate("engagement", ">=", 1200),)
    assert stage.or_any == (ActivityTest("demo_request", (), 7 * DAY_MS),)
    assert (stage.skip_gates, stage.owned_by, stage.falls_back, stage.dwell_ms) == (True, "sales", False, DAY_MS)
    assert stage.where == "b2b.yml:8"


def test_a_single_threshold_may_stand_without_brackets(tmp_path: Path) -> None:
    model = model_of(tmp_path, "stages:\n  - {name: a}\n  - {name: b, enter: fit >= 4}\n")
    assert model.stages[1].enter == (Gate("fit", ">=", 400),)


@pytest.mark.parametrize(
    ("model_wide", "dimension", "rule", "fade"),
    [
        ("", "", "", Fade("none")),
        ("half_life: 30d", "", "", Fade("exponential", 720)),
        ("half_life: 30d", "half_life: 10d", "", Fade("exponential", 240)),
        ("half_life: 30d", "half_life: 10d", ", half_life: 5d", Fade("exponential", 120)),
        ("", "", ", half_life: 5d", Fade("exponential", 120)),
        ("half_life: 30d", "fade: step", "", Fade("step", 720)),
        ("half_life: 30d", "fade: step", ", fade: linear", Fade("linear", 720)),
        ("half_life: 30d", "", ", fade: none", Fade("none")),
        ("", "fade: none", "", Fade("none")),
    ],
)
def test_the_nearest_half_life_and_fade_count(
    tmp_path: Path, model_wide: str, dimension: str, rule: str, fade: Fade
) -> None:
    text = (
        f"{model_wide}\nengagement:\n  {dimension}\n  rules:\n"
        f"    - {{name: A, when: {{activity: call}}, points: 1{rule}}}\nstages:\n  - {{name: cold}}\n"
    )
    assert only(model_of(tmp_path, text).rules)[1].fade == fade


def test_a_rule_on_the_profile_does_not_fade(tmp_path: Path) -> None:
    model = model_of(tmp_path, "half_life: 30d\n" + with_rule("{name: A, when: {a: 1}, points: 1}"))
    assert only(model.rules)[1].fade == Fade("none")


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        ("{name: A, when: {activity: call}, points: 1, fade: linear}", "fade", "'fade' needs a half_life"),
        ("{name: A, when: {a: 1}, points: 1, each: true}", "each", "'each' needs one activity to count"),
        ("{name: A, when: {a: 1}, points: 1, half_life: 3d}", "half_life", "'half_life' needs one activity"),
        ("{name: A, when: {activity: [a, b]}, points: 1, each: true}", "each", "'each' needs one activity"),
        (
            "{name: A, when: {all: [{activity: a}, {activity: b}]}, points: 1}",
            "when",
            "a rule counts one activity, and this one names several",
        ),
        ("{name: A, when: {activity: a, in_last: 3d}, points: 1, in_last: 3d}", "in_last", "stands in `when` too"),
        ("{name: A, when: {activity: a}, points: 1, per_day: 1, per: {count: 1, every: 1d}}", "per", "keep one"),
        ("{name: A, when: {activity: a}, points: 1, per: {count: 1, every: 90m}}", "per.every", "whole hours"),
        ("{name: A, when: {activity: a}, points: 1, at_least: 0}", "at_least", "must be at least 1, not 0"),
        ("{name: A, when: {activity: a}, points: 1, each: 1}", "each", "true or false is needed here, not 1"),
        ("{name: A, when: {a: 1}, points: 1, cap: 0}", "cap", "must be more than 0"),
        ("{name: A, when: {a: 1}, points: 1.005}", "points", "more than two decimals"),
        ("{name: A, when: {a: 1}, points: '1'}", "points", "is not a number of points"),
        ("{name: '', when: {a: 1}, points: 1}", "name", "at least 1 character"),
        ("{name: A, id: a b, when: {a: 1}, points: 1}", "id", "'a b' cannot be a name here"),
        ("{name: A, when: {a: 1}, points: 1, fade: slowly}", "fade", "'slowly' is not one of exponential, linear"),
        ("{name: 5, when: {a: 1}, points: 1}", "name", "text is needed here, not 5"),
    ],
)
def test_a_wrong_rule_says_where_and_what(tmp_path: Path, rule: str, path: str, message: str) -> None:
    found = [one for one in model_problems(tmp_path, with_rule(rule)) if one.path == f"fit.rules[0].{path}"]
    assert message in only(tuple(found)).message
    assert found[0].line == 3


def test_an_activity_that_is_only_a_condition_goes_into_a_list_of_its_own(tmp_path: Path) -> None:
    rule = "{name: A, when: {all: [{activity: a}], any: [{activity: b}]}, points: 1, each: true}"
    (_, built) = only(model_of(tmp_path, with_rule(rule)).rules)
    assert built.counted == ActivityTest("a")
    assert isinstance(built.when, All)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("stages: []\n", "stages", "the list is empty"),
        ("fit: {rules: []}\nstages: [{name: a}]\n", "fit.rules", "the list is empty"),
        ("fit: {max: 5}\nstages: [{name: a}]\n", "fit.rules", "the key 'rules' is missing"),
        ("fit:\nstages: [{name: a}]\nfitt: {}\n", "fitt", "unknown key 'fitt'"),
        ("stages: [{name: a, enter: [fit > 1]}]\n", "stages[0].enter", "the first stage takes everybody"),
        ("stages: [{name: a}, {name: a}]\n", "stages[1].name", "there are two stages 'a'"),
        ("stages: [{name: a b}]\n", "stages[0].name", "cannot be a name here"),
        ("stages: [{name: a}, {name: b, leave_below: [fit > 1]}]\n", "stages[1].leave_below[0]", "could replace"),
        (
            "stages: [{name: a}, {name: b, enter: [fit >= 5], leave_below: [fit >= 6]}]\n",
            "stages[1].leave_below[0]",
            "leads would flap",
        ),
        ("stages: [{name: a}, {name: b, skip_gates: true}]\n", "stages[1].skip_gates", "there is none"),
        ("stages: [{name: a}]\nveto: [{name: V, when: {a: 1}, hold_at: b}]\n", "veto[0].hold_at", "no stage 'b'"),
        ("stages: [{name: a, label: {fr: froid}}]\n", "stages[0].label.fr", "is not one of en, es"),
        ("stages: [{name: a}]\nlists: {x: nowhere.txt}\n", "lists.x", "the file nowhere.txt does not exist"),
        ("stages: [{name: a}]\nhalf_life: 90m\n", "half_life", "whole hours"),
        ("stages: [{name: a}]\nfirst_reading: never\n", "first_reading", "is not one of ignore, once, all"),
        (
            "fit: {min: 5, max: 3, rules: [{name: A, when: {a: 1}, points: 1}]}\nstages: [{name: a}]\n",
            "fit.min",
            "'min' is more than 'max'",
        ),
    ],
)
def test_a_wrong_model_says_where_and_what(tmp_path: Path, text: str, path: str, message: str) -> None:
    found = only(model_problems(tmp_path, text))
    assert found.path == path
    assert message in found.message


def test_two_rules_with_one_id_are_refused_across_dimensions_and_vetoes(tmp_path: Path) -> None:
    text = (
        "fit:\n  rules:\n    - {name: Same, when: {a: 1}, points: 1}\n"
        "need:\n  rules:\n    - {id: same, name: Other, when: {a: 1}, points: 1}\n"
        "veto:\n  - {name: SAME, when: {a: 1}}\nstages:\n  - {name: cold}\n"
    )
    assert [(one.line, one.column) for one in model_problems(tmp_path, text)] == [(6, 12), (8, 12)]


def test_named_lists_are_read_without_comments_and_case(tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("# mail\nGMail.com  # big\n\ngmx.de\ngmail.com\n", encoding="utf-8-sig")
    text = "lists: {free: free.txt, ours: [ACME.es]}\n" + with_rule(
        "{name: A, when: {email: {domain_in: free, not_domain_in: ours}}, points: 1}"
    )
    model = model_of(tmp_path, text)
    assert model.lists == (("free", ("gmail.com", "gmx.de")), ("ours", ("acme.es",)))
    assert only(model.rules)[1].when == All(
        (
            FieldTest("email", "domain_in", ("gmail.com", "gmx.de")),
            FieldTest("email", "domain_in", ("acme.es",), negated=True),
        )
    )


def test_a_list_with_a_gap_is_not_also_an_unknown_list(tmp_path: Path) -> None:
    text = "lists: {free: nowhere.txt}\n" + with_rule("{name: A, when: {email: {domain_in: free}}, points: 1}")
    assert [one.path for one in model_problems(tmp_path, text)] == ["lists.free"]


def test_texts_stay_text_and_numbers_stay_numbers(tmp_path: Path) -> None:
    model = model_of(
        tmp_path, with_rule('{name: A, when: {a: [NO, on, 2026-01-02, 12:30, 5, 5.5, true, "08001", "5"]}, points: 1}')
    )
    test = only(model.rules)[1].when
    assert test.argument == ("NO", "on", "2026-01-02", "12:30", 5, 5.5, True, "08001", "5")
    assert [type(one) for one in test.argument[4:7]] == [int, float, bool]


def test_comments_order_of_keys_and_lines_do_not_change_the_version(tmp_path: Path) -> None:
    first = model_of(tmp_path, with_rule("{name: A, when: {a: 1.0}, points: 1}"))
    again = model_of(
        tmp_path, "# other\nstages:\n- name: cold\nfit:\n  rules:\n  - points: 1.00\n    when: {a: 1}\n    name: A\n"
    )
    other = model_of(tmp_path, with_rule("{name: A, when: {a: 1}, points: 1.01}"))
    assert first.version == again.version != other.version
    assert first.version.startswith("b2b@")


def test_a_veto_holds_at_the_first_stage_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = MODEL + "veto:\n  - {name: U, when: {a: 1}}\n  - {name: V, when: {a: 1}, hold_at: iql}\n"
    assert [veto.hold_at for veto in model_of(tmp_path, text).vetoes] == ["cold", "iql"]


IGNORE = MODEL + "ignore:\n  - "


def test_an_ignoring_rule_gets_everything_it_says(tmp_path: Path) -> None:
    text = (
        "{id: bots, name: Machines, when: {activity: [click, open], url: {contains: /x}}, "
        "for: {email: {is_set: true}}, "
        "follows: {activity: sent, within: 5s, same: mail}, "
        "burst: {more_than: 10, within: 1m, same: mail, distinct: url}}\n"
    )
    (ignore,) = model_of(tmp_path, IGNORE + text).ignores
    assert (ignore.id, ignore.name, ignore.kinds) == ("bots", "Machines", ("click", "open"))
    assert ignore.tests == (FieldTest("url", "contains", ("/x",)),)
    assert ignore.lead == FieldTest("email", "is_set", True)
    assert ignore.follows == Follows("sent", 5_000, "mail")
    assert ignore.burst == Burst(10, 60_000, "mail", "url")
    assert ignore.where == "b2b.yml:9"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("{name: All}", "ignore[0]", "every activity of everybody"),
        ("{name: X, when: {country: ES}}", "ignore[0].when", "names activities and nothing else"),
        ("{name: X, when: {activity: click, in_last: 3d}}", "ignore[0].when", "names activities and nothing else"),
        ("{name: X, for: {activity: click}}", "ignore[0].for", "not at activities"),
        ("{name: X, for: {born: {newer_than: 3d}}}", "ignore[0].for", "would change by itself"),
        ("{name: X, burst: {more_than: 0, within: 1m}}", "ignore[0].burst.more_than", "at least 1"),
        ("{name: Target country, for: {a: 1}}", "ignore[0].name", "two rules"),
    ],
)
def test_an_ignoring_rule_that_makes_no_sense_is_refused_where_it_stands(
    tmp_path: Path, text: str, path: str, message: str
) -> None:
    problem = only(model_problems(tmp_path, IGNORE + text + "\n"))
    assert problem.path == path
    assert message in problem.message
