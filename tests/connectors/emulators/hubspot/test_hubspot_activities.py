"""Owners, tasks for them, and messages over other channels."""

from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client

TASKS = "/crm/v3/objects/tasks"
ANNA, ANNAS_USER = "41629779", 9586504
GONE, GONE_USER = "41629781", 9586506
OWNED = ("hubspot_owner_id", "hubspot_owner_assigneddate")


def a_task(crm: Client, contact: str, owner: str) -> Any:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    properties = {
        "hs_timestamp": "1767225600000", "hs_task_subject": "Call", "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH", "hs_task_type": "CALL", "hubspot_owner_id": owner,
    }  # fmt: skip
    return crm.post(TASKS, {"properties": properties, "associations": [{"to": {"id": contact}, "types": types}]})


@pytest.mark.parametrize("path", ["/crm/v3/owners/", "/crm/owners/2026-03"])
def test_an_archived_owner_is_listed_apart_and_has_no_user_id(crm: Client, path: str) -> None:
    live = crm.get(path).body["results"]
    gone = crm.get(f"{path}?archived=true").body["results"]
    assert [(each["userId"], each["archived"]) for each in live if each["id"] == ANNA] == [(9586504, False)]
    assert [(each["id"], each["userId"], each["userIdIncludingInactive"]) for each in gone] == [(GONE, None, GONE_USER)]


def test_an_owner_is_read_by_id_or_by_user_id_and_only_where_it_is(crm: Client) -> None:
    path = "/crm/v3/owners"
    assert crm.get(f"{path}/{ANNA}").body["email"] == "anna.berg@example.com"
    assert crm.get(f"{path}/{ANNAS_USER}?idProperty=userId").body["id"] == ANNA
    assert crm.get(f"{path}/{ANNAS_USER}").status == 404
    assert crm.get(f"{path}/{GONE}").status == 404
    assert crm.get(f"{path}/{GONE}?archived=true").body["userId"] is None


@pytest.mark.parametrize("owner", ["41629781", "9586504", "5", "anna"])
def test_a_task_for_an_archived_or_unknown_owner_is_not_made(crm: Client, owner: str) -> None:
    contact = crm.create(email="a@example.com")
    refused = a_task(crm, contact, owner)
    assert (refused.status, refused.body["errors"][0]["code"]) == (400, "INVALID_OWNER_ID")
    assert crm.get(TASKS).body["results"] == []


def test_an_owner_who_leaves_can_be_given_no_more_tasks(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    assert a_task(crm, contact, ANNA).status == 201
    leaver = {"id": ANNA, "email": "anna.berg@example.com", "first_name": "Anna", "last_name": "Berg"}
    crm.control("load", owners=[{**leaver, "user_id": ANNAS_USER, "archived": True}])
    assert a_task(crm, contact, ANNA).status == 400


@pytest.mark.parametrize("area", ["/crm/v3/objects", "/crm/objects/2026-09"])
@pytest.mark.parametrize("owner", [GONE, "9586504", "5", "anna"])
def test_a_contact_is_given_to_no_archived_or_unknown_owner(crm: Client, area: str, owner: str) -> None:
    contact, names = crm.create(email="a@example.com", hubspot_owner_id=ANNA), (*OWNED, "lastmodifieddate")
    before = crm.properties(contact, *names)
    written = {"properties": {"hubspot_owner_id": owner}}
    batch = {"inputs": [{"id": contact, **written}]}
    for refused in (
        crm.ask("PATCH", f"{area}/contacts/{contact}", written),
        crm.post(f"{area}/contacts/batch/update", batch),
    ):
        assert (refused.status, refused.body["errors"][0]["code"]) == (400, "INVALID_OWNER_ID")
    assert crm.properties(contact, *names) == before


def test_a_contacts_owner_is_set_with_the_time_and_emptied_without_losing_that(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    assert crm.properties(contact, *OWNED) == {"hubspot_owner_id": None, "hubspot_owner_assigneddate": None}
    path = f"/crm/v3/objects/contacts/{contact}"
    given = crm.ask("PATCH", path, {"properties": {"hubspot_owner_id": ANNA}})
    assert (given.status, given.body["properties"]["hubspot_owner_id"]) == (200, ANNA)
    at = crm.properties(contact, *OWNED)["hubspot_owner_assigneddate"]
    assert at is not None
    crm.control("clock", advance_s=60)
    emptied = crm.ask("PATCH", path, {"properties": {"hubspot_owner_id": ""}})
    assert (emptied.status, emptied.body["properties"]["hubspot_owner_id"]) == (200, None)
    assert crm.properties(contact, *OWNED) == {"hubspot_owner_id": None, "hubspot_owner_assigneddate": at}
    crm.ask("PATCH", path, {"properties": {"hubspot_owner_id": "41629780"}})
    assert str(crm.properties(contact, *OWNED)["hubspot_owner_assigneddate"]) > at


def test_a_task_is_made_tied_and_does_not_count_as_contacting_anyone(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    task = a_task(crm, contact, ANNA).body["id"]
    found = crm.get(f"{TASKS}/{task}?associations=contacts&properties=hubspot_owner_id,hs_task_priority").body
    assert found["associations"]["contacts"]["results"] == [{"id": contact, "type": "task_to_contact"}]
    assert (found["properties"]["hubspot_owner_id"], found["properties"]["hs_task_priority"]) == (ANNA, "HIGH")
    assert crm.properties(contact, "num_contacted_notes") == {"num_contacted_notes": None}


@pytest.mark.parametrize("name", ["communications", "0-18"])
def test_a_message_is_logged_found_and_counted(crm: Client, name: str) -> None:
    contact = crm.create(email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 81}]
    properties = {
        "hs_timestamp": "1767225600000", "hs_communication_channel_type": "WHATS_APP",
        "hs_communication_logged_from": "CRM", "hs_communication_body": "Hello",
    }  # fmt: skip
    body: dict[str, Any] = {"properties": properties, "associations": [{"to": {"id": contact}, "types": types}]}
    made = crm.post(f"/crm/v3/objects/{name}", body)
    assert made.status == 201
    wanted = {"propertyName": "hs_communication_channel_type", "operator": "EQ", "value": "WHATS_APP"}
    found = crm.post(f"/crm/v3/objects/{name}/search", {"filterGroups": [{"filters": [wanted]}]}).body["results"]
    assert [each["id"] for each in found] == [made.body["id"]]
    assert crm.properties(contact, "num_contacted_notes") == {"num_contacted_notes": "1"}
    properties["hs_communication_channel_type"] = "PIGEON"
    assert crm.post(f"/crm/v3/objects/{name}", body).body["errors"][0]["code"] == "INVALID_OPTION"
