"""Reading: the first load through the list, then what changed through search.

Search is an index, not the truth: it lags, shows strangers, and ends at 10,000 results. So it is asked only for ids,
in a fixed window of modified times that ends behind the present and overlaps the one before, sorted and continued by
id; the values are read by id. What search cannot show is found by `syncer run --full`: its new load reads calculated
properties, and its reconcile sweep, which calls `ids`, finds the deleted ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol
from urllib.parse import quote

from connectors.hubspot import activities, people
from connectors.hubspot.activities import KINDS
from connectors.hubspot.client import Account, Client, next_after
from connectors.hubspot.lookups import Found, Owners, Question, associations, definitions, fetch, merged_ids, owners
from connectors.hubspot.position import Position, resumed
from connectors.hubspot.settings import ACTIVITY_STREAMS, Settings
from connectors.hubspot.values import Json, epoch_ms, maybe_moment
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Activity, Cursor, Page, Reading, Record, Rejected

log = logging.getLogger(__name__)

LIST_PAGE = 100  # HubSpot's limit for lists
SEARCH_PAGE = 200  # HubSpot's limit for searches
_LONGEST_QUERY = 2_000  # characters of property names; HubSpot's edge refuses addresses of some kB
_EARLIEST_MS = 1_000  # HubSpot answers 500 when asked from 1970 on


class Stream(Protocol):
    """How the records of one kind are turned into a page."""

    @property
    def kind(self) -> str: ...

    @property
    def modified(self) -> str: ...

    @property
    def properties(self) -> tuple[str, ...]: ...

    def page(self, found: Found, cursor: Cursor, expected: int | None) -> Page: ...


@dataclass(frozen=True, slots=True)
class Contacts:
    """The people."""

    lens: people.Lens
    properties: tuple[str, ...]
    kind: str = people.CONTACTS
    modified: str = people.MODIFIED

    def page(self, found: Found, cursor: Cursor, expected: int | None) -> Page:
        records = {each: self.lens.gone(each) for each in found.gone}
        readings: list[Reading] = []
        rejected = [Rejected(each, reason, retry=True) for each, reason in found.silent]
        for row in {str(row["id"]): row for row in found.rows.values()}.values():
            try:
                records |= self._with_absorbed(row, found)
            except ValueError as error:
                rejected.append(Rejected(str(row["id"]), str(error)))
                continue
            for reading in self.lens.readings(row):
                readings.append(reading) if isinstance(reading, Reading) else rejected.append(reading)
        return Page(cursor, tuple(records.values()), (), tuple(readings), tuple(rejected), expected)

    def _with_absorbed(self, row: Json, found: Found) -> dict[str, Record]:
        mine = str(row["id"])
        old = dict.fromkeys(merged_ids(row)) | dict.fromkeys(k for k, v in found.rows.items() if v is row)
        absorbed = {each: self.lens.absorbed(each, row) for each in old if each != mine}
        return {**absorbed, mine: self.lens.record(row)}


@dataclass(frozen=True, slots=True)
class Activities:
    """One kind of engagement, with everyone it belongs to."""

    client: Client
    connection: str
    kind: str
    modified: str = activities.MODIFIED

    @property
    def properties(self) -> tuple[str, ...]:
        return KINDS[self.kind].properties

    def page(self, found: Found, cursor: Cursor, expected: int | None) -> Page:
        people_of = associations(self.client, self.kind, people.CONTACTS, list(found.rows))
        kept: list[Activity] = []
        rejected = [Rejected(f"{self.kind}/{each}", reason, retry=True) for each, reason in found.silent]
        for identity, row in found.rows.items():
            try:
                kept.append(activities.activity(self.connection, self.kind, row, people_of[identity]))
            except ValueError as error:
                rejected.append(Rejected(f"{self.kind}/{identity}", str(error)))
        now = self.client.now()
        kept.extend(activities.gone(self.connection, self.kind, each, now) for each in found.gone)
        return Page(cursor, (), tuple(kept), (), tuple(rejected), expected)


class Reader:
    """Pulls streams."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self._name = name
        self._settings = settings
        self._wanted = wanted
        self._client = client
        self._known: tuple[Account, Owners] | None = None
        self._definitions: Mapping[str, Json] | None = None
        self._checked_fields = False
        self._told_owners = False
        self.streams = (people.CONTACTS, *_activity_streams(settings, wanted))

    def pull(self, name: str, since: Cursor | None) -> Iterator[Page]:
        """Pages until everything modified up to `lag` ago is there. A pull that goes on with an old page's cursor
        finishes that first, and catches up with the present then."""
        account = self._client.account()  # also tells HubSpot's clock
        stream = self._stream(name, account)
        position = resumed(self._name, account.portal, name, since)
        if position is None:
            yield from self._load(stream, Position(account.portal, name, self._horizon_ms()))
            return
        if position.after is not None:
            yield from self._load(stream, position) if position.since_ms is None else self._window(stream, position)
        yield from self._window(stream, self._following(position))

    def ids(self, name: str) -> Iterator[Sequence[str]]:
        """Every id there is, page by page, from the list: search is an index. Archived ones are absent, so the
        reconcile sweep of `syncer run --full` takes what is stored and not named here for deleted."""
        what, path = f"listing {name}", self._client.paths.objects(self._stream_kind(name))
        for answer in self._client.pages(what, path, {"limit": str(LIST_PAGE), "properties": "hs_object_id"}):
            yield tuple(str(row["id"]) for row in answer["results"])

    def lens(self, account: Account | None = None) -> people.Lens:
        """For reading contacts now. A pull, which has just asked for the account, asks for the owners anew; for others
        those of the last pull will do."""
        if account is not None or self._known is None:
            self._known = (account or self._client.account(), self._owners())
        account, owners_ = self._known
        return people.Lens(self._name, self._settings, self._wanted, account, owners_, self._client.now())

    @property
    def has_definitions(self) -> bool:
        return self._definitions is not None

    def definitions(self, *, anew: bool = False) -> Mapping[str, Json]:
        """The contact's properties by name, as they were when this connector asked last; `anew` asks now."""
        if anew or self._definitions is None:
            self._definitions = definitions(self._client)
        return self._definitions

    def fetch(self, stream: Stream, ids: Sequence[str]) -> Found:
        return fetch(self._client, Question(stream.kind, stream.properties), ids)

    def _load(self, stream: Stream, position: Position) -> Iterator[Page]:
        """The list of all records, by id; resumable, without a limit."""
        names = ",".join(stream.properties)
        short = len(quote(names)) <= _LONGEST_QUERY
        query = {"limit": str(LIST_PAGE), "properties": names if short else "hs_object_id"}
        expected = self._total(stream)
        after = position.after
        while True:
            asked = {**query, "after": after} if after else query
            answer = self._client.get(f"reading {stream.kind}", self._client.paths.objects(stream.kind), asked)
            rows = {str(row["id"]): row for row in answer["results"]}
            found = Found(rows) if short else self.fetch(stream, list(rows))
            before, after = after, next_after(answer)
            if after is not None and after == before:
                raise TemporaryError(f"{self._name}: the list of {stream.kind} goes round in a circle", code="SY042")
            yield stream.page(found, replace(position, after=after).cursor(), expected)
            if after is None:
                return

    def _window(self, stream: Stream, position: Position) -> Iterator[Page]:
        """Everything search knows to be modified in the window, by id; resumable, without a limit."""
        expected: int | None = None
        while True:
            answer = self._search(stream, position)
            if position.after is None and not answer["results"] and _total_of(answer):
                # Rows may leave the window while later pages are asked for, never before the first one.
                message = f"{self._name}: searching {stream.kind} tells of {_total_of(answer)} and shows none"
                raise TemporaryError(message, code="SY042")
            expected = _total_of(answer) if expected is None else expected
            ids, last = boundary(answer["results"], stream.modified, position)
            done = not (answer["results"] and _goes_on(answer))
            if not done and last is None:
                raise TemporaryError(f"{self._name}: searching {stream.kind} does not move on", code="SY042")
            position = replace(position, after=None if done else last)
            yield stream.page(self.fetch(stream, ids), _window_cursor(position), expected)
            if done:
                return

    def _search(self, stream: Stream, position: Position) -> Json:
        window = {"operator": "BETWEEN", "value": str(position.since_ms), "highValue": str(position.until_ms)}
        filters: list[dict[str, str]] = [{"propertyName": stream.modified, **window}]
        if position.after is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": position.after})
        body: Json = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id", stream.modified],
            "limit": SEARCH_PAGE,
        }
        return self._client.post(f"searching {stream.kind}", self._client.paths.objects(stream.kind, "/search"), body)

    def _total(self, stream: Stream) -> int | None:
        """How many there are, as search counts them: good enough for a progress bar."""
        body: Json = {"limit": 1, "properties": ["hs_object_id"]}
        try:
            path = self._client.paths.objects(stream.kind, "/search")
            return _total_of(self._client.post(f"counting {stream.kind}", path, body))
        except ConfigError:  # the load itself will say what is missing, if it needs it at all
            return None

    def _horizon_ms(self) -> int:
        return epoch_ms(self._client.now() - self._settings.lag)

    def _following(self, position: Position) -> Position:
        """The window after a position. It begins before the last one ended, and never ends before that."""
        overlap_ms = self._settings.overlap // timedelta(milliseconds=1)
        since_ms = max(_EARLIEST_MS, position.until_ms - overlap_ms)
        until_ms = max(self._horizon_ms(), position.until_ms, since_ms)
        return replace(position, since_ms=since_ms, until_ms=until_ms, after=None)

    def _stream(self, name: str, account: Account) -> Stream:
        kind = self._stream_kind(name)
        if kind != people.CONTACTS:
            return Activities(self._client, self._name, kind)
        self._warn_of_unknown_fields()
        return Contacts(self.lens(account), people.properties(self._settings, self._wanted))

    def _stream_kind(self, name: str) -> str:
        if name in (people.CONTACTS, *ACTIVITY_STREAMS):
            return name
        known = ", ".join(self.streams)
        raise ConfigError(f"{self._name}: HubSpot has no stream {name!r} here; there are {known}", code="SY034")

    def _owners(self) -> Owners:
        try:
            return owners(self._client)
        except ConfigError as error:
            if not self._told_owners:
                log.warning("owners_not_readable", extra={"connection": self._name, "error": error.message})
            self._told_owners = True
            return Owners()

    def _warn_of_unknown_fields(self) -> None:
        """HubSpot leaves out a property it does not know without a word; say so once."""
        if self._checked_fields:
            return
        self._checked_fields = True
        try:
            known = self.definitions()
        except ConfigError:  # the scope to look at properties is not needed to read them
            return
        names = people.mapped(self._settings, self._wanted)
        if missing := sorted(field for field, name in names.items() if name not in known):
            log.warning("fields_unknown", extra={"connection": self._name, "fields": missing})


def _activity_streams(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    if settings.activities is not None:
        return tuple(each for each in ACTIVITY_STREAMS if each in settings.activities)
    return tuple(each for each in ACTIVITY_STREAMS if set(KINDS[each].kinds).intersection(wanted.activities))


def _window_cursor(position: Position) -> Cursor:
    """A window that is done is simply a place in time."""
    return (position if position.after else replace(position, since_ms=None)).cursor()


def _total_of(answer: Json) -> int | None:
    total = answer.get("total")
    return total if isinstance(total, int) else None


def _goes_on(answer: Json) -> bool:
    return next_after(answer) is not None or (_total_of(answer) or 0) > len(answer["results"])


def boundary(rows: Sequence[Json], modified: str, position: Position) -> tuple[list[str], str | None]:
    """The page's ids, and the one to go on after; None where the page does not lead on.

    Rows from outside the window, or out of order, are read (it does no harm) but do not set the boundary: the next page
    begins where the ascending order of the others ends.
    """
    ids = [str(row["id"]) for row in rows]
    last = int(position.after or 0)
    inside = [row for row in rows if _in_window(row, modified, position)]
    ahead = [number for row in (inside or rows) if (number := int(row["id"])) > last]
    fall = next((at for at in range(1, len(ahead)) if ahead[at] < ahead[at - 1]), None)
    last_in_order = None if not ahead else ahead[-1] if fall is None else min(ahead[fall:])
    return ids, None if last_in_order is None else str(last_in_order)


def _in_window(row: Json, modified: str, position: Position) -> bool:
    try:
        at = maybe_moment(row.get("properties") or {}, modified)
    except ValueError:
        return False
    return at is not None and (position.since_ms or 0) <= epoch_ms(at) <= position.until_ms
