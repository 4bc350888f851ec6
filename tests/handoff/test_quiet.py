"""Quiet hours: what they hold back and until when, also in the nights in which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from syncer.handoff.quiet import ends
from syncer.settings import Quiet

ZONES = ("Europe/Madrid", "America/Mexico_City", "Australia/Lord_Howe")  # an hour, none since 2022, half an hour
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NIGHT = Quiet(21 * 60, 7 * 60 + 30, timedelta(hours=12), "Europe/Madrid")


def _madrid(*when: int) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo("Europe/Madrid")).astimezone(UTC)  # type: ignore[misc,arg-type]


def test_a_night_goes_from_the_evening_to_the_morning() -> None:
    assert ends(NIGHT, _madrid(2026, 11, 20, 20, 59)) == _madrid(2026, 11, 20, 20, 59)
    assert ends(NIGHT, _madrid(2026, 11, 20, 21, 0)) == _madrid(2026, 11, 21, 7, 30)
    assert ends(NIGHT, _madrid(2026, 11, 21, 3, 0)) == _madrid(2026, 11, 21, 7, 30)
    assert ends(NIGHT, _madrid(2026, 11, 21, 7, 30)) == _madrid(2026, 11, 21, 7, 30)


def test_an_hour_at_noon_may_be_quiet_too() -> None:
    noon = Quiet(13 * 60, 14 * 60, HOUR, "Europe/Madrid")
    assert ends(noon, _madrid(2026, 11, 20, 13, 20)) == _madrid(2026, 11, 20, 14, 0)
    assert ends(noon, _madrid(2026, 11, 20, 23, 0)) == _madrid(2026, 11, 20, 23, 0)


def test_a_night_on_which_the_clock_is_changed_is_as_long_as_it_really_is() -> None:
    usual = timedelta(hours=10, minutes=30)
    for evening, longer in (((2026, 3, 28), -HOUR), ((2026, 10, 24), HOUR), ((2026, 11, 20), 0 * HOUR)):
        began = _madrid(*evening, 21, 0)
        assert ends(NIGHT, began) - began == usual + longer


_MOMENTS = st.one_of(
    st.integers(0, 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE),
    *(
        st.integers(-36 * 60, 36 * 60).map(lambda minutes, day=day: day + minutes * MINUTE)  # type: ignore[misc]
        for day in (
            datetime(2026, 3, 29, 1, tzinfo=UTC),  # Madrid's two
            datetime(2026, 10, 25, 1, tzinfo=UTC),
            datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe's two
            datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        )
    ),
)
_MINUTES = st.integers(0, 24 * 60 - 1)


def _is_quiet(quiet: Quiet, at: datetime) -> bool:
    """What the clock on the wall says, and nothing else."""
    wall = at.astimezone(ZoneInfo(quiet.timezone))
    minute = wall.hour * 60 + wall.minute
    over_midnight = quiet.start > quiet.end
    return (minute >= quiet.start or minute < quiet.end) if over_midnight else quiet.start <= minute < quiet.end


@given(_MOMENTS, st.sampled_from(ZONES), _MINUTES, _MINUTES)
def test_it_ends_at_the_first_moment_at_which_the_wall_shows_no_quiet_time(
    at: datetime, zone: str, start: int, end: int
) -> None:
    quiet = Quiet(start, end if end != start else (end + 1) % (24 * 60), HOUR, zone)
    until = ends(quiet, at)
    assert not _is_quiet(quiet, until)
    assert (until == at) == (not _is_quiet(quiet, at))
    assert until - at <= timedelta(hours=25)
    step = max((until - at) / 50, timedelta(seconds=1))
    moment = at
    while moment < until:
        assert _is_quiet(quiet, moment), f"{moment} is not quiet, and it was waited until {until}"
        moment += step
    if until > at:
        assert _is_quiet(quiet, until - timedelta(seconds=1))
