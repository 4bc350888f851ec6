"""Property definitions and groups: what a portal's fields are, how they are shown and what a new one must satisfy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.emulators.hubspot.answers import Json, invalid
from connectors.emulators.hubspot.clock import iso

FIELD_TYPES: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"booleancheckbox", "calculation_equation"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"date", "calculation_equation"}),
    "enumeration": frozenset({"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"}),
    "number": frozenset({"number", "calculation_equation"}),
    "phone_number": frozenset({"phonenumber"}),
    "string": frozenset({"file", "text", "textarea", "html", "phonenumber", "calculation_equation"}),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an enumeration; `value` is what is stored."""

    value: str
    label: str
    display_order: int = -1
    description: str | None = None
    hidden: bool = False

    def shown(self) -> Json:
        body: Json = {
            "label": self.label,
            "value": self.value,
            "displayOrder": self.display_order,
            "hidden": self.hidden,
        }
        return body if self.description is None else {**body, "description": self.description}


@dataclass(frozen=True, slots=True)
class Property:
    """A field of one kind of object. `calculated` fields change without touching the record's modified time."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: tuple[Option, ...] = ()
    calculated: bool = False
    read_only_value: bool = False
    hubspot_defined: bool = False
    external_options: bool = False
    has_unique_value: bool = False
    hidden: bool = False
    form_field: bool = True
    display_order: int = -1
    data_sensitivity: str = "non_sensitive"
    referenced_object_type: str | None = None
    calculation_formula: str | None = None
    created_ms: int = 0
    updated_ms: int = 0
    archived_ms: int | None = None
    user_id: str | None = None

    def shown(self, whole: bool = True) -> Json:
        """As the API shows it; `whole` False leaves out the times and authors, as answers of batch/create do."""
        return {**(self._provenance() if whole else {}), **self._core()}

    def _core(self) -> Json:
        body: Json = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [option.shown() for option in self.options],
            "displayOrder": self.display_order,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "hasUniqueValue": self.has_unique_value,
            "hidden": self.hidden,
            "modificationMetadata": {
                "archivable": True,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyValue": self.read_only_value,
            },
            "formField": self.form_field,
            "dataSensitivity": self.data_sensitivity,
        }
        return body | self._optional()

    def _optional(self) -> Json:
        extra: Json = {"hubspotDefined": True} if self.hubspot_defined else {}
        if self.referenced_object_type:
            extra["referencedObjectType"] = self.referenced_object_type
        if self.calculation_formula:
            extra["calculationFormula"] = self.calculation_formula
        return extra

    def _provenance(self) -> Json:
        body: Json = {"updatedAt": iso(self.updated_ms), "createdAt": iso(self.created_ms)}
        if self.user_id is not None:
            body |= {"createdUserId": self.user_id, "updatedUserId": self.user_id}
        if not self.hubspot_defined:
            body["archived"] = self.archived_ms is not None
        if self.archived_ms is not None:
            body |= {"archived": True, "archivedAt": iso(self.archived_ms)}
        return body


@dataclass(frozen=True, slots=True)
class Group:
    """A heading under which fields are shown."""

    name: str
    label: str
    display_order: int
    archived: bool = False

    def shown(self) -> Json:
        return {"name": self.name, "label": self.label, "displayOrder": self.display_order, "archived": self.archived}


def parse_options(raw: Sequence[Mapping[str, Any]]) -> tuple[Option, ...]:
    """Options of a create or update; a missing order is the next free one after the highest given."""
    highest = max((int(each.get("displayOrder", -1)) for each in raw), default=-1)
    options = []
    for each in raw:
        order = each.get("displayOrder")
        if order is None:
            highest += 1
            order = highest
        value = str(each.get("value", ""))
        hidden = bool(each.get("hidden", False))
        options.append(Option(value, str(each.get("label", value)), int(order), each.get("description"), hidden))
    return tuple(options)


def check_types(kind: str, field: str) -> None:
    """Refuses a type that does not exist and a fieldType that does not go with it (a datetime's is `date`)."""
    if kind not in FIELD_TYPES:
        raise invalid(f"Invalid property type: {kind}. Valid types are: {sorted(FIELD_TYPES)}")
    if field not in FIELD_TYPES[kind]:
        allowed = ", ".join(sorted(FIELD_TYPES[kind]))
        raise invalid(f"Property field type '{field}' is not valid for type '{kind}'. Allowed: {allowed}")


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"Invalid input JSON: field '{key}' is required")
    return value


def parse_property(raw: Mapping[str, Any], now_ms: int, user_id: str) -> Property:
    """A new custom field from the body of a create; 400 when something is missing or does not fit."""
    name, kind, field = _text(raw, "name"), _text(raw, "type"), _text(raw, "fieldType")
    if name != name.lower() or not name[0].isalpha() or not name.replace("_", "").isalnum():
        raise invalid(f"Property name '{name}' is invalid: it must start with a letter and hold a-z, 0-9 and _ only")
    check_types(kind, field)
    options = parse_options(raw.get("options") or ())
    if kind == "enumeration" and not options and not raw.get("externalOptions") and field != "booleancheckbox":
        raise invalid("Enumeration properties must have at least one option")
    return Property(
        name=name, label=_text(raw, "label"), type=kind, field_type=field, group=_text(raw, "groupName"),
        description=str(raw.get("description") or ""), options=options,
        calculated=field == "calculation_equation", read_only_value=field == "calculation_equation",
        external_options=bool(raw.get("externalOptions")), has_unique_value=bool(raw.get("hasUniqueValue")),
        hidden=bool(raw.get("hidden")), form_field=bool(raw.get("formField", False)),
        display_order=int(raw.get("displayOrder", -1)),
        data_sensitivity=str(raw.get("dataSensitivity", "non_sensitive")),
        referenced_object_type=raw.get("referencedObjectType"), calculation_formula=raw.get("calculationFormula"),
        created_ms=now_ms, updated_ms=now_ms, user_id=user_id,
    )  # fmt: skip
