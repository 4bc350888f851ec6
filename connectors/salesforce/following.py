"""Who a person is by now: they may have been merged into another, or converted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connectors.salesforce.org import Org
from connectors.salesforce.values import Json, id18, moment, quoted
from connectors.salesforce.wishes import CONTACT, LEAD
from syncer.errors import NotFound
from syncer.model import RecordKey

MOVED = frozenset({"CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
"""Codes of refusals that say that they have become somebody else since they were looked at, or are gone."""
_MOST_HOPS = 10  # from one who was merged or converted to the next; a real chain has two or three


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as Salesforce shows them now."""

    object: str
    id: str
    owner: str | None  # 18 letters
    modified_at: datetime  # by anybody, to the second


def person_now(org: Org, record: RecordKey) -> Person:
    """NotFound (SY161) where they are gone, and nothing has taken their place."""
    for row, kind in _trail(org, record):
        if not row["IsDeleted"] and not row.get("IsConverted"):
            owner = row.get("OwnerId")
            return Person(kind, str(row["Id"]), id18(owner) if owner else None, moment(row["LastModifiedDate"]))
    raise NotFound(f"{org.connection}: the {record.object} {record.id} is gone from Salesforce", code="SY161")


def _trail(org: Org, record: RecordKey) -> Iterator[tuple[Json, str]]:
    """The rows they were, one after the other, and of which object."""
    kind, identity = record.object, record.id
    for _ in range(_MOST_HOPS):
        row = _row(org, kind, identity)
        if row is None:
            return
        yield row, kind
        if row["IsDeleted"]:
            following = row.get("MasterRecordId")
        else:
            kind, following = CONTACT, row.get("ConvertedContactId")
        if not following:
            return
        identity = id18(following)


def _row(org: Org, kind: str, identity: str) -> Json | None:
    names = "Id, OwnerId, LastModifiedDate, IsDeleted, MasterRecordId"
    names += ", IsConverted, ConvertedContactId" if kind == LEAD else ""
    soql = f"SELECT {names} FROM {kind} WHERE Id = {quoted(identity)}"
    rows = org.client.reserved.query_all_rows(f"reading {kind} {identity}", soql)
    return rows[0] if rows else None
