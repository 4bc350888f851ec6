"""What every channel owes the drain: send one notice, or say what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import urlsplit

from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.handoff.alerts import Alert
from syncer.handoff.text import clipped
from syncer.log import BLOT, redact
from syncer.model import Notice

TIMEOUT_S = 10
"""How long one connection, one answer may take."""

LONGEST_WISH_S = 6 * 3600.0
"""A receiver that asks for more patience than this is asked again all the same."""

_SHORTEST_SECRET = 4  # blotting out "/" or "ok" would hide the answer, not the secret

_TOKEN = re.compile(r"(/answers/)[\w.-]+")  # of a link in the message, should the receiver repeat what it got

Outcome = Literal["permanent", "temporary", "uncertain", "moot"]
"""permanent: refused for good · temporary: certainly not delivered, may work later · uncertain: may have arrived ·
moot: not needed any more."""

Repeats = Literal["safe", "resend", "hold"]
"""What to do with a message that may have arrived. safe: send it again, the receiver knows its key · resend: send it
again, marked as a possible repeat · hold: leave it to a person."""


class DeliveryError(Exception):
    """One notice was not delivered, or nobody knows. The text names the receiver's host and never holds a secret."""

    def __init__(self, message: str, outcome: Outcome, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.outcome = outcome
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """One notifier of the project file, ready to send."""

    @property
    def repeats(self) -> Repeats: ...

    def send(self, notice: Notice, repeat: bool) -> None:
        """Deliver it; `repeat` says that it may have arrived before. DeliveryError where it did not, or may not."""


@runtime_checkable
class Gathering(Channel, Protocol):
    """A channel that can tell of many leads in one message."""

    def fit(self, notices: Sequence[Notice]) -> int:
        """How many of the first of these go into one message: one at least. They are of one kind."""

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        """As `send`, all in one message to their one recipient, under the name of their digest."""


@runtime_checkable
class Announcing(Protocol):
    """A channel that can tell an operator of a connection."""

    def announce(self, alert: Alert, recipient: str) -> None:
        """`recipient`: an e-mail address where it sends e-mail, else nothing. DeliveryError as `send`."""


@contextmanager
def asking_the_crm() -> Iterator[None]:
    """What a connector raises, as an error of delivery."""
    try:
        yield
    except TemporaryError as failure:
        wish_s = failure.retry_after_s
        wish_s = None if wish_s is None else min(wish_s, LONGEST_WISH_S)
        raise DeliveryError(failure.message, "temporary", wish_s) from failure
    except (ConfigError, NotFound) as failure:
        raise DeliveryError(failure.message, "permanent") from failure


def refusal(name: str, status: int, retry_after: str | None, told: str) -> DeliveryError:
    """What an HTTP answer other than 2xx means; `name` is the receiver's, `told` its body, as `quoted` gives it."""
    patience = status in (408, 425, 429) or status >= 500
    message = f"{name} answered {status}{told}"
    if not patience:
        return DeliveryError(message, "permanent")
    return DeliveryError(message, "temporary", _wish_s(retry_after))


def host(url: str) -> str:
    """The only part of a URL that is no secret."""
    return urlsplit(url).hostname or "the receiver"


def secrets_of(url: str) -> tuple[str, ...]:
    """What must not be seen of a URL: its path and its query hold tokens. The longest first."""
    parts = urlsplit(url)
    return (url, parts.query, parts.path.strip("/"), parts.path.rpartition("/")[2], parts.password or "")


def quoted(answer: str, secrets: Sequence[str]) -> str:
    """`: "what it said"`, one line, shortened, without the secrets; nothing where it said nothing."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            answer = answer.replace(secret, BLOT)
    said = clipped(_TOKEN.sub(rf"\1{BLOT}", redact(answer)), 200)
    return f': "{said}"' if said else ""


def _wish_s(retry_after: str | None) -> float | None:
    """Seconds or an HTTP date; what cannot be read counts as not said."""
    if not retry_after:
        return None
    try:
        return min(Retry().parse_retry_after(retry_after), LONGEST_WISH_S)
    except InvalidHeader:
        return None
