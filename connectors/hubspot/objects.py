"""Streams of CRM objects (contacts, calls, ...): first the whole list, then what search knows to be modified.

What search cannot show, values that HubSpot calculates and deletions, is found by the sweep: the whole list once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from connectors.hubspot.client import next_after
from connectors.hubspot.events import horizon_ms
from connectors.hubspot.loading import Listed, load
from connectors.hubspot.lookups import Found, Question, chunks, fetch, read_batch, settled
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import Position, Range, Window, resumed
from connectors.hubspot.ranges import PAGE
from connectors.hubspot.rows import Rows
from connectors.hubspot.values import A_MS, epoch_ms
from connectors.hubspot.windows import EARLIEST_MS, Gathered, Index
from syncer.model import Cursor, Page

_LONGEST_QUERY = 2_000  # characters of property names; HubSpot's edge refuses addresses of some kB
_FETCHED = 1_000  # ids read for one page of `fetch`: as many as one question for associations takes


class Objects:
    """One kind of records. It satisfies `Stream`."""

    def __init__(self, portal: Portal, rows: Rows) -> None:
        self._portal = portal
        self._rows = rows
        self._question = Question(rows.kind, rows.properties)
        self._index = Index(portal, rows.kind, rows.modified)

    @property
    def name(self) -> str:
        return self._rows.kind

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        """Pages until everything modified up to `lag` ago is there. A pull that goes on with an old page's cursor
        finishes that first, and catches up with the present then."""
        position = self._resumed(since)
        if position is None:
            yield from self._load(self._beginning())
            return
        if position.ranges:
            yield from self._load(position)
            position = replace(position, ranges=(), in_turn=False)
        if position.window:
            yield from self._search(position, position.window)
        position = self._following(position)
        yield from self._search(position, position.window)
        if second := self._second_look(position):
            yield from self._search(second, second.window)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """The list once more; a sweep that is over goes on with nothing."""
        position = self._resumed(since) or self._beginning()
        if position.ranges:
            yield from self._load(position)
        else:
            yield Page(position.cursor())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """By id; those who are gone are looked for in the recycle bin."""
        for some in chunks(dict.fromkeys(ids), _FETCHED):
            yield self._rows.page(self._read(some), None, None)

    def _read(self, ids: Sequence[str]) -> Found:
        client, question = self._portal.client, self._question
        return settled(client, question, fetch(client, question, ids))

    def _resumed(self, since: Cursor | None) -> Position | None:
        return resumed(self._portal.connection, self._portal.account().portal, self.name, since)

    def _beginning(self) -> Position:
        until_ms = horizon_ms(self._portal)
        return Position(self._portal.account().portal, self.name, until_ms, until_ms, (Range(),))

    def _load(self, position: Position) -> Iterator[Page]:
        size = self._index.size()
        for held, reached in load(self._portal, self._listed, position, size):
            if isinstance(held, Page):
                yield replace(held, cursor=reached.cursor(), expected=size.total)
            else:
                yield self._rows.page(held, reached.cursor(), size.total)

    def _listed(self, after: str | None) -> Listed:
        """One page of the list. Too many names for its address are asked for by id."""
        names, client = ",".join(self._rows.properties), self._portal.client
        short = len(quote(names)) <= _LONGEST_QUERY
        query = {"limit": str(PAGE), "properties": names if short else "hs_object_id"}
        if self._rows.ties:
            query["associations"] = self._rows.ties
        if after is not None:
            query["after"] = after
        answer = client.get(f"reading {self.name}", client.paths.objects(self.name), query)
        rows = {str(row["id"]): row for row in answer["results"]}
        ids = tuple(rows)
        found = Found(rows) if short or not ids else read_batch(client, self._question, ids)
        held = self._rows.page(found, None, None) if self._rows.needs_no_more else found
        return Listed(ids, held, next_after(answer))

    def _search(self, position: Position, window: Window | None) -> Iterator[Page]:
        """What the window holds, without what is stored as search shows it."""
        expected: int | None = None
        for gathered in self._index.hunt(window) if window else ():
            expected = gathered.total if expected is None else expected
            found = self._read(self._unknown(gathered))
            yield self._rows.page(found, position.at(gathered.rest).cursor(), expected)

    def _unknown(self, gathered: Gathered) -> list[str]:
        """Those that are not stored, or stored as older than search shows them, or of which it does not tell."""
        shown = gathered.shown
        known = self._portal.wanted.known(self.name, list(shown)) if shown else {}
        return [each for each, at in shown.items() if at is None or each not in known or known[each] < at]

    def _following(self, position: Position) -> Position:
        """The window after a position. It begins before the last one ended, and never ends before that."""
        since_ms = max(EARLIEST_MS, position.until_ms - self._portal.settings.overlap // A_MS)
        until_ms = max(horizon_ms(self._portal), position.until_ms, since_ms)
        looked_ms = position.looked_ms if self._portal.settings.second_look else until_ms
        return replace(position, until_ms=until_ms, looked_ms=looked_ms, window=Window(since_ms, until_ms))

    def _second_look(self, position: Position) -> Position | None:
        """What was searched too early for those that search showed very late. None: it can wait. What the window just
        searched has covered needs no second look yet."""
        span_ms, window = self._portal.settings.second_look // A_MS, position.window
        target_ms = epoch_ms(self._portal.client.now()) - span_ms
        if window is None or not span_ms or target_ms - position.looked_ms < span_ms // 4:
            return None
        until_ms = min(target_ms, window.since_ms)
        if until_ms <= position.looked_ms:
            return None
        return replace(position, looked_ms=target_ms, window=Window(max(EARLIEST_MS, position.looked_ms), until_ms))
