"""The HTTP side: Starlette routes for every operation, and in front of them addresses, faults and the control plane."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.hubspot.answers import Answer, Json, Refusal, html_page, invalid, rate_limited, refusal
from connectors.emulators.hubspot.breaking import break_off, drop, faulty, hang, work, work_in_part
from connectors.emulators.hubspot.calls import Kind
from connectors.emulators.hubspot.faults import Fault
from connectors.emulators.hubspot.oauth import oauth_routes
from connectors.emulators.hubspot.operations import Call, Operation
from connectors.emulators.hubspot.paths import canonical
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.routes import (
    account,
    associations,
    batches,
    events,
    library,
    marketing,
    objects,
    properties,
)
from connectors.emulators.hubspot.routes.control import SLOW_CONTROLS, answer_control
from connectors.emulators.hubspot.search import size_in_characters
from connectors.emulators.hubspot.tokens import Token, require_scopes
from connectors.emulators.hubspot.wire import again, respond

# Longer routes first: /objects/contacts/batch/read is not a record called "batch".
OPERATIONS: tuple[Operation, ...] = (
    *batches.OPERATIONS, *associations.OPERATIONS, *objects.OPERATIONS, *properties.OPERATIONS, *account.OPERATIONS,
    *marketing.OPERATIONS, *events.OPERATIONS, *library.OPERATIONS,
)  # fmt: skip
CONTROL_PLANE = "/_emulator/"


def create_app(portal: Portal) -> "Front":
    """The ASGI application of a portal."""
    routes = [Route(each.route, _endpoint(portal, each), methods=[each.method]) for each in OPERATIONS]
    return Front(portal, Starlette(routes=[*routes, *oauth_routes(portal)]))


Endpoint = Callable[[Request], Awaitable[Response]]


def _endpoint(portal: Portal, operation: Operation) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        headers: Mapping[str, str] = {}
        try:
            token = _admitted(portal, operation, request)
            if operation.kind != "search":  # HubSpot shows no windows on answers of search
                headers = portal.windows.headers(token)
            answer = _worked(_call(portal, operation, request, raw, token), operation)
        except Refusal as refused:
            answer = refused.answer
        route = _filled(operation.route, request.path_params)
        portal.calls.note(operation.method, route, answer.status, operation.kind, portal.clock.now_ms())
        return respond(answer, headers)

    return endpoint


def _admitted(portal: Portal, operation: Operation, request: Request) -> Token:
    """The token, if it is valid and has not used up its share."""
    now_ms = portal.clock.now_ms()
    token = portal.doorman.admit(request.headers.get("authorization"), now_ms)
    policy = portal.windows.refuse(token, operation.kind == "search", now_ms)
    if policy is not None:
        wait_s = portal.windows.wait_s(policy, token, now_ms)
        headers = {"Retry-After": str(wait_s)} if portal.manners.retry_after_on_429 else {}
        raise Refusal(replace(rate_limited(policy), headers=headers))
    if operation.kind == "write" and portal.windows.locks(portal.manners.lock_after_writes, now_ms):
        raise refusal(423, "The records are locked because many are being written; try again later.", "LOCKED")
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
        asked = (self.portal, scope["method"], name, orjson.loads(raw) if raw else {})
        if name in SLOW_CONTROLS:  # in a thread: what waits for a subscriber must not keep the portal from answering it
            answer = await asyncio.to_thread(answer_control, *asked)
        else:
            answer = answer_control(*asked)
        await respond(answer)(scope, receive, send)

    async def _edge(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode("latin-1")
        url = f"{scope['path']}?{query}" if query else scope["path"]
        if len(url) > self.portal.manners.max_url:
            await respond(html_page(414, "Request-URI Too Large"))(scope, receive, send)
            return
        if not self.portal.faults.on:
            await self._serve(scope, receive, send)
            return
        raw = await Request(scope, receive).body()
        fault = self.portal.faults.pick(scope["method"], url, raw)
        if fault is None:
            await self._serve(scope, again(raw, receive), send)
        else:
            await self._strike(fault, raw, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = canonical(scope["path"])
        if found is None:
            await respond(refusal(404, "resource not found", "OBJECT_NOT_FOUND").answer)(scope, receive, send)
            return
        route, version = found
        inner = {**scope, "path": route, "raw_path": None, "hubspot_version": version, "hubspot_path": scope["path"]}
        await self._routes(inner, receive, send)

    async def _strike(self, fault: Fault, raw: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        now_ms, partly, real = self.portal.clock.now_ms(), None, None
        if fault.body == "partial":
            real, partly = await work_in_part(self._serve, scope, raw, now_ms)
        elif fault.applies:
            real = await work(self._serve, scope, raw)
        stayed = await hang(self.portal.clock, fault.hang_s, receive) if fault.hang_s else True
        if fault.is_latency and stayed:
            self.portal.calls.strike(fault.kind, None)
            await self._serve(scope, again(raw, receive), send)
            return
        answer = partly or faulty(fault, real)
        self._count(fault, scope, None if real else answer.status if stayed else 0)
        if fault.drop == "midway" and real is not None and real.body and stayed:
            await break_off(real, send)
        if fault.drop or not stayed:
            await drop(receive, scope["undated_send"])
        else:
            await respond(answer, fault.headers)(scope, receive, send)

    def _count(self, fault: Fault, scope: Scope, status: int | None) -> None:
        """Note what was struck; `status` None when the portal worked the request and has counted it already."""
        if status is not None:
            found, method = canonical(scope["path"]), scope["method"]
            is_search = scope["path"].rstrip("/").endswith("/search")
            kind: Kind = "search" if is_search else "read" if method == "GET" else "write"
            route = found[0] if found else scope["path"]
            self.portal.calls.note(method, route, status, kind, self.portal.clock.now_ms())
        self.portal.calls.strike(fault.kind, status)
