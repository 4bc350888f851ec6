"""What `check` tells of files: which they are, how their columns are understood, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from connectors.spreadsheet.chunks import Chunks
from connectors.spreadsheet.deeds import DeedTable
from connectors.spreadsheet.files import File
from connectors.spreadsheet.leads import LeadTable
from connectors.spreadsheet.repeats import Repeats
from connectors.spreadsheet.settings import Settings
from connectors.spreadsheet.streams import DeedStream, LeadStream, Stream
from syncer.connector import Finding, Wanted
from syncer.errors import ConfigError
from syncer.sheets.reading import Table

_SHOWN = 8  # names in one line


class Check:
    """Findings on the files of one connection."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted) -> None:
        self._name, self._settings, self._wanted = name, settings, wanted

    def check(self) -> Iterator[Finding]:
        """A file that cannot be read does not hide the others."""
        if self._settings.path:
            leads = LeadStream(self._name, self._settings, self._wanted)
            yield from _each(leads, lambda file: self._leads(leads.table(file.path), file))
        for name in self._settings.activities:
            deeds = DeedStream(name, self._name, self._settings, self._wanted)
            yield from _each(deeds, lambda file, of=deeds: _deeds(of.table(file.path), file))  # type: ignore[misc]

    def _leads(self, read: LeadTable, file: File) -> Iterator[Finding]:
        repeats = Repeats(Chunks(read).keys)
        yield _found(read.table, file, f"{repeats.count:,} rows with a lead")
        columns = {"e-mail": read.email, "name": read.name, "owner": read.owner}
        said = [f"{what} is '{read.table.headings[at]}'" for what, at in columns.items() if at is not None]
        key = "the e-mail" if read.by_email else f"'{read.table.headings[read.key]}'"
        yield Finding("fields", "ok", f"{file.name}: a lead is known by {key}; {', '.join(said) or 'no e-mail'}")
        mapped = dict(zip(read.names, read.places, strict=True))
        if mapped:
            shown = _listed([f"{name} from '{read.table.headings[at]}'" for name, at in mapped.items()])
            yield Finding("fields", "ok", f"{file.name}: {shown}")
        absent = [name for name in self._wanted.fields if name not in mapped and name != "email"]
        if absent:
            message = f"{file.name}: no column gives {_listed(absent)}; rules that look there give nothing"
            help = "say which column it is: fields: {FIELD: HEADING}"
            yield Finding("fields", "warning", message, "SY175", help)
        if read.manual is not None:
            heading = read.table.headings[read.manual.stage]
            yield Finding("fields", "ok", f"{file.name}: a stage chosen by hand stands under '{heading}'")
        if repeats.more:
            message = f"{file.name}: {repeats.more:,} rows name a lead that stands again below; the last row counts"
            yield Finding("fields", "warning", message, "SY176", "leave one row for each lead")


def _each(stream: Stream, told: Callable[[File], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        lying = stream.files()
    except ConfigError as error:
        yield Finding("credentials", "error", error.message, error.code)
        return
    for file in lying:
        try:
            yield from told(file)
        except ConfigError as error:
            yield Finding("fields", "error", error.message, error.code)


def _deeds(read: DeedTable, file: File) -> Iterator[Finding]:
    kind = f"'{read.kind}'" if isinstance(read.kind, str) else f"the kinds under '{read.table.headings[read.kind]}'"
    count = sum(len(chunk.ids) for chunk in Chunks(read))
    yield _found(read.table, file, f"{count:,} rows, which {read.stream} takes for {kind}")


def _found(table: Table, file: File, rows: str) -> Finding:
    habits = table.habits
    how = f"sheet '{table.sheet}'" if table.sheet else f"{habits.encoding}, separated by {habits.separator!r}"
    return Finding("credentials", "ok", f"{file.name}, {how}: headings in row {table.row}, {rows}")


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
