"""(decided, written, what the CRM shows) -> changes; the fuse. Pure.

One `LeadPlan` holds what is decided of a lead, what will be written to its records and who will hear of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from syncer.errors import UnsafePlanError
from syncer.model import (
    Cause,
    Change,
    Decision,
    Did,
    Handoff,
    Lead,
    LeadPlan,
    Override,
    Record,
    Score,
    Signals,
    StageState,
    Standing,
    Told,
    WriteState,
    somebody_in,
)
from syncer.rules import Model, activity_kinds
from syncer.scoring import Evaluation, dimensions_of, not_given
from syncer.scoring.hygiene import sieve
from syncer.stages import Hands, Marks, Occasion, next_state

_LONGEST_REASONS = 2_000  # a text a person reads in a CRM's side bar
_MOST_REASONS = 8
_MOST_DEEDS, _MOST_MISSING = 3, 5
TO_ASK = ("need", "readiness")  # the dimensions that sales can find out by asking
_UNSEEN = WriteState(Standing())


@dataclass(frozen=True, slots=True)
class Policy:
    """The parts of the project file that planning obeys."""

    installation: str  # names this database; keys of hand-offs begin with it
    min_step: int  # hundredths
    writable: frozenset[str]  # the connections whose records can be written to
    respect_edits: bool = True
    respect_for: timedelta | None = None  # None: until somebody takes it back
    handoff_stage: str | None = None
    cool_down: timedelta = timedelta(0)  # after a hand-off; who comes back within it is no news
    baseline: bool = False  # the first scoring of a base alerts nobody
    notify_model_changes: bool = False
    history: bool = False  # of some stream we are only now reading what was there before we looked
    answered_in: tuple[str, ...] = ()  # fields that were read of every lead, and that sales may answer in


@dataclass(frozen=True, slots=True)
class Limits:
    """More than this in one run is stopped by the fuse."""

    stage_changes: int
    handoffs: int

    def raised(self, to: Limits | None) -> Limits:
        """The higher of the two in each."""
        if to is None:
            return self
        return Limits(max(self.stage_changes, to.stage_changes), max(self.handoffs, to.handoffs))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a lead has found."""

    as_of: datetime
    score: Score
    marks: Marks
    next_look: datetime | None
    had_qualified: bool = False  # today's rules on what was known at the last decision already gave this stage


def plan_lead(lead: Lead, look: Look, model: Model, policy: Policy) -> LeadPlan:
    """What is decided of one lead, what is to be written, and the hand-off if it qualifies now."""
    hands = hands_on(lead, model, policy, look.as_of)
    previous = lead.state.stage or _adopted(lead, model, policy, look.as_of)
    occasion = Occasion(look.as_of, cause_of(lead, model, policy, look), policy.handoff_stage)
    after = next_state(previous, look.marks, model, hands, occasion)
    decision = Decision(
        lead=lead.id,
        revision=lead.revision,
        score=look.score,
        before=lead.state.stage,
        after=after,
        previous_total=lead.state.total,
        next_look=_next_look(look, after, model),
        override=hands.override,
        veto=look.marks.vetoes[0].name if look.marks.vetoes else None,
    )
    writable = [record for record in _live(lead) if record.key.connection in policy.writable]
    changes = tuple(change for record in writable if (change := _change(record, lead, decision, policy)) is not None)
    return LeadPlan(decision, changes, _handoff(lead, decision, model, policy))


def resumed(planned: LeadPlan, told: Told | None, policy: Policy) -> LeadPlan:
    """The plan of a lead that is handed over, given of which hand-off sales was told last. Within `cool_down` after
    that the lead comes back into the same episode: its stage moves as always, and nobody is told anew."""
    alert, decision = planned.handoff, planned.decision
    if alert is None or told is None or told.stage != alert.stage or alert.at - told.at >= policy.cool_down:
        return planned
    episode = decision.before.episode if decision.before else decision.after.episode
    same = replace(decision, after=replace(decision.after, episode=episode))
    return replace(planned, decision=same, handoff=None, resumes=told.key)


def known_at(signals: Signals, moment: datetime) -> Signals:
    """What was known of the lead then: an activity may be told of long after it happened."""
    return replace(
        signals,
        activities=tuple(each for each in signals.activities if (each.seen_at or each.at) <= moment),
        readings=tuple(each for each in signals.readings if each.seen_at <= moment),
    )


def marks_of(model: Model, evaluation: Evaluation, row: int) -> Marks:
    """What the stage machine needs to know of the lead in one row of an evaluation."""
    return Marks(
        dimensions=dimensions_of(model, evaluation, row),
        total=int(evaluation.total[row]),
        shortcuts=frozenset(stage.name for i, stage in enumerate(model.stages) if evaluation.shortcuts[row, i]),
        vetoes=tuple(veto for i, veto in enumerate(model.vetoes) if evaluation.vetoes[row, i]),
    )


def hands_on(lead: Lead, model: Model, policy: Policy, as_of: datetime) -> Hands:
    """What people say of the lead's stage now: an override kept, a new edit seen in the CRM, a protected stage."""
    kept = lead.state.override
    if kept is not None and not (kept.holds(as_of) and _ours(kept.stage, model)):
        kept = None
    if any(record.protected or _foreign(record, lead, model) for record in _live(lead)):
        return Hands(kept, protected=True)  # a person's word outlives the time others have the lead
    if kept is not None and kept.source == "crm" and _taken_back(lead, kept):
        kept = None
    edit = edited_stage(lead, policy)
    if edit is None or not policy.respect_edits or (kept is not None and _is_later(kept, edit[0])):
        return Hands(kept or _still_said(lead, model, as_of))
    record, stage = edit
    automatic = lead.state.stage.automatic if lead.state.stage else None
    if stage == automatic:
        return Hands(None)  # the person has put it back to where the rules have it: the rules hold it again
    until = as_of + policy.respect_for if policy.respect_for else None
    author = record.stage_by or somebody_in(record.key.connection)
    seen = f"stage set to {stage} in {record.key.connection}"
    since = min(record.modified_at, as_of)  # a CRM's clock may be ahead, and later words must be later
    return Hands(Override(stage, author, seen, "crm", since, until))


def belongs_to_others(lead: Lead) -> bool:
    """Whether its stage did when it was decided last, or does by what its records have shown since."""
    state = lead.state.stage
    return (state is not None and state.held_by == "protected") or any(record.protected for record in _live(lead))


def _is_later(kept: Override, edited: Record) -> bool:
    """Whether the word was said after the edit: no later than this was the record changed. A field that is kept for
    people's words says more than the stage that was set together with it."""
    return kept.since > edited.modified_at or (kept.source == "field" and kept.since == edited.modified_at)


def _still_said(lead: Lead, model: Model, as_of: datetime) -> Override | None:
    """What a field of the lead says still, now that whatever was said after it has ended."""
    for record in _live(lead):
        manual = record.manual
        if manual is not None and manual.is_said(as_of) and _ours(manual.stage, model):
            author = manual.author or somebody_in(record.key.connection)
            return Override(manual.stage, author, manual.reason, "field", as_of, manual.until)
    return None


def nameless_word(lead: Lead, as_of: datetime) -> Record | None:
    """The record in whose field the word in force was just said, or is said still now that another one has ended,
    where the CRM has not told by whom."""
    word = lead.state.override
    if word is None or not word.holds(as_of):
        still = (each for each in _live(lead) if each.manual is not None and each.manual.is_said(as_of))
        return next((each for each in still if each.manual and each.manual.author is None), None)
    if word.source != "field" or "override" not in lead.state.touched:
        return None
    found = (each for each in _live(lead) if word.author == somebody_in(each.key.connection) and each.manual)
    return next((each for each in found if each.manual and each.manual.stage == word.stage), None)


def _taken_back(lead: Lead, kept: Override) -> bool:
    """Whoever set the stage in the CRM has cleared the field since: the rules decide again."""
    writes = [(record, lead.writes.get(record.key, _UNSEEN)) for record in _live(lead)]
    return any(write.seen and record.stage is None and write.confirmed.stage == kept.stage for record, write in writes)


def edited_stage(lead: Lead, policy: Policy) -> tuple[Record, str] | None:
    """The record whose stage somebody else changed since the last decision, and the stage they gave it. A lead that
    comes into an existing base with a stage has got it from somebody, too."""
    for record in _live(lead):
        if lead.state.stage is None and not policy.baseline and record.stage is not None:
            return record, record.stage
        write = lead.writes.get(record.key, _UNSEEN)
        stage = stage_set_by_others(record, write)
        if stage is not None:
            return record, stage
    return None


def stage_set_by_others(record: Record, write: WriteState) -> str | None:
    """The stage that the CRM shows and that neither we wrote nor it showed when we decided last; else None.

    A write on its way counts as ours: a crash may have hidden the CRM's answer to it.
    """
    if not write.seen:
        return None
    pending = write.pending or Standing()
    if record.stage is not None and record.stage not in (write.confirmed.stage, pending.stage):
        return record.stage
    moved = record.lifecycle != write.confirmed.lifecycle
    ours = (write.confirmed.stage, pending.stage, record.stage)
    if moved and record.lifecycle_stage is not None and record.lifecycle_stage not in ours:
        return record.lifecycle_stage
    return None


def cause_of(lead: Lead, model: Model, policy: Policy, look: Look) -> Cause:
    """Why the lead may have moved since the last decision; the stage machine says `override` where a person did it."""
    state = lead.state
    if state.stage is None:
        return "baseline" if policy.baseline else _newest_cause(lead)
    if "baseline" in state.touched and look.had_qualified and state.stage.held_by != "person":
        return "baseline"  # a connection of the lead was still telling what was there before we looked
    if "merge" in state.touched:
        return "merge"
    if state.stage.held_by == "person":
        return "override"  # what happens next is that the person let go
    changed = state.model != model.version
    if look.had_qualified and "profile" not in state.touched and (changed or policy.history):
        return "model" if changed else "baseline"  # a part of the base that we have only now read
    if state.touched & {"activity", "profile"}:
        return _newest_cause(lead)
    if "baseline" in state.touched:
        return "baseline"
    return "model" if changed else "fading"


def check_fuse(moves: int, alerts: int, limits: Limits, connection: str, page: str | None = None) -> None:
    """Raise `UnsafePlanError` where the plan moves or alerts more than a person has allowed. `page`: the address where
    it is shown; None: there is none."""
    if moves > limits.stage_changes:
        raise UnsafePlanError(
            f"the plan moves {moves} leads to another stage, more than sync.max_stage_changes: {limits.stage_changes}; "
            f"nothing was written. {_ask(connection, page, moves)}",
            code="SY051",
        )
    if alerts > limits.handoffs:
        raise UnsafePlanError(
            f"the plan hands {alerts} leads to sales, more than sync.max_handoffs: {limits.handoffs}; nothing was "
            f"written. {_ask(connection, page, alerts)}",
            code="SY052",
        )


def _ask(connection: str, page: str | None, leads: int) -> str:
    ask = f"Look at it with `syncer plan {connection}`, then run `syncer run {connection} --yes-really {leads}`"
    return ask if page is None else f"{ask}; or look at it, and approve it, on the page {page}"


def reasons_of(score: Score, stage: str) -> str:
    """Why this score, in one text for the CRM: the sums first, then the strongest lines."""
    sums = ", ".join(f"{name} {shown(points)}" for name, points in score.dimensions.items())
    lines = "\n".join(strongest(score, _MOST_REASONS))
    return f"{stage.upper()} · {shown(score.total)} points: {sums}\n{lines}"[:_LONGEST_REASONS].rstrip()


def strongest(score: Score, most: int) -> tuple[str, ...]:
    """The lines that weigh most, as people read them: "+12 Decision maker (jobtitle = Directora)"."""
    ordered = sorted(score.contributions, key=lambda line: (-abs(line.hundredths), line.rule))
    return tuple(f"{line.hundredths / 100:+g} {line.name} ({line.evidence})" for line in ordered[:most])


def shown(hundredths: int) -> str:
    """Whole points, rounded down, so that nobody crosses a threshold by rounding."""
    return str(hundredths // 100)


def _newest_cause(lead: Lead) -> Cause:
    return "activity" if "activity" in lead.state.touched else "profile"


def _live(lead: Lead) -> list[Record]:
    return [record for record in lead.records if not record.deleted]


def _ours(stage: str | None, model: Model) -> bool:
    return stage is None or any(stage == each.name for each in model.stages)


def _said_by_a_person(decision: Decision) -> tuple[str, ...]:
    """Sales must know when it is a person's word, and not the points, that made the lead ready."""
    word = decision.override
    if word is None or decision.after.held_by != "person":
        return ()
    why = f": {word.reason}" if word.source != "crm" and word.reason else ""
    return (f"Set to {word.stage} by {word.author}{why}",)


def _foreign(record: Record, lead: Lead, model: Model) -> bool:
    """It shows a stage that is none of the model's, and not one either that we gave it under an older model."""
    given = lead.state.stage.stage if lead.state.stage else None
    return not _ours(record.stage, model) and record.stage != given


def _adopted(lead: Lead, model: Model, policy: Policy, as_of: datetime) -> StageState | None:
    """At the first look at a base, the stage that the CRM already shows is where the rules go on from."""
    shown_stage = next((record.stage for record in _live(lead) if record.stage), None)
    if shown_stage is None or not policy.baseline or not _ours(shown_stage, model):
        return None
    return StageState(shown_stage, shown_stage, since=as_of)


def _next_look(look: Look, after: StageState, model: Model) -> datetime | None:
    """Also when the time a lead must stay in its stage ends."""
    dwell_ms = next((stage.dwell_ms for stage in model.stages if stage.name == after.stage), 0)
    ends = after.since + timedelta(milliseconds=dwell_ms)
    looks = [at for at in (look.next_look, ends if dwell_ms and ends > look.as_of else None) if at is not None]
    return min(looks, default=None)


def _change(record: Record, lead: Lead, decision: Decision, policy: Policy) -> Change | None:
    """What must be written to one record, or None: no change, no call."""
    write = lead.writes.get(record.key, _UNSEEN)
    expected = write.pending or write.confirmed
    score = decision.score.total // 100 * 100
    stage = None if decision.after.held_by == "protected" else decision.after.stage
    shows = write.pending.stage if write.pending and write.pending.stage else record.stage
    moves = stage is not None and stage != shows
    if not moves and expected.score is not None and abs(score - expected.score) < max(policy.min_step, 1):
        return None
    return Change(
        record=record.key,
        before=Standing(write.confirmed.score, record.stage, None, record.lifecycle),
        after=Standing(score, stage, reasons_of(decision.score, decision.after.stage)),
        cause=decision.after.cause,
    )


def _was_said_before(lead: Lead, decision: Decision) -> bool:
    """A word stood in a field before we looked at it first: that is nobody's news."""
    word = decision.override if decision.after.held_by == "person" else None
    return word is not None and word.source == "field" and "baseline" in lead.state.touched


def _handoff(lead: Lead, decision: Decision, model: Model, policy: Policy) -> Handoff | None:
    """The one alert of this qualification, if the lead has just entered the stage that is handed over."""
    after, before = decision.after, decision.before
    entered = after.stage == policy.handoff_stage and (before is None or before.stage != after.stage)
    silent = (
        policy.baseline or after.cause == "baseline" or (after.cause == "model" and not policy.notify_model_changes)
    )
    live = _live(lead)
    if not entered or silent or _was_said_before(lead, decision) or after.held_by == "protected" or not live:
        return None
    record = next((each for each in live if each.key.connection in policy.writable), live[0])
    return Handoff(
        key=f"{policy.installation}/{record.key}#{after.episode}",
        lead=lead.id,
        record=record.key,
        episode=after.episode,
        stage=after.stage,
        total=decision.score.total,
        at=decision.score.as_of,
        email=record.email,
        name=record.name,
        owner=record.owner,
        url=record.url,
        fields=lead.signals.fields,
        reasons=(*_said_by_a_person(decision), *strongest(decision.score, 3)),
        caused_at=_newest_deed(lead, model, decision.score.as_of) if after.cause == "activity" else None,
        did=_last_deeds(lead, model, decision.score.as_of),
        missing=_missing(lead, model, decision.score),
        answered_in=policy.answered_in,
    )


def _last_deeds(lead: Lead, model: Model, as_of: datetime) -> tuple[Did, ...]:
    """Of the activities that count and of a kind that gives points. Of those that a counter told of at once, one."""
    kinds = activity_kinds(rule.when for _, rule in model.rules if rule.points > 0)
    found = {Did(each.kind, each.at) for each in sieve(model)(lead.signals).kept if each.kind in kinds}
    past = (each for each in found if each.at <= as_of)
    return tuple(sorted(past, key=lambda each: (each.at, each.kind), reverse=True)[:_MOST_DEEDS])


def _missing(lead: Lead, model: Model, score: Score) -> tuple[str, ...]:
    """What `explain` calls not given: "Has a budget (budget is empty)"."""
    found = (each for each in not_given(model, score, lead.signals) if each.dimension in TO_ASK)
    return tuple(f"{each.rule.name} ({each.why})" for each in found)[:_MOST_MISSING]


def _newest_deed(lead: Lead, model: Model, as_of: datetime) -> datetime | None:
    """When the last of the activities happened that the model looks at."""
    kinds = activity_kinds(model.conditions())
    singly = [each.at for each in lead.signals.activities if each.kind in kinds]
    counted = [each.last_at or each.seen_at for each in lead.signals.readings if each.kind in kinds]
    return max((at for at in (*singly, *counted) if at <= as_of), default=None)
