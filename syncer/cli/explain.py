"""`explain`: one lead, and everything that led to its score and stage, now or at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import click
from rich.table import Table
from sqlalchemy import Connection

from syncer import scoring, stages
from syncer.app import App
from syncer.cli import replay
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
from syncer.model import Answer, Contribution, Lead, Override, Score, Told, Transition
from syncer.rules import Gate, Model
from syncer.settings import Project
from syncer.stages import Marks
from syncer.store import answers, decisions, erasure, handed_over, histories, mirror

_HELD = {
    "rules": "held by the rules",
    "veto": "held by a veto rule",
    "protected": "its stage belongs to others and is not touched",
}
_MOST_NOT_GIVEN = 10
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


def explain(ctx: click.Context, lead: str, as_json: bool, **asked: str | None) -> None:
    at, start, end = asked["at"], asked["start"], asked["end"]
    if at is not None and (start is not None or end is not None):
        raise click.UsageError("--at asks how things stood, --from what has changed since; give one of them")
    if end is not None and start is None:
        raise click.UsageError("--to needs --from")
    with app_of(ctx) as app:
        if start is not None:
            from syncer.cli.difference import explain_difference

            explain_difference(app, lead, (start, end), as_json=as_json)
            return
        found = explain_lead(app, lead) if at is None else explain_then(app, lead, at)
        if as_json:
            print_json("syncer.explain/1", explanation_json(found))
        else:
            _print(found, app.project)


def explain_lead(app: App, selector: str) -> Explanation:
    """Score the one lead that the selector names, as of now, with its ledger."""
    now = app.clock()
    lead = mirror.lead(app.store, find_one(app, selector), now)
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
    now, zone = app.clock(), app.project.timezone
    at = replay.moment("--at", text, now, zone)
    lead = mirror.lead(app.store, find_one(app, selector), now)
    history = histories.history(app.store, lead.id)
    signals = replay.signals_then(history, at, selector, zone)
    with app.store.reading() as tx:
        rules = replay.rules_at(app, tx, mirror.home(tx, lead.id), at, now)
        told, answered = _told_and_answered(tx, lead.id)
    model = replay.model_of(signals, rules.segments, at)
    evaluation, marks = replay.marks_at(signals, model, at)
    score = scoring.score_of(signals, model, at, evaluation, 0)
    moves, words = moves_and_words(app, lead.id)
    state = replay.state_at(lead, moves, words, at, (model, marks))
    return Explanation(
        lead=replay.lead_then(lead, history, signals, state, at),
        model=model,
        score=score,
        marks=marks,
        history=tuple(move for move in moves if move.at <= at),
        overrides=tuple(word for word in words if word.since <= at),
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
    _insist_on_memory(app, found[0], selector)
    return found[0]


def _insist_on_memory(app: App, lead: int, selector: str) -> None:
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
    following = _following(found)
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
        "not_given": [_not_given_json(each) for each in _not_given(found)],
        "vetoes": [veto.name for veto in found.marks.vetoes],
        "missing_for": following[0] if following else None,
        "missing": [str(gate) for gate in following[1]] if following else [],
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


def verdict(answer: Answer) -> str:
    """ "rejected by luis (link): no budget"."""
    said = "accepted" if answer.accepted else "rejected"
    return f"{said} by {answer.author} ({answer.source}){f': {answer.reason}' if answer.reason else ''}"


def holder(found: Explanation) -> str:
    """Who holds the stage, in words: "held by marta@acme.es since 3 Nov 2026 (no budget); the rules would say sql"."""
    state, override = found.lead.state.stage, found.lead.state.override
    if state is None:
        return "not decided yet"
    if state.held_by != "person" or override is None:
        veto = f": {found.lead.state.veto}" if state.held_by == "veto" and found.lead.state.veto else ""
        return _HELD.get(state.held_by, "held by a person") + veto
    rules = f"; the rules would say {state.automatic}"
    return f"held by {said(override, found.model.timezone)}{rules}"


def said(override: Override, timezone: str) -> str:
    """ "marta since 3 Nov 2026 until 15 Jan 2027 (no budget)"."""
    reason = f" ({override.reason})" if override.reason else ""
    until = f" until {day(override.until, timezone)}" if override.until else ""
    return f"{override.author} since {day(override.since, timezone)}{until}{reason}"


def _print(found: Explanation, project: Project) -> None:
    state = found.lead.state.stage
    show(face(found.lead), style="bold")
    if found.past:
        show(f"As of {day_and_time(found.score.as_of, project.timezone)}, with what was known by then")
    if found.rules_unknown:
        show(one_line(found.rules_unknown))
    if found.rules_unused:
        show(
            "The rules in the files have changed, and no run has used them yet: these are their points, not their "
            "stage."
        )
    sums = " + ".join(f"{name} {sum_ / 100:g}" for name, sum_ in found.score.dimensions.items())
    since = f" since {day_and_time(state.since, project.timezone)}" if state else ""
    stage = state.stage.upper() if state else "No stage yet"
    show(f"{stage}{since} · {found.score.total / 100:g} points = {sums}")
    show(f"{one_line(holder(found))}\n")
    show(ledger(found.score, [*_ignored_rows(found.score), *_not_given_rows(_not_given(found))]))
    click.echo()
    no_sense = [["No sense", one_line(each)] for each in found.complaints]
    said = [["Sales", f"{day_and_time(each.at, project.timezone)} {verdict(each)}"] for each in found.answers]
    facts = [*no_sense, *_next(found), *said, *history_rows(found.history, project.timezone, found.told)]
    show(table([("", "left"), ("", "left")], facts, headed=False))


def face(lead: Lead) -> str:
    """Whom we talk about, as people know them."""
    if not lead.records:
        return f"lead {lead.id}, deleted in the CRM since"
    record = lead.records[0]
    shown_by = [str(each.key) for each in lead.records]
    known = [record.name, record.email, f"owner {record.owner}" if record.owner else None, *shown_by]
    return " · ".join(one_line(each) for each in known if each)


def ledger(score: Score, notes: Sequence[Sequence[str]] = ()) -> Table:
    """The contributions under their dimensions, then the notes: rows of the same columns that add nothing. A file named
    by all of them stands in the heading alone."""
    files = {line.where.rpartition(":")[0] for line in score.contributions}
    only = files.pop() if len(files) == 1 else ""
    rows, last = [], ""
    for line in score.contributions:
        dimension = "" if line.dimension == last else line.dimension
        rows.append([dimension, signed(line.hundredths), line.name, line.evidence, line.where])
        last = line.dimension
    rows.append(["", f"{score.total / 100:g}", "total", "", ""])
    rows += [list(note) for note in notes]
    columns: list[tuple[str, Align]] = [("", "left"), ("Points", "right"), ("Rule", "left"), ("Evidence", "left")]
    shorter = [[*row[:-1], row[-1].removeprefix(f"{only}:") if only else row[-1]] for row in rows]
    return table([*columns, (only or "Line", "right" if only else "left")], shorter)


def _ignored_rows(score: Score) -> list[list[str]]:
    return [
        ["" if number else "ignored", "", each.name, each.evidence, each.where]
        for number, each in enumerate(score.ignored)
    ]


def _not_given(found: Explanation) -> list[scoring.NotGiven]:
    return scoring.not_given(found.model, found.score, found.lead.signals)


def _not_given_rows(lacking: Sequence[scoring.NotGiven]) -> list[list[str]]:
    rows = [
        ["" if number else "not given", f"({each.rule.points / 100:g})", each.rule.name, each.why, each.rule.where]
        for number, each in enumerate(lacking[:_MOST_NOT_GIVEN])
    ]
    more = len(lacking) - len(rows)
    return [*rows, ["", "", f"… and {more} more: --json names them", "", ""]] if more else rows


def in_force(kept: Override | None, now: datetime) -> bool:
    return kept is not None and kept.holds(now)


def _following(found: Explanation) -> tuple[str, tuple[Gate, ...]] | None:
    """(the next stage up, the gates still shut on the way). None at the top, and for a stage that the rules do not
    know: they may stand in for those of then."""
    state = found.lead.state.stage
    if state is None or all(stage.name != state.automatic for stage in found.model.stages):
        return None
    return stages.missing(state, found.marks, found.model)


def _next(found: Explanation) -> list[list[str]]:
    rows = [["Veto", f"{veto.name}: at most {veto.hold_at} while it holds"] for veto in found.marks.vetoes]
    state, word = found.lead.state.stage, found.lead.state.override
    if word is not None and in_force(word, found.score.as_of) and (state is None or state.held_by != "person"):
        rows.append(["Override", f"{word.stage}, set by {word.author}: from the next run on"])
    following = _following(found)
    if following is not None and not (rows and not following[1]):
        have = {**found.score.dimensions, "total": found.score.total}
        now, passed = ("then", "were passed") if found.past else ("now", "are passed; the next run moves it")
        shut = ", ".join(f"{gate} ({now} {have.get(gate.measure, 0) / 100:g})" for gate in following[1])
        rows.append([f"To {following[0]}", shut or f"all gates {passed}"])
    return rows


def with_resumed(moves: Sequence[Transition], told: Sequence[Told]) -> list[tuple[Transition, Told | None]]:
    """Each move with the earlier hand-off that it has taken up again, where it came back within the cool-down: back in
    the stage, but in no new episode and with no hand-off of its own."""
    found: list[tuple[Transition, Told | None]] = [(move, None) for move in moves[:1]]
    for before, move in pairwise(moves):
        earlier = [each for each in told if each.stage == move.after and each.at <= move.at]
        back = move.episode == before.episode and bool(earlier) and earlier[-1].at <= before.at
        found.append((move, earlier[-1] if back else None))
    return found


def history_rows(moves: Sequence[Transition], timezone: str, told: Sequence[Told] = ()) -> list[list[str]]:
    return [
        [
            "" if number else "History",
            f"{day_and_time(move.at, timezone)}  {move.before or 'new'} → {move.after}, "
            f"{move.total / 100:g} points, {move.cause} (run {move.run}){_silent(earlier, timezone)}",
        ]
        for number, (move, earlier) in enumerate(with_resumed(moves, told))
    ]


def _silent(earlier: Told | None, timezone: str) -> str:
    if earlier is None:
        return ""
    return f"; no alert: handed over {day_and_time(earlier.at, timezone)}, within the cool-down"
