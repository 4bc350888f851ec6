"""What is too old to be kept is dropped: activities with all that hangs on them, and whom closed hand-offs were about.

A walk goes along the keys of a few tables, a slice a transaction, some slices a run; where it stands is kept with the
connection, so it goes on after any death. When it has come to the end the next one begins a day later. There is no
index on the age of an activity: a first load would pay for it with every row.

A rule cannot look further back than activities are kept (the project file is refused otherwise), and a lead that loses
some is scored anew, as if they had never been there. Replays of a time before see less than was known then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    tuple_,
    update,
)

from syncer.model import Handoff, RecordKey
from syncer.store.database import Store
from syncer.store.leases import Lease
from syncer.store.payloads import HANDOFF
from syncer.store.records import leads_of
from syncer.store.sql import among, keys_among
from syncer.store.tables import (
    LIVE,
    RECORD_KEY,
    activities,
    activity_links,
    answers,
    connections,
    handoffs,
    past_activities,
    past_versions,
    readings,
    records,
)
from syncer.store.touching import BITS, touch

EVERY = timedelta(days=1)
SLICE = 5_000  # rows looked at in one transaction
SLICES = 20  # in one run, and no more than begin within
LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long; None: for ever. Hand-offs from when they were closed."""

    activities: timedelta | None = None
    handoffs: timedelta | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a walk has come: the table, and the key (without its connection) of the row looked at last."""

    table: str
    after: tuple[str, ...] = ()


def walk(store: Store, lease: Lease, keep: Keep, now: datetime, *, slices: int = SLICES) -> int:
    """Go on with the walk for some slices, where one is due; how many rows were dropped or emptied."""
    dropped, until = 0, time.monotonic() + LONGEST_S
    for number in range(slices if keep != Keep() else 0):
        if number and time.monotonic() > until:
            break
        with store.writing(lease) as tx:
            place = _place(tx, lease.connection, now)
            if place is None:
                return dropped
            step = _STEPS[place.table]
            before = _before(place.table, keep, now)
            more, after = (0, None) if before is None else step(tx, lease.connection, place.after, before)
            _keep_place(tx, lease.connection, _Place(place.table, after) if after else _next(place), now)
            dropped += more
    return dropped


def _before(table: str, keep: Keep, now: datetime) -> datetime | None:
    span = keep.handoffs if table == handoffs.name else keep.activities
    return None if span is None else now - span


def _place(tx: Connection, connection: str, now: datetime) -> _Place | None:
    """None: the last walk ended not long ago, or the connection was never looked at."""
    columns = (connections.c.retention_cursor, connections.c.retained_at)
    row = tx.execute(select(*columns).where(connections.c.name == connection)).first()
    if row is None:
        return None
    if row.retention_cursor is not None:
        table, *after = orjson.loads(row.retention_cursor)
        return _Place(table, tuple(after))
    rested = row.retained_at is None or not now - EVERY < row.retained_at <= now  # later than now: a clock was set back
    return _Place(next(iter(_STEPS))) if rested else None


def _next(place: _Place) -> _Place | None:
    tables = list(_STEPS)
    behind = tables[tables.index(place.table) + 1 :]
    return _Place(behind[0]) if behind else None


def _keep_place(tx: Connection, connection: str, place: _Place | None, now: datetime) -> None:
    """None: the walk is over."""
    values: dict[str, Any] = {"retention_cursor": None, "retained_at": now}
    if place is not None:
        values = {"retention_cursor": orjson.dumps([str(place.table), *map(str, place.after)]).decode()}
    tx.execute(update(connections).where(connections.c.name == connection).values(values))


_Step = Callable[[Connection, str, Sequence[str], datetime], "tuple[int, tuple[str, ...] | None]"]
"""(transaction, connection, after, before) -> how many rows were dropped, and the key looked at last; None: that was
the end of the table."""


def _slice(
    tx: Connection, connection: str, table: Table, after: Sequence[str], columns: Sequence[str]
) -> tuple[Sequence[Any], tuple[str, ...] | None]:
    """The next rows by key: their keys and these columns, and where they end; None: with the table."""
    key = [each for each in table.primary_key if each.name != "connection"]
    wanted = select(*key, *(table.c[name] for name in columns)).where(table.c.connection == connection)
    if after:
        wanted = wanted.where(tuple_(*key) > tuple_(*map(literal, after)))
    rows = tx.execute(wanted.order_by(*key).limit(SLICE)).all()
    return rows, tuple(rows[-1][: len(key)]) if len(rows) == SLICE else None


def _drop_activities(
    tx: Connection, connection: str, after: Sequence[str], before: datetime
) -> tuple[int, tuple[str, ...] | None]:
    rows, last = _slice(tx, connection, activities, after, ["at"])
    old = [row.id for row in rows if row.at < before]
    if not old:
        return 0, last
    links = (activity_links.c.connection == connection, among(tx, activity_links.c.activity_id, old))
    gone = delete(activity_links).where(*links).returning(activity_links.c.object, activity_links.c.record_id)
    losing = {RecordKey(connection, *row) for row in tx.execute(gone)}
    tx.execute(delete(activities).where(activities.c.connection == connection, among(tx, activities.c.id, old)))
    _touch(tx, losing)
    return len(old), last


def _touch(tx: Connection, losing: Collection[RecordKey]) -> None:
    """Their footprints count what is gone; the next run makes them anew."""
    touch(tx, dict.fromkeys(leads_of(tx, losing).values(), BITS["activity"]))


def _drop_past(
    tx: Connection, connection: str, after: Sequence[str], before: datetime
) -> tuple[int, tuple[str, ...] | None]:
    """What was believed of old activities, old readings, and what records showed long ago."""
    rows, last = _slice(tx, connection, records, after, ["lead_id"])
    keys = [RecordKey(connection, row.object, row.id) for row in rows]
    past = (_of(past_activities, tx, keys), past_activities.c.at < before)
    dropped = tx.execute(delete(past_activities).where(*past)).rowcount
    dropped += _drop_readings(tx, keys, before)
    alone = _alone(tx, {row.lead_id for row in rows})
    single = [key for key, row in zip(keys, rows, strict=True) if row.lead_id in alone]
    return dropped + _drop_versions(tx, single, before), last


def _of(table: Table, tx: Connection, keys: Sequence[RecordKey]) -> ColumnElement[bool]:
    return keys_among(tx, (table.c.connection, table.c.object, table.c.record_id), keys)


def _drop_readings(tx: Connection, keys: Sequence[RecordKey], before: datetime) -> int:
    """But the newest old one of each counter: without it the next would count everything from the beginning."""
    later = readings.alias()
    same = [later.c[name] == readings.c[name] for name in ("connection", "object", "record_id", "kind")]
    newer = exists().where(*same, later.c.seen_at > readings.c.seen_at, later.c.seen_at < before)
    old = (_of(readings, tx, keys), readings.c.seen_at < before, newer)
    found = select(readings.c.connection, readings.c.object, readings.c.record_id).where(*old).distinct()
    losing = [RecordKey(*row) for row in tx.execute(found)]
    if not losing:
        return 0
    dropped = tx.execute(delete(readings).where(*old)).rowcount
    _touch(tx, losing)
    return dropped


def _alone(tx: Connection, lead_ids: Collection[int]) -> Collection[int]:
    """Of these leads those with one live record or none: of several, what they showed before says which field changed
    last, and that one counts."""
    several = select(records.c.lead_id).where(among(tx, records.c.lead_id, sorted(lead_ids)), LIVE)
    found = tx.execute(several.group_by(records.c.lead_id).having(func.count() > 1)).scalars()
    return set(lead_ids) - set(found)


def _drop_versions(tx: Connection, keys: Sequence[RecordKey], before: datetime) -> int:
    """What was shown until then is not known any more, and so what is known begins there."""
    columns = (past_versions.c.connection, past_versions.c.object, past_versions.c.record_id)
    old = (_of(past_versions, tx, keys), past_versions.c.until < before)
    until = func.max(past_versions.c.until).label("until")
    ends = tx.execute(select(*columns, until).where(*old).group_by(*columns)).all()
    if not ends:
        return 0
    its_key = [column == bindparam(f"its_{column.name}") for column in RECORD_KEY]
    since = update(records).where(*its_key).values(since=bindparam("until", type_=records.c.since.type))
    named = [(f"its_{column.name}", place) for place, column in enumerate(RECORD_KEY)]
    tx.execute(since, [{**{name: row[place] for name, place in named}, "until": row.until} for row in ends])
    return tx.execute(delete(past_versions).where(*old)).rowcount


def _empty_handoffs(
    tx: Connection, connection: str, after: Sequence[str], before: datetime
) -> tuple[int, tuple[str, ...] | None]:
    """Of closed ones nobody knows any more whom they were about and why; that they were, and how soon sales acted,
    stays."""
    rows, last = _slice(tx, connection, handoffs, after, ["closed_at", "payload"])
    closed = {row.key: HANDOFF.value(row.payload) for row in rows if row.closed_at and row.closed_at < before}
    emptied = {key: each for key, told in closed.items() if (each := _emptied(told)) != told}
    if emptied:
        its_row = update(handoffs).where(handoffs.c.key == bindparam("its_key"))
        texts = [
            {"its_key": key, "its_text": HANDOFF.text(each), "its_person": each.for_whom}
            for key, each in emptied.items()
        ]
        tx.execute(its_row.values(payload=bindparam("its_text"), for_whom=bindparam("its_person")), texts)
    said = (among(tx, answers.c.handoff_key, list(closed)), answers.c.reason != "")
    tx.execute(update(answers).where(*said).values(reason=""))
    return len(emptied), last


def _emptied(told: Handoff) -> Handoff:
    return replace(told, email=None, name=None, owner=None, url=None, fields={}, reasons=(), did=(), missing=())


_STEPS: Mapping[str, _Step] = {
    activities.name: _drop_activities,
    records.name: _drop_past,
    handoffs.name: _empty_handoffs,
}
