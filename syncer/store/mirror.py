"""The mirror: what was seen of the CRMs. A page, its cursor and the marks on the leads it touches are one transaction.

Storing a page twice, or an older one after a newer one, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, delete, func, select, tuple_, type_coerce, update

from syncer.model import Cursor, Page, Record, RecordKey, Rejected
from syncer.store import erasure, hints, people, sweeps, words
from syncer.store.activities import forget_readings, store_activities, store_readings
from syncer.store.arrivals import Arrival
from syncer.store.columns import clean
from syncer.store.leads import chunks, count, count_shown, faces, find, home, lead, touched_count
from syncer.store.merging import join_merged
from syncer.store.records import last_known, leads_of, newly_chosen, store_records
from syncer.store.runs import lock_connection
from syncer.store.sql import among, insert, keys_among, upsert
from syncer.store.tables import LIVE, activities, cursors, records, rejected
from syncer.store.touching import BITS, no_touches, touch

__all__ = [
    "KeptRejection",
    "RejectedPlace",
    "absent",
    "begin",
    "chunks",
    "complaints",
    "count",
    "count_shown",
    "cursor",
    "drop_readings",
    "end",
    "faces",
    "find",
    "home",
    "is_rejected",
    "known",
    "lead",
    "newly_chosen",
    "put_back",
    "reasons_in_part",
    "rejections",
    "settle",
    "store_page",
    "telling_history",
    "touched_count",
    "unread",
]


def store_page(  # noqa: PLR0913  # a page, where it belongs, and how people are told apart
    tx: Connection,
    connection: str,
    stream: str,
    page: Page,
    at: datetime,
    *,
    same_person: bool = False,
    sweep: int | None = None,
    keep: timedelta | None = None,
) -> frozenset[str]:
    """Everything the page says, its cursor, and a mark on every lead to which something that matters happened. Returns
    the other connections that are to decide some of these leads: with `same_person`, an e-mail address is a person.

    Until the stream has been read to its end once (see `begin`, `end`), its pages tell what was there before we
    looked: their activities count as known since they happened. With `sweep` it is a page of the sweep of that number,
    and its cursor that sweep's. `keep`: how long activities are kept; None: for ever.
    """
    lock_connection(tx, connection)
    cleaned = clean(page)
    here = (cursors.c.connection == connection, cursors.c.stream == stream)
    known = tx.execute(select(cursors.c.history, cursors.c.sweep, cursors.c.sweep_began_at).where(*here)).first()
    by_id = page.cursor is None
    arrival = Arrival(
        at,
        known is not None and known.history,
        seen_now=by_id or sweep is not None,
        by_id=by_id,
        oldest=None if keep is None else at - keep,
    )
    elsewhere = _store(tx, connection, cleaned, arrival, same_person=same_person)
    _keep_rejected(tx, connection, stream, erasure.without_forgotten(tx, connection, stream, cleaned), at)
    if known is not None and known.sweep_began_at is not None:
        sweeps.mark(tx, cleaned, known.sweep)  # whatever way it came: it need not be asked for when the sweep ends
    if page.cursor is None:
        return elsewhere
    if sweep is not None:
        tx.execute(update(cursors).where(*here, cursors.c.sweep == sweep).values(sweep_cursor=page.cursor))
    else:
        row = {"connection": connection, "stream": stream, "cursor": page.cursor, "at": at}
        upsert(tx, cursors, [row if known is not None else row | {"history": False}])
    return elsewhere


def _store(tx: Connection, connection: str, page: Page, arrival: Arrival, *, same_person: bool) -> frozenset[str]:
    touches = no_touches()
    before: people.Addresses = {}
    if same_person:
        people.lock(tx)
        before = people.addresses(tx, [record.key for record in page.records])
    stored, spoken = store_records(tx, page.records, arrival, touches)
    merges = join_merged(tx, stored, arrival, touches)
    if same_person:
        people.gather(tx, before, stored, arrival, touches)
    words.hear(tx, spoken, leads_of(tx, [each.record for each in spoken]), arrival, touches)
    words.forget_absorbed(tx, {absorbed for absorbed, _ in merges})
    page = erasure.without_erased(tx, page)
    store_activities(tx, connection, page.activities, arrival, touches)
    store_readings(tx, page.readings, arrival, touches)
    erasure.erase(tx, [record.key for record in stored if record.erased], arrival.at)
    erasure.forget_absorbed(tx, stored)
    if not arrival.by_id:
        # Gone, or erased? Whoever is asked for by id is told apart.
        hints.hint(tx, [record.key for record in stored if record.deleted and not record.erased], arrival.at)
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
    upsert(tx, cursors, [row | {"sweep_cursor": None, "sweep_began_at": None}])  # what it has seen lacks the new names
    return None, True


def end(tx: Connection, connection: str, stream: str, at: datetime) -> None:
    """The stream has been read to its end once: what comes from now on is news."""
    where = (cursors.c.connection == connection, cursors.c.stream == stream)
    tx.execute(update(cursors).where(*where).values(history=False))
    sweeps.end(tx, connection, stream, at)


def drop_readings(tx: Connection, connection: str, kinds: Iterable[str]) -> None:
    """Forget what was counted of these kinds of activities: from now on each of them is told by itself."""
    lock_connection(tx, connection)
    touches = no_touches()
    forget_readings(tx, connection, kinds, touches)
    touch(tx, touches)


def telling_history(tx: Connection, connection: str) -> set[str]:
    """The streams whose first whole pull is not over."""
    where = (cursors.c.connection == connection, cursors.c.history.is_(True))
    return set(tx.execute(select(cursors.c.stream).where(*where)).scalars())


def known(tx: Connection, connection: str, stream: str, ids: Sequence[str]) -> dict[str, datetime]:
    """Id, as the CRM writes it -> the `modified_at` under which it is stored: people who are live, and activities of
    which the CRM tells it; not what could not be read when it was last asked for."""
    names = {f"{stream}/{each}": each for each in ids}
    people = (records.c.connection == connection, records.c.object == stream, LIVE)
    found = tx.execute(select(records.c.id, records.c.modified_at).where(*people, among(tx, records.c.id, ids)))
    known = {row.id: row.modified_at for row in found}
    theirs = (activities.c.connection == connection, activities.c.modified_at.is_not(None))
    done = select(activities.c.id, activities.c.modified_at).where(*theirs, among(tx, activities.c.id, names))
    known |= {names[row.id]: row.modified_at for row in tx.execute(done)}
    doubtful = (rejected.c.connection == connection, rejected.c.stream == stream, rejected.c.arrived.is_(False))
    asked = among(tx, rejected.c.id, [*names, *names.values()])
    for each in tx.execute(select(rejected.c.id).where(*doubtful, asked)).scalars():
        known.pop(names.get(each, each), None)
    return known


def unread(tx: Connection, connection: str, stream: str, limit: int = 1000) -> list[str]:
    """Ids, as the CRM writes them, that could not be read although nothing is wrong with them: to be asked for again,
    those first that were asked for longest ago."""
    where = (rejected.c.connection == connection, rejected.c.stream == stream, rejected.c.retry.is_(True))
    wanted = select(rejected.c.id).where(*where).order_by(rejected.c.last_seen, rejected.c.id).limit(limit)
    return list(dict.fromkeys(each.removeprefix(f"{stream}/") for each in tx.execute(wanted).scalars()))


def settle(tx: Connection, connection: str, stream: str, ids: Sequence[str]) -> None:
    """These were read after all, or are gone."""
    names = [name for each in ids for name in (each, f"{stream}/{each}")]
    where = (rejected.c.connection == connection, rejected.c.stream == stream, among(tx, rejected.c.id, names))
    tx.execute(delete(rejected).where(*where))


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
    history = not streams.isdisjoint(telling_history(tx, connection))
    page = Page(cursor=None, records=believed)
    return _store(tx, connection, page, Arrival(at, history, seen_now=True), same_person=same_person)


def cursor(tx: Connection, connection: str, stream: str) -> Cursor | None:
    """Where the pull of the stream stands; None: at the beginning."""
    found = tx.execute(
        select(cursors.c.cursor).where(cursors.c.connection == connection, cursors.c.stream == stream)
    ).scalar()
    return None if found is None else Cursor(found)


@dataclass(frozen=True, slots=True)
class KeptRejection:
    """Something that could not be read, how often that was seen, and since when."""

    stream: str
    rejected: Rejected
    first_seen: datetime
    last_seen: datetime
    count: int
    arrived: bool = False  # all but a part of it, which makes no sense


@dataclass(frozen=True, slots=True)
class RejectedPlace:
    """Behind so many of those that were seen first at that time. No record is named: what it is called may be an
    address."""

    first_seen_ms: int
    shown: int


def rejections(
    tx: Connection, connection: str, limit: int = 1000, after: RejectedPlace | None = None
) -> list[KeptRejection]:
    """What could not be read, whole or in part, and has not arrived since; what was seen first most lately comes first,
    and nothing changes its place by being seen again."""
    first_ms = type_coerce(rejected.c.first_seen, BigInteger)
    found = select(rejected).where(rejected.c.connection == connection).limit(limit)
    if after is not None:
        found = found.where(first_ms <= after.first_seen_ms).offset(after.shown)
    return list(map(_rejection, tx.execute(found.order_by(first_ms.desc(), rejected.c.stream, rejected.c.id))))


def _rejection(row: Any) -> KeptRejection:
    return KeptRejection(
        *(row.stream, Rejected(row.id, row.reason, row.retry), row.first_seen, row.last_seen),
        *(row._mapping["count"], row.arrived),
    )


def absent(tx: Connection, connection: str, size: int = 1000) -> Iterator[list[tuple[str, str]]]:
    """(stream, id) of all that was sent and that we have nothing of, so many at a time."""
    place = (rejected.c.stream, rejected.c.id)
    nothing = (rejected.c.connection == connection, rejected.c.arrived.is_(False))
    wanted = select(*place).where(*nothing).order_by(*place).limit(size)
    found = [(row.stream, row.id) for row in tx.execute(wanted)]
    while found:
        yield found
        found = [(row.stream, row.id) for row in tx.execute(wanted.where(tuple_(*place) > tuple_(*found[-1])))]


def reasons_in_part(tx: Connection, connection: str, most: int) -> list[tuple[str, int]]:
    """Why records could be read but for a part, and how many: the most frequent reasons first."""
    count = func.count()
    in_part = (rejected.c.connection == connection, rejected.c.arrived.is_(True))
    found = select(rejected.c.reason, count).where(*in_part).group_by(rejected.c.reason)
    return [(row.reason, row[1]) for row in tx.execute(found.order_by(count.desc(), rejected.c.reason).limit(most))]


def is_rejected(tx: Connection, connection: str, stream: str, id_: str) -> bool:
    its = (rejected.c.connection == connection, rejected.c.stream == stream, rejected.c.id == id_)
    return tx.execute(select(rejected.c.id).where(*its)).first() is not None


def complaints(tx: Connection, keys: Iterable[RecordKey]) -> list[tuple[RecordKey, str]]:
    """What of these records makes no sense, as a stage chosen by hand that is none: (record, why). People come by a
    stream of their object's name."""
    columns = (rejected.c.connection, rejected.c.stream, rejected.c.id)
    in_part = (keys_among(tx, columns, keys), rejected.c.arrived.is_(True))
    found = tx.execute(select(*columns, rejected.c.reason).where(*in_part).order_by(*columns))
    return [(RecordKey(*row[:3]), row.reason) for row in found]


def _keep_rejected(tx: Connection, connection: str, stream: str, page: Page, at: datetime) -> None:
    of_stream = (rejected.c.connection == connection) & (rejected.c.stream == stream)
    came = _ids(stream, page)
    if tx.execute(select(rejected.c.id).where(of_stream).limit(1)).first() is not None:
        tx.execute(delete(rejected).where(of_stream, among(tx, rejected.c.id, came)))
    if not page.rejected:
        return
    rows = [
        {"connection": connection, "stream": stream, "id": each.id, "reason": each.reason, "retry": each.retry}
        | {"first_seen": at, "last_seen": at, "arrived": each.id in came}
        for each in {each.id: each for each in page.rejected}.values()
    ]
    statement = insert(tx, rejected)
    again: dict[str, Any] = {name: statement.excluded[name] for name in ("reason", "retry", "last_seen", "arrived")}
    again["count"] = rejected.c.count + 1
    key = ["connection", "stream", "id"]
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=again), rows)


def _ids(stream: str, page: Page) -> Collection[str]:
    """The ids under which what arrived may have been rejected: an activity's "calls/123" was "123" to the CRM."""
    ids = {record.key.id for record in page.records}
    for activity in page.activities:
        ids |= {activity.id, activity.id.removeprefix(f"{stream}/")}
    return ids
