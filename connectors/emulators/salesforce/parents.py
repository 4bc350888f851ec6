"""Parents named by an external id instead of an Id: {"Account": {"Ext__c": "7"}} in the values of a write."""

from collections.abc import Mapping

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import Field
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State

Values = dict[str, object]


def resolved_parents(state: State, kind: ObjectType, values: Mapping[str, object]) -> Values:
    """The values with each such parent replaced by its id."""
    resolved: Values = {}
    for name, value in values.items():
        field = kind.parent_field(name) if isinstance(value, Mapping) and name != "attributes" else None
        if field is None:
            resolved[name] = value
        elif isinstance(value, Mapping):
            resolved[field.name] = _parent_id(state, field, value)
    return resolved


def _parent_id(state: State, field: Field, named: Mapping[str, object]) -> str:
    attributes = named.get("attributes")
    wanted = attributes.get("type") if isinstance(attributes, Mapping) else None
    targets = [each for each in field.targets if wanted is None or each.lower() == str(wanted).lower()]
    keys = [(name, value) for name, value in named.items() if name != "attributes"]
    if len(keys) != 1 or len(targets) != 1:
        message = f"{field.relationship}: a parent must be named by exactly one external id field"
        raise Refusal(400, "INVALID_FIELD", message, (field.relationship,))
    target, (name, value) = state.schema.get(targets[0]), keys[0]
    found = find_by_key(state, target, name, str(value))
    if len(found) != 1:
        message = f"Foreign key external ID: {value} not found for field {name} in entity {target.name}"
        raise Refusal(400, "INVALID_FIELD", message, ())
    return found[0]


def find_by_key(state: State, kind: ObjectType, name: str, value: str) -> list[str]:
    """Ids of live records with a value in an external id (or other lookup) field. 404 when the field is none."""
    field = kind.find(name)
    if field is None or not (field.external_id or field.id_lookup or field.type == "id"):
        message = "Provided external ID field does not exist or is not accessible: " + name
        raise Refusal(404, "NOT_FOUND", message)
    if field.type in ("double", "int", "currency"):
        value = str(float(value)) if field.type != "int" else str(int(value))
    found = sorted(state.tables[kind.name].holding(field.name, value))
    rows = state.tables[kind.name].rows
    exact = [each for each in found if not field.case_sensitive or rows[each][field.name] == value]
    return [each for each in exact if state.live(each) is not None]
