"""The mirror: what was seen of the CRMs. A page, its cursor and the marks on the leads it touches are one transaction.

Storing a page twice, or an older one after a newer one, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from syncer.model import Cursor, Page, Record, Rejected
from syncer.store import people
from syncer.store.activities import store_activities, store_readings
from syncer.store.arrivals import Arrival
from syncer.store.columns import clean
from syncer.store.leads import chunks, count, faces, find, home, lead, touched_count
from syncer.store.merging import join_merged
from syncer.store.records import LIVE, last_known, store_records
from syncer.store.runs import lock_connection
from syncer.store.sql import among, insert, upsert
from syncer.store.tables import cursors, records, rejected
from syncer.store.touching import BITS, no_touches, touch

__all__ = [
    "KeptRejection",
    "begin",
    "chunks",
    "count",
    "cursor",
    "end",
    "faces",
    "find",
    "forget_cursors",
    "home",
    "lead",
    "live_ids",
    "put_back",
    "rejections",
    "settle",
    "store_page",
    "touched_count",
    "unread",
]


def store_page(  # noqa: PLR0913  # a page, where it belongs, and how people are told apart
    tx: Connection, connection: str, stream: str, page: Page, at: datetime, *, same_person: bool = False
) -> frozenset[str]:
    """Everything the page says, its cursor, and a mark on every lead to which something that matters happened. Returns
    the other connections that are to decide some of these leads: with `same_person`, an e-mail address is a person.

    Until the stream has been read to its end once (see `begin`, `end`), its pages tell what was there before we
    looked: their activities count as known since they happened.
    """
    lock_connection(tx, connection)
    cleaned = clean(page)
    here = (cursors.c.connection == connection, cursors.c.stream == stream)
    history = tx.execute(select(cursors.c.history).where(*here)).scalar()
    elsewhere = _store(tx, connection, cleaned, Arrival(at, history is True), same_person=same_person)
    _keep_rejected(tx, connection, stream, cleaned, at)
    row = {"connection": connection, "stream": stream, "cursor": page.cursor, "at": at}
    upsert(tx, cursors, [row if history is not None else row | {"history": False}])
    return elsewhere


def _store(tx: Connection, connection: str, page: Page, arrival: Arrival, *, same_person: bool) -> frozenset[str]:
    touches = no_touches()
    before: people.Addresses = {}
    if same_person:
        people.lock(tx)
        before = people.addresses(tx, [record.key for record in page.records])
    stored = store_records(tx, page.records, arrival, touches)
    join_merged(tx, stored, arrival, touches)
    if same_person:
        people.gather(tx, before, stored, arrival, touches)
    store_activities(tx, connection, page.activities, arrival, touches)
    store_readings(tx, page.readings, arrival, touches)
    elsewhere = people.living_elsewhere(tx, connection, touches) if same_person else {}
    if arrival.history:
        for lead in elsewhere:
            touches[lead] |= BITS["baseline"]  # their homes do not know that we are still reading what was there
    touch(tx, touches)
    return frozenset(elsewhere.values())


def begin(tx: Connection, connection: str, stream: str, wanted: Sequence[str]) -> tuple[Cursor | None, bool]:
    """(where the pull of the stream goes on, whether it tells history still). Where more is wanted of the stream than
    was asked for so far, it begins again: what is there already never came with the new names."""
    where = (cursors.c.connection == connection, cursors.c.stream == stream)
    known = tx.execute(select(cursors).where(*where)).first()
    if known is not None and set(wanted) <= set(known.wanted or ()):
        return (None if known.cursor is None else Cursor(known.cursor)), known.history
    row = {"connection": connection, "stream": stream, "cursor": None, "history": True, "wanted": sorted(wanted)}
    upsert(tx, cursors, [row])
    return None, True


def end(tx: Connection, connection: str, stream: str) -> None:
    """The stream has been read to its end once: what comes from now on is news."""
    where = (cursors.c.connection == connection, cursors.c.stream == stream)
    tx.execute(update(cursors).where(*where).values(history=False))


def unread(tx: Connection, connection: str, stream: str, limit: int = 1000) -> list[str]:
    """Ids that could not be read although nothing is wrong with them: to be asked for again."""
    where = (rejected.c.connection == connection, rejected.c.stream == stream, rejected.c.retry.is_(True))
    return list(tx.execute(select(rejected.c.id).where(*where).order_by(rejected.c.id).limit(limit)).scalars())


def settle(tx: Connection, connection: str, stream: str, ids: Sequence[str]) -> None:
    """These were read after all, or are gone."""
    where = (rejected.c.connection == connection, rejected.c.stream == stream, among(tx, rejected.c.id, ids))
    tx.execute(delete(rejected).where(*where))


def live_ids(tx: Connection, connection: str, object_: str) -> list[str]:
    """The ids of everyone of that object who is believed to exist, for the reconcile sweep."""
    where = (records.c.connection == connection, records.c.object == object_, LIVE)
    return list(tx.execute(select(records.c.id).where(*where).order_by(records.c.id)).scalars())


def put_back(
    tx: Connection, connection: str, shown: Sequence[Record], at: datetime, *, same_person: bool = False
) -> frozenset[str]:
    """Store records as `read_back` saw them. That is the truth of now, so it is never older than what is stored.
    Returns what `store_page` does."""
    lock_connection(tx, connection)
    seen = [clean(record) for record in shown]
    known = last_known(tx, [record.key for record in seen])
    believed = tuple(
        replace(record, modified_at=max(record.modified_at, known.get(record.key, record.modified_at)))
        for record in seen
    )
    streams = {record.key.object for record in believed}  # people are pulled by a stream of their object's name
    here = (cursors.c.connection == connection, among(tx, cursors.c.stream, streams), cursors.c.history.is_(True))
    history = tx.execute(select(cursors.c.stream).where(*here)).first() is not None
    page = Page(cursor=Cursor(""), records=believed)
    return _store(tx, connection, page, Arrival(at, history), same_person=same_person)


def cursor(tx: Connection, connection: str, stream: str) -> Cursor | None:
    """Where the pull of the stream stands; None: at the beginning."""
    found = tx.execute(
        select(cursors.c.cursor).where(cursors.c.connection == connection, cursors.c.stream == stream)
    ).scalar()
    return None if found is None else Cursor(found)


def forget_cursors(tx: Connection, connection: str) -> None:
    """The next pull begins at the beginning. What it brings that is new is news all the same."""
    tx.execute(update(cursors).where(cursors.c.connection == connection).values(cursor=None))


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
