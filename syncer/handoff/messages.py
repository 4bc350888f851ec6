"""What sales reads: one hand-off in the words of each channel.

The templates see only texts that were made safe for their place; a line of the templates is a line of the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from syncer.handoff.text import clipped, slack_safe, web_link
from syncer.model import Handoff, Notice

Language = Literal["es", "en"]
WEBHOOK_SCHEMA = "syncer.handoff/1"

_NAME_LENGTH, _REASON_LENGTH, _REASONS = 80, 200, 8
_SLACK_LENGTH = 400  # of one text as sent; seven of them fit into the 3,000 characters that Slack takes in a block
_DATES: Mapping[str, str] = {"es": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M"}
_templates = Environment(
    loader=PackageLoader("syncer.handoff"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(enabled_extensions=("html.j2",)),
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)

Facts = Mapping[str, Any]
"""What the templates see: texts, tuples of texts, and the flag `repeat`."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who read the messages: their language and their time zone ("Europe/Madrid")."""

    language: Language = "en"
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail before it has an envelope."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class SlackPost:
    """Block Kit blocks, and the text shown where blocks are not (notifications, other Slack-compatible servers)."""

    text: str
    blocks: tuple[dict[str, Any], ...]


def letter(handoff: Handoff, audience: Audience, repeat: bool = False) -> Letter:
    facts = _facts(handoff, audience, repeat)
    subject, text, html = (_rendered(name, facts) for name in ("subject.txt.j2", "email.txt.j2", "email.html.j2"))
    return Letter(clipped(subject, 200), text, html)


def slack_post(handoff: Handoff, audience: Audience, repeat: bool = False) -> SlackPost:
    facts = _for_slack(_facts(handoff, audience, repeat))
    body, context = (_rendered(name, facts).strip() for name in ("slack.txt.j2", "slack_context.txt.j2"))
    section, last = {"type": "section", "text": _mrkdwn(body)}, {"type": "context", "elements": [_mrkdwn(context)]}
    return SlackPost(_rendered("subject.txt.j2", facts).strip(), (section, last))


def webhook_body(notice: Notice, repeat: bool = False) -> bytes:
    """JSON of a fixed shape, ASCII only; score in points, `at` in UTC as ISO 8601."""
    handoff = notice.handoff
    lead = {"email": handoff.email, "name": handoff.name, "record": str(handoff.record), "url": handoff.url}
    told = {
        "schema": WEBHOOK_SCHEMA,
        "key": notice.key,
        "lead": {**lead, "owner": handoff.owner},
        "stage": handoff.stage,
        "score": handoff.total / 100,
        "reasons": list(handoff.reasons),
        "episode": handoff.episode,
        "at": handoff.at.isoformat(),
        "possible_repeat": repeat,
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _facts(handoff: Handoff, audience: Audience, repeat: bool) -> Facts:
    local = handoff.at.astimezone(ZoneInfo(audience.timezone))
    return {
        "language": audience.language,
        "repeat": repeat,
        "name": clipped(handoff.name or handoff.email or str(handoff.record), _NAME_LENGTH),
        "email": clipped(handoff.email or "", 254),
        "owner": clipped(handoff.owner or "", 254),
        "record": clipped(str(handoff.record), 200),
        "link": web_link(handoff.url) or "",
        "stage": clipped(handoff.stage, _NAME_LENGTH).upper(),
        "score": str(handoff.total // 100),  # totals are rounded down wherever they are shown
        "reasons": tuple(clipped(reason, _REASON_LENGTH) for reason in handoff.reasons[:_REASONS]),
        "at": f"{local:{_DATES[audience.language]}} ({audience.timezone})",
    }


def _rendered(name: str, facts: Facts) -> str:
    return _templates.get_template(name).render(facts)


def _for_slack(facts: Facts) -> Facts:
    """A link too long for Slack is left out: one cut short leads elsewhere."""
    safe = {name: _safe(fact) for name, fact in facts.items()}
    return {**safe, "link": "" if safe["link"].endswith("…") else safe["link"]}


def _safe(fact: Any) -> Any:
    if isinstance(fact, str):
        return slack_safe(fact, _SLACK_LENGTH)
    return tuple(slack_safe(each, _SLACK_LENGTH) for each in fact) if isinstance(fact, tuple) else fact


def _mrkdwn(text: str) -> dict[str, Any]:
    # verbatim: Slack makes no links of its own out of what stands in a name.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
