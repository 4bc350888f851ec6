"""How leads flow through the stages: where they stand, and what the recorded moves of a period come to.

All of it is about live leads that were decided. A lead that has left its CRM counts nowhere, also not where it once
stood, so that counts and moves agree. The database counts: what comes out is as long as there are stages, days and
sources, never as there are leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    case,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
)

from syncer.model import Cause
from syncer.store.columns import CleanText, from_ms
from syncer.store.handed_over import Spread
from syncer.store.outbox import OPEN
from syncer.store.sql import among
from syncer.store.tables import connections, handoffs, lead_cards, leads
from syncer.store.tables import transitions as moves

_IN_PARTS = {"yield_per": 500}  # rows of the database's answer that are here at once
_IN_TURN: dict[str, Any] = {"partition_by": moves.c.lead_id, "order_by": (moves.c.at, moves.c.id)}
_TENTHS = (5, 9)  # the ranks of a Spread


@dataclass(frozen=True, slots=True)
class Whose:
    """The leads that are asked about: of these connections; of one source, of one model, where these are given."""

    connections: tuple[str, ...]
    source: str | None = None
    model: str | None = None  # a model's name, whatever its version

    def condition(self, tx: Connection, *, of_moves: bool = False) -> ColumnElement[bool]:
        """Of rows of `leads`; `of_moves`: of those that are joined to moves."""
        connection: ColumnElement[str] = leads.c.connection
        if of_moves and tx.dialect.name == "sqlite":
            connection = connection.concat("")  # no index, or it would go through all leads before it looks at a move
        found = among(tx, connection, self.connections) & leads.c.live.is_(True) & leads.c.stage.is_not(None)
        if self.source is not None:
            found &= leads.c.id.in_(select(lead_cards.c.lead_id).where(lead_cards.c.source == self.source))
        if self.model is not None:
            named = f"{self.model}@"
            found &= leads.c.model.startswith(named, autoescape=True)
            if tx.dialect.name == "sqlite":  # whose LIKE takes A for a
                found &= func.substr(leads.c.model, 1, len(named)) == literal(named, CleanText)
        return found


@dataclass(frozen=True, slots=True)
class Movement:
    """So many moves that are alike, within one slot of time."""

    at: datetime  # when the slot begins
    before: str | None  # None: the lead was placed for the first time
    after: str
    cause: Cause
    stood: str | None  # where these leads stood until then; another stage than `before` where leads were merged since
    stands: str  # where they stood from then on; likewise
    moves: int
    entered: int  # leads for which it is the first entry into `after` in the period that was news
    went_on: int  # of these, those that have stood in a hotter stage since


def stages_now(tx: Connection, whose: Whose) -> dict[str, int]:
    """Stage -> leads."""
    counted = select(leads.c.stage, func.count()).where(whose.condition(tx)).group_by(leads.c.stage)
    return dict(iter(tx.execute(counted)))


def open_handoffs(tx: Connection, whose: Whose, now: datetime) -> tuple[int, int]:
    """(how many hand-offs sales still has to act on, how many of these are late)."""
    late = func.count(case((handoffs.c.due_at < now, 1)))
    asked = select(func.count(), late).where(among(tx, handoffs.c.connection, whose.connections), OPEN)
    if whose.source is not None or whose.model is not None:
        # One lead after the other: few hand-offs are open, and a source may have most of the leads.
        its_lead = select(leads.c.id).where(leads.c.id == handoffs.c.lead_id, whose.condition(tx, of_moves=True))
        asked = asked.where(its_lead.exists())
    open_, late_ = tx.execute(asked).one()
    return open_, late_


def first_syncs(tx: Connection, names: Sequence[str]) -> dict[str, datetime]:
    """Connection -> when its base was scored first. Moves are known from then on."""
    asked = (among(tx, connections.c.name, names), connections.c.baseline_at.is_not(None))
    return dict(iter(tx.execute(select(connections.c.name, connections.c.baseline_at).where(*asked))))


def movements(
    tx: Connection, whose: Whose, since: datetime, slot_ms: int, ranks: Mapping[str, int]
) -> Iterator[Movement]:
    """The moves from `since` on, those that are alike in one row. Slots are counted from 1970 on. `ranks`: stage -> how
    hot it is; a stage without one is neither hotter nor colder than another."""
    slot = type_coerce(moves.c.at, BigInteger) // literal(slot_ms, BigInteger)
    each = _moves(tx, whose, since, ranks, slot)
    alike = [each.c[name] for name in ("slot", "before", "after", "cause", "stood", "stands")]
    first = each.c.news & (each.c.nth == 1)
    sums = (func.count(case((first, 1))), func.count(case((first & (each.c.later > each.c.rank), 1))))
    counted = select(*alike, func.count(), *sums).group_by(*alike)
    with tx.execute(counted, execution_options=_IN_PARTS) as found:
        for number, *rest in found:
            yield Movement(from_ms(number * slot_ms), *rest)


def _moves(
    tx: Connection, whose: Whose, since: datetime, ranks: Mapping[str, int], slot: ColumnElement[int]
) -> Subquery:
    """Each move with what its lead did before and after it, in the order in which they happened. A merged lead has the
    moves of all that it was made of, which need not follow from each other: it is where its last move took it, and in
    the end where it stands."""
    news = moves.c.cause != "baseline"
    its_entries = (moves.c.lead_id, moves.c.after, news)
    rank = case(ranks, value=moves.c.after) if ranks else null()
    is_last = func.lead(moves.c.id).over(**_IN_TURN).is_(None)
    return (
        select(
            slot.label("slot"),
            *(moves.c[name] for name in ("before", "after", "cause")),
            news.label("news"),
            type_coerce(rank, Integer).label("rank"),
            type_coerce(func.max(rank).over(**_IN_TURN, rows=(1, None)), Integer).label("later"),
            func.row_number().over(partition_by=its_entries, order_by=(moves.c.at, moves.c.id)).label("nth"),
            func.coalesce(func.lag(moves.c.after).over(**_IN_TURN), moves.c.before).label("stood"),
            case((is_last, leads.c.stage), else_=moves.c.after).label("stands"),
        )
        .join_from(moves, leads, leads.c.id == moves.c.lead_id)
        .where(whose.condition(tx, of_moves=True), moves.c.at >= since)
        .subquery()
    )


def stays(tx: Connection, whose: Whose, since: datetime) -> dict[str, Spread]:
    """Stage -> how long leads had been in it that left it from `since` on. Who was there at the first look is counted
    from then on: nothing is known of before."""
    each = _ends(tx, whose, since)
    in_turn: dict[str, Any] = {"partition_by": each.c.stage, "order_by": each.c.span_ms}
    of = func.count().over(partition_by=each.c.stage)
    ranked = select(*each.c, func.row_number().over(**in_turn).label("nth"), of.label("of"))
    known = ranked.where(each.c.span_ms.is_not(None)).subquery()
    # The nearest ranks, rounded up.
    wanted = or_(*(known.c.nth == (known.c.of * tenths + 9) // literal(10, Integer) for tenths in _TENTHS))
    found = select(known.c.stage, known.c.of, known.c.span_ms).where(wanted).order_by(known.c.stage, known.c.nth)
    spans: dict[str, tuple[int, list[int]]] = {}
    for stage, count, span_ms in tx.execute(found):
        spans.setdefault(stage, (count, []))[1].append(span_ms)
    return {stage: Spread(count, its_spans[0], its_spans[-1]) for stage, (count, its_spans) in spans.items()}


def _ends(tx: Connection, whose: Whose, since: datetime) -> Subquery:
    """(stage, span_ms) of every stay that has ended; NULL where it is not known when it began."""
    moved = (
        select(
            *(moves.c[name] for name in ("lead_id", "before", "cause")),
            type_coerce(moves.c.at, BigInteger).label("left_ms"),
            func.lag(moves.c.after).over(**_IN_TURN).label("last_stage"),
            type_coerce(func.lag(moves.c.at).over(**_IN_TURN), BigInteger).label("last_ms"),
        )
        .join_from(moves, leads, leads.c.id == moves.c.lead_id)
        .where(whose.condition(tx, of_moves=True), moves.c.at >= since)
        .subquery()
    )
    earlier = moves.alias()
    entered_ms = type_coerce(earlier.c.at, BigInteger)
    same = (earlier.c.lead_id == moved.c.lead_id, earlier.c.after == moved.c.before, entered_ms < moved.c.left_ms)
    looked_up = select(func.max(entered_ms)).where(*same).correlate(moved).scalar_subquery()
    began_ms = case((moved.c.last_stage == moved.c.before, moved.c.last_ms), else_=looked_up)
    left = (moved.c.before.is_not(None), moved.c.cause != "baseline")
    return select(moved.c.before.label("stage"), (moved.c.left_ms - began_ms).label("span_ms")).where(*left).subquery()


@dataclass(frozen=True, slots=True)
class Group:
    """So many leads of one source and one version of a model that stand in one stage."""

    source: str | None  # None: not known, or one of the `rest`
    rest: bool  # a source that is none of the most frequent
    model: str | None
    stage: str
    leads: int


def groups(tx: Connection, names: Sequence[str], most: int) -> list[Group]:
    """All leads of these connections, by source and model. Of the sources the `most` frequent are told apart."""
    whose = Whose(tuple(names)).condition(tx)
    by_source = select(lead_cards.c.source).join_from(lead_cards, leads, leads.c.id == lead_cards.c.lead_id)
    frequent = by_source.where(whose, lead_cards.c.source.is_not(None)).group_by(lead_cards.c.source)
    told = list(tx.execute(frequent.order_by(func.count().desc(), lead_cards.c.source).limit(most)).scalars())
    is_told = among(tx, lead_cards.c.source, told)
    source = case((is_told, lead_cards.c.source), else_=null()).label("source")
    rest = (lead_cards.c.source.is_not(None) & ~is_told).label("rest")
    known = leads.outerjoin(lead_cards, lead_cards.c.lead_id == leads.c.id)
    each = select(source, rest, leads.c.model, leads.c.stage).select_from(known).where(whose).subquery()
    counted = tx.execute(select(*each.c, func.count()).group_by(*each.c))
    return [Group(*values) for values in map(tuple, counted)]


def reasons(tx: Connection, whose: Whose, stage: str, since: datetime) -> Iterator[tuple[str, ...]]:
    """Of each hand-off for that stage from `since` on the reasons that were told, the strongest first. Of one that was
    emptied meanwhile none are known."""
    told = (
        select(handoffs.c.payload)
        .join_from(handoffs, leads, leads.c.id == handoffs.c.lead_id)
        .where(handoffs.c.at >= since, handoffs.c.stage == stage, whose.condition(tx))
    )
    with tx.execute(told, execution_options=_IN_PARTS) as found:
        for (payload,) in found:
            yield tuple(orjson.loads(payload)["reasons"])
