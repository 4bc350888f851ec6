"""Signing in and out, and the choice of a language: what sets a cookie, and so is no action like the others."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog
from pydantic import ConfigDict, SecretStr, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from syncer.app import App
from syncer.errors import SyncerError, TemporaryError
from syncer.log import redact
from syncer.queries import signing_in
from syncer.queries.signing_in import Attempt, Provided, Refusal
from syncer.settings.sign_in import SignIn
from syncer.settings.values import Language
from syncer.web.access import is_secure, session_cookie, session_value
from syncer.web.desk import Desk, body_of
from syncer.web.guarding import own_path
from syncer.web.oidc import FORGOTTEN, Begun, NotLetIn, Provider
from syncer.web.site import LANGUAGE_COOKIE, MOST_FIELDS, PAGE_S, Failure, Shown, Site, phrase_of, read, tell_next
from syncer.web.views import Asked, Viewer

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 4  # who sign in; a flood of them takes no place of those who look at pages
_BEGUN_FOR_S = 600  # how long one may take at the provider
_A_YEAR_S = 31_536_000
_SEE_OTHER, _BAD, _NOBODY, _FORBIDDEN, _OFTEN, _BROKEN, _LATER = 303, 400, 401, 403, 429, 500, 503
_STATUS = {"wrong": _NOBODY, "often": _OFTEN, "taken": _FORBIDDEN}
_BACK = "/sign-in/oidc/back"


class SignInForm(Asked):
    model_config = ConfigDict(str_strip_whitespace=False)

    name: str = ""
    password: SecretStr = SecretStr("")
    to: str = "/"


class LanguageForm(Asked):
    language: Language
    to: str = "/"


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Why somebody does not come in: a phrase and what fills it, and the name that they typed."""

    said: str
    status: int
    name: str = ""
    facts: dict[str, str] = field(default_factory=dict)


class Signing:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._desk = Desk(MOST_AT_ONCE)
        self._provider = Provider()

    def routes(self) -> list[BaseRoute]:
        known = [
            ("/sign-in", "GET", self._look), ("/sign-in", "POST", self._enter), ("/sign-in/oidc", "GET", self._leave),
            (_BACK, "GET", self._come_back), ("/sign-out", "POST", self._sign_out),
            ("/language", "POST", self._choose_language),
        ]  # fmt: skip
        return [Route(path, self._answering(work), methods=[method]) for path, method, work in known]

    def _answering(self, work: Callable[[Request, App, list[tuple[str, str]]], Response]) -> Any:
        """In a thread, with what stands in the form or in the address."""

        async def answer(request: Request) -> Response:
            body = await body_of(request) if request.method == "POST" else b""
            if isinstance(body, Response):
                return body
            try:
                text = body.decode() if request.method == "POST" else request.url.query
                values = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
            except ValueError:
                return self._site.failure(request, Failure(_BAD, self._site.said(request, "the form cannot be read")))
            done = await self._desk.ask(lambda: self._answer(request, work, values), None, PAGE_S)
            return self._site.failure(request, Failure(_LATER)) if done is None else done

        return answer

    def _answer(self, request: Request, work: Any, values: list[tuple[str, str]]) -> Response:
        try:
            answer: Response = work(request, self._site.now(), values)
        except TemporaryError as failure:
            return self._site.failure(request, Failure(_LATER, self._said(request, failure), failure.code))
        except SyncerError as failure:
            return self._site.failure(request, Failure(_BAD, self._said(request, failure), failure.code))
        except ValidationError:
            return self._site.failure(request, Failure(_BAD, self._site.said(request, "the form is not one of ours")))
        except Exception:
            log.exception("sign_in_crashed", path=request.url.path)
            return self._site.failure(request, Failure(_BROKEN))
        return answer

    def _said(self, request: Request, failure: SyncerError) -> str:
        return self._site.said(request, redact(failure.message))

    # by a password

    def _look(self, request: Request, app: App, values: list[tuple[str, str]]) -> Response:
        sign_in = _sign_in(app)
        if sign_in is None:
            return self._not_set_up(request)
        return self._form(request, sign_in, own_path(dict(values).get("to")))

    def _not_set_up(self, request: Request) -> Response:
        who = self._site.gate.viewer(request)
        return RedirectResponse("/", _SEE_OTHER) if isinstance(who, Viewer) else self._site.failure(request, who)

    def _form(self, request: Request, sign_in: SignIn, to: str, wrong: _Wrong | None = None) -> Response:
        status = 200 if wrong is None else wrong.status
        facts = {
            "problem": phrase_of(request, self._site.now(), wrong.said, **wrong.facts) if wrong else "",
            "to": to, "name": wrong.name if wrong else "", "passwords": sign_in.passwords,
            "oidc": sign_in.oidc is not None,
        }  # fmt: skip
        page = self._site.page(request, Shown("sign_in.html.j2", facts, None, status=status))
        if status == _OFTEN:
            page.headers["Retry-After"] = str(round(signing_in.WINDOW.total_seconds()))
        return page

    def _enter(self, request: Request, app: App, values: list[tuple[str, str]]) -> Response:
        sign_in = _sign_in(app)
        if sign_in is None:
            return self._not_set_up(request)
        form = read(SignInForm, values, {})
        to = own_path(form.to)
        if not sign_in.passwords:
            return self._form(request, sign_in, to, _Wrong("signing_wrong", _NOBODY, form.name))
        before = session_value(request, app)
        attempt = Attempt(form.name, form.password.get_secret_value(), _address(request), before)
        found = signing_in.by_password(app, sign_in, attempt)
        if isinstance(found, Refusal):
            return self._form(request, sign_in, to, _Wrong(f"signing_{found.why}", _STATUS[found.why], form.name))
        return _with_session(app, RedirectResponse(to, _SEE_OTHER), found)

    # by an identity provider

    def _leave(self, request: Request, app: App, values: list[tuple[str, str]]) -> Response:
        """A link and no form: browsers hold what a form leads to against our policy."""
        sign_in = _sign_in(app)
        if sign_in is None or sign_in.oidc is None:
            return self._not_set_up(request)
        url, begun = self._provider.begin(sign_in.oidc, _back(app))
        kept = {**asdict(begun), "to": own_path(dict(values).get("to"))}
        answer = RedirectResponse(url, _SEE_OTHER)
        value = base64.urlsafe_b64encode(orjson.dumps(kept)).decode()
        answer.set_cookie(_pending_cookie(app), value, max_age=_BEGUN_FOR_S, **_how(app))
        return answer

    def _come_back(self, request: Request, app: App, values: list[tuple[str, str]]) -> Response:
        sign_in = _sign_in(app)
        if sign_in is None or sign_in.oidc is None:
            return self._not_set_up(request)
        begun, to = _pending(request.cookies.get(_pending_cookie(app), ""))
        found = self._welcome(request, app, begun, dict(values))
        if isinstance(found, str):
            answer = _with_session(app, RedirectResponse(to, _SEE_OTHER), found)
        else:
            answer = self._form(request, sign_in, to, found)
        answer.delete_cookie(_pending_cookie(app), **_how(app))  # good for one time
        return answer

    def _welcome(self, request: Request, app: App, begun: Begun, told: dict[str, str]) -> str | _Wrong:
        """What the browser shall hold from now on."""
        sign_in, address = _sign_in(app), _address(request)
        if sign_in is None or sign_in.oidc is None or not signing_in.may_try(app, address):
            return _Wrong("signing_often", _OFTEN)
        try:
            person = self._provider.finish(sign_in.oidc, _back(app), begun, told)
            before = session_value(request, app)
            found = signing_in.by_provider(app, sign_in, Provided(person.name, person.role, address, before))
        except NotLetIn as refusal:
            log.warning("sign_in_refused", reason=refusal.message, code=refusal.code)
            if refusal.code != FORGOTTEN:  # else anybody could fill the audit log
                signing_in.note_failure(app, refusal.name or "unknown", address, "oidc")
            return _Wrong("signing_not_let_in", _FORBIDDEN, facts={"why": self._said(request, refusal)})
        return _Wrong(f"signing_{found.why}", _STATUS[found.why]) if isinstance(found, Refusal) else found

    # and out

    def _sign_out(self, request: Request, app: App, _values: list[tuple[str, str]]) -> Response:
        value = session_value(request, app)
        if value:
            signing_in.sign_out(app, value, _address(request))
        answer = RedirectResponse("/sign-in" if _sign_in(app) else "/", _SEE_OTHER)
        answer.delete_cookie(session_cookie(app), **_how(app))
        if value:
            tell_next(answer, "signing_out_done", {})
        return answer

    def _choose_language(self, request: Request, app: App, values: list[tuple[str, str]]) -> Response:
        form = read(LanguageForm, values, {})
        answer = RedirectResponse(own_path(form.to), _SEE_OTHER)
        secure = is_secure(app)
        answer.set_cookie(
            LANGUAGE_COOKIE, form.language, max_age=_A_YEAR_S, path="/", secure=secure, httponly=True, samesite="lax"
        )
        return answer


def _sign_in(app: App) -> SignIn | None:
    return app.project.web.sign_in if app.project.web is not None else None


def _address(request: Request) -> str | None:
    """Who is at the other end of the line. What a header says is anybody's to write."""
    return request.client.host if request.client else None


def _back(app: App) -> str:
    """Where the provider sends people; the settings insist on it."""
    url = app.project.web.public_url if app.project.web is not None else None
    return f"{(url or '').rstrip('/')}{_BACK}"


def _how(app: App) -> dict[str, Any]:
    """Of each cookie that proves something. Lax, not strict: who comes back from the provider, or follows a link in a
    message, comes from another site; nothing is ever changed by that."""
    return {"path": "/", "secure": is_secure(app), "httponly": True, "samesite": "lax"}


def _with_session(app: App, answer: Response, value: str) -> Response:
    answer.set_cookie(session_cookie(app), value, **_how(app))
    return answer


def _pending_cookie(app: App) -> str:
    return "__Host-syncer_oidc" if is_secure(app) else "syncer_oidc"


def _pending(cookie: str) -> tuple[Begun, str]:
    """What was kept, and where to go then. Whatever else stands there was not begun."""
    try:
        kept = orjson.loads(base64.urlsafe_b64decode(cookie))
        begun = Begun(str(kept["state"]), str(kept["nonce"]), str(kept["verifier"]))
        return begun, own_path(str(kept["to"]))
    except (ValueError, KeyError, TypeError):
        return Begun("", "", ""), "/"
