"""Streams of sObjects (Lead, Contact, Task, ...): first everything, then what was changed since, then what was deleted.

What changes without a trace, and what nobody has told of, is found by the sweep: everything once more, by queries. The
results of a bulk job are as old as the job: who was deleted since would be taken for alive again. Behind a first load
come the changes since it began, behind a sweep nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from connectors.salesforce import bulk, deletions
from connectors.salesforce.client import Client, QueryLocatorLost, Refused, TooHeavy
from connectors.salesforce.client import Rows as Told
from connectors.salesforce.org import Org
from connectors.salesforce.position import Load, Position, resumed
from connectors.salesforce.ranges import Range
from connectors.salesforce.selection import SYSTEM, Row, Selection, select
from connectors.salesforce.setup import ASSIGN
from connectors.salesforce.values import chunks, id18, instant, quoted_list
from connectors.salesforce.walks import Changes, Everything, Part, Walk
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Cursor, Page

log = logging.getLogger(__name__)

T = TypeVar("T")
Step = tuple["Found", Position, int | None]
"""What was found, the position that is true once it is stored, and how much there will be in all."""

MANY = 20_000  # records from which everything is read by the Bulk API rather than by REST
AT_ONCE = 200  # ids in one query: 4 KB of the 16 that an address may have
_STORED = 2_000  # records of one page
_LOCATORS_LOST = 3  # in a row, without a record between them
_LIGHT = 4  # parts in a row, after which larger ones are tried again
_DELETIONS_EVERY = timedelta(minutes=15)  # deletions show as changes too; only who empties the recycle bin hides them
_LATELY = timedelta(days=30)
_LOOKS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # how long a bulk job is left alone, the last one again and again
_JOBS = 3  # in a row, lost
_JOB_S = 3_600.0  # how long a pull waits for it
_GIVE_BACK = "let the user see them again; who was read without them has them back with the next sweep"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of asking for records. Rows may be of the recycle bin: IsDeleted is True then."""

    rows: Sequence[Row] = ()
    gone: tuple[str, ...] = ()  # ids of which Salesforce says that they were deleted, and which it does not show
    erased: tuple[str, ...] = ()  # asked for by id, and not even in the recycle bin


class Rows(Protocol):
    """What one kind of sObjects needs to be read, and what becomes of its rows."""

    @property
    def object(self) -> str:
        """Salesforce's name of it ("Task"); the stream has the same."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths to ask for, beside Id, SystemModstamp and IsDeleted; those the org does not have are left out."""
        ...

    @property
    def needed(self) -> frozenset[str]:
        """Those of `fields` without which the object cannot be read: where one is missing, its stream stops."""
        ...

    @property
    def people(self) -> tuple[str, ...]:
        """The fields that say whom it belongs to, by which it can be asked for: ("WhoId",); () where there is none."""
        ...

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        """The rows as records or activities. One that cannot be read is Rejected."""
        ...


class Stream(Protocol):
    """What `Reader` reads; `Objects` is one."""

    @property
    def name(self) -> str: ...

    def pull(self, since: Cursor | None) -> Iterator[Page]: ...

    def sweep(self, since: Cursor | None) -> Iterator[Page]: ...

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]: ...

    def lately(self, persons: Sequence[str]) -> Iterator[Page]:
        """What these people (18-character ids) have done of late."""
        ...


@dataclass
class _Leg:
    """A range of which the first page is asked for; what lies behind that becomes further ranges once it is there."""

    range: Range
    answer: Future[Told] | None = None
    cut: bool = False

    def sent(self, client: Client, page: Callable[[Range], Told]) -> Future[Told]:
        self.answer = self.answer or client.start(partial(page, self.range))
        return self.answer

    def drop(self) -> None:
        if self.answer is not None:
            self.answer.cancel()

    def with_rest(self, most: int) -> list[_Leg]:
        """Itself, and what lies behind it as soon as that is known."""
        if self.cut or self.answer is None or not self.answer.done() or self.answer.exception() is not None:
            return [self]
        told, self.cut = self.answer.result(), True
        rest = [] if told.done else self.range.rest(told.rows, told.total - len(told.rows), most)
        return [self, *map(_Leg, rest)]


class Objects:
    """One sObject as a stream: `Objects(org, rows)`. It satisfies `Stream`."""

    def __init__(self, org: Org, rows: Rows) -> None:
        self._org = org
        self._rows = rows
        self._hidden: frozenset[str] = frozenset()  # paths that a query was refused for
        self._chosen: Selection | None = None

    @property
    def name(self) -> str:
        return self._rows.object

    @property
    def _what(self) -> str:
        """What its requests are for, in words."""
        return f"reading {self.name}"

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        """Pages until all is there that Salesforce shows. A load that was broken off goes on first."""
        position = self._resumed(since)
        if position is None:
            position, total = self._begun()
        else:
            total = self._count() if position.load else None
        for walk in (partial(self._load, total=total), self._changes, self._deletions):
            for found, reached, expected in walk(position):
                position = reached
                yield self._rows.page(found, position.cursor(), expected)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Everything once more; a sweep that is over goes on with nothing."""
        position = self._resumed(since) or self._beginning()
        if position.load is None:
            yield Page(position.cursor())
            return
        for found, reached, expected in self._walk(Everything(), position, None):
            yield self._rows.page(found, reached.cursor(), expected)

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """By id, as they are now."""
        for found in self._read(ids):
            yield self._rows.page(found, None, None)

    def lately(self, persons: Sequence[str]) -> Iterator[Page]:
        """What belongs to these people and was changed of late; nothing where that cannot be asked."""
        since = instant(self._org.client.now() - _LATELY)
        for field in self._rows.people:
            for some in chunks(dict.fromkeys(persons), AT_ONCE):
                clauses = f"WHERE {field} IN {quoted_list(some)} AND SystemModstamp >= {since}"
                yield self._rows.page(Found(self._rows_of(clauses)), None, None)

    # where it stands

    def _resumed(self, since: Cursor | None) -> Position | None:
        return resumed(self._org.connection, self._org.organization().id, self.name, since)

    def _begun(self) -> tuple[Position, int | None]:
        """The beginning, and how many there are; what is asked for that, and about the fields, is asked at once."""
        asked: list[Callable[[], Any]] = [
            partial(deletions.covered, self._org, self.name),
            self._count,
            self._selection,
        ]
        bound, total, _ = self._org.client.together(asked)
        return self._beginning(bound), total

    def _beginning(self, bound: datetime | None = None) -> Position:
        """Everything is to be read, and then what was changed from now on, or from `bound` on."""
        at = bound or self._org.client.now()
        return Position(self._org.organization().id, self.name, at, at, load=Load())

    # everything, for the first time

    def _load(self, position: Position, total: int | None) -> Iterator[Step]:
        """What is left of a load, by REST or by the Bulk API."""
        if position.load is None:
            return
        if position.load.job is not None or (not position.load.after and self._is_for_bulk(total)):
            try:
                yield from self._by_bulk(position, total)
                return
            except bulk.NotByBulk as refused:
                extra = {"connection": self._org.connection, "stream": self.name, "reason": str(refused)}
                log.warning("not_by_bulk", extra=extra)
                position = replace(position, load=Load())
        yield from self._walk(Everything(), position, total)

    def _is_for_bulk(self, total: int | None) -> bool:
        wish = self._org.settings.first_load
        if total == 0:
            return False
        return wish == "bulk" or (wish == "auto" and (total is None or total > MANY))

    def _count(self) -> int | None:
        """How many there are, with those in the recycle bin; None where counting alone is too much."""
        try:
            return self._org.client.count(f"counting {self.name}", f"SELECT COUNT() FROM {self.name}")
        except TooHeavy:
            return None

    def _by_bulk(self, position: Position, total: int | None) -> Iterator[Step]:
        """By one job, from the beginning or from where its results were left. One that is not known any more is begun
        anew, but not for ever."""
        for begun_anew in range(_JOBS):
            load = position.load or Load()
            try:
                if load.job is None:
                    load = Load(job=self._begin_job())
                    position = replace(position, load=load)
                    yield Found(), position, total
                for waiting in self._wait_for(str(load.job)):
                    yield Found(), position, total
                    self._org.client.pause(waiting)
                for found, reached in self._results(position, load):
                    yield found, reached, total
                return
            except bulk.JobGone as gone:
                extra = {"connection": self._org.connection, "stream": self.name, "reason": str(gone)}
                log.warning("job_gone", extra=extra)
                if begun_anew + 1 == _JOBS:
                    message = f"{self._org.connection}: the Bulk API loses its jobs for {self.name}: {gone}"
                    raise TemporaryError(message, code="SY151") from gone
                position = replace(position, load=Load())

    def _begin_job(self) -> str:
        while True:
            selection = self._selection()
            soql = f"SELECT {', '.join(selection.names)} FROM {self.name}"
            try:
                return bulk.begin(self._org.client, self._what, soql)
            except Refused as refused:
                self._hide(selection, refused)

    def _wait_for(self, job: str) -> Iterator[float]:
        """How long to wait before the next look at the job, until it is done."""
        waited = 0.0
        looks = iter(_LOOKS_S)
        while not bulk.is_ready(self._org.client, self._what, job):
            if waited > _JOB_S:
                message = f"{self._org.connection}: the Bulk API has not read {self.name} yet; the next run looks again"
                raise TemporaryError(message, code="SY151")
            pause = next(looks, _LOOKS_S[-1])
            waited += pause
            yield pause

    def _results(self, position: Position, load: Load) -> Iterator[tuple[Found, Position]]:
        """A job's results in pages; the next ones come while these are stored."""
        client, selection = self._org.client, self._selection()

        def pages() -> Iterator[bulk.Results]:
            place: Load | None = load
            while place is not None:
                results = bulk.results(client, self._what, selection, place)
                yield results
                place = replace(place, locator=results.following) if results.following else None

        for results in self._ahead(pages()):
            rest = replace(load, locator=results.following) if results.following else None
            rows, last = results.rows, max(len(results.rows) - 1, 0) // _STORED * _STORED
            for start in range(0, last, _STORED):
                yield Found(rows[start : start + _STORED]), position
            position = replace(position, load=rest)
            yield Found(rows[last:]), position

    # what was changed, and what was deleted

    def _changes(self, position: Position) -> Iterator[Step]:
        bound = deletions.covered(self._org, self.name)
        yield from self._walk(Changes(bound), position, None)

    def _deletions(self, position: Position) -> Iterator[Step]:
        """Of what the log of deletions names, what we believe to be there: now and then."""
        if self._org.client.now() - position.gone < _DELETIONS_EVERY:
            return
        told = deletions.deleted(self._org, self.name, position.gone)
        for some in chunks(told.ids, AT_ONCE):
            known = self._org.wanted.known(self.name, some)
            for found in self._read([each for each in some if each in known]):
                yield Found(found.rows, gone=found.erased), position, None
        position = replace(position, gone=max(told.until, position.gone))
        yield Found(), position, None

    # asking

    def _walk(self, walk: Walk, position: Position, total: int | None) -> Iterator[Step]:
        """A walk to its end, at least one step. Where its query's pages are lost, it goes on from the last record;
        where it is too heavy, in parts; and without fields that are refused."""
        narrowed = lost = 0
        over, light = False, 0
        while not over:
            part, count = walk.part(position, narrowed), 0
            try:
                in_parts = walk.may_narrow(position, narrowed + 1)
                for told in self._told(part, in_parts=in_parts):
                    count += len(told.rows)
                    rows = self._selection().rows(told.rows)
                    before, position = position, walk.after(position, rows)
                    lost = lost if position == before else 0
                    if told.done:
                        position, over = walk.ended(position, part, count)
                    yield Found(rows), position, total if total is not None else told.total
                light += 1
                if light % _LIGHT == 0:
                    narrowed = max(0, narrowed - 1)
            except QueryLocatorLost:
                lost += 1
                if lost > _LOCATORS_LOST:
                    raise
            except TooHeavy:
                narrowed, light = narrowed + 1, 0
                if not walk.may_narrow(position, narrowed):
                    raise
            except Refused as refused:
                self._hide(self._selection(), refused)

    def _read(self, ids: Sequence[str]) -> Iterator[Found]:
        """These by id, so many at a time. Who is not there is told by the very id that was asked for; what is no id at
        all was never there."""
        asked = {each: _maybe_id(each) for each in dict.fromkeys(ids)}
        parts = list(chunks((each for each, full in asked.items() if full), AT_ONCE))
        calls = (
            partial(self._rows_of, f"WHERE Id IN {quoted_list(str(asked[each]) for each in some)}") for some in parts
        )
        for some, rows in zip(parts, self._org.client.together(calls), strict=True):
            here = {row["Id"] for row in rows}
            yield Found(rows, erased=tuple(each for each in some if asked[each] not in here))
        if strange := tuple(each for each, full in asked.items() if not full):
            yield Found(erased=strange)

    def _rows_of(self, clauses: str) -> Sequence[Row]:
        """All rows of a small query."""
        while True:
            selection = self._selection()
            soql = f"SELECT {', '.join(selection.names)} FROM {self.name} {clauses}"
            try:
                return selection.rows(self._org.client.query_all_rows(self._what, soql))
            except Refused as refused:
                self._hide(selection, refused)

    def _told(self, part: Part, *, in_parts: bool) -> Iterator[Told]:
        if part.range is None:
            return self._ahead(self._asked(part.clauses, in_parts))
        return self._side_by_side(part.range, lambda some: next(self._asked(some.clauses, in_parts)))

    def _side_by_side(self, whole: Range, page: Callable[[Range], Told]) -> Iterator[Told]:
        """All of it in its order, by ranges of about a page, several of which are asked for at once; at least one page.
        Each tells of the whole how many rows it has."""
        client, most = self._org.client, self._org.settings.at_once
        legs, total = [_Leg(whole)], None
        try:
            while legs:
                told = client.result(legs[0].sent(client, page))
                total = told.total if total is None else total
                legs = [each for leg in legs for each in leg.with_rest(most)][1:]
                for leg in legs[:most]:
                    leg.sent(client, page)
                if told.rows or not legs:
                    yield replace(told, total=total, done=not legs)
        finally:
            for leg in legs:
                leg.drop()

    def _asked(self, clauses: str, in_parts: bool) -> Iterator[Told]:
        soql = f"SELECT {', '.join(self._selection().names)} FROM {self.name} {clauses}"
        return self._org.client.query(self._what, soql, in_parts=in_parts)

    def _ahead(self, pages: Iterator[T]) -> Iterator[T]:
        """The same; each next one is asked for while the last one is stored."""
        client = self._org.client
        ask: Callable[[], T | None] = partial(next, pages, None)
        waiting = client.start(ask)
        while (page := client.result(waiting)) is not None:
            waiting = client.start(ask)
            try:
                yield page
            except GeneratorExit:
                waiting.cancel()
                raise

    # fields

    def _selection(self) -> Selection:
        """What is asked for. ConfigError (SY150) where the org lacks what is needed."""
        if self._chosen is None:
            if not self._org.describes.has(self.name):
                raise self._lacks()
            chosen = select(self._org.describes, self.name, self._rows.fields, self._hidden)
            lacking = [each for each in chosen.missing if each in self._rows.needed or each in SYSTEM]
            if lacking:
                raise self._lacks(lacking)
            self._chosen = chosen
        return self._chosen

    def _hide(self, asked: Selection, refused: Refused) -> None:
        """From now on without the fields that were refused; the refusal itself where it is about something else. Of
        several queries under way at once the first to be refused has hidden them for all."""
        hidden = asked.without(refused)
        if not hidden:
            raise refused
        if hidden <= self._hidden:
            return
        extra = {"connection": self._org.connection, "stream": self.name, "fields": sorted(hidden)}
        log.warning("fields_withdrawn", extra={**extra, "mend": _GIVE_BACK})
        self._hidden |= hidden
        self._chosen = None

    def _lacks(self, fields: Sequence[str] = ()) -> ConfigError:
        name, connection = self.name, self._org.connection
        if not fields:
            message = f"Salesforce shows no {name} here; give the user the permission to read them"
        else:
            named = ", ".join(fields)
            message = f"{name} has no field {named}, or its user may not see it; run `syncer setup {connection}`, or "
            message += ASSIGN
        return ConfigError(f"{connection}: {message}", code="SY150")


def _maybe_id(text: str) -> str | None:
    try:
        return id18(text)
    except ValueError:
        return None
