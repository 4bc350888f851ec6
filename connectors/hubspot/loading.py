"""Reading the list of all records, in several places at once.

The list's `after` is the id of the next record (so its documents say), so it can be entered anywhere. Each worker walks
one range of ids, a little ahead of what is handed on; who comes to an end takes over half of what another has left.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock

from connectors.hubspot.lookups import Found, joined
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import Position, Range
from connectors.hubspot.ranges import Rest, cut, in_order, steals
from connectors.hubspot.refusals import Refused
from connectors.hubspot.shapes import is_id
from syncer import retry
from syncer.circles import Trail
from syncer.errors import Stopped, SyncerError, TemporaryError
from syncer.model import Page

log = logging.getLogger(__name__)

_MERGED = 2_000  # records handed on together: fewer transactions
_PATIENCE_S = 1.0  # how long records wait for others to be handed on with
_AHEAD = 2  # pages of one walk that may wait
Held = Found | Page
"""What a page of the list brought: rows, or people, made of them on the spot. Making them later, when thousands have
come in between, takes twice as long. In one load it is always the same of the two."""
_LOOK_S = 0.2  # how often the stop event is looked at while nothing comes


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list: its ids in their order, what was found under them, and where the next one begins."""

    ids: tuple[str, ...]
    held: Held
    after: str | None


@dataclass(frozen=True, slots=True)
class Size:
    """How large the list is, as search knows it: records, and the highest id. Good enough for guesses."""

    total: int | None = None
    highest: int | None = None


Lister = Callable[[str | None], Listed]
Handed = tuple[Held, Position]
"""What was found, and the position that is true once it is stored."""


def load(portal: Portal, page: Lister, position: Position, size: Size) -> Iterator[Handed]:
    """What the position's ranges hold, up to their end; at least once. `page` is called by several threads."""
    if not position.in_turn:
        try:
            yield from _Crew(portal, page, position, size).hand_on()
            return
        except _Disordered:  # it begins again: what was read by then may come twice
            extra = {"connection": portal.connection, "stream": position.stream}
            log.warning("list_not_by_id", extra=extra)
            position = replace(position, ranges=(Range(),), in_turn=True)
    yield from _in_turn(portal, page, position)


def _in_turn(portal: Portal, page: Lister, position: Position) -> Iterator[Handed]:
    """Page by page: for a list that cannot be entered anywhere."""
    after, trail = position.ranges[0].after, Trail()
    try:
        listed = page(after)
    except Refused:
        if after is None:
            raise
        listed = page(None)  # it has forgotten what its own word meant
    while True:
        after = listed.after
        if after is not None and trail.comes_back_to(after):
            raise _circle(portal, position.stream)
        yield listed.held, replace(position, ranges=() if after is None else (Range(after),))
        if after is None:
            return
        listed = page(after)


def _circle(portal: Portal, stream: str) -> TemporaryError:
    return TemporaryError(f"{portal.connection}: the list of {stream} goes round in a circle", code="SY042")


class _Disordered(Exception):
    """The list's pages are not in the order of their ids, or it cannot be entered at any id."""


@dataclass
class _Walk:
    """One range on its way. `taken` is where what was handed on ends, `next` where the next request begins. A worker
    moves it while others look, so all sides hold the crew's lock."""

    taken: str | None
    end: int | None
    begins: int = 0  # what lies before belongs to the walk that this one was cut from
    density: float = 0.0  # records to one id of late; 0: not known
    next: str | None = field(init=False)
    waiting: int = 0
    busy: bool = False
    over: bool = False  # nothing is left to be asked for

    def __post_init__(self) -> None:
        self.next = self.taken

    def arrived(self, page: Listed, ahead: int) -> None:
        """A page came; the worker goes on while `busy`."""
        self.next = page.after
        self.waiting += 1
        self.over = page.after is None or (self.end is not None and _number(page.after) >= self.end)
        self.busy = not self.over and self.waiting < ahead
        if page.ids:
            self.density = len(page.ids) / max(1, _number(page.ids[-1]) - _number(page.ids[0]) + 1)

    def mine(self, page: Listed) -> Held:
        """Without what belongs to its neighbours."""
        first, end = self.begins, self.end
        if not page.ids or (first <= int(page.ids[0]) and (end is None or int(page.ids[-1]) < end)):
            return page.held
        mine = frozenset(each for each in page.ids if first <= int(each) and (end is None or int(each) < end))
        return _only(page.held, mine)

    def rest(self, highest: int) -> Rest | None:
        """What lies before it; None while nobody knows."""
        if self.over or self.next is None or not self.density:
            return None
        return Rest(_number(self.next), highest + 1 if self.end is None else self.end, self.density)


def _only(held: Held, ids: frozenset[str]) -> Held:
    """What the rows of these ids brought, with those that they have absorbed."""
    if isinstance(held, Found):
        return replace(held, rows={each: row for each, row in held.rows.items() if each in ids})
    return replace(
        held,
        records=tuple(each for each in held.records if (each.merged_into or each.key).id in ids),
        readings=tuple(each for each in held.readings if each.record.id in ids),
        rejected=tuple(each for each in held.rejected if each.id in ids),
    )


def _merged(parts: Sequence[Held]) -> Held:
    found = [each for each in parts if isinstance(each, Found)]
    pages = [each for each in parts if isinstance(each, Page)]
    if not pages:
        return joined(found)
    return Page(
        None,
        records=tuple(each for page in pages for each in page.records),
        readings=tuple(each for page in pages for each in page.readings),
        rejected=tuple(each for page in pages for each in page.rejected),
    )


def _many(held: Held) -> int:
    return len(held.rows) if isinstance(held, Found) else len(held.records)


def _number(word: str) -> int:
    return int(word) if is_id(word) else 0  # `in_order` finds it out


class _Crew:
    """The walks of one load, and who does them."""

    def __init__(self, portal: Portal, page: Lister, position: Position, size: Size) -> None:
        self._portal = portal
        self._page = page
        self._position = position
        self._size = size
        self._at_once = portal.settings.at_once
        self._lock = Lock()
        self._arrivals: SimpleQueue[tuple[_Walk, str | None, Listed] | Future[None]] = SimpleQueue()
        self._walks: list[_Walk] = []
        self._pending = deque(position.ranges)
        self._listed = 0
        self._cuts_left = steals(size.total or 0, self._at_once)
        self._closed = False

    def hand_on(self) -> Iterator[Handed]:
        """Small pages merged; the first, and those that have waited, at once."""
        parts: list[Held] = []
        many, due_at = 0, 0.0
        try:
            while self._send_out():
                try:
                    taken = self._take()
                except SyncerError:
                    if many:  # so that a load that always fails half-way ends some day all the same
                        yield _merged(parts), self._now()
                    raise
                if taken is not None:
                    parts.append(taken)
                    many += _many(taken)
                if many and (many >= _MERGED or retry.monotonic() >= due_at) and self._is_walking():
                    yield _merged(parts), self._now()
                    parts.clear()
                    many, due_at = 0, retry.monotonic() + _PATIENCE_S
            yield _merged(parts), self._now()
        finally:
            self._closed = True

    def _send_out(self) -> bool:
        """Give work to whoever has none; False when all is taken."""
        with self._lock:
            self._walks = [each for each in self._walks if not each.over or each.waiting]
            while sum(not each.over for each in self._walks) < self._at_once and (more := self._more()):
                self._walks.append(more)
            idle = [each for each in self._walks if not (each.busy or each.over) and each.waiting < _AHEAD]
            for each in idle:
                each.busy = True
        for each in idle:
            self._portal.client.start(partial(self._walk, each)).add_done_callback(self._ended)
        return bool(self._walks)

    def _more(self) -> _Walk | None:
        if self._pending:
            following = self._pending.popleft()
            return _Walk(following.after, following.end)
        return self._cut() if self._cuts_left > 0 else None

    def _cut(self) -> _Walk | None:
        """Half of what another has left."""
        total, highest = self._size.total, self._size.highest
        if total is None or highest is None:
            return None
        rests = [(number, rest) for number, each in enumerate(self._walks) if (rest := each.rest(highest))]
        found = cut(rests, total - self._listed)
        if found is None:
            return None
        self._cuts_left -= 1
        shared, middle = self._walks[found[0]], found[1]
        # From the id before: should HubSpot begin behind the id it is given, the one in the middle comes all the same.
        other = _Walk(str(middle - 1), shared.end, begins=middle, density=shared.density)
        shared.end = middle
        return other

    def _walk(self, walk: _Walk) -> None:
        """In a worker: page after page, until enough of them wait."""
        busy = True
        while busy:
            asked = walk.next
            page = self._entered(asked)
            with self._lock:
                walk.arrived(page, 0 if self._closed else _AHEAD)
                self._listed += len(page.ids)
                busy = walk.busy
                self._arrivals.put((walk, asked, page))

    def _entered(self, asked: str | None) -> Listed:
        try:
            return self._page(asked)
        except Refused as refusal:
            if asked is None:
                raise
            raise _Disordered from refusal  # where it is refused for another reason, it will be so in turn, too

    def _ended(self, answer: Future[None]) -> None:
        if answer.exception() is not None:
            self._arrivals.put(answer)

    def _take(self) -> Held | None:
        """The next page that came; nothing after a while, or the error that came instead."""
        try:
            arrived = self._arrivals.get(timeout=_LOOK_S)
        except Empty:
            if self._portal.wanted.stop.is_set():
                raise Stopped(f"{self._portal.connection}: asked to stop while reading the list") from None
            return None
        if isinstance(arrived, Future):
            arrived.result()
            return None
        walk, asked, page = arrived
        if asked is not None and page.after == asked:
            raise _circle(self._portal, self._position.stream)
        if not in_order(asked, page.ids, page.after):
            raise _Disordered
        with self._lock:
            walk.waiting -= 1
            walk.taken = page.after
            return walk.mine(page)

    def _is_walking(self) -> bool:
        with self._lock:
            return bool(self._pending) or any(not each.over or each.waiting for each in self._walks)

    def _now(self) -> Position:
        """What is left, as ranges."""
        with self._lock:
            walks = [Range(each.taken, each.end) for each in self._walks if not each.over or each.waiting]
        return replace(self._position, ranges=(*walks, *self._pending))
