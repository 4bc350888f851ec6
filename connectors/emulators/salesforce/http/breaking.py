"""What a fault does to one request: hang, work it out of sight, answer something else, drop the connection."""

import asyncio
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.faults import Fault, refusal_of
from connectors.emulators.salesforce.http.wire import Answer, again, bad_message, html_page, refused

_POLL_S = 0.01
_SWAPPED = {200: 201, 201: 200, 204: 200}


@dataclass(frozen=True, slots=True)
class Worked:
    """The real answer, which its caller does not get to see as it is."""

    status: int
    body: bytes
    content_type: str


async def work(app: ASGIApp, scope: Scope, raw: bytes) -> Worked:
    """Let the org do a request's work and keep the answer, unzipped."""
    status, body, content_type = 0, bytearray(), ""

    async def keep(message: Message) -> None:
        nonlocal status, content_type
        status = message.get("status", status)
        for name, value in message.get("headers", ()):
            content_type = value.decode() if name == b"content-type" else content_type
        body.extend(message.get("body", b""))

    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    await app({**scope, "headers": headers}, again(raw, _nothing_more), keep)
    return Worked(status, bytes(body), content_type)


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


async def hang(clock: Clock, seconds: float, receive: Receive) -> bool:
    """Wait until so many seconds have passed by the org's clock or by this machine's; False if the caller left."""
    ends_s, due_s = time.monotonic() + seconds, clock.now_s() + seconds
    leaving = asyncio.ensure_future(_left(receive))
    try:
        while time.monotonic() < ends_s and clock.now_s() < due_s and not leaving.done():
            await asyncio.sleep(max(0.0, min(_POLL_S, ends_s - time.monotonic())))
        return not leaving.done()
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def faulty(fault: Fault, real: Worked | None) -> Answer:
    """What the caller gets instead of the real answer."""
    status = fault.status or (real.status if real else 200)
    if fault.drop:
        return Answer(0)
    if fault.body in ("real", "truncated") and real is not None:
        headers = {"content-type": real.content_type} if real.content_type else {}
        if fault.body == "truncated":
            return Answer(status, real.body[: len(real.body) // 2], headers)
        return Answer(fault.status or _SWAPPED.get(real.status, real.status), real.body or None, headers)
    if fault.code is not None or fault.expire:
        return refused(refusal_of(fault.code or "INVALID_SESSION_ID"))
    if fault.body == "html":
        return bad_message() if status == 431 else html_page(status, "Something went wrong in front of the org")
    if fault.body == "not_utf8":
        return Answer(status, b'[{"message":"caf\xe9","errorCode":"UNKNOWN_EXCEPTION"}]')
    if fault.body == "empty":
        return Answer(status)
    return refused(Refusal(status, "UNKNOWN_EXCEPTION", f"emulated failure {status}"))


async def begin_answer(real: Worked, send: Send) -> None:
    """Begin the real answer and send half of it; the caller was promised all."""
    length = str(max(len(real.body), 2)).encode()
    headers = [(b"content-type", real.content_type.encode() or b"application/json"), (b"content-length", length)]
    status = 200 if real.status == 204 else real.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": real.body[: len(real.body) // 2], "more_body": True})


async def drop(receive: Receive, send: Send) -> None:
    """Close the connection without another byte. uvicorn hands over its own `send`, which knows the transport."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the emulator drops this connection")
    transport.abort()
    await _left(receive)
