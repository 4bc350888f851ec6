"""Leads in a list: searched for, filtered and sorted, a page at a time or all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from syncer.app import App
from syncer.store import cards, listing, mirror
from syncer.store.listing import Listed, Order, Place, Sought

PAGE = 50  # leads
COUNTED = 1_001  # leads; so many or more are not told apart
LOOKED_AT = 10_000  # leads that are passed over at most before a page is shown as far as it has come; and
LOOK_S = 0.1  # how long that may take
MOST_TOLD = 200  # owners, or sources, to choose from

_FIRST, _MOST = 100, 2_000  # leads looked at together
_CHUNK = 2_000  # leads of an export read at a time


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of the list. `text`: words of names and addresses, a whole address, or a record's id. `openly`: by
    somebody who may not see whole addresses, and finds nobody by a part of one."""

    text: str = ""
    connection: str | None = None
    stages: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    source: str | None = None
    least_hundredths: int | None = None
    most_hundredths: int | None = None
    moved_within: timedelta | None = None
    openly: bool = False


@dataclass(frozen=True, slots=True)
class LeadRow:
    lead: int
    name: str | None
    email: str | None
    stage: str | None  # None: never decided
    held_by: str | None
    total_hundredths: int | None
    owner: str | None
    since: datetime | None  # the latest move
    source: str | None
    connection: str


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the list. `count`: of all that fit, where it is known, up to COUNTED.

    `before`, `behind`: where the pages beside it are; None: there is none. `passed_over`: how many were looked at
    before it was given up to fill the page; the next one goes on from there.
    """

    rows: tuple[LeadRow, ...]
    count: int | None
    before: Place | None
    behind: Place | None
    passed_over: int | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What one walk has found, as it was met. `stop`: where it goes on; None: it has come to the end."""

    rows: Sequence[Listed]
    stop: Place | None
    passed_over: int | None = None  # so many were looked at before it was given up


Walk = Callable[[Place | None, bool, int], _Part]
"""From behind a place, or before it (True), so many leads."""

Counted = Callable[[], int | None]


def page(app: App, wish: Wish, order: Order, place: Place | None = None, *, back: bool = False) -> Found:
    """The page behind `place`, or before it (`back`), or the first one. NotFound (SY080): no such connection."""
    with app.store.reading() as tx:
        walk, counted = _looked_up(tx, _sought(app, wish), wish.text, order)
        count = counted()
        part = walk(place, back, PAGE)
        if back and part.stop is None:  # the beginning: a whole page of it
            place, back, part = None, False, walk(None, False, PAGE)
    rows = part.rows[::-1] if back else part.rows
    here = place and replace(place, included=True)  # from which a walk the other way meets the lead that stands there
    ends = (rows[0].place(order), rows[-1].place(order)) if rows else (here, here)
    shown = tuple(map(_row, rows))
    if back:
        return Found(shown, count, part.stop, ends[1], part.passed_over)
    return Found(shown, count, ends[0] if place is not None else None, part.stop, part.passed_over)


def place_by_name(app: App, lead: int) -> Place | None:
    """Where the lead stands in the order of names; None: it is gone."""
    with app.store.reading() as tx:
        return listing.place_of(tx, lead)


def every(app: App, wish: Wish, order: Order, heed: Callable[[], None]) -> Iterator[tuple[LeadRow, ...]]:
    """All that fit, some at a time, each of them in a short read. `heed` is called before each.

    Only in the order "number" is nobody missing or there twice who moves meanwhile. NotFound (SY080), at once: no such
    connection.
    """
    return _every(app, _sought(app, wish), wish.text, order, heed)


def _every(
    app: App, sought: Sought, text: str, order: Order, heed: Callable[[], None]
) -> Iterator[tuple[LeadRow, ...]]:
    place: Place | None = None
    while True:
        heed()
        with app.store.reading() as tx:
            walk, _ = _looked_up(tx, sought, text, order)
            part = walk(place, False, _CHUNK)
        if part.rows:
            yield tuple(map(_row, part.rows))
        if part.stop is None:
            return
        place = part.stop


def owners(app: App) -> tuple[str, ...]:
    with app.store.reading() as tx:
        return tuple(listing.told(tx, "owner", MOST_TOLD))


def sources(app: App) -> tuple[str, ...]:
    with app.store.reading() as tx:
        return tuple(listing.told(tx, "source", MOST_TOLD))


def _sought(app: App, wish: Wish) -> Sought:
    return Sought(
        connections=tuple(each.name for each in app.chosen(wish.connection)),
        stages=wish.stages,
        owners=wish.owners,
        source=wish.source,
        least=wish.least_hundredths,
        most=wish.most_hundredths,
        moved_since=app.clock() - wish.moved_within if wish.moved_within is not None else None,
        terms=cards.sought(wish.text),
        openly=wish.openly,
        undecided=bool(wish.text),
    )


def _looked_up(tx: Connection, sought: Sought, text: str, order: Order) -> tuple[Walk, Counted]:
    """How the list is walked, and how many leads it has."""
    named = mirror.find(tx, text) if text else []
    worded = listing.found_by(tx, sought) if sought.terms else set() if text else None
    if worded is not None or named:
        return _all_of(tx, sorted({*named, *(worded or ())}), replace(sought, terms=()), order)
    few = listing.few(tx, sought, order)
    if few is not None:
        return _all_of(tx, few, sought, order)

    def walk(place: Place | None, back: bool, size: int) -> _Part:
        return _walked(tx, sought, order, listing.along(tx, sought, order, place, back=back), size)

    return walk, lambda: listing.count(tx, sought, COUNTED)


def _all_of(tx: Connection, ids: Sequence[int], sought: Sought, order: Order) -> tuple[Walk, Counted]:
    """These leads, sorted here."""
    places = listing.ranked(tx, ids, sought, order)

    def walk(place: Place | None, back: bool, size: int) -> _Part:
        ahead = places[::-1] if back else places
        if place is not None:
            ahead = [each for each in ahead if place.leads_to(each, listing.falls(order) != back)]
        rows = listing.rows(tx, [lead for _, lead in ahead[:size]])
        return _Part(rows, Place(*ahead[size - 1]) if len(ahead) > size else None)

    return walk, lambda: min(len(places), COUNTED)


def _walked(tx: Connection, sought: Sought, order: Order, places: Iterator[Place], size: int) -> _Part:
    """As far as there are enough that fit, but no further than LOOKED_AT and LOOK_S."""
    met: list[Place] = []
    looked_at, step, last = 0, _FIRST, None
    until = time.monotonic() + LOOK_S
    while len(met) <= size and looked_at < LOOKED_AT and time.monotonic() < until:
        some = list(islice(places, step))
        passing = listing.passing(tx, [each.lead for each in some], sought, order)
        met += [each for each in some if each.lead in passing]
        if len(some) < step:
            last = None
            break
        looked_at, step, last = looked_at + len(some), min(2 * step, _MOST), some[-1]
    rows = listing.rows(tx, [each.lead for each in met[:size]])
    if len(met) > size:
        return _Part(rows, met[size - 1])
    return _Part(rows, last, looked_at if last is not None and len(met) < size else None)


def _row(row: Listed) -> LeadRow:
    return LeadRow(
        row.lead, row.name, row.email, row.stage, row.held_by, row.total, row.owner, row.since, row.source,
        row.connection,
    )  # fmt: skip
