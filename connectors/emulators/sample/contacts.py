"""One lead with all that happened, and the sums that HubSpot keeps of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.emulators.sample.behaviour import Activity, moment_text
from connectors.emulators.sample.times import FRESHEST

_CONTACTING = ("emails", "calls", "meetings")
_SIGNS_OF_LIFE = ("hs_email_last_open_date", "hs_analytics_last_timestamp", "recent_conversion_date")


@dataclass(frozen=True, slots=True)
class Contact:
    """`persona` is what they were meant to be, for tests and the curious."""

    persona: str
    created_at: datetime
    modified_at: datetime
    properties: Mapping[str, str]  # HubSpot's, by internal name
    activities: tuple[Activity, ...]  # oldest first


def finished(
    persona: str, created_at: datetime, properties: Mapping[str, str], done: Sequence[Activity], now: datetime
) -> Contact:
    """With the sums HubSpot keeps of the activities, and the time of the last change."""
    whole = {**properties, **_sums(done), "hs_lead_status": _lead_status(done)}
    past = [activity.at for activity in done if activity.at <= now - FRESHEST]
    seen = [datetime.fromisoformat(value) for name, value in properties.items() if name in _SIGNS_OF_LIFE]
    return Contact(persona, created_at, max([created_at, *past, *seen]), whole, tuple(done))


def _sums(done: Sequence[Activity]) -> dict[str, str]:
    logged = [activity for activity in done if activity.kind != "tasks"]
    contacting = [activity for activity in logged if activity.kind in _CONTACTING]
    found = {"num_notes": str(len(logged)), "num_contacted_notes": str(len(contacting))}
    found |= {"notes_last_updated": moment_text(logged[-1].at)} if logged else {}
    found |= {"notes_last_contacted": moment_text(contacting[-1].at)} if contacting else {}
    return found


def _lead_status(done: Sequence[Activity]) -> str:
    kinds = Counter(activity.kind for activity in done)
    if kinds["meetings"] or any(each.properties.get("hs_email_direction") == "INCOMING_EMAIL" for each in done):
        return "CONNECTED"
    return "ATTEMPTED_TO_CONTACT" if kinds["emails"] or kinds["calls"] else "NEW"
