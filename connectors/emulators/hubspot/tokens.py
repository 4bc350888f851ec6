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
    _CRM_SCOPES
    | {"crm.objects.owners.read", "sales-email-read", "forms", "content", "crm.lists.read"}
    | {"mh-lead-scoring-view", "mh-lead-scoring-edit"}
    | {"marketing.campaigns.read", "crm.objects.marketing_events.read", "scheduler.meetings.meeting-link.read"}
)
ACCESS_LASTS_S = 1800
USER_ID = 76070032


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: a service key or private app's (`oauth` False), or an OAuth access token, which expires."""

    value: str
    scopes: frozenset[str] = ALL_SCOPES
    oauth: bool = False
    expires_ms: int | None = None
    app_id: str = "19083857"
    user_id: int = USER_ID

    @property
    def counts_as(self) -> str:
        """Whose window of ten seconds its requests fill: all access tokens of one OAuth app share one."""
        return f"app {self.app_id}" if self.oauth else self.value


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """The application of a portal that installed it. `rotate`: each refresh hands out a new refresh token.

    `code`: what the portal's user brought back from the install page, good for one exchange; "" for none.
    """

    client_id: str
    client_secret: str
    refresh_token: str
    scopes: frozenset[str] = ALL_SCOPES
    rotate: bool = True
    code: str = ""
    redirect_uri: str = "https://app.example/installed"
    app_id: str = "19083857"


class Doorman:
    """Knows the tokens of a portal."""

    def __init__(self, keys: Iterable[Token | OAuthApp], portal_id: int = 0) -> None:
        known = tuple(keys)
        self.tokens: dict[str, Token] = {each.value: each for each in known if isinstance(each, Token)}
        self.app = next((each for each in known if isinstance(each, OAuthApp)), None)
        self.closed = False  # is the account deactivated, or the app banned from it?
        self._portal_id = portal_id
        self._refresh_tokens = {self.app.refresh_token} if self.app else set()
        self._codes = {self.app.code} - {""} if self.app else set()

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

    def expire(self, now_ms: int) -> None:
        """Every OAuth access token expires now; the refresh token stays good."""
        self.tokens = {
            value: replace(each, expires_ms=now_ms) if each.oauth else each for value, each in self.tokens.items()
        }

    def grant(self, form: Mapping[str, str], version: str, now_ms: int) -> Json:
        """What `/token` answers: an access token for 30 minutes. Errors have OAuth's own shape."""
        app = self._client(form, version)
        kind = form.get("grant_type")
        if kind == "client_credentials" and version != "v1":
            return self._app_itself(app, form.get("scope", ""), now_ms)
        if kind not in ("refresh_token", "authorization_code"):
            raise _oauth_error(version, "unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unknown grant_type")
        if self.closed:
            raise _oauth_error(version, "access_denied", "BAD_HUB", "the hub is not accessible to this app")
        if kind == "authorization_code":
            kept = self._exchanged(app, form, version)
        else:
            kept = self._refreshed(app, form.get("refresh_token", ""), version)
        access = Token(
            secrets.token_urlsafe(24), app.scopes, oauth=True, expires_ms=now_ms + ACCESS_LASTS_S * 1000,
            app_id=app.app_id,
        )  # fmt: skip
        self.tokens[access.value] = access
        body: Json = {
            "token_type": "bearer",
            "refresh_token": kept,
            "access_token": access.value,
            "expires_in": ACCESS_LASTS_S,
        }
        return body if version == "v1" else body | self._whose(access, "access_token")

    def introspect(self, form: Mapping[str, str], version: str, now_ms: int) -> Json:
        """What `/token/introspect` answers; {"active": false} for a token that is not, or no longer, good."""
        app, value = self._client(form, version), form.get("token", "")
        if value in self._refresh_tokens:
            return self._of_refresh(app, value)
        token = self.tokens.get(value)
        if token is None or not token.oauth or (token.expires_ms or 0) <= now_ms:
            return {"active": False}
        return self._of_access(app, token, now_ms) | {"active": True}

    def revoke_for(self, form: Mapping[str, str], version: str) -> None:
        """What `/token/revoke` does. An unknown token is as good as revoked (RFC 7009)."""
        self._client(form, version)
        self.revoke(form.get("token", ""))

    def metadata(self, kind: str, value: str, now_ms: int) -> Json:
        """v1's GET of a token named in the path; 404 when it is not good. `kind`: access-tokens or refresh-tokens."""
        app, token = self.app, self.tokens.get(value)
        if app is not None and kind == "refresh-tokens" and value in self._refresh_tokens:
            return _without(self._of_refresh(app, value), "active", "token_use", "app_id")
        if app is not None and kind == "access-tokens" and token is not None and (token.expires_ms or 0) > now_ms:
            whole = self._of_access(app, token, now_ms)
            return _without(whole, "token_use", "client_id", "is_private_distribution", "signed_access_token")
        raise refusal(404, f"{kind.removesuffix('s').replace('-', ' ')} not found", "OBJECT_NOT_FOUND")

    def _client(self, form: Mapping[str, str], version: str) -> OAuthApp:
        app = self.app
        if app is None or form.get("client_id") != app.client_id:
            raise _oauth_error(version, "invalid_client", "BAD_CLIENT_ID", "missing or invalid client id")
        if form.get("client_secret") != app.client_secret:
            raise _oauth_error(version, "invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret")
        return app

    def _refreshed(self, app: OAuthApp, offered: str, version: str) -> str:
        if offered not in self._refresh_tokens:
            raise _oauth_error(version, "invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        return self._new_refresh_token(app) if app.rotate else offered

    def _exchanged(self, app: OAuthApp, form: Mapping[str, str], version: str) -> str:
        if form.get("code") not in self._codes:
            raise _oauth_error(version, "invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code")
        if form.get("redirect_uri") != app.redirect_uri:
            message = "redirect URI on auth code doesn't match provided URI"
            raise _oauth_error(version, "invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE", message)
        self._codes.clear()
        return self._new_refresh_token(app)

    def _new_refresh_token(self, app: OAuthApp) -> str:
        fresh = secrets.token_urlsafe(24)
        self._refresh_tokens = {fresh}
        self.app = replace(app, refresh_token=fresh)
        return fresh

    def _app_itself(self, app: OAuthApp, scope: str, now_ms: int) -> Json:
        """A token of the app and not of a portal, for the webhooks journal: no record may be read with it."""
        token = Token(
            secrets.token_urlsafe(24), frozenset(scope.split()) - ALL_SCOPES, oauth=True,
            expires_ms=now_ms + ACCESS_LASTS_S * 1000, app_id=app.app_id,
        )  # fmt: skip
        self.tokens[token.value] = token
        given = {"token_type": "bearer", "access_token": token.value, "expires_in": ACCESS_LASTS_S}
        return given | {"token_use": "client_credentials", "scopes": sorted(token.scopes)}

    def _whose(self, token: Token, use: str) -> Json:
        return {
            "token_use": use,
            "hub_id": self._portal_id,
            "user_id": token.user_id,
            "scopes": sorted(token.scopes),
        }

    def _of_access(self, app: OAuthApp, token: Token, now_ms: int) -> Json:
        expires_ms = token.expires_ms or 0
        return self._whose(token, "access_token") | {
            **self._of_app(app, token.value),
            "expires_in": max(0, (expires_ms - now_ms) // 1000),
            "is_private_distribution": False,
            "signed_access_token": _signed(app, token, self._portal_id),
            "token_type": "access",
        }

    def _of_refresh(self, app: OAuthApp, value: str) -> Json:
        about = self._whose(Token(value, app.scopes), "refresh_token")
        return about | self._of_app(app, value) | {"active": True, "token_type": "refresh"}

    def _of_app(self, app: OAuthApp, token: str) -> Json:
        return {
            "token": token,
            "app_id": int(app.app_id),
            "client_id": app.client_id,
            "user": "installer@example.com",
            "hub_domain": "emulated.example",
        }


def _signed(app: OAuthApp, token: Token, portal_id: int) -> Json:
    """The long form of an access token: every key that the OpenAPI file of 2026-03 requires."""
    texts = dict.fromkeys(("newSignature", "signature", "scopeToScopeGroupPks", "trialScopeToScopeGroupPks"), "")
    return texts | {
        "appId": int(app.app_id),
        "appInstallId": "1",
        "audience": "",
        "expiresAt": token.expires_ms or 0,
        "hubId": portal_id,
        "hublet": "na1",
        "installingUserId": token.user_id,
        "isPrivateDistribution": False,
        "isServiceAccount": False,
        "isUserLevel": False,
        "scopes": " ".join(sorted(token.scopes)),
        "trialScopes": "",
        "userId": token.user_id,
    }


def _without(body: Json, *names: str) -> Json:
    return {name: value for name, value in body.items() if name not in names}


_NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
    "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)


def require_scopes(token: Token, wanted: tuple[str, ...]) -> None:
    """403 unless the token has one of the scopes wanted (none wanted: every token passes)."""
    if wanted and not token.scopes.intersection(wanted):
        context = {"requiredGranularScopes": list(wanted), "links": ["https://developers.hubspot.com/scopes"]}
        raise refusal(403, "One or more of the following scopes are required.", "MISSING_SCOPES", context=context)


def _oauth_error(version: str, error: str, status: str, message: str) -> Refusal:
    """v1 tells its own status alone, as clients have reported it; later versions OAuth's `error` as well."""
    body: Json = {"status": status, "message": message, "correlationId": correlation_id()}
    if version != "v1":
        body |= {"error": error, "error_description": message, "category": "VALIDATION_ERROR"}
    return Refusal(Answer(400, body))
