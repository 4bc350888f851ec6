"""A stage that people have chosen by hand, out of the texts of the fields they keep for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from syncer.model import Manual, Rejected

_PARTS = ("stage", "reason", "until")


def fields_of(settings: object | None) -> dict[str, str]:
    """Part of a choice -> the CRM's field that says it, of those that a connection's settings name; None: none."""
    return {part: name for part in _PARTS if (name := getattr(settings, part, None))}


def understood(
    identity: str, texts: Mapping[str, str | None], stages: Sequence[str], timezone: str
) -> tuple[Manual | None, Rejected | None]:
    """What `chosen` makes of one record's texts, or why it is not obeyed."""
    try:
        return chosen(texts, stages, timezone), None
    except ValueError as error:
        return None, Rejected(identity, str(error))


def chosen(texts: Mapping[str, str | None], stages: Sequence[str], timezone: str) -> Manual | None:
    """What the texts of `stage`, `reason` and `until` say; None: no stage is chosen. ValueError where it is none of
    `stages`, in whatever case, or where the end is no time: a stage that would stand for ever is not obeyed then."""
    wish = (texts.get("stage") or "").strip()
    if not wish:
        return None
    stage = next((each for each in stages if each.casefold() == wish.casefold()), None)
    if stage is None:
        raise ValueError(f"the stage chosen by hand, {wish[:40]!r}, is none of: {', '.join(stages)}; it is not obeyed")
    return Manual(stage, (texts.get("reason") or "").strip(), until=end((texts.get("until") or "").strip(), timezone))


def end(text: str, timezone: str) -> datetime | None:
    """When a choice ends: with a day, or at a time, which is in the time zone where it names none. ValueError."""
    if not text:
        return None
    try:
        day = _day(text)
        return _time(text, timezone) if day is None else last_moment(day, timezone)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no end of a stage chosen by hand, which is not obeyed") from None


def _day(text: str) -> date | None:
    """However it is written: 2027-01-15, 20270115. None: it is a time."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def last_moment(day: date, timezone: str) -> datetime:
    """Of the day in that time zone, in UTC, to the millisecond."""
    following = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(timezone))
    return following.astimezone(UTC) - timedelta(milliseconds=1)


def _time(text: str, timezone: str) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
