"""The whole contract between syncer and a CRM.

A connector is a class that satisfies `Source`, and `Destination` where the CRM can be written to; there is no base
class and nothing is declared twice. It is built as `Class(name, settings, wanted)`, where `settings` is an instance of
its own pydantic model `Class.Settings` (the connection's section of the project file). To add one: a folder under
`connectors/`, one line in `connectors/__init__.py`, and a test file that runs `connectors/conformance.py` on it.

Errors: what is wrong with one record is data (`Rejected`). What stops a stream is an exception of `syncer.errors`:
`ConfigError` where a person must act (token, scope, field), `TemporaryError` where patience helps. A vendor's own
exceptions never pass this wall.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import orjson
from pydantic import BaseModel

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
    Value,
    Written,
)


def _nothing_known(stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
    return {}


def _nothing_spent(since: datetime) -> int:
    return 0


def _let_pass() -> None:
    return


Pace = Callable[[str, float, int], float]
"""(what is asked, requests a second, how many may leave at once) -> in how many seconds this request may leave."""


def at_once(what: str, rate: float, burst: int) -> float:
    """No other process asks the same: a connector's own pace suffices."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rules ask of every connector, and what syncer remembers for it."""

    fields: tuple[str, ...] = ()  # field names the models use; the connection may map them to the CRM's own
    activities: tuple[str, ...] = ()  # kinds of activities the models use
    stages: tuple[str, ...] = ()  # coldest first
    stop: threading.Event = field(default_factory=threading.Event)  # set: leave soon; waits end with `Stopped`
    known: Callable[[str, Sequence[str]], Mapping[str, datetime]] = _nothing_known
    """(stream, ids) -> the `modified_at` under which each is stored already, for those that are and that nothing is
    wrong with. What a CRM shows as modified no later need not be read again."""
    folder: Path = Path()  # of the project file: where relative paths in settings begin
    spent: Callable[[datetime], int] = _nothing_spent
    """Requests that this connection's finished runs have sent since then: for a CRM that rations them by the day."""
    timezone: str = "UTC"  # of the project: what a time without a zone is in
    language: str = "en"  # "en" or "es": of what people read where we write it
    handoff: str | None = None  # the stage at which sales is told; None: nobody is
    fence: Callable[[], None] = _let_pass
    """To be called right before each request that writes; raises `LeaseLost` where another process may be at work on
    the connection by now: then nothing must leave."""
    pace: Pace = at_once
    """Shared with every process that asks the same; to be called once for each request, before it is sent."""


class PackedFields(Mapping[str, Value]):
    """A record's fields as the JSON text they are stored as: a first load brings many that nobody looks at. Any mapping
    does in its place, at a greater cost."""

    __slots__ = ("_read", "text")

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self.text = orjson.dumps(fields).decode()
        self._read: dict[str, Value] | None = None

    def __getitem__(self, name: str) -> Value:
        return self._looked_at()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._looked_at())

    def __len__(self) -> int:
        return len(self._looked_at())

    def __repr__(self) -> str:
        return f"PackedFields({self.text})"

    def _looked_at(self) -> dict[str, Value]:
        if self._read is None:
            self._read = orjson.loads(self.text)
        return self._read


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check`: what was looked at and how it stands."""

    layer: Literal["credentials", "scopes", "fields", "limits"]
    level: Literal["ok", "note", "warning", "error"]  # note: could not be looked at, and nothing speaks against it
    message: str
    code: str = "SY000"
    help: str = ""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One thing `setup` would create in the CRM, or found to exist already."""

    kind: Literal["group", "field"]
    name: str
    label: str
    type: str  # in the CRM's words: "number", "enumeration: cold, iql, mql, sql"
    exists: bool
    problem: str | None = None  # exists, but cannot serve: of the wrong type, read-only


@runtime_checkable
class Source(Protocol):
    """A CRM that leads and activities are read from.

    One whose settings say by which names it asks for what the rules look at tells them, in any words, as `reads`, a
    tuple of texts: where there is a new one, its people are read from the beginning. One whose streams tell singly
    what it used to count tells which kinds of activities as `single`, stream -> kinds: the counts are dropped then.
    One in which a change may be that something has gone, which no pull shows (a file with a row less), tells those
    streams as `shrinks`, a tuple of some of `swept`: they are swept whenever a pull has brought a new cursor."""

    streams: tuple[str, ...]  # what can be pulled, in pull order; the people come first
    people: tuple[str, ...]  # those of them that bring people, each by the name of its objects in `RecordKey.object`
    swept: tuple[str, ...]  # those of them that `sweep` can show whole; events that never change need not be

    def check(self) -> Iterator[Finding]:
        """Log in, look at scopes, fields and limits: a few calls. What a person must mend is a Finding, not an error;
        `TemporaryError` where the CRM does not answer."""
        ...

    def account(self) -> str:
        """Which portal or org this is ("hubspot:2583391"). A state is never used against another one."""
        ...

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        """Every record changed since the cursor; may repeat, never lose. None: from the beginning.

        Each page's cursor is true once that page is stored, so a pull that dies goes on from its last stored page.
        A pull with nothing new yields one empty page with the new cursor. Deleted and merged records are pages too.
        """
        ...

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        """Everything of the stream that exists now, with its values: for what no increment shows (values that change
        without a trace, deletions). Ends when all were shown; each page's cursor goes on from there."""
        ...

    def fetch(self, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        """These records as they are now (the truth, not an index), in pages that are no place in a stream. Those that
        are gone come as deleted, merged ones with what absorbed them. `lately`: of people, also what they have done
        lately, as far as the CRM can be asked by person."""
        ...


@runtime_checkable
class Destination(Protocol):
    """A CRM that scores and stages are written back to.

    Where one call of `write` costs much however little is written, `batch` says how many changes it had best be given
    at once. Settings whose `writes` is False forbid writing. One whose `Record.manual` comes without an author may tell
    it when it is asked for a few, by a method `manual_authors` that is like `stage_authors`."""

    def setup(self) -> Iterator[FieldChange]:
        """Groups and fields that must exist, and whether they do. Creates nothing."""
        ...

    def create(self, change: FieldChange) -> None:
        """Create one of them. Created meanwhile by somebody else: fine."""
        ...

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        """What the CRM shows right now (the truth, not an index). A record that is gone comes as `deleted`."""
        ...

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        """Who set the stage that each record shows; only those where the CRM tells, and where it was a person."""
        ...

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        """Send the changes in full batches; exactly one answer for each change, in any order.

        At most one change for a record. `before` is what the CRM showed a moment ago. Score and reasons go in
        requests of their own wherever the CRM might refuse the stage. One bad record never fails the others.
        """
        ...


@runtime_checkable
class HandoffTarget(Protocol):
    """A CRM in which sales can be given a task."""

    def create_task(self, task: Task) -> str:
        """The task's id in the CRM. Looks for its key first, so asking twice makes one task; what cannot be known for
        certain is a `TemporaryError`, and asking again settles it."""
        ...


@runtime_checkable
class Assigner(Protocol):
    """A CRM whose records belong to somebody."""

    def assign(self, assignment: Assignment) -> Assigned:
        """Make it so, where nobody has changed the owner meanwhile; looks at the record just before, and follows one
        that was merged or converted. Asking twice is asking once. `NotFound` where the record is gone, `ConfigError`
        where there is no such owner, or it cannot be one here, `TemporaryError` for what patience settles."""
        ...


@dataclass(frozen=True, slots=True)
class Knock:
    """One request of a CRM's webhook, as it came in."""

    method: str
    path: str  # with the query, percent-encoded as sent
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    at: datetime


@runtime_checkable
class Listener(Protocol):
    """A CRM that says by itself whose record has changed."""

    @property
    def listens(self) -> bool:
        """Whether its settings ask for it."""
        ...

    def heard(self, knock: Knock) -> Sequence[RecordKey] | None:
        """Whom it speaks of: only hints to read them again now. None: it is not from the CRM, or too old. No network
        is used, and nothing is raised for what a stranger sends."""
        ...


@dataclass(frozen=True, slots=True)
class NativeModel:
    """A score that the CRM computes itself, as a first model file."""

    id: str
    name: str
    rules: int  # how many of its rules are in `text`
    left_out: tuple[str, ...]  # what could not be carried over, in words
    text: str  # of the model file; "" where it has no rule


@runtime_checkable
class ModelSource(Protocol):
    """A CRM that scores leads itself."""

    def native_models(self) -> Sequence[NativeModel]:
        """Its own scores of leads."""
        ...


class Connector(Protocol):
    """How a connector's class is built."""

    Settings: ClassVar[type[BaseModel]]

    def __call__(self, name: str, settings: Any, wanted: Wanted) -> Source: ...
