"""Contacts, as HubSpot writes them, in our words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.hubspot.companies import OF_COMPANY, mapped_companies
from connectors.hubspot.lookups import MERGED, Question, fetch
from connectors.hubspot.portal import Portal
from connectors.hubspot.settings import Counter, Settings
from connectors.hubspot.values import Json, count, maybe_moment, moment, text, texts
from syncer.by_hand import fields_of, understood
from syncer.connector import PackedFields, Wanted
from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.model import Manual, Reading, Record, RecordKey, Rejected

CONTACTS = "contacts"
_A_SECOND = timedelta(seconds=1)
MODIFIED = "lastmodifieddate"
LIFECYCLE = "lifecyclestage"
PRIMARY_COMPANY = "associatedcompanyid"
OWNER = "hubspot_owner_id"
_OWN_PROPERTIES = ("email", "firstname", "lastname", OWNER, LIFECYCLE, MODIFIED, MERGED)
_PEOPLES_SOURCES = frozenset({"CRM_UI", "CRM_UI_BULK_ACTION", "CONTACTS_WEB", "MOBILE_IOS", "MOBILE_ANDROID", "IMPORT"})
"""Where a value comes from when a person set it; programs' are INTEGRATION, API, CALCULATED, AUTOMATION_PLATFORM ..."""


def mapped(settings: Settings, wanted: Wanted) -> dict[str, str]:
    """Field name in the rules -> property of the contact."""
    names = {field: settings.fields.get(field, field) for field in wanted.fields}
    return {field: name for field, name in names.items() if not name.startswith(OF_COMPANY)}


def wanted_counters(settings: Settings, wanted: Wanted) -> dict[str, Counter]:
    """Not those of which each single activity is told: they would count twice."""
    single = settings.told_singly()
    kinds = [kind for kind in wanted.activities if kind in settings.counters and kind not in single]
    return {kind: settings.counters[kind] for kind in kinds}


def properties(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """Every property that reading a contact needs, each once."""
    names = [*_OWN_PROPERTIES, *mapped(settings, wanted).values()]
    if settings.write.stage:
        names.append(settings.write.stage)
    if mapped_companies(settings, wanted):
        names.append(PRIMARY_COMPANY)
    names += fields_of(settings.manual).values()
    for counter in wanted_counters(settings, wanted).values():
        names += [counter.count, *([counter.last] if counter.last else [])]
    return tuple(dict.fromkeys(names))


def reads(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """What is asked of contacts, and by which names: where one of these is new, who was read before lacks it."""
    fields = {**mapped(settings, wanted), **{k: OF_COMPANY + v for k, v in mapped_companies(settings, wanted).items()}}
    counters = {kind: f"{each.count}/{each.last}" for kind, each in wanted_counters(settings, wanted).items()}
    by_hand = (f"manual:{part}={name}" for part, name in fields_of(settings.manual).items())
    return (*(f"{ours}={theirs}" for ours, theirs in (fields | counters).items()), *by_hand)


@dataclass(frozen=True, slots=True)
class Lens:
    """What it takes to read a contact: the portal, its clock, and the rules' wishes."""

    portal: Portal
    seen_at: datetime
    fields: Mapping[str, str]  # field name in the rules -> property
    of_company: Mapping[str, str]  # the same, of the primary company
    counters: Mapping[str, Counter]
    stages: Mapping[str, str]  # HubSpot's lifecycle stage -> the stage of ours it stands for

    def key(self, contact: str) -> RecordKey:
        return RecordKey(self.portal.connection, CONTACTS, contact)

    def record(self, row: Json) -> Record:
        """One contact. ValueError where it does not say when it was modified."""
        return self.read(row)[0]

    def read(self, row: Json) -> tuple[Record, Rejected | None]:
        """One contact, and why the stage that people have chosen for it cannot be obeyed. ValueError as `record`."""
        values, settings = row.get("properties") or {}, self.portal.settings
        contact, lifecycle, owner = str(row["id"]), text(values, LIFECYCLE), text(values, OWNER)
        first, last = text(values, "firstname"), text(values, "lastname")
        fields = texts(values, self.fields)
        if self.of_company:
            fields |= self.company_fields(values)
        manual, disobeyed = self._chosen(contact, values) if settings.manual else (None, None)
        found = Record(
            key=self.key(contact),
            modified_at=modified_at(row),
            email=text(values, "email"),
            fields=PackedFields(fields),
            stage=text(values, settings.write.stage),
            lifecycle=lifecycle,
            lifecycle_stage=self.stages.get(lifecycle) if lifecycle else None,
            protected=lifecycle in settings.protected,
            owner=(self.portal.owner(owner) or owner) if owner else None,
            name=f"{first} {last}" if first and last else first or last,
            url=self.portal.account().page(contact),
            manual=manual,
        )
        return found, disobeyed

    def _chosen(self, contact: str, values: Json) -> tuple[Manual | None, Rejected | None]:
        """The stage that people have chosen, or why it cannot be obeyed."""
        names, wanted = fields_of(self.portal.settings.manual), self.portal.wanted
        said = {part: text(values, name) for part, name in names.items()}
        return understood(contact, said, wanted.stages, wanted.timezone)

    def company_fields(self, values: Json) -> dict[str, str]:
        """What the rules ask of the contact's primary company; nothing where there is none."""
        company = text(values, PRIMARY_COMPANY)
        return texts(self.portal.companies.read([company])[company], self.of_company) if company else {}

    def gone(self, contact: str, *, erased: bool = False) -> Record:
        """A contact that is not there. HubSpot's clock is known to the second: it may have been changed in this one."""
        return Record(self.key(contact), self.seen_at + _A_SECOND, deleted=True, erased=erased)

    def archived(self, contact: str, row: Json) -> Record:
        """A contact in the recycle bin. It is not said to be newer than HubSpot has it: it may be taken out again."""
        return Record(self.key(contact), modified_at(row), deleted=True)

    def absorbed(self, contact: str, by: Json) -> Record:
        """A contact that was merged into another; it answers under that one's id now."""
        return Record(self.key(contact), modified_at(by), merged_into=self.key(str(by["id"])))

    def readings(self, row: Json) -> Iterator[Reading | Rejected]:
        """The wanted counters that are set. People and imports leave anything in number fields: that is Rejected."""
        values = row.get("properties") or {}
        for kind, counter in self.counters.items():
            written = text(values, counter.count)
            if written is None:
                continue
            try:
                last = maybe_moment(values, counter.last)
                yield Reading(self.key(str(row["id"])), kind, count(written), last, self.seen_at)
            except ValueError as error:
                names = " / ".join(name for name in (counter.count, counter.last) if name)
                yield Rejected(str(row["id"]), f"{kind} cannot be counted: {names}: {error}")

    def author(self, row: Json, names: Sequence[str]) -> str | None:
        """The person who set one of these last, of an answer with their history; None: a program did."""
        histories = row.get("propertiesWithHistory") or {}
        newest = [versions[0] for name in names if (versions := histories.get(name))]
        last: Json = max(newest, key=lambda version: str(version.get("timestamp")), default={})
        if str(last.get("sourceType")) not in _PEOPLES_SOURCES:
            return None
        user = _user(last)
        return (self.portal.user(user) or f"HubSpot user {user}") if user else "a HubSpot user"


def lens(portal: Portal, rows: Iterable[Json] = ()) -> Lens:
    """For contacts read now: `rows`, whose companies are read together. ConfigError (SY186) where HubSpot does not show
    what people choose in."""
    settings, wanted = portal.settings, portal.wanted
    rows = list(rows)
    _insist_on_manual(portal, rows)
    of_company = mapped_companies(settings, wanted)
    if of_company:
        companies = [text(row.get("properties") or {}, PRIMARY_COMPANY) for row in rows]
        portal.companies.read([each for each in companies if each])
    stages = {theirs: ours for ours, theirs in reversed(settings.write.lifecyclestage.items())}  # the first one counts
    counters = wanted_counters(settings, wanted)
    return Lens(portal, portal.client.now(), mapped(settings, wanted), of_company, counters, stages)


def _insist_on_manual(portal: Portal, rows: Sequence[Json]) -> None:
    """HubSpot leaves out a property that it does not know: archived, renamed, not made yet. Its absence would look as
    if everybody had emptied it. What is only empty is shown as null, or else the portal's properties tell."""
    names = fields_of(portal.settings.manual).values()
    absent = {name for row in rows for name in names if name not in (row.get("properties") or {})}
    lacking = sorted(absent - portal.definitions(anew=True).keys()) if absent else []
    if lacking:
        raise ConfigError(
            f"{portal.connection}: HubSpot has no contact property {', '.join(lacking)}, in which people choose a "
            "stage by hand; restore it there, run `syncer setup`, or take it out of `manual`",
            code="SY186",
        )


def holder(portal: Portal, contact: str) -> tuple[str, str | None]:
    """As HubSpot has it now: the contact's id (it may have been merged into another) and the id of who owns it.
    NotFound where it is gone, TemporaryError where HubSpot does not tell."""
    found = fetch(portal.client.reserved, Question(CONTACTS, [OWNER]), [contact])  # what it reads, writing needs
    row = found.rows.get(contact)
    if row is not None:
        return str(row["id"]), text(row.get("properties") or {}, OWNER)
    if found.gone:
        raise NotFound(f"{portal.connection}: the contact {contact} is gone from HubSpot", code="SY034")
    raise TemporaryError(f"{portal.connection}: HubSpot gave no answer for the contact {contact}", code="SY042")


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
