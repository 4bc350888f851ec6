"""The objects of an org and their fields: found by name in any case, extended and restricted while running."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import Field, stock_fields

AUDIT = """
CreatedDate | Created Date | datetime readonly defaulted
CreatedById | Created By ID | reference(User) readonly defaulted rel=CreatedBy
LastModifiedDate | Last Modified Date | datetime readonly defaulted
LastModifiedById | Last Modified By ID | reference(User) readonly defaulted rel=LastModifiedBy
SystemModstamp | System Modstamp | datetime readonly defaulted
"""
VIEWED = """
LastViewedDate | Last Viewed Date | datetime readonly
LastReferencedDate | Last Referenced Date | datetime readonly
"""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What may be done with an object as a whole."""

    queryable: bool = True
    replicateable: bool = True
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    undeletable: bool = True
    mergeable: bool = False
    searchable: bool = True
    layoutable: bool = True
    triggerable: bool = True
    activateable: bool = False
    custom: bool = False


class ObjectType:
    """One kind of record. Frozen but for its fields, which an admin may add to or remove."""

    def __init__(
        self, name: str, labels: tuple[str, str], prefix: str, fields: Iterable[Field], can: Abilities = Abilities()
    ) -> None:
        self.name = name
        self.label, self.label_plural = labels
        self.prefix = prefix
        self.can = can
        self.fields: dict[str, Field] = {}
        self.by_lower: dict[str, Field] = {}
        self.template: dict[str, object] = {"$type": name}  # a new row; "$type" is never shown
        for each in fields:
            self.put(each)

    def put(self, field: Field) -> None:
        """Add a field, or change the one of this name."""
        self.fields[field.name] = field
        self.by_lower[field.name.lower()] = field
        self.template[field.name] = _empty(field)

    def drop(self, name: str) -> None:
        """Remove a field."""
        del self.fields[name], self.by_lower[name.lower()], self.template[name]

    def find(self, name: str) -> Field | None:
        """The field of a name in any case."""
        return self.by_lower.get(name.lower())

    @property
    def name_field(self) -> Field | None:
        """The field that names a record to people."""
        return next((each for each in self.fields.values() if each.name_field), None)

    def parent_field(self, relationship: str) -> Field | None:
        """The reference behind a relationship to a parent (`Owner`)."""
        wanted = relationship.lower()
        return next((each for each in self.fields.values() if each.relationship.lower() == wanted != ""), None)


def _empty(field: Field) -> object:
    """What a new record holds in a field that nobody has filled."""
    if field.type in ("int", "currency") and not field.nillable and not field.createable:
        return 0 if field.type == "int" else 0.0  # a count or a sum
    return bool(field.default) if field.type == "boolean" else field.default


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """A way from a parent to its children."""

    child: str
    field: str
    name: str
    cascade: bool


class Schema:
    """All objects. `version` grows with each change, so that what was derived from the schema can be thrown away."""

    def __init__(self, objects: Iterable[ObjectType]) -> None:
        self.version = 0
        self._objects: dict[str, ObjectType] = {}
        self.prefixes: dict[str, str] = {}
        self._children: dict[str, tuple[ChildRelationship, ...]] = {}
        for each in objects:
            self.add(each)

    def __iter__(self) -> Iterator[ObjectType]:
        return iter(self._objects.values())

    def add(self, kind: ObjectType) -> None:
        """A new object."""
        self._objects[kind.name.lower()] = kind
        if kind.prefix:
            self.prefixes[kind.prefix] = kind.name
        self.changed()

    def remove(self, name: str) -> None:
        """An object goes, as when its feature is switched off."""
        kind = self._objects.pop(name.lower(), None)
        if kind is not None:
            self.prefixes.pop(kind.prefix, None)
        self.changed()

    def changed(self) -> None:
        """Note that something is not as it was."""
        self.version += 1
        self._children = {}

    def find(self, name: str) -> ObjectType | None:
        """The object of a name in any case."""
        return self._objects.get(name.lower())

    def get(self, name: str) -> ObjectType:
        """The object of a name in any case, or 404."""
        kind = self.find(name)
        if kind is None:
            raise Refusal(404, "NOT_FOUND", "The requested resource does not exist")
        return kind

    def kind_of_id(self, record_id: str) -> ObjectType | None:
        """The object whose records have ids that start like this one."""
        name = self.prefixes.get(record_id[:3])
        return None if name is None else self.find(name)

    def children(self, parent: str) -> tuple[ChildRelationship, ...]:
        """The ways from an object down to those that refer to it."""
        if not self._children:
            self._children = self._all_children()
        return self._children.get(parent, ())

    def child(self, parent: str, relationship: str) -> ChildRelationship | None:
        """The way down of this name."""
        wanted = relationship.lower()
        return next((each for each in self.children(parent) if each.name.lower() == wanted != ""), None)

    def replace_field(self, kind: ObjectType, name: str, changes: Mapping[str, object]) -> None:
        """Change what a field is."""
        kind.put(replace(kind.fields[name], **changes))  # type: ignore[arg-type]
        self.changed()

    def _all_children(self) -> dict[str, tuple[ChildRelationship, ...]]:
        found: dict[str, list[ChildRelationship]] = {}
        for kind in self:
            for field in kind.fields.values():
                way = ChildRelationship(kind.name, field.name, field.children, field.cascade)
                for target in field.targets:
                    found.setdefault(target, []).append(way)
        return {parent: tuple(ways) for parent, ways in found.items()}


def stock_object(head: str, prefix: str, notation: str, can: Abilities = Abilities()) -> ObjectType:
    """An object from `Name | Label | Label plural` and the notation of its fields; Id and IsDeleted come by
    themselves (IsDeleted only where records are thrown away, not erased)."""
    name, label, plural = (each.strip() for each in head.split("|"))
    first = f"Id | {label} ID | id readonly defaulted idlookup\n"
    if can.deletable and can.replicateable and can.triggerable:
        first += "IsDeleted | Deleted | boolean readonly\n"
    return ObjectType(name, (label, plural), prefix, stock_fields(first + notation), can)
