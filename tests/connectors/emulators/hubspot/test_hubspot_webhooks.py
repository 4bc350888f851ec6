"""What the portal tells a subscriber, in which form, how often, and how it is signed."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot.utils.signature import Signature

from connectors.emulators.hubspot import Clock, Manners, Portal
from connectors.emulators.hubspot.webhooks import decoded
from tests.connectors.emulators.hubspot.portals import Client, load_contacts, served
from tests.receivers import DROP, HANG, HttpReceiver, Reply

CONTACTS = "/crm/v3/objects/contacts"
SECRET = "an app's secret"
NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEW_YEAR_MS = int(NEW_YEAR.timestamp() * 1000)
EVERYTHING = [
    "contact.creation", "contact.propertyChange", "contact.deletion", "contact.restore", "contact.merge",
    "contact.privacyDeletion", "contact.associationChange",
]  # fmt: skip


@pytest.fixture
def crm() -> Iterator[Client]:
    clock = Clock(NEW_YEAR, frozen=True)
    with served(Portal(limits=None, manners=Manners(index_lag_s=0), clock=clock)) as client:
        yield client


def told(receiver: HttpReceiver) -> list[dict[str, Any]]:
    """Every event received, in order."""
    return [event for each in receiver.received for event in json.loads(each.body)]


def subscribe(crm: Client, receiver: HttpReceiver, *subscriptions: str, **habits: Any) -> None:
    crm.control("webhooks", url=receiver.url, secret=SECRET, subscriptions=subscriptions or EVERYTHING, **habits)


def test_a_change_is_told_with_everything_the_guide_names(crm: Client) -> None:
    (person,) = load_contacts(crm, 1, city="Kiel")
    with HttpReceiver() as receiver:
        subscribe(crm, receiver)
        crm.control("clock", advance_s=5)
        crm.ask("PATCH", f"{CONTACTS}/{person}", {"properties": {"city": "Lyon"}})
        assert crm.control("webhooks-flush") == {
            "events": 1, "delivered": 1, "given_up": 0, "requests": 1, "failed": 0,
        }  # fmt: skip
        (event,) = told(receiver)
    assert {name: event[name] for name in event if name != "eventId"} == {
        "appId": 19083857,
        "subscriptionId": 1_000_001,
        "portalId": 44237313,
        "occurredAt": NEW_YEAR_MS + 5000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": int(person),
        "propertyName": "city",
        "propertyValue": "Lyon",
        "changeSource": "INTEGRATION",
        "sourceId": "19083857",
    }


def test_every_request_is_signed_as_hubspots_own_client_checks_it(crm: Client) -> None:
    with HttpReceiver() as receiver:
        subscribe(crm, receiver)
        crm.create(email="a@example.com")
        crm.control("webhooks-flush")
        (request,) = receiver.received
    body, stamp = request.body.decode(), request.headers["x-hubspot-request-timestamp"]
    assert (int(stamp), request.headers["x-hubspot-signature-version"]) == (NEW_YEAR_MS, "v1")
    third = Signature.get_signature(SECRET, body, "v3", receiver.url, "POST", stamp)
    assert request.headers["x-hubspot-signature-v3"] == third
    assert request.headers["x-hubspot-signature"] == Signature.get_signature(SECRET, body, "v1")


def test_an_address_is_signed_with_some_of_its_characters_decoded() -> None:
    url = "http://127.0.0.1/a%3Ab%2fc%20d?e=%40%2C"
    assert decoded(url) == "http://127.0.0.1/a:b/c%20d?e=@,"


def test_the_whole_life_of_a_contact_is_told(crm: Client) -> None:
    with HttpReceiver() as receiver:
        subscribe(crm, receiver, *(each for each in EVERYTHING if each != "contact.propertyChange"))
        one, other, company = crm.create(), crm.create(), crm.create("companies", name="A")
        tie = f"/crm/v4/objects/contacts/{one}/associations/default/companies/{company}"
        assert crm.ask("PUT", tie).status == 200
        crm.ask("DELETE", f"/crm/v4/objects/contacts/{one}/associations/companies/{company}")
        crm.ask("DELETE", f"{CONTACTS}/{one}")
        crm.control("restore", id=one)
        merged = crm.post(f"{CONTACTS}/merge", {"primaryObjectId": one, "objectIdToMerge": other}).body["id"]
        crm.post(f"{CONTACTS}/gdpr-delete", {"objectId": merged})
        crm.control("webhooks-flush")
        events = told(receiver)
    kinds = [each["subscriptionType"].removeprefix("contact.") for each in events]
    assert kinds == ["creation"] * 2 + ["associationChange"] * 2 + [
        "deletion", "restore", "merge", "privacyDeletion", "deletion",
    ]  # fmt: skip
    tied, untied = events[2:4]
    assert (tied["fromObjectId"], tied["toObjectId"], tied["associationRemoved"]) == (int(one), int(company), False)
    assert (tied["associationType"], untied["associationRemoved"]) == ("CONTACT_TO_COMPANY", True)
    merge = events[6]
    assert (merge["primaryObjectId"], merge["mergedObjectIds"], merge["newObjectId"]) == (
        int(one), [int(other)], int(merged),
    )  # fmt: skip
    assert [events[at]["objectId"] for at in (0, 4, 5, 7)] == [int(one)] * 3 + [int(merged)]
    assert (events[0]["changeFlag"], events[4]["changeFlag"]) == ("CREATED", "DELETED")


def test_only_what_was_subscribed_to_is_told_and_in_the_form_that_was_asked_for(crm: Client) -> None:
    (person,) = load_contacts(crm, 1)
    with HttpReceiver() as receiver:
        subscribe(crm, receiver, "contact.propertyChange:city", "object.propertyChange:country")
        crm.control("edit", id=person, properties={"city": "Lyon", "country": "FR", "jobtitle": "CTO"})
        crm.control("webhooks-flush")
        events = told(receiver)
        assert [(each["subscriptionType"], each["propertyName"]) for each in events] == [
            ("contact.propertyChange", "city"), ("object.propertyChange", "country"),
        ]  # fmt: skip
        assert ("objectTypeId" in events[0], events[1]["objectTypeId"]) == (False, "0-1")
        assert {each["changeSource"] for each in events} == {"CRM_UI"}
        crm.control("webhooks", url=None)
        crm.control("edit", id=person, properties={"city": "Rome"})
        assert crm.control("webhooks-flush")["events"] == 0
        assert len(told(receiver)) == 2


def test_a_request_holds_at_most_a_hundred_events(crm: Client) -> None:
    people = load_contacts(crm, 250)
    with HttpReceiver() as receiver:
        subscribe(crm, receiver, delay_s=3600)
        for start in range(0, 250, 100):
            inputs = [{"id": each, "properties": {"city": "Kiel"}} for each in people[start : start + 100]]
            crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
        assert crm.control("webhooks-flush")["requests"] == 3
        assert [len(json.loads(each.body)) for each in receiver.received] == [100, 100, 50]
        assert [str(each["objectId"]) for each in told(receiver)] == people


def test_events_come_by_themselves_once_their_delay_has_passed_in_the_portal(crm: Client) -> None:
    with HttpReceiver() as receiver:
        subscribe(crm, receiver, delay_s=600)
        crm.create()
        time.sleep(0.1)
        assert receiver.received == []
        crm.control("clock", advance_s=600)
        deadline = time.monotonic() + 5
        while not receiver.received and time.monotonic() < deadline:
            time.sleep(0.01)
        (event,) = told(receiver)
        assert event["occurredAt"] == NEW_YEAR_MS
        assert int(receiver.received[0].headers["x-hubspot-request-timestamp"]) == NEW_YEAR_MS + 600_000


def test_an_event_may_come_twice_in_any_order_and_under_an_id_of_others(crm: Client) -> None:
    people = load_contacts(crm, 60)
    with HttpReceiver() as receiver:
        subscribe(crm, receiver, duplicates=0.5, disorder=True, repeated_ids=True, delay_s=60)
        inputs = [{"id": each, "properties": {"city": "Kiel"}} for each in people]
        crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
        crm.control("webhooks-flush")
        events = told(receiver)
    seen = [str(each["objectId"]) for each in events]
    assert set(seen) == set(people)
    assert 70 < len(seen) < 110
    assert list(dict.fromkeys(seen)) != people
    assert len({each["eventId"] for each in events}) <= 21


@pytest.mark.parametrize("trouble", [Reply(status=500), Reply(status=404), DROP])
def test_what_was_not_taken_is_sent_again_with_its_attempt(crm: Client, trouble: Reply) -> None:
    with HttpReceiver(trouble, trouble) as receiver:
        subscribe(crm, receiver, "contact.creation")
        person = crm.create()
        counts = crm.control("webhooks-flush")
        events = told(receiver)
    assert [each["attemptNumber"] for each in events] == [0, 1, 2]
    assert {each["objectId"] for each in events} == {int(person)}
    assert (counts["delivered"], counts["failed"], counts["requests"]) == (1, 2, 3)


def test_after_ten_retries_an_event_is_given_up(crm: Client) -> None:
    with HttpReceiver(*[Reply(status=503)] * 20) as receiver:
        subscribe(crm, receiver, "contact.creation")
        crm.create()
        counts = crm.control("webhooks-flush")
        assert len(receiver.received) == 11
    assert (counts["given_up"], counts["delivered"]) == (1, 0)


def test_a_slow_subscriber_has_failed_and_does_not_keep_the_portal_from_answering(crm: Client) -> None:
    with HttpReceiver(HANG) as receiver:
        subscribe(crm, receiver, "contact.creation", answer_within_s=0.5, delay_s=60)
        crm.create()
        found: list[Any] = []
        flush = threading.Thread(target=lambda: found.append(crm.control("webhooks-flush")))
        flush.start()
        deadline = time.monotonic() + 5
        while not receiver.received and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        assert crm.get(CONTACTS).status == 200
        assert time.monotonic() - began < 0.3
        flush.join(10)
    assert (found[0]["delivered"], found[0]["failed"]) == (1, 1)


def test_no_address_but_one_of_this_machine_is_ever_called(crm: Client) -> None:
    for url in ("http://example.com/hook", "https://127.0.0.1/hook", "http://10.0.0.1/", "ftp://127.0.0.1/", "hook"):
        asked = {"url": url, "secret": "s", "subscriptions": ["contact.creation"]}
        assert crm.post("/_emulator/webhooks", asked).status == 400
    local = {"url": "http://127.0.0.1:9/", "secret": "s"}
    assert crm.post("/_emulator/webhooks", local | {"subscriptions": ["contact.explosion"]}).status == 400
    assert crm.post("/_emulator/webhooks", local | {"subscriptions": "contact.creation"}).status == 400
    assert crm.post("/_emulator/webhooks", local | {"no_such": 1}).status == 400
