"""Leads in a list: found by what they are asked for, in an order, page after page, at a cost that does not grow with
the base.

Either few leads come into question, by an index, and all of these are looked at (`few`). Or the list is walked in its
order, which an index has, and what does not fit is passed over (`along`, `passing`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    func,
    literal,
    select,
    text,
    tuple_,
    type_coerce,
)

from syncer.store.columns import PlainText, to_ms
from syncer.store.sql import among
from syncer.store.tables import lead_cards, lead_words, leads

Order = Literal["score", "since", "name", "number"]
"""The highest score first, the latest move first, names from A, leads as they came."""

FEW = 5_000  # leads that are all looked at
MANY = 5_000  # leads of one word that are put side by side with those of another
LAST = "\U0010ffff"  # sorts behind whatever may follow the beginning of a word
UNSCORED = -(2**62)  # sorts behind every score and every time

_FIRST_STEP, _LONGEST_STEP = 64, 2_000  # rows of an index read at a time
_STAGES_FALL = ("score", "since")  # orders in which an index has each stage by itself


@dataclass(frozen=True, slots=True)
class Sought:
    """Which leads are wanted; what is empty or None is not asked for. Without `undecided` only those that were decided
    are, and only live ones ever."""

    connections: tuple[str, ...]  # which decide them
    stages: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    source: str | None = None
    least: int | None = None  # hundredths, included
    most: int | None = None
    moved_since: datetime | None = None
    words: tuple[str, ...] = ()  # beginnings, as `cards.sought` gives them
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an order: behind, or before, the lead of that key and number."""

    key: int | str
    lead: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A lead as a list shows it."""

    lead: int
    connection: str
    stage: str | None
    held_by: str | None
    total: int | None  # hundredths
    since: datetime | None
    name: str | None
    name_key: str
    email: str | None
    owner: str | None
    source: str | None

    def place(self, order: Order) -> Place:
        since = UNSCORED if self.since is None else to_ms(self.since)
        total = UNSCORED if self.total is None else self.total
        keys: Mapping[Order, int | str] = {
            "score": total, "since": since, "name": self.name_key, "number": self.lead,
        }  # fmt: skip
        return Place(keys[order], self.lead)


def falls(order: Order | None) -> bool:
    """Whether the greatest come first."""
    return order in _STAGES_FALL


# Few leads: all of them are looked at.


def few(tx: Connection, sought: Sought, order: Order) -> list[int] | None:
    """The leads that come into question where an index tells that they are few; more may be asked of them than was
    looked at. None: not so; then they stand close enough in the order of the list to be met there."""
    for ids in _probes(tx, sought, order):
        found = list(islice(ids, FEW + 1))
        if len(found) <= FEW:
            return found
    return None


def _probes(tx: Connection, sought: Sought, order: Order) -> Iterator[Iterable[int]]:
    if sought.owners:
        owned = select(lead_cards.c.lead_id).where(lead_cards.c.owner.in_(sought.owners))
        yield tx.execute(owned.limit(FEW + 1)).scalars()
    if sought.source is not None:
        from_there = select(lead_cards.c.lead_id).where(lead_cards.c.source == sought.source)
        yield tx.execute(from_there.limit(FEW + 1)).scalars()
    if sought.moved_since is not None and order != "since":
        yield (each.lead for each in along(tx, sought, "since", None))
    if (sought.least is not None or sought.most is not None or order == "name") and order != "score":
        yield (each.lead for each in along(tx, sought, "score", None))


def _scored(sought: Sought) -> Iterator[ColumnElement[bool]]:
    if sought.least is not None:
        yield leads.c.total >= sought.least
    if sought.most is not None:
        yield leads.c.total <= sought.most


def with_words(tx: Connection, words: Sequence[str]) -> set[int] | None:
    """The leads in which all of these begin a word; None: they are more than a few."""
    wholly: list[set[int]] = []
    others: list[str] = []
    for word in words:
        found = set(tx.execute(_beginning_with(word).limit(MANY + 1)).scalars())
        if len(found) > MANY:
            others.append(word)
        else:
            wholly.append(found)
    if not wholly:
        return None
    together = set.intersection(*wholly)
    if len(together) > FEW:
        return None
    if others and together:
        these = (among(tx, lead_cards.c.lead_id, sorted(together)), *_worded(tx, others))
        together = set(tx.execute(select(lead_cards.c.lead_id).where(*these)).scalars())
    return together


def _beginning_with(word: str) -> Select[Any]:
    between = (lead_words.c.word >= word, lead_words.c.word < word + LAST)
    return select(lead_words.c.lead_id).where(*between)


def _worded(tx: Connection, words: Iterable[str]) -> Iterator[ColumnElement[bool]]:
    found = func.strpos if tx.dialect.name == "postgresql" else func.instr
    for word in words:
        yield found(literal(" ") + lead_cards.c.words, f" {word}") > 0


# Many: the list is walked.


def along(tx: Connection, sought: Sought, order: Order, place: Place | None, *, back: bool = False) -> Iterator[Place]:
    """The places of a list one after the other, from behind `place`, or from its beginning; `back`: towards it. Among
    them are all leads that fit, and others."""
    ways = [partial(_step, tx, way, falls(order) != back) for way in _ways(tx, sought, order)]
    yield from heapq.merge(
        *(_walk(way, place) for way in ways), key=lambda each: (each.key, each.lead), reverse=falls(order) != back
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """A part of a list that an index has in order."""

    key: ColumnElement[Any]
    lead: ColumnElement[int]
    where: tuple[ColumnElement[bool], ...]


def _ways(tx: Connection, sought: Sought, order: Order) -> Iterator[_Way]:
    if order == "name":
        yield _Way(lead_cards.c.name_key, lead_cards.c.lead_id, ())
        return
    for connection in sought.connections:
        theirs = (leads.c.connection == connection, leads.c.live.is_(True))
        if order == "number":
            yield _Way(leads.c.id, leads.c.id, theirs)
            continue
        bounds = tuple(_scored(sought)) if order == "score" else ()
        if order == "since" and sought.moved_since is not None:
            bounds = (leads.c.since >= sought.moved_since,)
        key = leads.c.total if order == "score" else type_coerce(leads.c.since, BigInteger)
        for stage in sought.stages or stages_in_use(tx, connection):
            yield _Way(key, leads.c.id, (*theirs, leads.c.stage == stage, *bounds))


Step = Callable[[Place | None, int], list[Place]]
"""So many places behind one."""


def _walk(step: Step, place: Place | None) -> Iterator[Place]:
    size = _FIRST_STEP
    while True:
        found = step(place, size)
        yield from found
        if len(found) < size:
            return
        place, size = found[-1], min(2 * size, _LONGEST_STEP)


def _step(tx: Connection, way: _Way, down: bool, place: Place | None, size: int) -> list[Place]:
    columns = (way.key, way.lead)
    wanted: Select[Any] = select(*columns).where(*way.where)
    if place is not None:
        kind = PlainText() if isinstance(place.key, str) else BigInteger()
        here = tuple_(literal(place.key, kind), literal(place.lead, BigInteger))
        wanted = wanted.where(tuple_(*columns) < here if down else tuple_(*columns) > here)
    found = tx.execute(wanted.order_by(*(each.desc() if down else each.asc() for each in columns)).limit(size))
    return [Place(*row) for row in found]


def passing(tx: Connection, met: Sequence[int], sought: Sought, order: Order) -> set[int]:
    """Those that fit of leads that were met along a list."""
    of_leads, of_cards = _asked_of_leads(sought, met_along=order), _asked_of_cards(tx, sought)
    if not met or not (of_leads or of_cards):
        return set(met)
    if not of_leads:
        wanted = select(lead_cards.c.lead_id).where(among(tx, lead_cards.c.lead_id, met), *of_cards)
    elif not of_cards:
        wanted = select(leads.c.id).where(among(tx, leads.c.id, met), *of_leads)
    else:
        wanted = select(leads.c.id).select_from(_BOTH).where(among(tx, leads.c.id, met), *of_leads, *of_cards)
    return set(tx.execute(wanted).scalars())


def ranked(tx: Connection, ids: Collection[int], sought: Sought, order: Order) -> list[tuple[int | str, int]]:
    """(key, lead) of those of the leads that fit, in order."""
    keys: Mapping[Order, ColumnElement[Any]] = {
        "score": func.coalesce(leads.c.total, UNSCORED),
        "since": func.coalesce(type_coerce(leads.c.since, BigInteger), UNSCORED),
        "name": _NAME_KEY,
        "number": leads.c.id,
    }
    if not ids:
        return []
    wanted = (among(tx, leads.c.id, list(ids)), *_asked_of_leads(sought), *_asked_of_cards(tx, sought))
    found = tx.execute(select(keys[order], leads.c.id).select_from(_BOTH).where(*wanted))
    return sorted(map(tuple, found), reverse=falls(order))


def _asked_of_leads(sought: Sought, met_along: Order | None = None) -> list[ColumnElement[bool]]:
    """`met_along`: what the order of the list has seen to already is left out."""
    asked: list[ColumnElement[bool]] = []
    if met_along in (None, "name"):
        asked += [leads.c.live.is_(True), leads.c.connection.in_(sought.connections)]
    if not falls(met_along):
        asked += [] if sought.undecided else [leads.c.stage.is_not(None)]
        asked += [leads.c.stage.in_(sought.stages)] if sought.stages else []
    if met_along != "since" and sought.moved_since is not None:
        asked.append(leads.c.since >= sought.moved_since)
    return asked if met_along == "score" else [*asked, *_scored(sought)]


def _asked_of_cards(tx: Connection, sought: Sought) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = []
    if sought.owners:
        asked.append(lead_cards.c.owner.in_(sought.owners))
    if sought.source is not None:
        asked.append(lead_cards.c.source == sought.source)
    return [*asked, *_worded(tx, sought.words)]


def rows(tx: Connection, ids: Sequence[int]) -> list[Listed]:
    """The leads, as they are shown, in this order."""
    wanted = select(*_SHOWN).select_from(_BOTH).where(among(tx, leads.c.id, ids))
    found = {row.id: Listed(*row) for row in tx.execute(wanted)} if ids else {}
    return [found[each] for each in ids if each in found]


_BOTH = leads.outerjoin(lead_cards, lead_cards.c.lead_id == leads.c.id)
_NAME_KEY = func.coalesce(lead_cards.c.name_key, "")
_SHOWN = (
    *(leads.c[name] for name in ("id", "connection", "stage", "held_by", "total", "since")),
    lead_cards.c.name,
    _NAME_KEY.label("name_key"),
    *(lead_cards.c[name] for name in ("email", "owner", "source")),
)


# What there is to be asked for, and how much of it.


def count(tx: Connection, sought: Sought, most: int) -> int | None:
    """How many leads are wanted, counted up to `most`; None where no index tells."""
    scored = sought.least is not None or sought.most is not None
    if sought.owners or sought.source or sought.words or (scored and sought.moved_since is not None):
        return None
    order: Order = "since" if sought.moved_since is not None else "score"
    return sum(1 for _ in islice(along(tx, sought, order, None), most))


def stages_in_use(tx: Connection, connection: str) -> list[str]:
    """Also those that no model knows any more; each is one look into an index."""
    found: list[str] = []
    while True:
        theirs = (leads.c.connection == connection, leads.c.live.is_(True), leads.c.stage.is_not(None))
        behind = theirs if not found else (*theirs, leads.c.stage > found[-1])
        stage = tx.execute(select(func.min(leads.c.stage)).where(*behind)).scalar()
        if stage is None:
            return found
        found.append(stage)


def told(tx: Connection, what: Literal["owner", "source"], most: int) -> list[str]:
    """The owners, or the sources, that leads have: so many at most, in the database's order."""
    # One look into an index for each of them: of a million rows only these few are read.
    walk = text(
        f"WITH RECURSIVE each(value) AS (SELECT min({what}) FROM lead_cards WHERE {what} IS NOT NULL UNION ALL"
        f" SELECT (SELECT min({what}) FROM lead_cards WHERE {what} > each.value) FROM each"
        " WHERE each.value IS NOT NULL) SELECT value FROM each WHERE value IS NOT NULL LIMIT :most"
    )
    return list(tx.execute(walk, {"most": most}).scalars())
