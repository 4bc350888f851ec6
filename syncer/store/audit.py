"""The log of acts: who changed what on the pages, by the API or by hand, and who tried to sign in. Entries are added,
and dropped when they are old; none is ever changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from syncer.store.tables import audit


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. Nothing in it is a secret, and nothing personal of a lead: what it is about is named by its key."""

    at: datetime
    who: str  # a user's or a token's name
    act: str  # as "override", "sign_in_failed"
    about: str  # a record's key, a run, a user's name
    address: str | None = None  # where the request came from; None: from no request
    details: Mapping[str, Any] = field(default_factory=dict)  # what JSON holds


class Noted(NamedTuple):
    id: int
    entry: Entry


def note(tx: Connection, entry: Entry) -> None:
    """In the transaction of the act itself, so that neither is there without the other."""
    names = ("at", "who", "act", "about", "address")
    values = {name: getattr(entry, name) for name in names}
    tx.execute(insert(audit).values(**values, details=dict(entry.details)))


def entries(tx: Connection, before_id: int | None, limit: int) -> list[Noted]:
    """The latest ones first, from before an entry (None: from the latest)."""
    found = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before_id is not None:
        found = found.where(audit.c.id < before_id)
    return [
        Noted(row.id, Entry(row.at, row.who, row.act, row.about, row.address, row.details)) for row in tx.execute(found)
    ]


def latest(tx: Connection, acts: Collection[str], limit: int) -> list[Entry]:
    """Of these acts, the latest ones first."""
    found = [
        row
        for act in acts
        for row in tx.execute(
            select(audit).where(audit.c.act == act).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        )
    ]
    found.sort(key=lambda row: (row.at, row.id), reverse=True)
    return [Entry(row.at, row.who, row.act, row.about, row.address, row.details) for row in found[:limit]]


def count_since(
    tx: Connection, act: str, since: datetime, *, about: str | None = None, address: str | None = None
) -> int:
    """How often it was done after `since`; None: to whatever, from wherever."""
    found = select(func.count()).select_from(audit).where(audit.c.act == act, audit.c.at > since)
    if about is not None:
        found = found.where(audit.c.about == about)
    if address is not None:
        found = found.where(audit.c.address == address)
    return int(tx.execute(found).scalar_one())


def drop_before(tx: Connection, before: datetime, at_most: int) -> int:
    """How many of the oldest entries were dropped."""
    oldest = select(audit.c.id).where(audit.c.at < before).order_by(audit.c.at).limit(at_most)
    return tx.execute(delete(audit).where(audit.c.id.in_(oldest.scalar_subquery()))).rowcount
