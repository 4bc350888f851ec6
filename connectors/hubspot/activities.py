"""Activities, as HubSpot writes them, in our words.

| stream | kind | fields |
|---|---|---|
| emails | `email_received` (from the person), `email_sent` (to them) | direction, status, subject |
| calls | `call` | direction, outcome, status, duration_s |
| meetings | `meeting` | outcome, title |
| notes | `note` | |
| tasks | `task` (not those that tell of a hand-off of ours) | status, type, subject |
| communications | `communication` | channel |

Words are in lower case ("no_answer", "no_show", "completed"); an outcome of the portal's own keeps its id. `at` is
the activity's own time (a meeting's start), not the time of its last edit. The subject of an e-mail is there only for
tokens that may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from connectors.hubspot.marks import TASK_BODY, keys_in
from connectors.hubspot.values import Json, maybe_moment, moment, text
from syncer.model import Activity, RecordKey, Value

MODIFIED = "hs_lastmodifieddate"
_AT = "hs_timestamp"

_DISPOSITIONS = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no_answer",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left_live_message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left_voicemail",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong_number",
}


_DIRECTIONS = {"INCOMING_EMAIL": "incoming", "EMAIL": "outgoing", "FORWARDED_EMAIL": "forwarded"}


def _lower(written: str) -> Value:
    return written.lower()


def _as_is(written: str) -> Value:
    return written


def _disposition(written: str) -> Value:
    return _DISPOSITIONS.get(written.lower(), written)


def _seconds(written: str) -> Value:
    """Milliseconds in whole seconds; not set where it is no number."""
    try:
        return int(float(written) // 1000)
    except (ValueError, OverflowError):
        return None


def _direction(written: str) -> Value:
    return _DIRECTIONS.get(written, written.lower())


Reader = Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one stream is read: property -> (our field, reader)."""

    kinds: tuple[str, ...]
    fields: Mapping[str, tuple[str, Reader]]
    starts: str | None = None  # property that says when it happened, where it is not hs_timestamp
    body: str | None = None  # property with its text, which may carry our mark

    @property
    def properties(self) -> tuple[str, ...]:
        others = [name for name in (self.starts, self.body) if name]
        return (_AT, MODIFIED, *others, *self.fields)

    def is_ours(self, row: Json) -> bool:
        """Whether we made it: what we told sales is nothing that the person has done."""
        return self.body is not None and bool(keys_in(text(row.get("properties") or {}, self.body) or ""))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "emails": Kind(
            ("email_sent", "email_received"),
            {
                "hs_email_direction": ("direction", _direction),
                "hs_email_status": ("status", _lower),
                "hs_email_subject": ("subject", _as_is),
            },
        ),
        "calls": Kind(
            ("call",),
            {
                "hs_call_direction": ("direction", _lower),
                "hs_call_disposition": ("outcome", _disposition),
                "hs_call_status": ("status", _lower),
                "hs_call_duration": ("duration_s", _seconds),
            },
        ),
        "meetings": Kind(
            ("meeting",),
            {"hs_meeting_outcome": ("outcome", _lower), "hs_meeting_title": ("title", _as_is)},
            starts="hs_meeting_start_time",
        ),
        "notes": Kind(("note",), {}),
        "tasks": Kind(
            ("task",),
            {
                "hs_task_status": ("status", _lower),
                "hs_task_type": ("type", _lower),
                "hs_task_subject": ("subject", _as_is),
            },
            body=TASK_BODY,
        ),
        "communications": Kind(("communication",), {"hs_communication_channel_type": ("channel", _lower)}),
    }
)


def activity(connection: str, stream: str, row: Json, people: Sequence[str]) -> Activity:
    """One activity with everyone it belongs to. ValueError where it does not say when it happened."""
    values = row.get("properties") or {}
    kind = KINDS[stream]
    at = maybe_moment(values, kind.starts) or maybe_moment(values, _AT)
    if at is None:
        raise ValueError(f"it lacks {_AT}")
    fields: dict[str, Value] = {}
    for name, (field, read) in kind.fields.items():
        written = text(values, name)
        value = None if written is None else read(written)
        if value is not None:
            fields[field] = value
    incoming = values.get("hs_email_direction") == "INCOMING_EMAIL"
    return Activity(
        connection=connection,
        id=f"{stream}/{row['id']}",
        kind=kind.kinds[-1] if incoming else kind.kinds[0],
        at=at,
        records=tuple(RecordKey(connection, "contacts", each) for each in people),
        fields=fields,
        modified_at=modified_at(row),
    )


def modified_at(row: Json) -> datetime | None:
    """When it was modified by HubSpot's clock; None where it does not say."""
    written = text(row.get("properties") or {}, MODIFIED) or text(row, "updatedAt")
    return None if written is None else moment(written)


def gone(connection: str, stream: str, identity: str, seen_at: datetime) -> Activity:
    """An activity that was deleted."""
    return Activity(connection, f"{stream}/{identity}", KINDS[stream].kinds[0], seen_at, (), deleted=True)
