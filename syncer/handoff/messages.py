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
| accept_link              | where sales says that it takes the lead; empty where messages carry no links     |
| not_ready_link           | where sales says that it is not ready; empty, too                                |

Where a notifier is to have no personal data, `name` is the record, and the others have what `without_person` leaves.

A digest, whose templates begin so, tells of many leads at once: it has language, kind and repeat, `count`, and `leads`,
a list of which each has name, record, stage, score, link, email, owner, assigned_to and at, as above, and `reason`, the
strongest or empty.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from syncer.handoff.links import Links
from syncer.handoff.text import chat_safe, clipped, slack_safe, web_link
from syncer.handoff.wording import Facts, rendered, words
from syncer.log import BLOT
from syncer.model import Did, Handoff, Notice, NoticeKind, RecordKey
from syncer.settings.shapes import MOST_REASONS

Language = Literal["es", "en"]
WEBHOOK_SCHEMA = "syncer.handoff/1"
ACCEPT, NOT_READY = "accept", "not_ready"  # what a Slack message's button and its menu call themselves
_LINKS = ("link", "accept_link", "not_ready_link")

_NAME_LENGTH, _REASON_LENGTH, _REASONS = 80, 200, 8
MOST_LEADS = 200  # of one digest: nobody reads further
_SLACK_BLOCK = 3_000  # characters that it takes in one (its reference "Section block")
_SLACK_MESSAGE = 10_000
"""Characters of all blocks of a digest, as JSON. What Slack takes it does not say; it has refused some of 11,300
(msg_blocks_too_long)."""
_KINDS: tuple[NoticeKind, ...] = ("handoff", "reminder", "escalation")  # that tell somebody something
_SLACK_LENGTH = 400  # of one text as sent; seven of them fit into the 3,000 characters that Slack takes in a block
_LINK_LENGTH = 1_000  # of one that stands in a block of its own
_OPTION_LENGTH = 75  # characters (its reference "Option object")
_POINTS = re.compile(r"[+-]\d")
_DATES: Mapping[str, str] = {"es": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M"}


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who read the messages: their language and their time zone ("Europe/Madrid"). `templates`: a folder with
    templates that stand in for ours."""

    language: Language = "en"
    timezone: str = "UTC"
    templates: Path | None = None
    personal_data: bool = True  # whether they may read who the lead is
    links: Links | None = None  # by which they answer
    reasons: tuple[str, ...] = ()  # offered under Slack's buttons, for a lead that is not ready; none: no buttons


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


def letter(
    handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff", key: str = ""
) -> Letter:
    """`key`, here and below: the notice's, for its links and buttons; without one it has none."""
    facts = _facts(handoff, audience, repeat, kind, key)
    names = ("subject.txt.j2", "email.txt.j2", "email.html.j2")
    subject, text, html = (rendered(name, facts, audience.templates) for name in names)
    return Letter(clipped(subject, 200), text, html)


def slack_post(
    handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff", key: str = ""
) -> SlackPost:
    facts = _for_slack(_facts(handoff, audience, repeat, kind))
    names = ("subject.txt.j2", "slack_context.txt.j2", "slack.txt.j2", "slack_more.txt.j2")
    subject, context, *bodies = (rendered(name, facts, audience.templates).strip() for name in names)
    sections = ({"type": "section", "text": _mrkdwn(body)} for body in bodies if body)
    last = {"type": "context", "elements": [_mrkdwn(context)]}
    return SlackPost(subject, (*sections, *_answering(audience, key), last))


def chat_post(
    handoff: Handoff, audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff", key: str = ""
) -> ChatPost:
    facts = _facts(handoff, audience, repeat, kind, key)
    facts = _for_chat(facts)
    title, text = (rendered(name, facts, audience.templates) for name in ("subject.txt.j2", "chat.txt.j2"))
    return ChatPost(clipped(title, 200), text.strip())


def digest_letter(
    handoffs: Sequence[Handoff], audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff"
) -> Letter:
    facts = _digest(handoffs, audience, repeat, kind)
    names = ("digest_subject.txt.j2", "digest_email.txt.j2", "digest_email.html.j2")
    subject, text, html = (rendered(name, facts, audience.templates) for name in names)
    return Letter(clipped(subject, 200), text, html)


def digest_slack_post(
    handoffs: Sequence[Handoff], audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff"
) -> SlackPost:
    return _digest_for_slack(_digest(handoffs, audience, repeat, kind, _for_slack), audience)


def digest_chat_post(
    handoffs: Sequence[Handoff], audience: Audience, repeat: bool = False, kind: NoticeKind = "handoff"
) -> ChatPost:
    return _digest_for_chat(_digest(handoffs, audience, repeat, kind, _for_chat), audience)


def fit_into_slack(handoffs: Sequence[Handoff], audience: Audience, kind: NoticeKind) -> int:
    """How many of the first of these go into one message, also when it has to be repeated; one at least."""
    facts = _digest(handoffs[:MOST_LEADS], audience, True, kind, _for_slack)

    def length(count: int) -> int:
        blocks = _digest_for_slack(_first(facts, count), audience).blocks
        return sum(len(json.dumps(block, ensure_ascii=False)) for block in blocks)

    return _that_fit(facts["count"], length, _SLACK_MESSAGE)


def fit_into_chat(handoffs: Sequence[Handoff], audience: Audience, kind: NoticeKind, longest: int) -> int:
    """As above, of title and text together."""
    facts = _digest(handoffs[:MOST_LEADS], audience, True, kind, _for_chat)

    def length(count: int) -> int:
        post = _digest_for_chat(_first(facts, count), audience)
        return len(post.title) + len(post.text)

    return _that_fit(facts["count"], length, longest)


def _that_fit(count: int, length: Callable[[int], int], longest: int) -> int:
    return max(bisect_right(range(1, count + 1), longest, key=length), 1)


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
    links = Links("https://syncer.example.com", "of no use to anybody")
    for language, repeat, kind in product(get_args(Language), (False, True), _KINDS):
        audience = Audience(language, links=links)
        yield from (_facts(each, audience, repeat, kind, each.name or "") for each in (full, bare))
        yield from (_digest(leads, audience, repeat, kind) for leads in ((full, bare) * 3, (bare,)))


def without_person(handoff: Handoff) -> Handoff:
    """What may be told where personal data may not: of a reason its points and its rule, without what it was met by;
    of what a person has said, nothing. A record whose id is an e-mail address (a row of a sheet) is told without it."""
    told = [reason for reason in handoff.reasons if _POINTS.match(reason)]
    record = handoff.record
    return replace(
        handoff, email=None, name=None, owner=None, assigned_to=None, fields={},
        record=record._replace(id=BLOT) if "@" in record.id else record,
        reasons=tuple(map(_before_brackets, told)), missing=tuple(map(_before_brackets, handoff.missing)),
    )  # fmt: skip


def called(handoff: Handoff) -> str:
    """Whose it is, in one line, never empty."""
    return clipped(handoff.name or handoff.email or str(handoff.record), _NAME_LENGTH)


def reasons_offered(reasons: Sequence[str], audience: Audience) -> list[tuple[str, str]]:
    """(the reason as the project has it, as the readers see it), each once."""
    known = words(audience.language, audience.templates)["reasons_offered"]
    return [(each, str(known.get(each) or each)) for each in dict.fromkeys(reasons)]


def local_time(at: datetime, audience: Audience) -> str:
    """To the minute, as the readers write it and by their clock."""
    return f"{at.astimezone(ZoneInfo(audience.timezone)):{_DATES[audience.language]}}"


def webhook_body(notice: Notice, repeat: bool = False, *, personal_data: bool = True) -> bytes:
    """JSON of a fixed shape, ASCII only; score in points, `at` in UTC as ISO 8601."""
    handoff = notice.handoff if personal_data else without_person(notice.handoff)
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


def _before_brackets(line: str) -> str:
    return line.partition(" (")[0]


def _facts(handoff: Handoff, audience: Audience, repeat: bool, kind: NoticeKind = "handoff", key: str = "") -> Facts:
    if not audience.personal_data:
        handoff = without_person(handoff)
    accept_link, not_ready_link = _answer_links(audience, key)
    return {
        "language": audience.language,
        "repeat": repeat,
        "kind": kind,
        "name": called(handoff),
        "email": clipped(handoff.email or "", 254),
        "owner": clipped(handoff.owner or "", 254),
        "assigned_to": clipped(_assigned_to(handoff), 254),
        "record": clipped(str(handoff.record), 200),
        "link": web_link(handoff.url) or "",
        "stage": clipped(handoff.stage, _NAME_LENGTH).upper(),
        "score": str(handoff.total // 100),  # totals are rounded down wherever they are shown
        "reasons": tuple(clipped(reason, _REASON_LENGTH) for reason in handoff.reasons[:_REASONS]),
        "missing": tuple(clipped(each, _REASON_LENGTH) for each in handoff.missing),
        "did": tuple({"kind": clipped(kind, 80), "at": local_time(at, audience)} for kind, at in handoff.did),
        "at": f"{local_time(handoff.at, audience)} ({audience.timezone})",
        "accept_link": accept_link,
        "not_ready_link": not_ready_link,
    }


def _digest(
    handoffs: Sequence[Handoff],
    audience: Audience,
    repeat: bool,
    kind: NoticeKind,
    safe: Callable[[Facts], Facts] = lambda facts: facts,
) -> Facts:
    leads = tuple(_lead(safe(_facts(each, audience, repeat, kind))) for each in handoffs)
    return {"language": audience.language, "repeat": repeat, "kind": kind, "count": len(leads), "leads": leads}


def _lead(facts: Facts) -> Facts:
    """What a digest says of it."""
    names = ("name", "record", "stage", "score", "link", "email", "owner", "assigned_to", "at")
    return {**{name: facts[name] for name in names}, "reason": facts["reasons"][0] if facts["reasons"] else ""}


def _first(digest: Facts, count: int) -> Facts:
    return {**digest, "leads": digest["leads"][:count], "count": count}


def _digest_for_slack(facts: Facts, audience: Audience) -> SlackPost:
    names = ("digest_subject.txt.j2", "digest_slack.txt.j2")
    subject, text = (rendered(name, facts, audience.templates).strip() for name in names)
    return SlackPost(subject, tuple({"type": "section", "text": _mrkdwn(part)} for part in _parts(text)))


def _parts(text: str) -> Iterator[str]:
    """Whole lines, as many as go into one block."""
    part = ""
    for line in (each[:_SLACK_BLOCK] for each in text.splitlines()):
        if part and len(part) + len(line) >= _SLACK_BLOCK:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line
    yield part


def _digest_for_chat(facts: Facts, audience: Audience) -> ChatPost:
    title, text = (rendered(f"digest_{name}.txt.j2", facts, audience.templates) for name in ("subject", "chat"))
    return ChatPost(clipped(title, 200), text.strip())


def _assigned_to(handoff: Handoff) -> str:
    """Whom it was given to; nothing where that is the owner, who is named anyway."""
    given, owner = handoff.assigned_to or "", handoff.owner or ""
    return "" if given.lower() == owner.lower() else given


def _answer_links(audience: Audience, key: str) -> tuple[str, str]:
    """(it is taken, it is not ready)."""
    if audience.links is None or not key:
        return "", ""
    accept, not_ready = (web_link(audience.links.to_answer(key, accepted)) or "" for accepted in (True, False))
    return accept, not_ready


def _answering(audience: Audience, key: str) -> Iterator[dict[str, Any]]:
    """The block of a Slack message by which sales answers: buttons where Slack can tell us of them, else links. What a
    button says by itself is which message it stands under."""
    if not key or not (audience.reasons or audience.links):
        return
    said = words(audience.language, audience.templates)
    accept, not_ready = (clipped(said[name], _OPTION_LENGTH) for name in ("accept", "not_ready"))
    if audience.reasons:
        button = {"type": "button", "action_id": ACCEPT, "style": "primary", "text": _plain(accept)}
        yield {"type": "actions", "block_id": key, "elements": [button, _menu(not_ready, audience)]}
        return
    links = [slack_safe(link, _LINK_LENGTH) for link in _answer_links(audience, key)]
    if not any(link.endswith("…") for link in links):
        named = zip(links, (accept, not_ready), strict=True)
        told = " · ".join(f"<{link}|{slack_safe(word, _SLACK_LENGTH)}>" for link, word in named)
        yield {"type": "section", "text": _mrkdwn(told)}


def _menu(not_ready: str, audience: Audience) -> dict[str, Any]:
    offered = reasons_offered(audience.reasons, audience)[:MOST_REASONS]
    options = [{"text": _plain(clipped(shown, _OPTION_LENGTH)), "value": each} for each, shown in offered]
    placeholder = _plain(f"{not_ready}…")
    return {"type": "static_select", "action_id": NOT_READY, "placeholder": placeholder, "options": options}


def _for_slack(facts: Facts) -> Facts:
    """A link too long for Slack is left out: one cut short leads elsewhere."""
    safe = _made_safe(facts, lambda text: slack_safe(text, _SLACK_LENGTH))
    return {**safe, **{name: "" for name in _LINKS if safe[name].endswith("…")}}


def _for_chat(facts: Facts) -> Facts:
    """Links can hold no mark-up, and must stay as they are."""
    return {**_made_safe(facts, chat_safe), **{name: facts[name] for name in _LINKS}}


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


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
