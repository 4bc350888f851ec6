"""A table of activities: every row is something that a person did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.spreadsheet.identities import key_text
from connectors.spreadsheet.settings import PEOPLE, ActivityTable, Settings
from syncer.connector import Wanted
from syncer.model import Activity, RecordKey, Value
from syncer.sheets.cells import Cell, moment_of, value_of
from syncer.sheets.reading import Rows, Table, field_name, open_table

PersonOf = Callable[[str], str]
"""What stands for a person -> the lead's id. ValueError with words where it is nobody."""


@dataclass(frozen=True, slots=True)
class DeedTable:
    """A table of activities whose columns are understood."""

    table: Table
    stream: str
    connection: str
    settings: Settings
    zone: ZoneInfo
    kind: str | int  # the kind itself, or its column from 0, in which "Page view" is page_view
    at: int
    person: int
    id: int | None
    fields: tuple[tuple[str, int], ...]

    def id_of(self, cells: Sequence[Cell]) -> str | None:
        """By the id column, else by all that the row says: an edited row is another activity then."""
        if self.id is not None:
            return key_text(cells[self.id])
        said = "\x1f".join("" if cell is None else str(cell) for cell in cells)
        return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def ids_of(self, rows: Rows) -> list[str | None]:
        """The same of each."""
        return [self.id_of(cells) for cells in rows]

    def why_nobody(self, cells: Sequence[Cell]) -> str:
        return "there is nothing in the column that names the row"

    def person_of(self, cells: Sequence[Cell]) -> str:
        """What stands for the person. ValueError where nothing does."""
        said = key_text(cells[self.person])
        if said is None:
            raise ValueError(f"there is nothing under '{self.table.headings[self.person]}'")
        return said

    def activity(self, identity: str, cells: Sequence[Cell], person_of: PersonOf) -> Activity:
        """ValueError with words where the row lacks something."""
        kind = self.kind if isinstance(self.kind, str) else field_name(key_text(cells[self.kind]) or "")
        if not kind:
            raise ValueError("the row does not say what kind of activity it is")
        lead = person_of(self.person_of(cells))
        return Activity(
            self.connection,
            f"{self.stream}/{identity}",
            kind,
            moment_of(cells[self.at], self.table.habits, self.zone),
            (RecordKey(self.connection, PEOPLE, lead),),
            self._fields(cells),
        )

    def _fields(self, cells: Sequence[Cell]) -> dict[str, Value]:
        said = {name: value_of(cells[place], self.table.habits) for name, place in self.fields}
        return {
            name: value for name, value in said.items() if value is not None and value not in self.settings.not_given
        }


@dataclass(slots=True)
class Occurrences:
    """Rows that say the same are that many activities; the first of them needs no number."""

    seen: Counter[str]

    def named(self, identity: str) -> str:
        self.seen[identity] += 1
        return identity if self.seen[identity] == 1 else f"{identity}-{self.seen[identity]}"


def deed_table(path: Path, stream: str, connection: str, settings: Settings, wanted: Wanted) -> DeedTable:
    """The file, opened. ConfigError where it cannot be read, or where a column is not there."""
    asked: ActivityTable = settings.activities[stream]
    headings = [asked.at, asked.person, asked.kind_column, asked.id, *asked.fields.values()]
    named = [each for each in headings if each is not None]
    table = open_table(path, sheet=asked.sheet, headings=named, habits=settings.habits)
    taken = {table.column(each) for each in named}
    by_heading = {field_name(each): at for at, each in enumerate(table.headings) if each and at not in taken}
    mapped = {name: table.column(heading) for name, heading in asked.fields.items()}
    return DeedTable(
        table=table,
        stream=stream,
        connection=connection,
        settings=settings,
        zone=ZoneInfo(wanted.timezone),
        kind=asked.kind if asked.kind is not None else table.column(asked.kind_column or ""),
        at=table.column(asked.at),
        person=table.column(asked.person),
        id=None if asked.id is None else table.column(asked.id),
        fields=tuple((by_heading | mapped).items()),
    )
