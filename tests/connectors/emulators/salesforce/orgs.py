"""A plain HTTP client for tests of the emulator, and served orgs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.emulators.salesforce import Instance, create_app

TOKEN = "emulator-token"
TIMEOUT = urllib3.Timeout(connect=2, read=10)
ROOT = "/services/data/v60.0"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is None when it is not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes

    @property
    def code(self) -> str | None:
        """The first error's code."""
        return self.body[0].get("errorCode") if isinstance(self.body, list) and self.body else None

    @property
    def message(self) -> str:
        """The first error's text."""
        return str(self.body[0]["message"])


class Client:
    """One org's API over HTTP, without any retry. Paths are those below a version, unless they name a root."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request; bytes and text go out as they are, everything else as JSON."""
        if not path.startswith(("/services", "/_emulator", "/id/")):
            path = ROOT + path
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self._headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._pool.request(method, self.url + path, body=raw, headers=sent, redirect=False)
        is_json = "json" in answer.headers.get("content-type", "")
        try:
            decoded = json.loads(answer.data) if is_json else None
        except ValueError:
            decoded = None
        return Reply(answer.status, decoded, answer.headers, answer.data)

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.ask("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Reply:
        return self.ask("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Reply:
        return self.ask("DELETE", path, **headers)

    def query(self, soql: str, resource: str = "query", **headers: str) -> Reply:
        return self.get(f"/{resource}?q={quote(soql)}", **headers)

    def rows(self, soql: str, resource: str = "query") -> list[dict[str, Any]]:
        """The records of one page, without attributes."""
        reply = self.query(soql, resource)
        assert reply.status == 200, reply.raw
        return [{name: each for name, each in row.items() if name != "attributes"} for row in reply.body["records"]]

    def form(self, path: str, **fields: str) -> Reply:
        """Send a form, without a token."""
        answer = self._pool.request_encode_body("POST", self.url + path, fields, encode_multipart=False)
        is_json = "json" in answer.headers.get("content-type", "")
        return Reply(answer.status, json.loads(answer.data) if is_json else None, answer.headers, answer.data)

    def control(self, name: str, **body: Any) -> Any:
        """Use the control plane; AssertionError when it refuses."""
        reply = self.post(f"/_emulator/{name}", body)
        assert reply.status == 200, reply.body
        return reply.body

    def seen(self, name: str) -> Any:
        """Ask the control plane."""
        reply = self.get(f"/_emulator/{name}")
        assert reply.status == 200, reply.body
        return reply.body

    def create(self, kind: str = "Lead", **values: Any) -> str:
        """Make a record and return its id. Leads get the names they need."""
        if kind == "Lead":
            values = {"LastName": "Doe", "Company": "Acme", **values}
        reply = self.post(f"/sobjects/{kind}", values)
        assert reply.status == 201, reply.body
        return str(reply.body["id"])

    def load(self, kind: str, rows: list[dict[str, Any]]) -> list[str]:
        """Store rows past every rule."""
        found: list[str] = self.control("load", records={kind: rows})["ids"][kind]
        return found

    def load_leads(self, count: int, **shared: Any) -> list[str]:
        """Leads Person 0, Person 1, ... with what is `shared`."""
        rows = [{"LastName": f"Person {each}", "Company": "Acme", **shared} for each in range(count)]
        return self.load("Lead", rows)

    def close(self) -> None:
        self._pool.clear()


class Stage:
    """The one server of a test session, on which each test puts its own org: starting one takes 0.2 s."""

    url: str
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


STAGE = Stage()


@contextmanager
def served(instance: Instance, token: str | None = TOKEN) -> Iterator[Client]:
    """Put an org on the stage and give a client for it. The fixture `stage` must be in use."""
    STAGE.app = create_app(instance)
    client = Client(STAGE.url, token)
    try:
        yield client
    finally:
        client.close()
