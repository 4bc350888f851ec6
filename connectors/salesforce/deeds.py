"""The streams of what people did: Task, Event, EmailMessage, CampaignMember.

What is one e-mail Salesforce keeps in two rows, a task and an EmailMessage: whichever of them changes, both are read,
and tell of one activity. An EmailMessage names nobody itself; its relations do, and its task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from connectors.salesforce import activities
from connectors.salesforce.activities import EMAIL, EVENT, MEMBER, RESPONSE, TASK, Lens, Letter
from connectors.salesforce.marks import key_field, keys_in
from connectors.salesforce.objects import Found, Objects, Rows, Stream
from connectors.salesforce.org import Org
from connectors.salesforce.related import EMAIL_PATHS, lens, letters, related, relations
from connectors.salesforce.selection import Row
from syncer.errors import ConfigError
from syncer.model import Activity, Cursor, Page

log = logging.getLogger(__name__)

_TEXT = "Description"
_TASK_PATHS = (
    _TEXT,
    *("WhoId", "Subject", "Status", "Type", "TaskSubtype", "IsClosed", "IsRecurrence", "CreatedDate", "WhoCount"),
    *("CompletedDateTime", "ActivityDate", "CallType", "CallDisposition", "CallDurationInSeconds"),
)


class Deeds:
    """Makes the streams of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._missed: set[str] = set()

    def stream(self, name: str) -> Stream:
        return WhereThere(self._org, name, Objects(self._org, _ROWS[name](self._org)), self._missed)


@dataclass(frozen=True, slots=True)
class WhereThere:
    """The stream of an object that an org may not have, or not show us. What was stored of it stays: that a token sees
    less deletes nothing. It satisfies `Stream`."""

    org: Org
    name: str
    stream: Stream
    missed: set[str]  # names of those of which it was said already

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        yield from self.stream.pull(since) if self._is_there() else [Page(since)]

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        yield from self.stream.sweep(since) if self._is_there() else [Page(since)]

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        if self._is_there():
            yield from self.stream.fetch(list(dict.fromkeys(each.removesuffix(RESPONSE) for each in ids)))

    def lately(self, persons: Sequence[str]) -> Iterator[Page]:
        if self._is_there():
            yield from self.stream.lately(persons)

    def _is_there(self) -> bool:
        """Said once where it is not; it stops the stream where the settings name it."""
        self.org.organization()
        if self.org.describes.has(self.name):
            self.missed.discard(self.name)
            return True
        if self.name in (self.org.settings.activities or ()):
            message = f"{self.org.connection}: Salesforce shows no {self.name} here; {_MENDS.get(self.name, _MEND)}"
            raise ConfigError(f"{message}, or take {self.name} out of `activities`", code="SY155")
        if self.name not in self.missed:
            self.missed.add(self.name)
            log.warning("object_absent", extra={"connection": self.org.connection, "object": self.name})
        return False


_MEND = "let the user read such objects"
_MENDS: Mapping[str, str] = MappingProxyType(
    {MEMBER: "switch on Campaigns in Setup and let the user read them", EMAIL: "switch on Enhanced Email in Setup"}
)


@dataclass(frozen=True, slots=True)
class Tasks:
    """It satisfies `Rows`."""

    org: Org
    object: str = TASK
    needed: frozenset[str] = frozenset({"WhoId", "CreatedDate"})
    people: tuple[str, ...] = ("WhoId",)

    @property
    def fields(self) -> tuple[str, ...]:
        return _task_paths(self.org)

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        reader = _task_reader(self.org, found.rows)
        return activities.page(reader.lens, TASK, found, reader.tell, (cursor, expected))


@dataclass(frozen=True, slots=True)
class Emails:
    """It satisfies `Rows`."""

    org: Org
    object: str = EMAIL
    fields: tuple[str, ...] = EMAIL_PATHS
    needed: frozenset[str] = frozenset({"CreatedDate"})
    people: tuple[str, ...] = ()

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        tied = [str(row["ActivityId"]) for row in found.rows if row.get("ActivityId")]
        rows = related(self.org, TASK, _task_paths(self.org), "Id", tied)
        tasks = {str(row["Id"]): row for row in rows if activities.task_kind(row) == "email"}
        reader = _task_reader(self.org, list(tasks.values()))
        alone = [str(row["Id"]) for row in found.rows if row.get("ActivityId") not in tasks]
        named = relations(self.org, EMAIL, alone)

        def tell(row: Row) -> Sequence[Activity]:
            task = tasks.get(str(row.get("ActivityId")))
            if task is None:
                return [activities.email(reader.lens, Letter(row, named.get(str(row["Id"]), ())))]
            return [reader.lens.gone(EMAIL, row["Id"]), *reader.tell(task)]

        return activities.page(reader.lens, EMAIL, found, tell, (cursor, expected))


@dataclass(frozen=True, slots=True)
class _TaskReader:
    """What it takes to read tasks, and what other objects tell of them: further people, and e-mails."""

    lens: Lens
    key: str  # the field that holds the key of a hand-off of ours; "" where there is none
    also: Mapping[str, Sequence[Row]]  # relations
    letters: Mapping[str, Sequence[Letter]]

    def tell(self, row: Row) -> list[Activity]:
        """The task, and that its e-mails are none beside it."""
        identity = str(row["Id"])
        if self._is_ours(row):
            return [self.lens.gone(TASK, identity)]
        its_letters = self.letters.get(identity, ())
        told = activities.task(self.lens, row, self.also.get(identity, ()), its_letters)
        return [told, *(self.lens.gone(EMAIL, str(each.row["Id"])) for each in its_letters)]

    def _is_ours(self, row: Row) -> bool:
        """What we told sales is nothing that the person has done. Tasks from before the field carry the mark alone."""
        return bool((self.key and row.get(self.key)) or keys_in(str(row.get(_TEXT) or "")))


def _task_reader(org: Org, rows: Sequence[Row]) -> _TaskReader:
    alive = [row for row in rows if not row.get("IsDeleted")]
    shared = [str(row["Id"]) for row in alive if row.get("WhoCount") not in (0, 1)]
    emails = [str(row["Id"]) for row in alive if activities.task_kind(row) == "email"]
    return _TaskReader(lens(org), _key_name(org), relations(org, TASK, shared), letters(org, emails))


def _task_paths(org: Org) -> tuple[str, ...]:
    key = _key_name(org)
    return (*_TASK_PATHS, key) if key else _TASK_PATHS


def _key_name(org: Org) -> str:
    key = key_field(org.settings, org.describes.of(TASK))
    return key.name if key else ""


@dataclass(frozen=True, slots=True)
class Events:
    """It satisfies `Rows`."""

    org: Org
    object: str = EVENT
    fields: tuple[str, ...] = (
        *("WhoId", "Subject", "Type", "StartDateTime", "ActivityDateTime", "ActivityDate", "IsAllDayEvent"),
        *("DurationInMinutes", "IsChild", "IsRecurrence"),
    )
    needed: frozenset[str] = frozenset({"WhoId"})
    people: tuple[str, ...] = ("WhoId",)

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        mine = lens(self.org)
        invited = relations(self.org, EVENT, [str(row["Id"]) for row in found.rows if not row.get("IsDeleted")])

        def tell(row: Row) -> Sequence[Activity]:
            return [activities.event(mine, row, invited.get(str(row["Id"]), ()))]

        return activities.page(mine, EVENT, found, tell, (cursor, expected))


@dataclass(frozen=True, slots=True)
class Members:
    """It satisfies `Rows`."""

    org: Org
    object: str = MEMBER
    fields: tuple[str, ...] = (
        *("LeadId", "ContactId", "Status", "HasResponded", "FirstRespondedDate", "CreatedDate"),
        *("Campaign.Name", "Campaign.Type"),
    )
    needed: frozenset[str] = frozenset({"LeadId", "ContactId", "CreatedDate"})
    people: tuple[str, ...] = ("LeadId", "ContactId")

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        mine = lens(self.org)
        return activities.page(mine, MEMBER, found, lambda row: activities.member(mine, row), (cursor, expected))


_ROWS: Mapping[str, Callable[[Org], Rows]] = MappingProxyType(
    {TASK: Tasks, EVENT: Events, EMAIL: Emails, MEMBER: Members}
)
