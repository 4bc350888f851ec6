"""A small OpenID provider on this machine: it signs in whom it is told to, and lies in the way it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET, ACCESS_TOKEN = "syncer", "a-secret-of-the-client", "an-access-token"
_LIVES_S = 60


@dataclass
class Grant:
    """What a code is good for, once."""

    asked: Mapping[str, str]
    used: bool = False


@dataclass
class OpenIdProvider:
    """`claims` are those of whoever signs in next; `changes` what is wrong with the ID token."""

    port: int = 0
    claims: dict[str, Any] = field(default_factory=lambda: {"email": "ana@acme.es", "groups": ["ops"]})
    changes: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    signs_with: Any = None  # None: with the key that it shows
    kid: str = "one"
    algorithm: str = "RS256"
    says: dict[str, Any] = field(default_factory=dict)  # of itself, besides
    userinfo: dict[str, Any] | None = None  # what is told there; None: there is no such endpoint
    status: int = 200  # of every answer
    waits: threading.Event | None = None  # until then nothing is answered
    asked: list[str] = field(default_factory=list)
    grants: dict[str, Grant] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def described(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            **({} if self.userinfo is None else {"userinfo_endpoint": f"{self.issuer}/userinfo"}),
            **self.says,
        }

    def consent(self, address: str, **more: str) -> str:
        """Somebody signs in at `address`, where we have sent them: the path and query to come back to."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self.grants)}"
        self.grants[code] = Grant(asked)
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state'], **more})}"

    def token(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization != f"Basic {known}" and form.get("client_secret") != CLIENT_SECRET:
            return 401, {"error": "invalid_client"}
        grant = self.grants.get(form.get("code", ""))
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if grant is None or grant.used or grant.asked["code_challenge"] != _packed(verifier):
            return 400, {"error": "invalid_grant"}
        grant.used = True
        token = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": _LIVES_S}
        return 200, {**token, "id_token": self._signed(grant)}

    def _signed(self, grant: Grant) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "1", "aud": CLIENT_ID, "iat": now, "exp": now + 300,
            "nonce": grant.asked["nonce"], **self.claims, **self.changes,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm in ("none", "HS256"):
            return self._signed_by_none(kept)
        header = {"alg": self.algorithm, "kid": self.kid}
        return jwt.encode(header, kept, self.signs_with or self.key, algorithms=[self.algorithm])

    def _signed_by_none(self, claims: Mapping[str, Any]) -> str:
        """By nobody; or the old trick: with what everybody knows, taken as a secret that two share."""
        parts = [{"alg": self.algorithm, "typ": "JWT"}, claims]
        text = ".".join(_packed(orjson.dumps(each)) for each in parts)
        told = hmac.new(self.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
        return f"{text}.{'' if self.algorithm == 'none' else _packed(told)}"

    def change_key(self) -> None:
        self.kid = "two"
        self.key = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})

    def forge(self) -> None:
        """Another key of the same name."""
        self.signs_with = RSAKey.generate_key(2048, {"kid": "one"})


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class _Answering(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        self.provider.asked.append(self.path)
        if self.path == "/userinfo" and self.headers.get("Authorization") != f"Bearer {ACCESS_TOKEN}":
            self._say(401, {"error": "invalid_token"})
            return
        told: Mapping[str, Callable[[], Any]] = {
            "/.well-known/openid-configuration": self.provider.described,
            "/keys": lambda: {"keys": [self.provider.key.as_dict(private=False)]},
            "/userinfo": lambda: self.provider.userinfo,
        }
        self._say(200, told[self.path]())

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._say(*self.provider.token(dict(parse_qsl(body)), self.headers.get("Authorization", "")))

    def _say(self, status: int, content: Any) -> None:
        if self.provider.waits is not None:
            self.provider.waits.wait(20)
        raw = orjson.dumps(content)
        self.send_response(status if self.provider.status == 200 else self.provider.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def provider_running() -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider()
    handler = type("Answering", (_Answering,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
