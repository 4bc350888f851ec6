"""Users of the pages and tokens of the API: made, changed and ended, each with a note in the log of acts."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import ConfigError, NotFound
from syncer.log import protect
from syncer.queries import passwords
from syncer.settings.sign_in import Role
from syncer.store import api_tokens, audit, sessions, users
from syncer.store.api_tokens import ApiToken
from syncer.store.audit import Entry
from syncer.store.users import User

TOKEN_PREFIX = "syncer_"  # by which a scanner for leaked secrets knows one
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and from where."""

    who: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """`value` is told once, and never again."""

    id: int
    value: str = field(repr=False)


def name_of(raw: str) -> str:
    """A user's name as it is compared. ConfigError SY254 for what cannot be one."""
    name = unicodedata.normalize("NFKC", raw).strip().casefold()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"a user's name has 1 to {_LONGEST_NAME} printable characters", code="SY254")
    return name


def digest(value: str) -> str:
    """What is kept of a secret made by chance, for which no slow hash is needed."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def known_users(app: App) -> list[User]:
    with app.store.reading() as tx:
        return users.listed(tx)


def add_user(app: App, by: By, raw_name: str, role: Role, password: str) -> str:
    """Their name as it is kept. ConfigError SY255: there is one of that name."""
    name, now = name_of(raw_name), app.clock()
    kept = passwords.hashed(password, name)
    with app.store.writing() as tx:
        if users.find(tx, name) is not None:
            raise ConfigError(f"there is a user called '{name}' already", code="SY255")
        users.add(tx, User(name, _role(role), kept, now, now))
        _note(tx, by, now, ("user_added", name), {"role": role})
    return name


def set_password(app: App, by: By, raw_name: str, password: str) -> int:
    """All their sessions end; how many there were. ConfigError SY256 for who signs in elsewhere."""
    name, now = name_of(raw_name), app.clock()
    kept = passwords.hashed(password, name)
    with app.store.writing() as tx:
        user = _user(tx, name)
        if user.password is None:
            raise ConfigError(f"'{name}' signs in through the identity provider and has no password here", code="SY256")
        users.keep(tx, replace(user, password=kept, changed_at=now))
        ended = sessions.end_of(tx, name)
        _note(tx, by, now, ("password_changed", name), {"sessions_ended": ended})
    return ended


def set_role(app: App, by: By, raw_name: str, role: Role) -> None:
    """All their sessions end. ConfigError SY256: an identity provider says who they are."""
    name, now = name_of(raw_name), app.clock()
    with app.store.writing() as tx:
        user = _user(tx, name)
        if user.password is None:
            raise ConfigError(f"the role of '{name}' comes from the identity provider; change it there", code="SY256")
        users.keep(tx, replace(user, role=_role(role), changed_at=now))
        ended = sessions.end_of(tx, name)
        _note(tx, by, now, ("role_changed", name), {"from": user.role, "to": role, "sessions_ended": ended})


def remove_user(app: App, by: By, raw_name: str) -> None:
    """All their sessions end. Who comes through an identity provider may come back."""
    name, now = name_of(raw_name), app.clock()
    with app.store.writing() as tx:
        user = _user(tx, name)
        users.remove(tx, name)
        ended = sessions.end_of(tx, name)
        _note(tx, by, now, ("user_removed", name), {"role": user.role, "sessions_ended": ended})


def end_sessions(app: App, by: By, name: str) -> int:
    """How many of the user's there were."""
    with app.store.writing() as tx:
        ended = sessions.end_of(tx, name)
        _note(tx, by, app.clock(), ("signed_out_everywhere", name), {"sessions_ended": ended})
    return ended


def known_tokens(app: App) -> list[ApiToken]:
    with app.store.reading() as tx:
        return api_tokens.listed(tx)


def add_token(app: App, by: By, raw_name: str, role: Role, until: datetime | None) -> NewToken:
    """`until` None: good until it is revoked. ConfigError SY257: that is past."""
    name, now = name_of(raw_name), app.clock()
    if until is not None and until <= now:
        raise ConfigError("the token would be over before it begins; name a day to come", code="SY257")
    value = TOKEN_PREFIX + secrets.token_urlsafe(32)
    protect(value, passing=True)
    with app.store.writing() as tx:
        token = ApiToken(0, digest(value), name, _role(role), by.who, now, until)
        number = api_tokens.add(tx, token)
        told = {"role": role, "until": until.isoformat() if until else None}
        _note(tx, by, now, ("token_added", f"{name} #{number}"), told)
    return NewToken(number, value)


def revoke_token(app: App, by: By, number: int) -> str:
    """Its name. NotFound SY258."""
    now = app.clock()
    with app.store.writing() as tx:
        token = api_tokens.find(tx, number)
        if token is None:
            raise NotFound(f"there is no token #{number}", code="SY258")
        api_tokens.revoke(tx, number, now)
        _note(tx, by, now, ("token_revoked", f"{token.name} #{number}"), {})
    return token.name


def _user(tx: Connection, name: str) -> User:
    user = users.find(tx, name)
    if user is None:
        raise NotFound(f"no user is called '{name}'", code="SY258")
    return user


def _role(role: Role) -> Role:
    if role not in get_args(Role):
        raise ConfigError(f"no role is called '{role}'; there are: {', '.join(get_args(Role))}", code="SY259")
    return role


def _note(tx: Connection, by: By, at: datetime, act: tuple[str, str], details: Mapping[str, Any]) -> None:
    """`act`: what was done, and to whom."""
    audit.note(tx, Entry(at, by.who, *act, by.address, details))
