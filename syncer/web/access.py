"""Who may come in to the pages and the API."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from syncer.app import App
from syncer.web.views import Viewer

_FORBIDDEN = 403


class Access:
    """The gate: at this machine everybody is the admin; from elsewhere nobody comes in without a sign-in."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now

    def viewer(self, request: Request) -> Viewer | Response:
        web = self._now().project.web
        if web is not None and is_loopback(web.host) and is_loopback(request.url.hostname or ""):
            return Viewer("here", "admin", "here", masked=False)
        return Response("sign-in is not set up", _FORBIDDEN, media_type="text/plain")


def is_loopback(host: str) -> bool:
    """Whether a name as it is written in an address means this machine alone."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
