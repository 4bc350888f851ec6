from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from connectors.emulators.hubspot import Limits
from connectors.hubspot.refusals import Problem, read_problem, translate
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, SyncerError, TemporaryError
from tests.connectors.hubspot.portals import STAGES, TOKEN, Office, change, key, office, records

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


@pytest.mark.slow
def test_case_21_after_a_429_for_ten_seconds_everybody_is_read_once() -> None:
    with office() as portal:
        people = portal.add(250)
        portal.settle()
        portal.fault(path=READING, skip=1, times=1, policy="TEN_SECONDLY_ROLLING")
        began = time.monotonic()
        pages = list(portal.hubspot(COUNTRY).pull("contacts", None))
        assert 10 <= time.monotonic() - began < 15
        assert [record.key.id for page in pages for record in page.records] == list(people)


@pytest.mark.slow
def test_case_21_the_window_of_ten_seconds_is_kept_instead_of_being_hit() -> None:
    with office(limits=Limits(ten_secondly=20, search_per_second=5)) as portal:
        people = portal.add(900)
        portal.control("clock", advance_s=60)
        portal.forget()
        assert people_read(portal, search_rate=4) == set(people)
        hubspot = portal.hubspot(COUNTRY, search_rate=4)
        for _ in range(9):
            hubspot.account()
        assert {each["status"] for each in portal.calls()["routes"]} == {200}


def test_case_22_searches_slow_down_when_others_use_up_the_second() -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        cursor = list(portal.hubspot(COUNTRY).pull("contacts", None))[-1].cursor
        portal.fault(path="/search", times=2, policy="SECONDLY")
        hubspot = portal.hubspot(COUNTRY)
        began = time.monotonic()
        assert set(records(list(hubspot.pull("contacts", cursor)))) == set(people)
        assert time.monotonic() - began > 2
        assert hubspot._client._pace._search_rate < 50


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


def test_case_24_a_long_wish_does_not_block_and_a_short_one_can_be_stopped() -> None:
    with office() as portal:
        portal.fault(path=READING, status=503, headers={"Retry-After": "3600"}, times=1)
        began = time.monotonic()
        with pytest.raises(TemporaryError) as caught:
            people_read(portal)
        assert (caught.value.retry_after_s, time.monotonic() - began < 2) == (3600, True)
        portal.fault(path=READING, status=503, headers={"Retry-After": "30"})
        wanted = Wanted()
        threading.Timer(0.5, wanted.stop.set).start()
        with pytest.raises(Stopped):
            list(portal.hubspot(wanted).pull("contacts", None))
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502, "body": "html"},
        {"status": 521, "body": "html"},
        {"status": 500, "body": "not_utf8"},
        {"status": 423, "body": "json"},
        {"drop": "before"},
        {"drop": "after"},
        {"status": 200, "body": "html"},
        {"status": 200, "body": "truncated"},
    ],
    ids=str,
)
def test_cases_26_to_28_passing_trouble_loses_nobody(fault: dict[str, Any]) -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        portal.fault(path=READING, times=1, **fault)
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


def test_case_30_a_hanging_answer_is_given_up_and_asked_for_again() -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        portal.fault(path=READING, times=1, hang_s=20, status=500)
        began = time.monotonic()
        assert people_read(portal, timeout_s={"read": 1}) == set(people)
        assert time.monotonic() - began < 6


def test_a_portal_that_is_not_there_is_temporary_and_the_token_is_not_told() -> None:
    wanted = Wanted()
    with office() as portal:
        hubspot = portal.hubspot(wanted)
    threading.Timer(1.0, wanted.stop.set).start()
    with pytest.raises((TemporaryError, Stopped)) as caught:
        hubspot.account()
    assert TOKEN not in str(caught.value)


def test_the_requests_are_counted_by_kind() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        for each in hubspot.setup():
            hubspot.create(each)
        (ana,) = portal.add(1)
        before = dict(hubspot.calls)
        list(hubspot.read_back([key(ana)]))
        list(hubspot.write([change(ana)]))
        after = hubspot.calls
        assert after["write"] - before["write"] == 1
        assert after["read"] - before["read"] == 5  # account, owners twice, the contact, the properties
