"""Records one by one: list, read, write, archive, merge, erase."""

import pytest

from connectors.emulators.hubspot import Manners, Portal, Requirement
from tests.connectors.emulators.hubspot.portals import Client, load_contacts, served

CONTACTS = "/crm/v3/objects/contacts"


@pytest.mark.parametrize("area", ["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"])
@pytest.mark.parametrize("name", ["contacts", "contact", "0-1", "contacts/"])
def test_a_kind_is_found_under_every_version_and_name(crm: Client, area: str, name: str) -> None:
    record_id = crm.create(email="a@example.com")
    assert [each["id"] for each in crm.get(f"{area}/{name}?archived=False").body["results"]] == [record_id]


@pytest.mark.parametrize(
    "path", ["/crm/objects/2027-03/contacts", "/crm/v4/objects/contacts", "/crm/v5/objects/contacts"]
)
def test_an_address_of_no_version_is_not_found(crm: Client, path: str) -> None:
    assert crm.get(path).status == 404


def test_a_list_pages_by_the_id_of_the_next_record(crm: Client) -> None:
    ids = load_contacts(crm, 5)
    first = crm.get(f"{CONTACTS}?limit=2").body
    assert [each["id"] for each in first["results"]] == ids[:2]
    assert first["paging"]["next"]["after"] == ids[2]
    assert first["paging"]["next"]["link"].startswith("https://api.hubapi.com/crm/v3/objects/contacts?")
    last = crm.get(f"{CONTACTS}?limit=2&after={ids[4]}").body
    assert [each["id"] for each in last["results"]] == ids[4:]
    assert "paging" not in last


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "limit=51&propertiesWithHistory=city", "after=x"])
def test_a_list_refuses_pages_beyond_its_limits(crm: Client, query: str) -> None:
    assert crm.get(f"{CONTACTS}?{query}").status == 400


def test_unset_properties_are_null_and_undefined_ones_are_left_out(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", city="Kiel")
    asked = crm.get(f"{CONTACTS}/{record_id}?properties=city,phone&properties=no_such").body["properties"]
    assert (asked["city"], asked["phone"], "no_such" in asked) == ("Kiel", None, False)
    crm.control("manners", unset_properties="absent")
    assert "phone" not in crm.get(f"{CONTACTS}/{record_id}?properties=phone").body["properties"]


def test_history_names_value_time_and_author_newest_first(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", city="Kiel")
    crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"city": "Bonn"}})
    crm.control("edit", objectType="contacts", id=record_id, properties={"city": "Rom"}, userId=77)
    found = crm.get(f"{CONTACTS}/{record_id}?propertiesWithHistory=city").body["propertiesWithHistory"]["city"]
    assert [each["value"] for each in found] == ["Rom", "Bonn", "Kiel"]
    assert found[0]["sourceType"] == "CRM_UI"
    assert found[0]["updatedByUserId"] == 77
    assert found[1]["sourceType"] == "INTEGRATION"
    assert found[0]["timestamp"] >= found[1]["timestamp"] >= found[2]["timestamp"]


def test_a_contact_is_found_by_email_in_any_capitals(crm: Client) -> None:
    record_id = crm.create(email="Ann@Example.com")
    assert crm.get(f"{CONTACTS}/ANN@example.com?idProperty=email").body["id"] == record_id
    assert crm.get(f"{CONTACTS}/nobody@example.com?idProperty=email").status == 404
    assert crm.get(f"{CONTACTS}/Kiel?idProperty=city").status == 400


def test_an_email_address_can_be_taken_only_once(crm: Client) -> None:
    held, other = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    again = crm.post(CONTACTS, {"properties": {"email": "a@example.com"}})
    assert again.status == 409
    assert again.body["message"] == f"Contact already exists. Existing ID: {held}"
    assert crm.ask("PATCH", f"{CONTACTS}/{other}", {"properties": {"email": "a@example.com"}}).status == 409
    assert crm.ask("PATCH", f"{CONTACTS}/{held}", {"properties": {"email": "c@example.com"}}).status == 200
    assert crm.create(email="a@example.com") != held


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"no_such": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"email": "no address"}, "INVALID_EMAIL"),
        ({"hubspotscore": "5"}, "READ_ONLY_VALUE"),
        ({"num_conversion_events": "5"}, "READ_ONLY_VALUE"),
        ({"lastmodifieddate": "2026-01-01"}, "READ_ONLY_VALUE"),
        ({"hs_lead_status": "New"}, "INVALID_OPTION"),
        ({"hs_lead_status": "In progress"}, "INVALID_OPTION"),
        ({"lifecyclestage": "nonsense"}, "INVALID_OPTION"),
        ({"closedate": "soon"}, "INVALID_LONG"),
        ({"hubspot_owner_id": "9586504"}, "INVALID_OWNER_ID"),
        ({"hubspot_owner_id": "41629781"}, "INVALID_OWNER_ID"),
        ({"score": "1,234"}, "INVALID_INTEGER"),
        ({"score": "N/A"}, "INVALID_INTEGER"),
        ({"score": "NaN"}, "INVALID_INTEGER"),
        ({"day": "2026-01-01T10:00:00Z"}, "INVALID_DATE"),
        ({"day": "1767225600001"}, "INVALID_DATE"),
        ({"ready": "maybe"}, "INVALID_OPTION"),
        ({"likes": "art;golf"}, "INVALID_OPTION"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_code(crm: Client, properties: dict[str, str], code: str) -> None:
    _load_typed_fields(crm)
    reply = crm.post(CONTACTS, {"properties": properties})
    assert reply.status == 400
    assert reply.body["category"] == "VALIDATION_ERROR"
    assert [(each["code"], each["context"]["propertyName"]) for each in reply.body["errors"]] == [
        (code, list(properties))
    ]


def _load_typed_fields(crm: Client) -> None:
    options = [{"label": each, "value": each} for each in ("art", "travel")]
    fields: list[dict[str, object]] = [
        {"name": "score", "type": "number", "fieldType": "number"},
        {"name": "day", "type": "date", "fieldType": "date"},
        {"name": "ready", "type": "bool", "fieldType": "booleancheckbox"},
        {"name": "likes", "type": "enumeration", "fieldType": "checkbox", "options": options},
    ]
    crm.control("load", properties={"contacts": [{"label": "x", "groupName": "own", **each} for each in fields]})


@pytest.mark.parametrize(
    ("name", "written", "kept"),
    [
        ("score", "12.50", "12.50"),
        ("score", "-3e2", "-3e2"),
        ("score", 7, "7"),
        ("day", "1767225600000", "2026-01-01"),
        ("day", "2026-01-01", "2026-01-01"),
        ("ready", "TRUE", "true"),
        ("ready", False, "false"),
        ("likes", "art;travel", "art;travel"),
        ("closedate", "1767225600123", "2026-01-01T00:00:00.123Z"),
        ("closedate", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("city", "", None),
        ("city", None, "Kiel"),
    ],
)
def test_a_value_is_kept_in_its_types_form(crm: Client, name: str, written: object, kept: str | None) -> None:
    _load_typed_fields(crm)
    record_id = crm.create(city="Kiel")
    assert crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {name: written}}).status == 200
    assert crm.properties(record_id, name) == {name: kept}


def test_a_write_moves_the_modified_time_and_an_idle_write_does_not(crm: Client) -> None:
    record_id = crm.create(city="Kiel")
    before = crm.get(f"{CONTACTS}/{record_id}").body["updatedAt"]
    crm.control("clock", advance_s=60)
    assert crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"city": "Kiel"}}).body["updatedAt"] == before
    assert crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"city": "Bonn"}}).body["updatedAt"] > before
    crm.control("manners", touch_on_same_value=True)
    middle = crm.get(f"{CONTACTS}/{record_id}").body
    assert middle["properties"]["lastmodifieddate"] == middle["updatedAt"]
    crm.control("clock", advance_s=60)
    assert (
        crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"city": "Bonn"}}).body["updatedAt"]
        > middle["updatedAt"]
    )


def test_only_calculated_properties_change_without_touching_the_record(crm: Client) -> None:
    record_id = crm.create(email="a@example.com")
    before = crm.get(f"{CONTACTS}/{record_id}").body["updatedAt"]
    crm.control("clock", advance_s=60)
    crm.control("calculate", id=record_id, properties={"num_conversion_events": 1})
    assert crm.get(f"{CONTACTS}/{record_id}").body["updatedAt"] == before
    assert crm.properties(record_id, "num_conversion_events") == {"num_conversion_events": "1"}
    crm.control("calculate", id=record_id, properties={"hs_email_open": 4})
    assert crm.get(f"{CONTACTS}/{record_id}").body["updatedAt"] > before


def test_a_stage_set_backward_is_ignored_without_a_word(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", lifecyclestage="customer")
    reply = crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": "lead", "city": "Kiel"}})
    assert reply.status == 200
    assert reply.body["properties"]["lifecyclestage"] == "customer"
    assert crm.properties(record_id, "lifecyclestage", "city") == {"lifecyclestage": "customer", "city": "Kiel"}


def test_a_stage_goes_forward_and_notes_when(crm: Client) -> None:
    record_id = crm.create(email="a@example.com")
    crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": "salesqualifiedlead"}})
    found = crm.properties(record_id, "lifecyclestage", "hs_v2_date_entered_salesqualifiedlead")
    assert found["lifecyclestage"] == "salesqualifiedlead"
    assert found["hs_v2_date_entered_salesqualifiedlead"]


def test_a_stage_goes_backward_after_it_was_cleared(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", lifecyclestage="other")
    for stage in ("salesqualifiedlead", "", "salesqualifiedlead"):
        crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": stage}})
    assert crm.properties(record_id, "lifecyclestage") == {"lifecyclestage": "salesqualifiedlead"}


def test_a_stage_set_backward_may_be_refused_instead(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", lifecyclestage="customer")
    crm.control("manners", backward_lifecycle="refuse")
    reply = crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": "lead"}})
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")


def test_a_person_may_set_a_stage_backward(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", lifecyclestage="customer")
    edited = crm.control("edit", id=record_id, properties={"lifecyclestage": "lead"})
    assert edited["properties"]["lifecyclestage"] == "lead"


def test_custom_stages_have_the_portals_order(crm: Client) -> None:
    crm.control("manners", stages=[["lead", "Lead"], ["123456789", "Hot"], ["customer", "Customer"]])
    record_id = crm.create(email="a@example.com", lifecyclestage="123456789")
    assert [each["id"] for each in crm.get("/crm/v3/pipelines/contacts").body["results"][0]["stages"]][1] == "123456789"
    assert crm.properties(record_id, "hs_v2_date_entered_123456789") != {"hs_v2_date_entered_123456789": None}
    crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": "lead"}})
    assert crm.properties(record_id, "lifecyclestage") == {"lifecyclestage": "123456789"}
    assert (
        crm.ask("PATCH", f"{CONTACTS}/{record_id}", {"properties": {"lifecyclestage": "salesqualifiedlead"}}).status
        == 400
    )


def test_an_admins_requirements_are_enforced_from_2026_09_on() -> None:
    rule = Requirement("lifecyclestage", "salesqualifiedlead", ("hs_lead_status",))
    with served(Portal(manners=Manners(requirements=(rule,)))) as crm:
        record_id = crm.create(email="a@example.com")
        sql = {"properties": {"lifecyclestage": "salesqualifiedlead"}}
        refused = crm.ask("PATCH", f"/crm/objects/2026-09/contacts/{record_id}", sql)
        assert (refused.status, refused.body["category"]) == (400, "VALIDATION_ERROR")
        assert "hs_lead_status" in refused.body["message"]
        sql["properties"]["hs_lead_status"] = "NEW"
        assert crm.ask("PATCH", f"/crm/objects/2026-09/contacts/{record_id}", sql).status == 200
        other = crm.create(email="b@example.com")
        del sql["properties"]["hs_lead_status"]
        assert crm.ask("PATCH", f"/crm/objects/2026-03/contacts/{other}", sql).status == 200


def test_an_archived_record_is_only_in_the_archived_list_until_90_days_are_over(crm: Client) -> None:
    record_id = crm.create(email="a@example.com")
    assert crm.ask("DELETE", f"{CONTACTS}/{record_id}").status == 204
    assert crm.ask("DELETE", f"{CONTACTS}/{record_id}").status == 204
    assert crm.get(f"{CONTACTS}/{record_id}").status == 404
    assert crm.get(CONTACTS).body["results"] == []
    assert crm.post(f"{CONTACTS}/search").body["total"] == 0
    archived = crm.get(f"{CONTACTS}?archived=true").body["results"]
    assert [(each["id"], each["archived"], "archivedAt" in each) for each in archived] == [(record_id, True, True)]
    assert crm.get(f"{CONTACTS}/{record_id}?archived=true").status == 200
    crm.control("clock", advance_s=91 * 86400)
    assert crm.get(f"{CONTACTS}?archived=true").body["results"] == []


def test_a_restored_record_is_back_with_its_history(crm: Client) -> None:
    record_id = crm.create(email="a@example.com", city="Kiel")
    crm.ask("DELETE", f"{CONTACTS}/{record_id}")
    crm.control("restore", id=record_id)
    assert (
        crm.get(f"{CONTACTS}/{record_id}?propertiesWithHistory=city").body["propertiesWithHistory"]["city"][0]["value"]
        == "Kiel"
    )
    assert crm.get(f"{CONTACTS}/a@example.com?idProperty=email").status == 200
    assert crm.get(f"{CONTACTS}?archived=true").body["results"] == []


def test_an_erased_contact_leaves_no_trace(crm: Client) -> None:
    first, second = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    crm.ask("DELETE", f"{CONTACTS}/{second}")
    assert crm.post(f"{CONTACTS}/gdpr-delete", {"objectId": "a@example.com", "idProperty": "email"}).status == 204
    assert crm.post(f"{CONTACTS}/gdpr-delete", {"objectId": second}).status == 204
    assert crm.get(CONTACTS).body["results"] == crm.get(f"{CONTACTS}?archived=true").body["results"] == []
    assert {crm.get(f"{CONTACTS}/{each}").status for each in (first, second)} == {404}


def test_merged_records_answer_under_a_new_id(crm: Client) -> None:
    a = crm.create(email="a@example.com", city="Kiel", lifecyclestage="lead")
    b = crm.create(email="b@example.com", city="Bonn", phone="1", lifecyclestage="customer")
    call = crm.post("/crm/v3/objects/calls", _call_with(b)).body["id"]
    merged = crm.post(f"{CONTACTS}/merge", {"primaryObjectId": a, "objectIdToMerge": b})
    new = merged.body["id"]
    assert (merged.status, new in (a, b)) == (200, False)
    assert [crm.get(f"{CONTACTS}/{each}").body["id"] for each in (a, b, new)] == [new] * 3
    found = crm.properties(
        new, "email", "city", "phone", "lifecyclestage", "hs_merged_object_ids", "hs_all_contact_vids"
    )
    assert found == {"email": "a@example.com", "city": "Kiel", "phone": "1", "lifecyclestage": "customer",
                     "hs_merged_object_ids": f"{a};{b}", "hs_all_contact_vids": f"{new};{a};{b}"}  # fmt: skip
    assert [each["id"] for each in crm.get(CONTACTS).body["results"]] == [new]
    both = crm.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": a}, {"id": b}]})
    assert (both.status, [each["id"] for each in both.body["results"]]) == (200, [new])
    assert crm.ask("PATCH", f"{CONTACTS}/{a}", {"properties": {"city": "Rom"}}).body["id"] == new
    ties = crm.post("/crm/v4/associations/calls/contacts/batch/read", {"inputs": [{"id": call}]}).body["results"]
    assert [each["toObjectId"] for each in ties[0]["to"]] == [int(new)]


def _call_with(contact_id: str) -> object:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    return {
        "properties": {"hs_timestamp": "2026-01-01T00:00:00Z"},
        "associations": [{"to": {"id": contact_id}, "types": types}],
    }


def test_a_merge_may_keep_the_primarys_id(crm: Client) -> None:
    crm.control("manners", merge_keeps_primary_id=True)
    a, b = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    assert crm.post(f"{CONTACTS}/merge", {"primaryObjectId": a, "objectIdToMerge": b}).body["id"] == a
    assert crm.get(f"{CONTACTS}/{b}").body["id"] == a
    assert crm.post(f"{CONTACTS}/merge", {"primaryObjectId": a, "objectIdToMerge": b}).status == 400
    assert crm.post(f"{CONTACTS}/merge", {"primaryObjectId": a, "objectIdToMerge": "5"}).status == 404


def test_a_task_is_made_with_its_tie_and_lacks_nothing(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    body = {"properties": {"hs_task_subject": "Call"}, "associations": [{"to": {"id": contact}, "types": types}]}
    refused = crm.post("/crm/v3/objects/tasks", body)
    assert (refused.status, refused.body["context"]) == (400, {"properties": ["hs_timestamp"]})
    body["properties"] |= {"hs_timestamp": "1767225600000"}  # type: ignore[operator]
    made = crm.post("/crm/v3/objects/tasks", body)
    assert made.status == 201
    found = crm.get(f"/crm/v3/objects/tasks/{made.body['id']}?associations=contacts").body
    assert found["associations"] == {"contacts": {"results": [{"id": contact, "type": "task_to_contact"}]}}


@pytest.mark.parametrize(("to", "type_id"), [("5", 204), (None, 194)])
def test_a_new_record_with_a_bad_tie_is_not_made(crm: Client, to: str | None, type_id: int) -> None:
    to = to or crm.create(email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
    body = {"properties": {"hs_timestamp": "1767225600000"}, "associations": [{"to": {"id": to}, "types": types}]}
    assert crm.post("/crm/v3/objects/tasks", body).status == 400
    assert crm.get("/crm/v3/objects/tasks").body["results"] == []


def test_a_logged_call_is_counted_on_its_contact(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    assert crm.post("/crm/v3/objects/calls", _call_with(contact)).status == 201
    assert crm.properties(contact, "num_notes", "num_contacted_notes", "notes_last_contacted") == {
        "num_notes": "1", "num_contacted_notes": "1", "notes_last_contacted": "2026-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"{", b"[1", b'"text"', b'{"properties": []}', b'{"properties": {"city": {}}}'])
def test_a_body_that_is_no_proper_json_is_refused(crm: Client, body: bytes) -> None:
    assert crm.ask("POST", CONTACTS, body).status == 400
