"""One door to HubSpot: paced requests, one retry policy, our errors.

The package `hubspot-api-client` is the transport: its pool, its authentication, its exceptions. Its models are left
aside (they cost some 45 times the decoding), and its own addresses too: they end with v3 and v4.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import urllib3
from hubspot import HubSpot as Vendor
from hubspot.crm.objects.exceptions import ApiException

from connectors.hubspot.pace import Pace
from connectors.hubspot.paths import Paths
from connectors.hubspot.refusals import read_problem, translate
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import Json
from syncer.connector import Wanted
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.log import protect, redact
from syncer.retry import once_more

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
_AFTER_MIDNIGHT_S = 60.0  # the counter is set back at midnight, not a moment before


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `what` says it in words for messages; an answer without the key `needs` is no answer."""

    what: str
    method: Literal["GET", "POST"]
    path: str
    body: Json | None = None
    query: Mapping[str, str] | None = None
    needs: str = "results"
    kind: Literal["read", "write"] = "read"

    @property
    def searching(self) -> bool:
        return self.path.endswith("/search")


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
    """Asks HubSpot; one thread at a time. Raises `ConfigError` (`Refused` for this very request), `TemporaryError`
    after the retries, `Stopped`."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted) -> None:
        token = settings.token.get_secret_value()
        protect(token)
        # Without `retry=False` urllib3 would sleep inside the call, for hours where HubSpot asks for it.
        vendor = Vendor(access_token=token, host=settings.base_url, retry=False)
        self._api = vendor.crm.objects.basic_api.api_client  # each look-up would build a new pool, so: once
        self._timeout_s = (settings.timeout_s.connect, settings.timeout_s.read)
        self._stop = wanted.stop
        self._pace = Pace(settings.search_rate, wanted.stop)
        self._name = name
        self._seen: tuple[datetime, float] | None = None  # HubSpot's clock at a monotonic time of ours
        self._account: Account | None = None
        self.paths = Paths(settings.api_version)
        self.calls: dict[Literal["read", "write"], int] = {"read": 0, "write": 0}
        self.daily: tuple[int, int] | None = None  # requests left today, of how many
        self.skew_s = 0.0  # HubSpot's clock minus ours, at the last answer

    def get(self, what: str, path: str, query: Mapping[str, str] | None = None, *, needs: str = "results") -> Json:
        return self.ask(Request(what, "GET", path, query=query, needs=needs))

    def post(self, what: str, path: str, body: Json) -> Json:
        """A question in a body: search, batch read."""
        return self.ask(Request(what, "POST", path, body))

    def write(self, what: str, path: str, body: Json, *, needs: str = "results") -> Json:
        return self.ask(Request(what, "POST", path, body, needs=needs, kind="write"))

    def ask(self, request: Request) -> Json:
        """The answer of one request, repeated while patience can mend it."""
        return once_more(lambda: self._once(request), stop=self._stop)

    def pages(self, what: str, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        """A list's answers, page by page. The absolute `paging.next.link` is left alone: it breaks behind proxies."""
        after: str | None = query.get("after")
        while True:
            answer = self.get(what, path, {**query, "after": after} if after else query)
            yield answer
            before, after = after, next_after(answer)
            if after is None:
                return
            if after == before:
                raise TemporaryError(f"{self._name}: {what}: HubSpot's pages go round in a circle", code="SY042")

    def account(self) -> Account:
        """The portal, asked anew; brings HubSpot's clock with it."""
        told = self.get("reading the account", self.paths.account, needs="portalId")
        zone, domain = told.get("timeZone") or "UTC", told.get("uiDomain") or "app.hubspot.com"
        self._account = Account(str(told["portalId"]), str(zone), str(domain))
        return self._account

    def now(self) -> datetime:
        """HubSpot's clock, as far as its last answer told it (to the second, never ahead)."""
        if self._seen is None:
            return datetime.now(UTC)
        at, monotonic = self._seen
        return at + timedelta(seconds=time.monotonic() - monotonic)

    def _once(self, request: Request) -> Json:
        self._pace.wait_turn(request.searching)
        self.calls[request.kind] += 1
        try:
            answer = self._send(request)
            status, raw, headers = answer.status, answer.data, answer.headers
        except ApiException as error:
            self._refuse(request, error, error)
        except UnicodeDecodeError as error:  # the package decodes error pages as UTF-8; they need not be
            self._refuse(request, error.__context__, error)
        except urllib3.exceptions.HTTPError as error:
            message = f"{self._what(request)}: no connection: {_cause(error)}"
            raise TemporaryError(message, code="SY040") from error
        self._note(headers)
        if request.searching:
            self._pace.search_answered()
        return self._understood(request, status, raw)

    def _send(self, request: Request) -> Any:
        return self._api.call_api(
            request.path,
            request.method,
            {},
            list((request.query or {}).items()),
            dict(_HEADERS),
            body=request.body,
            response_types_map={},
            auth_settings=["oauth2"],
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
        return answer  # type: ignore[no-any-return]  # a dict: it has the key

    def _refuse(self, request: Request, failure: BaseException | None, cause: Exception) -> NoReturn:
        if not isinstance(failure, ApiException):
            raise cause
        if not failure.status:  # the package's way to say that TLS failed
            raise self._untrusted(request, str(failure.reason)) from cause
        headers: Mapping[str, str] = failure.headers or {}
        self._note(headers)
        problem = read_problem(failure.status, failure.body, headers)
        if request.searching and problem.policy == "SECONDLY":
            self._pace.search_refused()
        raise translate(problem, self._what(request), midnight_s=self._midnight_s()) from cause

    def _untrusted(self, request: Request, reason: str) -> SyncerError:
        text = redact(" ".join(reason.split()))[:200]
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            message = f"{self._what(request)}: the certificate of `base_url` is not trusted: {text}"
            return ConfigError(message, code="SY049")
        return TemporaryError(f"{self._what(request)}: no secure connection: {text}", code="SY040")

    def _what(self, request: Request) -> str:
        return f"{self._name}: {request.what}"

    def _note(self, headers: Mapping[str, str]) -> None:
        self._pace.note(headers)
        try:
            at = parsedate_to_datetime(headers["Date"])
        except (KeyError, ValueError):
            at = None
        if at is not None and at.tzinfo is not None:
            self._seen = (at.astimezone(UTC), time.monotonic())
            self.skew_s = (at - datetime.now(UTC)).total_seconds()
        try:
            left, limit = headers["X-HubSpot-RateLimit-Daily-Remaining"], headers["X-HubSpot-RateLimit-Daily"]
            self.daily = (int(left), int(limit))
        except (KeyError, ValueError):  # not with OAuth, not on searches
            return

    def _midnight_s(self) -> float:
        """Seconds until the portal's day ends; in UTC while its zone is not known."""
        now = self.now().astimezone(_zone(self._account))
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
        return midnight.timestamp() - now.timestamp() + _AFTER_MIDNIGHT_S


def next_after(answer: Json) -> str | None:
    """Where the next page begins; None where `paging` or any part of it is missing."""
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return None if after is None or after == "" else str(after)


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(row, dict) for row in part)


def _zone(account: Account | None) -> tzinfo:
    if account is None:
        return UTC
    try:
        return ZoneInfo(account.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _cause(error: BaseException) -> str:
    return redact(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
