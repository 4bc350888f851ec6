"""Slack's incoming webhooks, and whatever speaks like them (Mattermost, Discord's /slack)."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import URLError

from slack_sdk.errors import SlackRequestError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from syncer.handoff.delivery import TIMEOUT_S, DeliveryError, Outcome, Repeats, host, quoted, refusal, secrets_of
from syncer.handoff.messages import Audience, SlackPost, digest_slack_post, fit_into_slack, slack_post
from syncer.model import Notice

# The client logs the URL, which is the secret, and every failure, which we raise: it gets a logger that is silent.
_SILENT = logging.Logger("slack_sdk.webhook", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class SlackChannel:
    url: str = field(repr=False)
    audience: Audience
    repeats: Repeats = "resend"
    timeout_s: float = TIMEOUT_S

    def send(self, notice: Notice, repeat: bool) -> None:
        self._post(slack_post(notice.handoff, self.audience, repeat, notice.kind, notice.key))

    def fit(self, notices: Sequence[Notice]) -> int:
        return fit_into_slack([each.handoff for each in notices], self.audience, notices[0].kind)

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        handoffs = [each.handoff for each in notices]
        self._post(digest_slack_post(handoffs, self.audience, repeat, notices[0].kind))

    def _post(self, post: SlackPost) -> None:
        answer = self._answer(post)
        told = quoted(answer.body, secrets_of(self.url))
        if answer.status_code != 200:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            raise refusal(host(self.url), answer.status_code, headers.get("retry-after"), told)
        if answer.body.strip() != "ok":
            # Slack says ok and nothing else; another page under this URL would swallow every hand-off unseen.
            # A proxy or a wrong address, as a rule: a person mends it while the message waits.
            raise DeliveryError(f"{host(self.url)} answered 200 but not ok{told}", "temporary")

    def _answer(self, post: SlackPost) -> WebhookResponse:
        client = WebhookClient(self.url, logger=_SILENT, retry_handlers=[])
        client.timeout = self.timeout_s  # type: ignore[assignment]  # declared as whole seconds; urllib takes fractions
        try:
            return client.send(text=post.text, blocks=post.blocks, unfurl_links=False, unfurl_media=False)
        except (SlackRequestError, ValueError):
            raise DeliveryError("the URL is not one, or its answer is not text", "permanent") from None
        except (OSError, HTTPException, LookupError) as failure:
            raise DeliveryError(*_reading(failure, host(self.url))) from None  # its texts may hold the URL


def _reading(failure: Exception, name: str) -> tuple[str, Outcome]:
    """urllib wraps what happens before the request is out in URLError. A time-out among these is the connection's: the
    request is shorter than a socket's buffer, so writing it never waits."""
    reason = failure.reason if isinstance(failure, URLError) else None
    if isinstance(reason, ConnectionRefusedError | socket.gaierror | TimeoutError | ssl.SSLCertVerificationError):
        return f"{name}: no connection ({type(reason).__name__})", "temporary"
    told = type(reason if isinstance(reason, Exception) else failure).__name__
    return f"{name}: no answer ({told}); it may have been delivered", "uncertain"
