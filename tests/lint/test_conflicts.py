"""What cannot be is told; what can be never is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncer.lint.conflicts import conflict
from syncer.model import ActivitySignal, Signals, Value
from syncer.rules import ActivityTest, All, AnyOf, Condition, FieldTest, NoneOf
from syncer.scoring import passes
from syncer.settings.conditions import read_condition
from tests.scoring import worlds

DAY_MS = worlds.DAY_MS
_LISTS = {"ours": ("acme.es",), "nobody": ()}

IMPOSSIBLE = [
    ({"size": {"at_least": 10, "under": 5}}, "size would have to be at least 10 and be under 5 at once"),
    ({"size": {"over": 5, "at_most": 5}}, "size would have to be over 5 and be at most 5 at once"),
    ({"size": {"at_least": 5, "under": 5}}, "size would have to be at least 5 and be under 5 at once"),
    ({"size": {"between": [1, 9], "not_between": [0, 20]}}, "be between 1 and 9 and not be between 0 and 20 at once"),
    ({"all": [{"size": {"between": [1, 5]}}, {"size": {"between": [6, 9]}}]}, "between 1 and 5 and be between 6 and 9"),
    ({"size": {"at_least": 1, "at_most": 3, "not_between": [1, 3]}}, "at least 1 and be at most 3 and not be between"),
    ({"all": [{"country": "ES"}, {"country": ["MX", "CO"]}]}, "country would have to be ES and be MX or CO at once"),
    ({"all": [{"country": ["a", "b"]}, {"country": ["b", "c"]}, {"country": ["c", "a"]}]}, "be a or b and be b or c"),
    ({"all": [{"size": ["1-10", "n/a"]}, {"size": {"at_least": 1}}]}, "be 1-10 or n/a and be at least 1 at once"),
    ({"all": [{"size": [5, 50]}, {"size": {"over": 50}}]}, "be 5 or 50 and be over 50 at once"),
    ({"all": [{"country": "ES"}, {"country": {"not": ["Es", "mx"]}}]}, "be ES and not be Es or mx at once"),
    ({"all": [{"size": [50]}, {"size": {"not": [50, 1]}}]}, "be 50 and not be 50 or 1 at once"),
    ({"all": [{"size": [1, 2]}, {"size": {"not": [2, 1]}}]}, "be 1 or 2 and not be 2 or 1 at once"),
    ({"all": [{"email": "a@b.es"}, {"email": {"domain_in": ["c.es"]}}]}, "be a@b.es and have the domain c.es at once"),
    (
        {"all": [{"title": "Boss"}, {"title": {"contains": "dir"}}]},
        "title would have to be Boss and contain dir at once",
    ),
    ({"all": [{"country": {"is": "ES", "exact": True}}, {"country": {"matches": "^M"}}]}, "be ES and match ^M"),
    ({"all": [{"size": {"is_set": False}}, {"size": {"not_contains": "x"}}]}, "be empty and not contain x at once"),
    ({"size": {"is_set": True}, "none": [{"size": {"is_set": True}}]}, "be filled and be empty at once"),
    ({"country": "ES", "none": [{"country": "ES"}]}, "country would have to be ES and not be ES at once"),
    ({"title": {"matches": "^dir"}, "none": [{"title": {"matches": "^dir"}}]}, "match ^dir and not match ^dir at once"),
    ({"title": {"contains": ["director", "directora"], "not_contains": "Direct"}}, "not contain Direct at once"),
    ({"email": {"domain_in": ["a.es", "b.es"], "not_domain_in": ["b.es", "a.es"]}}, "not have the domain b.es or a.es"),
    ({"email": {"domain_in": "nobody"}}, "email would have to have the domain of an empty list"),
    ({"signed": {"newer_than": "7d", "older_than": "30d"}}, "be newer than 7d and be older than 30d at once"),
    ({"signed": {"newer_than": "7d", "older_than": "7d"}}, "be newer than 7d and be older than 7d at once"),
    ({"signed": {"newer_than": "30d", "not_newer_than": "60d"}}, "be newer than 30d and not be newer than 60d"),
    ({"activity": "call", "minutes": {"over": 9, "under": 2}}, "call.minutes would have to be over 9 and be under 2"),
    (
        {"all": [{"activity": "call", "in_last": "7d"}, {"none": [{"activity": "call"}]}]},
        "asks for call and for no call",
    ),
    (
        {"all": [{"activity": "a", "in_last": "7d"}, {"none": [{"activity": "a", "in_last": "7d"}]}]},
        "for a and for no a",
    ),
    ({"any": [{"size": {"over": 3, "under": 2}}, {"size": {"over": 9, "under": 8}}]}, "be over 3 and be under 2"),
]

POSSIBLE = [
    {"size": {"at_least": 10, "at_most": 10}},
    {"size": {"at_least": 10, "not_between": [0, 20]}},
    {"all": [{"size": "50"}, {"size": {"between": [40, 60]}}]},
    {"all": [{"size": [50]}, {"size": {"matches": "50.0"}}]},
    {"all": [{"size": 50}, {"size": ["50.0"]}]},
    {"all": [{"size": 50}, {"size": {"contains": "0.0"}}]},
    {"all": [{"size": ["50"]}, {"size": [50, 1]}]},
    {"all": [{"country": "es"}, {"country": {"not": {"is": "es", "exact": True}}}]},
    {"all": [{"title": "boss"}, {"title": {"contains": "BO", "exact": True}}]},
    {"all": [{"email": "a@b.es"}, {"email": {"domain_in": ["c.es", "b.es"]}}]},
    {"all": [{"signed": {"is": "2025-01-01", "exact": True}}, {"signed": {"older_than": "1d", "is_set": True}}]},
    {"all": [{"country": ["ES", "MX"]}, {"country": ["mx", "CO"]}]},
    {"all": [{"country": "México"}, {"country": {"is": "MEXICO", "exact": True}}]},
    {"size": {"is_set": False}, "none": [{"size": "x"}]},
    {"any": [{"size": {"over": 3, "under": 2}}, {"size": {"over": 9}}]},
    {"none": [{"size": {"at_least": 5}}, {"size": {"under": 5}}]},
    {"title": {"contains": ["director", "gerente"], "not_contains": "directora"}},
    {"title": {"contains": ["directora", "gerente"], "not_contains": "director"}},
    {"email": {"domain_in": ["a.es", "b.es"], "not_domain_in": ["b.es"]}},
    {"signed": {"newer_than": "30d", "older_than": "7d"}},
    {"signed": {"not_newer_than": "7d", "not_older_than": "1d"}},  # a date to come is neither
    {"all": [{"activity": "call"}, {"none": [{"activity": "call", "in_last": "7d"}]}]},
    {"all": [{"activity": "call"}, {"none": [{"activity": "call", "outcome": "busy"}]}]},
    {"all": [{"activity": "call", "a": 1}, {"activity": "call", "a": 2}]},
]


@pytest.mark.parametrize(("when", "reason"), IMPOSSIBLE, ids=lambda given: str(given)[:40])
def test_a_condition_that_no_value_can_meet_says_what_is_asked_of_which_field(
    when: dict[str, object], reason: str
) -> None:
    told = conflict(read_condition(when, _LISTS))
    assert told is not None
    assert reason in told


@pytest.mark.parametrize("when", POSSIBLE, ids=lambda given: str(given)[:40])
def test_a_condition_that_some_value_meets_is_let_be(when: dict[str, object]) -> None:
    assert conflict(read_condition(when, _LISTS)) is None


def test_a_condition_with_too_many_ways_is_believed_to_be_possible() -> None:
    never = FieldTest("size", "over", 5), FieldTest("size", "under", 2)
    either = AnyOf((All(never), All(never)))
    assert conflict(All((either,) * 9)) is not None
    assert conflict(All((either,) * 10)) is None


_one_field = worlds.field_tests(("size",))
_kinds = st.sampled_from((All, AnyOf, NoneOf))


def _of_one_field() -> st.SearchStrategy[Condition]:
    """Much is asked of one field, so that a conflict is likely."""
    part = st.one_of(_one_field, st.builds(lambda kind, inner: kind((inner,)), _kinds, _one_field))
    return st.lists(part, min_size=2, max_size=4).map(lambda parts: All(tuple(parts)))


_calls = st.lists(_one_field, max_size=2).map(lambda tests: ActivityTest("open", tuple(tests)))
_windows = st.sampled_from((None, worlds.HOUR_MS, 7 * DAY_MS))


@settings(max_examples=200)
@given(condition=_of_one_field(), values=st.lists(worlds.values, min_size=5, max_size=10))
@example(condition=All((FieldTest("size", "any_of", (True,)), FieldTest("size", "any_of", (1,), True))), values=[True])
@example(condition=All((FieldTest("size", "any_of", ("1",)), FieldTest("size", "any_of", (1.0,)))), values=["1"])
def test_a_value_that_meets_a_condition_proves_that_it_can_be_met(condition: Condition, values: list[Value]) -> None:
    leads = [Signals(1, {"size": value}) for value in values]
    if any(passes(condition, lead, worlds.AS_OF) for lead in leads):
        assert conflict(condition) is None


@settings(max_examples=100)
@given(wanted=_calls, barred=_calls, windows=st.tuples(_windows, _windows), lead=worlds.leads)
def test_an_activity_that_meets_a_condition_proves_that_it_can_be_met(
    wanted: ActivityTest, barred: ActivityTest, windows: tuple[int | None, int | None], lead: Signals
) -> None:
    opens = tuple(replace(each, kind="open") for each in lead.activities)
    condition = All((replace(wanted, in_last_ms=windows[0]), NoneOf((replace(barred, in_last_ms=windows[1]),))))
    if passes(condition, replace(lead, activities=opens), worlds.AS_OF):
        assert conflict(condition) is None


@settings(max_examples=100)
@given(condition=worlds.conditions, lead=worlds.leads)
def test_whoever_meets_a_condition_of_any_kind_proves_that_it_can_be_met(condition: Condition, lead: Signals) -> None:
    if passes(condition, lead, worlds.AS_OF):
        assert conflict(condition) is None


def test_an_older_activity_of_the_barred_kind_is_no_conflict_with_a_newer_one() -> None:
    condition = All((ActivityTest("open"), NoneOf((ActivityTest("open", in_last_ms=DAY_MS),))))
    old = Signals(1, activities=(ActivitySignal("open", worlds.AS_OF.replace(month=1)),))
    assert passes(condition, old, worlds.AS_OF)
    assert conflict(condition) is None
