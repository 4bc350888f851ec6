"""`outcome:`, by which simulations know how a lead ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.rules import FieldTest
from syncer.settings import Outcome, json_schema, show
from tests.settings.samples import CONNECTORS, PROJECT, loaded, only, problems
from tests.settings.test_schema import GOOD, Checker

WHOLE = PROJECT + "outcome:\n  field: phase\n  won: [customer, 1]\n  lost: disqualified\n  at: closed\n"


def test_the_values_become_tests_on_the_field(tmp_path: Path) -> None:
    outcome = loaded(tmp_path, WHOLE).outcome
    won, lost = FieldTest("phase", "any_of", ("customer", 1)), FieldTest("phase", "any_of", ("disqualified",))
    assert outcome == Outcome(won, lost, "closed")


def test_lost_and_the_date_may_be_left_out_and_so_may_all_of_it(tmp_path: Path) -> None:
    short = loaded(tmp_path, PROJECT + "outcome: {field: phase, won: customer}\n").outcome
    assert short == Outcome(FieldTest("phase", "any_of", ("customer",)), None)
    assert loaded(tmp_path).outcome is None


def test_its_fields_are_read_from_the_crm(tmp_path: Path) -> None:
    assert loaded(tmp_path, WHOLE).needed_fields == ("closed", "country", "phase")


def test_it_is_part_of_the_meaning_of_a_project(tmp_path: Path) -> None:
    assert loaded(tmp_path, WHOLE).fingerprint != loaded(tmp_path, WHOLE.replace("closed", "ended")).fingerprint


def test_it_is_shown_with_its_places(tmp_path: Path) -> None:
    shown = show(loaded(tmp_path, WHOLE))
    assert shown["outcome.at"] == ("closed", "syncer.yml:8")
    assert shown["outcome.won"] == (["customer", 1], "syncer.yml:6")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("{won: customer}", "outcome.field", "the key 'field' is missing"),
        ("{field: phase}", "outcome.won", "the key 'won' is missing"),
        ("{field: phase, won: []}", "outcome.won", "a value of the field or a list of them is needed here, not a list"),
        ("{field: phase, won: {over: 3}}", "outcome.won", "not a mapping"),
        ("{field: phase, won: [a, b], lost: b}", "outcome.lost", "'b' stands under `won`, too"),
        ("{field: phase, won: a, when: x}", "outcome.when", "unknown key 'when'"),
        ("customer", "outcome", "a mapping is needed here"),
    ],
)
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, text: str, path: str, message: str) -> None:
    problem = only(problems(tmp_path, f"{PROJECT}outcome: {text}\n"))
    assert (problem.path, problem.line) == (path, 4)
    assert message in problem.message


@pytest.mark.parametrize(
    ("outcome", "fits"),
    [
        ({"field": "phase", "won": "customer"}, True),
        ({"field": "phase", "won": ["customer", 1], "lost": [], "at": "closed"}, False),
        ({"field": "phase", "won": ["customer", 1], "lost": ["x"], "at": "closed"}, True),
        ({"won": "customer"}, False),
        ({"field": "phase", "won": {"is": "customer"}}, False),
    ],
)
def test_the_schema_knows_it(outcome: object, fits: bool) -> None:
    assert (
        Checker(json_schema(CONNECTORS)).fits(
            {**GOOD, "connections": {"a": {"type": "crm", "token": "x"}}, "outcome": outcome}
        )
        is fits
    )
