"""Texts from outside, made safe for a place they are put into. What a person typed into a form ends up in all of
them: a name may hold line breaks, mark-up, or a link that is none of ours."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeGuard
from urllib.parse import quote, urlsplit

_PART = r"[^\s\x00-\x1f\x7f@<>,;:\"()\[\]\\]+"
_ADDRESS = re.compile(f"{_PART}@{_PART}", re.ASCII)
_CUT_ESCAPE = re.compile(r"&[^;]*$")
_CALL = re.compile(r"(?<![\w.+-])@(?=\w)")
_WORD_JOINER = "\u2060"  # shows as nothing
_TURNERS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder what is read


def one_line(text: str) -> str:
    """Without line breaks, control characters, lone surrogates, and marks that turn the reading direction."""
    plain = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in text)
    return " ".join("".join(each for each in plain if each not in _TURNERS and not _lone(each)).split())


def _lone(character: str) -> bool:
    return unicodedata.category(character) == "Cs"


def clipped(text: str, length: int) -> str:
    """One line of at most `length` characters; what was cut shows as an ellipsis."""
    line = one_line(text)
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def slack_safe(text: str, length: int) -> str:
    """Slack's three control characters, escaped (its guide "Formatting text"): no mention, no link comes out of it.

    At most `length` characters as sent; no escape is cut in half.
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe if len(safe) <= length else _CUT_ESCAPE.sub("", safe[: length - 1]) + "…"


def chat_safe(text: str) -> str:
    """For services whose mark-up is not known: no tag, no mention of everybody, and no word that hides a link, as
    Markdown, HTML and the usual chats write them."""
    plain = text.replace("<", "‹").replace(">", "›").replace("](", "] (")
    return _CALL.sub(f"@{_WORD_JOINER}", plain)


def web_link(url: str | None) -> str | None:
    """The URL with everything quoted that could end it early; None for what is not http(s)."""
    line = (url or "").strip()
    if urlsplit(line).scheme not in ("http", "https"):
        return None
    return quote(line, safe=":/?#[]@!$&'()*+,;=%~")


def is_address(text: str | None) -> TypeGuard[str]:
    """One plain ASCII e-mail address and nothing else: neither a list nor a display name nor a second header."""
    return text is not None and text.isascii() and _ADDRESS.fullmatch(text) is not None
