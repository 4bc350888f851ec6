"""Signing in through an identity provider: a real one on this machine, which may lie."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import pytest
import urllib3

from syncer.queries import accounts, signing_in
from syncer.queries.accounts import By
from syncer.web import oidc
from tests.web.guests import PASSWORD, Browser, Inn, inn_on_sqlite, logged, opened_inn
from tests.web.provider import CLIENT_SECRET, OpenIdProvider, provider_running

_SIGN_IN = """public_url: http://127.0.0.1:{port}
  sign_in:
    passwords: {passwords}
    oidc:
      issuer: {issuer}
      client_id: syncer
      client_secret: {secret}
      name_claim: {name_claim}
      roles_claim: {roles_claim}
      roles: {{admin: [boss], operator: [ops, support], viewer: sales}}"""


def configured(inn: Inn, provider: OpenIdProvider, **more: str) -> None:
    given = {"passwords": "true", "secret": CLIENT_SECRET, "name_claim": "email", "roles_claim": "groups", **more}
    inn.configure(_SIGN_IN.format(port=inn.caller.port, issuer=provider.issuer, **given))


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with provider_running() as running:
        yield running


@pytest.fixture
def inn(tmp_path: Path, sqlite_template: Path, provider: OpenIdProvider) -> Iterator[Inn]:
    with inn_on_sqlite(tmp_path, sqlite_template) as opened:
        configured(opened, provider)
        yield opened


def leave(browser: Browser, to: str = "/account") -> str:
    """Where the browser is sent to sign in."""
    answer = browser.get(f"/sign-in/oidc?{urlencode({'to': to})}")
    assert answer.status == 303, answer.data
    return answer.headers["location"]


def come(inn: Inn, provider: OpenIdProvider, **more: str) -> tuple[Browser, urllib3.BaseHTTPResponse]:
    """Somebody goes there and comes back."""
    browser = Browser(inn)
    return browser, browser.get(provider.consent(leave(browser), **more))


def test_who_has_a_group_with_a_role_comes_in_with_it(
    tmp_path: Path, database_url: str, provider: OpenIdProvider
) -> None:
    with opened_inn(tmp_path, database_url) as inn:
        configured(inn, provider)
        assert "/sign-in/oidc?to=/account" in Browser(inn).get("/sign-in?to=/account").data.decode()
        browser, answer = come(inn, provider)
        assert (answer.status, answer.headers["location"]) == (303, "/account")
        told = orjson.loads(browser.get("/api/account").data)
        assert (told["name"], told["role"], told["source"]) == ("ana@acme.es", "operator", "oidc")
        assert "syncer_oidc" not in browser.cookies, "what was kept for the way is good for one time"
        assert [(act, about) for act, about, _ in inn.acts()] == [("signed_in", "ana@acme.es")]
        assert [user.password for user in accounts.known_users(inn.app)] == [None]


def test_what_is_asked_of_the_provider_holds_state_nonce_and_a_challenge(inn: Inn, provider: OpenIdProvider) -> None:
    first, second = (dict(parse_qsl(urlsplit(leave(Browser(inn))).query)) for _ in range(2))
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 20
        assert first[name] != second[name]
    assert first["redirect_uri"] == f"http://127.0.0.1:{inn.caller.port}/sign-in/oidc/back"
    assert "code_verifier" not in first


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["sales", "boss"]}, "admin"),
        ({"groups": "sales"}, "viewer"),
        ({"groups": ["SALES"]}, None),
        ({"groups": []}, None),
        ({"groups": None}, None),
        ({"groups": {"boss": True}}, None),
        ({"groups": [["boss"], 1, None]}, None),
        ({"email": None}, None),
        ({"email": "  "}, None),
        ({"email": 7}, None),
        ({"email": "a\nb@acme.es"}, None),
        ({"email_verified": False}, None),
        ({"email_verified": True}, "operator"),
    ],
)
def test_nobody_comes_in_without_a_role_and_a_name(
    inn: Inn, provider: OpenIdProvider, claims: dict[str, object], role: str | None
) -> None:
    provider.claims.update(claims)
    browser, answer = come(inn, provider)
    if role is None:
        assert answer.status in (400, 403)
        assert browser.session is None
        assert inn.rows("sessions") == []
    else:
        assert orjson.loads(browser.get("/api/account").data)["role"] == role


def test_a_role_may_stand_within_other_claims(inn: Inn, provider: OpenIdProvider) -> None:
    configured(inn, provider, roles_claim="realm_access.roles", name_claim="preferred_username")
    provider.claims = {"preferred_username": "ana", "realm_access": {"roles": ["boss"]}}
    browser, _ = come(inn, provider)
    assert orjson.loads(browser.get("/api/account").data)["role"] == "admin"


LIES: dict[str, Callable[[OpenIdProvider], None]] = {
    "forged signature": OpenIdProvider.forge,
    "signed by nobody": lambda it: setattr(it, "algorithm", "none"),
    "signed with the public key": lambda it: setattr(it, "algorithm", "HS256"),
    "wrong nonce": lambda it: it.changes.update(nonce="another"),
    "no nonce": lambda it: it.changes.update(nonce=None),
    "wrong audience": lambda it: it.changes.update(aud="another-client"),
    "audience of others with our azp": lambda it: it.changes.update(aud="another-client", azp="syncer"),
    "no audience": lambda it: it.changes.update(aud=None),
    "wrong issuer": lambda it: it.changes.update(iss="https://evil.example"),
    "expired": lambda it: it.changes.update(exp=1_700_000_000),
    "never expires": lambda it: it.changes.update(exp=None),
    "from the future": lambda it: it.changes.update(iat=4_000_000_000, nbf=4_000_000_000),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_word_that_is_not_the_providers_for_us_and_for_now_opens_nothing(
    inn: Inn, provider: OpenIdProvider, lie: str
) -> None:
    LIES[lie](provider)
    browser, answer = come(inn, provider)
    assert answer.status == 403, answer.data
    assert browser.session is None
    assert (inn.rows("sessions"), inn.rows("users")) == ([], [])
    assert [act for act, *_ in inn.acts()] == ["sign_in_failed"]


def test_a_code_is_good_once(inn: Inn, provider: OpenIdProvider) -> None:
    browser = Browser(inn)
    back = provider.consent(leave(browser))
    kept = dict(browser.cookies)
    assert browser.get(back).status == 303
    assert Browser(inn, kept).get(back).status == 403, "also with all that the browser had"
    assert browser.get(back).status == 403
    assert len(inn.rows("sessions")) == 1


def test_a_sign_in_that_this_browser_has_not_begun_is_refused_unasked(inn: Inn, provider: OpenIdProvider) -> None:
    attacker, victim = Browser(inn), Browser(inn)
    of_attacker = provider.consent(leave(attacker))
    begun = len(provider.asked)
    leave(victim)
    for browser, path in [
        (victim, of_attacker), (Browser(inn), of_attacker), (Browser(inn), "/sign-in/oidc/back"),
        (Browser(inn), "/sign-in/oidc/back?code=x&state="), (Browser(inn, {"syncer_oidc": "x"}), of_attacker),
        (Browser(inn, {"syncer_oidc": base64.b64encode(b"[1]").decode()}), of_attacker),
    ]:  # fmt: skip
        assert browser.get(path).status == 403
        assert browser.session is None
    assert "/token" not in provider.asked[begun:]
    assert inn.acts() == [], "anybody could fill the log with it"


def test_another_verifier_than_the_one_that_began_is_refused(inn: Inn, provider: OpenIdProvider) -> None:
    browser = Browser(inn)
    back = provider.consent(leave(browser))
    kept = orjson.loads(base64.urlsafe_b64decode(browser.cookies["syncer_oidc"]))
    browser.cookies["syncer_oidc"] = base64.urlsafe_b64encode(orjson.dumps({**kept, "verifier": "x" * 43})).decode()
    assert browser.get(back).status == 403


def test_what_the_provider_refuses_or_another_one_answers_is_told(inn: Inn, provider: OpenIdProvider) -> None:
    browser = Browser(inn)
    state = dict(parse_qsl(urlsplit(leave(browser)).query))["state"]
    refused = browser.get(f"/sign-in/oidc/back?{urlencode({'error': '<b>no</b>', 'state': state})}")
    assert refused.status == 403
    assert "&lt;b&gt;no" in refused.data.decode()
    assert come(inn, provider, iss="https://evil.example")[1].status == 403


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
def test_it_leads_back_to_pages_of_ours_alone(inn: Inn, provider: OpenIdProvider, to: str) -> None:
    browser = Browser(inn)
    assert browser.get(provider.consent(leave(browser, to))).headers["location"] == "/"
    back = provider.consent(leave(browser))
    kept = orjson.loads(base64.urlsafe_b64decode(browser.cookies["syncer_oidc"]))
    browser.cookies["syncer_oidc"] = base64.urlsafe_b64encode(orjson.dumps({**kept, "to": to})).decode()
    assert browser.get(back).headers["location"] == "/"


def test_what_the_id_token_leaves_out_is_asked_of_the_userinfo_endpoint(inn: Inn, provider: OpenIdProvider) -> None:
    provider.claims = {"email": "ana@acme.es"}
    provider.userinfo = {"sub": "1", "email": "somebody-else@acme.es", "groups": ["ops"]}
    browser, answer = come(inn, provider)
    assert answer.status == 303
    told = orjson.loads(browser.get("/api/account").data)
    assert (told["name"], told["role"]) == ("ana@acme.es", "operator"), "what is signed counts more"


def test_a_claim_within_another_and_a_name_may_stand_there_too(inn: Inn, provider: OpenIdProvider) -> None:
    configured(inn, provider, roles_claim="realm_access.roles")
    provider.claims = {}
    provider.userinfo = {"sub": "1", "email": "eva@acme.es", "realm_access": {"roles": ["boss"]}}
    browser, _ = come(inn, provider)
    told = orjson.loads(browser.get("/api/account").data)
    assert (told["name"], told["role"]) == ("eva@acme.es", "admin")


@pytest.mark.parametrize("groups", [["ops"], []])
def test_who_is_told_of_whole_by_the_id_token_is_asked_for_no_more(
    inn: Inn, provider: OpenIdProvider, groups: list[str]
) -> None:
    provider.claims["groups"] = groups
    provider.userinfo = {"sub": "1", "groups": ["boss"]}
    _, answer = come(inn, provider)
    assert (answer.status, "/userinfo" in provider.asked) == (303 if groups else 403, False)


@pytest.mark.parametrize(
    "userinfo",
    [
        {"sub": "2", "groups": ["boss"]},
        {"groups": ["boss"]},
        {"sub": "1"},
        {"sub": "1", "groups": ["nobody"]},
        {"sub": "1", "groups": ["boss"], "email_verified": False},
    ],
)
def test_the_userinfo_endpoint_lets_nobody_in_by_the_word_on_another(
    inn: Inn, provider: OpenIdProvider, userinfo: dict[str, object]
) -> None:
    provider.claims = {"email": "ana@acme.es"}
    provider.userinfo = userinfo
    browser, answer = come(inn, provider)
    assert (answer.status, browser.session) == (403, None)
    assert inn.rows("users") == []


def test_a_name_that_a_user_with_a_password_has_is_theirs(inn: Inn, provider: OpenIdProvider) -> None:
    accounts.add_user(inn.app, By("test"), "ana@acme.es", "admin", PASSWORD)
    provider.claims["email"] = "ANA@acme.es"
    browser, answer = come(inn, provider)
    assert (answer.status, browser.session) == (403, None)


def test_who_comes_by_the_provider_signs_in_by_no_password(inn: Inn, provider: OpenIdProvider) -> None:
    come(inn, provider)
    assert Browser(inn).sign_in("ana@acme.es", "").status == 401
    assert Browser(inn).sign_in("ana@acme.es", PASSWORD).status == 401


def test_a_role_that_was_taken_away_counts_at_the_next_sign_in_everywhere(inn: Inn, provider: OpenIdProvider) -> None:
    first, _ = come(inn, provider)
    provider.claims["groups"] = ["sales"]
    second, _ = come(inn, provider)
    assert [each.get("/api/account").status for each in (first, second)] == [401, 200]
    assert second.post("/handoffs/accept", {}).status == 403


def test_with_a_role_that_was_taken_away_go_the_tokens_that_may_do_more(inn: Inn, provider: OpenIdProvider) -> None:
    provider.claims["groups"] = ["boss"]
    boss, _ = come(inn, provider)
    for role in ("admin", "viewer"):
        assert boss.order("/users/tokens/add", {"name": role, "role": role}).status == 200
    provider.claims["groups"] = ["sales"]
    come(inn, provider)
    states = {each.name: each.revoked_at is None for each in accounts.known_tokens(inn.app)}
    assert states == {"admin": False, "viewer": True}
    assert ("token_revoked", "admin #1", "127.0.0.1") in inn.acts()


def test_a_provider_that_is_left_out_of_the_file_ends_its_sessions(inn: Inn, provider: OpenIdProvider) -> None:
    browser, _ = come(inn, provider)
    inn.configure("sign_in: {}")
    assert browser.get("/api/account").status == 401
    assert browser.get("/sign-in/oidc").status == 303
    assert "/sign-in/oidc" not in browser.get("/sign-in").data.decode()


def test_without_passwords_there_is_no_form_and_none_is_taken(inn: Inn, provider: OpenIdProvider) -> None:
    accounts.add_user(inn.app, By("test"), "eva", "admin", PASSWORD)
    configured(inn, provider, passwords="false")
    browser = Browser(inn)
    assert 'type="password"' not in browser.get("/sign-in").data.decode()
    assert browser.sign_in("eva").status == 401
    assert inn.rows("sessions") == []


def test_too_many_failures_from_one_place_ask_the_provider_no_more(inn: Inn, provider: OpenIdProvider) -> None:
    provider.forge()
    for _ in range(signing_in.MOST_OF_ADDRESS - 1):
        signing_in.note_failure(inn.app, "x", "127.0.0.1", "oidc")
    assert come(inn, provider)[1].status == 403
    asked = len(provider.asked)
    answer = come(inn, provider)[1]
    assert (answer.status, answer.headers["retry-after"]) == (429, "900")
    assert len(provider.asked) == asked


@pytest.mark.parametrize("status", [500, 502, 404])
def test_a_provider_that_is_unwell_is_told_and_nothing_is_opened(
    inn: Inn, provider: OpenIdProvider, status: int
) -> None:
    provider.status = status
    answer = Browser(inn).get("/sign-in/oidc")
    assert answer.status == 503
    assert "identity provider" in answer.data.decode()


def test_a_provider_that_dies_on_the_way_is_told(inn: Inn, provider: OpenIdProvider) -> None:
    browser = Browser(inn)
    back = provider.consent(leave(browser))
    provider.status = 500
    assert browser.get(back).status == 503
    assert browser.session is None


def test_a_provider_that_hangs_costs_seconds(
    inn: Inn, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "TIMEOUT_S", 0.3)
    provider.waits = threading.Event()
    assert Browser(inn).get("/sign-in/oidc").status == 503
    provider.waits.set()


@pytest.mark.parametrize(
    "says",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://login.example.com/authorize"},
        {"token_endpoint": None},
        {"userinfo_endpoint": "http://login.example.com/userinfo"},
    ],
)
def test_a_provider_that_says_nonsense_of_itself_leads_nowhere(
    inn: Inn, provider: OpenIdProvider, says: dict[str, object]
) -> None:
    provider.says = says
    answer = Browser(inn).get("/sign-in/oidc")
    assert (answer.status, "location" in answer.headers) == (400, False)


def test_a_key_that_was_changed_is_fetched(inn: Inn, provider: OpenIdProvider) -> None:
    come(inn, provider)
    provider.change_key()
    assert come(inn, provider)[1].status == 303


def test_a_client_that_may_only_post_its_secret_does(inn: Inn, provider: OpenIdProvider) -> None:
    provider.says = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert come(inn, provider)[1].status == 303


def test_no_secret_of_a_sign_in_is_logged(inn: Inn, provider: OpenIdProvider) -> None:
    with logged() as stream:
        browser = Browser(inn)
        back = provider.consent(leave(browser))
        kept = orjson.loads(base64.urlsafe_b64decode(browser.cookies["syncer_oidc"]))
        browser.get(back)
        provider.forge()
        come(inn, provider)
    told = stream.getvalue()
    secrets = [CLIENT_SECRET, "an-access-token", browser.session or "?", kept["verifier"], kept["nonce"], "code-0"]
    assert [each for each in secrets if each in told] == []
    assert "sign_in_refused" in told
