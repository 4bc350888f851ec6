"""`test`: the rules against made-up leads, without a CRM, a database or a secret."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from syncer.cli import cli
from tests.cli.test_init import PRESETS

PROJECT = "connections: {crm: {type: hubspot, token: '${HUBSPOT_TOKEN}'}}\nmodels: model.yml\n"
MODEL = """\
fit:
  rules:
    - {name: Target country, when: {country: [ES, MX]}, points: 10.5}
    - {name: Decides, when: {jobtitle: {contains: director}}, points: 12}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 20]}
"""
CASES = """\
# Our leads
cases:
  - name: A director in Spain        # the ideal one
    lead: {country: ES, jobtitle: Directora}
    expect: {stage: iql, total: 22.5}

  - name: A stranger
    lead: {country: FR}
    expect:
      stage: cold   # for ever
      total: 0
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def project(here: Path) -> Path:
    """A project with two cases that pass."""
    (here / "tests").mkdir()
    for name, text in (("syncer.yml", PROJECT), ("model.yml", MODEL), ("tests/leads.yml", CASES)):
        (here / name).write_text(text)
    return here


def typed(*words: str, **environment: str) -> Result:
    """With nothing that steers syncer, and no secret, in the environment."""
    kept: dict[str, str | None] = {name: None for name in os.environ if name.startswith("SYNCER_")}
    environ = {**kept, "HUBSPOT_TOKEN": None, **environment}
    return CliRunner().invoke(cli, words, env=environ, catch_exceptions=False)


def change(project: Path, before: str, after: str, name: str = "tests/leads.yml") -> None:
    text = (project / name).read_text()
    assert text.count(before) == 1
    (project / name).write_text(text.replace(before, after))


def cases(result: Result) -> list[dict[str, Any]]:
    content: dict[str, Any] = orjson.loads(result.stdout)
    assert content["schema"] == "syncer.test/1"
    found: list[dict[str, Any]] = content["cases"]
    assert content["failed"] == sum(not case["passed"] for case in found) == len(found) - content["passed"]
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_the_rule_tests_that_init_writes_pass_without_a_secret_or_a_database(here: Path, preset: str) -> None:
    made = typed("init", "--yes", "--preset", preset)
    assert "created tests/leads.yml" in made.stdout
    done = typed("test")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert done.stdout.count("  ✓ ") >= 6
    assert done.stdout.endswith("passed, none failed.\n")
    assert not list(here.glob("*.db*"))


def test_a_failure_shows_what_was_expected_what_came_where_and_every_line_of_the_score(project: Path) -> None:
    change(project, "points: 10.5", "points: 4", "model.yml")
    done = typed("test")
    assert done.exit_code == 1
    shown = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "✗ A director in Spain (tests/leads.yml:3:11)" in shown
    assert "stage expected iql got cold tests/leads.yml:5:21" in shown
    assert "total expected 22.5 got 16 tests/leads.yml:5:33" in shown
    assert "fit +4 Target country country = ES 3" in shown
    assert "+12 Decides jobtitle = Directora 4" in shown
    assert "16 total" in shown
    assert "✓ A stranger" in shown
    assert shown[-1] == "1 passed, 1 failed."


def test_a_program_gets_one_object(project: Path) -> None:
    change(project, "points: 10.5", "points: 4", "model.yml")
    done = typed("test", "--json")
    assert done.exit_code == 1
    first, second = cases(done)
    assert first["wrong"] == [
        {"of": "stage", "expected": "iql", "got": "cold", "where": "tests/leads.yml:5:21"},
        {"of": "total", "expected": 22.5, "got": 16.0, "where": "tests/leads.yml:5:33"},
    ]
    assert first["message"] == "stage is cold instead of iql, total is 16 instead of 22.5"
    assert [line["points"] for line in first["contributions"]] == [4.0, 12.0]
    assert (second["passed"], second["stage"], second["total"], second["wrong"]) == (True, "cold", 0.0, [])


def test_broken_files_are_all_told_and_change_nothing(project: Path) -> None:
    change(project, "stage: iql", "stage: iqll")
    (project / "tests" / "more.yml").write_text("cases:\n  - name: A\n    expect: {rules: {Decide: 1}}\n")
    before = (project / "tests" / "leads.yml").read_text()
    done = typed("test", "--update")
    assert done.exit_code == 2
    assert re.findall(r"--> (\S+)", done.stderr) == ["tests/leads.yml:5:21", "tests/more.yml:3:22"]
    assert "did you mean 'Decides'?" in done.stderr
    assert (project / "tests" / "leads.yml").read_text() == before


def test_broken_rules_are_told_as_ever(project: Path) -> None:
    change(project, "points: 12", "points: twelve", "model.yml")
    done = typed("test")
    assert done.exit_code == 2
    assert "--> model.yml:4:" in done.stderr


def test_where_there_are_no_tests_the_message_has_one_that_update_completes(project: Path) -> None:
    (project / "tests" / "leads.yml").unlink()
    done = typed("test")
    assert done.exit_code == 1
    assert done.stdout == ""
    example = done.stderr.split("\n\n")[1]
    (project / "tests" / "leads.yml").write_text(example)
    assert typed("test").exit_code == 1
    updated = typed("test", "--update")
    assert updated.exit_code == 0, updated.output
    assert "tests/leads.yml:2:11: expect stage iql, total 22.5" in updated.stdout
    assert (project / "tests" / "leads.yml").read_text() == f"{example}\n    expect: {{stage: iql, total: 22.5}}"


def test_without_a_project_it_says_how_to_begin(here: Path) -> None:
    done = typed("test")
    assert done.exit_code == 2
    assert "`syncer init`" in done.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [("director spain", ["A director in Spain"]), ("STRANGER", ["A stranger"]), ("leads.yml a", None)],
)
def test_k_takes_the_cases_with_all_the_words(project: Path, words: str, found: list[str] | None) -> None:
    names = [case["name"] for case in cases(typed("test", "--json", "-k", words))]
    assert names == (found or ["A director in Spain", "A stranger"])


def test_words_that_nothing_has_are_an_error(project: Path) -> None:
    done = typed("test", "-k", "director france")
    assert done.exit_code == 1
    assert "no rule test has 'director france' in its name" in done.stderr


def test_update_changes_only_the_values_that_came_out_otherwise(project: Path) -> None:
    change(project, "points: 10.5", "points: 4.25", "model.yml")
    done = typed("test", "--update")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:2] == [
        "tests/leads.yml:5:21: stage iql → cold",
        "tests/leads.yml:5:33: total 22.5 → 16.25",
    ]
    assert (project / "tests" / "leads.yml").read_text() == CASES.replace("iql, total: 22.5", "cold, total: 16.25")
    assert typed("test", "--update").stdout.splitlines()[0] == "tests/leads.yml"


def test_update_tells_a_program_what_it_wrote(project: Path) -> None:
    change(project, "total: 0\n", "total: 1\n")
    content = orjson.loads(typed("test", "--update", "--json").stdout)
    assert content["updated"] == [{"where": "tests/leads.yml:11:14", "of": "total", "before": 1.0, "after": 0.0}]
    assert content["failed"] == 0


def test_update_with_words_leaves_the_other_cases_alone(project: Path) -> None:
    change(project, "total: 0\n", "total: 1\n")
    change(project, "total: 22.5", "total: 3")
    done = typed("test", "--update", "-k", "director")
    assert done.exit_code == 0, done.output
    assert (project / "tests" / "leads.yml").read_text() == CASES.replace("total: 0\n", "total: 1\n")


def test_update_leaves_a_value_that_two_cases_share_to_a_person(project: Path) -> None:
    text = CASES.replace("expect: {stage: iql, total: 22.5}", "expect: &ideal {stage: cold, total: 0}")
    text = text.replace("expect:\n      stage: cold   # for ever\n      total: 0\n", "expect: *ideal\n")
    (project / "tests" / "leads.yml").write_text(text)
    done = typed("test", "--update")
    assert done.exit_code == 1
    assert "tests/leads.yml:5:28: one value stands here for several cases" in done.stderr
    assert (project / "tests" / "leads.yml").read_text() == text


def test_a_lead_that_no_model_is_for_fails_and_cannot_be_updated(project: Path) -> None:
    change(project, "models: model.yml", "models: [{use: model.yml, for: {country: ES}}]", "syncer.yml")
    done = typed("test", "--update")
    assert done.exit_code == 1
    assert "no model in the project file is for such a lead" in done.stdout
    assert (project / "tests" / "leads.yml").read_text() == CASES


def test_a_field_that_no_rule_looks_at_is_a_warning(project: Path) -> None:
    change(project, "jobtitle: Directora", "jobtitel: Directora")
    done = typed("test", "-k", "stranger")
    assert done.exit_code == 0
    place = "tests/leads.yml:4:25"
    assert done.stderr == (f"warning SY120: {place}: no rule looks at the field 'jobtitel'; did you mean 'jobtitle'?\n")


def checked(exit_code: int, *words: str) -> list[dict[str, Any]]:
    """What `check` says of rule tests."""
    done = typed("check", "--offline", "--json", *words, HUBSPOT_TOKEN="a-token-of-some-length")
    assert done.exit_code == exit_code, done.output
    found = orjson.loads(done.stdout)["findings"]
    return [each for each in found if "rule test" in each["message"] or each["where"].startswith("tests/")]


def test_check_runs_them_too(project: Path) -> None:
    (passed,) = checked(0)
    assert (passed["layer"], passed["level"], passed["message"]) == ("rules", "ok", "2 rule tests passed")
    change(project, "points: 12", "points: 9", "model.yml")
    passed, failed = checked(2)
    assert (passed["level"], passed["message"]) == ("ok", "1 rule test passed")
    assert (failed["layer"], failed["level"], failed["where"]) == ("rules", "error", "tests/leads.yml:3:11")
    expected = "rule test 'A director in Spain': stage is cold instead of iql, total is 19.5 instead of 22.5"
    assert failed["message"] == expected


def test_check_tells_of_broken_and_of_doubtful_rule_tests_beside_everything_else(project: Path) -> None:
    change(project, "country: FR", "county: FR")
    assert [(each["level"], each["where"]) for each in checked(0)] == [("ok", ""), ("warning", "tests/leads.yml:8:12")]
    change(project, "name: A stranger", "nam: A stranger")
    assert {(each["level"], each["layer"], each["where"]) for each in checked(2)} == {
        ("error", "files", "tests/leads.yml:7:5")
    }


def test_check_says_nothing_of_rule_tests_that_are_not_there(project: Path) -> None:
    (project / "tests" / "leads.yml").unlink()
    assert checked(0) == []


def test_the_schema_of_rule_tests_is_printed(here: Path) -> None:
    assert "as_of" in orjson.loads(typed("config", "schema", "--tests").stdout)["properties"]
