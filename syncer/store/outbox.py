"""Hand-offs, and the notices that tell sales of them. A notice is a row before it is a message.

waiting -> ready -> sending -> sent | uncertain | dead. What was `sending` when a process died may have arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, or_, select, update
from sqlalchemy.sql.dml import Update

from syncer.model import Decision, Handoff, LeadPlan, Notice, NoticeState, RecordKey
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, insert_new, keys_among
from syncer.store.tables import handoffs as kept
from syncer.store.tables import notices

_RECORD = (kept.c.connection, kept.c.object, kept.c.record_id)


def keep(tx: Connection, plans: Sequence[LeadPlan], new: Sequence[Notice], at: datetime) -> None:
    """Close the open hand-offs of leads that left their stage, keep the plans' new ones and their notices. What is
    there already under its key stays as it is."""
    moved = [plan.decision for plan in plans if plan.decision.moved]
    if moved:
        _close(tx, moved, at)
    insert_new(tx, kept, [_handoff_row(plan.handoff) for plan in plans if plan.handoff is not None])
    insert_new(tx, notices, [_notice_row(notice) for notice in new])


def _close(tx: Connection, moved: Sequence[Decision], at: datetime) -> None:
    """A lead that left before the CRM had shown the stage is no news any more."""
    lead = kept.c.lead_id == bindparam("lead")
    left = update(kept).where(lead, kept.c.closed_at.is_(None), kept.c.stage != bindparam("now_in"))
    where = [{"lead": decision.lead, "now_in": decision.after.stage} for decision in moved]
    tx.execute(left.values(closed_at=at), where)
    closed = select(kept.c.key).where(lead, kept.c.closed_at.is_not(None))
    untold = update(notices).where(notices.c.state == "waiting", notices.c.handoff_key.in_(closed))
    told = {"state": "dead", "error": "the lead left the stage before the CRM had shown it"}
    tx.execute(untold.values(told), [{"lead": decision.lead} for decision in moved])


def _handoff_row(handoff: Handoff) -> dict[str, Any]:
    return {
        "key": handoff.key,
        "lead_id": handoff.lead,
        "connection": handoff.record.connection,
        "object": handoff.record.object,
        "record_id": handoff.record.id,
        "stage": handoff.stage,
        "at": handoff.at,
        "payload": HANDOFF.text(handoff),
    }


def _notice_row(notice: Notice) -> dict[str, Any]:
    names = ("key", "channel", "recipient", "state", "attempts", "not_before", "error")
    named = {name: getattr(notice, name) for name in names}
    return {**named, "handoff_key": notice.handoff.key, "connection": notice.handoff.record.connection}


def anything_due(tx: Connection, connection: str, now: datetime) -> bool:
    """Whether a message could go out now, or be tried again."""
    unsure = notices.c.state.in_(("sending", "uncertain")) & or_(
        notices.c.not_before.is_(None), notices.c.not_before <= now
    )
    found = select(notices.c.key).where(notices.c.connection == connection, unsure).limit(1)
    return tx.execute(found).first() is not None or bool(due(tx, connection, now, 1))


def due(tx: Connection, connection: str, now: datetime, limit: int = 100) -> list[Notice]:
    """What may be sent: ready and not put off, or waiting for longer than it should; the oldest hand-off first."""
    may_go = or_(notices.c.not_before.is_(None), notices.c.not_before <= now)
    ready = (notices.c.state == "ready") & may_go
    waited = (notices.c.state == "waiting") & (notices.c.not_before <= now)
    found = _with_handoffs().where(notices.c.connection == connection, or_(ready, waited))
    return [_notice(row) for row in tx.execute(found.limit(limit))]


def _with_handoffs() -> Select[Any]:
    both = notices.join(kept, kept.c.key == notices.c.handoff_key)
    return select(notices, kept.c.payload).select_from(both).order_by(kept.c.at, notices.c.key)


def _notice(row: Any) -> Notice:
    return Notice(
        key=row.key,
        handoff=HANDOFF.value(row.payload),
        channel=row.channel,
        recipient=row.recipient,
        state=row.state,
        attempts=row.attempts,
        not_before=row.not_before,
        error=row.error,
    )


def release(tx: Connection, records: Sequence[RecordKey]) -> None:
    """The CRM shows the stage: what waited for that may go now."""
    if records:
        tx.execute(_waiting_for(tx, records).values(state="ready", not_before=None))


def hold(tx: Connection, record: RecordKey, reason: str) -> None:
    """The CRM does not take the stage for now: nobody is told until it does, or the lead leaves the stage."""
    tx.execute(_waiting_for(tx, [record]).values(not_before=None, error=reason))


def withhold(tx: Connection, record: RecordKey, reason: str) -> None:
    """The CRM does not show the stage and will not: nobody is told."""
    tx.execute(_waiting_for(tx, [record]).values(state="dead", error=reason))


def _waiting_for(tx: Connection, records: Iterable[RecordKey]) -> Update:
    theirs = select(kept.c.key).where(keys_among(tx, _RECORD, records))
    return update(notices).where(notices.c.state == "waiting", notices.c.handoff_key.in_(theirs))


def mark_sending(tx: Connection, key: str, settled_at: datetime | None = None) -> bool:
    """Claim it just before it goes out; False: somebody else did, or it is done. Where nothing more is heard of it, it
    is not touched again before `settled_at`: until then its receiver may still be at work on it."""
    claimed = update(notices).where(notices.c.key == key, notices.c.state.in_(("ready", "waiting", "uncertain")))
    return tx.execute(claimed.values(state="sending", not_before=settled_at)).rowcount == 1


def mark_sent(tx: Connection, key: str, at: datetime) -> None:
    _mark(tx, key, "sent", sent_at=at, error=None, attempts=notices.c.attempts + 1)


def mark_failed(tx: Connection, key: str, error: str, next_at: datetime) -> None:
    """It certainly did not arrive; to be sent again from `next_at` on."""
    _mark(tx, key, "ready", error=error, not_before=next_at, attempts=notices.c.attempts + 1)


def mark_dead(tx: Connection, key: str, error: str) -> None:
    """It will not be sent any more; a person sees it."""
    _mark(tx, key, "dead", error=error)


def mark_uncertain(tx: Connection, key: str, error: str, next_at: datetime | None = None) -> None:
    """It may have arrived: the receiver broke off in the middle. To be looked at again from `next_at` on."""
    _mark(tx, key, "uncertain", error=error, not_before=next_at, attempts=notices.c.attempts + 1)


def _mark(tx: Connection, key: str, state: NoticeState, **values: Any) -> None:
    tx.execute(update(notices).where(notices.c.key == key).values(state=state, **values))


def recover(tx: Connection, connection: str, now: datetime) -> list[Notice]:
    """Call what a dead process left `sending` uncertain; everything uncertain that is due. Only under the lease."""
    left = update(notices).where(notices.c.connection == connection, notices.c.state == "sending")
    tx.execute(left.values(state="uncertain"))
    due_now = or_(notices.c.not_before.is_(None), notices.c.not_before <= now)
    found = _with_handoffs().where(notices.c.connection == connection, notices.c.state == "uncertain", due_now)
    return [_notice(row) for row in tx.execute(found)]


def counts(tx: Connection, connection: str) -> dict[NoticeState, int]:
    """State -> notices; a state without any is absent."""
    found = tx.execute(
        select(notices.c.state, func.count()).where(notices.c.connection == connection).group_by(notices.c.state)
    )
    return dict(iter(found))


def handoffs(
    tx: Connection, connection: str, *, open_only: bool = False, limit: int = 1000
) -> list[tuple[Handoff, datetime | None, list[Notice]]]:
    """(hand-off, when its lead left the stage, its notices), the latest first."""
    wanted = select(kept.c.key, kept.c.payload, kept.c.closed_at).where(kept.c.connection == connection)
    if open_only:
        wanted = wanted.where(kept.c.closed_at.is_(None))
    found = tx.execute(wanted.order_by(kept.c.at.desc(), kept.c.key).limit(limit)).all()
    told = _with_handoffs().where(among(tx, notices.c.handoff_key, [row.key for row in found]))
    by_handoff: dict[str, list[Notice]] = {}
    for row in tx.execute(told):
        by_handoff.setdefault(row.handoff_key, []).append(_notice(row))
    return [(HANDOFF.value(row.payload), row.closed_at, by_handoff.get(row.key, [])) for row in found]
