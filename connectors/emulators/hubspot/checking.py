"""Judging what a client wants to write, before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connectors.emulators.hubspot.answers import Refusal, invalid
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.values import BadValue, normalised

ENFORCES_REQUIREMENTS_FROM = "2026-09"


# Its definition says otherwise (as recorded), but since April 2019 only an association sets it (HubSpot's changelog).
_READ_ONLY_ALL_THE_SAME = frozenset({"associatedcompanyid"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One property that cannot be written."""

    name: str
    code: str
    message: str


def as_text(value: Any) -> str | None:
    """A JSON value as the text a portal stores: true, 5 and 5.5 are taken as if they were quoted; null is no value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise invalid("Invalid input JSON: a property value must be a string")


def checked(portal: Portal, kind: ObjectType, raw: object) -> tuple[dict[str, str], list[Problem]]:
    """The values in stored form, and what is wrong with the others. A null does what the manners say."""
    if not isinstance(raw, Mapping):
        raise invalid("Invalid input JSON: 'properties' must be an object")
    clean: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in raw.items():
        text = as_text(value)
        problem = _null(portal, kind, name, clean) if text is None else _problem(portal, kind, name, text, clean)
        if problem is not None:
            problems.append(problem)
    return clean, problems


def _null(portal: Portal, kind: ObjectType, name: str, clean: dict[str, str]) -> Problem | None:
    """What a null does is documented nowhere, so the portal's manners say."""
    if portal.manners.null_writes == "clear":
        return _problem(portal, kind, name, "", clean)
    if portal.manners.null_writes == "refuse":
        return Problem(name, "INVALID_VALUE", f'"{name}" cannot be null')
    return None


def _problem(portal: Portal, kind: ObjectType, name: str, text: str, clean: dict[str, str]) -> Problem | None:
    definition = portal.schema(kind).properties.get(name.lower())
    if definition is None:
        return Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if definition.read_only_value or definition.name in _READ_ONLY_ALL_THE_SAME:
        return Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    if name == "hubspot_owner_id" and text and not _is_active_owner(portal, text):
        return Problem(name, "INVALID_OWNER_ID", f"{text} is not the id of an active owner.")
    try:
        clean[definition.name] = normalised(definition, text)
    except BadValue as bad:
        return Problem(name, bad.code, str(bad))
    return None


def _is_active_owner(portal: Portal, text: str) -> bool:
    owner = portal.owners.get(int(text)) if text.isdigit() else None
    return owner is not None and not owner.archived


def refuse_problems(problems: Sequence[Problem]) -> None:
    """400 for the whole request if there is any problem; it does not say which input of a batch is to blame."""
    if problems:
        raise _invalid_values(problems)


def _invalid_values(problems: Sequence[Problem]) -> Refusal:
    listed = [{"isValid": False, "message": each.message, "error": each.code, "name": each.name} for each in problems]
    errors = [
        {"message": each.message, "code": each.code, "context": {"propertyName": [each.name]}} for each in problems
    ]
    return invalid(f"Property values were not valid: {orjson.dumps(listed).decode()}", errors=errors)


def refuse_missing(kind: ObjectType, clean: Mapping[str, str]) -> None:
    """400 when a new record lacks what its kind must have (an activity its hs_timestamp)."""
    missing = [name for name in kind.required_on_create if not clean.get(name)]
    if missing:
        message = f"Error creating {kind.singular.upper()}. Some required properties were not set."
        raise invalid(message, context={"properties": missing})


def moves_backward(portal: Portal, record: Record | None, clean: Mapping[str, str]) -> bool:
    """Would this write set the lifecycle stage back? From a stage the portal does not know any move is forward."""
    now, then = clean.get("lifecyclestage"), record.values.get("lifecyclestage") if record else None
    order = [stage for stage, _ in portal.manners.stages]
    return bool(now) and now in order and then in order and order.index(now) < order.index(then)


def refuse_against(portal: Portal, record: Record | None, clean: Mapping[str, str], version: str) -> None:
    """400 for a write that its values alone do not forbid, but the record's state and the portal's rules do."""
    if portal.manners.backward_lifecycle == "refuse" and moves_backward(portal, record, clean):
        message = f"{clean['lifecyclestage']} is before the current lifecycle stage; clear the property first."
        refuse_problems([Problem("lifecyclestage", "INVALID_LIFECYCLE_STAGE", message)])
    if version >= ENFORCES_REQUIREMENTS_FROM and version[0].isdigit():
        _refuse_unmet(portal, {**(record.values if record else {}), **clean}, clean)


def _refuse_unmet(portal: Portal, after: Mapping[str, str], written: Mapping[str, str]) -> None:
    for rule in portal.manners.requirements:
        if written.get(rule.name) != rule.value:
            continue
        unmet = [name for name in rule.needs if not after.get(name)]
        if unmet:
            message = f"When {rule.name} is {rule.value}, these properties are required: {', '.join(unmet)}"
            errors = [{"message": message, "code": "REQUIRED_FIELD", "context": {"propertyName": unmet}}]
            raise invalid(message, errors=errors)
