"""Streams of events that HubSpot keeps as logs: asked for by type and time, in windows that go up to the present.

A window is read type by type, page by page. It ends behind the present, and the next one begins before it ends; what is
stored already is left out. The first windows go back as far as syncer remembers, a month at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import orjson

from connectors.hubspot.events import beginning_ms, behind_ms, horizon_ms, placed, unknown
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import taken_up
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import A_MS, Json
from syncer.circles import Trail
from syncer.errors import TemporaryError
from syncer.model import Activity, Cursor, Page, Rejected

_FORMAT = 1
_SPAN_MS = timedelta(days=30) // A_MS


@dataclass(frozen=True, slots=True)
class Walk:
    """A window that is being read: `number` is the place of the event type that is being asked for, `after` HubSpot's
    word for its next page."""

    since_ms: int
    until_ms: int
    number: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One page of a log."""

    rows: Sequence[Json]
    after: str | None


class Log(Protocol):
    """One kind of log."""

    @property
    def name(self) -> str: ...

    @property
    def types(self) -> tuple[str, ...]:
        """HubSpot's names of the events that the rules ask for."""
        ...

    def ask(self, event_type: str, walk: Walk) -> Told: ...

    def when(self, row: Json) -> tuple[str, datetime]:
        """HubSpot's id of an event, and when it happened; ValueError where it does not say."""
        ...

    def read(self, rows: Sequence[Json]) -> Sequence[Activity]:
        """Events that say when they happened; nobody's where their contact is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Everything of these types up to `until_ms` is read, but for what `walk` leaves."""

    portal: str
    stream: str
    types: tuple[str, ...]
    until_ms: int
    walk: Walk | None = None

    def cursor(self) -> Cursor:
        walk = self.walk and [self.walk.since_ms, self.walk.until_ms, self.walk.number, self.walk.after]
        parts = [_FORMAT, self.portal, self.stream, self.types, self.until_ms, walk]
        return Cursor(orjson.dumps(parts).decode())

    def behind(self, walk: Walk, after: str | None) -> Position:
        """Where a page of the walk, which goes on `after`, leads to."""
        if after is not None:
            return replace(self, walk=replace(walk, after=after))
        if walk.number + 1 < len(self.types):
            return replace(self, walk=replace(walk, number=walk.number + 1, after=None))
        return replace(self, until_ms=walk.until_ms, walk=None)


@dataclass(frozen=True, slots=True)
class Events:
    """One log as a stream. It satisfies `Stream`."""

    portal: Portal
    kept: Log

    @property
    def name(self) -> str:
        return self.kept.name

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        """Pages until everything up to `lag` ago is there; the next page is asked for while the last one is stored."""
        client, horizon = self.portal.client, horizon_ms(self.portal)
        position = self._resumed(since) or self._beginning(horizon)
        if not position.types:
            position = replace(position, until_ms=max(horizon, position.until_ms), walk=None)
        trail = Trail()
        position, ahead = self._sent_for(position, horizon)
        if ahead is None:
            yield Page(position.cursor())
        while ahead is not None and position.walk is not None:
            told = client.result(ahead)
            position = position.behind(position.walk, told.after)
            if told.after is not None and trail.comes_back_to(position.walk):
                what = f"{self.portal.connection}: HubSpot's pages of {self.name}"
                raise TemporaryError(f"{what} go round in a circle", code="SY042")
            position, ahead = self._sent_for(position, horizon)
            try:
                yield self._page(told.rows, position.cursor())
            except GeneratorExit:
                if ahead is not None:
                    ahead.cancel()
                raise

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Nothing: what has happened does not change."""
        return iter(())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """Nothing: HubSpot cannot be asked for single events, and they are not deleted."""
        return iter(())

    def _ask(self, walk: Walk) -> Told:
        """A page; where HubSpot has forgotten what its word for it meant, the first one."""
        event_type = self.kept.types[walk.number]
        try:
            return self.kept.ask(event_type, walk)
        except Refused:
            if walk.after is None:
                raise
        return self.kept.ask(event_type, replace(walk, after=None))

    def _page(self, rows: Sequence[Json], cursor: Cursor) -> Page:
        times: dict[str, datetime] = {}
        by_id: dict[str, Json] = {}
        rejected: list[Rejected] = []
        for row in rows:
            try:
                identity, at = self.kept.when(row)
            except ValueError as error:
                rejected.append(Rejected(f"{self.name}/{row.get('id')}", str(error)))
                continue
            times[identity], by_id[identity] = at, row
        fresh = unknown(self.portal, self.name, times.items())
        found = self.kept.read([row for each, row in by_id.items() if each in fresh]) if fresh else ()
        return Page(cursor, (), placed(found), (), tuple(rejected))

    def _sent_for(self, position: Position, horizon: int) -> tuple[Position, Future[Told] | None]:
        """The position with a window to be read, and the answer that is under way; None where all is read."""
        if position.walk is None and position.until_ms < horizon:
            position = replace(position, walk=self._window(position.until_ms, horizon))
        if position.walk is None:
            return position, None
        return position, self.portal.client.start(partial(self._ask, position.walk))

    def _window(self, read_ms: int, horizon: int) -> Walk:
        """What comes after `read_ms`, and a little before it; at the most a month."""
        return Walk(max(1, read_ms - behind_ms(self.portal)), min(horizon, read_ms + _SPAN_MS))

    def _beginning(self, horizon: int) -> Position:
        return Position(self.portal.account().portal, self.name, self.kept.types, beginning_ms(horizon))

    def _resumed(self, since: Cursor | None) -> Position | None:
        """None: from the beginning, as for a cursor that is not ours, or that knows less types of events."""
        account, types = self.portal.account().portal, self.kept.types
        found = taken_up(self.portal.connection, account, self.name, since, _parsed)
        if found is None or found.types == types:
            return found
        return replace(found, types=types, walk=None) if set(types) <= set(found.types) else None


def _parsed(cursor: str) -> Position | None:
    try:
        version, portal, stream, types, until_ms, walk = orjson.loads(cursor)
        if version != _FORMAT or not isinstance(until_ms, int) or not isinstance(types, list):
            return None
        return Position(str(portal), str(stream), tuple(map(str, types)), until_ms, walk and _walk(walk))
    except (TypeError, ValueError):  # orjson's error is a ValueError
        return None


def _walk(parts: Any) -> Walk:
    since_ms, until_ms, number, after = parts
    return Walk(int(since_ms), int(until_ms), int(number), None if after is None else str(after))
