"""What other rules would have done, in figures: who would stand where, what sales would have got in each week, and how
well they would have told who was won."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from syncer.queries.shares import Part, part_of
from syncer.queries.tallying import UNPLACED, Move, Side, Tally, Task
from syncer.settings import Project, rules_at, rules_set, rules_with
from syncer.simulation import BackTest, RuleSet, back_test


@dataclass(frozen=True, slots=True)
class Tested:
    """How the leads ended of which something was known before."""

    leads: int
    won_that_qualified: Part
    qualified_that_won: Part
    auc: float | None
    top_decile_lift: float | None
    unknown_before: int  # ended before anything was known of them
    too_few_to_tell: bool


@dataclass(frozen=True, slots=True)
class Simulated:
    """One of the rule sets."""

    rules: str  # the name people know them by
    models: tuple[str, ...]  # their versions
    handoff_stage: str
    leads: Mapping[str, int]  # of each stage that has any
    handoffs: tuple[int, ...]  # of each week
    qualified_unknown_when: int  # in no week: nobody knows in which
    back_test: Tested


@dataclass(frozen=True, slots=True)
class Mover:
    """A lead that the two place differently."""

    id: int
    lead: str  # its record's key
    email: str | None
    stages: tuple[str, str]
    totals_hundredths: tuple[int, int]
    up: bool


@dataclass(frozen=True, slots=True)
class Simulation:
    """One rule set, or two and how they differ."""

    as_of: datetime
    leads: int
    protected: int  # left out: the stage belongs to others
    stages: tuple[str, ...]  # coldest first; before them that of leads for whom no segment is, where there are any
    sides: tuple[Simulated, ...]
    weeks: tuple[datetime, ...]  # when each begins, the oldest first
    matrix: tuple[tuple[int, ...], ...]  # [stage by the first side][stage by the second]; of one side empty
    up: int
    down: int
    moves: tuple[Mover, ...]  # by stage, then by address
    ended_earlier: int | None  # ended longer ago than is looked at; None: nobody says how leads end


def sides_of(project: Project, with_file: Path | None, sets: Sequence[str], against: str | None) -> tuple[Side, ...]:
    """The rules in force and those to compare with, from left to right in time: of a git commit come first.
    SettingsError, ConfigError."""
    stage = project.handoff.when if project.handoff is not None else project.stages[-1]
    present = Side(project.path.name, RuleSet(project.segments, stage))
    if against is not None:
        return Side(against, RuleSet(*rules_at(project, against, os.environ))), present
    if with_file is not None:
        return present, Side(with_file.as_posix(), RuleSet(*rules_with(project, with_file, os.environ)))
    if sets:
        return present, Side("; ".join(sets), RuleSet(*rules_set(project, sets, os.environ)))
    return (present,)


def simulation(tally: Tally, task: Task) -> Simulation:
    order = stages_of(task.sides)
    shown = [*([UNPLACED] if any(UNPLACED in pair for pair in tally.places) else []), *order]
    both = len(task.sides) == 2
    up, down = _moved(tally, order)
    return Simulation(
        as_of=task.now,
        leads=tally.places.total(),
        protected=tally.protected,
        stages=tuple(shown),
        sides=tuple(_simulated(side, tally, number) for number, side in enumerate(task.sides)),
        weeks=task.days[:-1:7],
        matrix=tuple(tuple(tally.places[one, other] for other in shown) for one in shown) if both else (),
        up=up,
        down=down,
        moves=_movers(tally.moves, order),
        ended_earlier=None if task.outcome is None else tally.older,
    )


def stages_of(sides: Sequence[Side]) -> list[str]:
    """The stages of both, coldest first; one that only the second has stands behind the one before it there."""
    order = list(sides[0].rules.stages)
    for rank, name in enumerate(sides[-1].rules.stages):
        if name not in order:
            order.insert(order.index(sides[-1].rules.stages[rank - 1]) + 1 if rank else 0, name)
    return order


def _moved(tally: Tally, order: Sequence[str]) -> tuple[int, int]:
    """(how many leads move up, how many down); a stage comes above none."""
    ranks = _ranks(order)
    up = sum(leads for pair, leads in tally.places.items() if ranks[pair[0]] < ranks[pair[-1]])
    down = sum(leads for pair, leads in tally.places.items() if ranks[pair[0]] > ranks[pair[-1]])
    return up, down


def _movers(moves: Sequence[Move], order: Sequence[str]) -> tuple[Mover, ...]:
    ranks = _ranks(order)
    found = [
        Mover(each.id, each.lead, each.email, each.stages, each.totals, ranks[each.stages[0]] < ranks[each.stages[1]])
        for each in moves
    ]
    return tuple(sorted(found, key=lambda each: (*map(ranks.__getitem__, each.stages), each.email or "", each.lead)))


def _ranks(order: Sequence[str]) -> dict[str, int]:
    return {name: rank for rank, name in enumerate([UNPLACED, *order])}


def _simulated(side: Side, tally: Tally, number: int) -> Simulated:
    counts: Counter[str] = Counter()
    for places, leads in tally.places.items():
        counts[places[number]] += leads
    return Simulated(
        rules=side.name,
        models=tuple(segment.model.version for segment in side.rules.segments),
        handoff_stage=side.rules.handoff_stage,
        leads=dict(counts),
        handoffs=tuple(tally.handoffs[number]),
        qualified_unknown_when=tally.unsure[number],
        back_test=_tested(back_test(tally.tried[number])),
    )


def _tested(found: BackTest) -> Tested:
    return Tested(
        leads=found.leads,
        won_that_qualified=part_of(found.won),
        qualified_that_won=part_of(found.qualified),
        auc=found.auc,
        top_decile_lift=found.lift,
        unknown_before=found.unknown,
        too_few_to_tell=found.too_few,
    )
