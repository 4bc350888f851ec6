"""Every operator, on values that fit, that do not, that cannot be read, and that are not there."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.model import Value
from syncer.rules import Argument, FieldTest, Operator
from syncer.scoring import predicates
from syncer.scoring.predicates import given_up, holds_at, predicate

HOUR = 3_600_000


def holds(operator: Operator, argument: Argument, value: Value, **how: Any) -> bool:
    return predicate(FieldTest("f", operator, argument, **how))(value)


FITS: list[tuple[Operator, Argument, Value, bool]] = [
    ("any_of", ("ES", "MX"), "mx", True),
    ("any_of", ("ES", "MX"), "FR", False),
    ("any_of", ("direccion",), " Dirección ", True),
    ("any_of", ("Dirección",), "DIRECCION", True),
    ("any_of", ("ES",), "ESP", False),
    ("any_of", (50,), "50", True),
    ("any_of", (50,), "50.0", True),
    ("any_of", (50,), 50.0, True),
    ("any_of", (0.5,), "0.50", True),
    ("any_of", (50,), "fifty", False),
    ("any_of", ("50",), 50, True),
    ("any_of", (True,), "true", True),
    ("any_of", (True,), True, True),
    ("any_of", (True,), 1, False),
    ("any_of", (True,), "1", False),
    ("any_of", (1,), True, False),
    ("any_of", (0,), False, False),
    ("any_of", (False,), False, True),
    ("any_of", "ES", "es", True),
    ("any_of", "ES", "E", False),
    ("contains", ("director", "jefe"), "Subdirectora general", True),
    ("contains", ("dirección",), "DIRECCION", True),
    ("contains", ("ceo",), "Head of sales", False),
    ("contains", ("4",), 140.0, True),
    ("matches", r"^dir", "Directora", True),
    ("matches", r"^dir", "Subdirectora", False),
    ("matches", r"direccion", "DIRECCIÓN general", True),
    ("matches", r"direcci[óòo]n", "direccion", True),
    ("matches", r"\bdue[ñn]o\b", "Dueño", True),
    ("matches", r"^\d{3}$", 140.0, True),
    ("between", (50, 1000), 50, True),
    ("between", (50, 1000), "1000", True),
    ("between", (50, 1000), 1000.01, False),
    ("between", (50, 1000), 49, False),
    ("at_least", 50, 50, True),
    ("at_least", 50, 49.99, False),
    ("over", 50, 50, False),
    ("over", 50, 50.01, True),
    ("under", 50, 50, False),
    ("under", 50, 49.99, True),
    ("at_most", 50, 50, True),
    ("at_most", 50, 50.01, False),
    ("at_least", 0.3, "0.3", True),
    ("domain_in", ("gmail.com", "hotmail.com"), "Ana@GMAIL.com", True),
    ("domain_in", ("gmail.com",), "ana@mygmail.com", False),
    ("domain_in", ("gmail.com",), "ana@mail.gmail.com", False),
    ("domain_in", ("@gmail.com",), "gmail.com", True),
]


@pytest.mark.parametrize(("operator", "argument", "value", "expected"), FITS)
def test_an_operator_holds_where_it_should_and_its_negation_where_it_does_not(
    operator: Operator, argument: Argument, value: Value, expected: bool
) -> None:
    assert holds(operator, argument, value) is expected
    assert holds(operator, argument, value, negated=True) is not expected


ASKED: list[tuple[Operator, Argument]] = [
    ("any_of", ("ES",)), ("contains", ("e",)), ("matches", "^$|e"), ("between", (0, 9)), ("at_least", 0), ("over", -1),
    ("under", 9), ("at_most", 9), ("domain_in", ("gmail.com",)), ("is_set", True),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "argument"), ASKED)
@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_field_that_is_not_set_passes_nothing(operator: Operator, argument: Argument, value: Value) -> None:
    assert holds(operator, argument, value) is False
    if operator != "is_set":
        assert holds(operator, argument, value, negated=True) is False


@pytest.mark.parametrize(("value", "set_"), [(None, False), ("", False), (" ", False), (0, True), (False, True)])
def test_is_set_and_its_opposites(value: Value, set_: bool) -> None:
    assert holds("is_set", True, value) is set_
    assert holds("is_set", False, value) is not set_
    assert holds("is_set", True, value, negated=True) is not set_
    assert holds("is_set", False, value, negated=True) is set_


UNREADABLE: list[tuple[Operator, Argument, Value]] = [
    *[(operator, 50, value)
      for operator in ("at_least", "over", "under", "at_most") for value in ("many", "1,5", True, "nan", float("inf"))],
    ("between", (0, 9), "1-9"),
    ("domain_in", ("gmail.com",), "n/a"),
    ("domain_in", ("gmail.com",), "ana@"),
]  # type: ignore[list-item, unused-ignore]  # fmt: skip


@pytest.mark.parametrize(("operator", "argument", "value"), UNREADABLE)
@pytest.mark.parametrize("negated", [True, False])
def test_a_value_that_cannot_be_read_as_asked_counts_as_not_set(
    operator: Operator, argument: Argument, value: Value, negated: bool
) -> None:
    assert holds(operator, argument, value, negated=negated) is False


@pytest.mark.parametrize(
    ("operator", "argument", "value"),
    [("any_of", ("direccion",), "Dirección"), ("any_of", ("es",), "ES"), ("contains", ("DIR",), "Directora"),
     ("matches", "^dir", "Directora"), ("matches", "cion$", "Dirección")],
)  # fmt: skip
def test_exact_tells_case_and_accents_apart(operator: Operator, argument: Argument, value: Value) -> None:
    assert holds(operator, argument, value)
    assert not holds(operator, argument, value, exact=True)
    assert holds(operator, argument, value, exact=True, negated=True)


def test_exact_finds_what_is_written_alike() -> None:
    assert holds("any_of", ("Dirección",), " Dirección", exact=True)
    assert holds("contains", ("ecció",), "Dirección", exact=True)
    assert holds("matches", "ión$", "Dirección", exact=True)


def test_a_number_that_is_none_is_the_programs_mistake_and_not_the_crms() -> None:
    with pytest.raises(TypeError, match=r"^a number is needed, not 'many'$"):
        holds("over", "many", 5)


@pytest.mark.parametrize(
    ("age_ms", "younger", "older"), [(0, True, False), (HOUR, True, False), (HOUR + 1, False, True), (-1, False, False)]
)
def test_relative_dates_know_their_edges(age_ms: int, younger: bool, older: bool) -> None:
    now = 1_743_296_400_000
    for operator, expected in (("newer_than", younger), ("older_than", older)):
        test = FieldTest("f", operator, HOUR)  # type: ignore[arg-type]
        assert holds_at(test, now - age_ms, now) is expected
        assert holds_at(FieldTest("f", test.operator, HOUR, negated=True), now - age_ms, now) is not expected
        assert holds_at(test, "soon", now) is False
        assert holds_at(FieldTest("f", test.operator, HOUR, negated=True), None, now) is False


def test_a_value_over_which_a_pattern_is_given_up_meets_no_test_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for memory in ("_given_up", "_told"):  # the process may have given this one up in another test
        monkeypatch.setattr(predicates, memory, {})
    endless, value = "(a+)+$", "a" * 60 + "!"
    assert not holds("matches", endless, value)
    assert not holds("matches", endless, value, negated=True)
    assert holds("matches", endless, "aaa")
    assert given_up() == (endless,)
    assert not holds("matches", endless, value)
    assert given_up() == ()
