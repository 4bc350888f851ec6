"""Which rows a query has to look at: by id, by an index of a field, or by a stretch of SystemModstamp or Id."""

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.emulators.salesforce.fields import TEXTS
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.soql.ast import (
    Comparison,
    Condition,
    Junction,
    Literal,
    Membership,
    Name,
    Ordering,
)
from connectors.emulators.salesforce.soql.names import Scope
from connectors.emulators.salesforce.soql.values import plain_text
from connectors.emulators.salesforce.table import HIGHEST, Table

_UNBOUNDED = ("", HIGHEST)
_MOST_KEYS = 5000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ids to look at. `order` tells the order they are in: "Id", "SystemModstamp" (then Id), or "" for none."""

    ids: Iterable[str]
    order: str


def candidates(scope: Scope, table: Table, where: Condition | None, order: tuple[Ordering, ...]) -> Candidates:
    """The fewest rows that surely hold every match."""
    if where is not None:
        keyed = _by_key(scope, table, where)
        if keyed is not None:
            return Candidates(sorted(keyed), "Id")
    ids, stamps = _bounds(where, scope, "id"), _bounds(where, scope, "systemmodstamp")
    if ids != _UNBOUNDED:
        narrow = table.ids_between(*ids)
        if stamps == _UNBOUNDED or len(narrow) * 4 < len(table.rows):
            return Candidates(narrow, "Id")
    if stamps != _UNBOUNDED or _leads_with_stamp(order):
        return Candidates(table.stamped_between(*stamps), "SystemModstamp")
    return Candidates(list(table.by_id), "Id")


def sorted_already(order: tuple[Ordering, ...], found: str) -> bool:
    """Do candidates come in the order the query asks for?"""
    names = [_plain_name(each) for each in order]
    if not names:
        return found == "Id"
    if found == "Id":
        return names[0] == "id"
    return names in (["systemmodstamp"], ["systemmodstamp", "id"])


def _leads_with_stamp(order: tuple[Ordering, ...]) -> bool:
    return bool(order) and _plain_name(order[0]) == "systemmodstamp"


def _plain_name(ordering: Ordering) -> str:
    """The field of an ascending order by a field of the object itself, in lower case; else ""."""
    return "" if ordering.descending else (_name_of(ordering.expression) or "").lower()


def _by_key(scope: Scope, table: Table, where: Condition) -> set[str] | None:
    """Ids by equality with indexed fields, from one of the terms that all must hold."""
    terms = where.terms if isinstance(where, Junction) and where.operator == "and" else (where,)
    found = [keys for each in terms if (keys := _keys_of(scope, table, each)) is not None]
    return min(found, key=len, default=None)


def _keys_of(scope: Scope, table: Table, term: Condition) -> set[str] | None:
    name, literals = _equality(term)
    if name is None or len(literals) > _MOST_KEYS:
        return None
    field = scope.world.visible(scope.kind, name)
    if field is None or any(each.kind != "text" or not each.value for each in literals):
        return None
    texts = [plain_text(str(each.value)) for each in literals]
    if field.type == "id":
        return {found for each in texts if (found := full_id(each)) in table.rows and found is not None}
    if field.type == "reference":
        return set().union(*(table.holding(field.name, full_id(each) or "") for each in texts))
    if field.type in TEXTS and (field.id_lookup or field.external_id or field.unique or field.name_field):
        return set().union(*(table.holding(field.name, each) for each in texts))
    return None


def _equality(term: Condition) -> tuple[str | None, tuple[Literal, ...]]:
    if isinstance(term, Comparison) and term.operator == "=":
        return _name_of(term.left), (term.right,)
    if isinstance(term, Membership) and not term.negated and isinstance(term.values, tuple):
        return _name_of(term.left), term.values
    return None, ()


def _name_of(expression: object) -> str | None:
    return expression.path[0] if isinstance(expression, Name) and len(expression.path) == 1 else None


def _bounds(where: Condition | None, scope: Scope, name: str) -> tuple[str, str]:
    """The first and last value of a field that a match can have, both included; wide where nothing is known."""
    if isinstance(where, Comparison) and (_name_of(where.left) or "").lower() == name:
        return _compared(where, scope)
    if not isinstance(where, Junction):
        return _UNBOUNDED
    bounds = [_bounds(each, scope, name) for each in where.terms]
    lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
    return (max(lows), min(highs)) if where.operator == "and" else (min(lows), max(highs))


def _compared(term: Comparison, scope: Scope) -> tuple[str, str]:
    if term.right.kind == "range":
        low, high = scope.world.calendar.moments(*term.right.range)
    elif term.right.kind == "text":
        low = high = full_id(plain_text(str(term.right.value))) or ""
    else:
        low = high = str(term.right.value) if term.right.kind == "datetime" else ""
    if not low:
        return _UNBOUNDED
    bounds = {"=": (low, high), ">": (low, HIGHEST), ">=": (low, HIGHEST), "<": ("", high), "<=": ("", high)}
    return bounds.get(term.operator, _UNBOUNDED)
