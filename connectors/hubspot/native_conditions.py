"""Conditions of HubSpot's own scores, in the words of a model file.

Operations and operators: the schemas `Public...PropertyOperation` of HubSpot's Lead Scoring API (2026-09-beta), and its
guide "List filters", which tells the operators that the schemas leave open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from connectors.hubspot.values import Json


class NotCarried(ValueError):
    """Why something of HubSpot's score has no counterpart in a model file."""


def condition(given: Json) -> Json:
    """A "whereCondition", alone or composed."""
    if given.get("type") == "COMPOSITE":
        if given.get("operator") != "AND":
            raise NotCarried(f"conditions joined by {given.get('operator')}")
        parts = [condition(each if isinstance(each, dict) else {}) for each in _listed(given, "conditions")]
        return parts[0] if len(parts) == 1 else {"all": parts}
    return test(_text(given, "property"), _inner(given, "operation"))


def test(name: str, operation: Json) -> Json:
    """One property and what is asked of it. A property without a value passes only where HubSpot says so."""
    asked = _asked(operation)
    if operation.get("includeObjectsWithNoValueSet") is True and "is_set" not in asked:
        return {"any": [{name: asked}, {name: {"is_set": False}}]}
    return {name: asked}


def _asked(operation: Json) -> Json:
    kind, operator = str(operation.get("operationType")), str(operation.get("operator"))
    found = _TESTS.get((kind, operator))
    if found is None:
        raise NotCarried(f"the test {kind} {operator}")
    word, argument = found
    return {word: argument(operation)}


def days_back(operation: Json) -> int:
    """Of the timeframe "in the last so many days"."""
    if (operation.get("operationType"), operation.get("operator")) != ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO"):
        raise NotCarried(f"the timeframe {operation.get('operationType')} {operation.get('operator')}")
    return _days(operation)


def number(value: object) -> float:
    """A plain number; whole ones as integers, so that they are written without a point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotCarried(f"{value!r}, which is no number")
    return int(value) if value == int(value) else value


def _values(operation: Json) -> list[str]:
    found = [str(each) for each in _listed(operation, "values")]
    if not found:
        raise NotCarried("a test without values")
    return found


def _texts(operation: Json) -> list[str]:
    found = _values(operation) if "values" in operation else [_text(operation, "value")]
    if not all(each.strip() for each in found):
        raise NotCarried("a test for an empty text")
    return found


def _starts(operation: Json) -> str:
    return rf"^({'|'.join(re.escape(each) for each in _texts(operation))})"


def _ends(operation: Json) -> str:
    return rf"({'|'.join(re.escape(each) for each in _texts(operation))})$"


def _flag(operation: Json) -> list[bool]:
    if not isinstance(operation.get("value"), bool):
        raise NotCarried("a test for yes or no without either")
    return [operation["value"]]


def _bound(operation: Json) -> float:
    return number(operation.get("value"))


def _same(operation: Json) -> list[float]:
    return [_bound(operation)]


def _range(operation: Json) -> list[float]:
    return [number(operation.get("lowerBound")), number(operation.get("upperBound"))]


def _days(operation: Json) -> int:
    days = number(operation.get("numberOfDays"))
    if not isinstance(days, int) or days < 1:
        raise NotCarried("a span of no days")
    return days


def _age(operation: Json) -> str:
    return f"{_days(operation)}d"


def _yes(_operation: Json) -> bool:
    return True


def _no(_operation: Json) -> bool:
    return False


_Argument = Callable[[Json], Any]
_TEXT_TESTS: Mapping[str, tuple[str, _Argument]] = {
    "IS_EQUAL_TO": ("any_of", _texts),
    "IS_NOT_EQUAL_TO": ("not_any_of", _texts),
    "CONTAINS": ("contains", _texts),
    "DOES_NOT_CONTAIN": ("not_contains", _texts),
    "STARTS_WITH": ("matches", _starts),
    "ENDS_WITH": ("matches", _ends),
}
_TESTS: Mapping[tuple[str, str], tuple[str, _Argument]] = MappingProxyType(
    {
        ("ALL_PROPERTY", "IS_KNOWN"): ("is_set", _yes),
        ("ALL_PROPERTY", "IS_UNKNOWN"): ("is_set", _no),
        ("ENUMERATION", "IS_ANY_OF"): ("any_of", _values),
        ("ENUMERATION", "IS_NONE_OF"): ("not_any_of", _values),
        ("BOOL", "IS_EQUAL_TO"): ("any_of", _flag),
        ("BOOL", "IS_NOT_EQUAL_TO"): ("not_any_of", _flag),
        ("NUMBER", "IS_EQUAL_TO"): ("any_of", _same),
        ("NUMBER", "IS_NOT_EQUAL_TO"): ("not_any_of", _same),
        ("NUMBER", "IS_GREATER_THAN"): ("over", _bound),
        ("NUMBER", "IS_GREATER_THAN_OR_EQUAL_TO"): ("at_least", _bound),
        ("NUMBER", "IS_LESS_THAN"): ("under", _bound),
        ("NUMBER", "IS_LESS_THAN_OR_EQUAL_TO"): ("at_most", _bound),
        ("NUMBER_RANGED", "IS_BETWEEN"): ("between", _range),
        ("NUMBER_RANGED", "IS_NOT_BETWEEN"): ("not_between", _range),
        ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO"): ("newer_than", _age),
        ("ROLLING_DATE_RANGE", "IS_MORE_THAN_X_DAYS_AGO"): ("older_than", _age),
        **{(kind, operator): asked for kind in ("STRING", "MULTISTRING") for operator, asked in _TEXT_TESTS.items()},
    }
)


def _listed(given: Json, name: str) -> Sequence[Any]:
    found = given.get(name)
    if not isinstance(found, list) or not found:
        raise NotCarried(f"an empty {name}")
    return found


def _inner(given: Json, name: str) -> Json:
    found = given.get(name)
    if not isinstance(found, dict):
        raise NotCarried(f"a rule without {name}")
    return found


def _text(given: Json, name: str) -> str:
    found = given.get(name)
    if not isinstance(found, str) or not found:
        raise NotCarried(f"a rule without {name}")
    return found
