"""Leads of a CSV table: every row is one lead as it is known now, every column a field."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncer.cli.output import counted
from syncer.errors import ConfigError
from syncer.model import Value
from syncer.settings import Columns, did_you_mean

_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class LeadTable:
    """A table whose headings are understood; its rows are read when asked for."""

    path: Path
    delimiter: str
    headings: tuple[str, ...]
    fields: tuple[str, ...]  # of each column, the name by which the model knows it
    not_given: frozenset[str]

    def field(self, column: str) -> str:
        """The field of a column, named by its heading or by the field itself. ConfigError (SY112) for another name."""
        named = dict(zip(self.headings, self.fields, strict=True))
        if column not in named and column not in self.fields:
            raise _wrong(self.path, 1, f"there is no column '{column}'", did_you_mean(column, named))
        return named.get(column, column)

    def rows(self) -> Iterator[Mapping[str, Value]]:
        """Each lead's fields, those that are not given left out. ConfigError (SY112) at the first line that is no row
        of the table."""
        for line, cells in _lines(self.path, self.delimiter):
            if line == 1 or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(self.fields):
                there, wanted = counted(len(cells), "cell"), counted(len(self.fields), "cell")
                message = f"this row has {there}, and the heading {wanted}"
                raise _wrong(self.path, line, message, "put quotes around cells that hold the separator")
            texts = zip(self.fields, (cell.strip() for cell in cells), strict=True)
            yield {name: text for name, text in texts if text and text not in self.not_given}


def lead_table(path: Path, columns: Columns) -> LeadTable:
    """Look at the heading. ConfigError (SY112) where the file, or a column that `columns` names, is not there, where a
    heading is empty, or where two columns would give the same field."""
    delimiter = _delimiter(path)
    headings = tuple(heading.strip() for heading in next((cells for _, cells in _lines(path, delimiter)), ()))
    if not any(headings):
        raise _wrong(path, 1, "the table is empty", "its first line names the columns")
    missing = next((heading for heading in columns.fields if heading not in headings), None)
    if missing is not None:
        raise _wrong(path, 1, f"there is no column '{missing}'", did_you_mean(missing, headings))
    fields = tuple(columns.fields.get(heading) or field_name(heading) for heading in headings)
    _refuse_twins(path, headings, fields)
    return LeadTable(path, delimiter, headings, fields, columns.not_given)


def field_name(heading: str) -> str:
    """ "Total Time Spent on Website" -> "total_time_spent_on_website"."""
    return re.sub(r"[\W_]+", "_", heading.casefold()).strip("_")


def _refuse_twins(path: Path, headings: Sequence[str], fields: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for column, name in enumerate(fields):
        if not name:
            raise _wrong(path, 1, f"column {column + 1} has no heading", "name every column")
        if name in first:
            both = f"columns {first[name] + 1} '{headings[first[name]]}' and {column + 1} '{headings[column]}'"
            help = "rename one of them in the table"
            if headings[first[name]] != headings[column]:  # else an option could not tell the two apart
                help += ", or say --column 'HEADING=FIELD'"
            raise _wrong(path, 1, f"{both} both give the field {name}", help)
        first[name] = column


def _delimiter(path: Path) -> str:
    """What the heading is divided by: the spreadsheets of half the world write semicolons."""
    try:
        with path.open("rb") as file:
            heading = file.readline(1_000_000)
    except OSError as error:
        raise ConfigError(f"{path.name}: the table cannot be read: {error.strerror}", code="SY112") from error
    return max(_DELIMITERS, key=lambda each: heading.count(each.encode()))


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(the line it begins on, its cells) of every row."""
    begins = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                yield begins, cells
                begins = reader.line_num + 1
    except csv.Error as error:
        help = "a quote that is never closed is a usual reason"
        raise _wrong(path, begins, f"this row cannot be read as CSV ({error})", help) from error
    except UnicodeDecodeError as error:
        raise _wrong(path, _undecodable(path), "this line is not UTF-8", "save the table as CSV UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path.name}: the table cannot be read: {error.strerror}", code="SY112") from error


def _undecodable(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _wrong(path: Path, line: int, message: str, help: str = "") -> ConfigError:
    return ConfigError(f"{path.name}:{line}: {message}" + (f"; {help}" if help else ""), code="SY112")
