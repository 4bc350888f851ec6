"""What the names in a query mean: fields, paths through parents, functions; each becomes a way to read it of a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from connectors.emulators.salesforce.addresses import compound_getter
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import Field, stock_fields, typed_field
from connectors.emulators.salesforce.schema import ObjectType, Schema
from connectors.emulators.salesforce.soql.ast import Argument, Call, Name, Source
from connectors.emulators.salesforce.soql.dates import DATE_FUNCTIONS, date_function
from connectors.emulators.salesforce.soql.distances import distance, is_distance
from connectors.emulators.salesforce.soql.literals import Calendar
from connectors.emulators.salesforce.soql.tokens import Source as Text
from connectors.emulators.salesforce.table import Row, Table

Getter = Callable[[Row], object]
AGGREGATES = frozenset(("count", "count_distinct", "sum", "avg", "min", "max"))
SHOWING = frozenset(("tolabel", "format", "convertcurrency"))  # functions that only change how a value is shown
_COLUMN_HINT = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
_RELATIONSHIP_HINT = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)
# What a polymorphic reference leads to: the entity Name, with what users, queues, leads and contacts share.
_NAME_FIELDS = """
Id | ID | id
Name | Name | string(255) namefield
FirstName | First Name | string(40)
LastName | Last Name | string(80)
Title | Title | string(128)
Email | Email | email
Phone | Phone | phone
Type | Type | picklist
Username | Username | string(80)
Alias | Alias | string(8)
IsActive | Active | boolean
ProfileId | Profile ID | reference(Profile) rel=Profile
UserRoleId | Role ID | reference(UserRole) rel=UserRole
"""
POLYMORPHIC = ObjectType("Name", ("Name", "Names"), "", stock_fields(_NAME_FIELDS))


@dataclass(frozen=True, slots=True)
class World:
    """What a query looks at, and as whom. `hidden` holds (object, field)s that the caller may not see."""

    schema: Schema
    tables: Mapping[str, Table]
    hidden: frozenset[tuple[str, str]]
    calendar: Calendar
    user_id: str
    all_rows: bool = False
    unseen: frozenset[str] = frozenset()  # ids of records that are not shared with the caller

    def row(self, record_id: object) -> Row | None:
        """The record of an id of any object."""
        if not isinstance(record_id, str) or record_id in self.unseen:
            return None
        table = self.tables.get(self.schema.prefixes.get(record_id[:3], ""))
        return None if table is None else table.rows.get(record_id)

    def visible(self, kind: ObjectType, name: str) -> Field | None:
        """The field of a name in any case, if the caller may see it."""
        field = kind.find(name)
        return None if field is None or (kind.name, field.name) in self.hidden else field


@dataclass(frozen=True, slots=True)
class Column:
    """A field reached from the query's object, and how to read it. `parents` are the relationships on the way."""

    field: Field
    get: Getter
    kind: ObjectType
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Where names of a query are looked up."""

    world: World
    kind: ObjectType
    source: Source
    text: Text

    def refusal(self, message: str, at: int, code: str = "INVALID_FIELD") -> Refusal:
        """400 with the place in the statement."""
        return self.text.refusal(code, message, at)

    def column(self, name: Name) -> Column:
        """The field a path leads to. INVALID_FIELD for a relationship or field that is none."""
        path = self._without_alias(name.path)
        step = _Step(self.kind, lambda row: row, ())
        for relationship in path[:-1]:
            step = self._into_parent(step, relationship, name.at)
        field = self.world.visible(step.kind, path[-1])
        if field is None:
            message = f"No such column '{path[-1]}' on entity '{step.kind.name}'. {_COLUMN_HINT}"
            raise self.refusal(message, name.at)
        return Column(field, _field_getter(step, field), step.kind, step.parents)

    def value(self, expression: Argument) -> Column:
        """A field or a function of one that can be read of a single row."""
        if isinstance(expression, Name):
            return self.column(expression)
        if isinstance(expression, Call) and expression.function in SHOWING and len(expression.arguments) == 1:
            return self.value(expression.arguments[0])
        if isinstance(expression, Call) and expression.function in DATE_FUNCTIONS and len(expression.arguments) == 1:
            return self._date_column(expression)
        if isinstance(expression, Call) and is_distance(expression) and isinstance(expression.arguments[0], Name):
            return self._distance_column(expression, expression.arguments[0])
        said = expression.function if isinstance(expression, Call) else str(expression.value)
        raise self.refusal(f"Invalid function: {said}", expression.at, "MALFORMED_QUERY")

    def _distance_column(self, call: Call, name: Name) -> Column:
        column = self.column(name)
        if column.field.type != "address":
            message = f"field '{column.field.name}' can not be used with DISTANCE: it is no address"
            raise self.refusal(message, call.at)
        field = replace(typed_field(column.field.name, "", "double"), groupable=False)
        return Column(field, distance(call, column.get), column.kind, (*column.parents, "distance()"))

    def _date_column(self, call: Call) -> Column:
        inner, convert = call.arguments[0], False
        if isinstance(inner, Call) and inner.function == "converttimezone" and len(inner.arguments) == 1:
            inner, convert = inner.arguments[0], True
        if not isinstance(inner, Name):
            raise self.refusal(f"Invalid function: {call.function}", call.at, "MALFORMED_QUERY")
        column = self.column(inner)
        if column.field.type not in ("date", "datetime"):
            message = f"field '{column.field.name}' can not be used with date function {call.function.upper()}"
            raise self.refusal(message, call.at)
        get = date_function(call.function, self.world.calendar, convert)
        kind = "date" if call.function == "day_only" else "int"
        field = replace(typed_field(column.field.name, column.field.label, kind), groupable=True)
        below = column.get

        def read(row: Row) -> object:
            moment = below(row)
            return None if moment is None else get(str(moment))

        return Column(field, read, column.kind, (*column.parents, f"{call.function}()"))

    def _without_alias(self, path: tuple[str, ...]) -> tuple[str, ...]:
        first = path[0].lower()
        for longer, alias in self.source.others:
            if alias and first == alias.lower() and len(path) > 1:
                return self._without_alias((*longer.split("."), *path[1:]))
        names = {self.source.alias.lower(), self.source.name.lower(), self.kind.name.lower()} - {""}
        if len(path) > 1 and first in names and self.kind.parent_field(path[0]) is None:
            return path[1:]
        return path

    def _into_parent(self, step: "_Step", relationship: str, at: int) -> "_Step":
        field = step.kind.parent_field(relationship)
        if field is None or (step.kind.name, field.name) in self.world.hidden:
            message = f"Didn't understand relationship '{relationship}' in field path. {_RELATIONSHIP_HINT}"
            raise self.refusal(message, at)
        return _parent_step(self.world, step, field)


@dataclass(frozen=True, slots=True)
class _Step:
    """How far a path has been followed: the object reached, and how to get its row."""

    kind: ObjectType
    get_row: Callable[[Row], Row | None]
    parents: tuple[str, ...]


def _parent_step(world: World, step: _Step, field: Field) -> _Step:
    name, below, find = field.name, step.get_row, world.row
    target = world.schema.find(field.targets[0]) if len(field.targets) == 1 else None
    if target is not None and not world.unseen:
        rows = world.tables[target.name].rows

        def get_known(row: Row) -> Row | None:
            child = below(row)
            return None if child is None else rows.get(child[name])  # type: ignore[call-overload]

        return _Step(target, get_known, (*step.parents, field.relationship))

    def get(row: Row) -> Row | None:
        child = below(row)
        return None if child is None else find(child[name])

    return _Step(target or POLYMORPHIC, get, (*step.parents, field.relationship))


def _field_getter(step: _Step, field: Field) -> Getter:
    name, get_row = field.name, step.get_row
    if step.kind is POLYMORPHIC and name == "Type":
        return lambda row: _type_of(get_row(row))
    if field.type == "address":
        compound = compound_getter(step.kind, name)
        return lambda row: _read(get_row(row), compound)
    if not step.parents:
        return lambda row: row[name]
    return lambda row: None if (parent := get_row(row)) is None else parent.get(name)


def unwrapped(expression: Argument) -> Argument:
    """What a function that only changes the look is about: MIN(Amount) of FORMAT(MIN(Amount))."""
    while isinstance(expression, Call) and expression.function in SHOWING and len(expression.arguments) == 1:
        expression = expression.arguments[0]
    return expression


def _read(row: Row | None, get: Getter) -> object:
    return None if row is None else get(row)


def _type_of(row: Row | None) -> object:
    """The kind of what a polymorphic reference leads to; of a group, whether it is a Queue."""
    if row is None:
        return None
    return row["Type"] if row["$type"] == "Group" else row["$type"]
