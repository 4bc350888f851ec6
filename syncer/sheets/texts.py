"""CSV and its kin: which encoding, which separator, and the rows."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TextIO

from syncer.errors import ConfigError
from syncer.sheets.cells import Cell, Habits, Lines, Unreadable

_SEPARATORS = ",;\t|"
_CHUNK = 1 << 20  # bytes
_SAMPLE = 1 << 18  # bytes
_LONGEST_LINE = 1 << 24  # characters
_LONGEST_ROW = 1 << 21  # characters
_LONGEST_CELL = 1 << 17  # characters; a spreadsheet's have 32,767 at most
_TOO_LONG = "a cell of more than 131,072 characters"
_LOOKED_AT = 50  # rows that tell the separator
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WINDOWS = "cp1252"  # what Excel saves "CSV" as in Western Europe and America
_NOT_WINDOWS = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_EXCELS_HINT = re.compile(r"sep=(.)")  # a first line that is none: only Excel writes and reads it


def text_habits(path: Path, habits: Habits, fitting: Callable[[Iterable[str]], int]) -> Habits:
    """With what was left to be found out; `fitting` says how much a row of headings has of what is looked for.
    ConfigError (SY170) where the file cannot be read or is no text."""
    encoding = habits.encoding or _encoding(path)
    known = replace(habits, encoding=encoding)
    separator = habits.separator or _separator(path, encoding, fitting)
    return replace(known, separator=separator, decimal=habits.decimal or ("," if separator == ";" else "."))


def text_rows(path: Path, habits: Habits) -> Lines:
    """Rows with texts alone; an empty cell is None."""

    def rows(unreadable: Unreadable | None) -> Iterator[tuple[int, Sequence[Cell]]]:
        with _opened(path, habits.encoding or "utf-8") as file:
            yield from _rows(path, file, habits.separator or ",", unreadable)

    return rows


def _rows(
    path: Path, file: TextIO, separator: str, unreadable: Unreadable | None
) -> Iterator[tuple[int, Sequence[Cell]]]:
    """Quotes are strict: one that is never closed swallows rows in silence otherwise."""
    lines = _Lines(path, file)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    number = 0
    while True:
        number, lines.length = number + 1, 0
        try:
            cells = next(reader)
            if lines.length > _LONGEST_CELL and max(map(len, cells)) > _LONGEST_CELL:
                raise csv.Error(_TOO_LONG)
        except StopIteration:
            return
        except csv.Error as error:
            why = f"this row cannot be read as CSV ({error}); a quote that is never closed is a usual reason"
            if unreadable is None:
                raise ConfigError(f"{path.name}:{number}: {why}", code="SY170") from error
            unreadable(number, why)
            continue
        if number == 1 and len(cells) <= 2 and _EXCELS_HINT.match(separator.join(cells)):
            cells = []
        yield number, [cell or None for cell in cells]


class _Lines:
    """The lines of a text file. `length` counts the characters of the row that is being read: csv's own limit on a
    cell is one for the whole process, and others lift it."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._number = self.length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """csv.Error for a row that does not end. ConfigError (SY170) where a line does not decode, or is so long that
        this is no table."""
        line = self._line()
        if not line:
            raise StopIteration
        self._number += 1
        self.length += len(line)
        if len(line) >= _LONGEST_LINE:
            where = f"{self._path.name}:{self._number}"
            raise ConfigError(f"{where}: a line of 16 million characters is in no table", code="SY170")
        if self.length > _LONGEST_ROW:
            raise csv.Error(_TOO_LONG)
        return line

    def _line(self) -> str:
        try:
            return self._file.readline(_LONGEST_LINE)
        except UnicodeError as error:
            encoding = self._file.encoding
            named = "UTF-8" if encoding.lower().startswith("utf-8") else encoding
            message = f"{self._path.name}:{_undecodable(self._path, encoding)}: this line is not {named}"
            raise ConfigError(f"{message}; save the table as CSV UTF-8", code="SY170") from error
        except OSError as error:
            raise _unopened(self._path, error) from error


def _opened(path: Path, encoding: str) -> TextIO:
    try:
        return path.open(encoding=encoding, newline="")
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path.name}: the table cannot be read: {error.strerror}", code="SY170")


def _undecodable(path: Path, encoding: str) -> int:
    """The line that does not decode."""
    number = 0
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        try:
            for number, line in enumerate(file, start=1):
                if re.search("[\udc80-\udcff]", line):
                    return number
        except UnicodeError:  # UTF-16 has no such way to go on
            return number + 1
    return 1


def _encoding(path: Path) -> str:
    """By its mark, else UTF-8 where the whole file is, else Windows'."""
    try:
        with path.open("rb") as file:
            head = file.read(_SAMPLE)
            marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
            if marked is not None:
                return marked
            if b"\0" in head:
                raise ConfigError(f"{path.name}: this is no text; export the table as CSV again", code="SY170")
            file.seek(0)
            return "utf-8" if _is_utf8(file) else _windows(path)
    except OSError as error:
        raise _unopened(path, error) from error


def _is_utf8(file: Iterable[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(_CHUNK):  # type: ignore[attr-defined]
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _windows(path: Path) -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if _NOT_WINDOWS.search(chunk):
                line = _undecodable(path, "utf-8")
                raise ConfigError(
                    f"{path.name}:{line}: this line is neither UTF-8 nor Windows-1252; save the table as CSV UTF-8, or "
                    "say its encoding",
                    code="SY170",
                )
    return _WINDOWS


def _separator(path: Path, encoding: str, fitting: Callable[[Iterable[str]], int]) -> str:
    """The one by which most of the first rows have as many cells as each other, and more than one."""
    with _opened(path, encoding) as file:
        head = _head(_Lines(path, file))
    if head and (told := _EXCELS_HINT.fullmatch(head[0].strip("\r\n"))):
        return told[1]
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return max(_SEPARATORS, key=lambda each: (*_likeness(head, each, fitting), each == usual))


def _head(lines: _Lines) -> list[str]:
    """The first lines; fewer where they are as long as no row is."""
    head: list[str] = []
    try:
        head.extend(islice(lines, _LOOKED_AT))
    except csv.Error:
        return head
    return head


def _likeness(head: Sequence[str], separator: str, fitting: Callable[[Iterable[str]], int]) -> tuple[int, int, int]:
    """(what is looked for and stands in a row, rows that are alike, their cells)."""
    widths: Counter[int] = Counter()
    fit, reader = 0, csv.reader(iter(head), delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            continue
        widths[len(cells)] += len(cells) > 1
        fit = max(fit, fitting(cells))
    width, rows = max(widths.items(), key=lambda each: (each[1], each[0]), default=(0, 0))
    return fit, rows, width if rows else 0
