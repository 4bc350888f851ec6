"""Tables out: workbooks (.xlsx) and CSV, written to a temporary file beside the target and renamed, so that whoever
looks finds the old table or the new one, whole. Text is never a formula, a link or a number, whatever it begins with.

Limits are Excel's own (its page "Excel specifications and limits").
"""

from __future__ import annotations

import csv
import math
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Literal, cast

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from syncer.errors import ConfigError, TemporaryError
from syncer.sheets.cells import Cell

MOST_ROWS = 1_048_576  # of a sheet, its heading included
LONGEST_TEXT = 32_767  # characters of a cell
WRITER = "syncer"  # whom our workbooks name as the one who saved them last

_CUT = " … [cut]"
_DIGITS = 10**15  # Excel keeps 15 digits of a number
_LONGEST_LIST = 255  # characters of a drop-down list, commas included
_NARROWEST, _WIDEST = 9, 60  # columns, in characters
_LOOKED_AT = 500  # rows whose cells say how wide a column is
_LINE_HEIGHT = 15.75  # points, not the usual 15, which says nothing: of several lines the first is seen, to be skimmed
_LEFTOVER_S = 3600.0  # a temporary file this old is nobody's any more
_FIRST_DAY = date(1900, 3, 1)  # before it, Excel counts a day that never was
_NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"valign": "top"},
    "points": {"valign": "top", "num_format": "0.00"},
    "text": {"valign": "top", "text_wrap": True},
    "typed": {"valign": "top", "bg_color": "#FFFBE6"},
}
_DATES = {"es": ("dd/mm/yyyy", "dd/mm/yyyy hh:mm"), "en": ("yyyy-mm-dd", "yyyy-mm-dd hh:mm")}
_TONES = ("#DCE6F1", "#FFF2CC", "#FCE0C4", "#C6E8B9")


@dataclass(frozen=True, slots=True)
class Words:
    """The headings of what we say of a lead in one language, in the order they stand, and of people's own word."""

    score: str
    stage: str
    reasons: str
    manual_stage: str
    manual_reason: str
    manual_author: str
    manual_until: str


WORDS: Mapping[str, Words] = {
    "en": Words("Score", "Stage", "Why", "Manual stage", "Manual reason", "Manual author", "Manual until"),
    "es": Words("Puntuación", "Etapa", "Por qué", "Etapa manual", "Motivo", "Por", "Hasta"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table to be written: its heading and how it looks."""

    heading: str
    look: Literal["plain", "points", "text", "typed"] = "plain"  # text: of several lines; typed: for people to fill in
    choices: tuple[str, ...] = ()  # of a drop-down list
    tones: tuple[str, ...] = ()  # texts that are coloured, coldest first
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str = "utf-8-sig"
    separator: str = ","
    decimal: str = "."


DIALECTS: Mapping[str, Dialect] = {"en": Dialect(), "es": Dialect(separator=";", decimal=",")}
"""What Excel reads right in either language."""


def write_table(
    path: Path,
    headings: Sequence[str | Column],
    rows: Iterable[Sequence[Cell]],
    *,
    language: str = "en",
) -> None:
    """A workbook of one sheet with a frozen heading and a filter, row after row in bounded memory; aware moments must
    be naive by now, in the zone of whoever reads. `language` ("en", "es") says how dates look.

    TemporaryError (SY180) while somebody has the file open, ConfigError where it cannot be written (SY181) or a sheet
    has too few rows (SY182); the file is the old one then."""
    columns = [each if isinstance(each, Column) else Column(each) for each in headings]
    with replacing(path) as file:
        _write_workbook(file, path, columns, rows, language)


def write_csv(
    file: IO[bytes],
    headings: Sequence[str | Column],
    rows: Iterable[Sequence[Cell]],
    dialect: Dialect = DIALECTS["en"],
) -> None:
    """CSV in which no text of a cell is a formula to a spreadsheet: one that looks like it gets a ' in front."""
    names = [each.heading if isinstance(each, Column) else each for each in headings]
    out = TextIOWrapper(cast(Any, file), encoding=dialect.encoding, errors="replace", newline="", write_through=True)
    try:
        writer = csv.writer(out, delimiter=dialect.separator, lineterminator="\r\n")
        writer.writerow([csv_text(name) for name in names])
        writer.writerows([csv_text(cell, dialect.decimal) for cell in row] for row in rows)
    finally:
        out.detach()  # or it would close the file when it goes


def csv_text(cell: Cell, decimal: str = ".") -> str:
    """A cell as CSV shows it: numbers stay numbers, a text that would be taken for a formula does not stay one."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        return f"{cell:.15g}".replace(".", decimal) if isinstance(cell, float) else str(cell)
    if isinstance(cell, date):  # a datetime is one, too
        return cell.isoformat(" ") if isinstance(cell, datetime) else cell.isoformat()
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


Version = tuple[int, int, int]
"""Of a file: another one says that somebody has saved it."""


@contextmanager
def replacing(path: Path, since: Version | None = None) -> Iterator[IO[bytes]]:
    """A file to write into that takes the place of `path` at the end, at once and whole; after an error `path` is as it
    was. What `path` holds may be read meanwhile: if it changes before the end, it stays. `since`: its version when that
    was read, where it was before.

    TemporaryError (SY180) while somebody has `path` open, ConfigError (SY181) where it cannot be written."""
    target = path.resolve()  # a link stays a link
    insist_closed(target)
    _sweep_leftovers(target)
    before = since or version(target)
    new = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            with new.open("xb") as file:
                if before is not None:
                    new.chmod(target.stat().st_mode & 0o7777)
                yield file
                file.flush()
                os.fsync(file.fileno())
            _insist_unchanged(target, before)
            os.replace(new, target)
            _keep_name(target.parent)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}; give the folder write rights and room",
            code="SY181",
        ) from error


def version(path: Path) -> Version | None:
    """Another one: somebody has saved the file. None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _insist_unchanged(path: Path, before: Version | None) -> None:
    insist_closed(path)
    if version(path) != before:
        message = f"{path.name} was changed while it was being written; what is there now stays, the next try writes it"
        raise TemporaryError(message, code="SY180")


def insist_closed(path: Path) -> None:
    """TemporaryError (SY180) where Excel or LibreOffice says that somebody has the file open."""
    for lock in (path.with_name(f"~${path.name}"), path.with_name(f".~lock.{path.name}#")):
        try:
            who = _holder(lock)
        except FileNotFoundError:
            continue
        except OSError:
            who = ""
        raise TemporaryError(
            f"{path.name} is open in a spreadsheet program{who and f' by {who}'}; close it, and it is written at the "
            f"next try (if nobody has it open, delete {lock.name} beside it)",
            code="SY180",
        )


def _holder(lock: Path) -> str:
    """Excel: the name's length in the first byte, then the name. LibreOffice: ",ana,machine,…"."""
    content = lock.read_bytes()[:200]
    if lock.name.startswith("~$"):
        text = content[1 : 1 + content[0]].decode("cp1252", "replace") if content else ""
    else:
        parts = content.decode("utf-8", "replace").split(",")
        text = next((part for part in parts[:2] if part.strip()), "")
    return "".join(each for each in text if each.isprintable()).strip()[:60]


def _sweep_leftovers(target: Path) -> None:
    """Of a process that was killed while it wrote."""
    for left in target.parent.glob(f".{_quoted(target.name)}.*.tmp"):
        if time.time() - left.stat().st_mtime > _LEFTOVER_S:
            left.unlink(missing_ok=True)


def _quoted(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _keep_name(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@dataclass(slots=True)
class _Width:
    """What a column's cells need, in characters."""

    most: int

    def see(self, cell: Cell) -> None:
        longest = max(map(len, cell.splitlines()), default=0) if isinstance(cell, str) else len(str(cell or ""))
        self.most = max(self.most, longest)

    @property
    def characters(self) -> int:
        return min(max(self.most + 2, _NARROWEST), _WIDEST)


def _write_workbook(
    file: IO[bytes], path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], language: str
) -> None:
    never = ("strings_to_formulas", "strings_to_urls", "strings_to_numbers")
    book = xlsxwriter.Workbook(file, {"constant_memory": True, **dict.fromkeys(never, False)})
    book.set_properties({"author": WRITER})
    sheet = book.add_worksheet("Leads")
    pens = _Pens(book, language)
    bold = book.add_format({"bold": True, "bottom": 1, "bg_color": "#F2F2F2", "valign": "top"})
    for place, column in enumerate(columns):
        sheet.write_string(0, place, _fitting(column.heading), bold)
    widths = [_Width(len(column.heading) + 2) for column in columns]
    if any(column.look == "text" for column in columns):
        sheet.set_default_row(_LINE_HEIGHT)
    last = 0
    try:
        for last, cells in enumerate(rows, start=1):
            if last >= MOST_ROWS:
                raise ConfigError(
                    f"{path.name}: a sheet has {MOST_ROWS:,} rows at most, and there are more leads; use CSV instead: "
                    "`--format csv` of an export, `write: {in_place: true}` of a connection on a CSV file",
                    code="SY182",
                )
            for place, (column, cell) in enumerate(zip(columns, cells, strict=True)):
                pens.write(sheet, (last, place), cell, column.look)
                if last <= _LOOKED_AT:
                    widths[place].see(cell)
        _dress(book, sheet, columns, last)
        for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
            sheet.set_column(place, place, width.characters, None, {"hidden": column.hidden})
    finally:
        book.close()  # also after an error: it has temporary files


class _Pens:
    """The cell formats of one workbook, each made once; a library's format belongs to its workbook."""

    def __init__(self, book: Any, language: str) -> None:
        self._book, self._dates = book, _DATES.get(language, _DATES["en"])
        self._made: dict[tuple[str, str], Format] = {}

    def write(self, sheet: Worksheet, place: tuple[int, int], cell: Cell, look: str) -> None:
        row, column = place
        if cell is None or cell == "":
            if look == "typed":
                sheet.write_blank(row, column, None, self._of(look))
        elif isinstance(cell, bool):
            sheet.write_boolean(row, column, cell, self._of(look))
        elif isinstance(cell, date) and (moment := _countable(cell)) is not None:
            sheet.write_datetime(row, column, moment, self._of(look, self._dates[isinstance(cell, datetime)]))
        elif isinstance(cell, int | float) and math.isfinite(cell) and (isinstance(cell, float) or abs(cell) < _DIGITS):
            sheet.write_number(row, column, cell, self._of(look))
        else:
            text = cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)
            sheet.write_string(row, column, _fitting(text), self._of(look))

    def _of(self, look: str, number: str = "") -> Format:
        if (look, number) not in self._made:
            form = dict(_LOOKS[look]) | ({"num_format": number} if number else {})
            self._made[look, number] = self._book.add_format(form)
        return self._made[look, number]


def _countable(day: date) -> datetime | date | None:
    """As Excel counts days; None for one before its calendar."""
    plain = day.date() if isinstance(day, datetime) else day
    return day if plain >= _FIRST_DAY else None


def _fitting(text: str) -> str:
    """Without what XML cannot hold, and no longer than a cell."""
    clean = _NO_XML.sub("�", text)
    return clean if len(clean) <= LONGEST_TEXT else clean[: LONGEST_TEXT - len(_CUT)] + _CUT


def _dress(book: Any, sheet: Worksheet, columns: Sequence[Column], last: int) -> None:
    """What is said of whole columns: heading and filter, colours, drop-down lists."""
    sheet.freeze_panes(1, 0)
    if columns:
        sheet.autofilter(0, 0, max(last, 1), len(columns) - 1)
    for place, column in enumerate(columns):
        for number, text in enumerate(column.tones):
            tone = _TONES[round(number * (len(_TONES) - 1) / max(len(column.tones) - 1, 1))]
            quoted, colour = text.replace('"', '""'), book.add_format({"bg_color": tone})
            rule = {"type": "cell", "criteria": "==", "value": f'"{quoted}"', "format": colour}
            sheet.conditional_format(1, place, max(last, 1), place, rule)
        if column.choices and len(",".join(column.choices)) <= _LONGEST_LIST:
            sheet.data_validation(1, place, max(last, 1), place, {"validate": "list", "source": list(column.choices)})
