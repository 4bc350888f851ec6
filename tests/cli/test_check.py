"""`check`: what is wrong, where, what to do now, and an exit code that says who must act."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from syncer.cli import check as cli_check
from syncer.cli import cli
from syncer.store import leases, open_store
from tests.connectors.memory import Memory
from tests.runs.house import ENVIRONMENT, MODEL, House
from tests.store.samples import put, record
from tests.terminal import Terminal

PERSON, PATIENCE = 2, 4
NEEDED = ("crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read")

_TEN_MISTAKES = """\
version: 1
timezone: Europe/Madridd
lenguage: es
connections:
  crm:
    type: hubspott
    token: ${HUBSPOT_TOKEN}
  other:
    type: hubspot
    token: ${TOKEN_THAT_IS_NOT_SET}
sync:
  every: 15 minutes
  max_stage_changes: many
models: model.yml
handoff:
  when: sqll
  notifiers:
    hook: {type: webhook, url: "not an address", secret: "${HOOK_SECRET}"}
  notify: [hooky]
"""
_MODEL_MISTAKES = MODEL.replace("half_life: 30d", "half_lif: 30d").replace("points: 40", "points: forty")
_PLACES = {
    "syncer.yml": (2, 3, 6, 10, 12, 13, 16, 18, 19),
    "model.yml": (2, 5),
}


def typed(house: House, *words: str) -> Result:
    """As `house.cli`, which speaks with the portal first."""
    given = ["--config", str(house.folder / "syncer.yml"), "--database-url", house.database_url, *words]
    return CliRunner().invoke(cli, given, env=ENVIRONMENT, catch_exceptions=False)


def findings(house: House, *words: str, exit_code: int, **environment: str) -> list[dict[str, Any]]:
    result = house.cli("check", "--json", *words, environment={**ENVIRONMENT, **environment})
    assert result.exit_code == exit_code, result.output
    content = orjson.loads(result.stdout)
    assert content["schema"] == "syncer.check/1"
    wrong: list[dict[str, Any]] = [each for each in content["findings"] if each["level"] in ("warning", "error")]
    return wrong


def test_every_planted_mistake_is_listed_with_its_place_in_one_pass(terminal: Terminal) -> None:
    (terminal.folder / "syncer.yml").write_text(_TEN_MISTAKES)
    (terminal.folder / "model.yml").write_text(_MODEL_MISTAKES)
    done = terminal("check")
    assert done.returncode == PERSON
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    found = re.findall(r"^  --> (\S+?):(\d+):(\d+)", done.stderr, re.MULTILINE)
    for file, lines in _PLACES.items():
        assert {int(line) for name, line, _ in found if name == file} == set(lines), done.stderr
    assert all(int(column) > 0 for _, _, column in found)
    assert done.stderr.count("error: ") == len(found) == sum(map(len, _PLACES.values()))
    assert "did you mean 'hubspot'?" in done.stderr
    assert f"{len(found)} problems in 2 files" in done.stderr


def test_the_same_mistakes_are_one_object_for_a_program(tmp_path: Path) -> None:
    (tmp_path / "syncer.yml").write_text(_TEN_MISTAKES)
    (tmp_path / "model.yml").write_text(_MODEL_MISTAKES)
    done = CliRunner().invoke(cli, ["check", "--json", "-c", str(tmp_path / "syncer.yml")], env=ENVIRONMENT)
    assert done.exit_code == PERSON
    content = orjson.loads(done.stdout)
    assert content["errors"] == sum(map(len, _PLACES.values()))
    assert {each["where"].split(":")[0] for each in content["findings"]} == set(_PLACES)


def test_a_house_in_order_is_told_layer_by_layer(base: House) -> None:
    result = base.cli("check")
    assert result.exit_code == 0, result.output
    layers = [line.split()[1] for line in result.stdout.splitlines() if re.match(r"\d ", line)]
    assert layers == ["files", "environment", "credentials", "scopes", "fields", "rules"]
    assert result.stdout.endswith("no errors, no warnings.\n")


def test_what_check_cannot_look_at_has_a_mark_of_its_own_and_counts_for_nothing(base: House) -> None:
    result = base.cli("check", "--strict")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "whether the token may write" in line]
    assert "· crm: " in line


@pytest.mark.parametrize(("web", "codes"), [("", ["SY099"]), ("web: {}\n", [])])
def test_webhooks_without_a_place_where_the_daemon_listens_are_told(base: House, web: str, codes: list[str]) -> None:
    path = base.folder / "syncer.yml"
    hooks = '    webhooks: {secret: "${HOOK_SECRET}", url: https://syncer.example.com/hooks/crm}\n'
    path.write_text(path.read_text().replace("    lag: 0s\n", f"    lag: 0s\n{hooks}") + web)
    told = findings(base, exit_code=0)
    assert [each["code"] for each in told] == codes
    assert all("add the section `web:`" in each["help"] for each in told)


def test_a_wrong_token_is_one_message_and_needs_a_person(house: House) -> None:
    (wrong,) = findings(house, exit_code=PERSON, HUBSPOT_TOKEN="another-token")
    assert wrong["layer"] == "credentials"
    assert "token" in wrong["message"]
    for command in ("run", "plan", "setup"):
        result = house.cli(command, environment={**ENVIRONMENT, "HUBSPOT_TOKEN": "another-token"})
        assert result.exit_code == PERSON, command
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("error SY")
        assert result.stdout == ""


def test_a_missing_scope_is_named(base: House) -> None:
    base.control("tokens", add="poor-token", scopes=["crm.objects.contacts.write", "crm.schemas.contacts.read"])
    wrong = findings(base, exit_code=PERSON, HUBSPOT_TOKEN="poor-token")
    assert {each["level"] for each in wrong if "crm.objects.contacts.read" in each["message"]} == {"error"}
    result = base.cli("run", environment={**ENVIRONMENT, "HUBSPOT_TOKEN": "poor-token"})
    assert result.exit_code == PERSON
    assert "crm.objects.contacts.read" in result.stderr


def test_a_scope_that_only_writing_needs_is_named_when_it_is_missed(base: House) -> None:
    base.control("tokens", add="reader", scopes=[each for each in NEEDED if not each.endswith("write")])
    base.edit(base.person(country="ES"), city="Toledo")
    result = base.cli("run", environment={**ENVIRONMENT, "HUBSPOT_TOKEN": "reader"})
    assert result.exit_code == PERSON
    assert "crm.objects.contacts.write" in result.stderr


def test_tasks_in_a_crm_whose_connector_knows_none_are_told_before_the_first_hand_off(
    base: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = base.folder / "syncer.yml"
    hook = "  notifiers:\n"
    text = path.read_text().replace(hook, f"{hook}    todo: {{type: task}}\n").replace("[hook]", "[hook, todo]")
    path.write_text(text)
    assert findings(base, exit_code=0) == []
    monkeypatch.setattr(cli_check, "connector_class", lambda type_: Memory)
    (wrong,) = findings(base, "--offline", exit_code=PERSON)
    assert (wrong["code"], wrong["where"]) == ("SY098", "syncer.yml:4")
    assert "'todo' makes tasks" in wrong["message"]


def test_a_field_deleted_in_the_crm_is_named_and_setup_brings_it_back(base: House) -> None:
    base.api("DELETE", "/crm/v3/properties/contacts/ls_score")
    (wrong,) = findings(base, "--strict", exit_code=PERSON)
    assert wrong["layer"] == "fields"
    assert "ls_score" in wrong["message"]
    assert "setup" in wrong["help"]
    base.setup()
    assert base.cli("check", "--strict").exit_code == 0


def test_a_run_that_misses_a_field_needs_a_person_and_loses_nothing(base: House) -> None:
    base.api("DELETE", "/crm/v3/properties/contacts/ls_score")
    fresh = base.person(country="ES")
    result = base.cli("run")
    assert result.exit_code == PERSON
    assert "ls_score" in result.stderr
    base.setup()
    assert base.cli("run").exit_code == 0
    assert base.shown(fresh)["ls_score"] == "40"


def test_a_field_of_the_wrong_type_is_named_and_setup_refuses_it(house: House) -> None:
    text = {
        "name": "ls_score",
        "label": "Mine",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    house.api("POST", "/crm/v3/properties/contacts", **text)
    wrong = findings(house, exit_code=PERSON)
    assert [each["message"] for each in wrong if each["level"] == "error"] == [
        "crm: ls_score is of type 'string' in HubSpot, not number; name another in `write`"
    ]
    result = house.cli("setup")
    assert result.exit_code == PERSON
    assert "of type 'string'" in result.stderr


@pytest.mark.usefixtures("quick_retries")
def test_a_crm_that_is_not_there_asks_for_patience(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        house.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        house.write_project()
        for command in ("check", "setup", "plan", "run"):
            result = typed(house, command)
            assert result.exit_code == PATIENCE, result.output
            assert (result.stdout + result.stderr).count("no connection") == 1
            assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("quick_retries")
def test_a_crm_that_hangs_asks_for_patience_within_the_time_that_was_set(house: House) -> None:
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("    lag: 0s", "    lag: 0s\n    timeout_s: {connect: 1, read: 0.2}"))
    house.control("faults", faults=[{"path": "account-info", "hang_s": 1.0}])
    result = house.cli("check")
    assert result.exit_code == PATIENCE, result.output
    told = " ".join(result.stdout.split())  # long lines are folded
    assert "no connection" in told
    assert "timed out" in told


def test_a_connection_at_work_elsewhere_asks_for_patience(base: House) -> None:
    with base.app() as app:
        assert leases.take(app.store, "crm", holder="somebody", ttl_s=60) is not None
        result = base.cli("run")
    assert result.exit_code == PATIENCE
    assert "another process is running this connection" in result.stderr


def test_without_anybody_to_tell_check_warns_and_strict_makes_it_an_error(base: House) -> None:
    path = base.folder / "syncer.yml"
    path.write_text(path.read_text().partition("handoff:")[0])
    result = base.cli("check", "--offline")
    assert result.exit_code == 0
    assert "! nobody is told when a lead is ready  SY083" in result.stdout
    assert "no errors, 1 warning." in result.stdout
    assert base.cli("check", "--offline", "--strict").exit_code == PERSON


def test_a_broken_template_of_messages_is_an_error_at_its_line_and_a_strange_one_a_warning(base: House) -> None:
    path, folder = base.folder / "syncer.yml", base.folder / "messages"
    folder.mkdir()
    path.write_text(path.read_text().replace("  when: sql\n", "  when: sql\n  templates: messages\n"))
    assert findings(base, "--offline", exit_code=0) == []
    (folder / "slack.txt.j2").write_text("{{ name }}\n{{ scor }}\n")
    (folder / "slak.txt.j2").write_text("x")
    broken, strange = findings(base, "--offline", exit_code=PERSON)
    assert (broken["code"], broken["level"], broken["where"]) == ("SY204", "error", "messages/slack.txt.j2:2")
    assert "'scor' is undefined" in broken["message"]
    assert (strange["code"], strange["level"]) == ("SY205", "warning")
    assert "did you mean 'slack.txt.j2'?" in strange["help"]


def people(house: House, size: int, **fields: str) -> None:
    """So many leads in the database, every second of them in Spain; nobody has to pull them."""
    with closing(open_store(house.database_url)) as store:
        put(store, *(record(f"p{n}", fields=fields | {"country": ("ES", "FR")[n % 2]}) for n in range(size)))


def change_model(house: House, before: str, after: str) -> None:
    assert before in MODEL
    house.write_project(MODEL.replace(before, after))


def test_a_stage_that_nobody_can_enter_is_an_error_at_its_place(base: House) -> None:
    change_model(base, "enter: [fit >= 40]", "enter: [fit >= 41]")
    for words in (("--offline",), ()):
        first, *others = findings(base, *words, exit_code=PERSON)
        assert (first["layer"], first["level"], first["code"]) == ("rules", "error", "SY092")
        assert first["where"] == "model.yml:17"
        assert first["message"].startswith("iql can never be entered: it asks for fit >= 41")
        assert [each["message"] for each in others] == [
            f"{stage} can never be entered, because iql before it cannot" for stage in ("mql", "sql")
        ]
    shown = base.cli("check", "--offline").stdout
    assert re.search(r"✗ iql can never be entered: .* at most 40  SY092\n +--> model.yml:17\n +help: change", shown)


def test_a_rule_that_contradicts_itself_is_a_warning_and_strict_makes_it_an_error(base: House) -> None:
    change_model(base, "{contains: [director]}", "{contains: [director], is_set: false}")
    (wrong, *_) = findings(base, "--offline", exit_code=PERSON)
    assert "'Told us the problem' can never fire: jobtitle would have to" in wrong["message"]
    change_model(base, "{country: [ES, MX]}", "{country: [ES, MX], size: {over: 5, under: 2}}")
    assert findings(base, "--offline", "--strict", exit_code=PERSON)


def test_offline_neither_makes_a_database_nor_changes_one(house: House, tmp_path: Path) -> None:
    path = tmp_path / "another.db"
    house.database_url = f"sqlite:///{path}"
    result = house.cli("check", "--offline")
    assert result.exit_code == 0, result.output
    assert "no database yet" in result.stdout
    assert not path.exists()
    path.touch()
    assert house.cli("check", "--offline").exit_code == 0
    assert path.read_bytes() == b""
    assert [each.name for each in tmp_path.iterdir() if "another" in each.name] == ["another.db"]


def test_what_real_leads_meet_in_the_rules_is_told_without_the_crm(house: House) -> None:
    people(house, 60, numemployees="Ana 50")
    change_model(house, "{jobtitle: {contains: [director]}}", "{numemployees: {at_least: 50}}")
    house.forget_calls()
    told = {each["code"]: each for each in findings(house, "--offline", exit_code=0)}
    assert sorted(told) == ["SY095", "SY097"]
    assert told["SY097"]["message"] == (
        "60 of 60 values of numemployees cannot be read as numbers and count as not set, "
        "for example one of the form 'aaa 99'"
    )
    assert told["SY097"]["where"] == "model.yml:12"
    shown = " ".join(house.cli("check", "--offline").stdout.split())
    assert "'Came to a meeting' cannot fire: no activity 'meeting' is known of any of 60 leads SY095" in shown
    assert "'Told us the problem' fires for none of 60 leads SY095" in shown
    assert "Ana" not in shown
    calls = house.pool.request("GET", f"{house.url}/_emulator/calls")
    assert orjson.loads(calls.data)["total"] == 0


def test_of_a_large_base_a_sample_is_looked_at(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.cli.check._MOST_LEADS", 55)
    monkeypatch.setattr("syncer.cli.check._CHUNK", 20)
    people(house, 60, jobtitle="Director")
    messages = [each["message"] for each in findings(house, "--offline", exit_code=0)]
    assert (
        "'Told us the problem' fires for 100 % of 55 leads (in a sample of 60): its points hardly tell them apart"
        in (messages)
    )


def test_each_model_is_told_of_the_leads_it_scores(house: House) -> None:
    house.models = "[{use: es.yml, for: {country: [ES]}}, {use: pt.yml, for: {country: [PT]}}, {use: model.yml}]"
    for name in ("es", "pt"):
        (house.folder / f"{name}.yml").write_text(MODEL.replace("name: small", f"name: {name}"))
    house.write_project()
    people(house, 120, jobtitle="Director")
    told = [(each["message"], each["where"]) for each in findings(house, "--offline", exit_code=0)]
    assert ("the model 'pt' scores none of 120 leads", "") in told
    country = [pair for pair in told if "In a country" in pair[0]]
    assert country == [
        ("'In a country we sell to' fires for 100 % of 60 leads: its points hardly tell them apart", "es.yml:5"),
        ("'In a country we sell to' fires for none of 60 leads", "model.yml:5"),
    ]


def test_what_only_the_choice_of_a_model_cannot_read_is_told_at_its_for(house: House) -> None:
    house.models = "[{use: model.yml, for: {numemployees: {at_least: 50}}}, {use: model.yml}]"
    house.write_project()
    people(house, 10, numemployees="about 50")
    (finding,) = [each for each in findings(house, "--offline", exit_code=0) if each["code"] == "SY097"]
    assert finding["message"].startswith("10 of 10 values of numemployees cannot be read as numbers")
    assert re.fullmatch(r"syncer.yml:\d+", finding["where"])


def test_setup_twice_creates_nothing_the_second_time(house: House) -> None:
    looked = house.cli("setup")
    assert looked.exit_code == 0
    assert "4 to create. Nothing was created; run again with --apply." in looked.stdout
    assert house.cli("setup", "--apply").stdout.endswith("Created 4.\n")
    house.forget_calls()
    again = house.cli("setup", "--apply")
    assert again.exit_code == 0
    assert again.stdout.endswith("Everything is there already.\n")
    assert house.writes() == 0


def test_a_database_that_cannot_be_opened_is_one_message(house: House, tmp_path: Path) -> None:
    house.database_url = f"sqlite:///{tmp_path / 'missing' / 'syncer.db'}"
    result = house.cli("status")
    assert result.exit_code == PERSON
    assert "does not exist" in result.stderr
    assert result.stderr.count("\n") == 1
