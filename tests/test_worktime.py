"""Working hours, holidays and both changes of the clock in three zones, against a minute-by-minute count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import ConfigError
from syncer.worktime import ALWAYS, Calendar, Hours, after, between, is_open, next_open

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NINE_TO_SIX: tuple[Hours, ...] = ((9 * 60, 18 * 60),)
MADRID = Calendar("Europe/Madrid", (*(NINE_TO_SIX,) * 5, (), ()), frozenset({date(2026, 12, 25)}))
ZONES = ("Europe/Madrid", "America/Mexico_City", "Australia/Lord_Howe")
CHANGES = (  # of the clock, each forward and back; Mexico has had none since 2022
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2022, 4, 3, 8, tzinfo=UTC), datetime(2022, 10, 30, 7, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
)  # fmt: skip


def at(text: str, zone: str = "Europe/Madrid") -> datetime:
    """The wall's clock, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


some = settings(max_examples=60, deadline=None)  # the first look at a zone reads it
hours = st.integers(0, 1439).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, 1440)))
days = st.lists(hours, max_size=3).map(tuple)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = list(draw(st.tuples(days, days, days, days, days, days, days)))
    week[draw(st.integers(0, 6))] += (draw(hours),)
    moment = draw(st.sampled_from(CHANGES)).date()
    holidays = draw(st.frozensets(st.integers(-5, 5).map(lambda n: moment + timedelta(days=n)), max_size=3))
    return Calendar(draw(st.sampled_from(ZONES)), tuple(week), holidays)


moments = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-3 * 86_400, 3 * 86_400),
)
spans = st.integers(0, 40 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def open_by_the_wall(moment: datetime, calendar: Calendar) -> bool:
    wall = moment.astimezone(ZoneInfo(calendar.timezone))
    minute = wall.hour * 60 + wall.minute
    works = any(start <= minute < end for start, end in calendar.week[wall.weekday()])
    return works and wall.date() not in calendar.holidays


@some
@given(calendars(), moments, spans)
def test_so_much_working_time_lies_between_a_moment_and_when_it_has_passed(
    calendar: Calendar, moment: datetime, span: timedelta
) -> None:
    assert between(moment, after(moment, span, calendar), calendar) == span


@some
@given(calendars(), moments, spans.map(lambda span: span + timedelta(seconds=1)))
def test_it_has_not_passed_a_moment_before(calendar: Calendar, moment: datetime, span: timedelta) -> None:
    tick = timedelta(microseconds=1)
    assert between(moment, after(moment, span, calendar) - tick, calendar) == span - tick


@some
@given(calendars(), moments, spans, spans)
def test_waiting_twice_is_waiting_for_the_sum(
    calendar: Calendar, moment: datetime, first: timedelta, second: timedelta
) -> None:
    assert after(after(moment, first, calendar), second, calendar) == after(moment, first + second, calendar)


@some
@given(calendars(), st.lists(moments, min_size=3, max_size=3).map(sorted))
def test_what_lies_between_adds_up_and_is_never_more_than_the_time_itself(
    calendar: Calendar, three: list[datetime]
) -> None:
    first, second, third = three
    parts = between(first, second, calendar), between(second, third, calendar)
    assert sum(parts, timedelta()) == between(first, third, calendar)
    assert timedelta() <= parts[0] <= second - first


@some
@given(calendars(), moments, moments, spans)
def test_who_begins_later_is_done_no_earlier(
    calendar: Calendar, one: datetime, other: datetime, span: timedelta
) -> None:
    first, second = sorted((one, other))
    assert after(first, span, calendar) <= after(second, span, calendar)


@some
@given(calendars(), moments, st.integers(0, 2 * 1440))
def test_a_count_minute_by_minute_says_the_same(calendar: Calendar, moment: datetime, minutes: int) -> None:
    start = moment.replace(second=0)
    counted = sum(open_by_the_wall(start + n * MINUTE, calendar) for n in range(minutes))
    assert between(start, start + minutes * MINUTE, calendar) == counted * MINUTE


@some
@given(calendars(), moments)
def test_open_is_what_the_clock_on_the_wall_says(calendar: Calendar, moment: datetime) -> None:
    assert is_open(moment, calendar) == open_by_the_wall(moment, calendar)
    opens = next_open(moment, calendar)
    assert open_by_the_wall(opens, calendar)
    assert between(moment, opens, calendar) == timedelta()


@some
@given(moments, spans)
def test_where_people_always_work_working_time_is_time(moment: datetime, span: timedelta) -> None:
    assert after(moment, span, ALWAYS) == moment + span
    assert between(moment, moment + span, ALWAYS) == span


@pytest.mark.parametrize(
    ("told", "span", "due"),
    [
        ("2026-11-23T10:00", 1, "2026-11-23T11:00"),
        ("2026-11-23T17:30", 1, "2026-11-24T09:30"),
        ("2026-11-23T17:00", 1, "2026-11-23T18:00"),  # the end of a day, not the next day's beginning
        ("2026-11-27T17:30", 1, "2026-11-30T09:30"),  # over a weekend
        ("2026-11-28T03:00", 1, "2026-11-30T10:00"),
        ("2026-12-24T17:30", 1, "2026-12-28T09:30"),  # over a holiday and a weekend
        ("2026-11-23T09:00", 90, "2026-12-04T18:00"),
    ],
)
def test_an_hour_of_working_time_skips_nights_weekends_and_holidays(told: str, span: int, due: str) -> None:
    assert after(at(told), span * HOUR, MADRID) == at(due)


def test_a_night_shift_loses_the_hour_that_is_skipped_and_works_the_one_that_comes_twice() -> None:
    nights = replace(MADRID, week=(((0, 6 * 60),),) * 7)
    assert between(at("2026-03-29T00:00"), at("2026-03-29T06:00"), nights) == 5 * HOUR
    assert between(at("2026-10-25T00:00"), at("2026-10-25T06:00"), nights) == 7 * HOUR


def test_half_of_an_hour_that_comes_twice_is_worked_twice() -> None:
    calendar = replace(MADRID, week=(((2 * 60, 2 * 60 + 30),),) * 7)
    night = at("2026-10-25T00:00"), at("2026-10-25T06:00")
    assert between(*night, calendar) == HOUR
    assert after(night[0], 45 * MINUTE, calendar) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)


def test_lord_howe_moves_its_clocks_by_half_an_hour() -> None:
    nights = Calendar("Australia/Lord_Howe", (((0, 6 * 60),),) * 7)
    place = "Australia/Lord_Howe"
    assert between(at("2026-10-04T00:00", place), at("2026-10-04T06:00", place), nights) == 5.5 * HOUR
    assert between(at("2026-04-05T00:00", place), at("2026-04-05T06:00", place), nights) == 6.5 * HOUR


def test_hours_that_overlap_count_once() -> None:
    doubled = replace(MADRID, week=((*NINE_TO_SIX, (10 * 60, 19 * 60)),) * 7)
    assert between(at("2026-11-23T00:00"), at("2026-11-24T00:00"), doubled) == 10 * HOUR


def test_what_ended_before_it_began_took_no_time() -> None:
    assert between(at("2026-11-23T12:00"), at("2026-11-23T10:00"), MADRID) == timedelta()


@pytest.mark.parametrize("week", [((),) * 7, (((540, 540),),) * 7, (NINE_TO_SIX,), (((600, 540),),) * 7])
def test_a_calendar_without_working_time_is_refused(week: tuple[tuple[Hours, ...], ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        Calendar(week=week)
    assert refused.value.code == "SY190"


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        after(datetime(2026, 11, 23), HOUR, MADRID)  # noqa: DTZ001
