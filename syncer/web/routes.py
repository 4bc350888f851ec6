"""The routes, as one ASGI application. Every request is answered within seconds and in bounded memory: CRMs give up on
an answer after five seconds (HubSpot's guide "Webhooks"), and anybody may knock at a public address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from syncer.app import App
from syncer.connector import Knock
from syncer.errors import SyncerError
from syncer.web.answers import Answers, Page
from syncer.web.hooks import BROKEN, UNABLE, Hooks
from syncer.web.metrics import CONTENT_TYPE, Metrics
from syncer.web.slack import Buttons

T = TypeVar("T")
U = TypeVar("U")

MOST_BYTES = 1_000_000  # of a body; a hundred events of HubSpot are some 50 kB
BODY_S = 2.0  # how long a request may take to arrive
WORK_S = 2.0  # how long the database may take
METRICS_S = 6.0  # the same for metrics, which count all leads; Prometheus waits 10 s, and a connection lives 8 s here
MOST_AT_ONCE = 4  # hooks that are being stored; the CRM sends the others again. As many answers of sales

_OK, _TOO_SLOW, _TOO_LARGE = 200, 408, 413


def create_app(now: Callable[[], App], hooks: Hooks) -> Starlette:
    """`now` gives the app as it is after the latest reload."""
    taking, looking = _Desk(MOST_AT_ONCE), _Desk(MOST_AT_ONCE)

    async def hook(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        knock = Knock(request.method, _target(request), _headers(request), body, now().clock())
        name: str = request.path_params["connection"]
        return Response(status_code=await taking.ask(lambda: hooks.take(name, knock), UNABLE))

    async def live(_request: Request) -> Response:
        return Response(status_code=_OK)

    async def ready(_request: Request) -> Response:
        return Response(status_code=await looking.ask(lambda: _readiness(now()), UNABLE))

    routes = [
        Route("/hooks/{connection}", hook, methods=["POST"]),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", _measuring(now)),
        *_answering(now),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # it would answer with an address that the asker has written
    return app


def _answering(now: Callable[[], App]) -> list[Route]:
    """Where sales answers. A flood of hooks takes none of its places."""
    answers, buttons, desk = Answers(now), Buttons(now), _Desk(MOST_AT_ONCE)

    async def look(request: Request) -> Response:
        token: str = request.path_params["token"]
        return _html(await desk.ask(lambda: answers.look(token), answers.busy()))

    async def answer(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        token: str = request.path_params["token"]
        return _html(await desk.ask(lambda: answers.take(token, body), answers.busy()))

    async def press(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        name: str = request.path_params["notifier"]
        headers = _headers(request)
        return Response(status_code=await desk.ask(lambda: buttons.press(name, headers, body), UNABLE))

    # The token is all that is needed: nobody is signed in, so no other page can answer in somebody's name. What a mail
    # server's scanner follows is the link alone, and a GET changes nothing.
    return [
        Route("/answers/{token}", look, methods=["GET"]),
        Route("/answers/{token}", answer, methods=["POST"]),
        Route("/slack/{notifier}", press, methods=["POST"]),
    ]


def _measuring(now: Callable[[], App]) -> Callable[[Request], Awaitable[Response]]:
    """It names connections, stages and numbers, and nobody: whoever may reach the port may read it."""
    metrics, desk = Metrics(now), _Desk(MOST_AT_ONCE)

    async def tell(_request: Request) -> Response:
        told = await desk.ask(metrics.text, UNABLE, METRICS_S)
        if isinstance(told, bytes):
            return Response(told, media_type=CONTENT_TYPE)
        return Response(status_code=BROKEN if told is None else told)

    return tell


def _html(page: Page) -> Response:
    return Response(page.html, page.status, page.headers, "text/html")


class _Desk:
    """Does blocking work in threads, at most so much of it at once. A thread that hangs in the database keeps its
    place until it is through, and keeps no process from ending."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)

    async def ask(self, work: Callable[[], T], otherwise: U, within_s: float | None = None) -> T | U:
        """What the work gives; `otherwise` where all places are taken, or it takes longer than `within_s` (WORK_S)."""
        if not self._places.acquire(blocking=False):
            return otherwise
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()
        threading.Thread(target=self._do, args=(work, done), daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(done), within_s or WORK_S)
        except TimeoutError:
            return otherwise

    def _do(self, work: Callable[[], T], done: Future[T]) -> None:
        try:
            done.set_result(work())
        finally:
            self._places.release()


async def _body(request: Request) -> bytes | Response:
    """What was sent; else the refusal: it took too long, or was too large."""
    try:
        async with asyncio.timeout(BODY_S):
            body = await _whole(request)
    except (TimeoutError, ClientDisconnect):
        return Response(status_code=_TOO_SLOW)
    return Response(status_code=_TOO_LARGE) if body is None else body


async def _whole(request: Request) -> bytes | None:
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
