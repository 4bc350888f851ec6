"""The scored workbook: beside `leads.csv` or `leads.xlsx` stands `leads.scored.xlsx` with every row of the source, then
what syncer says of it, then columns for people's own word.

Ours is the last column of each heading, in whatever language it was written; a hidden column names the lead of each
row, so people may sort, filter and put in columns as they like. With `in_place` the columns stand in the user's own
table instead.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from xml.etree import ElementTree

from syncer.errors import ConfigError
from syncer.sheets.cells import Cell
from syncer.sheets.reading import open_table
from syncer.sheets.writing import WORDS, WRITER, Words

KEY = "syncer"
"""Heading of the hidden column with the id of each row's lead."""

_LAST_SAVED_BY = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}lastModifiedBy"
_LONGEST_PROPERTIES = 100_000  # bytes


@dataclass(frozen=True, slots=True)
class Typed:
    """What people have written in the manual columns, cell by cell as it stands there."""

    stage: Cell = None
    reason: Cell = None
    author: Cell = None  # empty: whoever saved the workbook last, see `last_saved_by`
    until: Cell = None


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """What our columns show of one lead. A stage other than the one we wrote is a person's edit."""

    score: int | None = None  # hundredths
    stage: str | None = None  # as it stands there: people write "SQL" for sql
    reasons: str | None = None
    manual: Typed = Typed()


@dataclass(frozen=True, slots=True)
class Places:
    """Which columns of a table are ours, counted from 0; None: it has none of that kind."""

    score: int
    stage: int
    reasons: int
    manual_stage: int | None
    manual_reason: int | None
    manual_author: int | None
    manual_until: int | None

    def row(self, cells: Sequence[Cell]) -> ScoredRow:
        """What they show in one row."""
        score, stage, reasons = (cells[place] for place in (self.score, self.stage, self.reasons))
        number = isinstance(score, int | float) and not isinstance(score, bool)
        typed = (self.manual_stage, self.manual_reason, self.manual_author, self.manual_until)
        return ScoredRow(
            score=round(float(score) * 100) if number and isinstance(score, int | float) else None,
            stage=_text(stage),
            reasons=_text(reasons),
            manual=Typed(*(None if place is None else cells[place] for place in typed)),
        )


def beside(source: Path) -> Path:
    """Where the scored workbook of a table stands."""
    return source.with_name(f"{source.stem}.scored.xlsx")


def places(headings: Sequence[str]) -> Places | None:
    """Our columns in a table; None where it has none. Score, stage and reasons stand side by side, so that a "Stage" of
    the user's own is not taken for ours."""
    names = [heading.strip() for heading in headings]
    for words in WORDS.values():
        for first in range(len(names) - 3, -1, -1):
            if names[first : first + 3] == [words.score, words.stage, words.reasons]:
                found = [_last(names, getattr(words, each.name)) for each in fields(Words)[3:]]
                return Places(first, first + 1, first + 2, *found)
    return None


def rows(path: Path) -> Iterator[tuple[str, ScoredRow]]:
    """(lead's id, what its row shows) of a scored workbook, row by row; none where there is no such file yet.

    ConfigError where it cannot be read or is not one of ours (SY183)."""
    if not path.exists():
        return
    table = open_table(path, likely=(KEY,))
    ours, key = places(table.headings), _last(table.headings, KEY)
    if ours is None or key is None:
        raise ConfigError(
            f"{path.name}: this is no scored workbook of syncer any more: it lacks one of the columns "
            f"{', '.join((*astuple(WORDS['en'])[:3], KEY))}; give it another name, and a new one is written",
            code="SY183",
        )
    for _, cells in table.rows():
        if (identity := _text(cells[key])) is not None:
            yield identity, ours.row(cells)


def last_saved_by(path: Path) -> str | None:
    """The person whom a workbook names as the last to have saved it; None where that was syncer, or it does not say."""
    try:
        with zipfile.ZipFile(path) as parts, parts.open("docProps/core.xml") as file:
            found = ElementTree.fromstring(file.read(_LONGEST_PROPERTIES)).find(_LAST_SAVED_BY)
    except (OSError, KeyError, zipfile.BadZipFile, ElementTree.ParseError):
        return None
    name = (found.text or "").strip() if found is not None else ""
    return name if name not in ("", WRITER) else None


def _text(cell: Cell) -> str | None:
    return (str(cell).strip() or None) if cell is not None else None


def _last(names: Sequence[str], heading: str) -> int | None:
    return next((place for place in range(len(names) - 1, -1, -1) if names[place].strip() == heading), None)
