"""An identity provider that speaks OpenID Connect: the authorization code flow with PKCE, state and nonce, by authlib.

The only module that knows authlib, which is imported when the first one signs in so.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args
from urllib.parse import urlsplit

import structlog

from syncer.errors import ConfigError, TemporaryError
from syncer.log import protect, redact
from syncer.settings.sign_in import Oidc, Role, is_loopback

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0  # of each request to the provider
KNOWN_FOR_S = 3_600.0  # what the provider says of itself
LEEWAY_S = 60  # between its clock and ours
# Signed with a key that the provider alone has: "none" and secrets shared with us are nobody's word.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LONGEST_REASON = 200
FORGOTTEN = "SY262"
"""Of who comes back and has never left: nobody's failure."""


class NotLetIn(ConfigError):
    """The provider's word is not enough; `name` where it said whose it is."""

    def __init__(self, message: str, *, code: str, name: str = "") -> None:
        super().__init__(message, code=code)
        self.name = name


@dataclass(frozen=True, slots=True)
class Begun:
    """What the browser keeps until it comes back. All but the address are secrets of this one sign-in."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Told:
    name: str
    role: Role


class Provider:
    """For any thread. TemporaryError SY260: it does not answer. ConfigError SY261: what it says makes no sense."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: tuple[Oidc, float, Any] | None = None

    def begin(self, oidc: Oidc, back: str) -> tuple[str, Begun]:
        """Where the browser goes, and what it keeps. `back`: where the provider sends it then."""
        with _told_plainly(oidc):
            begun = self._client(oidc).create_authorization_url(back)
        return begun["url"], Begun(begun["state"], begun["nonce"], begun["code_verifier"])

    def finish(self, oidc: Oidc, back: str, begun: Begun, answer: Mapping[str, str]) -> Told:
        """`answer`: what the provider has put into the address. NotLetIn SY262: not begun by this browser; SY263: the
        provider, its word or its claims do not let them in."""
        if not begun.state or not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise NotLetIn("this sign-in was not begun in this browser; begin it again", code=FORGOTTEN)
        if "error" in answer or not answer.get("code"):
            reason = redact(answer.get("error", "it gave no code"))[:_LONGEST_REASON]
            raise NotLetIn(f"the identity provider lets nobody in: {reason}", code="SY263")
        if answer.get("iss", oidc.issuer) != oidc.issuer:  # RFC 9207
            raise NotLetIn("another identity provider has answered", code="SY263")
        with _told_plainly(oidc):
            client = self._client(oidc)
            token = client.fetch_access_token(back, code=answer["code"], code_verifier=begun.verifier)
            for name in ("access_token", "refresh_token", "id_token"):
                protect(str(token.get(name, "")), passing=True)
            options = {name: {"essential": True, "value": value}
                       for name, value in (("iss", oidc.issuer), ("aud", oidc.client_id))}  # fmt: skip
            options["nonce"] = {"essential": True, "value": begun.nonce}
            claims = client.parse_id_token(token, begun.nonce, claims_options=options, leeway=LEEWAY_S)
            if claims is None:
                raise NotLetIn("the identity provider has given no ID token", code="SY263")
            if not _is_whole(oidc, claims) and client.server_metadata.get("userinfo_endpoint"):
                claims = _completed(claims, client.userinfo(token=token))
        return told_by(oidc, claims)

    def _client(self, oidc: Oidc) -> Any:
        """authlib's, with what the provider says of itself."""
        with self._guard:
            known = self._known
            if known is not None and known[0] == oidc and time.monotonic() - known[1] < KNOWN_FOR_S:
                return known[2]
        client = _made(oidc)
        metadata = client.load_server_metadata()
        _insist_on_sense(oidc, metadata)
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in _ALGORITHMS]
        if "client_secret_basic" not in (metadata.get("token_endpoint_auth_methods_supported") or _BASIC):
            client.client_kwargs["token_endpoint_auth_method"] = "client_secret_post"
        with self._guard:
            self._known = oidc, time.monotonic(), client
        return client


_BASIC = ("client_secret_basic",)  # what holds where a provider says nothing


def _made(oidc: Oidc) -> Any:
    from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OpenIDMixin  # noqa: PLC0415  # a fifth of a second
    from authlib.integrations.requests_client import OAuth2Session  # noqa: PLC0415

    class Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]
        client_cls = OAuth2Session

    logging.getLogger("authlib").setLevel(logging.WARNING)  # else it tells the verifier
    return Client(
        None,
        client_id=oidc.client_id,
        client_secret=oidc.client_secret.get_secret_value(),
        server_metadata_url=f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(oidc.scopes),
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
            "leeway": 0,  # seconds: an access token is used at once, and some live for a minute
        },
        user_agent="syncer",
    )


def _insist_on_sense(oidc: Oidc, metadata: Mapping[str, Any]) -> None:
    if metadata.get("issuer") != oidc.issuer:
        message = f"the identity provider calls itself {str(metadata.get('issuer'))[:_LONGEST_REASON]!r}"
        raise ConfigError(f"{message}; write just that under web.sign_in.oidc.issuer", code="SY261")
    optional = ("userinfo_endpoint",) if metadata.get("userinfo_endpoint") else ()
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", *optional):
        parts = urlsplit(str(metadata.get(name, "")))
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ConfigError(f"the identity provider's {name} is no https:// address", code="SY261")


def told_by(oidc: Oidc, claims: Mapping[str, Any]) -> Told:
    """Who it is, by claims that were checked. NotLetIn SY263: they do not say, or have no role here."""
    name = claims.get(oidc.name_claim)
    if not isinstance(name, str) or not name.strip():
        raise NotLetIn(f"the identity provider does not tell the claim '{oidc.name_claim}'", code="SY263")
    if oidc.name_claim == "email" and claims.get("email_verified", True) in (False, "false"):
        raise NotLetIn("the identity provider has not checked this e-mail address", code="SY263", name=name)
    theirs = _values(claims, oidc.roles_claim)
    given = [role for role in get_args(Role) if theirs & set(getattr(oidc.roles, role))]
    if not given:
        raise NotLetIn("no group of this account has a role here; ask whoever runs syncer", code="SY263", name=name)
    return Told(name, given[-1])


def _is_whole(oidc: Oidc, claims: Mapping[str, Any]) -> bool:
    """Whether an ID token tells all that is asked of it. Many providers tell groups at the userinfo endpoint alone."""
    return claims.get(oidc.name_claim) is not None and _claim(claims, oidc.roles_claim) is not None


def _completed(claims: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was signed counts before what was `asked` of the userinfo endpoint. NotLetIn SY263: that is about another
    one (OpenID Connect Core 5.3.2)."""
    if asked.get("sub") != claims.get("sub"):
        raise NotLetIn("the identity provider's userinfo endpoint tells of somebody else", code="SY263")
    return {**asked, **{name: value for name, value in claims.items() if value is not None}}


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The one of that name; else one within others, as Keycloak's realm_access.roles."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _values(claims: Mapping[str, Any], name: str) -> set[str]:
    found = _claim(claims, name)
    if isinstance(found, str):
        return {found}
    return {each for each in found if isinstance(each, str)} if isinstance(found, Sequence) else set()


@contextmanager
def _told_plainly(oidc: Oidc) -> Iterator[None]:
    """What goes wrong between us and the provider, in our words."""
    from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415
    from requests import HTTPError, RequestException  # noqa: PLC0415

    try:
        yield
    except (JoseError, AuthlibBaseError) as error:
        reason = redact(str(error))[:_LONGEST_REASON]
        raise NotLetIn(f"the identity provider's word cannot be taken: {reason}", code="SY263") from error
    except HTTPError as error:
        raise _away(oidc, f"HTTP {getattr(error.response, 'status_code', 'error')}") from error
    except (RequestException, OSError) as error:
        raise _away(oidc, type(error).__name__) from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        message = f"the identity provider {oidc.issuer} does not answer as OpenID Connect has it"
        raise ConfigError(f"{message} ({type(error).__name__})", code="SY261") from error


def _away(oidc: Oidc, what: str) -> TemporaryError:
    return TemporaryError(f"the identity provider {oidc.issuer} did not do its part: {what}", code="SY260")
