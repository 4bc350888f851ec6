"""A table of leads: which column says what, and the record that a row is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.spreadsheet import scored
from connectors.spreadsheet.chunks import Chunk, Fault
from connectors.spreadsheet.files import saved_at
from connectors.spreadsheet.identities import address, addresses, key_text, key_texts, plain
from connectors.spreadsheet.scored import Places, Typed
from connectors.spreadsheet.settings import PEOPLE, USUAL, Settings
from syncer.by_hand import last_moment
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Manual, Record, RecordKey, Value
from syncer.sheets.cells import Cell, is_day, moment_of, values_of
from syncer.sheets.reading import Rows, Table, field_name, folded, open_table

ReadTexts = Callable[[Sequence[Cell]], list[str | None]]

Shown = Mapping[str, tuple[str | None, Typed]]
"""Lead -> the stage that scored workbooks show, and what people have typed there."""

_NOTHING = Typed()


@dataclass(frozen=True, slots=True)
class ManualPlaces:
    """Columns of a stage chosen by hand, from 0."""

    stage: int
    reason: int | None
    author: int | None
    until: int | None

    def typed(self, cells: Sequence[Cell]) -> Typed:
        places = (self.stage, self.reason, self.author, self.until)
        return Typed(*(None if at is None else cells[at] for at in places))


@dataclass(frozen=True, slots=True)
class LeadTable:
    """A table of leads whose columns are understood, with what its scored workbook shows."""

    table: Table
    connection: str
    settings: Settings
    wanted: Wanted
    key: int  # of the column that names a lead, from 0
    email: int | None
    name: int | None
    owner: int | None
    names: tuple[str, ...]  # of the fields that have a column
    places: tuple[int, ...]  # where each of them stands
    manual: ManualPlaces | None  # None: the scored workbook is where people choose
    ours: Places | None  # our columns, where they stand in the table itself
    shown: Shown = field(default_factory=dict)
    last_author: str | None = None  # whoever saved this file last, where people choose in it

    @property
    def by_email(self) -> bool:
        return self.key == self.email

    def id_of(self, cells: Sequence[Cell]) -> str | None:
        """The lead that a row is about; None: it names nobody."""
        return address(cells[self.key]) if self.by_email else key_text(cells[self.key])

    def ids_of(self, rows: Rows) -> list[str | None]:
        """The same of each."""
        keys = _column(rows, self.key)
        return addresses(keys) if self.by_email else key_texts(keys)

    def why_nobody(self, cells: Sequence[Cell]) -> str:
        heading, text = self.table.headings[self.key], str(cells[self.key] or "").strip()
        return (
            f"'{text[:60]}' under '{heading}' is no e-mail address" if text else f"there is nothing under '{heading}'"
        )

    def records(self, chunk: Chunk, at: datetime) -> tuple[list[Record], list[Fault]]:
        """What each row says, and what of it is not obeyed."""
        connection, ids, rows = self.connection, chunk.ids, chunk.rows
        emails = ids if self.by_email else self._texts(self.email, rows, addresses)
        owners, names = (self._texts(place, rows, key_texts) for place in (self.owner, self.name))
        keys, nothing = map(RecordKey, repeat(connection), repeat(PEOPLE), ids), repeat(None)
        unseen = (nothing, nothing, nothing, nothing, repeat(False))  # what a CRM would show of stages
        records = list(map(Record, keys, repeat(at), emails, self._fields(rows), *unseen, owners, names))
        return (records, []) if self._nobody_chose else self._with_chosen(records, chunk)

    def _texts(self, place: int | None, rows: Rows, read: ReadTexts) -> Iterable[str | None]:
        return repeat(None) if place is None else read(_column(rows, place))

    @property
    def _nobody_chose(self) -> bool:
        """Nothing shows a stage, neither ours nor one chosen by hand."""
        return self.manual is None and self.ours is None and not self.shown

    def _with_chosen(self, records: Sequence[Record], chunk: Chunk) -> tuple[list[Record], list[Fault]]:
        found, faults = list[Record](), list[Fault]()
        by_plain = {plain(each): each for each in reversed(self.wanted.stages)}
        for record, number, cells in zip(records, chunk.numbers, chunk.rows, strict=True):
            stage, typed = self._chosen(record.key.id, cells)
            manual, complaint = (None, None) if typed.stage is None else self._manual(typed)
            if stage is not None and stage not in self.wanted.stages:
                stage = by_plain.get(plain(stage), stage)  # people write "SQL" for sql
            found.append(replace(record, stage=stage, manual=manual))
            if complaint is not None:
                faults.append(Fault(number, complaint, cells))
        return found, faults

    def _fields(self, rows: Rows) -> list[dict[str, Value]]:
        """Of each row, filled column by column."""
        found: list[dict[str, Value]] = [{} for _ in rows]
        not_given = self.settings.not_given
        for name, place in zip(self.names, self.places, strict=True):
            for fields, value in zip(found, values_of(_column(rows, place), self.table.habits), strict=False):
                if value is not None and value not in not_given:
                    fields[name] = value
        return found

    def _chosen(self, identity: str, cells: Sequence[Cell]) -> tuple[str | None, Typed]:
        if self.ours is not None:
            row = self.ours.row(cells)
            stage, typed = row.stage, row.manual
        else:
            stage, typed = self.shown.get(identity, (None, _NOTHING))
        return stage, typed if self.manual is None else self.manual.typed(cells)

    def _manual(self, typed: Typed) -> tuple[Manual | None, str | None]:
        said = key_text(typed.stage)
        if said is None or said in self.settings.not_given:
            return None, None
        stage = next((each for each in self.wanted.stages if plain(each) == plain(said)), None)
        if stage is None:
            known = ", ".join(self.wanted.stages)
            return None, f"no stage is called '{said[:60]}', so it is not obeyed; there are: {known}"
        try:
            until = self._until(typed.until)
        except ValueError as error:
            return None, f"the stage chosen by hand is not obeyed: {error}"
        return Manual(stage, key_text(typed.reason) or "", key_text(typed.author) or self.last_author, until), None

    def _until(self, cell: Cell) -> datetime | None:
        """A day counts to its last second. ValueError with words."""
        if key_text(cell) is None:
            return None
        zone = ZoneInfo(self.wanted.timezone)
        moment = moment_of(cell, self.table.habits, zone)
        if not is_day(cell, self.table.habits):
            return moment
        return last_moment(moment.astimezone(zone).date(), self.wanted.timezone).replace(microsecond=0)


def lead_table(path: Path, connection: str, settings: Settings, wanted: Wanted, shown: Shown) -> LeadTable:
    """The file, opened. ConfigError where it cannot be read, or where a column is not there."""
    named = [settings.key, settings.email, settings.name, settings.owner, *settings.fields.values()]
    named += [getattr(settings.manual, each) for each in ("stage", "reason", "author", "until")]
    headings = [each for each in named if each is not None]
    likely = USUAL["email"] if not headings else ()
    table = open_table(path, sheet=settings.sheet, headings=headings, likely=likely, habits=settings.habits)
    email = _place(table, settings.email, USUAL["email"])
    key = email if settings.key is None else table.column(settings.key)
    if key is None:
        raise ConfigError(
            f"{path.name}:{table.row}: no column is headed like an e-mail; say which it is, `email: HEADING`, or "
            f"which names each lead, `key: HEADING`; there are: {', '.join(filter(None, table.headings[:20]))}",
            code="SY174",
        )
    manual = _manual_places(table, settings)
    fields = dict(_fields(table, settings, wanted.fields))
    in_place = settings.write is not False and settings.write.in_place
    return LeadTable(
        table=table,
        connection=connection,
        settings=settings,
        wanted=wanted,
        key=key,
        email=email,
        name=_place(table, settings.name, USUAL["name"]),
        owner=_place(table, settings.owner, USUAL["owner"]),
        names=tuple(fields),
        places=tuple(fields.values()),
        manual=manual,
        ours=scored.places(table.headings) if in_place else None,
        shown=shown,
        last_author=scored.last_saved_by(path) if manual is not None or in_place else None,
    )


def _fields(table: Table, settings: Settings, names: Collection[str]) -> Iterator[tuple[str, int]]:
    """(field, its column) of those fields that have one; the first column of a name."""
    by_name = {field_name(heading): at for at, heading in reversed([*enumerate(table.headings)])}
    for name in names:
        if name in settings.fields:
            yield name, table.column(settings.fields[name])
        elif name in by_name:
            yield name, by_name[name]


def _place(table: Table, heading: str | None, usual: Collection[str]) -> int | None:
    """ConfigError (SY171) where the heading is not there."""
    if heading is not None:
        return table.column(heading)
    there = {folded(each): at for at, each in reversed([*enumerate(table.headings)])}
    return next((there[folded(each)] for each in usual if folded(each) in there), None)


def _manual_places(table: Table, settings: Settings) -> ManualPlaces | None:
    named = settings.manual
    stage = _place(table, named.stage, USUAL["manual_stage"])
    if stage is None:
        return None
    rest = (
        (named.reason, USUAL["manual_reason"]),
        (named.author, USUAL["manual_author"]),
        (named.until, USUAL["manual_until"]),
    )
    return ManualPlaces(stage, *(_place(table, heading, usual) for heading, usual in rest))


def shown_in(workbooks: Iterable[Path]) -> Shown:
    """Of a lead that stands in several of these scored workbooks, the one saved last tells the stage; what was typed is
    that of the last in which anybody chose one. Rows that are alike are kept once."""
    alike: dict[tuple[str | None, Typed], tuple[str | None, Typed]] = {}
    found: dict[str, tuple[str | None, Typed]] = {}
    for workbook in sorted(workbooks, key=saved_at):
        author = scored.last_saved_by(workbook)
        for identity, row in scored.rows(workbook):
            _, typed = found.get(identity, (None, _NOTHING))
            if key_text(row.manual.stage) is not None:
                typed = replace(row.manual, author=row.manual.author or author)
            each = (row.stage, typed)
            found[identity] = alike.setdefault(each, each)
    return found


def _column(rows: Rows, place: int) -> list[Cell]:
    return [*map(itemgetter(place), rows)]
