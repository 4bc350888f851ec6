"""What people did, as Salesforce writes it, in our words.

| stream | kind | fields |
|---|---|---|
| Task | `call`, `email`, `task` (any other that is closed) | subject, status, type; of calls direction, outcome, \
duration_s; of e-mails what EmailMessage tells |
| Event | `meeting` | title, type, duration_s |
| EmailMessage | `email` | direction (incoming, outgoing), status (sent, replied ...), subject, opened, bounced |
| CampaignMember | `campaign_member` (was added), `campaign_response` | campaign, campaign_type, status |

Words are in lower case ("waiting_on_someone_else"); subjects and names are as they are. `at` is when it happened, not
when it was edited last. An e-mail of which Salesforce keeps a task as well is told once, as that task. Tasks that tell
of a hand-off of ours, series of which each occurrence has a row of its own, and copies of a meeting in the calendars
of colleagues are nothing that a person has done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from types import MappingProxyType

from connectors.salesforce.objects import Found
from connectors.salesforce.selection import Row
from connectors.salesforce.values import day, id18, moment
from syncer.model import Activity, Cursor, Page, RecordKey, Rejected, Value

TASK, EVENT, EMAIL, MEMBER = "Task", "Event", "EmailMessage", "CampaignMember"
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TASK: ("call", "email", "task"),
        EVENT: ("meeting",),
        EMAIL: ("email",),
        MEMBER: ("campaign_member", "campaign_response"),
    }
)
"""Stream -> the kinds of activities it tells."""
RESPONSE = "/response"  # ends the id of a campaign member's answer: "CampaignMember/00v.../response"

_OBJECTS: Mapping[str, str] = MappingProxyType({"00Q": "Lead", "003": "Contact"})
_TASK_KINDS: Mapping[str, str] = MappingProxyType({"Call": "call", "Email": "email", "ListEmail": "email"})
_EMAIL_STATUS: Mapping[str, str] = MappingProxyType(
    {"0": "new", "1": "read", "2": "replied", "3": "sent", "4": "forwarded", "5": "draft"}
)
"""EmailMessage.Status has numbers for its values (its object reference)."""
_NOT_COMING = frozenset({"Declined", "Uninvited"})
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_NEVER = datetime.fromtimestamp(0, UTC)  # nobody asks when it was that did not happen


@dataclass(frozen=True, slots=True)
class Lens:
    """What it takes to read a row."""

    connection: str
    zone: tzinfo  # of the org: what Salesforce dates without a time was a day there

    def midnight(self, date: str) -> datetime:
        """When that day began in the org; ValueError for what is no date."""
        return datetime.combine(day(date), time(), self.zone).astimezone(UTC)

    def people(self, ids: Iterable[object]) -> tuple[RecordKey, ...]:
        """The leads and contacts among these ids of 15 or 18 characters; accounts and users are nobody's deeds."""
        full = dict.fromkeys(id18(each) for each in ids if isinstance(each, str) and each[:3] in _OBJECTS)
        return tuple(RecordKey(self.connection, _OBJECTS[each[:3]], each) for each in full)

    def gone(self, stream: str, identity: str) -> Activity:
        """One that is deleted, or that is none."""
        return Activity(self.connection, f"{stream}/{identity}", KINDS[stream][0], _NEVER, (), deleted=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of EmailMessage, and those of its relations."""

    row: Row
    relations: Sequence[Row] = ()

    @property
    def senders(self) -> list[object]:
        """Of one that came in: the ids of who wrote it, None for one who is nobody here. Empty where it is not told."""
        relations = self.relations if self.row.get("Incoming") else ()
        return [each.get("RelationId") for each in relations if each.get("RelationType") == "FromAddress"]

    @property
    def people(self) -> list[object]:
        """Whose e-mail it is (ids): whoever had a copy of one that came in has done nothing."""
        return self.senders or [each.get("RelationId") for each in self.relations]


def word(written: object) -> str | None:
    """A picklist's value as rules write it: "Waiting on someone else" is waiting_on_someone_else."""
    return _BETWEEN_WORDS.sub("_", str(written).lower()).strip("_") or None if written is not None else None


def _text(written: object) -> str | None:
    return None if written is None or written == "" else str(written)


def _set(fields: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if value is not None}


def task_kind(row: Row) -> str | None:
    """None: it is a plan as yet, or the pattern of a series."""
    if row.get("IsRecurrence"):
        return None
    kind = _TASK_KINDS.get(str(row.get("TaskSubtype")), "task")
    return kind if kind == "email" or row.get("IsClosed") else None  # an e-mail was sent; who is to be called was not


def task(lens: Lens, row: Row, relations: Sequence[Row] = (), letters: Sequence[Letter] = ()) -> Activity:
    """A task, with the rows that tie further people to it, and those that tell of the same e-mail."""
    kind, identity = task_kind(row), row["Id"]
    sent = sorted((each for each in letters if not _is_draft(each.row)), key=lambda each: str(each.row["Id"]))
    if row.get("IsDeleted") or kind is None or (letters and not sent):
        return lens.gone(TASK, identity)
    calls = kind == "call"
    fields: dict[str, Value] = {
        "subject": _text(row.get("Subject")),
        "status": word(row.get("Status")),
        "type": word(row.get("Type")),
        "direction": word(row.get("CallType")) if calls else None,
        "outcome": word(row.get("CallDisposition")) if calls else None,
        "duration_s": row.get("CallDurationInSeconds") if calls else None,
    }
    return Activity(
        connection=lens.connection,
        id=f"{TASK}/{identity}",
        kind=kind,
        at=_sent_at(sent[0].row) if sent else _done_at(lens, row),
        records=_people_of(lens, row, relations, sent),
        fields=_set(fields) | (_letter_fields(sent[0].row) if sent else {}),
        modified_at=max(moment(each["SystemModstamp"]) for each in (row, *(one.row for one in letters))),
    )


def _people_of(lens: Lens, row: Row, relations: Sequence[Row], sent: Sequence[Letter]) -> tuple[RecordKey, ...]:
    """The task of an e-mail that came in may hang on somebody who had a copy: who wrote it counts alone, if known."""
    senders = lens.people(who for each in sent for who in each.senders)
    also = [each.get("RelationId") for each in relations]
    return senders or lens.people([row.get("WhoId"), *also, *(who for each in sent for who in each.people)])


def _done_at(lens: Lens, row: Row) -> datetime:
    """When it was closed; but on its own day, where that was before: calls and e-mails are often logged later, and
    history is imported. A task's day has no hour."""
    written = row.get("CompletedDateTime")
    closed = moment(written) if written else None
    date = row.get("ActivityDate")
    if date is not None and (closed is None or day(date) < closed.astimezone(lens.zone).date()):
        return lens.midnight(date)
    return closed or moment(row["CreatedDate"])


def email(lens: Lens, letter: Letter) -> Activity:
    """An e-mail of which there is no task."""
    row = letter.row
    if row.get("IsDeleted") or _is_draft(row):
        return lens.gone(EMAIL, row["Id"])
    return Activity(
        connection=lens.connection,
        id=f"{EMAIL}/{row['Id']}",
        kind="email",
        at=_sent_at(row),
        records=lens.people(letter.people),
        fields=_letter_fields(row),
        modified_at=moment(row["SystemModstamp"]),
    )


def _is_draft(row: Row) -> bool:
    return str(row.get("Status")) == "5" or bool(row.get("IsPrivateDraft"))


def _sent_at(row: Row) -> datetime:
    return moment(row.get("MessageDate") or row["CreatedDate"])


def _letter_fields(row: Row) -> dict[str, Value]:
    incoming, status = row.get("Incoming"), _text(row.get("Status"))
    return _set(
        {
            "direction": None if incoming is None else "incoming" if incoming else "outgoing",
            "status": None if status is None else _EMAIL_STATUS.get(status, word(status)),
            "subject": _text(row.get("Subject")),
            "opened": True if row.get("IsOpened") else None,
            "bounced": True if row.get("IsBounced") else None,
        }
    )


def event(lens: Lens, row: Row, relations: Sequence[Row] = ()) -> Activity:
    """A meeting with everybody who has not declined, by the rows of its invitees."""
    identity = row["Id"]
    if row.get("IsDeleted") or row.get("IsChild") or row.get("IsRecurrence"):
        return lens.gone(EVENT, identity)
    minutes = row.get("DurationInMinutes")
    fields: dict[str, Value] = {
        "title": _text(row.get("Subject")),
        "type": word(row.get("Type")),
        "duration_s": None if minutes is None or row.get("IsAllDayEvent") else int(minutes) * 60,
    }
    return Activity(
        connection=lens.connection,
        id=f"{EVENT}/{identity}",
        kind="meeting",
        at=_starts_at(lens, row),
        records=_coming(lens, row, relations),
        fields=_set(fields),
        modified_at=moment(row["SystemModstamp"]),
    )


def _coming(lens: Lens, row: Row, relations: Sequence[Row]) -> tuple[RecordKey, ...]:
    """WhoId stays whom the meeting was made for, whatever they answer."""
    absent = lens.people(each.get("RelationId") for each in relations if each.get("Status") in _NOT_COMING)
    people = lens.people([row.get("WhoId"), *(each.get("RelationId") for each in relations)])
    return tuple(each for each in people if each not in absent)


def _starts_at(lens: Lens, row: Row) -> datetime:
    """A whole day begins when it begins in the org: the time that Salesforce writes there is midnight in UTC."""
    start, date = row.get("StartDateTime") or row.get("ActivityDateTime"), row.get("ActivityDate")
    if date is not None and (row.get("IsAllDayEvent") or start is None):
        return lens.midnight(date)
    if start is None:
        raise ValueError("it lacks StartDateTime")
    return moment(start)


def member(lens: Lens, row: Row) -> tuple[Activity, Activity]:
    """Somebody's part in a campaign: that they were added, and that they answered (gone where they have not, or where
    the answer was taken back)."""
    identity = row["Id"]
    answer = f"{identity}{RESPONSE}"
    if row.get("IsDeleted"):
        return lens.gone(MEMBER, identity), lens.gone(MEMBER, answer)
    kinds, stamp = KINDS[MEMBER], moment(row["SystemModstamp"])
    people = lens.people([row.get("ContactId") or row.get("LeadId")])  # with both it is the contact's
    fields = _set(
        {
            "campaign": _text(row.get("Campaign.Name")),
            "campaign_type": word(row.get("Campaign.Type")),
            "status": word(row.get("Status")),
        }
    )
    added_at = moment(row["CreatedDate"])
    added = Activity(lens.connection, f"{MEMBER}/{identity}", kinds[0], added_at, people, fields, modified_at=stamp)
    if not row.get("HasResponded"):
        return added, lens.gone(MEMBER, answer)
    first = row.get("FirstRespondedDate")
    at = lens.midnight(first) if first else added_at
    return added, Activity(lens.connection, f"{MEMBER}/{answer}", kinds[1], at, people, fields, modified_at=stamp)


Told = Callable[[Row], Iterable[Activity]]
"""One row's activities; ValueError where it cannot be read."""


def page(lens: Lens, stream: str, found: Found, told: Told, place: tuple[Cursor | None, int | None]) -> Page:
    """What was found as a page; `place`: its cursor, and how many are expected."""
    kept: list[Activity] = []
    rejected: list[Rejected] = []
    for row in found.rows:
        try:
            kept += told(row)
        except (ValueError, KeyError) as error:
            reason = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else str(error)
            rejected.append(Rejected(f"{stream}/{row['Id']}", reason))
    for each in (*found.gone, *found.erased):
        kept += [lens.gone(stream, name) for name in ((each, each + RESPONSE) if stream == MEMBER else (each,))]
    return Page(place[0], activities=tuple(kept), rejected=tuple(rejected), expected=place[1])
