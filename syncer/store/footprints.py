"""What each lead's facts meet under the rules in force, so that a lead nothing happened to need not be read whole.

Derived from the mirror and the rules: dropping all of it loses nothing but time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, select

from syncer.model import Footprint, Lead
from syncer.store.sql import among, upsert
from syncer.store.tables import lead_states, leads


def keep(tx: Connection, of: Sequence[Lead], made: Mapping[int, Footprint], rules: str) -> None:
    """Keep the footprints made of these leads, as they were when they were read, under the rules of that name."""
    rows = [_row(lead, made[lead.id], rules) for lead in of if lead.id in made]
    upsert(tx, lead_states, rows)


def _row(lead: Lead, footprint: Footprint, rules: str) -> dict[str, Any]:
    return {
        "lead_id": lead.id,
        "revision": lead.revision,
        "rules": rules,
        "model": footprint.model,
        "bits": footprint.bits,
        "hits": footprint.hits,
    }


def fresh(tx: Connection, ids: Sequence[int], rules: str) -> dict[int, Footprint]:
    """Lead -> footprint, of the leads that nothing happened to since it was made under these rules."""
    found = tx.execute(
        select(lead_states.c.lead_id, lead_states.c.model, lead_states.c.bits, lead_states.c.hits)
        .join(leads, leads.c.id == lead_states.c.lead_id)
        .where(
            among(tx, lead_states.c.lead_id, ids),
            lead_states.c.rules == rules,
            lead_states.c.revision == leads.c.revision,
        )
    )
    return {lead_id: Footprint(model, bits, hits) for lead_id, model, bits, hits in found}


def page(
    tx: Connection, connection: str, rules: str, *, after: int, size: int
) -> list[tuple[int, int, Footprint | None]]:
    """(lead, revision, footprint) of the next leads that the connection decides and that have a live record, by id;
    None: something happened to the lead since its footprint was made under these rules, or it has none."""
    same = and_(
        lead_states.c.lead_id == leads.c.id, lead_states.c.rules == rules, lead_states.c.revision == leads.c.revision
    )
    found = tx.execute(
        select(leads.c.id, leads.c.revision, lead_states.c.model, lead_states.c.bits, lead_states.c.hits)
        .select_from(leads.outerjoin(lead_states, same))
        .where(leads.c.connection == connection, leads.c.live.is_(True), leads.c.id > after)
        .order_by(leads.c.id)
        .limit(size)
    )
    return [
        (lead_id, revision, None if model is None else Footprint(model, bits, hits))
        for lead_id, revision, model, bits, hits in found
    ]
