"""Files that are sent while they are made: as large as the base, in bounded memory, and longer under way than a page.

Whoever reads one too slowly, or not at all, is let go by the server (`server.py`), which looks at the pulse.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from syncer.store import audit
from syncer.store.audit import Entry
from syncer.web.desk import Desk
from syncer.web.site import Failure, Site, language_of, read
from syncer.web.views import Asking, Download

log = structlog.get_logger(__name__)

AT_ONCE = 2  # files under way
PART_S = 120.0  # how long the next part of one may take to be made; a workbook is one part
PULSE = "pulse"  # in the `state` of a request's scope

_LATER = 503
_NO_MORE, _BROKEN = object(), object()


class Gone(Exception):
    """Nobody waits for the file any more."""


class _CutOff(Exception):
    """A part of the file could not be made."""


class Pulse:
    """Beats as long as a file is being made and taken. For any thread."""

    def __init__(self) -> None:
        self.beat_at = time.monotonic()  # which is the event loop's clock, too
        self.gone = False

    def beat(self) -> None:
        """Gone where nobody waits any more."""
        if self.gone:
            raise Gone
        self.beat_at = time.monotonic()


def pulse_of(scope: Any) -> Pulse | None:
    """Of the request that is being answered; None: it is answered at once."""
    found = (scope or {}).get("state", {}).get(PULSE)
    return found if isinstance(found, Pulse) else None


class _Parts:
    """The parts of a file, for several threads, one after the other."""

    def __init__(self, parts: Generator[bytes, None, None]) -> None:
        self._parts, self._lock = parts, threading.Lock()

    def next(self) -> object:
        try:
            with self._lock:
                return next(self._parts, _NO_MORE)
        except Gone:
            return _NO_MORE
        except Exception:
            log.exception("download_broke")
            return _BROKEN

    def close(self) -> None:
        """What it holds, as temporary files, is let go of."""
        with self._lock:
            self._parts.close()


@dataclass(frozen=True)
class Downloads:
    """The files of a site, a few at a time."""

    site: Site
    _desk: Desk = field(default_factory=lambda: Desk(AT_ONCE))
    _places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))

    def routes(self, downloads: Sequence[Download[Any]]) -> list[BaseRoute]:
        return [Route(each.path, self._given(each), methods=["GET"]) for each in downloads]

    def _given(self, download: Download[Any]) -> Callable[[Request], Awaitable[Response]]:
        begin = self.site.giving(download.role, download, self._begun)

        async def given(request: Request) -> Response:
            if not self._places.acquire(blocking=False):
                return self.site.failure(request, Failure(_LATER))
            answer: Response | None = None
            try:
                answer = await begin(request)
                return answer
            finally:
                if not isinstance(answer, _Stream):  # which gives it back itself
                    self._places.release()

        return given

    def _begun(self, request: Request, download: Download[Any], asking: Asking, values: Any) -> Response:
        asked = read(download.asked, values, request.path_params)
        language, pulse = language_of(request, asking.app.project.language), Pulse()
        headers = {"Content-Disposition": f'attachment; filename="{download.name(asking)}"'}
        if request.method == "HEAD":
            return Response(headers=headers, media_type=download.media_type)
        _note(download, asking)
        parts = _Parts(download.parts(asking, asked, language, pulse.beat))
        answer = _Stream(self._body(parts, pulse), headers=headers, media_type=download.media_type)
        answer.pulse, answer.ended = pulse, lambda: self._end(parts)
        return answer

    def _end(self, parts: _Parts) -> None:
        """In a thread of its own, for one may be at work on the next part still."""
        parts.close()
        self._places.release()

    async def _body(self, parts: _Parts, pulse: Pulse) -> AsyncIterator[bytes]:
        while (part := await self._desk.ask(parts.next, _BROKEN, PART_S)) is not _NO_MORE:
            if not isinstance(part, bytes):
                raise _CutOff  # the connection ends before the file does, so that nobody takes it for whole
            pulse.beat_at = time.monotonic()
            if part:
                yield part


def _note(download: Download[Any], asking: Asking) -> None:
    """What was sought is not kept: it may be somebody's name."""
    app = asking.app
    with app.store.writing() as tx:
        audit.note(tx, Entry(app.clock(), asking.who.name, "export", download.path.lstrip("/"), asking.address))


class _Stream(StreamingResponse):
    """An answer whose place is given back however it ends."""

    pulse: Pulse
    ended: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})[PULSE] = self.pulse
        try:
            await super().__call__(scope, receive, send)
        except _CutOff:
            log.warning("download_cut_off", path=scope["path"])
            raise
        finally:
            self.pulse.gone = True  # whatever is still being made is given up
            threading.Thread(target=self.ended, daemon=True, name="download").start()
