"""A table of leads: which column says what, and the record that a row is."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.spreadsheet import scored
from connectors.spreadsheet.scored import Places, Typed
from connectors.spreadsheet.settings import PEOPLE, USUAL, Settings
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Manual, Record, RecordKey, Value
from syncer.sheets.cells import ERRORS, Cell, is_day, moment_of, values_of
from syncer.sheets.reading import Table, field_name, folded, open_table

_PLAIN = (str, int, float, bool)
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
    shown: Mapping[str, tuple[str | None, Typed]] = field(default_factory=dict)  # id -> stage, what was typed
    last_author: str | None = None  # whoever saved the workbook last in which people choose

    @property
    def by_email(self) -> bool:
        return self.key == self.email

    def id_of(self, cells: Sequence[Cell]) -> str | None:
        """The lead that a row is about; None: it names nobody."""
        return address(cells[self.key]) if self.key == self.email else key_text(cells[self.key])

    def identities(self) -> Iterator[tuple[int, str | None]]:
        """(row, lead) of every row."""
        named = address if self.by_email else key_text
        for number, cell in self.table.cells_at(self.key):
            yield number, named(cell)

    def why_nobody(self, cells: Sequence[Cell]) -> str:
        heading, text = self.table.headings[self.key], str(cells[self.key] or "").strip()
        return (
            f"'{text[:60]}' under '{heading}' is no e-mail address" if text else f"there is nothing under '{heading}'"
        )

    def records(self, rows: Sequence[tuple[str, Sequence[Cell]]], at: datetime) -> Iterator[tuple[Record, str | None]]:
        """What each row of (lead, cells) says, and what of it is not obeyed, in words."""
        connection, simple = self.connection, self._nobody_chose
        email, owner, name = self.email, self.owner, self.name
        for (identity, cells), fields in zip(rows, self._fields([cells for _, cells in rows]), strict=True):
            record = Record(
                RecordKey(connection, PEOPLE, identity),
                at,
                identity if email == self.key else None if email is None else address(cells[email]),
                fields,
                owner=None if owner is None else key_text(cells[owner]),
                name=None if name is None else key_text(cells[name]),
            )
            yield (record, None) if simple else self._with_chosen(record, cells)

    @property
    def _nobody_chose(self) -> bool:
        """Nothing shows a stage, neither ours nor one chosen by hand."""
        return self.manual is None and self.ours is None and not self.shown

    def _with_chosen(self, record: Record, cells: Sequence[Cell]) -> tuple[Record, str | None]:
        stage, typed = self._chosen(record.key.id, cells)
        manual, complaint = (None, None) if typed.stage is None else self._manual(typed)
        return replace(record, stage=stage, manual=manual), complaint

    def _fields(self, rows: Sequence[Sequence[Cell]]) -> Iterator[dict[str, Value]]:
        """Of each row, gone through by columns: see `values_of`."""
        not_given, habits = self.settings.not_given, self.table.habits
        columns = [values_of([cells[place] for cells in rows], habits) for place in self.places]
        if not_given:
            columns = [[None if value in not_given else value for value in column] for column in columns]
        empty = any(None in column for column in columns)
        for values in zip(*columns, strict=True) if columns else ((),) * len(rows):
            found = dict(zip(self.names, values, strict=False))  # checked: a third more
            yield {name: value for name, value in found.items() if value is not None} if empty else found

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
        return datetime.combine(moment.astimezone(zone).date(), time(23, 59, 59), zone).astimezone(UTC)


def lead_table(path: Path, connection: str, settings: Settings, wanted: Wanted, *, whole: bool = True) -> LeadTable:
    """The file, opened; `whole` with what its scored workbook shows. ConfigError where it cannot be read, or where a
    column is not there."""
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
    beside = scored.beside(path)
    shows = whole and settings.writes and not in_place and beside.exists()
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
        shown=_shown(beside) if shows else {},
        last_author=scored.last_saved_by(path if manual is not None or in_place else beside) if whole else None,
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


def _shown(workbook: Path) -> dict[str, tuple[str | None, Typed]]:
    """Ours of every row; stages and empty cells, which are alike, are kept once."""
    alike: dict[tuple[str | None, Typed], tuple[str | None, Typed]] = {}
    rows = ((identity, (row.stage, row.manual)) for identity, row in scored.rows(workbook))
    return {identity: alike.setdefault(each, each) for identity, each in rows}


def key_text(cell: Cell) -> str | None:
    """A cell as it names something: 34600111222.0 is "34600111222"; None: it is empty."""
    if isinstance(cell, str):
        text = cell.strip()
        return text if text and text not in ERRORS else None
    if cell is None:
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def address(cell: Cell) -> str | None:
    """An e-mail address, in small letters; None: it is none."""
    if not isinstance(cell, str):
        return None
    text = cell.strip().lower()
    return text if text.count("@") == 1 and " " not in text and text[0] != "@" != text[-1] else None


def plain(text: str) -> str:
    """Without case, accents and spaces around it."""
    taken_apart = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(sign for sign in taken_apart if not unicodedata.combining(sign))


def _left_out(row: int, why: str) -> None:
    """What is no row is told when its record is asked for."""
