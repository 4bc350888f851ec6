"""The pages and the API: one route for each view and each action, twice, and what stands between them and a request.

Nothing here knows what a page shows. Who asks is found out by the gate (`access`); a page for nobody leads to the
sign-in, an API call for nobody is a 401.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, quote, urlsplit

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from syncer.app import App
from syncer.errors import NotFound, SyncerError, TemporaryError
from syncer.log import redact
from syncer.settings.values import Language
from syncer.web.counting import Counting
from syncer.web.desk import Desk, body_of
from syncer.web.guarding import is_ours, own_path
from syncer.web.masking import masked
from syncer.web.phrases import phrase
from syncer.web.refusing import Reader, in_words, mistakes
from syncer.web.rendering import html, templates
from syncer.web.views import Action, Asked, Asking, Done, Role, View, Viewer

log = structlog.get_logger(__name__)

A = TypeVar("A", bound=Asked)

MOST_AT_ONCE = 8  # pages being made
PAGE_S = 6.0  # how long one may take
MOST_FIELDS = 500  # of a form
LANGUAGE_COOKIE, FLASH_COOKIE = "syncer_language", "syncer_said"

_OK, _SEE_OTHER, _BAD, _FORBIDDEN, _MISSING, _CONFLICT, _NO_JSON, _BROKEN, _LATER = (
    200, 303, 400, 403, 404, 409, 415, 500, 503,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP status, and what is wrong and what to do about it; "" says that it may work later. `to`: where a page
    leads instead."""

    status: int
    message: str = ""
    code: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its template and what that is filled with, and who looks at it."""

    template: str
    facts: Mapping[str, Any]
    who: Viewer | None  # None: nobody is signed in
    here: str = ""  # the view's name
    status: int = _OK


class Gate(Protocol):
    """Who may come in. See `access`."""

    def viewer(self, request: Request) -> Viewer | Failure:
        """Who asks; else why nothing is done, and where to sign in."""


@dataclass(frozen=True)
class Site:
    """What every page is made with."""

    now: Callable[[], App]
    gate: Gate
    counting: Counting
    desk: Desk

    def routes(self, views: Sequence[View[Any, Any]], actions: Sequence[Action[Any]]) -> list[BaseRoute]:
        pages = [Route(view.path, self._page(view), methods=["GET"]) for view in views]
        told = [Route(f"/api{view.path}".rstrip("/"), self._told(view), methods=["GET"]) for view in views]
        forms = [Route(action.path, self._form(action), methods=["POST"]) for action in actions]
        done = [Route(f"/api{action.path}", self._done(action), methods=["POST"]) for action in actions]
        return [*pages, *told, *forms, *done]

    async def nowhere(self, request: Request) -> Response:
        """The answer where no route is: a page of ours for whom the gate lets in, and else what it says to everybody,
        so that nobody learns which addresses there are."""

        def work(request: Request, _what: Any, asking: Asking, _values: Any) -> Response:
            return self.failure(request, Failure(_MISSING, phrase_of(request, asking.app, "not_found")), asking.who)

        return await self._asked(request, "viewer", work, None, ())

    def _page(self, view: View[Any, Any]) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            values = parse_qsl(request.url.query, keep_blank_values=True)
            return await self._asked(request, view.role, self._shown, view, values)

        return page

    def _told(self, view: View[Any, Any]) -> Callable[[Request], Awaitable[Response]]:
        async def told(request: Request) -> Response:
            values = parse_qsl(request.url.query, keep_blank_values=True)
            return await self._asked(request, view.role, self._json, view, values)

        return told

    def _form(self, action: Action[Any]) -> Callable[[Request], Awaitable[Response]]:
        async def form(request: Request) -> Response:
            body = await body_of(request)
            if isinstance(body, Response):
                return body
            try:
                values = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
            except ValueError:
                return self.failure(request, Failure(_BAD, self.said(request, "the form cannot be read")))
            return await self._asked(request, action.role, self._submitted, action, values)

        return form

    def _done(self, action: Action[Any]) -> Callable[[Request], Awaitable[Response]]:
        async def done(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":  # which no page of another site can send without our leave
                return self.failure(request, Failure(_NO_JSON, "send Content-Type: application/json"))
            body = await body_of(request)
            if isinstance(body, Response):
                return body
            try:
                sent = orjson.loads(body or b"{}")
            except orjson.JSONDecodeError as error:
                return self.failure(request, Failure(_BAD, f"the body is no JSON: {error}"))
            if not isinstance(sent, dict):
                return self.failure(request, Failure(_BAD, "the body is no JSON object"))
            return await self._asked(request, action.role, self._ordered, action, sent)

        return done

    def telling(self, role: Role, text: Callable[[], bytes]) -> Callable[[Request], Awaitable[Response]]:
        """What answers with JSON that is the same for everybody of that role."""

        def work(_request: Request, _what: Any, _asking: Asking, _values: Any) -> Response:
            return Response(text(), media_type="application/json")

        async def told(request: Request) -> Response:
            return await self._asked(request, role, work, None, ())

        return told

    def giving(
        self, role: Role, what: Any, work: Callable[[Request, Any, Asking, Any], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """What answers a GET for `what` (see `Download`) in a way of its own."""

        async def given(request: Request) -> Response:
            values = parse_qsl(request.url.query, keep_blank_values=True)
            return await self._asked(request, role, work, what, values)

        return given

    async def _asked(
        self, request: Request, role: Role, work: Callable[..., Response], what: Any, values: Any
    ) -> Response:
        """The answer to a request, made in a thread."""

        def answer() -> Response:
            viewer: Viewer | None = None
            try:
                who = self.gate.viewer(request)
                if isinstance(who, Failure):
                    return self.failure(request, who)
                viewer = who
                if not who.may(role):
                    key = "forbidden" if request.method == "POST" else "forbidden_page"
                    said = phrase_of(request, self.now(), key, role=role)
                    return self.failure(request, Failure(_FORBIDDEN, said), who)
                client = request.client.host if request.client else None
                return work(request, what, Asking(self.now(), who, self.counting, client), values)
            except SyncerError as failure:
                said = self.said(request, redact(failure.message))
                return self.failure(request, Failure(_status(failure), said, failure.code), viewer)
            except ValidationError as error:
                said = mistakes(_reader(request, self.now()), error, what.asked)
                return self.failure(request, Failure(_BAD, said), viewer)
            except Exception:
                log.exception("page_crashed", path=request.url.path)
                return self.failure(request, Failure(_BROKEN), viewer)

        done = await self.desk.ask(answer, None, PAGE_S)
        return self.failure(request, Failure(_LATER)) if done is None else done

    def _shown(self, request: Request, view: View[Any, Any], asking: Asking, values: Any) -> Response:
        asked = read(view.asked, values, request.path_params)
        found = view.query(asking, asked)
        facts = {"it": masked(found) if asking.who.masked else found, "asked": asked}
        return self.page(request, Shown(f"pages/{view.name}.html.j2", facts, asking.who, view.name))

    def _json(self, request: Request, view: View[Any, Any], asking: Asking, values: Any) -> Response:
        found = view.query(asking, read(view.asked, values, request.path_params))
        return answer_json(masked(found) if asking.who.masked else found, view.shows)

    def _submitted(self, request: Request, action: Action[Any], asking: Asking, values: Any) -> Response:
        done = action.do(asking, read(action.asked, values, request.path_params))
        self.counting.forget()
        if done.once:
            facts = {"said": done.said, "facts": done.facts, "once": done.once, "to": own_path(done.to)}
            return self.page(request, Shown("once.html.j2", facts, asking.who))
        answer = RedirectResponse(own_path(done.to), _SEE_OTHER)
        tell_next(answer, done.said, done.facts)
        return answer

    def _ordered(self, request: Request, action: Action[Any], asking: Asking, values: dict[str, Any]) -> Response:
        done = action.do(asking, action.asked.model_validate({**values, **request.path_params}))
        self.counting.forget()
        return answer_json(done, Done)

    def page(self, request: Request, shown: Shown) -> Response:
        """A page of ours, in the reader's language, with what was done last."""
        app = self.now()
        project, language = app.project, language_of(request, app.project.language)
        partial = request.headers.get("hx-request") == "true"  # htmx wants a part of it for the page that is shown
        frame = {
            "who": shown.who, "here": shown.here, "flash": "" if partial else _flash(request, language),
            "address": _shown_at(request, app), "connections": [each.name for each in project.connections],
        }  # fmt: skip
        text = html(shown.template, language, project.timezone, {**frame, **shown.facts})
        answer = Response(text, shown.status, media_type="text/html")
        if FLASH_COOKIE in request.cookies and not partial:
            answer.delete_cookie(FLASH_COOKIE, path="/")
        return answer

    def said(self, request: Request, english: str) -> str:
        """An error's sentence, as whoever asked reads it."""
        return in_words(_reader(request, self.now()), english)

    def failure(self, request: Request, failure: Failure, who: Viewer | None = None) -> Response:
        """What went wrong, as whoever asked may read it."""
        if who is not None and who.masked:
            failure = masked(failure)
        if is_api(request):
            error = {"code": failure.code, "message": failure.message or _PLAIN.get(failure.status, "")}
            return Response(orjson.dumps({"error": error}), failure.status, media_type="application/json")
        if failure.to:
            if request.headers.get("hx-request") == "true":  # a part of a page that has been left open
                return Response(status_code=failure.status, headers={"HX-Redirect": failure.to})
            return RedirectResponse(failure.to, _SEE_OTHER)
        app = self.now()
        heading = phrase_of(request, app, "not_found" if failure.status == _MISSING else "went_wrong")
        told = failure.message or phrase_of(request, app, "later")
        facts = {"heading": heading, "text": told, "to": _back(request, app)}
        return self.page(request, Shown("message.html.j2", facts, who, status=failure.status))


_PLAIN: Mapping[int, str] = {
    _BROKEN: "a fault of ours; the log says what",
    _LATER: "not just now; try again in a minute",
}


def read(asked: type[A], values: Sequence[tuple[str, str]], in_path: Mapping[str, Any]) -> A:
    """The checked values of a query or a form: a name given several times is a list where one is wanted, else its last
    value; what is empty was not given. ValidationError."""
    found: dict[str, Any] = {}
    for name, value in values:
        if value == "":
            continue
        field = asked.model_fields.get(name)
        if field is not None and get_origin(field.annotation) in (tuple, list):
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return asked.model_validate({**found, **in_path})


def answer_json(found: Any, shape: Any) -> Response:
    """As the OpenAPI document describes it."""
    return Response(adapter(shape).dump_json(found), media_type="application/json")


def adapter(shape: Any) -> TypeAdapter[Any]:
    """To make one takes longer than many a page."""
    return _adapter(shape)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def language_of(request: Request, usual: Language) -> Language:
    """The one that was chosen here, else the project's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return next((each for each in get_args(Language) if each == chosen), usual)


def phrase_of(request: Request, app: App, key: str, **facts: Any) -> str:
    return phrase(_reader(request, app).language, key, **facts)


def _reader(request: Request, app: App) -> Reader:
    """The API speaks English, whatever a cookie says."""
    program = is_api(request)
    return Reader("en" if program else language_of(request, app.project.language), program)


def is_api(request: Request) -> bool:
    return request.url.path == "/api" or request.url.path.startswith("/api/")


def own_address(request: Request) -> str:
    """Path and query of this page, to come back to."""
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(request.url.path) + query


def public_url(app: App) -> str | None:
    """Where browsers find us, where that is known."""
    return app.project.web.public_url if app.project.web is not None else None


def _shown_at(request: Request, app: App) -> str:
    """The address of this page, or of the one whose form was sent."""
    return own_address(request) if request.method == "GET" else _back(request, app)


def _back(request: Request, app: App) -> str:
    """The page of ours from which somebody came, where the browser says so."""
    referer = request.headers.get("referer", "")
    if not is_ours(referer, request.headers.get("host", ""), public_url(app)):
        return "/"
    came = urlsplit(referer)
    return own_path(came.path + (f"?{came.query}" if came.query else ""))


def tell_next(answer: Response, said: str, facts: Mapping[str, Any]) -> None:
    """The next page that this browser is shown says a phrase."""
    told = base64.urlsafe_b64encode(orjson.dumps([said, dict(facts)], default=str)).decode()
    answer.set_cookie(FLASH_COOKIE, told, max_age=60, httponly=True, samesite="strict", path="/")


def _flash(request: Request, language: Language) -> str:
    """What the last action has done. Whatever else stands in the cookie says nothing."""
    try:
        key, facts = orjson.loads(base64.urlsafe_b64decode(request.cookies[FLASH_COOKIE]))
        said: str = templates(language, "UTC").globals["say"](key, **facts)  # type: ignore[operator]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        return ""
    return said


def _status(failure: SyncerError) -> int:
    return _MISSING if isinstance(failure, NotFound) else _LATER if isinstance(failure, TemporaryError) else _CONFLICT
