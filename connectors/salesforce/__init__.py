"""Salesforce: leads, contacts (person accounts too) and what they do; scores and stages written back to custom fields.

The user that syncer works as needs: API Enabled; reading Lead, Contact, Account, Task, Event, EmailMessage, Campaign
and User as far as they are used (View All Data, or sharing that shows the same); editing the fields of `write` on Lead
and Contact; creating Task; and, where a route assigns, Transfer Leads, for contacts Transfer Record. `setup` prints the
fields that must be there; creating them takes an admin. What each activity brings is told in `activities.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.salesforce import settings as salesforce_settings
from connectors.salesforce.assigning import Assigning
from connectors.salesforce.check import Check
from connectors.salesforce.client import Client
from connectors.salesforce.org import Org
from connectors.salesforce.read import Reader
from connectors.salesforce.setup import Setup
from connectors.salesforce.tasks import Tasks
from connectors.salesforce.write import Writer
from syncer.connector import FieldChange, Finding, Wanted
from syncer.model import (
    Assigned,
    Assignment,
    Change,
    Cursor,
    Page,
    Record,
    RecordKey,
    Rejected,
    Task,
    Written,
)

__all__ = ["Salesforce"]


class Salesforce:
    """One org, as a source and a destination. One thread at a time; its requests overlap by themselves.

    `calls` counts the requests sent so far, repeated ones and logins too.
    """

    Settings: ClassVar[type[BaseModel]] = salesforce_settings.Settings

    def __init__(self, name: str, settings: salesforce_settings.Settings, wanted: Wanted) -> None:
        self._client = Client(name, settings, wanted)
        self._org = Org(name, settings, wanted, self._client)
        self._reader = Reader(self._org)
        self._writer = Writer(self._org)
        self._setup = Setup(name, settings, wanted, self._org)
        self._tasks = Tasks(self._org)
        self._assigning = Assigning(self._org)
        self._check = Check(self._org)
        self.streams: tuple[str, ...] = self._reader.streams
        self.people: tuple[str, ...] = self._reader.people
        self.swept: tuple[str, ...] = self._reader.swept
        self.reads: tuple[str, ...] = self._reader.reads

    @property
    def calls(self) -> Mapping[Literal["read", "write"], int]:
        """Requests sent so far; a login is a "read"."""
        return dict(self._client.calls)

    def check(self) -> Iterator[Finding]:
        return self._check.check(self.streams)

    def account(self) -> str:
        """A refreshed sandbox is another org: its records have other ids."""
        return f"salesforce:{self._org.organization().id}"

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
        return self._reader.read_back(records)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return self._reader.authors(records)

    def manual_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        return self._reader.manual_authors(records)

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        return self._writer.write(changes)

    def create_task(self, task: Task) -> str:
        return self._tasks.create_task(task)

    def assign(self, assignment: Assignment) -> Assigned:
        return self._assigning.assign(assignment)
