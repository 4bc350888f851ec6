"""The door: webhooks signed and forged, links of messages, buttons of Slack, addresses of pages and of the API, and
what is no HTTP at all, over real connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_plus

import orjson
from hypothesis import strategies as st
from sqlalchemy import func, select

from syncer.app import App, settings_classes
from syncer.settings import load_project, process_settings
from syncer.store import Store, open_store
from syncer.store.tables import answers, hints
from syncer.web import serve
from tests.fuzz.judging import SECRET, Attempt, Broken, Target
from tests.fuzz.mutating import PIECES, TEXT_EDITS, TREE_EDITS, Edits, as_json, bent_text, bent_tree
from tests.runs.house import MODEL
from tests.web.calling import Caller, free_port, signed
from tests.web.sales import SECRET as LINKS
from tests.web.sales import SIGNING_SECRET, Sales, opened_sales, pressed

_WITHIN_S = 6.0
_HOOKED = """\
version: 1
connections:
  crm:
    type: hubspot
    token: "${{SECRET}}"
    webhooks: {{secret: "${{SECRET}}", url: "{origin}/hooks/crm"}}
models: model.yml
web: {{port: {port}}}
"""
_EVENTS: list[Any] = [
    {
        "subscriptionType": kind, "objectId": 51 + number, "eventId": 7, "subscriptionId": 9, "portalId": 1, "appId": 3,
        "occurredAt": 1_790_000_000_000, "attemptNumber": 0, "propertyName": "email", "propertyValue": "a@acme.example",
        "objectTypeId": "0-1", "fromObjectId": 51, "toObjectId": 52, "mergedObjectIds": [53, 54], "primaryObjectId": 51,
    }
    for number, kind in enumerate(
        ("contact.propertyChange", "contact.merge", "contact.associationChange", "contact.privacyDeletion",
         "object.creation")
    )
]  # fmt: skip
_PATHS = ("/hooks/crm", "/hooks/none", "{0}", "{1}", "/slack/team", "/slack/channel",
          "/livez", "/readyz", "/metrics", "/")  # fmt: skip
_PAGES = (
    "/?days=30&connection=crm&source=OFFLINE", "/leads?q=ana&stage=sql&stage=mql&sort=name&score_from=10&after=abc",
    "/leads/1?at=2026-11-01", "/leads/1/timeline?before=1", "/leads/by?record=crm/contacts/90151", "/leads.csv?q=ana",
    "/handoffs?show=late&days=30&person=luis@acme.es", "/what-if?stages[1].enter[0]=5&with=x", "/runs/1", "/plans/crm",
    "/rejected?connection=crm", "/audit", "/users", "/account", "/sign-in?to=/leads", "/static/syncer.css",
    "/api/openapi.json",
)  # fmt: skip
_OK, _TAKEN = 200, 204
_STATUSES = {  # None: closed without an answer; 403: asked by a name that is not this machine's
    None, _OK, _TAKEN, 303, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 431, 503,
}  # fmt: skip
_HEADERS = (
    b"X-HubSpot-Signature-v3", b"X-Slack-Signature", b"X-Slack-Request-Timestamp", b"X-HubSpot-Request-Timestamp",
    b"Content-Type", b"Transfer-Encoding", b"Content-Length", b"Expect", b"Cookie", b"X-Forwarded-For",
    b"Authorization", b"Host", b"Accept-Language", b"Range", b"Upgrade", b"Content-Encoding",
)  # fmt: skip


_BROWSER = {"Accept": "text/html,*/*", "Sec-Fetch-Site": "none"}


@dataclass(frozen=True, slots=True)
class Hook:
    """Events in a body of this shape, signed for what was sent or for what was meant."""

    edits: Edits
    as_tree: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class Press:
    edits: Edits
    as_tree: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class Form:
    """The page behind a link: looked at, or its form sent."""

    token: Edits
    body: Edits
    sent: bool
    accepts: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """A page, or what the API tells of it."""

    page: int
    edits: Edits
    told: bool


@dataclass(frozen=True, slots=True)
class Raw:
    """A request's own bytes."""

    path: int
    edits: Edits
    header: int
    piece: int


def _cases() -> st.SearchStrategy[Any]:
    no_edits = st.just(())
    both = st.one_of(st.tuples(TREE_EDITS, st.just(True)), st.tuples(TEXT_EDITS, st.just(False)))
    honest = st.sampled_from((True, True, True, False))
    numbers = st.integers(0, 10_000)
    return st.one_of(
        st.builds(lambda how, sign: Hook(how[0], how[1], sign), both, honest),
        st.builds(lambda how, sign: Press(how[0], how[1], sign), both, honest),
        st.builds(Form, st.one_of(no_edits, no_edits, TEXT_EDITS), TEXT_EDITS, st.booleans(), st.booleans()),
        st.builds(Looked, numbers, TEXT_EDITS, st.booleans()),
        st.builds(Raw, numbers, TEXT_EDITS, numbers, numbers),
    )


@dataclass(frozen=True, slots=True)
class _Doors:
    """Two of them: one that a CRM knocks at, one that sales answers at."""

    hooked: App
    hooks: Caller
    sales: Sales
    links: tuple[str, str]  # it is taken, it is not ready
    payload: Any

    def attempt(self, case: Any) -> str:
        self.sales.slack.received.clear()  # it would grow for ever
        before = self._kept()
        status = self._status(case)
        if status not in _STATUSES:
            raise Broken(f"the answer is {status}")
        if status not in (_TAKEN, _OK) and self._kept() != before:
            raise Broken(f"something was kept of a request answered {status}")
        return "closed" if status is None else str(status)

    def _kept(self) -> list[int]:
        return [_rows(self.hooked.store, hints), _rows(self.sales.app.store, answers)]

    def _status(self, case: Any) -> int | None:
        if isinstance(case, Hook):
            body = _bent(_EVENTS, case)
            told = signed(f"{self.hooks.origin}/hooks/crm", body if case.signed else b"[]", secret=SECRET)
            return self.hooks.ask("POST", "/hooks/crm", body, told).status
        if isinstance(case, Press):
            body = b"payload=" + quote_from_bytes(_bent(self.payload, case)).encode()
            return self.sales.caller.ask("POST", "/slack/team", body, pressed(body if case.signed else b"x")).status
        if isinstance(case, Form):
            return self._formed(case)
        if isinstance(case, Looked):
            page = _PAGES[case.page % len(_PAGES)]
            where = f"/{quote_from_bytes(bent_text(page.encode()[1:], case.edits), safe='/?&=[]:@,.')}"[:8_000]
            return self.sales.caller.ask("GET", f"/api{where}" if case.told else where, headers=_BROWSER).status
        return self._raw(case)

    def _formed(self, case: Form) -> int:
        path = self.links[not case.accepts]
        home, _, token = path.rpartition("/")
        where = f"{home}/{quote_from_bytes(bent_text(token.encode(), case.token))}"
        if not case.sent:
            return self.sales.look(where[:8_000]).status
        body = bent_text(b"reason=no+budget&note=Ana+said+%C3%B1o&reason=x", case.body)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.sales.caller.ask("POST", where[:8_000], body, headers).status

    def _raw(self, case: Raw) -> int | None:
        """None: closed without an answer, as what is no HTTP may be."""
        path = _PATHS[case.path % len(_PATHS)].format(*self.links)
        method = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "PRI")[case.piece % 6]
        header = _HEADERS[case.header % len(_HEADERS)] + b": " + PIECES[case.piece % len(PIECES)]
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n".encode()
        text = bent_text(head + header + b"\r\n\r\n[]", case.edits)
        port = (self.hooks if case.path % 2 else self.sales.caller).port
        told = _exchange(port, text)
        first = told.partition(b"\r\n")[0].split(b" ")
        return int(first[1]) if len(first) > 1 and first[1].isdigit() else None


def _exchange(port: int, text: bytes) -> bytes:
    """What is answered until the other side closes. What was sent ends there: a request that is cut short need not be
    waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_S) as connection:
        parts: list[bytes] = []
        try:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                parts.append(part)
        except TimeoutError:
            raise
        except OSError:  # the other side has closed already, in whatever words
            return b"".join(parts)
        return b"".join(parts)


def _rows(store: Store, table: Any) -> int:
    with store.reading() as tx:
        return int(tx.execute(select(func.count()).select_from(table)).scalar_one())


def _bent(tree: Any, case: Hook | Press) -> bytes:
    if case.as_tree:
        return as_json(bent_tree(tree, case.edits))
    return bent_text(orjson.dumps(tree), case.edits)


@contextmanager
def _hooked(folder: Path) -> Iterator[tuple[App, Caller]]:
    folder.mkdir()
    caller, database = Caller(free_port()), f"sqlite:///{folder / 'syncer.db'}"
    (folder / "syncer.yml").write_text(_HOOKED.format(origin=caller.origin, port=caller.port))
    (folder / "model.yml").write_text(MODEL)
    project = load_project(folder / "syncer.yml", settings_classes(), {"SECRET": SECRET})
    process = process_settings(folder, config=folder / "syncer.yml", database_url=database)
    store = open_store(database)
    app = App(process, project, store, "this-process")
    try:
        with serve(lambda: app, lambda: None):
            yield app, caller
    finally:
        caller.pool.clear()
        store.close()


@contextmanager
def _opened(folder: Path) -> Iterator[Attempt]:
    there = folder / "sales"
    there.mkdir()
    sold = opened_sales(there, f"sqlite:///{there / 'syncer.db'}")
    with _hooked(folder / "hooks") as (hooked, caller), sold as sales:
        sales.is_told("mail", "team")
        yield _Doors(hooked, caller, sales, sales.links(), _payload(sales)).attempt


def _payload(sales: Sales) -> Any:
    """What Slack says when a button under the message is pressed."""
    return orjson.loads(unquote_plus(sales.payload(sales.posted()).decode()).removeprefix("payload="))


WEBHOOK = Target("webhook", _cases(), _opened, bound_s=8.0, secrets=(SECRET, LINKS, SIGNING_SECRET))
