"""Who gets in, for how long, in which version, and how often."""

import base64
import json
import random
from hashlib import sha256
from typing import Any
from xml.etree import ElementTree

import pytest

from connectors.emulators.salesforce import Access, Clock, ConnectedApp, Instance, Limits, Manners, Org, serve
from connectors.emulators.salesforce.http.oauth import JWT_GRANT
from tests.connectors.emulators.salesforce.orgs import Client, Reply, served

TOKEN_PATH = "/services/oauth2/token"


def username() -> str:
    return Instance().username(Org.stock().admin_id)


def frozen(**parts: Any) -> Instance:
    """An org whose time stands still."""
    return Instance(Org.stock(Clock(frozen=True)), **parts)


def with_app(**fields: Any) -> Instance:
    name = username()
    app = ConnectedApp("id", "secret", run_as=name, refresh_tokens={"first": name}, **fields)
    return frozen(access=Access(apps=(app,)))


def grant(crm: Client, **fields: str) -> Reply:
    return crm.form(TOKEN_PATH, **{"client_id": "id", "client_secret": "secret", **fields})


@pytest.mark.parametrize("token", [None, "wrong", "emulator-tokens"])
def test_no_valid_token_no_entry(stage: None, token: str | None) -> None:
    with served(Instance(), token) as crm:
        reply = crm.get("/limits")
        assert reply.status == 401
        assert reply.body == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        assert "sforce-limit-info" not in reply.headers


def test_a_session_for_other_apis_is_not_one_for_rest(stage: None) -> None:
    with served(Instance(manners=Manners(session="not_for_rest"))) as crm:
        reply = crm.get("/limits")
        assert (reply.status, reply.message) == (401, "This session is not valid for use with the REST API")


def test_versions_are_listed_without_a_token_and_old_ones_are_gone(stage: None) -> None:
    with served(Instance(), None) as crm:
        listed = crm.get("/services/data/").body
        assert (listed[0]["version"], listed[-1]["version"], len(listed)) == ("31.0", "66.0", 36)
        assert [each["label"] for each in (listed[0], listed[1], listed[-1])] == [
            "Summer '14",
            "Winter '15",
            "Spring '26",
        ]
        assert listed[-1]["url"] == "/services/data/v66.0"
        retired = crm.get("/services/data/v30.0/limits")
        assert (retired.status, retired.code) == (410, "GONE")
        assert [crm.get(f"/services/data/{each}/limits").status for each in ("v67.0", "v60", "60.0")] == [404] * 3
        crm.control("manners", oldest=61)
        assert crm.get("/services/data/v60.0/limits").status == 410


def test_resources_have_addresses_and_the_identity_tells_who_one_is(crm: Client) -> None:
    resources = crm.get("/").body
    assert resources["sobjects"] == "/services/data/v60.0/sobjects"
    who = crm.get(resources["identity"].removeprefix(crm.url)).body
    assert (who["username"], who["organization_id"]) == (username(), crm.seen("org")["org_id"])
    assert who["id"].startswith("https://")
    info = crm.get("/services/oauth2/userinfo").body
    assert (info["user_id"], info["preferred_username"]) == (who["user_id"], username())


def test_client_credentials_give_a_session_of_two_hours_that_use_renews(stage: None) -> None:
    with served(with_app(), None) as crm:
        reply = grant(crm, grant_type="client_credentials")
        assert reply.status == 200
        assert {"access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope"} <= set(
            reply.body
        )
        assert "refresh_token" not in reply.body
        assert reply.body["instance_url"] == crm.url
        app = Client(crm.url, reply.body["access_token"])
        for _ in range(3):
            crm.control("clock", advance_s=5000)
            assert app.get("/limits").status == 200
        crm.control("clock", advance_s=7201)
        assert app.get("/limits").code == "INVALID_SESSION_ID"
        app.close()


@pytest.mark.parametrize(
    ("fields", "error", "description"),
    [
        ({"grant_type": "magic"}, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": "client_credentials", "client_id": "x"}, "invalid_client_id", "client identifier invalid"),
        ({"grant_type": "client_credentials", "client_secret": "x"}, "invalid_client", "invalid client credentials"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant", "expired access/refresh token"),
        ({"grant_type": "password", "username": "x", "password": "x"}, "invalid_grant", "authentication failure"),
    ],
)
def test_what_the_token_endpoint_refuses(stage: None, fields: dict[str, str], error: str, description: str) -> None:
    with served(with_app(), None) as crm:
        reply = grant(crm, **fields)
        assert (reply.status, reply.body) == (400, {"error": error, "error_description": description})


def test_ways_in_that_are_none(stage: None) -> None:
    with served(Instance(), None) as crm:
        asked = crm.get("/services/oauth2/token")
        assert (asked.status, asked.body["error_description"]) == (400, "must use HTTP POST")
        assert (crm.get("/services/async/60.0/job").status, crm.get("/services/async/60.0/job").code) == (
            404,
            "NOT_FOUND",
        )
        assert crm.get("/id/00D000000000000/005000000000000").status == 401


def test_apps_that_may_not_and_users_that_are_gone(stage: None) -> None:
    with served(frozen(access=Access(apps=(ConnectedApp("id", "secret"),))), None) as crm:
        asked = {"grant_type": "client_credentials"}
        assert grant(crm, **asked).body["error_description"] == "no client credentials user enabled"
        crm.control("tokens", app={"client_id": "id", "client_secret": "secret", "installed": False})
        assert grant(crm, **asked).body["error_description"] == "app must be installed into org"
        crm.control("tokens", app={"client_id": "id", "client_secret": "secret", "run_as": "nobody@example.com"})
        assert grant(crm, **asked).body["error_description"] == "user hasn't approved this consumer"
        crm.control("tokens", refuse={"error": "invalid_grant", "description": "dead"})
        assert grant(crm, **asked).body == {"error": "invalid_grant", "error_description": "dead"}


def test_a_refresh_token_lasts_or_is_good_once(stage: None) -> None:
    with served(with_app(), None) as crm:
        asked = {"grant_type": "refresh_token", "refresh_token": "first"}
        assert [grant(crm, **asked).status for _ in range(2)] == [200, 200]
    with served(with_app(rotate=True), None) as crm:
        first = grant(crm, **asked)
        assert first.body["refresh_token"] != "first"
        assert grant(crm, **asked).body["error"] == "invalid_grant"
        assert grant(crm, grant_type="refresh_token", refresh_token=first.body["refresh_token"]).status == 200


def test_a_token_can_be_revoked_and_sessions_expire_at_once(stage: None) -> None:
    with served(with_app(), None) as crm:
        token = grant(crm, grant_type="client_credentials").body["access_token"]
        app = Client(crm.url, token)
        assert app.get("/limits").status == 200
        assert crm.form("/services/oauth2/revoke", token=token).status == 200
        assert app.get("/limits").status == 401
        assert crm.form("/services/oauth2/revoke", token=token).body["error"] == "unsupported_token_type"
        other = Client(crm.url, grant(crm, grant_type="client_credentials").body["access_token"])
        crm.control("tokens", expire=True)
        assert other.get("/limits").status == 401
        app.close()
        other.close()


def prime(dice: random.Random, bits: int) -> int:
    """A number that passes forty rounds of Miller and Rabin."""
    while True:
        number = dice.getrandbits(bits) | 1 | 3 << (bits - 2)
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        if all(_is_witness(dice.randrange(2, number - 1), number, odd, twos) for _ in range(40)):
            return number


def _is_witness(base: int, number: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    return power in (1, number - 1) or any((power := power * power % number) == number - 1 for _ in range(twos - 1))


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8)
    )
    return bytes([tag]) + length + content


def integer(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1))


@pytest.fixture(scope="module")
def key() -> tuple[int, int, str]:
    """(modulus, private exponent, PEM of the public key) of a key made for this test run."""
    dice = random.Random(5)
    one, two = prime(dice, 512), prime(dice, 512)
    modulus, exponent = one * two, 65537
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    packed = der(0x30, algorithm + der(3, b"\0" + der(0x30, integer(modulus) + integer(exponent))))
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(packed).decode()}-----END PUBLIC KEY-----\n"
    return modulus, pow(exponent, -1, (one - 1) * (two - 1)), pem


def assertion(key: tuple[int, int, str], **claims: Any) -> str:
    modulus, private, _ = key
    parts = [json.dumps(each).encode() for each in ({"alg": "RS256", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts)
    tail = bytes.fromhex("3031300d060960864801650304020105000420") + sha256(signed).digest()
    padded = b"\x00\x01" + b"\xff" * (128 - len(tail) - 3) + b"\x00" + tail
    signature = pow(int.from_bytes(padded), private, modulus).to_bytes(128)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def test_an_assertion_signed_with_the_apps_key_opens_a_session(stage: None, key: tuple[int, int, str]) -> None:
    name = username()
    app = ConnectedApp("id", public_key=key[2])
    with served(frozen(access=Access(apps=(app,))), None) as crm:
        now_s = crm.control("clock", advance_s=0)["now_ms"] // 1000
        good = {"iss": "id", "sub": name, "aud": "https://login.salesforce.com", "exp": now_s + 180}

        def answer(token: str) -> Any:
            return crm.form(TOKEN_PATH, grant_type=JWT_GRANT, assertion=token).body

        opened = answer(assertion(key, **good))
        client = Client(crm.url, opened["access_token"])
        assert client.get("/limits").status == 200
        client.close()
        wrong = {
            "audience is invalid": {"aud": "https://example.com"},
            "expired authorization code": {"exp": now_s - 600},
            "user hasn't approved this consumer": {"sub": "nobody@example.com"},
            "client identifier invalid": {"iss": "other"},
        }
        for description, change in wrong.items():
            assert answer(assertion(key, **{**good, **change}))["error_description"] == description
        head, body, signature = assertion(key, **good).split(".")
        forged = assertion(key, **{**good, "exp": now_s + 100}).split(".")[1]
        for bad in (f"{head}.{forged}.{signature}", f"{head}.{body}", "x", f"{head}.{body}."):
            assert answer(bad) == {"error": "invalid_grant", "error_description": "invalid assertion"}


ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8" ?><env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:urn="urn:partner.soap.sforce.com"><env:Header/><env:Body>{}</env:Body></env:Envelope>'
)


def soap(crm: Client, body: str, version: str = "59.0") -> tuple[int, dict[str, str]]:
    headers = {"Content_Type": "text/xml", "SOAPAction": "login"}
    reply = crm.ask("POST", f"/services/Soap/u/{version}", ENVELOPE.format(body).encode(), **headers)
    found = {each.tag.rpartition("}")[2]: each.text or "" for each in ElementTree.fromstring(reply.raw).iter()}
    return reply.status, found


LOGIN = (
    "<n1:login xmlns:n1='urn:partner.soap.sforce.com'><n1:username>{}</n1:username>"
    "<n1:password>{}</n1:password></n1:login>"
)


def test_soap_opens_and_closes_a_session(stage: None) -> None:
    with served(Instance(), None) as crm:
        status, found = soap(crm, LOGIN.format(username(), "emulator-password"))
        assert (status, found["organizationId"]) == (200, crm.seen("org")["org_id"])
        assert found["serverUrl"].startswith(crm.url + "/services/Soap/u/59.0/00D")
        client = Client(crm.url, found["sessionId"])
        assert client.get("/limits").status == 200
        session = f"<urn:sessionId>{found['sessionId']}</urn:sessionId>"
        header = f"<env:Header><urn:SessionHeader>{session}</urn:SessionHeader></env:Header>"
        envelope = ENVELOPE.replace("<env:Header/>", header).format("<urn:logout/>")
        assert crm.ask("POST", "/services/Soap/u/59.0", envelope.encode()).status == 200
        assert client.get("/limits").status == 401
        client.close()


def test_soap_refuses_with_a_fault(stage: None) -> None:
    with served(Instance(), None) as crm:
        status, found = soap(crm, LOGIN.format(username(), "wrong"))
        assert (status, found["exceptionCode"]) == (500, "INVALID_LOGIN")
        assert found["faultstring"].startswith("INVALID_LOGIN: Invalid username, password")
        late = soap(crm, LOGIN.format(username(), "emulator-password"), "65.0")
        assert late[1]["exceptionCode"] == "UNSUPPORTED_API_VERSION"
        assert soap(crm, "<urn:query/>")[1]["exceptionCode"] == "INVALID_OPERATION"
        assert soap(crm, "<urn:logout/>")[1]["exceptionCode"] == "INVALID_SESSION_ID"


def test_an_org_that_has_moved_refuses_at_its_old_host_and_tells_the_new_one(stage: None) -> None:
    instance = with_app()
    with served(instance, None) as crm, serve(instance) as moved:
        token = grant(crm, grant_type="client_credentials").body["access_token"]
        crm.control("manners", instance_url=moved)
        old = Client(crm.url, token)
        assert (old.get("/limits").status, old.get("/limits").code) == (401, "INVALID_SESSION_ID")
        answer = grant(crm, grant_type="client_credentials").body
        assert answer["instance_url"] == moved
        new = Client(answer["instance_url"], answer["access_token"])
        assert new.get("/limits").status == 200
        old.close()
        new.close()


def test_every_data_call_counts_and_tells_how_many_there_were(stage: None) -> None:
    with served(frozen(limits=Limits(daily=5))) as crm:
        told = [crm.get("/limits").headers["sforce-limit-info"] for _ in range(2)]
        assert told == ["api-usage=1/5", "api-usage=2/5"]
        assert crm.get("/services/data").headers.get("sforce-limit-info") is None
        limits = crm.get("/limits").body
        assert limits["DailyApiRequests"] == {"Max": 5, "Remaining": 2}
        assert len(limits) > 60
        crm.control("limits", used=5)
        refused = crm.get("/limits")
        assert (refused.status, refused.code, refused.message) == (
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        )
        assert refused.headers["sforce-limit-info"] == "api-usage=5/5"
        crm.control("clock", advance_s=86_500)
        assert crm.get("/limits").headers["sforce-limit-info"] == "api-usage=1/5"


def test_an_app_with_a_quota_sees_the_second_form_of_the_header(stage: None) -> None:
    instance = frozen(access=Access(apps=(ConnectedApp("id", "secret", "syncer", username(), quota=2),)))
    instance.usage.limits = Limits()
    with served(instance) as crm:
        assert crm.get("/limits").headers["sforce-limit-info"] == "api-usage=1/15000"
        app = Client(crm.url, grant(crm, grant_type="client_credentials").body["access_token"])
        told = app.get("/limits").headers["sforce-limit-info"]
        assert told == "api-usage=2/15000; per-app-api-usage=1/2(appName=syncer)"
        app.get("/limits")
        assert app.get("/limits").status == 403
        app.close()
