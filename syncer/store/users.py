"""Who may sign in to the pages by a password, and who has come through an identity provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from syncer.store.sql import insert
from syncer.store.tables import users


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: str
    password: str | None = field(repr=False)  # its argon2 hash; None: comes through an identity provider
    created_at: datetime
    changed_at: datetime  # password or role


def find(tx: Connection, name: str) -> User | None:
    """In a transaction that writes: nobody else changes them to its end."""
    row = tx.execute(select(users).where(users.c.name == name).with_for_update()).first()
    return None if row is None else _user(row)


def look(tx: Connection, name: str) -> User | None:
    """What `find` gives, without holding it."""
    row = tx.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _user(row)


def listed(tx: Connection) -> list[User]:
    """By name."""
    return [_user(row) for row in tx.execute(select(users).order_by(users.c.name))]


def admins(tx: Connection) -> list[str]:
    """Those with a password, by name. In a transaction that writes: of two who take the role from each other at once,
    the second waits here, before it holds anybody, and finds one of them gone."""
    found = select(users.c.name).where(users.c.role == "admin", users.c.password.is_not(None)).order_by(users.c.name)
    return list(tx.execute(found.with_for_update()).scalars())


def add(tx: Connection, user: User) -> bool:
    """Whether there was nobody of that name; whoever there was stays. Waits for who adds the same one just now."""
    names = ("name", "role", "password", "created_at", "changed_at")
    added = insert(tx, users).values({name: getattr(user, name) for name in names}).on_conflict_do_nothing()
    return tx.execute(added.returning(users.c.name)).first() is not None


def keep(tx: Connection, user: User) -> None:
    """Role and password of one who is there."""
    changed = {"role": user.role, "password": user.password, "changed_at": user.changed_at}
    tx.execute(update(users).where(users.c.name == user.name).values(changed))


def remove(tx: Connection, name: str) -> None:
    tx.execute(delete(users).where(users.c.name == name))


def _user(row: Any) -> User:
    return User(row.name, row.role, row.password, row.created_at, row.changed_at)
