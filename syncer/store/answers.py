"""What sales has answered to hand-offs, as rows: never changed, but for what an erasure takes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, insert, select, update

from syncer.model import Answer, Handoff, RecordKey
from syncer.store.handed_over import Wanted
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, keys_among
from syncer.store.tables import RECORD_KEY, handoffs, leads, notices, records
from syncer.store.tables import answers as kept
from syncer.store.touching import BITS

_UNSENT = ("waiting", "ready", "uncertain", "dead")


class Open(NamedTuple):
    """A hand-off that may still be answered."""

    key: str
    lead: int  # whose it is now
    at: datetime  # since when it may be
    answered_in: tuple[str, ...]  # where in the CRM


@dataclass(frozen=True, slots=True)
class Asked:
    """A hand-off that somebody answers."""

    handoff: Handoff
    lead: int  # whose it is now
    is_over: bool  # the lead has left the stage


def lock(tx: Connection, key: str) -> Asked | None:
    """Nobody else's to the end of the transaction; None: there is no such hand-off. Its lead first, then itself:
    whoever carries out a plan takes them in this order, too. One that a merge gives to another lead meanwhile is the
    other one's."""
    theirs = select(handoffs.c.lead_id).where(handoffs.c.key == key)
    tx.execute(select(leads.c.id).where(leads.c.id == theirs.scalar_subquery()).with_for_update())
    return _asked(tx, select(handoffs).where(handoffs.c.key == key).with_for_update())


def look(tx: Connection, key: str) -> Asked | None:
    """What `lock` gives, without holding it."""
    return _asked(tx, select(handoffs).where(handoffs.c.key == key))


def _asked(tx: Connection, found: Select[Any]) -> Asked | None:
    row = tx.execute(found).first()
    return None if row is None else Asked(HANDOFF.value(row.payload), row.lead_id, row.closed_at is not None)


def may_have_answers(tx: Connection, connection: str) -> list[Open]:
    """Those still open of leads that the connection decides and whose records have changed since it did; those that
    were rejected are settled."""
    changed = leads.c.touched.bitwise_and(BITS["profile"] | BITS["merge"]) != 0
    theirs = (leads.c.connection == connection, leads.c.due_at == 0, changed)  # the first two as the index has them
    settled = select(kept.c.id).where(kept.c.handoff_key == handoffs.c.key, kept.c.accepted.is_(False)).exists()
    both = leads.join(handoffs, handoffs.c.lead_id == leads.c.id)
    found = select(handoffs.c.key, handoffs.c.lead_id, handoffs.c.at, handoffs.c.payload).select_from(both)
    rows = tx.execute(
        found.where(*theirs, handoffs.c.closed_at.is_(None), ~settled).order_by(handoffs.c.lead_id, handoffs.c.at)
    )
    return [Open(key, lead, at, HANDOFF.value(payload).answered_in) for key, lead, at, payload in rows]


def modified(tx: Connection, keys: Iterable[RecordKey]) -> dict[RecordKey, datetime]:
    """Record -> when its CRM says it was changed last."""
    found = tx.execute(select(*RECORD_KEY, records.c.modified_at).where(keys_among(tx, RECORD_KEY, keys)))
    return {RecordKey(*key): at for *key, at in found}


def keep(tx: Connection, key: str, answer: Answer) -> None:
    names = ("accepted", "reason", "author", "source", "at")
    tx.execute(insert(kept).values(handoff_key=key, **{name: getattr(answer, name) for name in names}))


def of(tx: Connection, keys: Sequence[str]) -> dict[str, list[Answer]]:
    """Key of a hand-off -> its answers, the first one first; one without any is absent."""
    found: dict[str, list[Answer]] = {}
    for row in tx.execute(select(kept).where(among(tx, kept.c.handoff_key, keys)).order_by(kept.c.id)):
        found.setdefault(row.handoff_key, []).append(_answer(row))
    return found


def _answer(row: Any) -> Answer:
    return Answer(row.accepted, row.author, row.at, row.source, row.reason)


def untell(tx: Connection, key: str, why: str) -> None:
    """What has not been sent of the hand-off never is; what is on its way just now arrives."""
    unsent = update(notices).where(notices.c.handoff_key == key, notices.c.state.in_(_UNSENT))
    tx.execute(unsent.values(state="dropped", not_before=None, error=why))


def by_reason(tx: Connection, wanted: Wanted) -> dict[str, int]:
    """Reason -> how many of the hand-offs were rejected for it, the most frequent first; "": without one."""
    both = kept.join(handoffs, handoffs.c.key == kept.c.handoff_key)
    rejected = select(kept.c.reason, func.count()).select_from(both)
    found = rejected.where(kept.c.accepted.is_(False), wanted.condition(tx)).group_by(kept.c.reason)
    return dict(iter(tx.execute(found.order_by(func.count().desc(), kept.c.reason))))


def count_accepted(tx: Connection, wanted: Wanted) -> int:
    """How many of the hand-offs were accepted and not rejected afterwards."""
    both = kept.join(handoffs, handoffs.c.key == kept.c.handoff_key)
    other = kept.alias()
    rejected = select(other.c.id).where(other.c.handoff_key == kept.c.handoff_key, other.c.accepted.is_(False)).exists()
    counted = select(func.count()).select_from(both).where(kept.c.accepted.is_(True), wanted.condition(tx), ~rejected)
    return int(tx.execute(counted).scalar_one())
