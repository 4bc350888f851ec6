"""Tokens of programs that use the API, by their hashes: nobody can read one again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from syncer.store.tables import api_tokens


@dataclass(frozen=True, slots=True)
class ApiToken:
    id: int
    digest: str = field(repr=False)  # SHA-256 of the token
    name: str
    role: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None  # None: never
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def add(tx: Connection, token: ApiToken) -> int:
    """Its number; the one it was given counts for nothing."""
    names = ("digest", "name", "role", "created_by", "created_at", "expires_at")
    values = {name: getattr(token, name) for name in names}
    return int(tx.execute(insert(api_tokens).values(values).returning(api_tokens.c.id)).scalar_one())


def by_digest(tx: Connection, digest: str) -> ApiToken | None:
    row = tx.execute(select(api_tokens).where(api_tokens.c.digest == digest)).first()
    return None if row is None else _token(row)


def find(tx: Connection, number: int) -> ApiToken | None:
    row = tx.execute(select(api_tokens).where(api_tokens.c.id == number)).first()
    return None if row is None else _token(row)


def listed(tx: Connection) -> list[ApiToken]:
    """The newest first, revoked ones and those that are over among them."""
    return [_token(row) for row in tx.execute(select(api_tokens).order_by(api_tokens.c.id.desc()))]


def used(tx: Connection, number: int, at: datetime) -> None:
    before = or_(api_tokens.c.used_at.is_(None), api_tokens.c.used_at < at)
    tx.execute(update(api_tokens).where(api_tokens.c.id == number, before).values(used_at=at))


def revoke(tx: Connection, number: int, at: datetime) -> None:
    """One that is revoked already stays as it is."""
    tx.execute(
        update(api_tokens).where(api_tokens.c.id == number, api_tokens.c.revoked_at.is_(None)).values(revoked_at=at)
    )


def _token(row: Any) -> ApiToken:
    return ApiToken(
        row.id, row.digest, row.name, row.role, row.created_by, row.created_at, row.expires_at, row.used_at,
        row.revoked_at,
    )  # fmt: skip
