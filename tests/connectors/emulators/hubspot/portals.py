"""A plain HTTP client for tests of the emulator, and served portals."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.emulators.hubspot import Portal, create_app

TOKEN = "emulator-token"
TIMEOUT = urllib3.Timeout(connect=2, read=10)
RECORDED = Path(__file__).resolve().parents[5] / "shared" / "recorded" / "hubspot"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is None when it is not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes


class Client:
    """One portal's API over HTTP, without any retry."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Send one request; bytes go out as they are, everything else as JSON."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self.url + path, body=raw, headers=self._headers)
        is_json = "json" in answer.headers.get("content-type", "")
        try:
            decoded = json.loads(answer.data) if is_json else None
        except ValueError:
            decoded = None
        return Reply(answer.status, decoded, answer.headers, answer.data)

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.ask("POST", path, {} if body is None else body)

    def control(self, name: str, **body: Any) -> Any:
        """Use the control plane; AssertionError when it refuses."""
        reply = self.post(f"/_emulator/{name}", body)
        assert reply.status == 200, reply.body
        return reply.body

    def create(self, kind: str = "contacts", **properties: str) -> str:
        """Make a record and return its id."""
        reply = self.post(f"/crm/v3/objects/{kind}", {"properties": properties})
        assert reply.status == 201, reply.body
        return str(reply.body["id"])

    def properties(self, record_id: str, *names: str, kind: str = "contacts") -> dict[str, str | None]:
        """Some properties of a record as they are now."""
        reply = self.get(f"/crm/v3/objects/{kind}/{record_id}?properties={','.join(names)}")
        assert reply.status == 200, reply.body
        return {name: reply.body["properties"].get(name) for name in names}

    def close(self) -> None:
        self._pool.clear()


class Stage:
    """The one server of a test session, on which each test puts its own portal: starting one takes 0.2 s."""

    url: str
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


STAGE = Stage()


@contextmanager
def served(portal: Portal, token: str | None = TOKEN) -> Iterator[Client]:
    """Put a portal on the stage and give a client for it."""
    STAGE.app = create_app(portal)
    client = Client(STAGE.url, token)
    try:
        yield client
    finally:
        client.close()
        portal.webhooks.subscribe(None)


def recorded(name: str) -> Any:
    """A recorded real answer; skips the test when the recordings are not there."""
    path = RECORDED / name
    if not path.is_file():
        pytest.skip(f"no recording {name}")
    return json.loads(path.read_text())


def load_contacts(client: Client, count: int, **shared: Any) -> list[str]:
    """Contacts person0@example.com, person1@..., all alike otherwise; `shared` are their properties or times."""
    times = {name: shared.pop(name) for name in ("createdAt", "updatedAt") if name in shared}
    rows = [{"properties": {"email": f"person{each}@example.com", **shared}, **times} for each in range(count)]
    found: list[str] = client.control("load", objects={"contacts": rows})["ids"]["contacts"]
    return found
