"""Single records, as the sObject rows resource shows them."""

from collections.abc import Sequence

from connectors.emulators.salesforce.access import Access
from connectors.emulators.salesforce.addresses import compound_getter
from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.fields import Field
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State

Shown = dict[str, object]


def read_row(
    state: State, kind: ObjectType, record_id: str, fields: Sequence[str] | None, seen: tuple[Access, str]
) -> Shown:
    """The record with its attributes. `seen`: what the caller may see, and the API version for the url."""
    access, version = seen
    found = full_id(record_id)
    row = state.row(found)
    if row is None or row["$type"] != kind.name or found in state.unseen:
        if found in state.purged:
            raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())
        raise (
            not_found("Provided external ID field does not exist or is not accessible: " + record_id)
            if (found is None)
            else not_found()
        )
    if row.get("IsDeleted"):
        raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())
    url = f"/services/data/v{version}/sobjects/{kind.name}/{found}"
    shown: Shown = {"attributes": {"type": kind.name, "url": url}}
    for field in _wanted(kind, access, fields):
        shown[field.name] = compound_getter(kind, field.name)(row) if field.type == "address" else row[field.name]
    return shown


def _wanted(kind: ObjectType, access: Access, names: Sequence[str] | None) -> list[Field]:
    if names is None:
        return [each for each in kind.fields.values() if (kind.name, each.name) not in access.hidden]
    wanted = {"id": kind.fields["Id"]}
    for name in names:
        field = kind.find(name)
        if field is None or (kind.name, field.name) in access.hidden:
            message = f"No such column '{name}' on sobject of type {kind.name}"
            raise Refusal(400, "INVALID_FIELD", message)
        wanted[field.name.lower()] = field
    return list(wanted.values())
