"""Passwords: kept as argon2 hashes, compared with the same work whether or not there is such a user."""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from syncer.errors import ConfigError

SHORTEST, LONGEST = 12, 1_000  # characters; NIST SP 800-63B asks for length and for nothing else
PLACES = threading.BoundedSemaphore(2)
"""Held by whoever compares one at the door: each takes 64 MB for a twentieth of a second."""

_HASHER = PasswordHasher()  # its defaults are those of RFC 9106 for little memory


def hashed(password: str, name: str) -> str:
    """ConfigError SY253 for one that is too short, or too much like the user's name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(f"a password has {SHORTEST} characters or more, and {LONGEST} at most", code="SY253")
    if password.casefold() == name.casefold() or len(set(password)) == 1:
        raise ConfigError("this password would be the first guess of everybody; choose another one", code="SY253")
    return _HASHER.hash(password)


def fits(known: str | None, password: str) -> bool:
    """`known` None: there is no such user, or they sign in elsewhere."""
    try:
        return _HASHER.verify(known or _nobody(), password[:LONGEST]) and known is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(known: str) -> bool:
    """Whether it was made with less work than is usual now."""
    return _HASHER.check_needs_rehash(known)


def again(password: str) -> str:
    """The hash as it is made now, of a password that fits."""
    return _HASHER.hash(password)


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))
