"""How connections stand, in numbers, for whoever watches over them: a statement for each figure, however many
connections there are. `names` are the connections that are asked about; who has nothing to count is absent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    case,
    func,
    select,
    type_coerce,
    union_all,
)

from syncer.model import Run
from syncer.store.columns import to_ms
from syncer.store.outbox import OPEN
from syncer.store.runs import Kind, Parked, by_kind, is_parked, of_latest_full
from syncer.store.sql import among, now_ms
from syncer.store.tables import (
    LIVE,
    connections,
    handoffs,
    hints,
    leads,
    leases,
    notices,
    records,
    rejected,
    runs,
    workers,
    write_backs,
)
from syncer.store.workers import ALIVE_FOR

Counts = Mapping[tuple[str, ...], int]
"""(connection, and what else is told apart) -> how many."""

GOOD = ("ok", "partial")
_CALLS = ("read_calls", "write_calls")
_OF_RUN = [runs.c[name] for name in ("id", "connection", "started_at", "finished_at", "outcome", "counts", "error")]
_AT_ONCE = 100  # connections whose runs one statement reads


@dataclass(frozen=True, slots=True)
class Pulse:
    """A connection and its full runs. A quick one asks the CRM for little, and fares well where a full one fails."""

    connection: str
    due_at: datetime | None  # when the next run is due; None: at once
    rests_until: datetime | None  # its CRM is left alone until then; None: it is not
    at_work: bool  # somebody holds its lease
    failures: int  # in a row
    began_at: datetime | None  # the last run that has ended; None: none has yet
    ended_at: datetime | None
    outcome: str | None
    good_at: datetime | None  # when the last good one ended


def pulses(tx: Connection, names: Sequence[str], now: datetime) -> list[Pulse]:
    """Of those that were ever looked at."""
    ended = (
        select(runs.c.id, runs.c.finished_at)
        .where(runs.c.connection == connections.c.name, runs.c.kind == "full", runs.c.finished_at.is_not(None))
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(1)
        .correlate(connections)
    )
    good = ended.with_only_columns(runs.c.finished_at).where(runs.c.outcome.in_(GOOD))
    last = runs.alias()
    found = tx.execute(
        select(
            *(connections.c[name] for name in ("name", "due_at", "failures")),
            func.coalesce(leases.c.expires_at > now_ms(tx), False).label("at_work"),
            _rests_until(now),
            *(last.c[name] for name in ("started_at", "finished_at", "outcome")),
            good.scalar_subquery().label("good_at"),
        )
        .select_from(
            connections.outerjoin(leases, leases.c.connection == connections.c.name).outerjoin(
                last, last.c.id == ended.with_only_columns(runs.c.id).scalar_subquery()
            )
        )
        .where(among(tx, connections.c.name, names))
        .order_by(connections.c.name)
    )
    return [
        Pulse(
            connection=row.name,
            due_at=row.due_at,
            rests_until=row.rests_until,
            at_work=bool(row.at_work),
            failures=row.failures,
            began_at=row.started_at,
            ended_at=row.finished_at,
            outcome=row.outcome,
            good_at=row.good_at,
        )
        for row in found.all()
    ]


def _rests_until(now: datetime) -> ColumnElement[datetime]:
    return case((is_parked(now), connections.c.parked_until)).label("rests_until")


@dataclass(frozen=True, slots=True)
class Condition:
    """A connection's row, as far as it says how the connection stands; of one that was never looked at nothing."""

    due_at: datetime | None = None  # None: at once
    parked: Parked | None = None
    failures: int = 0  # full runs in a row
    outages: Mapping[Kind, str] = field(default_factory=dict)
    word_on: int | None = None  # the run on whose plan a person has said yes last


def conditions(tx: Connection, names: Sequence[str], now: datetime) -> dict[str, Condition]:
    """Of those that were ever looked at."""
    told = ("name", "due_at", "parked_reason", "failures", "failing", "approved")
    asked = select(*(connections.c[name] for name in told), _rests_until(now))
    return {
        row.name: Condition(
            due_at=row.due_at,
            parked=Parked(row.rests_until, row.parked_reason or "") if row.rests_until else None,
            failures=row.failures,
            outages=by_kind(row.failing),
            word_on=row.approved["run"] if row.approved else None,
        )
        for row in tx.execute(asked.where(among(tx, connections.c.name, names)))
    }


def holders(tx: Connection, names: Sequence[str], now: datetime) -> dict[str, str]:
    """Connection -> who holds its lease."""
    held = (among(tx, leases.c.connection, names), leases.c.expires_at > to_ms(now))
    return {row.connection: row.holder for row in tx.execute(select(leases.c.connection, leases.c.holder).where(*held))}


def last_runs(tx: Connection, names: Sequence[str], kind: Kind, most: int) -> dict[str, list[Run]]:
    """The last ones of that kind of each connection, the latest first."""
    asked = [
        select(*_OF_RUN)
        .where(runs.c.connection == name, runs.c.kind == kind)
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(most)
        for name in names
    ]
    found: dict[str, list[Run]] = {name: [] for name in names}
    for row in _all_of(tx, asked):
        found[row.connection].append(Run(*row))
    for each in found.values():
        each.sort(key=lambda run: (run.started_at, run.id), reverse=True)
    return found


def waiting(tx: Connection, names: Sequence[str]) -> dict[str, int]:
    """Connection -> the run whose plan waits at the fuse (see runs.waits), where one does."""
    asked = [of_latest_full(name, runs.c.connection, runs.c.id, runs.c.outcome) for name in names]
    return {row.connection: row.id for row in _all_of(tx, asked) if row.outcome == "waiting"}


def _all_of(tx: Connection, asked: Sequence[Select[Any]]) -> Iterator[Any]:
    """Each goes along an index and ends early, which a window over all runs would not; SQLite takes 500 at once."""
    for first in range(0, len(asked), _AT_ONCE):
        some = [select(each.subquery()) for each in asked[first : first + _AT_ONCE]]
        yield from tx.execute(union_all(*some))


def _counted(
    tx: Connection, names: Sequence[str], by: Sequence[ColumnElement[str]], *where: ColumnElement[bool]
) -> Counts:
    """`by` begins with the column of the connection."""
    asked = select(*by, func.count()).where(among(tx, by[0], names), *where).group_by(*by)
    return {tuple(labels): count for *labels, count in tx.execute(asked)}


def stages(tx: Connection, names: Sequence[str]) -> Counts:
    """(connection, stage) -> live leads. Those never decided are not counted."""
    return _counted(tx, names, (leads.c.connection, leads.c.stage), leads.c.live.is_(True), leads.c.stage.is_not(None))


def unread_hints(tx: Connection, names: Sequence[str]) -> Counts:
    """(connection,) -> records that the CRM has spoken of, to be read again."""
    return _counted(tx, names, (hints.c.connection,))


def unreadable(tx: Connection, names: Sequence[str]) -> Counts:
    """(connection,) -> what the CRM sent and could not be read."""
    return _counted(tx, names, (rejected.c.connection,), rejected.c.arrived.is_(False))


def notices_by_state(tx: Connection, names: Sequence[str]) -> Counts:
    """(connection, state) -> messages."""
    return _counted(tx, names, (notices.c.connection, notices.c.state))


def runs_since(tx: Connection, names: Sequence[str], since: datetime) -> Counts:
    """(connection, kind, outcome) -> runs that began since then."""
    return _counted(tx, names, (runs.c.connection, runs.c.kind, runs.c.outcome), *_since(since))


def calls_since(tx: Connection, names: Sequence[str], since: datetime) -> Counts:
    """(connection,) -> requests sent by the finished runs that began since then, as they counted them."""
    asked = select(runs.c.connection, runs.c.counts).where(among(tx, runs.c.connection, names), *_since(since))
    spent: Counter[tuple[str, ...]] = Counter()
    for connection, counts in tx.execute(asked):
        spent[connection,] += sum(int(counts.get(name, 0)) for name in _CALLS)
    return spent


def _since(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    """In the order of an index."""
    return runs.c.kind.in_(("full", "quick")), runs.c.started_at >= moment


def unwritten(tx: Connection, names: Sequence[str]) -> Counts:
    """(connection, state) -> records that the CRM has yet to be told of: "waiting" for their turn, "put_off" after a
    failure, "given_up"."""
    state = case(
        (write_backs.c.given_up, "given_up"), (write_backs.c.next_at.is_not(None), "put_off"), else_="waiting"
    ).label("state")
    found = tx.execute(
        select(write_backs.c.connection, state, func.count())
        .select_from(write_backs.join(records, _same(write_backs, records)))
        .where(among(tx, write_backs.c.connection, names), write_backs.c.pending.is_not(None), LIVE)
        .group_by(write_backs.c.connection, state)
    )
    return {(connection, its_state): count for connection, its_state, count in found}


def _same(one: Table, other: Table) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in ("connection", "object", "id")))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hand-offs on which sales still has to act."""

    open: int
    late: int  # of these


def waiting_handoffs(tx: Connection, names: Sequence[str], now: datetime) -> Mapping[str, Waiting]:
    late = func.count(case((handoffs.c.due_at < now, 1)))
    found = tx.execute(
        select(handoffs.c.connection, func.count(), late)
        .where(among(tx, handoffs.c.connection, names), OPEN)
        .group_by(handoffs.c.connection)
    )
    return {connection: Waiting(*counts) for connection, *counts in found}


Ranks = Mapping[str, timedelta]
"""median, p90 -> half took no longer, nine in ten took no longer."""


def delays(tx: Connection, names: Sequence[str], since: datetime) -> Mapping[tuple[str, str], Ranks]:
    """(connection, "system" or "human") -> how long hand-offs since then took to be told, and to be acted on."""
    spans = {"system": handoffs.c.system_ms, "human": handoffs.c.human_ms}
    asked = (among(tx, handoffs.c.connection, names), handoffs.c.at >= since)
    known: dict[tuple[str, str], list[int]] = {}
    for connection, *each in tx.execute(select(handoffs.c.connection, *spans.values()).where(*asked)):
        for name, span_ms in zip(spans, each, strict=True):
            if span_ms is not None:
                known.setdefault((connection, name), []).append(span_ms)
    return {key: _ranks(sorted(found)) for key, found in known.items()}


def _ranks(spans_ms: Sequence[int]) -> Ranks:
    """The nearest ranks, rounded up."""
    places = {"median": 5, "p90": 9}
    return {
        name: timedelta(milliseconds=spans_ms[math.ceil(len(spans_ms) * tenths / 10) - 1])
        for name, tenths in places.items()
    }


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers that share this database."""

    workers: int
    places: int  # how many connections they can work on at once
    busy: int  # of these


def fleet(tx: Connection) -> Fleet:
    """Those that are alive, by the database's clock."""
    sums = (func.coalesce(func.sum(workers.c[name]), 0) for name in ("places", "busy"))
    alive = type_coerce(workers.c.seen_at, BigInteger) >= now_ms(tx) - ALIVE_FOR // timedelta(milliseconds=1)
    found = tx.execute(select(func.count(), *sums).where(alive)).one()
    return Fleet(*(int(each) for each in found))
