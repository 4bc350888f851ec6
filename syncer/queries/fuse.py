"""The plan that waits at the fuse: what it would do, what made it, and a person's word on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import StalePlanError
from syncer.model import LeadPlan, Run
from syncer.queries.accounts import By
from syncer.queries.rule_changes import RuleChange, changes
from syncer.store import audit, decisions, mirror, runs
from syncer.store.audit import Entry
from syncer.store.decisions import Place, move_named

RELOADS: tuple[audit.Act, ...] = ("config_reloaded", "config_refused")
_PAGE = 50  # leads
_REASONS = 3
_MOST_LINES = 20  # of a reload
_MOST_CHANGES = 100  # of rules, that are told
_SLACK = 20  # one more for each of so many, rounded up: leads go on arriving after the plan was made


@dataclass(frozen=True, slots=True)
class Limit:
    """What one run may do, and what the plan would do."""

    what: Literal["stage_changes", "handoffs"]
    planned: int
    limit: int
    allowed: int  # of the next full run, once a person has approved the plan

    @property
    def over(self) -> int:
        """By how many; 0: it is within the limit."""
        return max(0, self.planned - self.limit)


@dataclass(frozen=True, slots=True)
class Move:
    """How many leads the plan moves from one stage to another; `before` None: their first stage."""

    before: str | None
    after: str
    leads: int
    name: str  # what its leads are asked for by


@dataclass(frozen=True, slots=True)
class Moved:
    """One lead that the plan moves or hands over."""

    lead: int
    name: str  # its e-mail address, else its record
    before: str | None
    after: str
    previous_hundredths: int | None
    total_hundredths: int
    cause: str
    handed_over: bool
    reasons: tuple[str, ...]  # the strongest, as "+12 Decision maker"


@dataclass(frozen=True, slots=True)
class Word:
    """A person's, on the plan: the next full run, which plans anew, may do so much."""

    by: str
    at: datetime
    stage_changes: int
    handoffs: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan of more than the fuse lets through."""

    run: int
    planned_at: datetime
    scored: int
    records: int  # to be written
    limits: tuple[Limit, ...]
    moves: tuple[Move, ...]  # the most first
    same_settings: bool  # as now; else the next run plans anew, and this one cannot be approved
    kept: bool  # its leads are still known
    approved: Word | None


@dataclass(frozen=True, slots=True)
class Acted:
    """An entry of the audit log about settings."""

    at: datetime
    who: str
    act: str
    about: str
    lines: tuple[str, ...]  # what has changed, or what is wrong


def waiting(app: App, connection: str) -> Waiting | None:
    """None: no plan waits. NotFound (SY080) for a connection that is none."""
    name = app.connection(connection).name
    with app.store.reading() as tx:
        run = runs.waits(tx, name)
        if run is None:
            return None
        word = runs.approved(tx, name)
        return Waiting(
            run=run.id,
            planned_at=run.finished_at or run.started_at,
            scored=run.counts.get("scored", 0),
            records=run.counts.get("changes", 0),
            limits=_limits(app, run),
            moves=moves_of(tx, run.id),
            same_settings=runs.made_with(tx, run.id)[1] == app.project.fingerprint,
            kept=decisions.has_plan(tx, run.id),
            approved=None if word is None else Word(word.by, word.at, word.stage_changes, word.handoffs),
        )


def _limits(app: App, run: Run) -> tuple[Limit, Limit]:
    """Of stage changes and of hand-offs."""
    sync, counts = app.project.sync, run.counts
    return (
        limited("stage_changes", counts.get("stage_changes", 0), sync.max_stage_changes),
        limited("handoffs", counts.get("handoffs", 0), sync.max_handoffs),
    )


def limited(what: Literal["stage_changes", "handoffs"], planned: int, limit: int) -> Limit:
    """With a little more allowed than was planned, for leads that come after it, and never less than any run may."""
    return Limit(what, planned, limit, max(limit, planned + -(-planned // _SLACK)))


def moves_of(tx: Connection, run: int) -> tuple[Move, ...]:
    """What a run has planned, the most leads first."""
    found = runs.moves_of(tx, run).items()
    told = [Move(before, after, leads, move_named(before, after)) for (before, after), leads in found]
    return tuple(sorted(told, key=lambda each: (-each.leads, each.name)))


def moved(app: App, run: int, after: Place | None, move: str | None) -> tuple[tuple[Moved, ...], Place | None]:
    """The next leads of a plan, and behind which the ones after them are found; None: there are no more."""
    with app.store.reading() as tx:
        found = decisions.moves_of(tx, run, _PAGE + 1, after=after, move=move)
        shown = found[:_PAGE]
        names = names_of(tx, [place.lead for place, _ in shown])
    told = tuple(_moved(planned, names.get(place.lead, f"lead {place.lead}")) for place, planned in shown)
    return told, shown[-1][0] if len(found) > _PAGE else None


def names_of(tx: Connection, leads: Sequence[int]) -> Mapping[int, str]:
    """Lead -> how people know it: its e-mail address, else its record."""
    return {lead: email or str(key) for lead, (key, email) in mirror.faces(tx, leads).items()}


def _moved(planned: LeadPlan, name: str) -> Moved:
    decision = planned.decision
    lines = sorted(decision.score.contributions, key=lambda line: (-abs(line.hundredths), line.rule))
    return Moved(
        lead=decision.lead,
        name=name,
        before=decision.before.stage if decision.before else None,
        after=decision.after.stage,
        previous_hundredths=decision.previous_total,
        total_hundredths=decision.score.total,
        cause=decision.after.cause,
        handed_over=planned.handoff is not None,
        reasons=tuple(f"{line.hundredths / 100:+g} {line.name}" for line in lines[:_REASONS]),
    )


# what made it


def rule_changes(app: App, connection: str) -> tuple[RuleChange, ...] | None:
    """Between the rules that decided the connection's leads last and those of the project now; None where it is not
    known which did."""
    with app.store.reading() as tx:
        before = runs.rules_at(tx, connection, app.clock())
    return None if before is None else changes(before, app.project.segments)[:_MOST_CHANGES]


def reloads(app: App, most: int) -> tuple[Acted, ...]:
    """When settings were taken anew or refused, the latest first."""
    with app.store.reading() as tx:
        latest = audit.latest(tx, RELOADS, most)
    return tuple(Acted(each.at, each.who, each.act, each.about, _lines(each)) for each in latest)


def _lines(entry: Entry) -> tuple[str, ...]:
    told = entry.details.get("changed") or entry.details.get("problems") or ()
    return tuple(map(str, told))[:_MOST_LINES]


def stages_after(now: Mapping[str, int], moves: Sequence[Move]) -> Mapping[str, int]:
    """Stage -> leads once the plan is carried out. `now`: as they stand."""
    after = Counter(now)
    for move in moves:
        after[move.after] += move.leads
        if move.before is not None:
            after[move.before] -= move.leads
    return after


# a person's word


def approve(app: App, connection: str, run: int, by: By) -> Word:
    """The next full run, which plans anew, may do what `Limit.allowed` says: what the plan of this one would and a
    little more, or what any run may. It begins at once, where somebody runs the connection. NotFound, StalePlanError
    (SY286) where that plan waits no more."""
    name, now = app.connection(connection).name, app.clock()
    with app.store.writing() as tx:
        runs.lock_connection(tx, name)
        waits = _insist_on_waiting(tx, app, name, run)
        moves, alerts = (limit.allowed for limit in _limits(app, waits))
        word = runs.Approval(run, app.project.fingerprint, moves, alerts, by.who, now)
        runs.approve(tx, name, word)
        runs.ring(tx, name, now)
        audit.note(tx, Entry(now, by.who, "plan_approved", name, by.address, _told(word)))
    return Word(by.who, now, moves, alerts)


def refuse(app: App, connection: str, run: int, by: By) -> None:
    """The word on this plan is taken back; runs go on planning and wait. StalePlanError (SY287) where none stands."""
    name, now = app.connection(connection).name, app.clock()
    with app.store.writing() as tx:
        runs.lock_connection(tx, name)
        word = runs.approved(tx, name)
        if word is None or word.run != run:
            raise StalePlanError(
                f"{name}: no approval of plan {run} stands; a run may have begun with it", code="SY287"
            )
        runs.drop_approval(tx, name)
        audit.note(tx, Entry(now, by.who, "plan_refused", name, by.address, _told(word)))


def _insist_on_waiting(tx: Connection, app: App, name: str, run: int) -> Run:
    waits = runs.waits(tx, name)
    if waits is None or waits.id != run:
        newer = "none waits now" if waits is None else f"plan {waits.id} waits now; look at that one"
        raise StalePlanError(f"{name}: plan {run} waits no more: {newer}", code="SY286")
    if runs.made_with(tx, run)[1] != app.project.fingerprint:
        raise StalePlanError(
            f"{name}: the settings have changed since plan {run} was made; the next run plans anew", code="SY286"
        )
    if not decisions.has_plan(tx, run):
        raise StalePlanError(f"{name}: the leads of plan {run} are not kept; the next run plans anew", code="SY286")
    return waits


def _told(word: runs.Approval) -> Mapping[str, object]:
    return {"run": word.run, "stage_changes": word.stage_changes, "handoffs": word.handoffs}
