"""The emulator's answers have the keys and types of answers that real portals gave."""

from typing import Any

from tests.connectors.emulators.hubspot.portals import Client, load_contacts, recorded

CONTACTS = "/crm/v3/objects/contacts"


def shape(value: Any) -> Any:
    """Keys and types; a list is the shape of its first entry; values of `properties` and ids do not matter."""
    if isinstance(value, dict):
        return {key: "properties" if key == "properties" else shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def assert_same_shape(ours: Any, real: Any) -> None:
    assert shape(ours) == shape(real)


def test_a_batch_read_looks_like_the_recorded_one(crm: Client) -> None:
    ids = load_contacts(crm, 2)
    ours = crm.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": each} for each in ids]}).body
    real = recorded("test/read/objects-api/contacts-batch.json")
    assert_same_shape(ours, real)
    assert set(ours["results"][0]["properties"]) == set(real["results"][0]["properties"])


def test_a_search_page_looks_like_the_recorded_one(crm: Client) -> None:
    load_contacts(crm, 3)
    asked = {"limit": 1, "properties": ["company", "email", "firstname", "lastname", "phone", "website"]}
    ours = crm.post(f"{CONTACTS}/search", asked).body
    real = recorded("test/search/contacts/1-first-page.json")
    assert_same_shape(ours, real)
    assert set(ours["results"][0]["properties"]) == set(real["results"][0]["properties"])
    last = crm.post(f"{CONTACTS}/search", asked | {"after": 2}).body
    assert_same_shape(last, recorded("test/search/contacts/2-second-page.json"))


def test_the_payloads_that_real_clients_send_are_understood(crm: Client) -> None:
    load_contacts(crm, 2, updatedAt="2024-12-24T17:31:54.727Z")
    for name in ("since", "until", "since-until"):
        asked = recorded(f"test/read/objects-api/contacts-req-payload-{name}.json")
        assert crm.post(f"{CONTACTS}/search", asked).body["total"] == 2


def test_a_search_for_an_unknown_kind_fails_like_the_recorded_one(crm: Client) -> None:
    ours, real = crm.post("/crm/v3/objects/butterflies/search"), recorded("test/search/error-invalid-object.json")
    assert ours.status == 400
    assert_same_shape(ours.body, real)
    assert ours.body["message"] == real["message"]


def test_an_update_with_unknown_properties_fails_like_the_recorded_one(crm: Client) -> None:
    bad = {"first000name": "a", "last000name": "b"}
    inputs = [{"id": each, "properties": bad} for each in load_contacts(crm, 2)]
    ours = crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
    real = recorded("test/batch/update/contacts/err-many-invalid-properties.json")
    assert ours.status == 400
    assert_same_shape(ours.body, real)
    assert ours.body["message"] == real["message"]
    assert ours.body["errors"][:3] == real["errors"][:3]


def test_a_create_with_unknown_properties_fails_like_the_recorded_one(crm: Client) -> None:
    bad = {"properties": {"first000name": "a", "last000name": "b"}}
    ours = crm.post(f"{CONTACTS}/batch/create", {"inputs": [bad, bad]})
    real = recorded("test/batch/create/contacts/err-many-invalid-properties.json")
    assert ours.status == 400
    assert ours.body["message"] == real["message"]


def test_duplicate_ids_fail_like_the_recorded_ones(crm: Client) -> None:
    inputs = [{"id": "123456", "properties": {"city": "Kiel"}}] * 2
    ours = crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
    real = recorded("test/batch/update/contacts/err-duplicate-ids.json")
    assert ours.status == 400
    assert ours.body | {"correlationId": ""} == real | {"correlationId": ""}


def test_a_partly_successful_update_looks_like_the_recorded_one(crm: Client) -> None:
    inputs = [
        {"id": crm.create(firstname="Siena"), "properties": {"firstname": "Siena (updated)"}},
        {"id": "unknownIdentifier888", "properties": {"firstname": "Nobody"}},
    ]
    ours = crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
    real = recorded("test/batch/update/contacts/err-partial-success.json")
    assert ours.status == 207
    assert_same_shape(ours.body, real)
    assert ours.body["errors"] == real["errors"]
    lastname = {"lastname"}
    assert set(ours.body["results"][0]["properties"]) == set(real["results"][0]["properties"]) - lastname


def test_a_batch_create_looks_like_the_recorded_one(crm: Client) -> None:
    inputs = [{"properties": {"email": "lilyskinner@hubspot.com", "firstname": "Lily", "lastname": "Skinner"}}]
    ours, real = (
        crm.post(f"{CONTACTS}/batch/create", {"inputs": inputs}),
        recorded("test/batch/create/contacts/success.json"),
    )
    assert ours.status == 201
    assert_same_shape(ours.body, real)
    mine, theirs = ours.body["results"][0]["properties"], real["results"][0]["properties"]
    same = {"email", "hs_email_domain", "hs_full_name_or_email", "hs_object_source", "hs_pipeline", "lifecyclestage"}
    assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
    assert mine["hs_lifecyclestage_lead_date"].isdigit() is theirs["hs_lifecyclestage_lead_date"].isdigit() is True


def test_a_conflict_without_trace_ids_fails_the_batch_like_the_recorded_one(crm: Client) -> None:
    crm.create(email="a@example.com")
    inputs = [{"properties": {"email": each}} for each in ("a@example.com", "b@example.com")]
    ours = crm.post(f"{CONTACTS}/batch/create", {"inputs": inputs})
    real = recorded("test/batch/create/contacts/err-conflict.json")
    assert ours.status == 409
    assert ours.body | {"correlationId": ""} == real | {"correlationId": ""}
    assert crm.post(f"{CONTACTS}/search").body["total"] == 1


def test_a_conflict_with_trace_ids_fails_one_input_like_the_recorded_one(crm: Client) -> None:
    held = crm.create(email="a@example.com")
    inputs = [
        {"objectWriteTraceId": str(at), "properties": {"email": each}}
        for at, each in enumerate(("a@example.com", "b@example.com"))
    ]
    ours = crm.post(f"{CONTACTS}/batch/create", {"inputs": inputs})
    real = recorded("test/batch/create/contacts/err-partial-success.json")
    assert ours.status == 207
    assert_same_shape(ours.body, real)
    assert ours.body["errors"][0]["context"] == {"objectWriteTraceId": ["0"], "existingId": [held]}


def test_fields_are_shown_like_the_recorded_ones(crm: Client) -> None:
    real = {each["name"]: each for each in recorded("test/metadata-contacts-properties-sampled.json")["results"]}
    ours = {each["name"]: each for each in crm.get("/crm/v3/properties/contacts").body["results"]}
    for name in ("address", "mobilephone", "associatedcompanyid", "hubspotscore", "hs_pipeline"):
        differing = {"referencedObjectType"}
        assert set(shape(ours[name])) == set(shape(real[name])) - differing
        for key in ("type", "fieldType", "groupName", "calculated", "externalOptions", "hubspotDefined"):
            assert ours[name][key] == real[name][key], (name, key)
        for key, value in ours[name]["modificationMetadata"].items():
            assert value == real[name]["modificationMetadata"][key]


def test_making_fields_twice_answers_like_the_recorded_portal(crm: Client) -> None:
    group = crm.post(
        "/crm/v3/properties/contacts/groups", recorded("test/custom/create/1-payload-create-property-group.json")
    )
    assert group.status == 201
    assert_same_shape(group.body, recorded("test/custom/create/2-response-create-property-group.json"))
    first = crm.post(
        "/crm/v3/properties/contacts/batch/create",
        recorded("test/custom/create/3-payload-batch-create-properties.json"),
    )
    real = recorded("test/custom/create/4-response-batch-create-properties.json")
    assert first.status == 201
    assert first.body["results"] == real["results"]
    second = crm.post(
        "/crm/v3/properties/contacts/batch/create",
        recorded("test/custom/update/2-payload-batch-create-properties.json"),
    )
    real = recorded("test/custom/update/3-response-batch-create-properties.json")
    assert second.status == 207
    assert second.body["results"] == real["results"]
    assert second.body["errors"] == real["errors"]
    updated = crm.ask(
        "PATCH", "/crm/v3/properties/contacts/age__c", recorded("test/custom/update/4-payload-update-property-age.json")
    )
    assert_same_shape(updated.body, recorded("test/custom/update/5-response-update-property-age.json"))


def test_the_lifecycle_pipeline_is_the_recorded_one(crm: Client) -> None:
    real = recorded("test/metadata-contacts-external-pipelines.json")
    assert crm.get("/crm/v3/pipelines/contacts").body == real


def test_the_deal_pipeline_is_the_recorded_one(crm: Client) -> None:
    assert crm.get("/crm/v3/pipelines/deals").body == recorded("test/metadata-deals-external-pipelines.json")


def test_account_details_look_like_the_recorded_ones(crm: Client) -> None:
    real = recorded("test/post-auth/account-info.json")
    assert_same_shape(crm.get("/account-info/v3/details").body, real)


def test_a_missing_scope_is_reported_like_the_recorded_one(crm: Client) -> None:
    crm.control("tokens", add="narrow", scopes=["crm.objects.owners.read"])
    narrow = Client(crm.url, "narrow")
    ours, real = narrow.get(CONTACTS), recorded("test/metadata-err-schemas-scope.json")
    narrow.close()
    assert ours.status == 403
    assert_same_shape(ours.body, real)
    assert ours.body["context"]["requiredGranularScopes"] == ["crm.objects.contacts.read"]


def test_associations_read_in_batch_look_like_the_recorded_ones(crm: Client) -> None:
    tied, untied, company = (
        crm.create(email="a@example.com"),
        crm.create(email="b@example.com"),
        crm.create("companies", name="A"),
    )
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": each} for each in (1, 279)]
    pair = {"from": {"id": tied}, "to": {"id": company}, "types": types}
    made = crm.post("/crm/v4/associations/contacts/companies/batch/create", {"inputs": [pair]})
    assert made.status == 201
    real = recorded("internal/associations/test/contact-to-company-resp.json")
    assert set(shape(made.body)["results"][0]) == set(shape(real)["results"][0])
    assert type(made.body["results"][0]["toObjectId"]) is type(real["results"][0]["toObjectId"])
    ours = crm.post("/crm/v4/associations/contacts/companies/batch/read", {"inputs": [{"id": tied}, {"id": untied}]})
    real = recorded("test/search/contacts/contacts-to-companies.json")
    assert ours.status == 207
    assert_same_shape(ours.body, real)
    assert ours.body["results"][0]["to"][0]["associationTypes"] == real["results"][0]["to"][0]["associationTypes"]


def test_bad_ties_are_reported_like_the_recorded_ones(crm: Client) -> None:
    me = crm.create(email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 449}]
    inputs = [{"from": {"id": me}, "to": {"id": other}, "types": types} for other in ("unknown_id_123456798", me)]
    ours = crm.post("/crm/v4/associations/contacts/contacts/batch/create", {"inputs": inputs})
    real = recorded("internal/associations/test/err-contact-to-contact.json")
    assert ours.status == 207
    assert_same_shape(ours.body, real)
    assert ours.body["errors"][0] == real["errors"][0]
