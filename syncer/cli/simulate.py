"""`simulate`: what other rules would have done with the leads as they were known, and how well they would have told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from syncer.cli.output import (
    Align,
    app_of,
    counted,
    day,
    interval,
    percent,
    points,
    print_json,
    progress,
    share_json,
    show,
    table,
)
from syncer.cli.simulate_table import simulate_table
from syncer.measures import Share
from syncer.queries.simulating import Mover, Simulated, Simulation, Tested, sides_of, simulation
from syncer.queries.tallying import ENDED_WEEKS, Task, tallied
from syncer.settings import Outcome
from syncer.simulation import FEWEST, days_until


def simulate(ctx: click.Context, connection: str | None, leads: Path | None, as_json: bool, **given: Any) -> None:
    _refuse_mixtures(leads, given)
    if leads is not None:
        simulate_table(leads, given["model"], as_json, **{key: given[key] for key in ("outcome", "column", "columns")})
        return
    with app_of(ctx) as app:
        task = Task(
            sides=sides_of(app.project, given["with_file"], given["sets"], given["against"]),
            days=days_until(app.clock(), given["weeks"]),
            outcome=app.project.outcome,
            most_moves=None if given["who"] else 0,
        )
        found = simulation(tallied(app, connection, task, progress), task)
    if as_json:
        print_json("syncer.simulate/1", _json(found, who=given["who"]))
    else:
        _print(found, task.outcome, app.project.timezone, who=given["who"])


def _refuse_mixtures(leads: Path | None, given: Mapping[str, Any]) -> None:
    if sum(bool(given[name]) for name in ("with_file", "sets", "against")) > 1:
        raise click.UsageError("give one of --with, --set and --against")
    for_table = [name for name in ("model", "outcome", "column", "columns") if given[name]]
    if leads is None and for_table:
        raise click.UsageError(f"--{for_table[0]} belongs to --leads FILE, a table of leads")
    if leads is not None and (given["with_file"] or given["sets"] or given["against"] or given["who"]):
        raise click.UsageError("--leads takes one --model; measure the other one by itself")


# What is shown.


def _json(found: Simulation, *, who: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "as_of": found.as_of.isoformat(),
        "leads": found.leads,
        "protected": found.protected,
        "stages": found.stages,
        "from": asdict(found.sides[0]) | {"back_test": _back_test_json(found.sides[0].back_test)},
        "weeks": [begin.isoformat() for begin in found.weeks],
    }
    if found.matrix:
        told["to"] = asdict(found.sides[1]) | {"back_test": _back_test_json(found.sides[1].back_test)}
        told["moved"] = {"up": found.up, "down": found.down}
        rows = zip(found.stages, found.matrix, strict=True)
        told["matrix"] = {name: dict(zip(found.stages, row, strict=True)) for name, row in rows}
    if who:
        told["moves"] = [_move_json(each) for each in found.moves]
    if found.ended_earlier is not None:
        told["ended_earlier"] = found.ended_earlier
    return told


def _back_test_json(found: Tested) -> dict[str, Any] | None:
    if not found.leads and not found.unknown_before:
        return None
    won, qualified = (Share(each.part, each.of) for each in (found.won_that_qualified, found.qualified_that_won))
    return asdict(found) | {"won_that_qualified": share_json(won), "qualified_that_won": share_json(qualified)}


def _move_json(move: Mover) -> dict[str, Any]:
    ends = [
        {"stage": stage, "total": points(total)}
        for stage, total in zip(move.stages, move.totals_hundredths, strict=True)
    ]
    return {"lead": move.lead, "email": move.email, "from": ends[0], "to": ends[1]}


def _print(found: Simulation, outcome: Outcome | None, zone: str, *, who: bool) -> None:
    first, last = found.sides[0], found.sides[-1]
    leads = f"{counted(found.leads, 'lead')} as of {day(found.as_of, zone)}"
    if last is first:
        click.echo(f"{leads}, with {first.rules}")
        show(_stage_table(found))
        click.echo("Replayed by the rules alone over these weeks; `syncer status` counts the stages as they are.")
    else:
        click.echo(f"{leads}; rows = stage with {first.rules}, columns = with {last.rules}")
        show(_matrix(found))
        moved = f"{counted(found.down, 'lead')} down, {found.up:,} up."
        click.echo(moved if found.down or found.up else "Nobody moves.")
    if found.protected:
        click.echo(f"{counted(found.protected, 'lead')} left out: the stage belongs to others.")
    if who:
        show(_movers(found.moves))
    click.echo(f"\nHanded to sales in each of the last {len(found.weeks)} weeks, the oldest first")
    show(_weeks(found.sides))
    if any(side.qualified_unknown_when for side in found.sides):
        unsure = " and ".join(f"{side.qualified_unknown_when:,}" for side in found.sides)
        click.echo(f"In no week: {unsure} qualified before anything of them was known here, nobody knows when.")
    _print_back_test(found, outcome)


def _stage_table(found: Simulation) -> Table:
    leads = [found.sides[0].leads.get(name, 0) for name in found.stages]
    rows = [
        [name, f"{each:,}", f"{each / max(found.leads, 1) * 100:.1f} %"]
        for name, each in zip(found.stages, leads, strict=True)
    ]
    return table([("Stage", "left"), ("Leads", "right"), ("Of all", "right")], rows)


def _matrix(found: Simulation) -> Table:
    rows = [_matrix_row(name, leads) for name, leads in zip(found.stages, found.matrix, strict=True)]
    sums = [sum(leads) for leads in zip(*found.matrix, strict=True)]
    columns: list[tuple[str, Align]] = [("from \\ to", "left"), *((name, "right") for name in found.stages)]
    return table([*columns, ("total", "right")], [*rows, _matrix_row("total", sums)])


def _matrix_row(name: str, leads: Sequence[int]) -> list[str]:
    return [name, *(f"{each:,}" if each else "·" for each in leads), f"{sum(leads):,}"]


def _movers(moves: Sequence[Mover]) -> Table:
    rows = [
        [move.email or move.lead, " → ".join(move.stages),
         " → ".join(f"{total / 100:g}" for total in move.totals_hundredths), move.lead]
        for move in moves
    ]  # fmt: skip
    return table([("Lead", "left"), ("Stage", "left"), ("Score", "right"), ("Record", "left")], rows)


def _weeks(sides: Sequence[Simulated]) -> Table:
    rows = [[side.rules, _mean(side.handoffs), " ".join(map(str, side.handoffs))] for side in sides]
    return table([("Rules", "left"), ("A week", "right"), ("By week", "left")], rows)


def _mean(weeks: Sequence[int]) -> str:
    """With two decimals where one would say too little."""
    mean = sum(weeks) / len(weeks)
    return f"{mean:.2f}" if mean < 1 else f"{mean:.1f}"


def _print_back_test(found: Simulation, outcome: Outcome | None) -> None:
    if outcome is None:
        click.echo("\nNo back-test: `outcome:` in the project file would say how won and lost leads are told.")
        return
    tests, older = [side.back_test for side in found.sides], found.ended_earlier or 0
    click.echo(f"\nBack-test on leads that ended in the last {ENDED_WEEKS} weeks, each as it was known before its end")
    if any(each.leads for each in tests):
        show(_tests(found.sides))
        click.echo("Activities from before the first sync are taken as they were read then.")
    if not any(each.leads or each.unknown_before for each in tests) and not older:
        field = outcome.won.field
        click.echo(f"Nobody's {field} says so. A field that was never asked for comes from the CRM with the next run.")
        return
    for line in _cautions(tests[0], older):
        click.echo(line)
    for each, side in zip(tests, found.sides, strict=True):
        if each.too_few_to_tell:
            click.echo(f"Too few to tell, {side.rules}: {_why_too_few(each)}")


def _tests(sides: Sequence[Simulated]) -> Table:
    rows = [[side.rules, *_measures(side.back_test)] for side in sides]
    names = {side.handoff_stage for side in sides}
    stage = names.pop().upper() if len(names) == 1 else "handed over"
    columns: list[tuple[str, Align]] = [
        ("Rules", "left"), (f"Won that were {stage} first", "right"), ("", "right"), ("95 %", "right"),
        (f"{stage} that were won", "right"), ("", "right"), ("95 %", "right"), ("AUC", "right"), ("Top tenth", "right"),
    ]  # fmt: skip
    return table(columns, rows)


def _measures(found: Tested) -> Iterator[str]:
    for part in (found.won_that_qualified, found.qualified_that_won):
        share = Share(part.part, part.of)
        yield from (f"{part.part:,} of {part.of:,}", percent(share), interval(share))
    yield "–" if found.auc is None else f"{found.auc:.2f}"
    yield "–" if found.top_decile_lift is None else f"{found.top_decile_lift:.1f} ×"


def _cautions(found: Tested, older: int) -> Iterator[str]:
    if found.unknown_before:
        yield f"{counted(found.unknown_before, 'lead')} left out: the end came before anything was known."
    if older:
        yield f"{counted(older, 'lead')} left out: the end came earlier."
    if found.leads and found.won_that_qualified.of == found.leads:
        yield "Nobody is known to be lost, so nothing says how many of those handed over were won."


def _why_too_few(found: Tested) -> str:
    if found.leads < FEWEST:
        return f"{counted(found.leads, 'lead')} with an outcome, and {FEWEST} are the least."
    return "an interval reaches more than 15 points to each side."
