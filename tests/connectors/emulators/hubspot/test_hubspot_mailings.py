"""The log of marketing e-mail events, and the counters on contacts that follow it."""

from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client

EVENTS = "/email/public/v1/events"
JANUARY_MS = 1767225600000
HOUR_MS = 3_600_000


def events(crm: Client, query: str = "") -> Any:
    reply = crm.get(f"{EVENTS}?{query}")
    assert reply.status == 200, reply.body
    return reply.body


def load(crm: Client, *hours: int, **more: Any) -> None:
    rows = [{"recipient": "a@example.com", "type": "OPEN", "at_ms": JANUARY_MS + at * HOUR_MS, **more} for at in hours]
    crm.control("load", emailEvents=rows)


def hours_of(body: Any) -> list[int]:
    return [(each["created"] - JANUARY_MS) // HOUR_MS for each in body["events"]]


def test_events_come_newest_first_and_page_by_an_opaque_offset(crm: Client) -> None:
    load(crm, 3, 1, 2, 2)
    first = events(crm, "limit=3")
    assert (hours_of(first), first["hasMore"]) == ([3, 2, 2], True)
    load(crm, 9)
    last = events(crm, f"limit=3&offset={first['offset']}")
    assert (hours_of(last), last["hasMore"]) == ([1], False)
    ids = [each["id"] for each in first["events"] + last["events"]]
    assert len(set(ids)) == 4


def test_the_window_includes_both_its_ends(crm: Client) -> None:
    load(crm, 1, 2, 3, 4)
    query = f"startTimestamp={JANUARY_MS + 2 * HOUR_MS}&endTimestamp={JANUARY_MS + 3 * HOUR_MS}"
    assert hours_of(events(crm, query)) == [3, 2]
    assert hours_of(events(crm, f"startTimestamp={JANUARY_MS + 5 * HOUR_MS}")) == []


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ("recipient=B@example.com", [2]),
        ("eventType=CLICK", [3]),
        ("campaignId=7", [4]),
        ("appId=5", [5]),
        ("excludeFilteredEvents=true", [5, 4, 3, 2, 1]),
        ("recipient=a@example.com&eventType=OPEN&limit=2", [6, 5]),
    ],
)
def test_events_are_chosen_by_what_they_are_about(crm: Client, query: str, hours: list[int]) -> None:
    load(crm, 1)
    load(crm, 2, recipient="b@example.com")
    load(crm, 3, type="CLICK")
    load(crm, 4, campaign=7)
    load(crm, 5, appId=5)
    load(crm, 6, filteredEvent=True)
    assert hours_of(events(crm, query)) == hours


@pytest.mark.parametrize("query", ["limit=1001", "eventType=open", "offset=x", "startTimestamp=yesterday"])
def test_a_question_that_is_none_is_refused(crm: Client, query: str) -> None:
    assert crm.get(f"{EVENTS}?{query}").status == 400


def test_a_thousand_events_fit_into_one_page_and_ten_are_the_default(crm: Client) -> None:
    load(crm, *range(1200))
    assert (len(events(crm, "limit=1000")["events"]), len(events(crm)["events"])) == (1000, 10)


def test_events_need_the_scope_content(crm: Client) -> None:
    crm.control("tokens", add="narrow", scopes=["forms"])
    narrow = Client(crm.url, "narrow")
    refused = narrow.get(EVENTS)
    narrow.close()
    assert (refused.status, refused.body["context"]["requiredGranularScopes"]) == (403, ["content"])


def test_what_happens_to_an_email_is_counted_on_its_recipient(crm: Client) -> None:
    contact = crm.create(email="a@example.com")
    before = crm.get(f"/crm/v3/objects/contacts/{contact}").body["updatedAt"]
    crm.control("clock", advance_s=10)
    at = iter(range(9))
    for kind in ("SENT", "DELIVERED", "OPEN", "OPEN", "CLICK", "BOUNCE", "STATUSCHANGE"):
        crm.control("email-event", recipient="A@example.com", type=kind, at_ms=JANUARY_MS + next(at) * HOUR_MS)
    wanted = {
        "hs_email_delivered": "1", "hs_email_open": "2", "hs_email_click": "1", "hs_email_bounce": "1",
        "hs_email_first_send_date": "2026-01-01T00:00:00Z", "hs_email_last_send_date": "2026-01-01T00:00:00Z",
        "hs_email_first_open_date": "2026-01-01T02:00:00Z", "hs_email_last_open_date": "2026-01-01T03:00:00Z",
        "hs_email_last_click_date": "2026-01-01T04:00:00Z", "hs_email_optout": "true",
    }  # fmt: skip
    assert crm.properties(contact, *wanted) == wanted
    assert crm.get(f"/crm/v3/objects/contacts/{contact}").body["updatedAt"] > before


def test_an_event_names_the_sending_it_follows_upon_and_can_be_read_alone(crm: Client) -> None:
    sent = crm.control("email-event", recipient="a@example.com", type="SENT", campaign=3, subject="Hello")
    opened = crm.control("email-event", recipient="a@example.com", type="OPEN", campaign=3)
    other = crm.control("email-event", recipient="a@example.com", type="OPEN", campaign=4)
    assert opened["sentBy"] == {"id": sent["id"], "created": sent["created"]}
    assert ("sentBy" in sent, "sentBy" in other, sent["subject"]) == (False, False, "Hello")
    assert crm.get(f"{EVENTS}/{opened['created']}/{opened['id']}").body == opened
    assert crm.get(f"{EVENTS}/{opened['created']}/nobody").status == 404


def test_an_event_needs_a_recipient_and_a_type_that_exists(crm: Client) -> None:
    assert crm.post("/_emulator/email-event", {"recipient": "a@example.com", "type": "READ"}).status == 400
    assert crm.post("/_emulator/load", {"emailEvents": [{"type": "OPEN"}]}).status == 400
