"""Two records of one CRM turn out to be one person: the absorbed record's lead joins the survivor's.

A merge notice may come before the survivor is mirrored; `records.merged_into` remembers it until then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, delete, exists, literal, select, update

from syncer.model import Cause, Record, RecordKey
from syncer.store import cards, words
from syncer.store.arrivals import Arrival
from syncer.store.columns import Instant
from syncer.store.records import leads_of, refresh_live
from syncer.store.sql import among, keys_among, keys_of_a_kind, kinds
from syncer.store.tables import (
    RECORD_KEY,
    handoffs,
    lead_states,
    leads,
    overrides,
    past_members,
    past_versions,
    records,
    transitions,
    write_backs,
)
from syncer.store.touching import BITS, Touches

Node = TypeVar("Node")

DECIDED = (
    "stage", "automatic", "since", "held_by", "cause", "total", "dimensions", "model", "scored_at", "next_look", "veto",
)  # fmt: skip
"""What a survivor that was never decided takes over from the absorbed lead."""


def join_merged(
    tx: Connection, stored: Sequence[Record], arrival: Arrival, touches: Touches
) -> Sequence[tuple[RecordKey, RecordKey]]:
    """Join the leads of every merge that the records just stored announce or complete. Returns those merges: what was
    absorbed, by what."""
    pairs = _announced(stored) + _waiting_for(tx, stored)
    lead_of = leads_of(tx, {key for pair in pairs for key in pair})
    joins = roots((lead_of[absorbed], lead_of[survivor]) for absorbed, survivor in pairs if survivor in lead_of)
    if joins:
        join(tx, joins, touches, _joined_at(arrival), "merge")
        words.settle(tx, set(joins.values()), arrival.at)
    _forget_pending(tx, [absorbed for absorbed, _ in pairs])
    return pairs


def _announced(stored: Sequence[Record]) -> list[tuple[RecordKey, RecordKey]]:
    return [
        (record.key, record.merged_into)
        for record in stored
        if record.merged_into is not None and record.merged_into != record.key
    ]


def _waiting_for(tx: Connection, stored: Sequence[Record]) -> list[tuple[RecordKey, RecordKey]]:
    """Records stored earlier that were absorbed by one of these."""
    asked = _absorbed_by_a_kind(tx.dialect.name)
    found = [row for kind in kinds(tx, (record.key for record in stored)) for row in tx.execute(asked, kind)]
    pairs = [(RecordKey(*row[:3]), RecordKey(row.connection, *row[3:])) for row in found]
    return [(absorbed, survivor) for absorbed, survivor in pairs if absorbed != survivor]


@cache
def _absorbed_by_a_kind(dialect: str) -> Select[Any]:
    absorber = (records.c.connection, records.c.merged_object, records.c.merged_into)
    return select(*RECORD_KEY, records.c.merged_object, records.c.merged_into).where(
        records.c.merged_into.is_not(None), keys_of_a_kind(dialect, absorber)
    )


def roots(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """absorbed -> what remains of it in the end, through chains and circles."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while node in parent:
            node = parent[node]
        return node

    for absorbed, survivor in pairs:
        if root(absorbed) != root(survivor):
            parent[root(absorbed)] = root(survivor)
    return {node: root(node) for node in parent}


def join(
    tx: Connection, joins: Mapping[int, int], touches: Touches, joined_at: ColumnElement[datetime], cause: Cause
) -> None:
    """absorbed lead -> the one that remains: all that belongs to the first is the second's from `joined_at` on."""
    _hand_over_state(tx, joins)
    pairs = [{"absorbed": absorbed, "remaining": remaining} for absorbed, remaining in joins.items()]
    _move(tx, records.c.lead_id, pairs, joined_at=joined_at)
    for table in (overrides, transitions, handoffs):
        _move(tx, table.c.lead_id, pairs)
    tx.execute(delete(lead_states).where(among(tx, lead_states.c.lead_id, sorted(joins))))
    cards.forget(tx, joins)
    tx.execute(delete(past_members).where(among(tx, past_members.c.lead_id, sorted(joins))))
    tx.execute(delete(leads).where(among(tx, leads.c.id, sorted(joins))))
    refresh_live(tx, joins.values())
    for absorbed, remaining in joins.items():
        touches.pop(absorbed, None)
        touches[remaining] |= BITS[cause]


def _move(tx: Connection, lead_id: Any, pairs: Sequence[Mapping[str, int]], **values: Any) -> None:
    from_absorbed = update(lead_id.table).where(lead_id == bindparam("absorbed"))
    tx.execute(from_absorbed.values(lead_id=bindparam("remaining"), **values), pairs)


def _joined_at(arrival: Arrival) -> ColumnElement[datetime]:
    """Now; but a record that had been absorbed when we first looked has always been its survivor's."""
    now = literal(arrival.at, Instant)
    if not arrival.history:
        return now
    its_past = (
        (past_versions.c.connection == records.c.connection)
        & (past_versions.c.object == records.c.object)
        & (past_versions.c.record_id == records.c.id)
    )
    was_absorbed = records.c.merged_into.is_not(None) & ~exists().where(its_past)
    return case((was_absorbed, records.c.joined_at), else_=now)


def _hand_over_state(tx: Connection, joins: Mapping[int, int]) -> None:
    """The survivor's stage state stays; one without, or one colder than a lead that was handed over, takes that of the
    absorbed lead: sales has been told of this person. The higher episode counts."""
    involved = sorted({*joins, *joins.values()})
    told = handoffs.c.closed_at.is_(None) & among(tx, handoffs.c.lead_id, involved)
    handed = set(tx.execute(select(handoffs.c.lead_id).where(told)).scalars())
    rows = tx.execute(select(leads).where(among(tx, leads.c.id, involved)).order_by(leads.c.id).with_for_update())
    found = {row.id: row for row in rows}
    for remaining in sorted(set(joins.values())):
        absorbed = [found[lead] for lead, its_root in joins.items() if its_root == remaining]
        tx.execute(update(leads).where(leads.c.id == remaining).values(**_joined(found[remaining], absorbed, handed)))


def _joined(remaining: Any, absorbed: Sequence[Any], handed: Collection[int]) -> dict[str, Any]:
    decided = [row for row in absorbed if row.stage is not None]
    told = [row for row in decided if row.id in handed]
    taken = told or decided if remaining.stage is None else told if remaining.id not in handed else []
    episode = max(row.episode for row in (remaining, *absorbed))
    return {"episode": episode, **{name: getattr(taken[0], name) for name in DECIDED if taken}}


def _forget_pending(tx: Connection, absorbed: Sequence[RecordKey]) -> None:
    """An absorbed record is not written to any more."""
    if absorbed:
        key = (write_backs.c.connection, write_backs.c.object, write_backs.c.id)
        tx.execute(
            update(write_backs)
            .where(keys_among(tx, key, absorbed), write_backs.c.pending.is_not(None))
            .values(pending=None, pending_stage=None)
        )
