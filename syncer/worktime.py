"""Working time: how much of it lies between two moments, and when so much of it has passed. Pure.

A place is open where the clock on its wall says so. An hour that comes twice in a night counts twice, one that is
skipped not at all: what is counted are real seconds during which that clock showed working time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from syncer.errors import ConfigError

DAY_M = 24 * 60
_NONE, _DAY, _SECOND = timedelta(), timedelta(days=1), timedelta(seconds=1)

Hours = tuple[int, int]
"""From and to, in minutes after midnight by the clock on the wall; at most 0 and 1440."""

Stretch = tuple[datetime, datetime]
"""From a moment on until another, that one excluded; in UTC."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When people work. ConfigError SY190 where they never do."""

    timezone: str = "UTC"
    week: tuple[tuple[Hours, ...], ...] = (((0, DAY_M),),) * 7  # of each day, Monday first
    holidays: frozenset[date] = frozenset()  # days there on which nobody works

    def __post_init__(self) -> None:
        if len(self.week) != 7 or any(not 0 <= start <= end <= DAY_M for day in self.week for start, end in day):
            raise ConfigError("working hours are from 00:00 to 24:00 on seven days", code="SY190")
        if not any(start < end for day in self.week for start, end in day):
            raise ConfigError("the calendar has no working time at all; give it days and hours", code="SY190")


ALWAYS = Calendar()
"""Every moment of every day."""


def between(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """The working time from `start` to `end`; none where `end` comes first."""
    passed = _NONE
    for begins, ends in _stretches(start, calendar):
        if begins >= end:
            break
        passed += min(ends, end) - begins
    return passed


def after(at: datetime, span: timedelta, calendar: Calendar) -> datetime:
    """The first moment at which `span` of working time has passed since `at`: the end of a working day rather than the
    beginning of the next, and `at` itself where there is nothing to wait for."""
    left = span
    if left <= _NONE:
        return _utc(at)
    for begins, ends in _stretches(at, calendar):
        if ends - begins >= left:
            return begins + left
        left -= ends - begins
    raise OverflowError("so much working time does not pass before the year 9999")


def is_open(at: datetime, calendar: Calendar) -> bool:
    return next_open(at, calendar) == at


def next_open(at: datetime, calendar: Calendar) -> datetime:
    """The first moment from `at` on that is working time."""
    for begins, _ in _stretches(at, calendar):
        return begins
    raise OverflowError("there is no working time any more before the year 9999")


def _stretches(start: datetime, calendar: Calendar) -> Iterator[Stretch]:
    """All working time from `start` on, the first stretch cut where it is under way."""
    start = _utc(start)
    day = (start - _DAY).date()  # no place is more than a day behind UTC
    while day < _LAST_DAY:
        for begins, ends in _open_on(calendar, day):
            if ends > start:
                yield max(begins, start), ends
        day += _DAY


_LAST_DAY = date.max - 3 * _DAY


@lru_cache(maxsize=4096)
def _open_on(calendar: Calendar, day: date) -> Sequence[Stretch]:
    """In order, none touching the next."""
    if day in calendar.holidays:
        return ()
    offsets = _offsets_on(calendar.timezone, day)
    midnight = datetime.combine(day, datetime.min.time(), UTC)  # the wall's clock, as if it were UTC's
    found: list[Stretch] = []
    for start, end in calendar.week[day.weekday()]:
        wall = midnight + timedelta(minutes=start), midnight + timedelta(minutes=end)
        for (since, until), offset in offsets:
            begins, ends = max(wall[0] - offset, since), min(wall[1] - offset, until)
            if begins < ends:
                found.append((begins, ends))
    return tuple(_joined(found))


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    whole: list[Stretch] = []
    for begins, ends in sorted(stretches):
        if whole and begins <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(ends, whole[-1][1])
        else:
            whole.append((begins, ends))
    return whole


@lru_cache(maxsize=4096)
def _offsets_on(timezone: str, day: date) -> Sequence[tuple[Stretch, timedelta]]:
    """How far the wall's clock is ahead of UTC, around that day. Clocks are changed once in three days at most."""
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    first, last = midnight - _DAY, midnight + 2 * _DAY
    before, afterwards = _offset(zone, first), _offset(zone, last)
    if before == afterwards:
        return (((first, last), before),)
    changed, same = last, first  # the whole second at which it changes lies between
    while changed - same > _SECOND:
        middle = same + timedelta(seconds=(changed - same) // _SECOND // 2)
        if _offset(zone, middle) == before:
            same = middle
        else:
            changed = middle
    return ((first, changed), before), ((changed, last), afterwards)


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or _NONE


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return at.astimezone(UTC)
