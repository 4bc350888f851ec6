"""What HubSpot's error answers mean, in our errors.

Every part of an error body may be missing, and the edge in front of HubSpot answers pages instead of JSON.

SY026 token file unusable · SY027 OAuth app refused · SY028 reconnect needed · SY029 our share of the day is used up ·
SY030 token refused · SY031 scope missing · SY032 forbidden · SY033 request refused · SY034 nothing there ·
SY035 too many requests · SY036 the day's requests are used up · SY037 locked by heavy writing · SY038 portal moves ·
SY039 HubSpot is unwell · SY040 no connection · SY041 answer cannot be read · SY042 answer of another shape ·
SY043 property missing · SY044 property cannot serve · SY045 option missing · SY046 lifecycle stage unknown ·
SY047 clocks differ · SY048 the day's requests run low · SY049 the address or its certificate is wrong
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.log import redact

_LONGEST_MESSAGE = 400
_PAUSE_S = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}  # HubSpot's own Node client waits as long
_LOCK_S = 2.0  # a lock of HubSpot's lasts that long (its error guide)
_MOVING_S = 3600.0
_LONGEST_WISH_S = 366 * 86_400.0  # what is longer is a mistake
_NOBODY_MAY = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "READ_ONLY_PROPERTY", "CALCULATED_PROPERTY"})
"""Codes that condemn a property whatever its value."""
_RECONNECT = frozenset(
    {"invalid_grant", "access_denied", "BAD_REFRESH_TOKEN", "MISSING_REFRESH_TOKEN", "BAD_HUB", "invalid_scope"}
)
"""What OAuth says when a person must install the app anew; `error` is missing in old versions, `status` in none."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer."""

    status: int
    message: str
    category: str = ""
    correlation: str = ""
    policy: str = ""  # of a 429: SECONDLY, TEN_SECONDLY_ROLLING, DAILY
    scopes: tuple[str, ...] = ()  # any of these would open the door
    properties: tuple[str, ...] = ()  # named as wrong
    condemned: tuple[str, ...] = ()  # of these, the ones that no value would suit: missing, read-only
    codes: tuple[str, ...] = ()
    retry_after_s: float | None = None
    oauth: tuple[str, ...] = ()  # `error` and `status` of a refused token request: invalid_grant, BAD_REFRESH_TOKEN


class Unauthorized(ConfigError):
    """HubSpot does not accept the access token; where it can be renewed, another one may do."""


class Refused(ConfigError):
    """HubSpot read this very request and said no (400, 404, 409, 414); the caller may know what to do."""

    def __init__(self, message: str, *, code: str, problem: Problem) -> None:
        super().__init__(message, code=code)
        self.problem = problem


def read_problem(status: int, body: bytes | str | None, headers: Mapping[str, str]) -> Problem:
    """The error answer as a value, whatever shape it came in."""
    try:
        found: Any = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        found = None
    told: dict[str, Any] = found if isinstance(found, dict) else {}
    errors = told.get("errors")
    parts = [part for part in errors if isinstance(part, dict)] if isinstance(errors, list) else []
    contexts = [part.get("context") for part in (told, *parts)]
    return Problem(
        status=status,
        message=redact(str(told.get("message") or f"HTTP {status}"))[:_LONGEST_MESSAGE],
        category=str(told.get("category") or ""),
        correlation=str(told.get("correlationId") or headers.get("x-hubspot-correlation-id") or ""),
        policy=str(told.get("policyName") or ""),
        scopes=_named(contexts, "requiredGranularScopes") or _named(contexts, "requiredScopes"),
        properties=_named(contexts, "propertyName"),
        condemned=_condemned(parts, contexts),
        codes=tuple(dict.fromkeys(str(part[key]) for part in parts for key in ("code", "errorType") if part.get(key))),
        retry_after_s=_seconds(headers.get("Retry-After")),
        oauth=tuple(str(told[key]) for key in ("error", "status") if told.get(key)),
    )


def _named(contexts: list[Any], key: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for context in contexts:
        names = context.get(key) if isinstance(context, dict) else None
        for name in names if isinstance(names, list) else ():
            found[str(name)] = None
    return tuple(found)


def _condemned(parts: list[dict[str, Any]], contexts: list[Any]) -> tuple[str, ...]:
    """An answer may also tell of bad values of other properties; those are not condemned."""
    hopeless = [part.get("context") for part in parts if str(part.get("code")) in _NOBODY_MAY]
    return _named(hopeless, "propertyName") or (_named(contexts, "propertyName") if hopeless else ())


def _seconds(written: str | None) -> float | None:
    """None where it wishes nothing: "at once" would be a repetition without a pause."""
    try:
        wish_s = float(written or 0)
    except ValueError:  # an HTTP date; no answer of HubSpot's was seen with one
        return None
    return wish_s if 0 < wish_s < _LONGEST_WISH_S else None


def translate(problem: Problem, what: str, *, midnight_s: float, oauth: bool = False) -> SyncerError:
    """Our error for the answer to `what` ("crm: reading contacts"). `midnight_s`: seconds to the portal's midnight;
    `oauth`: the token was that of an OAuth app."""
    status = problem.status
    if status in (401, 530):
        return _token(what, status, oauth)
    if status == 429:
        return _too_many(problem, what, midnight_s)
    if status in (408, 423, 477) or status >= 500:
        return _unwell(problem, what)
    if status == 403:
        return _shut(problem, what)
    if 300 <= status < 400:
        return ConfigError(f"{what}: the address answers with a redirect ({status}); correct `base_url`", code="SY049")
    code = "SY034" if status == 404 else "SY033"
    return Refused(f"{what}: HubSpot refused it ({status}): {_told(problem)}", code=code, problem=problem)


def _told(problem: Problem) -> str:
    return problem.message + (f" [{problem.correlation}]" if problem.correlation else "")


def _too_many(problem: Problem, what: str, midnight_s: float) -> TemporaryError:
    if problem.policy == "DAILY":
        message = f"{what}: the portal has used up its requests of the day; waiting for its midnight"
        return TemporaryError(message, code="SY036", retry_after_s=problem.retry_after_s or midnight_s)
    pause_s = _PAUSE_S.get(problem.policy, 10.0)
    message = f"{what}: too many requests ({problem.policy or 'no policy named'}); waiting"
    wish_s = pause_s if problem.retry_after_s is None else max(pause_s, problem.retry_after_s)
    return TemporaryError(message, code="SY035", retry_after_s=wish_s)


def _unwell(problem: Problem, what: str) -> SyncerError:
    wish_s = problem.retry_after_s
    if problem.status == 423:
        message = f"{what}: the portal is locked by heavy writing (423); waiting"
        return TemporaryError(message, code="SY037", retry_after_s=max(_LOCK_S, wish_s or 0.0))
    if problem.status == 477:
        message = f"{what}: the portal is moving to another data centre (477); waiting"
        return TemporaryError(message, code="SY038", retry_after_s=_MOVING_S if wish_s is None else wish_s)
    hint = "; if it lasts, contact HubSpot's support" if problem.status in (522, 525, 526) else ""
    message = f"{what}: HubSpot is unwell ({problem.status}): {_told(problem)}{hint}"
    return TemporaryError(message, code="SY039", retry_after_s=wish_s)


def _shut(problem: Problem, what: str) -> ConfigError:
    if problem.scopes:
        scopes = " or ".join(problem.scopes)
        message = f"{what}: the access token lacks the scope {scopes}; add it to the service key (or app) in HubSpot"
        return ConfigError(message, code="SY031")
    return ConfigError(f"{what}: HubSpot does not allow it (403): {_told(problem)}", code="SY032")


def _token(what: str, status: int, oauth: bool) -> Unauthorized:
    mend = "install the app anew and put its refresh token into the connection's `oauth`"
    if not oauth:
        mend = "put a valid service key (or private app's token) into the connection's `token`"
    return Unauthorized(f"{what}: HubSpot does not accept the access token ({status}); {mend}", code="SY030")


def translate_renewal(problem: Problem, what: str, *, midnight_s: float) -> SyncerError:
    """Our error where HubSpot gave no new access token."""
    if problem.status in (408, 423, 429, 477) or problem.status >= 500 or problem.status < 400:
        return translate(problem, what, midnight_s=midnight_s, oauth=True)
    told = f"{' '.join(problem.oauth)}: {_told(problem)}"
    if _RECONNECT.intersection(problem.oauth):
        message = (
            f"{what}: reconnect needed: HubSpot has withdrawn the app's access ({told}); install the app anew and put "
            "its refresh token into the connection's `oauth`"
        )
        return ConfigError(message, code="SY028")
    message = f"{what}: HubSpot does not know the app ({told}); correct `oauth.client_id` and `oauth.client_secret`"
    return ConfigError(message, code="SY027")
