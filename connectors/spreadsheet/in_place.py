"""Our columns in the user's own table: a CSV file is written again in its own encoding and with its own separator, and
a small .xlsx is changed cell by cell, so that its looks, lists and colours stay.

What openpyxl would lose is looked for first, and such a workbook is refused: see `obstacle`.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import astuple, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

import openpyxl
from openpyxl.cell.cell import Cell as Box
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from connectors.spreadsheet import scored
from connectors.spreadsheet.scored import Places
from syncer.errors import ConfigError
from syncer.model import Standing
from syncer.sheets.cells import Cell
from syncer.sheets.reading import TEXTS, Table
from syncer.sheets.writing import LONGEST_TEXT, WORDS, Version, csv_text, replacing

MOST_ROWS = 5_000
"""openpyxl needs half a minute for 20,000 rows."""

_LOST = {
    "xl/charts": "charts",
    "xl/drawings": "drawings or pictures",
    "xl/media": "pictures",
    "xl/vbaProject": "macros",
    "xl/pivot": "pivot tables",
    "xl/slicers": "slicers",
    "xl/timelines": "timelines",
    "xl/embeddings": "embedded files",
    "xl/ctrlProps": "buttons",
    "xl/threadedComments": "threads of comments",
    "xl/queryTables": "queries",
    "xl/connections": "connections",
}
_IN_SHEETS = {rb"<f[ >/]": "results of formulas", rb"<extLst": "newer conditional formats or lists"}
_PIECE = 1 << 20  # bytes of a sheet looked at in one go
_OVERLAP = 16  # bytes; longer than any mark looked for
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

IdOf = Callable[[Sequence[Cell]], str | None]


@dataclass(frozen=True, slots=True)
class Wording:
    """What our columns are called, and which stages there are."""

    language: str
    stages: tuple[str, ...]
    manual: bool  # the table has a column for the manual stage already

    @property
    def headings(self) -> tuple[str, ...]:
        every: tuple[str, ...] = astuple(WORDS[self.language])
        return every[:3] if self.manual else every


def obstacle(table: Table) -> str | None:
    """Why the file had better not be written to, in words; None: it may be."""
    path, instead = table.path, "leave `in_place` out: then a workbook beside it is written"
    kind = path.suffix.lower()
    if kind in TEXTS:
        return None
    if kind != ".xlsx":
        return f"{path.name}: a {kind} file cannot be written in place; save it as .xlsx, or {instead}"
    if any(count > MOST_ROWS for count, _ in enumerate(table.rows(), start=1)):
        return f"{path.name}: it has more than {MOST_ROWS:,} rows, too many to be written in place; {instead}"
    with _understood(path):
        lost = sorted(set(_what_is_lost(path)))
    return f"{path.name}: writing in place would lose its {', its '.join(lost)}; {instead}" if lost else None


def rewrite(
    table: Table, id_of: IdOf, standings: Mapping[str, Standing], wording: Wording, since: Version | None = None
) -> None:
    """Put these into the rows of their leads. ConfigError (SY184) for a file that had better not be written to, and
    what `replacing` raises, also where the file is no longer as it was `since` the table was opened."""
    if (why := obstacle(table)) is not None:
        raise ConfigError(why, code="SY184")
    with replacing(table.path, since) as file:
        if table.path.suffix.lower() in TEXTS:
            _rewrite_text(table, id_of, (standings, wording), file)
        else:
            _rewrite_workbook(table, id_of, (standings, wording), file)


def points(hundredths: int | None) -> Cell:
    """As a cell shows them: whole points as a whole number."""
    if hundredths is None:
        return None
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


_Told = tuple[Mapping[str, Standing], Wording]


def _what_is_lost(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as parts:
        names = parts.namelist()
        yield from (words for mark, words in _LOST.items() if any(name.startswith(mark) for name in names))
        for name in names:
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with parts.open(name) as sheet:
                    yield from _marks(sheet)


def _marks(sheet: IO[bytes]) -> Iterator[str]:
    found: set[str] = set()
    end = b""
    while piece := sheet.read(_PIECE):
        found |= {words for mark, words in _IN_SHEETS.items() if re.search(mark, end + piece)}
        end = piece[-_OVERLAP:]
    yield from found


def _rewrite_workbook(table: Table, id_of: IdOf, told: _Told, file: IO[bytes]) -> None:
    standings, wording = told
    with _understood(table.path):
        book = openpyxl.load_workbook(table.path, rich_text=True)
        sheet = book[table.sheet] if table.sheet is not None else book.worksheets[0]
    ours = _own_columns(sheet, table.row, wording)
    author = scored.last_saved_by(table.path)
    for number, cells in table.rows():
        _sign(sheet, number, ours, author)
        standing = standings.get(id_of(cells) or "")
        if standing is not None:
            told_of = (points(standing.score), standing.stage, standing.reasons)
            for place, cell in zip((ours.score, ours.stage, ours.reasons), told_of, strict=True):
                if cell is not None:
                    _put(sheet, (number, place + 1), cell)
    with _understood(table.path):
        book.save(file)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Of a file that is damaged where the rows are not, openpyxl lets whatever error it meets escape. ConfigError
    (SY184)."""
    try:
        yield
    except OSError:  # of the disk
        raise
    except Exception as error:
        why = f"parts of it are damaged ({type(error).__name__}), so it cannot be changed in place"
        help = "save it anew in Excel, or leave `in_place` out: then a workbook beside it is written"
        raise ConfigError(f"{path.name}: {why}; {help}", code="SY184") from error


def _own_columns(sheet: Worksheet, heading_row: int, wording: Wording) -> Places:
    """Where our columns are, counted from 0; where there are none yet, they come behind the last one."""
    names = [str(box.value or "") for box in sheet[heading_row]]
    found = scored.places(names)
    if found is not None:
        return found
    last = max((place for place, name in enumerate(names, start=1) if name.strip()), default=0)
    for place, heading in enumerate(wording.headings, start=last + 1):
        _put(sheet, (heading_row, place), heading)
        beside = sheet.cell(heading_row, max(last, 1))
        for look in ("font", "fill", "border", "alignment"):
            setattr(sheet.cell(heading_row, place), look, copy(getattr(beside, look)))
    for place in (last + 2,) if wording.manual else (last + 2, last + 4):
        _offer(sheet, heading_row, place, wording.stages)
    ours = scored.places([*names[:last], *wording.headings])
    assert ours is not None
    return ours


def _offer(sheet: Worksheet, heading_row: int, place: int, stages: Sequence[str]) -> None:
    """A drop-down list of the stages."""
    offered = DataValidation(type="list", formula1=f'"{",".join(stages)}"', allow_blank=True)
    letter = get_column_letter(place)
    offered.add(f"{letter}{heading_row + 1}:{letter}{MOST_ROWS}")
    sheet.add_data_validation(offered)


def _sign(sheet: Worksheet, number: int, ours: Places, author: str | None) -> None:
    """Keep who has chosen a stage by hand: who saves the workbook next may be somebody else."""
    if author is None or ours.manual_stage is None or ours.manual_author is None:
        return
    chosen, signed = sheet.cell(number, ours.manual_stage + 1), sheet.cell(number, ours.manual_author + 1)
    if chosen.value not in (None, "") and signed.value in (None, ""):
        _put(sheet, (number, ours.manual_author + 1), author)


def _put(sheet: Worksheet, place: tuple[int, int], cell: Cell) -> None:
    box = cast(Box, sheet.cell(*place))
    if isinstance(cell, str):
        box.value = _NO_TEXT.sub("�", cell)[:LONGEST_TEXT]
        box.data_type = "s"  # whatever it begins with
    else:
        box.value = cell


def _rewrite_text(table: Table, id_of: IdOf, told: _Told, file: IO[bytes]) -> None:
    """Line by line; what stands above the headings, and rows that name nobody, stay."""
    habits = table.habits
    encoding, separator = habits.encoding or "utf-8", habits.separator or ","
    out = TextIOWrapper(cast(Any, file), encoding=encoding, errors="replace", newline="", write_through=True)
    with table.path.open("rb") as before:
        end = "\r\n" if b"\r\n" in before.read(_PIECE) else "\n"
    try:
        writer = csv.writer(out, delimiter=separator, lineterminator=end)
        with table.path.open(encoding=encoding, newline="") as lines:
            writer.writerows(_new_rows(table, id_of, told, csv.reader(lines, delimiter=separator, strict=True)))
    finally:
        out.detach()  # or it would close the file when it goes


def _new_rows(table: Table, id_of: IdOf, told: _Told, old: Iterator[list[str]]) -> Iterator[list[str]]:
    standings, wording = told
    ours = scored.places(table.headings)
    headings = () if ours is not None else wording.headings
    ours = ours or scored.places([*table.headings, *headings])
    assert ours is not None
    understood = table.rows()
    number, cells = next(understood, (0, ()))
    for place, texts in enumerate(old, start=1):
        if place == table.row:
            yield [*_filled(texts, len(table.headings)), *headings]
        elif place != number:
            yield texts
        else:
            standing, width = standings.get(id_of(cells) or ""), len(table.headings) + len(headings)
            yield _with_standing(_filled(texts, width), ours, standing, table)
            number, cells = next(understood, (0, ()))


def _filled(texts: list[str], columns: int) -> list[str]:
    return texts + [""] * (columns - len(texts))


def _with_standing(texts: list[str], ours: Places, standing: Standing | None, table: Table) -> list[str]:
    if standing is not None:
        told = (points(standing.score), standing.stage, standing.reasons)
        for place, cell in zip((ours.score, ours.stage, ours.reasons), told, strict=True):
            if cell is not None:
                texts[place] = csv_text(cell, table.habits.decimal or ".")
    return texts
