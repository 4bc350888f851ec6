"""Spans of time, points and thresholds as people write them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, WithJsonSchema

from syncer.rules import UNITS_MS, Comparison, Gate, Measure
from syncer.settings.problems import did_you_mean, quoted, wrong

_HOUR_MS = UNITS_MS["h"]
_DAY_MS = UNITS_MS["d"]
_LONGEST_MS = 36_500 * _DAY_MS  # a hundred years
_LONGEST_FADE_MS = 3_650 * _DAY_MS  # the table of fading factors has an entry for each hour
_DURATION = re.compile(r"([0-9]{1,12})\s*([smhdw])")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-5][0-9])")
_DATE_HELP = "write year, month and day, for example 2026-12-25"
_MOST_POINTS = 1_000_000
DURATION_HELP = "write a number and s, m, h, d or w, for example 15m or 30d"


def duration_ms(raw: Any) -> int:
    """ "15m" -> 900000; "0s" is allowed."""
    found = _DURATION.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise wrong(f"{quoted(raw)} is not a duration", DURATION_HELP)
    span_ms = int(found[1]) * UNITS_MS[found[2]]
    if span_ms > _LONGEST_MS:
        raise wrong(f"{quoted(raw)} is longer than a hundred years", DURATION_HELP)
    return span_ms


def duration(text: str) -> timedelta:
    """ "15m" as a timedelta, for options of commands; ValueError says what to write."""
    try:
        return timedelta(milliseconds=duration_ms(text))
    except ValueError as error:
        raise ValueError(f"{error}; {DURATION_HELP}") from None


def span_ms(raw: Any) -> int:
    """A duration longer than nothing."""
    span = duration_ms(raw)
    if not span:
        raise wrong(f"{quoted(raw)} is no time at all", DURATION_HELP)
    return span


def whole_hours(raw: Any) -> int:
    """A half-life in hours: ages are counted in whole hours."""
    span = span_ms(raw)
    if span % _HOUR_MS or span > _LONGEST_FADE_MS:
        raise wrong(f"a half-life is whole hours and at most ten years, not {quoted(raw)}", "for example 12h or 30d")
    return span // _HOUR_MS


def window_ms(raw: Any) -> int:
    """A calendar window: whole hours."""
    span = span_ms(raw)
    if span % _HOUR_MS:
        raise wrong(f"a calendar window is whole hours, not {quoted(raw)}", "for example 1d or 7d")
    return span


def _timedelta(raw: Any) -> timedelta:
    return timedelta(milliseconds=duration_ms(raw))


def _positive_timedelta(raw: Any) -> timedelta:
    return timedelta(milliseconds=span_ms(raw))


def _timedelta_or_off(raw: Any) -> timedelta | None:
    if raw in ("off", "0") or (raw == 0 and not isinstance(raw, bool)):
        return None
    if not isinstance(raw, str) or not _DURATION.fullmatch(raw.strip()):
        raise wrong(f"{quoted(raw)} is neither a duration nor off", f"{DURATION_HELP}; off switches it off")
    return _timedelta(raw) or None


def hundredths(raw: Any) -> int:
    """Points, at most two decimals, as exact hundredths: 12.5 -> 1250."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise wrong(f"{quoted(raw)} is not a number of points", "write a number without quotes, for example 10 or -2.5")
    exact = Decimal(repr(raw))  # a float's shortest text is what was written
    if not exact.is_finite() or abs(exact) > _MOST_POINTS:
        raise wrong(f"{quoted(raw)} is not a number of points between -{_MOST_POINTS} and {_MOST_POINTS}")
    shifted = exact * 100
    if shifted != shifted.to_integral_value():
        raise wrong(f"{quoted(raw)} has more than two decimals", "points are counted in hundredths")
    return int(shifted)


def positive_hundredths(raw: Any) -> int:
    points = hundredths(raw)
    if points <= 0:
        raise wrong(f"must be more than 0, not {quoted(raw)}")
    return points


MEASURES: tuple[str, ...] = get_args(Measure)
_COMPARISONS: tuple[str, ...] = get_args(Comparison)
_GATE = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*")
_GATE_SHAPE = r"^\s*(fit|engagement|need|readiness|total)\s*(>=|<=|>|<)\s*[-+]?[0-9]+(\.[0-9]{1,2})?\s*$"


def gate(raw: Any) -> Gate:
    """ "engagement >= 20" -> Gate("engagement", ">=", 2000)."""
    found = _GATE.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise wrong(f"cannot read {quoted(raw)} as a threshold", "write for example: total >= 45")
    if found[1] not in MEASURES:
        help = did_you_mean(found[1], MEASURES, known_as="known are")
        raise wrong(f"there is no measure {quoted(found[1])}", help, "SY007")
    measure: Measure = found[1]  # type: ignore[assignment]
    comparison: Comparison = found[2]  # type: ignore[assignment]
    return Gate(measure, comparison, hundredths(float(found[3])))


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def timezone(raw: Any) -> str:
    """The name of a time zone that this machine knows."""
    try:
        if isinstance(raw, str) and raw:
            return ZoneInfo(raw).key
    except (OSError, ValueError, LookupError):
        raise wrong(f"there is no time zone {quoted(raw)}", did_you_mean(raw, _zones()), "SY007") from None
    raise wrong(f"{quoted(raw)} is not a time zone", "write for example Europe/Madrid")


def minute_of_day(raw: Any) -> int:
    """ "09:30" -> 570; "24:00" is the end of the day."""
    found = _CLOCK.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise wrong(f"{quoted(raw)} is not a time of day", 'write hours and minutes in quotes, for example "09:00"')
    minute = int(found[1]) * 60 + int(found[2])
    if minute > _DAY_MS // UNITS_MS["m"]:
        raise wrong(f"{quoted(raw)} is later than 24:00")
    return minute


def day_of_year(raw: Any) -> date:
    """A date as ISO 8601 writes it."""
    try:
        if isinstance(raw, str):
            return date.fromisoformat(raw.strip())
    except ValueError:
        raise wrong(f"there is no day {quoted(raw)}", _DATE_HELP) from None
    raise wrong(f"{quoted(raw)} is not a date", _DATE_HELP)


def _as_list(raw: Any) -> Any:
    """One entry may stand without brackets."""
    return [raw] if isinstance(raw, str) else raw


DURATION_SCHEMA = {"type": "string", "pattern": r"^[0-9]+\s*[smhdw]$", "examples": ["15m", "30d"]}
Duration = Annotated[int, BeforeValidator(duration_ms), WithJsonSchema(DURATION_SCHEMA)]
Span = Annotated[int, BeforeValidator(span_ms), WithJsonSchema(DURATION_SCHEMA)]
Window = Annotated[int, BeforeValidator(window_ms), WithJsonSchema(DURATION_SCHEMA)]
HalfLife = Annotated[int, BeforeValidator(whole_hours), WithJsonSchema(DURATION_SCHEMA)]
Wait = Annotated[timedelta, BeforeValidator(_timedelta), WithJsonSchema(DURATION_SCHEMA)]
Interval = Annotated[timedelta, BeforeValidator(_positive_timedelta), WithJsonSchema(DURATION_SCHEMA)]
IntervalOrOff = Annotated[
    timedelta | None,
    BeforeValidator(_timedelta_or_off),
    WithJsonSchema({"anyOf": [DURATION_SCHEMA, {"enum": ["off", 0]}]}),
]
Points = Annotated[int, BeforeValidator(hundredths), WithJsonSchema({"type": "number", "multipleOf": 0.01})]
PositivePoints = Annotated[
    int, BeforeValidator(positive_hundredths), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
GateText = Annotated[Gate, BeforeValidator(gate), WithJsonSchema({"type": "string", "pattern": _GATE_SHAPE})]
Timezone = Annotated[str, BeforeValidator(timezone)]
_CLOCK_SCHEMA = {"type": "string", "pattern": r"^[0-9]{1,2}:[0-5][0-9]$", "examples": ["09:00"]}
TimeOfDay = Annotated[int, BeforeValidator(minute_of_day), WithJsonSchema(_CLOCK_SCHEMA)]
Day = Annotated[date, BeforeValidator(day_of_year), WithJsonSchema({"type": "string", "format": "date"})]
ListOfGates = Annotated[tuple[GateText, ...], BeforeValidator(_as_list)]
Language = Literal["en", "es"]
