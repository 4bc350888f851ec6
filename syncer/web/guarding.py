"""What stands before every route: no other site acts in a visitor's name, and every answer says what it may do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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


_OWN_PATH = re.compile(r"/(?![/\\\\])[^\\\\\x00-\x20\x7f]*")


def own_path(to: str | None, otherwise: str = "/") -> str:
    """Where a browser may be sent that said itself where it wants to go: to a page of ours, whatever stands there.
    Browsers read "//", "/\\" and what stands behind a tab as another site's name."""
    return to if to and _OWN_PATH.fullmatch(to) else otherwise


class Guard:
    """ASGI middleware. A route's own headers win over `HEADERS`. `public_url`: where browsers find us, where that is
    known: a proxy may have changed the name under which it asks us."""

    def __init__(self, app: ASGIApp, public_url: Callable[[], str | None]) -> None:
        self._app = app
        self._public_url = public_url

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

        if _from_elsewhere(scope, self._public_url()):
            refusal = Response("this request comes from another site", _FORBIDDEN, media_type="text/plain")
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _from_elsewhere(scope: Scope, public_url: str | None) -> bool:
    """Whether another site has made a browser send this. Browsers tell where a request comes from (Sec-Fetch-Site, and
    Origin with every unsafe method); what is no browser tells nothing, and has no cookie but one that it was given."""
    if scope["method"] in _SAFE or scope["path"].startswith(_SIGNED):
        return False
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site != "same-origin"
    return origin is not None and not is_ours(origin, headers.get("host", ""), public_url)


def is_ours(address: str, host: str, public_url: str | None) -> bool:
    """Whether an origin, or the address of a page, is of this site. "null" is the origin of a page that hides it."""
    try:
        asked, public = urlsplit(address), urlsplit(public_url or "")
        name = asked.netloc.lower()
    except ValueError:
        return False
    if not name or asked.scheme not in ("http", "https"):
        return False
    if name == public.netloc.lower():
        return asked.scheme == public.scheme
    return name == host.lower()
