"""Leads in, plans out: score each by the first model it fits, place it, and plan what follows. Pure.

What a lead's facts meet is its footprint. A lead to which nothing happened since is looked at by its footprint alone;
only where that shows a difference are its facts read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from syncer import planning, scoring
from syncer.model import Footprint, Lead, LeadPlan, Score
from syncer.rules import Model, Segment, rules_version
from syncer.stages import Hands, Occasion, next_state

Segments = tuple[Segment, ...]

_POINT = 100  # hundredths; what the CRM shows is whole points


@dataclass(frozen=True, slots=True)
class Decided:
    plans: tuple[LeadPlan, ...]
    footprints: Mapping[int, Footprint]  # by lead


def fingerprint(segments: Segments) -> str | None:
    """Names the rules that footprints are made under. None where time alone moves a lead to another segment: then a
    footprint under one of them says too little, and none is kept."""
    if any(scoring.timed(segment.when) for segment in segments):
        return None
    return rules_version(segments)


def decide(leads: Sequence[Lead], segments: Segments, policy: planning.Policy, as_of: datetime) -> Decided:
    """The plans of leads that were read whole; one that fits no segment has none."""
    conditions = [segment.when for segment in segments]
    chosen = scoring.first_passed(conditions, [lead.signals for lead in leads], as_of)
    plans: list[LeadPlan] = []
    footprints: dict[int, Footprint] = {}
    for number, segment in enumerate(segments):
        mine = [lead for lead, its_segment in zip(leads, chosen, strict=True) if its_segment == number]
        matched = scoring.match([lead.signals for lead in mine], segment.model)
        evaluation = scoring.evaluate(matched, segment.model, as_of)
        plans.extend(_plans(_Chunk(mine, matched, evaluation, segment.model), policy, as_of))
        kept = zip(mine, scoring.packed(matched, segment.model), strict=False)  # none of a model too large
        footprints |= {lead.id: footprint for lead, footprint in kept}
    if any(map(scoring.timed, conditions)):
        plans = _looked_at_in_time(leads, plans, segments, as_of)
    return Decided(tuple(plans), footprints)


def _looked_at_in_time(
    leads: Sequence[Lead], plans: Sequence[LeadPlan], segments: Segments, as_of: datetime
) -> list[LeadPlan]:
    """Also when another model may be for the lead by then."""
    turns = scoring.next_turns([segment.when for segment in segments], [lead.signals for lead in leads], as_of)
    turn_of = {lead.id: turn for lead, turn in zip(leads, turns, strict=True)}
    sooner = []
    for planned in plans:
        looks = [at for at in (planned.decision.next_look, turn_of[planned.decision.lead]) if at is not None]
        sooner.append(replace(planned, decision=replace(planned.decision, next_look=min(looks, default=None))))
    return sooner


def unmoved(leads: Sequence[Lead], segments: Segments, policy: planning.Policy, as_of: datetime) -> list[LeadPlan]:
    """Of leads with a footprint, the plans of those for whom time has changed nothing that anybody sees; the others
    must be read whole."""
    quiet: list[LeadPlan] = []
    for model in {segment.model.version: segment.model for segment in segments}.values():
        mine = [(lead, lead.footprint) for lead in leads if lead.footprint and lead.footprint.model == model.version]
        if mine:
            matched = scoring.unpacked([footprint for _, footprint in mine], model)
            chunk = _Chunk([lead for lead, _ in mine], matched, scoring.evaluate(matched, model, as_of), model)
            quiet += [planned for _, planned in _looks(chunk, policy, as_of) if not _is_seen(planned)]
    return quiet


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Leads that one model scores; row by row what their facts meet and what it gives."""

    leads: Sequence[Lead]
    matched: scoring.Matched
    evaluation: scoring.Evaluation
    model: Model


def _plans(chunk: _Chunk, policy: planning.Policy, as_of: datetime) -> Iterator[LeadPlan]:
    for row, (found, planned) in enumerate(_looks(chunk, policy, as_of)):
        lead, model = chunk.leads[row], chunk.model
        if not _is_seen(planned):
            yield planned
            continue
        # Words are made only for leads that somebody will read about.
        worded = replace(found, score=scoring.score_of(lead.signals, model, as_of, chunk.evaluation, row))
        if planned.handoff or planned.decision.moved:
            worded = replace(worded, had_qualified=_had_qualified(lead, planned, model))
        yield planning.plan_lead(lead, worded, model, policy)


def _looks(chunk: _Chunk, policy: planning.Policy, as_of: datetime) -> Iterator[tuple[planning.Look, LeadPlan]]:
    """Row by row what one look at the lead finds, and its plan, without words."""
    model = chunk.model
    looks = scoring.next_looks(chunk.matched, model, as_of, min(policy.min_step, _POINT))
    for row, lead in enumerate(chunk.leads):
        marks = planning.marks_of(model, chunk.evaluation, row)
        score = Score(lead.id, as_of, model.version, marks.dimensions, marks.total)
        found = planning.Look(as_of, score, marks, looks[row])
        yield found, planning.plan_lead(lead, found, model, policy)


def _is_seen(planned: LeadPlan) -> bool:
    return bool(planned.changes or planned.handoff or planned.decision.moved)


def _had_qualified(lead: Lead, planned: LeadPlan, model: Model) -> bool:
    """Would today's rules have given this stage already when the lead was decided last, with what had happened by
    then? Then they, or history that we have only now read, are the cause, and nothing that the lead has done."""
    state = lead.state
    if state.stage is None or state.scored_at is None:
        return False
    known = planning.known_at(lead.signals, state.scored_at)
    then = scoring.evaluate(scoring.match([known], model), model, state.scored_at)
    word = state.override
    in_force = word if word is not None and (word.until is None or word.until > state.scored_at) else None
    occasion = Occasion(state.scored_at, "model")
    again = next_state(state.stage, planning.marks_of(model, then, 0), model, Hands(in_force), occasion)
    return again.automatic == planned.decision.after.automatic
