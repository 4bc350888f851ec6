"""Who may sign in to the pages: the shapes of the section `web.sign_in`."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from syncer.settings.models import Flag, Section
from syncer.settings.problems import Mistake, Wrong, wrong
from syncer.settings.values import Interval

Role = Literal["viewer", "operator", "admin"]
"""viewer: looks · operator: also overrides, answers, retries, approves · admin: also users, tokens, the audit log."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def _listed(raw: Any) -> Any:
    return (raw,) if isinstance(raw, str) else raw


def _issuer(url: str) -> str:
    """Nobody on the way shall be able to say who is whom."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.query or parts.fragment or parts.username:
        raise wrong("must be the provider's address, such as https://login.example.com", "ask whoever runs it", "SY250")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise wrong("must start with https://: nobody on the way shall be able to say who is whom", "", "SY250")
    return url


def is_loopback(host: str) -> bool:
    """Whether a name as it is written in an address means this machine alone."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Roles(Section):
    """Role -> the values of the claim that give it; who has several gets the highest."""

    admin: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = ()
    operator: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = ()
    viewer: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _give_someone(self) -> Self:
        if not (self.admin or self.operator or self.viewer):
            raise wrong("nobody would have a role", "name a value of the claim: admin: [marketing-ops]", "SY251")
        return self


class Oidc(Section):
    """An identity provider that speaks OpenID Connect."""

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Text
    client_secret: SecretStr
    scopes: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = ("openid", "email", "profile")
    name_claim: Text = "email"
    roles_claim: Text = "groups"
    roles: Roles

    @model_validator(mode="after")
    def _asks_for_a_name(self) -> Self:
        if "openid" not in self.scopes:
            message, help = "without 'openid' the provider says of nobody who they are", "add openid"
            raise Wrong(Mistake(("scopes",), message, help, "SY250"))
        return self


class SignIn(Section):
    """Nobody sees a page without it, but for those at this machine."""

    passwords: Flag = True
    session: Interval = Field(default="12h", validate_default=True)
    idle: Interval = Field(default="1h", validate_default=True)
    oidc: Oidc | None = None

    @model_validator(mode="after")
    def _lets_someone_in(self) -> Self:
        if not self.passwords and self.oidc is None:
            help = "leave `passwords` out, or add `oidc`"
            raise Wrong(Mistake(("passwords",), "nobody could sign in", help, "SY251"))
        if self.idle > self.session:
            message = "'idle' is longer than 'session': it would end nothing"
            raise Wrong(Mistake(("idle",), message, "make it as long as `session`, or shorter", "SY251"))
        return self
