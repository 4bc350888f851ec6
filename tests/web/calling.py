"""Somebody who calls the door over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import urllib3

SECRET = "a-client-secret-of-an-app"


def signed(address: str, body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    """The headers with which HubSpot signs a POST right now."""
    timestamp = str(time.time_ns() // 1_000_000)
    text = b"POST" + address.encode() + body + timestamp.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    return {"X-HubSpot-Request-Timestamp": timestamp, "X-HubSpot-Signature-v3": signature}


def changes(*contacts: str) -> bytes:
    """The body of a request that tells of changed contacts."""
    event = {"subscriptionType": "contact.propertyChange", "propertyName": "email", "propertyValue": "ana@acme.example"}
    return orjson.dumps([{**event, "objectId": int(each)} for each in contacts])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Caller:
    """Knocks at one port of this machine."""

    port: int
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=10))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        return self.pool.request(method, self.origin + path, body=body, headers=headers, redirect=False)

    def hook(self, name: str, body: bytes, *, secret: str = SECRET) -> int:
        """The status that answers a request that was signed for this very address."""
        path = f"/hooks/{name}"
        return self.ask("POST", path, body, signed(self.origin + path, body, secret=secret)).status

    def raw(self, text: bytes, within_s: float) -> bytes:
        """All that is answered until the other side closes; TimeoutError if it does not within so long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within_s) as connection:
            connection.sendall(text)
            parts = []
            try:
                while part := connection.recv(65_536):
                    parts.append(part)
            except ConnectionResetError:
                return b"".join(parts)
            return b"".join(parts)


@dataclass(frozen=True)
class DeadStore:
    """A database that does not answer."""

    error: Exception

    @contextmanager
    def reading(self) -> Iterator[None]:
        raise self.error
        yield

    writing = reading
