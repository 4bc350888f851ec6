"""OAuth's endpoints. They take no bearer token but the app's id and secret, form-encoded; v1 in the query as well."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.emulators.hubspot.answers import Answer, Refusal, not_found
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.wire import respond

Form = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]
Work = Callable[[Portal, Form, Request], Answer]


def oauth_routes(portal: Portal) -> list[Route]:
    """The routes of a portal's tokens."""
    return [
        _route(portal, "POST", "/oauth/token", _grant),
        _route(portal, "POST", "/oauth/token/introspect", _introspect),
        _route(portal, "POST", "/oauth/token/revoke", _revoke),
        _route(portal, "GET", "/oauth/access-tokens/{token}", _access),
        _route(portal, "GET", "/oauth/refresh-tokens/{token}", _refresh),
        _route(portal, "DELETE", "/oauth/refresh-tokens/{token}", _delete),
    ]


def _route(portal: Portal, method: str, path: str, work: Work) -> Route:
    async def endpoint(request: Request) -> Response:
        form = _fields((await request.body()).decode("utf-8", "replace"))
        if request.scope["hubspot_version"] == "v1":
            form = _fields(request.url.query) | form
        try:
            answer = work(portal, form, request)
        except Refusal as refused:
            answer = refused.answer
        portal.calls.note(method, path, answer.status, "read" if method == "GET" else "write", portal.clock.now_ms())
        return respond(answer)

    return Route(path, endpoint, methods=[method])


def _fields(encoded: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(encoded).items()}


def _grant(portal: Portal, form: Form, request: Request) -> Answer:
    return Answer(200, portal.doorman.grant(form, request.scope["hubspot_version"], portal.clock.now_ms()))


def _introspect(portal: Portal, form: Form, request: Request) -> Answer:
    version = _not_v1(request)
    return Answer(200, portal.doorman.introspect(form, version, portal.clock.now_ms()))


def _revoke(portal: Portal, form: Form, request: Request) -> Answer:
    portal.doorman.revoke_for(form, _not_v1(request))
    return Answer(200)


def _access(portal: Portal, form: Form, request: Request) -> Answer:
    _only_v1(request)
    token = request.path_params["token"]
    return Answer(200, portal.doorman.metadata("access-tokens", token, portal.clock.now_ms()))


def _refresh(portal: Portal, form: Form, request: Request) -> Answer:
    _only_v1(request)
    token = request.path_params["token"]
    return Answer(200, portal.doorman.metadata("refresh-tokens", token, portal.clock.now_ms()))


def _delete(portal: Portal, form: Form, request: Request) -> Answer:
    _only_v1(request)
    portal.doorman.revoke(request.path_params["token"])
    return Answer(204)


def _only_v1(request: Request) -> None:
    if request.scope["hubspot_version"] != "v1":
        raise not_found()


def _not_v1(request: Request) -> str:
    version = str(request.scope["hubspot_version"])
    if version == "v1":
        raise not_found()
    return version
