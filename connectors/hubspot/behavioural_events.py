"""Behavioural events: what contacts do on the website, and events of the portal's own. Only in Enterprise portals.

The kind is HubSpot's name of the event, for instance `pe2583391_trial_started`; `e_visited_page` is a `page_view`. The
fields are url, title, referrer and source of a page, as far as the event has them. The portal is asked for all
contacts' events of one type at once: its guide shows that, and by contact it would be a request for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from connectors.hubspot.client import next_after
from connectors.hubspot.events import bare
from connectors.hubspot.logs import Events, Told, Walk
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.portal import Portal
from connectors.hubspot.settings import event_kind
from connectors.hubspot.values import Json, from_ms, moment, text
from syncer.errors import ConfigError
from syncer.model import Activity, RecordKey, Value

NAME = "behavioural_events"
_PAGE = 100
_SHUT = ("SY031", "SY032")  # of a 403
_FIELDS: Mapping[str, str] = MappingProxyType(
    {"hs_url": "url", "hs_page_title": "title", "hs_title": "title", "hs_referrer": "referrer", "hs_source": "source"}
)
_ADDRESSES = frozenset({"url", "referrer"})


def behavioural_events(portal: Portal) -> Events:
    asked = tuple(sorted({each for each in portal.settings.events if event_kind(each) in portal.wanted.activities}))
    return Events(portal, EventLog(portal, asked))


@contextmanager
def explained(connection: str) -> Iterator[None]:
    """HubSpot speaks of scopes, which nobody can add, where the portal's edition is the reason."""
    try:
        yield
    except ConfigError as error:
        if error.code not in _SHUT:
            raise
        message = (
            f"{connection}: HubSpot shows behavioural events only in Enterprise portals (or this token may not see "
            f"them): take behavioural_events out of the connection's `activities`; it said: {error.message}"
        )
        raise ConfigError(message, code=error.code) from error


@dataclass(frozen=True, slots=True)
class EventLog:
    """It satisfies `Log`."""

    portal: Portal
    types: tuple[str, ...]
    name: str = NAME

    def ask(self, event_type: str, walk: Walk) -> Told:
        client = self.portal.client
        query = {
            "objectType": "contact",
            "eventType": event_type,
            "occurredAfter": _iso(walk.since_ms - 1),  # HubSpot does not say whether its bounds belong to it
            "occurredBefore": _iso(walk.until_ms + 1),
            "limit": str(_PAGE),
            "sort": "ASCENDING",
        }
        if walk.after is not None:
            query["after"] = walk.after
        with explained(self.portal.connection):
            answer = client.get(f"reading {NAME}", client.paths.event_occurrences, query)
        return Told(answer["results"], next_after(answer))

    def when(self, row: Json) -> tuple[str, datetime]:
        at = text(row, "occurredAt")
        if at is None or not row.get("id") or not row.get("eventType"):
            raise ValueError("it lacks occurredAt, id or eventType")
        return str(row["id"]), moment(at)

    def read(self, rows: Sequence[Json]) -> Sequence[Activity]:
        return [self._activity(row) for row in rows]

    def _activity(self, row: Json) -> Activity:
        connection, contact = self.portal.connection, text(row, "objectId")
        identity, at = self.when(row)
        return Activity(
            connection=connection,
            id=f"{NAME}/{identity}",
            kind=event_kind(str(row["eventType"])),
            at=at,
            records=(RecordKey(connection, CONTACTS, contact),) if contact else (),
            fields=_fields(row.get("properties") or {}),
            modified_at=at,
        )


def _fields(properties: Json) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, field in _FIELDS.items():
        written = text(properties, name)
        value = bare(written) if field in _ADDRESSES else written
        if value is not None:
            found.setdefault(field, value)
    return found


def _iso(at_ms: int) -> str:
    return from_ms(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
