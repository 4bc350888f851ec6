"""What a portal shows beside its CRM and does nothing with here: campaigns, marketing e-mails and events, lists,
meeting links. An entry is what was loaded over what such a thing shows at least, as recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.clock import iso

_LEAST: Mapping[str, Json] = {
    "campaigns": {"properties": {}, "businessUnits": [{"id": 0}]},
    "marketing-emails": {
        "activeDomain": "emulated.example", "archived": False, "businessUnitId": "0", "content": {},
        "createdById": "100", "emailTemplateMode": "DRAG_AND_DROP", "from": {}, "isAb": False, "isPublished": False,
        "isTransactional": False, "jitterSendTime": True, "language": "en", "name": "", "previewKey": "",
        "publishDate": "2026-01-01T00:00:00Z", "state": "DRAFT", "subcategory": "batch", "subject": "",
        "subscriptionDetails": {}, "to": {}, "type": "BATCH_EMAIL", "updatedById": "100", "webversion": {},
    },
    "marketing-events": {
        "eventName": "", "eventType": None, "startDateTime": None, "endDateTime": None, "eventOrganizer": "",
        "eventDescription": None, "eventUrl": None, "eventCancelled": False, "eventCompleted": False,
        "customProperties": [], "externalEventId": "", "eventStatus": "ONGOING", "eventStatusV2": "ongoing",
        "appInfo": {"id": "1", "name": "emulated"}, "registrants": 0, "attendees": 0, "cancellations": 0, "noShows": 0,
    },
    "meeting-links": {
        "slug": "", "link": "", "name": "", "type": "PERSONAL_LINK", "organizerUserId": "100",
        "userIdsOfLinkMembers": [], "defaultLink": False,
    },
    "lists": {
        "listVersion": 1, "processingStatus": "COMPLETE", "createdById": "100", "updatedById": "100",
        "processingType": "MANUAL", "objectTypeId": "0-1", "name": "",
        "additionalProperties": {"hs_list_reference_count": "0", "hs_list_size": "0"},
    },
}  # fmt: skip
_ID_NAMES = {"marketing-events": "objectId", "lists": "listId"}


class Library:
    """Entries of each kind, in the order they were loaded."""

    def __init__(self) -> None:
        self.shelves: dict[str, dict[str, Json]] = {kind: {} for kind in _LEAST}

    def load(self, entries: Mapping[str, Iterable[Mapping[str, Any]]], now_ms: int) -> None:
        """{kind: [entry, ...]}; ids, if not given, are counted. ValueError for a kind that is none."""
        unknown = set(entries) - set(_LEAST)
        if unknown:
            raise ValueError(f"the library has no {sorted(unknown)}; it has {sorted(_LEAST)}")
        for kind, rows in entries.items():
            for row in rows:
                self._put(kind, row, iso(now_ms))

    def _put(self, kind: str, row: Mapping[str, Any], now: str) -> None:
        shelf, name = self.shelves[kind], _ID_NAMES.get(kind, "id")
        stamps: Json = {name: str(len(shelf) + 1), "createdAt": now, "updatedAt": now}
        if kind == "lists":
            stamps["filtersUpdatedAt"] = now
        entry = _LEAST[kind] | stamps | dict(row)
        shelf[str(entry[name])] = entry
