"""Leads of a table, CSV or a workbook: every row is one lead as it is known now, every column a field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncer.cli.output import counted
from syncer.errors import ConfigError
from syncer.model import Value
from syncer.settings import Columns, did_you_mean
from syncer.sheets.cells import value_of
from syncer.sheets.reading import Table, field_name, folded, open_table


@dataclass(frozen=True, slots=True)
class LeadTable:
    """A table whose headings are understood; its rows are read when asked for."""

    table: Table
    fields: tuple[str, ...]  # of each column, the name by which the model knows it
    not_given: frozenset[str]

    @property
    def path(self) -> Path:
        return self.table.path

    def field(self, column: str) -> str:
        """The field of a column, named by its heading or by the field itself. ConfigError (SY112) for another name."""
        named = dict(zip(self.table.headings, self.fields, strict=True))
        if column not in named and column not in self.fields:
            raise _wrong(self.table, self.table.row, f"there is no column '{column}'", did_you_mean(column, named))
        return named.get(column, column)

    def rows(self) -> Iterator[Mapping[str, Value]]:
        """Each lead's fields, those that are not given left out. ConfigError (SY112) at the first row of a text file
        that is no row of the table."""
        width = len(self.fields)
        for number, cells in self.table.every_row(None):
            if number <= self.table.row or not any(str(cell).strip() for cell in cells if cell is not None):
                continue
            if self.table.sheet is None and len(cells) != width:
                there, wanted = counted(len(cells), "cell"), counted(width, "cell")
                message = f"this row has {there}, and the heading {wanted}"
                raise _wrong(self.table, number, message, "put quotes around cells that hold the separator")
            values = ((name, value_of(cell, self.table.habits)) for name, cell in zip(self.fields, cells, strict=False))
            yield {name: value for name, value in values if value is not None and value not in self.not_given}


def lead_table(path: Path, columns: Columns) -> LeadTable:
    """Look at the heading. ConfigError where the file, or a column that `columns` names, is not there (SY170, SY171),
    where a heading is empty, or where two columns would give the same field (SY112)."""
    table = open_table(path, headings=tuple(columns.fields))
    named = {folded(heading): name for heading, name in columns.fields.items()}
    fields = tuple(named.get(folded(heading)) or field_name(heading) for heading in table.headings)
    _refuse_twins(table, fields)
    return LeadTable(table, fields, columns.not_given)


def _refuse_twins(table: Table, fields: Sequence[str]) -> None:
    first: dict[str, int] = {}
    headings = table.headings
    for column, name in enumerate(fields):
        if not name:
            raise _wrong(table, table.row, f"column {column + 1} has no heading", "name every column")
        if name in first:
            both = f"columns {first[name] + 1} '{headings[first[name]]}' and {column + 1} '{headings[column]}'"
            help = "rename one of them in the table"
            if headings[first[name]] != headings[column]:  # else an option could not tell the two apart
                help += ", or say --column 'HEADING=FIELD'"
            raise _wrong(table, table.row, f"{both} both give the field {name}", help)
        first[name] = column


def _wrong(table: Table, row: int, message: str, help: str = "") -> ConfigError:
    return ConfigError(f"{table.path.name}:{row}: {message}" + (f"; {help}" if help else ""), code="SY112")
