"""Who gets in: connected apps, sessions, and the grants of the token endpoint."""

import base64
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SESSION_S = 7200.0  # an org's default
CLOCK_SKEW_S = 180.0  # an assertion may lie this far from the org's clock
AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})
SCOPES = "api refresh_token id"
Form = Mapping[str, str]


class Denied(Exception):
    """What the token endpoint refuses, in OAuth's words."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """An app that may ask for tokens. Usernames are those of User records."""

    client_id: str
    client_secret: str = ""
    name: str = "emulated-app"
    run_as: str | None = None  # whom the client credentials flow speaks for; None: that flow is off
    public_key: str | None = None  # PEM, key or certificate, against which assertions are checked; None: no JWT flow
    refresh_tokens: Mapping[str, str] = field(default_factory=dict)  # token -> username
    rotate: bool = False  # a refresh token is good once, and a new one comes with each answer
    password_flow: bool = True
    installed: bool = True
    quota: int | None = None  # API requests of its own in 24 hours: shown in Sforce-Limit-Info


@dataclass(slots=True)
class Session:
    """One login. `ends_s` None: until it is revoked."""

    token: str
    user_id: str
    app: ConnectedApp | None = None
    ends_s: float | None = None
    refresh_token: str | None = None


class Doorman:
    """Sessions and grants. `lifetime_s`: of a session that is not used; use in its second half renews it."""

    def __init__(
        self, org: Org, tokens: Iterable[str], apps: Iterable[ConnectedApp], passwords: Mapping[str, str]
    ) -> None:
        self.org = org
        self.apps: dict[str, ConnectedApp] = {}
        self.passwords = dict(passwords)  # username -> password with the security token behind it
        self.sessions = {each: Session(each, org.admin_id) for each in tokens}
        self.lifetime_s = SESSION_S
        self.refused_with: Denied | None = None  # every grant is answered so
        self._refresh: dict[str, tuple[str, str]] = {}  # token -> (client id, username)
        for each in apps:
            self.install(each)

    def install(self, app: ConnectedApp) -> None:
        """A new app, or another state of one."""
        self.apps[app.client_id] = app
        self._refresh |= {token: (app.client_id, name) for token, name in app.refresh_tokens.items()}

    def admit(self, header: str | None, now_s: float) -> Session:
        """The session of an Authorization header, `Bearer` or `OAuth`; 401 INVALID_SESSION_ID."""
        scheme, _, token = (header or "").partition(" ")
        if header and scheme.lower() not in ("bearer", "oauth"):
            raise Refusal(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        session = self.sessions.get(token.strip())
        if session is None or (session.ends_s is not None and now_s >= session.ends_s):
            raise Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if session.ends_s is not None and session.ends_s - now_s < self.lifetime_s / 2:
            session.ends_s = now_s + self.lifetime_s
        return session

    def end(self, header: str | None) -> None:
        """The session of this Authorization header is over, if a login opened it."""
        token = (header or "").partition(" ")[2].strip()
        if token in self.sessions and self.sessions[token].ends_s is not None:
            del self.sessions[token]

    def expire(self) -> None:
        """Every session that a login opened is over."""
        self.sessions = {token: each for token, each in self.sessions.items() if each.ends_s is None}

    def grant(self, form: Form, basic: tuple[str, str] | None, host: str, now_s: float) -> tuple[Session, str | None]:
        """(a new session, a new refresh token or None) for the fields of a token request."""
        if self.refused_with is not None:
            raise self.refused_with
        kind = form.get("grant_type", "")
        if kind == JWT_GRANT:
            return self._by_assertion(form.get("assertion", ""), host, now_s), None
        if kind not in ("client_credentials", "refresh_token", "password"):
            raise Denied("unsupported_grant_type", "grant type not supported")
        app = self._app(form, basic)
        if kind == "refresh_token":
            return self._by_refresh(app, form, now_s)
        if kind == "password":
            return self._by_password(app, form, now_s), None
        return self._by_credentials(app, host, now_s), None

    def open(self, user_id: str, app: ConnectedApp | None, now_s: float, refresh: str | None = None) -> Session:
        """A new session."""
        token = f"{self.org.org_id[:15]}!{secrets.token_urlsafe(60)}"
        session = Session(token, user_id, app, now_s + self.lifetime_s, refresh)
        self.sessions[token] = session
        return session

    def login(self, username: str, password: str) -> str:
        """The user's id; Denied when the two do not go together."""
        expected = self.passwords.get(username)
        if expected is None or not hmac.compare_digest(expected.encode(), password.encode()):
            raise Denied("invalid_grant", "authentication failure")
        return self._user(username)

    def revoke(self, token: str) -> None:
        """End a session, or a refresh token with all its sessions. Denied when it is neither."""
        if self.sessions.pop(token, None) is None and self._refresh.pop(token, None) is None:
            raise Denied("unsupported_token_type", "this token type is not supported")
        self.sessions = {key: each for key, each in self.sessions.items() if each.refresh_token != token}

    def _app(self, form: Form, basic: tuple[str, str] | None) -> ConnectedApp:
        client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
        app = self.apps.get(client_id)
        if app is None:
            raise Denied("invalid_client_id", "client identifier invalid")
        if not app.installed:
            raise Denied("invalid_client", "app must be installed into org")
        wants_secret = form.get("grant_type") != "refresh_token" or bool(secret)
        if wants_secret and not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
            raise Denied("invalid_client", "invalid client credentials")
        return app

    def _by_credentials(self, app: ConnectedApp, host: str, now_s: float) -> Session:
        if host.startswith(("login.", "test.")):
            raise Denied("invalid_grant", "request not supported on this domain")
        if app.run_as is None:
            raise Denied("invalid_grant", "no client credentials user enabled")
        return self.open(self._user(app.run_as), app, now_s)

    def _by_password(self, app: ConnectedApp, form: Form, now_s: float) -> Session:
        if not app.password_flow:
            raise Denied("invalid_grant", "authentication failure")
        return self.open(self.login(form.get("username", ""), form.get("password", "")), app, now_s)

    def _by_refresh(self, app: ConnectedApp, form: Form, now_s: float) -> tuple[Session, str | None]:
        given = form.get("refresh_token", "")
        owner = self._refresh.get(given)
        if owner is None or owner[0] != app.client_id:
            raise Denied("invalid_grant", "expired access/refresh token")
        fresh = None
        if app.rotate:
            fresh = f"5Aep861{secrets.token_urlsafe(60)}"
            self._refresh[fresh] = self._refresh.pop(given)
        return self.open(self._user(owner[1]), app, now_s, fresh or given), fresh

    def _by_assertion(self, assertion: str, host: str, now_s: float) -> Session:
        claims, signed, signature = _split(assertion)
        app = self.apps.get(str(claims.get("iss", "")))
        if app is None:
            raise Denied("invalid_client_id", "client identifier invalid")
        if not app.installed:
            raise Denied("invalid_client", "app must be installed into org")
        if app.public_key is None or not verified(app.public_key, signed, signature):
            raise Denied("invalid_grant", "invalid assertion")
        if str(claims.get("aud", "")).rstrip("/") not in AUDIENCES | {f"https://{host}", f"http://{host}"}:
            raise Denied("invalid_grant", "audience is invalid")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or not now_s - CLOCK_SKEW_S <= expires <= now_s + 2 * CLOCK_SKEW_S:
            raise Denied("invalid_grant", "expired authorization code")
        return self.open(self._user(str(claims.get("sub", ""))), app, now_s)

    def _user(self, username: str) -> str:
        quoted = username.replace("\\", "\\\\").replace("'", "\\'")
        rows = self.org.query(f"SELECT Id, IsActive FROM User WHERE Username = '{quoted}'").page(0, 1)
        if not rows:
            raise Denied("invalid_grant", "user hasn't approved this consumer")
        if not rows[0]["IsActive"]:
            raise Denied("inactive_user", "user is inactive")
        return str(rows[0]["Id"])


def _split(assertion: str) -> tuple[Mapping[str, Any], bytes, bytes]:
    """(claims, what was signed, signature) of an RS256 token; Denied when it is none."""
    try:
        head, body, signature = (_unbase64(each) for each in assertion.split("."))
        claims, algorithm = json.loads(body), json.loads(head)["alg"]
    except (ValueError, KeyError, TypeError) as error:
        raise Denied("invalid_grant", "invalid assertion") from error
    if algorithm != "RS256" or not isinstance(claims, dict):
        raise Denied("invalid_grant", "invalid assertion")
    return claims, assertion.rpartition(".")[0].encode(), signature


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017, section 9.2


def verified(pem: str, message: bytes, signature: bytes) -> bool:
    """Is this the RSASSA-PKCS1-v1_5 signature with SHA-256 of the message by the key's owner? (RFC 8017, 8.2.2)"""
    modulus, exponent = rsa_key(pem)
    size = (modulus.bit_length() + 7) // 8
    if len(signature) != size:
        return False
    shown = pow(int.from_bytes(signature), exponent, modulus).to_bytes(size)
    tail = _SHA256_PREFIX + sha256(message).digest()
    return hmac.compare_digest(shown, b"\x00\x01" + b"\xff" * (size - len(tail) - 3) + b"\x00" + tail)


def rsa_key(pem: str) -> tuple[int, int]:
    """(modulus, exponent) of a PEM public key or certificate; ValueError when it holds none."""
    packed = re.sub(r"-----[^-]+-----|\s", "", pem)
    for modulus, exponent in _keys(base64.b64decode(packed)):
        return modulus, exponent
    raise ValueError("the PEM text holds no RSA public key")


def _keys(der: bytes) -> Iterable[tuple[int, int]]:
    """Every sequence of exactly two integers, the first of them large, wherever it lies."""
    for tag, content in _elements(der):
        if tag == 0x30:
            inner = list(_elements(content))
            if [each[0] for each in inner] == [2, 2] and len(inner[0][1]) >= 64:
                yield int.from_bytes(inner[0][1]), int.from_bytes(inner[1][1])
        if tag == 0x03:
            yield from _keys(content[1:])
        elif tag & 0x20:
            yield from _keys(content)


def _elements(der: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count]), at + count
        yield tag, der[at : at + length]
        at += length
