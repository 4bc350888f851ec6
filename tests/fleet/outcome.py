"""How a fleet's life has ended: in the database, in the CRM, and with the one who is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select

from syncer.store import open_store, tables
from tests.fleet.farm import Farm, Seat

Rows = Mapping[str, tuple[Any, ...]]
"""What is known of each lead, by "connection/record"."""
_OPEN = ("waiting", "ready", "sending", "uncertain")


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What must be the same however often processes died on the way."""

    decided: Rows
    paths: Rows  # every transition, without its time
    shown: Rows  # by the CRM: score, stage, reasons
    told: frozenset[tuple[str, int, str]]  # lead, episode, stage; of every hand-off that was sent
    unsent: int
    pending: int  # write-backs

    def unlike(self, other: Outcome) -> Mapping[str, list[str]]:
        """Which leads differ, by what."""
        pairs = {
            "stages and scores": (self.decided, other.decided),
            "transitions": (self.paths, other.paths),
            "fields in the CRM": (self.shown, other.shown),
        }
        found = {what: sorted(key for key in {*a, *b} if a.get(key) != b.get(key)) for what, (a, b) in pairs.items()}
        found["hand-offs"] = sorted(lead for lead, _, _ in self.told ^ other.told)
        return found

    def unwritten(self) -> list[str]:
        """The leads of which the CRM shows something else than was decided."""
        return sorted(lead for lead, row in self.decided.items() if not _agrees(row, self.shown[lead]))


def _agrees(decided: tuple[Any, ...], shown: tuple[Any, ...]) -> bool:
    return (decided[0], decided[1] / 100) == (shown[1], float(shown[0] or "nan"))


def outcome(farm: Farm, database: str) -> Outcome:
    shown = {portal: farm.contacts(portal) for portal in farm.urls}
    with closing(open_store(database)) as store, store.reading() as tx:
        return Outcome(
            decided=_decided(tx),
            paths=_paths(tx),
            shown=_shown(farm.seats, shown),
            told=frozenset(_told(tx)),
            unsent=_unsent(tx),
            pending=_pending(tx),
        )


def settled(database: str, since: datetime, seats: Sequence[Seat]) -> bool:
    """Whether each connection has run well since then, and nothing waits any more."""
    table = tables.runs
    done = select(table.c.connection).distinct().where(table.c.started_at > since, table.c.outcome == "ok")
    with closing(open_store(database)) as store, store.reading() as tx:
        ran = set(tx.execute(done).scalars())
        waiting = _unsent(tx) + _pending(tx) + _count(tx, select(tables.leads.c.id).where(tables.leads.c.due_at == 0))
    return waiting == 0 and {seat.name for seat in seats} <= ran


def runs_of(database: str) -> Mapping[str, Sequence[tuple[datetime, datetime | None, str, str | None]]]:
    """(started, finished, outcome, error) of each run, by connection, the earliest first."""
    table = tables.runs
    found: dict[str, list[tuple[datetime, datetime | None, str, str | None]]] = defaultdict(list)
    with closing(open_store(database)) as store, store.reading() as tx:
        for row in tx.execute(select(table).where(table.c.kind == "full").order_by(table.c.id)):
            found[row.connection].append((row.started_at, row.finished_at, row.outcome, row.error))
    return found


def astray(farm: Farm, ended: Outcome) -> Mapping[str, list[str]]:
    """What has not come out as the script would have it: nothing of the life may be lost."""
    stages = {f"{seat.name}/{each}": stage for seat, each, stage in _expected(farm)}
    sold = {f"{seat.name}/{each}" for seat in farm.seats for each in farm.script.sold(seat.portal)}
    told = Counter(lead for lead, _, _ in ended.told)
    return {
        "leads in another stage": sorted(lead for lead, stage in stages.items() if ended.decided[lead][0] != stage),
        "sales not told": sorted(sold - set(told)),
        "sales told of others": sorted(set(told) - sold),
        "sales told of two episodes": sorted(lead for lead, times in told.items() if times > 1),
    }


def _expected(farm: Farm) -> Iterator[tuple[Seat, str, str]]:
    """A stage set by hand stands in the property of the portal's first connection alone."""
    for seat in farm.seats:
        by_hand = farm.script.by_hand(seat.portal)
        for contact, stage in farm.script.stages(seat.portal).items():
            yield seat, contact, "cold" if contact in by_hand and seat.mark else stage


def _decided(tx: Connection) -> Rows:
    leads, records = tables.leads, tables.records
    columns = ("stage", "total", "automatic", "episode", "held_by", "cause", "veto", "touched")
    joined = select(leads, records.c.id.label("record")).join(records, records.c.lead_id == leads.c.id)
    return {
        f"{row.connection}/{row.record}": tuple(getattr(row, name) for name in columns) for row in tx.execute(joined)
    }


def _paths(tx: Connection) -> Rows:
    moves, records = tables.transitions, tables.records
    joined = select(moves, records.c.id.label("record"), records.c.connection).join(
        records, records.c.lead_id == moves.c.lead_id
    )
    paths: dict[str, tuple[Any, ...]] = {}
    for row in tx.execute(joined.order_by(moves.c.id)):
        step = (row.before, row.after, row.cause, row.total, row.episode)
        paths[f"{row.connection}/{row.record}"] = (*paths.get(f"{row.connection}/{row.record}", ()), step)
    return paths


def _shown(seats: Sequence[Seat], contacts: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Rows:
    names = ("ls_score", "ls_stage", "ls_score_reasons")
    return {
        f"{seat.name}/{contact}": tuple(values.get(f"{name}{seat.mark}") for name in names)
        for seat in seats
        for contact, values in contacts[seat.portal].items()
    }


def _told(tx: Connection) -> Iterator[tuple[str, int, str]]:
    notices, handoffs = tables.notices, tables.handoffs
    joined = select(handoffs).join(notices, notices.c.handoff_key == handoffs.c.key).where(notices.c.state == "sent")
    for row in tx.execute(joined):
        yield f"{row.connection}/{row.record_id}", orjson.loads(row.payload)["episode"], row.stage


def _unsent(tx: Connection) -> int:
    return _count(tx, select(tables.notices.c.key).where(tables.notices.c.state.in_(_OPEN)))


def _pending(tx: Connection) -> int:
    return _count(tx, select(tables.write_backs.c.id).where(tables.write_backs.c.pending.is_not(None)))


def _count(tx: Connection, asked: Any) -> int:
    return len(tx.execute(asked).all())
