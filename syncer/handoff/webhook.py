"""A webhook of our own shape, signed where a secret is set; its receiver drops repeats by their Idempotency-Key.

`X-Syncer-Signature` is `v1=` and the hexadecimal HMAC-SHA256, under the shared secret, of the text of
`X-Syncer-Timestamp` (epoch seconds), a full stop, and the body as sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import ClassVar

from syncer.handoff.alerts import Alert, alert_body
from syncer.handoff.delivery import TIMEOUT_S, Repeats, host, quoted, refusal, secrets_of
from syncer.handoff.messages import webhook_body
from syncer.handoff.posting import post
from syncer.model import Notice


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S
    personal_data: bool = True  # whether the receiver may read who the lead is
    private_addresses: bool = False  # whether the receiver may stand at one
    repeats: ClassVar[Repeats] = "safe"

    def send(self, notice: Notice, repeat: bool) -> None:
        self._post(notice.key, webhook_body(notice, repeat, personal_data=self.personal_data))

    def announce(self, alert: Alert, recipient: str) -> None:
        self._post(alert.key, alert_body(alert))

    def _post(self, key: str, body: bytes) -> None:
        headers = self._headers(key, body, int(time.time()))
        answer = post(self.url, body, headers, self.timeout_s, self.private_addresses)
        if not 200 <= answer.status < 300:  # 2xx is delivered whatever its body says
            told = quoted(answer.said, (*secrets_of(self.url), self.secret or ""))
            raise refusal(host(self.url), answer.status, answer.retry_after, told)

    def _headers(self, key: str, body: bytes, timestamp: int) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "syncer", "Idempotency-Key": key}
        if self.secret is None:
            return headers
        signed = signature(self.secret, timestamp, body)
        return {**headers, "X-Syncer-Timestamp": str(timestamp), "X-Syncer-Signature": signed}


def signature(secret: str, timestamp: int, body: bytes) -> str:
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
