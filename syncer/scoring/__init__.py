"""(signals, model, as_of) -> scores with every contribution. Pure: no I/O, no clock, no randomness.

Two steps: `match` meets facts with tests and knows no time; `evaluate` does windows, fading, caps and sums.
"""

from syncer.scoring.conditions import passes
from syncer.scoring.evaluate import Evaluation, evaluate
from syncer.scoring.horizon import next_looks
from syncer.scoring.ledger import dimensions_of, score, score_of
from syncer.scoring.match import Matched, match

__all__ = ["Evaluation", "Matched", "dimensions_of", "evaluate", "match", "next_looks", "passes", "score", "score_of"]
