"""Serving an org over real HTTP from a background thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from connectors.emulators.salesforce.http.app import create_app
from connectors.emulators.salesforce.http.instance import Instance

START_TIMEOUT_S = 10.0
THREAD = "salesforce-emulator"


@contextmanager
def serve(instance: Instance, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve an instance until the block ends; gives the base URL. Port 0 takes a free one.

    An instance may be served on several ports at once: see `Manners.instance_url` for an org that moves.
    """
    with serve_app(create_app(instance), port, host) as url:
        yield url


@contextmanager
def serve_app(app: ASGIApp, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve any application likewise. RuntimeError when the server does not start."""
    # The protocol is named because asyncio switches Nagle's delay off only then: without it an answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=THREAD, daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        listener.close()


def _config(app: ASGIApp) -> uvicorn.Config:
    # h11's own limit of a request's head is raised: the emulator itself answers 431 past 16,384 bytes.
    return uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None,
        log_level="critical", access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1, server_header=False,
        date_header=False, h11_max_incomplete_event_size=262_144,
    )  # fmt: skip


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the emulator did not start within {START_TIMEOUT_S} s")
        time.sleep(0.005)
