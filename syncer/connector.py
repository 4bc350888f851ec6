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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from syncer.model import Change, Cursor, Page, Record, RecordKey, Rejected, Written


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rules ask of every connector."""

    fields: tuple[str, ...] = ()  # field names the models use; the connection may map them to the CRM's own
    activities: tuple[str, ...] = ()  # kinds of activities the models use
    stages: tuple[str, ...] = ()  # coldest first
    stop: threading.Event = field(default_factory=threading.Event)  # set: leave soon; waits end with `Stopped`


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check`: what was looked at and how it stands."""

    layer: Literal["credentials", "scopes", "fields", "limits"]
    level: Literal["ok", "warning", "error"]
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
    """A CRM that leads and activities are read from."""

    streams: tuple[str, ...]  # what can be pulled, in pull order; the people come first

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

    def ids(self, stream: str) -> Iterator[Sequence[str]]:
        """The ids of everything that exists now, for the reconcile sweep; in pages."""
        ...


@runtime_checkable
class Destination(Protocol):
    """A CRM that scores and stages are written back to."""

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


class Connector(Protocol):
    """How a connector's class is built."""

    Settings: ClassVar[type[BaseModel]]

    def __call__(self, name: str, settings: Any, wanted: Wanted) -> Source: ...
