"""Queries run: from a statement to a result that can be paged through."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.schema import ChildRelationship, ObjectType
from connectors.emulators.salesforce.soql.ast import Call, Name, Query, Selected
from connectors.emulators.salesforce.soql.evaluation import Filters, Predicate
from connectors.emulators.salesforce.soql.grouping import Groups, grouped, is_grouped, sort_rows
from connectors.emulators.salesforce.soql.names import Scope, World
from connectors.emulators.salesforce.soql.parser import parse
from connectors.emulators.salesforce.soql.planning import candidates, sorted_already
from connectors.emulators.salesforce.soql.selection import Projection, projection
from connectors.emulators.salesforce.soql.tokens import Source as Text
from connectors.emulators.salesforce.table import Row, Table
from connectors.emulators.salesforce.views import activity_rows

T = TypeVar("T")
MAX_OFFSET = 2000
_TYPE_HINT = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
_CHILD_HINT = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)


class Result:
    """A query's answer. Which rows is settled when the query runs; their values are read when a page is asked for.

    kind: "records", "aggregate" (rows are AggregateResult) or "count" (a bare COUNT(): no rows, only total_size).
    Row shape: {"attributes": {"type", "url"}, field: value, ...} in the order of SELECT; a parent is a nested row or
    None; a child subquery is None when empty, else a nested `Result` (give orjson a `default` that renders it, with a
    nextRecordsUrl of its own when its total_size is more than the page).
    """

    __slots__ = ("_ids", "_ready", "_show", "_table", "has_children", "kind", "object", "total_size")

    def __init__(self, kind: str, object_name: str, total_size: int, has_children: bool = False) -> None:
        self.kind = kind
        self.object = object_name
        self.total_size = total_size
        self.has_children = has_children
        self._ids: Sequence[str] = ()
        self._table = Table()
        self._show: Projection = dict
        self._ready: list[dict[str, object]] = []

    @classmethod
    def records(cls, object_name: str, ids: Sequence[str], table: Table, show: Projection) -> "Result":
        """An answer of records, shown by `show` as they are when asked for."""
        made = cls("records", object_name, len(ids))
        made._ids, made._table, made._show = ids, table, show
        return made

    @classmethod
    def ready(cls, kind: str, object_name: str, rows: list[dict[str, object]]) -> "Result":
        """An answer whose rows are there already."""
        made = cls(kind, object_name, len(rows))
        made._ready = rows
        return made

    def page(self, start: int, count: int) -> list[dict[str, object]]:
        """Rows `start` to `start + count`; fewer than `count` also when rows have gone since the query."""
        if not self._ids:
            return self._ready[start : start + count]
        rows, show = self._table.rows, self._show
        return [show(rows[each]) for each in self._ids[start : start + count] if each in rows]


def run(world: World, soql: str, version: str) -> Result:
    """Run a statement. Refusals have Salesforce's codes and wording."""
    query, text = parse(soql)
    if query.all_rows:
        raise text.refusal("MALFORMED_QUERY", "ALL ROWS not allowed in this context", len(soql) - 1)
    kind = _object_of(world, query, text)
    scope = Scope(world, kind, query.source, text)
    if _is_bare_count(query):
        ids = _matching(scope, query, text)
        return Result("count", kind.name, len(_cut(ids, query)))
    if is_grouped(query):
        return _aggregated(scope, query, text)
    return _records(scope, query, text, version)


def _object_of(world: World, query: Query, text: Text) -> ObjectType:
    kind = world.schema.find(query.source.name)
    if kind is None:
        message = f"sObject type '{query.source.name}' is not supported. {_TYPE_HINT}"
        raise text.refusal("INVALID_TYPE", message, query.source.at)
    if not kind.can.queryable:
        message = f"entity type {kind.name} does not support query"
        raise Refusal(400, "INVALID_TYPE_FOR_OPERATION", message)
    return kind


def _is_bare_count(query: Query) -> bool:
    first = query.select[0]
    return (
        len(query.select) == 1
        and query.group is None
        and isinstance(first, Selected)
        and isinstance(first.expression, Call)
        and first.expression.function == "count"
        and not first.expression.arguments
        and not first.alias
    )


def _records(scope: Scope, query: Query, text: Text, version: str) -> Result:
    if query.having is not None:
        raise text.refusal("MALFORMED_QUERY", "HAVING can only be used with GROUP BY", query.at)
    has_children = any(isinstance(each, Query) for each in query.select)
    show = projection(scope, query, lambda inner: _children(scope, inner, version), version)
    ids = _cut(_matching(scope, query, text), query)
    result = Result.records(scope.kind.name, ids, scope.world.tables[scope.kind.name], show)
    result.has_children = has_children
    return result


def _aggregated(scope: Scope, query: Query, text: Text) -> Result:
    if query.group is None and query.limit is not None:
        message = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
        raise text.refusal("MALFORMED_QUERY", message, query.at)
    rows = scope.world.tables[scope.kind.name].rows
    unordered = _matching(scope, Query(query.select, query.source, query.scope, query.where), text)

    def filters(groups: Groups) -> Filters:
        return Filters(scope, groups.column, lambda inner: _semi_join(scope.world, inner, text))

    found = grouped(scope, query, [rows[each] for each in unordered], filters)
    return Result.ready("aggregate", "AggregateResult", list(_cut(found, query)))


def _matching(scope: Scope, query: Query, text: Text) -> list[str]:
    """Ids of the rows that fulfil WHERE, in the order of ORDER BY."""
    table = scope.world.tables[scope.kind.name]
    if query.offset > MAX_OFFSET:
        message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
        raise scope.refusal(message, query.at, "NUMBER_OUTSIDE_VALID_RANGE")
    for each in query.order:
        column = scope.value(each.expression)
        if not column.field.sortable:
            raise scope.refusal(f"field '{column.field.name}' can not be sorted in a query call", each.expression.at)
    test = _test(scope, query, text)
    found = candidates(scope, table, query.where, query.order)
    rows = table.rows
    matches = (each for each in found.ids if test(rows[each]))
    if sorted_already(query.order, found.order) and query.limit is not None:
        return list(islice(matches, query.offset + query.limit))
    ids = list(matches)
    return ids if sorted_already(query.order, found.order) else _sorted(scope, query, [rows[each] for each in ids])


def _sorted(scope: Scope, query: Query, rows: list[Row]) -> list[str]:
    for each in reversed(query.order):
        rows = sort_rows(rows, scope.value(each.expression), each.descending, each.nulls_last)
    return [str(row["Id"]) for row in rows]


def _cut(found: Sequence[T], query: Query) -> Sequence[T]:
    last = None if query.limit is None else query.offset + query.limit
    return found[query.offset : last]


def _test(scope: Scope, query: Query, text: Text) -> Predicate:
    """WHERE, without deleted and archived rows unless all are asked for, and the scope."""
    filters = Filters(scope, scope.value, lambda inner: _semi_join(scope.world, inner, text))
    tests: list[Predicate] = []
    if not scope.world.all_rows:
        tests.extend(_hiding(scope.kind))
    if query.scope == "mine":
        tests.append(lambda row: row.get("OwnerId") == scope.world.user_id)
    elif query.scope in ("queue_owned", "user_owned"):
        prefix = "00G" if query.scope == "queue_owned" else "005"
        tests.append(lambda row: str(row.get("OwnerId")).startswith(prefix))
    if scope.world.unseen:
        tests.append(lambda row: row["Id"] not in scope.world.unseen)
    if query.where is not None:
        tests.append(filters.predicate(query.where))
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) and second(row)
    return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)


def _hiding(kind: ObjectType) -> list[Predicate]:
    if "IsDeleted" in kind.fields and "IsArchived" in kind.fields:
        return [lambda row: not row["IsDeleted"] and not row["IsArchived"]]
    if "IsDeleted" in kind.fields:
        return [lambda row: not row["IsDeleted"]]
    return []


def _semi_join(world: World, inner: Query, text: Text) -> frozenset[object]:
    kind = _object_of(world, inner, text)
    scope = Scope(world, kind, inner.source, text)
    selected = inner.select[0]
    if len(inner.select) != 1 or not isinstance(selected, Selected) or not isinstance(selected.expression, Name):
        raise text.refusal("MALFORMED_QUERY", "semi join sub-selects can only query one field", inner.at)
    if inner.order or inner.limit is not None:
        message = "Semi join sub-selects cannot contain ORDER BY or LIMIT"
        raise text.refusal("MALFORMED_QUERY", message, inner.at)
    column = scope.column(selected.expression)
    if column.field.type not in ("id", "reference"):
        message = f"Semi join sub-selects must select an ID field, cannot use: '{column.field.name}'"
        raise text.refusal("MALFORMED_QUERY", message, inner.at)
    rows = world.tables[kind.name].rows
    return frozenset(column.get(rows[each]) for each in _matching(scope, inner, text)) - {None}


def _children(above: Scope, inner: Query, version: str) -> tuple[str, Callable[[Row], object]]:
    """A subquery: the name it is shown under, and what reads the children of a row."""
    world, text = above.world, above.text
    name = inner.source.name.rpartition(".")[2]
    way = world.schema.child(above.kind.name, name)
    if way is None:
        message = f"Didn't understand relationship '{name}' in FROM part of query call. {_CHILD_HINT}"
        raise text.refusal("INVALID_TYPE", message, inner.source.at)
    kind = world.schema.get(way.child)
    scope = Scope(world, kind, inner.source, text)
    show = projection(scope, inner, lambda deeper: _children(scope, deeper, version), version)
    return way.name, _child_reader(scope, inner, way, show)


def _child_reader(scope: Scope, inner: Query, way: ChildRelationship, show: Projection) -> Callable[[Row], object]:
    test = _test(scope, inner, scope.text)
    table = scope.world.tables[way.child]
    if not scope.kind.can.queryable:
        return _view_reader(scope, inner, way, show)

    def read(row: Row) -> Result | None:
        ids = [each for each in sorted(table.holding(way.field, str(row["Id"]))) if test(table.rows[each])]
        if inner.order:
            ids = _sorted(scope, inner, [table.rows[each] for each in ids])
        kept = _cut(ids, inner)
        return Result.records(way.child, kept, table, show) if kept else None

    return read


def _view_reader(scope: Scope, inner: Query, way: ChildRelationship, show: Projection) -> Callable[[Row], object]:
    test = _test(scope, inner, scope.text)

    def read(row: Row) -> Result | None:
        rows = [each for each in activity_rows(scope.world, scope.kind, way, str(row["Id"])) if test(each)]
        for each in reversed(inner.order):
            rows = sort_rows(rows, scope.value(each.expression), each.descending, each.nulls_last)
        kept = _cut(rows, inner)
        return Result.ready("records", scope.kind.name, [show(each) for each in kept]) if kept else None

    return read


def condition_test(world: World, object_name: str, when: str) -> Predicate:
    """A condition as a test of a row of an object, stored or about to be."""
    query, text = parse(f"SELECT Id FROM {object_name} WHERE {when}")
    scope = Scope(world, _object_of(world, query, text), query.source, text)
    return _test(scope, query, text)
