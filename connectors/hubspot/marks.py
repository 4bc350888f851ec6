"""The mark by which a task in HubSpot is known as ours: the key of the hand-off that it tells of."""

from __future__ import annotations

import re
from html import unescape

TASK_BODY = "hs_task_body"
# Looks ahead, since the text before the mark may end with the same word; so far, since keys are short.
_MARK = re.compile(r"syncer:(?=\s{0,100}(\S{1,500}))")
_TAG = re.compile(r"<[^<>]*>")


def mark(key: str) -> str:
    """The last line of a task's text."""
    return f"syncer: {key}"


def keys_in(body: str) -> frozenset[str]:
    """The keys that a task's text carries, whatever mark-up HubSpot or a person has put around them."""
    return frozenset(_MARK.findall(unescape(_TAG.sub(" ", body))))
