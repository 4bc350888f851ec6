"""Spans of time, points and thresholds."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.rules import Gate, duration_text
from syncer.settings.problems import Wrong
from syncer.settings.values import duration, duration_ms, gate, hundredths, timezone, whole_hours

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@given(st.integers(0, 5000), st.sampled_from(sorted(UNITS_S)))
def test_a_duration_is_its_number_of_units(number: int, unit: str) -> None:
    assert duration_ms(f"{number}{unit}") == number * UNITS_S[unit] * 1000
    assert duration_ms(f" {number} {unit} ") == number * UNITS_S[unit] * 1000


@given(st.integers(0, 10_000_000))
def test_a_duration_written_out_reads_back_the_same(seconds: int) -> None:
    assert duration_ms(duration_text(seconds * 1000)) == seconds * 1000


def test_a_duration_is_told_in_the_largest_unit_that_divides_it_up_to_days() -> None:
    spans_ms = (604_800_000, 90_000_000, 90_000, 1_500, 1_000_000_000, 0)
    assert [duration_text(span_ms) for span_ms in spans_ms] == ["7d", "25h", "90s", "1500ms", "1000000s", "0s"]


@pytest.mark.parametrize("raw", ["15 minutes", "15", 15, 1.5, "", None, True, "-1d", "1d1h", "99999999w", "٣d", [1]])
def test_what_is_no_duration_is_refused(raw: Any) -> None:
    with pytest.raises(Wrong):
        duration_ms(raw)


def test_a_command_s_duration_says_what_to_write() -> None:
    assert duration("90m") == timedelta(minutes=90)
    with pytest.raises(ValueError, match="'x' is not a duration; write a number and s, m, h, d or w"):
        duration("x")


@pytest.mark.parametrize("raw", ["90m", "0h", "4000d"])
def test_a_half_life_is_whole_hours_within_ten_years(raw: str) -> None:
    with pytest.raises(Wrong):
        whole_hours(raw)


@given(st.decimals(-10_000, 10_000, places=2))
def test_points_become_exact_hundredths(points: Decimal) -> None:
    assert hundredths(float(points)) == int(points * 100)


@given(st.integers(-1_000_000, 1_000_000))
def test_whole_points_become_exact_hundredths(points: int) -> None:
    assert hundredths(points) == points * 100


@given(st.decimals(-1000, 1000, places=3).filter(lambda points: points * 100 % 1 != 0))
def test_points_with_three_decimals_are_refused(points: Decimal) -> None:
    with pytest.raises(Wrong, match="two decimals"):
        hundredths(float(points))


@pytest.mark.parametrize("raw", ["10", True, None, float("inf"), float("nan"), 1_000_001, 10**400, [1]])
def test_what_are_no_points_is_refused(raw: Any) -> None:
    with pytest.raises(Wrong):
        hundredths(raw)


@given(
    st.sampled_from(["fit", "engagement", "need", "readiness", "total"]),
    st.sampled_from([">=", ">", "<=", "<"]),
    st.integers(-9999, 9999),
    st.sampled_from(["", " "]),
)
def test_a_threshold_reads_as_it_is_written(measure: Any, comparison: Any, points: int, space: str) -> None:
    assert gate(f"{measure}{space}{comparison}{space}{points}") == Gate(measure, comparison, points * 100)


def test_a_threshold_may_have_decimals() -> None:
    assert gate("total >= 45.25") == Gate("total", ">=", 4525)


@pytest.mark.parametrize(
    "raw", ["total is 15", "total >=", ">= 5", "fitt >= 5", "total == 5", 5, None, "total >= 1.234"]
)
def test_what_is_no_threshold_is_refused(raw: Any) -> None:
    with pytest.raises(Wrong):
        gate(raw)


@pytest.mark.parametrize("raw", ["Europe/Madrit", "../etc/passwd", "/etc/passwd", "", None, 5, "Europe", "a\0b"])
def test_what_is_no_time_zone_is_refused(raw: Any) -> None:
    with pytest.raises(Wrong):
        timezone(raw)
