"""Users of the pages and tokens of the API: made, changed and ended, each with a note in the audit log."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True, slots=True)
class Loss:
    """What went with a right that somebody has no more."""

    tokens: int  # that they had made, and that may do more than they may from now on
    last_admin: bool  # nobody is left who signs in by a password and is an admin


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
        if not users.add(tx, User(name, _role(role), kept, now, now)):
            raise ConfigError(f"there is a user called '{name}' already", code="SY255")
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


def set_role(app: App, by: By, raw_name: str, role: Role, *, may_be_last: bool = False) -> Loss:
    """All their sessions end. ConfigError SY256: an identity provider says who they are; SY266: they are the last
    admin, and `may_be_last` does not allow it."""
    name, now = name_of(raw_name), app.clock()
    with app.store.writing() as tx:
        last = role != "admin" and _is_last_admin(tx, app, name, may_be_last)
        user = _user(tx, name)
        if user.password is None:
            raise ConfigError(f"the role of '{name}' comes from the identity provider; change it there", code="SY256")
        users.keep(tx, replace(user, role=_role(role), changed_at=now))
        ended = sessions.end_of(tx, name)
        _note(tx, by, now, ("role_changed", name), {"from": user.role, "to": role, "sessions_ended": ended})
        return Loss(revoke_beyond(tx, by, now, name, role), last)


def remove_user(app: App, by: By, raw_name: str, *, may_be_last: bool = False) -> Loss:
    """All their sessions end. Who comes through an identity provider may come back. ConfigError SY266: they are the
    last admin, and `may_be_last` does not allow it."""
    name, now = name_of(raw_name), app.clock()
    with app.store.writing() as tx:
        last = _is_last_admin(tx, app, name, may_be_last)
        user = _user(tx, name)
        users.remove(tx, name)
        ended = sessions.end_of(tx, name)
        _note(tx, by, now, ("user_removed", name), {"role": user.role, "sessions_ended": ended})
        return Loss(revoke_beyond(tx, by, now, name, None), last)


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
    """`until`: a time to come; None: good until it is revoked."""
    name, now = name_of(raw_name), app.clock()
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


def made_by(name: str, tokens: Iterable[ApiToken]) -> list[ApiToken]:
    """Of all there are, the oldest first: those that somebody has made, also by way of a token which may make some."""
    makers, found = {name}, []
    for token in sorted(tokens, key=lambda each: each.id):  # what has made another one is older
        if token.created_by in makers:
            found.append(token)
            if token.role == "admin":
                makers.add(token.name)
    return found


def revoke_beyond(tx: Connection, by: By, now: datetime, name: str, role: Role | None) -> int:
    """Revoke what they have made that may do more than `role`, which is all they may from now on (None: nothing), and
    note each. How many there were."""
    allowed = get_args(Role)[: get_args(Role).index(role) + 1] if role is not None else ()
    theirs = [each for each in made_by(name, api_tokens.listed(tx)) if each.is_good(now) and each.role not in allowed]
    for token in theirs:
        api_tokens.revoke(tx, token.id, now)
        _note(tx, by, now, ("token_revoked", f"{token.name} #{token.id}"), {"role": token.role, "made_by": name})
    return len(theirs)


def _is_last_admin(tx: Connection, app: App, name: str, allowed: bool) -> bool:
    """Whether nobody else signs in by a password as an admin. ConfigError SY266 where that is not `allowed` and counts:
    from the pages there would be no way back."""
    if users.admins(tx) != [name]:
        return False
    sign_in = app.project.web.sign_in if app.project.web is not None else None
    if not allowed and sign_in is not None and sign_in.passwords:
        message = f"'{name}' is the last admin who signs in by a password; make somebody else one first"
        raise ConfigError(f"{message}, or run `syncer users` at the server", code="SY266")
    return True


def _user(tx: Connection, name: str) -> User:
    user = users.find(tx, name)
    if user is None:
        raise NotFound(f"no user is called '{name}'", code="SY258")
    return user


def _role(role: Role) -> Role:
    if role not in get_args(Role):
        raise ConfigError(f"no role is called '{role}'; there are: {', '.join(get_args(Role))}", code="SY259")
    return role


def _note(tx: Connection, by: By, at: datetime, act: tuple[audit.Act, str], details: Mapping[str, Any]) -> None:
    """`act`: what was done, and to whom."""
    audit.note(tx, Entry(at, by.who, *act, by.address, details))
