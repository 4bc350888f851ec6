"""ActivityHistories and OpenActivities: views of tasks and events, seen only below one parent."""

from connectors.emulators.salesforce.schema import ChildRelationship, ObjectType
from connectors.emulators.salesforce.soql.names import World
from connectors.emulators.salesforce.table import Row

_COPIED = (
    "Id", "WhoId", "WhatId", "Subject", "ActivityDate", "OwnerId", "Status", "Priority", "AccountId", "Description",
    "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "IsDeleted",
)  # fmt: skip


def activity_rows(world: World, kind: ObjectType, way: ChildRelationship, parent_id: str) -> list[Row]:
    """The closed (or, for OpenActivity, the open) activities of a parent, the latest day first."""
    found: list[Row] = []
    for name in ("Task", "Event"):
        table = world.tables[name]
        for activity in (table.rows[each] for each in sorted(table.holding(way.field, parent_id))):
            is_closed = _is_closed(world, activity)
            hidden = activity["IsDeleted"] and not world.all_rows
            if not hidden and is_closed == (kind.name == "ActivityHistory"):
                found.append(_viewed(kind, activity, is_closed=is_closed))
    return sorted(found, key=lambda row: str(row["ActivityDate"] or ""), reverse=True)


def _is_closed(world: World, activity: Row) -> bool:
    if activity["$type"] == "Task":
        return bool(activity["IsClosed"])
    return str(activity["EndDate"] or activity["ActivityDate"] or "") < world.calendar.today.isoformat()


def _viewed(kind: ObjectType, activity: Row, *, is_closed: bool) -> Row:
    values = {name: activity.get(name) for name in _COPIED}
    is_task = activity["$type"] == "Task"
    subtype = activity.get("TaskSubtype" if is_task else "EventSubtype")
    own = {"IsTask": is_task, "IsClosed": is_closed, "ActivityType": activity["$type"], "ActivitySubtype": subtype}
    return {**kind.template, **values, **own}
