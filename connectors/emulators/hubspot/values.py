"""Checking one value against its property, and the form in which it is kept."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.definitions import Property

DAY_MS = 86_400_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s.,;<>]+")


class BadValue(Exception):
    """A value does not fit its property; `code` is what `errors[].code` says."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def normalised(definition: Property, value: str) -> str:
    """The value as the portal keeps it; BadValue when it does not fit. The empty string clears any property."""
    if value == "":
        return ""
    if definition.name == "email":
        return _email(value)
    return _CHECKS.get(definition.type, _string)(definition, value)


def _string(definition: Property, value: str) -> str:
    if len(value) > 65_536:
        raise BadValue("VALUE_TOO_LONG", f"{definition.name} was too long: 65536 characters is the limit")
    return value


def _email(value: str) -> str:
    address = value.strip().lower()
    if not _EMAIL.fullmatch(address):
        raise BadValue("INVALID_EMAIL", f"Email address {value} is invalid")
    return address


def _number(definition: Property, value: str) -> str:
    text = value.strip()
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise BadValue("INVALID_INTEGER", f"{value} was not a valid number.")
    return text


def _bool(definition: Property, value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise BadValue("INVALID_OPTION", f"{value} was not one of the allowed options: [true, false]")
    return value.lower()


def _datetime(definition: Property, value: str) -> str:
    try:
        return iso(parse_ms(value))
    except (ValueError, OverflowError, OSError) as error:
        raise BadValue("INVALID_LONG", f"{value} was not a valid long.") from error


def _date(definition: Property, value: str) -> str:
    try:
        ms = parse_ms(value)
        day = (
            date.fromisoformat(value)
            if len(value) == 10 and "-" in value
            else datetime.fromtimestamp(ms / 1000, UTC).date()
        )
    except (ValueError, OverflowError, OSError) as error:
        raise BadValue("INVALID_DATE", f"{value} was not a valid date.") from error
    if ms % DAY_MS:
        raise BadValue("INVALID_DATE", f"{value} is at {iso(ms)[11:].rstrip('Z')} UTC, not midnight!")
    return day.isoformat()


def _enumeration(definition: Property, value: str) -> str:
    if definition.external_options:
        return value
    allowed = {option.value for option in definition.options}
    if not allowed and definition.field_type == "booleancheckbox":
        allowed = {"true", "false"}
    chosen = [part for part in value.split(";") if part] if definition.field_type == "checkbox" else [value]
    if not allowed.issuperset(chosen):
        shown = ", ".join(f'label: "{option.label}" value: "{option.value}"' for option in definition.options)
        raise BadValue("INVALID_OPTION", f"{value} was not one of the allowed options: [{shown}]")
    return value


_CHECKS: dict[str, Callable[[Property, str], str]] = {
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "enumeration": _enumeration,
    "number": _number,
}
