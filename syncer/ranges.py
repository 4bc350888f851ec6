"""A large base is scored by several workers at once: the run's holder cuts its leads into ranges, and whoever has a
place free takes one after the other. What comes of it is what one process alone would have decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from pydantic import TypeAdapter
from sqlalchemy import Connection

from syncer import deciding, planning
from syncer.errors import LeaseLost
from syncer.model import Footprint, Lead, LeadPlan
from syncer.parts import Parts, Report
from syncer.store import Lease, cards, decisions, footprints, leases, workers
from syncer.store import ranges as kept
from syncer.store.leads import chunks_between
from syncer.store.ranges import Range, Wanted

log = structlog.get_logger(__name__)

CUT_FROM = 50_000  # leads; fewer are scored before others have begun to help
SIZE = 10_000  # leads of a range
_LOOK_S = 0.3  # how often to look whether others are done

Decided = tuple[list[LeadPlan], Mapping[int, Footprint]]
Decide = Callable[[Sequence[Lead], planning.Policy, datetime], Decided]
"""The plans of some leads, and the footprints made anew."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be scored, and how: all that a helper cannot know of itself."""

    run: int
    epoch: int  # of the lease of the run's holder
    as_of: datetime
    policy: planning.Policy
    every: bool  # lead of the connection; else those that are due
    whole: bool  # each is read whole, whatever is known of it

    def wanted(self, connection: str) -> Wanted:
        return Wanted(connection, None if self.every else self.as_of)


_WORK = TypeAdapter(Work)
Save = Callable[[], AbstractContextManager[Connection]]


def cut(parts: Parts, lease: Lease, work: Work, rules: str) -> bool:
    """Cut the work into ranges where it is much, and others are there to help; whether it was. `rules` names what they
    must go by."""
    with parts.store.reading() as tx:
        if not workers.others(tx, parts.holder) or kept.count(tx, work.wanted(parts.name)) < CUT_FROM:
            return False
    template = Range(work.run, 0, 0, rules, _WORK.dump_python(work, mode="json"))
    with parts.store.writing(lease) as tx:
        made = kept.cut(tx, work.wanted(parts.name), SIZE, template)
    log.info("scoring_shared", connection=parts.name, run=work.run, ranges=made)
    return True


def share(parts: Parts, lease: Lease, work: Work, decide: Decide) -> Report:
    """Score together with whoever helps, until all is done; what was counted over all ranges."""
    while True:
        parts.heed()
        if _next(parts, work, decide, partial(parts.store.writing, lease)):
            continue
        with parts.store.reading() as tx:
            if kept.left(tx, work.run) == 0:
                break
        parts.stop.wait(_LOOK_S)
    total = Report(work.run)
    with parts.store.writing(lease) as tx:
        for counts in kept.counts(tx, work.run):
            total.counts.update(counts["counts"])
            total.moves.update({(before, after): number for before, after, number in counts["moves"]})
        kept.forget(tx, parts.name)
    return total


def help(parts: Parts, run: int, rules: str, decide: Decide) -> int:
    """Score ranges of another process's run until none is left; how many. None at all where our rules are others."""
    done = 0
    while True:
        parts.heed()
        with parts.store.writing() as tx:
            taken = kept.claim(tx, run, parts.holder)
            if taken is not None and taken.rules != rules:
                kept.give_back(tx, taken, parts.holder)
                return done
        if taken is None:
            return done
        work = _WORK.validate_python(taken.work)
        if not _carried_out(parts, taken, decide, partial(_lent, parts, work)):
            return done
        done += 1


def _next(parts: Parts, work: Work, decide: Decide, save: Save) -> bool:
    """Whether there was a range to work on."""
    with save() as tx:
        taken = kept.claim(tx, work.run, parts.holder)
    if taken is not None:
        _carried_out(parts, taken, decide, save)
    return taken is not None


@contextmanager
def _lent(parts: Parts, work: Work) -> Iterator[Connection]:
    """A transaction for the holder of the run: nothing is kept once another process has taken over from that."""
    with parts.store.writing() as tx:
        _insist_on_epoch(tx, parts.name, work.epoch)
        yield tx
        _insist_on_epoch(tx, parts.name, work.epoch)


def _insist_on_epoch(tx: Connection, connection: str, epoch: int) -> None:
    if leases.epoch_of(tx, connection) != epoch:
        raise LeaseLost(f"{connection}: the run that wanted help is over; nothing was kept", code="SY064")


def _carried_out(parts: Parts, taken: Range, decide: Decide, save: Save) -> bool:
    """Score a range; False where it took so long that somebody else has it now."""
    try:
        return _scored(parts, taken, decide, save)
    except BaseException:
        with parts.store.writing() as tx:
            kept.give_back(tx, taken, parts.holder)  # so that nobody waits until it would be missed
        raise


def _scored(parts: Parts, taken: Range, decide: Decide, save: Save) -> bool:
    work, tally = _WORK.validate_python(taken.work), Report(taken.run)
    rules = deciding.fingerprint(parts.project.segments)
    known = None if work.whole else rules
    wanted = work.wanted(parts.name)
    for leads in chunks_between(parts.store, wanted, (taken.first, taken.last), now=work.as_of, rules=known):
        plans, made = decide(leads, work.policy, work.as_of)
        with save() as tx:
            if not kept.renew(tx, taken, parts.holder):
                return False
            keep(tx, parts, Scored(work.run, leads, plans, made), rules)
        count(plans, tally)
        parts.heed()
    moves = [[before, after, number] for (before, after), number in tally.moves.items()]
    with save() as tx:
        return kept.finish(tx, taken, parts.holder, {"counts": dict(tally.counts), "moves": moves})


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk of a run's leads, and what was decided."""

    run: int
    leads: Sequence[Lead]
    plans: Sequence[LeadPlan]
    made: Mapping[int, Footprint]


def keep(tx: Connection, parts: Parts, scored: Scored, rules: str | None) -> None:
    """As the run's plan. `rules`: under which the footprints were made; None: none is kept."""
    web = parts.project.web
    cards.keep(tx, [lead for lead in scored.leads if lead.footprint is None], web.source if web is not None else None)
    decisions.save_plan(tx, scored.run, scored.plans)
    if rules is not None:
        footprints.keep(tx, scored.leads, scored.made, rules)


def count(plans: Sequence[LeadPlan], report: Report) -> None:
    report.counts["scored"] += len(plans)
    report.counts["changes"] += sum(len(each.changes) for each in plans)
    report.counts["handoffs"] += sum(each.handoff is not None for each in plans)
    report.counts["stage_changes"] += sum(each.decision.moved for each in plans)
    for each in plans:
        before = each.decision.before.stage if each.decision.before else None
        report.moves[before, each.decision.after.stage] += 1
