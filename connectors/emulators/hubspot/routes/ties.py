"""Associations that are given along with a new record."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connectors.emulators.hubspot.answers import invalid
from connectors.emulators.hubspot.catalog import ASSOCIATION_TYPES, OBJECT_TYPES, ObjectType
from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.operations import record_id
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.writing import note_activity


@dataclass(frozen=True, slots=True)
class Tie:
    """A tie to be made: to whom, and in which ways."""

    there: End
    type_ids: tuple[int, ...]


def parse_ties(portal: Portal, kind: ObjectType, raw: Any) -> tuple[Tie, ...]:
    """`associations` of a create; 400 when a record or type in it does not exist."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise invalid("Invalid input JSON: 'associations' must be a list")
    return tuple(_parse_tie(portal, kind, each) for each in raw)


def _parse_tie(portal: Portal, kind: ObjectType, raw: Any) -> Tie:
    types = raw.get("types") if isinstance(raw, dict) else None
    if not isinstance(types, list) or not types or not isinstance(raw.get("to"), dict):
        raise invalid("Invalid input JSON: an association needs 'to' and 'types'")
    type_ids = tuple(record_id(each.get("associationTypeId")) or 0 for each in types)
    other = other_kind(kind, type_ids)
    if other is None:
        shown = ", ".join(map(str, type_ids))
        raise invalid(f"Association type {shown} does not exist from {kind.singular.upper()}")
    found = portal.shelf(other).find(record_id(raw["to"].get("id")) or -1)
    if found is None:
        raise invalid(
            f"No {other.singular} with ID {raw['to'].get('id')} exists", context={"id": [str(raw["to"].get("id"))]}
        )
    return Tie((other.plural, found.id), type_ids)


def other_kind(kind: ObjectType, type_ids: Iterable[int]) -> ObjectType | None:
    """The kind which all these association types lead to from `kind`; None when there is none."""
    wanted = set(type_ids)
    for other in OBJECT_TYPES:
        if wanted <= {each.type_id for each in ASSOCIATION_TYPES.get((kind.plural, other.plural), ())}:
            return other
    return None


def tie_all(portal: Portal, here: End, ties: Iterable[Tie]) -> None:
    """Make the ties of a new record."""
    for tie in ties:
        portal.links.tie(here, tie.there, tie.type_ids)
        note_activity(portal, (here, tie.there))
