"""(previous state, marks, model, as_of) -> next state. Pure.

Gates are cumulative: a lead stands in the highest stage whose own gates and all gates before it are passed. While in
a stage, `leave_below` replaces the `enter` gate on the same measure (slack, so that nobody flaps).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncer.model import Cause, HeldBy, Override, StageState
from syncer.rules import Condition, Gate, Model, Stage, Veto


@dataclass(frozen=True, slots=True)
class Marks:
    """What a score says to the stage machine."""

    dimensions: Mapping[str, int]  # hundredths
    total: int  # hundredths
    shortcuts: frozenset[str] = frozenset()  # names of stages whose `or_any` holds
    vetoes: tuple[Veto, ...] = ()  # the veto rules that hold


@dataclass(frozen=True, slots=True)
class Hands:
    """What people say of the lead's stage; both stand above the rules."""

    override: Override | None = None  # in force as of the time asked
    protected: bool = False  # the lead's stage belongs to others; it is not touched


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why and when a lead is looked at."""

    as_of: datetime
    cause: Cause
    handoff_stage: str | None = None  # entering it opens an episode


def next_state(previous: StageState | None, marks: Marks, model: Model, hands: Hands, occasion: Occasion) -> StageState:
    """Where the lead stands now. `since`, `episode` and `cause` change only when the stage does."""
    automatic = model.stages[_automatic(previous, marks, model, hands, occasion)].name
    stage, held_by = _placed(previous, automatic, marks, model, hands)
    if previous is not None and previous.stage == stage:
        return StageState(stage, automatic, previous.since, previous.episode, held_by, previous.cause)
    episode = previous.episode if previous else 0
    qualifies = stage == occasion.handoff_stage and held_by != "protected"
    cause: Cause = "override" if held_by == "person" else occasion.cause
    return StageState(stage, automatic, occasion.as_of, episode + qualifies, held_by, cause)


def passes(gate: Gate, marks: Marks) -> bool:
    """Exact comparison in hundredths."""
    have = marks.total if gate.measure == "total" else marks.dimensions.get(gate.measure, 0)
    wanted = gate.threshold
    return {">=": have >= wanted, ">": have > wanted, "<=": have <= wanted, "<": have < wanted}[gate.comparison]


def gates_to_stay(stage: Stage) -> tuple[Gate, ...]:
    """`enter`, with the gate on each measure that `leave_below` names replaced by it."""
    slack = {gate.measure for gate in stage.leave_below}
    return (*stage.leave_below, *(gate for gate in stage.enter if gate.measure not in slack))


def _placed(
    previous: StageState | None, automatic: str, marks: Marks, model: Model, hands: Hands
) -> tuple[str, HeldBy]:
    if hands.protected:
        return (previous.stage if previous else model.stages[0].name), "protected"
    if hands.override is not None:
        return hands.override.stage, "person"
    held = any(veto.hold_at == automatic for veto in marks.vetoes)
    return automatic, "veto" if held else "rules"


def _automatic(previous: StageState | None, marks: Marks, model: Model, hands: Hands, occasion: Occasion) -> int:
    """The rank that the rules alone give, going on from where the lead stood."""
    stood = _stood(previous, model, hands)
    reached = _reached(stood, marks, model)
    ceiling = min((model.stage_rank(veto.hold_at) for veto in marks.vetoes), default=len(model.stages))
    if stood is None:
        return min(reached, ceiling)
    if _is_owned(stood, previous, model, hands):
        return max(stood, min(reached, ceiling))  # only a person moves it down, so a veto does not either
    start = min(stood, ceiling)
    if reached < start:
        dwell = timedelta(milliseconds=model.stages[stood].dwell_ms)
        young = start == stood and previous is not None and occasion.as_of - previous.since < dwell
        return start if young else _fallen(start, reached, stood, model)
    return min(reached, ceiling)


def _is_owned(stood: int, previous: StageState | None, model: Model, hands: Hands) -> bool:
    """Does the lead stand in a stage that people own? One that a person has moved out does not, whatever the rules
    thought of it before."""
    stands = hands.override.stage if hands.override else previous.stage if previous else None
    return model.stages[stood].owned_by is not None and model.stages[stood].name == stands


def _stood(previous: StageState | None, model: Model, hands: Hands) -> int | None:
    """The rank the rules go on from. A person who moves a lead down moves the rules' starting point too; one who moves
    it up does not: the rules would not have it there, and get it back when the person lets go."""
    ranks = {stage.name: rank for rank, stage in enumerate(model.stages)}
    stood = ranks.get(previous.automatic) if previous else None
    said = ranks.get(hands.override.stage) if hands.override else None
    if previous is None or stood is None or said is None or hands.override is None:
        return stood
    return min(stood, said) if hands.override.stage != previous.stage else stood


def _reached(stood: int | None, marks: Marks, model: Model) -> int:
    """The highest rank whose gates are passed, with slack up to where the lead stood."""
    reached, open_way = 0, True
    for rank, stage in enumerate(model.stages[1:], start=1):
        shortcut = stage.name in marks.shortcuts
        gates = gates_to_stay(stage) if stood is not None and rank <= stood else stage.enter
        open_way = open_way and (shortcut or all(passes(gate, marks) for gate in gates))
        if open_way or (shortcut and stage.skip_gates):
            reached = rank
    return reached


def _fallen(start: int, reached: int, stood: int, model: Model) -> int:
    """One stage down after the other, as far as they let go; that `stood` itself is not owned, the caller has seen."""
    rank = start
    while rank > reached and model.stages[rank].falls_back and (rank == stood or not model.stages[rank].owned_by):
        rank -= 1
    return rank


@dataclass(frozen=True, slots=True)
class Ahead:
    """What keeps a lead out of the next stage up, or nothing of one further up."""

    stage: str
    gates: tuple[Gate, ...]  # the gates still shut on the way there
    or_any: tuple[Condition, ...] = ()  # or: any of these does instead of the stage's own gates
    skip_gates: bool = False  # and instead of those before


def is_reached(state: StageState, marks: Marks, model: Model) -> bool:
    """Whether the measures alone would keep a lead in the stage that it has."""
    rank = model.stage_rank(state.stage)
    return _reached(rank, marks, model) >= rank


def missing(state: StageState, marks: Marks, model: Model) -> Ahead | None:
    """None for a lead at the top."""
    rank = model.stage_rank(state.automatic)
    above = model.stages[rank + 1 :]
    if not above:
        return None
    for stage in reversed(above):
        if stage.skip_gates and stage.name in marks.shortcuts:
            return Ahead(stage.name, ())
    following = above[0]
    before = [gate for stage in model.stages[1 : rank + 1] for gate in _shut(stage, gates_to_stay(stage), marks)]
    own = _shut(following, following.enter, marks)
    if not own and not (before and following.skip_gates):
        return Ahead(following.name, tuple(before))
    return Ahead(following.name, (*before, *own), following.or_any, following.skip_gates)


def _shut(stage: Stage, gates: Sequence[Gate], marks: Marks) -> list[Gate]:
    """Those that are not passed; none where a shortcut holds."""
    return [gate for gate in gates if stage.name not in marks.shortcuts and not passes(gate, marks)]
