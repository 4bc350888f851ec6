"""Rows as the API shows them: attributes, the selected fields in their order, parents nested, children apart."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import Field
from connectors.emulators.salesforce.soql.ast import Argument, Call, Name, Query, Selected, TypeOf
from connectors.emulators.salesforce.soql.names import AGGREGATES, POLYMORPHIC, Scope, World
from connectors.emulators.salesforce.table import Row

Shown = dict[str, object]
Projection = Callable[[Row], Shown]
Children = Callable[[Query], tuple[str, Callable[[Row], object]]]
_FIELDS_LIMIT = "The SOQL FIELDS function must have a LIMIT of at most 200"


@dataclass(slots=True)
class Shape:
    """Columns of one level: values by key, and the parents below."""

    columns: dict[str, Callable[[Row], object]] = field(default_factory=dict)
    parents: dict[str, "Shape"] = field(default_factory=dict)
    lead: Callable[[Row], object] | None = None  # from the row above to the parent's id
    polymorphic: bool = False
    order: dict[str, None] = field(default_factory=dict)  # of both, as they were selected


def projection(scope: Scope, query: Query, children: Children, version: str) -> Projection:
    """What turns a row into its shown form. INVALID_FIELD for what cannot be selected, or is selected twice."""
    shape, seen = Shape(), set[str]()
    for column in query.select:
        if isinstance(column, Query):
            name, read = children(column)
            shape.columns[name] = read
            shape.order.setdefault(name)
        elif isinstance(column, TypeOf):
            relationship, read = _type_of(scope, column, version)
            shape.columns[relationship] = read
            shape.order.setdefault(relationship)
        else:
            _add(scope, query, shape, column, seen)
    return _projected(scope.world, shape, version)


def _add(scope: Scope, query: Query, shape: Shape, column: Selected, seen: set[str]) -> None:
    expression = column.expression
    if isinstance(expression, Call) and expression.function == "fields":
        for each in _fields_of(scope, query, expression):
            _add_once(scope, shape, Name((each.name,), expression.at), seen)
        return
    if isinstance(expression, Call) and expression.function not in AGGREGATES:
        alias = column.alias or _argument_name(expression)
        shape.columns[alias] = scope.value(expression).get
        shape.order.setdefault(alias)
        return
    if column.alias and isinstance(expression, Name):
        message = "only aggregate expressions use field aliasing"
        raise scope.text.refusal("MALFORMED_QUERY", message, column.at)
    assert isinstance(expression, Name)
    _add_once(scope, shape, expression, seen)


def _argument_name(expression: Argument) -> str:
    while isinstance(expression, Call):
        expression = expression.arguments[0]
    return expression.path[-1] if isinstance(expression, Name) else "expr0"


def _fields_of(scope: Scope, query: Query, call: Call) -> list[Field]:
    word = call.arguments[0].text.lower() if call.arguments and isinstance(call.arguments[0], Name) else ""
    if word not in ("all", "standard", "custom"):
        raise scope.text.refusal("MALFORMED_QUERY", "Invalid value for FIELDS(): use ALL, STANDARD or CUSTOM", call.at)
    if word != "standard" and (query.limit is None or query.limit > 200):
        raise scope.refusal(_FIELDS_LIMIT, call.at, "MALFORMED_QUERY")
    visible = [each for each in scope.kind.fields.values() if scope.world.visible(scope.kind, each.name)]
    return [each for each in visible if word == "all" or each.custom == (word == "custom")]


def _add_once(scope: Scope, shape: Shape, name: Name, seen: set[str]) -> None:
    column = scope.column(name)
    path = ".".join((*column.parents, column.field.name))
    if path in seen:
        raise Refusal(400, "INVALID_FIELD", f"duplicate field selected: {name.text}")
    seen.add(path)
    here, kind = shape, scope.kind
    shape.order.setdefault(column.parents[0] if column.parents else column.field.name)
    for at, relationship in enumerate(column.parents, 1):
        reference = kind.parent_field(relationship)
        assert reference is not None
        target = scope.world.schema.find(reference.targets[0]) if len(reference.targets) == 1 else None
        kind = target or POLYMORPHIC
        lead = itemgetter(reference.name)
        here = here.parents.setdefault(relationship, Shape(lead=lead, polymorphic=kind is POLYMORPHIC))
        here.order.setdefault(column.parents[at] if at < len(column.parents) else column.field.name)
    inner = Scope(scope.world, kind, scope.source, scope.text)
    here.columns[column.field.name] = inner.column(Name((column.field.name,), name.at)).get


def _projected(world: World, shape: Shape, version: str) -> Projection:
    reads = {**shape.columns, **{name: _parent(world, below, version) for name, below in shape.parents.items()}}
    getters = [(name, reads[name]) for name in (shape.order or reads)]
    base = f"/services/data/v{version}/sobjects/"
    polymorphic = shape.polymorphic

    def show(row: Row) -> Shown:
        kind = row["$type"]
        url = f"{base}{kind}/{row['Id']}"
        shown: Shown = {"attributes": {"type": "Name" if polymorphic else kind, "url": url}}
        for name, get in getters:
            shown[name] = get(row)
        return shown

    return show


def _parent(world: World, shape: Shape, version: str) -> Callable[[Row], Shown | None]:
    show, lead = _projected(world, shape, version), shape.lead
    assert lead is not None

    def read(row: Row) -> Shown | None:
        parent = world.row(lead(row))
        return None if parent is None else show(parent)

    return read


def _type_of(scope: Scope, column: TypeOf, version: str) -> tuple[str, Callable[[Row], object]]:
    reference = scope.kind.parent_field(column.relationship)
    if reference is None or not reference.is_polymorphic:
        message = f"Cannot use TYPEOF with non-polymorphic relationship '{column.relationship}'"
        raise scope.refusal(message, column.at)
    shows: dict[str, Projection] = {}
    for target in reference.targets:
        kind = scope.world.schema.find(target)
        wanted = next((names for name, names in column.branches if name.lower() == target.lower()), column.otherwise)
        if kind is None or not wanted:
            continue
        shape, inner, seen = Shape(), Scope(scope.world, kind, scope.source, scope.text), set[str]()
        for name in wanted:
            _add_once(inner, shape, name, seen)
        shows[target] = _projected(scope.world, shape, version)
    return reference.relationship, _by_type(scope.world, reference.name, shows, version)


def _by_type(world: World, name: str, shows: dict[str, Projection], version: str) -> Callable[[Row], object]:
    def read(row: Row) -> object:
        parent = world.row(row[name])
        if parent is None:
            return None
        kind = str(parent["$type"])
        show = shows.get(kind) or _projected(world, Shape(), version)
        return show(parent)

    return read
