"""What a cell says: numbers and dates as people in Spain, Latin America or elsewhere write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal, cast
from zoneinfo import ZoneInfo

import numpy as np

from syncer.model import Value

Cell = str | int | float | bool | date | datetime | None
"""As it lies in the file; None: empty."""

Unreadable = Callable[[int, str], None]
"""Told of what is no row: (row number, why)."""

Lines = Callable[[Unreadable | None], Iterator[tuple[int, Sequence[Cell]]]]
"""Every row of a table from the top, empty ones too, each with its number as a spreadsheet counts, from 1. Without
somebody to be told, what is no row is a ConfigError."""

DateOrder = Literal["dmy", "mdy", "ymd"]


@dataclass(frozen=True, slots=True)
class Habits:
    """How the writer of a file writes. None: to be found out."""

    encoding: str | None = None
    separator: str | None = None  # between the cells of a text file
    decimal: Literal[",", "."] | None = None  # in numbers that are text
    dates: DateOrder = "dmy"  # order of day, month and year in dates that are text; 2026-11-03 is always understood


_ENGLISH = ("DIV/0!", "N/A", "NAME?", "NULL!", "NUM!", "REF!", "VALUE!", "SPILL!", "CALC!", "FIELD!", "ERROR!")
_SPANISH = ("¡DIV/0!", "N/D", "¿NOMBRE?", "¡NULO!", "¡NUM!", "¡REF!", "¡VALOR!", "¡DESBORDAMIENTO!", "¡CALC!")
ERRORS = frozenset(f"#{each}" for each in (*_ENGLISH, *_SPANISH))
"""What Excel shows, in English and in Spanish, where a formula has no value."""

_NUMBERLIKE = frozenset("0123456789+-#€$£(,.")  # what a text that needs a second look begins with
_WHOLE = 2.0**53
_EQUAL_TO_OTHERS = (bool, int, float)  # True, 1 and 1.0 are one key of a mapping
_BEFORE, _AFTER = r"(?:[€$£]\s*)?", r"(?:\s*[€$£])?"
_NUMBERS: Mapping[str, re.Pattern[str]] = {
    sign: re.compile(
        rf"{_BEFORE}(?P<number>[+-]?(?:[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?:{point}\d+)?|\d+{point}\d+)){_AFTER}"
        r"|(?P<money>[+-]?\d+)\s*[€$£]|[€$£]\s*(?P<sum>[+-]?\d+)"
    )
    for sign, group, point in ((",", r"[.\u00a0\u202f]", ","), (".", r"[,\u00a0\u202f]", r"\."))
}
"""Only what could not be read as it stands: with groups of thousands, a decimal comma, a currency. In a habit of
points "12.5" matches, too."""

_DATE = re.compile(
    r"(?P<a>\d{1,4})(?P<sign>[/.-])(?P<b>\d{1,2})(?P=sign)(?P<c>\d{4}|\d{2})"
    r"(?:[T ,]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,]\d+)?)?(?: ?(?P<half>[ap])\.? ?m\.?)?)?",
    re.IGNORECASE,
)
_ISO_BEGIN = re.compile(r"\d{4}-\d{2}-\d{2}")
_ORDERS: Mapping[DateOrder, tuple[str, str, str]] = {
    "dmy": ("c", "b", "a"),
    "mdy": ("c", "a", "b"),
    "ymd": ("a", "b", "c"),
}  # where year, month and day stand
_ORDER_WORDS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
_CENTURY = 69  # two digits from here on are of the last century, as in C


def value_of(cell: Cell, habits: Habits) -> Value:
    """What a rule compares: whole numbers without a point, numbers and dates in text as the habits say, times as ISO
    8601 text; None for an empty cell and for a formula's error. Digits alone stay text: a postcode is no number."""
    return _unlike_values((cell,), habits)[0]


def values_of(cells: Sequence[Cell], habits: Habits) -> list[Value]:
    """The same of each. Cells of one column are alike mostly, so that one call for all of them takes a fifth of the
    time: a call a cell would cost more than reading the workbook."""
    kinds = set(map(type, cells))
    if kinds == {float}:
        numbers = np.array(cells)
        whole = (np.abs(numbers) < _WHOLE) & (np.floor(numbers) == numbers)
        if whole.all():
            return cast(list[Value], numbers.astype(np.int64).tolist())
        floats = cast(Sequence[float], cells)
        return [int(each) if is_whole else each for each, is_whole in zip(floats, whole.tolist(), strict=True)]
    if kinds.isdisjoint(_EQUAL_TO_OTHERS):
        once = [*set(cells)]
        read = dict(zip(once, _unlike_values(once, habits), strict=True))
        return [*map(read.__getitem__, cells)]
    return _unlike_values(cells, habits)


def _unlike_values(cells: Iterable[Cell], habits: Habits) -> list[Value]:
    found: list[Value] = []
    for cell in cells:
        if isinstance(cell, str):
            text = cell.strip()
            found.append((_value_of_text(text, habits) if text[0] in _NUMBERLIKE else text) if text else None)
        elif isinstance(cell, float):
            found.append(int(cell) if cell.is_integer() and -_WHOLE < cell < _WHOLE else cell)
        elif cell is None or isinstance(cell, int):
            found.append(cell)
        else:
            found.append(cell.isoformat() if isinstance(cell, date) else str(cell))  # a workbook has times of day, too
    return found


def moment_of(cell: Cell, habits: Habits, zone: ZoneInfo) -> datetime:
    """When, aware and in UTC; what has no zone is in `zone`, a date is its midnight there. ValueError with words."""
    found = _moment_in(cell.strip(), habits) if isinstance(cell, str) else cell
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time())
    if not isinstance(found, datetime):
        raise ValueError(f"'{str(cell)[:40]}' is no date" if cell not in (None, "") else "there is no date")
    try:
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"'{str(cell)[:40]}' lies outside of the calendar") from error


def is_day(cell: Cell, habits: Habits) -> bool:
    """Whether a date cell names a day and no time of it."""
    found = _moment_in(cell.strip(), habits) if isinstance(cell, str) else cell
    return isinstance(found, date) and not (isinstance(found, datetime) and found.time() != time())


def _value_of_text(text: str, habits: Habits) -> Value:
    if text in ERRORS:
        return None
    if habits.decimal is not None and (found := _NUMBERS[habits.decimal].fullmatch(text)):
        return _number(found["number"] or found["money"] or found["sum"], habits.decimal)
    if len(text) >= 8 and (dated := _DATE.fullmatch(text)) and max(len(dated["a"]), len(dated["c"])) == 4:
        try:
            return _dated(dated, habits).isoformat()
        except ValueError:
            return text
    return text


def _number(text: str, decimal: str) -> int | float:
    digits = re.sub(r"[^\d+-]", "", text.partition(decimal)[0]), text.partition(decimal)[2]
    return float(".".join(digits)) if digits[1] else int(digits[0])


def _moment_in(text: str, habits: Habits) -> date | datetime | None:
    """None: it is none. ValueError where it looks like one and is none."""
    if dated := _DATE.fullmatch(text):
        return _dated(dated, habits)
    if not _ISO_BEGIN.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is no date") from error


def _dated(found: re.Match[str], habits: Habits) -> date | datetime:
    """ValueError where there is no such day, or where its year cannot be told."""
    order = _ORDERS["ymd"] if len(found["a"]) > 2 else _ORDERS[habits.dates]
    year, month, day = (found[name] for name in order)
    if len(year) == 2:
        year = str(int(year) + (1900 if int(year) >= _CENTURY else 2000))
    try:
        on = date(int(year), int(month), int(day))
        return on if found["h"] is None else datetime.combine(on, _clock(found))
    except ValueError as error:
        words = "year-month-day" if len(found["a"]) > 2 else _ORDER_WORDS[habits.dates]
        raise ValueError(f"'{found[0][:40]}' is no date, read as {words} (see date_format)") from error


def _clock(found: re.Match[str]) -> time:
    hour, half = int(found["h"]), (found["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError("a clock of twelve hours has no such hour")
    return time(hour % 12 + 12 * (half == "p") if half else hour, int(found["m"]), int(found["s"] or 0))
