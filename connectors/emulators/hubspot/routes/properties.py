"""Fields and their groups."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from connectors.emulators.hubspot.answers import Answer, Json, Refusal, batch, invalid, refusal
from connectors.emulators.hubspot.definitions import Group, Property, check_types, parse_options, parse_property
from connectors.emulators.hubspot.operations import Call, Operation, parse_inputs
from connectors.emulators.hubspot.portal import Schema

MAX_INPUTS = 100
MAX_CUSTOM_PROPERTIES = 1000


def _schema(call: Call) -> Schema:
    return call.portal.schema(call.kind)


def _area(call: Call) -> str:
    return call.kind.plural if call.kind.plural in ("contacts", "companies", "deals") else "contacts"


def reading(call: Call) -> tuple[str, ...]:
    """Scopes for looking at fields: the schema's or the objects'."""
    return (f"crm.schemas.{_area(call)}.read", f"crm.objects.{_area(call)}.read")


def changing(call: Call) -> tuple[str, ...]:
    """Scope for changing fields; writing objects is not enough."""
    return (f"crm.schemas.{_area(call)}.write",)


def _list(call: Call) -> Answer:
    schema = _schema(call)
    if call.word("dataSensitivity", "non_sensitive") != "non_sensitive":
        return Answer(200, {"results": []})
    found = schema.archived if call.flag("archived") else schema.properties
    return Answer(200, {"results": [each.shown() for each in found.values()]})


def _missing(name: str) -> Refusal:
    sub = "Properties.PROPERTY_NOT_FOUND"
    message = f"A property named '{name}' does not exist."
    return refusal(404, message, "OBJECT_NOT_FOUND", subCategory=sub, context={"name": [name]})


def _named(call: Call) -> Property:
    found = _schema(call).properties.get(call.path["name"])
    if found is None:
        raise _missing(call.path["name"])
    return found


def _read(call: Call) -> Answer:
    if call.flag("archived"):
        found = _schema(call).archived.get(call.path["name"])
        if found is None:
            raise _missing(call.path["name"])
        return Answer(200, found.shown())
    return Answer(200, _named(call).shown())


def _exists(schema: Schema, name: str, names_block: bool) -> bool:
    return name in schema.properties or (names_block and name in schema.archived)


def _new(call: Call, raw: Json) -> Property:
    """A parsed field whose group exists and for which there is room; else 400."""
    schema, now_ms = _schema(call), call.portal.clock.now_ms()
    made = parse_property(raw, now_ms, str(call.token.user_id))
    if made.group not in schema.groups:
        raise invalid(f"The property group '{made.group}' does not exist", context={"groupName": [made.group]})
    if sum(not each.hubspot_defined for each in schema.properties.values()) >= MAX_CUSTOM_PROPERTIES:
        raise invalid(f"The limit of {MAX_CUSTOM_PROPERTIES} custom properties is reached")
    return made


def _add(call: Call, made: Property) -> None:
    schema = _schema(call)
    schema.archived.pop(made.name, None)
    schema.properties[made.name] = made
    if made.has_unique_value:
        call.portal.shelf(call.kind).make_unique(made.name)


_TAKEN = "Properties.PROPERTY_WITH_NAME_EXISTS"


def _create(call: Call) -> Answer:
    made = _new(call, call.body)
    if _exists(_schema(call), made.name, call.portal.manners.archived_names_block):
        if call.portal.manners.property_conflict == "bare":
            raise refusal(409, f"Property already exists with name '{made.name}'", "CONFLICT")
        message, context = f"A property named '{made.name}' already exists.", {"name": [made.name]}
        raise refusal(409, message, "OBJECT_ALREADY_EXISTS", subCategory=_TAKEN, context=context)
    _add(call, made)
    return Answer(201, made.shown())


def _finished(call: Call, results: Sequence[Json], errors: Sequence[Json], status: int) -> Answer:
    body = batch(call.started_ms, call.portal.clock.now_ms(), results, errors)
    return Answer(207 if errors else status, body)


def _error(category: str, sub: str, message: str, name: str) -> Json:
    context = {"name": [name]}
    return {"status": "error", "category": category, "subCategory": sub, "message": message, "context": context}


def _create_many(call: Call) -> Answer:
    made = [_new(call, each) for each in parse_inputs(call.body, MAX_INPUTS)]
    results, errors = [], []
    for each in made:
        if _exists(_schema(call), each.name, call.portal.manners.archived_names_block):
            message = f"A property named '{each.name}' already exists."
            errors.append(_error("OBJECT_ALREADY_EXISTS", _TAKEN, message, each.name))
        else:
            _add(call, each)
            results.append(each.shown(whole=False))
    return _finished(call, results, errors, 200 if call.dated else 201)


def _input_names(call: Call) -> list[str]:
    return [str(each.get("name", "")) for each in parse_inputs(call.body, MAX_INPUTS)]


def _read_many(call: Call) -> Answer:
    schema = _schema(call)
    found = schema.archived if call.body.get("archived") else schema.properties
    names = _input_names(call)
    errors = [
        _error("OBJECT_NOT_FOUND", "Properties.PROPERTY_NOT_FOUND", f"A property named '{name}' does not exist.", name)
        for name in names
        if name not in found
    ]
    return _finished(call, [found[name].shown() for name in names if name in found], errors, 200)


def _remove(call: Call, name: str) -> None:
    schema = _schema(call)
    found = schema.properties.get(name)
    if found is None:
        return
    if found.hubspot_defined:
        raise invalid(f"The property '{name}' is defined by HubSpot and cannot be deleted")
    schema.archived[name] = replace(schema.properties.pop(name), archived_ms=call.portal.clock.now_ms())


def _archive_many(call: Call) -> Answer:
    for name in _input_names(call):
        _remove(call, name)
    return Answer(204)


def _archive(call: Call) -> Answer:
    _named(call)
    _remove(call, call.path["name"])
    return Answer(204)


_CHANGEABLE = {
    "label": "label", "description": "description", "groupName": "group", "fieldType": "field_type", "type": "type",
    "hidden": "hidden", "displayOrder": "display_order", "formField": "form_field",
}  # fmt: skip


def _update(call: Call) -> Answer:
    before, schema = _named(call), _schema(call)
    changes: dict[str, Any] = {ours: call.body[theirs] for theirs, ours in _CHANGEABLE.items() if theirs in call.body}
    if "options" in call.body:
        changes["options"] = parse_options(call.body["options"] or ())
    if before.hubspot_defined and changes.keys() - {"options"}:
        raise invalid(f"The definition of '{before.name}' is read-only")
    after = replace(before, **changes, updated_ms=call.portal.clock.now_ms())
    check_types(after.type, after.field_type) if not before.hubspot_defined else None
    if after.group not in schema.groups:
        raise invalid(f"The property group '{after.group}' does not exist", context={"groupName": [after.group]})
    schema.properties[after.name] = after
    return Answer(200, after.shown())


def _list_groups(call: Call) -> Answer:
    return Answer(200, {"results": [each.shown() for each in _schema(call).groups.values()]})


def _group(call: Call) -> Group:
    found = _schema(call).groups.get(call.path["name"])
    if found is None:
        sub, message = "Properties.GROUP_NOT_FOUND", f"A property group named '{call.path['name']}' does not exist."
        raise refusal(404, message, "OBJECT_NOT_FOUND", subCategory=sub)
    return found


def _read_group(call: Call) -> Answer:
    return Answer(200, _group(call).shown())


def _create_group(call: Call) -> Answer:
    groups, name, label = _schema(call).groups, call.body.get("name"), call.body.get("label")
    if not name or not label:
        raise invalid("Invalid input JSON: a property group needs 'name' and 'label'")
    if name in groups:
        sub, message = "Properties.GROUP_WITH_NAME_EXISTS", f"A property group named '{name}' already exists."
        raise refusal(409, message, "OBJECT_ALREADY_EXISTS", subCategory=sub, context={"name": [name]})
    highest = max((each.display_order for each in groups.values()), default=-1)
    groups[name] = Group(str(name), str(label), int(call.body.get("displayOrder", highest + 1)))
    return Answer(201, groups[name].shown())


def _update_group(call: Call) -> Answer:
    before = _group(call)
    after = Group(
        before.name,
        str(call.body.get("label", before.label)),
        int(call.body.get("displayOrder", before.display_order)),
    )
    _schema(call).groups[before.name] = after
    return Answer(200, after.shown())


def _archive_group(call: Call) -> Answer:
    group, schema = _group(call), _schema(call)
    if any(each.group == group.name for each in schema.properties.values()):
        raise invalid(f"The property group '{group.name}' still has properties")
    del schema.groups[group.name]
    return Answer(204)


OPERATIONS = (
    Operation("GET", "/properties/{objectType}/groups", _list_groups, "read", reading),
    Operation("POST", "/properties/{objectType}/groups", _create_group, "write", changing),
    Operation("GET", "/properties/{objectType}/groups/{name}", _read_group, "read", reading),
    Operation("PATCH", "/properties/{objectType}/groups/{name}", _update_group, "write", changing),
    Operation("DELETE", "/properties/{objectType}/groups/{name}", _archive_group, "write", changing),
    Operation("POST", "/properties/{objectType}/batch/create", _create_many, "write", changing),
    Operation("POST", "/properties/{objectType}/batch/read", _read_many, "read", reading),
    Operation("POST", "/properties/{objectType}/batch/archive", _archive_many, "write", changing),
    Operation("GET", "/properties/{objectType}", _list, "read", reading),
    Operation("POST", "/properties/{objectType}", _create, "write", changing),
    Operation("GET", "/properties/{objectType}/{name}", _read, "read", reading),
    Operation("PATCH", "/properties/{objectType}/{name}", _update, "write", changing),
    Operation("DELETE", "/properties/{objectType}/{name}", _archive, "write", changing),
)
