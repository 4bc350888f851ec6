"""Activities, whom they belong to, and readings of counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from syncer.model import Activity, Reading, RecordKey
from syncer.store.arrivals import Arrival
from syncer.store.columns import to_ms
from syncer.store.records import leads_of
from syncer.store.sql import among, insert_new, keys_among, upsert
from syncer.store.tables import activities, activity_links, past_activities, readings
from syncer.store.touching import BITS, Touches

Content = tuple[str, int, dict[str, Any]]
"""kind, at (milliseconds), fields."""


def store_activities(
    tx: Connection, connection: str, incoming: Iterable[Activity], arrival: Arrival, touches: Touches
) -> None:
    """Upsert by id those that are not older than what is stored, and replace the links to records, and keep what was
    believed before; leads that gain, lose or see changed an activity are touched. One that is too old to be kept is
    taken as deleted, so that it neither comes back nor stays where its date was wrong."""
    latest = _newest_of_each(_kept(each, arrival) for each in incoming)
    if not latest:
        return
    stored, links = _stored(tx, connection, latest)
    fresh = [each for each in latest.values() if not _is_older(each.modified_at, stored.get(each.id))]
    affected: set[RecordKey] = set()
    changed: list[Activity] = []
    unchanged: list[Activity] = []
    for activity in fresh:
        before, after = links.get(activity.id, set()), set() if activity.deleted else set(activity.records)
        same = _content_of(stored.get(activity.id)) == (None if activity.deleted else _content(activity))
        if same and before == after:
            unchanged.append(activity)
            continue
        changed.append(activity)
        affected |= before ^ after if same else before | after
    past = [_past_row(stored[each.id], key, arrival) for each in changed for key in links.get(each.id, ())]
    insert_new(tx, past_activities, [row for row in past if to_ms(row["seen_at"]) < to_ms(row["until"])])
    _replace(tx, connection, changed, arrival)
    _keep_modified(tx, connection, unchanged, stored)
    for lead in leads_of(tx, affected).values():
        touches[lead] |= BITS["activity"]


def _kept(activity: Activity, arrival: Arrival) -> Activity:
    too_old = arrival.oldest is not None and activity.at < arrival.oldest
    return replace(activity, deleted=True) if too_old else activity


def _newest_of_each(incoming: Iterable[Activity]) -> dict[str, Activity]:
    newest: dict[str, Activity] = {}
    for activity in incoming:
        earlier = newest.get(activity.id)
        if earlier is None or not _is_older(activity.modified_at, earlier):
            newest[activity.id] = activity
    return newest


def _is_later(modified_at: datetime | None, than: datetime | None) -> bool:
    return modified_at is not None and (than is None or to_ms(modified_at) > to_ms(than))


def _is_older(modified_at: datetime | None, than: Any | None) -> bool:
    """Than a stored row, or another activity. What does not tell its time is not older."""
    if modified_at is None or than is None or than.modified_at is None:
        return False
    return to_ms(modified_at) < to_ms(than.modified_at)


def _keep_modified(tx: Connection, connection: str, unchanged: Sequence[Activity], stored: Mapping[str, Any]) -> None:
    """What was modified, but in nothing that we look at, need not be read again."""
    rows = [
        {"its_id": each.id, "its_time": each.modified_at}
        for each in unchanged
        if each.id in stored and _is_later(each.modified_at, stored[each.id].modified_at)
    ]
    if rows:
        this_one = (activities.c.connection == connection, activities.c.id == bindparam("its_id"))
        its_time = bindparam("its_time", type_=activities.c.modified_at.type)
        tx.execute(update(activities).where(*this_one).values(modified_at=its_time), rows)


def _stored(tx: Connection, connection: str, ids: Iterable[str]) -> tuple[dict[str, Any], dict[str, set[RecordKey]]]:
    """The rows of those that are stored, and whom they belong to, by id."""
    wanted = list(ids)
    found = tx.execute(
        select(activities).where(activities.c.connection == connection, among(tx, activities.c.id, wanted))
    )
    rows = {row.id: row for row in found}
    links: dict[str, set[RecordKey]] = {}
    linked = tx.execute(
        select(activity_links)
        .where(activity_links.c.connection == connection, among(tx, activity_links.c.activity_id, wanted))
        .order_by(activity_links.c.activity_id)  # else SQLite reads every link: the key covers what is asked for
    )
    for row in linked:
        links.setdefault(row.activity_id, set()).add(RecordKey(connection, row.object, row.record_id))
    return rows, links


def _content_of(row: Any | None) -> Content | None:
    return None if row is None else (row.kind, to_ms(row.at), row.fields or {})


def _past_row(row: Any, record: RecordKey, arrival: Arrival) -> dict[str, Any]:
    """What was believed of the record's activity from `seen_at` until now."""
    return {
        "connection": row.connection,
        "object": record.object,
        "record_id": record.id,
        "activity_id": row.id,
        "until": arrival.at,
        "kind": row.kind,
        "at": row.at,
        "fields": row.fields,
        "seen_at": row.seen_at,
    }


def _content(activity: Activity) -> Content:
    return activity.kind, to_ms(activity.at), dict(activity.fields)


def _replace(tx: Connection, connection: str, changed: Sequence[Activity], arrival: Arrival) -> None:
    if not changed:
        return
    of_these = among(tx, activity_links.c.activity_id, [activity.id for activity in changed])
    tx.execute(delete(activity_links).where(activity_links.c.connection == connection, of_these))
    gone = [activity.id for activity in changed if activity.deleted]
    if gone:
        tx.execute(delete(activities).where(activities.c.connection == connection, among(tx, activities.c.id, gone)))
    kept = [activity for activity in changed if not activity.deleted]
    rows = [_row(connection, activity) | {"seen_at": arrival.known_since(activity.at)} for activity in kept]
    upsert(tx, activities, rows)
    insert_new(tx, activity_links, [link for activity in kept for link in _links(connection, activity)])


def _row(connection: str, activity: Activity) -> dict[str, Any]:
    fields = dict(activity.fields) or None
    named = {"connection": connection, "id": activity.id, "kind": activity.kind, "at": activity.at, "fields": fields}
    return {**named, "modified_at": activity.modified_at}


def _links(connection: str, activity: Activity) -> list[dict[str, str]]:
    return [
        {"connection": connection, "object": key.object, "record_id": key.id, "activity_id": activity.id}
        for key in activity.records
    ]


Counter = tuple[RecordKey, str]
"""Whose counter, and of what kind of activity."""


def store_readings(tx: Connection, incoming: Sequence[Reading], arrival: Arrival, touches: Touches) -> None:
    """Append each reading that is newer than the newest of its counter and shows something else. The first reading of
    a counter that is history was true since the counter's last rise."""
    if not incoming:
        return
    newest = _newest(tx, {reading.record for reading in incoming})
    appended: list[Reading] = []
    for reading in sorted(incoming, key=lambda each: each.seen_at):
        counter = (reading.record, reading.kind)
        if arrival.history and counter not in newest:
            reading = replace(reading, seen_at=min(reading.last_at or reading.seen_at, reading.seen_at))
        if _is_news(newest.get(counter), reading):
            newest[counter] = (to_ms(reading.seen_at), reading.value, _ms_or_none(reading.last_at))
            appended.append(reading)
    insert_new(tx, readings, [_reading_row(reading) for reading in appended])
    for lead in leads_of(tx, {reading.record for reading in appended}).values():
        touches[lead] |= BITS["activity"]


def forget_readings(tx: Connection, connection: str, kinds: Iterable[str], touches: Touches) -> None:
    """Forget the counters of these kinds; the leads that had one are touched."""
    counted = (readings.c.connection == connection, among(tx, readings.c.kind, sorted(kinds)))
    found = tx.execute(select(readings.c.object, readings.c.record_id).where(*counted).distinct())
    keys = [RecordKey(connection, kind, record_id) for kind, record_id in found]
    tx.execute(delete(readings).where(*counted))
    for lead in leads_of(tx, keys).values():
        touches[lead] |= BITS["activity"]


def _newest(tx: Connection, keys: Iterable[RecordKey]) -> dict[Counter, tuple[int, int, int | None]]:
    """Counter -> (seen at, value, last at) of its newest reading."""
    key = (readings.c.connection, readings.c.object, readings.c.record_id)
    place = func.row_number().over(partition_by=(*key, readings.c.kind), order_by=readings.c.seen_at.desc())
    ranked = select(readings, place.label("place")).where(keys_among(tx, key, keys)).subquery()
    return {
        (RecordKey(row.connection, row.object, row.record_id), row.kind): (
            to_ms(row.seen_at),
            row.value,
            _ms_or_none(row.last_at),
        )
        for row in tx.execute(select(ranked).where(ranked.c.place == 1))
    }


def _is_news(newest: tuple[int, int, int | None] | None, reading: Reading) -> bool:
    if newest is None:
        return True
    seen_at, value, last_at = newest
    return to_ms(reading.seen_at) > seen_at and (reading.value, _ms_or_none(reading.last_at)) != (value, last_at)


def _ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _reading_row(reading: Reading) -> Mapping[str, Any]:
    return {
        "connection": reading.record.connection,
        "object": reading.record.object,
        "record_id": reading.record.id,
        "kind": reading.kind,
        "seen_at": reading.seen_at,
        "value": reading.value,
        "last_at": reading.last_at,
    }
