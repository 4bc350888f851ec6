from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, given, settings

from syncer.model import ActivitySignal, Signals
from syncer.rules import ActivityTest, Condition, FieldTest
from syncer.scoring import first_passed, passes
from tests.scoring import worlds
from tests.scoring.reference import floored, history, holds
from tests.scoring.test_evaluate import model_of
from tests.scoring.worlds import AS_OF


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(condition=worlds.conditions, lead=worlds.leads)
def test_one_question_gets_the_answer_of_the_plain_reference(condition: Condition, lead: Signals) -> None:
    expected = holds(condition, lead.fields, history(lead, model_of()), floored(AS_OF))
    assert passes(condition, lead, AS_OF) is expected


def test_a_question_about_true_is_not_answered_by_one_about_one() -> None:
    lead = Signals(1, {"optin": True})
    assert passes(FieldTest("optin", "any_of", (True,)), lead, AS_OF)
    assert not passes(FieldTest("optin", "any_of", (1,)), lead, AS_OF)


def test_the_first_condition_that_holds_is_named_and_none_where_none_does() -> None:
    spain, set_ = FieldTest("country", "any_of", ("ES",)), FieldTest("country", "is_set", True)
    leads = [Signals(n, {"country": country}) for n, country in enumerate(("ES", "FR", ""))]
    assert first_passed([spain, set_], leads, AS_OF) == [0, 1, None]
    assert first_passed([spain, None, set_], leads, AS_OF) == [0, 1, 1]
    assert first_passed([], leads, AS_OF) == [None, None, None]
    assert first_passed([spain], [], AS_OF) == []


def test_a_question_about_the_last_day_is_asked_as_of_a_time() -> None:
    lead = Signals(1, activities=(ActivitySignal("demo", AS_OF),))
    recent = ActivityTest("demo", in_last_ms=24 * 3_600_000)
    assert passes(recent, lead, AS_OF + timedelta(days=1))
    assert not passes(recent, lead, AS_OF + timedelta(days=1, milliseconds=1))
    assert not passes(recent, lead, AS_OF - timedelta(milliseconds=1))
