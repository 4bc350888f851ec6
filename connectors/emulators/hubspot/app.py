"""The HTTP side: Starlette routes for every operation, and in front of them addresses, faults and the control plane."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.hubspot.answers import (
    Answer,
    Json,
    Refusal,
    correlation_id,
    html_page,
    invalid,
    rate_limited,
    refusal,
)
from connectors.emulators.hubspot.faults import Fault
from connectors.emulators.hubspot.operations import Call, Operation
from connectors.emulators.hubspot.paths import canonical
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.routes import account, associations, batches, objects, properties
from connectors.emulators.hubspot.routes.control import answer_control
from connectors.emulators.hubspot.search import size_in_characters
from connectors.emulators.hubspot.tokens import Token, require_scopes

# Longer routes first: /objects/contacts/batch/read is not a record called "batch".
OPERATIONS: tuple[Operation, ...] = (
    *batches.OPERATIONS, *associations.OPERATIONS, *objects.OPERATIONS, *properties.OPERATIONS, *account.OPERATIONS,
)  # fmt: skip
CONTROL_PLANE = "/_emulator/"
_JSON_TYPE = "application/json;charset=utf-8"


def create_app(portal: Portal) -> "Front":
    """The ASGI application of a portal."""
    routes = [Route(each.route, _endpoint(portal, each), methods=[each.method]) for each in OPERATIONS]
    routes.append(Route("/oauth/token", _token_endpoint(portal), methods=["POST"]))
    return Front(portal, Starlette(routes=routes))


Endpoint = Callable[[Request], Awaitable[Response]]


def _endpoint(portal: Portal, operation: Operation) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        headers: Mapping[str, str] = {}
        try:
            token = _admitted(portal, operation, request)
            if operation.kind != "search":  # HubSpot shows no windows on answers of search
                headers = portal.windows.headers(token.value, token.oauth)
            answer = _worked(_call(portal, operation, request, raw, token), operation)
        except Refusal as refused:
            answer = refused.answer
        route = _filled(operation.route, request.path_params)
        portal.calls.note(operation.method, route, answer.status, operation.kind, portal.clock.now_ms())
        return _response(answer, headers)

    return endpoint


def _admitted(portal: Portal, operation: Operation, request: Request) -> Token:
    """The token, if it is valid and has not used up its share."""
    now_ms = portal.clock.now_ms()
    token = portal.doorman.admit(request.headers.get("authorization"), now_ms)
    policy = portal.windows.refuse(token.value, operation.kind == "search", now_ms)
    if policy is not None:
        raise Refusal(rate_limited(policy))
    return token


def _call(portal: Portal, operation: Operation, request: Request, raw: bytes, token: Token) -> Call:
    query = {name: tuple(values) for name, values in parse_qs(request.url.query, keep_blank_values=True).items()}
    return Call(
        portal=portal,
        token=token,
        version=request.scope["hubspot_version"],
        path=request.path_params,
        query=query,
        body=_parsed(raw) if operation.method != "GET" else {},
        body_size=size_in_characters(raw),
        base_url=f"https://api.hubapi.com{request.scope['hubspot_path']}",
        started_ms=portal.clock.now_ms(),
    )


def _parsed(raw: bytes) -> Json:
    """The JSON body; a list (as some PUTs send) becomes {"inputs": list}."""
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid input JSON on line {error.lineno}, column {error.colno}: {error.msg}") from error
    if isinstance(body, list):
        return {"inputs": body}
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON: an object is expected")
    return body


def _worked(call: Call, operation: Operation) -> Answer:
    require_scopes(call.token, operation.scopes(call))
    return operation.answer(call)


def _filled(route: str, params: Mapping[str, Any]) -> str:
    """The route with the kinds of objects put in, for counting; ids and names stay placeholders."""
    for name in ("objectType", "fromObjectType", "toObjectType"):
        if name in params:
            route = route.replace(f"{{{name}}}", str(params[name]))
    return route


def _response(answer: Answer, headers: Mapping[str, str]) -> Response:
    body = answer.body if isinstance(answer.body, bytes) else b"" if answer.body is None else orjson.dumps(answer.body)
    shown = (
        {"content-type": _JSON_TYPE, "x-hubspot-correlation-id": correlation_id()} if answer.body is not None else {}
    )
    return Response(body, answer.status, {**shown, **headers, **answer.headers})


def _token_endpoint(portal: Portal) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        form = {
            name: values[-1] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()
        }
        try:
            answer = Answer(200, portal.doorman.grant(form, portal.clock.now_ms()))
        except Refusal as refused:
            answer = refused.answer
        portal.calls.note("POST", "/oauth/token", answer.status, "write", portal.clock.now_ms())
        return _response(answer, {})

    return endpoint


class Front:
    """What stands before the routes: the edge (414, faults), the address book, the control plane."""

    def __init__(self, portal: Portal, routes: Starlette) -> None:
        self.portal = portal
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {**scope, "undated_send": send}  # uvicorn's own, for faults that drop the connection
        send = self._dated(send)
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
        elif scope["path"].startswith(CONTROL_PLANE):
            await self._control(scope, receive, send)
        else:
            await self._edge(scope, receive, send)

    def _dated(self, send: Send) -> Send:
        """Answers carry the portal's time, which tests may advance, and not this machine's."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = formatdate(self.portal.clock.now_ms() / 1000, usegmt=True)
                message["headers"] = [*message.get("headers", ()), (b"date", now.encode())]
            await send(message)

        return dated

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await Request(scope, receive).body()
        name = scope["path"].removeprefix(CONTROL_PLANE).rstrip("/")
        answer = answer_control(self.portal, scope["method"], name, orjson.loads(raw) if raw else {})
        await _response(answer, {})(scope, receive, send)

    async def _edge(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode("latin-1")
        url = f"{scope['path']}?{query}" if query else scope["path"]
        if len(url) > self.portal.manners.max_url:
            await _response(html_page(414, "Request-URI Too Large"), {})(scope, receive, send)
            return
        fault = self.portal.faults.pick(scope["method"], url)
        if fault is None:
            await self._serve(scope, receive, send)
            return
        await asyncio.sleep(fault.hang_s)
        if fault.is_latency:
            await self._serve(scope, receive, send)
        else:
            await self._fail(fault, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = canonical(scope["path"])
        if found is None:
            await _response(refusal(404, "resource not found", "OBJECT_NOT_FOUND").answer, {})(scope, receive, send)
            return
        route, version = found
        inner = {**scope, "path": route, "raw_path": None, "hubspot_version": version, "hubspot_path": scope["path"]}
        await self._routes(inner, receive, send)

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        applies = fault.apply or fault.drop == "after" or fault.body == "truncated"
        real = await self._captured(scope, receive) if applies else None
        status = 0 if fault.drop else 429 if fault.policy else fault.status or (real[0] if real else 200)
        if real is None:  # what was applied has been counted already
            found = canonical(scope["path"])
            kind = (
                "search"
                if scope["path"].rstrip("/").endswith("/search")
                else "read"
                if scope["method"] == "GET"
                else "write"
            )
            route = found[0] if found else scope["path"]
            self.portal.calls.note(scope["method"], route, status, kind, self.portal.clock.now_ms())  # type: ignore[arg-type]
        if fault.drop:
            await _drop(receive, scope["undated_send"])
        else:
            await _response(_faulty(fault, status, real[1] if real else b""), fault.headers)(scope, receive, send)

    async def _captured(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Status and body of the real answer, which nobody gets to see."""
        status, body = 0, bytearray()

        async def capture(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            body.extend(message.get("body", b""))

        await self._serve(scope, receive, capture)
        return status, bytes(body)


def _faulty(fault: Fault, status: int, real: bytes) -> Answer:
    if fault.policy:
        return rate_limited(fault.policy)
    if fault.body == "html":
        return html_page(status, "an error of the edge")
    if fault.body == "truncated":
        return Answer(status, real[: len(real) // 2])
    if fault.body == "not_utf8":
        return Answer(status, b'{"status":"error","message":"caf\xe9"}')
    if fault.body == "empty":
        return Answer(status)
    if fault.body == "no_results":
        return Answer(status, {})
    category = {423: "LOCKED", 477: "MIGRATION_IN_PROGRESS"}.get(status, "INTERNAL_ERROR")
    return refusal(status, f"emulated failure {status}", category).answer


async def _drop(receive: Receive, send: Send) -> None:
    """Close the connection without a byte. uvicorn hands over its own `send`, which knows the transport."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the emulator drops this connection")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        continue
