"""Ties between records."""

from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client, load_contacts

V4 = "/crm/v4/associations"
DATED = "/crm/associations/2026-09"


def load_calls(crm: Client, contact: str, count: int) -> list[str]:
    """Calls tied to one contact."""
    ids: list[str] = crm.control("load", objects={"calls": [{"properties": {}} for _ in range(count)]})["ids"]["calls"]
    pairs = [[each, contact] for each in ids]
    crm.control("load", associations=[{"from": "calls", "to": "contacts", "typeId": 194, "pairs": pairs}])
    return ids


def read(crm: Client, path: str, *inputs: dict[str, Any]) -> Any:
    return crm.post(f"{path}/batch/read", {"inputs": list(inputs)}).body


def test_each_record_pages_by_itself(crm: Client) -> None:
    contact, other = load_contacts(crm, 2)
    calls = load_calls(crm, contact, 1200)
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        page = read(crm, f"{V4}/contacts/calls", {"id": contact, "after": after}, {"id": other})["results"]
        assert [each["from"]["id"] for each in page] == [contact]
        assert len(page[0]["to"]) <= 500
        seen += [each["toObjectId"] for each in page[0]["to"]]
        after = page[0].get("paging", {}).get("next", {}).get("after")
    assert seen == [int(each) for each in calls]


def test_untied_records_are_errors_or_simply_absent(crm: Client) -> None:
    contact = load_contacts(crm, 1)[0]
    reply = crm.post(f"{DATED}/0-1/0-48/batch/read", {"inputs": [{"id": contact}]})
    assert (reply.status, reply.body["results"], reply.body["numErrors"]) == (207, [], 1)
    crm.control("manners", missing_associations="absent")
    reply = crm.post(f"{DATED}/0-1/0-48/batch/read", {"inputs": [{"id": contact}]})
    assert (reply.status, reply.body["results"], "errors" in reply.body) == (200, [], False)


@pytest.mark.parametrize(("verb", "most"), [("read", 1000), ("create", 2000), ("archive", 100)])
def test_a_batch_of_ties_has_its_limit(crm: Client, verb: str, most: int) -> None:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    given = {"id": "1", "from": {"id": "1"}, "to": [{"id": "2"}] if verb == "archive" else {"id": "2"}, "types": types}
    path = f"{V4}/calls/contacts/batch/{verb}"
    assert crm.post(path, {"inputs": [given] * (most + 1)}).status == 400
    assert crm.post(path, {"inputs": [given] * most}).status in (204, 207)


def test_ties_are_seen_from_both_ends_until_archived(crm: Client) -> None:
    contact, call = load_contacts(crm, 1)[0], crm.create("calls", hs_timestamp="1767225600000")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    pair = {"from": {"id": call}, "to": {"id": contact}, "types": types}
    made = crm.post(f"{DATED}/calls/contacts/batch/create", {"inputs": [pair]})
    assert (made.status, made.body["results"][0]["toObjectId"]) == (200, int(contact))
    back = read(crm, f"{V4}/contacts/calls", {"id": contact})["results"][0]["to"]
    spec = {"category": "HUBSPOT_DEFINED", "typeId": 193, "label": None}
    assert back == [{"toObjectId": int(call), "associationTypes": [spec]}]
    assert crm.get(f"/crm/v4/objects/contacts/{contact}/associations/calls").body["results"] == back
    gone = {"from": {"id": call}, "to": [{"id": contact}]}
    assert crm.post(f"{V4}/calls/contacts/batch/archive", {"inputs": [gone]}).status == 204
    assert read(crm, f"{V4}/contacts/calls", {"id": contact})["results"] == []


def test_a_type_that_does_not_belong_to_the_pair_is_refused(crm: Client) -> None:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    pair = {"from": {"id": "1"}, "to": {"id": "2"}, "types": types}
    assert crm.post(f"{V4}/calls/contacts/batch/create", {"inputs": [pair]}).status == 400


def test_one_tie_is_set_listed_and_deleted(crm: Client) -> None:
    contact, company = load_contacts(crm, 1)[0], crm.create("companies", name="A")
    path = f"/crm/v4/objects/contacts/{contact}/associations"
    made = crm.ask("PUT", f"{path}/default/companies/{company}")
    assert (made.status, made.body["results"][0]["associationSpec"]["associationTypeId"]) == (200, 279)
    primary = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    assert crm.ask("PUT", f"{path}/companies/{company}", primary).body["labels"] == ["Primary"]
    shown = crm.get(f"/crm/v3/objects/contacts/{contact}?associations=companies").body["associations"]["companies"]
    assert {each["type"] for each in shown["results"]} == {"contact_to_company", "contact_to_company_unlabeled"}
    labels = {"from": {"id": contact}, "to": {"id": company}, "types": primary}
    assert crm.post(f"{V4}/contacts/companies/batch/labels/archive", {"inputs": [labels]}).status == 204
    types = crm.get(f"{path}/companies").body["results"][0]["associationTypes"]
    assert [each["typeId"] for each in types] == [279]
    assert crm.ask("DELETE", f"{path}/companies/{company}").status == 204
    assert crm.get(f"{path}/companies").body["results"] == []
    assert crm.ask("PUT", f"{path}/default/companies/5").status == 404


def test_labels_of_a_pair_are_listed(crm: Client) -> None:
    shown = crm.get(f"{V4}/contacts/companies/labels").body["results"]
    assert {(each["typeId"], each["label"]) for each in shown} == {(279, None), (1, "Primary")}


def test_the_v3_form_names_types_instead_of_numbering_them(crm: Client) -> None:
    contact, call = load_contacts(crm, 1)[0], crm.create("calls", hs_timestamp="1767225600000")
    pair = {"from": {"id": contact}, "to": {"id": call}, "type": "contact_to_call"}
    assert crm.post("/crm/v3/associations/contacts/calls/batch/create", {"inputs": [pair]}).status == 201
    found = crm.post("/crm/v3/associations/contact/call/batch/read", {"inputs": [{"id": contact}]}).body["results"]
    assert found == [{"from": {"id": contact}, "to": [{"id": call, "type": "contact_to_call"}]}]


def test_erasing_a_contact_unties_it(crm: Client) -> None:
    contact = load_contacts(crm, 1)[0]
    calls = load_calls(crm, contact, 2)
    crm.post("/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact})
    assert read(crm, f"{V4}/calls/contacts", *({"id": each} for each in calls))["results"] == []


@pytest.mark.parametrize("area", ["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"])
def test_ties_inside_records_are_listed_kind_by_kind_and_paged_when_they_are_many(crm: Client, area: str) -> None:
    crm.control("manners", inline_associations=2)
    first, second, third = load_contacts(crm, 3)
    calls = load_calls(crm, first, 3)
    company = crm.create("companies", name="A")
    crm.ask("PUT", f"/crm/v4/objects/contacts/{second}/associations/default/companies/{company}")
    query = "associations=calls,companies&associations=deals"
    shown = {each["id"]: each.get("associations") for each in crm.get(f"{area}/contacts?{query}").body["results"]}
    assert shown == {
        first: {"calls": {"results": [{"id": each, "type": "contact_to_call"} for each in calls[:2]],
                          "paging": shown[first]["calls"]["paging"]}},
        second: {"companies": {"results": [{"id": company, "type": "contact_to_company"},
                                           {"id": company, "type": "contact_to_company_unlabeled"}]}},
        third: None,
    }  # fmt: skip
    alone = crm.get(f"{area}/contacts/{first}?{query}").body["associations"]
    assert alone == shown[first]
    following = alone["calls"]["paging"]["next"]
    link = f"/crm/v3/objects/0-1/{first}/associations/0-48?portalId=44237313&after={following['after']}"
    assert following["link"] == f"https://api.hubapi.com{link}"
    assert crm.get(link).body == {"results": [{"id": calls[2], "type": "contact_to_call"}]}


def test_an_unknown_kind_of_association_is_refused(crm: Client) -> None:
    assert crm.get("/crm/v3/objects/contacts?associations=butterflies").status == 400


def test_the_v3_form_pages_its_ties_like_those_inside_records(crm: Client) -> None:
    crm.control("manners", inline_associations=2)
    (contact,) = load_contacts(crm, 1)
    calls = load_calls(crm, contact, 3)
    found = crm.post("/crm/v3/associations/contacts/calls/batch/read", {"inputs": [{"id": contact}]}).body["results"][0]
    assert [each["id"] for each in found["to"]] == calls[:2]
    after = found["paging"]["next"]["after"]
    rest = crm.get(f"/crm/v3/objects/contacts/{contact}/associations/calls?after={after}").body["results"]
    assert [each["id"] for each in rest] == calls[2:]
    assert crm.get(f"/crm/v3/objects/contacts/{contact}/associations/calls?after=x").status == 400
