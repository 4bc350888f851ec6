"""Numbers, dates and moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model import Value
from syncer.sheets.cells import Cell, Habits, is_day, moment_of, value_of, values_of

MADRID = ZoneInfo("Europe/Madrid")
COMMA, POINT = Habits(decimal=","), Habits(decimal=".")


@pytest.mark.parametrize(
    ("cell", "habits", "value"),
    [
        (50.0, COMMA, 50),
        (34600111222.0, COMMA, 34600111222),
        (0.5, COMMA, 0.5),
        (True, COMMA, True),
        (" Madrid ", COMMA, "Madrid"),
        ("  ", COMMA, None),
        (None, COMMA, None),
        ("1.234,50", COMMA, 1234.5),
        ("-0,5", COMMA, -0.5),
        ("1.234.567", COMMA, 1234567),
        ("1.234,50 €", COMMA, 1234.5),
        ("12 €", COMMA, 12),
        ("1,234.50", POINT, 1234.5),
        ("$1,234", POINT, 1234),
        ("1.234,50", POINT, "1.234,50"),
        ("1.234,50", Habits(), "1.234,50"),
        ("08001", COMMA, "08001"),
        ("34600111222", COMMA, "34600111222"),
        ("+34 600 111 222", COMMA, "+34 600 111 222"),
        ("1.2.3", COMMA, "1.2.3"),
        ("#DIV/0!", COMMA, None),
        ("#¡VALOR!", COMMA, None),
        ("#hashtag", COMMA, "#hashtag"),
        ("03/11/2026", COMMA, "2026-11-03"),
        ("3-11-2026 14:30", COMMA, "2026-11-03T14:30:00"),
        ("11/03/2026", Habits(dates="mdy"), "2026-11-03"),
        ("2026/11/03", COMMA, "2026-11-03"),
        ("2026-11-03", Habits(dates="mdy"), "2026-11-03"),
        ("31/02/2026", COMMA, "31/02/2026"),
        ("03/11/26", COMMA, "03/11/26"),
        (date(2026, 11, 3), COMMA, "2026-11-03"),
        (datetime(2026, 11, 3, 14, 30), COMMA, "2026-11-03T14:30:00"),  # noqa: DTZ001  # a workbook knows no zones
    ],
)
def test_a_cell_says_what_a_rule_compares(cell: Cell, habits: Habits, value: Value) -> None:
    found = value_of(cell, habits)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("03/11/2026", datetime(2026, 11, 2, 23, 0, tzinfo=UTC)),
        ("03/07/2026 14:30", datetime(2026, 7, 3, 12, 30, tzinfo=UTC)),
        ("03/11/26 2:30 p. m.", datetime(2026, 11, 3, 13, 30, tzinfo=UTC)),
        ("2026-11-03T10:00:00Z", datetime(2026, 11, 3, 10, 0, tzinfo=UTC)),
        ("2026-11-03 10:00:00+01:00", datetime(2026, 11, 3, 9, 0, tzinfo=UTC)),
        (date(2026, 11, 3), datetime(2026, 11, 2, 23, 0, tzinfo=UTC)),
        (datetime(2026, 11, 3, 9, 15), datetime(2026, 11, 3, 8, 15, tzinfo=UTC)),  # noqa: DTZ001  # as above
    ],
)
def test_a_moment_without_a_zone_is_in_the_projects(cell: Cell, moment: datetime) -> None:
    found = moment_of(cell, Habits(), MADRID)
    assert (found, found.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("31/02/2026", "'31/02/2026' is no date, read as day/month/year (see date_format)"),
        ("11/25/2026", "read as day/month/year"),
        ("03/11/2026 14:75", "is no date"),
        ("soon", "'soon' is no date"),
        (45999, "'45999' is no date"),
        (None, "there is no date"),
        ("2026-11-03T99", "'2026-11-03T99' is no date"),
    ],
)
def test_what_is_no_date_is_told_in_words(cell: Cell, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        moment_of(cell, Habits(), MADRID)


def test_a_moment_behind_the_end_of_the_calendar_is_told_in_words() -> None:
    with pytest.raises(ValueError, match="lies outside of the calendar"):
        moment_of("31/12/9999 23:00", Habits(), ZoneInfo("America/Lima"))


def test_a_day_is_told_from_a_time_of_it() -> None:
    assert is_day("03/11/2026", Habits())
    assert is_day(date(2026, 11, 3), Habits())
    assert not is_day("03/11/2026 10:00", Habits())


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_a_number_with_groups_is_read_as_it_was_written(number: object) -> None:
    english = f"{number:,.2f}"
    spanish = english.translate(str.maketrans(",.", ".,"))
    assert value_of(english, POINT) == value_of(spanish, COMMA) == float(str(number))


@given(st.dates(), st.sampled_from(["dmy", "mdy", "ymd"]), st.sampled_from("/-."))
def test_a_date_is_read_in_the_order_it_was_written(day: date, order: Literal["dmy", "mdy", "ymd"], sign: str) -> None:
    parts = {"d": f"{day.day:02}", "m": f"{day.month:02}", "y": f"{day.year:04}"}
    assert value_of(sign.join(parts[each] for each in order), Habits(dates=order)) == day.isoformat()


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001  # as above
def test_a_written_moment_is_the_moment_of_the_cell(at: datetime) -> None:
    at = at.replace(microsecond=0)
    assert moment_of(f"{at:%d/%m/}{at.year:04}{at: %H:%M:%S}", Habits(), MADRID) == moment_of(at, Habits(), MADRID)


CELLS = st.none() | st.text(max_size=8) | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.dates()
NUMBERLIKE = st.sampled_from(["1,5", "08001", " x ", "", "#N/A", "03/11/2026"])


@given(st.lists(CELLS | NUMBERLIKE) | st.lists(st.floats(allow_nan=False)) | st.lists(st.text(max_size=3)))
def test_a_column_says_what_its_cells_say(cells: list[Cell]) -> None:
    one_by_one = [value_of(cell, COMMA) for cell in cells]
    assert [(each, type(each)) for each in values_of(cells, COMMA)] == [(each, type(each)) for each in one_by_one]


def test_a_time_of_day_is_text() -> None:
    assert values_of([time(9, 30)], COMMA) == ["09:30:00"]  # type: ignore[list-item]  # what a workbook may hold
