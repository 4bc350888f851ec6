"""What somebody with bad intent tries at the pages: forged requests, laid sessions, false addresses, hostile texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from syncer.queries import accounts
from syncer.store import audit
from syncer.store.audit import Entry
from syncer.web.guarding import HEADERS, own_path
from syncer.web.pages import ACTIONS, VIEWS
from tests.web.guests import FORM, HERE, JSON, PASSWORD, SIGN_IN, Browser, Inn, inn_on_sqlite, logged

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}{0}%s"
ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://[::1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:{port}"},
    {"Origin": "file://127.0.0.1:{port}"},
]


pytestmark = pytest.mark.usefixtures("quick_hashes")


@pytest.fixture(scope="module")
def lasting_inn(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Inn]:
    with inn_on_sqlite(tmp_path_factory.mktemp("inn"), sqlite_template) as opened:
        yield opened


# requests of other sites


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_no_other_site_signs_anybody_in_or_out_or_chooses_their_language(
    lasting_inn: Inn, headers: dict[str, str]
) -> None:
    sent = {"Content-Type": FORM["Content-Type"], **headers}
    sent = {name: value.format(port=lasting_inn.caller.port) for name, value in sent.items()}
    for path in ("/sign-in", "/sign-out", "/language", "/users/add", "/account/everywhere"):
        answer = Browser(lasting_inn).ask("POST", path, b"name=ana&password=x&language=es", sent)
        assert (path, answer.status) == (path, 403)
        assert "set-cookie" not in answer.headers


def test_no_action_of_any_page_is_done_for_another_site(lasting_inn: Inn) -> None:
    for action in ACTIONS:
        path = re.sub(r"\{\w+\}", "1", action.path)
        for address, kind in ((path, FORM["Content-Type"]), (f"/api{path}", JSON["Content-Type"])):
            headers = {"Content-Type": kind, "Sec-Fetch-Site": "cross-site"}
            assert lasting_inn.caller.ask("POST", address, b"{}", headers).status == 403, address
            headers = {"Content-Type": kind, "Origin": "https://evil.example"}
            assert lasting_inn.caller.ask("POST", address, b"{}", headers).status == 403, address


def test_a_browser_that_tells_its_origin_alone_is_let_through(lasting_inn: Inn) -> None:
    for origin in (lasting_inn.caller.origin, lasting_inn.caller.origin.upper().replace("HTTP", "http")):
        headers = {"Content-Type": FORM["Content-Type"], "Origin": origin}
        assert Browser(lasting_inn).ask("POST", "/language", b"language=es", headers).status == 303


def test_behind_a_proxy_that_asks_by_another_name_the_public_origin_is_ours(inn: Inn) -> None:
    inn.configure(f"public_url: https://syncer.example.com\n  {SIGN_IN}")

    def status(origin: str) -> int:
        headers = {"Content-Type": FORM["Content-Type"], "Origin": origin, "Host": "internal:8321"}
        return inn.caller.ask("POST", "/language", b"language=es", headers).status

    assert status("https://syncer.example.com") == 303
    assert status("http://syncer.example.com") == 403, "somebody on the way has sent it"
    assert status("https://evil.example") == 403


def test_behind_such_a_proxy_a_refused_form_leads_back_to_its_page(inn: Inn) -> None:
    inn.configure(f"public_url: https://syncer.example.com\n  {SIGN_IN}")
    headers = {"Host": "internal:8321", "Referer": "https://syncer.example.com/account?x=1"}
    refused = inn.caller.ask("POST", "/language", b"language=xx", {**FORM, **headers})
    assert refused.status == 400
    assert '<a href="/account?x=1">' in refused.data.decode()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_the_api_takes_json_that_says_so(lasting_inn: Inn, kind: str) -> None:
    body = orjson.dumps({"name": "x", "password": PASSWORD})
    headers = {"Content-Type": kind} if kind else {}
    assert lasting_inn.caller.ask("POST", "/api/users/add", body, headers).status == 415
    assert (
        lasting_inn.caller.ask(
            "POST", "/api/users/add", body, {"Content-Type": "Application/JSON; charset=utf-8"}
        ).status
        == 401
    )


def test_a_get_changes_nothing(lasting_inn: Inn) -> None:
    paths = {view.path for view in VIEWS}
    for action in ACTIONS:
        if action.path not in paths:
            path = re.sub(r"\{\w+\}", "1", action.path)
            assert lasting_inn.caller.ask("GET", path).status in (404, 405, 303), path
            assert lasting_inn.caller.ask("GET", f"/api{path}").status in (404, 405, 401), path


def test_a_preflight_gives_no_other_site_any_leave(lasting_inn: Inn) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    answer = lasting_inn.caller.ask("OPTIONS", "/api/users/add", headers=asked)
    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# sessions


def test_a_session_that_was_laid_into_a_browser_is_worth_nothing_after_the_sign_in(inn: Inn) -> None:
    attacker = inn.user("mallory", "viewer")
    accounts.add_user(inn.app, HERE, "ana", "admin", PASSWORD)
    laid = attacker.session or ""
    for value in (laid, "A" * 43):
        victim = Browser(inn, {"syncer_session": value})
        victim.sign_in("ana")
        assert victim.session not in (None, value)
        assert Browser(inn, {"syncer_session": value}).get("/api/account").status == 401


def test_every_sign_in_has_another_value(inn: Inn) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    values = set()
    for _ in range(3):
        browser = Browser(inn)
        browser.sign_in("ana")
        values.add(browser.session)
    assert len(values) == 3


@pytest.mark.parametrize("value", ["", "x", "' OR 1=1 --", "\u00e9", "a" * 5_000, "%00", '"quoted"', "null"])
def test_what_is_no_session_is_nobody(lasting_inn: Inn, value: str) -> None:
    held = {"syncer_session": value, "syncer_said": value, "syncer_language": value}
    assert Browser(lasting_inn, held).get("/api/account").status == 401
    assert Browser(lasting_inn, held).get("/sign-in").status == 200


def test_the_hash_of_a_session_is_none(inn: Inn) -> None:
    inn.user("ana")
    digest = inn.rows("sessions")[0][0]
    assert Browser(inn, {"syncer_session": digest}).get("/api/account").status == 401


# addresses


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", " //evil.example", "/\r\nSet-Cookie: a=b", "///evil.example",
        "evil.example", "/ok\r\nLocation: https://evil.example", "/\x00", "@evil.example", "http:evil.example",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(inn: Inn, to: str) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    asked = urlencode({"to": to})
    assert 'name="to" value="/"' in Browser(inn).get(f"/sign-in?{asked}").data.decode()
    for answer in (
        Browser(inn).sign_in("ana", to=to),
        Browser(inn).post("/language", {"language": "es", "to": to}),
    ):
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert not [each for each in answer.headers.getlist("set-cookie") if each.startswith("a=")]


@pytest.mark.parametrize("to", ["/", "/leads?stage=sql&x=%2F%2Fevil", "/leads/7#timeline", "/a//b"])
def test_pages_of_ours_are_led_to(to: str) -> None:
    assert own_path(to) == to


def test_an_address_that_nobody_has_leads_nowhere_and_says_nothing_of_itself(lasting_inn: Inn) -> None:
    for path in (
        "//evil.example/%2f..",
        "/account/",
        "/%0d%0aSet-Cookie:%20a=b",
        "/static/%2e%2e/access.py",
    ):
        answer = lasting_inn.caller.ask("GET", path)
        assert answer.status == 404, path
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers


# hostile texts


class Reader(HTMLParser):
    """Reads a page as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "img" or (tag == "script" and "src" not in names) or any(each.startswith("on") for each in names):
            self.foreign.append(self.get_starttag_text() or tag)


def test_markup_in_names_and_acts_stays_text(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    assert eva.post("/users/add", {"name": HOSTILE, "password": PASSWORD}).status == 303
    flash = eva.get("/account").data.decode()
    accounts.add_token(inn.app, HERE, HOSTILE, "viewer", None)
    with inn.app.store.writing() as tx:
        act: Any = HOSTILE  # as no syncer notes it
        audit.note(tx, Entry(inn.clock(), HOSTILE, act, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}))
    made = eva.post("/users/tokens/add", {"name": HOSTILE}).data.decode()
    tried = Browser(inn).sign_in(HOSTILE, "x", to=HOSTILE).data.decode()
    his = Browser(inn)
    assert his.sign_in(HOSTILE).status == 303
    pages = [flash, made, tried, *(eva.get(each).data.decode() for each in ("/users", "/audit"))]
    pages += [his.get(each).data.decode() for each in ("/account", "/users")]
    for page in pages:
        assert "alert(1)" in page
        assert ">49" not in page
        reader = Reader()
        reader.feed(page)
        assert reader.foreign == []


def test_every_answer_says_what_it_may_do(lasting_inn: Inn) -> None:
    for path in ("/sign-in", "/account", "/api/account", "/users", "/nowhere", "/static/syncer.css"):
        headers = lasting_inn.caller.ask("GET", path).headers
        assert {name: headers.get(name) for name in HEADERS} == dict(HEADERS) | {
            "Cache-Control": headers["cache-control"]
        }, path
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_pages_hold_no_script_style_or_handler_of_their_own(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    inn.token()
    for path in ("/account", "/users", "/audit", "/sign-in"):
        page = eva.get(path).data.decode()
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page), path


# secrets


def test_no_secret_is_logged_shown_or_kept_in_the_clear(inn: Inn) -> None:
    with logged() as stream:
        eva = inn.user("eva", "admin")
        token = inn.token("admin")
        bearer = {"Authorization": f"Bearer {token}"}
        Browser(inn).get("/api/account", **bearer)
        Browser(inn).get("/api/account", Authorization=f"Bearer {token}x")
        Browser(inn).sign_in("eva", "wrong-" + PASSWORD)
        Browser(inn).order("/users/add", {"name": "x", "password": ["list " + PASSWORD]}, **bearer)
        answer = Browser(inn).order("/users/add", {"nmae": PASSWORD, "password": PASSWORD, "name": "x"}, **bearer)
        session = eva.session or "?"
    secrets = [PASSWORD, token, session]
    kept = str([inn.rows(table) for table in ("users", "sessions", "api_tokens", "audit")])
    for where in (stream.getvalue(), kept, eva.get("/users").data.decode(), eva.get("/audit").data.decode()):
        assert [each for each in secrets if each in where] == []
    assert token not in answer.data.decode()


def test_a_password_of_a_wrong_shape_is_not_repeated(inn: Inn) -> None:
    bearer = {"Authorization": f"Bearer {inn.token('admin')}"}
    for wrong in (["list " + PASSWORD], {PASSWORD: 1}, 123456789012345):
        answer = Browser(inn).order("/users/add", {"name": "x", "password": wrong}, **bearer)
        assert answer.status == 400
        assert PASSWORD not in answer.data.decode()
        assert "123456789012345" not in answer.data.decode()


def test_a_crash_tells_its_asker_nothing_of_it(inn: Inn, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError(f"holding {PASSWORD}")

    eva = inn.user("eva", "admin")
    monkeypatch.setattr(accounts, "known_users", crash)
    for path in ("/users", "/api/users"):
        answer = eva.get(path)
        assert answer.status == 500
        assert "RuntimeError" not in answer.data.decode()
        assert PASSWORD not in answer.data.decode()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 600, b"name=%ff", b"name=a&password=b&more=c", b"name=a\x00"])
def test_a_sign_in_that_makes_no_sense_is_refused(lasting_inn: Inn, body: bytes) -> None:
    answer = Browser(lasting_inn).ask("POST", "/sign-in", body, FORM)
    assert answer.status in (400, 401)
    assert Browser(lasting_inn).ask("POST", "/sign-in", b"a" * 1_000_001, FORM).status == 413
