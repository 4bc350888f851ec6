"""Trouble by script and by share, the limits that refuse, and the time that passes only when told to."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from connectors.emulators.hubspot import Clock, Fault, Faults, Limits, Manners, OAuthApp, Portal, Token, chaos
from connectors.emulators.hubspot.faults import MIX, WEIGHTS, Chaos
from tests.connectors.emulators.hubspot.portals import Client, load_contacts, served

CONTACTS = "/crm/v3/objects/contacts"
NEVER_ANSWERED = {"reset_before", "reset_after", "reset_midway", "hang_before", "hang_after"}
APPLIED = {"reset_after", "reset_midway", "hang_after", "200_empty", "truncated", "wrong_status"}
NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def frozen() -> Iterator[tuple[Client, Portal]]:
    portal = Portal(manners=Manners(index_lag_s=0), clock=Clock(NEW_YEAR, frozen=True))
    with served(portal) as crm:
        yield crm, portal


def strike(crm: Client, kind: str) -> None:
    crm.control("chaos", share=1, kinds=[kind], path="/contacts", hang_s=0.05, most_in_a_row=1)


@pytest.mark.parametrize("kind", sorted(set(MIX) - NEVER_ANSWERED - {"207_partial"}))
def test_every_kind_of_a_mix_looks_like_its_name_and_then_the_request_goes_through(crm: Client, kind: str) -> None:
    strike(crm, kind)
    reply = crm.post(CONTACTS, {"properties": {"city": "Kiel"}})
    status, _, body = kind.partition("_")
    if kind in ("truncated", "wrong_status"):
        assert reply.status == {"truncated": 201, "wrong_status": 200}[kind]
        assert (reply.body is None) is (kind == "truncated")
    else:
        assert reply.status == int(status)
        assert ("retry-after" in reply.headers) is (kind.endswith("retry_after") or status == "477")
    assert (b"<html>" in reply.raw) is (body == "html")
    assert (reply.raw == b"") is (body == "empty")
    assert len(crm.get("/crm/v3/objects/calls").body["results"]) == 0
    counted = crm.get("/_emulator/calls").body
    assert (counted["faulted"], counted["errors"]) == ({kind: 1}, 0)
    assert crm.post(CONTACTS, {"properties": {"city": "Kiel"}}).status == 201
    assert len(crm.control("dump")["results"]) == 1 + (kind in APPLIED)


@pytest.mark.parametrize("kind", sorted(NEVER_ANSWERED))
def test_a_connection_that_drops_gives_no_answer_whether_the_work_was_done_or_not(crm: Client, kind: str) -> None:
    strike(crm, kind)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        crm.post(CONTACTS, {"properties": {"city": "Kiel"}})
    assert len(crm.control("dump")["results"]) == (kind in APPLIED)
    assert crm.get("/_emulator/calls").body["faulted"] == {kind: 1}


def test_a_batch_may_be_worked_in_part(crm: Client) -> None:
    ids = load_contacts(crm, 5)
    strike(crm, "207_partial")
    inputs = [{"id": each, "properties": {"city": "Kiel"}} for each in ids]
    reply = crm.post(f"{CONTACTS}/batch/update", {"inputs": inputs})
    assert (reply.status, reply.body["numErrors"]) == (207, 2)
    assert [each["id"] for each in reply.body["results"]] == ids[::2]
    assert [each["context"]["ids"] for each in reply.body["errors"]] == [[each] for each in ids[1::2]]
    assert [crm.properties(each, "city")["city"] for each in ids] == ["Kiel", None] * 2 + ["Kiel"]
    crm.control("chaos", share=1, kinds=["207_partial"])
    alone = crm.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": ids[0]}]}).body
    assert (alone["results"], alone["numErrors"]) == ([], 1)
    assert crm.get(CONTACTS).status == 200


def test_two_runs_that_ask_the_same_in_another_order_meet_the_same_faults() -> None:
    requests = [("POST", "/crm/v3/objects/contacts/batch/read", f"body {each}".encode()) for each in range(200)] * 3

    def met(order: list[tuple[str, str, bytes]], seed: int) -> Counter[tuple[bytes, str]]:
        faults = chaos(0.3, seed)
        struck = ((each[2], faults.pick(*each)) for each in order)
        return Counter((body, fault.kind) for body, fault in struck if fault is not None)

    shuffled = random.Random(1).sample(requests, len(requests))
    assert met(requests, 7) == met(shuffled, 7) != met(requests, 8)


def test_a_mix_strikes_its_share_with_every_kind_it_has() -> None:
    faults = chaos(0.1, seed=3)
    struck = [faults.pick("POST", "/crm/v3/objects/contacts/batch/read", str(each).encode()) for each in range(9000)]
    kinds = Counter(fault.kind for fault in struck if fault is not None)
    assert 780 < kinds.total() < 1020
    assert set(kinds) == {kind for kind, weight in WEIGHTS.items() if weight}
    assert not any("daily" in kind for kind in kinds)


def test_a_request_that_is_repeated_often_enough_always_goes_through() -> None:
    faults = Faults(chaos=Chaos(1.0, most_in_a_row=2))
    assert [faults.pick("GET", "/x") is None for _ in range(6)] == [False, False, True] * 2


def patiently(crm: Client, path: str, body: Any) -> tuple[Any, int]:
    """The body of the first sound answer, and how many attempts it took."""
    for attempt in range(1, 10):
        try:
            reply = crm.post(path, body)
        except urllib3.exceptions.ProtocolError:
            continue
        if reply.status in (200, 201) and isinstance(reply.body, dict) and "results" in reply.body:
            return reply.body, attempt
    raise AssertionError(f"{path} never went through")


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_patience_always_wins_and_what_is_done_twice_does_no_harm(crm: Client, share: float) -> None:
    people = load_contacts(crm, 60)
    crm.control("chaos", share=share, seed=5, hang_s=0.01)
    attempts = []
    for start in range(0, 60, 10):
        some = people[start : start + 10]
        inputs = [{"id": each, "properties": {"city": f"city {each}"}} for each in some]
        attempts.append(patiently(crm, f"{CONTACTS}/batch/update", {"inputs": inputs})[1])
        found, count = patiently(
            crm, f"{CONTACTS}/batch/read", {"inputs": [{"id": each} for each in some], "properties": ["city"]}
        )
        attempts.append(count)
        assert [each["properties"]["city"] for each in found["results"]] == [f"city {each}" for each in some]
    assert 1 < max(attempts) <= 4
    assert crm.get("/_emulator/calls").body["errors"] == 0


def test_what_no_mix_has_is_refused(crm: Client) -> None:
    for asked in ({"share": 2}, {"share": 0.1, "kinds": ["earthquake"]}, {"share": 0.1, "kinds": {"423": 0}}, {}):
        assert crm.post("/_emulator/chaos", asked).status == 400
    assert crm.post("/_emulator/chaos", {"share": 0.1, "path": "("}).status == 400


def test_a_mix_and_a_script_end_when_told_to(crm: Client) -> None:
    crm.control("chaos", share=1, kinds=["423"])
    assert crm.get(CONTACTS).status == 423
    crm.control("chaos", share=0)
    assert crm.get(CONTACTS).status == 200
    crm.control("chaos", share=1, kinds=["423"])
    crm.control("faults", faults=[])
    assert crm.get(CONTACTS).status == 200


def test_errors_that_a_client_earned_are_told_from_faults(crm: Client) -> None:
    crm.control("faults", faults=[{"status": 503, "times": 1}])
    assert crm.get(CONTACTS).status == 503
    assert crm.get(f"{CONTACTS}/5").status == 404
    counted = crm.get("/_emulator/calls").body
    assert (counted["total"], counted["faulted"], counted["errors"]) == (2, {"503": 1}, 1)


def test_another_status_can_stand_over_the_real_answer() -> None:
    switch = Fault(body="real", status=202, times=1)
    with served(Portal(limits=None, faults=Faults(switch))) as crm:
        reply = crm.post(CONTACTS, {"properties": {"city": "Kiel"}})
        assert (reply.status, reply.body["properties"]["city"]) == (202, "Kiel")


def test_time_that_is_frozen_moves_only_when_told_to(frozen: tuple[Client, Portal]) -> None:
    crm, portal = frozen
    before = portal.clock.now_ms()
    time.sleep(0.02)
    made = crm.post(CONTACTS, {"properties": {"city": "Kiel"}}).body
    assert (portal.clock.now_ms(), made["createdAt"]) == (before, "2026-01-01T12:00:00Z")
    assert crm.control("clock", advance_s=86_400)["now_ms"] == before + 86_400_000
    assert crm.control("clock", frozen=False)["now_ms"] >= before + 86_400_000
    time.sleep(0.02)
    assert portal.clock.now_ms() > before + 86_400_000


def test_advancing_the_clock_from_many_threads_loses_no_second() -> None:
    clock = Clock(NEW_YEAR, frozen=True)

    def tick() -> None:
        for _ in range(500):
            clock.advance(1)

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert clock.now_ms() == (int(NEW_YEAR.timestamp()) + 2000) * 1000


def test_a_hang_of_an_hour_ends_when_the_hour_has_passed_in_the_portal(frozen: tuple[Client, Portal]) -> None:
    crm, portal = frozen
    crm.control("faults", faults=[{"hang_s": 3600}])
    later = threading.Timer(0.1, portal.clock.advance, [3600])
    later.start()
    began = time.monotonic()
    assert crm.get(CONTACTS).status == 200
    assert 0.1 <= time.monotonic() - began < 5
    later.join()


def test_a_request_whose_caller_left_while_it_hung_is_never_worked(crm: Client) -> None:
    crm.control("faults", faults=[{"hang_s": 0.2, "times": 1}])
    pool = urllib3.PoolManager(retries=False, headers={"Authorization": "Bearer emulator-token"})
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("POST", crm.url + CONTACTS, json={"properties": {"city": "Kiel"}}, timeout=0.05)
    pool.clear()
    time.sleep(0.3)
    assert crm.control("dump")["results"] == []
    assert crm.get("/_emulator/calls").body["faulted"] == {"latency": 1}


@pytest.mark.parametrize(
    ("limits", "path", "policy", "wait_s"),
    [
        (Limits(search_per_second=1), f"{CONTACTS}/search", "SECONDLY", "1"),
        (Limits(ten_secondly=1), f"{CONTACTS}/batch/read", "TEN_SECONDLY_ROLLING", "7"),
        (Limits(daily=1), f"{CONTACTS}/batch/read", "DAILY", str(17 * 3600 - 3)),
    ],
)
@pytest.mark.parametrize("tells", [True, False])
def test_a_limit_may_say_when_to_come_back(limits: Limits, path: str, policy: str, wait_s: str, tells: bool) -> None:
    portal = Portal(limits=limits, clock=Clock(NEW_YEAR, frozen=True), manners=Manners(retry_after_on_429=tells))
    with served(portal) as crm:
        crm.post(path)
        portal.clock.advance(3 if policy != "SECONDLY" else 0.5)
        refused = crm.post(path)
        assert (refused.status, refused.body["policyName"]) == (429, policy)
        assert refused.headers.get("retry-after") == (wait_s if tells else None)
        portal.clock.advance(int(wait_s))
        assert crm.post(path).status != 429
        assert crm.get("/_emulator/calls").body["refused"] == {policy: 1}


@pytest.mark.parametrize(
    "begin", [datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 11, 1, 4, 30, tzinfo=UTC)], ids=["winter", "25 hours"]
)
def test_a_day_of_calls_begins_anew_at_the_portals_midnight_and_not_before(begin: datetime) -> None:
    portal = Portal(limits=Limits(daily=1), clock=Clock(begin, frozen=True))
    with served(portal) as crm:
        assert crm.get(CONTACTS).status == 200
        midnight_ms = portal.windows.next_midnight_ms(portal.clock.now_ms())
        portal.clock.advance((midnight_ms - portal.clock.now_ms()) / 1000 - 1)
        assert crm.get(CONTACTS).status == 429
        portal.clock.advance(1)
        assert crm.get(CONTACTS).status == 200
    assert timedelta(0) < datetime.fromtimestamp(midnight_ms / 1000, UTC) - begin <= timedelta(hours=25)


def test_too_many_writes_lock_the_records_for_two_seconds(frozen: tuple[Client, Portal]) -> None:
    crm, portal = frozen
    crm.control("manners", lock_after_writes=2)
    replies = [crm.post(CONTACTS, {"properties": {"city": "Kiel"}}) for _ in range(4)]
    assert [each.status for each in replies] == [201, 201, 201, 423]
    assert crm.get(CONTACTS).status == 200
    portal.clock.advance(1.9)
    assert crm.post(CONTACTS, {"properties": {}}).status == 423
    portal.clock.advance(0.2)
    assert crm.post(CONTACTS, {"properties": {}}).status == 201
    assert crm.get("/_emulator/calls").body["refused"] == {"LOCKED": 2}


def test_all_tokens_of_an_oauth_app_share_110_requests_in_ten_seconds_and_no_day() -> None:
    keys = [Token(each, oauth=True, expires_ms=1 << 50) for each in ("one", "two")]
    portal = Portal([*keys, OAuthApp("id", "s", "r")], Limits(daily=5), clock=Clock(NEW_YEAR, frozen=True))
    with served(portal, "one") as one:
        two = Client(one.url, "two")
        statuses = [client.get("/crm/v3/owners").status for client in (one, two) * 56]
        two.close()
        assert Counter(statuses) == {200: 110, 429: 2}
        assert portal.windows.used_today == 0
        assert one.get("/_emulator/calls").body["peak_per_10_seconds"] == {"app 19083857": 110}
