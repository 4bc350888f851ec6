"""A CRM and receivers that repeat every secret they learn: none of it stays in the database, a log or an output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import urllib3
from sqlalchemy import text

from syncer.store import open_store
from syncer.store.tables import metadata
from tests.receivers import HttpReceiver, Reply
from tests.runs.house import House, house_on

SECRETS = {
    "HUBSPOT_TOKEN": "pat-eu1-planted-token-0001",
    "CLIENT_SECRET": "planted client/secret+0002",
    "REFRESH_TOKEN": "planted-refresh-token-0003",
    "APP_SECRET": "planted-app-secret-0004",
    "HOOK_SECRET": "planted-hook-secret-0005",
    "SLACK_SECRET": "planted-signing-secret-0006",
    "SMTP_PASSWORD": "planted-smtp-password-0007",
    "WEB_SECRET": "planted-web-secret-0008",
    "CHAT_TOKEN": "planted-chat-token-0009",
}
DATABASE_PASSWORD = "planted-database-password-0010"
SLACK_PATH = "T0PLANTED/B0PLANTED/planted-slack-path-0011"
PROJECT = """\
version: 1
connections:
  crm:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {crm}
    lag: 0s
    webhooks: {{secret: "${{APP_SECRET}}", url: "http://127.0.0.1:8321/hooks/crm"}}
    write:
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
  app:
    type: hubspot
    oauth: {{client_id: an-app, client_secret: "${{CLIENT_SECRET}}", refresh_token: "${{REFRESH_TOKEN}}"}}
    base_url: {crm}
    lag: 0s
models: model.yml
web: {{public_url: "https://syncer.example.com", secret: "${{WEB_SECRET}}"}}
handoff:
  when: sql
  wait: 1h
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: "{hook}", secret: "${{HOOK_SECRET}}"}}
    team: {{type: slack, private_addresses: true, url: "${{SLACK_URL}}", signing_secret: "${{SLACK_SECRET}}"}}
    chat: {{type: apprise, private_addresses: true, url: "${{CHAT_URL}}"}}
    todo: {{type: task}}
    mail: {{type: email, host: 127.0.0.1, port: 1, user: syncer, password: "${{SMTP_PASSWORD}}",
            from: syncer@acme.example, security: none, timeout_s: 1}}
  route: [{{to: [owner], fallback: sales@acme.example}}]
  notify: [hook, team, chat, todo, mail]
"""


class Gossip:
    """Stands before the portal. `status`: every request is answered with it, and with all that was ever heard."""

    def __init__(self, portal: str) -> None:
        self.status: int | None = None
        self.where = ""  # only where this is a part of the path
        self.told = " ".join([*SECRETS.values(), *map(quote, SECRETS.values()), SLACK_PATH])
        self.struck = 0
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._portal = portal
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        if self.status is None or self.where not in path or path.startswith("/_emulator"):
            passed = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
            given = self._pool.request(method, f"{self._portal}{path}", body=body, headers=passed, redirect=False)
            return given.status, given.data
        self.struck += 1
        said = f"{headers.get('Authorization')} {body.decode('utf-8', 'replace')[:300]} {self.told}"
        error = {"message": said, "code": said, "context": {"secret": [said]}, "policyName": "DAILY"}
        told = {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "error_description": said,
            "errors": [error],
            **error,
        }
        return self.status, orjson.dumps(told)

    @contextmanager
    def listening(self) -> Iterator[Gossip]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(timeout=5)
            self._pool.clear()


def _handler_of(gossip: Gossip) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = gossip.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests look at what is left behind."""

    return Handler


@pytest.fixture
def told(tmp_path: Path, database_url: str) -> Iterator[tuple[House, Gossip, Callable[..., str]]]:
    """A house whose CRM gossips, and `say(*words)`: one command's whole output, with all secrets in its environment."""
    url = database_url.replace("postgres:@", f"postgres:{DATABASE_PASSWORD}@")
    with house_on(tmp_path, url) as house, Gossip(house.url).listening() as gossip, HttpReceiver() as talk:
        assert url.startswith("sqlite") or DATABASE_PASSWORD in url
        house.control("tokens", add=SECRETS["HUBSPOT_TOKEN"])
        (house.folder / "syncer.yml").write_text(PROJECT.format(crm=gossip.url, hook=house.hook.url))
        where = talk.url.partition("/services")[0]
        variables = {
            **SECRETS,
            "SLACK_URL": f"{where}/services/{SLACK_PATH}",
            "CHAT_URL": f"{where.replace('http', 'json')}/{SECRETS['CHAT_TOKEN']}",
        }
        for receiver in (house.hook, talk):
            receiver.script.extend([Reply(500, f"you said {gossip.told}")] * 40)

        def say(*words: str) -> str:
            return house.cli("--log-level", "debug", *words, environment=variables).output

        yield house, gossip, say


def _at_rest(house: House) -> str:
    """Every byte of SQLite's files, or every row of PostgreSQL's tables; and every file that syncer has written."""
    kept = [path for path in house.folder.rglob("*") if path.is_file() and path.name not in ("syncer.yml", "model.yml")]
    rest = "".join(path.read_bytes().decode("latin-1") for path in kept)
    if house.database_url.startswith("sqlite"):
        assert "syncer.db" in {path.name for path in kept}
        return rest
    store = open_store(house.database_url)
    with store.reading() as tx:
        rows = [tx.scalars(text(f'SELECT t::text FROM "{name}" AS t')).all() for name in metadata.tables]
    store.close()
    return rest + "\n".join(row for some in rows for row in some)


def _leaks(shown: str) -> list[str]:
    every = [*SECRETS.values(), *map(quote, SECRETS.values()), SLACK_PATH.rpartition("/")[2], DATABASE_PASSWORD]
    beginnings = [secret[:14] for secret in every if len(secret) > 14]  # half of one is too much
    return [each for each in (*every, *beginnings) if each in shown]


_LOOKING: Sequence[Sequence[str]] = (
    ["status"], ["status", "--json"], ["outbox"], ["outbox", "--json"], ["handoffs", "--json"], ["check"],
    ["config", "show"], ["config", "show", "--json"], ["explain", "warm@acme.example", "--json"],
    ["plan", "--full", "--out", "plan.json"],
)  # fmt: skip


@pytest.mark.slow
def test_whatever_fails_and_whoever_repeats_it_no_secret_is_kept_or_shown(
    told: tuple[House, Gossip, Callable[..., str]], quick_retries: None
) -> None:
    house, gossip, say = told
    shown = [say("setup", "--apply"), say("run", "crm")]
    warm = house.person(country="MX", jobtitle="Directora", email="warm@acme.example")
    for _ in range(2):
        house.meeting(warm)
    for where, status in (("/batch/", 400), ("/tasks", 403), ("", 400), ("", 401), ("", 403), ("", 404), ("", 429)):
        gossip.where, gossip.status = where, status
        shown += [say("--debug", "--log-style", style, "run", "--full") for style in ("console", "json")]
    gossip.where, gossip.status = "", 400
    shown += [say(*words) for words in _LOOKING]
    assert gossip.struck > 10
    everything, kept = "\n".join(shown), _at_rest(house)
    assert "warm@acme.example" in kept, "we look where it would be"
    assert "***" in kept, "somebody's words were kept, without the secrets in them"
    assert "***" in everything
    assert _leaks(everything) == []
    assert _leaks(kept) == []
