"""A webhook of our own shape, signed where a secret is set; its receiver drops repeats by their Idempotency-Key.

`X-Syncer-Signature` is `v1=` and the hexadecimal HMAC-SHA256, under the shared secret, of the text of
`X-Syncer-Timestamp` (epoch seconds), a full stop, and the body as sent.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from dataclasses import dataclass, field
from typing import ClassVar

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError, SSLError

from syncer.handoff.delivery import TIMEOUT_S, DeliveryError, Outcome, Repeats, host, quoted, refusal, secrets_of
from syncer.handoff.messages import webhook_body
from syncer.model import Notice


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S
    personal_data: bool = True  # whether the receiver may read who the lead is
    repeats: ClassVar[Repeats] = "safe"

    def send(self, notice: Notice, repeat: bool) -> None:
        body = webhook_body(notice, repeat, personal_data=self.personal_data)
        headers = self._headers(notice.key, body, int(time.time()))
        timeout = Timeout(connect=self.timeout_s, read=self.timeout_s)
        with PoolManager(timeout=timeout, retries=False) as pool:
            try:
                answer = pool.urlopen(
                    "POST", self.url, redirect=False, body=body, headers=headers, preload_content=False
                )
            except HTTPError as failure:
                # From None: urllib3's texts hold the URL, and that may be the secret.
                raise DeliveryError(*_reading(failure, host(self.url))) from None
            try:
                self._judge(answer)
            finally:
                answer.close()

    def _headers(self, key: str, body: bytes, timestamp: int) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "syncer", "Idempotency-Key": key}
        if self.secret is None:
            return headers
        signed = signature(self.secret, timestamp, body)
        return {**headers, "X-Syncer-Timestamp": str(timestamp), "X-Syncer-Signature": signed}

    def _judge(self, answer: BaseHTTPResponse) -> None:
        """2xx is delivered whatever its body says; a redirect is a refusal: it would carry the message elsewhere."""
        if 200 <= answer.status < 300:
            return
        told = quoted(_beginning(answer), (*secrets_of(self.url), self.secret or ""))
        raise refusal(host(self.url), answer.status, answer.headers.get("Retry-After"), told)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def _beginning(answer: BaseHTTPResponse) -> str:
    try:
        return answer.read(500).decode("utf-8", "replace")
    except HTTPError:
        return ""  # the status alone decides; a body that breaks off only says less


def _reading(failure: HTTPError, name: str) -> tuple[str, Outcome]:
    if isinstance(failure, NewConnectionError | ConnectTimeoutError):
        return f"{name}: no connection ({type(failure).__name__})", "temporary"
    if isinstance(failure, SSLError) and isinstance(failure.args[0], ssl.SSLCertVerificationError):
        return f"{name}: its certificate is not trusted", "temporary"
    if isinstance(failure, LocationValueError):
        return "the URL is not one", "permanent"
    return f"{name}: no answer ({type(failure).__name__}); it may have been delivered", "uncertain"
