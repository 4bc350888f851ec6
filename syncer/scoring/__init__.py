"""(signals, model, as_of) -> scores with every contribution. Pure: no I/O, no clock, no randomness.

Two steps: `match` meets facts with tests and knows no time; `evaluate` does windows, fading, caps and sums. What lies
between them is a lead's footprint, which can be kept.
"""

from syncer.scoring.conditions import first_passed, passes, timed
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.footprints import packed, unpacked
from syncer.scoring.gates import gates_of, passed
from syncer.scoring.horizon import next_looks, next_turns
from syncer.scoring.ledger import dimensions_of, score, score_of
from syncer.scoring.match import Matched, match
from syncer.scoring.not_given import NotGiven, not_given
from syncer.scoring.predicates import given_up

__all__ = [
    "Evaluation",
    "Matched",
    "NotGiven",
    "dimensions_of",
    "evaluate",
    "first_passed",
    "gates_of",
    "given_up",
    "match",
    "next_looks",
    "next_turns",
    "not_given",
    "packed",
    "passed",
    "passes",
    "score",
    "score_of",
    "timed",
    "unpacked",
]
