"""Small makers of values for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from syncer.model import (
    Activity,
    Change,
    Cursor,
    Decision,
    Handoff,
    Lead,
    LeadPlan,
    Notice,
    Page,
    Record,
    RecordKey,
    Score,
    StageState,
    Standing,
)
from syncer.store import Store, decisions, mirror, runs

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key(record_id: str) -> RecordKey:
    return RecordKey("crm", "contacts", record_id)


def record(record_id: str, *, minute: int = 0, **values: Any) -> Record:
    """One of "crm", modified so many minutes after NOW. `merged_into` may be the id of another one."""
    absorber = values.pop("merged_into", None)
    absorbed_by = key(absorber) if isinstance(absorber, str) else absorber
    return Record(key(record_id), NOW + timedelta(minutes=minute), merged_into=absorbed_by, **values)


def activity(activity_id: str, *records: str, hour: int = 0, **values: Any) -> Activity:
    named: dict[str, Any] = {"kind": "call", "at": NOW + hour * HOUR, "records": tuple(key(each) for each in records)}
    return Activity("crm", activity_id, **(named | values))


def put(store: Store, *values: Record | Activity, **page: Any) -> None:
    """Store one page of these."""
    records = tuple(each for each in values if isinstance(each, Record))
    activities = tuple(each for each in values if isinstance(each, Activity))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), records, activities, **page), NOW)


def all_leads(store: Store) -> list[Lead]:
    return [lead for chunk in mirror.chunks(store, "crm", which="all", now=NOW) for lead in chunk]


def due_ids(store: Store, now: datetime = NOW) -> list[int]:
    return [lead.id for chunk in mirror.chunks(store, "crm", which="due", now=now) for lead in chunk]


def the_lead(store: Store, record_id: str) -> Lead:
    """The lead that the record belongs to."""
    with store.reading() as tx:
        (lead_id,) = mirror.find(tx, f"crm/contacts/{record_id}")
    return mirror.lead(store, lead_id)


def decided(lead: Lead, stage: str, *, at: datetime = NOW, **values: Any) -> Decision:
    """A decision that puts the lead into the stage, on top of what stands."""
    before = lead.state.stage
    since = before.since if before and before.stage == stage else at
    given: dict[str, Any] = {
        "lead": lead.id,
        "revision": lead.revision,
        "score": Score(lead.id, at, "b2b@1", {"fit": 1234, "engagement": -50}, 1184),
        "before": before,
        "after": StageState(stage, stage, since),
        "previous_total": lead.state.total,
        "next_look": None,
    }
    return Decision(**(given | values))


def planned(lead: Lead, stage: str, *, at: datetime = NOW, **values: Any) -> LeadPlan:
    """A plan that moves every record of the lead to the stage."""
    changes = tuple(
        Change(
            each.key,
            Standing(stage=each.stage, lifecycle=each.lifecycle),
            Standing(1100, stage, f"{stage}: because"),
            "activity",
        )
        for each in lead.records
    )
    return LeadPlan(decided(lead, stage, at=at, **values), changes)


def apply(store: Store, *plans: LeadPlan, notices: tuple[Notice, ...] = (), at: datetime = NOW) -> None:
    with store.writing() as tx:
        run = runs.start(tx, "crm", at)
        decisions.apply(tx, run, plans, notices, at)


def settle(store: Store, stage: str = "cold") -> None:
    """Decide every lead, write nothing."""
    apply(store, *(LeadPlan(decided(lead, stage)) for lead in all_leads(store)))


def handoff(lead: Lead, stage: str = "sql", episode: int = 1) -> Handoff:
    first = lead.records[0]
    return Handoff(
        key=f"test/{first.key}#{episode}",
        lead=lead.id,
        record=first.key,
        episode=episode,
        stage=stage,
        total=5000,
        at=NOW,
        email=first.email,
        name=first.name,
        owner=first.owner,
        url=first.url,
        reasons=("+10 asked for a price",),
    )
