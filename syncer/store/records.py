"""Records as the mirror keeps them, what of a record's change matters to its lead, and what they were before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, insert, literal, select, update

from syncer.history import same_value
from syncer.model import NO_FIELDS, Manual, Record, RecordKey, Standing, Value
from syncer.store import cards
from syncer.store.arrivals import Arrival
from syncer.store.columns import CleanText, from_ms, to_json, to_ms
from syncer.store.sql import Columns, among, keys_among, keys_of_a_kind, kinds, upsert, upsert_columns
from syncer.store.standings import standing_or_none
from syncer.store.tables import LIVE, RECORD_KEY, leads, past_versions, records, write_backs
from syncer.store.touching import BITS, Touches
from syncer.store.words import Spoken, manual_of, same_text, spoken

RECORD_COLUMNS = (
    *RECORD_KEY,
    records.c.modified_at,
    records.c.email,
    records.c.fields,
    records.c.stage,
    records.c.stage_by,
    records.c.lifecycle,
    records.c.lifecycle_stage,
    records.c.protected,
    records.c.owner,
    records.c.name,
    records.c.url,
    records.c.deleted,
    records.c.merged_object,
    records.c.merged_into,
    records.c.erased,
    records.c.manual,
)
"""In the order in which `record_of` takes them."""


def record_of(values: Sequence[Any]) -> Record:
    """A record from the values of RECORD_COLUMNS."""
    connection, kind, record_id, modified_at, email, fields, *rest, merged_object, merged_into, erased, manual = values
    key = RecordKey(connection, kind, record_id)
    absorber = None if merged_into is None else RecordKey(connection, merged_object, merged_into)
    return Record(key, modified_at, email, fields or NO_FIELDS, *(*rest, absorber, erased, manual_of(manual)))


def is_live(record: Record) -> bool:
    """Neither deleted nor absorbed by another record: one that is scored and written."""
    return not record.deleted and record.merged_into is None


def counts(record: Record) -> bool:
    """Whether its activities do: those of an absorbed record are its survivor's, those of a deleted one nobody's."""
    return not record.deleted or record.merged_into is not None


_FORGOTTEN_AT, _FORGOTTEN_BY = "forgotten_at", "forgotten_by"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Who asked us, not the CRM, to erase a person, and when. It stands in the fields of the erased record, which says
    nothing else."""

    at: datetime
    by: str

    def fields(self) -> dict[str, Value]:
        return {_FORGOTTEN_AT: to_ms(self.at), _FORGOTTEN_BY: self.by}


def forgotten_of(erased: bool, fields: Mapping[str, Value] | None) -> Forgotten | None:
    """None: the record is not erased, or its CRM has erased it."""
    at = (fields or NO_FIELDS).get(_FORGOTTEN_AT) if erased else None
    return Forgotten(from_ms(at), str(fields[_FORGOTTEN_BY])) if fields and isinstance(at, int) else None


def shown_fields(record: Record) -> dict[str, Value]:
    """What the rules may look at: the fields that are set, and the e-mail as the field "email"."""
    shown = set_fields(record.fields)
    return shown | {"email": record.email} if record.email else shown


@dataclass(frozen=True, slots=True)
class Known:
    """What the mirror has of a record already."""

    record: Record
    lead: int
    pending: Standing | None
    confirmed_modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Renewal:
    """A record that the mirror knew, as it is stored now."""

    known: Known
    after: Record
    undo: Mapping[str, Value]  # what of its fields changed, as it was before; None: was not set

    @property
    def changes_nothing(self) -> bool:
        """Whether the record is stored already as it is, as nearly all are in a sweep."""
        return not self.undo and self.after == self.known.record

    @property
    def is_history(self) -> bool:
        """Whether what was known before is worth keeping."""
        before = self.known.record
        return bool(self.undo) or (is_live(before), counts(before)) != (is_live(self.after), counts(self.after))


def store_records(
    tx: Connection, incoming: Iterable[Record], arrival: Arrival, touches: Touches
) -> tuple[list[Record], list[Spoken]]:
    """Upsert the records that are news (see `_is_news`), and keep what they were before; a new one gets a new lead.
    Returns those stored, as they are stored, and what people say anew in fields of theirs."""
    newest = _newest_of_each(incoming)
    known = _known(tx, newest)
    fresh = [
        _believable(record, stored)
        for key, record in newest.items()
        if _is_news(record, stored := known.get(key), arrival)
    ]
    lead_of = {key: stored.lead for key, stored in known.items()}
    lead_of |= _new_leads(tx, [record.key for record in fresh if record.key not in known])
    renewals = [_renewal(known[record.key], record) for record in fresh if record.key in known]
    same = {each.after.key for each in renewals if each.changes_nothing}
    changed = [record for record in fresh if record.key not in same]
    upsert_columns(tx, records, _columns(changed, lead_of, arrival), keep=("lead_id", "since", "joined_at"))
    _keep_past(tx, [each for each in renewals if each.is_history], arrival.at)
    for each in renewals:
        touches[each.known.lead] |= _touched_by(each)
    cards.retell(tx, {each.known.lead for each in renewals if _is_called_otherwise(each)})
    moved = {lead_of[record.key] for record in fresh if _liveness_moved(known.get(record.key), record)}
    refresh_live(tx, moved)
    return fresh, _spoken(fresh, known)


def _spoken(fresh: Iterable[Record], known: Mapping[RecordKey, Known]) -> list[Spoken]:
    """Of a first load nearly nobody says anything, so these are not even looked at."""
    filled = {key: stored.record for key, stored in known.items() if stored.record.manual is not None}
    told = [each for each in fresh if each.manual is not None or (filled and each.key in filled)]
    known_of = {each.key: known[each.key].record for each in told if each.key in known}
    return [word for each in told if (word := spoken(known_of.get(each.key), each)) is not None]


def _newest_of_each(incoming: Iterable[Record]) -> dict[RecordKey, Record]:
    newest: dict[RecordKey, Record] = {}
    for record in incoming:
        record = _bare(record) if record.erased else record
        earlier = newest.get(record.key)
        if earlier is None or to_ms(record.modified_at) >= to_ms(earlier.modified_at):
            newest[record.key] = record
    return newest


def _bare(record: Record) -> Record:
    """Nothing but who was erased, and when."""
    return Record(record.key, record.modified_at, deleted=True, erased=True)


def _known(tx: Connection, keys: Iterable[RecordKey]) -> dict[RecordKey, Known]:
    asked = _known_of_a_kind(tx.dialect.name)
    stored = [_known_of(row) for kind in kinds(tx, keys) for row in tx.execute(asked, kind)]
    return {each.record.key: each for each in stored}


@cache
def _known_of_a_kind(dialect: str) -> Select[Any]:
    same = (
        (write_backs.c.connection == records.c.connection)
        & (write_backs.c.object == records.c.object)
        & (write_backs.c.id == records.c.id)
    )
    return (
        select(records.c.lead_id, write_backs.c.pending, write_backs.c.confirmed_modified_at, *RECORD_COLUMNS)
        .select_from(records.outerjoin(write_backs, same))
        .where(keys_of_a_kind(dialect, RECORD_KEY))
    )


def _known_of(row: Sequence[Any]) -> Known:
    lead, pending, confirmed_modified_at, *values = row
    return Known(record_of(values), lead, standing_or_none(pending), confirmed_modified_at)


def newly_chosen(tx: Connection, shown: Iterable[Record]) -> dict[RecordKey, Manual | None]:
    """Of the records, as a CRM shows them now, what their fields say that they did not say before."""
    stored = _known(tx, [record.key for record in shown])
    told = ((each, stored[each.key]) for each in shown if each.key in stored)
    found = (spoken(known.record, _believable(record, known)) for record, known in told)
    return {each.record: each.manual for each in found if each is not None}


def last_known(tx: Connection, keys: Iterable[RecordKey]) -> dict[RecordKey, datetime]:
    """When each record was modified, as the mirror or our last confirmed write has it; new ones are absent."""
    return {
        key: max(at for at in (known.record.modified_at, known.confirmed_modified_at) if at is not None)
        for key, known in _known(tx, keys).items()
    }


def _is_news(record: Record, known: Known | None, arrival: Arrival) -> bool:
    """Who was never here leaves no trace when they are gone: the CRM may not show them yet. What was seen now counts
    whatever time it bears, and so does that a live one is gone: whoever wrongly heard so hears otherwise soon. Whom we
    were asked to forget is forgotten, whatever their CRM goes on showing."""
    if known is None:
        return not record.deleted
    before = known.record
    if forgotten_of(before.erased, before.fields) is not None:
        return False
    if record.deleted and before.deleted:
        return record.erased and not before.erased
    if to_ms(record.modified_at) >= to_ms(before.modified_at):
        return True
    if record.deleted:
        return is_live(before)
    return arrival.seen_now and (before.deleted or not is_live(record))


def _believable(record: Record, known: Known | None) -> Record:
    """As it is to be stored. A CRM's index may lag behind its own answer to our last write: what it says of the stage
    is older news then."""
    if known is None:
        return record
    if record.deleted:
        return _gone(record, known)
    before = known.record
    if not is_live(record):
        return replace(record, modified_at=max(record.modified_at, before.modified_at), manual=before.manual)
    if record.manual and before.manual and same_text(record.manual, before.manual):
        record = replace(record, manual=before.manual)
    if known.confirmed_modified_at is None or record.modified_at >= known.confirmed_modified_at:
        return record
    return replace(
        record,
        stage=before.stage,
        stage_by=before.stage_by,
        lifecycle=before.lifecycle,
        lifecycle_stage=before.lifecycle_stage,
    )


def _gone(record: Record, known: Known) -> Record:
    """No later than it was known, so that it may come back as it was, with the stage that was chosen for it. That a
    person was erased is believed when it is told of one who is gone already: a CRM may stumble, and what is erased is
    lost."""
    erased = record.erased and known.record.deleted
    manual = None if erased else known.record.manual
    return replace(record, modified_at=known.record.modified_at, erased=erased, manual=manual)


def _new_leads(tx: Connection, keys: Sequence[RecordKey]) -> dict[RecordKey, int]:
    by_connection: dict[str, list[RecordKey]] = {}
    for key in keys:
        by_connection.setdefault(key.connection, []).append(key)
    made: dict[RecordKey, int] = {}
    for connection, theirs in by_connection.items():
        ids = tx.execute(_NEW_LEADS, {"connection": connection, "many": len(theirs)}).scalars().all()
        made |= zip(theirs, sorted(ids), strict=True)
    return made


_numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
_numbers = _numbers.union_all(select(_numbers.c.number + 1).where(_numbers.c.number < bindparam("many")))
_NEW_LEADS = (
    insert(leads)
    .from_select(
        ["connection", "touched"],
        select(bindparam("connection", type_=CleanText), literal(BITS["profile"])).select_from(_numbers),
    )
    .returning(leads.c.id)
)
"""`many` leads that are alike, in one statement: one by one they would cost as much as their records."""


def _columns(stored: Sequence[Record], lead_of: Mapping[RecordKey, int], arrival: Arrival) -> Columns:
    """What is written of records: a first load spends its time here, and by columns it is half of that by rows."""
    return {
        "connection": [each.key.connection for each in stored],
        "object": [each.key.object for each in stored],
        "id": [each.key.id for each in stored],
        "lead_id": [lead_of[each.key] for each in stored],
        "modified_at": [each.modified_at for each in stored],
        "email": [each.email for each in stored],
        "email_key": [email_key(each.email) for each in stored],
        "fields": [each.fields for each in stored],
        "stage": [each.stage for each in stored],
        "stage_by": [each.stage_by for each in stored],
        "lifecycle": [each.lifecycle for each in stored],
        "lifecycle_stage": [each.lifecycle_stage for each in stored],
        "protected": [each.protected for each in stored],
        "owner": [each.owner for each in stored],
        "name": [each.name for each in stored],
        "url": [each.url for each in stored],
        "deleted": [each.deleted for each in stored],
        "merged_object": [each.merged_into and each.merged_into.object for each in stored],
        "merged_into": [each.merged_into and each.merged_into.id for each in stored],
        "since": [arrival.known_since(each.modified_at) for each in stored],
        "joined_at": [None] * len(stored),
        "erased": [each.erased for each in stored],
        "manual": [each.manual for each in stored],
    }


def email_key(email: str | None) -> str | None:
    """What an e-mail is compared by: without spaces around it and differences of case. None: there is none."""
    return email.strip().casefold() or None if email else None


def set_fields(fields: Mapping[str, Value]) -> dict[str, Value]:
    """The fields that are set: None, "" and what is no number mean the same as absent."""
    return {name: value for name, value in fields.items() if _is_set(value)}


def _is_set(value: Value) -> bool:
    return isfinite(value) if isinstance(value, float) else value is not None and value != ""


def _renewal(known: Known, after: Record) -> _Renewal:
    before = known.record
    if before.email == after.email and to_json(before.fields) == to_json(after.fields):  # at a tenth of the cost
        return _Renewal(known, after, {})
    old, new = shown_fields(before), shown_fields(after)
    names = sorted(old.keys() | new.keys())
    undo = {name: old.get(name) for name in names if not same_value(old.get(name), new.get(name))}
    return _Renewal(known, after, undo)


def _keep_past(tx: Connection, renewals: Sequence[_Renewal], at: datetime) -> None:
    """What the records were until now. A second change in one millisecond (or after the clock was set back) joins the
    row of the first, which knows what was true before both."""
    if not renewals:
        return
    key = (past_versions.c.connection, past_versions.c.object, past_versions.c.record_id)
    kept = select(past_versions).where(
        keys_among(tx, key, [each.after.key for each in renewals]), past_versions.c.until >= at
    )
    first = {RecordKey(row.connection, row.object, row.record_id): row for row in tx.execute(kept.order_by("until"))}
    upsert(tx, past_versions, [_past_row(each, at, first.get(each.after.key)) for each in renewals])


def _past_row(renewal: _Renewal, at: datetime, first: Any | None) -> dict[str, Any]:
    connection, kind, record_id = renewal.after.key
    before = renewal.known.record
    return {
        "connection": connection,
        "object": kind,
        "record_id": record_id,
        "until": first.until if first else at,
        "fields": {**renewal.undo, **first.fields} if first else renewal.undo,
        "live": first.live if first else is_live(before),
        "counts": first.counts if first else counts(before),
    }


def _touched_by(renewal: _Renewal) -> int:
    before, after = renewal.known.record, renewal.after
    if is_live(before) != is_live(after):
        return BITS["profile"]
    if not is_live(after):
        return BITS["profile"] if counts(before) != counts(after) else 0  # its activities come or go all the same
    bits = BITS["profile"] if renewal.undo or before.protected != after.protected else 0
    return bits | (BITS["override"] if _somebody_moved(renewal.known, after) else 0)


def _is_called_otherwise(renewal: _Renewal) -> bool:
    """What no rule need look at, and people do."""
    before, after = renewal.known.record, renewal.after
    return (before.name, before.owner) != (after.name, after.owner)


def _somebody_moved(known: Known, record: Record) -> bool:
    """A stage changed, and not because our own pending write has landed."""
    before, pending = known.record, known.pending or Standing()
    stage = record.stage not in (before.stage, pending.stage or before.stage)
    lifecycle = record.lifecycle not in (before.lifecycle, pending.lifecycle or before.lifecycle)
    return stage or lifecycle or record.lifecycle_stage != before.lifecycle_stage


def _liveness_moved(known: Known | None, record: Record) -> bool:
    return is_live(record) != (known is None or is_live(known.record))


def refresh_live(tx: Connection, lead_ids: Iterable[int]) -> None:
    """Say of each lead anew whether it has a live record."""
    wanted = sorted(lead_ids)
    if wanted:
        has_one = exists().where(records.c.lead_id == leads.c.id, LIVE)
        tx.execute(update(leads).where(among(tx, leads.c.id, wanted)).values(live=has_one))


def leads_of(tx: Connection, keys: Iterable[RecordKey]) -> dict[RecordKey, int]:
    """Record -> lead, of those that are mirrored."""
    asked = _leads_of_a_kind(tx.dialect.name)
    found = [row for kind in kinds(tx, keys) for row in tx.execute(asked, kind)]
    return {RecordKey(connection, kind, record_id): lead for lead, connection, kind, record_id in found}


@cache
def _leads_of_a_kind(dialect: str) -> Select[Any]:
    return select(records.c.lead_id, *RECORD_KEY).where(keys_of_a_kind(dialect, RECORD_KEY))
