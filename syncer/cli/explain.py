"""`explain`: one lead, and everything that led to its score and stage, now or at any time."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.table import Table

from syncer.cli.output import Align, app_of, day_and_time, print_json, show, signed, table
from syncer.handoff.text import one_line
from syncer.model import Lead, Score, Told, Transition
from syncer.planning import belongs_to_others
from syncer.queries.explaining import (
    Explanation,
    ahead,
    explain_lead,
    explain_then,
    explanation_json,
    holder,
    in_force,
    not_given,
    with_resumed,
)
from syncer.queries.texts import verdict
from syncer.scoring import NotGiven
from syncer.settings import Project
from syncer.settings.showing import condition_text

_MOST_NOT_GIVEN = 10


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
    show(ledger(found.score, [*_ignored_rows(found.score), *_not_given_rows(not_given(found))]))
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


def _not_given_rows(lacking: Sequence[NotGiven]) -> list[list[str]]:
    rows = [
        ["" if number else "not given", f"({each.rule.points / 100:g})", each.rule.name, each.why, each.rule.where]
        for number, each in enumerate(lacking[:_MOST_NOT_GIVEN])
    ]
    more = len(lacking) - len(rows)
    return [*rows, ["", "", f"… and {more} more: --json names them", "", ""]] if more else rows


def _next(found: Explanation) -> list[list[str]]:
    rows = [["Veto", f"{veto.name}: at most {veto.hold_at} while it holds"] for veto in found.marks.vetoes]
    state, word = found.lead.state.stage, found.lead.state.override
    if word is not None and in_force(word, found.score.as_of) and (state is None or state.held_by != "person"):
        when = "once others let go of the stage" if belongs_to_others(found.lead) else "from the next run on"
        rows.append(["Override", f"{word.stage}, set by {word.author}: {when}"])
    following = ahead(found)
    if following is not None and not (rows and not following.gates):
        have = {**found.score.dimensions, "total": found.score.total}
        now, passed = ("then", "were passed") if found.past else ("now", "are passed; the next run moves it")
        shut = ", ".join(f"{gate} ({now} {have.get(gate.measure, 0) / 100:g})" for gate in following.gates)
        rows.append([f"To {following.stage}", shut or f"all gates {passed}"])
        if following.or_any:
            instead = "all of these" if following.skip_gates else f"{following.stage}'s own"
            rows.append(["", f"or, instead of {instead}: {' or '.join(map(condition_text, following.or_any))}"])
    return rows


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
