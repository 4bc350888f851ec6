"""Conditions of SOQL as predicates on rows. Text is compared without regard to case, ids by their 18 characters."""

import re
from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import NUMBERS, TEXTS, Field
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.soql.ast import (
    Comparison,
    Condition,
    Expression,
    Inclusion,
    Junction,
    Literal,
    Membership,
    Negation,
    Query,
)
from connectors.emulators.salesforce.soql.names import Column, Getter, Scope
from connectors.emulators.salesforce.soql.values import plain_text
from connectors.emulators.salesforce.table import Row

Predicate = Callable[[Row], bool]
Values = Callable[[Query], frozenset[object]]  # runs the query of a semi-join
Reader = Callable[[Expression], Column]
_TYPE_NAMES = {"datetime": "dateTime", "reference": "ID", "id": "ID", "currency": "double", "percent": "double"}
_IDS = frozenset(("id", "reference"))
_LIKEABLE = TEXTS - {"multipicklist"}
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Filters:
    """Compiles conditions. `read` tells what an expression means: of a row (WHERE) or of a group (HAVING)."""

    def __init__(self, scope: Scope, read: Reader, values: Values) -> None:
        self._scope = scope
        self._read = read
        self._values = values

    def predicate(self, condition: Condition) -> Predicate:
        """A test of one row."""
        if isinstance(condition, Junction):
            return _joined(condition.operator, tuple(self.predicate(each) for each in condition.terms))
        if isinstance(condition, Negation):
            inner = self.predicate(condition.term)
            return lambda row: not inner(row)
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if isinstance(condition, Membership):
            return self._membership(condition)
        return self._inclusion(condition)

    def _column(self, expression: Expression, at: int) -> Column:
        column = self._read(expression)
        if not column.field.filterable:
            raise self._scope.refusal(f"field '{column.field.name}' can not be filtered in a query call", at)
        if column.field.type in ("address", "location"):
            raise self._scope.refusal("Address fields can only be filtered using Distance expressions", at)
        return column

    def _comparison(self, condition: Comparison) -> Predicate:
        column = self._column(condition.left, condition.at)
        field, operator = column.field, condition.operator
        self._check_operator(field, operator, condition.at)
        if condition.right.kind == "range":
            return self._ranged(column, operator, condition)
        if operator == "like":
            return _like(column.get, str(self._constant(field, condition.right, condition.at, raw=True)))
        wanted = self._constant(field, condition.right, condition.at)
        if operator in ("=", "!="):
            return _equal(column, wanted, negated=operator == "!=")
        return _ordered(column, operator, wanted)

    def _check_operator(self, field: Field, operator: str, at: int) -> None:
        kind = field.type
        wrong = (
            (kind in _IDS and operator == "like")
            or (kind == "boolean" and operator not in ("=", "!="))
            or (kind == "multipicklist" and operator not in ("=", "!="))
            or (operator == "like" and kind not in _LIKEABLE)
        )
        if wrong:
            name = "id" if kind in _IDS else _TYPE_NAMES.get(kind, kind)
            code = "INVALID_QUERY_FILTER_OPERATOR" if kind in _IDS else "INVALID_FIELD"
            raise self._scope.refusal(f"invalid operator on {name} field", at, code)

    def _ranged(self, column: Column, operator: str, condition: Comparison) -> Predicate:
        name, count = condition.right.range
        calendar = self._scope.world.calendar
        if column.field.type == "datetime":
            first, after = calendar.moments(name, count)
        elif column.field.type == "date":
            first, after = (day.isoformat() for day in calendar.days(name, count))
        else:
            raise self._mistyped(column.field, condition.at)
        return _in_range(column.get, operator, first, after)

    def _membership(self, condition: Membership) -> Predicate:
        column = self._column(condition.left, condition.at)
        if isinstance(condition.values, Query):
            wanted = self._values(condition.values)
        elif any(each.kind == "range" for each in condition.values):
            return self._any_range(column, condition)
        else:
            wanted = frozenset(
                _folded(column.field, self._constant(column.field, each, condition.at)) for each in condition.values
            )
        return _among(column, wanted, condition.negated)

    def _any_range(self, column: Column, condition: Membership) -> Predicate:
        assert not isinstance(condition.values, Query)
        tests = tuple(
            self._comparison(Comparison(condition.left, "=", each, condition.at)) for each in condition.values
        )
        inside = _joined("or", tests)
        return (lambda row: not inside(row)) if condition.negated else inside

    def _inclusion(self, condition: Inclusion) -> Predicate:
        column = self._column(condition.left, condition.at)
        if column.field.type != "multipicklist":
            message = "includes or excludes operator can only be used with multi-select picklist"
            raise self._scope.refusal(message, condition.at)
        wanted = [
            frozenset(str(self._constant(column.field, each, condition.at)).casefold().split(";"))
            for each in condition.values
        ]
        get, negated = column.get, condition.negated

        def test(row: Row) -> bool:
            has = frozenset(str(get(row) or "").casefold().split(";"))
            return any(each <= has for each in wanted) != negated

        return test

    def _constant(self, field: Field, literal: Literal, at: int, *, raw: bool = False) -> object:
        """The literal as a value of the field's type; `raw` keeps the escapes of LIKE."""
        if literal.kind == "null":
            return None
        if field.type in _IDS:
            return self._id(field, literal, at)
        if field.type in TEXTS:
            if literal.kind != "text":
                raise self._mistyped(field, at)
            text = str(literal.value)
            return text if raw else plain_text(text) or None
        wanted = "number" if field.type in NUMBERS else field.type
        if literal.kind != wanted and not (literal.kind == "money" and field.type in NUMBERS):
            raise self._mistyped(field, at)
        return literal.value

    def _id(self, field: Field, literal: Literal, at: int) -> str | None:
        if literal.kind != "text":
            raise self._mistyped(field, at)
        text = plain_text(str(literal.value))
        found = full_id(text)
        if text and found is None:
            raise self._scope.refusal(f"invalid ID field: {text}", at, "INVALID_QUERY_FILTER_OPERATOR")
        return found

    def _mistyped(self, field: Field, at: int) -> Refusal:
        kind = _TYPE_NAMES.get(field.type, "string" if field.type in TEXTS else field.type)
        quoted = field.type in TEXTS or field.type in _IDS
        manner = "should be enclosed in quotes" if quoted else "should not be enclosed in quotes"
        message = f"value of filter criterion for field '{field.name}' must be of type {kind} and {manner}"
        return self._scope.refusal(message, at)


def _folded(field: Field, value: object) -> object:
    return value.casefold() if isinstance(value, str) and _ignores_case(field) else value


def _ignores_case(field: Field) -> bool:
    return field.type in TEXTS and not field.case_sensitive


def _joined(operator: str, tests: tuple[Predicate, ...]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        if operator == "and":
            return lambda row: first(row) and second(row)
        return lambda row: first(row) or second(row)
    if operator == "and":
        return lambda row: all(test(row) for test in tests)
    return lambda row: any(test(row) for test in tests)


def _equal(column: Column, wanted: object, *, negated: bool) -> Predicate:
    get = column.get
    if wanted is None or (wanted == "" and column.field.type in TEXTS):
        return (lambda row: get(row) is not None) if negated else (lambda row: get(row) is None)
    if not _ignores_case(column.field) or not isinstance(wanted, str):
        return (lambda row: get(row) != wanted) if negated else (lambda row: get(row) == wanted)
    return _among(column, frozenset((wanted.casefold(),)), negated)


def _among(column: Column, wanted: frozenset[object], negated: bool) -> Predicate:
    get = column.get
    if not _ignores_case(column.field):
        return (lambda row: get(row) not in wanted) if negated else (lambda row: get(row) in wanted)

    def test(row: Row) -> bool:
        value = get(row)
        return ((value.casefold() if isinstance(value, str) else value) in wanted) != negated

    return test


def _ordered(column: Column, operator: str, wanted: object) -> Predicate:
    if wanted is None:
        return lambda row: False
    compare, get = _ORDERED[operator], column.get
    if _ignores_case(column.field):
        limit = str(wanted).casefold()
        return lambda row: (value := get(row)) is not None and compare(str(value).casefold(), limit)
    return lambda row: (value := get(row)) is not None and compare(value, wanted)


def _in_range(get: Getter, operator: str, first: str, after: str) -> Predicate:
    def test(bounded: Callable[[str], bool]) -> Predicate:
        return lambda row: (value := get(row)) is not None and bounded(str(value))

    if operator == "!=":
        return lambda row: (value := get(row)) is None or not first <= str(value) < after
    tests: dict[str, Callable[[str], bool]] = {
        "=": lambda value: first <= value < after,
        "<": lambda value: value < first,
        "<=": lambda value: value < after,
        ">": lambda value: value >= after,
        ">=": lambda value: value >= first,
    }
    return test(tests[operator])


def _like(get: Getter, pattern: str) -> Predicate:
    match = re.compile(_like_expression(pattern.casefold()), re.DOTALL).fullmatch

    def test(row: Row) -> bool:
        value = get(row)
        return value is not None and match(str(value).casefold()) is not None

    return test


_LIKE_PARTS = re.compile(r"\\(.)|(%)|(_)|([^\\%_]+)|(\\)", re.DOTALL)


def _like_expression(pattern: str) -> str:
    def meaning(match: re.Match[str]) -> str:
        escaped, any_text, any_sign, plain, _ = match.groups()
        if any_text:
            return ".*"
        return "." if any_sign else re.escape(escaped or plain or "\\")

    return _LIKE_PARTS.sub(meaning, pattern)
