"""`when:` as written -> conditions."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.rules import ActivityTest, All, AnyOf, Condition, FieldTest, NoneOf
from syncer.settings.conditions import read_condition
from syncer.settings.problems import Mistake, Wrong

DAY_MS = 86_400_000
LISTS = {"free": ("gmail.com", "gmx.de")}


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        ({"country": "ES"}, FieldTest("country", "any_of", ("ES",))),
        ({"country": ["ES", 34, True]}, FieldTest("country", "any_of", ("ES", 34, True))),
        ({"country": {"is": "ES", "exact": True}}, FieldTest("country", "any_of", ("ES",), exact=True)),
        ({"country": {"not": "ES"}}, FieldTest("country", "any_of", ("ES",), negated=True)),
        ({"country": {"not": ["ES", "PT"]}}, FieldTest("country", "any_of", ("ES", "PT"), negated=True)),
        ({"title": {"not": {"contains": "x"}}}, FieldTest("title", "contains", ("x",), negated=True)),
        ({"title": {"not": {"not": "x"}}}, FieldTest("title", "any_of", ("x",))),
        ({"title": {"contains": ["a", "b"]}}, FieldTest("title", "contains", ("a", "b"))),
        ({"title": {"not_contains": "a"}}, FieldTest("title", "contains", ("a",), negated=True)),
        ({"title": {"matches": r"\bceo\b"}}, FieldTest("title", "matches", r"\bceo\b")),
        ({"size": {"between": [50, 1000.5]}}, FieldTest("size", "between", (50, 1000.5))),
        ({"size": {"at_least": 5.0}}, FieldTest("size", "at_least", 5)),
        ({"size": {"over": 1}}, FieldTest("size", "over", 1)),
        ({"size": {"under": 1}}, FieldTest("size", "under", 1)),
        ({"size": {"at_most": 1}}, FieldTest("size", "at_most", 1)),
        ({"size": {"is_set": True}}, FieldTest("size", "is_set", True)),
        ({"size": {"not_is_set": True}}, FieldTest("size", "is_set", False)),
        ({"size": {"not": {"is_set": False}}}, FieldTest("size", "is_set", True)),
        ({"email": {"domain_in": "free"}}, FieldTest("email", "domain_in", ("gmail.com", "gmx.de"))),
        ({"email": {"not_domain_in": ["@ACME.es"]}}, FieldTest("email", "domain_in", ("acme.es",), negated=True)),
        ({"email": {"domain_in": "acme.es"}}, FieldTest("email", "domain_in", ("acme.es",))),
        ({"made": {"older_than": "90d"}}, FieldTest("made", "older_than", 90 * DAY_MS)),
        ({"made": {"newer_than": "2w"}}, FieldTest("made", "newer_than", 14 * DAY_MS)),
        ({"a": 1, "b": 2}, All((FieldTest("a", "any_of", (1,)), FieldTest("b", "any_of", (2,))))),
        (
            {"size": {"over": 1, "under": 9}},
            All((FieldTest("size", "over", 1), FieldTest("size", "under", 9))),
        ),
        (
            {"size": {"not": {"over": 1, "under": 9}}},
            AnyOf((FieldTest("size", "over", 1, negated=True), FieldTest("size", "under", 9, negated=True))),
        ),
        ({"any": [{"a": 1}]}, AnyOf((FieldTest("a", "any_of", (1,)),))),
        ({"none": [{"a": 1}]}, NoneOf((FieldTest("a", "any_of", (1,)),))),
        (
            {"all": [{"activity": "call"}, {"a": 1}]},
            All((ActivityTest("call"), FieldTest("a", "any_of", (1,)))),
        ),
        (
            {"activity": "page_view", "url": {"contains": "/precios"}, "in_last": "30d"},
            ActivityTest("page_view", (FieldTest("url", "contains", ("/precios",)),), 30 * DAY_MS),
        ),
        ({"activity": ["call", "meeting"]}, AnyOf((ActivityTest("call"), ActivityTest("meeting")))),
    ],
)
def test_a_condition_means_what_it_says(raw: Any, condition: Condition) -> None:
    assert read_condition(raw, LISTS) == condition


def _mistakes(raw: Any) -> tuple[Mistake, ...]:
    with pytest.raises(Wrong) as raised:
        read_condition(raw, LISTS)
    return raised.value.mistakes


@pytest.mark.parametrize(
    ("raw", "steps", "message", "help"),
    [
        ("country", (), "a condition is a mapping, not 'country'", "write for example {country: [ES, MX]}"),
        ({}, (), "a condition is a mapping", ""),
        ({"a": None}, ("a",), "stands here without a value", "is_set: false"),
        ({"a": []}, ("a",), "an empty list never fits", ""),
        ({"a": ["x", None]}, ("a", 1), "stands here without a value", ""),
        ({"a": [["x"]]}, ("a", 0), "a value is text, a number, true or false, not a list", ""),
        ({"a": {}}, ("a",), "asks nothing of 'a'", ""),
        ({"a": {"exact": True}}, ("a",), "asks nothing of 'a'", ""),
        ({"a": {"exact": 1, "is": "x"}}, ("a", "exact"), "'exact' is true or false", ""),
        ({"a": {"over": 1, "exact": True}}, ("a", "exact"), "'exact' is for texts", ""),
        ({"a": {"contians": "x"}}, ("a", "contians"), "there is no operator 'contians'", "did you mean 'contains'?"),
        ({"a": {"contains": 2024}}, ("a", "contains"), "2024 is a number", '"2024"'),
        ({"a": {"matches": "("}}, ("a", "matches"), "is not a regular expression", ""),
        ({"a": {"matches": "(*ACCEPT)b"}}, ("a", "matches"), "is not a regular expression: nothing to repeat", ""),
        ({"a": {"matches": "b(?C1)"}}, ("a", "matches"), "is not a regular expression: unknown extension", ""),
        ({"a": {"matches": r"b\C"}}, ("a", "matches"), r"is not a regular expression: bad escape \C", ""),
        ({"a": {"matches": "b" * 1001}}, ("a", "matches"), "it has 1,001 characters, and 1,000 are the most", ""),
        ({"a": {"matches": "[z-é]"}}, ("a", "matches"), "bad character range z-e", ""),
        ({"a": {"matches": "[[a]"}}, ("a", "matches"), "is not a regular expression", ""),
        ({"a": {"between": [2, 1]}}, ("a", "between"), "nothing is between 2 and 1", ""),
        ({"a": {"between": [1]}}, ("a", "between"), "'between' takes two numbers", ""),
        ({"a": {"between": [1, "x"]}}, ("a", "between", 1), "'x' is not a number", ""),
        ({"a": {"at_least": "2026-01-01"}}, ("a", "at_least"), "is not a number", "older_than or newer_than"),
        ({"a": {"at_least": float("nan")}}, ("a", "at_least"), "is not a number", ""),
        ({"a": {"at_least": 10**400}}, ("a", "at_least"), "is not a number", ""),
        ({"a": {"is_set": "x"}}, ("a", "is_set"), "'is_set' is true or false", ""),
        ({"a": {"domain_in": "fre"}}, ("a", "domain_in"), "there is no list 'fre'", "did you mean 'free'?"),
        ({"a": {"older_than": 90}}, ("a", "older_than"), "90 is not a duration", "15m"),
        ({"contains": "x"}, ("contains",), "'contains' asks something of a field", "field: {contains: ...}"),
        ({"in_last": "30d"}, ("in_last",), "'in_last' stands beside `activity`", ""),
        ({"all": []}, ("all",), "'all' takes a list of conditions", ""),
        ({"any": [{"a": None}]}, ("any", 0, "a"), "stands here without a value", ""),
        ({"activity": 5}, ("activity",), "an activity is named by text", ""),
        ({"activity": "call", "each": True}, ("each",), "belongs to the rule", ""),
        ({"activity": "call", "at_least": 3}, ("at_least",), "belongs to the rule", ""),
        ({"activity": "call", "in_last": 3}, ("in_last",), "3 is not a duration", ""),
        ({"activity": "call", "any": [{"a": 1}]}, ("any",), "beside `activity` stand its own fields", "all: ["),
        ({"activity": "call", "a": {"not": {"over": 1, "under": 2}}}, ("a",), "`not` takes one operator", ""),
    ],
)
def test_a_wrong_condition_says_where_and_what(raw: Any, steps: tuple[Any, ...], message: str, help: str) -> None:
    (mistake,) = _mistakes(raw)
    assert mistake.steps == steps
    assert message in mistake.message
    assert help in mistake.help


def test_all_mistakes_of_one_condition_come_together() -> None:
    found = _mistakes({"a": None, "any": [{"b": {"ovr": 1}}, {"c": {"between": ["x", "y"]}}]})
    assert [mistake.steps for mistake in found] == [
        ("a",),
        ("any", 0, "b", "ovr"),
        ("any", 1, "c", "between", 0),
        ("any", 1, "c", "between", 1),
    ]
