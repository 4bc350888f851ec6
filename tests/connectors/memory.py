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
from syncer.model import Activity, Change, Cursor, Manual, Page, Record, RecordKey, Rejected, Standing, Value, Written
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
    manual: Manual | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One activity."""

    id: str
    revision: int
    kind: str
    at: datetime
    people: tuple[str, ...]
    fields: dict[str, Value]
    modified_at: datetime | None = None


@dataclass(slots=True)
class Crm:
    """The CRM: change it as people do, then look at what the connector makes of it."""

    people: dict[str, Person] = field(default_factory=dict)
    deeds: dict[str, Deed] = field(default_factory=dict)
    targets: set[str] = field(default_factory=set)  # of _FIELDS, those that were created
    refused: dict[str, str] = field(default_factory=dict)  # id of a person -> why the CRM will not write it
    stages_stuck: set[str] = field(default_factory=set)  # ids of people whose stage the CRM silently keeps
    trouble: SyncerError | None = None  # what the next call meets, and all after it
    troubled: str = ""  # only calls of this kind ("write"), for this ("sweep"), or of this stream; "": all
    silent: set[str] = field(default_factory=set)  # ids of people that it does not show when they are asked for
    asked: list[tuple[str, ...]] = field(default_factory=list)  # (what, stream, ids), call by call
    calls: dict[Literal["read", "write"], int] = field(default_factory=lambda: {"read": 0, "write": 0})
    now: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    revision: int = 0

    def put(self, person: str, **fields: Value) -> None:
        """A person comes into being, or changes."""
        old = self.people.get(person)
        known = dict(old.fields) if old else {}
        standing, manual = (old.standing, old.manual) if old else (NOTHING, None)
        made = Person(person, self._next(), self.now, known | fields, standing, manual=manual)
        self.people[person] = made

    def set_stage(self, person: str, stage: str, by: str) -> None:
        """Somebody moves a person by hand."""
        old = self.people[person]
        self._keep(replace(old, standing=replace(old.standing, stage=stage), stage_by=by))

    def choose(self, person: str, manual: Manual | None) -> None:
        """Somebody fills or empties the field that is kept for a stage chosen by hand."""
        self._keep(replace(self.people[person], manual=manual))

    def slip(self, person: str, **fields: Value) -> None:
        """Values change without a trace: no pull shows them."""
        old = self.people[person]
        self.people[person] = replace(old, fields=old.fields | fields)

    def delete(self, person: str) -> None:
        self._keep(replace(self.people[person], deleted=True))

    def vanish(self, person: str) -> None:
        """Deleted without a trace: no pull shows it."""
        self.people[person] = replace(self.people[person], deleted=True)

    def restore(self, person: str) -> None:
        """As they were when they were deleted; no pull shows it."""
        old = self.people[person]
        self.people[person] = replace(old, deleted=False, modified_at=old.modified_at - timedelta(hours=1))

    def erase(self, person: str) -> None:
        """Gone for good, and no pull shows it."""
        del self.people[person]

    def merge(self, person: str, into: str) -> None:
        self._keep(replace(self.people[person], merged_into=into))

    def act(self, deed: str, kind: str, *people: str, **fields: Value) -> None:
        """An activity happens now, or is told anew."""
        at = self.deeds[deed].at if deed in self.deeds else self.now
        revision = self._next()
        self.deeds[deed] = Deed(deed, revision, kind, at, people, fields, self.now)

    def cancel(self, deed: str) -> None:
        """An activity is deleted, and no pull shows it."""
        del self.deeds[deed]

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
    people: tuple[str, ...] = ("people",)
    swept: tuple[str, ...] = ("people", "deeds")

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
            self._ask("read", "pull", stream)
            rows = changed[first : first + PAGE]
            cursor = Cursor(str(rows[-1].revision if rows else position))
            yield replace(self._page(cursor, rows), expected=len(changed))

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        """By id; a cursor is the id of the last one shown."""
        alive: list[Person | Deed] = [each for each in self._rows(stream) if isinstance(each, Deed) or _lives(each)]
        rest = sorted((row for row in alive if since is None or row.id > since), key=lambda row: row.id)
        for first in range(0, len(rest), PAGE):
            self._ask("read", "sweep", stream)
            yield self._page(Cursor(rest[first : first + PAGE][-1].id), rest[first : first + PAGE])

    def fetch(self, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        for first in range(0, len(ids), PAGE):
            some = ids[first : first + PAGE]
            self._ask("read", "fetch", stream, *some)
            silent = tuple(Rejected(each, "not shown", retry=True) for each in some if each in self._crm.silent)
            page = self._fetched(stream, [each for each in some if each not in self._crm.silent], lately)
            yield replace(page, rejected=silent)

    def _fetched(self, stream: str, ids: Sequence[str], lately: bool) -> Page:
        rows = {row.id: row for row in self._rows(stream)}
        found: list[Person | Deed] = [rows[each] for each in ids if each in rows]
        absorbers = [row.merged_into for row in found if isinstance(row, Person) and row.merged_into]
        found += [self._crm.people[each] for each in absorbers if each not in ids]
        page, now = self._page(None, found), self._crm.now
        missing = [each for each in ids if each not in rows]
        if stream != "people":
            gone = [Activity(self._name, f"deeds/{each}", "", now, (), deleted=True) for each in missing]
            return replace(page, activities=(*page.activities, *gone))
        erased = [Record(self._key(each), now, deleted=True, erased=True) for each in missing]
        deeds = [each for each in self._crm.deeds.values() if lately and set(each.people).intersection(ids)]
        return replace(page, records=(*page.records, *erased), activities=tuple(map(self._activity, deeds)))

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
            yield self._record(person) if person else Record(key, self._crm.now, deleted=True, erased=True)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        self._ask("read")
        people = {key: self._crm.people[key.id] for key in records if key.id in self._crm.people}
        return {key: person.stage_by for key, person in people.items() if person.stage_by is not None}

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        for first in range(0, len(changes), PAGE):
            self._wanted.fence()
            self._ask("write")
            yield from [self._crm.write(change) for change in changes[first : first + PAGE]]

    def _ask(self, kind: Literal["read", "write"], *what: str) -> None:
        wait(0, self._wanted.stop)
        if not self._known:
            raise ConfigError(f"{self._name}: the CRM does not accept the token; correct it")
        if self._crm.trouble is not None and self._crm.troubled in ("", kind, *what):
            raise self._crm.trouble
        self._crm.calls[kind] += 1
        self._crm.asked.append(what)

    def _rows(self, stream: str) -> Sequence[Person] | Sequence[Deed]:
        if stream not in self.streams:
            raise NotFound(f"{self._name}: there is no stream {stream!r}")
        return list(self._crm.people.values()) if stream == "people" else list(self._crm.deeds.values())

    def _page(self, cursor: Cursor | None, rows: Sequence[Person | Deed]) -> Page:
        records = tuple(self._record(row) for row in rows if isinstance(row, Person))
        return Page(cursor, records, tuple(self._activity(row) for row in rows if isinstance(row, Deed)))

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
            manual=person.manual,
        )

    def _activity(self, deed: Deed) -> Activity:
        people = tuple(self._key(person) for person in deed.people)
        named = f"deeds/{deed.id}"
        return Activity(self._name, named, deed.kind, deed.at, people, deed.fields, modified_at=deed.modified_at)


def _lives(person: Person) -> bool:
    return not person.deleted and person.merged_into is None
