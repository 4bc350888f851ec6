"""Aggregates: COUNT, SUM and the like over all rows or over groups, with HAVING and ORDER BY of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from connectors.emulators.salesforce.fields import NUMBERS, typed_field
from connectors.emulators.salesforce.soql.ast import Argument, Call, Expression, Name, Query, Selected
from connectors.emulators.salesforce.soql.evaluation import Filters, Predicate
from connectors.emulators.salesforce.soql.names import AGGREGATES, Column, Scope, unwrapped
from connectors.emulators.salesforce.table import Row

Shown = dict[str, object]
_KEY, _ROWS = "$key", "$rows"  # a group is a row with these two


def is_grouped(query: Query) -> bool:
    """Does the query answer aggregates rather than records?"""
    selected = [unwrapped(each.expression) for each in query.select if isinstance(each, Selected)]
    return query.group is not None or any(isinstance(each, Call) and each.function in AGGREGATES for each in selected)


@dataclass(frozen=True, slots=True)
class Groups:
    """A grouped query: its keys, and what may be read of a group."""

    scope: Scope
    query: Query
    keys: tuple[Expression, ...]

    def column(self, expression: Argument) -> Column:
        """A key or an aggregate, read of a group; an alias of SELECT means what it stands for."""
        if isinstance(expression, Name) and len(expression.path) == 1:
            expression = self._aliased(expression)
        expression = unwrapped(expression)
        if isinstance(expression, Call) and expression.function in AGGREGATES:
            return self._aggregate(expression)
        if isinstance(expression, Call) and expression.function == "grouping":
            return self._grouping_flag(expression)
        return self._key(expression)

    def _aliased(self, name: Name) -> Expression:
        for each in self.query.select:
            if isinstance(each, Selected) and each.alias.lower() == name.path[0].lower() != "":
                return each.expression
        return name

    def _key(self, expression: Argument) -> Column:
        column = self.scope.value(expression)
        for at, key in enumerate(self.keys):
            other = self.scope.value(key)
            if (other.parents, other.field.name) == (column.parents, column.field.name):
                return replace(column, get=_key_getter(at))
        message = f"Field must be grouped or aggregated: {_named(expression)}"
        raise self.scope.text.refusal("MALFORMED_QUERY", message, expression.at)

    def _aggregate(self, call: Call) -> Column:
        if not call.arguments:
            return Column(typed_field("Id", "Id", "int"), lambda group: len(group[_ROWS]), self.scope.kind)  # type: ignore[arg-type]
        inner = self.scope.value(call.arguments[0])
        numeric = call.function in ("sum", "avg")
        if not inner.field.aggregatable or (numeric and inner.field.type not in NUMBERS):
            message = f"field {inner.field.name} does not support aggregate operator {call.function.upper()}"
            raise self.scope.refusal(message, call.at)
        compute, get = _COMPUTED[call.function], inner.get
        kind = {"count": "int", "count_distinct": "int", "sum": "double", "avg": "double"}.get(call.function)
        field = typed_field(inner.field.name, "", kind) if kind else inner.field

        def read(group: Row) -> object:
            values = [value for row in group[_ROWS] if (value := get(row)) is not None]  # type: ignore[attr-defined]
            return compute(values)

        return Column(field, read, self.scope.kind)

    def _grouping_flag(self, call: Call) -> Column:
        inner = self._key(call.arguments[0])
        return Column(typed_field("grouping", "", "int"), lambda group: int(inner.get(group) is None), self.scope.kind)


def grouped(scope: Scope, query: Query, rows: Sequence[Row], filters: Callable[[Groups], Filters]) -> list[Shown]:
    """The rows of AggregateResult, in the order asked for, not yet cut to LIMIT."""
    keys = query.group.expressions if query.group else ()
    for key in keys:
        column = scope.value(key)
        if not column.field.groupable:
            raise scope.refusal(f"field '{column.field.name}' can not be grouped in a query call", key.at)
    groups = Groups(scope, query, keys)
    columns = _columns(groups)
    found = _gathered(groups, rows)
    if query.having is not None:
        test: Predicate = filters(groups).predicate(query.having)
        found = [each for each in found if test(each)]
    for each in reversed(query.order):
        found = sort_rows(found, groups.column(each.expression), each.descending, each.nulls_last)
    return [
        {"attributes": {"type": "AggregateResult"}, **{name: column.get(group) for name, column in columns}}
        for group in found
    ]


def sort_rows(rows: list[Row], column: Column, descending: bool, nulls_last: bool) -> list[Row]:
    """Stable; text without regard to case, ids with it; rows without a value first or last, whatever the direction."""
    get, key = column.get, _exactly if column.field.type in ("id", "reference") else _sortable
    filled = [row for row in rows if get(row) is not None]
    empty = [row for row in rows if get(row) is None]
    filled.sort(key=lambda row: key(get(row)), reverse=descending)
    return [*filled, *empty] if nulls_last else [*empty, *filled]


def _sortable(value: object) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _exactly(value: object) -> Any:
    return value


def _columns(groups: Groups) -> list[tuple[str, Column]]:
    columns: list[tuple[str, Column]] = []
    unnamed = 0
    for each in groups.query.select:
        if not isinstance(each, Selected):
            raise groups.scope.text.refusal("MALFORMED_QUERY", "Grouped query cannot use child relationships", each.at)
        name = each.alias
        if not name and isinstance(each.expression, Name):
            name = groups.column(each.expression).field.name
        elif not name:
            name, unnamed = f"expr{unnamed}", unnamed + 1
        if any(name.lower() == other.lower() for other, _ in columns):
            raise groups.scope.text.refusal("MALFORMED_QUERY", f"duplicate alias: {name}", each.at)
        columns.append((name, groups.column(each.expression)))
    return columns


def _gathered(groups: Groups, rows: Sequence[Row]) -> list[Row]:
    if groups.query.group is None:
        return [{_KEY: (), _ROWS: rows}]
    getters = [groups.scope.value(key).get for key in groups.keys]
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(get(row) for get in getters), []).append(row)
    plain = _as_groups(found)
    return [*plain, *_subtotals(groups.query.group.kind, len(getters), found)]


def _as_groups(found: dict[tuple[object, ...], list[Row]]) -> list[Row]:
    ordered = sorted(found.items(), key=lambda pair: tuple((each is not None, _sortable(each)) for each in pair[0]))
    return [{_KEY: key, _ROWS: rows} for key, rows in ordered]


def _subtotals(kind: str, width: int, found: dict[tuple[object, ...], list[Row]]) -> list[Row]:
    if kind == "plain":
        return []
    kept = [tuple(range(size)) for size in range(width - 1, -1, -1)]
    if kind == "cube":
        kept = [each for size in range(width - 1, -1, -1) for each in combinations(range(width), size)]
    totals: list[Row] = []
    for places in kept:
        sums: dict[tuple[object, ...], list[Row]] = {}
        for key, rows in found.items():
            short = tuple(value if at in places else None for at, value in enumerate(key))
            sums.setdefault(short, []).extend(rows)
        totals.extend(_as_groups(sums))
    return totals


def _key_getter(at: int) -> Callable[[Row], object]:
    return lambda group: group[_KEY][at]  # type: ignore[index]


def _named(expression: Argument) -> str:
    if isinstance(expression, Name):
        return expression.text
    return expression.function if isinstance(expression, Call) else str(expression.value)


def _total(values: list[object]) -> object:
    return sum(values) if values else None  # type: ignore[arg-type]


def _mean(values: list[object]) -> object:
    return float(sum(values)) / len(values) if values else None  # type: ignore[arg-type]


_COMPUTED: dict[str, Callable[[list[object]], object]] = {
    "count": len,
    "count_distinct": lambda values: len({each.casefold() if isinstance(each, str) else each for each in values}),
    "sum": _total,
    "avg": _mean,
    "min": lambda values: min(values, key=_sortable, default=None),
    "max": lambda values: max(values, key=_sortable, default=None),
}
