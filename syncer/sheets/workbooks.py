"""Workbooks by python-calamine, behind a look at whether they can be opened at all.

Calamine holds a sheet as a rectangle from its first cell to its last: a file of a few kilobytes can ask for any memory,
by what its archive unpacks to or by a cell far from the others. So an archive is walked through first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum
from python_calamine import SheetVisibleEnum as Visible

from syncer.errors import ConfigError
from syncer.sheets.archives import insist_bounded
from syncer.sheets.cells import Cell, Unreadable

_ARCHIVE = b"PK\x03\x04"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # .xls, and any workbook with a password
_LARGEST_XLS = 256 << 20  # bytes
_KEPT = 500_000  # cells, some 50 MB


@dataclass(frozen=True, slots=True)
class BookSheet:
    """One sheet, read."""

    name: str
    read: CalamineSheet
    kept: list[Sequence[Any]] = field(default_factory=list, repr=False)

    def rows(self, unreadable: Unreadable | None = None) -> Iterator[tuple[int, Sequence[Cell]]]:
        for number, cells in enumerate(self.lines(), start=1):
            yield number, [None if cell == "" else cell for cell in cells] if "" in cells else cells

    @property
    def keeps(self) -> bool:
        """Whether its rows stay in memory once they are asked for."""
        return (self.read.total_height + 1) * (self.read.total_width + 1) <= _KEPT

    def lines(self) -> Iterable[Sequence[Cell]]:
        """Its rows from the top, all of one width; an empty cell is "". Times of day and spans are among
        the cells too, which are rare: see `value_of`."""
        if not self.keeps:
            return cast(Iterable[Sequence[Cell]], self.read.iter_rows())
        if not self.kept:
            self.kept.extend(self.read.to_python(skip_empty_area=False))
        return self.kept


@dataclass(frozen=True, slots=True)
class Book:
    """A workbook that can be opened."""

    path: Path
    names: tuple[str, ...]  # of its sheets with cells
    visible: tuple[str, ...]
    read: CalamineWorkbook

    def sheet(self, name: str) -> BookSheet:
        try:
            return BookSheet(name, self.read.get_sheet_by_name(name))
        except BaseException as error:  # noqa: BLE001  # calamine's panics are no Exception
            _refuse(self.path, error)


def open_book(path: Path) -> Book:
    """ConfigError (SY170) where it is damaged, has a password, or is something else under a workbook's name."""
    try:
        with path.open("rb") as file:
            head = file.read(2048)
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f"{path.name}: the workbook cannot be read: {error.strerror}", code="SY170") from error
    _insist_workbook(path, head, size)
    try:
        read = CalamineWorkbook.from_path(str(path))
        sheets = [each for each in read.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
    except BaseException as error:  # noqa: BLE001  # calamine's panics are no Exception
        _refuse(path, error)
    visible = tuple(each.name for each in sheets if each.visible == Visible.Visible)
    return Book(path, tuple(each.name for each in sheets), visible, read)


def _insist_workbook(path: Path, head: bytes, size: int) -> None:
    if head.startswith(_ARCHIVE):
        insist_bounded(path)
    elif head.startswith(_COMPOUND):
        if size > _LARGEST_XLS:
            raise _refusal(path, "the workbook is too large for its format; save it as .xlsx or as CSV")
    elif not head.strip():
        raise _refusal(path, "the file is empty")
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise _refusal(path, "this is a web page or XML under a workbook's name; open it in Excel and save it as .xlsx")
    else:
        raise _refusal(path, "this is no workbook; save it as .xlsx again, or call it .csv if it is text")


def _refuse(path: Path, error: BaseException) -> NoReturn:
    """In calamine's stead; what is not calamine's own goes on."""
    if isinstance(error, PasswordError):
        raise _refusal(path, "the workbook has a password; save a copy without one") from error
    if not isinstance(error, CalamineError | OSError | ValueError) and type(error).__name__ != "PanicException":
        raise error
    raise _refusal(path, f"the workbook is damaged ({str(error)[:120]}); save it again in Excel") from error


def _refusal(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path.name}: {why}", code="SY170")
