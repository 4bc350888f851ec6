"""What one lead did and what sales was sent about it, the latest first: read in parts, however much there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

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


def activities_of(tx: Connection, lead: int, limit: int, *, by: datetime, passed: int = 0) -> list[Activity]:
    """Those that count for the lead and are no later than `by`, the latest first; of those of that very time not the
    first `passed`. Activities may lie ahead: meetings that are planned."""
    mine = _links(lead).subquery()
    order = (activities.c.at, activities.c.connection, activities.c.id)
    wanted = select(activities).where(
        tuple_(activities.c.connection, activities.c.id).in_(select(mine.c.connection, mine.c.activity_id))
    )
    if passed:
        of_that_time = wanted.where(activities.c.at == by).with_only_columns(func.count())
        passed = min(passed, tx.execute(of_that_time).scalar_one())
    latest_first = (column.desc() for column in order)
    found = tx.execute(wanted.where(activities.c.at <= by).order_by(*latest_first).limit(limit).offset(passed))
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
