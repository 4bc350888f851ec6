"""Runs, and the row of each connection: whose account, whether its baseline is done, when it is due, until when its CRM
has asked for patience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update

from syncer.errors import NotFound
from syncer.model import Run
from syncer.rules import Segment, segments_of
from syncer.store.columns import from_ms, to_ms
from syncer.store.sql import insert as insert_or
from syncer.store.sql import upsert
from syncer.store.tables import connections, installations, rules_in_force, runs

Kind = Literal["full", "quick"]
"""quick: only what the CRM has hinted at was read."""

_KEPT: Mapping[Kind, timedelta] = {"quick": timedelta(days=7), "full": timedelta(days=400)}
_DROPPED = 100  # of each kind, by each run that starts


def start(tx: Connection, connection: str, at: datetime, kind: Kind = "full", project: str | None = None) -> int:
    """A new run, outcome "running"; its id. `project`: the fingerprint of what it runs with. Some of those that are too
    old to be of use are dropped."""
    _drop_old(tx, connection, at)
    first = {"connection": connection, "kind": kind, "started_at": at, "counts": {}, "project": project}
    run_id: int = tx.execute(insert(runs).values(first).returning(runs.c.id)).scalar_one()
    return run_id


def _drop_old(tx: Connection, connection: str, at: datetime) -> None:
    """No more than a few at a time: a run begins at once, and one of each kind is added at most."""
    for kind, kept in _KEPT.items():
        old = (runs.c.connection == connection, runs.c.kind == kind, runs.c.started_at < at - kept)
        oldest = select(runs.c.id).where(*old).order_by(runs.c.started_at).limit(_DROPPED)
        tx.execute(delete(runs).where(runs.c.id.in_(oldest)))


def finish(  # noqa: PLR0913  # a run's whole end, once
    tx: Connection, run_id: int, outcome: str, counts: Mapping[str, int], error: str | None, at: datetime
) -> None:
    """How it ended; NotFound for a run that was never started."""
    ended = update(runs).where(runs.c.id == run_id)
    values = {"outcome": outcome, "counts": dict(counts), "error": error, "finished_at": at}
    if tx.execute(ended.values(values)).rowcount == 0:
        raise NotFound(f"there is no run {run_id}", code="SY068")


Moves = Mapping[tuple[str | None, str], int]
"""(stage before, stage after) -> leads; None: never decided before. Those that stay are among them."""


def keep_moves(tx: Connection, run_id: int, moves: Moves) -> None:
    """What the run has planned; who stays where they are is left out."""
    told = [[*stages, leads] for stages, leads in moves.items() if stages[0] != stages[1]]
    tx.execute(update(runs).where(runs.c.id == run_id).values(moves=told))


def moves_of(tx: Connection, run_id: int) -> Moves:
    """What the run has planned; nothing of runs that never came so far."""
    found = tx.execute(select(runs.c.moves).where(runs.c.id == run_id)).scalar()
    return {(before, after): leads for before, after, leads in found or ()}


def made_with(tx: Connection, run_id: int) -> tuple[Kind, str | None]:
    """(what kind of run, the fingerprint of the settings that it ran with); None: of old runs nobody knows."""
    found = tx.execute(select(runs.c.kind, runs.c.project).where(runs.c.id == run_id)).one()
    return found.kind, found.project


def interrupted(tx: Connection, connection: str, at: datetime) -> int:
    """Close the runs that a crash left open, as "crashed"; how many. Only for who holds the connection's lease."""
    left = update(runs).where(runs.c.connection == connection, runs.c.outcome == "running")
    return tx.execute(left.values(outcome="crashed", finished_at=at)).rowcount


def get(tx: Connection, run_id: int) -> Run:
    """NotFound (SY068) if there is none."""
    found = tx.execute(select(runs).where(runs.c.id == run_id)).first()
    if found is None:
        raise NotFound(f"there is no run {run_id}", code="SY068")
    return _run(found)


def last(tx: Connection, connection: str, n: int = 1, kind: Kind | None = None) -> list[Run]:
    """The last `n`, of one kind or of any, the latest first."""
    found = select(runs).where(runs.c.connection == connection).order_by(runs.c.id.desc())
    if kind is not None:  # in the order of their index: of some kind there may be very many
        its_kind = select(runs).where(runs.c.connection == connection, runs.c.kind == kind)
        found = its_kind.order_by(runs.c.started_at.desc(), runs.c.id.desc())
    return [_run(row) for row in tx.execute(found.limit(n))]


def latest_full(tx: Connection, connection: str) -> Run | None:
    """The full run that began last, whatever became of it; one that only planned does not count."""
    found = tx.execute(of_latest_full(connection, runs)).first()
    return None if found is None else _run(found)


def of_latest_full(connection: str, *what: Any) -> Select[Any]:
    """These columns of that run."""
    theirs = (runs.c.connection == connection, runs.c.kind == "full", runs.c.outcome != "planned")
    return select(*what).where(*theirs).order_by(runs.c.id.desc()).limit(1)


def waits(tx: Connection, connection: str) -> Run | None:
    """The run whose plan waits at the fuse; None: none does."""
    latest = latest_full(tx, connection)
    return latest if latest is not None and latest.outcome == "waiting" else None


def spent(tx: Connection, connection: str, since: datetime) -> int:
    """Requests sent by the finished runs that began since then, as they counted them."""
    return counted(tx, connection, ("read_calls", "write_calls"), since)


def counted(tx: Connection, connection: str, names: Sequence[str], since: datetime) -> int:
    """The sum of these counts over the runs that began since then."""
    where = (runs.c.connection == connection, runs.c.kind.in_(_KEPT), runs.c.started_at >= since)
    found = tx.execute(select(runs.c.counts).where(*where)).scalars()
    return sum(int(counts.get(name, 0)) for counts in found for name in names)


def note(tx: Connection, connection: str, name: str, more: int) -> None:
    """Count what happened after the last full run to that one."""
    for run in last(tx, connection, kind="full"):
        counts = {**run.counts, name: int(run.counts.get(name, 0)) + more}
        tx.execute(update(runs).where(runs.c.id == run.id).values(counts=counts))


def noted(tx: Connection, connection: str, name: str) -> int:
    """The sum of this count over the last full run and the quick ones after it."""
    since = select(func.max(runs.c.id)).where(runs.c.connection == connection, runs.c.kind == "full").scalar_subquery()
    found = tx.execute(select(runs.c.counts).where(runs.c.connection == connection, runs.c.id >= since)).scalars()
    return sum(int(counts.get(name, 0)) for counts in found)


def _run(row: Any) -> Run:
    return Run(row.id, row.connection, row.started_at, row.finished_at, row.outcome, row.counts, row.error)


def lock_connection(tx: Connection, connection: str) -> None:
    """Make the connection's row if there is none and hold it to the end of the transaction: one writer at a time."""
    new = insert_or(tx, connections).values(name=connection)
    tx.execute(new.on_conflict_do_update(index_elements=["name"], set_={"name": connection}))


def account(tx: Connection, connection: str) -> str | None:
    """Which portal or org the state was made against; None: none yet."""
    return tx.execute(select(connections.c.account).where(connections.c.name == connection)).scalar()


def set_account(tx: Connection, connection: str, account: str) -> None:
    _set(tx, connection, account=account)


def baseline_done(tx: Connection, connection: str) -> bool:
    """Whether the base was scored once, so that from now on a hand-off may alert."""
    found = tx.execute(select(connections.c.baseline_at).where(connections.c.name == connection)).scalar()
    return found is not None


def set_baseline(tx: Connection, connection: str, at: datetime) -> None:
    """The whole base has been scored; when that was first stays."""
    if not baseline_done(tx, connection):
        _set(tx, connection, baseline_at=at)


def due_at(tx: Connection, connection: str) -> datetime | None:
    """When the next run is due; None: at once."""
    return tx.execute(select(connections.c.due_at).where(connections.c.name == connection)).scalar()


def set_due(tx: Connection, connection: str, at: datetime) -> None:
    _set(tx, connection, due_at=at)


_LONGEST_PARK = timedelta(hours=26)  # as runs park at most; what is further away was kept by a clock that was wrong


@dataclass(frozen=True, slots=True)
class Parked:
    """A connection is left alone until then: its CRM has asked for patience."""

    until: datetime
    reason: str


def parked(tx: Connection, connection: str, now: datetime) -> Parked | None:
    """None: its CRM may be asked."""
    found = tx.execute(
        select(connections.c.parked_until, connections.c.parked_reason).where(
            connections.c.name == connection, is_parked(now)
        )
    ).first()
    return None if found is None else Parked(found.parked_until, found.parked_reason or "")


def is_parked(now: datetime) -> ColumnElement[bool]:
    """Of a row of `connections`; never unknown."""
    until = connections.c.parked_until
    return until.is_not(None) & (until > now) & (until <= now + _LONGEST_PARK)


def park(tx: Connection, connection: str, until: datetime, reason: str) -> None:
    _set(tx, connection, parked_until=until, parked_reason=reason)


def unpark(tx: Connection, connection: str) -> None:
    """Its CRM has answered."""
    _set(tx, connection, parked_until=None, parked_reason=None, failures=0)


def take_settings(tx: Connection, connection: str, fingerprint: str) -> bool:
    """Keep what the connection is run with from now on; whether it was run with others before. Then a person has
    changed them, and what kept it from working may be mended: it is left alone no longer."""
    known = tx.execute(select(connections.c.settings).where(connections.c.name == connection)).scalar()
    if known == fingerprint:
        return False
    _set(tx, connection, settings=fingerprint)
    if known is None:
        return False
    _set(tx, connection, parked_until=None, parked_reason=None, failures=0)
    return True


def failures(tx: Connection, connection: str) -> int:
    """How many full runs in a row have got nothing from the CRM."""
    return tx.execute(select(connections.c.failures).where(connections.c.name == connection)).scalar() or 0


def count_failures(tx: Connection, connection: str, failures: int) -> None:
    _set(tx, connection, failures=failures)


_PERSON = "person"  # among the outages: the one of which a person was told


def failing(tx: Connection, connection: str) -> dict[Kind, str]:
    """The codes of the outages that were told and have not ended, by the kind of run that has met them."""
    return by_kind(_outages(tx, connection))


def by_kind(failing: Mapping[str, str] | None) -> dict[Kind, str]:
    """What a connection's row says of its outages; without that of which a person was told."""
    return {kind: failing[kind] for kind in _KEPT if failing and kind in failing}


def set_failing(tx: Connection, connection: str, codes: Mapping[Kind, str]) -> None:
    told = {_PERSON: code} if (code := person_told(tx, connection)) else {}
    _set(tx, connection, failing={**codes, **told} or None)


def person_told(tx: Connection, connection: str) -> str | None:
    """The code of the trouble that only a person can mend, once one was told and as long as it lasts."""
    return _outages(tx, connection).get(_PERSON)


def set_person_told(tx: Connection, connection: str, code: str | None, at: datetime) -> None:
    """None: it is over."""
    known = {kind: each for kind, each in _outages(tx, connection).items() if kind != _PERSON}
    told = {_PERSON: code} if code else {}
    _set(tx, connection, failing={**known, **told} or None, told_at=at if code else None)


def _outages(tx: Connection, connection: str) -> dict[str, str]:
    return tx.execute(select(connections.c.failing).where(connections.c.name == connection)).scalar() or {}


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on the plan that waits at the fuse: the next full run may do as much as that, once."""

    run: int  # the one that waits
    project: str  # the fingerprint of the settings that it was planned with
    stage_changes: int
    handoffs: int
    by: str
    at: datetime


def approve(tx: Connection, connection: str, approval: Approval) -> None:
    """In place of any word before it."""
    told = asdict(approval) | {"at": to_ms(approval.at)}
    _set(tx, connection, approved=told)


def approved(tx: Connection, connection: str) -> Approval | None:
    """The word that stands: that of a run which still is the latest full one. So the next full run uses it up by
    beginning, whatever comes of it."""
    told = tx.execute(select(connections.c.approved).where(connections.c.name == connection)).scalar()
    if not told:
        return None
    waiting = waits(tx, connection)
    if waiting is None or waiting.id != told["run"]:
        return None
    return Approval(**told | {"at": from_ms(told["at"])})


def use_approval(tx: Connection, connection: str, project: str) -> Approval | None:
    """For a full run that is about to begin with these settings, in the transaction in which it does; None: none
    stands, or it was for other settings. Nobody approves or takes it back meanwhile."""
    if not waits(tx, connection):
        return None  # and nobody can approve
    lock_connection(tx, connection)
    found = approved(tx, connection)
    return found if found is not None and found.project == project else None


def drop_approval(tx: Connection, connection: str) -> None:
    _set(tx, connection, approved=None)


def ring(tx: Connection, name: str, at: datetime) -> None:
    """This connection is due now: a run of another one has touched leads that it decides. One that is at work, so was
    due before, sees by the later time that it must go on."""
    tx.execute(update(connections).where(connections.c.name == name).values(due_at=at))


def models(tx: Connection, connection: str) -> str | None:
    """The rules (see rules.rules_version) that scored the connection's leads last; None: none yet."""
    return tx.execute(select(connections.c.models).where(connections.c.name == connection)).scalar()


def set_models(tx: Connection, connection: str, rules_version: str) -> None:
    _set(tx, connection, models=rules_version)


def keep_rules(tx: Connection, connection: str, segments_text: str, at: datetime) -> None:
    """The rules (see rules.segments_text) that decide the connection's leads from now on. Those in force already are
    not kept again; a clock set back does not put new rules before old ones."""
    newest = tx.execute(_rules(connection).order_by(rules_in_force.c.since.desc()).limit(1)).first()
    if newest is not None and newest.segments == segments_text:
        return
    since = at if newest is None else max(at, newest.since)
    upsert(tx, rules_in_force, [{"connection": connection, "since": since, "segments": segments_text}])


def rules_at(tx: Connection, connection: str, at: datetime) -> tuple[Segment, ...] | None:
    """Those that decided the connection's leads then; None: none did yet, as far as is known."""
    by_then = _rules(connection).where(rules_in_force.c.since <= at)
    found = tx.execute(by_then.order_by(rules_in_force.c.since.desc()).limit(1)).first()
    return None if found is None else segments_of(found.segments)


def rules_between(
    tx: Connection, connection: str, start: datetime, end: datetime
) -> list[tuple[datetime, tuple[Segment, ...]]]:
    """Those that came into force after `start` and by `end`, the oldest first, each with when."""
    meanwhile = _rules(connection).where(rules_in_force.c.since > start, rules_in_force.c.since <= end)
    return [(row.since, segments_of(row.segments)) for row in tx.execute(meanwhile.order_by(rules_in_force.c.since))]


def _rules(connection: str) -> Select[Any]:
    return select(rules_in_force).where(rules_in_force.c.connection == connection)


def installation(tx: Connection) -> str:
    """Names this database for good; drawn by lot when it was made."""
    name: str = tx.execute(select(installations.c.id)).scalar_one()
    return name


def _set(tx: Connection, connection: str, **values: Any) -> None:
    new = insert_or(tx, connections).values(name=connection, **values)
    tx.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))
