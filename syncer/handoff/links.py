"""Links in messages by which sales answers, without a sign-in: whoever has one may give the answer that it stands for.

What is signed is not hidden, so it says nothing of anybody: it names the message, which leads to the hand-off and to
whom it was sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeTimedSerializer

from syncer.settings import Web

GOOD_FOR = timedelta(days=30)
_PURPOSE = "syncer: an answer to a hand-off"  # what is signed under the same secret for another purpose is none


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says."""

    notice_key: str
    accepted: bool
    signed_at: datetime

    def is_old(self, now: datetime) -> bool:
        return now - self.signed_at > GOOD_FOR


@dataclass(frozen=True, slots=True)
class Links:
    """`public_url`: where the daemon is reached from outside."""

    public_url: str
    secret: str = field(repr=False)

    def to_answer(self, notice_key: str, accepted: bool) -> str:
        """Where the recipient of that message gives this answer."""
        token = self._signing().dumps([notice_key, accepted])
        return f"{self.public_url.rstrip('/')}/answers/{token}"

    def read(self, token: str) -> Link | None:
        """None: it was not signed with this secret."""
        try:
            (notice_key, accepted), signed_at = self._signing().loads(token, return_timestamp=True)
        except BadData:
            return None
        return Link(notice_key, accepted, signed_at)

    def _signing(self) -> URLSafeTimedSerializer:
        how = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeTimedSerializer(self.secret, salt=_PURPOSE, signer_kwargs=how)


def links_of(web: Web | None) -> Links | None:
    """None: nothing is said of where the daemon is reached from outside, so messages carry no links."""
    if web is None or web.public_url is None or web.secret is None:
        return None
    return Links(web.public_url, web.secret.get_secret_value())
