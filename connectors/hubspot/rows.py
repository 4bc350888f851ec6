"""From HubSpot's rows to pages: contacts, and the kinds of activities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.hubspot import activities, people
from connectors.hubspot.activities import KINDS
from connectors.hubspot.client import next_after
from connectors.hubspot.companies import mapped_companies
from connectors.hubspot.lookups import Found, associations, merged_ids
from connectors.hubspot.portal import Portal
from connectors.hubspot.values import Json
from syncer.model import Activity, Cursor, Page, Reading, Rejected


class Rows(Protocol):
    """What one kind of CRM objects needs to be read."""

    @property
    def kind(self) -> str: ...

    @property
    def modified(self) -> str:
        """The property that search knows the modified time by."""
        ...

    @property
    def properties(self) -> tuple[str, ...]: ...

    @property
    def ties(self) -> str | None:
        """To what the list shall tell associations of its own accord."""
        ...

    @property
    def needs_no_more(self) -> bool:
        """Whether a page of rows is understood by itself: not where the more there are at once, the fewer requests it
        takes to look up what they name."""
        ...

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page: ...


@dataclass(frozen=True, slots=True)
class Contacts:
    """The people."""

    portal: Portal
    kind: str = people.CONTACTS
    modified: str = people.MODIFIED
    ties: str | None = None

    @property
    def properties(self) -> tuple[str, ...]:
        return people.properties(self.portal.settings, self.portal.wanted)

    @property
    def needs_no_more(self) -> bool:
        return not mapped_companies(self.portal.settings, self.portal.wanted)

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        lens = people.lens(self.portal, found.rows.values())
        records = {each: lens.gone(each) for each in found.gone}
        records |= {each: lens.gone(each, erased=True) for each in found.erased}
        readings: list[Reading] = []
        rejected = [Rejected(each, reason, retry=True) for each, reason in found.silent]
        for row, asked in _with_names(found):
            try:
                for each in asked:
                    records[each] = lens.absorbed(each, row)
                record, disobeyed = lens.read(row)
            except ValueError as error:
                rejected.append(Rejected(str(row["id"]), str(error)))
                continue
            records[record.key.id] = record
            if disobeyed is not None:
                rejected.append(disobeyed)
            for reading in lens.readings(row) if lens.counters else ():
                readings.append(reading) if isinstance(reading, Reading) else rejected.append(reading)
        for identity, row in found.archived.items():
            try:
                records[identity] = lens.archived(identity, row)
            except ValueError:  # when it was modified does not matter: it is gone
                records[identity] = lens.gone(identity)
        return Page(cursor, tuple(records.values()), (), tuple(readings), tuple(rejected), expected)


def _with_names(found: Found) -> list[tuple[Json, list[str]]]:
    """Each row once, with the other ids it goes by: those it was asked for by, and those it absorbed."""
    rows: dict[str, tuple[Json, list[str]]] = {}
    for asked, row in found.rows.items():
        mine = str(row["id"])
        if mine not in rows:
            rows[mine] = (row, [each for each in merged_ids(row) if each != mine])
        if asked != mine and asked not in rows[mine][1]:
            rows[mine][1].append(asked)
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class Activities:
    """One kind of engagement, with everyone it belongs to."""

    portal: Portal
    kind: str
    modified: str = activities.MODIFIED
    ties: str | None = people.CONTACTS
    needs_no_more: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        return KINDS[self.kind].properties

    def page(self, found: Found, cursor: Cursor | None, expected: int | None) -> Page:
        connection, now = self.portal.connection, self.portal.client.now()
        people_of = self._people_of(found.rows)
        kept: list[Activity] = []
        rejected = [Rejected(f"{self.kind}/{each}", reason, retry=True) for each, reason in found.silent]
        for identity, row in found.rows.items():
            if KINDS[self.kind].is_ours(row):
                kept.append(activities.gone(connection, self.kind, identity, now))
                continue
            try:
                kept.append(activities.activity(connection, self.kind, row, people_of[identity]))
            except ValueError as error:
                rejected.append(Rejected(f"{self.kind}/{identity}", str(error)))
        gone = (*found.gone, *found.archived, *found.erased)
        kept.extend(activities.gone(connection, self.kind, each, now) for each in gone)
        return Page(cursor, (), tuple(kept), (), tuple(rejected), expected)

    def _people_of(self, rows: Mapping[str, Json]) -> Mapping[str, tuple[str, ...]]:
        """Whom each belongs to. What the list has told need not be asked for, unless it shows a part only, or told it
        of no row at all: then it may not know how."""
        listed = {identity: _inline(row) for identity, row in rows.items()}
        if all(ties is None for ties in listed.values()):
            return associations(self.portal.client, self.kind, people.CONTACTS, list(rows))
        told = {identity: ties or {} for identity, ties in listed.items()}
        partial = [identity for identity, ties in told.items() if next_after(ties)]
        asked = associations(self.portal.client, self.kind, people.CONTACTS, partial) if partial else {}
        return {each: asked.get(each) or _ids(ties) for each, ties in told.items()}


def _inline(row: Json) -> Json | None:
    """The ties that the row itself tells of; None where it has no word of them."""
    told = row.get("associations")
    return (told.get(people.CONTACTS) or {}) if isinstance(told, dict) else None


def _ids(ties: Json) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each["id"]) for each in ties.get("results") or ()))
