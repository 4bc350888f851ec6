"""Access tokens, their scopes, and the OAuth application that may renew them."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from connectors.emulators.hubspot.answers import Answer, Json, Refusal, correlation_id, refusal

_CRM_SCOPES = {
    f"crm.{area}.{kind}.{right}"
    for area in ("objects", "schemas")
    for kind in ("contacts", "companies", "deals")
    for right in ("read", "write")
}
ALL_SCOPES = frozenset(
    _CRM_SCOPES | {"crm.objects.owners.read", "sales-email-read", "forms", "content", "crm.lists.read"}
)
ACCESS_LASTS_S = 1800


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: a service key or private app's (`oauth` False), or an OAuth access token, which expires."""

    value: str
    scopes: frozenset[str] = ALL_SCOPES
    oauth: bool = False
    expires_ms: int | None = None
    app_id: str = "19083857"
    user_id: int = 76070032


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """The application of a portal that installed it. `rotate`: each refresh hands out a new refresh token."""

    client_id: str
    client_secret: str
    refresh_token: str
    scopes: frozenset[str] = ALL_SCOPES
    rotate: bool = True


class Doorman:
    """Knows the tokens of a portal."""

    def __init__(self, keys: Iterable[Token | OAuthApp]) -> None:
        known = tuple(keys)
        self.tokens: dict[str, Token] = {each.value: each for each in known if isinstance(each, Token)}
        self.app = next((each for each in known if isinstance(each, OAuthApp)), None)
        self._refresh_tokens = {self.app.refresh_token} if self.app else set()

    def admit(self, authorization: str | None, now_ms: int) -> Token:
        """The token of an Authorization header, or 401."""
        scheme, _, value = (authorization or "").partition(" ")
        token = self.tokens.get(value) if scheme.lower() == "bearer" else None
        if token is None:
            raise refusal(401, _NO_CREDENTIALS, "INVALID_AUTHENTICATION")
        if token.expires_ms is not None and token.expires_ms <= now_ms:
            age_s = (now_ms - token.expires_ms) // 1000
            message = f"The OAuth token used to make this call expired {age_s} second(s) ago."
            context = {"expire time": [str(token.expires_ms)]}
            raise refusal(401, message, "EXPIRED_AUTHENTICATION", context=context)
        return token

    def revoke(self, value: str) -> None:
        """An access or refresh token stops working, as when a key is rotated or an app is uninstalled."""
        self.tokens.pop(value, None)
        self._refresh_tokens.discard(value)

    def grant(self, form: Mapping[str, str], now_ms: int) -> Json:
        """The answer to a refresh: an access token for 30 minutes. Errors have OAuth's own shape."""
        app = self._client(form)
        offered = form.get("refresh_token", "")
        if form.get("grant_type") != "refresh_token":
            raise _oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unknown grant_type")
        if offered not in self._refresh_tokens:
            raise _oauth_error("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        access = Token(secrets.token_urlsafe(24), app.scopes, oauth=True, expires_ms=now_ms + ACCESS_LASTS_S * 1000)
        self.tokens[access.value] = access
        kept = self._rotate(offered) if app.rotate else offered
        return {
            "token_type": "bearer",
            "refresh_token": kept,
            "access_token": access.value,
            "expires_in": ACCESS_LASTS_S,
        }

    def _client(self, form: Mapping[str, str]) -> OAuthApp:
        app = self.app
        if app is None or form.get("client_id") != app.client_id:
            raise _oauth_error("invalid_client", "BAD_CLIENT_ID", "missing or invalid client id")
        if form.get("client_secret") != app.client_secret:
            raise _oauth_error("invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret")
        return app

    def _rotate(self, used: str) -> str:
        fresh = secrets.token_urlsafe(24)
        self._refresh_tokens = {fresh}
        if self.app is not None:
            self.app = replace(self.app, refresh_token=fresh)
        return fresh


_NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
    "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)


def require_scopes(token: Token, wanted: tuple[str, ...]) -> None:
    """403 unless the token has one of the scopes wanted (none wanted: every token passes)."""
    if wanted and not token.scopes.intersection(wanted):
        context = {"requiredGranularScopes": list(wanted), "links": ["https://developers.hubspot.com/scopes"]}
        raise refusal(403, "One or more of the following scopes are required.", "MISSING_SCOPES", context=context)


def _oauth_error(error: str, status: str, message: str) -> Refusal:
    body: Json = {
        "status": status,
        "message": message,
        "correlationId": correlation_id(),
        "error": error,
        "error_description": message,
    }
    return Refusal(Answer(400, body))
