"""A Standing as one text column, equal exactly where the texts are equal."""

from __future__ import annotations

import orjson

from syncer.model import Standing
from syncer.store.columns import to_json


def standing_text(standing: Standing) -> str:
    return to_json(standing)


def standing_of(stored: str) -> Standing:
    return Standing(**orjson.loads(stored))


def standing_or_none(stored: str | None) -> Standing | None:
    return None if stored is None else standing_of(stored)
