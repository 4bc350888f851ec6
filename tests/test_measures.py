"""Shares, AUC and lift against what they are defined to be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.measures import Share, auc, top_decile_lift

leads = st.lists(st.tuples(st.integers(-300, 300), st.booleans()), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0), (5, 10, 0.2366, 0.7634)],
)
def test_the_interval_is_wilsons_also_at_the_ends(part: int, of: int, low: float, high: float) -> None:
    assert Share(part, of).interval == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_the_ends_of_the_interval_are_196_standard_deviations_from_what_was_seen(of: int, part: int) -> None:
    """So is Wilson's interval defined: by the deviation that the true share would have, not the one that was seen."""
    seen = min(part, of) / of
    for end in Share(min(part, of), of).interval:
        if 1e-9 < end < 1 - 1e-9:
            assert abs(seen - end) == pytest.approx(1.96 * (end * (1 - end) / of) ** 0.5, rel=1e-3)


def test_a_share_of_nobody_says_nothing() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).interval == (0.0, 1.0)
    assert Share(0, 0).vague


def test_a_share_is_vague_where_it_reaches_more_than_15_points_to_each_side() -> None:
    assert Share(20, 38).vague
    assert not Share(20, 39).vague


@given(leads)
@settings(max_examples=60, deadline=None)
def test_the_auc_is_how_often_the_won_lead_of_a_pair_has_more_points(found: list[tuple[int, bool]]) -> None:
    won, lost = [total for total, ours in found if ours], [total for total, ours in found if not ours]
    pairs = [(one > other) + (one == other) / 2 for one in won for other in lost]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert auc([total for total, _ in found], [ours for _, ours in found]) == pytest.approx(expected)


def test_the_auc_knows_perfect_useless_and_reversed_points() -> None:
    won = [True, True, False, False]
    assert auc([4, 3, 2, 1], won) == 1
    assert auc([7, 7, 7, 7], won) == 0.5
    assert auc([1, 2, 3, 4], won) == 0


def test_the_lift_compares_the_tenth_with_most_points_with_all() -> None:
    totals, won = list(range(20)), [number in (3, 18, 19, 5) for number in range(20)]
    assert top_decile_lift(totals, won) == pytest.approx((2 / 2) / (4 / 20))
    assert top_decile_lift(totals, [number < 4 for number in range(20)]) == 0


def test_leads_with_equal_points_on_the_edge_of_the_tenth_count_in_part() -> None:
    # The tenth has room for one of the three with 9 points, of which one was won.
    totals, won = [9, 9, 9, *([1] * 7)], [True, False, False, True, *([False] * 6)]
    assert top_decile_lift(totals, won) == pytest.approx((1 / 3) / (2 / 10))


@given(leads)
@settings(max_examples=40, deadline=None)
def test_the_order_of_leads_changes_no_measure(found: list[tuple[int, bool]]) -> None:
    totals, won = [total for total, _ in found], [ours for _, ours in found]
    assert auc(totals[::-1], won[::-1]) == auc(totals, won)
    assert top_decile_lift(totals[::-1], won[::-1]) == pytest.approx(top_decile_lift(totals, won))


def test_without_anybody_won_there_is_no_auc_and_no_lift() -> None:
    assert auc([1, 2], [False, False]) is None
    assert auc([1, 2], [True, True]) is None
    assert top_decile_lift([1, 2], [False, False]) is None
