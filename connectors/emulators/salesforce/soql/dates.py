"""SOQL's date functions: what CALENDAR_YEAR and its kin read from a date or a moment."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from connectors.emulators.salesforce.soql.literals import Calendar


def _fiscal_shifted(day: date, calendar: Calendar) -> tuple[int, int]:
    """Fiscal year (named by its last month, as Salesforce does by default) and the month within it from 0."""
    months = day.year * 12 + day.month - calendar.fiscal_month
    year = months // 12 + (1 if calendar.fiscal_month > 1 else 0)
    return year, months % 12


_ON_DAYS: dict[str, Callable[[date, Calendar], object]] = {
    "calendar_month": lambda day, _: day.month,
    "calendar_quarter": lambda day, _: (day.month - 1) // 3 + 1,
    "calendar_year": lambda day, _: day.year,
    "day_in_month": lambda day, _: day.day,
    "day_in_week": lambda day, _: day.isoweekday() % 7 + 1,
    "day_in_year": lambda day, _: day.timetuple().tm_yday,
    "day_only": lambda day, _: day.isoformat(),
    "fiscal_month": lambda day, calendar: _fiscal_shifted(day, calendar)[1] + 1,
    "fiscal_quarter": lambda day, calendar: _fiscal_shifted(day, calendar)[1] // 3 + 1,
    "fiscal_year": lambda day, calendar: _fiscal_shifted(day, calendar)[0],
    "week_in_month": lambda day, _: (day.day - 1) // 7 + 1,
    "week_in_year": lambda day, _: (day.timetuple().tm_yday - 1) // 7 + 1,
}
DATE_FUNCTIONS = frozenset((*_ON_DAYS, "hour_in_day"))


def date_function(name: str, calendar: Calendar, convert: bool) -> Callable[[str], object]:
    """The function of a date or stamp; moments are seen in UTC, or in the user's zone with convertTimezone."""

    def moment(text: str) -> datetime:
        there = datetime.fromisoformat(text)
        return there.astimezone(calendar.zone) if convert else there.astimezone(UTC)

    if name == "hour_in_day":
        return lambda text: moment(text).hour if "T" in text else 0
    read = _ON_DAYS[name]
    return lambda text: read(moment(text).date() if "T" in text else date.fromisoformat(text), calendar)
