"""From what a view shows to HTML: templates, and numbers, times and phrases in the reader's language."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from jinja2 import Environment, PackageLoader, StrictUndefined

from syncer.settings.values import Language
from syncer.web.phrases import phrase

_LOCALES: Mapping[Language, str] = {"en": "en_GB", "es": "es_ES"}
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))  # seconds


@cache
def templates(language: Language, timezone: str) -> Environment:
    """Filters: `number`, `points` (of hundredths), `percent` (of 0 to 1), `moment`, `day`, `ago`, `span` (of seconds),
    `clock`. Functions: `say(key, **facts)`, a phrase; `asset(name)`, the address of a file in static/."""
    here = Environment(
        loader=PackageLoader("syncer.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    locale, zone = _LOCALES[language], ZoneInfo(timezone)
    here.filters.update(
        number=partial(_number, locale),
        points=lambda hundredths: _number(locale, hundredths / 100),
        percent=partial(_percent, locale),
        moment=partial(_moment, locale, zone),
        day=partial(_day, locale, zone),
        clock=partial(_clock, locale, zone),
        span=partial(_span, locale),
    )
    say: Callable[..., str] = partial(phrase, language)
    here.globals.update(say=say, asset=asset, language=language)
    return here


def _number(locale: str, value: float | None) -> str:
    return "–" if value is None else str(format_decimal(value, format="#,##0.##", locale=locale))


def _percent(locale: str, share: float | None) -> str:
    return "–" if share is None else str(format_percent(share, format="#,##0.# %", locale=locale))


def _moment(locale: str, zone: ZoneInfo, at: datetime | None) -> str:
    return "–" if at is None else str(format_datetime(at, "d MMM y, HH:mm", tzinfo=zone, locale=locale))


def _day(locale: str, zone: ZoneInfo, at: datetime | None) -> str:
    return "–" if at is None else str(format_date(at.astimezone(zone).date(), "d MMM y", locale=locale))


def _clock(locale: str, zone: ZoneInfo, at: datetime | None) -> str:
    return "–" if at is None else str(format_datetime(at, "HH:mm", tzinfo=zone, locale=locale))


def _span(locale: str, seconds: float | None) -> str:
    """ "3 minutes", "2 days": from two of a unit on, rounded down, as on the command line and in handoffs.js."""
    if seconds is None:
        return "–"
    apart = abs(seconds)
    unit, length = next((each for each in _UNITS if apart >= 2 * each[1]), _UNITS[-1])
    return str(format_unit(int(apart // length), f"duration-{unit}", "long", locale=locale))


@cache
def asset(name: str) -> str:
    """Its address names its contents, so that browsers may keep it for good."""
    inside = files("syncer.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(inside).hexdigest()[:12]}"


def html(template: str, language: Language, timezone: str, facts: Mapping[str, Any]) -> str:
    return templates(language, timezone).get_template(template).render(facts)
