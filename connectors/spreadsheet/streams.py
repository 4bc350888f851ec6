"""What each stream tells of one file: row by row, what it says or why it cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from connectors.spreadsheet import scored
from connectors.spreadsheet.deeds import DeedTable, Occurrences, PersonOf, deed_table
from connectors.spreadsheet.files import ERRORS, File, found, look
from connectors.spreadsheet.leads import LeadTable, address, lead_table
from connectors.spreadsheet.repeats import Repeats
from connectors.spreadsheet.settings import PEOPLE, Settings
from syncer.connector import Wanted
from syncer.model import Activity, Record, RecordKey
from syncer.sheets.cells import Cell


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be read, or not all of it."""

    number: int
    why: str
    cells: tuple[Cell, ...] = ()


class Row(NamedTuple):
    """One row of a file, understood as far as telling whom or what it is about."""

    number: int
    id: str  # as the CRM would write it
    cells: tuple[Cell, ...]


Told = tuple[Record | Activity | None, Fault | None]


class OpenFile(Protocol):
    """One file, opened."""

    @property
    def headings(self) -> Sequence[str]: ...

    @property
    def count(self) -> int:
        """Its rows that name something."""
        ...

    def rows(self) -> Iterator[Row | Fault]:
        """In their order."""
        ...

    def told(self, rows: Sequence[Row], at: datetime) -> Iterator[Told]:
        """What each row says, as of then, and what cannot be read of it."""
        ...


class Stream(Protocol):
    """One kind of thing that files tell of."""

    name: str

    def files(self) -> list[File]:
        """As they lie there now. ConfigError where one is not there."""
        ...

    def open(self, file: File) -> OpenFile: ...

    def errors_of(self, path: Path) -> Path | None:
        """Where what is wrong with the file is listed; None: nowhere."""
        ...

    def means(self) -> str:
        """Under what its rows are understood, beside the settings."""
        ...


def rows_of(table: LeadTable | DeedTable, why_nobody: Callable[[Sequence[Cell]], str]) -> Iterator[Row | Fault]:
    """Each row of the table, or what is wrong with it."""
    unreadable: list[Fault] = []
    width = len(table.table.headings)
    for number, cells in table.table.rows(lambda row, why: unreadable.append(Fault(row, why))):
        if unreadable:
            yield from unreadable
            unreadable.clear()
        identity = table.id_of(cells)
        if len(cells) > width:
            why = (
                f"the row has {len(cells)} cells, and the headings {width}; put quotes around cells with the separator"
            )
            yield Fault(number, why, cells)
        elif identity is None:
            yield Fault(number, why_nobody(cells), cells)
        else:
            yield Row(number, identity, cells)
    yield from unreadable


class LeadStream:
    """The rows of files of leads."""

    name = PEOPLE

    def __init__(self, connection: str, settings: Settings, wanted: Wanted) -> None:
        self._connection, self._settings, self._wanted = connection, settings, wanted

    def means(self) -> str:
        return ""

    def files(self) -> list[File]:
        in_place = self._settings.write is not False and self._settings.write.in_place
        shows = self._settings.writes and not in_place
        return [
            look(path, self._wanted.folder, (scored.beside(path),) if shows else ())
            for path in found(self._wanted.folder, self._settings.path, self._connection)
        ]

    def table(self, path: Path, *, whole: bool = True) -> LeadTable:
        return lead_table(path, self._connection, self._settings, self._wanted, whole=whole)

    def errors_of(self, path: Path) -> Path | None:
        return path.with_name(path.stem + ERRORS)

    def open(self, file: File) -> OpenFile:
        return _Leads(self.table(file.path))


class _Leads:
    def __init__(self, table: LeadTable) -> None:
        self._table = table
        self._repeats = Repeats(table.identities)
        self.headings = table.table.headings
        self.count = self._repeats.count

    def rows(self) -> Iterator[Row | Fault]:
        """Of a lead that stands twice the last row counts."""
        rows = rows_of(self._table, self._table.why_nobody)
        return rows if not self._repeats.more else self._last_of_each(rows)

    def _last_of_each(self, rows: Iterator[Row | Fault]) -> Iterator[Row | Fault]:
        for row in rows:
            if isinstance(row, Row) and (last := self._repeats.last(row.id, row.number)) != row.number:
                yield Fault(row.number, f"'{row.id[:60]}' stands again in row {last}, which counts", row.cells)
            else:
                yield row

    def told(self, rows: Sequence[Row], at: datetime) -> Iterator[Told]:
        said = self._table.records([(row.id, row.cells) for row in rows], at)
        for row, (record, complaint) in zip(rows, said, strict=True):
            yield record, Fault(row.number, complaint, row.cells) if complaint else None


class DeedStream:
    """The rows of files of activities."""

    def __init__(self, name: str, connection: str, settings: Settings, wanted: Wanted) -> None:
        self.name = name
        self._connection, self._settings, self._wanted = connection, settings, wanted
        self._leads = LeadStream(connection, settings, wanted) if settings.path and settings.key is not None else None

    def means(self) -> str:
        """Who is meant by an e-mail may change when the leads do."""
        return "" if self._leads is None else " ".join(file.hash for file in self._leads.files())

    def files(self) -> list[File]:
        paths = found(self._wanted.folder, self._settings.activities[self.name].path, self._connection)
        return [look(path, self._wanted.folder) for path in paths]

    def table(self, path: Path) -> DeedTable:
        return deed_table(path, self.name, self._connection, self._settings, self._wanted)

    def errors_of(self, path: Path) -> Path | None:
        """Other than that of the leads, who may stand in the same workbook."""
        return path.with_name(f"{path.stem}.{self.name}{ERRORS}")

    def open(self, file: File) -> OpenFile:
        return _Deeds(self.table(file.path), self._person_of())

    def _person_of(self) -> PersonOf:
        if self._leads is None:
            return _by_email
        tables = [self._leads.table(file.path, whole=False) for file in self._leads.files()]
        keys = {mail: key for table in tables for mail, key in _emails(table)}
        return lambda said: _by_key(said, keys)


class _Deeds:
    def __init__(self, table: DeedTable, person_of: PersonOf) -> None:
        self._table, self._person_of = table, person_of
        self._repeats = Repeats(table.identities)
        self._occurrences = Occurrences(Counter())
        self.headings = table.table.headings
        self.count = self._repeats.count

    def rows(self) -> Iterator[Row | Fault]:
        for row in rows_of(self._table, lambda cells: "there is nothing in the column that names the row"):
            if isinstance(row, Fault) or not self._repeats.suspected(row.id):
                yield row
            elif self._table.id is None:
                yield row._replace(id=self._occurrences.named(row.id))
            elif (last := self._repeats.last(row.id, row.number)) != row.number:
                yield Fault(row.number, f"'{row.id[:60]}' stands again in row {last}, which counts", row.cells)
            else:
                yield row

    def told(self, rows: Sequence[Row], at: datetime) -> Iterator[Told]:
        for row in rows:
            try:
                yield self._table.activity(row.id, row.cells, self._person_of), None
            except ValueError as error:
                yield None, Fault(row.number, str(error), row.cells)


class PersonStream:
    """Whoever the activities speak of, where there are no files of leads: an e-mail address is a lead."""

    name = PEOPLE

    def __init__(self, connection: str, deeds: Mapping[str, DeedStream]) -> None:
        self._connection, self._deeds = connection, deeds
        self._seen: set[int] = set()

    def means(self) -> str:
        return ""

    def files(self) -> list[File]:
        """A file that two streams read is there twice, by two names."""
        self._seen = set()
        return [
            replace(file, name=f"{name}:{file.name}") for name, each in self._deeds.items() for file in each.files()
        ]

    def errors_of(self, path: Path) -> Path | None:
        return None

    def open(self, file: File) -> OpenFile:
        table = self._deeds[file.name.partition(":")[0]].table(file.path)
        return _Persons(self._connection, table, self._seen)


class _Persons:
    count = 0

    def __init__(self, connection: str, table: DeedTable, seen: set[int]) -> None:
        self._connection, self._table, self._seen = connection, table, seen
        self.headings = table.table.headings

    def rows(self) -> Iterator[Row | Fault]:
        """Each once. What is wrong with a row its own stream tells."""
        for number, cells in self._table.table.rows(_told_elsewhere):
            email = address(cells[self._table.person])
            if email is not None and hash(email) not in self._seen:
                self._seen.add(hash(email))
                yield Row(number, email, cells)

    def told(self, rows: Sequence[Row], at: datetime) -> Iterator[Told]:
        for row in rows:
            yield Record(RecordKey(self._connection, PEOPLE, row.id), at, row.id), None


def _told_elsewhere(row: int, why: str) -> None:
    """By the stream of the activities."""


def _emails(table: LeadTable) -> Iterator[tuple[str, str]]:
    """(e-mail, lead) of each row that has both."""
    if table.email is None:
        return
    for _, cells in table.table.rows(_told_elsewhere):
        mail, key = address(cells[table.email]), table.id_of(cells)
        if mail is not None and key is not None:
            yield mail, key


def _by_email(said: str) -> str:
    found_ = address(said)
    if found_ is None:
        raise ValueError(f"'{said[:60]}' is no e-mail address, by which the leads are known")
    return found_


def _by_key(said: str, keys: Mapping[str, str]) -> str:
    mail = address(said)
    if mail is None:
        return said
    if mail not in keys:
        raise ValueError(f"no lead has the e-mail '{said[:60]}'")
    return keys[mail]
