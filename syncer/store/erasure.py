"""A person deleted for good: everything personal leaves the database in one transaction.

It is done where the CRM has erased somebody, and where a person asks us to forget them (`forget`). What stays is a
tombstone (the record's key, when it went, that it was erased) and what says nothing of the person but by that key: the
lead's stages, their times and points. Whom a CRM has erased it never shows again under that key, or as somebody new;
whom we were asked to forget it may go on showing, so nothing that it says of them is stored any more.

SQLite overwrites what is deleted (`secure_delete`) and its log is emptied (`WIPED`); PostgreSQL lets go of it when the
table is vacuumed. Copies of the database are the operator's, and so is the one that stands beside a SQLite file since
its schema was upgraded (`schema.py`: NAME.VERSION.bak).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, exists, or_, select, update

from syncer.model import Activity, Handoff, Page, Record, RecordKey
from syncer.store import cards, words
from syncer.store.payloads import HANDOFF
from syncer.store.records import Forgotten, forgotten_of, refresh_live
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
    lead_cards,
    lead_states,
    lead_words,
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
from syncer.store.touching import BITS, touch

Tally = Counter[str]
"""Table -> how many of its rows were deleted or emptied."""

REASON = "the person was erased in the CRM"
REST = "what else was known was erased in the CRM"
FORGOTTEN = "the person was forgotten on request"
REST_FORGOTTEN = "what else was known was forgotten on request"
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


def erase(tx: Connection, keys: Sequence[RecordKey], at: datetime, by: Forgotten | None = None) -> Tally:
    """Erase these records, and those that they have absorbed: the same person. `by`: who asked us to, where it was not
    the CRM that did it."""
    done: Tally = Counter()
    if not keys:
        return done
    tx.info[WIPED] = True
    whole = _with_absorbed(tx, keys)
    theirs = select(records.c.lead_id).where(keys_among(tx, RECORD_KEY, whole)).distinct()
    lead_ids = sorted(tx.execute(theirs).scalars())
    words.lock(tx, lead_ids)  # before their hand-offs, as whoever answers one
    nothing: dict[str, Any] = {**dict.fromkeys(_PERSONAL), "fields": by.fields() if by else {}, "protected": False}
    gone = {"deleted": True, "erased": True, "merged_into": None, "merged_object": None}
    its_row = update(records).where(keys_among(tx, RECORD_KEY, whole))
    done[records.name] += tx.execute(its_row.values(**nothing, **gone)).rowcount
    _erase_deeds(tx, whole, done)
    _erase_beside(tx, whole, done)
    reason = FORGOTTEN if by else REASON
    _erase_of_leads(tx, lead_ids, reason, done)
    words.erase(tx, whole, reason, at)
    _erase_handoffs(tx, whole, lead_ids, (at, reason, REST_FORGOTTEN if by else REST), done)
    return done


def forget(tx: Connection, lead_ids: Sequence[int], by: Forgotten) -> Tally:
    """Erase every record of these leads, whatever has become of it. For who holds the leases of their connections: a
    run under way has them in its memory."""
    theirs = select(*RECORD_KEY).where(among(tx, records.c.lead_id, lead_ids))
    done = erase(tx, [RecordKey(*row) for row in tx.execute(theirs)], by.at, by)
    refresh_live(tx, lead_ids)
    touch(tx, dict.fromkeys(lead_ids, BITS["profile"]))  # a plan that somebody still holds of them is stale
    return done


def forgotten(tx: Connection, lead_id: int) -> Forgotten | None:
    """Who asked us to forget all that the lead had, and when; None: nobody did, or it has records since."""
    found = tx.execute(select(records.c.erased, records.c.fields).where(records.c.lead_id == lead_id)).all()
    marks = [forgotten_of(row.erased, row.fields) for row in found]
    return next((mark for mark in marks if mark is not None), None) if all(row.erased for row in found) else None


def forget_absorbed(tx: Connection, stored: Iterable[Record]) -> None:
    """Whoever turns out to be the same person as one whom we were asked to forget is forgotten with them."""
    into = {record.key: record.merged_into for record in stored if record.merged_into is not None}
    if not into:
        return
    asked = keys_among(tx, RECORD_KEY, set(into.values()))
    found = tx.execute(select(*RECORD_KEY, records.c.fields).where(records.c.erased.is_(True), asked))
    marks = {RecordKey(*row[:3]): forgotten_of(True, row.fields) for row in found}
    for key, absorber in into.items():
        if (by := marks.get(absorber)) is not None:
            erase(tx, [key], by.at, by)


def without_forgotten(tx: Connection, connection: str, stream: str, page: Page) -> Page:
    """The page without what could not be read of people whom we were asked to forget: the reasons quote what they
    are about."""
    if not page.rejected:
        return page
    told = (records.c.connection == connection, records.c.object == stream, records.c.erased.is_(True))
    ids = among(tx, records.c.id, sorted({each.id for each in page.rejected}))
    found = tx.execute(select(records.c.id, records.c.fields).where(*told, ids))
    gone = {row.id for row in found if forgotten_of(True, row.fields) is not None}
    return replace(page, rejected=tuple(each for each in page.rejected if each.id not in gone))


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


def _delete(tx: Connection, table: Table, where: Sequence[ColumnElement[bool]], done: Tally) -> None:
    done[table.name] += tx.execute(delete(table).where(*where)).rowcount


def _erase_deeds(tx: Connection, keys: Sequence[RecordKey], done: Tally) -> None:
    """Their activities, where they are nobody else's, and what was believed of them before."""
    links = _of_record(tx, activity_links, keys)
    linked = tx.execute(select(activity_links.c.connection, activity_links.c.activity_id).where(links)).all()
    for table in (activity_links, past_activities, readings):
        _delete(tx, table, [_of_record(tx, table, keys)], done)
    somebodys = exists().where(
        activity_links.c.connection == activities.c.connection, activity_links.c.activity_id == activities.c.id
    )
    for connection in sorted({row.connection for row in linked}):
        ids = sorted({row.activity_id for row in linked if row.connection == connection})
        theirs = (activities.c.connection == connection, among(tx, activities.c.id, ids))
        _delete(tx, activities, [*theirs, ~somebodys], done)
        _forget_rejected(tx, connection, [*ids, *(each.rpartition("/")[2] for each in ids)], done)


def _erase_beside(tx: Connection, keys: Sequence[RecordKey], done: Tally) -> None:
    for table in (past_versions, past_members):
        _delete(tx, table, [_of_record(tx, table, keys)], done)
    for table in (write_backs, hints):
        _delete(tx, table, [keys_among(tx, (table.c.connection, table.c.object, table.c.id), keys)], done)
    for connection in sorted({key.connection for key in keys}):
        _forget_rejected(tx, connection, [key.id for key in keys if key.connection == connection], done)


def _forget_rejected(tx: Connection, connection: str, ids: Sequence[str], done: Tally) -> None:
    """Of whatever stream; the next pull tells of those that are somebody else's."""
    _delete(tx, rejected, [rejected.c.connection == connection, among(tx, rejected.c.id, ids)], done)


def _erase_of_leads(tx: Connection, lead_ids: Sequence[int], reason: str, done: Tally) -> None:
    """Plans and footprints quote fields and activities. What people wrote of a lead goes with its last record. Where
    one lives on, the next run makes anew what has gone."""
    for table in (decisions, lead_states):
        _delete(tx, table, [among(tx, table.c.lead_id, lead_ids)], done)
    done[lead_cards.name], done[lead_words.name] = cards.forget(tx, lead_ids)
    living = {lead for lead, _ in _living(tx, lead_ids)}
    touch(tx, dict.fromkeys(living, BITS["profile"]))  # it may have been decided since the record was deleted
    known = exists().where(records.c.lead_id == overrides.c.lead_id, records.c.erased.is_(False))
    unknown = update(overrides).where(among(tx, overrides.c.lead_id, lead_ids), ~known)
    done[overrides.name] += tx.execute(unknown.values(reason=reason)).rowcount
    known = exists().where(records.c.lead_id == handoffs.c.lead_id, records.c.erased.is_(False))
    nobodys = select(handoffs.c.key).where(among(tx, handoffs.c.lead_id, lead_ids), ~known)
    said = (answers.c.handoff_key.in_(nobodys), answers.c.reason != "")
    done[answers.name] += tx.execute(update(answers).where(*said).values(reason=reason)).rowcount


def _erase_handoffs(
    tx: Connection, keys: Sequence[RecordKey], lead_ids: Sequence[int], said: tuple[datetime, str, str], done: Tally
) -> None:
    """None of the leads' still says why. One of these records is told of by another one of its lead that its CRM
    shows; where there is none it no longer says who it was, and nobody hears of it. `said`: when and why they were
    erased, and what becomes of the reasons."""
    at, reason, rest = said
    named = keys_among(tx, (handoffs.c.connection, handoffs.c.object, handoffs.c.record_id), keys)
    found = tx.execute(select(handoffs).where(or_(named, among(tx, handoffs.c.lead_id, lead_ids)))).all()
    theirs = {row.key for row in found if RecordKey(row.connection, row.object, row.record_id) in set(keys)}
    living = _living(tx, lead_ids)
    heirs = {row.key: living.get((row.lead_id, row.connection)) for row in found}
    told = {row.key: _retold(row, row.key in theirs, heirs[row.key], rest) for row in found}
    _rewrite(tx, told)
    done[handoffs.name] += len(told)
    nobodys = sorted(row.key for row in found if row.key in theirs and heirs[row.key] is None)
    its_key = among(tx, handoffs.c.key, nobodys)
    tx.execute(update(handoffs).where(its_key, handoffs.c.closed_at.is_(None)).values(closed_at=at))
    untold = (among(tx, notices.c.handoff_key, nobodys), notices.c.state != "sent")
    dropped = update(notices).where(*untold).values(state="dropped", error=reason, not_before=None)
    done[notices.name] += tx.execute(dropped).rowcount


def _rewrite(tx: Connection, told: Mapping[str, Handoff]) -> None:
    rows = [
        {
            "its_key": key,
            "its_text": HANDOFF.text(each),
            "its_object": each.record.object,
            "its_id": each.record.id,
            "its_person": each.for_whom,
        }
        for key, each in told.items()
    ]
    if rows:
        names = {"payload": "its_text", "object": "its_object", "record_id": "its_id", "for_whom": "its_person"}
        this_one = update(handoffs).where(handoffs.c.key == bindparam("its_key"))
        tx.execute(this_one.values({column: bindparam(name) for column, name in names.items()}), rows)


def _living(tx: Connection, lead_ids: Sequence[int]) -> Mapping[tuple[int, str], Any]:
    """(lead, connection) -> one of the records that live there."""
    columns = (*RECORD_KEY, records.c.lead_id, *(records.c[name] for name in _PERSON))
    found = select(*columns).where(among(tx, records.c.lead_id, lead_ids), LIVE).order_by(*RECORD_KEY)
    return {(row.lead_id, row.connection): row for row in tx.execute(found)}


def _retold(row: Any, erased: bool, heir: Any | None, rest: str) -> Handoff:
    """The hand-off of that row, without what may have been known of the erased one alone."""
    known = replace(HANDOFF.value(row.payload), fields={}, did=(), missing=())
    if not erased:
        return replace(known, reasons=(rest,))
    if heir is None:
        return replace(known, reasons=(), email=None, name=None, owner=None, url=None)
    its_own: dict[str, Any] = {name: getattr(heir, name) for name in _PERSON}
    return replace(known, reasons=(rest,), record=RecordKey(*heir[:3]), **its_own)
