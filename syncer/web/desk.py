"""Blocking work at the door of an asynchronous server: done in threads, in bounded time and memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

T = TypeVar("T")
U = TypeVar("U")

MOST_BYTES = 1_000_000  # of a body; a hundred events of HubSpot are some 50 kB
BODY_S = 2.0  # how long a request may take to arrive
WORK_S = 2.0  # how long the database may take

_TOO_SLOW, _TOO_LARGE = 408, 413


class Desk:
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
            async with asyncio.timeout(within_s or WORK_S):  # wait_for would lose a cancellation that comes just then
                return await asyncio.wrap_future(done)
        except TimeoutError:
            return otherwise

    def _do(self, work: Callable[[], T], done: Future[T]) -> None:
        try:
            found = work()
        finally:
            self._places.release()  # before anybody hears of it: whoever asks again then has a place
        done.set_result(found)


async def body_of(request: Request) -> bytes | Response:
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
