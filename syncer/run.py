"""One run of one connection: pull -> mirror -> score -> plan -> write back -> hand off, and nothing else.

`plan` stops after `look`; `run` goes on with `carry_out`. Each step leaves the database in a state from which the next
run goes on, so a process may die between any two lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from urllib.parse import quote

import structlog
from sqlalchemy import Connection

from syncer import deciding, handoff, planning, ranges, scoring
from syncer.connector import Assigner, Destination, HandoffTarget
from syncer.errors import (
    ConfigError,
    LeaseLost,
    ShareUsed,
    StalePlanError,
    Stopped,
    SyncerError,
    TemporaryError,
    UnsafePlanError,
)
from syncer.handoff.text import one_line
from syncer.model import (
    Change,
    Footprint,
    Lead,
    LeadPlan,
    Notice,
    Record,
    RecordKey,
    Rejected,
    Run,
    WriteState,
    Written,
    somebody_in,
)
from syncer.parts import ORDINARY, Asked, Parts, Report, wish_s
from syncer.reading import ask_later, begin, doubtful, follow_hints, pull, revisit, sweep, sweep_whole
from syncer.rules import rules_version, segments_text
from syncer.settings import Project
from syncer.store import (
    Lease,
    audit,
    decisions,
    hints,
    leases,
    mirror,
    outbox,
    people,
    retention,
    runs,
    words,
    write_backs,
)

log = structlog.get_logger(__name__)

_CHUNK = 1_000  # leads written at a time where the CRM has no wish; a multiple of every CRM's batch size
_ANSWERS = 100  # answers kept in one transaction
_RETRY_FIRST = timedelta(minutes=5)
_RETRY_MOST = timedelta(hours=6)
_MOST_TRIES = 8
_OUTCOMES: Mapping[type[SyncerError], str] = {UnsafePlanError: "waiting", Stopped: "stopped"}
_MOVED, _ALERTED = "quick_moves", "quick_handoffs"  # counted only once they are applied
_SAVED_UP = "writes_saved_up"  # counted where our share of the CRM's requests was too small for all there was to write
_NOTHING = planning.Limits(0, 0)
_PLAN_KEPT = timedelta(days=7)  # a saved plan that nobody carried out within a week


@contextmanager
def leased(parts: Parts) -> Iterator[Lease]:
    """Hold the connection: one process at a time, whatever happens to schedulers."""
    lease = leases.take(parts.store, parts.name, holder=parts.holder, ttl_s=leases.ttl_s(parts.store))
    if lease is None:
        raise TemporaryError(
            f"{parts.name}: another process is running this connection; wait for it or stop it", code="SY070"
        )
    with _held(parts, lease):
        yield lease


@contextmanager
def _held(parts: Parts, lease: Lease) -> Iterator[None]:
    try:
        with parts.fence.kept(parts.store, lease):
            yield
    finally:
        leases.release(parts.store, lease)


def sync(parts: Parts, asked: Asked = ORDINARY) -> Report:
    """One whole run. Raises what stops a run; what concerns one stream or record is in the report."""
    with leased(parts) as lease:
        report = look(parts, lease, asked)
        with _closing(parts, lease, report):
            carry_out(parts, lease, report, asked)
            if not asked.full:
                sweep(parts, lease, report)  # last, so that nobody waits for it
            _drop_old(parts, lease, report)
    return report


def _drop_old(parts: Parts, lease: Lease, report: Report) -> None:
    settings = parts.project.sync
    keep = retention.Keep(settings.keep_activities, settings.keep_handoffs)
    if dropped := retention.walk(parts.store, lease, keep, parts.clock()):
        report.counts["dropped"] += dropped
    with parts.store.writing(lease) as tx:
        audit.drop_old(tx, parts.clock())


def follow(parts: Parts) -> Report:
    """A quick run: read again whom the CRM has spoken of, and decide and write what is due. Raises what `sync` does;
    hints that could not be followed wait. Where there is no need of it, or only a full run may do it, there is no run,
    and its number is 0."""
    with parts.store.reading() as tx:
        if not hints.waiting(tx, parts.name, 1, now=parts.clock()):
            return Report(0)
    with leased(parts) as lease:
        if not _may_follow(parts, lease):
            return Report(0)
        report = _look_at_hints(parts, lease)
        with _closing(parts, lease, report):
            _insist_on_limits(parts, report, ORDINARY, _moved_quickly(parts))
            apply(parts, lease, report, ORDINARY)
            report.counts.update({_MOVED: report.counts["stage_changes"], _ALERTED: report.counts["handoffs"]})
            send(parts, lease, report)
    return report


def _may_follow(parts: Parts, lease: Lease) -> bool:
    """Not while a person must look at a plan. Not before the base was scored by these very rules with all that they
    look at: that takes a full run, which is due at once then, unless one has just failed to."""
    with parts.store.writing(lease) as tx:
        if _waits(parts, tx):
            return False
        histories = [begin(parts, tx, stream)[1] for stream in parts.source.people]
        same_rules = runs.models(tx, parts.name) == _rules(parts.project)
        if same_rules and not any(histories) and runs.baseline_done(tx, parts.name):
            return True
        latest = runs.last(tx, parts.name, kind="full")
    if not any(run.outcome == "failed" or run.counts.get("incomplete") for run in latest):
        _ring(parts, {parts.name})
    return False


def _waits(parts: Parts, tx: Connection) -> bool:
    """Whether the latest full run has met the fuse, or a quick one since; runs that only planned do not count."""
    full, quick = runs.latest_full(tx, parts.name), runs.last(tx, parts.name, kind="quick")
    known = [run for run in (full, *quick) if run is not None]
    return any(run.outcome == "waiting" and (full is None or run.id >= full.id) for run in known)


def _look_at_hints(parts: Parts, lease: Lease) -> Report:
    """Steps 1 to 4 of a quick run."""
    with parts.store.writing(lease) as tx:
        report = _start(parts, tx, "quick")
        report.history |= mirror.telling_history(tx, parts.name)
    with _failing(parts, lease, report):
        _insist_on_account(parts, lease)
        follow_hints(parts, lease, report)
        _name_choosers(parts, lease)
        _hear_answers(parts, lease)
        decide(parts, lease, report, ORDINARY)
    return report


def _moved_quickly(parts: Parts) -> planning.Limits:
    """What quick runs have moved and handed over within the last interval: many small ones are as much as a large
    one."""
    since = parts.clock() - parts.project.sync.every
    with parts.store.reading() as tx:
        return planning.Limits(*(runs.counted(tx, parts.name, (name,), since) for name in (_MOVED, _ALERTED)))


def plan(parts: Parts, asked: Asked = ORDINARY) -> Report:
    """Pull, score and plan; the plan is kept under the run's number and nothing is written to the CRM."""
    with leased(parts) as lease:
        report = look(parts, lease, asked, only_plans=True)
        _finish(parts, lease, report, "planned", None)
    return report


def apply_saved(parts: Parts, run: int, asked: Asked = ORDINARY) -> Report:
    """Do exactly what a saved plan says, or refuse it as stale."""
    with leased(parts) as lease:
        with parts.store.reading() as tx:
            report = Report(run, Counter(runs.get(tx, run).counts))
        with _closing(parts, lease, report):
            carry_out(parts, lease, report, asked, saved=True)
    return report


def deliver(parts: Parts) -> Report | None:
    """Between runs: write and send again what could not be sent before; while the CRM has asked for patience, only
    messages that need no CRM. What our share of its requests was too small for is left to the next run. None where
    nothing is due or a run is on."""
    now = parts.clock()
    with parts.store.reading() as tx:
        resting = runs.parked(tx, parts.name, now) is not None
        saved_up = runs.noted(tx, parts.name, _SAVED_UP) > 0
        may_write = not (resting or saved_up)
        unwritten = may_write and bool(write_backs.pending(tx, parts.name, now, order=(), limit=1))
        settings = parts.project.handoff
        remind = settings is not None and handoff.anything_due(tx, parts.name, settings, now)
        due = unwritten or remind or outbox.anything_due(tx, parts.name, now)
    lease = leases.take(parts.store, parts.name, holder=parts.holder, ttl_s=leases.ttl_s(parts.store)) if due else None
    if lease is None:
        return None
    report = Report(0)
    with _held(parts, lease), _ringing(parts, report):
        if parts.destination is not None and unwritten:
            _write_if_possible(parts, lease, parts.destination, report)
        hand_off(parts, lease, report, crm_rests=resting or report.patience is not None)
        if report.failures:
            with parts.store.writing(lease) as tx:
                runs.note(tx, parts.name, _SAVED_UP, report.counts[_SAVED_UP])
                if report.patience is not None:
                    _park(parts, tx, report.patience)
    return report


@contextmanager
def _ringing(parts: Parts, report: Report) -> Iterator[None]:
    """Whatever happens in the block, the connections that it has found work for hear of it."""
    try:
        yield
    finally:
        _ring(parts, report.rings)


def look(parts: Parts, lease: Lease, asked: Asked, *, only_plans: bool = False) -> Report:
    """Steps 1 to 4: pull, score, plan. Nothing leaves the house. `only_plans`: nor will it; the plan that waits at the
    fuse waits on, and so does a person's word on it."""
    with parts.store.writing(lease) as tx:
        waits = runs.waits(tx, parts.name) if only_plans else None
        approval = None if only_plans else runs.use_approval(tx, parts.name, parts.project.fingerprint)
        report = _start(parts, tx, "full", waits)
        if approval is not None:
            report.allowed = planning.Limits(approval.stage_changes, approval.handoffs)
        _settle_homes(parts, tx, asked)
        if asked.full:
            write_backs.try_again(tx, parts.name)
    with _failing(parts, lease, report):
        _insist_on_account(parts, lease)
        pull(parts, lease, report)
        revisit(parts, lease, report)
        if asked.full:
            sweep_whole(parts, lease, report)
        _name_choosers(parts, lease)
        _hear_answers(parts, lease)
        decide(parts, lease, report, asked)
    return report


def _start(parts: Parts, tx: Connection, kind: runs.Kind, waits: Run | None = None) -> Report:
    """`waits`: the run whose plan a person is still to look at."""
    now = parts.clock()
    runs.interrupted(tx, parts.name, now)
    decisions.drop_old_plans(tx, parts.name, now - _PLAN_KEPT, None if waits is None else waits.id)
    return Report(runs.start(tx, parts.name, now, kind, parts.project.fingerprint))


def _settle_homes(parts: Parts, tx: Connection, asked: Asked) -> None:
    """Every lead is decided by a connection of the project; without `same_person`, by that of its own record."""
    if parts.project.same_person is not None:
        people.lock(tx)
        if runs.models(tx, parts.name) != _rules(parts.project):
            people.rehome(tx, parts.name, [each.name for each in parts.project.connections])
    elif asked.full:
        people.lock(tx)
        people.separate(tx, parts.clock())


def decide(parts: Parts, lease: Lease, report: Report, asked: Asked) -> None:
    """Score the leads that are due and keep what is decided as the run's plan, in chunks of bounded memory; together
    with other workers where that is much."""
    as_of, rules = parts.clock(), _rules(parts.project)
    with parts.store.reading() as tx:
        policy = _policy(parts, asked, report, tx)
        every = asked.full or runs.models(tx, parts.name) != rules
    work = ranges.Work(report.run, lease.epoch, as_of, policy, every, asked.full)
    if ranges.cut(parts, lease, work, rules):
        report.add(ranges.share(parts, lease, work, partial(_decide_chunk, parts)))
    else:
        _decide_alone(parts, lease, report, work)


def _decide_alone(parts: Parts, lease: Lease, report: Report, work: ranges.Work) -> None:
    with parts.store.reading() as tx:
        of = mirror.count(tx, parts.name) if work.every else None
    which: Literal["all", "due"] = "all" if work.every else "due"
    rules, done = deciding.fingerprint(parts.project.segments), 0
    known = None if work.whole else rules
    for leads in mirror.chunks(parts.store, parts.name, which=which, now=work.as_of, rules=known):
        plans, made = _decide_chunk(parts, leads, work.policy, work.as_of)
        with parts.store.writing(lease) as tx:
            ranges.keep(tx, parts, ranges.Scored(report.run, leads, plans, made), rules)
        ranges.count(plans, report)
        done += len(leads)
        parts.progress("score", "leads", done, of)
        parts.heed()


def help_score(parts: Parts, run: int) -> int:
    """Score ranges of another worker's run of this connection, until none is left; how many."""
    return ranges.help(parts, run, _rules(parts.project), partial(_decide_chunk, parts))


def _decide_chunk(
    parts: Parts, leads: Sequence[Lead], policy: planning.Policy, as_of: datetime
) -> tuple[list[LeadPlan], Mapping[int, Footprint]]:
    """The plans of some leads, and the footprints made anew. Of leads that nothing happened to, only those that time
    has moved are read whole."""
    segments = parts.project.segments
    quiet = deciding.unmoved(leads, segments, policy, as_of)
    settled = {planned.decision.lead for planned in quiet}
    whole = [lead for lead in leads if lead.footprint is None]
    closer = [lead.id for lead in leads if lead.footprint is not None and lead.id not in settled]
    for some in mirror.chunks(parts.store, parts.name, which=closer, now=as_of):
        whole += some
    decided = deciding.decide(_with_authors(parts, whole, policy, as_of), segments, policy, as_of)
    return [*quiet, *_resumed(parts, decided.plans, policy)], decided.footprints


def _resumed(parts: Parts, plans: Sequence[LeadPlan], policy: planning.Policy) -> Sequence[LeadPlan]:
    """The plans, without alerts for leads that come back within the cool-down."""
    handed = [each.decision.lead for each in plans if each.handoff is not None]
    if not handed or not policy.cool_down:
        return plans
    with parts.store.reading() as tx:
        told = outbox.last_told(tx, handed)
    return [planning.resumed(each, told.get(each.decision.lead), policy) for each in plans]


def _with_authors(parts: Parts, leads: Sequence[Lead], policy: planning.Policy, as_of: datetime) -> Sequence[Lead]:
    """The leads; where somebody has set or chosen a stage in the CRM since the last run, with who it was."""
    found = ((lead.id, planning.edited_stage(lead, policy)) for lead in leads)
    edits = {lead: edit[0].key for lead, edit in found if edit is not None and edit[0].key.connection == parts.name}
    nameless = ((lead.id, planning.nameless_word(lead, as_of)) for lead in leads)
    words = {lead: each.key for lead, each in nameless if each is not None and each.key.connection == parts.name}
    if parts.destination is None:
        return leads
    moved = _authors(parts, parts.destination.stage_authors, edits if policy.respect_edits else {})
    chose = _choosers(parts, words)
    movers = {lead: (key, moved[key]) for lead, key in edits.items() if key in moved}
    choosers = {lead: (key, chose[key]) for lead, key in words.items() if key in chose}
    return [_with_author(lead, movers.get(lead.id), choosers.get(lead.id)) for lead in leads]


def _name_choosers(parts: Parts, lease: Lease) -> None:
    """Who has chosen stages in this CRM for leads that another connection decides: that one cannot ask."""
    if parts.project.same_person is None:
        return
    with parts.store.reading() as tx:
        said = words.nameless_elsewhere(tx, parts.name, parts.clock())
    known = _choosers(parts, {lead: record for lead, _, record in said})
    with parts.store.writing(lease) as tx:
        for lead, word, record in said:
            if record in known:
                decisions.name_author(tx, lead, replace(word, author=known[record]))


def _hear_answers(parts: Parts, lease: Lease) -> None:
    """Before the leads are decided, so that one that sales has rejected goes back at once."""
    if parts.project.handoff is not None:
        handoff.hear(parts.store, lease, parts.name, parts.project.handoff, parts.clock())


def _choosers(parts: Parts, of: Mapping[int, RecordKey]) -> Mapping[RecordKey, str]:
    return _authors(parts, getattr(parts.destination, "manual_authors", _nobody_known), of)


def _authors(
    parts: Parts, ask: Callable[[Sequence[RecordKey]], Mapping[RecordKey, str]], of: Mapping[int, RecordKey]
) -> Mapping[RecordKey, str]:
    """What people have done stands whether or not it is known who it was."""
    try:
        return ask(list(of.values())) if of else {}
    except (ConfigError, TemporaryError) as failure:
        log.warning("authors_unknown", connection=parts.name, reason=failure.message)
        return {}


def _nobody_known(records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
    return {}


_Author = tuple[RecordKey, str]
"""Where something was done, and by whom."""


def _with_author(lead: Lead, mover: _Author | None, chooser: _Author | None) -> Lead:
    if mover is not None:
        key, author = mover
        records = (replace(each, stage_by=author) if each.key == key else each for each in lead.records)
        lead = replace(lead, records=tuple(records))
    return lead if chooser is None else _with_chooser(lead, *chooser)


def _with_chooser(lead: Lead, key: RecordKey, author: str) -> Lead:
    named = tuple(
        replace(each, manual=replace(each.manual, author=author)) if each.key == key and each.manual else each
        for each in lead.records
    )
    word = lead.state.override
    if word is not None and word.source == "field" and word.author == somebody_in(key.connection):
        word = replace(word, author=author)
    return replace(lead, records=named, state=replace(lead.state, override=word))


def carry_out(parts: Parts, lease: Lease, report: Report, asked: Asked, *, saved: bool = False) -> None:
    """Steps 5 and 6: the fuse, apply, write back, hand off."""
    _insist_on_limits(parts, report, asked)
    apply(parts, lease, report, asked, saved=saved)
    send(parts, lease, report)


def _insist_on_limits(parts: Parts, report: Report, asked: Asked, before: planning.Limits | None = None) -> None:
    """`before`: of a quick run, what counts as moved and handed over besides it."""
    settings, besides = parts.project.sync, before or _NOTHING
    usual = planning.Limits(settings.max_stage_changes, settings.max_handoffs)
    limits = asked.limits or usual.raised(report.allowed)
    moves, alerts = report.counts["stage_changes"], report.counts["handoffs"]
    page = _plan_page(parts) if before is None else None
    planning.check_fuse(moves + besides.stage_changes, alerts + besides.handoffs, limits, parts.name, page)


def _plan_page(parts: Parts) -> str | None:
    """Where the plan of a full run that waits is shown; None: there are no pages."""
    web = parts.project.web
    return None if web is None else f"{(web.public_url or '').rstrip('/')}/plans/{quote(parts.name, safe='')}"


def send(parts: Parts, lease: Lease, report: Report) -> None:
    """What is decided leaves the house; a CRM that asks for patience is left alone."""
    if parts.destination is not None and report.patience is None:
        _write_if_possible(parts, lease, parts.destination, report)
    hand_off(parts, lease, report, crm_rests=report.patience is not None)


def _write_if_possible(parts: Parts, lease: Lease, destination: Destination, report: Report) -> None:
    """What cannot be written stays queued; alerts may be due all the same."""
    try:
        write_back(parts, lease, destination, report)
    except (ConfigError, TemporaryError) as failure:
        report.failures["write"] = failure
        if isinstance(failure, ShareUsed):
            report.counts[_SAVED_UP] += 1
        log.warning("write_failed", connection=parts.name, reason=failure.message)


def apply(parts: Parts, lease: Lease, report: Report, asked: Asked, *, saved: bool = False) -> None:
    """The plan becomes current scores, moves, write-backs and notices, in one transaction."""
    now = parts.clock()
    with parts.store.writing(lease) as tx:
        if parts.project.same_person is not None:
            people.lock(tx)  # nobody joins or splits a lead of the plan meanwhile
        decisions.hold(tx, report.run)
        if saved and (changed := decisions.stale(tx, report.run)):
            raise StalePlanError(f"{changed} leads changed since the plan was made; plan again", code="SY053")
        decisions.leave_out_stale(tx, report.run)  # a person's override came while we scored: the next run obeys it
        for planned in decisions.plan_of(tx, report.run):
            plans = _assigned(parts, tx, planned, asked)
            notices = [notice for each in plans for notice in _notices(parts, each, asked)]
            if parts.project.handoff is not None:
                handoff.heed(tx, plans, parts.project.handoff, parts.project.stages)
            decisions.apply(tx, report.run, plans, notices, now)
        if not report.counts["incomplete"]:
            runs.set_baseline(tx, parts.name, now)  # until the whole base is here, nobody is told of what was there
        for stream in report.history & report.read_whole:
            mirror.end(tx, parts.name, stream, now)  # what it told is decided now: from here on it tells news
        runs.set_models(tx, parts.name, _rules(parts.project))
        runs.keep_rules(tx, parts.name, segments_text(parts.project.segments), now)
        decisions.drop_plan(tx, report.run)
    log.debug("plan_applied", connection=parts.name, run=report.run)


def _assigned(parts: Parts, tx: Connection, plans: Sequence[LeadPlan], asked: Asked) -> Sequence[LeadPlan]:
    """The plans, their hand-offs with who shall act; where nobody is told, nobody shall."""
    settings = parts.project.handoff
    return plans if settings is None or not asked.notify else handoff.assign(tx, plans, settings, parts.clock())


def _notices(parts: Parts, planned: LeadPlan, asked: Asked) -> Sequence[Notice]:
    """The messages of a hand-off; they wait for the CRM only where there is a stage to be written to it."""
    alert, settings = planned.handoff, parts.project.handoff
    if alert is None or settings is None or not asked.notify:
        return ()
    waits = any(change.record == alert.record and change.moves_stage for change in planned.changes)
    told = handoff.notices(alert, settings)
    if waits:
        return told
    return [replace(each, state="ready", not_before=None) if each.state == "waiting" else each for each in told]


def write_back(parts: Parts, lease: Lease, destination: Destination, report: Report) -> None:
    """Send what the CRM does not show yet until nothing is due: who is handed over to sales first, then the hottest
    stages."""
    order, chunk = _urgency(parts.project), getattr(destination, "batch", _CHUNK)
    with parts.store.reading() as tx:
        of = write_backs.counts(tx, parts.name).get("pending", 0)
    done = 0
    while True:
        with parts.store.reading() as tx:
            changes = write_backs.pending(tx, parts.name, parts.clock(), order=order, limit=chunk)
        if not changes:
            return
        parts.heed()
        _enough_time(parts, lease)
        sendable = _still_ours(parts, lease, destination, changes, report)
        by_record = {change.record: change for change in sendable}
        for answers in _answers(destination, sendable):
            done += _keep_answers(parts, lease, by_record, answers, report)
            parts.progress("write", "leads", done, of)


def _urgency(project: Project) -> list[str]:
    """The stages in the order in which they are written."""
    urgent = [project.handoff.when] if project.handoff is not None else []
    return [*urgent, *(stage for stage in project.stages[::-1] if stage not in urgent)]


def _answers(destination: Destination, changes: Sequence[Change]) -> Iterator[list[Written | Rejected]]:
    """What the CRM answers, some at a time. What it answered before an error is kept before that is raised: sales waits
    for it."""
    answers: list[Written | Rejected] = []
    failure: SyncerError | None = None
    try:
        for answer in destination.write(changes):
            answers.append(answer)
            if len(answers) >= _ANSWERS:
                yield answers
                answers = []
    except SyncerError as error:
        failure = error
    yield answers
    if failure is not None:
        raise failure


def _still_ours(
    parts: Parts, lease: Lease, destination: Destination, changes: Sequence[Change], report: Report
) -> list[Change]:
    """The changes as the CRM stands now; where a person has moved the lead meanwhile, their word stands."""
    moving = [change for change in changes if change.moves_stage]
    if not moving:
        return list(changes)
    fresh = {record.key: record for record in destination.read_back([change.record for change in moving])}
    edited: list[Record] = []
    with parts.store.writing(lease) as tx:
        states = write_backs.states(tx, list(fresh))
        chosen = _chosen_otherwise(tx, moving, fresh)
        _put_back(parts, tx, list(fresh.values()), report)
        for record in fresh.values():
            by_hand = record.key in chosen
            if by_hand or _not_ours(record, states[record.key]):
                edited.append(record)
                write_backs.drop(tx, record.key)
                if by_hand or parts.project.sync.respect_edits or record.deleted or record.merged_into:
                    outbox.withhold(tx, record.key, "the lead was moved in the CRM before the alert could go out")
    report.counts["kept_by_people"] += len(edited)
    gone = {record.key for record in edited}
    return [_seen(change, fresh.get(change.record)) for change in changes if change.record not in gone]


def _chosen_otherwise(
    tx: Connection, moving: Sequence[Change], fresh: Mapping[RecordKey, Record]
) -> Collection[RecordKey]:
    """The records in whose field people say something new, and not the very stage that we are about to write."""
    ours = {change.record: change.after.stage for change in moving}
    said = mirror.newly_chosen(tx, fresh.values())
    return {key for key, manual in said.items() if manual is None or manual.stage != ours.get(key)}


def _put_back(parts: Parts, tx: Connection, shown: Sequence[Record], report: Report) -> None:
    doubted, same_person = doubtful(parts, tx, shown), parts.project.same_person is not None
    report.rings |= mirror.put_back(tx, parts.name, shown, parts.clock(), same_person=same_person)
    ask_later(parts, tx, doubted)


def _not_ours(record: Record, write: WriteState) -> bool:
    """Gone, merged into another, become somebody else's (a customer), or moved by a person: nothing is written."""
    gone = record.deleted or record.merged_into is not None
    return gone or record.protected or planning.stage_set_by_others(record, write) is not None


def _seen(change: Change, record: Record | None) -> Change:
    """The change as the CRM stands now. Where it shows our stage already, a write that died in the middle, or was
    taken only in part, is done again as a whole."""
    if record is None:
        return change
    stage = change.before.stage if record.stage == change.after.stage else record.stage
    return replace(change, before=replace(change.before, stage=stage, lifecycle=record.lifecycle))


def _keep_answers(
    parts: Parts,
    lease: Lease,
    changes: Mapping[RecordKey, Change],
    answers: Sequence[Written | Rejected],
    report: Report,
) -> int:
    """Keep what the CRM answered. A stage of ours that it shows lets its notices go, whatever became of a stage of its
    own; one that it refused holds them back."""
    now = parts.clock()
    report.answered |= bool(answers)
    by_id = {key.id: change for key, change in changes.items()}
    with parts.store.writing(lease) as tx:
        taken = [(changes[answer.record], answer) for answer in answers if isinstance(answer, Written)]
        write_backs.confirm(tx, [(change, answer) for change, answer in taken if answer.refused is None], now)
        outbox.release(tx, [answer.record for change, answer in taken if _stands(change, answer)])
        for change, answer in taken:
            if answer.refused is not None:
                write_backs.refused(tx, change, answer, _later(tx, change.record, now))
                if not _stands(change, answer):
                    outbox.hold(tx, change.record, answer.refused)
        for rejected in (answer for answer in answers if isinstance(answer, Rejected)):
            _put_off(tx, by_id[rejected.id], rejected, now)
    report.counts["written"] += len(taken)
    report.counts["refused"] += sum(answer.refused is not None for _, answer in taken)
    report.counts["rejected"] += len(answers) - len(taken)
    return len(answers)


def _stands(change: Change, answer: Written) -> bool:
    """Whether the CRM shows our stage; what it refused is its own then."""
    return answer.refused is None or (change.after.stage is not None and answer.standing.stage == change.after.stage)


def _put_off(tx: Connection, change: Change, rejected: Rejected, now: datetime) -> None:
    later = _later(tx, change.record, now)
    if rejected.retry and later is not None:
        write_backs.put_off(tx, change.record, rejected.reason, later)
    else:
        write_backs.give_up(tx, change.record, rejected.reason)  # sales is told all the same, after `handoff.wait`


def _later(tx: Connection, record: RecordKey, now: datetime) -> datetime | None:
    """When to try a write again, or None: often enough."""
    tries = write_backs.attempts(tx, record)
    return now + min(_RETRY_FIRST * 2**tries, _RETRY_MOST) if tries < _MOST_TRIES else None


def hand_off(parts: Parts, lease: Lease, report: Report, *, crm_rests: bool = False) -> None:
    """Send the notices that are due; `crm_rests`: but for tasks in the CRM, which has asked for patience."""
    settings = parts.project.handoff
    if settings is None:
        return
    delivery = handoff.Delivery(
        store=parts.store,
        connection=parts.name,
        settings=settings,
        clock=parts.clock,
        stop=parts.stop,
        lease=lease,
        language=parts.project.language,
        timezone=parts.project.timezone,
        target=parts.source if isinstance(parts.source, HandoffTarget) else None,
        assigner=parts.source if isinstance(parts.source, Assigner) else None,
        crm_rests=crm_rests,
        links=handoff.links_of(parts.project.web),
    )
    report.counts.update(handoff.drain(delivery))


@contextmanager
def _failing(parts: Parts, lease: Lease, report: Report) -> Iterator[None]:
    """Close the run as failed or stopped when something stops it; the error goes on to whoever asked."""
    try:
        yield
    except LeaseLost:
        raise  # the run's row belongs to the process that took over
    except SyncerError as error:
        report.failures["run"] = error
        _finish(parts, lease, report, _OUTCOMES.get(type(error), "failed"), error.message)
        raise


@contextmanager
def _closing(parts: Parts, lease: Lease, report: Report) -> Iterator[None]:
    with _failing(parts, lease, report):
        yield
        reasons = "; ".join(error.message for error in report.failures.values())
        _finish(parts, lease, report, report.outcome, reasons or None)


def _finish(parts: Parts, lease: Lease, report: Report, outcome: str, error: str | None) -> None:
    calls: Mapping[str, int] = getattr(parts.source, "calls", {})
    report.counts.update({f"{kind}_calls": count for kind, count in calls.items()})
    with parts.store.writing(lease) as tx:
        runs.finish(tx, report.run, outcome, report.counts, error, parts.clock())
        if report.moves:
            runs.keep_moves(tx, report.run, report.moves)
        if report.patience is not None:
            _park(parts, tx, report.patience)
        elif report.answered:
            runs.unpark(tx, parts.name)
    _ring(parts, report.rings)
    for pattern in scoring.given_up():
        log.warning("pattern_given_up", pattern=one_line(pattern), code="SY211", help="write it with fewer repetitions")
    log.info("run_finished", connection=parts.name, run=report.run, outcome=outcome, **report.counts)


def _park(parts: Parts, tx: Connection, patience: TemporaryError) -> None:
    """Nothing is read or written before the CRM wants it; the rest of the house goes on."""
    until = parts.clock() + timedelta(seconds=wish_s(patience))
    runs.park(tx, parts.name, until, patience.message)
    log.warning("connection_parked", connection=parts.name, until=until.isoformat(), reason=patience.message)


def _ring(parts: Parts, names: Iterable[str]) -> None:
    """These connections are due: they decide leads that a run has touched. Each in a transaction of its own, for the
    row of another connection is never waited for while one is held."""
    for name in sorted(names):
        with parts.store.writing() as tx:
            runs.ring(tx, name, parts.clock())


def _rules(project: Project) -> str:
    """Names everything by which a lead is decided; where leads are shared, the connections that share them, too."""
    version = rules_version(project.segments)
    return "+".join([version, *sorted(each.name for each in project.connections)]) if project.same_person else version


def _policy(parts: Parts, asked: Asked, report: Report, tx: Connection) -> planning.Policy:
    settings = parts.project.sync
    return planning.Policy(
        installation=runs.installation(tx),
        min_step=settings.min_step,
        writable=parts.writable,
        respect_edits=settings.respect_edits,
        respect_for=settings.respect_for,
        handoff_stage=parts.project.handoff.when if parts.project.handoff else None,
        cool_down=parts.project.handoff.cool_down if parts.project.handoff else timedelta(0),
        baseline=not runs.baseline_done(tx, parts.name),
        notify_model_changes=asked.notify_model_changes,
        history=bool(report.history),
        answered_in=_answered_in(parts, report),
    )


def _answered_in(parts: Parts, report: Report) -> tuple[str, ...]:
    """The fields of sales' answers; none while not everybody has been read with them: what is seen of them later may
    have stood there before."""
    settings, unread = parts.project.handoff, report.history - report.read_whole
    return () if settings is None or unread & set(parts.source.people) else settings.answers.fields


def _insist_on_account(parts: Parts, lease: Lease) -> None:
    """A state is never used against another portal or org than the one it was made with."""
    account = parts.source.account()
    with parts.store.writing(lease) as tx:
        known = runs.account(tx, parts.name)
        if known is None:
            runs.set_account(tx, parts.name, account)
    if known is not None and known != account:
        raise ConfigError(
            f"{parts.name}: this database belongs to {known}, but the token opens {account}; use another database "
            "(SYNCER_DATABASE_URL) or the right token",
            code="SY071",
        )


def _enough_time(parts: Parts, lease: Lease) -> None:
    """Renew the lease before writing to the outside; a process that slept through it must not write at all."""
    with parts.store.writing() as tx:
        leases.renew(tx, lease)
