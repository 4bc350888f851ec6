"""The fields that results are written to: what there should be, what there is, and making it so.

A new field is seen by nobody before a permission set says so, so one is made as well, and given to the user whose
session makes it. Making both needs the permissions Customize Application and Manage Profiles and Permission Sets: far
more than syncer needs afterwards, so an admin's token is best used for `setup --apply` alone; the admin then gives the
permission set to the user that syncer works as.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from connectors.salesforce.client import Client, Refused, Request
from connectors.salesforce.describe import Describes, FieldInfo
from connectors.salesforce.org import Org
from connectors.salesforce.settings import Settings
from connectors.salesforce.values import Json, quoted
from syncer.connector import FieldChange, Wanted
from syncer.errors import ConfigError

GROUP = "Lead_Scoring"
GROUP_LABEL = "Lead scoring (syncer)"
ASSIGN = f"assign the permission set {GROUP} to the user syncer runs as"
_NUMBERS = frozenset({"double", "int", "currency", "percent"})
_TEXTS = frozenset({"string", "textarea"})
_CHOICES = frozenset({"picklist", *_TEXTS})
_DIGITS = 3  # before the point: scores of a hundred and more
_REASONS = 255  # letters that the reasons need at least
_KEY = 64  # letters of a task's key
_EXISTS = frozenset({"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"})
_MAY_EXIST = "FIELD_INTEGRITY_EXCEPTION"  # said of much else too: that a licence does not go with a permission ...


@dataclass(frozen=True, slots=True)
class Target:
    """A field that we write to, or with `manual` one in which people choose a stage."""

    object: str
    name: str
    label: str
    types: frozenset[str]  # of which it may be, in the words of a describe
    made: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # as Tooling's Metadata has it
    options: tuple[str, ...] = ()  # what it must be able to hold
    length: int = 0  # letters it must have room for, where it is a text
    key: bool = False  # an external id
    manual: bool = False

    @property
    def full_name(self) -> str:
        """As Salesforce names it across objects: "Lead.Lead_Score__c"."""
        return f"{self.object}.{self.name}"

    @property
    def in_words(self) -> str:
        kind = str(self.made["type"])
        return f"{kind}: {', '.join(self.options)}" if self.options else kind

    def lack(self, found: FieldInfo) -> str | None:
        """Why an existing field cannot serve; None: it can."""
        if found.type not in self.types:
            needed = " or ".join(sorted(self.types))
            return f"{self.full_name} is of type {found.type!r} in Salesforce, not {needed}; {_OTHER}"
        if self.manual:
            return None  # nothing is written to it, and a choice need not name all stages
        if found.calculated or not (found.createable if self.key else found.updateable):
            return f"{self.full_name} is read-only for this user; give the user edit access to it, or {_OTHER}"
        if self.types is _NUMBERS and found.precision and found.precision - found.scale < _DIGITS:
            return f"{self.full_name} has no room for {_DIGITS} digits before the point; widen it, or {_OTHER}"
        if self.key and not (found.external_id and found.unique):
            return f"{self.full_name} is not marked as external id and unique; mark it so, or {_OTHER}"
        return self._too_small(found)

    def _too_small(self, found: FieldInfo) -> str | None:
        lacking = [each for each in self.options if found.restricted and each not in found.values]
        if lacking:
            return f"{self.full_name} is restricted and lacks the values {', '.join(lacking)}; add them to it"
        needed = max((self.length, *map(len, self.options)))
        if found.type in _TEXTS and found.length < needed:
            return f"{self.full_name} has room for {found.length} letters, and needs {needed}; {_OTHER}"
        return None


_OTHER = "name another in the connection's settings"


def targets(settings: Settings, wanted: Wanted) -> tuple[Target, ...]:
    """The fields we write to, and those in which people choose a stage, object by object."""
    found = [target for kind in settings.objects for target in _of_people(kind, settings, wanted)]
    if settings.task.external_id:
        made = {"type": "Text", "length": 255, "externalId": True, "unique": True, "caseSensitive": True}
        found.append(
            Target("Task", settings.task.external_id, "syncer key", frozenset({"string"}), made, length=_KEY, key=True)
        )
    return tuple(found)


def _of_people(kind: str, settings: Settings, wanted: Wanted) -> Iterator[Target]:
    write = settings.write
    number = {"type": "Number", "precision": 7, "scale": 2}
    yield Target(kind, write.score, "Lead score", _NUMBERS, number)
    if wanted.stages:
        yield Target(kind, write.stage, "Lead stage", _CHOICES, _picklist(wanted.stages), wanted.stages)
    if write.reasons:
        long = {"type": "LongTextArea", "length": 32_768, "visibleLines": 4}
        yield Target(kind, write.reasons, "Lead score reasons", _TEXTS, long, length=_REASONS)
    yield from _of_hands(kind, settings, wanted)


def _of_hands(kind: str, settings: Settings, wanted: Wanted) -> Iterator[Target]:
    manual = settings.manual
    if manual is None or not wanted.stages:
        return
    yield Target(kind, manual.stage, "Manual stage", _CHOICES, _picklist(wanted.stages), wanted.stages, manual=True)
    if manual.reason:
        text = {"type": "Text", "length": 255}
        yield Target(kind, manual.reason, "Manual stage: reason", _TEXTS, text, manual=True)
    if manual.until:
        days = frozenset({"date", "datetime"})
        yield Target(kind, manual.until, "Manual stage: until", days, {"type": "Date"}, manual=True)


def _picklist(stages: tuple[str, ...]) -> Mapping[str, Any]:
    """Not restricted: a stage that the model gains later is taken too."""
    values = [{"fullName": each, "label": each, "default": False} for each in stages]
    return {
        "type": "Picklist",
        "valueSet": {"restricted": False, "valueSetDefinition": {"sorted": False, "value": values}},
    }


def problem_of(target: Target, describes: Describes) -> str | None:
    """Why a target cannot be written to; None: it can."""
    if not describes.has(target.object):
        return f"this user may not see {target.object}"
    found = describes.of(target.object).field(target.name)
    if found is None:
        return f"{target.full_name} does not exist in Salesforce, or this user may not see it: then {ASSIGN}"
    return target.lack(found)


class Setup:
    """Looks at the targets and creates them."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, org: Org) -> None:
        self._name = name
        self._targets = {each.full_name: each for each in targets(settings, wanted)}
        self._client: Client = org.client.reserved
        self._describes = org.describes
        self._group: str | None = None

    def setup(self) -> Iterator[FieldChange]:
        """The permission set first: the fields are shown by it."""
        self._describes.forget()
        found = {name: self._described(target) for name, target in self._targets.items()}
        if None in found.values():
            kind = f"permission set: {ASSIGN}"
            yield FieldChange("group", GROUP, GROUP_LABEL, kind, self._permission_set() is not None)
        for name, target in self._targets.items():
            seen = found[name]
            problem = target.lack(seen) if seen else None
            yield FieldChange("field", name, target.label, target.in_words, seen is not None, problem)

    def create(self, change: FieldChange) -> None:
        """Create one. What somebody else created meanwhile only has to be able to serve."""
        if change.kind == "group":
            self._given_permission_set()
            return
        target = self._targets.get(change.name)
        if target is None:
            raise ConfigError(f"{self._name}: {change.name} is no field that syncer needs", code="SY149")
        if self._described(target) is None:
            self._make(target)
            self._permit(target)
            self._describes.forget()
        seen = self._described(target)
        unseen = f"{target.full_name} is there and is not shown to this user; {ASSIGN}"
        problem = target.lack(seen) if seen else unseen
        if problem:
            raise ConfigError(f"{self._name}: {problem}", code="SY149")

    def _described(self, target: Target) -> FieldInfo | None:
        return self._describes.of(target.object).field(target.name)

    def _make(self, target: Target) -> None:
        body: Json = {"FullName": target.full_name, "Metadata": {"label": target.label, **target.made}}
        self._posted(f"creating {target.full_name}", "/tooling/sobjects/CustomField", body)

    def _permit(self, target: Target) -> None:
        rights: Json = {
            "ParentId": self._given_permission_set(),
            "SobjectType": target.object,
            "Field": target.full_name,
            "PermissionsRead": True,
            "PermissionsEdit": True,
        }
        there = _rows_of("FieldPermissions", ParentId=rights["ParentId"], Field=target.full_name)
        self._posted(f"showing {target.full_name}", "/sobjects/FieldPermissions", rights, there)

    def _given_permission_set(self) -> str:
        """The id of the permission set, which the user of this session has from now on."""
        if self._group is None:
            found = self._permission_set()
            if found is None:
                body: Json = {"Name": GROUP, "Label": GROUP_LABEL, "Description": "Shows the fields of syncer"}
                self._posted(f"creating the permission set {GROUP}", "/sobjects/PermissionSet", body, _GROUPS)
                found = self._permission_set()
            if found is None:
                raise ConfigError(f"{self._name}: the permission set {GROUP} cannot be seen", code="SY149")
            assigned: Json = {"PermissionSetId": found, "AssigneeId": self._user()}
            there = _rows_of("PermissionSetAssignment", **assigned)
            self._posted(f"giving the permission set {GROUP}", "/sobjects/PermissionSetAssignment", assigned, there)
            self._group = found
        return self._group

    def _permission_set(self) -> str | None:
        rows = self._client.query_all_rows("looking for the permission set", _GROUPS, all_rows=False)
        return str(rows[0]["Id"]) if rows else None

    def _user(self) -> str:
        """The id of this session's user: the list of the API's parts ends the address of its identity with it."""
        told = self._client.get("asking who this is", "/")
        return quote(str(told.get("identity") or "").rstrip("/").rpartition("/")[2])

    def _posted(self, what: str, path: str, body: Json, there: str | None = None) -> None:
        """Made, or made already. `there`: the query that shows it, where a refusal is not clear about that."""
        try:
            self._client.ask(Request(what, "POST", path, body, kind="write"))
        except Refused as refusal:
            if refusal.codes & _EXISTS:
                return
            if there is None or _MAY_EXIST not in refusal.codes:
                raise
            if not self._client.query_all_rows(f"looking after {what}", there, all_rows=False):
                raise


def _rows_of(kind: str, **values: str) -> str:
    return f"SELECT Id FROM {kind} WHERE " + " AND ".join(f"{name} = {quoted(value)}" for name, value in values.items())


_GROUPS = _rows_of("PermissionSet", Name=GROUP)
