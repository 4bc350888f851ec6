"""What was ever known of leads, read whole for replays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, null, select, type_coerce

from syncer.errors import NotFound
from syncer.history import History, KnownActivity, Version
from syncer.model import NO_FIELDS, ActivitySignal, Reading, Record, RecordKey, Value
from syncer.store.columns import Instant
from syncer.store.database import Store
from syncer.store.records import RECORD_COLUMNS, counts, is_live, record_of, shown_fields
from syncer.store.sql import among
from syncer.store.tables import (
    RECORD_KEY,
    activities,
    activity_links,
    past_activities,
    past_members,
    past_versions,
    readings,
    records,
)

LATEST = datetime.max.replace(tzinfo=UTC)


def histories(store: Store, ids: Sequence[int], *, size: int = 2000) -> Iterator[History]:
    """The leads' histories by id, those that do not exist left out; `size` leads are read at a time, each in one short
    read."""
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), size):
        with store.reading() as tx:
            chunk = _whole(tx, wanted[start : start + size])
        yield from chunk


def history(store: Store, lead_id: int) -> History:
    """One lead's, also where its records are all gone; NotFound (SY067)."""
    found = next(histories(store, [lead_id]), None)
    if found is None:
        raise NotFound(f"there is no lead {lead_id}", code="SY067")
    return found


def versions_of(tx: Connection, ids: Sequence[int]) -> dict[int, list[list[Version]]]:
    """Lead -> the versions of each of its records, the oldest first. Nobody asked for: nothing is read."""
    if not ids:
        return {}
    past = _past_versions(tx, ids)
    found = tx.execute(
        select(records.c.lead_id, records.c.since, records.c.joined_at, *RECORD_COLUMNS)
        .where(among(tx, records.c.lead_id, ids))
        .order_by(records.c.lead_id, *RECORD_KEY)
    )
    versions: dict[int, list[list[Version]]] = defaultdict(list)
    for lead_id, since, joined_at, *values in found:
        record = record_of(values)
        life = _Life(record, since, joined_at, past.get(record.key, ()))
        versions[lead_id].append(list(life.versions())[::-1])
    return dict(versions)


@dataclass(frozen=True, slots=True)
class _Life:
    """One record as it is, and what each change replaced, the oldest first."""

    record: Record
    since: datetime
    joined_at: datetime | None
    past: Sequence[Any]  # rows of past_versions

    def versions(self) -> Iterator[Version]:
        """The newest first: the past is kept as what has to be undone."""
        fields: Mapping[str, Value] = shown_fields(self.record)
        live, counting = is_live(self.record), counts(self.record)
        for change in reversed(self.past):
            yield self._version(change.until, fields, live, counting)
            fields = {name: value for name, value in {**fields, **change.fields}.items() if value is not None}
            live, counting = change.live, change.counts
        yield self._version(self.since, fields, live, counting)

    def _version(self, since: datetime, fields: Mapping[str, Value], live: bool, counting: bool) -> Version:
        known = max(since, self.joined_at or since)
        joined = self.joined_at is not None and since <= self.joined_at
        return Version(self.record.key, known, fields, live, counting, joined, true_since=since)


def _past_versions(tx: Connection, ids: Sequence[int]) -> Mapping[RecordKey, Sequence[Any]]:
    """Record -> its rows, the oldest first."""
    found = tx.execute(
        select(past_versions)
        .select_from(records.join(past_versions, _of_record(past_versions)))
        .where(among(tx, records.c.lead_id, ids))
        .order_by(past_versions.c.until)
    )
    past: dict[RecordKey, list[Any]] = defaultdict(list)
    for row in found:
        past[RecordKey(row.connection, row.object, row.record_id)].append(row)
    return past


def _of_record(table: Table) -> ColumnElement[bool]:
    """The row of `table` is about the record."""
    same: ColumnElement[bool] = (
        (table.c.connection == records.c.connection)
        & (table.c.object == records.c.object)
        & (table.c.record_id == records.c.id)
    )
    return same


def _whole(tx: Connection, ids: Sequence[int]) -> list[History]:
    found = _of_their_records(tx, ids)
    former = _former(tx, list(found))
    if not former:
        return [found[lead] for lead in sorted(found)]
    elsewhere = _of_their_records(tx, sorted({row.now for row in former}))
    for row in former:
        found[row.lead_id] = _with_former(found[row.lead_id], elsewhere[row.now], row)
    return [found[lead] for lead in sorted(found)]


def _of_their_records(tx: Connection, ids: Sequence[int]) -> dict[int, History]:
    """Lead -> the history of the records that are its own now."""
    versions, done, counters = versions_of(tx, ids), _activities(tx, ids), _readings(tx, ids)
    return {
        lead: History(
            lead,
            tuple(version for record in records for version in record),
            tuple(done.get(lead, ())),
            tuple(counters.get(lead, ())),
        )
        for lead, records in versions.items()
    }


def _former(tx: Connection, ids: Sequence[int]) -> Sequence[Any]:
    """Records that were theirs once: whose they were, since when and until when, and whose they are `now`."""
    its_record = _of_record(past_members)
    return tx.execute(
        select(past_members, records.c.lead_id.label("now"))
        .select_from(past_members.join(records, its_record))
        .where(among(tx, past_members.c.lead_id, ids))
        .order_by(past_members.c.until.desc())  # so that each goes before those that were put in already
    ).all()


def _with_former(own: History, elsewhere: History, row: Any) -> History:
    """With a record as it was while it was the lead's; from then on it shows nothing and none of its deeds count."""
    key = RecordKey(row.connection, row.object, row.record_id)
    theirs = [_while_here(each, row.joined_at) for each in elsewhere.versions if each.record == key]
    shown = [each for each in theirs if each.since < row.until and (each.true_since or each.since) < row.until]
    gone = Version(key, row.until, NO_FIELDS, live=False, counts=False)
    done = {(each.id, each.until): each for each in own.activities}
    for each in elsewhere.activities:
        if key in each.records:
            same = done.get((each.id, each.until))
            done[each.id, each.until] = replace(each, records=(*(same.records if same else ()), key))
    read = [each for each in elsewhere.readings if each.record == key and each not in own.readings]
    return History(
        own.lead,
        tuple(sorted([*shown, gone, *own.versions], key=lambda each: (each.record, each.since))),
        tuple(sorted(done.values(), key=lambda each: (each.signal.at, each.id, each.until or LATEST))),
        (*own.readings, *read),
    )


def _while_here(version: Version, joined_at: datetime | None) -> Version:
    since = version.true_since or version.since
    known = max(since, joined_at or since)
    return replace(version, since=known, joined=joined_at is not None and since <= joined_at)


def _activities(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[KnownActivity]]:
    """Lead -> activities as they were and as they are, by (time, id); of one activity the oldest belief first."""
    told: dict[tuple[int, str, datetime | None], KnownActivity] = {}
    for row in _told(tx, ids):
        key = RecordKey(row.connection, row.object, row.record_id)
        name = f"{row.connection}/{row.activity_id}"
        signal = ActivitySignal(row.kind, row.at, row.fields or NO_FIELDS, seen_at=row.seen_at)
        before = told.get((row.lead_id, name, row.until))
        theirs = (*before.records, key) if before else (key,)
        told[row.lead_id, name, row.until] = KnownActivity(name, theirs, signal, row.until)
    known: dict[int, list[KnownActivity]] = defaultdict(list)
    for (lead, *_), activity in sorted(told.items(), key=lambda each: (each[1].signal.at, each[1].id)):
        known[lead].append(activity)
    return known


def _told(tx: Connection, ids: Sequence[int]) -> Iterator[Any]:
    """A row for each record of an activity: as it was, what ended first first, then as it is (its `until` is NULL)."""
    names = ("kind", "at", "fields", "seen_at")
    link, past = activity_links.c, past_activities.c
    its_activity = (activities.c.connection == link.connection) & (activities.c.id == link.activity_id)
    now = (
        select(records.c.lead_id, activity_links, type_coerce(null(), Instant).label("until"))
        .add_columns(*(activities.c[name] for name in names))
        .select_from(records.join(activity_links, _of_record(activity_links)).join(activities, its_activity))
    )
    before = (
        select(records.c.lead_id, past.connection, past.object, past.record_id, past.activity_id, past.until)
        .add_columns(*(past[name] for name in names))
        .select_from(records.join(past_activities, _of_record(past_activities)))
    )
    for told in (before.order_by(past.until, *RECORD_KEY), now.order_by(*RECORD_KEY)):
        yield from tx.execute(_theirs(tx, told, ids))


def _theirs(tx: Connection, wanted: Select[Any], ids: Sequence[int]) -> Select[Any]:
    return wanted.where(among(tx, records.c.lead_id, ids))


def _readings(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Reading]]:
    """Lead -> readings by record and kind, the oldest first."""
    wanted = select(records.c.lead_id, readings).select_from(records.join(readings, _of_record(readings)))
    in_order = wanted.order_by(*RECORD_KEY, readings.c.kind, readings.c.seen_at)
    counters: dict[int, list[Reading]] = defaultdict(list)
    for row in tx.execute(_theirs(tx, in_order, ids)):
        key = RecordKey(row.connection, row.object, row.record_id)
        counters[row.lead_id].append(Reading(key, row.kind, row.value, row.last_at, row.seen_at))
    return counters
