"""Shares with their intervals, AUC and lift: how far a score told the leads that were won from the others. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations
WIDEST = 0.15
"""An interval that reaches further than this to each side says too little to act upon."""


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `of` leads; what is known of it says `interval`."""

    part: int
    of: int

    @property
    def value(self) -> float | None:
        """0 to 1; None where there is nobody to count."""
        return self.part / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval of 95 %: it holds for few leads, and at 0 and 1, too. (0, 1) for nobody."""
        if not self.of:
            return 0.0, 1.0
        n, p, z2 = self.of, self.part / self.of, _Z * _Z
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        reach = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, centre - reach), min(1.0, centre + reach)

    @property
    def vague(self) -> bool:
        """Is the interval wider than 15 points to each side?"""
        low, high = self.interval
        return high - low > 2 * WIDEST


def auc(totals: Sequence[int], won: Sequence[bool]) -> float | None:
    """How often a lead that was won has more points than one that was not; equal points count half. None where one of
    the two kinds is missing. 0.5 is chance."""
    groups = _by_total(totals, won)
    wins, losses = sum(each for each, _ in groups), sum(each for _, each in groups)
    if not wins or not losses:
        return None
    twice, below = 0, 0
    for won_here, lost_here in groups:
        twice += won_here * (2 * below + lost_here)
        below += lost_here
    return twice / (2 * wins * losses)


def top_decile_lift(totals: Sequence[int], won: Sequence[bool]) -> float | None:
    """The share won among the tenth with the most points, over the share won of all; 1 is chance, None where nobody was
    won. Of leads with equal points on the edge of the tenth each counts with the same fraction."""
    groups = _by_total(totals, won)
    wins, everybody = sum(each for each, _ in groups), len(totals)
    if not wins:
        return None
    tenth = math.ceil(everybody / 10)
    found, room = 0.0, tenth
    for won_here, lost_here in reversed(groups):
        taken = min(room, won_here + lost_here)
        found += won_here * taken / (won_here + lost_here)
        room -= taken
    return (found / tenth) / (wins / everybody)


def _by_total(totals: Sequence[int], won: Sequence[bool]) -> list[tuple[int, int]]:
    """(won, not won) of each distinct total, the fewest points first."""
    distinct, place = np.unique(np.asarray(totals, dtype=np.int64), return_inverse=True)
    every = np.bincount(place, minlength=len(distinct))
    wins = np.bincount(place[np.asarray(won, dtype=np.bool_)], minlength=len(distinct))
    return [(int(ours), int(both - ours)) for ours, both in zip(wins, every, strict=True)]
