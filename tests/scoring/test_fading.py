from __future__ import annotations

from datetime import timedelta
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.rules import NO_FADE, Fade
from syncer.scoring.fading import WHOLE, factor_at, factors, round_half_even, round_points
from tests.scoring import reference

Curve = Literal["exponential", "linear", "step"]
CURVES: tuple[Curve, ...] = ("exponential", "linear", "step")


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(CURVES), st.sampled_from((1, 2, 3, 7, 24, 100, 720, 8760)), st.integers(0, 40_000))
def test_every_factor_is_the_exact_curve_rounded_half_to_even(curve: Curve, half_life: int, age: int) -> None:
    fade = Fade(curve, half_life)
    assert factor_at(fade, np.array([age]))[0] == reference.factor(fade, timedelta(hours=age))


@pytest.mark.parametrize("half_life", [1, 2, 24])
def test_halves_of_a_billionth_go_to_the_even_one(half_life: int) -> None:
    for fade in (Fade("exponential", half_life), Fade("step", half_life)):
        assert factor_at(fade, np.array([10 * half_life]))[0] == 976_562


@pytest.mark.parametrize("curve", CURVES)
def test_a_factor_starts_at_one_never_grows_and_ends_at_nothing(curve: Curve) -> None:
    table = factors(Fade(curve, 24))
    assert table[0] == WHOLE
    assert table[-1] == 0
    assert (table[:-1] > 0).all(), "the table ends where nothing is left"
    assert (np.diff(table) <= 0).all()
    assert factor_at(Fade(curve, 24), np.array([10**9]))[0] == 0


def test_without_fading_points_stay_whole() -> None:
    for fade in (NO_FADE, Fade("exponential", 0)):
        assert factor_at(fade, np.array([0, 10**9])).tolist() == [WHOLE, WHOLE]


@pytest.mark.parametrize(
    ("amount", "unit", "rounded"),
    [(0, 2, 0), (1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 2, 4), (9, 2, 4), (-1, 2, 0), (-3, 2, -2), (1, 3, 0), (2, 3, 1),
     (4, 3, 1), (7, 4, 2), (6, 3, 2), (-5, 3, -2)],
)  # fmt: skip
def test_the_nearest_whole_number_is_taken_and_of_two_the_even_one(amount: int, unit: int, rounded: int) -> None:
    assert round_half_even(amount, unit) == rounded


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_rounding_takes_the_nearest_whole_number_and_halves_to_the_even_one(amount: int, unit: int) -> None:
    rounded = round_half_even(amount, unit)
    twice_off = abs(2 * (amount - rounded * unit))
    assert twice_off < unit or (twice_off == unit and rounded % 2 == 0)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=5), st.integers(0, WHOLE), st.integers(-(10**8), 10**8))
def test_points_are_rounded_exactly_whatever_their_size(times: list[int], part: int, points: int) -> None:
    sums = [each * WHOLE + part for each in times] + [WHOLE // 2, 3 * WHOLE // 2]
    rounded = round_points(np.array(sums, dtype=np.int64), points)
    assert rounded.tolist() == [round_half_even(each * points, WHOLE) for each in sums]
