"""HubSpot's own lead scores as model files: what is carried over means the same, and what is not is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.scoring_model import carried_over
from syncer import scoring
from syncer.connector import ModelSource, NativeModel
from syncer.errors import ConfigError
from syncer.model import ActivitySignal, Signals
from syncer.rules import Model, Rule
from syncer.settings import load_model
from tests.connectors.hubspot.portals import office

Json = dict[str, Any]
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def asked(kind: str, operator: str, **more: object) -> Json:
    return {"operationType": kind, "operator": operator, "includeObjectsWithNoValueSet": False, **more}


def only_if(name: str, operation: Json, points: float = 10) -> Json:
    single = {"type": "SINGLE", "property": name, "operation": operation}
    where = {"type": "COMPOSITE", "operator": "AND", "conditions": [single]}
    return {"type": "CONDITIONAL", "value": points, "whereCondition": where}


def happened(kind: str, points: float = 5, **more: object) -> Json:
    entry = {"eventTypeId": kind, "recordCalculation": {"type": "CONSTANT", "value": points}, **more}
    return {"type": "MULTI_UE", "eventCalculators": [entry]}


def group(*calculations: Json, category: str = "FIT", **more: object) -> Json:
    rules = [
        {"id": f"r{place}", "enabled": True, "configuration": {"calculation": each}}
        for place, each in enumerate(calculations, 1)
    ]
    return {"id": "g", "groupName": "Who", "groupCategory": category, "ruleConfigurations": rules, **more}


def score(*groups: Json, **more: object) -> Json:
    return {
        "id": "12", "name": "Fit and interest", "objectTypeId": "0-1", "scoreStatus": "published", "scoreType": "LEAD",
        "allowedGroupTypes": ["FIT", "INTENT"], "groupConfigs": list(groups), **more,
    }  # fmt: skip


def loaded(folder: Path, native: NativeModel) -> Model:
    path = folder / "imported.yml"
    path.write_text(native.text, encoding="utf-8")
    return load_model(path)


def rules(folder: Path, *groups: Json) -> list[Rule]:
    return [rule for one in loaded(folder, carried_over(score(*groups))).dimensions for rule in one.rules]


def points(folder: Path, given: Json, fields: dict[str, str]) -> int:
    """What a lead with these fields gets, in hundredths."""
    model = loaded(folder, carried_over(score(given)))
    return scoring.score(Signals(1, fields), model, NOW).total


@pytest.mark.parametrize(
    ("operation", "passing", "failing"),
    [
        (asked("ENUMERATION", "IS_ANY_OF", values=["ES", "MX"]), ["ES", "MX"], ["FR", None]),
        (asked("ENUMERATION", "IS_NONE_OF", values=["ES"]), ["FR"], ["ES", None]),
        (asked("MULTISTRING", "IS_EQUAL_TO", values=["a", "b"]), ["a", "b"], ["ab", None]),
        (asked("MULTISTRING", "CONTAINS", values=["director", "head"]), ["the director", "head of IT"], ["x", None]),
        (asked("STRING", "CONTAINS", value="direct"), ["director"], ["boss"]),
        (asked("STRING", "DOES_NOT_CONTAIN", value="intern"), ["director"], ["intern", None]),
        (asked("STRING", "STARTS_WITH", value="a.c"), ["a.cme"], ["abcme", "xa.c"]),
        (asked("MULTISTRING", "ENDS_WITH", values=[".edu", ".org"]), ["x.edu", "y.org"], [".edu.mx"]),
        (asked("STRING", "IS_NOT_EQUAL_TO", value="a"), ["b"], ["a", None]),
        (asked("NUMBER", "IS_EQUAL_TO", value=5), ["5"], ["6", None]),
        (asked("NUMBER", "IS_GREATER_THAN", value=5), ["6"], ["5", None]),
        (asked("NUMBER", "IS_GREATER_THAN_OR_EQUAL_TO", value=5.5), ["5.5"], ["5"]),
        (asked("NUMBER", "IS_LESS_THAN", value=5), ["4"], ["5", None]),
        (asked("NUMBER", "IS_LESS_THAN_OR_EQUAL_TO", value=5), ["5"], ["6"]),
        (asked("NUMBER_RANGED", "IS_BETWEEN", lowerBound=1, upperBound=3), ["1", "3"], ["4", None]),
        (asked("NUMBER_RANGED", "IS_NOT_BETWEEN", lowerBound=1, upperBound=3), ["4"], ["2", None]),
        (asked("BOOL", "IS_EQUAL_TO", value=True), ["true"], ["false", None]),
        (asked("BOOL", "IS_NOT_EQUAL_TO", value=True), ["false"], ["true", None]),
        (asked("ALL_PROPERTY", "IS_KNOWN"), ["x"], [None]),
        (asked("ALL_PROPERTY", "IS_UNKNOWN"), [None], ["x"]),
        (asked("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", numberOfDays=7), ["2026-11-20"], ["2026-11-01", None]),
        (asked("ROLLING_DATE_RANGE", "IS_MORE_THAN_X_DAYS_AGO", numberOfDays=7), ["2026-11-01"], ["2026-11-20", None]),
    ],
    ids=lambda given: given["operator"] if isinstance(given, dict) else "",
)
def test_a_test_on_a_property_passes_whom_hubspot_passes(
    tmp_path: Path, operation: Json, passing: list[str | None], failing: list[str | None]
) -> None:
    for value in passing + failing:
        fields = {} if value is None else {"asked": value}
        expected = 1000 if value in passing else 0
        assert points(tmp_path, group(only_if("asked", operation)), fields) == expected, value


def test_a_record_without_a_value_passes_where_hubspot_says_so(tmp_path: Path) -> None:
    operation = asked("ENUMERATION", "IS_NONE_OF", values=["ES"]) | {"includeObjectsWithNoValueSet": True}
    given = group(only_if("country", operation))
    assert [points(tmp_path, given, fields) for fields in ({}, {"country": "FR"}, {"country": "ES"})] == [1000, 1000, 0]


def test_several_conditions_must_all_hold_and_parts_add_up(tmp_path: Path) -> None:
    both = only_if("country", asked("ENUMERATION", "IS_ANY_OF", values=["ES"]), 7.5)
    both["whereCondition"]["conditions"].append(
        only_if("size", asked("NUMBER", "IS_GREATER_THAN", value=9))["whereCondition"]
    )
    alone = only_if("country", asked("ENUMERATION", "IS_ANY_OF", values=["ES"]), -2)
    given = group({"type": "MULTI", "calculators": [both, alone]})
    assert points(tmp_path, given, {"country": "ES", "size": "10"}) == 550
    assert points(tmp_path, given, {"country": "ES", "size": "9"}) == -200


def test_the_values_of_one_property_become_a_rule_each(tmp_path: Path) -> None:
    matches = [
        {"operation": asked("ENUMERATION", "IS_ANY_OF", values=["1-10"]), "value": 2},
        {"operation": asked("ENUMERATION", "IS_ANY_OF", values=["11-50"]), "value": 8},
    ]
    native = carried_over(score(group({"type": "MATCH", "property": "size", "matchRules": matches, "defaultValue": 1})))
    assert native.rules == 2
    assert "1 points where no value of size fits" in native.left_out[0]
    assert (
        points(tmp_path, group({"type": "MATCH", "property": "size", "matchRules": matches}), {"size": "11-50"}) == 800
    )


def test_events_pay_each_time_fade_and_end_at_their_limit(tmp_path: Path) -> None:
    timeframe = {"eventFilterOperation": asked("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", numberOfDays=90)}
    given = group(
        happened("4-96000", 3, eventTimeframe=timeframe),
        category="INTENT",
        groupDecay={"decayIntervalDays": 30, "percentToDecayPerInterval": 50},
    )
    given["ruleConfigurations"][0]["maxValue"] = 6
    (rule,) = rules(tmp_path, given)
    assert (rule.points, rule.each, rule.cap, rule.fade.half_life_hours) == (300, True, 600, 720)
    views = tuple(ActivitySignal("page_view", NOW - timedelta(days=days)) for days in (0, 30, 91))
    model = loaded(tmp_path, carried_over(score(given)))
    assert scoring.score(Signals(1, {}, views), model, NOW).total == 450, (
        "3 today, half of it after 30 days, and 91 days are too long ago"
    )


@pytest.mark.parametrize(
    ("decay", "curve", "hours"),
    [
        ({"decayIntervalDays": 30, "percentToDecayPerInterval": 25}, "exponential", 1735),
        ({"decayIntervalDays": 1, "percentToDecayPerInterval": 99}, "exponential", 4),
        ({"decayIntervalDays": 10_000, "percentToDecayPerInterval": 1}, "exponential", 87_600),
        ({"decayIntervalDays": 30, "percentToDecayPerInterval": 100}, "none", 0),
        ({"decayIntervalDays": 30, "percentToDecayPerInterval": 0}, "none", 0),
        (None, "none", 0),
    ],
)
def test_a_groups_decay_becomes_a_half_life(tmp_path: Path, decay: Json | None, curve: str, hours: int) -> None:
    (rule,) = rules(tmp_path, group(happened("4-666440"), category="INTENT", groupDecay=decay))
    assert (rule.fade.curve, rule.fade.half_life_hours) == (curve, hours)


def test_what_decays_wholly_counts_for_one_interval(tmp_path: Path) -> None:
    decay = {"decayIntervalDays": 30, "percentToDecayPerInterval": 100}
    model = loaded(tmp_path, carried_over(score(group(happened("4-666440", 5), category="INTENT", groupDecay=decay))))
    for days, total in [(29, 500), (31, 0)]:
        opened = (ActivitySignal("email_open", NOW - timedelta(days=days)),)
        assert scoring.score(Signals(1, {}, opened), model, NOW).total == total


def ranges(*told: tuple[str, int, int | None, float]) -> Json:
    rows = [
        {"type": kind, "from": start, "value": value} | ({"to": end} if end else {}) for kind, start, end, value in told
    ]
    return happened("4-1639801", 0, eventFrequencyCriteria={"type": "BETWEEN", "ranges": rows})


def test_points_by_how_often_become_steps(tmp_path: Path) -> None:
    given = group(ranges(("AT_LEAST", 5, None, 20), ("EXACTLY", 1, None, 5), ("BETWEEN", 2, 4, 8)), category="INTENT")
    assert [(rule.at_least, rule.points) for rule in rules(tmp_path, given)] == [(1, 500), (2, 300), (5, 1200)]
    model = loaded(tmp_path, carried_over(score(given)))
    for count, total in [(0, 0), (1, 500), (4, 800), (6, 2000)]:
        forms = tuple(ActivitySignal("form_submission", NOW - timedelta(hours=hours)) for hours in range(count))
        assert scoring.score(Signals(1, {}, forms), model, NOW).total == total


@pytest.mark.parametrize(
    ("calculation", "reason"),
    [
        ({"type": "CONSTANT", "value": 5}, "points for everybody"),
        ({"type": "SEGMENT_MEMBERSHIP", "segmentMembershipRules": []}, "membership in segments"),
        ({"type": "ASSOCIATIONS"}, "values of associated records"),
        ({"type": "QUANTUM"}, "a calculation of the type QUANTUM"),
        ({}, "a calculation of the type None"),
        (only_if("x", asked("TIME_POINT", "IS_BEFORE")), "the test TIME_POINT IS_BEFORE"),
        (only_if("x", asked("NUMBER", "IS_EQUAL_TO", value="5")), "'5', which is no number"),
        (only_if("x", asked("ENUMERATION", "IS_ANY_OF", values=[])), "an empty values"),
        ({"type": "CONDITIONAL", "value": 3}, "a rule without property"),
        (happened("4-1720599"), "events of the type 4-1720599"),
        (ranges(("AT_LEAST", 3, None, 5), ("EXACTLY", 1, None, 2)), "form_submission: points by how often"),
        (ranges(("BETWEEN", 1, 4, 5)), "form_submission: points by how often"),
        (
            happened("4-96000", eventTimeframe={"eventFilterOperation": asked("DATETIME", "IS_AFTER")}),
            "DATETIME IS_AFTER",
        ),
    ],
)
def test_what_cannot_be_said_alike_is_left_out_and_named(calculation: Json, reason: str) -> None:
    native = carried_over(score(group(calculation)))
    assert (native.rules, native.text) == (0, "")
    assert reason in native.left_out[0]
    assert native.left_out[0].startswith("rule r1 of the group Who: ")


def test_rules_that_are_switched_off_and_segments_are_named(tmp_path: Path) -> None:
    given = group(
        only_if("country", asked("ALL_PROPERTY", "IS_KNOWN")), only_if("x", asked("ALL_PROPERTY", "IS_KNOWN"))
    )
    given["ruleConfigurations"][1]["enabled"] = False
    native = carried_over(score(given, filterConfiguration={"listFilterType": "INCLUDES", "segmentIds": [1]}))
    assert native.left_out[0] == "rule r2 of the group Who: it is switched off"
    assert native.left_out[1].startswith("which segments are scored at all")
    assert all(f"# - {each}" in native.text for each in native.left_out)
    assert len(loaded(tmp_path, native).dimensions[0].rules) == 1


def test_limits_of_a_category_are_the_dimensions_and_those_of_several_groups_are_named(tmp_path: Path) -> None:
    known = only_if("country", asked("ALL_PROPERTY", "IS_KNOWN"), 50)
    alone = loaded(tmp_path, carried_over(score(group(known, maxValue=30, minValue=-10), maxScorePerCategory=60)))
    assert (alone.dimensions[0].max, alone.dimensions[0].min) == (3000, -1000)
    both = carried_over(score(group(known, maxValue=30), group(known, maxValue=20), maxScorePerCategory=60))
    assert loaded(tmp_path, both).dimensions[0].max == 6000
    assert sum(each.startswith("the limits of the group Who") for each in both.left_out) == 2


@pytest.mark.parametrize(
    ("boundaries", "gates"),
    [
        ([("High", 70), ("Low", 0), ("Medium", 40)], {"iql": 2000, "mql": 4000, "sql": 7000}),
        ([("Hot", 60)], {"iql": 2000, "mql": 4000, "sql": 6000}),
        ([("1", 10), ("2", 20), ("3", 30), ("4", 40)], {"iql": 2000, "mql": 3000, "sql": 4000}),
        ([], {"iql": 1000, "mql": 2250, "sql": 3500}),
    ],
)
def test_thresholds_become_stages_with_our_names(
    tmp_path: Path, boundaries: list[tuple[str, float]], gates: dict[str, int]
) -> None:
    output = {"outputType": "THRESHOLD", "boundaries": [{"label": label, "threshold": at} for label, at in boundaries]}
    known = only_if("country", asked("ALL_PROPERTY", "IS_KNOWN"), 50)
    native = carried_over(score(group(known), outputConfiguration={"outputs": [output]}))
    stages = loaded(tmp_path, native).stages
    assert [stage.name for stage in stages] == ["cold", "iql", "mql", "sql"]
    assert {stage.name: stage.enter[0].threshold for stage in stages[1:]} == gates
    assert all(f"# HubSpot: {label}" in native.text for label, at in boundaries[-3:] if at)
    assert any("proposal" in each for each in native.left_out) is not bool(boundaries)


texts = st.text(max_size=30)
numbers = st.integers(-1000, 1000) | st.floats(-1000, 1000, allow_nan=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
operations = st.fixed_dictionaries(
    {
        "operationType": st.sampled_from(["STRING", "MULTISTRING", "NUMBER", "ENUMERATION", "ALL_PROPERTY", "BOOL"]),
        "operator": st.sampled_from(
            ["IS_EQUAL_TO", "CONTAINS", "STARTS_WITH", "IS_ANY_OF", "IS_KNOWN", "IS_GREATER_THAN"]
        ),
    },
    optional={
        "value": anything,
        "values": st.lists(texts, max_size=3) | anything,
        "includeObjectsWithNoValueSet": st.booleans(),
    },
)
names = st.from_regex(r"[a-z][a-z_0-9]{2,20}", fullmatch=True).map(lambda name: f"p_{name}")
calculations = st.one_of(
    st.builds(only_if, names, operations, numbers),
    st.builds(happened, st.sampled_from(["4-96000", "4-666440", "9-9"]), numbers),
    st.dictionaries(st.sampled_from(["type", "calculators", "value", "matchRules"]), anything),
)


scores = st.builds(
    lambda rules, name, title, decay, most: (
        score(group(*rules, category="INTENT", maxValue=most, groupDecay=decay) | {"groupName": title}) | {"name": name}
    ),
    st.lists(calculations, max_size=4), texts, texts, anything, numbers | st.none(),
)  # fmt: skip


@given(scores)
def test_whatever_hubspot_tells_gives_a_file_that_loads_or_none(
    tmp_path_factory: pytest.TempPathFactory, given: Json
) -> None:
    native = carried_over(given)
    if native.text:
        model = loaded(tmp_path_factory.getbasetemp(), native)
        assert sum(len(each.rules) for each in model.dimensions) == native.rules


def test_the_portals_scores_of_contacts_are_read_page_by_page() -> None:
    known = group(only_if("country", asked("ALL_PROPERTY", "IS_KNOWN")))
    many = [{**score(known), "id": str(number), "name": f"Score {number}"} for number in range(1, 104)]
    companies = {**score(known), "id": "900", "objectTypeId": "0-2"}
    with office() as portal:
        portal.control("load", leadScores=[companies, *many])
        connector = portal.hubspot()
        assert isinstance(connector, ModelSource)
        assert [each.id for each in connector.native_models()] == [each["id"] for each in many]


def test_a_token_without_the_scope_is_told_which_is_missing() -> None:
    with office() as portal:
        portal.control("tokens", add="narrow", scopes=["crm.objects.contacts.read"])
        with pytest.raises(ConfigError, match="mh-lead-scoring-view"):
            portal.hubspot(token="narrow").native_models()
