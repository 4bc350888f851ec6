"""What the connector hears in a webhook, and what it does not take for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.hubspot import HubSpot
from connectors.hubspot.hooks import heard
from connectors.hubspot.settings import Settings, Webhooks
from syncer.connector import Knock, Listener, Wanted
from syncer.model import RecordKey

SECRET = "a-client-secret-of-an-app"
URL = "https://syncer.example.com/hooks/crm"
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TIMESTAMP, SIGNATURE = "x-hubspot-request-timestamp", "x-hubspot-signature-v3"
API_VERSIONS = pytest.mark.parametrize("version", ["v3", "2026-09"])
Version = Literal["v3", "2026-09"]


def settings(url: str = URL, version: Version = "v3") -> Settings:
    hooks = {"secret": SECRET, "url": url}
    return Settings.model_validate({"token": "pat-x", "api_version": version, "webhooks": hooks})


def signature(address: str, body: bytes, timestamp: str, secret: str = SECRET) -> str:
    """As HubSpot's guide describes it, written apart from the connector."""
    text = b"POST" + address.encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def ms(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def knock(
    events: object, *, address: str = URL, path: str = "/hooks/crm", at: datetime = NOW, secret: str = SECRET
) -> Knock:
    """A request that HubSpot signed at that time and that comes in now."""
    body = events if isinstance(events, bytes) else orjson.dumps(events)
    headers = {TIMESTAMP: ms(at), SIGNATURE: signature(address, body, ms(at), secret)}
    return Knock("POST", path, headers, body, NOW)


def event(kind: str = "contact.propertyChange", contact: object = 51, **more: object) -> dict[str, object]:
    rest = {"eventId": 1, "subscriptionId": 7, "portalId": 33, "occurredAt": 1_790_000_000_000, "attemptNumber": 0}
    return {"subscriptionType": kind, "objectId": contact, **rest, **more}


def ids(given: Knock, chosen: Settings | None = None) -> list[str] | None:
    found = heard(chosen or settings(), "crm", given)
    return None if found is None else [key.id for key in found]


@API_VERSIONS
def test_case_49_duplicates_and_disorder_become_one_hint_for_each_contact(version: Version) -> None:
    told = [
        event(contact=52, occurredAt=2_000, propertyName="country", propertyValue="ES"),
        event(contact=51, occurredAt=1_000),
        event(contact=52, occurredAt=1_000, propertyName="country", propertyValue="MX"),
        event("contact.creation", contact=51, occurredAt=500, attemptNumber=3),
    ]
    assert len({each["eventId"] for each in told}) == 1, "which is no id of theirs"
    assert heard(settings(version=version), "crm", knock(told)) == (
        RecordKey("crm", "contacts", "52"),
        RecordKey("crm", "contacts", "51"),
    )


@API_VERSIONS
def test_case_49_a_merge_names_everybody_who_took_part_and_an_erasure_is_a_hint_too(version: Version) -> None:
    merge = event(
        "contact.merge", 70, primaryObjectId=51, mergedObjectIds=[52, 53], newObjectId=70, numberOfPropertiesMoved=4
    )
    assert ids(knock([merge, event("contact.privacyDeletion", 80)]), settings(version=version)) == [
        "70", "51", "52", "53", "80",
    ]  # fmt: skip


@API_VERSIONS
@pytest.mark.parametrize(
    ("ago", "taken"),
    [
        (timedelta(0), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5, milliseconds=1), False),
        (timedelta(days=400), False),
        (timedelta(minutes=-1), True),
        (timedelta(minutes=-1, milliseconds=-1), False),
        (timedelta(days=-30), False),
    ],
)
def test_case_49_a_request_that_is_stale_or_from_the_future_is_nobodys(
    ago: timedelta, taken: bool, version: Version
) -> None:
    assert ids(knock([event()], at=NOW - ago), settings(version=version)) == (["51"] if taken else None)


@API_VERSIONS
def test_case_49_a_request_that_is_sent_again_later_is_stale_though_its_signature_is_right(version: Version) -> None:
    first = knock([event()])
    assert ids(first, settings(version=version)) == ["51"]
    assert ids(replace(first, at=NOW + timedelta(minutes=6)), settings(version=version)) is None
    younger = {**first.headers, TIMESTAMP: ms(NOW + timedelta(minutes=6))}
    again = replace(first, headers=younger, at=NOW + timedelta(minutes=6))
    assert ids(again, settings(version=version)) is None, "the time is part of what is signed"


@API_VERSIONS
@pytest.mark.parametrize("secret", ["another-secret", SECRET + " ", SECRET.upper()])
def test_case_49_a_request_signed_with_another_secret_is_forged(secret: str, version: Version) -> None:
    assert ids(knock([event()], secret=secret), settings(version=version)) is None


@API_VERSIONS
@pytest.mark.parametrize("given", ["", "=", "a" * 44, "é" * 44, "\udc80", "v3=abc"])
def test_case_49_a_signature_that_is_none_is_refused_and_raises_nothing(given: str, version: Version) -> None:
    right = knock([event()])
    assert ids(replace(right, headers={**right.headers, SIGNATURE: given}), settings(version=version)) is None
    assert ids(replace(right, headers={TIMESTAMP: right.headers[TIMESTAMP]}), settings(version=version)) is None


@API_VERSIONS
@pytest.mark.parametrize("given", ["", "now", "-1", "1.5", "1e12", "９" * 13, "0" * 400, "1" * 16, " 1", "\udc80"])
def test_case_49_a_timestamp_that_is_none_is_refused_although_it_was_signed(given: str, version: Version) -> None:
    body = orjson.dumps([event()])
    headers = {TIMESTAMP: given, SIGNATURE: signature(URL, body, given.encode(errors="replace").decode())}
    assert ids(Knock("POST", "/hooks/crm", headers, body, NOW), settings(version=version)) is None


@API_VERSIONS
@pytest.mark.parametrize("path", ["/hooks/crm%2Deu?for=a%3Ab%2cc&to=%40x", "/hooks/crm%2Deu?for=a:b,c&to=@x"])
@pytest.mark.parametrize("listed", ["for=a:b,c&to=@x", "for=a%3Ab%2Cc&to=%40x"])
def test_case_49_an_address_is_signed_with_some_of_its_percent_codes_decoded(
    path: str, listed: str, version: Version
) -> None:
    url = f"https://syncer.example.com/hooks/crm%2Deu?{listed}"
    signed = "https://syncer.example.com/hooks/crm%2Deu?for=a:b,c&to=@x"
    assert ids(knock([event()], address=signed, path=path), settings(url, version)) == ["51"]
    undecoded = knock([event()], address="https://syncer.example.com/hooks/crm%2Deu?for=a%3Ab", path=path)
    assert ids(undecoded, settings(url, version)) is None


def test_every_code_of_the_guide_is_decoded_once_and_no_other() -> None:
    codes = "%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B"
    url = f"{URL}?a={codes}%20%2B%253A"
    signed = f"{URL}?a=:/?@!$'()*,;%20%2B%253A"
    assert ids(knock([event()], address=signed, path=f"/hooks/crm?a={codes}%20%2B%253A"), settings(url)) == ["51"]


@pytest.mark.parametrize(
    "public", [f"https://example.com/apps/syncer{path}" for path in ("/hooks/crm", "/hooks/crm?a=1")]
)
def test_a_proxy_may_take_away_the_beginning_of_the_public_path(public: str) -> None:
    path = public.partition("/syncer")[2]
    assert ids(knock([event()], address=public, path=path), settings(public)) == ["51"]


@pytest.mark.parametrize("path", ["/hooks/crm2", "/hooks/crm/", "/hooks/crm?", "/hooks/crm?a=1", "/hooks/other", "/"])
def test_a_request_for_another_path_is_refused_whatever_address_was_signed(path: str) -> None:
    for address in (URL, f"https://syncer.example.com{path}"):
        assert ids(knock([event()], address=address, path=path)) is None


def test_where_only_the_host_is_told_the_path_is_the_one_that_was_called() -> None:
    only_host = settings("https://syncer.example.com")
    assert ids(knock([event()]), only_host) == ["51"]
    assert ids(knock([event()], path="/hooks/other"), only_host) is None


def test_the_same_request_is_good_for_one_connection_alone() -> None:
    """An app's secret is the same for all portals that installed it."""
    other = settings("https://syncer.example.com/hooks/other")
    assert ids(knock([event()]), other) is None
    assert ids(replace(knock([event()]), path="/hooks/other"), other) is None


@pytest.mark.parametrize(
    ("told", "hinted"),
    [
        ([], []),
        (event(), ["51"]),
        ([event("contact.restore", "51"), event("contact.deletion", "52")], ["51", "52"]),
        ([{**event(), "subscriptionType": None, "eventType": "contact.creation"}], ["51"]),
        ([event("object.propertyChange", objectTypeId="0-1")], ["51"]),
        ([event("object.propertyChange", objectTypeId="0-2"), event("object.creation")], []),
        ([event("company.propertyChange"), event("deal.merge", newObjectId=3), event("conversation.creation")], []),
        ([event("contacts.propertyChange"), event("contact"), event("")], ["51"]),
        ([event("contact.creation", each) for each in (None, True, -5, 1.5, "x51", "", [51], {"id": 51}, "９")], []),
        ([event("contact.merge", 5, mergedObjectIds="52", primaryObjectId=None)], ["5"]),
        (["contact.creation", 51, None, [event()]], []),
        ("text", []),
        (b"[{", []),
        (b"", []),
        (b"\xff\xfe", []),
        (b"[" * 100_000, []),
    ],
)
def test_only_contacts_are_hinted_at_and_garbage_says_nothing(told: object, hinted: list[str]) -> None:
    assert ids(knock(told)) == hinted


@pytest.mark.parametrize(
    ("kind", "more", "hinted"),
    [
        ("contact.associationChange", {"associationType": "CONTACT_TO_COMPANY"}, ["51"]),
        ("contact.associationChange", {"associationType": "CONTACT_TO_CONTACT"}, ["51", "90"]),
        ("contact.associationChange", {"associationType": "COMPANY_TO_CONTACT"}, ["90"]),
        ("contact.associationChange", {"associationType": "contact_to_call"}, ["51"]),
        ("object.associationChange", {"fromObjectTypeId": "0-1", "toObjectTypeId": "0-48"}, ["51"]),
        ("object.associationChange", {"fromObjectTypeId": "0-48", "toObjectTypeId": "0-1"}, ["90"]),
        ("object.associationChange", {"fromObjectTypeId": "0-1", "toObjectTypeId": "0-1"}, ["51", "90"]),
        ("object.associationChange", {"fromObjectTypeId": "0-2", "toObjectTypeId": "0-3"}, []),
        ("deal.associationChange", {"associationType": "DEAL_TO_CONTACT"}, []),
    ],
)
def test_of_an_association_the_ends_that_are_contacts_are_hinted_at(
    kind: str, more: Mapping[str, Any], hinted: list[str]
) -> None:
    told = event(kind, None, fromObjectId=51, toObjectId=90, associationRemoved=False, **more)
    assert ids(knock([told])) == hinted


def test_a_portal_without_webhooks_hears_nobody() -> None:
    deaf = Settings.model_validate({"token": "pat-x"})
    assert heard(deaf, "crm", knock([event()])) is None
    assert not HubSpot("crm", deaf, Wanted()).listens


def test_the_connector_is_a_listener_that_names_its_own_records() -> None:
    portal = HubSpot("eu", settings(), Wanted())
    assert isinstance(portal, Listener)
    assert portal.listens
    assert portal.heard(knock([event()])) == (RecordKey("eu", "contacts", "51"),)


@pytest.mark.parametrize(
    ("name", "value"), [("secret", " "), ("url", "syncer.example.com/hooks"), ("url", "https:///x")]
)
def test_a_secret_that_is_empty_and_an_address_that_is_none_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Webhooks.model_validate({"secret": SECRET, "url": URL, name: value})


def _changed(text: str) -> st.SearchStrategy[str]:
    """The text with one letter replaced, left out or put in."""
    letters = st.characters(codec="ascii", exclude_categories=["Cc"])
    at = st.integers(0, len(text) - 1)
    replaced = st.builds(lambda i, letter: text[:i] + letter + text[i + 1 :], at, letters)
    shortened = st.builds(lambda i: text[:i] + text[i + 1 :], at)
    longer = st.builds(lambda i, letter: text[:i] + letter + text[i:], at, letters)
    return st.one_of(replaced, shortened, longer).filter(lambda changed: changed != text)


@st.composite
def _mutated(draw: st.DrawFn) -> Knock:
    right = knock([event(), event("contact.merge", 52, mergedObjectIds=[53])])
    part = draw(st.sampled_from(["method", "path", "body", TIMESTAMP, SIGNATURE, "shift"]))
    if part in (TIMESTAMP, SIGNATURE):
        return replace(right, headers={**right.headers, part: draw(_changed(right.headers[part]))})
    if part == "body":
        return replace(right, body=draw(_changed(right.body.decode())).encode())
    if part == "shift":  # what is signed is one text without borders: the same text, cut elsewhere
        count = draw(st.integers(1, len(right.body) - 1))
        return replace(right, path=right.path + right.body[:count].decode(), body=right.body[count:])
    if part == "method":
        return replace(right, method=draw(_changed(right.method)))
    return replace(right, path=draw(_changed(right.path)))


@given(_mutated())
def test_no_change_of_a_signed_request_passes(changed: Knock) -> None:
    assert ids(changed) is None
