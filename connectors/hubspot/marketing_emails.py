"""Marketing e-mails: what became of each at each recipient. Scope: content.

| kind | fields |
|---|---|
| `email_open`, `email_click`, `email_delivered`, `email_bounce`, `email_unsubscribe` | campaign (its id); of clicks \
url; filtered (true: HubSpot does not count it itself, for instance a robot's) |

HubSpot's log knows recipients by e-mail address; it is of the first version of its API, and has no successor yet.
Only what the rules ask for is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from connectors.hubspot.addresses import contacts_of, plain
from connectors.hubspot.events import bare
from connectors.hubspot.logs import Events, Told, Walk
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.portal import Portal
from connectors.hubspot.values import Json, moment, text
from syncer.errors import TemporaryError
from syncer.model import Activity, RecordKey, Value

NAME = "marketing_emails"
_PAGE = 1000
TYPES: Mapping[str, str] = MappingProxyType(
    {
        "OPEN": "email_open",
        "CLICK": "email_click",
        "DELIVERED": "email_delivered",
        "BOUNCE": "email_bounce",
        "STATUSCHANGE": "email_unsubscribe",
    }
)
"""HubSpot's types of events -> our kinds."""


def marketing_emails(portal: Portal) -> Events:
    asked = tuple(each for each, kind in TYPES.items() if kind in portal.wanted.activities)
    return Events(portal, EmailLog(portal, asked))


@dataclass(frozen=True, slots=True)
class EmailLog:
    """It satisfies `Log`."""

    portal: Portal
    types: tuple[str, ...]
    name: str = NAME

    def ask(self, event_type: str, walk: Walk) -> Told:
        client = self.portal.client
        query = {
            "eventType": event_type,
            "startTimestamp": str(walk.since_ms),
            "endTimestamp": str(walk.until_ms),
            "limit": str(_PAGE),
        }
        if walk.after is not None:
            query["offset"] = walk.after
        answer = client.get(f"reading {NAME}", client.paths.email_events, query, needs="events")
        rows, offset = answer["events"], answer.get("offset")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._broken("lacks a list of events")
        if answer.get("hasMore") and not offset:
            raise self._broken("goes on and does not say where")
        return Told([row for row in rows if _tells(row)], str(offset) if answer.get("hasMore") else None)

    def _broken(self, how: str) -> TemporaryError:
        return TemporaryError(f"{self.portal.connection}: reading {NAME}: HubSpot's answer {how}", code="SY042")

    def when(self, row: Json) -> tuple[str, datetime]:
        created = text(row, "created")
        if created is None or not row.get("id"):
            raise ValueError("it lacks created or id")
        return str(row["id"]), moment(created)

    def read(self, rows: Sequence[Json]) -> Sequence[Activity]:
        recipients = [plain(text(row, "recipient")) for row in rows]
        known = contacts_of(self.portal.client, filter(None, recipients))
        return [self._activity(row, known.get(to or "")) for row, to in zip(rows, recipients, strict=True)]

    def _activity(self, row: Json, contact: str | None) -> Activity:
        connection = self.portal.connection
        identity, at = self.when(row)
        fields: dict[str, Value] = {"campaign": text(row, "emailCampaignId"), "url": bare(text(row, "url"))}
        if row.get("filteredEvent") is True:
            fields["filtered"] = True
        return Activity(
            connection=connection,
            id=f"{NAME}/{identity}",
            kind=TYPES[str(row["type"])],
            at=at,
            records=(RecordKey(connection, CONTACTS, contact),) if contact else (),
            fields={name: value for name, value in fields.items() if value is not None},
            modified_at=at,
        )


def _tells(row: Json) -> bool:
    """Is it of a kind of ours? A changed subscription may be one that was taken out again."""
    gone = row.get("type") != "STATUSCHANGE" or row.get("portalSubscriptionStatus") == "UNSUBSCRIBED"
    return str(row.get("type")) in TYPES and gone
