"""A contact's primary company, and the property that follows it."""

from itertools import pairwise

import pytest

from tests.connectors.emulators.hubspot.portals import Client

V4 = "/crm/v4/associations/contacts/companies/batch"
PRIMARY, PLAIN = 1, 279


def tie(crm: Client, contact: str, company: str, type_id: int) -> None:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
    pair = {"from": {"id": contact}, "to": {"id": company}, "types": types}
    assert crm.post(f"{V4}/create", {"inputs": [pair]}).status == 201


def primary(crm: Client, contact: str) -> str | None:
    return crm.properties(contact, "associatedcompanyid")["associatedcompanyid"]


def types_of(crm: Client, contact: str, company: str) -> set[int]:
    found = crm.post(f"{V4}/read", {"inputs": [{"id": contact}]}).body["results"]
    ties = {tie["toObjectId"]: tie["associationTypes"] for each in found for tie in each["to"]}
    return {each["typeId"] for each in ties.get(int(company), [])}


def modified(crm: Client, contact: str) -> str:
    found: str = crm.get(f"/crm/v3/objects/contacts/{contact}").body["updatedAt"]
    return found


def test_the_primary_company_follows_its_tie_and_touches_the_contact(crm: Client) -> None:
    contact, first, second = crm.create(), crm.create("companies", name="A"), crm.create("companies", name="B")
    times = [modified(crm, contact)]
    for company, type_id in ((first, PLAIN), (second, PLAIN), (second, PRIMARY)):
        crm.control("clock", advance_s=10)
        tie(crm, contact, company, type_id)
        times.append(modified(crm, contact))
    assert primary(crm, contact) == second
    assert [after > before for before, after in pairwise(times)] == [True, False, True]
    assert (types_of(crm, contact, first), types_of(crm, contact, second)) == ({PLAIN}, {PLAIN, PRIMARY})


def test_a_first_company_may_have_to_be_made_primary_by_hand(crm: Client) -> None:
    crm.control("manners", first_company_is_primary=False)
    contact, company = crm.create(), crm.create("companies", name="A")
    tie(crm, contact, company, PLAIN)
    assert (primary(crm, contact), types_of(crm, contact, company)) == (None, {PLAIN})
    path = f"/crm/v4/objects/companies/{company}/associations/contacts/{contact}"
    back = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 2}]
    assert crm.ask("PUT", path, back).status == 201
    assert (primary(crm, contact), types_of(crm, contact, company)) == (company, {PLAIN, PRIMARY})


def test_taking_the_label_or_the_tie_away_empties_the_property(crm: Client) -> None:
    contact, company = crm.create(), crm.create("companies", name="A")
    tie(crm, contact, company, PRIMARY)
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": PRIMARY}]
    label = {"from": {"id": contact}, "to": {"id": company}, "types": types}
    crm.post(f"{V4}/labels/archive", {"inputs": [label]})
    assert (primary(crm, contact), types_of(crm, contact, company)) == (None, {PLAIN})
    tie(crm, contact, company, PRIMARY)
    assert primary(crm, contact) == company
    crm.post(f"{V4}/archive", {"inputs": [{"from": {"id": contact}, "to": [{"id": company}]}]})
    assert primary(crm, contact) is None


@pytest.mark.parametrize("gone", ["archived", "erased"])
def test_a_company_that_goes_is_nobodys_primary_company(crm: Client, gone: str) -> None:
    contact, company = crm.create(), crm.create("companies", name="A")
    tie(crm, contact, company, PRIMARY)
    if gone == "archived":
        crm.ask("DELETE", f"/crm/v3/objects/companies/{company}")
        assert primary(crm, contact) is None
        crm.control("restore", objectType="companies", id=company)
        assert primary(crm, contact) == company
    else:
        crm.post("/crm/v3/objects/companies/gdpr-delete", {"objectId": company})
        assert primary(crm, contact) is None


def test_merging_two_companies_leads_their_contacts_to_the_new_one(crm: Client) -> None:
    contact, first, second = crm.create(), crm.create("companies", name="A"), crm.create("companies", name="B")
    tie(crm, contact, first, PRIMARY)
    tie(crm, contact, second, PLAIN)
    merged = crm.post("/crm/v3/objects/companies/merge", {"primaryObjectId": second, "objectIdToMerge": first}).body
    assert primary(crm, contact) == merged["id"]
    assert types_of(crm, contact, merged["id"]) == {PLAIN, PRIMARY}


def test_merging_two_contacts_keeps_one_primary_company(crm: Client) -> None:
    one, other = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    mine, theirs = crm.create("companies", name="A"), crm.create("companies", name="B")
    tie(crm, one, mine, PRIMARY)
    tie(crm, other, theirs, PRIMARY)
    merged = crm.post("/crm/v3/objects/contacts/merge", {"primaryObjectId": one, "objectIdToMerge": other}).body["id"]
    assert primary(crm, merged) == mine
    assert (types_of(crm, merged, mine), types_of(crm, merged, theirs)) == ({PLAIN, PRIMARY}, {PLAIN})


def test_loaded_ties_show_in_the_property_without_touching_the_contact(crm: Client) -> None:
    rows = {
        "contacts": [{"properties": {"email": "a@example.com"}, "updatedAt": 1767225600000}],
        "companies": [{"properties": {"name": "A"}}],
    }
    ids = crm.control("load", objects=rows)["ids"]
    contact, company = ids["contacts"][0], ids["companies"][0]
    pairs = {"from": "companies", "to": "contacts", "typeId": 2, "pairs": [[company, contact]]}
    crm.control("load", associations=[pairs])
    assert (primary(crm, contact), modified(crm, contact)) == (company, "2026-01-01T00:00:00Z")
    asked = {"filterGroups": [{"filters": [{"propertyName": "associatedcompanyid", "operator": "HAS_PROPERTY"}]}]}
    assert crm.post("/crm/v3/objects/contacts/search", asked).body["total"] == 1


def test_the_property_itself_cannot_be_written(crm: Client) -> None:
    contact, company = crm.create(), crm.create("companies", name="A")
    body = {"properties": {"associatedcompanyid": company}}
    refused = crm.ask("PATCH", f"/crm/v3/objects/contacts/{contact}", body)
    assert (refused.status, refused.body["errors"][0]["code"]) == (400, "READ_ONLY_VALUE")
