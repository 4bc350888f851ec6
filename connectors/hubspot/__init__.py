"""HubSpot: contacts, their activities and counters; scores and stages written back to properties of the contact.

Scopes: crm.objects.contacts.read, crm.schemas.contacts.read and crm.objects.owners.read to read; sales-email-read for
e-mails; crm.objects.companies.read where rules look at `company.NAME`; forms and content for the streams `forms` and
`marketing_emails`; crm.objects.contacts.write to write back and to assign, and crm.schemas.contacts.write once, for
`setup`. What each activity brings is told in `activities.py`, `forms.py`, `marketing_emails.py` and
`behavioural_events.py`; what HubSpot only counts (opens, clicks, page views, visits, forms) comes as readings of the
contact's own properties, unless one of the last three tells of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.hubspot import settings as hubspot_settings
from connectors.hubspot.assigning import Assigning
from connectors.hubspot.check import Check
from connectors.hubspot.client import Client
from connectors.hubspot.hooks import heard
from connectors.hubspot.people import CONTACTS, reads
from connectors.hubspot.portal import Portal
from connectors.hubspot.read import Reader
from connectors.hubspot.scoring_model import read_models
from connectors.hubspot.setup import Setup
from connectors.hubspot.tasks import Tasks
from connectors.hubspot.write import Writer
from syncer.connector import FieldChange, Finding, Knock, NativeModel, Wanted
from syncer.log import protect
from syncer.model import Assigned, Assignment, Change, Cursor, Page, Record, RecordKey, Rejected, Task, Written

__all__ = ["HubSpot"]


class HubSpot:
    """One portal, as a source and a destination. One thread at a time; its requests overlap by themselves.

    `calls` counts the requests sent so far, repeated ones too. A pull never shows deleted contacts (search does not
    know them), nor what HubSpot calculates: the sweep finds the second and who is missing, and asking by id tells why.
    """

    Settings: ClassVar[type[BaseModel]] = hubspot_settings.Settings

    def __init__(self, name: str, settings: hubspot_settings.Settings, wanted: Wanted) -> None:
        self._name, self._settings = name, settings
        if settings.webhooks is not None:
            protect(settings.webhooks.secret.get_secret_value())
        self._client = Client(name, settings, wanted)
        portal = Portal(name, settings, wanted, self._client)
        self._reader = Reader(portal)
        self._writer = Writer(name, settings, wanted, self._client, self._reader)
        self._setup = Setup(name, settings, wanted, self._client)
        self._tasks = Tasks(portal)
        self._assigning = Assigning(portal)
        self._check = Check(name, settings, wanted, self._client)
        self.streams: tuple[str, ...] = self._reader.streams
        self.people: tuple[str, ...] = (CONTACTS,)
        self.swept: tuple[str, ...] = self._reader.swept
        self.reads: tuple[str, ...] = reads(settings, wanted)
        self.single: Mapping[str, frozenset[str]] = settings.single()

    @property
    def calls(self) -> Mapping[Literal["read", "write"], int]:
        """Requests sent so far; a search or batch read is a "read"."""
        return dict(self._client.calls)

    def check(self) -> Iterator[Finding]:
        return self._check.check(self.streams)

    def account(self) -> str:
        return f"hubspot:{self._reader.account().portal}"

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        return self._reader.pull(stream, since)

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        return self._reader.sweep(stream, since)

    def fetch(self, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        return self._reader.fetch(stream, ids, lately=lately)

    def setup(self) -> Iterator[FieldChange]:
        return self._setup.setup()

    def create(self, change: FieldChange) -> None:
        self._setup.create(change)

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        return self._writer.read_back(records)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return self._writer.stage_authors(records)

    def manual_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return self._writer.manual_authors(records)

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        return self._writer.write(changes)

    @property
    def listens(self) -> bool:
        return self._settings.webhooks is not None

    def heard(self, knock: Knock) -> Sequence[RecordKey] | None:
        return heard(self._settings, self._name, knock)

    def create_task(self, task: Task) -> str:
        return self._tasks.create_task(task)

    def assign(self, assignment: Assignment) -> Assigned:
        return self._assigning.assign(assignment)

    def native_models(self) -> Sequence[NativeModel]:
        return tuple(read_models(self._client))
