"""From a name and a password, or from an identity provider's word, to a session; and from a session to who it is.

How often somebody may fail is read from the audit log, so it counts for all processes alike. What is refused for that
reason leaves no entry: a flood fills no table.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import ConfigError
from syncer.log import protect
from syncer.queries import passwords
from syncer.queries.accounts import TOKEN_PREFIX, By, digest, name_of, revoke_beyond
from syncer.settings.sign_in import Role, SignIn
from syncer.store import api_tokens, audit, sessions, users
from syncer.store.api_tokens import ApiToken
from syncer.store.audit import Entry
from syncer.store.sessions import Session
from syncer.store.users import User

WINDOW = timedelta(minutes=15)
MOST_OF_BOTH, MOST_OF_NAME, MOST_OF_ADDRESS = 5, 20, 50  # failures within that, of name and address together, and each
_FAILED: Final = "sign_in_failed"
_DROPPED_AT_ONCE = 500
_LIKE_A_HOUSEHOLD = 64  # bits of an IPv6 address: the rest is anybody's choice


@dataclass(frozen=True, slots=True)
class Attempt:
    """`before`: what the browser held, which is worth nothing from then on."""

    name: str
    password: str = field(repr=False)
    address: str | None = None
    before: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """wrong: name or password · often: too many failures, nothing was compared · taken: a user with a password here has
    the name that the provider tells."""

    why: Literal["wrong", "often", "taken"]


@dataclass(frozen=True, slots=True)
class Provided:
    """Whom an identity provider has sent."""

    name: str
    role: Role
    address: str | None = None
    before: str | None = field(default=None, repr=False)


def by_password(app: App, sign_in: SignIn, attempt: Attempt) -> str | Refusal:
    """What the browser shall hold."""
    with passwords.PLACES:
        user = checked(app, attempt)
        if isinstance(user, Refusal):
            return user
        better = passwords.again(attempt.password) if passwords.is_outdated(user.password or "") else None
        with app.store.writing() as tx:
            if users.find(tx, user.name) != user:
                return Refusal("wrong")  # changed or removed just now
            if better is not None:
                users.keep(tx, replace(user, password=better))
            new = Session("", user.name, user.role, "password", *_times(app, sign_in))
            return _begin(tx, new, attempt.address, attempt.before)


def checked(app: App, attempt: Attempt) -> User | Refusal:
    """Whose name and password these are. A failure is noted. The caller holds one of `passwords.PLACES`, so that no two
    guesses are made at once on what is left of a limit."""
    name = _spelled(attempt.name)
    with app.store.reading() as tx:
        user = users.look(tx, name)
        about = user.name if user else _of_nobody(name)
        if _fails_often(tx, app.clock(), about, attempt.address):
            return Refusal("often")
    if passwords.fits(user.password if user else None, attempt.password) and user is not None:
        return user
    note_failure(app, about, attempt.address, "password")
    return Refusal("wrong")


def may_try(app: App, address: str | None) -> bool:
    """Whether that address has not failed too often."""
    with app.store.reading() as tx:
        return not _fails_often(tx, app.clock(), None, address)


def note_failure(app: App, about: str, address: str | None, over: str) -> None:
    """`over`: password, or oidc."""
    with app.store.writing() as tx:
        audit.note(tx, Entry(app.clock(), about, _FAILED, about, _household(address), {"with": over}))


def by_provider(app: App, sign_in: SignIn, provided: Provided) -> str | Refusal:
    """What the browser shall hold. The provider says anew each time what role they have; where it is a lower one,
    tokens of theirs that may do more are revoked."""
    name, now = name_of(provided.name), app.clock()
    new_user = User(name, provided.role, None, now, now)
    with app.store.writing() as tx:
        users.add(tx, new_user)  # one who comes for the first time may come twice at once
        user = users.find(tx, name) or new_user
        if user.password is not None:
            audit.note(tx, Entry(now, name, _FAILED, name, _household(provided.address), {"with": "oidc"}))
            return Refusal("taken")
        if user.role != provided.role:
            users.keep(tx, replace(user, role=provided.role, changed_at=now))
            sessions.end_of(tx, name)
            revoke_beyond(tx, By(name, provided.address), now, name, provided.role)
        new = Session("", name, provided.role, "oidc", *_times(app, sign_in))
        return _begin(tx, new, provided.address, provided.before)


def _times(app: App, sign_in: SignIn) -> tuple[datetime, datetime, datetime]:
    now = app.clock()
    return now, now, now + sign_in.session


def _begin(tx: Connection, new: Session, address: str | None, before: str | None) -> str:
    """Always a new value: who has laid one into the browser before knows nothing. What is old is dropped beside."""
    if before is not None:
        sessions.end(tx, digest(before))
    value = secrets.token_urlsafe(32)
    sessions.begin(tx, replace(new, digest=digest(value)))
    audit.note(tx, Entry(new.created_at, new.user, "signed_in", new.user, address, {"with": new.source}))
    sessions.drop_expired(tx, new.created_at, _DROPPED_AT_ONCE)
    audit.drop_old(tx, new.created_at)
    return value


def session_of(app: App, sign_in: SignIn, value: str) -> Session | None:
    """Who holds this in their browser, while it is good."""
    with app.store.reading() as tx:
        found = sessions.find(tx, digest(value))
        user = users.look(tx, found.user) if found is not None else None
    if found is None or user is None or (user.role, user.password is None) != (found.role, found.source == "oidc"):
        return None
    now = app.clock()
    ends = min(found.expires_at, found.created_at + sign_in.session, found.seen_at + sign_in.idle)
    open_still = sign_in.passwords if found.source == "password" else sign_in.oidc is not None
    return found if now < ends and open_still else None


def sign_out(app: App, value: str, address: str | None) -> None:
    with app.store.writing() as tx:
        found = sessions.find(tx, digest(value))
        if found is not None:
            sessions.end(tx, found.digest)
            audit.note(tx, Entry(app.clock(), found.user, "signed_out", found.user, address))


def token_of(app: App, value: str) -> ApiToken | None:
    """The token of that value, while it is good."""
    if not value.startswith(TOKEN_PREFIX):
        return None
    protect(value, passing=True)
    with app.store.reading() as tx:
        found = api_tokens.by_digest(tx, digest(value))
    return found if found is not None and found.is_good(app.clock()) else None


def _fails_often(tx: Connection, now: datetime, about: str | None, address: str | None) -> bool:
    """`about` None: whoever it was."""
    since, place = now - WINDOW, _household(address)
    if place is not None and audit.count_since(tx, _FAILED, since, address=place) >= MOST_OF_ADDRESS:
        return True
    if about is None:
        return False
    both = audit.count_since(tx, _FAILED, since, about=about, address=place)
    return both >= MOST_OF_BOTH or audit.count_since(tx, _FAILED, since, about=about) >= MOST_OF_NAME


def _spelled(raw: str) -> str:
    """ "" for what cannot be anybody's name."""
    try:
        return name_of(raw)
    except ConfigError:
        return ""


def _of_nobody(name: str) -> str:
    """Enough to count by. What was typed is not kept: people type their password there."""
    return f"unknown #{digest(name)[:4]}"


def _household(address: str | None) -> str | None:
    """What one person has: an IPv4 address, or a whole network of IPv6."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((found, _LIKE_A_HOUSEHOLD), strict=False))
