from __future__ import annotations

import pytest

from syncer.scoring.evaluate import _offset_ms
from syncer.scoring.fading import factors
from syncer.scoring.values import fold


@pytest.fixture(autouse=True)
def _forgetful_kernel() -> None:
    """Each test computes what it looks at. Else the answer may have been remembered from another test, and mutation
    testing, which runs only the tests that reach a line and forks them from a run of the right code, would let wrong
    lines pass."""
    for remembered in (fold, factors, _offset_ms):
        remembered.cache_clear()
