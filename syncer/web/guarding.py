"""What stands before every route: no other site acts in a visitor's name, and every answer says what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
_SAFE = ("GET", "HEAD", "OPTIONS")
_SIGNED = ("/hooks/", "/answers/", "/slack/")  # come from elsewhere by their nature, and prove themselves
_FORBIDDEN = 403


class Guard:
    """ASGI middleware. A route's own headers win over `HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if _from_elsewhere(scope):
            refusal = Response("this request comes from another site", _FORBIDDEN, media_type="text/plain")
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _from_elsewhere(scope: Scope) -> bool:
    """Whether another site has made a browser send this. Browsers tell where a request comes from (Sec-Fetch-Site, and
    Origin with every unsafe method); what is no browser tells nothing and holds no cookie that it was not given."""
    if scope["method"] in _SAFE or scope["path"].startswith(_SIGNED):
        return False
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site != "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
