"""How a task in Salesforce is known as ours: by the key of the hand-off that it tells of, in a field or in its text."""

from __future__ import annotations

import re

from connectors.salesforce.describe import FieldInfo, ObjectInfo
from connectors.salesforce.settings import Settings

_MARK = re.compile(
    r"^[^\S\n]*syncer:[^\S\n]*(\S+)[^\S\n]*$", re.MULTILINE
)  # never over the lines' ends: that takes long


def mark(key: str) -> str:
    """A line of the task's text, of which it is the last."""
    return f"syncer: {key}"


def keys_in(body: str) -> frozenset[str]:
    """The keys that a task's text carries, whatever lines people have written around them."""
    return frozenset(_MARK.findall(body))


def key_field(settings: Settings, info: ObjectInfo) -> FieldInfo | None:
    """The field of Task that holds the keys; None where there is none by which tasks can be made and found. Tasks from
    before it was there carry the mark alone."""
    name = settings.task.external_id
    key = info.field(name) if name else None
    return key if key and key.external_id and key.createable and key.filterable else None
