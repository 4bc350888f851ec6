"""What one lead did and what sales was sent about it, the latest first: read in parts, however much there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, tuple_

from syncer.model import NO_FIELDS, Activity, NoticeKind, NoticeState, Reading, RecordKey
from syncer.store.leads import COUNTS
from syncer.store.sql import among
from syncer.store.tables import activities, activity_links, notices, readings, records


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a hand-off, as it stands."""

    handoff: str  # its key
    key: str
    kind: NoticeKind
    channel: str
    recipient: str
    state: NoticeState
    sent_at: datetime | None
    error: str | None


Place = tuple[datetime, str, str]
"""An activity in the order of time: when it was, its connection, its id."""


def activities_of(
    tx: Connection, lead: int, limit: int, *, before: Place | None = None, by: datetime | None = None
) -> list[Activity]:
    """Those that count for the lead, the latest first; before that place, and no later than `by`. Activities may lie
    ahead: meetings that are planned."""
    mine = _links(lead).subquery()
    order = (activities.c.at, activities.c.connection, activities.c.id)
    wanted = select(activities).where(
        tuple_(activities.c.connection, activities.c.id).in_(select(mine.c.connection, mine.c.activity_id))
    )
    if by is not None:
        wanted = wanted.where(activities.c.at <= by)
    if before is not None:
        at, connection, identity = before
        same_time = (activities.c.at == at) & (tuple_(*order[1:]) < tuple_(connection, identity))
        wanted = wanted.where((activities.c.at < at) | same_time)
    found = tx.execute(wanted.order_by(*(column.desc() for column in order)).limit(limit))
    return [Activity(row.connection, row.id, row.kind, row.at, (), row.fields or NO_FIELDS) for row in found]


def _links(lead: int) -> Any:
    its_record = (
        (activity_links.c.connection == records.c.connection)
        & (activity_links.c.object == records.c.object)
        & (activity_links.c.record_id == records.c.id)
    )
    both = records.join(activity_links, its_record)
    return select(activity_links.c.connection, activity_links.c.activity_id).select_from(both).where(
        records.c.lead_id == lead, COUNTS
    )  # fmt: skip


def readings_of(tx: Connection, lead: int) -> list[Reading]:
    """By record and kind, the oldest first."""
    key = (readings.c.connection, readings.c.object, readings.c.record_id)
    same = (key[0] == records.c.connection) & (key[1] == records.c.object) & (key[2] == records.c.id)
    found = tx.execute(
        select(*key, readings.c.kind, readings.c.value, readings.c.last_at, readings.c.seen_at)
        .select_from(records.join(readings, same))
        .where(records.c.lead_id == lead, COUNTS)
        .order_by(*key, readings.c.kind, readings.c.seen_at)
    )
    return [Reading(RecordKey(*row[:3]), *row[3:]) for row in found]


def messages_of(tx: Connection, handoffs: Iterable[str]) -> list[Message]:
    """The messages of these hand-offs, by key."""
    names = ("key", "kind", "channel", "recipient", "state", "sent_at", "error")
    columns = [notices.c[name] for name in names]
    theirs = select(notices.c.handoff_key, *columns).where(among(tx, notices.c.handoff_key, handoffs))
    return [Message(*row) for row in tx.execute(theirs.order_by(notices.c.key))]


def is_erased(tx: Connection, lead: int) -> bool:
    """Whether all that was known of it has been erased: by its CRM, or by us."""
    found = tx.execute(select(records.c.erased).where(records.c.lead_id == lead)).scalars().all()
    return bool(found) and all(found)
