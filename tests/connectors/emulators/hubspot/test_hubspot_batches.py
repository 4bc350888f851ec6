"""Up to 100 records at a time."""

import pytest

from tests.connectors.emulators.hubspot.portals import Client, load_contacts

BATCH = "/crm/v3/objects/contacts/batch"


@pytest.mark.parametrize("verb", ["read", "update", "create", "upsert", "archive"])
def test_a_batch_holds_1_to_100_inputs(crm: Client, verb: str) -> None:
    inputs = [{"id": str(each), "idProperty": "email", "properties": {}} for each in range(101)]
    assert crm.post(f"{BATCH}/{verb}", {"inputs": inputs}).status == 400
    assert crm.post(f"{BATCH}/{verb}", {"inputs": []}).status == 400
    assert crm.post(f"{BATCH}/{verb}", {}).status == 400


def test_ids_that_do_not_exist_are_one_error_beside_the_results(crm: Client) -> None:
    ids = load_contacts(crm, 3)
    crm.ask("DELETE", f"/crm/v3/objects/contacts/{ids[1]}")
    reply = crm.post(f"{BATCH}/read", {"inputs": [{"id": each} for each in (*ids, "5")]})
    assert (reply.status, reply.body["numErrors"]) == (207, 1)
    assert [each["id"] for each in reply.body["results"]] == [ids[0], ids[2]]
    assert reply.body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert reply.body["errors"][0]["context"] == {"ids": [ids[1], "5"]}


def test_a_batch_reads_by_email(crm: Client) -> None:
    ids = load_contacts(crm, 2)
    body = {"idProperty": "email", "inputs": [{"id": "PERSON1@example.com"}], "properties": ["email"]}
    assert [each["id"] for each in crm.post(f"{BATCH}/read", body).body["results"]] == [ids[1]]


def test_a_batch_with_history_is_halved(crm: Client) -> None:
    inputs = [{"id": each} for each in load_contacts(crm, 51, city="Kiel")]
    body = {"inputs": inputs, "propertiesWithHistory": ["city"]}
    assert crm.post(f"{BATCH}/read", body).status == 400
    found = crm.post(f"{BATCH}/read", body | {"inputs": inputs[:50]}).body["results"]
    assert [each["propertiesWithHistory"]["city"][0]["value"] for each in found] == ["Kiel"] * 50


def test_one_bad_value_fails_all_100_updates(crm: Client) -> None:
    ids = load_contacts(crm, 100)
    inputs = [{"id": each, "properties": {"city": "Kiel"}} for each in ids]
    inputs[42]["properties"] = {"hs_lead_status": "nonsense"}
    reply = crm.post(f"{BATCH}/update", {"inputs": inputs})
    assert (reply.status, [each["code"] for each in reply.body["errors"]]) == (400, ["INVALID_OPTION"])
    assert crm.properties(ids[0], "city") == {"city": None}


def test_an_update_of_100_with_one_deleted_updates_99(crm: Client) -> None:
    ids = load_contacts(crm, 100)
    crm.ask("DELETE", f"/crm/v3/objects/contacts/{ids[7]}")
    reply = crm.post(f"{BATCH}/update", {"inputs": [{"id": each, "properties": {"city": "Kiel"}} for each in ids]})
    assert (reply.status, len(reply.body["results"])) == (207, 99)
    assert reply.body["errors"][0]["context"] == {"ids": [ids[7]]}
    assert {each["properties"]["city"] for each in reply.body["results"]} == {"Kiel"}


def test_contacts_are_not_updated_by_email(crm: Client) -> None:
    load_contacts(crm, 1)
    body = {"inputs": [{"id": "person0@example.com", "idProperty": "email", "properties": {"city": "Kiel"}}]}
    assert crm.post(f"{BATCH}/update", body).status == 400


def test_an_upsert_tells_new_from_old(crm: Client) -> None:
    held = load_contacts(crm, 1)[0]
    inputs = [
        {"id": f"person{each}@example.com", "idProperty": "email", "properties": {"city": "Kiel"}} for each in range(2)
    ]
    reply = crm.post(f"{BATCH}/upsert", {"inputs": inputs})
    assert reply.status == 200
    assert [each["new"] for each in reply.body["results"]] == [False, True]
    assert reply.body["results"][0]["id"] == held
    assert crm.properties(held, "city", "email") == {"city": "Kiel", "email": "person0@example.com"}


def test_two_inputs_with_one_address_conflict_with_each_other(crm: Client) -> None:
    same = {"properties": {"email": "a@example.com"}}
    assert crm.post(f"{BATCH}/create", {"inputs": [same, same]}).status == 409
    traced = [same | {"objectWriteTraceId": each} for each in ("x", "y")]
    reply = crm.post(f"{BATCH}/create", {"inputs": traced})
    assert (reply.status, len(reply.body["results"])) == (207, 1)
    assert reply.body["errors"][0]["context"]["objectWriteTraceId"] == ["y"]


def test_a_batch_archives_what_is_there(crm: Client) -> None:
    ids = load_contacts(crm, 3)
    assert crm.post(f"{BATCH}/archive", {"inputs": [{"id": each} for each in (*ids[:2], "5")]}).status == 204
    assert [each["id"] for each in crm.get("/crm/v3/objects/contacts").body["results"]] == ids[2:]
    archived = crm.post(f"{BATCH}/read?archived=true", {"inputs": [{"id": ids[0]}]})
    assert archived.body["results"][0]["archived"] is True


def test_a_unique_custom_property_identifies_records(crm: Client) -> None:
    field = {"name": "customer_no", "label": "No", "type": "string", "fieldType": "text",
             "groupName": "contactinformation", "hasUniqueValue": True}  # fmt: skip
    assert crm.post("/crm/v3/properties/contacts", field).status == 201
    record_id = crm.create(customer_no="17")
    assert crm.get("/crm/v3/objects/contacts/17?idProperty=customer_no").body["id"] == record_id
    again = crm.post("/crm/v3/objects/contacts", {"properties": {"customer_no": "17"}})
    assert (again.status, again.body["errors"][0]["code"]) == (400, "CONFLICTING_UNIQUE_VALUE")
    inputs = [{"id": "17", "idProperty": "customer_no", "properties": {"city": "Kiel"}}]
    assert crm.post(f"{BATCH}/update", {"inputs": inputs}).body["results"][0]["id"] == record_id
