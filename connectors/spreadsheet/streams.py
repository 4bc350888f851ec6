"""What each stream tells of one file: row by row, what it says or why it cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from connectors.spreadsheet import scored
from connectors.spreadsheet.chunks import PAGE, Chunk, Chunks, Fault
from connectors.spreadsheet.deeds import DeedTable, Occurrences, PersonOf, deed_table
from connectors.spreadsheet.files import ERRORS, File, found, look, saved_at
from connectors.spreadsheet.identities import address, addresses
from connectors.spreadsheet.leads import LeadTable, Shown, lead_table, shown_in
from connectors.spreadsheet.repeats import Repeats
from connectors.spreadsheet.settings import PEOPLE, Settings
from syncer.connector import Wanted
from syncer.model import Activity, Record, RecordKey

Told = tuple[Sequence[Record | Activity], Sequence[Fault]]
"""What rows say, and what is wrong with some of them."""


class OpenFile(Protocol):
    """One file, opened."""

    @property
    def headings(self) -> Sequence[str]: ...

    @property
    def count(self) -> int:
        """Its rows that name something."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Its rows in their order."""
        ...

    def told(self, chunk: Chunk, at: datetime) -> Told:
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


class LeadStream:
    """The rows of files of leads."""

    name = PEOPLE

    def __init__(self, connection: str, settings: Settings, wanted: Wanted) -> None:
        self._connection, self._settings, self._wanted = connection, settings, wanted
        in_place = settings.write is not False and settings.write.in_place
        self._shows = settings.writes and not in_place
        self._shown: tuple[dict[Path, int], Shown] = ({}, {})

    def means(self) -> str:
        return ""

    def files(self) -> list[File]:
        return [
            look(path, self._wanted.folder, (scored.beside(path),) if self._shows else ()) for path in self._paths()
        ]

    def _paths(self) -> list[Path]:
        return found(self._wanted.folder, self._settings.path, self._connection)

    def table(self, path: Path, shown: Shown = MappingProxyType({})) -> LeadTable:
        """`shown`: of all scored workbooks, since a lead may stand in several."""
        return lead_table(path, self._connection, self._settings, self._wanted, shown)

    def _shown_now(self) -> Shown:
        workbooks = {each: saved_at(each) for each in map(scored.beside, self._paths())} if self._shows else {}
        if self._shown[0] != workbooks:
            self._shown = (workbooks, shown_in(workbooks))
        return self._shown[1]

    def errors_of(self, path: Path) -> Path | None:
        return path.with_name(path.stem + ERRORS)

    def open(self, file: File) -> OpenFile:
        return _Leads(self.table(file.path, self._shown_now()))


class _Leads:
    def __init__(self, table: LeadTable) -> None:
        self._table = table
        self._chunks = Chunks(table)
        self._repeats = Repeats(self._chunks.keys)
        self.headings = table.table.headings
        self.count = self._repeats.count

    def chunks(self) -> Iterator[Chunk]:
        """Of a lead that stands twice the last row counts."""
        chunks = iter(self._chunks)
        return map(partial(_last_of_each, repeats=self._repeats), chunks) if self._repeats.more else chunks

    def told(self, chunk: Chunk, at: datetime) -> Told:
        return self._table.records(chunk, at)


def _last_of_each(chunk: Chunk, repeats: Repeats) -> Chunk:
    last = [*map(repeats.last, chunk.ids, chunk.numbers)]
    kept = [*map(int.__eq__, last, chunk.numbers)]
    faults = (
        Fault(number, f"'{identity[:60]}' stands again in row {counts}, which counts", cells)
        for number, identity, cells, counts in zip(chunk.numbers, chunk.ids, chunk.rows, last, strict=True)
        if counts != number
    )
    return chunk if all(kept) else chunk.only(kept, *faults)


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
        tables = [self._leads.table(file.path) for file in self._leads.files()]
        keys = {mail: key for table in tables for mail, key in _emails(table)}
        return lambda said: _by_key(said, keys)


class _Deeds:
    def __init__(self, table: DeedTable, person_of: PersonOf) -> None:
        self._table, self._person_of = table, person_of
        self._chunks = Chunks(table)
        self._repeats = Repeats(self._chunks.keys)
        self._occurrences = Occurrences(Counter())
        self.headings = table.table.headings
        self.count = self._repeats.count

    def chunks(self) -> Iterator[Chunk]:
        chunks = iter(self._chunks)
        if not self._repeats.more:
            return chunks
        return (
            map(self._named, chunks)
            if self._table.id is None
            else (_last_of_each(each, self._repeats) for each in chunks)
        )

    def _named(self, chunk: Chunk) -> Chunk:
        suspected, named = self._repeats.suspected, self._occurrences.named
        return replace(chunk, ids=[named(each) if suspected(each) else each for each in chunk.ids])

    def told(self, chunk: Chunk, at: datetime) -> Told:
        found, faults = list[Activity](), list[Fault]()
        for number, identity, cells in zip(chunk.numbers, chunk.ids, chunk.rows, strict=True):
            try:
                found.append(self._table.activity(identity, cells, self._person_of))
            except ValueError as error:
                faults.append(Fault(number, str(error), cells))
        return found, faults


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

    def chunks(self) -> Iterator[Chunk]:
        """Each once. What is wrong with a row its own stream tells."""
        for numbers, rows in self._table.table.chunks(PAGE, _told_elsewhere):
            ids = addresses([cells[self._table.person] for cells in rows])
            new = [each is not None and self._is_new(each) for each in ids]
            yield Chunk(numbers, [each or "" for each in ids], rows).only(new)

    def _is_new(self, email: str) -> bool:
        before = len(self._seen)
        self._seen.add(hash(email))
        return len(self._seen) > before

    def told(self, chunk: Chunk, at: datetime) -> Told:
        return [Record(RecordKey(self._connection, PEOPLE, each), at, each) for each in chunk.ids], []


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
