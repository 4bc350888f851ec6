"""Values that must be unique in a portal: e-mail addresses of contacts, and custom properties made so."""

from collections.abc import Mapping

from connectors.emulators.hubspot.answers import Refusal, invalid
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.records import Record


def conflict(portal: Portal, kind: ObjectType, clean: Mapping[str, str], own: Record | None = None) -> Record | None:
    """The other contact that has this e-mail address; 400 when another record holds another unique value."""
    shelf = portal.shelf(kind)
    for name in shelf.unique:
        held = shelf.find_by(name, clean[name]) if clean.get(name) else None
        if held is None or (own is not None and held.id == own.id):
            continue
        if name == "email":
            return held
        raise _not_unique(name, clean[name], held)
    return None


def _not_unique(name: str, value: str, held: Record) -> Refusal:
    message = f'The value "{value}" of the unique property {name} is already held by {held.id}.'
    errors = [{"message": message, "code": "CONFLICTING_UNIQUE_VALUE", "context": {"propertyName": [name]}}]
    return invalid(message, errors=errors)
