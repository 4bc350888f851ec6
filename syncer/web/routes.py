"""The routes, as one ASGI application. Every request is answered within seconds and in bounded memory: CRMs give up on
an answer after five seconds (HubSpot's guide "Webhooks"), and anybody may knock at a public address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from syncer.app import App
from syncer.connector import Knock
from syncer.errors import SyncerError
from syncer.web.hooks import UNABLE, Hooks

MOST_BYTES = 1_000_000  # of a body; a hundred events of HubSpot are some 50 kB
BODY_S = 2.0  # how long a request may take to arrive
WORK_S = 2.0  # how long the database may take
MOST_AT_ONCE = 4  # hooks that are being stored; the CRM sends the others again

_OK, _TOO_SLOW, _TOO_LARGE = 200, 408, 413


def create_app(now: Callable[[], App], hooks: Hooks) -> Starlette:
    """`now` gives the app as it is after the latest reload."""
    taking, looking = _Desk(MOST_AT_ONCE), _Desk(MOST_AT_ONCE)

    async def hook(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=_TOO_SLOW)
        if body is None:
            return Response(status_code=_TOO_LARGE)
        knock = Knock(request.method, _target(request), _headers(request), body, now().clock())
        name: str = request.path_params["connection"]
        return Response(status_code=await taking.ask(lambda: hooks.take(name, knock)))

    async def live(_request: Request) -> Response:
        return Response(status_code=_OK)

    async def ready(_request: Request) -> Response:
        return Response(status_code=await looking.ask(lambda: _readiness(now())))

    routes = [
        Route("/hooks/{connection}", hook, methods=["POST"]),
        Route("/livez", live),
        Route("/readyz", ready),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # it would answer with an address that the asker has written
    return app


class _Desk:
    """Does blocking work in threads, at most so much of it at once. A thread that hangs in the database keeps its
    place until it is through, and keeps no process from ending."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)

    async def ask(self, work: Callable[[], int]) -> int:
        """What the work gives; UNABLE where all places are taken, or it takes longer than WORK_S."""
        if not self._places.acquire(blocking=False):
            return UNABLE
        done: Future[int] = Future()
        done.set_running_or_notify_cancel()
        threading.Thread(target=self._do, args=(work, done), daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(done), WORK_S)
        except TimeoutError:
            return UNABLE

    def _do(self, work: Callable[[], int], done: Future[int]) -> None:
        try:
            done.set_result(work())
        finally:
            self._places.release()


async def _body(request: Request) -> bytes | None:
    """None: larger than allowed. It is read to its end all the same, as far as time allows: a connection closed on
    what was sent and not read loses the answer."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length <= MOST_BYTES:
            parts.append(part)
    return b"".join(parts) if length <= MOST_BYTES else None


def _target(request: Request) -> str:
    """Path and query as they were sent."""
    path, query = request.scope["raw_path"], request.scope["query_string"]
    whole: bytes = path + b"?" + query if query else path
    return whole.decode("latin-1")


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _readiness(app: App) -> int:
    """Whether the daemon can work: it is not leaving, and its database answers."""
    if app.stop.is_set():
        return UNABLE
    try:
        with app.store.reading() as tx:
            tx.execute(text("SELECT 1"))
    except (SyncerError, SQLAlchemyError):
        return UNABLE  # the runs tell of the outage
    return _OK
