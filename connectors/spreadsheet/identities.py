"""How cells name people and things: e-mail addresses, keys, stages."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import repeat
from operator import contains
from typing import cast

from syncer.sheets.cells import ERRORS, Cell


def key_text(cell: Cell) -> str | None:
    """A cell as it names something: 34600111222.0 is "34600111222"; None: it is empty."""
    if isinstance(cell, str):
        text = cell.strip()
        return text if text and text not in ERRORS else None
    if cell is None:
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def key_texts(cells: Sequence[Cell]) -> list[str | None]:
    """The same of each."""
    if set(map(type, cells)) == {str}:
        texts = [*map(str.strip, cast(Sequence[str], cells))]
        if all(texts) and ERRORS.isdisjoint(texts):
            return [*texts]
    return [*map(key_text, cells)]


def address(cell: Cell) -> str | None:
    """An e-mail address, in small letters; None: it is none."""
    if not isinstance(cell, str):
        return None
    text = cell.strip().lower()
    return text if text.count("@") == 1 and " " not in text and text[0] != "@" != text[-1] else None


def addresses(cells: Sequence[Cell]) -> list[str | None]:
    """The same of each, by one look at all of them where every one is an address."""
    if set(map(type, cells)) == {str}:
        texts = [*map(str.lower, map(str.strip, cast(Sequence[str], cells)))]
        lines = "\n".join(("", *texts, ""))
        one_each = lines.count("@") == len(texts) and all(map(contains, texts, repeat("@")))
        if one_each and not any(wrong in lines for wrong in (" ", "\n@", "@\n")):
            return [*texts]
    return [*map(address, cells)]


def plain(text: str) -> str:
    """Without case, accents and spaces around it."""
    taken_apart = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(sign for sign in taken_apart if not unicodedata.combining(sign))
