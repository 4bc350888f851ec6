"""SOQL's date literals: the days each one covers, seen from a day in the user's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from connectors.emulators.salesforce.clock import stamp_from

_UNITS = ("WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR")
_SHIFTS = {"LAST": -1, "THIS": 0, "NEXT": 1}
FIXED_RANGES: dict[str, tuple[str, int, int]] = {  # (unit, first, last), counted in units from the present one
    "YESTERDAY": ("DAY", -1, -1),
    "TODAY": ("DAY", 0, 0),
    "TOMORROW": ("DAY", 1, 1),
    "LAST_90_DAYS": ("DAY", -90, 0),
    "NEXT_90_DAYS": ("DAY", 1, 90),
    **{f"{word}_{unit}": (unit, shift, shift) for unit in _UNITS for word, shift in _SHIFTS.items()},
}
# LAST_N_DAYS ends today, the other LAST_N_... with the unit before the present one; NEXT_N_... start with the next.
NUMBERED_RANGES: dict[str, str] = {
    f"{pattern.format(unit)}": unit
    for unit in ("DAY", *_UNITS)
    for pattern in ("LAST_N_{}S", "NEXT_N_{}S", "N_{}S_AGO")
}
_UNIT_OF_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "FISCAL_QUARTER": 3, "FISCAL_YEAR": 12}


@dataclass(frozen=True, slots=True)
class Calendar:
    """From where dates are seen: the present day in the user's zone, and the month the fiscal year starts in."""

    today: date
    zone: ZoneInfo
    fiscal_month: int = 1

    def days(self, name: str, count: int) -> tuple[date, date]:
        """The first day of a literal, and the day after its last."""
        unit, first, last = FIXED_RANGES[name] if name in FIXED_RANGES else _numbered(name, count)
        return self._start(unit, first), self._start(unit, last + 1)

    def moments(self, name: str, count: int) -> tuple[str, str]:
        """The same as stamps."""
        first, after = self.days(name, count)
        return self.midnight(first), self.midnight(after)

    def midnight(self, day: date) -> str:
        """When a day begins for the user."""
        return stamp_from(datetime.combine(day, time(), self.zone).astimezone(UTC))

    def _start(self, unit: str, shift: int) -> date:
        if unit == "DAY":
            return self.today + timedelta(days=shift)
        if unit == "WEEK":  # begins on Sunday in the locale of the stock org
            return self.today - timedelta(days=self.today.isoweekday() % 7) + timedelta(weeks=shift)
        width = _UNIT_OF_MONTHS[unit]
        anchor = self.fiscal_month - 1 if unit.startswith("FISCAL") else 0
        months = self.today.year * 12 + self.today.month - 1 - anchor
        at = (months // width + shift) * width + anchor
        return date(at // 12, at % 12 + 1, 1)


def _numbered(name: str, count: int) -> tuple[str, int, int]:
    unit = NUMBERED_RANGES[name]
    if name.endswith("_AGO"):
        return unit, -count, -count
    if name.startswith("NEXT"):
        return unit, 1, count
    return unit, -count, 0 if unit == "DAY" else -1
