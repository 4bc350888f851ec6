"""The HTTP side: in front the edge (431, faults), the control plane and the ways in; behind it the REST resources."""

import re
from email.utils import formatdate

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.salesforce.errors import not_found
from connectors.emulators.salesforce.http.breaking import begin_answer, drop, faulty, hang, work
from connectors.emulators.salesforce.http.control import answer_control
from connectors.emulators.salesforce.http.faults import Fault
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.login import login_routes
from connectors.emulators.salesforce.http.resources import DATA, Resources
from connectors.emulators.salesforce.http.wire import again, bad_message, refused, respond

CONTROL_PLANE = "/_emulator/"


def create_app(instance: Instance) -> "Front":
    """The ASGI application of an instance."""
    return Front(instance)


class Front:
    """What stands before the resources."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._ways_in = Starlette(routes=login_routes(instance))
        self._resources = Resources(instance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = {**scope, "undated_send": send}  # uvicorn's own, for faults that drop the connection
        if scope["path"].startswith(CONTROL_PLANE):
            await self._control(scope, receive, send)
            return
        number = self.instance.usage.begin(self.instance.now_s)
        try:
            await self._edge(scope, receive, self._dated(send))
        finally:
            self.instance.usage.end(number)

    def _dated(self, send: Send) -> Send:
        """Answers carry the org's time, which tests may advance, and not this machine's."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = formatdate(self.instance.now_s, usegmt=True)
                message["headers"] = [*message.get("headers", ()), (b"date", now.encode())]
            await send(message)

        return dated

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        name = scope["path"].removeprefix(CONTROL_PLANE).rstrip("/")
        raw = await request.body()
        answer = answer_control(self.instance, scope["method"], name, orjson.loads(raw) if raw else {})
        await respond(answer, request.headers)(scope, receive, send)

    async def _edge(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = _url(scope)
        if _head_size(scope) > self.instance.manners.max_head:
            await respond(bad_message(), {})(scope, receive, send)
            self.instance.calls.note(scope["method"], scope["path"], 431, self.instance.now_s)
            return
        if not self.instance.faults.on:
            await self._serve(scope, receive, send)
            return
        raw = await Request(scope, receive).body()
        fault = self.instance.faults.pick(scope["method"], url, raw)
        if fault is None:
            await self._serve(scope, again(raw, receive), send)
        else:
            await self._strike(fault, raw, scope, receive, send)

    async def _strike(self, fault: Fault, raw: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.expire:
            self.instance.doorman.end(_header(scope, b"authorization"))
        real = await work(self._serve, scope, raw) if fault.applies else None
        stayed = await hang(self.instance.org.clock, fault.hang_s, receive) if self._waits(fault) else True
        if stayed and (fault.passes or fault.body == "partial"):
            self.instance.calls.strike(fault.kind, None)
            await self._serve({**scope, "quirk": fault}, again(raw, receive), send)
            return
        answer = faulty(fault, real)
        self._count(fault, scope, None if real else answer.status if stayed else 0)
        if stayed and real is not None and fault.drop in ("midway", "stalled"):
            await begin_answer(real, send)
            if fault.drop == "stalled":
                await hang(self.instance.org.clock, fault.hang_s, receive)
        if fault.drop or not stayed:
            await drop(receive, scope["undated_send"])
        else:
            asked = {} if fault.body in ("truncated", "not_utf8", "real") else Request(scope).headers
            await respond(answer, asked, fault.headers)(scope, receive, send)

    def _waits(self, fault: Fault) -> bool:
        return bool(fault.hang_s) and fault.drop != "stalled"

    def _count(self, fault: Fault, scope: Scope, status: int | None) -> None:
        """Note what was struck; `status` None when the org worked the request and has counted it already."""
        if status is not None:
            self.instance.calls.note(scope["method"], _route(scope["path"]), status, self.instance.now_s)
        self.instance.calls.strike(fault.kind, status)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == DATA or path.startswith(f"{DATA}/"):
            await self._data(scope, receive, send)
        elif path.startswith("/services/") or path.startswith("/id/"):
            await self._ways_in(scope, receive, send)
        else:
            await respond(refused(not_found()), {})(scope, receive, send)

    async def _data(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer, headers = self._resources.answer(request, await request.body())
        calls, method = self.instance.calls, scope["method"]
        calls.note(method, _route(scope["path"]), answer.status, self.instance.now_s)
        calls.log.append(
            {"at": self.instance.org.clock.stamp(), "method": method, "url": _url(scope), "status": answer.status}
        )
        await respond(answer, request.headers, headers)(scope, receive, send)


def _url(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for each, value in scope["headers"] if each == name), None)


def _head_size(scope: Scope) -> int:
    """Bytes of the request line and the headers, as they came."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    line = len(scope["method"]) + len(raw_path) + len(scope["query_string"]) + len(" ? HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


_ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?(?:-\d+)?")


def _route(path: str) -> str:
    """A path for counting: without its version, ids put aside."""
    bare = re.sub(r"^/services/data/v\d+\.\d+", "", path)
    parts = ["{id}" if _is_id(each) else each for each in bare.split("/")]
    if len(parts) == 5 and parts[1] == "sobjects" and parts[3] != "{id}" and parts[2] != "{id}":
        parts[4] = "{value}"
    return "/".join(parts).rstrip("/") or bare or path


def _is_id(part: str) -> bool:
    return bool(_ID.fullmatch(part)) and any(sign.isdigit() for sign in part)
