from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from connectors.emulators.hubspot import Limits
from connectors.hubspot.refusals import Problem, read_problem, translate
from syncer import retry
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, SyncerError, TemporaryError
from tests.connectors.hubspot.portals import STAGES, TOKEN, Office, change, key, let_waits_pass, office, records

COUNTRY = Wanted(fields=("country",), stages=STAGES)
READING = r"/objects/.*contacts\?"


def people_read(portal: Office, **settings: Any) -> set[str]:
    return set(records(list(portal.hubspot(COUNTRY, **settings).pull("contacts", None))))


def answer(status: int, retry_after: str | None = None, **body: object) -> Problem:
    headers = {"Retry-After": retry_after} if retry_after else {}
    found = read_problem(status, b"<html>no JSON</html>", headers)
    return Problem(status, "m", policy=str(body.get("policy", "")), retry_after_s=found.retry_after_s)


@pytest.mark.parametrize(
    ("problem", "code", "wish_s"),
    [
        (answer(429, policy="SECONDLY"), "SY035", 1),
        (answer(429, policy="TEN_SECONDLY_ROLLING"), "SY035", 10),
        (answer(429, policy="TEN_SECONDLY_ROLLING", retry_after="3600"), "SY035", 3600),
        (answer(429, policy="DAILY"), "SY036", 5000),
        (answer(423), "SY037", 2),
        (answer(423, retry_after="1"), "SY037", 2),
        (answer(477, retry_after="86400"), "SY038", 86400),
        (answer(477, retry_after="0"), "SY038", 3600),
        (answer(503, retry_after="0"), "SY039", None),
        (answer(503, retry_after="nan"), "SY039", None),
        (answer(503, retry_after="inf"), "SY039", None),
        (answer(503, retry_after="7"), "SY039", 7),
        (answer(502), "SY039", None),
        (answer(524), "SY039", None),
    ],
)
def test_cases_21_to_27_every_busy_answer_waits_as_long_as_it_must(
    problem: Problem, code: str, wish_s: float | None
) -> None:
    error = translate(problem, "crm: reading", midnight_s=5000)
    assert isinstance(error, TemporaryError)
    assert (error.code, error.retry_after_s) == (code, wish_s)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "SY030"), (530, "SY030"), (403, "SY032"), (301, "SY049"), (400, "SY033")]
)
def test_what_a_person_must_mend_is_never_tried_again(status: int, code: str) -> None:
    error: SyncerError = translate(answer(status), "crm: reading", midnight_s=0)
    assert isinstance(error, ConfigError)
    assert error.code == code


def test_case_21_after_a_429_for_ten_seconds_everybody_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        people = portal.add(2500)
        portal.settle()
        waits = let_waits_pass(monkeypatch, portal)
        portal.fault(path=READING, skip=1, times=1, policy="TEN_SECONDLY_ROLLING")
        pages = list(portal.hubspot(COUNTRY).pull("contacts", None))
        found = [record.key.id for page in pages for record in page.records]
        assert (len(found), set(found)) == (2500, set(people))
        assert 10 <= sum(waits) < 15  # one pause, although several threads were at work
        statuses = [each for each in portal.calls()["routes"] for _ in range(each["count"])]
        assert sum(each["status"] >= 400 for each in statuses) < 0.05 * len(statuses)


def test_case_21_the_window_of_ten_seconds_is_kept_instead_of_being_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    with office(limits=Limits(ten_secondly=20, search_per_second=5)) as portal:
        people = portal.add(3000)
        portal.settle()
        waits = let_waits_pass(monkeypatch, portal)
        portal.forget()
        for _ in range(2):  # two runs, one after the other
            assert people_read(portal, search_rate=4) == set(people)
        assert {each["status"] for each in portal.calls()["routes"]} == {200}
        assert portal.calls()["total"] > 40
        assert sum(waits) > 20


def test_case_22_searches_slow_down_when_others_use_up_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        cursor = list(portal.hubspot(COUNTRY).pull("contacts", None))[-1].cursor
        waits = let_waits_pass(monkeypatch, portal)
        portal.fault(path="/search", times=2, policy="SECONDLY")
        hubspot = portal.hubspot(COUNTRY, search_rate=4)
        assert set(records(list(hubspot.pull("contacts", cursor)))) == set(people)
        assert sum(waits) >= 2
        assert hubspot._client._governor.searches.share < 0.3  # no header tells how much others search


def test_case_23_the_daily_limit_is_passed_on_until_the_portals_midnight() -> None:
    with office(time_zone="Europe/Madrid") as portal:
        portal.add(1)
        hubspot = portal.hubspot(COUNTRY)
        hubspot.account()
        portal.fault(path="/objects/", policy="DAILY")
        began = time.monotonic()
        with pytest.raises(TemporaryError, match="midnight") as caught:
            list(hubspot.pull("contacts", None))
        assert time.monotonic() - began < 5
        now = hubspot._client.now()
        wish_s = caught.value.retry_after_s or 0
        assert 0 < wish_s <= 24 * 3600 + 60
        end = now.timestamp() + wish_s
        assert time.strftime("%M", time.gmtime(end)) in ("00", "01")  # a minute after a full hour, anywhere in Europe


@pytest.mark.parametrize("trouble", [{"status": 503}, {"policy": "TEN_SECONDLY_ROLLING"}], ids=str)
def test_case_24_a_long_wish_does_not_block_and_a_short_one_can_be_stopped(trouble: dict[str, Any]) -> None:
    with office() as portal:
        portal.fault(path=READING, headers={"Retry-After": "3600"}, times=1, **trouble)
        began = time.monotonic()
        with pytest.raises(TemporaryError) as caught:
            people_read(portal)
        assert (caught.value.retry_after_s, time.monotonic() - began < 2) == (3600, True)
        portal.fault(path=READING, headers={"Retry-After": "30"}, **trouble)
        wanted = Wanted()
        threading.Timer(0.5, wanted.stop.set).start()
        with pytest.raises(Stopped):
            list(portal.hubspot(wanted).pull("contacts", None))
        assert time.monotonic() - began < 5


def test_case_25_a_portal_that_moves_for_a_day_is_not_asked_again_and_again() -> None:
    with office() as portal:
        portal.add(3)
        portal.settle()
        portal.fault(path=READING, status=477, headers={"Retry-After": "86400"})
        with pytest.raises(TemporaryError, match="moving to another data centre") as caught:
            people_read(portal, at_once=1)
        assert (caught.value.code, caught.value.retry_after_s) == ("SY038", 86400)
        assert portal.statuses("/objects/contacts") == {477: 1}
        portal.control("faults", faults=[])
        assert len(people_read(portal)) == 3


def test_case_26_a_locked_portal_is_left_alone_for_two_seconds_and_asked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        people = portal.add(2500)
        portal.settle()
        waits = let_waits_pass(monkeypatch, portal)
        portal.fault(path=READING, skip=2, times=3, status=423)
        hubspot = portal.hubspot(COUNTRY)
        assert set(records(list(hubspot.pull("contacts", None)))) == set(people)
        assert sum(waits) >= 2
        assert 1 <= hubspot._client._governor._most <= 2


PASSING: tuple[dict[str, Any], ...] = (
    *({"status": status, "body": "html"} for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526)),
    {"status": 500, "body": "not_utf8"},
    {"drop": "before"},
    {"drop": "after"},
)


def test_case_27_passing_trouble_loses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        waits = let_waits_pass(monkeypatch, portal)
        first: set[float] = set()
        for fault in PASSING:
            waits.clear()
            portal.fault(path=READING, times=2, **fault)
            assert people_read(portal) == set(people), fault
            assert len(waits) == 2, fault
            first.add(waits[0])
        assert len(first) > len(PASSING) / 2  # jitter: clients do not come back all together


def test_case_27_a_refused_answer_is_logged_with_its_correlation_id(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "connectors.hubspot")
    with office() as portal:
        let_waits_pass(monkeypatch, portal)
        portal.fault(path="/account-info/", times=1, status=502)
        portal.fault(path="/account-info/", times=1, status=502, body="html")
        portal.hubspot().account()
    told = [vars(each) for each in caplog.records if each.message == "answer_refused"]
    assert [(each["status"], bool(each["correlation"])) for each in told] == [(502, True), (502, True)]
    assert read_problem(502, b"<html>", {}).correlation == ""  # it is not always there


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 200, "body": "html"},
        {"body": "truncated"},
        {"status": 200, "body": "no_results"},
        {"status": 200, "body": "empty"},
    ],
    ids=str,
)
def test_case_28_a_wrong_body_is_an_error_and_never_nobody(
    monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        let_waits_pass(monkeypatch, portal)
        portal.fault(path=READING, **fault)
        pages = portal.hubspot(COUNTRY).pull("contacts", None)
        with pytest.raises(TemporaryError):
            assert records(list(pages)) is None  # not even an empty page
        portal.control("faults", faults=[])
        assert people_read(portal) == set(people)


def test_case_28_another_2xx_than_expected_is_fine_with_the_right_body() -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        portal.fault(body="real")  # 201 for 200
        assert people_read(portal) == set(people)


def test_case_29_a_lost_answer_to_a_write_is_asked_for_again() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        for each in hubspot.setup():
            hubspot.create(each)
        people = portal.add(3)
        portal.fault(path="/batch/update", times=1, drop="after")
        answers = list(hubspot.write([change(each) for each in people]))
        assert len(answers) == 3
        assert {portal.shown(each)["ls_score"] for each in people} == {"12.34"}
        assert sum(portal.statuses("/batch/update").values()) == 2


@pytest.mark.slow
def test_case_30_a_hanging_answer_is_given_up_and_asked_for_again() -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        portal.fault(path=READING, times=1, hang_s=20, status=500)
        began = time.monotonic()
        assert people_read(portal, timeout_s={"read": 1}) == set(people)
        assert time.monotonic() - began < 6


@pytest.mark.slow
def test_case_30_a_shutdown_does_not_wait_for_a_hanging_answer() -> None:
    with office() as portal:
        portal.add(3)
        portal.fault(path=READING, hang_s=60, status=500)
        wanted = Wanted()
        threading.Timer(0.5, wanted.stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            list(portal.hubspot(wanted).pull("contacts", None))
        assert time.monotonic() - began < 6


@pytest.mark.slow
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_case_30_nor_for_the_only_answer_there_is_to_wait_for(write: bool) -> None:
    with office() as portal:
        for each in (hubspot := portal.hubspot()).setup():
            hubspot.create(each)
        people = portal.add(3)
        portal.fault(path="/batch/update" if write else "/account-info/", hang_s=60, status=500)
        wanted = Wanted(stages=STAGES)
        threading.Timer(0.5, wanted.stop.set).start()
        began = time.monotonic()
        changes = [change(each) for each in people]
        last = portal.hubspot(wanted)
        with pytest.raises(Stopped):
            list(last.write(changes)) if write else last.account()
        assert time.monotonic() - began < 10


@pytest.mark.slow
def test_case_30_nor_does_the_end_of_the_process() -> None:
    with office() as portal:
        portal.fault(hang_s=60)
        words = [sys.executable, "-c", _HANGING, portal.url, portal.api_version]
        began = time.monotonic()
        subprocess.run(words, check=True, timeout=30)
        assert time.monotonic() - began < 15  # most of it is Python's start


_HANGING = """
import sys, time
from connectors.hubspot import HubSpot
from connectors.hubspot.settings import Settings
from syncer.connector import Wanted
told = {"token": "emulator-token", "base_url": sys.argv[1], "api_version": sys.argv[2]}
client = HubSpot("crm", Settings.model_validate(told), Wanted())._client
answer = client.start(client.account)
time.sleep(0.5)
assert answer.running()
"""


def test_a_portal_that_is_not_there_is_temporary_and_the_token_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retry, "wait", lambda seconds, stop: waits.append(seconds))
    with office() as portal:
        hubspot = portal.hubspot()
    with pytest.raises(TemporaryError, match="no connection") as caught:
        hubspot.account()
    assert sum(waits) > 10
    assert TOKEN not in str(caught.value)


def test_the_requests_are_counted_by_kind() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        for each in hubspot.setup():
            hubspot.create(each)
        (ana,) = portal.add(1)
        before = dict(hubspot.calls)
        list(hubspot.read_back([key(ana)]))
        reads = hubspot.calls["read"] - before["read"]
        list(hubspot.write([change(ana)]))
        assert reads >= 1
        assert hubspot.calls["write"] - before["write"] == 1
        assert sum(hubspot.calls.values()) == portal.calls()["total"]
