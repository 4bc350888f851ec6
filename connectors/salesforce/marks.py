"""The mark by which a task in Salesforce is known as ours: the key of the hand-off that it tells of."""

from __future__ import annotations

import re

_MARK = re.compile(r"^\s*syncer:\s*(\S+)\s*$", re.MULTILINE)


def mark(key: str) -> str:
    """A line of the task's text, of which it is the last."""
    return f"syncer: {key}"


def keys_in(body: str) -> frozenset[str]:
    """The keys that a task's text carries, whatever lines people have written around them."""
    return frozenset(_MARK.findall(body))
