"""One door to Salesforce: requests that overlap, one governor, one retry policy, our errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import orjson
import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from connectors.salesforce.budget import Purpose, governor_of
from connectors.salesforce.refusals import (
    Problem,
    QueryLocatorLost,
    Refused,
    TooHeavy,
    Unauthorized,
    translate,
    translate_login,
)
from connectors.salesforce.session import Door, Pass, Wire, open_door
from connectors.salesforce.settings import Settings
from connectors.salesforce.shapes import page_oddity
from connectors.salesforce.tokens import Exchange, credentials
from connectors.salesforce.values import Json
from syncer import retry
from syncer.circles import Trail
from syncer.connector import Wanted
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.log import redact
from syncer.outages import in_words
from syncer.workers import Workers

__all__ = [
    "LONGEST_ADDRESS",
    "Answer",
    "Client",
    "Incomplete",
    "Problem",
    "QueryLocatorLost",
    "Refused",
    "Request",
    "Rows",
    "TooHeavy",
    "too_long",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SESSIONS = 4  # refused ones in the place of which another is tried: threads may find several old ones
_LARGEST_PAGE = 2000  # Salesforce's, whatever is asked for
LONGEST_ADDRESS = 14_000
"""Letters of a path with its query. Salesforce takes 16,384 bytes with all headers, of which a session may need
2,000."""
_HEAVY_TRIES = 3  # of what is too heavy and cannot be asked in parts; each may take Salesforce its two minutes


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `what` says it in words for messages. `path` lies under the API's version ("/query"), or is whole
    ("/services/data/v60.0/query/0r8...", as Salesforce gives the address of a next page)."""

    what: str
    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    path: str
    body: Json | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["read", "write"] = "read"
    again: bool = True  # may be sent again after a lost answer; False: that would do it twice
    text: str | None = None  # a body that is CSV, in place of `body`
    wants: Literal["json", "text"] = "json"  # how the answer's body is read
    shape: type[dict[str, Any]] | type[list[Any]] | None = None  # what JSON it must be; None: whatever, or nothing
    oddity: Callable[[Any], str | None] | None = None  # what is wrong with the answer's JSON: then it is asked again
    purpose: Purpose | None = None  # of `budget`; None: "write" for kind "write", else "pull"
    in_parts: bool = False  # whoever asks can ask for less: `TooHeavy` is told at once


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: the JSON, a text where that was wanted, None where there was none (204, 304)."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=CaseInsensitiveDict)  # names in any case


class Incomplete(TemporaryError):
    """Each answer is whole, and together they are not what they say: asked anew from the beginning they may be."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of a query's result. `total`: how many rows the whole result has."""

    rows: list[Json]
    total: int
    done: bool


class Client:
    """Asks Salesforce; from any thread. Raises `ConfigError` (`Refused` for this very request), `TemporaryError` after
    the retries (`TooHeavy` at once where less could be asked for), `Stopped`."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted) -> None:
        self.name = name
        self.version = settings.api_version
        self._home = settings.instance_url
        self._share = settings.use_at_most
        self._stop = wanted.stop
        self._fence = wanted.fence
        self._wire = Wire((settings.timeout_s.connect, settings.timeout_s.read), settings.at_once)
        self._credentials = credentials(name, settings, wanted.folder)
        self._governor = governor_of(settings.instance_url, self._credentials.identity)
        self._workers = Workers(settings.at_once, wanted.stop)
        self._counting = threading.Lock()
        self._door: tuple[Pass, Door] | None = None
        self._purpose: Purpose = "pull"
        self.calls: dict[Literal["read", "write"], int] = {"read": 0, "write": 0}

    def ask(self, request: Request) -> Answer:
        """The answer of one request, repeated while patience can mend it."""
        return self._workers.answer(lambda: self._asked(request))

    def get(self, what: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON that a GET answers: an object."""
        return self.ask(Request(what, "GET", path, query=query, shape=dict)).body

    def query(
        self, what: str, soql: str, *, all_rows: bool = True, page: int = _LARGEST_PAGE, in_parts: bool = False
    ) -> Iterator[Rows]:
        """The result's pages. `all_rows`: with what lies in the recycle bin, and archived activities. `page`: rows
        asked for; Salesforce gives 200 to 2,000, or what it likes. `in_parts`: see `Request`.

        `Incomplete` (SY143) where fewer rows come than the result has; `QueryLocatorLost` where the rest cannot be
        had; `TooHeavy`; `Refused` INVALID_FIELD and its like."""
        path = "/queryAll" if all_rows else "/query"
        headers = {"Sforce-Query-Options": f"batchSize={page}"}
        first = Request(what, "GET", path, headers=headers, shape=dict, oddity=page_oddity(soql), in_parts=in_parts)
        request = replace(first, query={"q": soql})
        seen, trail = 0, Trail()
        while True:
            found: Json = self._page(request)
            seen += len(found["records"])
            if found["done"] and seen < found["totalSize"]:
                message = f"{self.name}: {what}: Salesforce's pages end after {seen} of {found['totalSize']} rows"
                raise Incomplete(message, code="SY143")
            yield Rows(found["records"], found["totalSize"], found["done"])
            if found["done"]:
                return
            following = found["nextRecordsUrl"]
            if trail.comes_back_to(following):
                raise Incomplete(f"{self.name}: {what}: Salesforce's pages go round in a circle", code="SY143")
            request = replace(first, path=following)

    def query_all_rows(self, what: str, soql: str, *, all_rows: bool = True) -> list[Json]:
        """All rows at once, for small results; asked again whole where its pages failed."""

        def rows() -> list[Json]:
            return [row for page in self.query(what, soql, all_rows=all_rows) for row in page.rows]

        return self.anew(rows)

    def anew(self, ask: Callable[[], T]) -> T:
        """What several requests bring together; asked three times where it is `Incomplete` or its pages are lost. What
        a single request fails for, `ask` has repeated enough."""

        def once() -> T | TemporaryError:
            try:
                return ask()
            except (Incomplete, QueryLocatorLost):
                raise
            except TemporaryError as error:
                return error

        found = retry.once_more(once, stop=self._stop, attempts=3)
        if isinstance(found, TemporaryError):
            raise found
        return found

    def count(self, what: str, soql: str, *, all_rows: bool = True) -> int:
        """What a `SELECT COUNT() FROM ...` says."""
        path = "/queryAll" if all_rows else "/query"
        request = Request(what, "GET", path, query={"q": soql}, shape=dict, oddity=_count_oddity, in_parts=True)
        return int(self.ask(request).body["totalSize"])

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

    def pause(self, seconds: float) -> None:
        """Wait for Salesforce to work at something; raises `Stopped` when asked to stop."""
        retry.wait(seconds, self._stop)

    @property
    def reserved(self) -> Client:
        """This client, for looking up what writing needs: that is little, and of no use unless all of it is had, so
        only Salesforce itself stops it."""
        other = copy(self)
        other._purpose = "qualified"
        return other

    @property
    def usage(self) -> tuple[int, int] | None:
        """Requests used in 24 hours by everybody, of how many; None until an answer told it."""
        return self._governor.usage

    @property
    def skew_s(self) -> float:
        """Salesforce's clock minus ours, at the last answer."""
        return self._governor.skew_s

    def now(self) -> datetime:
        """The org's clock, as far as its last answer told it (to the second, never ahead)."""
        return self._governor.now()

    def insist_on_version(self) -> None:
        """ConfigError (SY148) where the org does not speak the API version of the settings."""
        request = Request("asking for its API versions", "GET", "/services/data", shape=list, purpose="qualified")
        spoken = [str(each.get("version")) for each in self.ask(request).body if isinstance(each, dict)]
        if self.version in spoken:
            return
        told = f"it speaks {spoken[0]} to {spoken[-1]}" if spoken else "it tells of no version at all"
        message = f"{self.name}: this org does not speak API version {self.version}; {told}: change `api_version`"
        raise ConfigError(message, code="SY148")

    def _page(self, request: Request) -> Any:
        try:
            return self.ask(request).body
        except Refused as refusal:
            if "INVALID_QUERY_LOCATOR" in refusal.codes:
                raise QueryLocatorLost(refusal.message, code="SY143") from refusal
            raise

    def _asked(self, request: Request) -> Answer:
        tries = 0

        def once() -> Answer | TooHeavy:
            nonlocal tries
            try:
                return self._once(request)
            except TooHeavy as error:  # of little, it says that the org is busy this moment
                tries += 1
                if request.in_parts or tries >= _HEAVY_TRIES:
                    return error
                raise

        attempts = 6 if request.again else 1
        found = retry.once_more(once, stop=self._stop, attempts=attempts, heeds_wishes=True)
        if isinstance(found, TooHeavy):
            raise found
        return found

    def _once(self, request: Request) -> Answer:
        """One try, and a few with other sessions while Salesforce does not take them and there are any."""
        purpose = request.purpose or ("write" if request.kind == "write" else self._purpose)
        self._governor.insist(self._what(request), self._share, purpose)
        exchange = Exchange(self._login, self._told_now, self._stop)
        for _ in range(_SESSIONS):
            entry = self._entry(request, exchange)
            try:
                return self._sent(request, entry)
            except Unauthorized as error:
                if not error.renewable or not self._credentials.refused(entry.token):
                    raise
        return self._sent(request, self._entry(request, exchange))

    def _entry(self, request: Request, exchange: Exchange) -> Pass:
        try:
            return self._credentials.entry(exchange)
        except ConfigError as error:
            if error.message.startswith(f"{self.name}: "):
                raise
            raise ConfigError(f"{self._what(request)}: {error.message}", code=error.code) from error

    def _sent(self, request: Request, entry: Pass) -> Answer:
        """What Salesforce answered, understood."""
        door = self._door_of(entry)
        path = (
            request.path if request.path.startswith("/services/") else f"/services/data/v{self.version}{request.path}"
        )
        path += f"?{urlencode(request.query)}" if request.query else ""
        if len(path) > LONGEST_ADDRESS:
            raise ConfigError(f"{self._what(request)}: {too_long(len(path))}", code="SY149")
        headers, body = _wrapped(request)
        with self._governor.turn(self._stop) as sent_at:
            if request.kind == "write":
                self._fence()  # only now: it may have waited long for its turn
            with self._counting:
                self.calls[request.kind] += 1
            response = self._received(request, lambda: door(request.method, path, headers, body))
            self._governor.note(response.headers, sent_at)
            error = self._error_of(request, response)
        if error is not None:
            raise error
        self._credentials.accepted(entry.token)
        return self._understood(request, response)

    def _door_of(self, entry: Pass) -> Door:
        known = self._door
        if known is None or known[0] is not entry:
            known = self._door = (entry, open_door(self._wire, entry, self.version))
        return known[1]

    def _received(self, request: Request, send: Callable[[], requests.Response]) -> requests.Response:
        """The whole answer, body and all."""
        try:
            return send()
        except requests.exceptions.SSLError as error:
            raise self._untrusted(request, str(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            message = f"{self._what(request)}: no answer over the connection: {in_words(error)}"
            raise TemporaryError(message, code="SY147") from error

    def _error_of(self, request: Request, response: requests.Response) -> SyncerError | None:
        if response.status_code < 300 or response.status_code == 304:
            return None
        error = translate(response.status_code, response.content, self._what(request))
        if error.code == "SY146" and isinstance(error, TemporaryError):
            self._governor.crowded(error.retry_after_s or 0.0)
        told = {"status": response.status_code, "error": error.message}
        log.debug("answer_refused", extra={"what": self._what(request), **told})
        return error

    def _understood(self, request: Request, response: requests.Response) -> Answer:
        status, raw, headers = response.status_code, response.content, response.headers
        if request.wants == "text":
            return Answer(status, _text(raw), headers)
        unchanged = status == 304 and "If-Modified-Since" in request.headers
        if unchanged or (request.shape is None and (status in (204, 304) or not raw)):
            return Answer(status, None, headers)
        what = self._what(request)
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            message = f"{what}: Salesforce's answer ({status}, {len(raw)} bytes) is not whole JSON"
            raise TemporaryError(message, code="SY147") from error
        odd = None
        if request.shape is not None and not isinstance(body, request.shape):
            odd = f"it is no {'object' if request.shape is dict else 'list'}"
        elif request.oddity is not None:
            odd = request.oddity(body)
        if odd:
            raise TemporaryError(f"{what}: Salesforce's answer ({status}) cannot be read: {odd}", code="SY143")
        return Answer(status, body, headers)

    def _login(self, form: Mapping[str, str]) -> Json:
        """What the token endpoint answers. It stays at the address of the settings, wherever the org has moved to."""
        request = Request("logging in", "POST", "/services/oauth2/token")
        body = urlencode(form).encode()
        with self._governor.turn(self._stop) as sent_at:
            with self._counting:
                self.calls["read"] += 1
            url = self._home + request.path
            response = self._received(request, lambda: self._wire.post(url, data=body, headers=_FORM))
            self._governor.note(response.headers, sent_at)
        if response.status_code >= 300:
            raise translate_login(response.status_code, response.content, self._what(request))
        found = self._understood(Request("logging in", "POST", "", shape=dict), response).body
        return dict(found)

    def _told_now(self) -> datetime:
        """Salesforce's clock, asked for where no answer has told it yet: anybody may ask for the versions."""
        if not self._governor.knows_time:
            request = Request("asking for the time", "GET", "/services/data")
            with self._governor.turn(self._stop) as sent_at:
                response = self._received(request, lambda: self._wire.get(self._home + request.path))
                self._governor.note(response.headers, sent_at)
        return self.now()

    def _untrusted(self, request: Request, reason: str) -> SyncerError:
        text = redact(" ".join(reason.split()))[:200]
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            message = f"{self._what(request)}: the certificate of `instance_url` is not trusted: {text}"
            return ConfigError(message, code="SY148")
        return TemporaryError(f"{self._what(request)}: no secure connection: {text}", code="SY147")

    def _what(self, request: Request) -> str:
        return f"{self.name}: {request.what}"


def too_long(letters: int) -> str:
    """What to say of a query that does not fit into an address."""
    return (
        f"the query is {letters:,} letters long, of at most {LONGEST_ADDRESS:,} that Salesforce takes: too many fields "
        "are asked for; let the models look at fewer"
    )


def _wrapped(request: Request) -> tuple[Mapping[str, str], bytes | None]:
    if request.text is not None:
        return {"Content-Type": "text/csv; charset=UTF-8", **request.headers}, request.text.encode()
    headers = {**request.headers, "Accept": "text/csv"} if request.wants == "text" else request.headers
    return headers, None if request.body is None else orjson.dumps(request.body)


def _count_oddity(found: Json) -> str | None:
    return None if type(found.get("totalSize")) is int else "it does not say how many rows there are"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
