"""Slack's incoming webhooks, and whatever speaks like them (Mattermost, Discord's /slack).

Not through slack_sdk, whose client follows redirects and connects wherever they lead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncer.handoff.alerts import Alert, alert_slack_post
from syncer.handoff.delivery import TIMEOUT_S, DeliveryError, Repeats, host, quoted, refusal, secrets_of
from syncer.handoff.messages import Audience, SlackPost, digest_slack_post, fit_into_slack, slack_post
from syncer.handoff.posting import post
from syncer.model import Notice

_HEADERS = {"Content-Type": "application/json;charset=utf-8", "User-Agent": "syncer"}


@dataclass(frozen=True, slots=True)
class SlackChannel:
    url: str = field(repr=False)
    audience: Audience
    repeats: Repeats = "resend"
    timeout_s: float = TIMEOUT_S
    private_addresses: bool = False  # whether the receiver may stand at one

    def send(self, notice: Notice, repeat: bool) -> None:
        self._post(slack_post(notice.handoff, self.audience, repeat, notice.kind, notice.key))

    def fit(self, notices: Sequence[Notice]) -> int:
        return fit_into_slack([each.handoff for each in notices], self.audience, notices[0].kind)

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        handoffs = [each.handoff for each in notices]
        self._post(digest_slack_post(handoffs, self.audience, repeat, notices[0].kind))

    def announce(self, alert: Alert, recipient: str) -> None:
        self._post(alert_slack_post(alert))

    def _post(self, written: SlackPost) -> None:
        answer = post(self.url, _body(written), _HEADERS, self.timeout_s, self.private_addresses)
        told, name = quoted(answer.said, secrets_of(self.url)), host(self.url)
        if answer.status != 200:
            raise refusal(name, answer.status, answer.retry_after, told)
        if answer.text is None:
            raise DeliveryError(f"{name}: its answer broke off; it may have been delivered", "uncertain")
        if answer.text.strip() != "ok":
            # Slack says ok and nothing else; another page under this URL would swallow every hand-off unseen.
            # A proxy or a wrong address, as a rule: a person mends it while the message waits.
            raise DeliveryError(f"{name} answered 200 but not ok{told}", "temporary")


def _body(written: SlackPost) -> bytes:
    told = {"text": written.text, "blocks": written.blocks, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(told).encode()
