"""Rules that gave nothing because something is not there, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncer import scoring
from syncer.model import ActivitySignal, Signals
from syncer.rules import ActivityTest, All, AnyOf, Condition, Dimension, FieldTest, Ignore, Model, NoneOf, Rule, Stage

AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
LEAD = Signals(1, {"country": "FR", "blank": " "}, (ActivitySignal("meeting", AS_OF - timedelta(days=40)),))
COUNTRY = FieldTest("country", "any_of", ("es",))
BUDGET = FieldTest("budget", "over", 5)
MEETING = ActivityTest("meeting")
HELD = (FieldTest("outcome", "any_of", ("held",)),)


def model(*whens: Condition, points: int = 1000, ignores: tuple[Ignore, ...] = ()) -> Model:
    rules = tuple(Rule(f"r{number}", f"R{number}", when, points + number) for number, when in enumerate(whens))
    return Model("m", "UTC", (Dimension("fit", rules),), (Stage("cold"),), ignores=ignores)


def whys(asked: Model) -> list[str]:
    return [each.why for each in scoring.not_given(asked, scoring.score(LEAD, asked, AS_OF), LEAD)]


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (BUDGET, "budget is empty"),
        (FieldTest("blank", "any_of", ("x",)), "blank is empty"),
        (FieldTest("budget", "is_set", True), "budget is empty"),
        (FieldTest("country", "is_set", False), None),
        (FieldTest("country", "is_set", True, negated=True), None),
        (COUNTRY, None),
        (ActivityTest("demo"), "no demo"),
        (ActivityTest("meeting", in_last_ms=30 * 86_400_000), "no meeting in the last 30d"),
        (ActivityTest("meeting", (FieldTest("outcome", "any_of", ("x",)),)), None),
        (All((BUDGET, ActivityTest("demo"), BUDGET)), "budget is empty, no demo"),
        (All((COUNTRY, BUDGET)), "budget is empty"),
        (All((FieldTest("budget", "is_set", False), ActivityTest("demo"))), "no demo"),
        (All((FieldTest("budget", "is_set", True, negated=True), ActivityTest("demo"))), "no demo"),
        (ActivityTest("meeting", HELD, in_last_ms=40 * 86_400_000), None),
        (ActivityTest("meeting", HELD, in_last_ms=90 * 86_400_000), None),
        (ActivityTest("meeting", HELD, in_last_ms=40 * 86_400_000 - 1), "no meeting in the last 3455999999ms"),
        (AnyOf((BUDGET, FieldTest("size", "over", 5))), "budget is empty, size is empty"),
        (AnyOf((COUNTRY, BUDGET)), None),
        (NoneOf((MEETING,)), None),
        (MEETING, None),
    ],
)
def test_a_rule_lacks_what_is_not_there_and_not_what_was_answered_otherwise(when: Condition, why: str | None) -> None:
    assert whys(model(when)) == ([why] if why else [])


def test_rules_that_would_give_most_come_first_and_those_that_take_are_left_out() -> None:
    demo = ActivityTest("demo")
    assert whys(model(BUDGET, demo)) == ["no demo", "budget is empty"]
    assert whys(model(BUDGET, demo, points=-1000)) == []
    assert whys(model(BUDGET, demo, points=0)) == ["no demo"], "one hundredth of a point is something, none is not"


def test_it_says_of_which_dimension_the_points_would_be() -> None:
    asked = model(BUDGET)
    (found,) = scoring.not_given(asked, scoring.score(LEAD, asked, AS_OF), LEAD)
    assert (found.rule.id, found.dimension) == ("r0", "fit")


def test_an_activity_of_this_very_moment_is_there() -> None:
    asked, now = model(ActivityTest("meeting", HELD)), Signals(1, {}, (ActivitySignal("meeting", AS_OF),))
    assert scoring.not_given(asked, scoring.score(now, asked, AS_OF), now) == []


def test_an_activity_that_hygiene_voids_or_that_lies_ahead_is_not_there() -> None:
    assert whys(model(MEETING, ignores=(Ignore("i", "I", kinds=("meeting",)),))) == ["no meeting"]
    ahead = Signals(1, {}, (ActivitySignal("meeting", AS_OF + timedelta(days=1)),))
    asked = model(MEETING)
    assert [each.why for each in scoring.not_given(asked, scoring.score(ahead, asked, AS_OF), ahead)] == ["no meeting"]
