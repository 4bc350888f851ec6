"""Upsert: update the record that an external id names, or create it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from connectors.emulators.salesforce.calls import Caller, Outcome, Write
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.parents import find_by_key
from connectors.emulators.salesforce.saving import create, update
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State


def upsert(
    state: State, kind: ObjectType, key: tuple[str, str], values: Mapping[str, object], caller: Caller
) -> tuple[str, bool]:
    """(id, created?). `key`: an external id field and its value; the field may be Id."""
    name, value = key
    field = kind.find(name)
    if field is not None and field.type == "id":
        update(state, kind, value, values, caller)
        return value, False
    found = find_by_key(state, kind, name, value)
    if len(found) > 1:
        message = f"Upsert Field: more than one record found for external id field: {found}"
        raise Refusal(300, "DUPLICATE_EXTERNAL_ID", message.replace("'", ""), (), {"ids": found})
    rest = {each: given for each, given in values.items() if each.lower() != name.lower()}
    if not found:
        return create(state, kind, {**rest, name: value}, caller), True
    update(state, kind, found[0], rest, caller)
    return found[0], False


def upsert_values(
    state: State, kind: ObjectType, key: str, values: Mapping[str, object], caller: Caller
) -> tuple[str, bool]:
    """The same with the key's value among the values. Without a value of Id it is a create."""
    name = key or "Id"
    value = next((given for each, given in values.items() if each.lower() == name.lower()), None)
    rest = {each: given for each, given in values.items() if each.lower() != name.lower()}
    if value is None and name.lower() == "id":
        return create(state, kind, rest, caller), True
    if value is None:
        raise Refusal(400, "MISSING_ARGUMENT", f"{name} not specified", ())
    return upsert(state, kind, (name, str(value)), rest, caller)


def repeated(writes: Sequence[Write]) -> dict[int, Outcome]:
    """The writes of one call, by position, that are refused because another of them is for the same record."""
    names = [_named(each) for each in writes]
    often = Counter(each for each in names if each is not None)
    refused: dict[int, Outcome] = {}
    for at, name in enumerate(names):
        if name is not None and often[name] > 1:
            word = "id" if name[1] == "id" else "external id"
            refusal = Refusal(400, "DUPLICATE_VALUE", f"Duplicate {word} specified: {name[2]}", ())
            refused[at] = Outcome(False, refusals=(refusal,))
    return refused


def _named(write: Write) -> tuple[str, str, str] | None:
    """Object, key field and value by which a write names its record."""
    if write.verb == "update":
        return write.object.lower(), "id", full_id(write.id) or write.id
    if write.verb != "upsert":
        return None
    key = (write.key or "Id").lower()
    value = next((given for each, given in write.values.items() if each.lower() == key), None)
    return None if value is None else (write.object.lower(), key, str(value))
