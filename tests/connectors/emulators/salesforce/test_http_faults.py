"""Trouble on demand: by script, by share, as a mix; and what the caller then sees and the org has done."""

import time
from threading import Thread
from typing import Any

import pytest
import urllib3

from connectors.emulators.salesforce import Access, Clock, ConnectedApp, Fault, Faults, Instance, Limits, Org, chaos
from connectors.emulators.salesforce.http.faults import CODES, MIX, WEIGHTS, Chaos, parse_fault
from tests.connectors.emulators.salesforce.orgs import TIMEOUT, Client, served

LEAD = {"LastName": "Doe", "Company": "Acme"}


@pytest.mark.parametrize("code", sorted(set(CODES) - {"QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "INVALID_QUERY_LOCATOR"}))
def test_a_code_is_answered_as_salesforce_words_it(crm: Client, code: str) -> None:
    crm.control("faults", faults=[{"code": code, "path": "/sobjects/Lead$"}])
    reply = crm.post("/sobjects/Lead", LEAD)
    status, error_code, message = CODES[code]
    assert (reply.status, reply.body) == (status, [{"message": message, "errorCode": error_code}])
    crm.control("faults", faults=[])
    assert crm.rows("SELECT Id FROM Lead") == []
    shown = crm.seen("calls")
    assert (shown["faulted"], shown["errors"]) == ({code: 1}, 0)


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_a_fault_of_queries_strikes_queries_alone(crm: Client, code: str) -> None:
    crm.control("faults", faults=[{"code": code, "times": 1}])
    assert crm.post("/sobjects/Lead", LEAD).status == 201
    assert crm.query("SELECT Id FROM Lead").code == code
    assert crm.query("SELECT Id FROM Lead").status == 200


def test_a_locator_can_die_on_the_third_page(crm: Client) -> None:
    crm.load_leads(801)
    crm.control("faults", faults=[{"code": "INVALID_QUERY_LOCATOR", "skip": 1, "times": 1}])
    reply = crm.query("SELECT Id FROM Lead", Sforce_Query_Options="batchSize=200")
    statuses = []
    for _ in range(3):
        following = crm.get(reply.body["nextRecordsUrl"])
        statuses.append(following.status)
        reply = following if following.status == 200 else reply
    assert statuses == [200, 400, 200]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (502, "html", "text/html", b"<html>"),
        (503, "html", "text/html", b"<html>"),
        (431, "html", "text/html", b"<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>"),
        (406, "empty", "", b""),
        (420, "empty", "", b""),
        (429, "html", "text/html", b"<html>"),
        (500, "not_utf8", "application/json", b'[{"message":"caf\xe9'),
    ],
)
def test_what_stands_in_front_answers_in_its_own_ways(
    crm: Client, status: int, body: str, kind: str, text: bytes
) -> None:
    crm.control("faults", faults=[{"status": status, "body": body}])
    reply = crm.get("/limits")
    assert reply.status == status
    assert reply.raw.startswith(text)
    assert reply.headers.get("content-type", "").startswith(kind)


def test_a_truncated_answer_ends_in_the_middle_though_the_work_is_done(crm: Client) -> None:
    crm.control("faults", faults=[{"body": "truncated", "path": "composite", "times": 1}])
    records = [{"attributes": {"type": "Lead"}, **LEAD}]
    reply = crm.post("/composite/sobjects", {"records": records}, Accept_Encoding="gzip")
    assert (reply.status, reply.body) == (200, None)
    assert reply.raw.startswith(b'[{"id":"00Q')
    assert len(crm.rows("SELECT Id FROM Lead")) == 1


def test_the_real_answer_may_come_under_a_wrong_status(crm: Client) -> None:
    crm.control("faults", faults=[{"body": "real", "times": 1}])
    reply = crm.post("/sobjects/Lead", LEAD)
    assert (reply.status, reply.body["success"]) == (200, True)
    assert len(crm.rows("SELECT Id FROM Lead")) == 1


@pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1), ("midway", 1)])
def test_a_connection_is_dropped_before_or_after_the_work(crm: Client, drop: str, made: int) -> None:
    crm.control("faults", faults=[{"drop": drop, "method": "POST", "path": "/sobjects/", "times": 1}])
    with pytest.raises(urllib3.exceptions.HTTPError):
        crm.post("/sobjects/Lead", LEAD)
    assert len(crm.rows("SELECT Id FROM Lead")) == made
    assert crm.seen("calls")["faulted"] == {f"reset_{drop}": 1}


def test_an_answer_may_stall_after_its_head(crm: Client) -> None:
    crm.load_leads(20)
    crm.control("faults", faults=[{"drop": "stalled", "hang_s": 0.3, "path": "/query", "times": 1}])
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)
    url = f"{crm.url}/services/data/v60.0/query?q=SELECT+Id+FROM+Lead"
    answer = pool.request("GET", url, headers={"Authorization": "Bearer emulator-token"}, preload_content=False)
    began = time.monotonic()
    assert (answer.status, int(answer.headers["content-length"]) > 1000) == (200, True)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        answer.read()
    assert time.monotonic() - began > 0.2
    pool.clear()


def test_latency_lasts_by_the_clock_of_the_org(stage: None) -> None:
    faults = Faults(Fault(path="limits", hang_s=0.2))
    with served(Instance(Org.stock(Clock(frozen=True)), faults=faults)) as crm:
        began = time.monotonic()
        assert crm.get("/limits").status == 200
        assert 0.15 < time.monotonic() - began < 2


def test_a_session_can_end_in_the_middle_of_a_run_and_one_without_a_login_is_refused_once(stage: None) -> None:
    access = Access(apps=(ConnectedApp("id", "secret", run_as=Instance().username(Org.stock().admin_id)),))
    with served(Instance(access=access)) as crm:
        fields = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
        opened = Client(crm.url, crm.form("/services/oauth2/token", **fields).body["access_token"])
        for client, statuses in ((opened, [200, 401, 401]), (crm, [200, 401, 200])):
            crm.control("faults", faults=[])
            crm.control("faults", faults=[{"expire": True, "skip": 1, "times": 1}])
            assert [client.get("/limits").status for _ in range(3)] == statuses
        assert crm.form("/services/oauth2/token", **fields).status == 200
        opened.close()


@pytest.mark.parametrize(
    ("body", "rows", "has_next"), [("short_page", 750, True), ("empty_page", 0, True), ("no_next_url", 2000, False)]
)
def test_a_page_may_be_cut_in_ways_that_a_reader_must_notice(crm: Client, body: str, rows: int, has_next: bool) -> None:
    crm.load_leads(2100)
    crm.control("faults", faults=[{"body": body, "times": 1}])
    page = crm.query("SELECT Id FROM Lead").body
    assert (page["totalSize"], page["done"], len(page["records"])) == (2100, False, rows)
    assert ("nextRecordsUrl" in page) is has_next
    found = {each["Id"] for each in page["records"]}
    while has_next and not page["done"]:
        page = crm.get(page["nextRecordsUrl"]).body
        found |= {each["Id"] for each in page["records"]}
    assert len(found) == (2100 if has_next else 2000)


def test_calls_that_run_long_keep_others_out(stage: None) -> None:
    faults = Faults(Fault(path="/query", hang_s=60, times=2))
    with served(Instance(Org.stock(Clock(frozen=True)), limits=Limits(concurrent=2), faults=faults)) as crm:
        answers: list[int] = []
        waiting = [Thread(target=lambda: answers.append(crm.query("SELECT Id FROM Lead").status)) for _ in range(2)]
        for each in waiting:
            each.start()
        deadline = time.monotonic() + 5
        while crm.control("limits")["under_way"] < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert crm.get("/limits").status == 200
        crm.control("clock", advance_s=25)
        refused = crm.get("/limits")
        assert (refused.status, refused.code) == (403, "REQUEST_LIMIT_EXCEEDED")
        assert refused.message.startswith("ConcurrentRequests")
        crm.control("clock", advance_s=60)
        for each in waiting:
            each.join(5)
        assert crm.get("/limits").status == 200
        assert len(answers) == 2


def test_a_head_of_more_than_16_kilobytes_is_a_431(crm: Client) -> None:
    reply = crm.query("SELECT Id FROM Lead WHERE Id IN ('" + "', '".join(["00Q000000000000AAA"] * 900) + "')")
    assert (reply.status, reply.raw.startswith(b"<h1>Bad Message 431</h1>")) == (431, True)


def test_a_share_strikes_alike_in_every_run_with_the_same_seed(stage: None) -> None:
    def run(seed: int) -> list[int]:
        with served(Instance(faults=chaos(0.4, seed, ["UNKNOWN_EXCEPTION", "503_html"]))) as crm:
            return [crm.get(f"/limits?n={each}").status for each in range(40)]

    first, again, other = run(1), run(1), run(2)
    assert first == again != other
    assert {200, 500, 503} == set(first)


def test_after_three_faults_in_a_row_a_request_goes_through(crm: Client) -> None:
    crm.control("chaos", share=1, kinds=["UNKNOWN_EXCEPTION"])
    assert [crm.get("/limits").status for _ in range(5)] == [500, 500, 500, 200, 500]
    crm.control("chaos", share=0)
    assert crm.get("/limits").status == 200


def test_every_kind_of_a_mix_strikes_something_and_its_answer_is_no_crash(crm: Client) -> None:
    crm.load_leads(2500)
    following = crm.query("SELECT Id FROM Lead").body["nextRecordsUrl"]
    for kind in MIX:
        crm.control("reset-calls")
        crm.control("chaos", share=1, kinds=[kind], hang_s=0.05)
        for ask in (lambda: crm.query("SELECT Id FROM Lead"), lambda: crm.get(following), lambda: write(crm)):
            try:
                assert ask().status in (200, 201, 400, 401, 403, 406, 420, 429, 431, 500, 502, 503, 504), kind
            except urllib3.exceptions.HTTPError:
                assert kind.startswith(("reset", "hang")), kind
        assert crm.seen("calls")["faulted"].get(kind, 0) > 0, kind


def write(crm: Client) -> Any:
    return crm.post("/composite/sobjects", {"records": [{"attributes": {"type": "Lead"}, **LEAD}] * 2})


@pytest.mark.parametrize("raw", [{"drop": "sideways"}, {"code": "NOPE"}, {"body": "x"}, {"path": "("}, {"colour": 1}])
def test_a_fault_that_is_none_is_refused(crm: Client, raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"sideways|NOPE|none of|regular|colour|path"):
        parse_fault(raw)
    assert crm.post("/_emulator/faults", {"faults": [raw]}).status == 400


def test_a_mix_that_is_none_is_refused() -> None:
    for wrong in ({"share": 2}, {"share": 1, "kinds": {"nope": 1}}, {"share": 1, "kinds": {}}):
        with pytest.raises(ValueError, match=r"share|kinds"):
            Chaos(**wrong)
    assert set(WEIGHTS) == set(MIX)


def test_controls_say_what_they_cannot_make_sense_of(crm: Client) -> None:
    assert crm.post("/_emulator/nothing").status == 404
    assert crm.post("/_emulator/manners", {"colour": 1}).status == 400
    assert crm.post("/_emulator/limits", {"colour": 1}).status == 400
    assert crm.post("/_emulator/load", {"records": {"Nope": [{}]}}).status in (400, 404)
    log = crm.seen("log")["calls"]
    assert log == []
    crm.get("/limits")
    assert [(each["method"], each["url"], each["status"]) for each in crm.seen("log")["calls"]] == [
        ("GET", "/services/data/v60.0/limits", 200)
    ]
