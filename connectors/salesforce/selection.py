"""Which fields a query asks for, and what their values are: the same whether REST or the Bulk API brings them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from connectors.salesforce.describe import Describes, FieldInfo
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.values import Json, instant, moment
from syncer.model import Value

Row = Mapping[str, Any]
"""One record: each path that was asked for ("Email", "Account.Industry", "Who.Type") -> its value, the same whichever
API it came by: text, int or float, bool, None where it is not set; times as text ("2026-11-22T01:02:03.000Z"), see
values.moment. Always there: "Id" (18 characters), "SystemModstamp", "IsDeleted". A path that the org does not have is
absent: use `row.get`."""
_Read = Callable[[Any], Value]

SYSTEM = ("Id", "SystemModstamp", "IsDeleted")
_COMPOUND = frozenset({"address", "location", "complexvalue", "base64", "anyType"})
_RELATIONSHIP = re.compile(r"Didn't understand relationship '([^']+)'")
_ENTITY = re.compile(r"No such column '[^']+' on (?:entity '|sobject of type )(\w+)")
_LETTERS_OF_A_TIME = len("2026-11-22T01:02:03.000Z")
_ANYTHING = "Name"  # Salesforce's word for the object behind a reference to several kinds


@dataclass(frozen=True, slots=True)
class Column:
    """`path` as it was asked for, `name` as Salesforce writes it, split at its dots in `way`; `object`: whose field it
    is in the end. `read` None: a text, which stays as it is."""

    path: str
    name: str
    way: tuple[str, ...]
    read: _Read | None
    object: str

    @property
    def comes_ready(self) -> bool:
        """Whether a record of REST's has it under its path, and as it shall be."""
        return self.way == (self.path,) and self.read in (None, _as_truth)


@dataclass(frozen=True, slots=True)
class Selection:
    """The columns of a query; `missing`: paths that the org does not have, or does not show us."""

    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Salesforce's, as they stand after SELECT."""
        return tuple(dict.fromkeys(each.name for each in self.columns))

    def rows(self, told: list[Json]) -> Sequence[Row]:
        """Of REST's records, which nest what belongs to parents: the very same, made over where they have to be."""
        steps = [(each.path, each.way[0], each.way[1:], each.read) for each in self.columns if not each.comes_ready]
        done_with = ("attributes", *{each.way[0] for each in self.columns if len(each.way) > 1})
        for row in told:
            for path, name, further, read in steps:
                value = row.get(name)
                for each in further:
                    value = value.get(each) if isinstance(value, dict) else None
                row[path] = value if value is None or read is None else read(value)
            for each in done_with:
                row.pop(each, None)
        return told

    def fits(self, header: Sequence[str]) -> bool:
        """Whether lines of these columns hold what is asked for."""
        return {each.name.lower() for each in self.columns} <= {name.lower() for name in header}

    def cells(self, header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[Row]:
        """Of the Bulk API's lines; empty is not set. The header must fit."""
        place = {name.lower(): at for at, name in enumerate(header)}
        cells = itemgetter(*(place[each.name.lower()] for each in self.columns))
        paths = [each.path for each in self.columns]
        steps = [(each.path, each.read) for each in self.columns if each.read]
        rows: list[Row] = []
        for line in lines:
            row: dict[str, Any] = dict(zip(paths, [cell or None for cell in cells(line)], strict=True))
            for path, read in steps:
                if (value := row[path]) is not None:
                    row[path] = read(value)
            rows.append(row)
        return rows

    def without(self, refused: Refused) -> frozenset[str]:
        """The paths that a refused query must not ask for any more; none where it is about something else."""
        hidden = {(name.lower(), _entity(each)) for each in refused.problems if (name := each.column)}
        ways = {found[1].lower() for each in refused.problems if (found := _RELATIONSHIP.search(each.message))}
        return frozenset(
            each.path
            for each in self.columns
            if hidden.intersection((each.way[-1].lower(), kind) for kind in (each.object.lower(), None))
            or ways.intersection(part.lower() for part in each.way[:-1])
        )


def select(describes: Describes, kind: str, paths: Iterable[str], hidden: Collection[str] = ()) -> Selection:
    """The system fields and these paths of an object, as far as it has them and they are not `hidden`."""
    columns: list[Column] = []
    missing: list[str] = []
    for path in dict.fromkeys((*SYSTEM, *paths)):
        column = None if path in hidden else _column(describes, kind, path)
        columns.append(column) if column else missing.append(path)
    return Selection(tuple(columns), tuple(missing))


def _column(describes: Describes, kind: str, path: str) -> Column | None:
    *parents, last = path.split(".")
    way: list[str] = []
    objects: tuple[str, ...] = (kind,)
    for parent in parents:
        field = _reference(describes, objects[0], parent)
        if field is None:
            return None
        way.append(str(field.relationship))
        objects = field.reference_to
        if len(objects) != 1:  # of whatever it refers to Salesforce shows what they have in common: names and types
            name = ".".join((*way, last))
            return Column(path, name, (*way, last), _as_text, _ANYTHING) if parent is parents[-1] else None
    found = _field(describes, objects[0], last)
    if found is None or found.type in _COMPOUND:
        return None
    read = None if found.type in _TEXTS else _READ.get(found.type, _as_text)
    return Column(path, ".".join((*way, found.name)), (*way, found.name), read, objects[0])


def _entity(problem: Problem) -> str | None:
    """Of which object a column is missing, in small letters; None where Salesforce does not say."""
    found = _ENTITY.search(problem.message)
    return found[1].lower() if found else None


def _field(describes: Describes, kind: str, name: str) -> FieldInfo | None:
    return describes.of(kind).field(name) if describes.has(kind) else None


def _reference(describes: Describes, kind: str, relationship: str) -> FieldInfo | None:
    """The field behind the relationship of that name."""
    fields = describes.of(kind).fields.values() if describes.has(kind) else ()
    return next((each for each in fields if (each.relationship or "").lower() == relationship.lower()), None)


def _as_text(value: Any) -> Value:
    if isinstance(value, str):  # nearly always
        return value or None
    return None if value is None or isinstance(value, dict | list) else str(value)


def _as_time(value: Any) -> Value:
    if isinstance(value, str):  # nearly always, and one of these two
        if value.endswith(".000+0000"):
            return f"{value[:-5]}Z"
        if len(value) == _LETTERS_OF_A_TIME and value.endswith("Z"):
            return value
    try:
        return instant(moment(value)) if value else None
    except ValueError:
        return _as_text(value)


def _as_number(value: Any) -> Value:
    """Whole ones as int: 5 and 5.0 are one number, whichever way Salesforce writes it."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, int) or _is_digits(value) else _whole(float(value))
    except (TypeError, ValueError):
        return _as_text(value)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.removeprefix("-").isdecimal()


def _whole(number: float) -> Value:
    return int(number) if number.is_integer() else number


def _as_truth(value: Any) -> Value:
    if value == "false":  # nearly always, of what the Bulk API writes
        return False
    return value if value is None or isinstance(value, bool) else str(value).lower() == "true"


_TEXTS = frozenset(
    {
        *("id", "reference", "string", "textarea", "encryptedstring", "email", "phone", "url"),
        *("picklist", "multipicklist", "combobox", "date", "time"),
    }
)
"""Types of which both APIs write texts."""
_READ: Mapping[str, _Read] = {
    "boolean": _as_truth,
    "int": _as_number,
    "long": _as_number,
    "double": _as_number,
    "currency": _as_number,
    "percent": _as_number,
    "datetime": _as_time,
}
