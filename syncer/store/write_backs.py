"""What each record shows of ours, and what is still to be written to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, exists, func, literal, or_, select, tuple_, update

from syncer.model import Change, LeadPlan, RecordKey, Standing, WriteState, Written
from syncer.store.sql import among, insert, keys_among, upsert
from syncer.store.standings import standing_of, standing_or_none, standing_text
from syncer.store.tables import LIVE, RECORD_KEY, records, write_backs

KEY = (write_backs.c.connection, write_backs.c.object, write_backs.c.id)
_WAITS = write_backs.c.pending.is_not(None) & write_backs.c.given_up.is_(False)
_SAME = (KEY[0] == RECORD_KEY[0]) & (KEY[1] == RECORD_KEY[1]) & (KEY[2] == RECORD_KEY[2])


def keep(tx: Connection, plans: Sequence[LeadPlan]) -> None:
    """Queue the plans' changes, and remember of every live record of their leads what it showed when it was decided:
    another stage from then on is somebody's edit."""
    changes = {change.record: change for plan in plans for change in plan.changes}
    changed, only_seen = [], []
    for row in _shown(tx, [plan.decision.lead for plan in plans]):
        key = RecordKey(row.connection, row.object, row.id)
        confirmed = standing_text(_confirmed(row, changes.get(key)))
        values = {**key._asdict(), "seen": True, "confirmed": confirmed}
        if key in changes:
            changed.append(values | _pending_values(changes[key]))
        elif not row.seen or confirmed != row.confirmed:
            only_seen.append(values)
    _queue(tx, changed)
    upsert(tx, write_backs, only_seen)


def _shown(tx: Connection, lead_ids: Iterable[int]) -> Sequence[Any]:
    return tx.execute(
        select(
            *(*RECORD_KEY, records.c.stage, records.c.lifecycle),
            *(write_backs.c.confirmed, write_backs.c.pending_stage, write_backs.c.seen),
        )
        .select_from(records.outerjoin(write_backs, _SAME))
        .where(among(tx, records.c.lead_id, lead_ids), LIVE)
    ).all()


def _confirmed(row: Any, change: Change | None) -> Standing:
    never_seen = change.before if change else Standing()
    known = standing_of(row.confirmed) if row.seen else never_seen
    if row.seen and row.pending_stage is not None and row.stage == row.pending_stage:  # ours, and not confirmed
        if change is None or change.after.stage == row.pending_stage:
            return replace(known, lifecycle=row.lifecycle)
        return Standing(stage=row.stage, lifecycle=row.lifecycle)  # nobody else moved it; what else landed is not known
    return replace(known, stage=row.stage, lifecycle=row.lifecycle)


def _pending_values(change: Change) -> dict[str, Any]:
    return {"pending": standing_text(change.after), "pending_stage": change.after.stage, "cause": change.cause}


def _queue(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A change that was put off or given up, and is planned again just so, stays that; another one starts afresh."""
    if not rows:
        return
    statement = insert(tx, write_backs)
    new = {name: statement.excluded[name] for name in ("seen", "confirmed", "pending", "pending_stage", "cause")}
    again = write_backs.c.pending == statement.excluded.pending
    afresh = {"attempts": 0, "next_at": None, "given_up": False, "reason": None}
    kept = {
        name: case((again, write_backs.c[name]), else_=literal(value, write_backs.c[name].type))
        for name, value in afresh.items()
    }
    key = [column.name for column in KEY]
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_={**new, **kept}), rows)


def pending(tx: Connection, connection: str, now: datetime, *, order: Sequence[str], limit: int) -> list[Change]:
    """Up to `limit` changes that are due, by stage in the given order (stages not named, and none, come last), then by
    record. What was confirmed, put off or given up is not among them, so asking again goes on."""
    found: list[Change] = []
    for group in _groups(order):
        waiting = (
            select(*KEY, write_backs.c.confirmed, write_backs.c.pending, write_backs.c.cause)
            .select_from(write_backs.join(records, _SAME))
            .where(KEY[0] == connection, _WAITS, LIVE, group)
            .where(or_(write_backs.c.next_at.is_(None), write_backs.c.next_at <= now))
            .order_by(KEY[1], KEY[2])
            .limit(limit - len(found))
        )
        found += [_change(row) for row in tx.execute(waiting)]
        if len(found) >= limit:
            break
    return found


def _groups(order: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    yield from (write_backs.c.pending_stage == stage for stage in order)
    yield or_(write_backs.c.pending_stage.is_(None), write_backs.c.pending_stage.not_in(order))


def _change(row: Any) -> Change:
    key = RecordKey(row.connection, row.object, row.id)
    return Change(key, standing_of(row.confirmed), standing_of(row.pending), row.cause)


def confirm(tx: Connection, pairs: Sequence[tuple[Change, Written]], at: datetime) -> None:
    """What the CRM answered at `at` is what it shows. The change is done, unless another one was queued meanwhile.
    The mirror shows the stage at once, so that its echo in the next pull is no news."""
    rows = [_answer_row(change, answer) | {"now": at} for change, answer in pairs]
    if not rows:
        return
    ours = _this_one(KEY)
    answered = (
        update(write_backs)
        .where(ours)
        .values(
            confirmed=bindparam("shows"),
            confirmed_modified_at=bindparam("modified"),
            written_at=bindparam("now"),
            reason=bindparam("refused"),
            attempts=0,
            next_at=None,
            given_up=False,
        )
    )
    tx.execute(answered, rows)
    done = update(write_backs).where(ours, write_backs.c.pending == bindparam("sent"))
    tx.execute(done.values(pending=None, pending_stage=None), rows)
    _show(tx, rows)


def _answer_row(change: Change, answer: Written) -> dict[str, Any]:
    return {
        **_named(answer.record),
        "sent": standing_text(change.after),
        "shows": standing_text(answer.standing),
        "stage_shown": answer.standing.stage,
        "lifecycle_shown": answer.standing.lifecycle,
        "stage_sent": change.after.stage,
        "modified": answer.modified_at,
        "refused": answer.refused,
    }


def _show(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Where the CRM's own stage is another one now, it is the one that our stage stands for."""
    not_newer = records.c.modified_at <= bindparam("modified", type_=records.c.modified_at.type)
    lifecycle = bindparam("lifecycle_shown", type_=records.c.lifecycle.type)
    moved = records.c.lifecycle.is_distinct_from(lifecycle)
    sent = bindparam("stage_sent", type_=records.c.lifecycle_stage.type)
    shown = update(records).where(_this_one(RECORD_KEY), not_newer)
    values = {"lifecycle": lifecycle, "lifecycle_stage": case((moved, sent), else_=records.c.lifecycle_stage)}
    tx.execute(shown.values(stage=bindparam("stage_shown"), **values), rows)


def refused(tx: Connection, change: Change, answer: Written, next_at: datetime | None) -> None:
    """The CRM took the score and not the whole stage: the change stays, to be tried again at `next_at`; None: given
    up."""
    known = states(tx, [change.record])[change.record].confirmed
    shows = replace(known, score=answer.standing.score, reasons=answer.standing.reasons)
    kept = {"confirmed": standing_text(shows), "confirmed_modified_at": answer.modified_at, "reason": answer.refused}
    tries = {"attempts": write_backs.c.attempts + 1, "next_at": next_at, "given_up": next_at is None}
    _change_one(tx, change.record, **kept, **tries)
    _show(tx, [_answer_row(change, answer)])


def try_again(tx: Connection, connection: str) -> None:
    """What was given up or put off is due now."""
    stuck = (KEY[0] == connection) & write_backs.c.pending.is_not(None)
    tx.execute(update(write_backs).where(stuck).values(given_up=False, attempts=0, next_at=None))


def put_off(tx: Connection, record: RecordKey, reason: str, next_at: datetime) -> None:
    """Not before `next_at` again; one more attempt counted."""
    _change_one(tx, record, attempts=write_backs.c.attempts + 1, reason=reason, next_at=next_at)


def give_up(tx: Connection, record: RecordKey, reason: str) -> None:
    """Keep and show it, but send it no more until another change is planned."""
    _change_one(tx, record, attempts=write_backs.c.attempts + 1, reason=reason, given_up=True)


def drop(tx: Connection, record: RecordKey) -> None:
    """There is nothing to write to it any more: a person's edit has the last word, or it is gone."""
    nothing = {"pending": None, "pending_stage": None, "next_at": None, "reason": None}
    _change_one(tx, record, attempts=0, given_up=False, **nothing)


def _change_one(tx: Connection, record: RecordKey, **values: Any) -> None:
    tx.execute(update(write_backs).where(_this_one(KEY)).values(values), _named(record))


def _this_one(columns: tuple[ColumnElement[Any], ...]) -> ColumnElement[bool]:
    connection, kind, record_id = columns
    return (
        (connection == bindparam("its_connection"))
        & (kind == bindparam("its_object"))
        & (record_id == bindparam("its_id"))
    )


def _named(record: RecordKey) -> dict[str, str]:
    return {"its_connection": record.connection, "its_object": record.object, "its_id": record.id}


def states(tx: Connection, keys: Sequence[RecordKey]) -> dict[RecordKey, WriteState]:
    """What we know of each record's write-back; of one never decided with its lead: nothing."""
    found = tx.execute(select(write_backs).where(keys_among(tx, KEY, keys)))
    known = {
        RecordKey(row.connection, row.object, row.id): WriteState(
            standing_of(row.confirmed), standing_or_none(row.pending), row.confirmed_modified_at, row.seen
        )
        for row in found
    }
    return {key: known.get(key, WriteState(Standing())) for key in keys}


def attempts(tx: Connection, record: RecordKey) -> int:
    """How many times the change that waits was put off."""
    found = tx.execute(select(write_backs.c.attempts).where(_this_one(KEY)), _named(record)).scalar()
    return found or 0


def counts(tx: Connection, connection: str) -> dict[str, int]:
    """pending: still to be sent · put_off: those of them that failed before · given_up: no longer sent."""
    waits = write_backs.c.given_up.is_(False)
    columns = {
        "pending": waits,
        "put_off": waits & write_backs.c.next_at.is_not(None),
        "given_up": write_backs.c.given_up,
    }
    counted = [func.count().filter(condition).label(name) for name, condition in columns.items()]
    found = tx.execute(
        select(*counted)
        .select_from(write_backs.join(records, _SAME))
        .where(KEY[0] == connection, write_backs.c.pending.is_not(None), LIVE)
    ).one()
    return dict(found._mapping)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A change that the CRM did not take, and why; `next_at` None: given up, or taken only in part."""

    record: RecordKey
    reason: str
    attempts: int
    next_at: datetime | None
    given_up: bool


def troubles(tx: Connection, connection: str, limit: int = 1000, after: tuple[int, int] | None = None) -> list[Trouble]:
    """By record; `after`: those behind the one of this place (see `place_of`), or from the first, where it is gone."""
    found = select(*KEY, *(write_backs.c[name] for name in ("reason", "attempts", "next_at", "given_up"))).where(
        KEY[0] == connection, write_backs.c.reason.is_not(None), exists().where(_SAME)
    )
    if after is not None and (last := _at_place(tx, connection, after)) is not None:
        found = found.where(tuple_(KEY[1], KEY[2]) > tuple_(*last))
    return [Trouble(RecordKey(*row[:3]), *row[3:]) for row in tx.execute(found.order_by(*KEY).limit(limit))]


def place_of(tx: Connection, record: RecordKey, lead: int) -> tuple[int, int]:
    """(lead, which of its records in that CRM it is): names a record without telling what it is called, which may be an
    address."""
    before = tuple_(RECORD_KEY[1], RECORD_KEY[2]) < tuple_(record.object, record.id)
    its = (RECORD_KEY[0] == record.connection, records.c.lead_id == lead, before)
    return lead, int(tx.execute(select(func.count()).select_from(records).where(*its)).scalar_one())


def _at_place(tx: Connection, connection: str, place: tuple[int, int]) -> tuple[str, str] | None:
    """(object, id); None: the lead has no such record any more."""
    lead, which = place
    its = select(*RECORD_KEY[1:]).where(RECORD_KEY[0] == connection, records.c.lead_id == lead)
    found = tx.execute(its.order_by(*RECORD_KEY).offset(which).limit(1)).first()
    return None if found is None else (found[0], found[1])


def reasons(tx: Connection, connection: str, most: int) -> list[tuple[str, int]]:
    """Why the CRM did not take changes, and how many: the most frequent reasons first."""
    count = func.count()
    found = select(write_backs.c.reason, count).where(KEY[0] == connection, write_backs.c.reason.is_not(None))
    ordered = found.group_by(write_backs.c.reason).order_by(count.desc(), write_backs.c.reason).limit(most)
    return [(row.reason, row[1]) for row in tx.execute(ordered)]
