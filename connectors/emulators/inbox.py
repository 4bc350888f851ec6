"""A channel of the sales team, as Slack's incoming webhooks receive for it: answers "ok" and keeps what came."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LARGEST = 1_000_000  # bytes; Slack refuses far smaller ones


@dataclass(frozen=True)
class Inbox:
    url: str
    messages: list[dict[str, Any]] = field(default_factory=list)  # the posted JSON, oldest first


@contextmanager
def serve_inbox() -> Iterator[Inbox]:
    """Receive on a free loopback port until the block ends."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _LARGEST))
            try:
                message = json.loads(body)
            except ValueError:
                self._answer(400, b"invalid_payload")
                return
            messages.append(message)
            self._answer(200, b"ok")

        def _answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the demo prints what came itself."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="inbox", daemon=True)
    thread.start()
    try:
        yield Inbox(f"http://127.0.0.1:{server.server_address[1]}/services/sales", messages)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
