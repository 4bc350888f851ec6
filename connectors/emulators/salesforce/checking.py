"""What every write is checked for: names of fields, rights, required values, references, rules, duplicates."""

from collections.abc import Callable, Mapping

from connectors.emulators.salesforce.access import Access
from connectors.emulators.salesforce.errors import Refusal, several
from connectors.emulators.salesforce.fields import Field
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.switches import DuplicateRule
from connectors.emulators.salesforce.table import Row
from connectors.emulators.salesforce.values import converted

Values = dict[str, object]
Test = Callable[[Row], bool]
_SECURITY = "Please check the security settings of this field and verify that it is read/write for your profile or permission set."  # noqa: E501


def named_values(kind: ObjectType, access: Access, values: Mapping[str, object], *, new: bool) -> Values:
    """Values by canonical name, converted to what the fields store; a relationship is left as it is."""
    fields: dict[Field, object] = {}
    for name, value in values.items():
        if name == "attributes":
            continue
        field = kind.find(name)
        if field is None or (kind.name, field.name) in access.hidden:
            raise Refusal(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        fields[field] = value
    _check_rights(kind, access, list(fields), new=new)
    return {field.name: converted(field, value) for field, value in fields.items()}


def _check_rights(kind: ObjectType, access: Access, fields: list[Field], *, new: bool) -> None:
    wrong = tuple(
        each.name
        for each in fields
        if not (each.createable if new else each.updateable) or (kind.name, each.name) in access.read_only
    )
    if wrong == ("Id",) and new:
        raise Refusal(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
    if wrong:
        message = f"Unable to create/update fields: {', '.join(wrong)}. {_SECURITY}"
        raise Refusal(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, wrong)


def check_required(kind: ObjectType, row: Row) -> None:
    """REQUIRED_FIELD_MISSING with all names at once."""
    missing = tuple(
        each.name
        for each in kind.fields.values()
        if not each.nillable and not each.defaulted and each.createable and row.get(each.name) is None
    )
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise Refusal(400, "REQUIRED_FIELD_MISSING", message, missing)


def check_references(state: State, kind: ObjectType, values: Mapping[str, object]) -> None:
    """Every id leads to a live record of a kind that the field allows; owners are active."""
    for name, value in values.items():
        field = kind.fields[name]
        if field.type != "reference" or not isinstance(value, str):
            continue
        target = state.schema.kind_of_id(value)
        if target is None or target.name not in field.targets:
            message = f"{field.label}: id value of incorrect type: {value}"
            raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", message, (name,))
        row = state.row(value)
        check_shared(state, value)
        if row is None:
            raise Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())
        _check_target(state, kind, field, row)


def check_shared(state: State, record_id: str) -> None:
    """INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY for a record that the caller cannot see."""
    if record_id in state.unseen:
        message = f"insufficient access rights on cross-reference id: {record_id[:15]}"
        raise Refusal(400, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", message, ())


def _check_target(state: State, kind: ObjectType, field: Field, row: Row) -> None:
    if row.get("IsDeleted"):
        raise Refusal(400, "ENTITY_IS_DELETED", "entity is deleted", ())
    if field.name == "WhoId" and row.get("IsConverted"):
        raise Refusal(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
    if field.name != "OwnerId":
        return
    if row["$type"] == "User" and not row["IsActive"]:
        message = f"operation performed with inactive user [{str(row['Id'])[:15]}] as owner of {kind.label.lower()}"
        raise Refusal(400, "INACTIVE_OWNER_OR_USER", message, ())
    if row["$type"] == "Group":
        queues = state.tables["QueueSobject"]
        shared = (queues.rows[each] for each in queues.holding("QueueId", str(row["Id"])))
        if all(each["SobjectType"] != kind.name for each in shared):
            message = "Queue not associated with this SObject type"
            raise Refusal(400, "INVALID_OPERATION", message, ("OwnerId",))


def check_rules(state: State, kind: ObjectType, row: Row, test_of: Callable[[str, str], Test]) -> None:
    """FIELD_CUSTOM_VALIDATION_EXCEPTION, one for each rule that the row breaks."""
    broken = tuple(
        Refusal(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, (rule.field,) if rule.field else ())
        for rule in state.switches.validation_rules
        if rule.object.lower() == kind.name.lower() and test_of(kind.name, rule.when)(row)
    )
    if broken:
        raise several(broken)


def check_unique(state: State, kind: ObjectType, row: Row) -> None:
    """DUPLICATE_VALUE when another record, deleted ones aside, holds the value of a unique field."""
    for field in kind.fields.values():
        value = row.get(field.name)
        if not field.unique or value is None:
            continue
        for record_id in sorted(state.tables[kind.name].holding(field.name, str(value))):
            other = state.live(record_id)
            if record_id == row["Id"] or other is None or (field.case_sensitive and other[field.name] != value):
                continue
            message = f"duplicate value found: {field.name} duplicates value on record with id: {record_id[:15]}"
            raise Refusal(400, "DUPLICATE_VALUE", message, ())


def check_duplicates(state: State, row: Row, allowed: bool, *, new: bool) -> None:
    """DUPLICATES_DETECTED by a duplicate rule, with the matches under the misspelt key."""
    for rule in state.switches.duplicate_rules:
        if rule.object != row["$type"] or not (new or rule.on_edit) or (allowed and not rule.block):
            continue
        matches = _matches(state, rule, row)
        if matches:
            extra = {state.switches.duplicate_key: _found(rule, row, matches)}
            raise Refusal(400, "DUPLICATES_DETECTED", rule.message, None, extra)


def _matches(state: State, rule: DuplicateRule, row: Row) -> list[str]:
    if any(row.get(name) is None for name in rule.fields):
        return []
    table = state.tables[rule.object]
    found = set.intersection(*(set(table.holding(name, str(row[name]))) for name in rule.fields))
    return sorted(each for each in found if each != row["Id"] and state.live(each) is not None)


def _found(rule: DuplicateRule, row: Row, matches: list[str]) -> Values:
    records = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {"type": rule.object, "url": f"/services/data/v60.0/sobjects/{rule.object}/{each}"},
                "Id": each,
            },
        }
        for each in matches
    ]
    match = {
        "entityType": rule.object,
        "errors": [],
        "matchEngine": "ExactMatchEngine",
        "matchRecords": records,
        "rule": f"{rule.name}_Match",
        "size": len(records),
        "success": True,
    }
    return {
        "allowSave": not rule.block,
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": row["$type"],
        "errorMessage": rule.message,
        "matchResults": [match],
    }
