"""Receivers on loopback that answer as they are told: an SMTP server, and an HTTP server shaped like Slack's incoming
webhooks or like a receiver that drops repeats by their Idempotency-Key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import threading
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

HANG_S = 5.0
"""A receiver that hangs gives up after this long, or as soon as it is closed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`hang` never answers, `drop` closes without a word; the request counts as received all the same."""

    status: int = 200
    body: str = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Literal["answer", "hang", "drop"] = "answer"


HANG = Reply(manner="hang")
DROP = Reply(manner="drop")


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: Mapping[str, str]  # lower-cased names
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")

    def signed_with(self, secret: str) -> bool:
        """Whether timestamp and body are signed, worked out from the description alone."""
        text = self.headers["x-syncer-timestamp"].encode() + b"." + self.body
        expected = "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.headers["x-syncer-signature"])


class HttpReceiver:
    """Answers `script` one by one, then always `ok`. Use as a context."""

    def __init__(self, *script: Reply) -> None:
        self.script = deque(script)
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._server = _QuietServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/T000/B000/s3cr3tpath"

    @property
    def distinct(self) -> list[Received]:
        """What a receiver keeps that drops repeats by their key: the first of each."""
        return list({each.key: each for each in reversed(self.received)}.values())[::-1]

    def reply_to(self, received: Received) -> Reply:
        return self.script.popleft() if self.script else Reply()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them, so that no socket outlives its test
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is what the tests ask for, not news."""


def _handler_of(receiver: HttpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            receiver.received.append(received)
            reply = receiver.reply_to(received)
            if reply.manner == "hang":
                receiver.closing.wait(HANG_S)
            if reply.manner == "answer":
                self._answer(reply)

        def _answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests look at `received`."""

    return Handler


@dataclass(frozen=True, slots=True)
class Mail:
    sender: str
    recipient: str
    message: EmailMessage

    @property
    def key(self) -> str:
        return str(self.message["X-Syncer-Key"])


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """How one command is answered: a text such as "550 no such user", or `hang` or `drop`: then a message has been
    received all the same."""

    on: Literal["MAIL", "RCPT", "DATA"]
    text: str


class SmtpReceiver:
    """Takes mail. Each command is answered by the first of `script` made for it, which is then used up, else with 250.

    `login` (user, password) makes it ask for one. With `tls` it insists on STARTTLS. Use as a context.
    """

    host = "127.0.0.1"

    def __init__(
        self, *script: SmtpReply, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = list(script)
        self.received: list[Mail] = []
        self.port = 0
        self._options: dict[str, Any] = {"tls_context": tls, "require_starttls": tls is not None}
        if login is not None:
            self._options |= {"authenticator": _checking(login), "auth_required": True, "auth_require_tls": False}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._sessions: list[SMTP] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(timeout=5)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *failure: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def reply_on(self, command: str) -> str | None:
        for each in self.script:
            if each.on == command:
                self.script.remove(each)
                return each.text
        return None

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._session, self.host, 0)

    def _session(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a login without TLS is unsafe; on loopback it is a test
            session = SMTP(_Handler(self), hostname="receiver.test", loop=self._loop, **self._options)
        self._sessions.append(session)
        return session

    async def _close(self) -> None:
        self._server.close()
        for session in self._sessions:
            if isinstance(session.transport, asyncio.Transport):
                session.transport.abort()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close in the next turn of the loop


class _Handler:
    """The hooks aiosmtpd calls."""

    def __init__(self, receiver: SmtpReceiver) -> None:
        self._receiver = receiver

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return await self._reply("MAIL", server)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        return await self._reply("RCPT", server)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        text = self._receiver.reply_on("DATA") or "250 OK"
        if text[0] not in "45":
            message = message_from_bytes(envelope.content, policy=policy.default)
            self._receiver.received.append(Mail(envelope.mail_from, envelope.rcpt_tos[0], message))
        return await self._say(text, server)

    async def _reply(self, command: str, server: Any) -> str:
        return await self._say(self._receiver.reply_on(command) or "250 OK", server)

    async def _say(self, text: str, server: Any) -> str:
        if text == "hang":
            await asyncio.sleep(HANG_S)
        if text == "drop":
            server.transport.abort()
        return text


def _checking(login: tuple[str, str]) -> Any:
    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        if not isinstance(given, LoginPassword):
            return AuthResult(success=False)
        return AuthResult(success=(given.login.decode(), given.password.decode()) == login, handled=False)

    return authenticate
