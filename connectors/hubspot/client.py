"""One door to HubSpot: requests that overlap, one governor, one retry policy, our errors.

The package `hubspot-api-client` is the transport: its pool, its authentication, its exceptions. Its models are left
aside (they cost some 45 times the decoding), and its own addresses too: they end with v3 and v4.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, NoReturn, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import urllib3
from hubspot import HubSpot as Vendor
from hubspot.crm.objects.exceptions import ApiException

from connectors.hubspot.budget import Budget, until_midnight_s
from connectors.hubspot.governor import belongs_to, governor_of
from connectors.hubspot.paths import Paths
from connectors.hubspot.refusals import Problem, Unauthorized, read_problem, translate, translate_renewal
from connectors.hubspot.settings import Settings
from connectors.hubspot.shapes import oddity
from connectors.hubspot.tokens import Exchange, credentials
from connectors.hubspot.values import Json
from syncer import retry
from syncer.circles import Trail
from syncer.connector import Wanted
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.log import redact
from syncer.outages import in_words, whole
from syncer.workers import Workers

log = logging.getLogger(__name__)

T = TypeVar("T")

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
_BRINGING = ("/objects/", "/associations/", "/events", "/submissions/")
_PARTS = 3  # as often may an answer pause as long as we wait for it, before it is given up
_UNKNOWN_ZONE_S = 3600.0  # how soon to look again while it is not known when the portal's day ends


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `what` says it in words for messages; an answer without the key `needs` is no answer."""

    what: str
    method: Literal["GET", "POST", "PATCH"]
    path: str
    body: Json | None = None
    query: Mapping[str, str] | None = None
    needs: str = "results"
    kind: Literal["read", "write"] = "read"
    again: bool = True  # may be sent again after a lost answer; False: that would do it twice
    form: Mapping[str, str] | None = field(default=None, repr=False)  # in place of a body, for a token

    @property
    def searching(self) -> bool:
        return self.path.endswith("/search")

    @property
    def pulling(self) -> bool:
        """Is it one of the many that bring records, in contrast to looking up the portal itself?"""
        return self.kind == "read" and any(part in self.path for part in _BRINGING)


@dataclass(frozen=True, slots=True)
class Account:
    """Which portal this is."""

    portal: str
    time_zone: str
    ui_domain: str

    def page(self, contact: str) -> str:
        """Where a person sees the contact."""
        return f"https://{self.ui_domain}/contacts/{self.portal}/record/0-1/{contact}"


class Client:
    """Asks HubSpot; from any thread. Raises `ConfigError` (`Refused` for this very request), `TemporaryError` after
    the retries, `Stopped`."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted) -> None:
        # Without `retry=False` urllib3 would sleep inside the call, for hours where HubSpot asks for it.
        pool = settings.at_once + 1
        vendor = Vendor(host=settings.base_url, retry=False, connection_pool_maxsize=pool)
        self._api = vendor.crm.objects.basic_api.api_client  # each look-up would build a new pool, so: once
        self._base_url = settings.base_url
        self._timeout_s = (settings.timeout_s.connect, settings.timeout_s.read)
        self._whole_s = settings.timeout_s.read * _PARTS
        self._search_rate = settings.search_rate
        self._stop = wanted.stop
        self._fence = wanted.fence
        self._pace = wanted.pace
        self._credentials = credentials(name, settings, wanted.folder)
        self._governor = governor_of(settings.base_url, self._credentials.identity)
        self._workers = Workers(settings.at_once, wanted.stop)
        self._counting = threading.Lock()
        self.name = name
        self._reserved = False
        self.budget = Budget(name, settings.use_at_most, wanted.spent)
        self.paths = Paths(settings.api_version)
        self.calls: dict[Literal["read", "write"], int] = {"read": 0, "write": 0}

    def get(self, what: str, path: str, query: Mapping[str, str] | None = None, *, needs: str = "results") -> Json:
        return self.ask(Request(what, "GET", path, query=query, needs=needs))

    def post(self, what: str, path: str, body: Json) -> Json:
        """A question in a body: search, batch read."""
        return self.ask(Request(what, "POST", path, body))

    def write(self, what: str, path: str, body: Json, *, needs: str = "results") -> Json:
        return self.ask(Request(what, "POST", path, body, needs=needs, kind="write"))

    def ask(self, request: Request) -> Json:
        """The answer of one request, repeated while patience can mend it."""
        return self._workers.answer(lambda: self._asked(request))

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Begin something that asks this client, while the caller goes on. At most `at_once` are under way."""
        return self._workers.start(call)

    def result(self, answer: Future[T]) -> T:
        """What came of it; unlike its own `result`, this ends soon after being asked to stop."""
        return self._workers.wait_for(answer)

    def together(self, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The answers in order, at most `at_once` under way. The first error ends it: what has not started never
        does."""
        return self._workers.together(calls)

    def pages(self, what: str, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        """A list's answers, page by page. The absolute `paging.next.link` is left alone: it breaks behind proxies."""
        after, trail = query.get("after"), Trail()
        while True:
            answer = self.get(what, path, {**query, "after": after} if after else query)
            yield answer
            after = next_after(answer)
            if after is None:
                return
            if trail.comes_back_to(after):
                raise TemporaryError(f"{self.name}: {what}: HubSpot's pages go round in a circle", code="SY042")

    def account(self) -> Account:
        """The portal, asked anew; brings HubSpot's clock with it."""
        told = self.get("reading the account", self.paths.account, needs="portalId")
        zone, domain = told.get("timeZone") or "UTC", told.get("uiDomain") or "app.hubspot.com"
        account = Account(str(told["portalId"]), str(zone), str(domain))
        self._governor.time_zone = account.time_zone
        belongs_to(self._governor, self._base_url, account.portal)
        return account

    @property
    def reserved(self) -> Client:
        """This client, for reading what writing needs: it may use the part of the budget that is kept for that."""
        other = copy(self)
        other._reserved = True
        return other

    @property
    def renews(self) -> bool:
        """Are its tokens those of an OAuth app?"""
        return self._credentials.renewable

    @property
    def daily(self) -> tuple[int, int] | None:
        """Requests left today, of how many; None until an answer told it, and for OAuth apps."""
        return self._governor.daily

    @property
    def skew_s(self) -> float:
        """HubSpot's clock minus ours, at the last answer."""
        return self._governor.skew_s

    def now(self) -> datetime:
        """HubSpot's clock, as far as its last answer told it (to the second, never ahead)."""
        return self._governor.now()

    def local_now(self) -> datetime:
        """The same in the portal's time zone; in UTC while that is not known."""
        return self.now().astimezone(_zone(self._governor.time_zone))

    def _asked(self, request: Request) -> Json:
        attempts = 6 if request.again else 1
        return retry.once_more(lambda: self._once(request), stop=self._stop, attempts=attempts, heeds_wishes=True)

    def _once(self, request: Request) -> Json:
        """One try, and a second with another token where HubSpot does not take this one."""
        self._insist_on_budget(request)
        exchange = Exchange(self._renew, self.now, self._stop)
        token = self._credentials.bearer(exchange)
        try:
            return self._sent(request, token)
        except Unauthorized:
            if not self._credentials.refused(token):
                raise
        return self._sent(request, self._credentials.bearer(exchange))

    def _renew(self, form: Mapping[str, str]) -> Json:
        path = self.paths.token
        return self._sent(Request("renewing the access", "POST", path, needs="access_token", form=form), None)

    def _insist_on_budget(self, request: Request) -> None:
        if self.daily is not None and self._governor.time_zone is not None:
            pulling = request.pulling and not self._reserved
            self.budget.insist(self.daily[1], self.local_now(), pulling=pulling)

    def _sent(self, request: Request, token: str | None) -> Json:
        rate = self._search_rate if request.searching else None
        with self._governor.turn(self._stop, search_rate=rate, pace=self._pace) as sent_at:
            if request.kind == "write":
                self._fence()  # only now: it may have waited long for its turn
            self._count(request)
            try:
                answer = self._send(request, token)
                status, raw, headers = answer.status, whole(answer, self._whole_s), answer.headers
            except ApiException as error:
                self._refuse(request, sent_at, error, error)
            except UnicodeDecodeError as error:  # the package decodes error pages as UTF-8; they need not be
                self._refuse(request, sent_at, error.__context__, error)
            except urllib3.exceptions.HTTPError as error:
                message = f"{self._what(request)}: no connection: {in_words(error)}"
                raise TemporaryError(message, code="SY040") from error
            self._governor.note(headers, sent_at)
        if request.searching:
            self._governor.searches.answered()
        return self._understood(request, status, raw)

    def _count(self, request: Request) -> None:
        with self._counting:
            self.calls[request.kind] += 1
        self.budget.sent()

    def _send(self, request: Request, token: str | None) -> Any:
        bearer = {"in": "header", "key": "Authorization", "value": f"Bearer {token}"}
        return self._api.call_api(
            request.path,
            request.method,
            {},
            list((request.query or {}).items()),
            dict(_JSON if request.form is None else _FORM),
            body=request.body,
            post_params=list((request.form or {}).items()),
            response_types_map={},
            auth_settings=["oauth2"] if token else [],
            _request_auth=bearer,  # by request: threads may be in the middle of changing tokens
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=self._timeout_s,
        )

    def _understood(self, request: Request, status: int, raw: bytes) -> Json:
        what = self._what(request)
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            message = f"{what}: HubSpot's answer ({status}, {len(raw)} bytes) is not whole JSON"
            raise TemporaryError(message, code="SY041") from error
        part = answer.get(request.needs) if isinstance(answer, dict) else None
        if part is None or (request.needs == "results" and not _is_rows(part)):
            raise TemporaryError(f"{what}: HubSpot's answer ({status}) lacks {request.needs!r}", code="SY042")
        if request.needs == "results" and (odd := oddity(request.path, answer)):
            raise TemporaryError(f"{what}: HubSpot's answer ({status}) cannot be read: {odd}", code="SY042")
        return answer  # type: ignore[no-any-return]  # a dict: it has the key

    def _refuse(self, request: Request, sent_at: float, failure: BaseException | None, cause: Exception) -> NoReturn:
        if not isinstance(failure, ApiException):
            raise cause
        if not failure.status:  # the package's way to say that TLS failed
            raise self._untrusted(request, str(failure.reason)) from cause
        headers: Mapping[str, str] = failure.headers or {}
        self._governor.note(headers, sent_at)
        problem = read_problem(failure.status, failure.body, headers)
        error = self._translated(request, problem)
        wish_s = error.retry_after_s if isinstance(error, TemporaryError) else None
        self._governor.refused(problem.status, problem.policy, wish_s, searching=request.searching)
        told = {"status": problem.status, "policy": problem.policy, "correlation": problem.correlation}
        log.debug("answer_refused", extra={"what": self._what(request), **told})
        raise error from cause

    def _translated(self, request: Request, problem: Problem) -> SyncerError:
        what, midnight_s = self._what(request), self._midnight_s()
        if request.form is not None:
            return translate_renewal(problem, what, midnight_s=midnight_s)
        return translate(problem, what, midnight_s=midnight_s, oauth=self.renews)

    def _untrusted(self, request: Request, reason: str) -> SyncerError:
        text = redact(" ".join(reason.split()))[:200]
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            message = f"{self._what(request)}: the certificate of `base_url` is not trusted: {text}"
            return ConfigError(message, code="SY049")
        return TemporaryError(f"{self._what(request)}: no secure connection: {text}", code="SY040")

    def _what(self, request: Request) -> str:
        return f"{self.name}: {request.what}"

    def _midnight_s(self) -> float:
        """Seconds until the portal's day ends; not too many while its zone is not known."""
        seconds = until_midnight_s(self.local_now())
        return seconds if self._governor.time_zone else min(seconds, _UNKNOWN_ZONE_S)


def next_after(answer: Json) -> str | None:
    """Where the next page begins; None where `paging` or any part of it is missing."""
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return None if after is None or after == "" else str(after)


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and set(map(type, part)) <= {dict}


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last: the name of a folder of zones
        return UTC
