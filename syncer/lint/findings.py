"""What a model alone shows: rules, gates and stages that can never be, slack that never matters, points too heavy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from syncer.lint.conflicts import conflict
from syncer.lint.reach import Ranges, agree, allowed, most_of, never, one_payment, ranges_of
from syncer.rules import All, Dimension, Gate, Ignore, Model, Rule, Stage
from syncer.stages import gates_to_stay


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the rules that cannot be what was meant. `where`: "models/b2b.yml:34"."""

    level: Literal["warning", "error"]
    message: str
    code: str
    where: str = ""
    help: str = ""


def findings(model: Model) -> Iterator[Finding]:
    """All there is to say of the model, by the order of its file. An error is a stage that nobody can enter."""
    ranges = ranges_of(model)
    for dimension in model.dimensions:
        yield from _of_rules(dimension, model.timezone)
        yield from _too_heavy(dimension)
    yield from _of_vetoes(model)
    yield from _of_ignores(model)
    for rank, stage in enumerate(model.stages):
        yield from _of_shortcuts(stage)
        if rank:
            yield from _of_entry(model, rank, ranges)
            yield from _of_slack(model, rank, ranges)
            yield from _decided_alone(model, stage)


# Conditions.

_CLASH_HELP = "take one of the two out, or put them into `any`"


def _of_rules(dimension: Dimension, timezone: str) -> Iterator[Finding]:
    for rule in dimension.rules:
        reason = never(rule, timezone)
        if reason is not None:
            help_ = _CLASH_HELP if conflict(rule.when) else "ask for fewer matches, or for a longer `in_last`"
            yield Finding("warning", f"'{rule.name}' can never fire: {reason}", "SY091", rule.where, help_)


def _of_vetoes(model: Model) -> Iterator[Finding]:
    for veto in model.vetoes:
        reason = conflict(veto.when)
        if reason is not None:
            message = f"the veto '{veto.name}' can never hold anybody: {reason}"
            yield Finding("warning", message, "SY091", veto.where, _CLASH_HELP)


def _of_ignores(model: Model) -> Iterator[Finding]:
    for ignore in model.ignores:
        reason = _ignores_nothing(ignore)
        if reason is not None:
            message = f"'{ignore.name}' can never ignore anything: {reason}"
            yield Finding("warning", message, "SY091", ignore.where, _CLASH_HELP)


def _ignores_nothing(ignore: Ignore) -> str | None:
    of_activity = conflict(All(ignore.tests))
    return of_activity or (conflict(ignore.lead) if ignore.lead is not None else None)


def _of_shortcuts(stage: Stage) -> Iterator[Finding]:
    for number, condition in enumerate(stage.or_any, start=1):
        reason = conflict(condition)
        if reason is not None:
            message = f"shortcut {number} to {stage.name} (`or_any`) can never hold: {reason}"
            yield Finding("warning", message, "SY091", stage.where, _CLASH_HELP)


# Points.


def _too_heavy(dimension: Dimension) -> Iterator[Finding]:
    most = dimension.max
    for rule in dimension.rules:
        if most is not None and one_payment(rule) > most:
            given, bound = _points(one_payment(rule)), _points(most)
            message = f"'{rule.name}' gives {given} points, and {dimension.name} never counts more than {bound}"
            yield Finding(
                "warning", message, "SY094", rule.where, f"lower its points, or raise `max` of {dimension.name}"
            )


def _decided_alone(model: Model, stage: Stage) -> Iterator[Finding]:
    """One rule is as good as the whole way into a stage, and no other is; or it opens and shuts a gate by itself."""
    for dimension in model.dimensions:
        paying = [rule for rule in dimension.rules if rule.points > 0 and never(rule, model.timezone) is None]
        leading = [rule for rule in paying if _leads(rule, dimension, stage)]
        for rule in paying if len(paying) > 1 else []:
            points, asked = _points(one_payment(rule)), " and ".join(map(str, stage.enter))
            if leading == [rule]:
                message = f"'{rule.name}' alone leads to {stage.name}: its {points} points meet {asked}"
                yield Finding("warning", message, "SY094", rule.where, _HEAVY_HELP)
                continue
            others = most_of([other for other in paying if other is not rule], model.timezone)
            for gate in stage.enter:
                if gate.measure == dimension.name and _meets(rule, gate) and others < allowed(gate).low:
                    what = (
                        f"its {points} points meet it, and all others of {gate.measure} together give {_points(others)}"
                    )
                    message = f"'{rule.name}' alone decides {gate} of {stage.name}: {what}"
                    yield Finding("warning", message, "SY094", rule.where, _HEAVY_HELP)


_HEAVY_HELP = "if that is not meant, give it less, or move the threshold"


def _leads(rule: Rule, dimension: Dimension, stage: Stage) -> bool:
    measures = (dimension.name, "total")
    return bool(stage.enter) and all(gate.measure in measures and _meets(rule, gate) for gate in stage.enter)


def _meets(rule: Rule, gate: Gate) -> bool:
    """One payment is enough for a threshold that asks for points at all."""
    return ">" in gate.comparison and 0 < allowed(gate).low <= one_payment(rule)


def _points(hundredths: float) -> str:
    return f"{hundredths / 100:,.10g}"


# Stages. Each of these is about the stage of one rank, never the first, which takes everybody.


def _of_entry(model: Model, rank: int, ranges: Ranges) -> Iterator[Finding]:
    stage = model.stages[rank]
    for gate in stage.enter:
        if _shuts(gate, ranges) and _has_shortcut(stage):
            message = f"{gate} can never be met ({_how_far(gate, ranges)}): only `or_any` leads to {stage.name}"
            yield Finding("warning", message, "SY092", stage.where, "change the threshold, or take it out")
    if not _can_enter(model, rank, ranges):
        message = f"{stage.name} can never be entered{_why_not(model, rank, ranges)}"
        yield Finding("error", message, "SY092", stage.where, "change the threshold, the points or `max`")


def _shuts(gate: Gate, ranges: Ranges) -> bool:
    return ranges[gate.measure].within(allowed(gate)).empty


def _has_shortcut(stage: Stage) -> bool:
    return any(conflict(condition) is None for condition in stage.or_any)


def _can_enter(model: Model, rank: int, ranges: Ranges) -> bool:
    """From some stage below it: one that stands there has slack at the gates up to its own."""
    if model.stages[rank].skip_gates and _has_shortcut(model.stages[rank]):
        return True
    return any(agree([gate for _, gate in _gates_from(model, stood, rank)], ranges) for stood in range(rank))


def _gates_from(model: Model, stood: int, rank: int) -> list[tuple[Stage, Gate]]:
    """The gates on the way up to a rank, without those of stages that a shortcut may lead to."""
    way = [(number, stage) for number, stage in enumerate(model.stages[1 : rank + 1], start=1)]
    return [
        (stage, gate)
        for number, stage in way
        if not _has_shortcut(stage)
        for gate in (gates_to_stay(stage) if number <= stood else stage.enter)
    ]


def _why_not(model: Model, rank: int, ranges: Ranges) -> str:
    stage = model.stages[rank]
    shut = next((gate for gate in stage.enter if _shuts(gate, ranges) and not _has_shortcut(stage)), None)
    if shut is not None:
        return f": it asks for {shut}, and {_how_far(shut, ranges)}"
    for before in range(1, rank):
        if not _can_enter(model, before, ranges):
            return f", because {model.stages[before].name} before it cannot"
    return f": {_at_odds(_gates_from(model, 0, rank), ranges)} exclude each other"


def _how_far(gate: Gate, ranges: Ranges) -> str:
    reach, measure = ranges[gate.measure], gate.measure
    if reach.low == reach.high == 0:
        return f"no rule of {measure} gives any points"
    if ">" in gate.comparison:
        return f"the rules give {measure} at most {_points(reach.high)}"
    return f"the rules give {measure} at least {_points(reach.low)}"


def _at_odds(gates: Sequence[tuple[Stage, Gate]], ranges: Ranges) -> str:
    """The two gates that cannot both be passed; all of them where it takes more than two."""
    pairs = (pair for pair in combinations(gates, 2) if not agree([gate for _, gate in pair], ranges))
    return " and ".join(f"{gate} ({stage.name})" for stage, gate in next(pairs, tuple(gates)))


def _of_slack(model: Model, rank: int, ranges: Ranges) -> Iterator[Finding]:
    stage = model.stages[rank]
    if stage.leave_below and not stage.falls_back and rank == len(model.stages) - 1:
        message = f"`leave_below` of {stage.name} never matters: with `falls_back: false` nobody moves down from it"
        yield Finding("warning", message, "SY093", stage.where, "take one of the two out")
        return
    for gate in stage.leave_below:
        if gate in stage.enter:
            message = f"`leave_below` of {stage.name} never matters: {gate} is what `enter` asks for already"
            yield Finding("warning", message, "SY093", stage.where, "write a lower threshold, or take it out")
        elif allowed(gate).within(ranges[gate.measure]) == ranges[gate.measure]:
            message = f"nobody ever leaves {stage.name} by `leave_below`: {gate} is always so"
            help_ = (
                f"the rules give {gate.measure} at least {_points(ranges[gate.measure].low)}; write a higher threshold"
            )
            yield Finding("warning", message, "SY093", stage.where, help_)
