"""What objects and fields an org has, and what may be done with them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connectors.salesforce.client import Client, Refused, Request
from connectors.salesforce.values import Json


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field, as far as this user may see it. Sizes that make no sense for the type are 0."""

    name: str
    type: str  # Salesforce's: "double", "picklist", "string", "textarea", "reference" ...
    length: int = 0
    precision: int = 0
    scale: int = 0
    updateable: bool = False
    createable: bool = False
    restricted: bool = False  # a picklist that takes none but its own values
    values: tuple[str, ...] = ()  # of a picklist, the active ones
    nillable: bool = True
    external_id: bool = False
    unique: bool = False
    filterable: bool = True
    calculated: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None  # by which a path reaches the parent: "Owner"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object. Names of fields are found in any case, as SOQL finds them."""

    name: str
    fields: Mapping[str, FieldInfo]  # by their names in small letters; see `field`
    queryable: bool = True
    updateable: bool = True

    def exists(self, name: str) -> bool:
        """Is there a field of that name that this user may see?"""
        return name.lower() in self.fields

    def field(self, name: str) -> FieldInfo | None:
        return self.fields.get(name.lower())


class Describes:
    """The org's objects, asked for once and then only whether they have changed. From any thread."""

    def __init__(self, client: Client) -> None:
        self._client = client.reserved
        self._lock = threading.Lock()
        self._known: dict[str, tuple[ObjectInfo, str]] = {}  # with its Last-Modified
        self._fresh: set[str] = set()
        self._absent: set[str] = set()

    def of(self, name: str) -> ObjectInfo:
        """`Refused` (404) where the org has no such object, or not for this user."""
        with self._lock:
            if name not in self._fresh or name not in self._known:
                self._known[name] = self._asked(name)
                self._fresh.add(name)
            return self._known[name][0]

    def has(self, name: str) -> bool:
        """May this user read such objects at all?"""
        if name in self._absent:
            return False
        try:
            return self.of(name).queryable
        except Refused as refusal:
            if refusal.status != 404:
                raise
            self._absent.add(name)
            return False

    def anew(self) -> None:
        """From now on ask again, where something has changed by the second that was told: a new run begins."""
        with self._lock:
            self._fresh.clear()
            self._absent.clear()

    def forget(self) -> None:
        """Ask again, whole: something has changed this very moment."""
        with self._lock:
            self._known.clear()
        self.anew()

    def _asked(self, name: str) -> tuple[ObjectInfo, str]:
        known = self._known.get(name)
        headers = {"If-Modified-Since": known[1]} if known and known[1] else {}
        what, path = f"describing {name}", f"/sobjects/{name}/describe"
        answer = self._client.ask(Request(what, "GET", path, headers=headers, shape=dict, oddity=_oddity))
        if answer.status == 304 and known:
            return known
        return _understood(answer.body), answer.headers.get("Last-Modified") or ""


def _oddity(told: Json) -> str | None:
    fields = told.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, dict) and each.get("name") for each in fields):
        return "it has no `fields`"
    return None if told.get("name") else "it has no `name`"


def _understood(told: Json) -> ObjectInfo:
    fields = (_field(each) for each in told["fields"])
    return ObjectInfo(
        str(told["name"]),
        MappingProxyType({each.name.lower(): each for each in fields}),
        bool(told.get("queryable", True)),
        bool(told.get("updateable", True)),
    )


def _field(told: Json) -> FieldInfo:
    options = told.get("picklistValues") or ()
    return FieldInfo(
        name=str(told["name"]),
        type=str(told.get("type") or ""),
        length=_size(told.get("length")),
        precision=_size(told.get("precision")),
        scale=_size(told.get("scale")),
        updateable=bool(told.get("updateable")),
        createable=bool(told.get("createable")),
        restricted=bool(told.get("restrictedPicklist")),
        values=tuple(str(each.get("value")) for each in options if isinstance(each, dict) and each.get("active")),
        nillable=bool(told.get("nillable", True)),
        external_id=bool(told.get("externalId")),
        unique=bool(told.get("unique")),
        filterable=bool(told.get("filterable", True)),
        calculated=bool(told.get("calculated")),
        reference_to=tuple(map(str, told.get("referenceTo") or ())),
        relationship=told.get("relationshipName") or None,
    )


def _size(told: Any) -> int:
    return told if isinstance(told, int) else 0
