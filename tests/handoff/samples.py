"""One hand-off as the tests tell it, its notice, and a CRM that takes tasks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from syncer.errors import SyncerError
from syncer.model import Assigned, Assignment, Handoff, Notice, RecordKey, Task

AT = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)

HANDOFF = Handoff(
    key="here/crm/contacts/90151#1",
    lead=7,
    record=RecordKey("crm", "contacts", "90151"),
    episode=1,
    stage="sql",
    total=7899,
    at=AT,
    email="ana.ruiz@clinicanova.es",
    name="Ana Ruiz",
    owner="luis@acme.es",
    url="https://app.crm.test/contacts/2583391/90151?a=1&b=2",
    fields={"email": "ana.ruiz@clinicanova.es", "country": "ES"},
    reasons=("Decision maker: jobtitle contains 'director'", "Target country: country = ES", "Webinar", "Corporate"),
)


def handoff(**changes: Any) -> Handoff:
    return replace(HANDOFF, **changes)


def notice(key: str = "k1", channel: str = "ventas", recipient: str = "", **changes: Any) -> Notice:
    return Notice(key, handoff(**changes), channel, recipient)


@dataclass
class Desk:
    """A CRM that keeps one task a key and one owner a record, and fails as it is told."""

    tasks: dict[str, Task] = field(default_factory=dict)
    owners: dict[RecordKey, str | None] = field(default_factory=dict)  # absent: as in the hand-off
    assignments: list[Assignment] = field(default_factory=list)
    script: list[SyncerError] = field(default_factory=list)
    asked: int = 0

    def create_task(self, task: Task) -> str:
        self.asked += 1
        if self.script:
            raise self.script.pop(0)
        self.tasks.setdefault(task.key, task)
        return task.key

    def assign(self, assignment: Assignment) -> Assigned:
        self.assignments.append(assignment)
        if self.script:
            raise self.script.pop(0)
        if self.owners.get(assignment.record, assignment.before) not in (assignment.before, assignment.to):
            return "kept"
        self.owners[assignment.record] = assignment.to
        return "assigned"
