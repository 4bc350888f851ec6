"""`simulate`: what other rules would have done with the leads as they were known, and how well they would have told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from syncer.app import App
from syncer.cli.output import (
    Align,
    app_of,
    counted,
    day,
    interval,
    percent,
    points,
    print_json,
    share_json,
    show,
    table,
)
from syncer.cli.simulate_table import simulate_table
from syncer.cli.tally import ENDED_WEEKS, UNPLACED, Move, Side, Tally, Task, tallied
from syncer.settings import Project, rules_at, rules_set, rules_with
from syncer.simulation import FEWEST, BackTest, RuleSet, back_test, days_until


def simulate(ctx: click.Context, connection: str | None, leads: Path | None, as_json: bool, **given: Any) -> None:
    _refuse_mixtures(leads, given)
    if leads is not None:
        simulate_table(leads, given["model"], as_json, **{key: given[key] for key in ("outcome", "column", "columns")})
        return
    with app_of(ctx) as app:
        task = Task(
            sides=_sides(app, given["with_file"], given["sets"], given["against"]),
            days=days_until(app.clock(), given["weeks"]),
            outcome=app.project.outcome,
            who=given["who"],
        )
        tally = tallied(app, connection, task)
    if as_json:
        print_json("syncer.simulate/1", _json(tally, task))
    else:
        _print(tally, task, app.project)


def _refuse_mixtures(leads: Path | None, given: Mapping[str, Any]) -> None:
    if sum(bool(given[name]) for name in ("with_file", "sets", "against")) > 1:
        raise click.UsageError("give one of --with, --set and --against")
    for_table = [name for name in ("model", "outcome", "column", "columns") if given[name]]
    if leads is None and for_table:
        raise click.UsageError(f"--{for_table[0]} belongs to --leads FILE, a table of leads")
    if leads is not None and (given["with_file"] or given["sets"] or given["against"] or given["who"]):
        raise click.UsageError("--leads takes one --model; measure the other one by itself")


def _sides(app: App, with_file: Path | None, sets: Sequence[str], against: str | None) -> tuple[Side, ...]:
    """The rules in force and those to compare with, from left to right in time: of a git commit come first."""
    project = app.project
    stage = project.handoff.when if project.handoff is not None else project.stages[-1]
    present = Side(project.path.name, RuleSet(project.segments, stage))
    if against is not None:
        return Side(against, RuleSet(*rules_at(project, against, os.environ))), present
    if with_file is not None:
        return present, Side(with_file.as_posix(), RuleSet(*rules_with(project, with_file, os.environ)))
    if sets:
        return present, Side("; ".join(sets), RuleSet(*rules_set(project, sets, os.environ)))
    return (present,)


# What is shown.


def _order(sides: Sequence[Side]) -> list[str]:
    """The stages of both, coldest first; one that only the second has stands behind the one before it there."""
    order = list(sides[0].rules.stages)
    for rank, name in enumerate(sides[-1].rules.stages):
        if name not in order:
            order.insert(order.index(sides[-1].rules.stages[rank - 1]) + 1 if rank else 0, name)
    return order


def _moved(tally: Tally, order: Sequence[str]) -> tuple[int, int]:
    """(how many leads move up, how many down); a stage comes above none."""
    ranks = {name: rank for rank, name in enumerate([UNPLACED, *order])}
    up = sum(leads for pair, leads in tally.places.items() if ranks[pair[0]] < ranks[pair[-1]])
    down = sum(leads for pair, leads in tally.places.items() if ranks[pair[0]] > ranks[pair[-1]])
    return up, down


def _shown_stages(tally: Tally, order: Sequence[str]) -> list[str]:
    return [*([UNPLACED] if any(UNPLACED in pair for pair in tally.places) else []), *order]


def _json(tally: Tally, task: Task) -> dict[str, Any]:
    order = _order(task.sides)
    up, down = _moved(tally, order)
    stages = _shown_stages(tally, order)
    first, last = task.sides[0], task.sides[-1]
    told: dict[str, Any] = {
        "as_of": task.now.isoformat(),
        "leads": tally.places.total(),
        "protected": tally.protected,
        "stages": stages,
        "from": _side_json(first, tally, 0),
        "weeks": [begin.isoformat() for begin in task.days[:-1:7]],
    }
    if last is not first:
        told["to"] = _side_json(last, tally, 1)
        told["moved"] = {"up": up, "down": down}
        told["matrix"] = {one: {other: tally.places[one, other] for other in stages} for one in stages}
    if task.who:
        told["moves"] = [_move_json(move) for move in _sorted(tally.moves, order)]
    if task.outcome is not None:
        told["ended_earlier"] = tally.older
    return told


def _side_json(side: Side, tally: Tally, number: int) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for places, leads in tally.places.items():
        counts[places[number]] += leads
    found = back_test(tally.tried[number])
    return {
        "rules": side.name,
        "models": [segment.model.version for segment in side.rules.segments],
        "handoff_stage": side.rules.handoff_stage,
        "leads": dict(counts),
        "handoffs": tally.handoffs[number],
        "qualified_unknown_when": tally.unsure[number],
        "back_test": _back_test_json(found) if found.leads or found.unknown else None,
    }


def _back_test_json(found: BackTest) -> dict[str, Any]:
    return {
        "leads": found.leads,
        "won_that_qualified": share_json(found.won),
        "qualified_that_won": share_json(found.qualified),
        "auc": found.auc,
        "top_decile_lift": found.lift,
        "unknown_before": found.unknown,
        "too_few_to_tell": found.too_few,
    }


def _move_json(move: Move) -> dict[str, Any]:
    return {
        "lead": move.lead,
        "email": move.email,
        "from": {"stage": move.stages[0], "total": points(move.totals[0])},
        "to": {"stage": move.stages[1], "total": points(move.totals[1])},
    }


def _sorted(moves: Sequence[Move], order: Sequence[str]) -> list[Move]:
    ranks = {name: rank for rank, name in enumerate([UNPLACED, *order])}
    return sorted(moves, key=lambda move: (ranks[move.stages[0]], ranks[move.stages[1]], move.email or "", move.lead))


def _print(tally: Tally, task: Task, project: Project) -> None:
    order = _order(task.sides)
    first, last = task.sides[0], task.sides[-1]
    leads = f"{counted(tally.places.total(), 'lead')} as of {day(task.now, project.timezone)}"
    if last is first:
        click.echo(f"{leads}, with {first.name}")
        show(_stage_table(tally, order))
        click.echo("Replayed by the rules alone over these weeks; `syncer status` counts the stages as they are.")
    else:
        click.echo(f"{leads}; rows = stage with {first.name}, columns = with {last.name}")
        show(_matrix(tally, order))
        up, down = _moved(tally, order)
        click.echo(f"{counted(down, 'lead')} down, {up:,} up." if down or up else "Nobody moves.")
    if tally.protected:
        click.echo(f"{counted(tally.protected, 'lead')} left out: the stage belongs to others.")
    if task.who:
        show(_movers(_sorted(tally.moves, order)))
    click.echo(f"\nHanded to sales in each of the last {len(tally.handoffs[0])} weeks, the oldest first")
    show(_weeks(tally, task.sides))
    if any(tally.unsure):
        unsure = " and ".join(f"{each:,}" for each in tally.unsure)
        click.echo(f"In no week: {unsure} qualified before anything of them was known here, nobody knows when.")
    _print_back_test(tally, task)


def _stage_table(tally: Tally, order: Sequence[str]) -> Table:
    everybody = tally.places.total()
    rows = [
        [name, f"{tally.places[(name,)]:,}", f"{tally.places[(name,)] / max(everybody, 1) * 100:.1f} %"]
        for name in _shown_stages(tally, order)
    ]
    return table([("Stage", "left"), ("Leads", "right"), ("Of all", "right")], rows)


def _matrix(tally: Tally, order: Sequence[str]) -> Table:
    stages = _shown_stages(tally, order)
    rows = [_matrix_row(name, [tally.places[name, other] for other in stages]) for name in stages]
    sums = [sum(tally.places[one, other] for one in stages) for other in stages]
    columns: list[tuple[str, Align]] = [("from \\ to", "left"), *((name, "right") for name in stages)]
    return table([*columns, ("total", "right")], [*rows, _matrix_row("total", sums)])


def _matrix_row(name: str, leads: Sequence[int]) -> list[str]:
    return [name, *(f"{each:,}" if each else "·" for each in leads), f"{sum(leads):,}"]


def _movers(moves: Sequence[Move]) -> Table:
    rows = [
        [move.email or move.lead, " → ".join(move.stages), " → ".join(f"{total / 100:g}" for total in move.totals),
         move.lead]
        for move in moves
    ]  # fmt: skip
    return table([("Lead", "left"), ("Stage", "left"), ("Score", "right"), ("Record", "left")], rows)


def _weeks(tally: Tally, sides: Sequence[Side]) -> Table:
    rows = [
        [side.name, _mean(weeks), " ".join(map(str, weeks))] for side, weeks in zip(sides, tally.handoffs, strict=True)
    ]
    return table([("Rules", "left"), ("A week", "right"), ("By week", "left")], rows)


def _mean(weeks: Sequence[int]) -> str:
    """With two decimals where one would say too little."""
    mean = sum(weeks) / len(weeks)
    return f"{mean:.2f}" if mean < 1 else f"{mean:.1f}"


def _print_back_test(tally: Tally, task: Task) -> None:
    if task.outcome is None:
        click.echo("\nNo back-test: `outcome:` in the project file would say how won and lost leads are told.")
        return
    found = [back_test(tried) for tried in tally.tried]
    click.echo(f"\nBack-test on leads that ended in the last {ENDED_WEEKS} weeks, each as it was known before its end")
    if any(each.leads for each in found):
        show(_tests(found, task.sides))
        click.echo("Activities from before the first sync are taken as they were read then.")
    if not any(each.leads or each.unknown for each in found) and not tally.older:
        field = task.outcome.won.field
        click.echo(f"Nobody's {field} says so. A field that was never asked for comes from the CRM with the next run.")
        return
    for line in _cautions(found[0], tally.older):
        click.echo(line)
    for each, side in zip(found, task.sides, strict=True):
        if each.too_few:
            click.echo(f"Too few to tell, {side.name}: {_why_too_few(each)}")


def _tests(found: Sequence[BackTest], sides: Sequence[Side]) -> Table:
    rows = [
        [
            side.name,
            f"{each.won.part:,} of {each.won.of:,}", percent(each.won), interval(each.won),
            f"{each.qualified.part:,} of {each.qualified.of:,}", percent(each.qualified), interval(each.qualified),
            "–" if each.auc is None else f"{each.auc:.2f}", "–" if each.lift is None else f"{each.lift:.1f} ×",
        ]
        for each, side in zip(found, sides, strict=True)
    ]  # fmt: skip
    names = {side.rules.handoff_stage for side in sides}
    stage = names.pop().upper() if len(names) == 1 else "handed over"
    columns: list[tuple[str, Align]] = [
        ("Rules", "left"), (f"Won that were {stage} first", "right"), ("", "right"), ("95 %", "right"),
        (f"{stage} that were won", "right"), ("", "right"), ("95 %", "right"), ("AUC", "right"), ("Top tenth", "right"),
    ]  # fmt: skip
    return table(columns, rows)


def _cautions(found: BackTest, older: int) -> Iterator[str]:
    if found.unknown:
        yield f"{counted(found.unknown, 'lead')} left out: the end came before anything was known."
    if older:
        yield f"{counted(older, 'lead')} left out: the end came earlier."
    if found.leads and found.won.of == found.leads:
        yield "Nobody is known to be lost, so nothing says how many of those handed over were won."


def _why_too_few(found: BackTest) -> str:
    if found.leads < FEWEST:
        return f"{counted(found.leads, 'lead')} with an outcome, and {FEWEST} are the least."
    return "an interval reaches more than 15 points to each side."
