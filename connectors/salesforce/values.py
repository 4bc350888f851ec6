"""Salesforce's values and SOQL's literals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

Json = dict[str, Any]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


def moment(text: str) -> datetime:
    """An instant: "2026-11-22T01:02:03.000+0000" as REST writes it, or with Z as Bulk does; ValueError."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is UTC:
            return found
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError) as error:  # the last: before the year 1 or after 9999, in UTC
        raise ValueError(f"{str(text)[:40]!r} is not a time") from error


def day(text: str) -> date:
    """A date without a time: "2026-11-22"; ValueError."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{str(text)[:40]!r} is not a date") from error


def instant(at: datetime) -> str:
    """As SOQL takes it, unquoted: "2026-11-22T01:02:03.000Z", to the millisecond (rounded down)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def quoted(text: str) -> str:
    """A text as SOQL takes it, quotes and all; what it has no letter for (NUL) is left out."""
    return f"'{text.replace(chr(0), '').translate(_ESCAPES)}'"


def quoted_list(texts: Iterable[str]) -> str:
    """As it stands after IN: "('a','b')"."""
    return f"({','.join(map(quoted, texts))})"


def id18(text: str) -> str:
    """The id with its three letters of checksum, whether they came with it or not; ValueError for what is no id."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ValueError(f"{str(text)[:40]!r} is not a Salesforce id")
    bare = text[:15]
    return bare + "".join(_letter(bare[start : start + 5]) for start in (0, 5, 10))


def _letter(five: str) -> str:
    return _ALPHABET[sum(1 << at for at, sign in enumerate(five) if sign.isascii() and sign.isupper())]


def chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
