"""Leads and contacts, as Salesforce writes them, in our words.

A person account is read as the contact that stands behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.salesforce.deletions import survivors
from connectors.salesforce.objects import Found
from connectors.salesforce.org import PERSONS, Org
from connectors.salesforce.selection import Row
from connectors.salesforce.settings import Settings
from connectors.salesforce.values import chunks, id18, moment, quoted_list
from syncer.by_hand import fields_of, understood
from syncer.connector import PackedFields, Wanted
from syncer.model import Cursor, Manual, Page, Record, RecordKey, Rejected

LEAD, CONTACT = "Lead", "Contact"
STATUS = "Status"
_A_SECOND = timedelta(seconds=1)
_OWN = ("Email", "FirstName", "LastName", "OwnerId", "MasterRecordId")
_OF_LEADS = (STATUS, "IsConverted", "ConvertedContactId")
_AT_ONCE = 200  # ids in one query


def mapped(settings: Settings, wanted: Wanted, kind: str) -> dict[str, str]:
    """Field name in the rules -> path from the object; without those that it has not, by what the settings say."""
    paths = {field: settings.path(kind, field) for field in wanted.fields}
    return {field: path for field, path in paths.items() if path}


def reads(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """What is asked of people, and by which names: where one of these is new, who was read before lacks it."""
    paths = ((kind, mapped(settings, wanted, kind)) for kind in settings.objects)
    by_hand = (f"manual:{part}={name}" for part, name in fields_of(settings.manual).items())
    return (*(f"{kind}.{ours}={theirs}" for kind, names in paths for ours, theirs in names.items()), *by_hand)


@dataclass(frozen=True, slots=True)
class Lens:
    """What it takes to read a person of one object."""

    org: Org
    object: str
    seen_at: datetime
    site: str  # the address of the org
    fields: Sequence[tuple[str, str]]  # field name in the rules, path
    stage: str  # the path of ours
    protected: Collection[str]  # a lead's Status under which its stage belongs to others
    by_hand: bool  # whether people may choose a stage
    stages: Mapping[str, str]  # a lead's Status -> the stage of ours it stands for
    owners: Mapping[str, str]  # id -> e-mail, where one is known
    masters: Mapping[str, str]  # who was absorbed -> what remains of them

    def key(self, identity: str) -> RecordKey:
        return RecordKey(self.org.connection, self.object, identity)

    def record(self, row: Row) -> Record:
        """One person, whatever they say that cannot be obeyed. ValueError where the row does not say when it was
        changed."""
        return self.read(row)[0]

    def read(self, row: Row) -> tuple[Record, Rejected | None]:
        """One person, and why the stage that people have chosen for them cannot be obeyed. ValueError as `record`."""
        identity, modified_at, get = str(row["Id"]), moment(row["SystemModstamp"]), row.get
        if row["IsDeleted"]:
            master = self.masters.get(identity)
            merged_into = self.key(master) if master else None
            gone = Record(self.key(identity), modified_at, deleted=merged_into is None, merged_into=merged_into)
            return gone, None
        if get("IsConverted"):
            return self._converted(identity, modified_at, get("ConvertedContactId")), None
        status, first, last, owner = get(STATUS), get("FirstName"), get("LastName"), get("OwnerId")
        manual, disobeyed = self._chosen(identity, row) if self.by_hand else (None, None)
        found = Record(
            key=self.key(identity),
            modified_at=modified_at,
            email=get("Email"),
            fields=PackedFields({ours: value for ours, path in self.fields if (value := get(path)) is not None}),
            stage=_text(get(self.stage)),
            lifecycle=status,
            lifecycle_stage=self.stages.get(status) if status else None,
            protected=status in self.protected,
            owner=self.owners.get(owner, owner) if owner else None,
            name=f"{first} {last}" if first and last else first or last,
            url=f"{self.site}/{identity}",
            manual=manual,
        )
        return found, disobeyed

    def _chosen(self, identity: str, row: Row) -> tuple[Manual | None, Rejected | None]:
        """The stage that people have chosen, or why it cannot be obeyed."""
        names, wanted = fields_of(self.org.settings.manual), self.org.wanted
        said = {part: _text(row.get(name)) for part, name in names.items()}
        return understood(identity, said, wanted.stages, wanted.timezone)

    def _converted(self, identity: str, modified_at: datetime, contact: str | None) -> Record:
        """A lead that has become a contact; where that is not shown to us there is nobody left to score."""
        if contact is None:
            return Record(self.key(identity), modified_at, deleted=True)
        merged_into = RecordKey(self.org.connection, CONTACT, id18(contact))
        return Record(self.key(identity), modified_at, merged_into=merged_into)

    def gone(self, identity: str, *, erased: bool) -> Record:
        """Somebody who is not there. The org's clock is known to the second: they may have been changed in this one."""
        return Record(self.key(identity), self.seen_at + _A_SECOND, deleted=True, erased=erased)


def lens(org: Org, kind: str, rows: Sequence[Row] = ()) -> Lens:
    """For people read now: `rows`, whose owners are looked up together, and what absorbed some of them."""
    settings = org.settings
    owners = org.owners({str(row["OwnerId"]) for row in rows if row.get("OwnerId") and not row["IsDeleted"]})
    absorbed = {
        str(row["Id"]): id18(row["MasterRecordId"]) for row in rows if row["IsDeleted"] and row.get("MasterRecordId")
    }
    status = settings.write.status if kind == LEAD else {}
    return Lens(
        org=org,
        object=kind,
        seen_at=org.client.now(),
        site=settings.instance_url,
        fields=tuple(mapped(settings, org.wanted, kind).items()),
        stage=settings.write.stage,
        protected=frozenset(settings.protected),
        by_hand=settings.manual is not None,
        stages={theirs: ours for ours, theirs in reversed(status.items())},  # the first one counts
        owners={each: found.email for each, found in owners.items() if found and found.email},
        masters=survivors(org.client, kind, absorbed) if absorbed else {},
    )


@dataclass(frozen=True, slots=True)
class People:
    """The leads, or the contacts."""

    org: Org
    object: str
    people: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        settings = self.org.settings
        own = (*_OWN, *(_OF_LEADS if self.object == LEAD else ()), settings.write.stage)
        manual = fields_of(settings.manual).values()
        return tuple(dict.fromkeys((*own, *manual, *mapped(settings, self.org.wanted, self.object).values())))

    @property
    def needed(self) -> frozenset[str]:
        """A stage that is not shown would look like one that somebody has cleared; so for what a lead has become."""
        own = ("Email", "LastName", "MasterRecordId", *(_OF_LEADS if self.object == LEAD else ()))
        settings = self.org.settings
        return frozenset((*own, settings.write.stage, *fields_of(settings.manual).values()))

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        seen = lens(self.org, self.object, found.rows)
        records = {each: seen.gone(each, erased=False) for each in found.gone}
        records |= {each: seen.gone(each, erased=True) for each in found.erased}
        rejected: list[Rejected] = []
        for row in found.rows:
            try:
                record, disobeyed = seen.read(row)
            except ValueError as error:
                rejected.append(Rejected(str(row["Id"]), str(error)))
                continue
            records[record.key.id] = record
            if disobeyed is not None:
                rejected.append(disobeyed)
        return Page(cursor, tuple(records.values()), rejected=tuple(rejected), expected=expected)


def stage_authors(org: Org, keys: Sequence[RecordKey]) -> dict[RecordKey, str]:
    """Who set our stage or a lead's Status last, each where it was a person."""
    return _authors(org, keys, org.settings.write.stage, STATUS)


def manual_authors(org: Org, keys: Sequence[RecordKey]) -> dict[RecordKey, str]:
    """Who chose a stage by hand, each where it was a person."""
    manual = org.settings.manual
    return _authors(org, keys, manual.stage) if manual else {}


def _authors(org: Org, keys: Sequence[RecordKey], field: str, *beside: str) -> dict[RecordKey, str]:
    """By the history of the field, and of what else on leads says the same, where the org keeps one; else by who
    changed the record last."""
    by_object: dict[str, dict[str, RecordKey]] = {}
    for key in keys:
        by_object.setdefault(key.object, {})[key.id] = key
    found: dict[RecordKey, str] = {}
    for kind, named in by_object.items():
        for some in chunks(named, _AT_ONCE):
            users = _last_editors(org, kind, some) | _last_movers(org, kind, some, (field, *beside))
            persons = _persons(org, set(users.values()))
            found |= {named[each]: persons[user] for each, user in users.items() if user in persons}
    return found


def _last_editors(org: Org, kind: str, ids: Sequence[str]) -> dict[str, str]:
    """Id -> the user who changed the record last."""
    soql = f"SELECT Id, LastModifiedById FROM {kind} WHERE Id IN {quoted_list(ids)}"
    rows = org.client.reserved.query_all_rows(f"reading who changed {kind}", soql)
    return {id18(row["Id"]): id18(row["LastModifiedById"]) for row in rows if row.get("LastModifiedById")}


def _last_movers(org: Org, kind: str, ids: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Id -> the user who changed one of these last; only where a history of the first one is kept: that of the Status
    alone does not tell who moved the stage since."""
    history, parent, first = f"{kind}History", f"{kind}Id", names[0]
    if not org.describes.has(history):
        return {}
    fields = quoted_list(names if kind == LEAD else (first,))
    soql = (
        f"SELECT {parent}, Field, CreatedById FROM {history} WHERE {parent} IN {quoted_list(ids)} "
        f"AND Field IN {fields} ORDER BY CreatedDate, Id"
    )
    rows = org.client.reserved.query_all_rows(f"reading who moved {kind}", soql, all_rows=False)
    told = {id18(row[parent]) for row in rows if row["Field"] == first}
    users = {id18(row[parent]): id18(row["CreatedById"]) for row in rows}
    return {each: user for each, user in users.items() if each in told}


def _persons(org: Org, users: Collection[str]) -> dict[str, str]:
    """User -> e-mail or name, of those users who are people and not ourselves."""
    if not users:
        return {}
    asked = sorted(set(users) - {_ourselves(org)})
    if not asked:
        return {}
    soql = f"SELECT Id, Name, Email FROM User WHERE Id IN {quoted_list(asked)} AND UserType IN {quoted_list(PERSONS)}"
    rows = org.client.reserved.query_all_rows("reading users", soql, all_rows=False)
    return {id18(row["Id"]): str(row.get("Email") or row.get("Name") or row["Id"]) for row in rows}


def _ourselves(org: Org) -> str | None:
    """The user that we are to Salesforce; None where it does not tell."""
    told = org.client.reserved.get("asking who we are", "/").get("identity")
    try:
        return id18(str(told).rpartition("/")[2])
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
