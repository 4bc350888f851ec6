"""Who may sign in by a password, who has come through an identity provider, and the tokens of the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from syncer.overruling import end_of
from syncer.queries import accounts
from syncer.queries.accounts import By
from syncer.settings.sign_in import Role
from syncer.store.api_tokens import ApiToken
from syncer.store.users import User
from syncer.web.views import Action, Asked, Asking, Done, View

_PAGE = "/users"


class Nothing(Asked):
    """Nothing can be asked for."""


class NewUser(Asked):
    model_config = ConfigDict(str_strip_whitespace=False)

    name: str
    role: Role = "viewer"
    password: SecretStr


class NewRole(Asked):
    name: str
    role: Role


class Named(Asked):
    name: str


class TokenOf(Asked):
    """`until`: the last day on which it is good, in the project's time zone; left out: until it is revoked."""

    name: str
    role: Role = "viewer"
    until: date | None = None


class Numbered(Asked):
    id: Annotated[int, Field(ge=1, le=2**62)]


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: str
    source: Literal["password", "oidc"]
    since: datetime
    tokens: tuple[Token, ...]  # good ones that they have made: they go with the role that they go beyond


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    name: str
    role: str
    made_by: str
    made: datetime
    until: datetime | None
    used: datetime | None
    state: Literal["good", "over", "revoked"]


@dataclass(frozen=True, slots=True)
class Users:
    users: tuple[Person, ...]
    tokens: tuple[Token, ...]


def _users(asking: Asking, _asked: Nothing) -> Users:
    now, tokens = asking.app.clock(), accounts.known_tokens(asking.app)
    people = tuple(_person(each, tokens, now) for each in accounts.known_users(asking.app))
    return Users(people, tuple(_token(each, now) for each in tokens))


def _person(user: User, tokens: Sequence[ApiToken], now: datetime) -> Person:
    theirs = tuple(_token(each, now) for each in accounts.made_by(user.name, tokens) if each.is_good(now))
    return Person(user.name, user.role, "oidc" if user.password is None else "password", user.created_at, theirs)


def _token(token: ApiToken, now: datetime) -> Token:
    state: Literal["good", "over", "revoked"] = "good" if token.is_good(now) else "over"
    if token.revoked_at is not None:
        state = "revoked"
    return Token(
        token.id, token.name, token.role, token.created_by, token.created_at, token.expires_at, token.used_at, state
    )


def _add(asking: Asking, asked: NewUser) -> Done:
    name = accounts.add_user(asking.app, _by(asking), asked.name, asked.role, asked.password.get_secret_value())
    return Done("users_added", _PAGE, {"name": name})


def _role(asking: Asking, asked: NewRole) -> Done:
    loss = accounts.set_role(asking.app, _by(asking), asked.name, asked.role)
    facts = {"name": asked.name, "role": asked.role, "tokens": loss.tokens}
    return Done("users_role_set_tokens" if loss.tokens else "users_role_set", _PAGE, facts)


def _remove(asking: Asking, asked: Named) -> Done:
    loss = accounts.remove_user(asking.app, _by(asking), asked.name)
    facts = {"name": asked.name, "tokens": loss.tokens}
    return Done("users_removed_tokens" if loss.tokens else "users_removed", _PAGE, facts)


def _add_token(asking: Asking, asked: TokenOf) -> Done:
    until = end_of(asked.until, asking.app, "until") if asked.until else None
    made = accounts.add_token(asking.app, _by(asking), asked.name, asked.role, until)
    return Done("users_token_made", _PAGE, {"name": asked.name, "id": made.id}, made.value)


def _revoke(asking: Asking, asked: Numbered) -> Done:
    name = accounts.revoke_token(asking.app, _by(asking), asked.id)
    return Done("users_token_revoked", _PAGE, {"name": name})


def _by(asking: Asking) -> By:
    return By(asking.who.name, asking.address)


VIEWS: tuple[View[Any, Any], ...] = (View(_PAGE, "users", Nothing, Users, _users, "admin"),)
ACTIONS: tuple[Action[Any], ...] = (
    Action("/users/add", "users_add", NewUser, _add, "admin"),
    Action("/users/role", "users_role", NewRole, _role, "admin"),
    Action("/users/remove", "users_remove", Named, _remove, "admin"),
    Action("/users/tokens/add", "users_tokens_add", TokenOf, _add_token, "admin"),
    Action("/users/tokens/revoke", "users_tokens_revoke", Numbered, _revoke, "admin"),
)
