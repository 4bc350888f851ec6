"""What is secret is in no output, no log and no database, whatever is asked for and whatever goes wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest

from connectors.hubspot.client import Client
from tests.receivers import HttpReceiver, Reply
from tests.runs.house import House
from tests.terminal import Terminal

TOKEN, HOOK, SLACK_PATH, SMTP = "pat-eu1-planted-token-77", "planted-hook-secret", "T0PLANTED", "planted-smtp-password"
PASSWORD = "planted-database-password"
_NOTIFIERS = """\
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: "{hook}", secret: "${{HOOK_SECRET}}"}}
    team: {{type: slack, private_addresses: true, url: "${{SLACK_URL}}"}}
    mail: {{type: email, host: 127.0.0.1, port: {port}, user: syncer, password: "${{SMTP_PASSWORD}}",
            from: syncer@acme.example, security: none, timeout_s: 1}}
  route: [{{to: [owner], fallback: sales@acme.example}}]
  notify: [hook, team, mail]
"""
_COMMANDS: Sequence[Sequence[str]] = (
    ["check"],
    ["setup"],
    ["plan", "--full"],
    ["run", "--full"],
    ["run", "--json"],
    ["explain", "warm@acme.example"],
    ["status", "--json"],
    ["config", "show"],
    ["config", "show", "--json"],
)


@pytest.fixture
def secrets(house: House) -> dict[str, str]:
    """A house that uses one secret of every kind; the variables that hold them."""
    house.control("tokens", add=TOKEN)
    path = house.folder / "syncer.yml"
    kept = path.read_text().partition("  notifiers:")[0]
    path.write_text(kept + _NOTIFIERS.format(hook=house.hook.url, port=1))
    slack = house.hook.url.replace("T000/B000/s3cr3tpath", f"{SLACK_PATH}/B0/x")
    variables = {"HUBSPOT_TOKEN": TOKEN, "HOOK_SECRET": HOOK, "SLACK_URL": slack, "SMTP_PASSWORD": SMTP}
    assert house.cli("setup", "--apply", environment=variables).exit_code == 0
    return variables


def assert_nothing_shows(text: str, of: str) -> None:
    for secret in (TOKEN, HOOK, SLACK_PATH, SMTP, PASSWORD):
        assert secret not in text, f"{secret} shows in {of}"


def test_no_command_shows_a_secret_also_when_debugging(house: House, secrets: dict[str, str]) -> None:
    house.person(country="MX", jobtitle="Directora", email="warm@acme.example")
    for words in _COMMANDS:
        result = house.cli("--debug", "--log-level", "debug", *words, environment=secrets)
        assert result.exit_code == 0, (words, result.output)
        assert_nothing_shows(result.output, " ".join(words))
    dump = "\n".join(sqlite3.connect(house.folder / "syncer.db").iterdump())
    assert "warm@acme.example" in dump
    assert_nothing_shows(dump, "the database")


def test_no_failure_shows_a_secret_also_when_debugging(
    house: House, secrets: dict[str, str], quick_retries: None
) -> None:
    warm = house.person(country="MX", jobtitle="Directora", email="warm@acme.example")
    assert house.cli("run", environment=secrets).exit_code == 0  # the baseline
    house.meeting(warm)
    house.meeting(warm)
    house.hook.script.extend([Reply(500, f"no {HOOK} at {secrets['SLACK_URL']}")] * 2)
    told = house.cli("--debug", "--log-level", "debug", "run", environment=secrets)
    assert "put off" in told.stdout, told.output
    texts = [told.output]
    for fault in ({"status": 401}, {"drop": "before"}, {"body": "truncated"}):
        house.control("faults", faults=[{"path": "/crm/", **fault}])
        failed = house.cli("--debug", "--log-level", "debug", "run", "--full", environment=secrets)
        assert failed.exit_code in (2, 4), (fault, failed.output)
        assert "Traceback" in failed.stderr, "this is what --debug is for"
        texts.append(failed.output)
    house.control("faults", faults=[])
    texts.append(house.cli("status", "--json", environment=secrets).output)
    texts.append("\n".join(sqlite3.connect(house.folder / "syncer.db").iterdump()))
    for text in texts:
        assert_nothing_shows(text, text)


def test_a_bug_shows_no_secret_either(house: House, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"nobody caught this: Bearer {TOKEN}")

    monkeypatch.setattr(Client, "account", broken)
    for flags in ([], ["--debug"]):
        result = house.cli(*flags, "run", environment=secrets)
        assert result.exit_code == 70
        assert "this is a bug in syncer: RuntimeError: nobody caught this: Bearer ***" in result.stderr
        assert ("Traceback" in result.stderr) == bool(flags)
        assert_nothing_shows(result.output, "the message of a bug")


@pytest.mark.slow
def test_the_password_of_the_database_never_shows(terminal: Terminal, house: House) -> None:
    unreachable = f"postgresql://syncer:{PASSWORD}@127.0.0.1:1/syncer"
    for words in (["status", "--debug", "--log-level", "debug"], ["run", "--debug"]):
        done = terminal(*words, SYNCER_DATABASE_URL=unreachable)
        assert done.returncode in (2, 4), done.stderr
        assert "postgresql://127.0.0.1/syncer" in done.stderr
        assert_nothing_shows(done.stdout + done.stderr, "the process")
    wrong = terminal("status", SYNCER_DATABASE_URL=f"postgresqll://syncer:{PASSWORD}@127.0.0.1/syncer")
    assert wrong.returncode == 2
    assert_nothing_shows(wrong.stdout + wrong.stderr, "the process")


def test_a_receiver_that_repeats_our_secret_is_not_quoted_in_status(house: House, secrets: dict[str, str]) -> None:
    house.cli("run", environment=secrets)
    ready = house.person(country="ES", jobtitle="Director", email="ready@acme.example")
    for _ in range(2):
        house.meeting(ready)
    with HttpReceiver(Reply(400, f"signature {HOOK} is wrong")) as answering:
        path = house.folder / "syncer.yml"
        path.write_text(path.read_text().replace(house.hook.url, answering.url))
        told = house.cli("run", environment=secrets)
    assert "messages" in told.stdout, told.output
    assert len(answering.received) == 1
    assert_nothing_shows(told.output + house.cli("status", environment=secrets).output, "run or status")
    assert_nothing_shows("\n".join(sqlite3.connect(house.folder / "syncer.db").iterdump()), "the database")
