"""The recycle bin, the law's eraser, and what becomes of ties."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from connectors.emulators.hubspot.catalog import OBJECT_TYPES
from tests.connectors.emulators.hubspot.portals import Client, load_contacts

CONTACTS = "/crm/v3/objects/contacts"
DAY_S = 86_400
KINDS = [kind.plural for kind in OBJECT_TYPES]


def ids_of(crm: Client, kind: str, query: str = "") -> list[str]:
    return [each["id"] for each in crm.get(f"/crm/v3/objects/{kind}{query}").body["results"]]


def ties_of(crm: Client, here: str, record_id: str, there: str) -> list[int]:
    found = crm.post(f"/crm/v4/associations/{here}/{there}/batch/read", {"inputs": [{"id": record_id}]}).body["results"]
    return [tie["toObjectId"] for each in found for tie in each["to"]]


def a_call_with(crm: Client, contact: str) -> str:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    ties = [{"to": {"id": contact}, "types": types}]
    body = {"properties": {"hs_timestamp": "1767225600000"}, "associations": ties}
    made: str = crm.post("/crm/v3/objects/calls", body).body["id"]
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("area", ["/crm/v3/objects", "/crm/objects/2026-09"])
def test_every_kind_shows_its_archived_records_in_all_three_reads(crm: Client, area: str, kind: str) -> None:
    (record_id,) = crm.control("load", objects={kind: [{"properties": {}}]})["ids"][kind]
    assert crm.ask("DELETE", f"{area}/{kind}/{record_id}").status == 204
    listed = crm.get(f"{area}/{kind}?archived=true").body["results"]
    alone = crm.get(f"{area}/{kind}/{record_id}?archived=true").body
    batch = crm.post(f"{area}/{kind}/batch/read?archived=true", {"inputs": [{"id": record_id}, {"id": "5"}]})
    assert listed == [alone] == batch.body["results"]
    archived, updated = (datetime.fromisoformat(alone[each]) for each in ("archivedAt", "updatedAt"))
    assert (alone["archived"], archived >= updated) == (True, True)
    assert (batch.status, batch.body["errors"][0]["context"]["ids"]) == (207, ["5"])
    assert crm.get(f"{area}/{kind}/{record_id}").status == 404
    assert crm.post(f"{area}/{kind}/batch/read", {"inputs": [{"id": record_id}]}).body["numErrors"] == 1


def test_after_90_days_an_archived_record_is_gone_from_all_three_reads_and_cannot_be_restored(crm: Client) -> None:
    old, young = load_contacts(crm, 2)
    crm.ask("DELETE", f"{CONTACTS}/{old}")
    crm.control("clock", advance_s=89 * DAY_S)
    crm.ask("DELETE", f"{CONTACTS}/{young}")
    assert ids_of(crm, "contacts", "?archived=true") == [old, young]
    crm.control("clock", advance_s=1.5 * DAY_S)
    both = {"inputs": [{"id": old}, {"id": young}]}
    assert [each["id"] for each in crm.post(f"{CONTACTS}/batch/read?archived=true", both).body["results"]] == [young]
    assert crm.get(f"{CONTACTS}/{old}?archived=true").status == 404
    assert ids_of(crm, "contacts", "?archived=true") == [young]
    assert crm.post("/_emulator/restore", {"id": old}).status == 404
    assert crm.post("/_emulator/restore", {"id": young}).status == 200


def test_a_record_archived_again_after_a_restore_stays_its_whole_90_days(crm: Client) -> None:
    (contact,) = load_contacts(crm, 1)
    crm.ask("DELETE", f"{CONTACTS}/{contact}")
    crm.control("clock", advance_s=60 * DAY_S)
    crm.control("restore", id=contact)
    crm.ask("DELETE", f"{CONTACTS}/{contact}")
    crm.control("clock", advance_s=60 * DAY_S)
    assert ids_of(crm, "contacts", "?archived=true") == [contact]


def test_the_archived_list_pages_by_id_and_is_filled_by_loads_with_a_date(crm: Client) -> None:
    now_ms = crm.control("clock", advance_s=0)["now_ms"]
    rows: list[Any] = [{"properties": {}, "archivedAt": now_ms - days * DAY_S * 1000} for days in (1, 100, 2, 3)]
    ids = crm.control("load", objects={"notes": rows})["ids"]["notes"]
    first = crm.get("/crm/v3/objects/notes?archived=true&limit=2").body
    assert [each["id"] for each in first["results"]] == [ids[0], ids[2]]
    assert first["paging"]["next"]["after"] == ids[3]
    assert ids_of(crm, "notes", f"?archived=true&limit=2&after={ids[3]}") == [ids[3]]
    assert ids_of(crm, "notes") == []


def test_an_archived_contact_is_found_by_its_email_only_when_archived_ones_are_asked_for(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    crm.ask("DELETE", f"{CONTACTS}/{contact}")
    assert crm.get(f"{CONTACTS}/a@example.com?idProperty=email").status == 404
    assert crm.get(f"{CONTACTS}/a@example.com?idProperty=email&archived=true").body["id"] == contact
    batch = {"inputs": [{"id": "a@example.com"}], "idProperty": "email"}
    assert crm.post(f"{CONTACTS}/batch/read?archived=true", batch).body["results"][0]["id"] == contact


def test_any_id_may_be_given_as_after_and_the_list_goes_on_from_there(crm: Client) -> None:
    rows: list[Any] = [{"id": each, "properties": {}} for each in (100, 200, 300)]
    crm.control("load", objects={"contacts": rows})
    assert ids_of(crm, "contacts", "?after=101") == ["200", "300"]
    assert ids_of(crm, "contacts", "?after=200") == ["200", "300"]
    assert ids_of(crm, "contacts", "?after=301") == []


@pytest.mark.parametrize("area", ["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"])
def test_an_erased_contact_is_nowhere_and_cannot_come_back(crm: Client, area: str) -> None:
    contact = crm.create(email="a@example.com")
    call = a_call_with(crm, contact)
    if area.endswith("09"):
        crm.ask("DELETE", f"{CONTACTS}/{contact}")
    assert crm.post(f"{area}/contacts/gdpr-delete", {"objectId": contact}).status == 204
    assert ids_of(crm, "contacts") == ids_of(crm, "contacts", "?archived=true") == []
    assert crm.post(f"{CONTACTS}/search").body["total"] == 0
    assert crm.post("/_emulator/restore", {"id": contact}).status == 404
    assert (ids_of(crm, "calls"), ties_of(crm, "calls", call, "contacts")) == ([call], [])


def test_what_an_erased_contact_did_is_erased_too(crm: Client) -> None:
    crm.control("manners", tier="enterprise")
    crm.control("load", forms=[{"id": "f1"}])
    contact, other = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    for address in ("a@example.com", "b@example.com"):
        crm.control("submit", form="f1", values={"email": address})
        crm.control("email-event", recipient=address, type="OPEN")
        crm.control("event", email=address, eventType="e_visited_page")
    crm.post(f"{CONTACTS}/gdpr-delete", {"objectId": contact})
    submissions = crm.get("/form-integrations/v1/submissions/forms/f1").body["results"]
    assert [each["values"][0]["value"] for each in submissions] == ["b@example.com"]
    events = crm.get("/email/public/v1/events").body["events"]
    assert [each["recipient"] for each in events] == ["b@example.com"]
    assert [each["objectId"] for each in crm.get("/events/v3/events").body["results"]] == [other]


def test_ties_of_an_archived_record_are_hidden_and_come_back_with_it(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    call = a_call_with(crm, contact)
    crm.ask("DELETE", f"{CONTACTS}/{contact}")
    assert (ties_of(crm, "calls", call, "contacts"), ties_of(crm, "contacts", contact, "calls")) == ([], [])
    crm.control("restore", id=contact)
    assert ties_of(crm, "calls", call, "contacts") == [int(contact)]


@pytest.mark.parametrize("touches", [True, False])
def test_tying_and_untying_an_activity_may_or_may_not_change_its_modified_time(crm: Client, touches: bool) -> None:
    crm.control("manners", ties_touch=touches)
    first, second = load_contacts(crm, 2)
    call = a_call_with(crm, first)

    def modified() -> Any:
        found = crm.get(f"/crm/v3/objects/calls/{call}").body
        assert found["properties"]["hs_lastmodifieddate"] == found["updatedAt"]
        return found["updatedAt"]

    seen = [modified()]
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    tie = {"from": {"id": call}, "to": {"id": second}, "types": types}
    untie = {"from": {"id": call}, "to": [{"id": first}]}
    for path, given in (("create", tie), ("create", tie), ("archive", untie), ("archive", untie)):
        crm.control("clock", advance_s=10)
        assert crm.post(f"/crm/v4/associations/calls/contacts/batch/{path}", {"inputs": [given]}).status < 300
        seen.append(modified())
    moved = [after > before for before, after in pairwise(seen)]
    assert moved == ([True, False, True, False] if touches else [False] * 4)
    assert ties_of(crm, "calls", call, "contacts") == [int(second)]
