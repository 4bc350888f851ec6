"""Associations that are given along with a new record, or shown inside one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connectors.emulators.hubspot import companies
from connectors.emulators.hubspot.answers import Json, invalid
from connectors.emulators.hubspot.catalog import ASSOCIATION_TYPES, OBJECT_TYPES, PRIMARY_COMPANY, ObjectType
from connectors.emulators.hubspot.cursors import opened, sealed
from connectors.emulators.hubspot.links import End, described
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
        portal.webhooks.tied((here, tie.there), primary=PRIMARY_COMPANY in tie.type_ids)
        companies.tied(portal, here, tie.there, frozenset(tie.type_ids))


def tied_ids(portal: Portal, here_id: int, kinds: tuple[ObjectType, ObjectType], after: str = "") -> Json:
    """{"results": [{"id", "type"}], "paging"?}: ties in the v3 form, one entry for each way of being tied."""
    here, there = kinds
    ties, first = portal.ties((here.plural, here_id), there.plural), _first_id(after)
    ids = [each for each in (sorted(ties) if len(ties) > 1 else ties) if each > first]
    size = portal.manners.inline_associations
    body: Json = {"results": [entry for each in ids[:size] for entry in _entries(here, there, each, ties[each])]}
    if len(ids) > size:
        cursor = sealed(f"{here.type_id}-{ids[size - 1]}")
        path = f"/crm/v3/objects/{here.type_id}/{here_id}/associations/{there.type_id}"
        link = f"https://api.hubapi.com{path}?portalId={portal.manners.portal_id}&after={cursor}"
        body["paging"] = {"next": {"after": cursor, "link": link}}
    return body


def _first_id(after: str) -> int:
    """The id behind which a page starts: the cursor stands for `type-id`."""
    found = record_id(opened(after).rpartition("-")[2]) if after else 0
    if found is None:
        raise invalid(f"{after} is not a valid paging cursor")
    return found


def _entries(here: ObjectType, there: ObjectType, their_id: int, type_ids: frozenset[int]) -> list[Json]:
    word = f"{here.singular}_to_{there.singular}"
    labelled = any(each.label for each in ASSOCIATION_TYPES[here.plural, there.plural])
    plain = f"{word}_unlabeled" if labelled else word
    return [
        {"id": str(their_id), "type": plain if each.label is None else word}
        for each in described(here.plural, there.plural, type_ids)
    ]
