"""One lead, and everything that led to its score and stage, now or at any time, as values and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from syncer import scoring, stages
from syncer.app import App
from syncer.errors import NotFound
from syncer.model import Answer, Contribution, Lead, Override, Score, Told, Transition
from syncer.queries import replay
from syncer.queries.texts import day, points
from syncer.rules import Model
from syncer.settings.showing import condition_text
from syncer.stages import Ahead, Marks
from syncer.store import answers, decisions, erasure, handed_over, histories, mirror
from syncer.store import words as spoken

_HELD = {
    "rules": "held by the rules",
    "veto": "held by a veto rule",
    "protected": "its stage belongs to others and is not touched",
}
_LONGEST_SELECTOR = 100


@dataclass(frozen=True)
class Explanation:
    """One lead as of a time, with everything that led there."""

    lead: Lead  # with what was known and decided by then
    model: Model
    score: Score
    marks: Marks
    history: tuple[Transition, ...]  # by then
    overrides: tuple[Override, ...]
    told: tuple[Told, ...] = ()  # every hand-off of the lead, the oldest first
    answers: tuple[Answer, ...] = ()  # what sales has said to them by then, in the same order
    past: bool = False  # not as of now
    rules_unknown: str = ""  # why other rules stand in for those of then
    rules_unused: bool = False  # those in the files have changed since the last run
    complaints: tuple[str, ...] = ()  # what of its records makes no sense, as a stage chosen by hand that is none


def explain_lead(app: App, selector: str) -> Explanation:
    """Score the one lead that the selector names, as of now, with its ledger."""
    return explain_one(app, find_one(app, selector), selector)


def explain_one(app: App, lead_id: int, selector: str) -> Explanation:
    """The same of the lead of that number. `selector`: what errors call it."""
    now = app.clock()
    lead = mirror.lead(app.store, lead_id, now)
    if not lead.records:
        raise NotFound(
            f"'{selector}' was deleted in the CRM; its history is kept, its score is not: --at DAY shows it as it was",
            code="SY085",
        )
    model = replay.model_of(lead.signals, app.project.segments, now)
    evaluation, marks = replay.marks_at(lead.signals, model, now)
    score = scoring.score_of(lead.signals, model, now, evaluation, 0)
    moves, words = moves_and_words(app, lead.id)
    with app.store.reading() as tx:
        unused = replay.unused(app, tx, mirror.home(tx, lead.id), now)
        told, answered = _told_and_answered(tx, lead.id)
        complaints = mirror.complaints(tx, [record.key for record in lead.records])
    why = tuple(f"{key.connection}: {reason}" for key, reason in complaints)
    return Explanation(lead, model, score, marks, moves, words, told, answered, rules_unused=unused, complaints=why)


def explain_then(app: App, selector: str, text: str) -> Explanation:
    """The same as of a time that is past, by the rules in force then, with nothing that was learned later."""
    at = replay.moment("--at", text, app.clock(), app.project.timezone)
    return explain_one_then(app, find_one(app, selector), selector, at)


def explain_one_then(app: App, lead_id: int, selector: str, at: datetime) -> Explanation:
    """The same of the lead of that number. `selector`: what errors call it."""
    now, zone = app.clock(), app.project.timezone
    lead = mirror.lead(app.store, lead_id, now, deeds=False)
    history = histories.history(app.store, lead.id)
    signals = replay.signals_then(history, at, selector, zone)
    with app.store.reading() as tx:
        rules = replay.rules_at(app, tx, mirror.home(tx, lead.id), at, now)
        told, answered = _told_and_answered(tx, lead.id)
        moves, words = decisions.transitions(tx, lead.id), spoken.known_at(tx, lead.id, at)
    model = replay.model_of(signals, rules.segments, at)
    evaluation, marks = replay.marks_at(signals, model, at)
    score = scoring.score_of(signals, model, at, evaluation, 0)
    state = replay.state_at(lead, moves, words, at, (model, marks))
    return Explanation(
        lead=replay.lead_then(lead, history, signals, state, at),
        model=model,
        score=score,
        marks=marks,
        history=tuple(move for move in moves if move.at <= at),
        overrides=tuple(words),
        told=told,
        answers=tuple(answer for answer in answered if answer.at <= at),
        past=True,
        rules_unknown=rules.unknown,
    )


def _told_and_answered(tx: Connection, lead: int) -> tuple[tuple[Told, ...], tuple[Answer, ...]]:
    told = tuple(handed_over.of_lead(tx, lead))
    found = answers.of(tx, [each.key for each in told])
    return told, tuple(answer for each in told for answer in found.get(each.key, ()))


def moves_and_words(app: App, lead: int) -> tuple[tuple[Transition, ...], tuple[Override, ...]]:
    with app.store.reading() as tx:
        return tuple(decisions.transitions(tx, lead)), tuple(decisions.overrides(tx, lead))


def find_one(app: App, selector: str) -> int:
    """The one lead a selector names. NotFound for none or several."""
    with app.store.reading() as tx:
        found = mirror.find(tx, selector)
        faces = mirror.faces(tx, found)
    if not found:
        raise NotFound(
            f"no lead matches '{selector[:_LONGEST_SELECTOR]}'; give an e-mail, a record's id or connection/object/id",
            code="SY085",
        )
    if len(found) > 1:
        names = ", ".join(str(key) for key, _ in faces.values())
        raise NotFound(f"{len(found)} leads match '{selector}'; name one of: {names}", code="SY086")
    insist_on_memory(app, found[0], selector)
    return found[0]


def insist_on_memory(app: App, lead: int, selector: str) -> None:
    """NotFound (SY220) for a lead whom we were asked to forget."""
    with app.store.reading() as tx:
        by = erasure.forgotten(tx, lead)
    if by is not None:
        raise NotFound(
            f"'{selector[:_LONGEST_SELECTOR]}' was forgotten on {day(by.at, app.project.timezone)} by {by.by}, and "
            "stays so; where the CRM still has this person, erase them there, too",
            code="SY220",
        )


def explanation_json(found: Explanation) -> dict[str, Any]:
    lead, state = found.lead, found.lead.state.stage
    following = ahead(found)
    return {
        **lead_json(lead),
        "model": found.score.model,
        "as_of": found.score.as_of.isoformat(),
        "rules_known": not found.rules_unknown,
        "rules_unused": found.rules_unused,
        "stage": state.stage if state else None,
        "automatic_stage": state.automatic if state else None,
        "since": state.since.isoformat() if state else None,
        "held_by": state.held_by if state else None,
        "held_by_whom": holder(found),
        "cause": state.cause if state else None,
        "episode": state.episode if state else 0,
        "total": points(found.score.total),
        "dimensions": {name: points(sum_) for name, sum_ in found.score.dimensions.items()},
        "contributions": [_line_json(line) for line in found.score.contributions],
        "ignored": [
            {"rule": each.rule, "name": each.name, "evidence": each.evidence, "where": each.where}
            for each in found.score.ignored
        ],
        "not_given": [_not_given_json(each) for each in not_given(found)],
        "vetoes": [veto.name for veto in found.marks.vetoes],
        "missing_for": following.stage if following else None,
        "missing": [str(gate) for gate in following.gates] if following else [],
        "or_any": [condition_text(each) for each in following.or_any] if following else [],
        "skip_gates": following.skip_gates if following else False,
        "history": [
            {**move_json(move), "resumes": earlier.key if earlier else None}
            for move, earlier in with_resumed(found.history, found.told)
        ],
        "overrides": [override_json(each) for each in found.overrides],
        "answers": [answer_json(each) for each in found.answers],
        "makes_no_sense": list(found.complaints),
    }


def lead_json(lead: Lead) -> dict[str, Any]:
    record = lead.records[0] if lead.records else None
    return {
        "lead": str(record.key) if record else None,
        "email": record.email if record else None,
        "name": record.name if record else None,
        "records": [str(each.key) for each in lead.records],
    }


def _line_json(line: Contribution) -> dict[str, Any]:
    return {
        "rule": line.rule,
        "name": line.name,
        "dimension": line.dimension,
        "points": points(line.hundredths),
        "evidence": line.evidence,
        "where": line.where,
    }


def _not_given_json(each: scoring.NotGiven) -> dict[str, Any]:
    return {
        "rule": each.rule.id,
        "name": each.rule.name,
        "dimension": each.dimension,
        "points": points(each.rule.points),
        "why": each.why,
        "where": each.rule.where,
    }


def move_json(move: Transition) -> dict[str, Any]:
    return {
        "at": move.at.isoformat(),
        "from": move.before,
        "to": move.after,
        "cause": move.cause,
        "total": points(move.total),
        "run": move.run,
    }


def override_json(each: Override) -> dict[str, Any]:
    return {
        "stage": each.stage,
        "author": each.author,
        "reason": each.reason,
        "source": each.source,
        "since": each.since.isoformat(),
        "until": each.until.isoformat() if each.until else None,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "accepted": answer.accepted,
        "reason": answer.reason,
        "author": answer.author,
        "source": answer.source,
        "at": answer.at.isoformat(),
    }


def holder(found: Explanation) -> str:
    """Who holds the stage, in words: "held by marta@acme.es since 3 Nov 2026 (no budget); the rules would say sql"."""
    state, override = found.lead.state.stage, found.lead.state.override
    if state is None:
        return "not decided yet"
    if (owner := kept_by(found)) is not None:
        why = f"only {owner} moves a lead down from there"
        return f"held by the rules, though its points no longer reach {state.stage}: {why}"
    if state.held_by != "person" or override is None:
        veto = f": {found.lead.state.veto}" if state.held_by == "veto" and found.lead.state.veto else ""
        return _HELD.get(state.held_by, "held by a person") + veto
    rules = f"; the rules would say {state.automatic}"
    return f"held by {said(override, found.model.timezone)}{rules}"


def kept_by(found: Explanation) -> str | None:
    """Who alone moves the lead down, where the rules hold it in a stage that its points no longer reach; None: that is
    not so, or nobody does."""
    state, model = found.lead.state.stage, found.model
    owners = {stage.name: stage.owned_by for stage in model.stages}
    if state is None or state.held_by != "rules" or state.stage not in owners:
        return None
    return None if stages.is_reached(state, found.marks, model) else owners[state.stage]


def said(override: Override, timezone: str) -> str:
    """ "marta since 3 Nov 2026 until 15 Jan 2027 (no budget)"."""
    reason = f" ({override.reason})" if override.reason else ""
    until = f" until {day(override.until, timezone)}" if override.until else ""
    return f"{override.author} since {day(override.since, timezone)}{until}{reason}"


def not_given(found: Explanation) -> list[scoring.NotGiven]:
    return scoring.not_given(found.model, found.score, found.lead.signals)


def in_force(kept: Override | None, now: datetime) -> bool:
    return kept is not None and kept.holds(now)


def ahead(found: Explanation) -> Ahead | None:
    """None at the top, and for a stage that the rules do not know: they may stand in for those of then."""
    state = found.lead.state.stage
    if state is None or all(stage.name != state.automatic for stage in found.model.stages):
        return None
    return stages.missing(state, found.marks, found.model)


def with_resumed(moves: Sequence[Transition], told: Sequence[Told]) -> list[tuple[Transition, Told | None]]:
    """Each move with the earlier hand-off that it has taken up again, where it came back within the cool-down: back in
    the stage, but in no new episode and with no hand-off of its own."""
    found: list[tuple[Transition, Told | None]] = [(move, None) for move in moves[:1]]
    for before, move in pairwise(moves):
        earlier = [each for each in told if each.stage == move.after and each.at <= move.at]
        back = move.episode == before.episode and bool(earlier) and earlier[-1].at <= before.at
        found.append((move, earlier[-1] if back else None))
    return found
