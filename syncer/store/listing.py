"""Leads in a list: found by what they are asked for, in an order, page after page, at a cost that does not grow with
the base.

Either few leads come into question, by an index, and all of these are looked at (`few`). Or the list is walked in its
order, which an index has, and what does not fit is passed over (`along`, `passing`).
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    ScalarSelect,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
)

from syncer.store import cards
from syncer.store.cards import Term
from syncer.store.columns import Json, PlainText, clean, to_ms
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
    terms: tuple[Term, ...] = ()  # as `cards.sought` gives them
    openly: bool = False  # nobody is found by a part of an address
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an order: behind, or before, the lead of that key and number; `included`: that lead is met, too."""

    key: int | str
    lead: int
    included: bool = False

    def leads_to(self, there: tuple[Any, int], down: bool) -> bool:
        """Whether a walk from here meets the lead of that key and number; `down`: from the greatest to the least."""
        return bool(_beyond(self, down)(there, (self.key, self.lead)))


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


def found_by(tx: Connection, sought: Sought) -> set[int] | None:
    """The leads that the terms of the search fit; None: they are more than a few."""
    wholly: list[set[int]] = []
    others: list[Term] = []
    for term in sought.terms:
        found = _fitting(tx, term)
        if found is None:
            others.append(term)
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
    return cards.openly(tx, together, sought.terms) if sought.openly else together


def _fitting(tx: Connection, term: Term) -> set[int] | None:
    """None: by one of its words more leads are found than are put side by side."""
    found: list[set[int]] = []
    for word in (term.whole, *term.pieces):
        theirs = select(lead_words.c.lead_id).where(lead_words.c.word >= word, lead_words.c.word < word + LAST)
        found.append(set(tx.execute(theirs.limit(MANY + 1)).scalars()))
        if len(found[-1]) > MANY:
            return None
    whole, *pieces = found
    return whole | set.intersection(*pieces) if pieces else whole


def _worded(tx: Connection, terms: Iterable[Term]) -> Iterator[ColumnElement[bool]]:
    place = func.strpos if tx.dialect.name == "postgresql" else func.instr

    def begins(word: str) -> ColumnElement[bool]:
        return place(literal(" ") + lead_cards.c.words, f" {word}") > 0

    for term in terms:
        yield or_(begins(term.whole), and_(*map(begins, term.pieces))) if term.pieces else begins(term.whole)


# Many: the list is walked.


def along(tx: Connection, sought: Sought, order: Order, place: Place | None, *, back: bool = False) -> Iterator[Place]:
    """The places of a list one after the other, from behind `place`, or from its beginning; `back`: towards it. Among
    them are all leads that fit, and others."""
    course = _Course(tx, sought, order, down=falls(order) != back)
    ways = course.ways()
    first = course.step(ways, place, _FIRST_STEP)
    walks = (_walk(course, way, first[way]) for way in ways)
    yield from heapq.merge(*walks, key=lambda each: (each.key, each.lead), reverse=course.down)


class _Way(NamedTuple):
    """A part of a list that an index has in order: the leads of a connection, those of a stage of one, or all."""

    connection: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class _Course:
    """A list as it is walked; `down`: from the greatest to the least."""

    tx: Connection
    sought: Sought
    order: Order
    down: bool

    def ways(self) -> list[_Way]:
        if self.order == "name":
            return [_Way()]
        if self.order == "number":
            return [_Way(each) for each in self.sought.connections]
        if not self.sought.stages:
            return _stages_in_use(self.tx, self.sought.connections)
        stages = dict.fromkeys(clean(self.sought.stages))
        return [_Way(connection, stage) for connection in self.sought.connections for stage in stages]

    def step(self, ways: Sequence[_Way], place: Place | None, size: int) -> Mapping[_Way, list[Place]]:
        """So many places of each way behind one. It is one statement however many ways there are: a project may have
        dozens of connections."""
        if len(ways) == 1:  # costs half as much in plain words
            return {ways[0]: [Place(*row) for row in self.tx.execute(self._next(ways[0], place, size))]}
        table = _table(self.tx, ways)
        lot = _as_json(self.tx, self._next(table.c, place, size).correlate(table).subquery())
        found = self.tx.execute(select(table.c.connection, table.c.stage, lot))
        return {_Way(connection, stage): [Place(*each) for each in told or ()] for connection, stage, told in found}

    def _next(self, way: Any, place: Place | None, size: int) -> Select[Any]:
        """`way`: one, or the columns of a table of them."""
        key, lead, where = self._indexed(way)
        wanted: Select[Any] = select(key.label("key"), lead.label("lead")).where(*where)
        if place is not None:
            kind = PlainText() if isinstance(place.key, str) else BigInteger()
            here = tuple_(literal(place.key, kind), literal(place.lead, BigInteger))
            wanted = wanted.where(_beyond(place, self.down)(tuple_(key, lead), here))
        return wanted.order_by(*(each.desc() if self.down else each.asc() for each in (key, lead))).limit(size)

    def _indexed(self, way: Any) -> tuple[ColumnElement[Any], ColumnElement[int], list[ColumnElement[bool]]]:
        """What an index of that way goes by, and what it leaves out."""
        if self.order == "name":
            return lead_cards.c.name_key, lead_cards.c.lead_id, []
        theirs = [leads.c.connection == way.connection, leads.c.live.is_(True)]
        if self.order == "number":
            return leads.c.id, leads.c.id, theirs
        theirs.append(leads.c.stage == way.stage)
        if self.order == "score":
            return leads.c.total, leads.c.id, [*theirs, *_scored(self.sought)]
        recent = [leads.c.since >= self.sought.moved_since] if self.sought.moved_since is not None else []
        return type_coerce(leads.c.since, BigInteger), leads.c.id, [*theirs, *recent]


def _walk(course: _Course, way: _Way, found: list[Place]) -> Iterator[Place]:
    """`found`: its first places."""
    size = _FIRST_STEP
    while True:
        yield from found
        if len(found) < size:
            return
        size = min(2 * size, _LONGEST_STEP)
        found = course.step([way], found[-1], size)[way]


def _table(tx: Connection, ways: Sequence[_Way]) -> FromClause:
    """The ways as rows: connection, stage."""
    if tx.dialect.name == "postgresql":
        connections, stages = ([way[column] for way in ways] for column in range(2))
        both = func.unnest(literal(connections, ARRAY(Text())), literal(stages, ARRAY(Text())))
        return both.table_valued("connection", "stage").render_derived()
    each = func.json_each(literal(orjson.dumps([list(way) for way in ways]).decode())).table_valued("value")
    parts = (func.json_extract(each.c.value, f"$[{place}]").label(name) for place, name in enumerate(_Way._fields))
    return select(*parts).subquery()


def _beyond(place: Place, down: bool) -> Callable[[Any, Any], Any]:
    if place.included:
        return operator.le if down else operator.ge
    return operator.lt if down else operator.gt


def _as_json(tx: Connection, places: FromClause) -> ColumnElement[Any]:
    """All in one value: SQLite has no other way to take the first few for each of several."""
    if tx.dialect.name == "postgresql":
        listed = func.json_agg(func.json_build_array(places.c.key, places.c.lead))
    else:
        listed = func.json_group_array(func.json_array(places.c.key, places.c.lead))
    return cast(select(listed).scalar_subquery(), Json)


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
    found = set(tx.execute(wanted).scalars())
    return cards.openly(tx, found, sought.terms) if sought.openly and sought.terms else found


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
    return [*asked, *_worded(tx, sought.terms)]


def place_of(tx: Connection, lead: int) -> Place | None:
    """Where the lead stands by its name; None: it is gone."""
    key = tx.execute(select(_NAME_KEY).select_from(_BOTH).where(leads.c.id == lead)).scalar()
    return None if key is None else Place(key, lead)


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
    if sought.owners or sought.source or sought.terms or (scored and sought.moved_since is not None):
        return None
    order: Order = "since" if sought.moved_since is not None else "score"
    return sum(1 for _ in islice(along(tx, sought, order, None), most))


def _stages_in_use(tx: Connection, connections: Sequence[str]) -> list[_Way]:
    """Also those that no model knows any more; each is one look into an index."""

    def least(way: FromClause, *behind: ColumnElement[bool]) -> ScalarSelect[Any]:
        theirs = (leads.c.connection == way.c.connection, leads.c.live.is_(True), leads.c.stage.is_not(None))
        return select(func.min(leads.c.stage)).where(*theirs, *behind).correlate(way).scalar_subquery()

    table = _table(tx, [_Way(each) for each in connections])
    each = select(table.c.connection, least(table).label("stage")).cte("each_stage", recursive=True)
    there = each.c.stage.is_not(None)
    each = each.union_all(select(each.c.connection, least(each, leads.c.stage > each.c.stage)).where(there))
    return [_Way(*row) for row in tx.execute(select(each).where(each.c.stage.is_not(None)))]


def told(tx: Connection, what: Literal["owner", "source"], most: int) -> list[str]:
    """The owners, or the sources, that leads have: so many at most, in the database's order."""
    # One look into an index for each of them: of a million rows only these few are read.
    walk = text(
        f"WITH RECURSIVE each(value) AS (SELECT min({what}) FROM lead_cards WHERE {what} IS NOT NULL UNION ALL"
        f" SELECT (SELECT min({what}) FROM lead_cards WHERE {what} > each.value) FROM each"
        " WHERE each.value IS NOT NULL) SELECT value FROM each WHERE value IS NOT NULL LIMIT :most"
    )
    return list(tx.execute(walk, {"most": most}).scalars())
