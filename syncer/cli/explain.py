"""`explain`: one lead, and everything that led to its score and stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.table import Table

from syncer import planning, scoring, stages
from syncer.app import App
from syncer.cli.output import (
    Align,
    app_of,
    day,
    day_and_time,
    points,
    print_json,
    show,
    signed,
    table,
)
from syncer.errors import NotFound
from syncer.handoff.text import one_line
from syncer.model import Contribution, Lead, Override, Score, Transition
from syncer.rules import Model
from syncer.settings import Project
from syncer.stages import Marks
from syncer.store import decisions, mirror

_HELD = {
    "rules": "held by the rules",
    "veto": "held by a veto rule",
    "protected": "its stage belongs to others and is not touched",
}


@dataclass(frozen=True)
class Explanation:
    """One lead as of now, with everything that led there."""

    lead: Lead
    model: Model
    score: Score
    marks: Marks
    history: tuple[Transition, ...]
    overrides: tuple[Override, ...]


def explain(ctx: click.Context, lead: str, as_json: bool) -> None:
    with app_of(ctx) as app:
        found = explain_lead(app, lead)
        if as_json:
            print_json("syncer.explain/1", explanation_json(found))
        else:
            _print(found, app.project)


def explain_lead(app: App, selector: str) -> Explanation:
    """Score the one lead that the selector names, as of now, with its ledger."""
    now = app.clock()
    lead = mirror.lead(app.store, find_one(app, selector), now)
    if not lead.records:
        raise NotFound(f"'{selector}' was deleted in the CRM; its history is kept, its score is not", code="SY085")
    model = _model_of(lead, app.project, now)
    evaluation = scoring.evaluate(scoring.match([lead.signals], model), model, now)
    score = scoring.score_of(lead.signals, model, now, evaluation, 0)
    with app.store.reading() as tx:
        history = tuple(decisions.transitions(tx, lead.id))
        overrides = tuple(decisions.overrides(tx, lead.id))
    marks = planning.marks_of(model, evaluation, 0)
    return Explanation(lead, model, score, marks, history, overrides)


def find_one(app: App, selector: str) -> int:
    """The one lead a selector names. NotFound for none or several."""
    with app.store.reading() as tx:
        found = mirror.find(tx, selector)
        faces = mirror.faces(tx, found)
    if not found:
        raise NotFound(
            f"no lead matches '{selector}'; give an e-mail, a record's id or connection/object/id", code="SY085"
        )
    if len(found) > 1:
        names = ", ".join(str(key) for key, _ in faces.values())
        raise NotFound(f"{len(found)} leads match '{selector}'; name one of: {names}", code="SY086")
    return found[0]


def _model_of(lead: Lead, project: Project, now: datetime) -> Model:
    for segment in project.segments:
        if segment.when is None or scoring.passes(segment.when, lead.signals, now):
            return segment.model
    raise NotFound("no model in the project file is for this lead; add one without `for:` at the end", code="SY087")


def explanation_json(found: Explanation) -> dict[str, Any]:
    lead, state, record = found.lead, found.lead.state.stage, found.lead.records[0]
    following = stages.missing(state, found.marks, found.model) if state else None
    return {
        "lead": str(record.key),
        "email": record.email,
        "name": record.name,
        "records": [str(each.key) for each in lead.records],
        "model": found.score.model,
        "as_of": found.score.as_of.isoformat(),
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
        "vetoes": [veto.name for veto in found.marks.vetoes],
        "missing_for": following[0] if following else None,
        "missing": [str(gate) for gate in following[1]] if following else [],
        "history": [_move_json(move) for move in found.history],
        "overrides": [override_json(each) for each in found.overrides],
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


def _move_json(move: Transition) -> dict[str, Any]:
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


def holder(found: Explanation) -> str:
    """Who holds the stage, in words: "held by marta@acme.es since 3 Nov 2026 (no budget); the rules would say sql"."""
    state, override = found.lead.state.stage, found.lead.state.override
    if state is None:
        return "not decided yet"
    if state.held_by != "person" or override is None:
        veto = f": {found.lead.state.veto}" if state.held_by == "veto" and found.lead.state.veto else ""
        return _HELD.get(state.held_by, "held by a person") + veto
    zone, reason = found.model.timezone, f" ({override.reason})" if override.reason else ""
    until = f" until {day(override.until, zone)}" if override.until else ""
    rules = f"; the rules would say {state.automatic}"
    return f"held by {override.author} since {day(override.since, zone)}{until}{reason}{rules}"


def _print(found: Explanation, project: Project) -> None:
    record, state = found.lead.records[0], found.lead.state.stage
    known = [record.name, record.email, f"owner {record.owner}" if record.owner else None, str(record.key)]
    show(" · ".join(one_line(each) for each in known if each), style="bold")
    sums = " + ".join(f"{name} {sum_ / 100:g}" for name, sum_ in found.score.dimensions.items())
    since = f" since {day_and_time(state.since, project.timezone)}" if state else ""
    stage = state.stage.upper() if state else "No stage yet"
    show(f"{stage}{since} · {found.score.total / 100:g} points = {sums}")
    show(f"{one_line(holder(found))}\n")
    show(ledger(found.score))
    click.echo()
    facts = [*_next(found), *_history(found.history, project.timezone)]
    show(table([("", "left"), ("", "left")], facts, headed=False))


def ledger(score: Score) -> Table:
    """The contributions under their dimensions. A file named by all of them stands in the heading alone."""
    files = {line.where.rpartition(":")[0] for line in score.contributions}
    only = files.pop() if len(files) == 1 else ""
    rows, last = [], ""
    for line in score.contributions:
        dimension = "" if line.dimension == last else line.dimension
        where = line.where.removeprefix(f"{only}:") if only else line.where
        rows.append([dimension, signed(line.hundredths), line.name, line.evidence, where])
        last = line.dimension
    rows.append(["", f"{score.total / 100:g}", "total", "", ""])
    columns: list[tuple[str, Align]] = [("", "left"), ("Points", "right"), ("Rule", "left"), ("Evidence", "left")]
    return table([*columns, (only or "Line", "right" if only else "left")], rows)


def in_force(kept: Override | None, now: datetime) -> bool:
    return kept is not None and (kept.until is None or kept.until > now)


def _next(found: Explanation) -> list[list[str]]:
    rows = [["Veto", f"{veto.name}: at most {veto.hold_at} while it holds"] for veto in found.marks.vetoes]
    state, word = found.lead.state.stage, found.lead.state.override
    if word is not None and in_force(word, found.score.as_of) and (state is None or state.held_by != "person"):
        rows.append(["Override", f"{word.stage}, set by {word.author}: from the next run on"])
    following = stages.missing(state, found.marks, found.model) if state else None
    if following is not None and not (rows and not following[1]):
        have = {**found.score.dimensions, "total": found.score.total}
        shut = ", ".join(f"{gate} (now {have.get(gate.measure, 0) / 100:g})" for gate in following[1])
        rows.append([f"To {following[0]}", shut or "all gates are passed; the next run moves it"])
    return rows


def _history(moves: tuple[Transition, ...], timezone: str) -> list[list[str]]:
    return [
        [
            "" if number else "History",
            f"{day_and_time(move.at, timezone)}  {move.before or 'new'} → {move.after}, "
            f"{move.total / 100:g} points, {move.cause} (run {move.run})",
        ]
        for number, move in enumerate(moves)
    ]
