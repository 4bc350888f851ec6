"""Gates asked of many leads at once; `stages` asks them of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from syncer.rules import Comparison, Gate, Model
from syncer.scoring.evaluate import Bools, Evaluation, Ints

_COMPARED: Mapping[Comparison, Callable[[Ints, int], Bools]] = {
    ">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less,
}  # fmt: skip


def gates_of(model: Model) -> tuple[Gate, ...]:
    """Every gate of the model, to enter a stage or to stay in it, each once."""
    return tuple(dict.fromkeys(gate for stage in model.stages for gate in (*stage.enter, *stage.leave_below)))


def passed(gate: Gate, evaluation: Evaluation, model: Model) -> Bools:
    """[n]. A dimension without rules has no points."""
    names = [dimension.name for dimension in model.dimensions]
    have = evaluation.total
    if gate.measure in names:
        have = evaluation.dimensions[:, names.index(gate.measure)]
    elif gate.measure != "total":
        have = np.zeros_like(have)
    return _COMPARED[gate.comparison](have, gate.threshold)
