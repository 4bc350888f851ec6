"""Search: reading a request, judging it by HubSpot's limits, and answering it from the index."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import orjson

from connectors.emulators.hubspot.answers import Json, Refusal, invalid, refusal
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.clock import parse_ms
from connectors.emulators.hubspot.index import Found, Question
from connectors.emulators.hubspot.portal import Manners, Portal
from connectors.emulators.hubspot.records import Record

MAX_BODY_CHARS = 3000
MAX_PAGE = 200
MAX_RESULTS = 10_000
MAX_GROUPS, MAX_FILTERS_A_GROUP, MAX_FILTERS = 5, 6, 18
Test = Callable[[Record], bool]
Comparable = float | int | str
_TOKEN = re.compile(r"\w+")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "LT": lambda have, want: have < want,
    "LTE": lambda have, want: have <= want,
    "GT": lambda have, want: have > want,
    "GTE": lambda have, want: have >= want,
}
_OPERATORS = frozenset(_COMPARISONS) | {
    "EQ", "NEQ", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one property."""

    name: str
    operator: str
    value: str = ""
    high_value: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A search request that keeps the limits."""

    groups: tuple[tuple[Filter, ...], ...]
    query: str
    sort: tuple[str, bool] | None  # property, descending
    properties: tuple[str, ...]
    limit: int
    after: int


def parse_request(body: Json, size: int, manners: Manners) -> Request:
    """The request, or the 400 for what breaks a limit. `size`: characters of the body as it was sent."""
    if manners.search_size_counts == "filters":
        size = size_in_characters(orjson.dumps(body.get("filterGroups", ())))
    if size > MAX_BODY_CHARS:
        raise invalid(f"The request body is too long: {size} characters, {MAX_BODY_CHARS} are allowed")
    groups = tuple(_group(raw) for raw in _list(body, "filterGroups"))
    counts = [len(group) for group in groups]
    if len(groups) > MAX_GROUPS or max(counts, default=0) > MAX_FILTERS_A_GROUP or sum(counts) > MAX_FILTERS:
        raise invalid(
            f"Too many filters: {MAX_GROUPS} groups of {MAX_FILTERS_A_GROUP}, {MAX_FILTERS} in all, are allowed"
        )
    sorts = _list(body, "sorts")
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed")
    limit, after = _whole(body, "limit", 10), _whole(body, "after", 0)
    if not 0 < limit <= MAX_PAGE:
        raise invalid(f"limit must be between 1 and {MAX_PAGE}")
    if after + limit > MAX_RESULTS:
        raise _past_the_end(manners)
    query = str(body.get("query") or "")
    properties = tuple(str(each) for each in _list(body, "properties"))
    return Request(groups, query, _sort(sorts[0]) if sorts else None, properties, limit, after)


def _past_the_end(manners: Manners) -> Refusal:
    """Both wordings have been reported; neither was recorded."""
    if manners.past_ten_thousand == "plain":
        return invalid(f"The maximum number of results that can be paged through is {MAX_RESULTS}.")
    return _problem(f"paging ends at {MAX_RESULTS} results")


def _problem(detail: str) -> Refusal:
    errors = [{"message": detail}]
    return invalid("There was a problem with the request.", errors=errors)


def _list(body: Json, key: str) -> Sequence[Any]:
    found = body.get(key) or ()
    if not isinstance(found, list | tuple):
        raise invalid(f"Invalid input JSON: '{key}' must be a list")
    return found


def _whole(body: Json, key: str, default: int) -> int:
    raw = body.get(key)
    if raw in (None, ""):
        return default
    try:
        found = int(raw)
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid input JSON: '{key}' must be a whole number") from error
    if found < 0:
        raise invalid(f"'{key}' must not be negative")
    return found


def _group(raw: object) -> tuple[Filter, ...]:
    if not isinstance(raw, Mapping):
        raise invalid("Invalid input JSON: a filter group must be an object")
    return tuple(_filter(each) for each in _list(dict(raw), "filters"))


def _filter(raw: Mapping[str, Any]) -> Filter:
    name, operator = raw.get("propertyName"), raw.get("operator")
    if not name or operator not in _OPERATORS:
        raise invalid(f"Invalid input JSON: a filter needs propertyName and one of the operators {sorted(_OPERATORS)}")
    needs = {"IN": ("values",), "NOT_IN": ("values",), "BETWEEN": ("value", "highValue"),
             "HAS_PROPERTY": (), "NOT_HAS_PROPERTY": ()}.get(operator, ("value",))  # fmt: skip
    if any(raw.get(key) is None for key in needs):
        raise _problem(f"operator {operator} requires {' and '.join(needs)}")
    value, high = str(raw.get("value", "")), str(raw.get("highValue", ""))
    return Filter(str(name), str(operator), value, high, tuple(str(each) for each in raw.get("values") or ()))


def _sort(raw: object) -> tuple[str, bool]:
    """Both forms in use: {"propertyName", "direction"} and "name" or "-name"."""
    if isinstance(raw, str):
        return raw.lstrip("-"), raw.startswith("-")
    if isinstance(raw, Mapping) and raw.get("propertyName"):
        return str(raw["propertyName"]), str(raw.get("direction", "ASCENDING")).upper().startswith("DESC")
    raise invalid("Invalid input JSON: a sort needs propertyName")


def run(portal: Portal, kind: ObjectType, request: Request) -> tuple[int, list[Record], str | None]:
    """The number of matches, this page's records as the index has them, and `after` of the next page."""
    index = portal.shelf(kind).index
    index.catch_up(portal.clock.now_ms())
    floor, groups = _keyset(request.groups)
    found = index.answer(_question(portal, kind, groups, request.query))
    ids = _in_order(portal, kind, found, request.sort)
    if floor is not None and _by_id(request.sort):
        first = bisect_right(ids, floor)
    else:
        first, ids = 0, ids if floor is None else [each for each in ids if each > floor]
    total, start = len(ids) - first, first + request.after
    page = [index.rows[each] for each in ids[start : start + request.limit]]
    end = request.after + request.limit
    return total, page + _strays(portal, index.rows, page), str(end) if end < total else None


def _strays(portal: Portal, rows: Mapping[int, Record], page: Sequence[Record]) -> list[Record]:
    if not portal.manners.stray_search_rows or not page:
        return []
    shown = {each.id for each in page}
    return [row for row in rows.values() if row.id not in shown][: portal.manners.stray_search_rows]


def _by_id(sort: tuple[str, bool] | None) -> bool:
    return sort is None or sort == ("hs_object_id", False)


def _keyset(groups: tuple[tuple[Filter, ...], ...]) -> tuple[int | None, tuple[tuple[Filter, ...], ...]]:
    """Take `hs_object_id GT n` out of a single group: it is answered by position, so that all pages share one scan."""
    if len(groups) != 1:
        return None, groups
    floors = [
        each for each in groups[0] if each.name == "hs_object_id" and each.operator == "GT" and each.value.isdigit()
    ]
    if not floors:
        return None, groups
    return max(int(each.value) for each in floors), (tuple(each for each in groups[0] if each not in floors),)


def _question(portal: Portal, kind: ObjectType, groups: tuple[tuple[Filter, ...], ...], query: str) -> Question:
    tests = [_all_of([_test(portal, kind, each) for each in group]) for group in groups]
    matches = _any_of(tests) if tests else _everything
    if query:
        matches = _all_of([matches, _query_test(kind, query)])
    return Question((groups, query.lower()), matches, _window(kind, groups))


def _everything(record: Record) -> bool:
    return True


def _all_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda record: all(test(record) for test in tests)


def _any_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda record: any(test(record) for test in tests)


def _window(kind: ObjectType, groups: tuple[tuple[Filter, ...], ...]) -> tuple[int, int] | None:
    """The span of modified times that a single group allows, to spare the rest of the records."""
    if len(groups) != 1:
        return None
    low, high, bounded = 0, 1 << 62, False
    for each in groups[0]:
        if each.name != kind.modified_property:
            continue
        if each.operator in ("GT", "GTE", "EQ", "BETWEEN"):
            low, bounded = max(low, _moment(each.value) or 0), True
        if each.operator in ("LT", "LTE", "EQ", "BETWEEN"):
            high, bounded = min(high, _moment(each.high_value or each.value) or 0), True
    return (low, high) if bounded else None


def _query_test(kind: ObjectType, query: str) -> Test:
    words = _TOKEN.findall(query.lower())

    def matches(record: Record) -> bool:
        text = " ".join(record.values.get(name, "") for name in kind.searched_by_query).lower()
        tokens = _TOKEN.findall(text)
        return all(any(token.startswith(word) for token in tokens) for word in words)

    return matches


def _test(portal: Portal, kind: ObjectType, asked: Filter) -> Test:
    if asked.operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        wanted, name = asked.operator == "HAS_PROPERTY", asked.name
        _type_of(portal, kind, name)
        return lambda record: (name in record.values) is wanted
    if asked.operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        return _token_test(portal, kind, asked)
    value_type = _type_of(portal, kind, asked.name)
    read = _reader(kind, asked.name, value_type)
    if asked.operator in ("IN", "NOT_IN"):
        return _membership_test(read, asked, value_type)
    return _comparison_test(read, asked, value_type)


def _comparison_test(read: Callable[[Record], Comparable | None], asked: Filter, value_type: str) -> Test:
    want = _wanted(asked.value, value_type)
    if asked.operator == "BETWEEN":
        high: Any = _wanted(asked.high_value, value_type)
        low: Any = want
        return lambda record: (have := read(record)) is not None and low <= have <= high
    if asked.operator in ("EQ", "NEQ"):
        equal = asked.operator == "EQ"
        return lambda record: (have := read(record)) is not None and (have == want) is equal
    compare = _COMPARISONS[asked.operator]
    return lambda record: (have := read(record)) is not None and compare(have, want)


def _membership_test(read: Callable[[Record], Comparable | None], asked: Filter, value_type: str) -> Test:
    inside = asked.operator == "IN"
    # The index holds strings in lower case and IN compares as is: "London" finds nothing, "london" does.
    wanted = set(asked.values) if value_type == "string" else {_wanted(each, value_type) for each in asked.values}
    return lambda record: (have := read(record)) is not None and (have in wanted) is inside


def _token_test(portal: Portal, kind: ObjectType, asked: Filter) -> Test:
    _type_of(portal, kind, asked.name)
    name, pattern, contained = asked.name, asked.value.lower(), asked.operator == "CONTAINS_TOKEN"
    words = set(_TOKEN.findall(pattern))

    def matches(record: Record) -> bool:
        text = record.values.get(name, "").lower()
        tokens = _TOKEN.findall(text)
        if "*" in pattern:
            hit = any(fnmatchcase(each, pattern) for each in (*tokens, *text.split(), text))
        else:
            hit = bool(words) and words.issubset(tokens)
        return bool(text) and hit is contained

    return matches


def _type_of(portal: Portal, kind: ObjectType, name: str) -> str:
    definition = portal.schema(kind).properties.get(name)
    if definition is None:
        raise _problem(f"Property {name} does not exist")
    return definition.type


def _reader(kind: ObjectType, name: str, value_type: str) -> Callable[[Record], Comparable | None]:
    if name == "hs_object_id":
        return lambda record: record.id
    if name == kind.modified_property:
        return lambda record: record.modified_ms
    convert = _CONVERSIONS.get(value_type, str.lower)

    def read(record: Record) -> Comparable | None:
        text = record.values.get(name)
        return None if text is None else convert(text)

    return read


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _moment(text: str) -> int | None:
    try:
        return parse_ms(text)
    except ValueError:
        number = _number(text)
        return None if number is None else int(number)


_CONVERSIONS: Mapping[str, Callable[[str], Comparable | None]] = {
    "number": _number,
    "datetime": _moment,
    "date": _moment,
    "enumeration": str,
    "bool": str,
}


def _wanted(text: str, value_type: str) -> Comparable:
    if value_type == "number":
        number = _number(text)
        if number is None:
            raise _problem(f"{text} is not a number")
        return number
    if value_type in ("datetime", "date"):
        return _wanted_moment(text)
    return text if value_type in ("enumeration", "bool") else text.lower()


def _wanted_moment(text: str) -> int:
    moment = _moment(text)
    if moment is None:
        raise _problem(f"{text} is not a time")
    if moment == 0:
        # Asking from the very beginning of time breaks HubSpot's search; seen by other connectors.
        raise refusal(500, "internal error")
    return moment


def _in_order(portal: Portal, kind: ObjectType, found: Found, sort: tuple[str, bool] | None) -> list[int]:
    if sort is None or _by_id(sort):
        return found.ids
    if sort not in found.orders:
        name, descending = sort
        read, rows = _reader(kind, name, _type_of(portal, kind, name)), portal.shelf(kind).index.rows
        keys: dict[int, Any] = {each: read(rows[each]) for each in found.ids}
        known = [each for each in found.ids if keys[each] is not None]
        unknown = [each for each in found.ids if keys[each] is None]
        found.orders[sort] = sorted(known, key=keys.__getitem__, reverse=descending) + unknown
    return found.orders[sort]


def size_in_characters(raw: bytes) -> int:
    """Length of a body as HubSpot counts it."""
    return len(raw.decode("utf-8", "replace"))
