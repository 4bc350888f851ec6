"""Who gets in, how often, and what goes wrong on demand."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from connectors.emulators.hubspot import Fault, Faults, Limits, Manners, OAuthApp, Owner, Portal, Token
from tests.connectors.emulators.hubspot.portals import TIMEOUT, Client, load_contacts, served

CONTACTS = "/crm/v3/objects/contacts"


@pytest.mark.parametrize("token", [None, "wrong", "emulator-tokens"])
def test_no_valid_token_no_entry(token: str | None) -> None:
    with served(Portal(), token) as crm:
        reply = crm.get(CONTACTS)
        assert (reply.status, reply.body["category"]) == (401, "INVALID_AUTHENTICATION")
        assert crm.get("/_emulator/calls").body["routes"][0]["status"] == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/crm/v3/objects/contacts", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/contacts/search", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/contacts/batch/update", "crm.objects.contacts.write"),
        ("GET", "/crm/v3/objects/calls", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/tasks", "crm.objects.contacts.write"),
        ("GET", "/crm/v3/objects/emails", "sales-email-read"),
        ("GET", "/crm/v3/objects/companies", "crm.objects.companies.read"),
        ("POST", "/crm/v3/properties/contacts", "crm.schemas.contacts.write"),
        ("GET", "/crm/v3/properties/contacts", "crm.schemas.contacts.read"),
        ("GET", "/crm/v3/owners", "crm.objects.owners.read"),
        ("POST", "/crm/v4/associations/calls/contacts/batch/read", "crm.objects.contacts.read"),
        ("GET", "/account-info/v3/details", ""),
    ],
)
def test_every_door_wants_its_scope(method: str, path: str, scope: str) -> None:
    keys = [Token("none", frozenset()), Token("one", frozenset({scope}))]
    with served(Portal(tokens=keys), "none") as crm:
        reply = crm.ask(method, path, {} if method == "POST" else None)
        if scope:
            assert (reply.status, reply.body["category"]) == (403, "MISSING_SCOPES")
            assert scope in reply.body["context"]["requiredGranularScopes"]
        one = Client(crm.url, "one")
        assert one.ask(method, path, {} if method == "POST" else None).status in (200, 400)
        one.close()


def grant(crm: Client, path: str = "2026-03/token", **form: str) -> Any:
    fields = {"grant_type": "refresh_token", "client_id": "id", "client_secret": "secret", **form}
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)
    answer = pool.request_encode_body("POST", f"{crm.url}/oauth/{path}", fields, encode_multipart=False)
    pool.clear()
    return answer.status, answer.json() if answer.data else None


def test_an_access_token_lasts_30_minutes_and_each_refresh_token_is_good_once() -> None:
    with served(Portal(tokens=[OAuthApp("id", "secret", "first")])) as crm:
        status, granted = grant(crm, refresh_token="first")
        assert (status, granted["expires_in"], granted["token_type"]) == (200, 1800, "bearer")
        app = Client(crm.url, granted["access_token"])
        first = app.get(CONTACTS)
        assert first.status == 200
        assert "x-hubspot-ratelimit-max" in first.headers
        assert "x-hubspot-ratelimit-daily" not in first.headers
        crm.control("clock", advance_s=1801)
        late = app.get(CONTACTS)
        assert (late.status, late.body["category"]) == (401, "EXPIRED_AUTHENTICATION")
        app.close()
        status, refused = grant(crm, refresh_token="first")
        assert (status, refused["error"], refused["status"]) == (400, "invalid_grant", "BAD_REFRESH_TOKEN")
        assert grant(crm, refresh_token=granted["refresh_token"])[0] == 200
        assert grant(crm, refresh_token="first", client_secret="x")[1]["error"] == "invalid_client"


@pytest.fixture
def installed() -> Iterator[Client]:
    app = OAuthApp("id", "secret", "first", rotate=False, code="brought back")
    with served(Portal([app], None, Manners(index_lag_s=0))) as client:
        yield client


@pytest.mark.parametrize("version", ["v1", "v3", "2026-03", "2026-09"])
def test_every_version_refreshes_and_says_in_its_own_words_why_it_does_not(installed: Client, version: str) -> None:
    status, granted = grant(installed, f"{version}/token", refresh_token="first")
    assert (status, granted["refresh_token"], granted["expires_in"]) == (200, "first", 1800)
    assert (granted.get("token_use"), granted.get("hub_id")) == (
        (None, None) if version == "v1" else ("access_token", 44237313)
    )
    status, refused = grant(installed, f"{version}/token", refresh_token="stolen")
    assert (status, refused["status"]) == (400, "BAD_REFRESH_TOKEN")
    assert refused.get("error") == (None if version == "v1" else "invalid_grant")
    assert grant(installed, f"{version}/token", client_secret="x")[1]["status"] == "BAD_CLIENT_SECRET"
    assert grant(installed, f"{version}/token", grant_type="password")[1]["status"] == "BAD_GRANT_TYPE"


def test_the_first_version_takes_the_form_from_the_address_as_well(installed: Client) -> None:
    form = "grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=first"
    assert installed.ask("POST", f"/oauth/v1/token?{form}").status == 200
    assert installed.ask("POST", f"/oauth/v3/token?{form}").body["error"] == "invalid_client"


def test_a_code_is_exchanged_once_and_only_for_its_own_address(installed: Client) -> None:
    form = {"grant_type": "authorization_code", "code": "brought back"}
    wrong = grant(installed, redirect_uri="https://elsewhere.example", **form)[1]
    assert wrong["status"] == "MISMATCH_REDIRECT_URI_AUTH_CODE"
    status, granted = grant(installed, redirect_uri="https://app.example/installed", **form)
    assert status == 200
    assert grant(installed, refresh_token=granted["refresh_token"])[0] == 200
    assert grant(installed, redirect_uri="https://app.example/installed", **form)[1]["status"] == "BAD_AUTH_CODE"


def test_a_closed_account_hands_out_no_tokens_until_it_is_open_again(installed: Client) -> None:
    installed.control("tokens", closed=True)
    status, refused = grant(installed, refresh_token="first")
    assert (status, refused["error"], refused["status"]) == (400, "access_denied", "BAD_HUB")
    installed.control("tokens", closed=False)
    assert grant(installed, refresh_token="first")[0] == 200


def test_an_app_by_itself_reads_no_records(installed: Client) -> None:
    status, granted = grant(installed, grant_type="client_credentials", scope="webhooks-journal-data-access")
    assert (status, granted["token_use"]) == (200, "client_credentials")
    assert "refresh_token" not in granted
    app = Client(installed.url, granted["access_token"])
    assert app.get(CONTACTS).body["category"] == "MISSING_SCOPES"
    app.close()
    assert grant(installed, "v1/token", grant_type="client_credentials")[1]["status"] == "BAD_GRANT_TYPE"


def test_tokens_can_be_looked_into_expired_and_revoked(installed: Client) -> None:
    access = grant(installed, refresh_token="first")[1]["access_token"]
    status, seen = grant(installed, "2026-03/token/introspect", token=access)
    assert (status, seen["active"], seen["token_use"], seen["client_id"]) == (200, True, "access_token", "id")
    assert 1790 < seen["expires_in"] <= 1800
    assert seen["signed_access_token"]["hubId"] == seen["hub_id"] == 44237313
    assert grant(installed, "v3/token/introspect", token="first")[1]["token_use"] == "refresh_token"
    installed.control("tokens", expire=True)
    assert grant(installed, "2026-03/token/introspect", token=access)[1] == {"active": False}
    app = Client(installed.url, access)
    assert app.get(CONTACTS).body["category"] == "EXPIRED_AUTHENTICATION"
    app.close()
    assert grant(installed, "2026-03/token/revoke", token="first") == (200, None)
    assert grant(installed, refresh_token="first")[1]["status"] == "BAD_REFRESH_TOKEN"
    assert grant(installed, "2026-03/token/revoke", token="first", client_id="x")[0] == 400


def test_only_the_first_version_names_tokens_in_the_path(installed: Client) -> None:
    access = grant(installed, "v1/token", refresh_token="first")[1]["access_token"]
    seen = installed.get(f"/oauth/v1/access-tokens/{access}").body
    assert (seen["token"], seen["hub_id"], seen["token_type"]) == (access, 44237313, "access")
    assert installed.get("/oauth/v1/refresh-tokens/first").body["client_id"] == "id"
    assert installed.get("/oauth/v3/refresh-tokens/first").status == 404
    assert grant(installed, "v1/token/introspect", token=access)[0] == 404
    assert installed.ask("DELETE", "/oauth/v1/refresh-tokens/first").status == 204
    assert installed.get("/oauth/v1/refresh-tokens/first").status == 404


def test_refreshes_are_counted(installed: Client) -> None:
    for offered in ("first", "first", "stolen"):
        grant(installed, refresh_token=offered)
    routes = installed.get("/_emulator/calls").body["routes"]
    assert {(each["route"], each["status"]): each["count"] for each in routes} == {
        ("/oauth/token", 200): 2, ("/oauth/token", 400): 1,
    }  # fmt: skip


@pytest.mark.parametrize(("null_writes", "city"), [("ignore", "Kiel"), ("clear", None), ("refuse", "Kiel")])
def test_nobody_knows_what_a_null_does_so_it_may_do_each(crm: Client, null_writes: str, city: str | None) -> None:
    person = crm.create(city="Kiel")
    crm.control("manners", null_writes=null_writes)
    reply = crm.ask("PATCH", f"{CONTACTS}/{person}", {"properties": {"city": None}})
    assert reply.status == (400 if null_writes == "refuse" else 200)
    assert crm.properties(person, "city") == {"city": city}


@pytest.mark.parametrize(("wording", "message"), [("vague", "There was a problem"), ("plain", "The maximum number")])
def test_paging_too_far_is_refused_in_either_wording(crm: Client, wording: str, message: str) -> None:
    crm.control("manners", past_ten_thousand=wording)
    reply = crm.post(f"{CONTACTS}/search", {"limit": 100, "after": "9950"})
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")
    assert reply.body["message"].startswith(message)
    assert ("errors" in reply.body) is (wording == "vague")


def test_the_size_of_a_search_is_that_of_its_body_or_of_its_filters(crm: Client) -> None:
    long_list = {"properties": [f"property_number_{each}" for each in range(200)]}
    long_filter = {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "x" * 3000}]}]}
    for counts, accepted in (("body", (400, 400)), ("filters", (200, 400))):
        crm.control("manners", search_size_counts=counts)
        assert tuple(crm.post(f"{CONTACTS}/search", each).status for each in (long_list, long_filter)) == accepted


@pytest.mark.parametrize(("form", "category"), [("category", "OBJECT_ALREADY_EXISTS"), ("bare", "CONFLICT")])
def test_a_field_that_exists_is_refused_in_either_form(crm: Client, form: str, category: str) -> None:
    field = {"name": "ls_score", "label": "S", "type": "number", "fieldType": "number"}
    crm.control("load", properties={"contacts": [field | {"groupName": "lead_scoring"}]})
    crm.control("manners", property_conflict=form)
    reply = crm.post("/crm/v3/properties/contacts", field | {"groupName": "lead_scoring"})
    assert (reply.status, reply.body["category"]) == (409, category)
    assert ("subCategory" in reply.body) is (form == "category")


def test_the_list_of_ties_may_be_gone_from_the_date_based_versions(crm: Client) -> None:
    person, dated = crm.create(), "/crm/objects/2026-09/contacts"
    assert crm.get(f"{dated}/{person}/associations/companies").status == 200
    crm.control("manners", dated_association_list=False)
    assert crm.get(f"{dated}/{person}/associations/companies").status == 404
    assert crm.get(f"/crm/v4/objects/contacts/{person}/associations/companies").status == 200


def test_a_revoked_key_stops_and_a_new_one_starts(crm: Client) -> None:
    crm.control("tokens", add="new")
    crm.control("tokens", revoke="emulator-token")
    new = Client(crm.url, "new")
    assert (crm.get(CONTACTS).status, new.get(CONTACTS).status) == (401, 200)
    new.close()


def test_ten_seconds_hold_so_many_requests_of_one_token() -> None:
    portal = Portal(tokens=[Token("emulator-token"), Token("other")], limits=Limits(ten_secondly=3))
    with served(portal) as crm:
        replies = [crm.get(CONTACTS) for _ in range(4)]
        assert [each.status for each in replies] == [200, 200, 200, 429]
        assert [each.headers["x-hubspot-ratelimit-remaining"] for each in replies[:3]] == ["2", "1", "0"]
        assert replies[0].headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
        assert replies[3].body["policyName"] == "TEN_SECONDLY_ROLLING"
        assert replies[3].body["message"] == "You have reached your ten_secondly_rolling limit."
        assert replies[3].body["errorType"] == "RATE_LIMIT"
        assert "category" not in replies[3].body
        assert "retry-after" not in replies[3].headers
        other = Client(crm.url, "other")
        assert other.get(CONTACTS).status == 200
        other.close()
        crm.control("clock", advance_s=10.1)
        assert crm.get(CONTACTS).status == 200


def test_a_second_holds_five_searches_of_the_whole_account() -> None:
    with served(Portal(tokens=[Token("emulator-token"), Token("other")])) as crm:
        other = Client(crm.url, "other")
        replies = [client.post(f"{CONTACTS}/search") for client in (crm, other) * 3]
        other.close()
        assert [each.status for each in replies] == [200] * 5 + [429]
        assert replies[5].body["policyName"] == "SECONDLY"
        assert not any("ratelimit" in name.lower() for each in replies for name in each.headers)
        assert crm.get(CONTACTS).status == 200
        crm.control("clock", advance_s=1.1)
        assert crm.post(f"{CONTACTS}/search").status == 200


def test_a_day_of_the_portals_time_zone_holds_so_many_requests() -> None:
    with served(Portal(limits=Limits(daily=2))) as crm:
        replies = [crm.get(CONTACTS) for _ in range(3)]
        assert [each.status for each in replies] == [200, 200, 429]
        assert replies[1].headers["x-hubspot-ratelimit-daily-remaining"] == "0"
        assert replies[2].body["policyName"] == "DAILY"
        crm.control("clock", advance_s=86_400)
        usage = crm.get("/account-info/v3/api-usage/daily/private-apps").body["results"][0]
        assert (usage["usageLimit"], usage["currentUsage"]) == (2, 1)
        assert usage["resetsAt"][11:16] in ("04:00", "05:00")  # midnight in New York


def test_without_limits_there_are_no_headers(crm: Client) -> None:
    assert not any("ratelimit" in name.lower() for name in crm.get(CONTACTS).headers)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (Fault(status=502, body="html"), 502, b"<html>"),
        (Fault(status=200, body="html"), 200, b"<html>"),
        (Fault(status=503), 503, b'"status":"error"'),
        (Fault(status=423), 423, b"LOCKED"),
        (Fault(status=477, headers={"Retry-After": "86400"}), 477, b"error"),
        (Fault(status=500, body="not_utf8"), 500, b"\xe9"),
        (Fault(status=200, body="no_results"), 200, b"{}"),
        (Fault(policy="DAILY"), 429, b"DAILY"),
        (Fault(policy="SECONDLY"), 429, b"SECONDLY"),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_a_fault_strikes_once_and_then_all_is_well(fault: Fault, status: int, text: bytes) -> None:
    switch = Fault(**{name: getattr(fault, name) for name in fault.__slots__} | {"times": 1, "path": "/contacts"})
    with served(Portal(limits=None, faults=Faults(switch))) as crm:
        assert crm.get("/crm/v3/owners").status == 200
        reply = crm.get(CONTACTS)
        assert reply.status == status
        assert text in reply.raw
        assert reply.headers.get("retry-after") == fault.headers.get("Retry-After")
        assert crm.get(CONTACTS).body == {"results": []}
        statuses = [
            each["status"]
            for each in crm.get("/_emulator/calls").body["routes"]
            if each["route"] == "/objects/contacts"
        ]
        assert sorted(statuses) == sorted({200, status})


@pytest.mark.parametrize(("moment", "applied"), [("before", 0), ("after", 1)])
def test_a_connection_drops_before_or_after_the_work_is_done(crm: Client, moment: str, applied: int) -> None:
    crm.control("faults", faults=[{"method": "POST", "path": "/contacts$", "drop": moment, "times": 1}])
    with pytest.raises(urllib3.exceptions.ProtocolError):
        crm.post(CONTACTS, {"properties": {"city": "Kiel"}})
    assert len(crm.get(CONTACTS).body["results"]) == applied


def test_an_answer_cut_in_half_did_its_work(crm: Client) -> None:
    crm.control("faults", faults=[{"body": "truncated", "times": 1}])
    reply = crm.post(CONTACTS, {"properties": {"city": "Kiel"}})
    assert (reply.status, reply.body) == (201, None)
    assert reply.raw.startswith(b'{"id"')
    assert len(crm.get(CONTACTS).body["results"]) == 1


def test_a_hanging_server_answers_late_and_holds_nobody_else_up(crm: Client) -> None:
    crm.control("faults", faults=[{"path": "/owners", "hang_s": 0.4}])
    began = time.monotonic()
    assert crm.get(CONTACTS).status == 200
    quick = time.monotonic() - began
    assert crm.get("/crm/v3/owners").status == 200
    assert time.monotonic() - began >= 0.4 > quick


def test_every_third_request_fails_until_the_faults_are_cleared(crm: Client) -> None:
    crm.control("faults", faults=[{"path": "/contacts", "skip": 1, "every": 3, "status": 500}])
    assert [crm.get(CONTACTS).status for _ in range(7)] == [200, 200, 200, 500, 200, 200, 500]
    crm.control("faults", faults=[])
    assert {crm.get(CONTACTS).status for _ in range(4)} == {200}


def test_shares_of_faults_repeat_with_their_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(Fault(share=0.5, status=500), seed=seed)
        return [faults.pick("GET", "/x") is not None for _ in range(50)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 10 < sum(strikes(1)) < 40


def test_a_fault_nobody_knows_is_refused(crm: Client) -> None:
    for fault in ({"drop": "sideways"}, {"body": "poem"}, {"no_such": 1}, {"path": "("}):
        assert crm.post("/_emulator/faults", {"faults": [fault]}).status == 400
    assert crm.post("/_emulator/nothing").status == 404
    assert crm.post("/_emulator/manners", {"no_such": 1}).status == 400


def test_an_address_too_long_meets_the_edge_not_the_api(crm: Client) -> None:
    reply = crm.get(f"{CONTACTS}?properties={'x' * 9000}")
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (414, "text/html")


def test_owners_are_listed_by_page_and_found_by_either_id() -> None:
    portal = Portal(limits=None, manners=Manners(index_lag_s=0))
    portal.owners = {
        each: Owner(each, f"o{each}@example.com", "O", str(each), each + 100, each == 3) for each in (1, 2, 3)
    }
    with served(portal) as crm:
        first = crm.get("/crm/owners/2026-03?limit=1").body
        assert [each["id"] for each in first["results"]] == ["1"]
        last = crm.get(f"/crm/v3/owners/?limit=1&after={first['paging']['next']['after']}").body
        assert ([each["id"] for each in last["results"]], "paging" in last) == (["2"], False)
        gone = crm.get("/crm/v3/owners?archived=true").body["results"]
        assert [(each["id"], each["userId"], each["userIdIncludingInactive"]) for each in gone] == [("3", None, 103)]
        assert crm.get("/crm/v3/owners/102?idProperty=userId").body["id"] == "2"
        assert [each["id"] for each in crm.get("/crm/v3/owners?email=o2@example.com").body["results"]] == ["2"]
        assert crm.get("/crm/v3/owners/3").status == 404


def test_calls_are_counted_by_route_status_and_kind(crm: Client) -> None:
    ids = load_contacts(crm, 2)
    crm.get(CONTACTS)
    crm.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": ids[0]}]})
    crm.post("/crm/objects/2026-03/contacts/batch/update", {"inputs": [{"id": "5", "properties": {}}]})
    crm.post(f"{CONTACTS}/search")
    counted = crm.get("/_emulator/calls").body
    assert (counted["total"], counted["read"], counted["write"], counted["search"]) == (4, 2, 1, 1)
    assert {"method": "POST", "route": "/objects/contacts/batch/update", "status": 207, "count": 1} in counted["routes"]
    assert 1 <= counted["peak_per_second"] <= 4
    crm.control("reset-calls")
    assert crm.get("/_emulator/calls").body["total"] == 0
