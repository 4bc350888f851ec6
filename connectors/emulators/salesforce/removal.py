"""Deleting, undeleting, and erasing past the recycle bin; children go and come back with their parents."""

from collections.abc import Iterable
from datetime import timedelta

from connectors.emulators.salesforce.calls import Caller
from connectors.emulators.salesforce.clock import moment_of, stamp_from
from connectors.emulators.salesforce.effects import after_save
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.saving import target
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row


def delete(state: State, kind: ObjectType, record_id: str, caller: Caller) -> None:
    """Into the recycle bin, or away for good where records cannot be undeleted."""
    row = target(state, kind, record_id)
    if not kind.can.deletable:
        message = f"entity type cannot be deleted: {kind.label}"
        raise Refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, ())
    state.check_lock([str(row["Id"])])
    _throw_away(state, kind, row, caller.user_id or state.admin_id, "")


def undelete(state: State, record_id: str, caller: Caller) -> None:
    """Out of the recycle bin, with what went into it because of this record."""
    found = full_id(record_id)
    row = state.row(found)
    if found is None or row is None or not row.get("IsDeleted"):
        raise Refusal(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", ())
    if row.get("MasterRecordId"):
        raise Refusal(400, "UNDELETE_FAILED", "cannot undelete a record that was merged", ())
    _bring_back(state, row, caller.user_id or state.admin_id)


def hard_delete(state: State, record_ids: Iterable[str]) -> None:
    """Past the recycle bin, with children."""
    for record_id in record_ids:
        row = state.row(full_id(record_id))
        if row is None:
            raise Refusal(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())
        kind = state.schema.get(str(row["$type"]))
        if not row.get("IsDeleted"):
            _throw_away(state, kind, row, state.admin_id, "")
        _erase_with_children(state, str(row["Id"]))


def empty_bin(state: State, before: str = "9999") -> int:
    """Erase what was thrown away before a stamp; how many records."""
    gone = [
        record_id
        for table in state.tables.values()
        for record_id, row in table.rows.items()
        if row.get("IsDeleted") and str(row.get("$deleted", "")) < before
    ]
    for record_id in gone:
        state.erase(record_id)
    return len(gone)


def expire_bin(state: State) -> None:
    """Erase what has lain in the bin for as long as it may."""
    oldest = moment_of(state.clock.stamp()) - timedelta(days=state.switches.recycle_bin_days)
    empty_bin(state, stamp_from(oldest))


def discard(state: State, row: Row, user_id: str, because: str) -> Row:
    """Mark one row as deleted, or erase it where there is no bin; the row after. `because`: the parent that took it."""
    stamp = state.stamp()
    gone = {**row, "IsDeleted": True, "$deleted": stamp, "$because": because, "SystemModstamp": stamp}
    if "LastModifiedDate" in row:
        gone |= {"LastModifiedDate": stamp, "LastModifiedById": user_id}
    if "IsDeleted" in row:
        state.put(gone)
    else:
        state.put({**row, "$deleted": stamp})
        state.erase(str(row["Id"]))
    return gone


def _throw_away(state: State, kind: ObjectType, row: Row, user_id: str, because: str) -> None:
    record_id = str(row["Id"])
    gone = discard(state, row, user_id, because)
    for way in state.schema.children(kind.name):
        child_kind = state.schema.find(way.child)
        if child_kind is None or not child_kind.can.queryable:
            continue
        for child in state.children(way.child, way.field, record_id):
            if way.cascade and not (way.field == "WhoId" and child.get("WhatId")):
                _throw_away(state, child_kind, child, user_id, because or record_id)
            elif child_kind.fields[way.field].createable:
                state.change(str(child["Id"]), {way.field: None})
    _with_twin(state, gone, user_id, because or record_id)
    after_save(state, gone, row)


def _with_twin(state: State, gone: Row, user_id: str, because: str) -> None:
    """A person account and its contact go together."""
    twin = state.live(gone.get("AccountId")) if gone.get("IsPersonAccount") else None
    if twin is not None and gone["$type"] == "Contact":
        discard(state, twin, user_id, because)


def _bring_back(state: State, row: Row, user_id: str) -> None:
    stamp, record_id = state.stamp(), str(row["Id"])
    back = {**row, "IsDeleted": False, "$deleted": None, "$because": "", "SystemModstamp": stamp}
    state.put({**back, "LastModifiedDate": stamp, "LastModifiedById": user_id})
    for table in state.tables.values():
        for child_id in [each for each, child in table.rows.items() if child.get("$because") == record_id]:
            state.change(child_id, {"IsDeleted": False, "$deleted": None, "$because": "", "SystemModstamp": stamp})


def _erase_with_children(state: State, record_id: str) -> None:
    for table in list(state.tables.values()):
        for child_id in [each for each, child in table.rows.items() if child.get("$because") == record_id]:
            state.erase(child_id)
    state.erase(record_id)
