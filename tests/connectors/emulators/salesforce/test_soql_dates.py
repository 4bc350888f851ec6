"""Date literals and date functions."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.org import Org
from connectors.emulators.salesforce.soql.dates import date_function
from connectors.emulators.salesforce.soql.literals import FIXED_RANGES, NUMBERED_RANGES, Calendar

SUNDAY = date(2026, 11, 22)
PACIFIC = ZoneInfo("America/Los_Angeles")


def days(name: str, count: int = 0, today: date = SUNDAY, fiscal_month: int = 1) -> tuple[str, str]:
    """First and last day."""
    first, after = Calendar(today, PACIFIC, fiscal_month).days(name, count)
    return first.isoformat(), (after - timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("YESTERDAY", 0, "2026-11-21", "2026-11-21"),
        ("TODAY", 0, "2026-11-22", "2026-11-22"),
        ("TOMORROW", 0, "2026-11-23", "2026-11-23"),
        ("THIS_WEEK", 0, "2026-11-22", "2026-11-28"),
        ("LAST_WEEK", 0, "2026-11-15", "2026-11-21"),
        ("NEXT_WEEK", 0, "2026-11-29", "2026-12-05"),
        ("LAST_MONTH", 0, "2026-10-01", "2026-10-31"),
        ("THIS_MONTH", 0, "2026-11-01", "2026-11-30"),
        ("NEXT_MONTH", 0, "2026-12-01", "2026-12-31"),
        ("THIS_QUARTER", 0, "2026-10-01", "2026-12-31"),
        ("NEXT_QUARTER", 0, "2027-01-01", "2027-03-31"),
        ("LAST_YEAR", 0, "2025-01-01", "2025-12-31"),
        ("LAST_90_DAYS", 0, "2026-08-24", "2026-11-22"),
        ("NEXT_90_DAYS", 0, "2026-11-23", "2027-02-20"),
        ("LAST_N_DAYS", 3, "2026-11-19", "2026-11-22"),
        ("NEXT_N_DAYS", 3, "2026-11-23", "2026-11-25"),
        ("N_DAYS_AGO", 3, "2026-11-19", "2026-11-19"),
        ("LAST_N_WEEKS", 2, "2026-11-08", "2026-11-21"),
        ("NEXT_N_WEEKS", 2, "2026-11-29", "2026-12-12"),
        ("N_WEEKS_AGO", 2, "2026-11-08", "2026-11-14"),
        ("LAST_N_MONTHS", 2, "2026-09-01", "2026-10-31"),
        ("N_MONTHS_AGO", 11, "2025-12-01", "2025-12-31"),
        ("LAST_N_QUARTERS", 2, "2026-04-01", "2026-09-30"),
        ("LAST_N_YEARS", 2, "2024-01-01", "2025-12-31"),
        ("NEXT_N_FISCAL_YEARS", 1, "2027-01-01", "2027-12-31"),
    ],
)
def test_a_literal_covers_the_days_the_vendor_says(name: str, count: int, first: str, last: str) -> None:
    assert days(name, count) == (first, last)


def test_fiscal_literals_follow_the_month_the_fiscal_year_starts_in() -> None:
    assert days("THIS_FISCAL_YEAR", fiscal_month=4) == ("2026-04-01", "2027-03-31")
    assert days("THIS_FISCAL_QUARTER", fiscal_month=2) == ("2026-11-01", "2027-01-31")
    assert days("LAST_FISCAL_QUARTER", fiscal_month=2) == ("2026-08-01", "2026-10-31")


@given(
    today=st.dates(date(2000, 1, 1), date(2050, 1, 1)),
    fiscal=st.integers(1, 12),
    count=st.integers(1, 40),
    data=st.data(),
)
def test_neighbouring_literals_meet_without_gap_or_overlap(
    today: date, fiscal: int, count: int, data: st.DataObject
) -> None:
    unit = data.draw(st.sampled_from(["WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR"]))
    calendar = Calendar(today, PACIFIC, fiscal)
    last, this, following = (calendar.days(f"{word}_{unit}", 0) for word in ("LAST", "THIS", "NEXT"))
    assert last[1] == this[0] <= today < this[1] == following[0]
    assert calendar.days(f"LAST_N_{unit}S", count)[1] == this[0]
    assert calendar.days(f"NEXT_N_{unit}S", count)[0] == this[1]
    assert calendar.days(f"N_{unit}S_AGO", count)[0] == calendar.days(f"LAST_N_{unit}S", count)[0]


def test_every_literal_of_the_vendor_is_known() -> None:
    assert len(FIXED_RANGES) == 5 + 3 * 6
    assert len(NUMBERED_RANGES) == 3 * 7


def test_a_day_begins_at_midnight_of_the_user() -> None:
    assert Calendar(SUNDAY, PACIFIC).moments("TODAY", 0) == (
        "2026-11-22T08:00:00.000+0000",
        "2026-11-23T08:00:00.000+0000",
    )
    across_the_change = Calendar(date(2026, 11, 1), PACIFIC).moments("TODAY", 0)
    assert across_the_change == ("2026-11-01T07:00:00.000+0000", "2026-11-02T08:00:00.000+0000")


@pytest.fixture(scope="module")
def org() -> Org:
    made = Org.stock(Clock(datetime(2026, 11, 22, 12, tzinfo=UTC), frozen=True))
    made.load(
        "Task",
        [
            {"Subject": f"{hours}", "CreatedDate": datetime(2026, 11, 22, 8, tzinfo=UTC) + timedelta(hours=hours)}
            for hours in (-25, -24, -1, 0, 3, 23, 24)
        ],
    )
    made.load("Task", [{"Subject": "day", "ActivityDate": "2026-11-22", "CreatedDate": "2020-01-01T00:00:00Z"}])
    return made


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("CreatedDate = TODAY", ["0", "3", "23"]),
        ("CreatedDate = YESTERDAY", ["-24", "-1"]),
        ("CreatedDate > TODAY", ["24"]),
        ("CreatedDate >= TODAY", ["0", "3", "23", "24"]),
        ("CreatedDate < TODAY", ["-25", "-24", "-1", "day"]),
        ("CreatedDate <= YESTERDAY", ["-25", "-24", "-1", "day"]),
        ("CreatedDate != TODAY", ["-25", "-24", "-1", "24", "day"]),
        ("CreatedDate IN (YESTERDAY, TOMORROW)", ["-24", "-1", "24"]),
        ("CreatedDate NOT IN (YESTERDAY, TODAY, TOMORROW)", ["-25", "day"]),
        ("ActivityDate = TODAY", ["day"]),
        ("ActivityDate = LAST_N_DAYS:1", ["day"]),
        ("ActivityDate = 2026-11-22", ["day"]),
        ("DAY_ONLY(CreatedDate) = 2026-11-21", ["-25", "-24"]),
        ("DAY_ONLY(convertTimezone(CreatedDate)) = 2026-11-21", ["-24", "-1"]),
        ("HOUR_IN_DAY(CreatedDate) = 7", ["-25", "-1", "23"]),
    ],
)
def test_moments_are_compared_with_the_days_of_the_user(org: Org, condition: str, expected: list[str]) -> None:
    rows = org.query(f"SELECT Subject FROM Task WHERE {condition}").page(0, 100)
    assert [row["Subject"] for row in rows] == expected


@pytest.mark.parametrize(
    ("function", "moment", "expected"),
    [
        ("calendar_month", "2026-11-22", 11),
        ("calendar_quarter", "2026-11-22", 4),
        ("calendar_year", "2026-11-22T23:00:00.000+0000", 2026),
        ("day_in_month", "2026-11-22", 22),
        ("day_in_week", "2026-11-22", 1),
        ("day_in_year", "2026-02-01", 32),
        ("day_only", "2026-11-22T23:00:00.000+0000", "2026-11-22"),
        ("hour_in_day", "2026-11-22T23:00:00.000+0000", 23),
        ("week_in_month", "2026-11-22", 4),
        ("week_in_year", "2026-01-08", 2),
        ("fiscal_month", "2026-11-22", 8),
        ("fiscal_quarter", "2026-11-22", 3),
        ("fiscal_year", "2026-11-22", 2027),
        ("fiscal_year", "2026-03-22", 2026),
    ],
)
def test_a_date_function_reads_its_part(function: str, moment: str, expected: object) -> None:
    calendar = Calendar(SUNDAY, PACIFIC, fiscal_month=4)
    assert date_function(function, calendar, False)(moment) == expected
