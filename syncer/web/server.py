"""uvicorn in a thread of the daemon."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncer.app import App
from syncer.errors import ConfigError
from syncer.settings import Web
from syncer.settings.sign_in import is_loopback
from syncer.web.downloading import pulse_of
from syncer.web.hooks import Hooks
from syncer.web.routes import create_app

log = structlog.get_logger(__name__)

LIFE_S = 8.0  # of a connection: more than the one request takes that it is good for
STILL_S = 30.0  # a file is neither made nor taken for so long; then its connection ends, too
FILE_S = 600.0  # of a connection over which a file is sent
MOST_CONNECTIONS = 64
_START_S = 10.0
_STOP_S = 2.0  # what is under way may take so long once the daemon leaves


@contextmanager
def serve(now: Callable[[], App], wake: Callable[[], None]) -> Iterator[None]:
    """Listen while the block runs; not at all where the project says nothing of `web`.

    `now` gives the app as it is after the latest reload; `wake` is called when hints wait. ConfigError SY130: the
    address cannot be had.
    """
    web, hooks = now().project.web, Hooks(now, wake)
    if web is None:
        if deaf := hooks.listening():
            log.warning("webhooks_not_heard", connections=deaf, help="add `web: {}` to the project file")
        yield
        return
    with _listener(web) as listener:
        config = uvicorn.Config(
            create_app(now, hooks), http=_Hasty, loop="asyncio", ws="none", lifespan="off", log_config=None,
            log_level="critical", access_log=False, proxy_headers=False, server_header=False, date_header=False,
            limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=1,
            headers=[("connection", "close")],
        )  # fmt: skip
        with _running(uvicorn.Server(config), listener):
            host, port = listener.getsockname()[:2]
            log.info("web_started", host=host, port=port)
            _warn(web)
            yield


class _Hasty(H11Protocol):
    """uvicorn waits for ever for a request that is begun and not ended; here every connection ends soon, but for one
    over which a file is on its way."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last = self.loop.time() + FILE_S
        self._end = self.loop.call_later(LIFE_S, self._look)

    def _look(self) -> None:
        pulse, now = pulse_of(self.scope), self.loop.time()
        rest = min(pulse.beat_at + STILL_S, self._last) - now if pulse is not None and not pulse.gone else 0.0
        if rest > 0:
            self._end = self.loop.call_later(rest, self._look)
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def _warn(web: Web) -> None:
    """Of pages that others on the network reach, or could."""
    if is_loopback(web.host):
        return
    if web.sign_in is None:
        log.warning(
            "pages_not_shown", host=web.host,
            help="at this address they are for those who sign in: add `web.sign_in`, or listen at 127.0.0.1",
        )  # fmt: skip
    elif not (web.public_url or "").startswith("https://"):
        log.warning(
            "passwords_readable_on_the_way", host=web.host,
            help="have a proxy with TLS pass requests on, and set `web.public_url: https://...`",
        )  # fmt: skip


def _listener(web: Web) -> socket.socket:
    """A socket bound to the address, so that nobody else can have it."""
    place = f"{web.host}:{web.port}"
    try:
        # The protocol is named because asyncio switches Nagle's delay off only then: an answer would take 40 ms.
        known = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = known[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"web: {place} is no address of this machine: {error.strerror}", code="SY130") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        help = "choose another `web.host` or `web.port`, or stop what listens there"
        raise ConfigError(f"web: cannot listen at {place}: {error.strerror}; {help}", code="SY130") from error
    return listener


@contextmanager
def _running(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ConfigError(f"web: the server did not start within {_START_S:g} s", code="SY130")
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
