"""(signals, model, as_of) -> scores with every contribution. Pure: no I/O, no clock, no randomness.

Two steps: `match` meets facts with tests and knows no time; `evaluate` does windows, fading, caps and sums. What lies
between them is a lead's footprint, which can be kept.
"""

from syncer.scoring.conditions import first_passed, passes, timed
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.footprints import packed, unpacked
from syncer.scoring.horizon import next_looks, next_turns
from syncer.scoring.ledger import dimensions_of, score, score_of
from syncer.scoring.match import Matched, match

__all__ = [
    "Evaluation",
    "Matched",
    "dimensions_of",
    "evaluate",
    "first_passed",
    "match",
    "next_looks",
    "next_turns",
    "packed",
    "passes",
    "score",
    "score_of",
    "timed",
    "unpacked",
]
