"""How fast the connector asks, and how much of a day it uses. Where time matters, it passes by waiting alone."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.emulators.hubspot import Limits
from connectors.emulators.hubspot.tokens import OAuthApp, Token
from connectors.hubspot.budget import Budget
from connectors.hubspot.client import Client, Request
from connectors.hubspot.governor import Governor, Searches, belongs_to, governor_of
from connectors.hubspot.settings import Settings
from syncer import retry
from syncer.connector import Finding, Wanted
from syncer.errors import Stopped, TemporaryError
from syncer.workers import Workers
from tests.connectors.hubspot.portals import TOKEN, Json, Office, let_waits_pass, office

NEVER = threading.Event()
BURST = {"X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}


class Time:
    """A clock that moves when it is told to, and by waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.waited = 0.0
        monkeypatch.setattr(retry, "wait", self.wait)
        monkeypatch.setattr(retry, "monotonic", lambda: self.now)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped("asked to stop")
        self.now += seconds
        self.waited += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def client(portal: Office, wanted: Wanted | None = None, **settings: object) -> Client:
    chosen = {"token": TOKEN, "base_url": portal.url, **settings}
    return Client("crm", Settings.model_validate(chosen), wanted or Wanted())


def listing(hubspot: Client, limit: int = 1) -> Callable[[], Json]:
    return lambda: hubspot.get("reading contacts", hubspot.paths.objects("contacts"), {"limit": str(limit)})


def searching(hubspot: Client) -> Callable[[], Json]:
    path = hubspot.paths.objects("contacts", "/search")
    return lambda: hubspot.post("searching contacts", path, {"limit": 1, "properties": ["email"]})


def send(governor: Governor, times: int, remaining: int | None = None) -> None:
    for _ in range(times):
        with governor.turn(NEVER, search_rate=None) as sent_at:
            if remaining is not None:
                governor.note({**BURST, "X-HubSpot-RateLimit-Remaining": str(remaining)}, sent_at)


# the window of ten seconds


@pytest.mark.parametrize(("limits", "at_once"), [(Limits(), 1), (Limits(), 4), (Limits(ten_secondly=100), 4)])
def test_nearly_all_calls_that_the_limits_allow_are_used_and_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, at_once: int
) -> None:
    with office(limits=limits) as portal:
        let_waits_pass(monkeypatch, portal)
        hubspot = client(portal, at_once=at_once)
        ends = retry.monotonic() + 49  # five windows begin
        calls = iter(lambda: listing(hubspot) if retry.monotonic() < ends else None, None)
        sent = sum(1 for _ in hubspot.together(calls))
        assert sent >= 0.95 * 5 * limits.ten_secondly
        assert portal.calls()["refused"] == {}


@pytest.mark.slow
def test_the_same_by_the_clock_on_the_wall() -> None:
    with office(limits=Limits()) as portal:
        portal.fault(hang_s=0.25)
        hubspot = client(portal, at_once=16)
        ends = time.monotonic() + 27  # time for three windows, begun when answers have come
        calls = iter(lambda: listing(hubspot) if time.monotonic() < ends else None, None)
        sent = sum(1 for _ in hubspot.together(calls))
        assert sent >= 0.95 * 3 * 190
        assert portal.calls()["refused"] == {}


def test_what_others_use_is_left_to_them(clock: Time) -> None:
    governor = Governor()
    send(governor, 1, remaining=49)  # 50 were others'
    send(governor, 49)
    assert clock.waited == pytest.approx(0, abs=0.5)
    send(governor, 40, remaining=0)
    assert clock.waited > 5


def test_a_window_used_up_by_others_alone_lets_some_through_as_it_empties(clock: Time) -> None:
    governor = Governor()
    send(governor, 1, remaining=0)
    began = clock.now
    send(governor, 10)
    assert 0 < clock.now - began < 3


def test_requests_under_way_count_until_they_are_answered(clock: Time) -> None:
    governor = Governor()
    send(governor, 1, remaining=99)
    with ExitStack() as hanging:
        for _ in range(60):
            hanging.enter_context(governor.turn(NEVER, search_rate=None))
        clock.now += 30  # hours may pass: nobody knows whether HubSpot has counted them yet
        send(governor, 39)
        assert clock.waited == 0
        send(governor, 1)
        assert clock.waited > 9
        clock.now += 30
    began = clock.now
    send(governor, 39)
    assert clock.now == began
    send(governor, 1)
    assert clock.now > began + 9


def test_a_refusal_makes_the_window_smaller_for_a_while(clock: Time) -> None:
    governor = Governor()

    def sent_in_ten_seconds() -> int:
        count, ends = 0, clock.now + 10
        while clock.now < ends:
            send(governor, 1, remaining=100)
            count += 1
        return count

    before = sent_in_ten_seconds()
    for _ in range(4):  # they were under way together: one refusal
        governor.refused(429, "TEN_SECONDLY_ROLLING", 10.0, searching=False)
    clock.now += 20
    after = sent_in_ten_seconds()
    assert before >= 99
    assert 85 <= after < before
    clock.now += 60
    assert sent_in_ten_seconds() >= 99


def test_one_pause_holds_everybody_once(clock: Time) -> None:
    governor = Governor()
    governor.refused(429, "TEN_SECONDLY_ROLLING", 10.0, searching=False)
    threads = [threading.Thread(target=send, args=(governor, 1)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(5)
    assert clock.waited == pytest.approx(10)


def test_case_26_after_a_lock_fewer_requests_are_under_way_for_a_while(clock: Time) -> None:
    governor = Governor()
    with ExitStack() as four:
        for _ in range(4):
            four.enter_context(governor.turn(NEVER, search_rate=None))
        governor.refused(423, "", 2.0, searching=False)
    assert most_at_once(governor) == 2
    assert clock.waited >= 2
    clock.now += 60
    assert most_at_once(governor) == 6


def most_at_once(governor: Governor) -> int:
    """How many of six that all want to be under way are so together."""
    inside, most, lock = 0, 0, threading.Lock()

    def one() -> None:
        nonlocal inside, most
        with governor.turn(NEVER, search_rate=None):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.2)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=one) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    return most


def test_who_waits_for_another_threads_turn_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    governor, stop, waiting = Governor(), threading.Event(), threading.Event()

    def wait(seconds: float, other: threading.Event) -> None:
        if seconds:
            waiting.set()
        if other.wait(seconds):
            raise Stopped("asked to stop")

    monkeypatch.setattr(retry, "wait", wait)
    governor.refused(503, "", 60.0, searching=False)
    patient = threading.Event()
    first = threading.Thread(target=wait_for_turn, args=(governor, patient))
    first.start()
    waiting.wait(5)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    wait_for_turn(governor, stop)
    assert time.monotonic() - began < 3
    patient.set()
    first.join(5)


def wait_for_turn(governor: Governor, stop: threading.Event) -> None:
    with pytest.raises(Stopped), governor.turn(stop, search_rate=None):
        raise AssertionError("nobody has a turn during a pause")


def test_the_next_run_of_a_connection_knows_what_the_last_one_has_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with office(limits=Limits(ten_secondly=20)) as portal:
        waits = let_waits_pass(monkeypatch, portal)
        for number in range(6):
            hubspot = client(portal) if number % 2 else client(portal, search_rate=2)
            for _ in range(5):
                listing(hubspot)()
        assert portal.calls()["refused"] == {}
        assert sum(waits) > 9


def test_connections_of_other_portals_and_apps_have_governors_of_their_own() -> None:
    one = governor_of("https://a.test", "key 1")
    assert governor_of("https://a.test", "key 1") is one
    assert governor_of("https://a.test", "key 2") is not one
    assert governor_of("https://b.test", "key 1") is not one


# searches


def test_searches_of_all_apps_of_one_portal_take_turns() -> None:
    one, two, three = (governor_of("https://c.test", key) for key in ("key 1", "key 2", "key 3"))
    for each, portal in ((one, "1"), (two, "1"), (three, "2")):
        belongs_to(each, "https://c.test", portal)
    assert one.searches is two.searches
    assert one.searches is not three.searches


def test_searches_keep_their_own_rate_and_do_not_hold_up_other_requests(clock: Time) -> None:
    governor = Governor()
    for _ in range(9):
        with governor.turn(NEVER, search_rate=4):
            send(governor, 3)
    assert clock.waited == pytest.approx(2)


def test_case_22_a_search_refused_halves_the_rate_which_recovers(clock: Time) -> None:
    searches = Searches()
    searches.refused(1.0)
    searches.refused(1.0)  # under way together with the first
    assert searches.share == 0.5
    assert searches.pause_s() == pytest.approx(1)
    for _ in range(110):
        searches.answered()
    assert searches.share == 1


def test_case_22_searches_adapt_while_another_app_uses_up_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with office(limits=Limits(), keys=(Token(TOKEN), Token("another app"))) as portal:
        let_waits_pass(monkeypatch, portal)
        pass_time, next_search = retry.wait, [retry.monotonic()]
        theirs: list[int] = []

        def wait(seconds: float, stop: threading.Event) -> None:
            ends = retry.monotonic() + seconds
            while (left_s := ends - retry.monotonic()) > 0:
                pass_time(max(0.001, min(left_s, 0.05)), stop)
                if retry.monotonic() > next_search[0]:
                    next_search[0] += 1 / 3
                    theirs.append(search_as_another(portal))

        monkeypatch.setattr(retry, "wait", wait)
        hubspot = portal.hubspot(search_rate=5)._client
        for _ in range(150):
            searching(hubspot)()
        ours = portal.calls()["refused"]["SECONDLY"] - theirs.count(429)
        assert 0 < ours < 0.05 * hubspot.calls["read"]
        assert hubspot._governor.searches.share < 0.8


def search_as_another(portal: Office) -> int:
    headers = {"Authorization": "Bearer another app", "Content-Type": "application/json"}
    url = f"{portal.url}/crm/v3/objects/contacts/search"
    return portal._pool.request("POST", url, body=b'{"limit":1}', headers=headers).status


# the day


def test_a_connection_stops_reading_at_nine_tenths_of_its_share_and_writing_at_its_end() -> None:
    asked: list[datetime] = []

    def spent(since: datetime) -> int:
        asked.append(since)
        return 40

    with office(limits=Limits(daily=1000), time_zone="Europe/Madrid") as portal:
        hubspot = client(portal, Wanted(spent=spent), use_at_most="10%")
        hubspot.account()
        for _ in range(49):
            listing(hubspot)()
        with pytest.raises(TemporaryError, match=r"10% of 1,000.*midnight") as caught:
            listing(hubspot)()
        assert caught.value.code == "SY029"
        ends = hubspot.now() + timedelta(seconds=caught.value.retry_after_s or 0)
        assert ends.astimezone(ZoneInfo("Europe/Madrid")).strftime("%H:%M") == "00:01"
        for _ in range(9):
            hubspot.account()  # what writing needs is still read
        listing(hubspot.reserved)()
        write = Request("writing", "POST", hubspot.paths.objects("contacts", "/batch/update"), {}, kind="write")
        with pytest.raises(TemporaryError, match="used up"):
            hubspot.ask(write)
        assert (portal.calls()["total"], hubspot.calls) == (60, {"read": 60, "write": 0})
        assert [each.astimezone(ZoneInfo("Europe/Madrid")).hour for each in asked] == [0]


def test_a_day_begins_anew_at_the_portals_midnight() -> None:
    days: list[datetime] = []

    def spent(since: datetime) -> int:
        days.append(since)
        return 5

    budget = Budget("crm", 0.5, spent)
    tokyo = ZoneInfo("Asia/Tokyo")
    late = datetime(2026, 11, 22, 23, 59, tzinfo=tokyo)
    for _ in range(4):
        budget.sent()
    assert budget.used(late) == 9
    budget.insist(20, late, pulling=False)
    with pytest.raises(TemporaryError) as caught:
        budget.insist(20, late, pulling=True)
    assert caught.value.retry_after_s == 120
    assert budget.used(late + timedelta(minutes=1)) == 5
    budget.sent()
    assert budget.used(late + timedelta(minutes=2)) == 6
    assert [each.astimezone(UTC).isoformat() for each in days] == [
        "2026-11-21T15:00:00+00:00",
        "2026-11-22T15:00:00+00:00",
    ]


def test_an_oauth_app_is_told_that_its_share_has_no_effect(tmp_path: Path) -> None:
    app = OAuthApp("app", "app-secret-1", "refresh-1")
    with office(limits=Limits(), keys=(app,)) as portal:
        oauth = {"client_id": "app", "client_secret": "app-secret-1", "refresh_token": "refresh-1"}
        oauth["token_file"] = str(tmp_path / "token.json")
        hubspot = portal.hubspot(token=None, oauth=oauth, use_at_most="20%")
        (finding,) = [each for each in hubspot.check() if each.layer == "limits"]
        assert (finding.level, finding.code) == ("warning", "SY029")
        assert "use_at_most" in finding.help


def test_check_shows_the_share_of_the_day() -> None:
    with office(limits=Limits(daily=1000)) as portal:
        found = limits_found(portal, "20%")
        assert [each.level for each in found] == ["ok", "ok"]
        assert "of the 200 requests a day (20%)" in found[1].message
        assert [each.code for each in limits_found(portal, "18%")] == ["SY000", "SY029"]


def limits_found(portal: Office, share: str) -> list[Finding]:
    hubspot = portal.hubspot(Wanted(spent=lambda since: 165), use_at_most=share)
    return [each for each in hubspot.check() if each.layer == "limits"]


# requests that overlap


def test_answers_come_in_order_and_so_many_are_under_way_at_once() -> None:
    workers, lock = Workers(3, NEVER), threading.Lock()
    inside: list[int] = [0, 0]

    def call(number: int) -> int:
        with lock:
            inside[0] += 1
            inside[1] = max(inside)
        time.sleep(0.05 if number % 3 == 0 else 0.01)
        with lock:
            inside[0] -= 1
        return number

    assert list(workers.together(lambda n=n: call(n) for n in range(12))) == list(range(12))  # type: ignore[misc]
    assert inside == [0, 3]


def test_the_first_error_ends_it_and_the_rest_is_never_begun() -> None:
    begun: list[int] = []

    def call(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise TemporaryError("unwell")
        time.sleep(0.05)
        return number

    answers = Workers(2, NEVER).together(lambda n=n: call(n) for n in range(50))  # type: ignore[misc]
    assert next(answers) == 0
    with pytest.raises(TemporaryError, match="unwell"):
        list(answers)
    time.sleep(0.2)
    assert len(begun) <= 4


def test_a_call_may_make_calls_although_no_thread_is_free() -> None:
    workers = Workers(1, NEVER)

    def nested() -> list[int]:
        return [workers.answer(lambda: 1), *workers.together([lambda: 2, lambda: 3])]

    assert workers.start(nested).result(5) == [1, 2, 3]


def test_no_thread_outlives_the_garbage_of_its_client() -> None:
    before = set(threading.enumerate())
    with office() as portal:
        hubspot = client(portal)
        list(hubspot.together([listing(hubspot)] * 8))
        assert any(each.name == "crm" and each.daemon for each in set(threading.enumerate()) - before)
        gone = weakref.ref(hubspot)
        del hubspot
        gc.collect()
        assert gone() is None
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
