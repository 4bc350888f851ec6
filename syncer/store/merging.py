"""Two records turn out to be one person: the absorbed record's lead joins the survivor's.

A merge notice may come before the survivor is mirrored; `records.merged_into` remembers it until then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from syncer.model import Record, RecordKey
from syncer.store.records import RECORD_KEY, leads_of, refresh_live
from syncer.store.sql import among, keys_among
from syncer.store.tables import handoffs, leads, overrides, records, transitions, write_backs
from syncer.store.touching import BITS, Touches

_DECIDED = (
    "stage", "automatic", "since", "held_by", "cause", "total", "dimensions", "model", "scored_at", "next_look", "veto",
)  # fmt: skip
"""What a survivor that was never decided takes over from the absorbed lead."""


def join_merged(tx: Connection, stored: Sequence[Record], touches: Touches) -> None:
    """Join the leads of every merge that the records just stored announce or complete."""
    pairs = _announced(stored) + _waiting_for(tx, stored)
    lead_of = leads_of(tx, {key for pair in pairs for key in pair})
    joins = _roots((lead_of[absorbed], lead_of[survivor]) for absorbed, survivor in pairs if survivor in lead_of)
    if joins:
        _join(tx, joins, touches)
    _forget_pending(tx, [absorbed for absorbed, _ in pairs])


def _announced(stored: Sequence[Record]) -> list[tuple[RecordKey, RecordKey]]:
    return [
        (record.key, record.key._replace(id=record.merged_into))
        for record in stored
        if record.merged_into is not None and record.merged_into != record.key.id
    ]


def _waiting_for(tx: Connection, stored: Sequence[Record]) -> list[tuple[RecordKey, RecordKey]]:
    """Records stored earlier that were absorbed by one of these."""
    if not stored:
        return []
    named = (records.c.connection, records.c.object, records.c.merged_into)
    found = tx.execute(
        select(*RECORD_KEY, records.c.merged_into).where(
            records.c.merged_into.is_not(None), keys_among(tx, named, [record.key for record in stored])
        )
    )
    return [
        (RecordKey(connection, kind, record_id), RecordKey(connection, kind, survivor))
        for connection, kind, record_id, survivor in found
        if record_id != survivor
    ]


def _roots(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """absorbed lead -> the lead that remains in the end, through chains and circles."""
    parent: dict[int, int] = {}

    def root(lead: int) -> int:
        while lead in parent:
            lead = parent[lead]
        return lead

    for absorbed, survivor in pairs:
        if root(absorbed) != root(survivor):
            parent[root(absorbed)] = root(survivor)
    return {lead: root(lead) for lead in parent}


def _join(tx: Connection, joins: Mapping[int, int], touches: Touches) -> None:
    _hand_over_state(tx, joins)
    pairs = [{"absorbed": absorbed, "remaining": remaining} for absorbed, remaining in joins.items()]
    for table in (records, overrides, transitions, handoffs):
        _move(tx, table.c.lead_id, pairs)
    tx.execute(delete(leads).where(among(tx, leads.c.id, sorted(joins))))
    refresh_live(tx, joins.values())
    for absorbed, remaining in joins.items():
        touches.pop(absorbed, None)
        touches[remaining] |= BITS["merge"]


def _move(tx: Connection, lead_id: Any, pairs: Sequence[Mapping[str, int]]) -> None:
    from_absorbed = update(lead_id.table).where(lead_id == bindparam("absorbed")).values(lead_id=bindparam("remaining"))
    tx.execute(from_absorbed, pairs)


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
    return {"episode": episode, **{name: getattr(taken[0], name) for name in _DECIDED if taken}}


def _forget_pending(tx: Connection, absorbed: Sequence[RecordKey]) -> None:
    """An absorbed record is not written to any more."""
    if absorbed:
        key = (write_backs.c.connection, write_backs.c.object, write_backs.c.id)
        tx.execute(
            update(write_backs)
            .where(keys_among(tx, key, absorbed), write_backs.c.pending.is_not(None))
            .values(pending=None, pending_stage=None)
        )
