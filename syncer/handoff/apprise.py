"""Teams, Telegram, ntfy, Mattermost and more than a hundred other services, through Apprise.

Apprise says whether it believes that a message was delivered, and nothing else. So the requests that it makes meanwhile
are watched, and the last of them says what became of the message. Of services that it does not reach over HTTP (mail,
MQTT, XMPP ...) nothing can be seen: a message that failed there may have been delivered. Those few whose code connects
in a thread of its own are not kept from private addresses.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, Response, codes
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.utils import select_proxy
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, SSLError

from syncer.handoff.alerts import Alert, alert_chat_post
from syncer.handoff.delivery import TIMEOUT_S, DeliveryError, Repeats, quoted, refusal
from syncer.handoff.messages import Audience, ChatPost, chat_post, digest_chat_post, fit_into_chat
from syncer.handoff.reaching import RefusedAddress, by_proxy, reaching
from syncer.model import Notice
from syncer.settings.services import service

if TYPE_CHECKING:
    from apprise import NotifyBase

_Seen = list[Response | RequestException]
_watching: ContextVar[_Seen | None] = ContextVar("requests_of_this_send", default=None)
_really_send = HTTPAdapter.send
_LONGEST = 10_000  # characters of a digest, also for a service that takes more


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    url: str = field(repr=False)
    audience: Audience
    repeats: Repeats = "resend"
    timeout_s: float = TIMEOUT_S
    private_addresses: bool = False  # whether the service may stand at one

    def send(self, notice: Notice, repeat: bool) -> None:
        self._post(chat_post(notice.handoff, self.audience, repeat, notice.kind, notice.key))

    def fit(self, notices: Sequence[Notice]) -> int:
        longest = min(service(self.url, self.timeout_s).body_maxlen, _LONGEST)
        return fit_into_chat([each.handoff for each in notices], self.audience, notices[0].kind, longest)

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        self._post(digest_chat_post([each.handoff for each in notices], self.audience, repeat, notices[0].kind))

    def announce(self, alert: Alert, recipient: str) -> None:
        self._post(alert_chat_post(alert))

    def _post(self, from_us: ChatPost) -> None:
        to = service(self.url, self.timeout_s)
        with reaching(str(to.service_name), self.private_addresses):
            self._notify(to, from_us)

    def _notify(self, to: NotifyBase, from_us: ChatPost) -> None:
        raised = ""
        with _requests_watched() as seen:
            try:
                if to.notify(title=from_us.title, body=from_us.text, body_format="text"):
                    return
            except Exception as failure:  # noqa: BLE001  # of a hundred services' code; its text may hold the URL
                raised = f" ({type(failure).__name__})"
        raise self._failure(str(to.service_name), seen, raised) from None

    def _failure(self, name: str, seen: _Seen, raised: str) -> DeliveryError:
        last = seen[-1] if seen else None
        if isinstance(last, Response) and not 200 <= last.status_code < 300:
            told = quoted(_beginning(last), _secrets(self.url))
            return refusal(name, last.status_code, last.headers.get("Retry-After"), told)
        if isinstance(last, Response):
            told = f"answered {last.status_code}, which Apprise takes for a failure{raised}"
        elif last is None:
            told = f"failed, and Apprise does not say how{raised}"
        elif _never_left(last):
            return DeliveryError(f"{name}: no connection ({type(last).__name__})", "temporary")
        else:
            told = f"no answer ({type(last).__name__})"
        return DeliveryError(f"{name}: {told}; it may have been delivered", "uncertain")


def _send_watched(adapter: HTTPAdapter, request: PreparedRequest, *args: Any, **options: Any) -> Response:
    seen = _watching.get()
    if seen and _has_asked_for_patience(seen[-1]):
        raise RequestException("the server has asked for patience; the outbox tries again")
    try:
        with _through(request, options):
            answer = _really_send(adapter, request, *args, **options)
    except RefusedAddress as refused:
        raise RequestException("the address is refused") from refused
    except RequestException as failure:
        if seen is not None:
            seen.append(failure)
        raise
    if seen is not None:
        seen.append(answer)
    return answer


def _through(request: PreparedRequest, options: Mapping[str, Any]) -> AbstractContextManager[None]:
    url = str(request.url)
    return by_proxy(urlsplit(url).hostname or "") if select_proxy(url, options.get("proxies")) else nullcontext()


def _has_asked_for_patience(last: Response | RequestException) -> bool:
    """Whatever a service's code sends after that, it sends too early."""
    return isinstance(last, Response) and last.status_code == codes.too_many_requests


# The one place that all of Apprise's HTTP services go through: each calls `requests.post` or the like by itself.
HTTPAdapter.send = _send_watched  # type: ignore[method-assign, assignment]


@contextmanager
def _requests_watched() -> Iterator[_Seen]:
    """What comes of every request of this thread meanwhile, in order; other threads send at the same time."""
    seen: _Seen = []
    token = _watching.set(seen)
    try:
        yield seen
    finally:
        _watching.reset(token)


def _never_left(failure: RequestException) -> bool:
    """Whether there was no connection over which the request could have gone."""
    inner = failure.args[0] if failure.args else None
    reason = inner.reason if isinstance(inner, MaxRetryError) else inner
    untrusted = isinstance(reason, SSLError) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return untrusted or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _beginning(answer: Response) -> str:
    try:
        return answer.content[:500].decode("utf-8", "replace")
    except (RequestException, RuntimeError):
        return ""  # the status alone decides; a body that breaks off only says less


def _secrets(url: str) -> list[str]:
    """Every part of the URL may be one: which is which, only the service knows. The longest first."""
    parts = re.split(r"[/?&=:@,]+", url)
    return sorted({*parts, *map(unquote, parts), url}, key=len, reverse=True)
