"""Contacts, as HubSpot writes them, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connectors.hubspot.client import Account
from connectors.hubspot.lookups import MERGED, Owners
from connectors.hubspot.settings import Counter, Settings
from connectors.hubspot.values import Json, count, maybe_moment, moment, text
from syncer.connector import Wanted
from syncer.model import Reading, Record, RecordKey, Rejected

CONTACTS = "contacts"
MODIFIED = "lastmodifieddate"
LIFECYCLE = "lifecyclestage"
OWNER = "hubspot_owner_id"
_OWN_PROPERTIES = ("email", "firstname", "lastname", OWNER, LIFECYCLE, MODIFIED, MERGED)
_PEOPLES_SOURCES = frozenset({"CRM_UI", "CRM_UI_BULK_ACTION", "CONTACTS_WEB", "MOBILE_IOS", "MOBILE_ANDROID", "IMPORT"})
"""Where a value comes from when a person set it; programs' are INTEGRATION, API, CALCULATED, AUTOMATION_PLATFORM ..."""


def mapped(settings: Settings, wanted: Wanted) -> dict[str, str]:
    """Field name in the rules -> property."""
    return {field: settings.fields.get(field, field) for field in wanted.fields}


def wanted_counters(settings: Settings, wanted: Wanted) -> dict[str, Counter]:
    return {kind: settings.counters[kind] for kind in wanted.activities if kind in settings.counters}


def properties(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """Every property that reading a contact needs, each once."""
    names = [*_OWN_PROPERTIES, *mapped(settings, wanted).values()]
    if settings.write.stage:
        names.append(settings.write.stage)
    for counter in wanted_counters(settings, wanted).values():
        names += [counter.count, *([counter.last] if counter.last else [])]
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Lens:
    """What it takes to read a contact: the connection, the rules' wishes, the portal, its owners, its clock."""

    connection: str
    settings: Settings
    wanted: Wanted
    account: Account
    owners: Owners
    seen_at: datetime

    def key(self, contact: str) -> RecordKey:
        return RecordKey(self.connection, CONTACTS, contact)

    def record(self, row: Json) -> Record:
        """One contact. ValueError where it does not say when it was modified."""
        values = row.get("properties") or {}
        contact, lifecycle, owner = str(row["id"]), text(values, LIFECYCLE), text(values, OWNER)
        names = mapped(self.settings, self.wanted)
        parts = (text(values, "firstname"), text(values, "lastname"))
        return Record(
            key=self.key(contact),
            modified_at=modified_at(row),
            email=text(values, "email"),
            fields={field: value for field, name in names.items() if (value := text(values, name)) is not None},
            stage=text(values, self.settings.write.stage),
            lifecycle=lifecycle,
            lifecycle_stage=self._our_stage(lifecycle),
            protected=lifecycle in self.settings.protected,
            owner=self.owners.by_id.get(owner, owner) if owner else None,
            name=" ".join(part for part in parts if part) or None,
            url=self.account.page(contact),
        )

    def gone(self, contact: str) -> Record:
        return Record(self.key(contact), self.seen_at, deleted=True)

    def absorbed(self, contact: str, by: Json) -> Record:
        """A contact that was merged into another; it answers under that one's id now."""
        return Record(self.key(contact), modified_at(by), merged_into=self.key(str(by["id"])))

    def readings(self, row: Json) -> Iterator[Reading | Rejected]:
        """The wanted counters that are set. People and imports leave anything in number fields: that is Rejected."""
        values = row.get("properties") or {}
        for kind, counter in wanted_counters(self.settings, self.wanted).items():
            written = text(values, counter.count)
            if written is None:
                continue
            try:
                last = maybe_moment(values, counter.last)
                yield Reading(self.key(str(row["id"])), kind, count(written), last, self.seen_at)
            except ValueError as error:
                names = " / ".join(name for name in (counter.count, counter.last) if name)
                yield Rejected(str(row["id"]), f"{kind} cannot be counted: {names}: {error}")

    def _our_stage(self, lifecycle: str | None) -> str | None:
        ours = self.settings.write.lifecyclestage
        return next((stage for stage, theirs in ours.items() if theirs == lifecycle), None)

    def stage_author(self, row: Json) -> str | None:
        """The person who set our stage or HubSpot's own last, of an answer with their history; None: a program did."""
        histories = row.get("propertiesWithHistory") or {}
        newest = [versions[0] for name in (self.settings.write.stage, LIFECYCLE) if (versions := histories.get(name))]
        last: Json = max(newest, key=lambda version: str(version.get("timestamp")), default={})
        if str(last.get("sourceType")) not in _PEOPLES_SOURCES:
            return None
        user = _user(last)
        return self.owners.by_user.get(user, f"HubSpot user {user}") if user else "a HubSpot user"


def modified_at(row: Json) -> datetime:
    """When the record was modified by HubSpot's clock; ValueError where it does not say."""
    values = row.get("properties") or {}
    written = text(values, MODIFIED) or text(row, "updatedAt")
    if written is None:
        raise ValueError(f"it lacks {MODIFIED}")
    return moment(written)


def _user(version: Json) -> str | None:
    if version.get("updatedByUserId") is not None:
        return str(version["updatedByUserId"])
    source = str(version.get("sourceId") or "")
    number = source.removeprefix("userId:")  # as the CRM's own pages write it
    return number if number.isdigit() else None
