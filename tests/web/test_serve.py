"""The door over real HTTP: what is taken, what is refused, and that it always answers in time."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from syncer.app import App, settings_classes
from syncer.connector import Source
from syncer.errors import ConfigError, TemporaryError
from syncer.settings import Connection, Web, load_project, process_settings
from syncer.store import Store, hints, open_store
from syncer.store.leases import Fence
from syncer.web import desk, routes, serve, server
from syncer.web.guarding import HEADERS
from tests.runs.house import MODEL
from tests.web.calling import SECRET, Caller, DeadStore, changes, free_port, signed

PROJECT = """\
version: 1
connections:
  crm:
    type: hubspot
    token: "${{TOKEN}}"
    webhooks: {{secret: "${{SECRET}}", url: "{origin}/hooks/crm"}}
  silent: {{type: hubspot, token: "${{TOKEN}}"}}
models: model.yml
web: {{port: {port}}}
"""


@dataclass
class Door:
    """A door that listens, who calls at it, and the app behind it."""

    app: App
    caller: Caller
    database_url: str
    woken: threading.Event = field(default_factory=threading.Event)

    def waiting(self) -> list[str]:
        with self.app.store.reading() as tx:
            return [str(each.key) for each in hints.waiting(tx, "crm", 100)]


def app_of(folder: Path, port: int, database_url: str) -> App:
    (folder / "syncer.yml").write_text(PROJECT.format(origin=f"http://127.0.0.1:{port}", port=port))
    (folder / "model.yml").write_text(MODEL)
    environ = {"SECRET": SECRET, "TOKEN": "pat-eu1-some-token"}
    project = load_project(folder / "syncer.yml", settings_classes(), environ)
    process = process_settings(folder, config=folder / "syncer.yml", database_url=database_url)
    return App(process, project, open_store(database_url), "this-process")


@contextmanager
def opened_door(folder: Path, database_url: str) -> Iterator[Door]:
    caller = Caller(free_port())
    door = Door(app_of(folder, caller.port, database_url), caller, database_url)
    try:
        with serve(lambda: door.app, door.woken.set):
            yield door
    finally:
        caller.pool.clear()
        door.app.store.close()


@pytest.fixture
def door(tmp_path: Path, database_url: str) -> Iterator[Door]:
    with opened_door(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def sqlite_door(tmp_path: Path, sqlite_template: Path) -> Iterator[Door]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with opened_door(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """For tests that leave nothing behind."""
    folder = tmp_path_factory.mktemp("door")
    with opened_door(folder, f"sqlite:///{folder / 'syncer.db'}") as opened:
        yield opened


def test_a_signed_hook_is_kept_as_hints_and_wakes_the_daemon(door: Door) -> None:
    assert door.caller.hook("crm", changes("51", "52", "51")) == 204
    assert door.waiting() == ["crm/contacts/51", "crm/contacts/52"]
    assert door.woken.is_set()


def test_a_forged_hook_is_refused_without_a_word_and_leaves_nothing(sqlite_door: Door) -> None:
    body = changes("51")
    answers = [
        sqlite_door.caller.ask("POST", "/hooks/crm", body, headers)
        for headers in ({}, signed("http://127.0.0.1/hooks/crm", body), {"X-HubSpot-Signature-v3": "é"})
    ]
    assert sqlite_door.caller.hook("crm", body, secret="another") == 401
    assert [(each.status, each.data) for each in answers] == [(401, b"")] * 3
    assert sqlite_door.waiting() == []
    assert not sqlite_door.woken.is_set()


def test_a_genuine_hook_that_names_no_contact_is_taken_and_wakes_nobody(lasting_door: Door) -> None:
    assert lasting_door.caller.hook("crm", b"[]") == 204
    assert lasting_door.caller.hook("crm", b"no json") == 204
    assert not lasting_door.woken.is_set()


@pytest.mark.parametrize("path", ["/hooks/nobody", "/hooks/silent", "/hooks/crm/", "/hooks/", "/hooks", "/docs"])
def test_what_is_not_there_is_not_found_and_leads_nowhere_else(lasting_door: Door, path: str) -> None:
    body = changes("51")
    answer = lasting_door.caller.ask("POST", path, body, signed(lasting_door.caller.origin + path, body))
    assert answer.status == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_a_hook_is_a_post_and_nothing_else(lasting_door: Door, method: str) -> None:
    assert lasting_door.caller.ask(method, "/hooks/crm").status == 405


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_larger_than_a_megabyte_is_refused_and_one_just_as_large_is_read(
    lasting_door: Door, chunked: bool
) -> None:
    def ask(length: int) -> int:
        body: Any = b" " * length
        headers = signed(f"{lasting_door.caller.origin}/hooks/crm", body)
        if chunked:
            body = iter([body[: length // 2], body[length // 2 :]])
        return lasting_door.caller.ask("POST", "/hooks/crm", body, headers).status

    assert ask(desk.MOST_BYTES) == 204
    assert ask(desk.MOST_BYTES + 1) == 413


def test_answers_close_the_connection_and_tell_nothing_of_the_server(lasting_door: Door) -> None:
    answer = lasting_door.caller.ask("GET", "/livez")
    assert (answer.status, answer.data) == (200, b"")
    told = {name.lower() for name in answer.headers}
    assert told - {name.lower() for name in HEADERS} == {"connection", "content-length"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"


def test_it_is_ready_until_the_daemon_leaves_and_lives_on_meanwhile(door: Door) -> None:
    assert door.caller.ask("GET", "/readyz").status == 200
    door.app.stop.set()
    assert door.caller.ask("GET", "/readyz").status == 503
    assert door.caller.ask("GET", "/livez").status == 200
    assert door.caller.hook("crm", changes("51")) == 204, "what comes now is kept for the next daemon"


UNREACHABLE = TemporaryError("the database postgresql://db.internal/syncer did not do its part", code="SY066")


def test_without_its_database_it_lives_is_not_ready_and_lets_hooks_come_again(sqlite_door: Door) -> None:
    alive = sqlite_door.app
    sqlite_door.app = replace(alive, store=cast("Store", DeadStore(UNREACHABLE)))
    answers = {path: sqlite_door.caller.ask("GET", path).status for path in ("/livez", "/readyz")}
    assert answers == {"/livez": 200, "/readyz": 503}
    with structlog.testing.capture_logs() as told:
        assert [sqlite_door.caller.hook("crm", changes("51")) for _ in range(3)] == [503] * 3
    assert [(each["event"], each["status"]) for each in told] == [("hooks_refused", 503)], "told once"
    sqlite_door.app = alive
    assert sqlite_door.caller.hook("crm", changes("51")) == 204


@pytest.mark.parametrize(
    "error",
    [
        ProgrammingError("SELECT 1", {}, sqlite3.ProgrammingError("no such table: ana@acme.example")),
        PoolTimeout("no connection within 30 s"),
    ],
)
def test_whatever_its_database_says_it_is_not_ready_at_once_and_without_a_traceback(
    sqlite_door: Door, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    alive = sqlite_door.app
    sqlite_door.app = replace(alive, store=cast("Store", DeadStore(error)))
    begun = time.monotonic()
    answer = sqlite_door.caller.ask("GET", "/readyz")
    sqlite_door.app = alive
    assert (answer.status, answer.data) == (503, b"")
    assert time.monotonic() - begun < desk.WORK_S / 2
    assert "Traceback" not in capsys.readouterr().err


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Somebody else writes for a long time."""
    with sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield
        writer.execute("ROLLBACK")
    writer.close()


def test_a_database_that_is_busy_costs_no_more_than_a_few_threads_and_seconds(
    sqlite_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WORK_S", 1.0)
    sqlite_door.caller.hook("crm", b"[]")  # the connectors are built
    with locked(sqlite_door.database_url), ThreadPoolExecutor(routes.MOST_AT_ONCE) as callers:
        begun = time.monotonic()
        first = [callers.submit(sqlite_door.caller.hook, "crm", changes(str(n))) for n in range(1, 5)]
        time.sleep(0.4)
        assert sqlite_door.caller.hook("crm", changes("9")) == 503
        assert time.monotonic() - begun < 0.9, "all places are taken, which is said at once"
        assert [each.result() for each in first] == [503] * 4
        assert time.monotonic() - begun < 2.5
        assert sqlite_door.caller.hook("crm", changes("9")) == 503, "the places are still taken"
        assert sqlite_door.caller.ask("GET", "/readyz").status == 200, "reading goes on meanwhile"
    deadline = time.monotonic() + 5
    while len(sqlite_door.waiting()) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(sqlite_door.waiting()) == 4, "what had a place was kept in the end"
    assert sqlite_door.caller.hook("crm", changes("9")) == 204


UNENDED = b"POST /hooks/crm HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", b""),
        (b"POST /hooks/crm HTT", b""),
        (UNENDED + b"Content-Length: 10\r\n\r\n[", b"408"),
        (UNENDED + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[", b"408"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
    ],
)
def test_who_does_not_finish_a_request_is_not_waited_for(
    sqlite_door: Door, text: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LIFE_S", 0.6)
    monkeypatch.setattr(desk, "BODY_S", 0.3)
    assert sqlite_door.caller.raw(text, within_s=1.5)[9:12] == status
    assert sqlite_door.caller.ask("GET", "/livez").status == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"\x00\x01\r\n\r\n", b"400"),
        (b"GET /nowhere HTTP/9.9\r\n\r\n", b"404"),
        (b"GET /" + b"a" * 100_000, b"400"),
        (b"POST /hooks/crm\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_http_is_refused_and_does_no_harm(lasting_door: Door, text: bytes, status: bytes) -> None:
    assert lasting_door.caller.raw(text, within_s=5)[9:12] == status
    assert lasting_door.caller.ask("GET", "/livez").status == 200


@dataclass(frozen=True)
class BuggyApp(App):
    def connector(self, connection: Connection, fence: Fence | None = None) -> Source:
        raise RuntimeError("a planted bug that knows ana@acme.example")


def test_a_bug_is_logged_with_its_traceback_and_shown_to_nobody(sqlite_door: Door) -> None:
    right = sqlite_door.app
    project = replace(right.project)  # another one, as after a reload
    sqlite_door.app = BuggyApp(right.process, project, right.store, right.holder)
    with structlog.testing.capture_logs() as told:
        path = "/hooks/crm"
        body = changes("51")
        answer = sqlite_door.caller.ask("POST", path, body, signed(sqlite_door.caller.origin + path, body))
    assert (answer.status, answer.data) == (500, b"")
    assert [(each["event"], each.get("exc_info")) for each in told] == [("hook_crashed", True)]


def test_a_reload_is_seen_by_the_next_request(sqlite_door: Door) -> None:
    assert sqlite_door.caller.hook("crm", changes("51")) == 204
    kept = sqlite_door.app.project.connections[1:]
    sqlite_door.app = replace(sqlite_door.app, project=replace(sqlite_door.app.project, connections=kept))
    assert sqlite_door.caller.hook("crm", changes("52")) == 404


def test_refusals_are_told_once_until_a_hook_is_taken_and_no_line_tells_what_was_sent(sqlite_door: Door) -> None:
    with structlog.testing.capture_logs() as told:
        for secret in ("one", "two", "three"):
            sqlite_door.caller.hook("crm", changes("51"), secret=secret)
        sqlite_door.caller.hook("crm", changes("51"))
        sqlite_door.caller.hook("crm", changes("51"), secret="four")
        sqlite_door.caller.hook("ana@acme.example", changes("51"))
    assert [(each["log_level"], each["event"]) for each in told] == [
        ("warning", "hooks_refused"),
        ("debug", "hook_taken"),
        ("warning", "hooks_refused"),
    ]
    text = str(told)
    assert "acme" not in text
    assert SECRET not in text
    assert "signature" not in text.lower()


@pytest.mark.parametrize(
    ("told", "warned"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["pages_not_shown"]),
        ({"host": "0.0.0.0", "sign_in": {}}, ["passwords_readable_on_the_way"]),
        ({"host": "0.0.0.0", "sign_in": {}, "public_url": "http://a.example"}, ["passwords_readable_on_the_way"]),
        ({"host": "0.0.0.0", "sign_in": {}, "public_url": "https://a.example"}, []),
    ],
)  # nothing listens there: where it would is only looked at
def test_pages_that_others_could_reach_are_warned_of(told: dict[str, Any], warned: list[str]) -> None:
    with structlog.testing.capture_logs() as logs:
        server._warn(Web.model_validate(told))
    assert [each["event"] for each in logs] == warned


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration(sqlite_door: Door) -> None:
    told = rf"127\.0\.0\.1:{sqlite_door.caller.port}: .*`web\.port`"
    with pytest.raises(ConfigError, match=told), serve(lambda: sqlite_door.app, lambda: None):
        raise AssertionError("two listen at one port")


@pytest.mark.parametrize("host", ["203.0.113.7", "host name with spaces", "127.0.0.1:80"])
def test_an_address_that_is_not_of_this_machine_is_a_mistake_of_the_configuration(sqlite_door: Door, host: str) -> None:
    project = replace(sqlite_door.app.project, web=Web(host=host, port=free_port()))
    with pytest.raises(ConfigError, match="web: "), serve(lambda: replace(sqlite_door.app, project=project), print):
        raise AssertionError("nobody can listen there")


def test_without_a_section_nothing_listens_and_hooks_that_nobody_hears_are_told(sqlite_door: Door) -> None:
    deaf = replace(sqlite_door.app, project=replace(sqlite_door.app.project, web=None))
    threads = threading.active_count()
    with structlog.testing.capture_logs() as told, serve(lambda: deaf, lambda: None):
        assert threading.active_count() == threads
    assert [(each["event"], each["connections"]) for each in told] == [("webhooks_not_heard", ["crm"])]


def test_the_port_is_free_again_at_the_end_and_nobody_is_waited_for_long(tmp_path: Path) -> None:
    with opened_door(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as door:
        hanging = threading.Thread(target=door.caller.raw, args=(b"POST ", 9))
        hanging.start()
        time.sleep(0.2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    hanging.join(5)
    assert not hanging.is_alive()
    with pytest.raises(OSError, match="refused"):
        door.caller.raw(b"", within_s=1)
    with opened_door(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as again:
        assert again.caller.ask("GET", "/livez").status == 200


def test_many_hooks_at_once_are_all_kept_or_told_to_come_again(sqlite_door: Door) -> None:
    numbers = itertools.count(1)
    with ThreadPoolExecutor(10) as callers:  # so many does HubSpot send at a time
        sent = [(contact := str(next(numbers)), callers.submit(sqlite_door.caller.hook, "crm", changes(contact)))
                for _ in range(40)]  # fmt: skip
        answers = {contact: answer.result() for contact, answer in sent}
    assert set(answers.values()) <= {204, 503}
    taken = {f"crm/contacts/{contact}" for contact, status in answers.items() if status == 204}
    assert taken == set(sqlite_door.waiting())
    assert len(taken) >= 4
