"""What a field's value says: as text, as a number, as a moment. A value that cannot be read as asked is not set."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache

from syncer.model import Value
from syncer.patterns import without_marks

HOUR_MS = 3_600_000
_EARLIEST_EPOCH_MS = 10_000_000_000  # smaller numbers are years or seconds, not the CRMs' epoch milliseconds
_LATEST_EPOCH_MS = 253_402_300_800_000  # the year 10000; greater numbers are typing errors or other things' ids
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOMAIN = re.compile(r"[^\s@.]+(\.[^\s@.]+)+")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


def is_set(value: Value) -> bool:
    """None, "" and blank text are no value; 0 and False are."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def text(value: Value) -> str:
    """The value as people write it: 140.0 is "140", True is "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


@lru_cache(maxsize=65536)
def fold(raw: str) -> str:
    """Without case, accents and doubled blanks: "Dirección  General" -> "direccion general"."""
    # Twice, since "™" only becomes letters (and capital ones) by decomposing.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", raw).casefold())
    return " ".join(without_marks(decomposed).split())


def number(value: Value) -> float | None:
    """A finite number, or None. Only plain notation counts: "1,234" and "1;2" are not numbers."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value.strip()):
        return None
    try:
        read = float(value)
    except OverflowError:  # an int of more than 300 digits
        return None
    return read if math.isfinite(read) else None


def moment_ms(value: Value) -> int | None:
    """A point in time as epoch milliseconds, from ISO 8601 text or epoch milliseconds; a date is midnight in UTC."""
    as_number = number(value)
    if as_number is not None:
        return int(as_number) if _EARLIEST_EPOCH_MS <= abs(as_number) < _LATEST_EPOCH_MS else None
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return epoch_ms(read if read.tzinfo else read.replace(tzinfo=UTC))


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down; exact, without going through a float."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def domain(value: Value) -> str | None:
    """What follows the last @ of an e-mail address, folded; a bare domain stands for itself. None for other texts."""
    read = fold(text(value)).rpartition("@")[2]
    return read if _DOMAIN.fullmatch(read) else None
