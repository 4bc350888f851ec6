"""Sessions: one that a person put into the settings, or those that a login gives.

A login costs (too many lock a user out), so there is one at a time, its session serves all threads and connections of
this process, and a refused one is not tried again. A refresh token may be rotated: then the old one is worth nothing
any more, so the new one is kept in a file, written whole under another name and renamed, before its session is used.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import SecretStr

from connectors.salesforce.session import Pass
from connectors.salesforce.settings import ClientCredentials, Jwt, Refresh, Settings, origin
from connectors.salesforce.values import Json
from syncer import retry
from syncer.errors import ConfigError, TemporaryError
from syncer.log import protect

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION = timedelta(minutes=3)  # Salesforce takes none that lasts longer (its guide to the flow)
_FRUITLESS = 2  # fresh sessions that were worth nothing, in a row
_REST_S = 600.0  # how long no login is tried after these
_LOOK_S = 0.1
_PATIENCE_S = 400.0  # for another process that logs in: longer than it can take


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a login is done."""

    login: Callable[[Mapping[str, str]], Json]  # sends the form; `ConfigError` SY141 where Salesforce refuses it
    now: Callable[[], datetime]  # Salesforce's clock
    stop: threading.Event


class Credentials(Protocol):
    """Where a client's session comes from. May be used from any thread."""

    @property
    def identity(self) -> str:
        """A digest: the same for everyone whom Salesforce counts as one app."""
        ...

    def entry(self, exchange: Exchange) -> Pass:
        """The session to use now, by a login where there is none."""
        ...

    def accepted(self, token: str) -> None:
        """Salesforce worked a request with it."""
        ...

    def refused(self, token: str) -> bool:
        """Salesforce does not accept it (any more); is there another one to be had?"""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A session id from the settings. A new one comes with new settings."""

    entry_: Pass

    @property
    def identity(self) -> str:
        return _digest("token", self.entry_.token)

    def entry(self, exchange: Exchange) -> Pass:
        return self.entry_

    def accepted(self, token: str) -> None:
        """Nothing to learn from it."""

    def refused(self, token: str) -> bool:
        return False


class Grant(Protocol):
    """One kind of login."""

    @property
    def identity(self) -> str: ...

    def logged_in(self, exchange: Exchange) -> Json:
        """What the token endpoint answered."""
        ...


@dataclass(frozen=True, slots=True)
class ByCredentials:
    """The client credentials flow."""

    app: ClientCredentials

    @property
    def identity(self) -> str:
        return _digest("client_credentials", self.app.client_id)

    def logged_in(self, exchange: Exchange) -> Json:
        secret = self.app.client_secret.get_secret_value()
        form = {"grant_type": "client_credentials", "client_id": self.app.client_id, "client_secret": secret}
        return exchange.login(form)


@dataclass(frozen=True, slots=True)
class ByAssertion:
    """The JWT bearer flow. The assertion's time is Salesforce's, as far as it has told it."""

    app: Jwt
    audience: str
    folder: Path

    @property
    def identity(self) -> str:
        return _digest("jwt", self.app.client_id, self.app.username)

    def logged_in(self, exchange: Exchange) -> Json:
        return exchange.login({"grant_type": JWT_GRANT, "assertion": self._assertion(exchange.now())})

    def _assertion(self, now: datetime) -> str:
        import jwt  # noqa: PLC0415  # it brings the cryptography package, which no other way in needs

        claims = {"iss": self.app.client_id, "sub": self.app.username, "aud": self.audience}
        try:
            return jwt.encode({**claims, "exp": int((now + _ASSERTION).timestamp())}, self._key(), algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            message = "the private key under `jwt` cannot sign: it must be an RSA key in PEM form, without a password"
            raise ConfigError(message, code="SY149") from error

    def _key(self) -> str:
        if self.app.private_key is not None:
            return self.app.private_key.get_secret_value()
        path = self.folder / (self.app.private_key_file or "")
        try:
            return path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no PEM file"
            message = f"the private key {path} cannot be read: {why}; correct `jwt.private_key_file`"
            raise ConfigError(message, code="SY149") from error


class ByRefresh:
    """A refresh token, the newest one of which is in a file. A token that was refused is never sent again, but another
    process may have put a newer one there."""

    def __init__(self, app: Refresh, path: Path) -> None:
        self._app = app
        self._told = app.refresh_token.get_secret_value()
        self._file = TokenFile(path, self.identity)
        self._unkept: str | None = None  # the newest one, where the file could not be written

    @property
    def identity(self) -> str:
        return _digest("refresh", self._app.client_id, self._app.refresh_token.get_secret_value())

    def logged_in(self, exchange: Exchange) -> Json:
        with self._file.locked(exchange.stop):
            self._keep()
            token = self._file.read() or self._told
            answer = exchange.login(self._form(token))
            following = answer.get("refresh_token")
            if following is not None and following != token:
                if not is_token(following):
                    raise TemporaryError("Salesforce's new refresh token has another shape than a token", code="SY143")
                protect(following, passing=True)
                self._unkept = following
                self._keep()
        return answer

    def _keep(self) -> None:
        """Before another login: Salesforce has forgotten the token that is in the file."""
        if self._unkept is not None:
            self._file.write(self._unkept)
            self._unkept = None

    def _form(self, token: str) -> Mapping[str, str]:
        form = {"grant_type": "refresh_token", "client_id": self._app.client_id, "refresh_token": token}
        secret = self._app.client_secret
        return form if secret is None else {**form, "client_secret": secret.get_secret_value()}


class Renewed:
    """The sessions that logins give."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self._lock = threading.Lock()
        self._entry: Pass | None = None
        self._unwanted = ""  # the session that was refused last
        self._counting = threading.Lock()
        self._proven, self._fruitless = "", 0  # how many sessions in a row were never accepted
        self._refusal: ConfigError | None = None
        self._refused_until = 0.0

    @property
    def identity(self) -> str:
        return self._grant.identity

    def entry(self, exchange: Exchange) -> Pass:
        with retry.holding(self._lock, exchange.stop):
            entry = self._entry
            if entry is None or entry.token == self._unwanted:
                self._insist()
                entry = self._entry = self._logged_in(exchange)
            return entry

    def accepted(self, token: str) -> None:
        self._proven, self._fruitless = token, 0

    def refused(self, token: str) -> bool:
        """After two sessions that came fresh from a login and were never accepted, a third would be no better."""
        with self._counting:
            entry = self._entry
            if entry is None or entry.token != token or token == self._unwanted:
                return True
            self._unwanted = token
            self._fruitless += token != self._proven
            if self._fruitless < _FRUITLESS:
                return True
            self._rest()
            return False

    def _insist(self) -> None:
        if self._refusal is None:
            return
        if retry.monotonic() < self._refused_until:
            raise ConfigError(self._refusal.message, code=self._refusal.code)
        self._refusal, self._unwanted = None, ""  # what was mended meanwhile may bring the same session

    def _rest(self) -> None:
        message = (
            "Salesforce accepts none of the sessions that its own logins give: look at the app's policies and the "
            "user's permission API Enabled; no more logins for ten minutes"
        )
        self._refusal, self._refused_until = ConfigError(message, code="SY140"), retry.monotonic() + _REST_S
        self._fruitless = 0

    def _logged_in(self, exchange: Exchange) -> Pass:
        try:
            answer = self._grant.logged_in(exchange)
        except ConfigError as error:
            if error.code == "SY141":
                self._refusal, self._refused_until = error, float("inf")
            raise
        token = answer.get("access_token")
        if not is_token(token):
            raise TemporaryError("Salesforce's new session has another shape than a token", code="SY143")
        protect(str(token), passing=True)
        if token == self._unwanted:  # a live session is given once more rather than a new one
            self._rest()
            self._insist()
        return Pass(str(token), _instance(answer))


@dataclass(frozen=True, slots=True)
class Named:
    """A login as one of the connections that share it has it: what fails in it bears this one's name."""

    connection: str
    login: Renewed

    @property
    def identity(self) -> str:
        return self.login.identity

    def entry(self, exchange: Exchange) -> Pass:
        try:
            return self.login.entry(exchange)
        except TemporaryError as error:
            if error.message.startswith(f"{self.connection}: "):
                raise
            message = f"{self.connection}: logging in: {error.message}"
            raise TemporaryError(message, code=error.code, retry_after_s=error.retry_after_s) from error

    def accepted(self, token: str) -> None:
        self.login.accepted(token)

    def refused(self, token: str) -> bool:
        return self.login.refused(token)


def _instance(answer: Json) -> str:
    """Where the session counts: orgs move, and the login tells where to."""
    try:
        return origin(str(answer.get("instance_url")))
    except ValueError as error:
        message = f"the login names no address of an org (`instance_url` {error})"
        raise TemporaryError(message, code="SY143") from error


class TokenFile:
    """The newest refresh token, readable by the owner alone. What belongs to other settings does not count."""

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
                    message = f"{self.path}: another process has been logging in to Salesforce for too long"
                    raise TemporaryError(message, code="SY141")
                retry.wait(_LOOK_S, stop)
            yield
        finally:
            os.close(lock)

    def read(self) -> str | None:
        try:
            found: Any = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise self._unusable("read", error) from error
        if not isinstance(found, dict) or found.get("for") != self._owner:
            return None
        token = found.get("refresh_token")
        if not is_token(token):
            raise self._unusable("read", ValueError())
        protect(str(token), passing=True)
        return str(token)

    def write(self, token: str) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)  # left by a crash, perhaps with other rights
            _write_whole(new, orjson.dumps({"for": self._owner, "refresh_token": token}))
            new.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _opened(self) -> int:
        beside = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, how: str, error: Exception) -> ConfigError:
        why = error.strerror if isinstance(error, OSError) else "it does not hold what syncer wrote into it"
        message = (
            f"the token file {self.path} cannot be {how}: {why}; correct `refresh.token_file` or the rights of its "
            "folder, or delete the file to begin again with the `refresh_token` of the settings"
        )
        return ConfigError(message, code="SY149")


def is_token(text: object) -> bool:
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
_renewed: dict[tuple[str, str], Renewed] = {}


def credentials(connection: str, settings: Settings, folder: Path) -> Credentials:
    """What the connection's settings name; relative files lie under `folder`. The same login is the same one for
    every connector of this process that names it."""
    if settings.token is not None:
        token = settings.token.get_secret_value()
        protect(token)
        return Fixed(Pass(token, settings.instance_url))
    grant = _grant(connection, settings, folder)
    key = (settings.instance_url, _digest(grant.identity, *_secrets(settings), str(folder.absolute())))
    with _known:
        return Named(connection, _renewed.setdefault(key, Renewed(grant)))


def _grant(connection: str, settings: Settings, folder: Path) -> Grant:
    if settings.client_credentials is not None:
        return ByCredentials(settings.client_credentials)
    if settings.jwt is not None:
        usual = f"https://{'test' if settings.sandbox else 'login'}.salesforce.com"
        return ByAssertion(settings.jwt, settings.jwt.audience or usual, folder)
    if settings.refresh is None:
        raise AssertionError("settings hold one of the four")
    path = folder / (settings.refresh.token_file or f".syncer/salesforce-{connection}.json")
    return ByRefresh(settings.refresh, path.absolute())


def _secrets(settings: Settings) -> Iterator[str]:
    """All that tells two ways in apart; what is secret of it is blotted out of everything from now on."""
    app, key, old = settings.client_credentials, settings.jwt, settings.refresh
    told: list[SecretStr | None] = []
    if app is not None:
        told.append(app.client_secret)
    if key is not None:
        told.append(key.private_key)
        yield str(key.private_key_file)
    if old is not None:
        told += (old.client_secret, old.refresh_token)
        yield str(old.token_file)
    for each in told:
        if each is not None:
            protect(each.get_secret_value())
            yield each.get_secret_value()
