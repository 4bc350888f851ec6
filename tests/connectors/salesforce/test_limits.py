"""Salesforce's limits, and what the connector leaves to others and to its own writing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from connectors.emulators.salesforce import ConnectedApp, Limits
from connectors.salesforce import budget
from connectors.salesforce.budget import Purpose
from connectors.salesforce.client import Client, Refused, Request
from connectors.salesforce.session import usage_told
from syncer import retry
from syncer.connector import Wanted
from syncer.errors import ConfigError, ShareUsed, Stopped, TemporaryError
from tests.connectors.salesforce.orgs import House, house, let_waits_pass


def read(client: Client, purpose: Purpose = "pull") -> Any:
    return client.ask(Request("reading limits", "GET", "/limits", purpose=purpose)).body


def org_id(client: Client) -> str:
    """By a query, so that the session counts."""
    rows = client.query_all_rows("reading the organization", "SELECT Id FROM Organization LIMIT 1", all_rows=False)
    return str(rows[0]["Id"])


def write(client: Client, lead: str, purpose: Purpose | None = None) -> Any:
    row = {"attributes": {"type": "Lead"}, "id": lead, "Rating": "Hot"}
    body = {"allOrNone": False, "records": [row]}
    return client.ask(Request("writing", "PATCH", "/composite/sobjects", body, kind="write", purpose=purpose)).body


def test_case_25_the_days_requests_are_used_up_and_the_caller_is_told_to_come_back() -> None:
    with house(limits=Limits(daily=10)) as org:
        org.control("limits", used=10)
        with pytest.raises(TemporaryError, match="TotalRequests") as raised:
            org_id(org.client())
        assert (raised.value.code, raised.value.retry_after_s) == ("SY145", 3600)
        assert org.statuses("/query") == {403: 1}


def test_case_25_too_many_at_once_make_a_short_pause_and_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with house() as org:
        waits = let_waits_pass(monkeypatch, org)
        client = org.client(at_once=8)
        org.fault(code="CONCURRENT_REQUESTS", times=1)
        assert read(client)
        assert waits == [pytest.approx(5, abs=0.1)]
        assert client._governor.most == 1
        org.let_pass(120)
        assert client._governor.most is None


def test_case_25_after_a_refusal_no_more_are_under_way_than_are_borne() -> None:
    under_way, peak, lock = 0, 0, threading.Lock()
    governor = budget.Governor()
    governor._under_way = 4
    governor.crowded(0.0)
    governor._under_way = 0

    def one() -> None:
        nonlocal under_way, peak
        with governor.turn(threading.Event()):
            with lock:
                under_way += 1
                peak = max(peak, under_way)
            threading.Event().wait(0.01)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=one) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert peak == 2


def test_case_25_several_refused_together_are_one_refusal() -> None:
    governor = budget.Governor()
    governor._under_way = 8
    for _ in range(8):
        governor.crowded(30.0)
    assert governor.most == 4


def test_case_25_a_pause_ends_with_a_stop() -> None:
    stop = threading.Event()
    with house() as org:
        client = org.client(Wanted(stop=stop))
        org.fault(code="CONCURRENT_REQUESTS")
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Stopped):
            read(client)


def test_case_25_what_is_not_allowed_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    with house() as org:
        waits = let_waits_pass(monkeypatch, org)
        client = org.client()
        org.fault(code="INSUFFICIENT_ACCESS")
        with pytest.raises(ConfigError, match="does not allow it: INSUFFICIENT_ACCESS") as raised:
            read(client)
        assert (raised.value.code, waits, client._governor.most) == ("SY142", [], None)
        assert org.statuses("/limits") == {403: 1}


@pytest.mark.parametrize("quota", [None, 100])
def test_case_26_a_full_budget_stops_reading_first_and_never_what_goes_to_sales(quota: int | None) -> None:
    daily = 1000 if quota else 100
    with house(limits=Limits(daily=daily)) as org:
        org.control("tokens", app=_app(org, quota))
        client = org.client(client_credentials={"client_id": "app", "client_secret": "secret"}, use_at_most="80%")
        (lead,) = org.leads(1)
        _use(org, client, 73)
        with pytest.raises(ShareUsed, match=r"80% .the last tenth of it kept for writing") as raised:
            read(client)
        assert (raised.value.code, raised.value.retry_after_s) == ("SY145", 900)
        assert write(client, lead)[0]["success"]
        assert client.reserved.get("looking something up", "/limits")
        _use(org, client, 80)
        with pytest.raises(TemporaryError, match=r"`use_at_most` is 80%; goes on slowly"):
            write(client, lead)
        assert client.reserved.get("looking something up", "/limits"), "writing who goes to sales needs it"
        assert write(client, lead, "qualified")[0]["success"]


def _app(org: House, quota: int | None) -> dict[str, Any]:
    name = org.instance.username(org.org.admin_id)
    app = ConnectedApp("app", "secret", run_as=name, quota=quota)
    return {each: getattr(app, each) for each in ConnectedApp.__dataclass_fields__}


def _use(org: House, client: Client, until: int) -> None:
    """Requests, until the fuller of the two allowances has so many used."""
    while client.usage is None or client.usage[0] < until:
        read(client, "qualified")
    assert client.usage == (until, 100)


def test_case_26_who_waits_looks_again_and_goes_on_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with house(limits=Limits(daily=100)) as org:
        let_waits_pass(monkeypatch, org)
        client = org.client()
        org.control("limits", used=90)
        assert read(client)  # nobody has told it yet
        with pytest.raises(TemporaryError):
            read(client)
        org.let_pass(901)
        assert read(client)  # one request in a quarter of an hour: that is slow
        with pytest.raises(TemporaryError):
            read(client)
        org.let_pass(86_400)
        assert all(read(client) for _ in range(5))


def test_case_26_connections_of_one_app_know_together_how_much_is_used() -> None:
    with house(limits=Limits(daily=100)) as org:
        one, other = org.client(), org.client(name="second")
        org.control("limits", used=90)
        read(one)
        with pytest.raises(TemporaryError, match="second: "):
            read(other)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("api-usage=18/5000", (18, 5000)),
        ("api-usage=18/5000; per-app-api-usage=17/250(appName=sample-app)", (17, 250)),
        ("api-usage=4900/5000; per-app-api-usage=1/250(appName=x; api)", (4900, 5000)),
        ("per-app-api-usage=17/250(appName=x)", (17, 250)),
        ("api-usage=0/0", None),
        ("", None),
        ("api-usage=many/few", None),
    ],
)
def test_case_26_both_forms_of_the_header_are_read(header: str, told: tuple[int, int] | None) -> None:
    assert usage_told(header) == told


@pytest.mark.parametrize(("spoken", "words"), [({"oldest": 61}, "61.0 to 66.0"), ({"newest": 59}, "31.0 to 59.0")])
def test_case_27_an_api_version_that_the_org_does_not_speak_is_told_at_the_start(
    spoken: dict[str, int], words: str
) -> None:
    with house() as org:
        org.behave(**spoken)
        with pytest.raises(ConfigError, match=f"does not speak API version 60.0; it speaks {words}") as raised:
            org.asked().organization()
        assert raised.value.code == "SY148"
        assert org.calls()["total"] == 2, "what is refused, and which versions there are"


def test_case_27_a_version_that_is_retired_under_way_is_told_likewise() -> None:
    with house() as org:
        client = org.client()
        org_id(client)
        org.behave(oldest=61)
        with pytest.raises(ConfigError, match=r"no longer speaks the API version.*raise `api_version`") as raised:
            org_id(client)
        assert raised.value.code == "SY148"
        assert not isinstance(raised.value, Refused)


def test_the_orgs_clock_is_told_by_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with house() as org:
        let_waits_pass(monkeypatch, org)
        org.let_pass(5000)
        client = org.client()
        org_id(client)
        ahead_s = org.org.clock.now_s() - client.now().timestamp()
        assert 0 <= ahead_s < 1.5
        assert client.skew_s > 4000
        assert retry.monotonic() > 0
