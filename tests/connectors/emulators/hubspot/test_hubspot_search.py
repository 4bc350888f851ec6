"""Search: limits, operators, order, lag, and the index behind it."""

import random
from typing import Any

import pytest

from connectors.emulators.hubspot import Manners, Portal
from tests.connectors.emulators.hubspot.portals import Client, load_contacts, served

SEARCH = "/crm/v3/objects/contacts/search"
FIRST_MS = 1_760_000_000_000


def where(*filters: tuple[Any, ...]) -> dict[str, Any]:
    """One group of (property, operator, value or values, high value)."""
    shown = []
    for name, operator, *values in filters:
        each: dict[str, Any] = {"propertyName": name, "operator": operator}
        if values:
            each["values" if isinstance(values[0], list) else "value"] = values[0]
        if len(values) > 1:
            each["highValue"] = values[1]
        shown.append(each)
    return {"filterGroups": [{"filters": shown}]}


def found(crm: Client, body: dict[str, Any]) -> list[str]:
    """The e-mail's local parts of a search's first page."""
    reply = crm.post(SEARCH, body | {"properties": ["email"], "limit": 200})
    assert reply.status == 200, reply.body
    return [each["properties"]["email"].partition("@")[0] for each in reply.body["results"]]


def test_a_page_is_10_by_default_and_200_at_most(crm: Client) -> None:
    load_contacts(crm, 201)
    assert len(crm.post(SEARCH).body["results"]) == 10
    whole = crm.post(SEARCH, {"limit": "200"}).body
    assert (len(whole["results"]), whole["total"], whole["paging"]) == (200, 201, {"next": {"after": "200"}})
    assert crm.post(SEARCH, {"limit": 201}).status == 400
    last = crm.post(SEARCH, {"limit": 200, "after": "200"}).body
    assert (len(last["results"]), "paging" in last) == (1, False)


def test_paging_ends_at_10_000(crm: Client) -> None:
    load_contacts(crm, 10_300)
    page = crm.post(SEARCH, {"limit": 200, "after": "9800"}).body
    assert (len(page["results"]), page["total"], page["paging"]["next"]["after"]) == (200, 10_300, "10000")
    beyond = crm.post(SEARCH, {"limit": 200, "after": "10000"})
    assert (beyond.status, beyond.body["category"]) == (400, "VALIDATION_ERROR")
    assert crm.post(SEARCH, {"limit": 100, "after": "9901"}).status == 400


def test_the_keyset_recipe_reads_12_000_contacts_of_one_millisecond_once(crm: Client) -> None:
    ids = load_contacts(crm, 12_000, updatedAt=FIRST_MS)
    seen: list[str] = []
    last = "0"
    while last:
        body = where(("lastmodifieddate", "BETWEEN", str(FIRST_MS), str(FIRST_MS)), ("hs_object_id", "GT", last))
        page = crm.post(
            SEARCH, body | {"limit": 200, "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]}
        )
        seen += [each["id"] for each in page.body["results"]]
        last = seen[-1] if len(page.body["results"]) == 200 else ""
    assert seen == ids


@pytest.mark.parametrize(
    "body",
    [
        {"properties": ["x" * 100] * 30},
        {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "a"}]}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "a"}] * 7}]},
        {"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "a"}] * 5}] * 4},
        {"sorts": ["city", "email"]},
        where(("city", "ABOUT", "a")),
        where(("no_such", "EQ", "a")),
        where(("city", "EQ")),
        where(("city", "IN", "a")),
        where(("closedate", "BETWEEN", "1")),
        where(("closedate", "GT", "soon")),
        where(("hs_email_open", "GT", "many")),
        {"sorts": ["no_such"]},
        {"limit": "x"},
        {"after": "-1"},
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_request_beyond_the_limits_or_rules_is_refused(crm: Client, body: dict[str, Any]) -> None:
    reply = crm.post(SEARCH, body)
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")


def test_18_filters_in_3_groups_are_allowed(crm: Client) -> None:
    groups = [{"filters": [{"propertyName": "city", "operator": "EQ", "value": "a"}] * 6}] * 3
    assert len(str(groups)) < 3000
    assert crm.post(SEARCH, {"filterGroups": groups}).status == 200


@pytest.mark.parametrize("value", ["0", "1970-01-01T00:00:00Z"])
def test_asking_from_the_beginning_of_time_breaks_the_server(crm: Client, value: str) -> None:
    assert crm.post(SEARCH, where(("lastmodifieddate", "GTE", value))).status == 500


PEOPLE = {
    "ann": {"city": "London", "hs_email_open": "9", "hs_lead_status": "NEW", "closedate": "2026-01-01T00:00:00Z"},
    "bob": {
        "city": "london town",
        "hs_email_open": "10",
        "hs_lead_status": "OPEN",
        "closedate": "2026-02-01T00:00:00Z",
    },
    "cyd": {"city": "Paris", "hs_email_open": "100", "hs_additional_emails": "c@a.io"},
    "dee": {"hs_email_open": "N/A", "firstname": "Lon"},
}


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ([("city", "EQ", "london")], "ann"),
        ([("city", "NEQ", "London")], "bob cyd"),
        ([("city", "IN", ["london", "paris"])], "ann cyd"),
        ([("city", "IN", ["London"])], ""),
        ([("city", "NOT_IN", ["london"])], "bob cyd"),
        ([("city", "HAS_PROPERTY")], "ann bob cyd"),
        ([("city", "NOT_HAS_PROPERTY")], "dee"),
        ([("city", "CONTAINS_TOKEN", "london")], "ann bob"),
        ([("city", "CONTAINS_TOKEN", "lon*")], "ann bob"),
        ([("city", "CONTAINS_TOKEN", "lon")], ""),
        ([("city", "NOT_CONTAINS_TOKEN", "london")], "cyd"),
        ([("email", "CONTAINS_TOKEN", "*@example.com")], "ann bob cyd dee"),
        ([("hs_email_open", "GT", "9")], "bob cyd"),
        ([("hs_email_open", "GTE", "9"), ("hs_email_open", "LT", "100")], "ann bob"),
        ([("hs_email_open", "BETWEEN", "9", "10")], "ann bob"),
        ([("hs_email_open", "IN", ["9", "100"])], "ann cyd"),
        ([("hs_lead_status", "IN", ["NEW"])], "ann"),
        ([("hs_lead_status", "EQ", "new")], ""),
        ([("closedate", "GT", "1767225600000")], "bob"),
        ([("closedate", "LTE", "2026-01-01T01:00:00+01:00")], "ann"),
        ([("closedate", "EQ", "2026-01-01")], "ann"),
    ],
)
def test_an_operator_finds_what_it_means(crm: Client, conditions: list[tuple[Any, ...]], names: str) -> None:
    rows = [{"properties": {"email": f"{name}@example.com", **each}} for name, each in PEOPLE.items()]
    crm.control("load", objects={"contacts": rows})
    assert sorted(found(crm, where(*conditions))) == names.split()


def test_groups_are_alternatives_and_query_narrows_them(crm: Client) -> None:
    rows = [{"properties": {"email": f"{name}@example.com", **each}} for name, each in PEOPLE.items()]
    crm.control("load", objects={"contacts": rows})
    both = where(("city", "EQ", "london"))["filterGroups"] + where(("city", "EQ", "paris"))["filterGroups"]
    assert found(crm, {"filterGroups": both}) == ["ann", "cyd"]
    assert found(crm, {"filterGroups": both, "query": "CYD"}) == ["cyd"]
    assert found(crm, {"query": "lon"}) == ["dee"]


@pytest.mark.parametrize("sort", ["-hs_email_open", {"propertyName": "hs_email_open", "direction": "DESCENDING"}])
def test_both_forms_of_a_sort_compare_numbers_as_numbers(crm: Client, sort: Any) -> None:
    rows = [{"properties": {"email": f"{name}@example.com", **each}} for name, each in PEOPLE.items()]
    crm.control("load", objects={"contacts": rows})
    assert found(crm, {"sorts": [sort]}) == ["cyd", "bob", "ann", "dee"]
    assert found(crm, {"sorts": ["hs_email_open"]}) == ["ann", "bob", "cyd", "dee"]


def test_search_sees_a_change_only_after_the_lag() -> None:
    with served(Portal(manners=Manners(index_lag_s=45))) as crm:
        record_id = crm.create(email="a@example.com", city="Kiel")
        assert crm.post(SEARCH).body["total"] == 0
        crm.control("clock", advance_s=46)
        assert crm.post(SEARCH).body["total"] == 1
        crm.ask("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"city": "Bonn"}})
        assert crm.properties(record_id, "city") == {"city": "Bonn"}
        assert crm.post(SEARCH, where(("city", "EQ", "kiel"))).body["total"] == 1
        crm.ask("DELETE", f"/crm/v3/objects/contacts/{record_id}")
        assert crm.post(SEARCH).body["total"] == 1
        crm.control("clock", advance_s=46)
        assert crm.post(SEARCH).body["total"] == 0


def test_a_page_may_smuggle_in_strays(crm: Client) -> None:
    load_contacts(crm, 3, city="Kiel")
    crm.create(email="stray@example.com", city="Bonn")
    crm.control("manners", stray_search_rows=1)
    page = crm.post(SEARCH, where(("city", "EQ", "kiel"))).body
    assert (page["total"], len(page["results"])) == (3, 4)


@pytest.mark.parametrize("seed", range(4))
def test_the_index_agrees_with_a_plain_look_at_all_records(crm: Client, seed: int) -> None:
    chance = random.Random(seed)
    ids = load_contacts(crm, 40, city="Kiel", createdAt=FIRST_MS)
    window = ("lastmodifieddate", "GTE", str(FIRST_MS + 1))
    for _ in range(40):
        victim, act = chance.choice(ids), chance.random()
        if act < 0.2:
            crm.ask("DELETE", f"/crm/v3/objects/contacts/{victim}")
        elif act < 0.3:
            crm.post("/_emulator/restore", {"id": victim})
        elif act < 0.8:
            crm.ask(
                "PATCH", f"/crm/v3/objects/contacts/{victim}", {"properties": {"city": chance.choice(("Kiel", "Bonn"))}}
            )
        after = chance.choice(ids)
        asked = where(window, ("city", "EQ", "bonn"), ("hs_object_id", "GT", after))
        order = chance.choice(([], ["-city"], [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]))
        page = crm.post(SEARCH, asked | {"limit": 200, "sorts": order}).body
        truth = [
            each["id"] for each in crm.control("dump")["results"]
            if each["properties"]["city"] == "Bonn" and int(each["id"]) > int(after)
        ]  # fmt: skip
        assert sorted(each["id"] for each in page["results"]) == sorted(truth)
        assert page["total"] == len(truth)
