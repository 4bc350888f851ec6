"""Access tokens: one that a person put into the settings, or those of an OAuth app, which last half an hour.

HubSpot may give a new refresh token with each access token, so both are kept in a file of their own: written whole
under another name, then renamed. Processes that share the file renew in turns, and each looks into it before it does.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import orjson

from connectors.hubspot.settings import OAuth, Settings
from connectors.hubspot.values import Json, maybe_moment
from syncer import retry
from syncer.errors import ConfigError, TemporaryError
from syncer.log import protect

_MARGIN = 0.1  # of an access token's life
_LONGEST_MARGIN = timedelta(minutes=5)
_LOOK_S = 0.1  # how often to look whether another process is done with the file
_FINAL = frozenset({"SY027", "SY028"})  # nothing but new settings, or another token in the file, mends these
_PATIENCE_S = 150.0  # for another process that renews: longer than it can take


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a refresh token is turned into an access token."""

    renew: Callable[[Mapping[str, str]], Json]  # sends the form; `ConfigError` where HubSpot does not take it
    now: Callable[[], datetime]  # HubSpot's clock
    stop: threading.Event


class Credentials(Protocol):
    """Where a client's access token comes from. May be used from any thread."""

    @property
    def identity(self) -> str:
        """A digest: the same for everyone whom HubSpot counts as one app."""
        ...

    @property
    def renewable(self) -> bool: ...

    def bearer(self, exchange: Exchange) -> str:
        """The token to send now, renewed where that is due."""
        ...

    def refused(self, token: str) -> bool:
        """HubSpot does not accept this token (any more); is there another one to be had?"""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A service key, or the token of a private app. A new one comes with new settings."""

    token: str = field(repr=False)
    renewable: bool = False

    @property
    def identity(self) -> str:
        return _digest("token", self.token)

    def bearer(self, exchange: Exchange) -> str:
        return self.token

    def refused(self, token: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one renewal gave. `until`: by HubSpot's clock, and ahead of the end."""

    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)
    until: datetime


class _File:
    """Tokens of one app in one portal, readable by the owner alone. What belongs to other settings does not count."""

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self._owner = owner

    @contextmanager
    def locked(self, stop: threading.Event) -> Iterator[None]:
        """One process at a time, beside the file, which itself is replaced."""
        lock = self._opened()
        try:
            until = retry.monotonic() + _PATIENCE_S
            while not _taken(lock):
                if retry.monotonic() > until:
                    message = f"{self.path}: another process has been renewing the HubSpot access for too long"
                    raise TemporaryError(message, code="SY026")
                retry.wait(_LOOK_S, stop)
            yield
        finally:
            os.close(lock)

    def _opened(self) -> int:
        beside = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable("written", error) from error

    def read(self) -> _Kept | None:
        try:
            found: Any = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise self._unusable("read", error) from error
        return self._understood(found)

    def _understood(self, found: Any) -> _Kept | None:
        if not isinstance(found, dict) or found.get("for") != self._owner:
            return None
        try:
            until = maybe_moment(found, "until")
            if until is None:
                return None
            kept = _Kept(_token(found, "refresh_token"), _token(found, "access_token"), until)
        except ValueError as error:
            raise self._unusable("read", error) from error
        protect(kept.refresh_token, passing=True)
        protect(kept.access_token, passing=True)
        return kept

    def write(self, kept: _Kept) -> None:
        told = {
            "for": self._owner,
            "refresh_token": kept.refresh_token,
            "access_token": kept.access_token,
            "until": kept.until.isoformat(),
        }
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)  # left by a crash, perhaps with other rights
            _write_whole(new, orjson.dumps(told))
            new.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, how: str, error: Exception) -> ConfigError:
        why = error.strerror if isinstance(error, OSError) else "it does not hold what syncer wrote into it"
        message = (
            f"the token file {self.path} cannot be {how}: {why}; correct `oauth.token_file` or the rights of its "
            "folder, or delete the file to begin again with the `refresh_token` of the settings"
        )
        return ConfigError(message, code="SY026")


class Renewed:
    """The access tokens of an OAuth app. One renewal serves all threads, all connections and all processes. A refresh
    token that HubSpot has refused is never tried again."""

    renewable = True

    def __init__(self, app: OAuth, path: Path) -> None:
        self._app = app
        self._told = app.refresh_token.get_secret_value()
        self._file = _File(path, _digest(app.client_id, self._told))
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._unwanted = ""  # an access token that HubSpot refused
        self._refusal: tuple[str, ConfigError] | None = None  # of which refresh token
        protect(self._told)
        protect(app.client_secret.get_secret_value())

    @property
    def identity(self) -> str:
        return _digest(self._app.client_id, self._told)

    def bearer(self, exchange: Exchange) -> str:
        with retry.holding(self._lock, exchange.stop):
            self._kept = self._good(self._kept, exchange) or self._from_file(exchange)
            return self._kept.access_token

    def refused(self, token: str) -> bool:
        self._unwanted = token
        return True

    def _good(self, kept: _Kept | None, exchange: Exchange) -> _Kept | None:
        if kept is None or kept.access_token == self._unwanted or exchange.now() >= kept.until:
            return None
        return kept

    def _from_file(self, exchange: Exchange) -> _Kept:
        with self._file.locked(exchange.stop):
            kept = self._file.read()
            return self._good(kept, exchange) or self._renewed(kept, exchange)

    def _renewed(self, kept: _Kept | None, exchange: Exchange) -> _Kept:
        refresh_token = self._told if kept is None else kept.refresh_token
        if self._refusal is not None and self._refusal[0] == refresh_token:
            raise ConfigError(self._refusal[1].message, code=self._refusal[1].code)
        try:
            answer = exchange.renew(self._form(refresh_token))
        except ConfigError as error:
            if error.code in _FINAL:
                self._refusal = (refresh_token, error)
            raise
        found = _understood(answer, refresh_token, exchange.now())
        self._file.write(found)
        return found

    def _form(self, refresh_token: str) -> Mapping[str, str]:
        return {
            "grant_type": "refresh_token",
            "client_id": self._app.client_id,
            "client_secret": self._app.client_secret.get_secret_value(),
            "refresh_token": refresh_token,
        }


def _understood(answer: Json, refresh_token: str, now: datetime) -> _Kept:
    access, lasts_s = answer.get("access_token"), answer.get("expires_in")
    following = answer.get("refresh_token") or refresh_token
    for each in (access, following):
        if isinstance(each, str):
            protect(each, passing=True)
    if not _is_token(access) or not _is_token(following) or not _is_life(lasts_s):
        raise TemporaryError("HubSpot's new access token has another shape than a token", code="SY042")
    life = timedelta(seconds=lasts_s)
    return _Kept(following, str(access), now + life - min(life * _MARGIN, _LONGEST_MARGIN))


def _token(found: Json, name: str) -> str:
    token = found.get(name)
    if not _is_token(token):
        raise ValueError(f"it lacks {name}")
    return str(token)


def _is_life(lasts_s: object) -> TypeGuard[int]:
    """Seconds that an access token may last; HubSpot's last half an hour."""
    return isinstance(lasts_s, int) and 0 < lasts_s < 10 * 366 * 86_400


def _is_token(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text and text != ""


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_whole(path: Path, content: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


_known = threading.Lock()
_renewed: dict[tuple[str, ...], Renewed] = {}


def credentials(connection: str, settings: Settings, folder: Path) -> Credentials:
    """What the connection's settings name; a relative token file lies under `folder`. An OAuth app is the same object
    for every connector of this process that names it, and the same file for its tokens."""
    if settings.oauth is None:
        if settings.token is None:
            raise AssertionError("settings hold either")
        token = settings.token.get_secret_value()
        protect(token)
        return Fixed(token)
    app = settings.oauth
    secrets = _digest(app.client_secret.get_secret_value(), app.refresh_token.get_secret_value())
    path = (folder / (app.token_file or f".syncer/hubspot-{connection}.json")).absolute()
    key = (settings.base_url, app.client_id, secrets, str(path))
    with _known:
        return _renewed.setdefault(key, Renewed(app, path))
