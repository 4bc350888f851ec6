"""All mistakes in one pass, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.settings import SettingsError, load_project
from tests.settings.samples import CONNECTORS, MODEL, PROJECT, loaded, only, places, problems, project_folder

TEN_PROJECT = """\
version: 1
timezone: Europe/Madrit
connections:
  main:
    type: cmr
    token: ${CRM_TOKEN}
  second:
    type: crm
    token: ${OTHER_TOKEN}
    write: {lifecyclestage: {mqll: customer}}
sync:
  every: 15 minutes
  max_stage_change: 3
models: models/b2b.yml
handoff:
  when: sqll
  notifiers:
    team: {type: slack, private_addresses: true, url: http://127.0.0.1/hook}
  notify: [tean]
"""
TEN_MODEL = """\
fit:
  half_lif: 30d
  rules:
    - name: Target country
      when: {country: {contians: x}}
      points: 12.345
stages:
  - {name: cold}
  - {name: sql, enter: [total is 15]}
"""


def test_ten_planted_mistakes_and_more_are_all_listed_with_their_places(tmp_path: Path) -> None:
    found = problems(tmp_path, TEN_PROJECT, TEN_MODEL)
    assert places(found) == [
        ("syncer.yml", 2, 11, "timezone"),
        ("syncer.yml", 5, 11, "connections.main.type"),
        ("syncer.yml", 9, 12, "connections.second.token"),
        ("syncer.yml", 10, 30, "connections.second.write.lifecyclestage.mqll"),
        ("syncer.yml", 12, 10, "sync.every"),
        ("syncer.yml", 13, 3, "sync.max_stage_change"),
        ("syncer.yml", 16, 9, "handoff.when"),
        ("syncer.yml", 19, 12, "handoff.notify[0]"),
        ("models/b2b.yml", 2, 3, "fit.half_lif"),
        ("models/b2b.yml", 5, 24, "fit.rules[0].when.country.contians"),
        ("models/b2b.yml", 6, 15, "fit.rules[0].points"),
        ("models/b2b.yml", 9, 25, "stages[1].enter[0]"),
    ]
    assert [one.help for one in found[:2]] == [
        "did you mean 'Europe/Madrid'?",
        "did you mean 'crm'? installed: crm",
    ]


def test_an_error_is_printed_with_its_line_a_caret_and_help(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, PROJECT + "sync:\n  max_handofs: 3\n")
    assert str(raised.value) == (
        "error: unknown key 'max_handofs'\n"
        "  --> syncer.yml:5:3  (sync.max_handofs)\n"
        "  4 | sync:\n"
        "  5 |   max_handofs: 3\n"
        "    |   ^\n"
        "  help: did you mean 'max_handoffs'?\n"
        "\n"
        "1 problem in 1 file"
    )
    assert raised.value.exit_code == 2
    assert raised.value.code == "SY004"


def test_a_broken_model_file_does_not_hide_mistakes_in_the_project_file(tmp_path: Path) -> None:
    found = problems(tmp_path, PROJECT + "languag: es\n", "fit: [1\n")
    assert [(one.file, one.code) for one in found] == [("syncer.yml", "SY004"), ("models/b2b.yml", "SY002")]


def test_a_broken_project_file_is_shown_where_it_breaks(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, "version: 1\nsync: {every: 15m\n"))
    assert (problem.line, problem.code) == (3, "SY002")


@pytest.mark.parametrize("line", ['language: "\\ud800"', '"\\udc00": 1', 'timezone: "\\ud83d\\ude00"'])
def test_half_a_character_is_refused_where_it_stands(tmp_path: Path, line: str) -> None:
    problem = only(problems(tmp_path, f"version: 1\n{line}\n"))
    assert (problem.line, problem.code) == (2, "SY002")
    assert "contains half a character" in problem.message


@pytest.mark.parametrize("name", ["", ".", "models"])
def test_a_folder_in_the_place_of_a_file_is_said_to_be_none(tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "beside.yml").touch()  # what is beside the project is no suggestion
    problem = problems(tmp_path, PROJECT.replace("connections:\n", f"connections: '{name}'\nother:\n"))[0]
    assert (problem.path, problem.message) == ("connections", f"{name!r} is not a file")


def test_a_reference_without_quotes_between_braces_gets_help(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, "connections:\n  main: {type: crm, token: ${CRM_TOKEN}}\n"))
    assert "quotes" in problem.help


def test_every_duplicate_key_is_reported(tmp_path: Path) -> None:
    found = problems(tmp_path, PROJECT + "language: es\nlanguage: en\nsync:\n  every: 1h\n  every: 2h\n")
    assert [(one.line, one.column, one.path, one.code) for one in found] == [
        (5, 1, "language", "SY003"),
        (8, 3, "sync.every", "SY003"),
    ]


def test_a_missing_key_is_shown_at_the_key_of_its_mapping(tmp_path: Path) -> None:
    project = "connections:\n  main:\n    type: crm\nmodels: models/b2b.yml\n"
    problem = only(problems(tmp_path, project))
    assert (problem.line, problem.column, problem.message) == (2, 3, "the key 'token' is missing")


def test_a_misspelt_model_file_gets_the_nearest_name(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, PROJECT.replace("models/b2b.yml", "models/b2c.yml")))
    assert (problem.line, problem.column, problem.code) == (3, 9, "SY001")
    assert "'models/b2b.yml'" in problem.help


def test_a_missing_project_file_is_one_clear_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load_project(tmp_path / "syncer.yml", CONNECTORS, {})
    assert raised.value.problems[0].message == "the file syncer.yml does not exist"


@pytest.mark.parametrize("text", ["", "# nothing\n", "just text\n", "- a\n- b\n", "~\n"])
def test_a_file_without_a_mapping_is_a_problem(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)
    assert problems(tmp_path, PROJECT, text)


def test_an_unquoted_number_with_a_leading_zero_is_refused(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, PROJECT, MODEL.replace("[ES, MX]", "[08001]")))
    assert (problem.line, problem.column) == (3, 47)
    assert '"08001"' in problem.help


def test_merge_keys_and_aliases_work_and_keep_their_places(tmp_path: Path) -> None:
    model = (
        "engagement: &shared\n  half_life: 7d\n  rules:\n    - {name: A, when: {activity: call}, points: 1}\n"
        "need:\n  <<: *shared\n  rules:\n    - {name: B, when: {activity: call}, points: x}\n"
        "stages:\n  - {name: cold}\n"
    )
    assert places(problems(tmp_path, PROJECT, model)) == [("models/b2b.yml", 8, 49, "need.rules[0].points")]
    fixed = loaded(tmp_path, PROJECT, model.replace("points: x", "points: 2"))
    assert fixed.segments[0].model.dimensions[1].rules[0].fade.half_life_hours == 7 * 24


def test_files_read_so_far_are_named_so_that_a_reload_can_watch_them(tmp_path: Path) -> None:
    path = project_folder(tmp_path, PROJECT, "fit: 1\n")
    with pytest.raises(SettingsError) as raised:
        load_project(path, CONNECTORS, {"CRM_TOKEN": "x"})
    assert set(raised.value.files) == {path, tmp_path / "models" / "b2b.yml"}
