"""`syncer users`: who may sign in, as somebody at this machine says; and `syncer web`, which serves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import urllib3
from click.testing import CliRunner, Result

from syncer.cli import cli
from syncer.store import Store, api_tokens, audit, open_store, users
from syncer.store.api_tokens import ApiToken
from tests.runs.house import ENVIRONMENT, House
from tests.terminal import Process
from tests.web.calling import Caller, free_port

PASSWORD = "correct horse battery"


@pytest.fixture
def store(house: House) -> Iterator[Store]:
    opened = open_store(house.database_url)
    yield opened
    opened.close()


class Typist:
    """Types commands without a process of their own."""

    def __init__(self, house: House) -> None:
        self._house = house

    def __call__(self, *words: str, text: str = "") -> Result:
        where = ["--config", str(self._house.folder / "syncer.yml"), "--database-url", self._house.database_url]
        return CliRunner().invoke(cli, [*where, *words], input=text, env={**ENVIRONMENT, "COLUMNS": "160"})


@pytest.fixture
def terminal(house: House) -> Typist:
    return Typist(house)


def acts(store: Store) -> list[tuple[str, str]]:
    with store.reading() as tx:
        return [(each.entry.act, each.entry.about) for each in audit.entries(tx, None, 50)]


def test_a_user_is_added_listed_changed_and_removed_and_each_is_noted(store: Store, terminal: Typist) -> None:
    assert "nobody" in terminal("users", "list").stdout
    done = terminal("users", "add", " Ana@Acme.es ", "--role", "admin", text=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.stderr
    assert "ana@acme.es may sign in, as admin." in done.stdout
    assert "set web.sign_in" in done.stdout, "else a password protects nothing"
    (told,) = orjson.loads(terminal("users", "list", "--json").stdout)["users"]
    assert (told["name"], told["role"], told["signs_in"]) == ("ana@acme.es", "admin", "password")
    assert terminal("users", "role", "ana@acme.es", "viewer").exit_code == 0
    assert terminal("users", "password", "ana@acme.es", text="another long password\n").exit_code == 0
    assert terminal("users", "remove", "ANA@acme.es").exit_code == 0
    assert acts(store) == [
        (act, "ana@acme.es") for act in ("user_removed", "password_changed", "role_changed", "user_added")
    ]


def test_the_server_may_remove_the_last_admin_and_is_warned_and_told_of_tokens(
    house: House, store: Store, terminal: Typist
) -> None:
    _with_web(house, "sign_in: {}")
    for name in ("ana", "eva"):
        assert terminal("users", "add", name, "--role", "admin", text=f"{PASSWORD}\n").exit_code == 0
    token = ApiToken(0, "a digest", "robot", "admin", "ana", datetime(2026, 1, 1, tzinfo=UTC))
    with store.writing() as tx:
        api_tokens.add(tx, token)
    done = terminal("users", "role", "ana", "viewer")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "signs in anew; revoked: 1 API token that they had created." in done.stdout
    done = terminal("users", "remove", "eva")
    assert (done.exit_code, done.stdout) == (0, "eva is removed and signed out everywhere.\n")
    assert "warning: no admin is left who signs in by a password" in done.stderr


def test_a_password_stands_nowhere_in_the_clear(store: Store, terminal: Typist) -> None:
    done = terminal("users", "add", "ana", text=f"{PASSWORD}\n")
    with store.reading() as tx:
        (ana,) = users.listed(tx)
    assert ana.password is not None
    assert ana.password.startswith("$argon2id$")
    assert all(PASSWORD not in text for text in (ana.password, repr(ana), done.stdout, done.stderr, str(acts(store))))


@pytest.mark.parametrize(
    ("words", "text", "refused"),
    [
        (["add", "ana"], "short", ("SY253", 2)),
        (["add", "ana"], "", ("SY253", 2)),
        (["add", "long-enough-name"], "Long-Enough-Name", ("SY253", 2)),
        (["add", "ana"], "aaaaaaaaaaaaaaaaa", ("SY253", 2)),
        (["add", " "], PASSWORD, ("SY254", 2)),
        (["add", "a\nb"], PASSWORD, ("SY254", 2)),
        (["add", "a" * 201], PASSWORD, ("SY254", 2)),
        (["add", "ana", "--role", "boss"], PASSWORD, ("boss", 2)),
        (["remove", "ana"], "", ("SY258", 1)),
        (["role", "ana", "admin"], "", ("SY258", 1)),
        (["password", "ana"], PASSWORD, ("SY258", 1)),
        (["token", "revoke", "7"], "", ("SY258", 1)),
        (["token", "add", "--name", "x", "--until", "2020-01-01"], "", ("SY089", 2)),
        (["token", "add", "--name", "x", "--until", "9999-12-31"], "", ("SY089", 2)),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    store: Store, terminal: Typist, words: list[str], text: str, refused: tuple[str, int]
) -> None:
    done = terminal("users", *words, text=text)
    assert (refused[0] in done.stderr, done.exit_code) == (True, refused[1])
    assert "Traceback" not in done.stderr
    assert acts(store) == []


def test_nobody_is_added_twice(store: Store, terminal: Typist) -> None:
    assert terminal("users", "add", "ana", text=PASSWORD).exit_code == 0
    again = terminal("users", "add", "ANA", text=PASSWORD)
    assert (again.exit_code, "SY255" in again.stderr) == (2, True)


def test_a_token_is_printed_once_and_kept_as_a_hash_and_revoked(store: Store, terminal: Typist) -> None:
    made = terminal("users", "token", "add", "--name", "Grafana", "--role", "viewer", "--until", "2099-12-31")
    token = made.stdout.strip()
    assert re.fullmatch(r"syncer_[\w-]{43}", token)
    listed = terminal("users", "token", "list")
    assert token not in listed.stdout
    assert "grafana" in listed.stdout
    with store.reading() as tx:
        dumped = str(tx.exec_driver_sql("SELECT * FROM api_tokens").all())
    assert token not in dumped
    assert terminal("users", "token", "revoke", "1").exit_code == 0
    (told,) = orjson.loads(terminal("users", "token", "list", "--json").stdout)["tokens"]
    assert told["state"] == "revoked"
    assert acts(store) == [("token_revoked", "grafana #1"), ("token_added", "grafana #1")]


def test_the_shared_options_are_understood_after_a_command_within_a_group(store: Store, terminal: Typist) -> None:
    assert terminal("users", "token", "list", "-c", "nowhere.yml").exit_code == 2


def _with_web(house: House, more: str = "") -> Caller:
    path, port = house.folder / "syncer.yml", free_port()
    path.write_text(path.read_text() + f"\nweb: {{port: {port}, {more}}}\n")
    return Caller(port)


def _status(caller: Caller, path: str) -> int:
    try:
        return caller.ask("GET", path).status
    except urllib3.exceptions.HTTPError:
        return 0


def test_web_serves_the_pages_runs_nothing_and_ends_cleanly(base: House, store: Store, tmp_path: Path) -> None:
    caller = _with_web(base)
    with store.writing() as tx:
        before = tx.exec_driver_sql("SELECT count(*) FROM runs").scalar_one()
        tx.exec_driver_sql("UPDATE connections SET due_at = 0")
    with Process(["-m", "syncer.cli", "web"], tmp_path, ENVIRONMENT) as process:
        process.until(lambda: _status(caller, "/readyz") == 200, "it listens")
        assert _status(caller, "/account") == 200
        assert process.stop(within_s=10) == 0
        assert "web_started" in process.stderr
        assert "Traceback" not in process.stderr
    with store.reading() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM runs").scalar_one() == before, "it was due, and nobody rang"


def test_web_needs_the_section_that_says_where(house: House, terminal: Typist) -> None:
    done = terminal("web")
    assert (done.exit_code, "SY265" in done.stderr) == (2, True)
