"""Custom fields and objects from the words of the Metadata API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import Choice, Field, stock_fields, typed_field
from connectors.emulators.salesforce.formulas import Summary
from connectors.emulators.salesforce.schema import AUDIT, VIEWED, Abilities, ObjectType

_TYPES = {
    "Text": "string",
    "Number": "double",
    "Checkbox": "boolean",
    "Date": "date",
    "DateTime": "datetime",
    "Time": "time",
    "Picklist": "picklist",
    "MultiselectPicklist": "multipicklist",
    "Email": "email",
    "Phone": "phone",
    "Url": "url",
    "Currency": "currency",
    "Percent": "percent",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "Html": "textarea",
    "Lookup": "reference",
    "MasterDetail": "reference",
    "AutoNumber": "string",
    "Summary": "double",
}
_LONG = frozenset(("LongTextArea", "Html"))
CAN_CUSTOM = Abilities(custom=True)


def custom_field(definition: Mapping[str, object]) -> Field:
    """A field from {"fullName", "label", "type", ...}; Refusal for a definition that is none."""
    name = str(definition.get("fullName") or definition.get("name") or "").rpartition(".")[2]
    if not name.endswith("__c"):
        name += "__c"
    kind = str(definition.get("type", ""))
    if kind not in _TYPES:
        raise Refusal(400, "INVALID_FIELD", f"{name}: unknown field type {kind!r}")
    field = typed_field(
        name, str(definition.get("label") or name.removesuffix("__c")), _TYPES[kind], _size(kind, definition)
    )
    field = _with_references(field, definition, kind)
    unique = bool(definition.get("unique"))
    changes: dict[str, object] = {
        "custom": True,
        "external_id": bool(definition.get("externalId")),
        "id_lookup": bool(definition.get("externalId")),
        "unique": unique,
        "case_sensitive": unique and bool(definition.get("caseSensitive")),
        "nillable": field.nillable and not definition.get("required"),
        "help": str(definition.get("inlineHelpText") or ""),
    }
    if definition.get("formula"):
        changes |= {"calculated": True, "createable": False, "updateable": False, "formula": str(definition["formula"])}
    if kind == "Summary":
        changes |= {"calculated": True, "createable": False, "updateable": False}
    if kind == "AutoNumber":
        changes |= {"auto_number": True, "createable": False, "updateable": False}
    if kind == "Checkbox":
        changes["default"] = str(definition.get("defaultValue", "false")).lower() == "true"
    return _with_choices(replace(field, **changes), definition)  # type: ignore[arg-type]


def summary_of(parent: str, field: Field, definition: Mapping[str, object]) -> Summary:
    """The roll-up of {"type": "Summary", "summaryForeignKey": "Task.WhoId", "summaryOperation": "count" (or sum, min,
    max of "summarizedField": "Task.CallDurationInSeconds")}."""
    child, _, foreign_key = str(definition.get("summaryForeignKey", "")).partition(".")
    operation = str(definition.get("summaryOperation", "count")).lower()
    if not foreign_key or operation not in ("count", "sum", "min", "max"):
        raise Refusal(400, "INVALID_FIELD", f"{field.name}: a summary needs summaryForeignKey and summaryOperation")
    summarized = str(definition.get("summarizedField", "")).rpartition(".")[2]
    return Summary(parent, field.name, child, foreign_key, operation, summarized)


def _size(kind: str, definition: Mapping[str, object]) -> str:
    if kind in ("Lookup", "MasterDetail"):
        targets = definition.get("referenceTo", "")
        return ",".join(targets) if isinstance(targets, list | tuple) else str(targets)
    if kind in ("Number", "Currency", "Percent"):
        return f"{definition.get('precision', 18)},{definition.get('scale', 0)}"
    if kind in _LONG:
        return str(definition.get("length", 32768))
    lengths = {"Text": 255, "TextArea": 255, "AutoNumber": 30}
    return str(definition.get("length", lengths[kind])) if kind in lengths else ""


def _with_references(field: Field, definition: Mapping[str, object], kind: str) -> Field:
    if field.type != "reference":
        return field
    children = str(definition.get("relationshipName") or "")
    return replace(
        field,
        relationship=f"{field.name.removesuffix('__c')}__r",
        children=f"{children}__r" if children else "",
        cascade=kind == "MasterDetail",
        nillable=kind != "MasterDetail",
    )


def _with_choices(field: Field, definition: Mapping[str, object]) -> Field:
    given = definition.get("valueSet")
    if given is None:
        return field
    restricted = bool(definition.get("restricted"))
    if isinstance(given, Mapping):
        restricted = bool(given.get("restricted", restricted))
        inner = given.get("valueSetDefinition")
        given = inner.get("value", []) if isinstance(inner, Mapping) else []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise Refusal(400, "INVALID_FIELD", f"{field.name}: valueSet must list values")
    return replace(field, choices=tuple(_choice(each) for each in given), restricted=restricted)


def _choice(value: object) -> Choice:
    if isinstance(value, Mapping):
        name = str(value.get("fullName") or value.get("valueName") or value.get("value"))
        label, active = str(value.get("label") or ""), bool(value.get("isActive", True))
        return Choice(name, bool(value.get("default")), active, label)
    return Choice(str(value))


def custom_object(definition: Mapping[str, object], prefix: str) -> ObjectType:
    """An object from {"name" or "fullName", "label", "pluralLabel", "fields": [...]}; it has a Name and an owner."""
    name = str(definition.get("fullName") or definition.get("name") or "")
    if not name.endswith("__c"):
        name += "__c"
    label = str(definition.get("label") or name.removesuffix("__c"))
    fields = stock_fields(
        f"""
        Id | Record ID | id readonly defaulted idlookup
        OwnerId | Owner ID | reference(Group, User) defaulted rel=Owner
        IsDeleted | Deleted | boolean readonly
        Name | {label} Name | string(80) namefield system
        {AUDIT}{VIEWED}"""
    )
    given = definition.get("fields", [])
    customs = [custom_field(each) for each in given if isinstance(each, Mapping)] if isinstance(given, Sequence) else []
    labels = (label, str(definition.get("pluralLabel") or f"{label}s"))
    return ObjectType(name, labels, prefix, [*fields, *customs], CAN_CUSTOM)
