"""How bytes get to Salesforce and back: simple-salesforce, walled off.

What it does by itself is left aside: it speaks HTTPS alone, waits for ever, logs in again without end, keeps one
session for all threads and throws the headers of refusals away. So each session gets a `Door` of its own, which never
changes, and one method of it sends everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from syncer.outages import whole

if TYPE_CHECKING:
    from simple_salesforce.api import Salesforce

_AGENT = "syncer"
_PARTS = 3  # as often may an answer pause as long as we wait for it, before it is given up
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")  # "api-usage=18/5000; per-app-api-usage=17/250(appName=x)"


@dataclass(frozen=True, slots=True)
class Pass:
    """What a login gave: a session, and the address where it counts."""

    token: str = field(repr=False)
    instance_url: str


class Wire(Session):
    """Requests' session with our manners. Safe for threads: nothing of it changes once it is made."""

    def __init__(self, timeout_s: tuple[float, float], at_once: int) -> None:
        super().__init__()
        self.trust_env = False  # a .netrc would replace our token, REQUESTS_CA_BUNDLE our certificates
        self.headers.update({"User-Agent": _AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._timeout_s = timeout_s
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=at_once + 1)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """One request, which never waits longer than the settings say and is never led elsewhere."""
        request.headers.pop("X-PrettyPrint", None)  # a fifth more bytes for nobody's eyes
        kwargs["timeout"] = self._timeout_s
        kwargs["allow_redirects"] = False
        kwargs["stream"] = True
        answer = super().send(request, **kwargs)
        # The package would read it here with no limit of its own, and takes it from where it keeps it.
        answer._content = whole(answer.raw, self._timeout_s[1] * _PARTS)
        answer._content_consumed = True
        return answer


Door = Callable[[str, str, Mapping[str, str], bytes | None], Response]
"""(method, path, headers, body) -> the answer, whatever its status. `path` begins with a slash, query included."""


def open_door(wire: Wire, entry: Pass, version: str) -> Door:
    """The way in for one session."""
    api = _kind()(session_id=entry.token, instance_url=entry.instance_url, version=version, session=wire)

    def ask(method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        answer: Response = api._call_salesforce(method, entry.instance_url + path, headers=dict(headers), data=body)
        return answer

    return ask


_made: list[type[Salesforce]] = []


def _kind() -> type[Salesforce]:
    """Made when the first door is opened: importing the package takes a second and a half, which nobody without a
    Salesforce connection shall wait for."""
    if not _made:
        from simple_salesforce.api import Salesforce  # noqa: PLC0415  # see above

        class Walled(Salesforce):
            """Sends one request, once; what comes back is judged elsewhere."""

            def _call_salesforce(
                self, method: str, url: str, name: str = "", retries: int = 0, max_retries: int = 0, **kwargs: Any
            ) -> Response:
                headers = {**self.headers, **kwargs.pop("headers", {})}
                return self.session.request(method, url, headers=headers, **kwargs)

        _made.append(Walled)
    return _made[0]


def usage_told(header: str) -> tuple[int, int] | None:
    """(requests used in 24 hours, of how many) by a `Sforce-Limit-Info` header; of the org's allowance and the app's
    own the one that is fuller. None where it tells neither."""
    found = [(int(used), int(limit)) for used, limit in _USAGE.findall(header)]
    return max((each for each in found if each[1] > 0), key=lambda each: each[0] / each[1], default=None)
