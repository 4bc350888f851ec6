"""Leads read whole out of the mirror: records, signals, state and write-backs, in chunks of bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, exists, func, literal, select, tuple_

from syncer.errors import NotFound
from syncer.history import merged_fields
from syncer.model import (
    NO_FIELDS,
    ActivitySignal,
    Lead,
    LeadState,
    Override,
    Reading,
    Record,
    RecordKey,
    Signals,
    StageState,
    Standing,
    Value,
    WriteState,
)
from syncer.store import words
from syncer.store.columns import to_ms
from syncer.store.database import Store
from syncer.store.footprints import fresh
from syncer.store.histories import versions_of
from syncer.store.ranges import Wanted
from syncer.store.records import RECORD_COLUMNS, record_of, shown_fields
from syncer.store.sql import among
from syncer.store.standings import standing_of, standing_or_none
from syncer.store.tables import LIVE, activities, activity_links, cursors, leads, readings, records, write_backs
from syncer.store.touching import causes_of

Which = Literal["due", "all", "shown"] | Sequence[int]

COUNTS = records.c.deleted.is_(False) | records.c.merged_into.is_not(None)
"""Whose activities count: those of an absorbed record are the survivor's, those of a deleted one nobody's."""


def chunks(  # noqa: PLR0913
    store: Store, connection: str, *, which: Which, now: datetime, size: int = 5000, rules: str | None = None
) -> Iterator[list[Lead]]:
    """The leads that the connection decides and that have a live record, whole, `size` at a time; each chunk is one
    short read.

    which: "due" (touched, never decided, or time has come for fading or an override's end: by `now`; first those
    touched), "all", or these leads; by id. "shown": those with a live record in the connection, whoever decides them.
    A lead touched while the chunks are read comes with the next run.
    rules: leads with a fresh footprint under these rules come with that, and without activities and readings.
    """
    if which == "due":
        yield from _due(store, connection, _How(size, now, rules))
    elif which == "all":
        yield from _all(store, _live(connection), _How(size, now, rules))
    elif which == "shown":
        yield from _all(store, _shown(connection), _How(size, now, rules))
    else:
        yield from _these(store, connection, sorted(set(which)), _How(size, now, rules))


def chunks_between(
    store: Store, wanted: Wanted, ends: tuple[int, int], *, now: datetime, rules: str | None = None
) -> Iterator[list[Lead]]:
    """Those of the wanted leads whose numbers lie between these two, both included; else as `chunks` gives them."""
    first, last = ends
    within = select(leads).where(wanted.condition(), leads.c.id >= first, leads.c.id <= last)
    yield from _all(store, within, _How(5000, now, rules))


class _How(NamedTuple):
    """How many leads at a time, as of when, and the rules whose footprints stand in for facts."""

    size: int
    now: datetime
    rules: str | None


def _due(store: Store, connection: str, how: _How) -> Iterator[list[Lead]]:
    place, latest = (-1, -1), to_ms(how.now)
    while True:
        after = tuple_(leads.c.due_at, leads.c.id) > tuple_(
            literal(place[0], BigInteger), literal(place[1], BigInteger)
        )
        with store.reading() as tx:
            found = tx.execute(
                _live(connection)
                .where(leads.c.due_at <= latest, after)
                .order_by(leads.c.due_at, leads.c.id)
                .limit(how.size)
            ).all()
            chunk = _whole(tx, found, how.now, how.rules)
        if not found:
            return
        yield chunk
        place = (found[-1].due_at, found[-1].id)


def _all(store: Store, wanted: Select[Any], how: _How) -> Iterator[list[Lead]]:
    last = 0
    while True:
        with store.reading() as tx:
            found = tx.execute(wanted.where(leads.c.id > last).order_by(leads.c.id).limit(how.size)).all()
            chunk = _whole(tx, found, how.now, how.rules)
        if not found:
            return
        yield chunk
        last = found[-1].id


def _these(store: Store, connection: str, ids: Sequence[int], how: _How) -> Iterator[list[Lead]]:
    for start in range(0, len(ids), how.size):
        with store.reading() as tx:
            some = among(tx, leads.c.id, ids[start : start + how.size])
            found = tx.execute(_live(connection).where(some).order_by(leads.c.id)).all()
            chunk = _whole(tx, found, how.now, how.rules)
        if chunk:
            yield chunk


def _live(connection: str) -> Select[Any]:
    return select(leads).where(leads.c.connection == connection, leads.c.live.is_(True))


def _shown(connection: str) -> Select[Any]:
    theirs = exists().where(records.c.lead_id == leads.c.id, records.c.connection == connection, LIVE)
    return select(leads).where(leads.c.live.is_(True), theirs)


def lead(store: Store, lead_id: int, now: datetime | None = None, *, deeds: bool = True) -> Lead:
    """One lead, as of `now`, or of the clock's time; also one whose records are all gone. Without `deeds` its
    activities and readings are left out. NotFound (SY067)."""
    with store.reading() as tx:
        row = tx.execute(select(leads).where(leads.c.id == lead_id)).all()
        found = _whole(tx, row, now or datetime.now(UTC), deeds=deeds)
    if not found:
        raise NotFound(f"there is no lead {lead_id}", code="SY067")
    return found[0]


def find(tx: Connection, selector: str) -> list[int]:
    """Leads by e-mail (any case), record id, "connection/object/id" or "connection:id"; sorted, none: empty."""
    ways: list[ColumnElement[bool]] = [records.c.email_key == selector.casefold(), *_under_any_kind(tx, selector)]
    connection, colon, record_id = selector.partition(":")
    if colon:
        ways += _under_any_kind(tx, record_id, connection)
    parts = selector.split("/", 2)
    if len(parts) == 3:
        key = RecordKey(*parts)
        ways.append(
            (records.c.connection == key.connection) & (records.c.object == key.object) & (records.c.id == key.id)
        )
    # One question for each way: of several at once, in order, SQLite would read an index from end to end.
    return sorted({lead for way in ways for lead in tx.execute(select(records.c.lead_id).where(way)).scalars()})


def _under_any_kind(tx: Connection, record_id: str, connection: str | None = None) -> list[ColumnElement[bool]]:
    """The record of that id, in whatever connection and of whatever kind it is: a kind is pulled by a stream of its
    name, and there are few. Without an index on the id alone, which every first load would pay for."""
    streams = select(cursors.c.connection, cursors.c.stream).order_by(cursors.c.connection, cursors.c.stream)
    asked = streams if connection is None else streams.where(cursors.c.connection == connection)
    return [
        (records.c.connection == row.connection) & (records.c.object == row.stream) & (records.c.id == record_id)
        for row in tx.execute(asked)
    ]


def faces(tx: Connection, ids: Iterable[int]) -> dict[int, tuple[RecordKey, str | None]]:
    """Lead -> a record and an e-mail that people know it by; live records come before deleted ones."""
    found = tx.execute(
        select(records.c.lead_id, records.c.connection, records.c.object, records.c.id, records.c.email)
        .where(among(tx, records.c.lead_id, ids))
        .order_by(records.c.lead_id, records.c.deleted.desc(), records.c.modified_at)
    )
    return {row.lead_id: (RecordKey(row.connection, row.object, row.id), row.email) for row in found}


def count(tx: Connection, connection: str) -> int:
    """How many leads have a live record."""
    counted = select(func.count()).where(leads.c.connection == connection, leads.c.live.is_(True))
    return tx.execute(counted).scalar_one()


def count_shown(tx: Connection, connection: str) -> int:
    """How many leads have a live record in the connection, whoever decides them."""
    counted = select(func.count(records.c.lead_id.distinct())).where(records.c.connection == connection, LIVE)
    return tx.execute(counted).scalar_one()


def home(tx: Connection, lead_id: int) -> str:
    """The connection whose runs decide the lead; NotFound (SY067)."""
    found = tx.execute(select(leads.c.connection).where(leads.c.id == lead_id)).scalar()
    if found is None:
        raise NotFound(f"there is no lead {lead_id}", code="SY067")
    name: str = found
    return name


def touched_count(tx: Connection, connection: str) -> int:
    """How many leads were touched since they were decided, or never decided."""
    return tx.execute(select(func.count()).where(leads.c.connection == connection, leads.c.due_at == 0)).scalar_one()


def _whole(
    tx: Connection, rows: Sequence[Any], now: datetime, rules: str | None = None, *, deeds: bool = True
) -> list[Lead]:
    ids = [row.id for row in rows]
    if not ids:
        return []
    theirs, writes = _records_and_writes(tx, ids)
    fields = _fields(tx, theirs)
    known = fresh(tx, ids, rules) if rules is not None else {}
    unknown = [lead for lead in ids if lead not in known] if deeds else []
    done, counters, last_word = _activities(tx, unknown), _readings(tx, unknown), words.newest(tx, ids, now)
    return [
        Lead(
            row.id,
            row.revision,
            tuple(theirs[row.id]),
            Signals(row.id, fields.get(row.id, NO_FIELDS), tuple(done[row.id]), tuple(counters[row.id])),
            state_of(row, last_word.get(row.id)),
            writes[row.id],
            known.get(row.id),
        )
        for row in rows
    ]


def _records_and_writes(
    tx: Connection, ids: Sequence[int]
) -> tuple[Mapping[int, list[Record]], Mapping[int, dict[RecordKey, WriteState]]]:
    """Lead -> its live records, the newest first; lead -> their write states."""
    same = (
        (write_backs.c.connection == records.c.connection)
        & (write_backs.c.object == records.c.object)
        & (write_backs.c.id == records.c.id)
    )
    written = (
        write_backs.c.confirmed,
        write_backs.c.pending,
        write_backs.c.confirmed_modified_at,
        write_backs.c.seen,
    )
    found = tx.execute(
        select(records.c.lead_id, *written, *RECORD_COLUMNS)
        .select_from(records.outerjoin(write_backs, same))
        .where(among(tx, records.c.lead_id, ids), LIVE)
        .order_by(records.c.lead_id, records.c.modified_at.desc(), records.c.object, records.c.id)
    )
    theirs: dict[int, list[Record]] = defaultdict(list)
    writes: dict[int, dict[RecordKey, WriteState]] = defaultdict(dict)
    for lead_id, confirmed, pending, confirmed_modified_at, seen, *values in found:
        record = record_of(values)
        theirs[lead_id].append(record)
        writes[lead_id][record.key] = (
            WriteState(Standing())
            if confirmed is None
            else WriteState(standing_of(confirmed), standing_or_none(pending), confirmed_modified_at, seen)
        )
    return theirs, writes


def _fields(tx: Connection, theirs: Mapping[int, Sequence[Record]]) -> Mapping[int, Mapping[str, Value]]:
    """Lead -> what its live records show; only where several may disagree, their past is asked which changed last."""
    several = versions_of(tx, [lead for lead, shown in theirs.items() if len(shown) > 1])
    return {
        lead: merged_fields(several[lead]) if lead in several else shown_fields(shown[0])
        for lead, shown in theirs.items()
    }


def _activities(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[ActivitySignal]]:
    """Lead -> its activities, the oldest first, each once however many of its records share it."""
    its_record = (
        (activity_links.c.connection == records.c.connection)
        & (activity_links.c.object == records.c.object)
        & (activity_links.c.record_id == records.c.id)
    )
    its_activity = (activities.c.connection == activity_links.c.connection) & (
        activities.c.id == activity_links.c.activity_id
    )
    columns = [activities.c[name] for name in ("connection", "id", "kind", "at", "fields", "seen_at")]
    found = tx.execute(
        select(records.c.lead_id, *columns)
        .select_from(records.join(activity_links, its_record).join(activities, its_activity))
        .where(among(tx, records.c.lead_id, ids), COUNTS)
        .order_by(records.c.lead_id, activities.c.at, activities.c.connection, activities.c.id)
    )
    done: dict[int, list[ActivitySignal]] = defaultdict(list)
    previous: tuple[int, str, str] | None = None
    for lead_id, connection, activity_id, kind, at, fields, seen_at in found:
        if (lead_id, connection, activity_id) != previous:
            done[lead_id].append(ActivitySignal(kind, at, fields or NO_FIELDS, seen_at=seen_at))
        previous = (lead_id, connection, activity_id)
    return done


def _readings(tx: Connection, ids: Sequence[int]) -> Mapping[int, list[Reading]]:
    """Lead -> readings by record and kind, the oldest first."""
    key = (readings.c.connection, readings.c.object, readings.c.record_id)
    same = (key[0] == records.c.connection) & (key[1] == records.c.object) & (key[2] == records.c.id)
    columns = (*key, readings.c.kind, readings.c.value, readings.c.last_at, readings.c.seen_at)
    found = tx.execute(
        select(records.c.lead_id, *columns)
        .select_from(records.join(readings, same))
        .where(among(tx, records.c.lead_id, ids), COUNTS)
        .order_by(records.c.lead_id, *key, readings.c.kind, readings.c.seen_at)
    )
    counters: dict[int, list[Reading]] = defaultdict(list)
    for lead_id, connection, kind_of_object, record_id, *reading in found:
        counters[lead_id].append(Reading(RecordKey(connection, kind_of_object, record_id), *reading))
    return counters


def _stage_state(row: Any) -> StageState | None:
    """From a row of `leads`; None: never decided."""
    if row.stage is None:
        return None
    return StageState(row.stage, row.automatic, row.since, row.episode, row.held_by, row.cause)


def state_of(row: Any, override: Override | None) -> LeadState:
    """From a row of `leads`."""
    return LeadState(
        stage=_stage_state(row),
        total=row.total,
        dimensions=row.dimensions or {},
        model=row.model,
        scored_at=row.scored_at,
        next_look=row.next_look,
        touched=causes_of(row.touched),
        override=override,
        veto=row.veto,
    )
