"""Creating and updating records, with everything Salesforce checks and fills in on the way, in its order of execution:
fields, before-triggers, required values and references, validation, duplicates, storing, assignment, effects."""

from collections.abc import Mapping

from connectors.emulators.salesforce.access import access_of
from connectors.emulators.salesforce.behaviour import filled_in
from connectors.emulators.salesforce.calls import Caller
from connectors.emulators.salesforce.checking import (
    Values,
    check_duplicates,
    check_references,
    check_required,
    check_rules,
    check_shared,
    check_unique,
    named_values,
)
from connectors.emulators.salesforce.effects import after_save
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.formulas import formula_values
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.parents import resolved_parents
from connectors.emulators.salesforce.person_accounts import check_person_side, mirror_contact, person_defaults
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.soql.worlds import rule_test
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row


def create(state: State, kind: ObjectType, values: Mapping[str, object], caller: Caller) -> str:
    """Store a new record; its id."""
    if not kind.can.createable:
        raise Refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {kind.label}", ())
    user_id = caller.user_id or state.admin_id
    plain = resolved_parents(state, kind, values)
    given = named_values(kind, access_of(state, user_id), plain, new=True)
    check_person_side(state, kind, None)
    row = {**kind.template, **_defaults(state, kind, user_id), **given}
    row |= person_defaults(state, kind, given)
    row["Id"] = state.new_id(kind)
    saved = _saved(state, kind, row, None, caller)
    if kind.name == "Account":
        mirror_contact(state, saved, None)
    return str(saved["Id"])


def update(state: State, kind: ObjectType, record_id: str, values: Mapping[str, object], caller: Caller) -> None:
    """Change a record."""
    before = target(state, kind, record_id)
    if not kind.can.updateable:
        raise Refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be updated: {kind.label}", ())
    user_id = caller.user_id or state.admin_id
    given = named_values(kind, access_of(state, user_id), resolved_parents(state, kind, values), new=False)
    if before.get("IsConverted"):
        raise Refusal(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
    check_person_side(state, kind, before)
    saved = _saved(state, kind, {**before, **given, **_modified(state, user_id)}, before, caller)
    if kind.name == "Account":
        mirror_contact(state, saved, before)


def target(state: State, kind: ObjectType, record_id: str) -> Row:
    """The live record that a write is for. MALFORMED_ID, ENTITY_IS_DELETED, INVALID_CROSS_REFERENCE_KEY."""
    found = full_id(record_id)
    if found is None or state.schema.kind_of_id(found) is not kind:
        message = f"{kind.label} ID: id value of incorrect type: {record_id}"
        raise Refusal(400, "MALFORMED_ID", message, ("Id",))
    row = state.row(found)
    check_shared(state, found)
    if row is None and found in state.purged:
        raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())
    if row is None:
        raise Refusal(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())
    if row.get("IsDeleted"):
        raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())
    return row


def _defaults(state: State, kind: ObjectType, user_id: str) -> Values:
    fields = kind.fields.values()
    values: Values = {each.name: each.default_choice for each in fields if each.choices and each.createable}
    if "OwnerId" in kind.fields:
        values["OwnerId"] = user_id
    stamp = state.stamp()
    audit = {"CreatedDate": stamp, "CreatedById": user_id, **_modified(state, user_id)}
    if kind.name == "User":
        values |= {"IsActive": True, "UserType": "Standard"}
    return {**values, **{name: value for name, value in audit.items() if name in kind.fields}}


def _modified(state: State, user_id: str) -> Values:
    stamp = state.stamp()
    return {"LastModifiedDate": stamp, "LastModifiedById": user_id, "SystemModstamp": stamp}


def _saved(state: State, kind: ObjectType, row: Values, before: Row | None, caller: Caller) -> Row:
    row = {name: value for name, value in row.items() if name in kind.template or name.startswith("$")}
    state.check_lock(_locked_ids(kind, row, before))
    row |= filled_in(state, row, before)
    row |= _triggered(state, kind, row, "create" if before is None else "update")
    row |= filled_in(state, row, before)
    row |= formula_values(kind, row)
    check_required(kind, row)
    old = before or {}
    new = {name: row[name] for name in kind.fields if name != "Id" and row[name] != old.get(name)}
    check_references(state, kind, new)
    check_rules(state, kind, row, lambda name, when: rule_test(state, name, when))
    _check_once(state, kind, row, before)
    check_unique(state, kind, row)
    check_duplicates(state, row, caller.allow_duplicates, new=before is None)
    if kind.name == "Lead" and caller.auto_assign and state.switches.assignment_owner:
        row["OwnerId"] = full_id(state.switches.assignment_owner)
    state.put(row)
    after_save(state, row, before)
    return row


def _locked_ids(kind: ObjectType, row: Row, before: Row | None) -> list[str]:
    """A write locks the record and the parents it belongs to."""
    parents = [row.get(each.name) for each in kind.fields.values() if each.cascade]
    parents += [row.get("AccountId"), None if before is None else before["Id"]]
    return [each for each in parents if isinstance(each, str)]


def _triggered(state: State, kind: ObjectType, row: Row, event: str) -> Values:
    """What before-triggers change, or the exception that one throws."""
    changes: Values = {}
    for trigger in state.switches.triggers:
        if trigger.object.lower() != kind.name.lower() or event not in trigger.on:
            continue
        if not rule_test(state, kind.name, trigger.when)({**row, **changes}):
            continue
        if trigger.error:
            cause = f"{trigger.name}: execution of Before{'Insert' if event == 'create' else 'Update'}"
            message = f"{cause}\n\ncaused by: {trigger.error}"
            raise Refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, ())
        changes |= dict(trigger.set or {})
    return changes


def _check_once(state: State, kind: ObjectType, row: Row, before: Row | None) -> None:
    """A person is in a campaign once, a field has one set of permissions in a permission set."""
    if before is not None or kind.name not in ("CampaignMember", "FieldPermissions", "PermissionSetAssignment"):
        return
    keys = {
        "CampaignMember": ("CampaignId", "LeadOrContactId"),
        "FieldPermissions": ("ParentId", "Field"),
        "PermissionSetAssignment": ("PermissionSetId", "AssigneeId"),
    }[kind.name]
    for other in state.children(kind.name, keys[0], str(row[keys[0]])):
        if all(other[each] == row[each] for each in keys):
            member = kind.name == "CampaignMember"
            message = "Already a campaign member." if member else f"Duplicate {kind.name}: {', '.join(keys)}"
            raise Refusal(400, "DUPLICATE_VALUE", message, ())
