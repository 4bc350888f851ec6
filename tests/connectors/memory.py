"""A CRM in memory and its connector: the smallest thing that passes the whole conformance suite.

crm = Crm()
crm.put("1", email="ana@acme.es", country="ES")
source = Memory("crm", Memory.Settings(crm=crm), Wanted(fields=("country",)))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from syncer.connector import FieldChange, Finding, Wanted
from syncer.errors import ConfigError, NotFound, SyncerError
from syncer.model import Activity, Change, Cursor, Page, Record, RecordKey, Rejected, Standing, Value, Written
from syncer.retry import wait

PAGE = 100
TOKEN = "memory-token"
NOTHING = Standing()
_FIELDS = {"score": "number", "stage": "text", "reasons": "text"}


@dataclass(frozen=True, slots=True)
class Person:
    """One person. `revision` is the CRM's count of changes when this one was changed last."""

    id: str
    revision: int
    modified_at: datetime
    fields: dict[str, Value]
    standing: Standing = NOTHING
    stage_by: str | None = None
    deleted: bool = False
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One activity."""

    id: str
    revision: int
    kind: str
    at: datetime
    people: tuple[str, ...]
    fields: dict[str, Value]


@dataclass(slots=True)
class Crm:
    """The CRM: change it as people do, then look at what the connector makes of it."""

    people: dict[str, Person] = field(default_factory=dict)
    deeds: dict[str, Deed] = field(default_factory=dict)
    targets: set[str] = field(default_factory=set)  # of _FIELDS, those that were created
    refused: dict[str, str] = field(default_factory=dict)  # id of a person -> why the CRM will not write it
    stages_stuck: set[str] = field(default_factory=set)  # ids of people whose stage the CRM silently keeps
    trouble: SyncerError | None = None  # what the next call meets, and all after it
    calls: dict[Literal["read", "write"], int] = field(default_factory=lambda: {"read": 0, "write": 0})
    now: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    revision: int = 0

    def put(self, person: str, **fields: Value) -> None:
        """A person comes into being, or changes."""
        old = self.people.get(person)
        known = dict(old.fields) if old else {}
        made = Person(person, self._next(), self.now, known | fields, old.standing if old else NOTHING)
        self.people[person] = made

    def set_stage(self, person: str, stage: str, by: str) -> None:
        """Somebody moves a person by hand."""
        old = self.people[person]
        self._keep(replace(old, standing=replace(old.standing, stage=stage), stage_by=by))

    def delete(self, person: str) -> None:
        self._keep(replace(self.people[person], deleted=True))

    def merge(self, person: str, into: str) -> None:
        self._keep(replace(self.people[person], merged_into=into))

    def act(self, deed: str, kind: str, *people: str, **fields: Value) -> None:
        """An activity happens now."""
        self.deeds[deed] = Deed(deed, self._next(), kind, self.now, people, fields)

    def write(self, change: Change) -> Written | Rejected:
        old = self.people.get(change.record.id)
        if old is None or old.deleted or old.merged_into is not None:
            return Rejected(change.record.id, "there is no such person")
        if old.id in self.refused:
            return Rejected(old.id, self.refused[old.id])
        after, stuck = change.after, old.id in self.stages_stuck
        standing = Standing(
            score=old.standing.score if after.score is None else after.score,
            stage=old.standing.stage if after.stage is None or stuck else after.stage,
            reasons=old.standing.reasons if after.reasons is None else after.reasons,
        )
        if standing != old.standing:
            moved = standing.stage != old.standing.stage
            self._keep(replace(old, standing=standing, stage_by=None if moved else old.stage_by))
        lost = stuck and after.stage not in (None, standing.stage)
        refused = f"the CRM kept {standing.stage!r}" if lost else None
        return Written(change.record, self.people[old.id].modified_at, standing, refused)

    def _keep(self, person: Person) -> None:
        self.people[person.id] = replace(person, revision=self._next(), modified_at=self.now)

    def _next(self) -> int:
        self.revision += 1
        self.now += timedelta(milliseconds=1)
        return self.revision


class MemorySettings(BaseModel):
    """The connection's settings: which CRM."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    crm: Crm
    token: SecretStr = SecretStr(TOKEN)


class Memory:
    """The connector. A cursor is the revision up to which everything is read: a revision has no ties."""

    Settings: ClassVar[type[BaseModel]] = MemorySettings
    streams: tuple[str, ...] = ("people", "deeds")

    def __init__(self, name: str, settings: MemorySettings, wanted: Wanted) -> None:
        self._name, self._wanted, self._crm = name, wanted, settings.crm
        self._known = settings.token.get_secret_value() == TOKEN

    def check(self) -> Iterator[Finding]:
        try:
            self._ask("read")
        except ConfigError as error:
            yield Finding("credentials", "error", error.message, error.code)
            return
        yield Finding("credentials", "ok", f"{self._name}: {len(self._crm.people)} people")

    def account(self) -> str:
        return f"memory:{id(self._crm)}"

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        position = int(since) if since and since.isdecimal() else 0
        everything: list[Person | Deed] = [*self._rows(stream)]
        changed = sorted((row for row in everything if row.revision > position), key=lambda row: row.revision)
        for first in range(0, max(1, len(changed)), PAGE):
            self._ask("read")
            rows = changed[first : first + PAGE]
            cursor = Cursor(str(rows[-1].revision if rows else position))
            records = tuple(self._record(row) for row in rows if isinstance(row, Person))
            activities = tuple(self._activity(row) for row in rows if isinstance(row, Deed))
            yield Page(cursor, records, activities, expected=len(changed))

    def ids(self, stream: str) -> Iterator[Sequence[str]]:
        self._ask("read")
        yield [row.id for row in self._rows(stream) if isinstance(row, Deed) or _lives(row)]

    def setup(self) -> Iterator[FieldChange]:
        self._ask("read")
        for name, kind in _FIELDS.items():
            yield FieldChange("field", name, name.title(), kind, name in self._crm.targets)

    def create(self, change: FieldChange) -> None:
        self._ask("write")
        self._crm.targets.add(change.name)

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        self._ask("read")
        for key in records:
            person = self._crm.people.get(key.id)
            yield self._record(person) if person else Record(key, self._crm.now, deleted=True)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        self._ask("read")
        people = {key: self._crm.people[key.id] for key in records if key.id in self._crm.people}
        return {key: person.stage_by for key, person in people.items() if person.stage_by is not None}

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        for first in range(0, len(changes), PAGE):
            self._ask("write")
            yield from [self._crm.write(change) for change in changes[first : first + PAGE]]

    def _ask(self, kind: Literal["read", "write"]) -> None:
        wait(0, self._wanted.stop)
        if not self._known:
            raise ConfigError(f"{self._name}: the CRM does not accept the token; correct it")
        if self._crm.trouble is not None:
            raise self._crm.trouble
        self._crm.calls[kind] += 1

    def _rows(self, stream: str) -> Sequence[Person] | Sequence[Deed]:
        if stream not in self.streams:
            raise NotFound(f"{self._name}: there is no stream {stream!r}")
        return list(self._crm.people.values()) if stream == "people" else list(self._crm.deeds.values())

    def _key(self, person: str) -> RecordKey:
        return RecordKey(self._name, "people", person)

    def _record(self, person: Person) -> Record:
        fields = person.fields
        return Record(
            key=self._key(person.id),
            modified_at=person.modified_at,
            email=str(fields["email"]) if fields.get("email") else None,
            fields={name: fields[name] for name in self._wanted.fields if fields.get(name) not in (None, "")},
            stage=person.standing.stage,
            protected=bool(fields.get("protected")),
            owner=str(fields["owner"]) if fields.get("owner") else None,
            name=str(fields["name"]) if fields.get("name") else None,
            deleted=person.deleted,
            merged_into=self._key(person.merged_into) if person.merged_into else None,
        )

    def _activity(self, deed: Deed) -> Activity:
        people = tuple(self._key(person) for person in deed.people)
        return Activity(self._name, f"deeds/{deed.id}", deed.kind, deed.at, people, deed.fields)


def _lives(person: Person) -> bool:
    return not person.deleted and person.merged_into is None
