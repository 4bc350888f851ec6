"""What sales reads: one hand-off in the words of each channel.

The templates see only texts that were made safe for their place; a line of the templates is a line of the message.
What they see, by name:

| name                     | what it is                                                                       |
|--------------------------|----------------------------------------------------------------------------------|
| language, kind           | es or en; handoff, reminder or escalation                                        |
| repeat                   | true where the message may have arrived before                                   |
| name, record, stage      | whose it is, never empty; "crm/contacts/90151"; the stage in capitals            |
| score, at                | whole points; when the lead became ready, in the reader's time zone              |
| email, owner, link       | each empty where it is not known; the link leads to the record in the CRM        |
| assigned_to              | who shall act, where that is not the owner; else empty                           |
| reasons, missing         | lists of lines: why, and what nobody knows yet; what weighs most first           |
| did                      | the last things the lead did, the newest first, each with `kind` and `at`        |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from syncer.handoff.text import chat_safe, clipped, slack_safe, web_link
from syncer.handoff.wording import Facts, rendered
from syncer.model import Did, Handoff, Notice, NoticeKind, RecordKey

Language = Literal["es", "en"]
WEBHOOK_SCHEMA = "syncer.handoff/1"

_NAME_LENGTH, _REASON_LENGTH, _REASONS = 80, 200, 8
_SLACK_LENGTH = 400  # of one text as sent; seven of them fit into the 3,000 characters that Slack takes in a block
_DATES: Mapping[str, str] = {"es": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M"}


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who read the messages: their language and their time zone ("Europe/Madrid"). `templates`: a folder with
    templates that stand in for ours."""

    language: Language = "en"
    timezone: str = "UTC"
    templates: Path | None = None


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


@dataclass(frozen=True, slots=True)
class ChatPost:
    """Plain text for a service of which it is not known what it makes of mark-up."""

    title: str
    text: str


def letter(handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff") -> Letter:
    facts = _facts(handoff, audience, repeat, kind)
    names = ("subject.txt.j2", "email.txt.j2", "email.html.j2")
    subject, text, html = (rendered(name, facts, audience.templates) for name in names)
    return Letter(clipped(subject, 200), text, html)


def slack_post(handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff") -> SlackPost:
    facts = _for_slack(_facts(handoff, audience, repeat, kind))
    names = ("subject.txt.j2", "slack_context.txt.j2", "slack.txt.j2", "slack_more.txt.j2")
    subject, context, *bodies = (rendered(name, facts, audience.templates).strip() for name in names)
    sections = ({"type": "section", "text": _mrkdwn(body)} for body in bodies if body)
    return SlackPost(subject, (*sections, {"type": "context", "elements": [_mrkdwn(context)]}))


def chat_post(handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff") -> ChatPost:
    facts = _facts(handoff, audience, repeat, kind)
    facts = {**_made_safe(facts, chat_safe), "link": facts["link"]}  # it can hold no mark-up, and must stay as it is
    title, text = (rendered(name, facts, audience.templates) for name in ("subject.txt.j2", "chat.txt.j2"))
    return ChatPost(clipped(title, 200), text.strip())


def sample_facts() -> Iterator[Facts]:
    """A lead of whom everything is known and one of whom hardly anything is, in each way and language of a message."""
    at = datetime(2026, 1, 2, 8, 5, tzinfo=UTC)
    bare = Handoff("", 0, RecordKey("crm", "contacts", "1"), 1, "sql", 7_000, at, None, None, None, None)
    full = replace(
        bare, email="ana@example.com", name="Ana", owner="luis@example.com", url="https://crm.example.com/1",
        assigned_to="eva@example.com",
        reasons=("+30 Asked for a demo (demo_requested = true)",) * 3, did=(Did("email_open", at),) * 3,
        missing=("Has a budget (budget is empty)",) * 3,
    )  # fmt: skip
    ways = product((full, bare), get_args(Language), (False, True), get_args(NoticeKind))
    for handoff, language, repeat, kind in ways:
        yield _facts(handoff, Audience(language), repeat, kind)


def webhook_body(notice: Notice, repeat: bool = False) -> bytes:
    """JSON of a fixed shape, ASCII only; score in points, `at` in UTC as ISO 8601."""
    handoff = notice.handoff
    lead = {"email": handoff.email, "name": handoff.name, "record": str(handoff.record), "url": handoff.url}
    told = {
        "schema": WEBHOOK_SCHEMA,
        "key": notice.key,
        "lead": {**lead, "owner": handoff.owner},
        "assigned_to": handoff.assigned_to,
        "stage": handoff.stage,
        "score": handoff.total / 100,
        "reasons": list(handoff.reasons),
        "episode": handoff.episode,
        "at": handoff.at.isoformat(),
        "possible_repeat": repeat,
        **_more(handoff),
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _more(handoff: Handoff) -> dict[str, Any]:
    """What not every hand-off has; a receiver must do without."""
    did = [{"kind": each.kind, "at": each.at.isoformat()} for each in handoff.did]
    return {name: told for name, told in (("did", did), ("missing", list(handoff.missing))) if told}


def _facts(handoff: Handoff, audience: Audience, repeat: bool, kind: NoticeKind = "handoff") -> Facts:
    zone, form = ZoneInfo(audience.timezone), _DATES[audience.language]
    return {
        "language": audience.language,
        "repeat": repeat,
        "kind": kind,
        "name": clipped(handoff.name or handoff.email or str(handoff.record), _NAME_LENGTH),
        "email": clipped(handoff.email or "", 254),
        "owner": clipped(handoff.owner or "", 254),
        "assigned_to": clipped(_assigned_to(handoff), 254),
        "record": clipped(str(handoff.record), 200),
        "link": web_link(handoff.url) or "",
        "stage": clipped(handoff.stage, _NAME_LENGTH).upper(),
        "score": str(handoff.total // 100),  # totals are rounded down wherever they are shown
        "reasons": tuple(clipped(reason, _REASON_LENGTH) for reason in handoff.reasons[:_REASONS]),
        "missing": tuple(clipped(each, _REASON_LENGTH) for each in handoff.missing),
        "did": tuple({"kind": clipped(kind, 80), "at": f"{at.astimezone(zone):{form}}"} for kind, at in handoff.did),
        "at": f"{handoff.at.astimezone(zone):{form}} ({audience.timezone})",
    }


def _assigned_to(handoff: Handoff) -> str:
    """Whom it was given to; nothing where that is the owner, who is named anyway."""
    given, owner = handoff.assigned_to or "", handoff.owner or ""
    return "" if given.lower() == owner.lower() else given


def _for_slack(facts: Facts) -> Facts:
    """A link too long for Slack is left out: one cut short leads elsewhere."""
    safe = _made_safe(facts, lambda text: slack_safe(text, _SLACK_LENGTH))
    return {**safe, "link": "" if safe["link"].endswith("…") else safe["link"]}


def _made_safe(fact: Any, safe: Callable[[str], str]) -> Any:
    """Every text in it, however deep, as `safe` leaves it."""
    if isinstance(fact, str):
        return safe(fact)
    if isinstance(fact, tuple):
        return tuple(_made_safe(each, safe) for each in fact)
    return {name: _made_safe(each, safe) for name, each in fact.items()} if isinstance(fact, Mapping) else fact


def _mrkdwn(text: str) -> dict[str, Any]:
    # verbatim: Slack makes no links of its own out of what stands in a name.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
