"""What streams of events have in common: they never change, and tell of people who may not be there yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from connectors.hubspot.portal import Portal
from connectors.hubspot.values import A_MS, epoch_ms
from syncer.model import Activity

HISTORY = timedelta(days=400)
"""How far back a first pull looks: as long as syncer keeps what people do."""


def horizon_ms(portal: Portal) -> int:
    """Up to when events are believed to be complete."""
    return epoch_ms(portal.client.now() - portal.settings.lag)


def behind_ms(portal: Portal) -> int:
    """How much of the last period is read again: for events that show late, and for those whose contact did."""
    return max(portal.settings.overlap, portal.settings.second_look) // A_MS


def beginning_ms(until_ms: int) -> int:
    return max(1, until_ms - HISTORY // A_MS)


def unknown(portal: Portal, stream: str, events: Iterable[tuple[str, datetime]]) -> set[str]:
    """Of events (HubSpot's id, time) the ids of those that are not stored."""
    times = dict(events)
    known = portal.wanted.known(stream, list(times)) if times else {}
    return {each for each, at in times.items() if each not in known or known[each] < at}


def placed(activities: Sequence[Activity]) -> tuple[Activity, ...]:
    """Those that belong to somebody. The others are looked at again for a while, and then they are nobody's."""
    return tuple(each for each in activities if each.records)


def bare(url: str | None) -> str | None:
    """An address without its query: forms put names and e-mail addresses there."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")) or None
