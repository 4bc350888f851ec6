"""`explain LEAD --from A --to B`: why the score and the stage are not what they were, split exactly by cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from syncer.app import App
from syncer.cli.explain import face, history_rows
from syncer.cli.output import Align, day, day_and_time, points, print_json, show, signed, table
from syncer.differences import Difference, Shift, Step, difference
from syncer.errors import ConfigError
from syncer.handoff.text import one_line
from syncer.history import versions_at
from syncer.model import Cause, Lead, Override, Score, Transition
from syncer.queries import replay
from syncer.queries.explaining import find_one, lead_json, move_json, moves_and_words, override_json, said
from syncer.store import histories, mirror

_MOST_LINES = 4  # of one cause


@dataclass(frozen=True)
class Told:
    """One lead's way from one time to another."""

    lead: Lead
    found: Difference
    moves: tuple[Transition, ...]  # all of them, the oldest first
    overrides: tuple[Override, ...]  # those that held at some time on the way
    rules: replay.Course
    known: bool  # was anything known of the lead at the beginning?

    @property
    def way(self) -> tuple[datetime, datetime]:
        return self.found.before.as_of, self.found.after.as_of

    @property
    def stages(self) -> tuple[str | None, str | None]:
        """The stage at the beginning and at the end; None: not decided yet."""
        before, after = (
            next((move.after for move in reversed(self.moves) if move.at <= moment), None) for moment in self.way
        )
        return before, after

    @property
    def moved(self) -> tuple[Transition, ...]:
        """The moves on the way."""
        start, end = self.way
        return tuple(move for move in self.moves if start < move.at <= end)


def explain_difference(app: App, selector: str, asked: tuple[str, str | None], *, as_json: bool) -> None:
    """asked: the texts of --from and --to; without the latter, up to now."""
    told = _told(app, selector, asked)
    if as_json:
        print_json("syncer.explain.difference/1", difference_json(told))
    else:
        _print(told, app.project.timezone)


def _told(app: App, selector: str, asked: tuple[str, str | None]) -> Told:
    now, zone = app.clock(), app.project.timezone
    start = replay.moment("--from", asked[0], now, zone)
    end = now if asked[1] is None else replay.moment("--to", asked[1], now, zone, ends=True)
    if end <= start:
        raise ConfigError("--to must be after --from", code="SY103")
    lead = mirror.lead(app.store, find_one(app, selector), now)
    history = histories.history(app.store, lead.id)
    replay.signals_then(history, end, selector, zone)  # refuses an end before which nothing was known
    with app.store.reading() as tx:
        rules = replay.course(app, tx, mirror.home(tx, lead.id), (start, end), now)
    moves, words = moves_and_words(app, lead.id)
    return Told(
        lead=lead,
        found=difference(history, rules.rulebooks, start, end),
        moves=moves,
        overrides=tuple(word for word in words if word.since <= end and (word.until is None or word.until > start)),
        rules=rules,
        known=bool(versions_at(history, start)),
    )


def difference_json(told: Told) -> dict[str, Any]:
    before, after, stages = told.found.before, told.found.after, told.stages
    return {
        **lead_json(told.lead),
        "rules_known": not told.rules.unknown,
        "rules_unused": told.rules.unused,
        "from": _sums_json(before, stages[0]),
        "to": _sums_json(after, stages[1]),
        "difference": points(after.total - before.total),
        "parts": {
            cause: {
                "total": points(sum(dimensions.values())),
                "dimensions": {name: points(moved) for name, moved in dimensions.items()},
            }
            for cause, dimensions in told.found.parts.items()
        },
        "steps": [_step_json(step) for step in told.found.steps],
        "moves": [move_json(move) for move in told.moved],
        "overrides": [override_json(each) for each in told.overrides],
    }


def _sums_json(score: Score, stage: str | None) -> dict[str, Any]:
    return {
        "as_of": score.as_of.isoformat(),
        "model": score.model or None,
        "stage": stage,
        "total": points(score.total),
        "dimensions": {name: points(sum_) for name, sum_ in score.dimensions.items()},
    }


def _step_json(step: Step) -> dict[str, Any]:
    lines = [
        {"rule": each.rule, "name": each.name, "dimension": each.dimension, "points": points(each.hundredths)}
        for each in step.shifts
    ]
    return {"at": step.at.isoformat(), "cause": step.cause, "lines": lines}


def _print(told: Told, timezone: str) -> None:
    before, after = told.found.before, told.found.after
    show(face(told.lead), style="bold")
    start, end = (day_and_time(moment, timezone) for moment in told.way)
    stages = " → ".join((stage or "no stage").upper() for stage in dict.fromkeys(told.stages))
    change = f"{before.total / 100:g} → {after.total / 100:g} points ({signed(after.total - before.total)})"
    show(f"{start} → {end} · {stages} · {change}")
    for note in _notes(told, start):
        show(one_line(note))
    click.echo()
    show(table(*_table(told, timezone)))
    click.echo()
    facts = [*history_rows(told.moved, timezone), *_rules_rows(told), *_override_rows(told, timezone)]
    show(table([("", "left"), ("", "left")], facts or [["History", "the stage did not move"]], headed=False))


def _notes(told: Told, start: str) -> Iterator[str]:
    if not told.known and told.stages[0] is None:
        yield f"Nothing was known of the lead on {start}."
    elif not told.known:
        yield f"On {start} the lead was not one yet: what its parts had by then comes with the merge."
    if told.rules.unknown:
        yield told.rules.unknown
    if told.rules.unused:
        yield "The rules in the files have changed, and no run has used them yet: they count from now on, as `model`."


def _table(told: Told, timezone: str) -> tuple[list[tuple[str, Align]], list[list[str]]]:
    """(columns, rows): what there was, a row for each cause with its strongest lines under it, what there is."""
    before, after = told.found.before, told.found.after
    names = list(told.found.parts["fading"])
    start, end = (day_and_time(moment, timezone) for moment in told.way)
    rows = [[start, *(_plain(before.dimensions.get(name, 0)) for name in names), _plain(before.total), ""]]
    for cause, moved in told.found.parts.items():
        first, *more = _strongest(told.found.steps, cause, timezone) or [""]
        total = sum(moved.values())
        rows.append([cause, *(_moved(moved[name]) for name in names), signed(total) if total else "0", first])
        rows += [["", *("" for _ in names), "", line] for line in more]
    rows.append([end, *(_plain(after.dimensions.get(name, 0)) for name in names), _plain(after.total), ""])
    right: list[tuple[str, Align]] = [(name, "right") for name in (*names, "total")]
    return [("", "left"), *right, ("Mostly", "left")], rows


def _plain(hundredths: int) -> str:
    return f"{hundredths / 100:g}"


def _moved(hundredths: int) -> str:
    return signed(hundredths) if hundredths else "·"


def _strongest(steps: Iterable[Step], cause: Cause, timezone: str) -> list[str]:
    """The lines that moved most for a cause: "+30 Came to a meeting (20 Nov 2026)"."""
    sums: dict[tuple[str, str], int] = {}
    named: dict[tuple[str, str], tuple[Shift, list[str]]] = {}
    for step in (each for each in steps if each.cause == cause):
        for shift in step.shifts:
            line = (shift.dimension, shift.rule)
            sums[line] = sums.get(line, 0) + shift.hundredths
            named.setdefault(line, (shift, []))[1].append(day(step.at, timezone))
    ordered = sorted((line for line in sums if sums[line]), key=lambda line: (-abs(sums[line]), line))
    told = [
        f"{signed(sums[line])} {named[line][0].name}" + ("" if cause == "fading" else f" ({_days(named[line][1])})")
        for line in ordered
    ]
    more = len(told) - _MOST_LINES
    return told if more <= 0 else [*told[:_MOST_LINES], f"… and {more} more: --json names them"]


def _days(days: Sequence[str]) -> str:
    """ "20 Nov 2026", "3 Nov 2026, 20 Nov 2026", "12 times, last 20 Nov 2026"."""
    distinct = list(dict.fromkeys(days))
    return ", ".join(distinct) if len(distinct) <= 2 else f"{len(days)} times, last {distinct[-1]}"


def _rules_rows(told: Told) -> list[list[str]]:
    models = list(dict.fromkeys(score.model or "none" for score in (told.found.before, told.found.after)))
    return [["Rules", " → ".join(models)]] if len(models) > 1 else []


def _override_rows(told: Told, timezone: str) -> list[list[str]]:
    return [
        ["" if number else "Override", f"{each.stage}, by {said(each, timezone)}"]
        for number, each in enumerate(told.overrides)
    ]
