"""The audit log: who changed what on the pages, by the API or by hand, and who tried to sign in. Entries are added,
and dropped when they are old; none is ever changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import Connection, Row, delete, func, insert, select

from syncer.store.tables import audit

Act = Literal[
    "override", "override_ended", "handoff_accept", "handoff_reject", "message_retry", "message_drop",
    "plan_approved", "plan_refused", "limits_raised", "run_now", "read_again", "write_again", "proposal", "export",
    "config_reloaded", "config_refused", "signed_in", "signed_out", "signed_out_everywhere", "sign_in_failed",
    "user_added", "user_removed", "role_changed", "password_changed", "token_added", "token_revoked",
]  # fmt: skip
KEPT = timedelta(days=400)
_DROPPED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. Nothing in it is a secret, and nothing personal of a lead: what it is about is named by its key."""

    at: datetime
    who: str  # a user's or a token's name
    act: Act
    about: str  # a record's key, a run, a user's name
    address: str | None = None  # where the request came from; None: from no request
    details: Mapping[str, Any] = field(default_factory=dict)  # what JSON holds


class Noted(NamedTuple):
    id: int
    entry: Entry


def note(tx: Connection, *acts: Entry) -> None:
    """In the transaction of the acts themselves, so that neither is there without the other."""
    names = ("at", "who", "act", "about", "address")
    rows = [{**{name: getattr(each, name) for name in names}, "details": dict(each.details)} for each in acts]
    if rows:
        tx.execute(insert(audit), rows)


def entries(tx: Connection, before_id: int | None, limit: int) -> list[Noted]:
    """The latest ones first, from before an entry (None: from the latest)."""
    found = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before_id is not None:
        found = found.where(audit.c.id < before_id)
    return [Noted(row.id, _entry(row)) for row in tx.execute(found)]


def latest(tx: Connection, acts: Collection[Act], limit: int) -> list[Entry]:
    """Of these acts, the latest ones first."""
    found = [
        row
        for act in acts
        for row in tx.execute(
            select(audit).where(audit.c.act == act).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        )
    ]
    found.sort(key=lambda row: (row.at, row.id), reverse=True)
    return [_entry(row) for row in found[:limit]]


def _entry(row: Row[Any]) -> Entry:
    """One that an older or a newer syncer has noted may tell of an act that this one does not know."""
    return Entry(row.at, row.who, cast("Act", row.act), row.about, row.address, row.details)


def count_since(
    tx: Connection, act: Act, since: datetime, *, about: str | None = None, address: str | None = None
) -> int:
    """How often it was done after `since`; None: to whatever, from wherever."""
    found = select(func.count()).select_from(audit).where(audit.c.act == act, audit.c.at > since)
    if about is not None:
        found = found.where(audit.c.about == about)
    if address is not None:
        found = found.where(audit.c.address == address)
    return int(tx.execute(found).scalar_one())


def drop_old(tx: Connection, now: datetime) -> int:
    """How many of the oldest entries were dropped: some of those that are older than they are kept. What another
    process drops at the same time is left to it."""
    old = select(audit.c.id).where(audit.c.at < now - KEPT).order_by(audit.c.at).limit(_DROPPED_AT_ONCE)
    oldest = old.with_for_update(skip_locked=True).scalar_subquery()
    return tx.execute(delete(audit).where(audit.c.id.in_(oldest))).rowcount
