"""Rule tests as files: what a case may say, and where it is told what is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from syncer.rules import Segment
from syncer.settings import Problem, SettingsError, cases_schema
from syncer.settings.cases import (
    DEFAULT_AS_OF,
    ActivityFile,
    Case,
    Casebook,
    CaseFile,
    CasesFile,
    CounterFile,
    ExpectFile,
    load_cases,
)
from tests.settings.samples import model_of, only, places
from tests.settings.test_schema import Checker

EXAMPLES = Path(__file__).parents[2] / "config" / "tests"
MODEL = """\
timezone: Europe/Madrid
fit:
  rules:
    - {name: Target country, when: {country: [ES, MX]}, points: 10}
    - {name: Decides, id: decision-maker, when: {jobtitle: {contains: director}}, points: 12}
engagement:
  half_life: 30d
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed, in_last: 90d}, points: 30}
    - {name: Opened a mail, when: {activity: email_open}, points: 1, each: true}
ignore:
  - {name: Robots, when: {activity: email_open}, follows: {activity: email_sent, within: 5s, same: campaign}}
veto:
  - {name: Opted out, when: {opted_out: true}}
stages:
  - {name: cold}
  - {name: mql, enter: [engagement >= 20], leave_below: [engagement >= 10], dwell: 36h}
"""
_MISTAKES = """\
as_of: yesterday
cases:
  - name: First
    lead: {country: [ES]}
    activities:
      - {activity: meeting}
      - {activity: meeting, ago: 3d, at: 2026-01-10}
      - {activity: meeting, ago: 3 days, times: 0}
      - meeting
    counters: [{activity: email_open, value: -7, ago: 5d, seen: 1d}]
    was: mqll
    expect: {stag: mql, total: 7.555, rules: {Target contry: 2, decision-maker: "3"}, veto: opted-in}
  - name: First
    since: 3d
    expect:
  - expect: {rules: {}, stage: }
  - {name: Fourth, lead: {token_of_sb: pat-eu1-0123456789abcdef}}
"""


def written(folder: Path, text: str, name: str = "leads.yml") -> Path:
    """The path of a project file that need not be there, with a file of cases beside it."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / name).write_text(text, encoding="utf-8")
    return folder / "syncer.yml"


def book_of(folder: Path, text: str, model: str = MODEL) -> Casebook:
    (book,) = load_cases(written(folder, text), [Segment(model_of(folder, model))])
    return book


def case_of(folder: Path, keys: str, top: str = "") -> Case:
    """The only case of a file, with these keys beside its name."""
    return only(book_of(folder, f"{top}cases:\n  - {{name: A case, {keys}}}\n").cases)  # type: ignore[no-any-return]


def problems_of(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as raised:
        book_of(folder, text)
    return raised.value.problems


def problem_of(folder: Path, keys: str) -> Problem:
    return only(problems_of(folder, f"cases:\n  - {{name: A case, {keys}}}\n"))  # type: ignore[no-any-return]


def test_every_mistake_is_found_in_one_pass_with_its_place(tmp_path: Path) -> None:
    found = problems_of(tmp_path, _MISTAKES)
    assert places(found) == [
        ("tests/leads.yml", 1, 8, "as_of"),
        ("tests/leads.yml", 4, 21, "cases[0].lead.country"),
        ("tests/leads.yml", 6, 9, "cases[0].activities[0]"),
        ("tests/leads.yml", 7, 9, "cases[0].activities[1]"),
        ("tests/leads.yml", 8, 34, "cases[0].activities[2].ago"),
        ("tests/leads.yml", 8, 49, "cases[0].activities[2].times"),
        ("tests/leads.yml", 9, 9, "cases[0].activities[3]"),
        ("tests/leads.yml", 10, 46, "cases[0].counters[0].value"),
        ("tests/leads.yml", 10, 59, "cases[0].counters[0].seen"),
        ("tests/leads.yml", 11, 10, "cases[0].was"),
        ("tests/leads.yml", 12, 14, "cases[0].expect.stag"),
        ("tests/leads.yml", 12, 32, "cases[0].expect.total"),
        ("tests/leads.yml", 12, 47, "cases[0].expect.rules.Target contry"),
        ("tests/leads.yml", 12, 93, "cases[0].expect.veto"),
        ("tests/leads.yml", 13, 11, "cases[1].name"),
        ("tests/leads.yml", 16, 3, "cases[1].expect"),
        ("tests/leads.yml", 16, 5, "cases[2].name"),
        ("tests/leads.yml", 16, 21, "cases[2].expect.rules"),
        ("tests/leads.yml", 16, 31, "cases[2].expect.stage"),
        ("tests/leads.yml", 17, 40, "cases[3].lead.token_of_sb"),
    ]
    assert "pat-eu1" not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("keys", "help"),
    [
        ("expect: {rules: {Target contry: 1}}", "did you mean 'Target country'?"),
        ("expect: {rules: {desicion-maker: 1}}", "did you mean 'decision-maker'?"),
        ("expect: {stage: mqll}", "did you mean 'mql'? stages: cold, mql"),
        ("was: colt", "did you mean 'cold'? stages: cold, mql"),
        ("expect: {veto: opted-uot}", "did you mean 'opted-out'?"),
        ("expects: {stage: mql}", "did you mean 'expect'?"),
        ("activities: [{activity: meeting}]", "write for example ago: 3d or at: 2026-01-12"),
    ],
)
def test_a_mistake_comes_with_what_to_write(tmp_path: Path, keys: str, help: str) -> None:
    assert problem_of(tmp_path, keys).help.startswith(help)


def test_points_of_a_rule_that_are_no_number_are_told_at_the_number(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, 'expect: {rules: {decision-maker: "3"}}')
    assert (problem.line, problem.column) == (2, 53)


def test_since_needs_a_stage_before(tmp_path: Path) -> None:
    assert "there is none" in problem_of(tmp_path, "since: 3d").message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; it needs `cases:`"),
        ("# nothing\n", "the file is empty; it needs `cases:`"),
        ("{}\n", "the key 'cases' is missing"),
        ("- a\n", "a mapping is needed here"),
        ("cases: []\n", "the list is empty"),
        ("cases:\n", "stands here without a value"),
        ("cases: {}\n", "a list is needed here"),
    ],
)
def test_a_file_without_cases_is_a_mistake(tmp_path: Path, text: str, message: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert message in problem.message


def test_all_files_of_the_folder_are_read_by_name_and_nothing_else_in_it(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "notes.md", "x.yml.bak"):
        written(tmp_path, f"cases:\n  - name: {name}\n", name)
    (tmp_path / "tests" / "folder.yml").mkdir()
    books = load_cases(tmp_path / "syncer.yml", [Segment(model_of(tmp_path, MODEL))])
    assert [[case.name for case in book.cases] for book in books] == [["a.yaml"], ["b.yml"]]


def test_without_a_folder_there_are_no_cases(tmp_path: Path) -> None:
    assert load_cases(tmp_path / "syncer.yml", [Segment(model_of(tmp_path, MODEL))]) == ()


def test_times_are_counted_from_the_files_own_now(tmp_path: Path) -> None:
    keys = "activities: [{activity: meeting, ago: 3d}]"
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)
    (activity,) = case_of(tmp_path, keys, "as_of: 2026-11-22T10:00:00+01:00\n").signals.activities
    assert activity.at == now - timedelta(days=3)
    (activity,) = case_of(tmp_path, keys).signals.activities
    assert activity.at == DEFAULT_AS_OF - timedelta(days=3)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-10", "2026-01-09T23:00"),
        ("2026-07-10T12:30", "2026-07-10T10:30"),
        ("2026-01-10T12:30:00Z", "2026-01-10T12:30"),
        ("2026-01-10T12:30-05:00", "2026-01-10T17:30"),
    ],
)
def test_a_time_without_a_zone_is_of_the_models_zone(tmp_path: Path, text: str, utc: str) -> None:
    (activity,) = case_of(tmp_path, f"activities: [{{activity: meeting, at: {text!r}}}]").signals.activities
    assert activity.at == datetime.fromisoformat(f"{utc}+00:00")


@pytest.mark.parametrize("text", ["12 Jan 2026", "0001-01-01", "9999-12-31T23:59-12:00", "{}", "7", "~"])
def test_what_is_no_time_is_refused(tmp_path: Path, text: str) -> None:
    assert problem_of(tmp_path, f"activities: [{{activity: meeting, at: {text}}}]").line == 2


def test_every_other_key_of_an_activity_is_its_field_and_times_repeats_it(tmp_path: Path) -> None:
    keys = "activities: [{activity: meeting, outcome: completed, guests: 3, ago: 1h, times: 2}]"
    first, second = case_of(tmp_path, keys).signals.activities
    assert first == second
    assert first.fields == {"outcome": "completed", "guests": 3}


def test_counters_become_readings_the_oldest_first(tmp_path: Path) -> None:
    counters = "{activity: email_open, value: 9, ago: 1d}, {activity: email_open, value: 7, ago: 5d}"
    readings = case_of(tmp_path, f"counters: [{counters}]").signals.readings
    assert [(each.value, each.last_at) for each in readings] == [
        (7, DEFAULT_AS_OF - timedelta(days=5)),
        (9, DEFAULT_AS_OF - timedelta(days=1)),
    ]


def test_the_stage_before_began_long_enough_ago_for_its_dwell_unless_said(tmp_path: Path) -> None:
    before = case_of(tmp_path, "was: mql").before
    assert before is not None
    assert (before.stage, before.automatic, before.since) == ("mql", "mql", DEFAULT_AS_OF - timedelta(hours=36))
    before = case_of(tmp_path, "was: mql, since: 2h").before
    assert before is not None
    assert before.since == DEFAULT_AS_OF - timedelta(hours=2)
    assert case_of(tmp_path, "lead: {country: ES}").before is None


def test_what_is_expected_is_kept_exactly_with_its_place(tmp_path: Path) -> None:
    keys = "expect: {total: -7.25, rules: {Target country: 10, decision-maker: 0}, veto: none}"
    assert [(each.of, each.value, each.where) for each in case_of(tmp_path, keys).expected] == [
        (("total",), -725, "tests/leads.yml:2:36"),
        (("rules", "Target country"), 1000, "tests/leads.yml:2:67"),
        (("rules", "decision-maker"), 0, "tests/leads.yml:2:87"),
        (("veto",), "none", "tests/leads.yml:2:97"),
    ]


def test_what_no_rule_looks_at_is_a_doubt_and_no_mistake(tmp_path: Path) -> None:
    text = """\
cases:
  - name: A
    lead: {email: a@b.es, jobtitel: Directora, opted_out: true}
    activities:
      - {activity: meeting, outcom: completed, ago: 1d}
      - {activity: meting, outcome: completed, ago: 1d}
      - {activity: email_sent, campaign: x, ago: 1d}
    counters: [{activity: email_opens, value: 1, ago: 1d}]
"""
    found = [(doubt.line, doubt.column, doubt.message, doubt.help) for doubt in book_of(tmp_path, text).doubts]
    assert found == [
        (3, 27, "no rule looks at the field 'jobtitel'", "did you mean 'jobtitle'?"),
        (5, 29, "no rule looks at the field 'outcom' of meeting", "did you mean 'outcome'?"),
        (6, 20, "no rule looks at the activity 'meting'", "did you mean 'meeting'?"),
        (8, 27, "no rule looks at the activity 'email_opens'", "did you mean 'email_open'?"),
    ]


def test_the_example_shows_every_key() -> None:
    shapes: tuple[type[BaseModel], ...] = (CasesFile, CaseFile, ActivityFile, CounterFile, ExpectFile)
    text = (EXAMPLES / "b2b-saas.yml").read_text(encoding="utf-8")
    keys = {key for shape in shapes for key in shape.model_fields}
    assert [key for key in sorted(keys) if f"{key}:" not in text] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.name)
def test_the_schema_fits_the_examples_and_no_misspelt_key(path: Path) -> None:
    schema, tree = Checker(cases_schema()), YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    plain: Any = json.loads(json.dumps(tree, default=str))
    assert schema.fits(plain)
    assert not schema.fits({**plain, "casses": []})
    assert not schema.fits({"cases": [{"name": "A", "expect": {"stagee": "mql"}}]})


_TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["3d", "2026-01-10", "mql", ""])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["activity", "ago", "at", "times", "stage", "rules", "Decides", "x"]), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["lead", "activities", "counters", "was", "since", "expect", "name"]), _TREES)
def test_whatever_stands_in_a_case_is_read_or_refused(tmp_path: Path, key: str, tree: Any) -> None:
    text = json.dumps({"cases": [{"name": "A", key: tree}]})
    found: list[Any] = []
    try:
        found += book_of(tmp_path, text).cases
    except SettingsError as wrong:
        found += wrong.problems
    assert found
