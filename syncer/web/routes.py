"""The routes, as one ASGI application. Every request is answered within seconds and in bounded memory: CRMs give up on
an answer after five seconds (HubSpot's guide "Webhooks"), and anybody may knock at a public address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from syncer.app import App
from syncer.connector import Knock
from syncer.errors import SyncerError
from syncer.web.access import Access
from syncer.web.answers import Answers, Page
from syncer.web.counting import Counting
from syncer.web.desk import Desk, body_of
from syncer.web.downloading import Downloads
from syncer.web.guarding import Guard
from syncer.web.hooks import BROKEN, UNABLE, Hooks
from syncer.web.metrics import CONTENT_TYPE, Metrics
from syncer.web.openapi import described
from syncer.web.pages import ACTIONS, DOWNLOADS, VIEWS
from syncer.web.signing import Signing
from syncer.web.site import MOST_AT_ONCE as MOST_PAGES
from syncer.web.site import Site, public_url
from syncer.web.slack import Buttons

METRICS_S = 6.0  # the same for metrics, which count all leads; Prometheus waits 10 s, and a connection lives 8 s here
MOST_AT_ONCE = 4  # hooks that are being stored; the CRM sends the others again. As many answers of sales

_OK, _NOT_FOUND, _NOT_SO = 200, 404, 405


def create_app(now: Callable[[], App], hooks: Hooks) -> Starlette:
    """`now` gives the app as it is after the latest reload."""
    taking, looking = Desk(MOST_AT_ONCE), Desk(MOST_AT_ONCE)

    async def hook(request: Request) -> Response:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        knock = Knock(request.method, _target(request), _headers(request), body, now().clock())
        name: str = request.path_params["connection"]
        return Response(status_code=await taking.ask(lambda: hooks.take(name, knock), UNABLE))

    async def live(_request: Request) -> Response:
        return Response(status_code=_OK)

    async def ready(_request: Request) -> Response:
        return Response(status_code=await looking.ask(lambda: _readiness(now()), UNABLE))

    # A flood of hooks takes none of the pages' places either.
    site = Site(now, Access(now), Counting(lambda: now().clock()), Desk(MOST_PAGES))
    routes = [
        Route("/hooks/{connection}", hook, methods=["POST"]),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", _measuring(now)),
        *_answering(now),
        *_pages(site),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, public_url=lambda: public_url(now()))],
        exception_handlers={_NOT_FOUND: _nowhere(site), _NOT_SO: _nowhere(site)},
    )
    app.router.redirect_slashes = False  # it would answer with an address that the asker has written
    return app


class _Assets(StaticFiles):
    """Files of ours; where an address names the contents (`rendering.asset`), browsers keep them."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        answer = super().file_response(*given, **named)
        scope = named.get("scope", given[2] if len(given) > 2 else {})
        if scope.get("query_string", b"").startswith(b"v="):
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _nowhere(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A browser gets a page that leads on; whatever else asks, the bare status."""

    async def nowhere(request: Request, error: Exception) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return await site.nowhere(request)
        bare = error if isinstance(error, HTTPException) else HTTPException(_NOT_FOUND)
        return Response(status_code=bare.status_code, headers=bare.headers)

    return nowhere


def _pages(site: Site) -> list[BaseRoute]:
    """What people look at."""
    return [
        Mount("/static", _Assets(packages=[("syncer.web", "static")])),
        Route("/api/openapi.json", site.telling("viewer", cache(lambda: described(VIEWS, ACTIONS, DOWNLOADS)))),
        *Signing(site).routes(),
        *Downloads(site).routes(DOWNLOADS),
        *site.routes(VIEWS, ACTIONS),
    ]


def _answering(now: Callable[[], App]) -> list[Route]:
    """Where sales answers. A flood of hooks takes none of its places."""
    answers, buttons, desk = Answers(now), Buttons(now), Desk(MOST_AT_ONCE)

    async def look(request: Request) -> Response:
        token: str = request.path_params["token"]
        return _html(await desk.ask(lambda: answers.look(token), answers.busy()))

    async def answer(request: Request) -> Response:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        token: str = request.path_params["token"]
        address = request.client.host if request.client else None
        return _html(await desk.ask(lambda: answers.take(token, body, address), answers.busy()))

    async def press(request: Request) -> Response:
        body = await body_of(request)
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
    metrics, desk = Metrics(now), Desk(MOST_AT_ONCE)

    async def tell(_request: Request) -> Response:
        told = await desk.ask(metrics.text, UNABLE, METRICS_S)
        if isinstance(told, bytes):
            return Response(told, media_type=CONTENT_TYPE)
        return Response(status_code=BROKEN if told is None else told)

    return tell


def _html(page: Page) -> Response:
    return Response(page.html, page.status, page.headers, "text/html")


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
