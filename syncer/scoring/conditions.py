"""Conditions on leads, for segments and routes: the kernel, asked single questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from syncer.model import Signals
from syncer.rules import ActivityTest, Condition, Model, NoneOf, Veto, leaves
from syncer.scoring.evaluate import evaluate
from syncer.scoring.match import match
from syncer.scoring.predicates import RELATIVE

_ALWAYS = NoneOf(())


def questions(conditions: Sequence[Condition | None]) -> Model:
    """A model without rules that only asks the conditions; None holds for everybody."""
    asked = (Veto(str(number), "", condition or _ALWAYS, "") for number, condition in enumerate(conditions))
    return Model("questions", "UTC", (), (), vetoes=tuple(asked))


def passes(condition: Condition, signals: Signals, as_of: datetime) -> bool:
    """Does the condition hold for the lead as of then?"""
    return first_passed([condition], [signals], as_of) == [0]


def first_passed(conditions: Sequence[Condition | None], leads: Sequence[Signals], as_of: datetime) -> list[int | None]:
    """For each lead the number of the first condition that holds as of then; None where none does."""
    if not leads or not conditions:
        return [None] * len(leads)
    model = questions(conditions)
    answers = evaluate(match(leads, model), model, as_of).vetoes
    return [int(np.argmax(row)) if row.any() else None for row in answers]


def timed(condition: Condition | None) -> bool:
    """May the answer change by time alone?"""
    return condition is not None and any(
        isinstance(leaf, ActivityTest) or leaf.operator in RELATIVE for leaf in leaves(condition)
    )
