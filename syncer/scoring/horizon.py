"""When must a lead be looked at again, although nothing happens? The earliest time at which fading may matter."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from syncer.rules import Gate, Model
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.match import Matched

_HOURS = tuple(2**k for k in range(14))  # 1 hour .. 341 days


def next_looks(matched: Matched, model: Model, as_of: datetime, min_step: int) -> list[datetime | None]:
    """For each lead the time to look again, or None where fading changes nothing that anybody sees.

    Looks ahead 1, 2, 4 ... hours: if something (a gate, a shortcut, a veto, `min_step` hundredths of the total) has
    changed 8 hours from now but not 4, the answer is 4 hours from now; from there the next look ahead is finer. So a
    change is met within the hour in which it happens, at the price of a few looks.
    """
    today = evaluate(matched, model, as_of)
    looks = np.zeros(matched.leads, dtype=np.int64)
    for hours in reversed(_HOURS):
        later = evaluate(matched, model, as_of + timedelta(hours=hours))
        looks = np.where(_differs(today, later, model, min_step), hours, looks)
    return [as_of + timedelta(hours=max(1, int(hours) // 2)) if hours else None for hours in looks]


def _differs(today: Evaluation, later: Evaluation, model: Model, min_step: int) -> NDArray[np.bool_]:
    moved: NDArray[np.bool_] = np.abs(later.total - today.total) >= max(min_step, 1)
    for gate in {gate for stage in model.stages for gate in (*stage.enter, *stage.leave_below)}:
        moved |= _passed(gate, today, model) != _passed(gate, later, model)
    moved |= (today.shortcuts != later.shortcuts).any(axis=1)
    moved |= (today.vetoes != later.vetoes).any(axis=1)
    return moved


def _passed(gate: Gate, evaluation: Evaluation, model: Model) -> NDArray[np.bool_]:
    names = [dimension.name for dimension in model.dimensions]
    have = np.zeros_like(evaluation.total)
    if gate.measure == "total":
        have = evaluation.total
    elif gate.measure in names:
        have = evaluation.dimensions[:, names.index(gate.measure)]
    compare = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}[gate.comparison]
    passed: NDArray[np.bool_] = compare(have, gate.threshold)
    return passed
