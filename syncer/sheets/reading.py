"""Rows of tables: .csv .tsv .txt, .xlsx .xlsm .xls .xlsb .ods.

The heading need not be the first row, a title may stand above it; it is found by the names that are looked for. A CSV
file is read as it streams by; a workbook's sheet is held while its `Table` is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from operator import itemgetter
from pathlib import Path

from syncer.errors import ConfigError
from syncer.sheets.cells import Cell, Habits, Lines, Unreadable
from syncer.sheets.texts import text_habits, text_rows
from syncer.sheets.workbooks import Book, BookSheet, open_book

__all__ = ["FORMATS", "TEXTS", "Cell", "Habits", "Table", "field_name", "folded", "nearest", "open_table"]

TEXTS = frozenset({".csv", ".tsv", ".txt"})
BOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})
FORMATS = TEXTS | BOOKS

_LOOKED_AT = 50  # rows among which the heading stands


Rows = Sequence[Sequence[Cell]]


def _no_rows(unreadable: Unreadable | None) -> Iterator[tuple[int, Sequence[Cell]]]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose heading is found."""

    path: Path
    sheet: str | None  # None: a text file has none
    headings: tuple[str, ...]  # without the spaces around them; "" where a column has none
    row: int  # of the headings, as a spreadsheet counts, from 1
    habits: Habits  # as found out
    every_row: Lines = field(default=_no_rows, repr=False, compare=False)
    book_sheet: BookSheet | None = field(default=None, repr=False, compare=False)

    @property
    def kept(self) -> bool:
        """Whether its rows lie in memory, since they are few."""
        return self.book_sheet is not None and self.book_sheet.keeps

    def rows(self, unreadable: Unreadable | None = None) -> Iterator[tuple[int, tuple[Cell, ...]]]:
        """(row number, its cells, one per heading) of each row below the headings that is not empty; more cells where
        a text file's row has more than headings. What is no row of the table is told to `unreadable` as (row number,
        why) and left out; without it, ConfigError (SY170)."""
        width = len(self.headings)
        for number, cells in self.every_row(unreadable):
            if number <= self.row or ((not cells or cells[0] is None) and cells.count(None) == len(cells)):
                continue
            if len(cells) == width:
                yield number, tuple(cells)
            elif len(cells) < width:
                yield number, (*cells, *(None,) * (width - len(cells)))
            elif self.sheet is not None or not any(cells[width:]):
                yield number, tuple(cells[:width])
            else:
                yield number, tuple(cells)

    def chunks(self, size: int, unreadable: Unreadable | None = None) -> Iterator[tuple[Sequence[int], Rows]]:
        """The same as lists of at most so many (row numbers, rows), for less than one by one. An empty cell may be ""
        here."""
        if self.book_sheet is None:
            rows = self.rows(unreadable)
            while some := list(islice(rows, size)):
                yield [number for number, _ in some], [cells for _, cells in some]
            return
        lines, number = islice(self.book_sheet.lines(), self.row, None), self.row + 1
        while sheet_rows := list(islice(lines, size)):
            yield _without_empty(range(number, number + len(sheet_rows)), sheet_rows, len(self.headings))
            number += len(sheet_rows)

    def column(self, heading: str) -> int:
        """Where it stands, from 0; case and spacing do not matter. ConfigError (SY171)."""
        found = {folded(each): at for at, each in reversed([*enumerate(self.headings)])}
        if folded(heading) not in found:
            raise _not_there(self, [heading])
        return found[folded(heading)]


def open_table(
    path: Path,
    *,
    sheet: str | None = None,
    headings: Collection[str] = (),
    likely: Collection[str] = (),
    habits: Habits = Habits(),  # noqa: B008  # frozen
) -> Table:
    """The table in a file whose heading row has all of `headings`; where none are named, the first row with one of
    `likely`, else the first that looks like headings. Of a workbook the first visible sheet that has them.

    ConfigError: the file cannot be read (SY170), a heading is not there (SY171), a sheet is not there (SY172)."""
    wanted = _Wanted(frozenset(map(folded, headings)), frozenset(map(folded, likely)))
    if path.suffix.lower() not in BOOKS:
        found_out = text_habits(path, habits, wanted.of)
        return _insist(_found(path, None, text_rows(path, found_out), found_out, wanted), headings)
    return _insist(_first_fitting(path, sheet, habits, wanted), headings)


def field_name(heading: str) -> str:
    """ "Total Time Spent on Website" -> "total_time_spent_on_website"."""
    return re.sub(r"[\W_]+", "_", heading.casefold()).strip("_")


def folded(heading: str) -> str:
    """What headings are compared by."""
    return " ".join(heading.split()).casefold()


@dataclass(frozen=True, slots=True)
class _Wanted:
    all: frozenset[str]
    any: frozenset[str]

    def of(self, names: Iterable[str]) -> int:
        """How much of what is wanted stands among them."""
        present = {folded(name) for name in names}
        return len(self.all & present) if self.all else int(bool(self.any & present))

    @property
    def most(self) -> int:
        return len(self.all) if self.all else int(bool(self.any))


def _first_fitting(path: Path, sheet: str | None, habits: Habits, wanted: _Wanted) -> Table:
    """Of the sheets the first that has all, else the one that has most."""
    best: Table | None = None
    for book_sheet in _sheets(open_book(path), sheet):
        table = replace(_found(path, book_sheet.name, book_sheet.rows, habits, wanted), book_sheet=book_sheet)
        if best is None or wanted.of(table.headings) > wanted.of(best.headings) or not best.headings:
            best = table
        if best.headings and wanted.of(best.headings) == wanted.most:
            break
    return best or Table(path, sheet, (), 0, habits)


def _sheets(book: Book, sheet: str | None) -> Iterator[BookSheet]:
    """The visible ones, or the named one even where it is hidden."""
    if sheet is not None and sheet not in book.names:
        help = nearest(sheet, book.names)
        shown = ", ".join(book.names)
        message = f"{book.path.name}: there is no sheet '{sheet}'; {help}{'; ' if help else ''}it has: {shown}"
        raise ConfigError(message, code="SY172")
    for name in [sheet] if sheet is not None else book.visible:
        yield book.sheet(name)


def _found(path: Path, sheet: str | None, lines: Lines, habits: Habits, wanted: _Wanted) -> Table:
    """`headings` empty: there is no row at all."""
    head = [(number, cells) for number, cells in islice(lines(_not_told), _LOOKED_AT) if _filled(cells)]
    if not head:
        return Table(path, sheet, (), 0, habits)
    most = max(wanted.of(map(_text, cells)) for _, cells in head)
    number, cells = next(each for each in head if wanted.of(map(_text, each[1])) == most) if most else _likely(head)
    names = [_text(cell) for cell in cells]
    while not names[-1]:
        names.pop()
    return Table(path, sheet, tuple(names), number, habits, lines)


def _likely(head: Sequence[tuple[int, Sequence[Cell]]]) -> tuple[int, Sequence[Cell]]:
    """The first row of nothing but texts that fills more than half of the width; a title fills less."""
    width = max(_filled(cells) for _, cells in head)
    for number, cells in head:
        texts = all(isinstance(cell, str) for cell in cells if cell is not None)
        if texts and 2 * _filled(cells) > width:
            return number, cells
    return head[0]


def _filled(cells: Sequence[Cell]) -> int:
    return sum(_text(cell) != "" for cell in cells)


def _without_empty(numbers: Sequence[int], rows: Rows, width: int) -> tuple[Sequence[int], Rows]:
    """Of rows of one width those with something in them, as wide as that."""
    if len(rows[0]) != width:
        rows = [[*cells[:width], *("",) * (width - len(cells))] for cells in rows]
    if "" not in map(itemgetter(0), rows):
        return numbers, rows
    filled = [any(cell != "" for cell in cells) for cells in rows]
    return [*compress(numbers, filled)], [*compress(rows, filled)]


def _text(cell: Cell) -> str:
    return "" if cell is None else " ".join(str(cell).split())


def _not_told(row: int, why: str) -> None:
    """What is no row is told when the rows are read."""


def _insist(table: Table, headings: Collection[str]) -> Table:
    if not table.headings:
        where = f"{table.path.name}, sheet '{table.sheet}'" if table.sheet else f"{table.path.name}:1"
        raise ConfigError(f"{where}: the table is empty; its first row names the columns", code="SY170")
    there = {folded(each) for each in table.headings}
    if missing := [each for each in headings if folded(each) not in there]:
        raise _not_there(table, missing)
    return table


def _not_there(table: Table, missing: Sequence[str]) -> ConfigError:
    first, rest = missing[0], missing[1:]
    sheet = f" on sheet '{table.sheet}'" if table.sheet else ""
    help = nearest(first, table.headings) or "it has: " + ", ".join(each for each in table.headings[:20] if each)
    also = f" (nor {', '.join(map(repr, rest))})" if rest else ""
    return ConfigError(
        f"{table.path.name}:{table.row}: there is no column '{first}'{also}{sheet}; {help}", code="SY171"
    )


def nearest(word: str, names: Iterable[str]) -> str:
    """ "did you mean 'E-mail'?", or "" where nothing is near."""
    known = {folded(name): name for name in names}
    near = difflib.get_close_matches(folded(word), list(known), n=1, cutoff=0.6)
    return f"did you mean '{known[near[0]]}'?" if near else ""
