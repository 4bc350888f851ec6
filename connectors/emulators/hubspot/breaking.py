"""What a fault does to one request: hang, work a part of it, answer something else, drop the connection."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.emulators.hubspot.answers import Answer, Json, batch, html_page, rate_limited, refusal
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.faults import Fault, split
from connectors.emulators.hubspot.wire import again

_POLL_S = 0.01
_SWAPPED = {200: 201, 201: 200, 204: 200, 207: 200}
_CATEGORIES = {423: "LOCKED", 477: "MIGRATION_IN_PROGRESS"}


@dataclass(frozen=True, slots=True)
class Worked:
    """The real answer, which its caller does not get to see as it is."""

    status: int
    body: bytes


async def work(app: ASGIApp, scope: Scope, raw: bytes) -> Worked:
    """Let the portal do a request's work and keep the answer."""
    status, body = 0, bytearray()

    async def keep(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    await app(scope, again(raw, _nothing_more), keep)
    return Worked(status, bytes(body))


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


async def work_in_part(app: ASGIApp, scope: Scope, raw: bytes, now_ms: int) -> tuple[Worked | None, Answer]:
    """Work every second input of a batch: what the portal answered to those, and the 207 that speaks of all.

    A batch that the portal refuses as a whole is refused; nothing is asked of it when no input is left.
    """
    request = _json(raw)
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        real = await work(app, scope, raw)
        return real, Answer(real.status, real.body)
    kept, lost = split(inputs)
    if not kept:
        return None, _partly(batch(now_ms, now_ms, ()), lost)
    real = await work(app, scope, orjson.dumps(request | {"inputs": kept}))
    if not 200 <= real.status < 300:
        return real, Answer(real.status, real.body)
    return real, _partly(_json(real.body) or batch(now_ms, now_ms, ()), lost)


def _json(raw: bytes) -> Json:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _partly(body: Json, lost: list[Any]) -> Answer:
    errors = [*body.get("errors", ()), *(_lost(each) for each in lost)]
    return Answer(207, body | {"errors": errors, "numErrors": int(body.get("numErrors", 0)) + len(lost)})


def _lost(given: Any) -> Json:
    """An input's error. Its words are made up: nobody has recorded a passing fault inside a 207."""
    raw: Json = given if isinstance(given, dict) else {}
    keys = {"ids": raw.get("id"), "objectWriteTraceId": raw.get("objectWriteTraceId"), "name": raw.get("name")}
    if isinstance(raw.get("from"), dict):
        keys["fromObjectId"] = raw["from"].get("id")
    context = {key: [str(value)] for key, value in keys.items() if value is not None}
    message = "There was a problem with the request; it may succeed when it is tried again."
    return {"status": "error", "category": "INTERNAL_ERROR", "message": message, "context": context}


async def hang(clock: Clock, seconds: float, receive: Receive) -> bool:
    """Wait until so many seconds have passed by the portal's clock or by this machine's; False if the caller left."""
    ends_s, due_ms = time.monotonic() + seconds, clock.now_ms() + seconds * 1000
    leaving = asyncio.ensure_future(_left(receive))
    try:
        while time.monotonic() < ends_s and clock.now_ms() < due_ms and not leaving.done():
            await asyncio.sleep(max(0.0, min(_POLL_S, ends_s - time.monotonic())))
        return not leaving.done()
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def faulty(fault: Fault, real: Worked | None) -> Answer:
    """What the caller gets instead of the real answer."""
    status = 0 if fault.drop else 429 if fault.policy else fault.status or (real.status if real else 200)
    if fault.drop:
        return Answer(status)
    if fault.policy:
        return rate_limited(fault.policy)
    if fault.body == "real" and real is not None:
        return Answer(fault.status or _SWAPPED.get(real.status, real.status), real.body or None)
    if fault.body == "truncated" and real is not None:
        return Answer(status, real.body[: len(real.body) // 2])
    if fault.body in ("empty", "no_results"):
        return Answer(status, {} if fault.body == "no_results" else None)
    if fault.body == "html":
        return html_page(status, "an error of the edge")
    if fault.body == "not_utf8":
        return Answer(status, b'{"status":"error","message":"caf\xe9"}')
    return refusal(status, f"emulated failure {status}", _CATEGORIES.get(status, "INTERNAL_ERROR")).answer


async def break_off(real: Worked, send: Send) -> None:
    """Begin the real answer and send half of it; the caller was promised all."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(real.body)).encode())]
    await send({"type": "http.response.start", "status": real.status, "headers": headers})
    await send({"type": "http.response.body", "body": real.body[: len(real.body) // 2], "more_body": True})


async def drop(receive: Receive, send: Send) -> None:
    """Close the connection without another byte. uvicorn hands over its own `send`, which knows the transport."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the emulator drops this connection")
    transport.abort()
    await _left(receive)
