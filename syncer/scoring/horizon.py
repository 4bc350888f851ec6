"""When must a lead be looked at again, although nothing happens? The earliest time at which the clock may matter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from syncer.model import Signals
from syncer.rules import ActivityTest, Condition, Model, leaves
from syncer.scoring.conditions import questions
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.gates import gates_of, passed
from syncer.scoring.match import Leaf, Matched, leaves_of, match
from syncer.scoring.predicates import RELATIVE
from syncer.scoring.values import HOUR_MS, epoch_ms

_HOURS = tuple(2**k for k in range(14))  # 1 hour .. 341 days
_NEVER = np.iinfo(np.int64).max


def next_looks(matched: Matched, model: Model, as_of: datetime, min_step: int) -> list[datetime | None]:
    """For each lead the time to look again, or None where time alone changes nothing that anybody sees.

    Two reasons. A window opens or closes for one of the lead's facts: known to the millisecond. Or fading: looks ahead
    1, 2, 4 ... hours; if something (a gate, `min_step` hundredths of what is shown) has changed 8 hours from now but
    not 4, the answer is 4 hours from now; from there the next look ahead is finer, so a change is met within the hour
    in which it happens. Only a gate that fading passes twice between two looks ahead (points that go down against
    points that go up) can be missed. Whatever still fades after the last look ahead is looked at again by then.
    """
    today = evaluate(matched, model, as_of)
    fading = np.zeros(matched.leads, dtype=np.int64)
    for hours in reversed(_HOURS):
        later = evaluate(matched, model, as_of + timedelta(hours=hours))
        differs = _differs(today, later, model, min_step)
        if hours == _HOURS[-1]:
            differs |= (later.rules != today.rules).any(axis=1)
        fading = np.where(differs, hours, fading)
    now_ms = epoch_ms(as_of)
    ahead_ms = np.where(fading > 0, np.maximum(1, fading // 2) * HOUR_MS, _NEVER)
    wait_ms = np.minimum(ahead_ms, _next_windows(matched, model, now_ms))
    return [_after(as_of, int(wait)) for wait in wait_ms]


def next_turns(
    conditions: Sequence[Condition | None], leads: Sequence[Signals], as_of: datetime
) -> list[datetime | None]:
    """For each lead when an answer to one of the conditions may change by time alone; None: never."""
    model = questions(conditions)
    waits = _next_windows(match(leads, model), model, epoch_ms(as_of))
    return [_after(as_of, int(wait)) for wait in waits]


def _after(as_of: datetime, wait_ms: int) -> datetime | None:
    start = as_of - timedelta(microseconds=as_of.microsecond % 1000)  # as the kernel reads the clock
    return start + timedelta(milliseconds=wait_ms) if wait_ms != _NEVER else None


def _next_windows(matched: Matched, model: Model, now_ms: int) -> NDArray[np.int64]:
    """For each lead the milliseconds until the first of its activities and dates enters or leaves a window."""
    known = leaves_of(model)
    soonest = np.full(matched.leads, _NEVER, dtype=np.int64)
    for leaf in {leaf for condition in model.conditions() for leaf in leaves(condition)}:
        for after_ms in _edges(leaf):
            lead, at = matched.hits(known.number(leaf))
            wait = at + after_ms - now_ms
            np.minimum.at(soonest, lead[wait > 0], wait[wait > 0])
    return soonest


def _edges(leaf: Leaf) -> tuple[int, ...]:
    """How long after a fact's time it begins and ceases to count, in milliseconds."""
    if isinstance(leaf, ActivityTest):
        return (0,) if leaf.in_last_ms is None else (0, leaf.in_last_ms + 1)
    return (0, int(float(str(leaf.argument))) + 1) if leaf.operator in RELATIVE else ()


def _differs(today: Evaluation, later: Evaluation, model: Model, min_step: int) -> NDArray[np.bool_]:
    shown_today, shown_later = today.total // 100, later.total // 100  # whole points, rounded down: what a CRM shows
    moved: NDArray[np.bool_] = np.abs(shown_later - shown_today) * 100 >= max(min_step, 1)
    for gate in gates_of(model):
        moved |= passed(gate, today, model) != passed(gate, later, model)
    return moved  # shortcuts and vetoes do not fade, so they change only with a window
