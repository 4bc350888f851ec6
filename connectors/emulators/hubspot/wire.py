"""Answers as bytes on the wire, and requests that are read twice."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive

from connectors.emulators.hubspot.answers import Answer, correlation_id

_JSON_TYPE = "application/json;charset=utf-8"


def respond(answer: Answer, headers: Mapping[str, str] | None = None) -> Response:
    """The response for an answer; its own headers win."""
    body = answer.body if isinstance(answer.body, bytes) else b"" if answer.body is None else orjson.dumps(answer.body)
    shown = (
        {"content-type": _JSON_TYPE, "x-hubspot-correlation-id": correlation_id()} if answer.body is not None else {}
    )
    return Response(body, answer.status, {**shown, **(headers or {}), **answer.headers})


def again(raw: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever comes after it."""
    waiting = [raw]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
