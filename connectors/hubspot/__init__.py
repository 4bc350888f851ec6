"""HubSpot: contacts, their activities and counters; scores and stages written back to properties of the contact.

Scopes: crm.objects.contacts.read, crm.schemas.contacts.read and crm.objects.owners.read to read; sales-email-read for
e-mails; crm.objects.contacts.write to write back, and crm.schemas.contacts.write once, for `setup`.
What each activity brings is told in `activities.py`; what HubSpot only counts (opens, clicks, page views, visits,
forms) comes as readings of the contact's own properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.hubspot import settings as hubspot_settings
from connectors.hubspot.check import Check
from connectors.hubspot.client import Client
from connectors.hubspot.read import Reader
from connectors.hubspot.setup import Setup
from connectors.hubspot.write import Writer
from syncer.connector import FieldChange, Finding, Wanted
from syncer.model import Change, Cursor, Page, Record, RecordKey, Rejected, Written

__all__ = ["HubSpot"]


class HubSpot:
    """One portal, as a source and a destination. One thread at a time.

    `calls` counts the requests sent so far, repeated ones too. A pull never shows deleted contacts (search does not
    know them): the reconcile sweep finds them (`syncer run --full`, which calls `ids`), and so does asking by id.
    """

    Settings: ClassVar[type[BaseModel]] = hubspot_settings.Settings

    def __init__(self, name: str, settings: hubspot_settings.Settings, wanted: Wanted) -> None:
        self._client = Client(name, settings, wanted)
        self._reader = Reader(name, settings, wanted, self._client)
        self._writer = Writer(name, settings, wanted, self._client, self._reader)
        self._setup = Setup(name, settings, wanted, self._client)
        self._check = Check(name, settings, wanted, self._client)
        self.streams: tuple[str, ...] = self._reader.streams

    @property
    def calls(self) -> Mapping[Literal["read", "write"], int]:
        """Requests sent so far; a search or batch read is a "read"."""
        return dict(self._client.calls)

    def check(self) -> Iterator[Finding]:
        return self._check.check(self.streams)

    def account(self) -> str:
        return f"hubspot:{self._client.account().portal}"

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        return self._reader.pull(stream, since)

    def ids(self, stream: str) -> Iterator[Sequence[str]]:
        return self._reader.ids(stream)

    def setup(self) -> Iterator[FieldChange]:
        return self._setup.setup()

    def create(self, change: FieldChange) -> None:
        self._setup.create(change)

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        return self._writer.read_back(records)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return self._writer.stage_authors(records)

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        return self._writer.write(changes)
