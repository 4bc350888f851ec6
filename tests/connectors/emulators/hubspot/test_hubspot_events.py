"""Event occurrences, for Enterprise portals."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.emulators.hubspot import Manners, Portal
from tests.connectors.emulators.hubspot.portals import Client, recorded, served

EVENTS = "/events/event-occurrences/2026-09"
JANUARY_MS = 1767225600000
HOUR_MS = 3_600_000


@pytest.fixture
def crm() -> Iterator[Client]:
    with served(Portal(limits=None, manners=Manners(index_lag_s=0, tier="enterprise"))) as client:
        yield client


def visit(crm: Client, contact: str, *hours: int, **more: Any) -> None:
    rows = [
        {"objectId": contact, "eventType": "e_visited_page", "at_ms": JANUARY_MS + at * HOUR_MS, **more} for at in hours
    ]
    crm.control("load", events=rows)


def hours(crm: Client, query: str, path: str = EVENTS) -> list[str]:
    reply = crm.get(f"{path}?{query}")
    assert reply.status == 200, reply.body
    return [each["occurredAt"][11:13] for each in reply.body["results"]]


@pytest.mark.parametrize("path", ["/events/v3/events", "/events/v3/events/", EVENTS])
def test_events_of_one_contact_come_oldest_first_unless_asked_otherwise(crm: Client, path: str) -> None:
    one, other = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    visit(crm, one, 3, 1, 2)
    visit(crm, other, 7)
    assert hours(crm, f"objectType=contact&objectId={one}", path) == ["01", "02", "03"]
    assert hours(crm, f"objectType=0-1&objectId={one}&sort=DESCENDING", path) == ["03", "02", "01"]
    assert hours(crm, "objectType=contact&objectProperty.email=b@example.com", path) == ["07"]
    assert hours(crm, "objectType=contact", path) == ["01", "02", "03", "07"]
    assert hours(crm, "objectType=deal", path) == []


def test_pages_follow_each_other_in_both_directions_of_time(crm: Client) -> None:
    visit(crm, crm.create(), 1, 2, 2, 3, 4)
    for sort in ("ASCENDING", "DESCENDING"):
        seen, query = [], f"limit=2&sort={sort}"
        for _ in range(3):
            body = crm.get(f"{EVENTS}?{query}").body
            seen += [each["id"] for each in body["results"]]
            query = f"limit=2&sort={sort}&after={body['paging']['next']['after']}" if "paging" in body else ""
        assert (len(seen), len(set(seen)), query) == (5, 5, "")


def test_a_span_of_time_excludes_both_its_ends(crm: Client) -> None:
    visit(crm, crm.create(), 1, 2, 3, 4)
    between = "occurredAfter=2026-01-01T01:00:00Z&occurredBefore=2026-01-01T04:00:00"
    assert hours(crm, f"{between}.000Z") == ["02", "03"]
    assert hours(crm, f"{between}.001Z") == ["02", "03", "04"]
    assert crm.get(f"{EVENTS}?occurredAfter=soon").status == 400


def test_events_are_chosen_by_type_and_id_and_show_the_properties_asked_for(crm: Client) -> None:
    contact = crm.create()
    visit(crm, contact, 1, properties={"hs_url": "https://example.com/", "hs_title": "Home"})
    visit(crm, contact, 2, eventType="pe1_opened_app", id="mine")
    assert hours(crm, "eventType=pe1_opened_app") == ["02"]
    assert hours(crm, "eventType=pe1_opened_app&id=mine") == ["02"]
    assert hours(crm, "eventType=pe1_opened_app&id=other") == []
    assert crm.get(f"{EVENTS}?id=mine").status == 400
    shown = crm.get(f"{EVENTS}?eventType=e_visited_page&properties=hs_title").body["results"][0]["properties"]
    assert shown == {"hs_title": "Home"}
    names = crm.get(f"{EVENTS}/event-types").body["eventTypes"]
    assert ("e_visited_page" in names, "pe1_opened_app" in names) == (True, True)


def test_an_object_id_without_its_type_is_refused(crm: Client) -> None:
    assert crm.get(f"{EVENTS}?objectId=5").status == 400
    assert crm.post("/_emulator/event", {"objectId": "5", "eventType": "e_visited_page"}).status == 404


def test_events_of_a_merged_contact_are_those_of_both(crm: Client) -> None:
    one, other = crm.create(email="a@example.com"), crm.create(email="b@example.com")
    visit(crm, one, 1)
    visit(crm, other, 2)
    merged = crm.post("/crm/v3/objects/contacts/merge", {"primaryObjectId": one, "objectIdToMerge": other}).body["id"]
    found = crm.get(f"{EVENTS}?objectType=contact&objectId={one}").body["results"]
    assert [each["objectId"] for each in found] == [merged, merged]
    assert [each["objectId"] for each in crm.get(EVENTS).body["results"]] == [merged, merged]


def test_a_lesser_portal_is_refused_as_if_it_lacked_a_scope(crm: Client) -> None:
    crm.control("manners", tier="professional")
    for path in (EVENTS, "/events/v3/events", f"{EVENTS}/event-types"):
        refused = crm.get(path)
        assert (refused.status, refused.body["category"]) == (403, "MISSING_SCOPES")


def test_a_visit_looks_like_the_recorded_ones(crm: Client) -> None:
    real = recorded("test/read/events/e_visited_page.json")["results"][0]
    contact = crm.create(email="a@example.com")
    crm.control("event", email="a@example.com", eventType="e_visited_page", properties=real["properties"])
    ours = crm.get(EVENTS).body["results"][0]
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in real.items()}
    assert (ours["objectType"], ours["objectId"], ours["properties"]) == ("CONTACT", contact, real["properties"])
