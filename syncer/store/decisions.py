"""The run's plan, and what becomes of it: current states, transitions, overrides, write-backs, hand-offs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, literal, or_, select, tuple_, update

from syncer.errors import NotFound, StalePlanError
from syncer.model import Decision, LeadPlan, LeadState, Notice, Override, RecordKey, Transition
from syncer.store import outbox, words, write_backs
from syncer.store.columns import to_ms
from syncer.store.leads import state_of
from syncer.store.payloads import PLAN
from syncer.store.sql import among, upsert
from syncer.store.tables import decisions as planned
from syncer.store.tables import leads, runs
from syncer.store.tables import transitions as moves
from syncer.store.touching import BITS, touch


def save_plan(tx: Connection, run_id: int, plans: Sequence[LeadPlan]) -> None:
    """Add to the run's plan; a lead planned twice keeps the later plan."""
    latest = {plan.decision.lead: plan for plan in plans}
    upsert(tx, planned, [_plan_row(run_id, plan) for plan in latest.values()])


def _plan_row(run_id: int, plan: LeadPlan) -> dict[str, Any]:
    before = plan.decision.before
    return {
        "run_id": run_id,
        "lead_id": plan.decision.lead,
        "revision": plan.decision.revision,
        "before_stage": before.stage if before else None,
        "before_since": before.since if before else None,
        "payload": PLAN.text(plan),
        "move": _move(plan),
    }


def _move(plan: LeadPlan) -> str | None:
    """None: nobody sees anything of it."""
    decision = plan.decision
    if not decision.moved and plan.handoff is None:
        return None
    return move_named(decision.before.stage if decision.before else None, decision.after.stage)


def move_named(before: str | None, after: str) -> str:
    """What moves of leads from one stage to another are found by. `before` None: their first stage."""
    return f"{before or ''}>{after}"


def plan_of(tx: Connection, run_id: int, size: int = 2000) -> Iterator[list[LeadPlan]]:
    """The run's plan by lead, `size` at a time. The transaction may write between two chunks."""
    last = 0
    while True:
        found = tx.execute(
            select(planned.c.lead_id, planned.c.payload)
            .where(planned.c.run_id == run_id, planned.c.lead_id > last)
            .order_by(planned.c.lead_id)
            .limit(size)
        ).all()
        if not found:
            return
        yield [PLAN.value(row.payload) for row in found]
        last = found[-1].lead_id


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a plan's moves ends."""

    move: str
    lead: int


def moves_of(
    tx: Connection, run_id: int, limit: int, *, after: Place | None = None, move: str | None = None
) -> list[tuple[Place, LeadPlan]]:
    """Up to `limit` leads that the run's plan moves or hands over, by move and lead; those behind `after`; `move`: only
    that one (see `move_named`)."""
    found = select(planned.c.move, planned.c.lead_id, planned.c.payload).where(
        planned.c.run_id == run_id, planned.c.move.is_not(None)
    )
    if move is not None:
        found = found.where(planned.c.move == move, planned.c.lead_id > (after.lead if after is not None else 0))
    elif after is not None:
        place = tuple_(literal(after.move, planned.c.move.type), literal(after.lead, BigInteger))
        found = found.where(tuple_(planned.c.move, planned.c.lead_id) > place)
    rows = tx.execute(found.order_by(planned.c.move, planned.c.lead_id).limit(limit))
    return [(Place(row.move, row.lead_id), PLAN.value(row.payload)) for row in rows]


def has_plan(tx: Connection, run_id: int) -> bool:
    return tx.execute(select(planned.c.run_id).where(planned.c.run_id == run_id).limit(1)).first() is not None


def drop_plan(tx: Connection, run_id: int) -> None:
    tx.execute(delete(planned).where(planned.c.run_id == run_id))


def drop_old_plans(tx: Connection, connection: str, before: datetime, but: int | None = None) -> None:
    """Plans nobody can carry out any more: of runs that crashed, failed, were stopped or met the fuse, and old ones.
    `but`: that of the run that a person is still to look at."""
    useless = or_(runs.c.outcome.in_(("crashed", "failed", "stopped", "waiting")), runs.c.started_at < before)
    others = [run for run in _with_a_plan(tx) if run != but]
    theirs = select(runs.c.id).where(among(tx, runs.c.id, others), runs.c.connection == connection, useless)
    if old := tx.execute(theirs).scalars().all():
        tx.execute(delete(planned).where(among(tx, planned.c.run_id, old)))


def _with_a_plan(tx: Connection) -> list[int]:
    """The few runs whose plan is kept, of all that ever were and of all leads that are planned."""
    found: list[int] = []
    while True:
        behind = select(func.min(planned.c.run_id)).where(planned.c.run_id > (found[-1] if found else 0))
        run_id = tx.execute(behind).scalar()
        if run_id is None:
            return found
        found.append(run_id)


def hold(tx: Connection, run_id: int) -> None:
    """Nobody else touches the plan's leads to the end of the transaction: who speaks on one of them has done so before,
    or waits. They are taken before their hand-offs, as by whoever answers one."""
    theirs = select(planned.c.lead_id).where(planned.c.run_id == run_id)
    held = select(leads.c.id).where(leads.c.id.in_(theirs)).order_by(leads.c.id).with_for_update().subquery()
    tx.execute(select(func.count()).select_from(held))


def stale(tx: Connection, run_id: int) -> int:
    """How many planned leads changed, were decided otherwise, or went since they were planned."""
    moved = or_(
        leads.c.id.is_(None),
        leads.c.revision != planned.c.revision,
        leads.c.stage.is_distinct_from(planned.c.before_stage),
        leads.c.since.is_distinct_from(planned.c.before_since),
    )
    both = planned.outerjoin(leads, leads.c.id == planned.c.lead_id)
    return tx.execute(select(func.count()).select_from(both).where(planned.c.run_id == run_id, moved)).scalar_one()


def leave_out_stale(tx: Connection, run_id: int) -> int:
    """Take the leads that changed meanwhile out of the plan: the next run decides them. How many there were."""
    fresh = select(planned.c.lead_id).select_from(planned.join(leads, leads.c.id == planned.c.lead_id))
    fresh = fresh.where(planned.c.run_id == run_id, leads.c.revision == planned.c.revision)
    gone = delete(planned).where(planned.c.run_id == run_id, planned.c.lead_id.not_in(fresh))
    return tx.execute(gone).rowcount


def apply(tx: Connection, run_id: int, plans: Sequence[LeadPlan], notices: Sequence[Notice], at: datetime) -> None:
    """Make the plans true: everything they decide, in the caller's transaction. StalePlanError (SY053) if one of
    their leads moved on since it was planned; then nothing of this call may be committed."""
    _insist_fresh(tx, plans)
    _keep_states(tx, plans)
    _keep_overrides(tx, plans)
    _keep_transitions(tx, run_id, plans, at)
    write_backs.keep(tx, plans)
    outbox.keep(tx, plans, notices, at)


def _insist_fresh(tx: Connection, plans: Sequence[LeadPlan]) -> None:
    ids = sorted({plan.decision.lead for plan in plans})
    found = tx.execute(
        select(leads.c.id, leads.c.revision, leads.c.stage, leads.c.since)
        .where(among(tx, leads.c.id, ids))
        .order_by(leads.c.id)
        .with_for_update()
    )
    now = {row.id: (row.revision, row.stage, to_ms(row.since) if row.since else None) for row in found}
    changed = [plan.decision.lead for plan in plans if now.get(plan.decision.lead) != _stands_on(plan.decision)]
    if changed:
        named = ", ".join(map(str, changed[:5]))
        raise StalePlanError(
            f"{len(changed)} leads changed since the plan was made (lead {named}); plan again", code="SY053"
        )


def _stands_on(decision: Decision) -> tuple[int, str | None, int | None]:
    if decision.before is None:
        return decision.revision, None, None
    return decision.revision, decision.before.stage, to_ms(decision.before.since)


def _keep_states(tx: Connection, plans: Sequence[LeadPlan]) -> None:
    rows = [_state_row(plan.decision) for plan in plans]
    if rows:
        decided: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "lead"}
        tx.execute(update(leads).where(leads.c.id == bindparam("lead")).values(**decided), rows)


def _state_row(decision: Decision) -> dict[str, Any]:
    after, score = decision.after, decision.score
    return {
        "lead": decision.lead,
        "touched": 0,
        "stage": after.stage,
        "automatic": after.automatic,
        "since": after.since,
        "episode": after.episode,
        "held_by": after.held_by,
        "cause": after.cause,
        "total": score.total,
        "dimensions": dict(score.dimensions),
        "model": score.model,
        "scored_at": score.as_of,
        "next_look": decision.next_look,
        "override_until": decision.override.until if decision.override else None,
        "veto": decision.veto,
    }


def _keep_overrides(tx: Connection, plans: Sequence[LeadPlan]) -> None:
    """A new override is kept and ends the one before. One that the decision no longer obeys has ended, too, and so has
    what fields say, unless the lead is only out of our hands for now (protected). Of one that stays it may have become
    known who said it."""
    latest = max((plan.decision.score.as_of for plan in plans), default=None)
    known = words.newest(tx, [plan.decision.lead for plan in plans], latest) if latest else {}
    new, ended = [], []
    for decision in (plan.decision for plan in plans):
        last, obeyed = known.get(decision.lead), decision.override
        if obeyed is not None and last is not None and _identity(last) == _identity(obeyed):
            if last.author != obeyed.author:
                words.name_author(tx, decision.lead, obeyed)
            continue
        if obeyed is not None:
            new.append((decision.lead, obeyed))
        if last is not None and (obeyed is not None or decision.after.held_by != "protected"):
            ended.append((decision.lead, decision.score.as_of))
    words.end(tx, ended)
    words.add(tx, new)
    words.silence(tx, {lead for lead, _ in ended} - {lead for lead, _ in new})


def _identity(override: Override) -> tuple[str, str, int]:
    return override.stage, override.source, to_ms(override.since)


def _keep_transitions(tx: Connection, run_id: int, plans: Sequence[LeadPlan], at: datetime) -> None:
    rows = [
        _transition_row(run_id, plan.decision, at)
        for plan in plans
        if plan.decision.moved or plan.decision.before is None
    ]
    if rows:
        tx.execute(insert(moves), rows)


def _transition_row(run_id: int, decision: Decision, at: datetime) -> dict[str, Any]:
    return {
        "lead_id": decision.lead,
        "at": at,
        "before": decision.before.stage if decision.before else None,
        "after": decision.after.stage,
        "cause": decision.after.cause,
        "total": decision.score.total,
        "model": decision.score.model,
        "episode": decision.after.episode,
        "run": run_id,
    }


def transitions(tx: Connection, lead_id: int) -> list[Transition]:
    """Every move of the lead (and of leads that were merged into it), the oldest first."""
    columns = [moves.c[name] for name in ("lead_id", "at", "before", "after", "cause", "total", "model")]
    found = tx.execute(
        select(*columns, moves.c.episode, moves.c.run)
        .where(moves.c.lead_id == lead_id)
        .order_by(moves.c.at, moves.c.id)
    )
    return [Transition(*values) for values in map(tuple, found)]


def stage_counts(tx: Connection, connection: str) -> dict[str, int]:
    """Stage -> live leads; leads never decided are not counted."""
    found = tx.execute(
        select(leads.c.stage, func.count())
        .where(leads.c.connection == connection, leads.c.live.is_(True), leads.c.stage.is_not(None))
        .group_by(leads.c.stage)
    )
    return dict(iter(found))


def lead_state(tx: Connection, lead_id: int, now: datetime | None = None) -> LeadState:
    """What was decided of the lead last, and what people say of it by `now`, or by the clock; NotFound (SY067)."""
    found = tx.execute(select(leads).where(leads.c.id == lead_id)).first()
    if found is None:
        raise NotFound(f"there is no lead {lead_id}", code="SY067")
    return state_of(found, words.newest(tx, [lead_id], now or datetime.now(UTC)).get(lead_id))


def set_override(tx: Connection, lead_id: int, override: Override) -> None:
    """A person's word on the lead; the one before it ends. NotFound (SY067)."""
    _insist_known(tx, lead_id)
    words.end(tx, [(lead_id, override.since)])
    words.add(tx, [(lead_id, override)])
    touch(tx, {lead_id: BITS["override"]})


def end_override(tx: Connection, lead_id: int, at: datetime) -> list[RecordKey]:
    """Whatever override is open ends now, and the rules decide again. What stands in fields of the lead says nothing
    until it is written anew: returns their records. NotFound (SY067)."""
    _insist_known(tx, lead_id)
    words.end(tx, [(lead_id, at)])
    touch(tx, {lead_id: BITS["override"]})
    return words.silence(tx, [lead_id])


def _insist_known(tx: Connection, lead_id: int) -> None:
    if tx.execute(select(leads.c.id).where(leads.c.id == lead_id).with_for_update()).first() is None:
        raise NotFound(f"there is no lead {lead_id}", code="SY067")


def name_author(tx: Connection, lead_id: int, override: Override) -> None:
    """Who said this word of the lead, now that it is known; what was planned without that is planned anew."""
    words.name_author(tx, lead_id, override)
    touch(tx, {lead_id: BITS["override"]})


def overrides(tx: Connection, lead_id: int) -> list[Override]:
    """Everything people said of the lead's stage, the oldest first."""
    return words.all_of(tx, lead_id)
