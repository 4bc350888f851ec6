"""Durations and shares as people write them in the settings of a connection."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S = 86_400
_WRITE_DURATION = "write 15s, 5m or a number of seconds"


def _duration(value: Any) -> Any:
    """Of "15s", "5m", "2h", "1d" or a number of seconds; at most a day."""
    if isinstance(value, timedelta):
        return value
    written = "" if isinstance(value, bool) else str(value)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", written, re.ASCII)
    if found is None:
        raise ValueError(f"is not a duration; {_WRITE_DURATION}")
    seconds = float(found[1]) * _UNITS_S[found[2] or "s"]
    if seconds > _LONGEST_S:
        raise ValueError(f"must be at most 1d, not {written.strip()}")
    return timedelta(seconds=seconds)


def _duration_or_off(value: Any) -> Any:
    if value == "off":
        return timedelta(0)
    try:
        return _duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; off switches it off") from None


_A_DAY_AT_MOST = Field(ge=timedelta(0), le=timedelta(seconds=_LONGEST_S))
Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str | float), _A_DAY_AT_MOST]
DurationOrOff = Annotated[
    timedelta, BeforeValidator(_duration_or_off, json_schema_input_type=str | float), _A_DAY_AT_MOST
]


def _share(value: Any) -> Any:
    """Of "20%" or 0.2. A whole number is refused: 1 could be all or a hundredth, and 20 lacks its sign."""
    written = "" if isinstance(value, bool) else str(value).strip()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", written, re.ASCII)
    if found is None:
        raise ValueError("is not a share; write for example 20%")
    number = float(found[1])
    if written == "1":
        raise ValueError("1 may mean all or a hundredth; write 100% or 1%")
    if not found[2] and 1 < number <= 100:
        raise ValueError(f"a share is needed here, not {written}; write {written}%")
    share = number / 100 if found[2] else number
    if not 0 < share <= 1:
        raise ValueError(f"must be more than 0% and at most 100%, not {written}; write for example 20%")
    return share


Share = Annotated[float, BeforeValidator(_share, json_schema_input_type=str | float), Field(gt=0, le=1)]
