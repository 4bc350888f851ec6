"""What Salesforce's error answers mean, in our errors.

A refused call answers a list of {"message", "errorCode", "fields"?}, the token endpoint {"error",
"error_description"}, and what stands in front of Salesforce a page of HTML or nothing at all.

SY140 session not accepted · SY141 login refused · SY142 not allowed ·
SY143 answer of another shape · SY144 request refused · SY145 the day's requests are used up, or our share of them ·
SY146 too many requests at once · SY147 Salesforce is unwell or cannot be reached · SY148 address or API version wrong ·
SY149 field, object or setting cannot serve, key or token file unusable
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.log import redact

_LONGEST_MESSAGE = 400
_TOTAL_S = 3600.0  # the allowance is that of the last 24 hours, so a little of it comes back all the time
_CONCURRENT_S = 5.0
_PASSING = frozenset({406, 408, 420, 425, 429, 431})  # Salesforce's own refusals have other ones
_TOO_HEAVY = frozenset({"QUERY_TIMEOUT", "OPERATION_TOO_LARGE"})
_BUSY = frozenset({"UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE", "INTERNAL_ERROR"})
_SESSION = frozenset({"INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT", "Bad_OAuth_Token"})
_FORBIDDEN = frozenset({"API_DISABLED_FOR_ORG", "INSUFFICIENT_ACCESS", "API_CURRENTLY_DISABLED", "FORBIDDEN"})
_NOT_RENEWED = ("not valid for use with the rest api", "not attached to agent")
_OLD = frozenset({"UNSUPPORTED_API_VERSION", "GONE", "InvalidVersion"})
_COLUMN = re.compile(r"No such column '([^']+)'|field '([^']+)' can not be filtered|No such relation '([^']+)'")
_LATER = frozenset({"server_error", "temporarily_unavailable", "unknown_error", "rate_limit_exceeded"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of Salesforce's, of a whole call (`errorCode`) or of one record of a collection (`statusCode`)."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    @property
    def column(self) -> str | None:
        """The field that a query asked for and that is not there, or not for us."""
        found = _COLUMN.search(self.message)
        return next(filter(None, found.groups())) if found else None


class Unauthorized(ConfigError):
    """Salesforce does not accept the session; another one may do, where `renewable`."""

    def __init__(self, message: str, *, renewable: bool) -> None:
        super().__init__(message, code="SY140")
        self.renewable = renewable


class Refused(ConfigError):
    """Salesforce read this very request and said no; the caller may know what to do. `problems`: all that it said,
    `status`: by HTTP. 300: several records have the external id, and there are no problems; 412: the record was changed
    after the time that the request named."""

    def __init__(self, message: str, *, status: int, problems: tuple[Problem, ...], code: str = "SY144") -> None:
        super().__init__(message, code=code)
        self.status = status
        self.problems = problems

    @property
    def codes(self) -> frozenset[str]:
        """Salesforce's own words for it: INVALID_FIELD, NOT_FOUND ..."""
        return frozenset(each.code for each in self.problems)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it names as wrong."""
        return tuple(dict.fromkeys(name for each in self.problems for name in (*each.fields, each.column) if name))


class TooHeavy(TemporaryError):
    """QUERY_TIMEOUT, OPERATION_TOO_LARGE: asking for less at once helps, asking again only where it was little."""

    def __init__(self, message: str, *, problem: Problem) -> None:
        super().__init__(message, code="SY147")
        self.problem = problem


class QueryLocatorLost(TemporaryError):
    """INVALID_QUERY_LOCATOR: the rest of a query's pages cannot be had; ask anew from what came last."""


def problems_of(told: Any) -> tuple[Problem, ...]:
    """Of an answer's errors, in both shapes; what has another is left out."""
    return tuple(_problems(told if isinstance(told, list) else [told]))


def _problems(told: list[Any]) -> Iterator[Problem]:
    for each in told:
        if not isinstance(each, dict):
            continue
        code = each.get("errorCode") or each.get("statusCode") or each.get("error")
        message = each.get("message") or each.get("error_description")
        if code or message:
            fields = each.get("fields")
            named = tuple(map(str, fields)) if isinstance(fields, list) else ()
            yield Problem(str(code or ""), redact(str(message or code))[:_LONGEST_MESSAGE], named)


def translate(status: int, body: bytes, what: str) -> SyncerError:
    """Our error for the answer to `what` ("crm: reading Lead")."""
    problems = problems_of(_decoded(body))
    codes = {each.code for each in problems}
    if status == 401 and problems:
        return _session(what, problems)
    if status == 300:
        return Refused(f"{what}: several records have this external id", status=status, problems=())
    if status == 412:
        return Refused(f"{what}: it has been changed meanwhile", status=status, problems=problems)
    if 301 <= status < 400:
        return ConfigError(
            f"{what}: the address answers with a redirect ({status}); correct `instance_url`", code="SY148"
        )
    if status == 410 or codes & _OLD:
        message = f"{what}: this org no longer speaks the API version: {_told(problems, status)}; raise `api_version`"
        return ConfigError(message, code="SY148")
    if "REQUEST_LIMIT_EXCEEDED" in codes:
        return _too_many(what, problems)
    if codes & _TOO_HEAVY:
        return TooHeavy(f"{what}: {_told(problems, status)}", problem=problems[0])
    if status >= 500 or status in _PASSING or codes & _BUSY or not problems:
        return TemporaryError(f"{what}: Salesforce is unwell ({status}): {_told(problems, status)}", code="SY147")
    if status == 403 and (codes & _FORBIDDEN):
        return ConfigError(f"{what}: Salesforce does not allow it: {_told(problems, status)}", code="SY142")
    return Refused(
        f"{what}: Salesforce refused it ({status}): {_told(problems, status)}", status=status, problems=problems
    )


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _told(problems: tuple[Problem, ...], status: int) -> str:
    return "; ".join(f"{each.code}: {each.message}" for each in problems[:3]) or f"HTTP {status}"


def _session(what: str, problems: tuple[Problem, ...]) -> SyncerError:
    text = problems[0].message
    if any(each in text.lower() for each in _NOT_RENEWED):
        message = (
            f"{what}: Salesforce does not accept this session for its REST API: {text}; give the app the scope `api` "
            "and its user the permission API Enabled"
        )
        return Unauthorized(message, renewable=False)
    mend = "put a valid session id into `token`, or use `client_credentials`"
    return Unauthorized(f"{what}: Salesforce does not accept the session ({problems[0].code}); {mend}", renewable=True)


def _too_many(what: str, problems: tuple[Problem, ...]) -> TemporaryError:
    """The same code has three meanings; only the first is about the day."""
    text = problems[0].message
    if "concurrent" in text.lower():
        message = f"{what}: too many requests at once ({text}); waiting"
        return TemporaryError(message, code="SY146", retry_after_s=_CONCURRENT_S)
    message = f"{what}: the org has used up its requests of 24 hours ({text}); goes on in an hour"
    return TemporaryError(message, code="SY145", retry_after_s=_TOTAL_S)


def translate_login(status: int, body: bytes, what: str) -> SyncerError:
    """Our error where the token endpoint gave no session."""
    told = _decoded(body)
    problems = problems_of(told)
    if 300 <= status < 400 or (status == 404 and not problems):
        how = "that there is no such page" if status == 404 else "with a redirect"
        return ConfigError(f"{what}: the address answers {how} ({status}); correct `instance_url`", code="SY148")
    if status >= 500 or status in _PASSING or not problems or problems[0].code in _LATER:
        return TemporaryError(f"{what}: Salesforce is unwell ({status}): {_told(problems, status)}", code="SY147")
    if "rate" in problems[0].message.lower().split():  # "login rate exceeded"
        message = f"{what}: too many logins ({_told(problems, status)}); waiting"
        return TemporaryError(message, code="SY146", retry_after_s=_TOTAL_S)
    mend = _MENDS.get(problems[0].code, "correct the connection's way in")
    message = (
        f"{what}: Salesforce refused the login ({_told(problems, status)}); {mend}. syncer does not try this login "
        "again before the settings change or it is started anew: it could lock the user out"
    )
    return ConfigError(message, code="SY141")


_MENDS: Mapping[str, str] = {
    "invalid_client_id": "correct `client_id`",
    "invalid_client": "correct `client_id` and `client_secret`, and install the app in the org",
    "invalid_grant": "look at the app's policies and run-as user in Setup, the certificate and this machine's clock "
    "(jwt), or get a new refresh token (refresh)",
    "inactive_user": "activate the user, or name another",
    "invalid_app_access": "let the user use the app (its policies in Setup)",
}
