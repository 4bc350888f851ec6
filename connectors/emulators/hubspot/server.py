"""Serving a portal over real HTTP from a background thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.portal import Portal

START_TIMEOUT_S = 10.0


@contextmanager
def serve(portal: Portal, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a portal until the block ends; gives the base URL. Port 0 takes a free one."""
    try:
        with serve_app(create_app(portal), port, host) as url:
            yield url
    finally:
        portal.webhooks.subscribe(None)


@contextmanager
def serve_app(app: ASGIApp, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve any application likewise. RuntimeError when the server does not start."""
    # The protocol is named because asyncio switches Nagle's delay off only then: without it an answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None,
        log_level="critical", access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1, server_header=False,
        date_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="hubspot-emulator", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        listener.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the emulator did not start within {START_TIMEOUT_S} s")
        time.sleep(0.005)
