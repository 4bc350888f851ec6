"""One condition on one lead, for segments and routes: the kernel, asked a single question."""

from __future__ import annotations

from datetime import datetime

from syncer.model import Signals
from syncer.rules import Condition, Model, Veto
from syncer.scoring.evaluate import evaluate
from syncer.scoring.match import match


def _question(condition: Condition) -> Model:
    return Model("question", "UTC", (), (), vetoes=(Veto("asked", "asked", condition, ""),))


def passes(condition: Condition, signals: Signals, as_of: datetime) -> bool:
    """Does the condition hold for the lead as of then?"""
    model = _question(condition)
    return bool(evaluate(match([signals], model), model, as_of).vetoes[0, 0])
