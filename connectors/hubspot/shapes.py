"""What an answer of HubSpot's must look like for us to read it. Another shape is told at the door, as trouble that may
pass: what reads it can then rely on it.

Values of properties may be anything, and are tolerated where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from connectors.hubspot.values import Json

_LONGEST_ID = 20  # digits; HubSpot's ids have twelve


def oddity(path: str, answer: Json) -> str | None:
    """What is wrong with the answer that came from there; None: it can be read. Its `results`, where it has any, are
    known to be objects."""
    errors = answer.get("errors")
    if errors is not None and not (_is_list(errors) and all(map(_is_error, errors))):
        return "its errors have another shape"
    rows = answer.get("results") or ()
    if any(part in path and not all(map(fits, rows)) for part, fits in _ROWS.items()):
        return "a part of its results has another shape"
    return None


def is_id(value: object) -> bool:
    """Of a record: digits, as text or as a number."""
    if isinstance(value, str):
        return value.isdecimal() and value.isascii() and len(value) <= _LONGEST_ID
    return isinstance(value, int) and not isinstance(value, bool) and is_id(str(value))


def _is_record(row: Json) -> bool:
    """This is asked of every record of a load, so the usual comes first."""
    if not (is_id(row.get("id")) and isinstance(row.get("properties"), dict)):
        return False
    if "propertiesWithHistory" not in row and "associations" not in row:
        return True
    more = [(row.get("propertiesWithHistory"), _is_history), (row.get("associations"), _is_inline)]
    return all(part is None or (isinstance(part, dict) and all(map(fits, part.values()))) for part, fits in more)


def _is_history(versions: Any) -> bool:
    return versions is None or (_is_list(versions) and all(map(_is_dict, versions)))


def _is_inline(ties: Any) -> bool:
    """What the list itself tells of whom a record belongs to."""
    listed = ties.get("results", []) if isinstance(ties, dict) else ()
    return ties is None or (_is_list(listed) and all(map(_is_tie, listed)))


def _is_tied(row: Json) -> bool:
    origin, ties = row.get("from"), row.get("to")
    if not (isinstance(origin, dict) and is_id(origin.get("id"))):
        return False
    return ties is None or (_is_list(ties) and all(map(_is_tie, ties)))


def _is_tie(tie: Any) -> bool:
    return isinstance(tie, dict) and is_id(tie.get("toObjectId", tie.get("id")))


def _is_definition(row: Json) -> bool:
    options, rights = row.get("options"), row.get("modificationMetadata")
    listed = options is None or (_is_list(options) and all(map(_is_dict, options)))
    return isinstance(row.get("name"), str) and listed and (rights is None or isinstance(rights, dict))


def _is_event(row: Json) -> bool:
    return row.get("properties") is None or isinstance(row["properties"], dict)


def _is_submission(row: Json) -> bool:
    return row.get("values") is None or _is_list(row["values"])


def _is_owner(row: Json) -> bool:
    return _is_named(row) and (row.get("email") is None or isinstance(row["email"], str))


def _is_named(row: Json) -> bool:
    """It has an id of whatever kind."""
    return isinstance(row.get("id"), str | int)


_ROWS: Mapping[str, Callable[[Json], bool]] = MappingProxyType(
    {
        "/objects/": _is_record,
        "/associations/": _is_tied,
        "/properties/": _is_definition,
        "/owners": _is_owner,
        "/marketing/": _is_named,  # forms, lead scores
        "/submissions/": _is_submission,
        "/events": _is_event,
        "/event-occurrences/": _is_event,
    }
)
"""Part of an address -> what each of its results must be."""


def _is_error(error: Any) -> bool:
    """One of those that come beside results: of which records it tells."""
    context = error.get("context") if isinstance(error, dict) else False
    return context is None or (isinstance(context, dict) and all(map(_is_list, context.values())))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)
