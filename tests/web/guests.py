"""Somebody who comes to the pages: a browser with cookies, over real HTTP, at a clock that can be set."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import structlog
import urllib3

from syncer import log
from syncer.app import App, settings_classes
from syncer.queries import accounts
from syncer.queries.accounts import By
from syncer.settings import load_project, process_settings
from syncer.settings.sign_in import Role
from syncer.store import audit, open_store
from syncer.web import serve
from tests.runs.house import MODEL
from tests.web.calling import Caller, free_port

PASSWORD = "correct horse battery staple"
HERE = By("test")
SIGN_IN = "sign_in: {session: 12h, idle: 1h}"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
JSON = {"Content-Type": "application/json"}
_PROJECT = """\
version: 1
timezone: Europe/Madrid
connections: {{crm: {{type: hubspot, token: "${{TOKEN}}"}}}}
models: model.yml
web:
  port: {port}
  {more}
"""


@dataclass
class Inn:
    """The door, and the app behind it."""

    app: App
    caller: Caller
    folder: Path
    later: timedelta = field(default_factory=timedelta)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    def configure(self, more: str) -> None:
        """The project file changes, and is read again."""
        self.app = replace(self.app, project=_project(self.folder, self.caller.port, more))

    def user(self, name: str, role: Role = "viewer", password: str = PASSWORD) -> Browser:
        """Somebody who has an account, and is signed in."""
        accounts.add_user(self.app, HERE, name, role, password)
        browser = Browser(self)
        assert browser.sign_in(name, password).status == 303
        return browser

    def token(self, role: Role = "viewer", until: datetime | None = None) -> str:
        return accounts.add_token(self.app, HERE, f"a program that is {role}", role, until).value

    def acts(self) -> list[tuple[str, str, str | None]]:
        """(act, about, address), the first one first."""
        with self.app.store.reading() as tx:
            told = [each.entry for each in audit.entries(tx, None, 1_000)]
        return [(each.act, each.about, each.address) for each in reversed(told)]

    def rows(self, table: str) -> list[Any]:
        with self.app.store.reading() as tx:
            return [tuple(row) for row in tx.exec_driver_sql(f"SELECT * FROM {table}").all()]


@dataclass
class Browser:
    """Keeps cookies, follows nothing by itself."""

    inn: Inn
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        held = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        answer = self.inn.caller.ask(method, path, body, {**held, **(headers or {})})
        for line in answer.headers.getlist("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "max-age=0" in line.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """What a form of our own pages sends."""
        return self.ask("POST", path, urlencode(form or {}).encode(), {**FORM, **headers})

    def order(self, path: str, body: Any, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask("POST", f"/api{path}", orjson.dumps(body), {**JSON, **headers})

    def sign_in(self, name: str, password: str = PASSWORD, to: str = "/account") -> urllib3.BaseHTTPResponse:
        return self.post("/sign-in", {"name": name, "password": password, "to": to})

    @property
    def session(self) -> str | None:
        return next((value for name, value in self.cookies.items() if name.endswith("syncer_session")), None)


def _project(folder: Path, port: int, more: str) -> Any:
    (folder / "syncer.yml").write_text(_PROJECT.format(port=port, more=more))
    (folder / "model.yml").write_text(MODEL)
    return load_project(folder / "syncer.yml", settings_classes(), {"TOKEN": "pat-eu1-some-token"})


@contextmanager
def opened_inn(folder: Path, database_url: str, more: str = SIGN_IN) -> Iterator[Inn]:
    caller = Caller(free_port())
    project = _project(folder, caller.port, more)
    process = process_settings(folder, config=folder / "syncer.yml", database_url=database_url)
    inn = Inn(App(process, project, open_store(database_url), "this-process"), caller, folder)
    inn.app = replace(inn.app, clock=inn.clock)
    try:
        with serve(lambda: inn.app, lambda: None):
            yield inn
    finally:
        caller.pool.clear()
        inn.app.store.close()


@contextmanager
def inn_on_sqlite(folder: Path, template: Path, more: str = SIGN_IN) -> Iterator[Inn]:
    shutil.copy(template, folder / "syncer.db")
    with opened_inn(folder, f"sqlite:///{folder / 'syncer.db'}", more) as opened:
        yield opened


def soon(holds: Callable[[], Any]) -> bool:
    """Whether it comes true within a few seconds: it is written beside the request."""
    deadline = time.monotonic() + 5
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, down to the least."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    log.set_up("DEBUG", stream=stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
