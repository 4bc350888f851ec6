"""How a lead's points went: replayed at each move of its stage and at even steps, by the rules in force then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncer.app import App
from syncer.differences import Rulebook
from syncer.errors import NotFound, Stopped
from syncer.history import History, signals_at, versions_at
from syncer.model import Transition
from syncer.queries import replay
from syncer.rules import Segment
from syncer.store import decisions, histories, mirror

SPAN = timedelta(days=180)
_STEPS = 40
_MOST_MOVES = 19  # the latest; 60 points together, with the one that ends the steps


@dataclass(frozen=True, slots=True)
class Stand:
    """How the lead stood at one time."""

    at: datetime
    total_hundredths: int
    stage: str | None  # None: nobody had decided it yet
    moved: bool  # it came into that stage then


@dataclass(frozen=True, slots=True)
class Course:
    """`stands`: the oldest first; times at which nothing was known of the lead are left out."""

    stands: tuple[Stand, ...]
    rules_unknown: str = ""  # why others stand in for the rules of the beginning


def course(app: App, lead: int) -> Course:
    """Of the last 180 days, 60 times at most. Replays the lead's whole history: of one with thousands of activities
    that takes seconds. NotFound (SY067)."""
    now = app.clock()
    history = histories.history(app.store, lead)
    start = max(now - SPAN, min((version.since for version in history.versions), default=now))
    with app.store.reading() as tx:
        rules = replay.course(app, tx, mirror.home(tx, lead), (start, now), now)
        moves = decisions.transitions(tx, lead)
    stands = []
    for at in _times(start, now, moves):
        if app.stop.is_set():
            raise Stopped("told to stop")
        total = _total(history, _segments_at(rules.rulebooks, at), at)
        if total is not None:
            stage = next((move.after for move in reversed(moves) if move.at <= at), None)
            stands.append(Stand(at, total, stage, any(move.at == at for move in moves)))
    return Course(tuple(stands), rules.unknown)


def _times(start: datetime, now: datetime, moves: Sequence[Transition]) -> list[datetime]:
    step = (now - start) / _STEPS
    even = {start + step * number for number in range(_STEPS)}
    lately = [move.at for move in moves if move.at >= start]
    return sorted(even | {*lately[-_MOST_MOVES:], now})


def _segments_at(rulebooks: Sequence[Rulebook], at: datetime) -> Sequence[Segment]:
    """The first of them stand in for those of any time before."""
    return next((segments for since, segments in reversed(rulebooks) if since <= at), rulebooks[0][1])


def _total(history: History, segments: Sequence[Segment], at: datetime) -> int | None:
    """In hundredths; None where there was no such lead, or no model for it."""
    if not any(versions[-1].live for versions in versions_at(history, at).values()):
        return None
    signals = signals_at(history, at)
    try:
        model = replay.model_of(signals, segments, at)
    except NotFound:
        return None
    return replay.marks_at(signals, model, at)[1].total
