"""What an operator reads of a connection that needs a person, in the shape of each channel. It is about no lead and
holds nothing of anybody; the CRM's words in it are made safe for their place."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

import orjson

from syncer.handoff.messages import ChatPost, Letter, SlackPost
from syncer.handoff.text import chat_safe, clipped, one_line, slack_safe
from syncer.log import redact

ALERT_SCHEMA = "syncer.alert/1"

_LENGTH = 1_000  # of a text; a reason longer than that is not read


@dataclass(frozen=True, slots=True)
class Alert:
    """`at`: when the trouble began, or when it was over. `reason`: what is wrong, in the error's own words; of one that
    is over, nothing."""

    state: Literal["needs_a_person", "recovered"]
    connection: str
    code: str
    at: datetime
    reason: str
    help: str

    @property
    def key(self) -> str:
        """The same in every repeat."""
        told = f"{self.state}\0{self.connection}\0{self.code}\0{self.at.isoformat()}"
        return sha256(told.encode()).hexdigest()[:32]

    @property
    def subject(self) -> str:
        happened = "needs a person" if self.state == "needs_a_person" else "works again"
        return clipped(f"syncer: {self.connection} {happened}", 200)

    @property
    def text(self) -> str:
        since = f"{'Since' if self.state == 'needs_a_person' else 'At'} {self.at:%Y-%m-%d %H:%M} {self.at.tzname()}"
        lines = (self.subject, f"{since}{': ' if self.reason else '.'}{self._reason}", self.help)
        return "\n".join(line for line in lines if line)

    @property
    def _reason(self) -> str:
        return clipped(redact(self.reason), _LENGTH)


def alert_slack_post(alert: Alert) -> SlackPost:
    text = slack_safe(alert.text, 2 * _LENGTH)
    return SlackPost(text, ({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},))


def alert_chat_post(alert: Alert) -> ChatPost:
    return ChatPost(chat_safe(alert.subject), "\n".join(map(chat_safe, alert.text.splitlines()[1:])))


def alert_letter(alert: Alert) -> Letter:
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in alert.text.splitlines())
    return Letter(alert.subject, f"{alert.text}\n", f"<!doctype html><html><body>{lines}</body></html>\n")


def alert_body(alert: Alert) -> bytes:
    told = {**asdict(alert), "at": alert.at.isoformat(), "reason": one_line(redact(alert.reason)), "key": alert.key}
    return orjson.dumps({"schema": ALERT_SCHEMA, **told})
