"""Reading files as streams: what changed since, everything, or what is asked for by id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import cast

from connectors.spreadsheet.chunks import PAGE, Chunk, Fault
from connectors.spreadsheet.files import File, saved_at
from connectors.spreadsheet.position import Begun, Position, position, told_at
from connectors.spreadsheet.settings import PEOPLE, Settings
from connectors.spreadsheet.streams import DeedStream, LeadStream, OpenFile, PersonStream, Stream
from syncer.connector import Wanted
from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.model import Activity, Cursor, Page, Record, RecordKey, Rejected
from syncer.retry import wait
from syncer.sheets.cells import Cell
from syncer.sheets.writing import write_table

_MOST_TOLD = 1_000  # faults of a file, told one by one
_MOST_LISTED = 10_000  # faults of a file, in its workbook of errors
_REASON = {"en": ("Row", "Reason"), "es": ("Fila", "Motivo")}
_MORE = {"en": "{} more rows could not be read", "es": "Otras {} filas no se han podido leer"}


@dataclass(slots=True)
class _Walk:
    """One file, gone through once, and what is found wrong with it. Only so much of that is kept."""

    stream: Stream
    file: File
    after: int  # the row up to which it was told already
    listed: list[Fault] = field(default_factory=list)
    told: list[Rejected] = field(default_factory=list)
    count: int = 0

    def note(self, fault: Fault) -> Rejected | None:
        """What is to be told of it; None where enough was."""
        self.count += 1
        if self.count <= _MOST_LISTED:
            self.listed.append(fault)
        if self.count > _MOST_TOLD:
            return None
        where = f"{self.file.name}:{fault.number}"
        return self.add(Rejected(where, f"{where}: {fault.why}"))

    def add(self, rejected: Rejected) -> Rejected:
        self.told.append(rejected)
        return rejected

    def rest(self) -> tuple[Rejected, ...]:
        """What is told at the end."""
        if self.count > _MOST_TOLD:
            more = f"{self.file.name}: {self.count - _MOST_TOLD:,} more rows cannot be read"
            self.add(Rejected(f"{self.file.name}:more", more))
        return tuple(each for each in self.told if each.id.endswith((":more", ":errors")))


class Reader:
    """The streams of one connection."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted) -> None:
        self._name, self._settings, self._wanted = name, settings, wanted
        deeds = {each: DeedStream(each, name, settings, wanted) for each in settings.activities}
        people = LeadStream(name, settings, wanted) if settings.path else PersonStream(name, deeds)
        self._streams: dict[str, Stream] = {PEOPLE: people, **deeds}
        self.streams: tuple[str, ...] = tuple(self._streams)

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        told = self._stream(stream)
        lying = {file.name: file for file in told.files()}
        place = position(since, self._means(told))
        begun, vanished = place.begun, place.faulty.keys() - lying
        settled = self._settled(stream, [each for name in sorted(vanished) for each in place.faulty[name]])
        place = place.only(lying)
        changed = [file for file in lying.values() if place.read.get(file.name) != file.hash]
        wait(0, self._wanted.stop)
        if settled.records or settled.activities or not changed:
            yield replace(settled, cursor=place.cursor())
        for file in changed:
            walk = _Walk(told, file, begun.row_of(file.name, file.hash) if begun else 0)
            yield from self._pages(walk, place)
            rest, before = walk.rest(), place.faulty.get(file.name, ())
            place = place.after(file.name, file.hash, [each.id for each in walk.told])
            right = set(before).difference(each.id for each in walk.told)
            yield replace(self._settled(stream, sorted(right)), cursor=place.cursor(), rejected=rest)

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        """The same without a word on what is wrong, and as of the file's own time: what changed a pull has told. An
        error where the file may have more in it than was read: ConfigError (SY177), TemporaryError (SY178)."""
        told = self._stream(stream)
        place = position(since, f"sweep {self._means(told)}")
        begun = place.begun
        for file in told.files():
            if place.read.get(file.name) != file.hash:
                walk = _Walk(told, file, begun.row_of(file.name, file.hash) if begun else 0)
                yield from (page for page in self._pages(walk, place, sweeping=True) if page.records or page.activities)
                place = place.after(file.name, file.hash)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """Whoever is in no file comes as deleted, unless the settings keep them."""
        told, asked = self._stream(stream), frozenset(ids)
        found: dict[str, Record | Activity] = {}
        for file in told.files():
            wait(0, self._wanted.stop)
            found |= self._asked_for(told.open(file), file, asked)
        gone = [each for each in ids if each not in found] if self._settings.missing == "deleted" else []
        everything = [*found.values(), *(self._gone(stream, each) for each in gone)]
        for first in range(0, len(everything), PAGE):
            some = everything[first : first + PAGE]
            records = tuple(each for each in some if isinstance(each, Record))
            yield Page(None, records, tuple(each for each in some if isinstance(each, Activity)))

    def account(self) -> str:
        """The first file as it is written in the settings: what is in it may change, its name stays."""
        named = [*self._settings.path, *(path for each in self._settings.activities.values() for path in each.path)]
        return f"spreadsheet:{named[0]}"

    def _asked_for(self, opened: OpenFile, file: File, asked: Collection[str]) -> dict[str, Record | Activity]:
        at = told_at(file.modified_at, None, _now())
        found: dict[str, Record | Activity] = {}
        for every in opened.chunks():
            said, _ = opened.told(every.only([each in asked for each in every.ids]), at)
            found |= {_id_of(each): each for each in said}
        return found

    def _gone(self, stream: str, identity: str) -> Record | Activity:
        if stream == PEOPLE:
            return Record(RecordKey(self._name, PEOPLE, identity), _now(), deleted=True)
        return Activity(self._name, f"{stream}/{identity}", "", _now(), (), deleted=True)

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise NotFound(f"{self._name}: there is no stream {name!r}")
        return self._streams[name]

    def _means(self, stream: Stream) -> str:
        """Everything by which rows are understood, in short."""
        settings = self._settings.model_dump_json(exclude={"write", "missing"})
        said = (settings, *self._wanted.fields, *self._wanted.stages, self._wanted.timezone, stream.means())
        return blake2b("\x1f".join(said).encode(), digest_size=12).hexdigest()

    def _pages(self, walk: _Walk, place: Position, *, sweeping: bool = False) -> Iterator[Page]:
        """The file's rows behind where it was left. What was told of it already is gone through for what is wrong."""
        wait(0, self._wanted.stop)
        opened = walk.stream.open(walk.file)
        for chunk in opened.chunks():
            wait(0, self._wanted.stop)
            page = self._page(walk, opened, chunk, sweeping=sweeping)
            if chunk.last > walk.after:
                begun = replace(place, begun=Begun(walk.file.name, walk.file.hash, chunk.last))
                yield replace(page, cursor=begun.cursor(), expected=opened.count or None)
        if not sweeping:
            self._list_faults(walk, opened)
        elif saved_at(walk.file.path) != walk.file.saved_at:
            why = f"{walk.file.name} was saved while it was read; who is in it no more, the next run tells"
            raise TemporaryError(why, code="SY178")

    def _page(self, walk: _Walk, opened: OpenFile, chunk: Chunk, *, sweeping: bool) -> Page:
        file, stream = walk.file, walk.stream.name
        known = self._wanted.known(stream, chunk.ids) if stream == PEOPLE and not sweeping else {}
        at = told_at(file.modified_at, max(known.values(), default=None), _now())
        said, wrong = opened.told(chunk, at)
        if sweeping:
            _insist_on_everybody(walk.file, chunk)
            chunk, wrong = replace(chunk, faults=()), ()
        faults = sorted((*chunk.faults, *wrong), key=lambda fault: fault.number)
        noted = tuple(each for each in map(walk.note, faults) if each is not None)
        if stream == PEOPLE:
            return Page(None, tuple(cast(Sequence[Record], said)), rejected=noted)
        return Page(None, activities=tuple(cast(Sequence[Activity], said)), rejected=noted)

    def _list_faults(self, walk: _Walk, opened: OpenFile) -> None:
        """In a workbook beside the file, which goes when nothing is wrong any more."""
        target = walk.stream.errors_of(walk.file.path)
        if target is None or (not walk.listed and not target.exists()):
            return
        try:
            if walk.listed:
                write_table(target, *self._table_of_faults(walk, opened), language=self._wanted.language)
            else:
                target.unlink()
        except (ConfigError, TemporaryError) as error:
            walk.add(Rejected(f"{walk.file.name}:errors", error.message))
        except OSError as error:
            walk.add(Rejected(f"{walk.file.name}:errors", f"{target.name} cannot be removed: {error.strerror}"))

    def _table_of_faults(self, walk: _Walk, opened: OpenFile) -> tuple[list[str], Iterator[Sequence[Cell]]]:
        width = max([len(opened.headings), *(len(fault.cells) for fault in walk.listed)])
        headings = [*_REASON.get(self._wanted.language, _REASON["en"]), *opened.headings]
        headings += [""] * (width + 2 - len(headings))

        def rows() -> Iterator[Sequence[Cell]]:
            for fault in walk.listed:
                cells = (None if cell == "" else cell for cell in fault.cells)
                yield fault.number, fault.why, *cells, *(None,) * (width - len(fault.cells))
            if walk.count > len(walk.listed):
                more = _MORE.get(self._wanted.language, _MORE["en"]).format(walk.count - len(walk.listed))
                yield None, more, *(None,) * width

        return headings, rows()

    def _settled(self, stream: str, ids: Iterable[str]) -> Page:
        """Rows that could not be read and can be now, or are gone. Each comes as deleted under the name by which it was
        told: nobody has that name, so all it does is take back what was said."""
        gone = [self._gone(stream, each) for each in ids]
        records = tuple(each for each in gone if isinstance(each, Record))
        return Page(None, records, tuple(each for each in gone if isinstance(each, Activity)))


def _insist_on_everybody(file: File, chunk: Chunk) -> None:
    """ConfigError (SY177) where the rows may have more leads or activities than can be read: they are not gone."""
    hidden = next((fault for fault in chunk.faults if fault.hides), None)
    if hidden is not None:
        why = f"{file.name}:{hidden.number}: {hidden.why}; until then nobody who is missing is taken for gone"
        raise ConfigError(why, code="SY177")


def _id_of(said: Record | Activity) -> str:
    """As it is asked for: an activity's, without its stream."""
    return said.key.id if isinstance(said, Record) else said.id.partition("/")[2]


def _now() -> datetime:
    return datetime.now(UTC)
