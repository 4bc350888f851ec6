"""Secrets come from outside and show nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncer.log import redact
from syncer.settings import SettingsError, load_project, show
from tests.settings.samples import CONNECTORS, ENVIRON, PROJECT, CrmSettings, loaded, only, problems, project_folder


def _token(folder: Path, project: str = PROJECT, **environ: str) -> str:
    settings = loaded(folder, project, **environ).connections[0].settings
    assert isinstance(settings, CrmSettings)
    return settings.token.get_secret_value()


def test_a_variable_is_put_in_after_the_yaml_was_read(tmp_path: Path) -> None:
    assert _token(tmp_path, CRM_TOKEN='x", port: 1 # [') == 'x", port: 1 # ['


def test_a_default_stands_in_for_a_variable_that_is_not_set_or_empty(tmp_path: Path) -> None:
    project = PROJECT.replace("${CRM_TOKEN}", "${NOT_THERE:-fallback}")
    assert _token(tmp_path, project) == "fallback"
    assert _token(tmp_path, project, NOT_THERE="") == "fallback"


def test_a_secret_file_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    project = PROJECT.replace("${CRM_TOKEN}", "${file:" + str(tmp_path / "token") + "}")
    assert _token(tmp_path, project) == "from-a-file"


def test_a_missing_secret_file_is_a_problem_at_its_place(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, PROJECT.replace("${CRM_TOKEN}", "${file:/nowhere/token}")))
    assert (problem.line, problem.column, problem.code) == (2, 28, "SY008")


def test_two_dollars_stand_for_one(tmp_path: Path) -> None:
    assert _token(tmp_path, PROJECT.replace("${CRM_TOKEN}", "$${CRM_TOKEN}")) == "${CRM_TOKEN}"


def test_a_number_may_come_from_a_variable(tmp_path: Path) -> None:
    project = PROJECT.replace("type: crm", 'type: crm, port: "${CRM_PORT}"')
    settings = loaded(tmp_path, project, CRM_PORT="8443").connections[0].settings
    assert isinstance(settings, CrmSettings)
    assert settings.port == 8443


def test_the_dotenv_file_is_read_and_the_real_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('CRM_TOKEN="from dotenv"\n')
    path = project_folder(tmp_path)
    settings = load_project(path, CONNECTORS, {}).connections[0].settings
    assert isinstance(settings, CrmSettings)
    assert settings.token.get_secret_value() == "from dotenv"
    assert _token(tmp_path, CRM_TOKEN="from the environment") == "from the environment"
    assert "CRM_TOKEN" not in os.environ


def test_a_variable_that_is_not_set_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load_project(project_folder(tmp_path), CONNECTORS, {"CRM_TOKN": "x"})
    problem = only(raised.value.problems)
    assert problem.message == "environment variable CRM_TOKEN is not set"
    assert problem.help == "export CRM_TOKEN=... or put it in .env; did you mean 'CRM_TOKN'?"


def test_an_empty_variable_is_not_proposed_in_its_own_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load_project(project_folder(tmp_path), CONNECTORS, {"CRM_TOKEN": "", "CRM_TOKN": ""})
    problem = only(raised.value.problems)
    assert problem.message == "environment variable CRM_TOKEN is empty"
    assert problem.help == "export CRM_TOKEN=... or put it in .env"


def test_one_unset_variable_is_one_problem_and_not_also_a_wrong_number(tmp_path: Path) -> None:
    project = PROJECT.replace("type: crm", 'type: crm, port: "${CRM_PORT}"')
    assert only(problems(tmp_path, project)).path == "connections.main.port"


@pytest.mark.parametrize(
    "token",
    [
        "pat-eu1-0a1b2c3d-1111-2222-3333-444455556666",
        "pat-na1-0a1b2c3d-1111-2222-3333-444455556666",
        "00D5g000004XyZ1!AQ4AQFakeFakeFake.Fake_Fake",
        "xoxb-123456789012-abcdefghijkl",
        "https://hooks.slack.com/services/T000/B000/abcdefgh",
    ],
)
def test_a_real_looking_token_in_a_file_is_an_error_that_does_not_repeat_it(tmp_path: Path, token: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, PROJECT.replace("${CRM_TOKEN}", token).replace("crm,", "crm, prt: 1,"))
    text = str(raised.value)
    assert {one.code for one in raised.value.problems} == {"SY009", "SY004"}
    assert token not in text
    assert token.rsplit("/", 1)[-1] not in text


def test_a_real_looking_token_in_a_model_file_is_found_too(tmp_path: Path) -> None:
    model = "name: pat-eu1-0a1b2c3d-1111-2222-3333\nstages: [{name: cold}]\n"
    assert [one.code for one in problems(tmp_path, PROJECT, model)] == ["SY009"]


SECRET = "kept-most-secret"


@pytest.mark.parametrize(
    "project",
    [
        "connections:\n  main: {type: crm, token: kept-most-secret, prt: 1}\nmodels: models/b2b.yml\n",
        "connections:\n  main: {type: crm, port: kept-most-secret, token: kept-most-secret}\nmodels: m.yml\n",
        "connections:\n  main: {type: crm, password: 'kept-most-secret'\n  broken: [\n",
        PROJECT.replace("token:", "port:"),
        PROJECT.replace("type: crm", 'type: "${CRM_TOKEN}"'),
        PROJECT + 'timezone: "${CRM_TOKEN}"\n',
        PROJECT + 'language: "${CRM_TOKEN}"\n',
        PROJECT + 'sync: {every: "${CRM_TOKEN}", min_step: "${CRM_TOKEN}", manual_change: "${CRM_TOKEN}"}\n',
        PROJECT.replace("models/b2b.yml", '"${CRM_TOKEN}"'),
        PROJECT + 'handoff: {when: "${CRM_TOKEN}", notify: ["${CRM_TOKEN}"], route: [{to: "${CRM_TOKEN}"}]}\n',
        PROJECT + "handoff: {notifiers: {a: {type: slack, url: kept-most-secret}}}\n",
        PROJECT + 'handoff: {notifiers: {a: {type: email, from: "${CRM_TOKEN}", security: "${CRM_TOKEN}"}}}\n',
    ],
)
def test_no_secret_is_in_any_message(tmp_path: Path, project: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, project, CRM_TOKEN=SECRET)
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value.problems)


def test_a_value_from_outside_is_not_shown_whatever_its_name(tmp_path: Path) -> None:
    project = PROJECT.replace("type: crm", 'type: crm, port: "${HARMLESS}"')
    problem = only(problems(tmp_path, project, HARMLESS="seen-only-in-this-test"))
    assert problem.message == "a whole number is needed here, not '***'"


def test_a_token_in_a_comment_beside_a_mistake_is_not_shown(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, PROJECT + "languag: es  # was pat-eu1-0a1b2c3d-1111-2222\n"))
    assert problem.source[-1] == (4, "languag: es  # was ***")


def test_the_log_blots_out_what_landed_in_a_secret_field(tmp_path: Path) -> None:
    _token(tmp_path, CRM_TOKEN="blot-me-out-1")
    _token(tmp_path, PROJECT.replace("${CRM_TOKEN}", "written-in-the-file-1"))
    assert redact("a blot-me-out-1 b written-in-the-file-1") == "a *** b ***"


def test_the_log_blots_out_the_password_inside_an_address(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        PROJECT + 'handoff: {notifiers: {h: {type: webhook, url: "${HOOK}"}}}\n',
        HOOK="https://u:pw-in-url@h/x",
    )
    assert redact("pw-in-url") == "***"


def test_a_shown_project_and_its_repr_hide_secrets(tmp_path: Path) -> None:
    project = loaded(tmp_path, CRM_TOKEN="never-shown-1")
    assert show(project)["connections.main.token"] == ("***", "env CRM_TOKEN")
    assert "never-shown-1" not in repr(project) + repr(dict(show(project))) + project.fingerprint


def test_a_changed_secret_changes_the_fingerprint(tmp_path: Path) -> None:
    first, second = loaded(tmp_path, CRM_TOKEN="one-token"), loaded(tmp_path, CRM_TOKEN="other-token")
    assert first.fingerprint != second.fingerprint
    assert loaded(tmp_path, CRM_TOKEN="one-token").fingerprint == first.fingerprint
    assert ENVIRON["CRM_TOKEN"] not in first.fingerprint
