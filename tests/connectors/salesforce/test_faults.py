"""Trouble between the connector and the org: each kind once, and what becomes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.salesforce import create_app
from connectors.emulators.salesforce.http.server import serve_app
from connectors.salesforce.client import Client, QueryLocatorLost, Refused, Request, TooHeavy
from connectors.salesforce.refusals import problems_of, translate, translate_login
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, TemporaryError
from tests.connectors.salesforce.orgs import House, house, let_waits_pass

QUERY = "SELECT Id, LastName FROM Lead ORDER BY Id"

PASSING: tuple[dict[str, Any], ...] = (
    {"status": 431, "body": "html"},
    {"status": 503, "body": "html"},
    {"status": 502, "body": "html"},
    {"status": 500, "body": "not_utf8"},
    {"status": 406, "body": "empty"},
    {"status": 420, "body": "empty"},
    {"status": 429, "body": "html"},
    {"status": 200, "body": "empty"},
    {"body": "truncated"},
    {"code": "UNKNOWN_EXCEPTION"},
    {"code": "SERVER_UNAVAILABLE"},
    {"drop": "before"},
    {"drop": "after"},
    {"drop": "midway"},
)


@contextmanager
def retold(org: House, path: str, retell: Callable[[Any], Any]) -> Iterator[House]:
    """The same org at a second address, where the answers of paths that end so say something else."""
    told = create_app(org.instance)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(path):
            await told(scope, receive, send)
            return
        parts: list[Message] = []

        async def keep(part: Message) -> None:
            parts.append(part)

        plain = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
        await told({**scope, "headers": plain}, receive, keep)
        body = orjson.dumps(retell(orjson.loads(b"".join(part.get("body", b"") for part in parts))))
        kept = [pair for pair in parts[0]["headers"] if pair[0].lower() != b"content-length"]
        await send({**parts[0], "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    with serve_app(app) as url:
        yield House(url, org.instance)


def org_id(client: Client) -> str:
    """By a query, so that the session counts."""
    rows = client.query_all_rows("reading the organization", "SELECT Id FROM Organization LIMIT 1", all_rows=False)
    return str(rows[0]["Id"])


def names(client: Client, soql: str = QUERY) -> list[str]:
    return [row["LastName"] for page in client.query("reading Lead", soql) for row in page.rows]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: "-".join(map(str, fault.values())))
def test_case_19_trouble_that_passes_is_waited_for(
    org: House, fault: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = let_waits_pass(monkeypatch, org)
    org.leads(3, LastName="Rey")
    org.fault(path="queryAll", times=2, **fault)
    assert names(org.client()) == ["Rey"] * 3
    assert len(waits) == 2
    assert waits[0] < waits[1] < 5  # it backs off
    assert sum(org.statuses("/queryAll").values()) == 3


@pytest.mark.parametrize("fault", [each for each in PASSING if "drop" not in each], ids=str)
def test_case_19_trouble_that_stays_is_told_as_such(
    org: House, fault: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.fault(path="queryAll", **fault)
    with pytest.raises(TemporaryError, match="crm: reading Lead: ") as raised:
        names(org.client())
    assert raised.value.code == "SY147"
    assert "<html" not in raised.value.message


def test_case_19_two_clients_that_meet_the_same_trouble_do_not_come_back_together(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = let_waits_pass(monkeypatch, org)
    org.fault(path="queryAll", status=503, body="html", times=2)
    names(org.client())
    names(org.client(name="second"))
    assert len(set(waits)) == len(waits)


def test_case_19_what_would_be_done_twice_is_not_sent_again(org: House) -> None:
    org.fault(path="sobjects/Task", drop="after")
    task = Request("creating a task", "POST", "/sobjects/Task", {"Subject": "Call"}, kind="write", again=False)
    with pytest.raises(TemporaryError, match="no answer"):
        org.client().ask(task)
    assert len(org.writes()) == 1


@pytest.mark.parametrize("fault", [{"drop": "before", "hang_s": 30}, {"drop": "stalled", "hang_s": 30}], ids=str)
def test_case_28_a_stalled_answer_ends_with_the_timeout_and_others_go_on(org: House, fault: dict[str, Any]) -> None:
    org.leads(2)
    client = org.client(timeout_s={"connect": 1, "read": 0.3}, at_once=2)
    org.fault(path="FROM.Lead", **fault)
    began = time.monotonic()
    stalled = client.start(lambda: client.ask(_once("SELECT Id FROM Lead")))
    other = client.start(lambda: client.ask(_once("SELECT Id FROM Contact")))
    assert client.result(other).status == 200
    with pytest.raises(TemporaryError, match="no answer") as raised:
        client.result(stalled)
    assert raised.value.code == "SY147"
    assert time.monotonic() - began < 5
    org.no_faults()
    org.let_pass(60)


def _once(soql: str) -> Request:
    return Request("reading", "GET", "/queryAll", query={"q": soql}, again=False)


def test_case_28_a_stop_does_not_wait_for_a_stalled_answer(org: House) -> None:
    stop = threading.Event()
    client = org.client(Wanted(stop=stop))
    org.fault(path="queryAll", hang_s=60)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        names(client)
    assert time.monotonic() - began < 10
    org.let_pass(60)


@pytest.mark.parametrize("hidden", ["removed", "hidden"])
def test_case_17_a_field_that_is_gone_is_named(org: House, hidden: str) -> None:
    client = org.client()
    if hidden == "removed":
        org.control("access", object="Lead", remove="Lead_Score__c")
    else:
        org.control("access", object="Lead", field="Lead_Score__c", access="hidden")
    with pytest.raises(Refused) as raised:
        list(client.query("reading Lead", "SELECT Id, Lead_Score__c FROM Lead"))
    assert raised.value.codes == {"INVALID_FIELD"}
    assert raised.value.fields == ("Lead_Score__c",)
    assert "No such column 'Lead_Score__c'" in raised.value.message
    assert org.statuses("/queryAll") == {400: 1}


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_case_18_what_is_too_much_at_once_is_told_at_once(org: House, code: str) -> None:
    org.fault(path="queryAll", code=code)
    with pytest.raises(TooHeavy) as raised:
        list(org.client().query("reading Lead", QUERY, in_parts=True))
    assert raised.value.problem.code == code
    assert org.statuses("/queryAll") == {400: 1}


def test_case_18_what_cannot_be_asked_in_parts_is_asked_again_but_not_for_ever(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(3)
    org.fault(path="queryAll", code="QUERY_TIMEOUT", times=2)
    assert len(org.client().query_all_rows("reading Lead", QUERY)) == 3
    org.forget()
    org.fault(path="queryAll", code="QUERY_TIMEOUT")
    with pytest.raises(TooHeavy):
        org.client().query_all_rows("reading Lead", QUERY)
    assert org.statuses("/queryAll") == {400: 3}


def test_a_small_look_up_is_repeated_whole(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(300)
    org.behave(page_rows=200)
    org.fault(path="0r8", code="INVALID_QUERY_LOCATOR", times=2)
    assert len(org.client().query_all_rows("reading Lead", QUERY)) == 300


def test_case_05_a_lost_locator_is_told_apart(org: House) -> None:
    org.leads(500)
    org.behave(page_rows=200)
    pages = org.client().query("reading Lead", QUERY, page=200)
    assert len(next(pages).rows) == 200
    org.control("cursors")
    with pytest.raises(QueryLocatorLost):
        next(pages)
    assert sum(count for status, count in _of_pages(org).items() if status == 400) == 1


def _of_pages(org: House) -> dict[int, int]:
    found: dict[int, int] = {}
    for each in org.log():
        if "0r8" in each["url"]:
            found[each["status"]] = found.get(each["status"], 0) + 1
    return found


@pytest.mark.parametrize("body", ["short_page", "empty_page", "no_next_url"])
def test_case_06_pages_that_are_short_empty_or_without_a_next_one_lose_nothing(
    org: House, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    ids = org.leads(2500)
    org.fault(path="query", body=body, times=2)
    pages = list(org.client().query("reading Lead", QUERY))
    seen = [row["Id"] for page in pages for row in page.rows]
    assert seen == sorted(ids)
    assert {page.total for page in pages} == {2500}


@pytest.mark.parametrize("body", ["empty_page", "no_next_url"])
def test_case_06_pages_that_stay_so_are_an_error_and_no_end(
    org: House, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(2500)
    org.fault(path="query", body=body)
    with pytest.raises(TemporaryError, match="there are more rows") as raised:
        names(org.client())
    assert raised.value.code == "SY143"


def test_case_06_an_end_before_the_last_row_is_an_error(org: House) -> None:
    org.leads(5)

    def shorten(answer: Any) -> Any:
        return {**answer, "records": answer["records"][:3]}

    with retold(org, "/queryAll", shorten) as there, pytest.raises(TemporaryError, match="end after 3 of 5 rows"):
        names(there.client())


def test_case_06_pages_that_go_round_in_a_circle_end(org: House) -> None:
    org.leads(5)

    def once_more(answer: Any) -> Any:
        there = "/services/data/v60.0/queryAll"
        return {**answer, "totalSize": 10**9, "done": False, "nextRecordsUrl": f"{there}?q=SELECT+Id+FROM+Lead"}

    with retold(org, "/queryAll", once_more) as there, pytest.raises(TemporaryError, match="round in a circle"):
        list(there.client().query("reading Lead", "SELECT Id FROM Lead"))


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"records": [1], "totalSize": 1, "done": True},
        {"records": None, "totalSize": 0, "done": True},
        {"records": [], "totalSize": "0", "done": True},
        {"records": [], "totalSize": 0},
        {"records": [{}], "totalSize": 2, "done": False, "nextRecordsUrl": "https://elsewhere.example.com/"},
    ],
)
def test_an_answer_of_another_shape_is_trouble_and_no_crash(
    org: House, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    with retold(org, "/queryAll", lambda _: answer) as there, pytest.raises(TemporaryError) as raised:
        names(there.client())
    assert raised.value.code == "SY143"


def test_an_answer_that_leads_elsewhere_is_not_followed() -> None:
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        headers = [(b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with house() as org, serve_app(app) as url:
        with pytest.raises(ConfigError, match="correct `instance_url`") as raised:
            org_id(House(url, org.instance).client())
        assert raised.value.code == "SY148"
    assert asked == ["/services/data/v60.0/query"]


def test_nobody_at_the_address_is_trouble_that_passes(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    with pytest.raises(TemporaryError, match="no answer") as raised:
        org_id(org.client(instance_url="http://127.0.0.1:1"))
    assert raised.value.code == "SY147"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"[1]", b"<html>", b'[{"message": null}]', b"\xff", b'"x"']
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_an_error_without_an_explanation_is_trouble_that_passes(status: int, body: bytes) -> None:
    assert isinstance(translate(status, body, "crm: reading"), TemporaryError)
    if status != 404:  # there Salesforce would have explained itself
        assert isinstance(translate_login(status, body, "crm: logging in"), TemporaryError)


def test_an_external_id_that_several_records_have_is_no_trouble_that_passes() -> None:
    refusal = translate(300, b'["/services/data/v60.0/sobjects/Task/00T1"]', "crm: creating a task")
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.codes) == (300, frozenset())


def test_both_shapes_of_errors_are_read() -> None:
    whole = [{"message": "No such column 'X' on entity 'Lead'", "errorCode": "INVALID_FIELD"}]
    single = {"statusCode": "STRING_TOO_LONG", "message": "too large", "fields": ["Title"]}
    (one,), (other,) = problems_of(whole), problems_of([single])
    assert (one.code, one.column) == ("INVALID_FIELD", "X")
    assert (other.code, other.fields, other.column) == ("STRING_TOO_LONG", ("Title",), None)
    assert problems_of("nonsense") == ()
