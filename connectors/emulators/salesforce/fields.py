"""Fields of an object: what describe tells of them, and the short notation in which the stock ones are written."""

import re
from dataclasses import dataclass, replace

from connectors.emulators.salesforce.standard.picklists import PICKLISTS

_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "base64": "xsd:base64Binary",
    "address": "urn:address",
    "location": "urn:location",
    "anyType": "xsd:anyType",
}
NUMBERS = frozenset(("int", "double", "currency", "percent"))
TEXTS = frozenset(("string", "textarea", "picklist", "multipicklist", "email", "phone", "url", "combobox", "anyType"))
_UNGROUPED = frozenset(("double", "currency", "percent", "datetime", "address", "location", "base64", "multipicklist"))
_LINE = re.compile(r"(\w+)\s*\|\s*([^|]+?)\s*\|\s*(\w+)(?:\(([^)]*)\))?\s*(.*)")
_LENGTHS = {"id": 18, "reference": 18, "email": 80, "phone": 40, "url": 255, "picklist": 255, "multipicklist": 4099}


@dataclass(frozen=True, slots=True)
class Choice:
    """A picklist value."""

    value: str
    default: bool = False
    active: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `relationship` leads to the parents in `targets`; `children` is the name of the way back."""

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    aggregatable: bool = True
    id_lookup: bool = False
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    name_field: bool = False
    defaulted: bool = False
    default: object = None
    calculated: bool = False
    formula: str = ""
    custom: bool = False
    permissionable: bool = True
    restricted: bool = False
    choices: tuple[Choice, ...] = ()
    targets: tuple[str, ...] = ()
    relationship: str = ""
    children: str = ""
    cascade: bool = False
    name_pointing: bool = False
    auto_number: bool = False
    compound: str = ""  # the compound field this one is a part of
    extra: str = ""  # extraTypeInfo
    help: str = ""

    @property
    def soap_type(self) -> str:
        """Its type in SOAP's words."""
        return _SOAP.get(self.type, "xsd:string")

    @property
    def is_polymorphic(self) -> bool:
        """Does it lead to several objects?"""
        return len(self.targets) > 1

    @property
    def default_choice(self) -> str | None:
        """The picklist value a new record gets."""
        return next((each.value for each in self.choices if each.default), None)


def typed_field(name: str, label: str, kind: str, arguments: str = "") -> Field:
    """A field with what its type brings along. Arguments: a length, precision and scale, or the targets."""
    parts = [each.strip() for each in arguments.split(",") if each.strip()]
    field = Field(name, label, kind)
    if kind == "reference":
        field = replace(field, length=18, targets=tuple(parts), name_pointing=len(parts) > 1)
    elif kind == "int":
        field = replace(field, digits=int(parts[0]) if parts else 9)
    elif kind in NUMBERS:
        precision, scale = (int(parts[0]), int(parts[1])) if parts else (18, 0)
        field = replace(field, precision=precision, scale=scale)
    else:
        field = replace(field, length=int(parts[0]) if parts else _LENGTHS.get(kind, 0))
    return _with_abilities(field)


def _with_abilities(field: Field) -> Field:
    kind = field.type
    if kind == "boolean":
        field = replace(field, nillable=False, defaulted=True, default=False, aggregatable=False)
    if kind in _UNGROUPED:
        field = replace(field, groupable=False)
    if kind == "multipicklist":
        field = replace(field, sortable=False, aggregatable=False)
    if kind in ("address", "location"):
        field = replace(field, createable=False, updateable=False, sortable=False, aggregatable=False)
    if kind == "base64" or (kind in ("textarea", "anyType") and field.length > 255):
        field = replace(field, filterable=False, sortable=False, groupable=False, aggregatable=False)
    return field


def stock_fields(notation: str) -> tuple[Field, ...]:
    """Fields from lines `Name | Label | type(arguments) word word=value ...`; the words are those of `_worded`."""
    return tuple(_from_line(line.strip()) for line in notation.strip().splitlines() if line.strip())


def _from_line(line: str) -> Field:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"no field: {line}")
    name, label, kind, arguments, words = match.groups()
    field = typed_field(name, label, kind, arguments or "")
    for word in words.split():
        field = _worded(field, word)
    return field


_WORDS: dict[str, dict[str, object]] = {
    "required": {"nillable": False, "permissionable": False},
    "defaulted": {"nillable": False, "defaulted": True, "permissionable": False},
    "readonly": {"createable": False, "updateable": False, "permissionable": False},
    "createonly": {"updateable": False, "permissionable": False},
    "updateonly": {"createable": False, "permissionable": False},
    "notnull": {"nillable": False},
    "restricted": {"restricted": True},
    "idlookup": {"id_lookup": True},
    "namefield": {"name_field": True},
    "cascade": {"cascade": True},
    "system": {"permissionable": False},
    "unique": {"unique": True},
    "nofilter": {"filterable": False, "sortable": False, "groupable": False, "aggregatable": False},
    "nosort": {"sortable": False, "aggregatable": False},
    "nogroup": {"groupable": False},
    "formula": {"calculated": True, "createable": False, "updateable": False},
    "true": {"default": True},
}
_VALUED = {"rel": "relationship", "kids": "children", "part": "compound", "extra": "extra"}


def _worded(field: Field, word: str) -> Field:
    key, equals, value = word.partition("=")
    if key == "values":
        return replace(field, choices=choices_of(PICKLISTS[value]))
    changes = {_VALUED[key]: value} if equals else _WORDS[key]
    return replace(field, **changes)


def choices_of(values: tuple[str, ...]) -> tuple[Choice, ...]:
    """Picklist values; a star at the end marks the default."""
    return tuple(Choice(each.rstrip("*"), default=each.endswith("*")) for each in values)
