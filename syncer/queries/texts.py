"""Times, points and answers as the command line and the texts of errors write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from syncer.model import Answer


def points(hundredths: int) -> float:
    """Hundredths as points for JSON: two decimals at most, so decimal sums stay exact."""
    return hundredths / 100


def day(moment: datetime, timezone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(timezone)):%d %b %Y}"


def day_and_time(moment: datetime | None, timezone: str) -> str:
    return "never" if moment is None else f"{moment.astimezone(ZoneInfo(timezone)):%d %b %Y %H:%M}"


def verdict(answer: Answer) -> str:
    """ "rejected by luis (link): no budget"."""
    said = "accepted" if answer.accepted else "rejected"
    return f"{said} by {answer.author} ({answer.source}){f': {answer.reason}' if answer.reason else ''}"
