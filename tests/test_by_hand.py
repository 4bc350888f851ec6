"""What people write into fields for a stage of their own choice, and when such a choice ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from syncer.by_hand import chosen
from syncer.model import Manual

STAGES = ("cold", "MQL", "sql")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, None),
        ({"stage": None, "reason": "left over"}, None),
        ({"stage": "  "}, None),
        ({"stage": " mql "}, Manual("MQL")),
        ({"stage": "SQL", "reason": " knows them\n"}, Manual("sql", "knows them")),
    ],
)
def test_a_stage_is_known_in_any_case_and_an_empty_field_is_no_choice(
    texts: dict[str, str | None], expected: Manual | None
) -> None:
    assert chosen(texts, STAGES, "UTC") == expected


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("2027-01-15", datetime(2027, 1, 15, 22, 59, 59, 999_000, UTC)),
        ("20270115", datetime(2027, 1, 15, 22, 59, 59, 999_000, UTC)),
        ("2027-07-15", datetime(2027, 7, 15, 21, 59, 59, 999_000, UTC)),  # summer
        ("2027-03-28", datetime(2027, 3, 28, 21, 59, 59, 999_000, UTC)),  # an hour shorter than others
        ("2027-01-15T12:00:00", datetime(2027, 1, 15, 11, tzinfo=UTC)),
        ("2027-01-15T12:00:00.000Z", datetime(2027, 1, 15, 12, tzinfo=UTC)),
    ],
)
def test_a_choice_ends_with_its_day_where_the_project_is_or_at_its_time(until: str, ends: datetime) -> None:
    found = chosen({"stage": "sql", "until": until}, STAGES, "Europe/Madrid")
    assert found == Manual("sql", until=ends)
    assert found is not None
    assert found.until is not None
    assert found.until.tzinfo is UTC


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"stage": "warm"}, r"'warm', is none of: cold, MQL, sql"),
        ({"stage": "sql", "until": "soon"}, "'soon' is no end"),
        ({"stage": "sql", "until": "15/01/2027"}, "'15/01/2027' is no end"),
        ({"stage": "sql", "until": "9999-12-31"}, "'9999-12-31' is no end"),
    ],
)
def test_what_cannot_be_understood_is_not_obeyed_and_says_why(texts: dict[str, str | None], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        chosen(texts, STAGES, "UTC")
