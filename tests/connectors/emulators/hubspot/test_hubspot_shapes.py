"""The emulator's answers have the keys and types of answers that real portals gave: every recorded file is asked for.

The recordings are looked at, never copied; without them the tests are skipped.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import RECORDED, Client, load_contacts, recorded

CONTACTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"
CAMPAIGNS = "/marketing/campaigns/2026-03"
GUIDS = [f"{each}30318c4-abb7-4bf7-a75e-9c5fa8f475a6" for each in (1, 2, 3)]

# Maps whose keys are names of the portal's own: each value is held against every recorded one.
MAPS = frozenset({"assets", "properties", "additionalProperties"})
# What the emulator shows beyond a recording, where the recording was shortened or is older.
BEYOND = frozenset({"url", "referencedObjectType", "fields"})


def mismatches(ours: Any, real: list[Any], where: str = "") -> list[str]:
    """Where an answer is unlike every recorded value at its place: keys missing or unknown, types never seen."""
    if isinstance(ours, dict):
        return _of_a_dict(ours, [each for each in real if isinstance(each, dict)], where)
    if isinstance(ours, list):
        lists = [each for each in real if isinstance(each, list)]
        entries = [entry for each in lists for entry in each]
        if not lists:
            return [f"{where} is a list"]
        return [found for entry in ours if entries for found in mismatches(entry, entries, f"{where}[]")]
    seen = {type(each) for each in real}
    fits = type(ours) in seen or seen == {type(None)} or (ours is None and where.startswith(".results[].properties"))
    return [] if fits else [f"{where} is {ours!r}, not one of {sorted(each.__name__ for each in seen)}"]


def _of_a_dict(ours: dict[str, Any], real: list[dict[str, Any]], where: str) -> list[str]:
    if not real:
        return [f"{where} is an object"]
    if where.rpartition(".")[2] in MAPS:
        values = [value for each in real for value in each.values()]
        return [found for value in ours.values() if values for found in mismatches(value, values, f"{where}.*")]
    known, always = set().union(*real), set.intersection(*map(set, real))
    found = [f"{where}.{key} was never recorded" for key in ours.keys() - known - BEYOND]
    found += [f"{where}.{key} is missing" for key in always - ours.keys() - BEYOND]
    for key in ours.keys() & known:
        found += mismatches(ours[key], [each[key] for each in real if key in each], f"{where}.{key}")
    return found


Request = Callable[[Client], Any]
"""Brings a portal into the recorded situation, sends the recorded request, and gives the body of the answer."""
REQUESTS: dict[str, Request] = {}


def covers(*names: str) -> Callable[[Request], Request]:
    """This request is the one that was answered by these recordings."""

    def note(request: Request) -> Request:
        REQUESTS.update(dict.fromkeys(names, request))
        return request

    return note


def recordings() -> list[str]:
    """The recorded files, by their paths."""
    return sorted(each.relative_to(RECORDED).as_posix() for each in RECORDED.rglob("*.json"))


def test_every_recording_has_its_request() -> None:
    if not RECORDED.is_dir():
        pytest.skip("no recordings")
    assert set(recordings()) == set(REQUESTS)


@pytest.mark.parametrize("name", recordings() or ["none"])
def test_the_answer_has_the_recorded_shape(crm: Client, name: str) -> None:
    real = recorded(name)
    ours = REQUESTS[name](crm)
    assert ours is not None
    if "payload" not in name:
        assert mismatches(ours, [real]) == []


def test_a_shape_that_differs_anywhere_is_noticed() -> None:
    real = {"results": [{"id": "1", "properties": {"a": None, "b": "x"}}, {"id": "2", "archived": False}], "total": 2}
    assert mismatches({"results": [{"id": "7", "properties": {"c": "y"}}], "total": 1}, [real]) == []
    unlike: list[Any] = [
        {"results": [{"id": "7"}, {"id": 8}], "total": 1},
        {"results": [{"id": "7", "extra": 1}], "total": 1},
        {"results": [{}], "total": 1},
        {"results": {"id": "7"}, "total": 1},
        {"results": []},
        {"results": [{"id": "7", "properties": {"c": 5}}], "total": 1},
    ]
    assert all(mismatches(ours, [real]) for ours in unlike)


def answered(reply: Any, status: int) -> Any:
    """The body of an answer that has the recorded status."""
    assert reply.status == status, reply.body
    return reply.body


@covers("test/read/objects-api/contacts-batch.json")
def batch_read(crm: Client) -> Any:
    inputs = [{"id": each} for each in load_contacts(crm, 2)]
    return answered(crm.post(f"{CONTACTS}/batch/read", {"inputs": inputs}), 200)


@covers("test/read/objects-api/contacts-response.json")
def listed(crm: Client) -> Any:
    load_contacts(crm, 4)
    return answered(crm.get(f"{CONTACTS}?limit=3&properties=email"), 200)


@covers(
    "test/read/objects-api/contacts-req-payload-since.json",
    "test/read/objects-api/contacts-req-payload-until.json",
    "test/read/objects-api/contacts-req-payload-since-until.json",
    "test/read-via-search/contacts-payload.json",
)
def payloads_of_searches(crm: Client) -> Any:
    load_contacts(crm, 2, updatedAt="2024-12-24T17:31:54.727Z")
    load_contacts(crm, 3, updatedAt="2026-05-06T19:26:18.036Z")
    for window, total in (("since", 5), ("until", 2), ("since-until", 2)):
        asked = recorded(f"test/read/objects-api/contacts-req-payload-{window}.json")
        assert answered(crm.post(f"{CONTACTS}/search", asked), 200)["total"] == total
    return answered(crm.post(f"{CONTACTS}/search", recorded("test/read-via-search/contacts-payload.json")), 200)


@covers("test/read-via-search/contacts-response.json")
def searched(crm: Client) -> Any:
    load_contacts(crm, 1)
    names = ["company", "email", "firstname", "lastname", "phone", "website"]
    return answered(crm.post(f"{CONTACTS}/search", {"properties": names}), 200)


def search_page(crm: Client, after: int) -> Any:
    load_contacts(crm, 3)
    names = ["company", "email", "firstname", "lastname", "phone", "website"]
    return answered(crm.post(f"{CONTACTS}/search", {"limit": 1, "properties": names, "after": after}), 200)


@covers("test/search/contacts/1-first-page.json")
def first_search_page(crm: Client) -> Any:
    return search_page(crm, 0)


@covers("test/search/contacts/2-second-page.json")
def last_search_page(crm: Client) -> Any:
    return search_page(crm, 2)


@covers("test/search/error-invalid-object.json")
def search_of_an_unknown_kind(crm: Client) -> Any:
    return answered(crm.post("/crm/v3/objects/butterflies/search"), 400)


@covers("test/search/contacts/contacts-to-companies.json")
def ties_read(crm: Client) -> Any:
    tied, untied, company = crm.create(email="tied@example.com"), crm.create(), crm.create("companies", name="A")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": each} for each in (1, 279)]
    pair = {"from": {"id": tied}, "to": {"id": company}, "types": types}
    answered(crm.post("/crm/v4/associations/contacts/companies/batch/create", {"inputs": [pair]}), 201)
    inputs = [{"id": tied}, {"id": untied}]
    return answered(crm.post("/crm/v4/associations/contacts/companies/batch/read", {"inputs": inputs}), 207)


@covers("internal/associations/test/contact-to-company-resp.json")
def ties_made(crm: Client) -> Any:
    one, other = crm.create(email="a@example.com"), crm.create("companies", name="A")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
    pair = {"from": {"id": one}, "to": {"id": other}, "types": types}
    return answered(crm.post("/crm/v4/associations/contacts/companies/batch/create", {"inputs": [pair]}), 201)


@covers("internal/associations/test/err-contact-to-contact.json")
def ties_refused(crm: Client) -> Any:
    me = crm.create(email="a@example.com")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 449}]
    inputs = [{"from": {"id": me}, "to": {"id": other}, "types": types} for other in ("unknown_id_123456798", me)]
    return answered(crm.post("/crm/v4/associations/contacts/contacts/batch/create", {"inputs": inputs}), 207)


@covers("internal/associations/test/contacts-schema-resp.json")
def schema_of_contacts(crm: Client) -> Any:
    return answered(crm.get("/crm-object-schemas/v3/schemas/contacts"), 200)


UNKNOWN = {"first000name": "a", "last000name": "b"}


@covers("test/batch/update/contacts/err-many-invalid-properties.json")
def update_of_unknown_fields(crm: Client) -> Any:
    inputs = [{"id": each, "properties": UNKNOWN} for each in load_contacts(crm, 2)]
    return answered(crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs}), 400)


@covers("test/batch/create/contacts/err-many-invalid-properties.json")
def create_with_unknown_fields(crm: Client) -> Any:
    return answered(crm.post(f"{CONTACTS}/batch/create", {"inputs": [{"properties": UNKNOWN}] * 2}), 400)


@covers("test/batch/update/contacts/err-duplicate-ids.json")
def update_of_one_twice(crm: Client) -> Any:
    inputs = [{"id": "123456", "properties": {"city": "Kiel"}}] * 2
    return answered(crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs}), 400)


@covers("test/batch/update/contacts/success.json")
def update(crm: Client) -> Any:
    inputs = [
        {"id": crm.create(firstname=name), "properties": {"firstname": f"{name} (updated)", "lastname": "(updated)"}}
        for name in ("Markus", "Siena")
    ]
    return answered(crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs}), 200)


@covers("test/batch/update/contacts/err-partial-success.json")
def update_of_one_that_is_gone(crm: Client) -> Any:
    inputs = [
        {"id": crm.create(firstname="Siena"), "properties": {"firstname": "Siena (updated)"}},
        {"id": "unknownIdentifier888", "properties": {"firstname": "Nobody"}},
    ]
    return answered(crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs}), 207)


@covers("test/batch/create/contacts/success.json")
def create(crm: Client) -> Any:
    inputs = [
        {"properties": {"email": f"{name}@hubspot.com", "firstname": name, "lastname": "Skinner"}}
        for name in ("lily", "markus")
    ]
    return answered(crm.post(f"{CONTACTS}/batch/create", {"inputs": inputs}), 201)


def create_one_that_exists(crm: Client, traces: bool) -> Any:
    crm.create(email="a@example.com")
    inputs = [
        {"properties": {"email": email}} | ({"objectWriteTraceId": str(at)} if traces else {})
        for at, email in enumerate(("a@example.com", "b@example.com"))
    ]
    return answered(crm.post(f"{CONTACTS}/batch/create", {"inputs": inputs}), 207 if traces else 409)


@covers("test/batch/create/contacts/err-conflict.json")
def conflict(crm: Client) -> Any:
    return create_one_that_exists(crm, traces=False)


@covers("test/batch/create/contacts/err-partial-success.json")
def conflict_of_one(crm: Client) -> Any:
    return create_one_that_exists(crm, traces=True)


@covers("test/metadata-contacts-properties-sampled.json")
def fields(crm: Client) -> Any:
    return answered(crm.get(PROPERTIES), 200)


@covers("test/metadata-deals-properties-sampled.json")
def fields_of_deals(crm: Client) -> Any:
    found = answered(crm.get("/crm/v3/properties/deals"), 200)["results"]
    return {"results": [each for each in found if each["name"] in ("pipeline", "dealstage")]}


@covers("test/metadata-contacts-external-pipelines.json")
def lifecycle_pipeline(crm: Client) -> Any:
    return answered(crm.get("/crm/v3/pipelines/contacts"), 200)


@covers("test/metadata-deals-external-pipelines.json")
def deal_pipeline(crm: Client) -> Any:
    return answered(crm.get("/crm/v3/pipelines/deals"), 200)


@covers("test/metadata-err-schemas-scope.json")
def missing_scope(crm: Client) -> Any:
    crm.control("tokens", add="narrow", scopes=["crm.objects.owners.read"])
    narrow = Client(crm.url, "narrow")
    reply = narrow.get(CONTACTS)
    narrow.close()
    return answered(reply, 403)


@covers("test/post-auth/account-info.json")
def account(crm: Client) -> Any:
    return answered(crm.get("/account-info/v3/details"), 200)


def payload(name: str) -> Any:
    return recorded(f"test/custom/{name}.json")


@covers(
    "test/custom/create/1-payload-create-property-group.json",
    "test/custom/create/2-response-create-property-group.json",
)
def make_group(crm: Client) -> Any:
    return answered(crm.post(f"{PROPERTIES}/groups", payload("create/1-payload-create-property-group")), 201)


@covers("test/custom/update/1-read-property-group.json")
def read_group(crm: Client) -> Any:
    name = make_group(crm)["name"]
    return answered(crm.get(f"{PROPERTIES}/groups/{name}"), 200)


@covers(
    "test/custom/create/3-payload-batch-create-properties.json",
    "test/custom/create/4-response-batch-create-properties.json",
)
def make_fields(crm: Client) -> Any:
    make_group(crm)
    return answered(crm.post(f"{PROPERTIES}/batch/create", payload("create/3-payload-batch-create-properties")), 201)


@covers(
    "test/custom/update/2-payload-batch-create-properties.json",
    "test/custom/update/3-response-batch-create-properties.json",
)
def make_fields_that_exist(crm: Client) -> Any:
    make_fields(crm)
    return answered(crm.post(f"{PROPERTIES}/batch/create", payload("update/2-payload-batch-create-properties")), 207)


def change_field(crm: Client, name: str, sent: str) -> Any:
    make_fields(crm)
    return answered(crm.ask("PATCH", f"{PROPERTIES}/{name}", payload(sent)), 200)


@covers(
    "test/custom/update/4-payload-update-property-age.json", "test/custom/update/5-response-update-property-age.json"
)
def change_a_number(crm: Client) -> Any:
    return change_field(crm, "age__c", "update/4-payload-update-property-age")


@covers(
    "test/custom/update/6-payload-update-property-interests.json",
    "test/custom/update/7-response-update-property-interests.json",
)
def change_a_choice(crm: Client) -> Any:
    return change_field(crm, "interests__c", "update/6-payload-update-property-interests")


def events(crm: Client, kind: str, record: str, event: str, count: int) -> Any:
    crm.control("manners", tier="enterprise")
    for at in range(1, count + 1):
        crm.control("event", objectType=kind, objectId=record, eventType=event, at_ms=at, properties={"hs_url": "x"})
    return answered(crm.get(f"/events/event-occurrences/2026-03/?eventType={event}&limit=1"), 200)


@covers("test/read/events/e_visited_page.json")
def page_visits(crm: Client) -> Any:
    return events(crm, "contacts", crm.create(), "e_visited_page", 1)


@covers("test/read/events/e_deal_closed.json")
def closed_deals(crm: Client) -> Any:
    return events(crm, "deals", crm.create("deals", dealname="D", dealstage="closedwon"), "e_deal_closed", 2)


@covers("test/read/marketing-forms.json")
def forms(crm: Client) -> Any:
    crm.control("load", forms=[{"id": guid, "name": "F"} for guid in GUIDS])
    return answered(crm.get("/marketing/forms/2026-09-beta?limit=1"), 200)


def campaigns(crm: Client) -> None:
    assets = {"MARKETING_EMAIL": [{"id": "4", "name": "Two"}, {"id": "5", "name": "One"}]}
    rows = [
        {"id": guid, "properties": {"hs_name": "C", "hs_notes": "N"}, "assets": assets, "contacts": ["501"]}
        for guid in GUIDS
    ]
    crm.control("load", library={"campaigns": rows})


@covers("test/read/campaigns/1-first-page.json")
def first_campaigns(crm: Client) -> Any:
    campaigns(crm)
    return answered(crm.get(f"{CAMPAIGNS}?limit=2&sort=-updatedAt&properties=hs_name,hs_notes"), 200)


@covers("test/read/campaigns/2-last-page.json", "test/read-via-search/campaigns-response.json")
def last_campaigns(crm: Client) -> Any:
    cursor = first_campaigns(crm)["paging"]["next"]["after"]
    return answered(crm.get(f"{CAMPAIGNS}?limit=2&sort=-updatedAt&properties=hs_name&after={cursor}"), 200)


@covers("test/batch/read/campaigns/ok-200.json")
def campaigns_in_batch(crm: Client) -> Any:
    campaigns(crm)
    asked = {"inputs": [{"id": each} for each in GUIDS], "properties": ["hs_name"]}
    return answered(crm.post(f"{CAMPAIGNS}/batch/read", asked), 200)


@covers("test/batch/read/campaigns/multi-207.json")
def campaigns_and_one_that_is_none(crm: Client) -> Any:
    campaigns(crm)
    asked = {"inputs": [{"id": GUIDS[0]}, {"id": "430318c4-abb7-4bf7-a75ee-9c5fa8f475a6"}]}
    return answered(crm.post(f"{CAMPAIGNS}/batch/read", asked), 207)


@covers("test/read/campaigns/marketing-email-assets-2-page.json")
def assets_of_a_campaign(crm: Client) -> Any:
    campaigns(crm)
    return answered(crm.get(f"{CAMPAIGNS}/{GUIDS[0]}/assets/MARKETING_EMAIL"), 200)


@covers("test/read/campaigns/influenced-contacts.json")
def contacts_of_a_campaign(crm: Client) -> Any:
    campaigns(crm)
    return answered(crm.get(f"{CAMPAIGNS}/{GUIDS[0]}/reports/contacts/influencedContacts"), 200)


def library(crm: Client, kind: str, *entries: dict[str, Any]) -> None:
    crm.control("load", library={kind: entries})


@covers("test/read/marketing-emails/1-first-page.json")
def first_marketing_emails(crm: Client) -> Any:
    library(crm, "marketing-emails", *[{"name": "M", "sendOnPublish": True}] * 3)
    return answered(crm.get("/marketing/emails/2026-03?limit=2&sort=-updatedAt"), 200)


@covers("test/read/marketing-emails/2-last-page.json")
def last_marketing_emails(crm: Client) -> Any:
    sent = {"allEmailCampaignIds": ["1"], "emailCampaignGroupId": "2", "primaryEmailCampaignId": "1"}
    published = {"publishedAt": "2026-01-01T00:00:00Z", "publishedById": "1", "publishedByName": "A"}
    library(crm, "marketing-emails", sent | published)
    return answered(crm.get("/marketing/v3/emails"), 200)


@covers("test/read/marketing-events.json")
def marketing_events(crm: Client) -> Any:
    library(crm, "marketing-events", {"eventName": "Party"}, {"eventName": "Fair"})
    return answered(crm.get("/marketing/marketing-events/2026-03?limit=1"), 200)


@covers("test/read/meeting-links.json")
def meeting_links(crm: Client) -> Any:
    library(crm, "meeting-links", {"userIdsOfLinkMembers": ["1"]}, {"name": "Other"})
    return answered(crm.get("/scheduler/2026-03/meetings/meeting-links?limit=1"), 200)


def lists(crm: Client, offset: int) -> Any:
    library(crm, "lists", *({"name": name} for name in ("Customers", "Newsletter", "Partners")))
    return answered(crm.post("/crm/v3/lists/search", {"offset": offset, "count": 2}), 200)


@covers("test/read-lists-1-first-page.json")
def first_lists(crm: Client) -> Any:
    return lists(crm, 0)


@covers("test/read-lists-2-second-page.json")
def last_lists(crm: Client) -> Any:
    found = lists(crm, 2)
    assert (found["hasMore"], found["offset"], found["total"], len(found["lists"])) == (False, 3, 3, 1)
    return found


def assert_words(ours: Any, real: Any, *but: str) -> None:
    """An error or envelope says exactly what was recorded, but for these keys."""
    ours, real = ({key: value for key, value in each.items() if key not in but} for each in (ours, real))
    assert ours == real


def test_error_bodies_say_what_was_recorded(crm: Client) -> None:
    for name in (
        "test/search/error-invalid-object.json",
        "test/batch/update/contacts/err-duplicate-ids.json",
        "test/batch/create/contacts/err-conflict.json",
    ):
        assert_words(REQUESTS[name](crm), recorded(name), "correlationId")


def test_unknown_fields_are_refused_in_the_recorded_words(crm: Client) -> None:
    for name in ("update", "create"):
        real = recorded(f"test/batch/{name}/contacts/err-many-invalid-properties.json")
        ours = REQUESTS[f"test/batch/{name}/contacts/err-many-invalid-properties.json"](crm)
        assert ours["message"] == real["message"]
        assert ours["errors"][:3] == real["errors"][:3]


def test_batches_report_lost_ones_in_the_recorded_words(crm: Client) -> None:
    real = recorded("test/batch/update/contacts/err-partial-success.json")
    ours = update_of_one_that_is_gone(crm)
    assert ours["errors"] == real["errors"]
    assert set(ours["results"][0]["properties"]) == set(real["results"][0]["properties"]) - {"lastname"}
    real = recorded("internal/associations/test/err-contact-to-contact.json")
    assert ties_refused(crm)["errors"][0] == real["errors"][0]
    real = recorded("test/search/contacts/contacts-to-companies.json")
    assert ties_read(crm)["results"][0]["to"][0]["associationTypes"] == real["results"][0]["to"][0]["associationTypes"]


def test_a_conflict_fails_all_without_trace_ids_and_one_with_them(crm: Client) -> None:
    conflict(crm)
    assert crm.post(f"{CONTACTS}/search").body["total"] == 1


def test_a_conflict_with_a_trace_id_names_it_and_the_record_that_is_there(crm: Client) -> None:
    ours = conflict_of_one(crm)
    held = crm.get(f"{CONTACTS}/a@example.com?idProperty=email").body["id"]
    assert ours["errors"][0]["context"] == {"objectWriteTraceId": ["0"], "existingId": [held]}


def test_reads_show_the_recorded_properties_and_no_others(crm: Client) -> None:
    for name, ours in (
        ("test/read/objects-api/contacts-batch.json", batch_read(crm)),
        ("test/search/contacts/1-first-page.json", first_search_page(crm)),
    ):
        assert set(ours["results"][0]["properties"]) == set(recorded(name)["results"][0]["properties"])


def test_a_new_contact_gets_the_recorded_values(crm: Client) -> None:
    asked = {"properties": {"email": "lilyskinner@hubspot.com", "firstname": "Lily", "lastname": "Skinner"}}
    ours = crm.post(f"{CONTACTS}/batch/create", {"inputs": [asked]}).body["results"][0]["properties"]
    real = recorded("test/batch/create/contacts/success.json")["results"][0]["properties"]
    same = {"email", "hs_email_domain", "hs_full_name_or_email", "hs_object_source", "hs_pipeline", "lifecyclestage"}
    assert {name: ours[name] for name in same} == {name: real[name] for name in same}
    assert ours["hs_lifecyclestage_lead_date"].isdigit() is real["hs_lifecyclestage_lead_date"].isdigit() is True


def test_fields_are_defined_like_the_recorded_ones(crm: Client) -> None:
    real = {each["name"]: each for each in recorded("test/metadata-contacts-properties-sampled.json")["results"]}
    ours = {each["name"]: each for each in fields(crm)["results"]}
    for name in ("address", "mobilephone", "associatedcompanyid", "hubspotscore", "hs_pipeline"):
        for key in ("type", "fieldType", "groupName", "calculated", "externalOptions", "hubspotDefined"):
            assert ours[name][key] == real[name][key], (name, key)
        for key, value in ours[name]["modificationMetadata"].items():
            assert value == real[name]["modificationMetadata"][key]


def test_making_fields_twice_answers_like_the_recorded_portal(crm: Client) -> None:
    ours, real = make_fields_that_exist(crm), payload("update/3-response-batch-create-properties")
    assert (ours["results"], ours["errors"]) == (real["results"], real["errors"])


def test_new_fields_are_answered_like_the_recorded_ones(crm: Client) -> None:
    assert make_fields(crm)["results"] == payload("create/4-response-batch-create-properties")["results"]


def test_pipelines_are_the_recorded_ones(crm: Client) -> None:
    assert lifecycle_pipeline(crm) == recorded("test/metadata-contacts-external-pipelines.json")
    assert deal_pipeline(crm) == recorded("test/metadata-deals-external-pipelines.json")


def test_a_missing_scope_is_named(crm: Client) -> None:
    assert missing_scope(crm)["context"]["requiredGranularScopes"] == ["crm.objects.contacts.read"]


def test_the_library_has_what_was_loaded_and_nothing_of_another_kind(crm: Client) -> None:
    assert crm.post("/_emulator/load", {"library": {"poems": []}}).status == 400
    assert crm.get(CAMPAIGNS).body == {"total": 0, "results": []}
    assert crm.get(f"{CAMPAIGNS}?after=nonsense").status == 400
    assert crm.get(f"{CAMPAIGNS}/{GUIDS[0]}/assets/FORM").status == 404
    library(crm, "lists", {"name": "Customers"}, {"name": "Newsletter"})
    assert [each["name"] for each in crm.post("/crm/lists/2026-09/search", {"query": "news"}).body["lists"]] == [
        "Newsletter"
    ]
    assert crm.post("/crm/v3/lists/search", {"count": 501}).status == 400
