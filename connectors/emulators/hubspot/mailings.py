"""What became of marketing e-mails: the legacy log of their events, by time and by recipient."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.timeline import END_OF_TIME, Position, Timeline

EVENT_TYPES = frozenset({
    "SENT", "DROPPED", "PROCESSED", "DELIVERED", "DEFERRED", "BOUNCE", "OPEN", "CLICK", "PRINT", "FORWARD",
    "STATUSCHANGE", "SPAMREPORT", "SUPPRESSED", "UNBOUNCE",
})  # fmt: skip
# The counter of the contact that an event of this type moves, and the last part of its first and last dates.
COUNTERS: Mapping[str, tuple[str | None, str | None]] = {
    "SENT": (None, "send"),
    "DELIVERED": ("hs_email_delivered", None),
    "OPEN": ("hs_email_open", "open"),
    "CLICK": ("hs_email_click", "click"),
    "BOUNCE": ("hs_email_bounce", None),
}
_BROWSER: Json = {
    "name": "Firefox", "family": "Firefox", "producer": "", "producerUrl": "", "type": "Browser", "url": "",
    "version": [],
}  # fmt: skip
_LOCATION: Json = {"country": "GERMANY", "state": "Schleswig-Holstein", "city": "Kiel"}
_SEEN: Json = {
    "browser": _BROWSER, "location": _LOCATION, "userAgent": "Mozilla/5.0", "deviceType": "COMPUTER",
    "filteredEvent": False,
}  # fmt: skip
_EXTRA: Mapping[str, Json] = {
    "SENT": {"subject": "News", "from": "News <news@example.com>", "replyTo": [], "cc": [], "bcc": []},
    "DELIVERED": {"response": "250 2.0.0 OK", "attempt": 1},
    "DEFERRED": {"response": "451 4.7.1 try again later", "attempt": 1},
    "BOUNCE": {"category": "UNKNOWN_USER", "response": "550 5.1.1 no such user", "status": "5.1.1"},
    "OPEN": {**_SEEN, "duration": 0},
    "CLICK": {**_SEEN, "url": "https://example.com/", "referer": "", "linkId": 0},
    "STATUSCHANGE": {"source": "SOURCE_RECIPIENT", "portalSubscriptionStatus": "UNSUBSCRIBED", "requestedBy": ""},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question to the log; None where any will do. Times are epoch ms, both included."""

    first_ms: int = 0
    last_ms: int = END_OF_TIME - 1
    recipient: str | None = None
    kind: str | None = None
    campaign_id: int | None = None
    app_id: int | None = None
    with_filtered: bool = True


class Mailings:
    """Events in the form in which the API shows them."""

    def __init__(self) -> None:
        self._all: Timeline[Json] = Timeline()
        self._by_recipient: dict[str, Timeline[Json]] = {}

    def add(self, event: Json) -> None:
        """Note an event; see `parse_event`."""
        self._all.add(event["created"], event)
        self._by_recipient.setdefault(event["recipient"], Timeline()).add(event["created"], event)

    def forget(self, recipients: Collection[str]) -> None:
        """Remove all events of these addresses."""
        known = [each for each in recipients if self._by_recipient.pop(each, None) is not None]
        if known:
            self._all.drop(lambda event: event["recipient"] in known)

    def newest_first(self, wanted: Wanted, below: Position | None = None) -> Iterator[tuple[Position, Json]]:
        """Events that answer a question, those older than `below` when it is given."""
        log = self._all
        if wanted.recipient is not None:
            log = self._by_recipient.get(wanted.recipient.lower(), Timeline())
        walk = log.newest_first(wanted.first_ms, wanted.last_ms, below)
        return (row for row in walk if _fits(row[1], wanted))


def _fits(event: Json, wanted: Wanted) -> bool:
    return (
        wanted.kind in (None, event["type"])
        and wanted.campaign_id in (None, event["emailCampaignId"])
        and wanted.app_id in (None, event["appId"])
        and (wanted.with_filtered or not event.get("filteredEvent"))
    )


def parse_event(raw: Mapping[str, Any], portal_id: int, now_ms: int, serial: int) -> Json:
    """An event from {"recipient", "type", "at_ms"?, "campaign"?, and any other key of the log}; ValueError if bad."""
    kind, recipient = str(raw.get("type", "")), str(raw.get("recipient", "")).strip().lower()
    if kind not in EVENT_TYPES or not recipient:
        raise ValueError(f"an e-mail event needs a recipient and a type out of {sorted(EVENT_TYPES)}")
    given = {key: value for key, value in raw.items() if key not in ("recipient", "type", "at_ms", "campaign")}
    return {
        "appName": "Batch",
        "appId": 113,
        "id": f"{serial:08x}-0000-4000-8000-{portal_id:012x}",
        "created": int(raw.get("at_ms") or now_ms),
        "type": kind,
        "recipient": recipient,
        "portalId": portal_id,
        "emailCampaignId": int(raw.get("campaign", 1)),
        "hmid": f"{serial:032x}",
        "smtpId": None,
        **_EXTRA.get(kind, {}),
        **given,
    }
