"""Factors of fading per whole hour of age, as integers in billionths: the same on every machine, without floats."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from syncer.rules import Fade

WHOLE = 1_000_000_000  # a factor of one
_FIXED = 160  # binary digits kept while multiplying; the error stays far below a billionth
_HALF = WHOLE // 2


@lru_cache(maxsize=64)
def factors(fade: Fade) -> NDArray[np.int64]:
    """factor[age in hours], in billionths; the last entry holds for every greater age."""
    if fade.curve == "none" or fade.half_life_hours <= 0:
        return np.array([WHOLE], dtype=np.int64)
    return np.array(_CURVES[fade.curve](fade.half_life_hours), dtype=np.int64)


def factor_at(fade: Fade, age_hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """The factors of many ages at once; ages are never negative."""
    table = factors(fade)
    faded: NDArray[np.int64] = table[np.minimum(age_hours, len(table) - 1)]
    return faded


def _exponential(half_life: int) -> list[int]:
    """round(10**9 x 0.5**(age / half_life)), until it is 0."""
    with localcontext() as context:
        context.prec = 60
        hourly = int((Decimal(2) ** _FIXED) * (Decimal("0.5") ** (Decimal(1) / half_life)))
    table: list[int] = []
    fixed = WHOLE << _FIXED
    while not table or table[-1]:
        table.append(round_half_even(fixed, 1 << _FIXED))
        fixed = fixed * hourly >> _FIXED
    return table


def _step(half_life: int) -> list[int]:
    """Halved once each whole half-life, until it is 0."""
    halvings = WHOLE.bit_length() + 1
    return [round_half_even(WHOLE, 1 << (age // half_life)) for age in range(half_life * halvings + 1)]


def _linear(half_life: int) -> list[int]:
    """A straight line from one through one half at the half-life to nothing at twice it."""
    end = 2 * half_life
    return [round_half_even(WHOLE * (end - age), end) for age in range(end + 1)]


_CURVES = {"exponential": _exponential, "step": _step, "linear": _linear}


def round_half_even(amount: int, unit: int) -> int:
    """amount / unit to the nearest whole number, halves to the even one."""
    whole, rest = divmod(amount, unit)
    twice = 2 * rest
    return whole + (twice > unit or (twice == unit and whole % 2 == 1))


def round_points(factors: NDArray[np.int64], points: int) -> NDArray[np.int64]:
    """Sums of factors x points in hundredths, each rounded once, halves to the even one.

    The whole factors are multiplied apart from the rest, so a million points for a million activities fit in 64 bits.
    """
    times, part = np.divmod(factors, WHOLE)
    more, rest = np.divmod(part * points, WHOLE)
    whole = times * points + more
    up = (rest > _HALF) | ((rest == _HALF) & (whole % 2 == 1))
    rounded: NDArray[np.int64] = whole + up
    return rounded
