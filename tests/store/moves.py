"""Leads and their moves, written as runs would leave them, for whoever counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert

from syncer.store import Store
from syncer.store.tables import connections, handoffs, lead_cards, leads, transitions

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)

_ANY: dict[str, Any] = {"total": 0, "model": "b2b@1", "episode": 0}


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@dataclass
class Base:
    """A base to which leads are added one by one."""

    store: Store

    def lead(self, *way: tuple[str, datetime] | tuple[str, datetime, str], **values: Any) -> int:
        """A lead that has come this way: (stage, when it entered it, why); the first stage it had at the first look,
        if nothing else is said. Returns its number. `source` goes into its card; `stage`: where it stands in the end.
        """
        source, moved = values.pop("source", None), [(*each, "activity")[:3] for each in way]
        if way and len(way[0]) == 2:
            moved[0] = (*way[0], "baseline")
        row: dict[str, Any] = {
            "connection": "crm", "stage": moved[-1][0] if moved else None, "model": "b2b@1", "total": 100, **values
        }  # fmt: skip
        before = [None, *(stage for stage, _, _ in moved)]
        with self.store.writing() as tx:
            number: int = tx.execute(insert(leads).values(row).returning(leads.c.id)).scalar_one()
            if source is not None:
                card = {"lead_id": number, "name_key": "", "words": "", "source": source}
                tx.execute(insert(lead_cards).values({name: card[name] for name in card if name in lead_cards.c}))
            for (stage, at, cause), came_from in zip(moved, before, strict=False):
                told = {"before": came_from, "after": stage, "at": at, "cause": cause}
                tx.execute(insert(transitions).values(lead_id=number, **_ANY, **told))
        return number

    def move(self, lead: int, before: str | None, after: str, at: datetime, **values: Any) -> None:
        """One more row, also one that does not follow from the others."""
        told = {"before": before, "after": after, "at": at, "cause": "activity"}
        with self.store.writing() as tx:
            tx.execute(insert(transitions).values(lead_id=lead, **_ANY, **(told | values)))

    def hand_over(self, lead: int, *reasons: str, at: datetime = NOW, **values: Any) -> None:
        row = {"key": f"h{lead}/{at.timestamp()}", "lead_id": lead, "connection": "crm", "object": "contacts"}
        payload = orjson.dumps({"reasons": reasons}).decode()
        with self.store.writing() as tx:
            told = {"record_id": str(lead), "stage": "sql", "at": at, "payload": payload, **values}
            tx.execute(insert(handoffs).values(row | told))

    def synced_first(self, connection: str, at: datetime) -> None:
        with self.store.writing() as tx:
            tx.execute(insert(connections).values(name=connection, baseline_at=at))
