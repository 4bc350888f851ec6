"""Hand-offs put down as rows, with whatever has come of them: for tests of lists and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from syncer.model import Answer, Handoff, Notice, RecordKey
from syncer.store import Store, answers, outbox
from syncer.store.payloads import HANDOFF
from syncer.store.tables import answers as answer_rows
from syncer.store.tables import handoffs, leads, notices

_OF_THE_ROW = ("closed_at", "told_at", "due_at", "touched_at", "touched_by", "system_ms", "human_ms", "human_work_ms")


@dataclass(frozen=True)
class Desk:
    """Where hand-offs are put down. `lead`: one that the store knows."""

    store: Store
    lead: int

    def put(self, record_id: str, at: datetime, connection: str = "crm", **known: Any) -> Handoff:
        """What `known` says of the clock stands in the row, the rest in the hand-off itself."""
        clock = {key: known.pop(key) for key in _OF_THE_ROW if key in known}
        record = RecordKey(connection, "contacts", record_id)
        told: dict[str, Any] = {
            "email": f"{record_id}@acme.es",
            "name": record_id.title(),
            "owner": None,
            "url": None,
            **known,
        }
        handoff = Handoff(f"here/{record}#1", self.lead, record, 1, "sql", 7_899, at, **told)
        row = {
            "key": handoff.key, "lead_id": self.lead, "connection": connection, "object": "contacts",
            "record_id": record_id, "stage": handoff.stage, "at": at, "payload": HANDOFF.text(handoff),
            "assigned_to": handoff.assigned_to, "for_whom": handoff.for_whom, **clock,
        }  # fmt: skip
        with self.store.writing() as tx:
            tx.execute(insert(handoffs).values(row))
        return handoff

    def tell(self, handoff: Handoff, channel: str, **values: Any) -> Notice:
        number = f"{abs(hash((handoff.key, channel))):032x}"
        notice = Notice(number, handoff, channel, values.pop("recipient", ""), **values)
        with self.store.writing() as tx:
            outbox.queue(tx, [notice])
        return notice

    def say(self, handoff: Handoff, *said: Answer) -> None:
        with self.store.writing() as tx:
            for each in said:
                answers.keep(tx, handoff.key, each)

    def state_of(self, notice: Notice) -> str:
        with self.store.reading() as tx:
            (found,) = outbox.named(tx, [notice.key])
        return found.state

    def said_of(self, handoff: Handoff) -> list[Answer]:
        with self.store.reading() as tx:
            return answers.of(tx, [handoff.key]).get(handoff.key, [])

    def clear(self) -> None:
        with self.store.writing() as tx:
            for table in (answer_rows, notices, handoffs):
                tx.execute(delete(table))


def desk(store: Store) -> Desk:
    """With the first lead there is, or a new one; without any hand-offs."""
    with store.writing() as tx:
        lead = tx.execute(select(leads.c.id).order_by(leads.c.id).limit(1)).scalar()
        if lead is None:
            lead = tx.execute(insert(leads).values(connection="crm").returning(leads.c.id)).scalar_one()
    found = Desk(store, lead)
    found.clear()
    return found


def names(found: Iterable[Any]) -> list[str]:
    return [each.handoff.record.id for each in found]
