"""The section `web.sign_in`: what it says, and what it may not say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from syncer.settings import Web
from syncer.settings.sign_in import is_loopback

OIDC = {
    "issuer": "https://login.example.com",
    "client_id": "syncer",
    "client_secret": "a-secret",
    "roles": {"admin": ["ops"]},
}
PUBLIC = {"public_url": "https://syncer.example.com"}


def web(**oidc: Any) -> dict[str, Any]:
    return {**PUBLIC, "sign_in": {"oidc": {**OIDC, **oidc}}}


def test_what_is_left_out_has_its_usual_value() -> None:
    sign_in = Web.model_validate({"sign_in": {}}).sign_in
    assert sign_in is not None
    assert (sign_in.session.total_seconds(), sign_in.idle.total_seconds()) == (43_200, 3_600)
    assert (sign_in.passwords, sign_in.oidc) == (True, None)


def test_a_public_address_needs_no_secret_where_somebody_signs_in_there() -> None:
    Web.model_validate({**PUBLIC, "sign_in": {}})
    with pytest.raises(ValidationError, match="does nothing without"):
        Web.model_validate(PUBLIC)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sign_in": {"passwords": False}}, "nobody could sign in"),
        ({"sign_in": {"session": "1h", "idle": "2h"}}, "longer than 'session'"),
        ({"sign_in": {"oidc": OIDC}}, "needs 'public_url'"),
        (web(issuer="http://login.example.com"), "https://"),
        (web(issuer="https://"), "the provider's address"),
        (web(issuer="https://[::1"), "the provider's address"),
        (web(issuer="https://u:p@login.example.com"), "the provider's address"),
        (web(roles={}), "nobody would have a role"),
        (web(scopes=["email"]), "without 'openid'"),
        (web(secret="x"), "Extra inputs"),
    ],
)
def test_what_would_let_nobody_or_anybody_in_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        Web.model_validate(given)
    assert "a-secret" not in str(refused.value)


def test_a_provider_on_this_machine_may_do_without_https() -> None:
    Web.model_validate(web(issuer="http://127.0.0.1:8080/realm"))


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
        ("[::1]", True), ("", False), ("0.0.0.0", False), ("10.0.0.1", False), ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False), ("127.1", False),
    ],
)  # fmt: skip
def test_which_names_mean_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here
