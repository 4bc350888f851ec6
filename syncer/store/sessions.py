"""Who is signed in. What the browser holds is known by its hash alone, so that whoever reads the table is nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from syncer.store.tables import sessions


@dataclass(frozen=True, slots=True)
class Session:
    digest: str = field(repr=False)  # SHA-256 of what the browser holds
    user: str
    role: str
    source: str  # password, oidc
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


def begin(tx: Connection, session: Session) -> None:
    names = ("digest", "user", "role", "source", "created_at", "seen_at", "expires_at")
    tx.execute(insert(sessions).values({name: getattr(session, name) for name in names}))


def find(tx: Connection, digest: str) -> Session | None:
    row = tx.execute(select(sessions).where(sessions.c.digest == digest)).first()
    return None if row is None else _session(row)


def count(tx: Connection, user: str, now: datetime, idle_since: datetime) -> int:
    """How many of the user's go on."""
    theirs = (sessions.c.user == user, sessions.c.expires_at > now, sessions.c.seen_at > idle_since)
    return int(tx.execute(select(func.count()).select_from(sessions).where(*theirs)).scalar_one())


def seen(tx: Connection, digest: str, at: datetime) -> None:
    tx.execute(update(sessions).where(sessions.c.digest == digest, sessions.c.seen_at < at).values(seen_at=at))


def end(tx: Connection, digest: str) -> None:
    tx.execute(delete(sessions).where(sessions.c.digest == digest))


def end_of(tx: Connection, user: str) -> int:
    """All of a user's; how many there were."""
    return tx.execute(delete(sessions).where(sessions.c.user == user)).rowcount


def drop_expired(tx: Connection, now: datetime, at_most: int) -> int:
    """How many of those that are over were dropped."""
    over = select(sessions.c.digest).where(sessions.c.expires_at <= now).limit(at_most)
    return tx.execute(delete(sessions).where(sessions.c.digest.in_(over.scalar_subquery()))).rowcount


def _session(row: Any) -> Session:
    return Session(row.digest, row.user, row.role, row.source, row.created_at, row.seen_at, row.expires_at)
