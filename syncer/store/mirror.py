"""The mirror: what was seen of the CRMs. A page, its cursor and the marks on the leads it touches are one transaction.

Storing a page twice, or an older one after a newer one, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from syncer.model import Cursor, Page, Record, Rejected
from syncer.store.activities import store_activities, store_readings
from syncer.store.columns import clean
from syncer.store.leads import chunks, count, faces, find, lead, touched_count
from syncer.store.merging import join_merged
from syncer.store.records import last_known, store_records
from syncer.store.runs import lock_connection
from syncer.store.sql import among, insert, upsert
from syncer.store.tables import cursors, rejected
from syncer.store.touching import no_touches, touch

__all__ = [
    "KeptRejection",
    "chunks",
    "count",
    "cursor",
    "faces",
    "find",
    "forget_cursors",
    "lead",
    "put_back",
    "rejections",
    "store_page",
    "touched_count",
]


def store_page(tx: Connection, connection: str, stream: str, page: Page, at: datetime) -> None:
    """Everything the page says, its cursor, and a mark on every lead to which something that matters happened."""
    lock_connection(tx, connection)
    cleaned = clean(page)
    _store(tx, connection, cleaned, at)
    _keep_rejected(tx, connection, stream, cleaned, at)
    where = {"connection": connection, "stream": stream}
    upsert(tx, cursors, [{**where, "cursor": page.cursor, "at": at}])


def _store(tx: Connection, connection: str, page: Page, at: datetime) -> None:
    touches = no_touches()
    stored = store_records(tx, page.records, touches)
    join_merged(tx, stored, touches)
    store_activities(tx, connection, page.activities, at, touches)
    store_readings(tx, page.readings, touches)
    touch(tx, touches)


def put_back(tx: Connection, connection: str, records: Sequence[Record], at: datetime) -> None:
    """Store records as `read_back` saw them. That is the truth of now, so it is never older than what is stored."""
    lock_connection(tx, connection)
    seen = [clean(record) for record in records]
    known = last_known(tx, [record.key for record in seen])
    believed = tuple(
        replace(record, modified_at=max(record.modified_at, known.get(record.key, record.modified_at)))
        for record in seen
    )
    _store(tx, connection, Page(cursor=Cursor(""), records=believed), at)


def cursor(tx: Connection, connection: str, stream: str) -> Cursor | None:
    """Where the pull of the stream stands; None: at the beginning."""
    found = tx.execute(
        select(cursors.c.cursor).where(cursors.c.connection == connection, cursors.c.stream == stream)
    ).scalar()
    return None if found is None else Cursor(found)


def forget_cursors(tx: Connection, connection: str) -> None:
    """The next pull begins at the beginning."""
    tx.execute(delete(cursors).where(cursors.c.connection == connection))


@dataclass(frozen=True, slots=True)
class KeptRejection:
    """Something that could not be read, how often that was seen, and since when."""

    stream: str
    rejected: Rejected
    first_seen: datetime
    last_seen: datetime
    count: int


def rejections(tx: Connection, connection: str, limit: int = 1000) -> list[KeptRejection]:
    """What could not be read and has not arrived since; the latest first."""
    found = tx.execute(
        select(rejected)
        .where(rejected.c.connection == connection)
        .order_by(rejected.c.last_seen.desc(), rejected.c.stream, rejected.c.id)
        .limit(limit)
    )
    return [
        KeptRejection(
            row.stream, Rejected(row.id, row.reason, row.retry), row.first_seen, row.last_seen, row._mapping["count"]
        )
        for row in found
    ]


def _keep_rejected(tx: Connection, connection: str, stream: str, page: Page, at: datetime) -> None:
    arrived = _ids(page)
    if arrived:
        of_stream = (rejected.c.connection == connection) & (rejected.c.stream == stream)
        tx.execute(delete(rejected).where(of_stream, among(tx, rejected.c.id, arrived)))
    if not page.rejected:
        return
    rows = [
        {"connection": connection, "stream": stream, "id": each.id, "reason": each.reason, "retry": each.retry}
        | {"first_seen": at, "last_seen": at}
        for each in {each.id: each for each in page.rejected}.values()
    ]
    statement = insert(tx, rejected)
    again: dict[str, Any] = {name: statement.excluded[name] for name in ("reason", "retry", "last_seen")}
    again["count"] = rejected.c.count + 1
    key = ["connection", "stream", "id"]
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=again), rows)


def _ids(page: Page) -> Sequence[str]:
    """The ids under which what arrived may have been rejected: an activity's "calls/123" was "123" to the CRM."""
    ids = {record.key.id for record in page.records}
    for activity in page.activities:
        ids |= {activity.id, activity.id.rpartition("/")[2]}
    return sorted(ids)
