"""A person deleted for good: everything personal leaves the database in one transaction.

What stays is a tombstone (the record's key, when it went, that it was erased) and what says nothing of the person but
by that key: the lead's stages, their times and points. SQLite overwrites what is deleted (`secure_delete`) and its log
is emptied (`WIPED`); PostgreSQL overwrites when it vacuums the table. Copies of the database are the operator's, and so
is the one that stands beside a SQLite file since its schema was upgraded (`schema.py`: NAME.VERSION.bak).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, exists, or_, select, update

from syncer.model import Activity, Handoff, Page, RecordKey
from syncer.store import words
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, keys_among
from syncer.store.tables import (
    LIVE,
    RECORD_KEY,
    activities,
    activity_links,
    answers,
    decisions,
    handoffs,
    hints,
    lead_states,
    notices,
    overrides,
    past_activities,
    past_members,
    past_versions,
    readings,
    records,
    rejected,
    write_backs,
)

REASON = "the person was erased in the CRM"
REST = "what else was known was erased in the CRM"
WIPED = "wiped"
"""In a connection's `info`: its transaction has erased somebody, whom the database's log still knows."""
_PERSON = ("email", "name", "owner", "url")  # what a hand-off says of who it is
_PERSONAL = (*_PERSON, "email_key", "stage", "stage_by", "lifecycle", "lifecycle_stage", "manual")


def without_erased(tx: Connection, page: Page) -> Page:
    """The page without what it says of erased people beside their records: an old page brings nothing back."""
    named = {key for activity in page.activities for key in activity.records} | {each.record for each in page.readings}
    erased = {RecordKey(*row) for row in tx.execute(_erased_among(tx, named))} if named else set()
    if not erased:
        return page
    done = [_without(activity, erased) for activity in page.activities]
    return replace(
        page,
        activities=tuple(each for each in done if each is not None),
        readings=tuple(each for each in page.readings if each.record not in erased),
    )


def _erased_among(tx: Connection, keys: Iterable[RecordKey]) -> Any:
    return select(*RECORD_KEY).where(keys_among(tx, RECORD_KEY, keys), records.c.erased.is_(True))


def _without(activity: Activity, erased: Collection[RecordKey]) -> Activity | None:
    """None: it belongs to nobody else."""
    left = tuple(key for key in activity.records if key not in erased)
    if left == activity.records:
        return activity
    return replace(activity, records=left) if left else None


def erase(tx: Connection, keys: Sequence[RecordKey], at: datetime) -> None:
    """Erase these records, and those that they have absorbed: the same person."""
    if not keys:
        return
    tx.info[WIPED] = True
    whole = _with_absorbed(tx, keys)
    theirs = select(records.c.lead_id).where(keys_among(tx, RECORD_KEY, whole)).distinct()
    lead_ids = sorted(tx.execute(theirs).scalars())
    words.lock(tx, lead_ids)  # before their hand-offs, as whoever answers one
    nothing: dict[str, Any] = {**dict.fromkeys(_PERSONAL), "fields": {}, "protected": False}
    gone = {"deleted": True, "erased": True, "merged_into": None, "merged_object": None}
    tx.execute(update(records).where(keys_among(tx, RECORD_KEY, whole)).values(**nothing, **gone))
    _erase_deeds(tx, whole)
    _erase_beside(tx, whole)
    _erase_of_leads(tx, lead_ids)
    words.erase(tx, whole, REASON, at)
    _erase_handoffs(tx, whole, lead_ids, at)


def _with_absorbed(tx: Connection, keys: Sequence[RecordKey]) -> list[RecordKey]:
    found = set(keys)
    latest = list(keys)
    absorber = (records.c.connection, records.c.merged_object, records.c.merged_into)
    while latest:
        absorbed = records.c.merged_into.is_not(None) & keys_among(tx, absorber, latest)
        latest = [RecordKey(*row) for row in tx.execute(select(*RECORD_KEY).where(absorbed))]
        latest = [key for key in latest if key not in found]
        found.update(latest)
    return sorted(found)


def _of_record(tx: Connection, table: Table, keys: Sequence[RecordKey]) -> ColumnElement[bool]:
    return keys_among(tx, (table.c.connection, table.c.object, table.c.record_id), keys)


def _erase_deeds(tx: Connection, keys: Sequence[RecordKey]) -> None:
    """Their activities, where they are nobody else's, and what was believed of them before."""
    links = _of_record(tx, activity_links, keys)
    linked = tx.execute(select(activity_links.c.connection, activity_links.c.activity_id).where(links)).all()
    for table in (activity_links, past_activities, readings):
        tx.execute(delete(table).where(_of_record(tx, table, keys)))
    somebodys = exists().where(
        activity_links.c.connection == activities.c.connection, activity_links.c.activity_id == activities.c.id
    )
    for connection in sorted({row.connection for row in linked}):
        ids = sorted({row.activity_id for row in linked if row.connection == connection})
        theirs = (activities.c.connection == connection, among(tx, activities.c.id, ids))
        tx.execute(delete(activities).where(*theirs, ~somebodys))
        _forget_rejected(tx, connection, [*ids, *(each.rpartition("/")[2] for each in ids)])


def _erase_beside(tx: Connection, keys: Sequence[RecordKey]) -> None:
    for table in (past_versions, past_members):
        tx.execute(delete(table).where(_of_record(tx, table, keys)))
    for table in (write_backs, hints):
        tx.execute(delete(table).where(keys_among(tx, (table.c.connection, table.c.object, table.c.id), keys)))
    for connection in sorted({key.connection for key in keys}):
        _forget_rejected(tx, connection, [key.id for key in keys if key.connection == connection])


def _forget_rejected(tx: Connection, connection: str, ids: Sequence[str]) -> None:
    """Of whatever stream; the next pull tells of those that are somebody else's."""
    tx.execute(delete(rejected).where(rejected.c.connection == connection, among(tx, rejected.c.id, ids)))


def _erase_of_leads(tx: Connection, lead_ids: Sequence[int]) -> None:
    """Plans and footprints quote fields and activities. What people wrote of a lead goes with its last record."""
    for table in (decisions, lead_states):
        tx.execute(delete(table).where(among(tx, table.c.lead_id, lead_ids)))
    known = exists().where(records.c.lead_id == overrides.c.lead_id, records.c.erased.is_(False))
    unknown = update(overrides).where(among(tx, overrides.c.lead_id, lead_ids), ~known)
    tx.execute(unknown.values(reason=REASON))
    known = exists().where(records.c.lead_id == handoffs.c.lead_id, records.c.erased.is_(False))
    nobodys = select(handoffs.c.key).where(among(tx, handoffs.c.lead_id, lead_ids), ~known)
    said = (answers.c.handoff_key.in_(nobodys), answers.c.reason != "")
    tx.execute(update(answers).where(*said).values(reason=REASON))


def _erase_handoffs(tx: Connection, keys: Sequence[RecordKey], lead_ids: Sequence[int], at: datetime) -> None:
    """None of the leads' still says why. One of these records is told of by another one of its lead that its CRM
    shows; where there is none it no longer says who it was, and nobody hears of it."""
    named = keys_among(tx, (handoffs.c.connection, handoffs.c.object, handoffs.c.record_id), keys)
    found = tx.execute(select(handoffs).where(or_(named, among(tx, handoffs.c.lead_id, lead_ids)))).all()
    theirs = {row.key for row in found if RecordKey(row.connection, row.object, row.record_id) in set(keys)}
    living = _living(tx, lead_ids)
    told = {row.key: _retold(row, row.key in theirs, living.get((row.lead_id, row.connection))) for row in found}
    rows = [
        {"its_key": key, "its_text": HANDOFF.text(each), "its_object": each.record.object, "its_id": each.record.id}
        for key, each in told.items()
    ]
    if rows:
        names = {"payload": "its_text", "object": "its_object", "record_id": "its_id"}
        this_one = update(handoffs).where(handoffs.c.key == bindparam("its_key"))
        tx.execute(this_one.values({column: bindparam(name) for column, name in names.items()}), rows)
    nobodys = sorted(row.key for row in found if row.key in theirs and (row.lead_id, row.connection) not in living)
    its_key = among(tx, handoffs.c.key, nobodys)
    tx.execute(update(handoffs).where(its_key, handoffs.c.closed_at.is_(None)).values(closed_at=at))
    untold = (among(tx, notices.c.handoff_key, nobodys), notices.c.state != "sent")
    tx.execute(update(notices).where(*untold).values(state="dropped", error=REASON, not_before=None))


def _living(tx: Connection, lead_ids: Sequence[int]) -> Mapping[tuple[int, str], Any]:
    """(lead, connection) -> one of the records that live there."""
    columns = (*RECORD_KEY, records.c.lead_id, *(records.c[name] for name in _PERSON))
    found = select(*columns).where(among(tx, records.c.lead_id, lead_ids), LIVE).order_by(*RECORD_KEY)
    return {(row.lead_id, row.connection): row for row in tx.execute(found)}


def _retold(row: Any, erased: bool, heir: Any | None) -> Handoff:
    """The hand-off of that row, without what may have been known of the erased one alone."""
    known = replace(HANDOFF.value(row.payload), fields={}, did=(), missing=())
    if not erased:
        return replace(known, reasons=(REST,))
    if heir is None:
        return replace(known, reasons=(), email=None, name=None, owner=None, url=None)
    its_own: dict[str, Any] = {name: getattr(heir, name) for name in _PERSON}
    return replace(known, reasons=(REST,), record=RecordKey(*heir[:3]), **its_own)
