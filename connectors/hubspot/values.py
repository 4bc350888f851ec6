"""What HubSpot's text values mean. HubSpot writes every value as text; null, absent and "" all mean: not set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

A_MS = timedelta(milliseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.0+)?")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_MILLISECONDS = re.compile(r"-?\d{9,}(\.\d+)?")


def text(properties: Mapping[str, Any], name: str | None) -> str | None:
    """The property's value, or None where it is not set."""
    value = properties.get(name) if name else None
    if isinstance(value, str):  # nearly always
        return value or None
    return None if value is None else str(value)


def texts(properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Of the properties that `names` (our name -> property) asks for, those that are set, by our name."""
    return {
        ours: value if isinstance(value, str) else str(value)
        for ours, name in names.items()
        if (value := properties.get(name)) is not None and value != ""
    }


def count(value: str) -> int:
    """A counter: "7", "7.0", "1,234". ValueError for anything else that people and imports leave in number fields."""
    written = value.strip()
    if _GROUPED.fullmatch(written):
        written = written.replace(",", "")
    if not _WHOLE.fullmatch(written):
        raise ValueError(f"{value[:40]!r} is not a whole number")
    return int(written.split(".")[0])


def moment(value: str) -> datetime:
    """An instant: epoch milliseconds ("1762212973632", "1762212973632.0") or ISO 8601 (naive means UTC); ValueError."""
    written = value.strip()
    try:
        if not written.endswith("Z") and _MILLISECONDS.fullmatch(written):
            return datetime.fromtimestamp(float(written) / 1000, UTC)
        found = datetime.fromisoformat(written)
        if found.tzinfo is UTC:  # nearly always
            return found
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{value[:40]!r} is not a time") from error


def maybe_moment(properties: Mapping[str, Any], name: str | None) -> datetime | None:
    """The property as an instant; None where it is not set; ValueError where it is something else."""
    value = text(properties, name)
    return None if value is None else moment(value)


def epoch_ms(at: datetime) -> int:
    """Whole milliseconds since 1970: HubSpot compares no finer."""
    return (at - _EPOCH) // A_MS


def from_ms(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def points(hundredths: int) -> str:
    """Hundredths as HubSpot takes numbers: "12.34", "12", never with separators or an exponent."""
    sign = "-" if hundredths < 0 else ""
    whole, rest = divmod(abs(hundredths), 100)
    return f"{sign}{whole}.{rest:02d}" if rest else f"{sign}{whole}"


def hundredths(value: str) -> int:
    """The other way round, for what the CRM shows: rounded down to the hundredth. ValueError where it is no number."""
    written = value.strip().replace(",", "")
    found = re.fullmatch(r"([+-]?)(\d*)(?:\.(\d*))?", written)
    if found is None or not (found[2] or found[3]):
        raise ValueError(f"{value[:40]!r} is not a number")
    size = int(found[2] or "0") * 100 + int(((found[3] or "") + "00")[:2])
    return -size if found[1] == "-" else size
