"""Who may come in to the pages and the API.

At this machine everybody is the admin, as whoever can read the database's file is anyway. That holds only as long as
nothing hints at anybody from elsewhere: not the address that is listened at, not the name under which we were asked (a
page in a browser here may have been told that its own server's name means this machine), not a proxy before us.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import quote, urlsplit

import structlog
from sqlalchemy import Connection
from starlette.requests import Request

from syncer.app import App
from syncer.errors import SyncerError
from syncer.queries import signing_in
from syncer.settings import Web
from syncer.settings.sign_in import Role, SignIn, is_loopback
from syncer.store import api_tokens, sessions
from syncer.web.site import Failure, is_api, own_address, phrase_of
from syncer.web.views import Viewer

log = structlog.get_logger(__name__)

SEEN_EVERY = timedelta(minutes=1)  # no sooner is it written down that a session or a token was used
_NOBODY, _FORBIDDEN = 401, 403
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_PLAIN_COOKIE, _SECURE_COOKIE = "syncer_session", "__Host-syncer_session"


class Access:
    """The gate. For any thread."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now
        self._seen = _Seen(now)

    def viewer(self, request: Request) -> Viewer | Failure:
        """Who asks; else why nobody does."""
        app = self._now()
        web = app.project.web
        if web is None:
            return Failure(_FORBIDDEN, phrase_of(request, app, "signing_elsewhere"))
        if web.sign_in is None and not _is_here(request, web):
            return Failure(_FORBIDDEN, phrase_of(request, app, "signing_elsewhere"))
        if "authorization" in request.headers:  # then nothing else says who asks
            return self._by_token(request, app, web)
        if web.sign_in is None:
            return Viewer("here", "admin", "here")
        return self._by_session(request, app, web.sign_in)

    def _by_token(self, request: Request, app: App, web: Web) -> Viewer | Failure:
        kind, _, value = request.headers["authorization"].partition(" ")
        token = signing_in.token_of(app, value.strip()) if kind.lower() == "bearer" and is_api(request) else None
        if token is None:
            return Failure(_NOBODY, phrase_of(request, app, "signing_no_token"))
        self._seen.note(("token", str(token.id)), token.used_at, lambda tx, at: api_tokens.used(tx, token.id, at))
        return _viewer(token.name, token.role, "token", web)

    def _by_session(self, request: Request, app: App, sign_in: SignIn) -> Viewer | Failure:
        value = session_value(request, app)
        found = signing_in.session_of(app, sign_in, value) if value else None
        if found is None:
            return Failure(_NOBODY, phrase_of(request, app, "signing_needed"), to=sign_in_address(request))
        self._seen.note(("session", found.digest), found.seen_at, lambda tx, at: sessions.seen(tx, found.digest, at))
        return _viewer(found.user, found.role, found.source, cast("Web", app.project.web))


def _viewer(name: str, role: str, source: str, web: Web) -> Viewer:
    masked = web.mask_emails and role == "viewer"
    return Viewer(name, cast("Role", role), source, masked)  # type: ignore[arg-type]


def _is_here(request: Request, web: Web) -> bool:
    """Whether whoever asks sits at this machine. What was listened at counts, too: the file may have changed since."""
    bound = (request.scope.get("server") or ("", 0))[0]
    public = urlsplit(web.public_url).hostname if web.public_url else "localhost"
    names = (web.host, bound, asked_host(request), public or "")
    return all(map(is_loopback, names)) and not any(name in request.headers for name in _PASSED_ON)


def asked_host(request: Request) -> str:
    """The name under which we were asked, without its port; "" for what makes no sense."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def sign_in_address(request: Request) -> str:
    """Where to sign in, to come back to what was to be looked at."""
    to = own_address(request) if request.method == "GET" else "/"
    return "/sign-in" if to == "/" else f"/sign-in?to={quote(to, safe='/')}"


def is_secure(app: App) -> bool:
    """Whether people reach us over HTTPS."""
    web = app.project.web
    return web is not None and (web.public_url or "").startswith("https://")


def session_cookie(app: App) -> str:
    """Its name; `__Host-` has the browser see to it that no other name in our domain can lay one under."""
    return _SECURE_COOKIE if is_secure(app) else _PLAIN_COOKIE


def session_value(request: Request, app: App) -> str | None:
    return request.cookies.get(session_cookie(app))


class _Seen:
    """Writes down that something was used, beside the request: a page does not wait for whoever writes just now."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._writing: set[tuple[str, str]] = set()

    def note(self, key: tuple[str, str], last: datetime | None, write: Callable[[Connection, datetime], None]) -> None:
        at = self._now().clock()
        if last is not None and at - last < SEEN_EVERY:
            return
        with self._guard:
            if key in self._writing:
                return
            self._writing.add(key)
        threading.Thread(target=self._write, args=(key, at, write), daemon=True, name="seen").start()

    def _write(self, key: tuple[str, str], at: datetime, write: Callable[[Connection, datetime], None]) -> None:
        try:
            with self._now().store.writing() as tx:
                write(tx, at)
        except SyncerError as failure:
            log.debug("use_unwritten", reason=failure.message)  # the runs tell of an outage
        finally:
            with self._guard:
                self._writing.discard(key)
