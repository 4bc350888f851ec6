"""Spreadsheets: leads, and what they do, in CSV files and workbooks; score and stage written into a copy beside each.

No account and no secret is needed. What changed is told by the files' contents: a file that is the same as last time is
not read, another one is read whole. A row that cannot be read stops nothing: it is listed, with the reason, in
NAME.errors.xlsx beside its file (NAME.TABLE.errors.xlsx for a table of activities). Where a lead stands in several
files, the file changed last has the last word; where it stands twice in one, its last row.

A row that is in no file any more is kept, unless `missing: deleted` says otherwise; then the sweep that follows a
change takes the lead away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel

from connectors.spreadsheet import settings as spreadsheet_settings
from connectors.spreadsheet import write as writing
from connectors.spreadsheet.check import Check
from connectors.spreadsheet.read import Reader
from connectors.spreadsheet.settings import PEOPLE
from connectors.spreadsheet.streams import LeadStream
from connectors.spreadsheet.write import BATCH, Desk, LeadFile
from syncer.connector import FieldChange, Finding, Wanted
from syncer.model import Change, Cursor, Page, Record, RecordKey, Rejected, Written
from syncer.sheets.writing import version

__all__ = ["Spreadsheet"]


class Spreadsheet:
    """The files of one connection, as a source and a destination."""

    Settings: ClassVar[type[BaseModel]] = spreadsheet_settings.Settings
    batch = BATCH

    def __init__(self, name: str, settings: spreadsheet_settings.Settings, wanted: Wanted) -> None:
        self._reader = Reader(name, settings, wanted)
        self._check = Check(name, settings, wanted)
        self._leads = LeadStream(name, settings, wanted) if settings.path else None
        in_place = settings.write is not False and settings.write.in_place
        self._desk = Desk(name, wanted.language, wanted.stages, in_place, self._files, wanted.fence)
        self.streams: tuple[str, ...] = self._reader.streams
        self.people: tuple[str, ...] = (PEOPLE,)
        goes = settings.missing == "deleted"
        self.swept: tuple[str, ...] = self.streams if goes else ()
        self.shrinks: tuple[str, ...] = self.swept
        manual = [f"manual {each}={heading}" for each, heading in settings.manual if heading is not None]
        self.reads: tuple[str, ...] = (*(f"{name}={heading}" for name, heading in settings.fields.items()), *manual)

    def check(self) -> Iterator[Finding]:
        return self._check.check()

    def account(self) -> str:
        return self._reader.account()

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        return self._reader.pull(stream, since)

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        return self._reader.sweep(stream, since)

    def fetch(self, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        """`lately` asks for nothing: no file can be asked by person for less than all it has."""
        return self._reader.fetch(stream, ids)

    def setup(self) -> Iterator[FieldChange]:
        return writing.setup(self._desk)

    def create(self, change: FieldChange) -> None:
        """Columns come with the first write."""

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        for page in self._reader.fetch(PEOPLE, [key.id for key in records]):
            yield from page.records

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return writing.stage_authors(self._desk, records)

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        return writing.write(self._desk, changes)

    def _files(self) -> Iterator[LeadFile]:
        """Those of leads, opened anew."""
        if self._leads is None:
            return
        for file in self._leads.files():
            since = version(file.path)
            read = self._leads.table(file.path)
            yield LeadFile(read.table, read.id_of, manual=read.manual is not None, since=since)
