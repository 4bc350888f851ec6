"""Who comes in to the pages and the API, from where, with which role, and for how long."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from argon2 import PasswordHasher
from starlette.requests import Request
from starlette.routing import Mount, Route

from syncer.queries import accounts, passwords, signing_in
from syncer.settings import Web
from syncer.store import audit, sessions, users
from syncer.store.audit import Act, Entry
from syncer.web import access
from syncer.web.hooks import Hooks
from syncer.web.pages import ACTIONS, DOWNLOADS, VIEWS
from syncer.web.phrases import PHRASES
from syncer.web.routes import create_app
from syncer.web.site import LANGUAGE_COOKIE
from syncer.web.views import Viewer
from tests.web.guests import HERE, PASSWORD, SIGN_IN, Browser, Inn, inn_on_sqlite, opened_inn, soon

OPEN = {
    "/hooks/{connection}", "/livez", "/readyz", "/metrics", "/answers/{token}", "/slack/{notifier}", "/static",
    "/sign-in", "/sign-in/oidc", "/sign-in/oidc/back", "/sign-out", "/language",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("quick_hashes")


@pytest.fixture
def either_inn(tmp_path: Path, database_url: str) -> Iterator[Inn]:
    with opened_inn(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def open_inn(tmp_path: Path, sqlite_template: Path) -> Iterator[Inn]:
    """Nobody signs in: at this machine alone."""
    with inn_on_sqlite(tmp_path, sqlite_template, "host: 127.0.0.1") as opened:
        yield opened


def a_path(path: str) -> str:
    return re.sub(r"\{(\w+)(:\w+)?\}", "1", path)


# at this machine


def test_at_this_machine_everybody_is_the_admin(open_inn: Inn) -> None:
    browser = Browser(open_inn)
    assert orjson.loads(browser.get("/api/account").data)["role"] == "admin"
    assert browser.get("/users").status == 200
    assert browser.get("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST.:80", "127.8.8.8"])
def test_it_may_be_called_by_any_name_that_means_this_machine(open_inn: Inn, host: str) -> None:
    assert Browser(open_inn).get("/account", Host=host.format(port=open_inn.caller.port)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"}, {"Host": "evil.example:8321"}, {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"}, {"Host": "0.0.0.0"}, {"Host": "10.0.0.5"}, {"Host": "[::1"},
        {"Host": "[fe80::1]"}, {"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"}, {"X-Real-IP": "203.0.113.9"}, {"X-Forwarded-Host": "localhost"},
    ],
)  # fmt: skip
def test_a_name_from_elsewhere_or_a_proxy_before_it_is_refused_with_what_to_set(
    open_inn: Inn, headers: dict[str, str]
) -> None:
    browser = Browser(open_inn)
    page, told = browser.get("/account", **headers), browser.get("/api/account", **headers)
    assert (page.status, told.status) == (403, 403)
    assert "web.sign_in" in page.data.decode()
    assert "web.sign_in" in orjson.loads(told.data)["error"]["message"]


def test_a_public_address_without_a_sign_in_closes_the_pages_also_here(open_inn: Inn) -> None:
    open_inn.configure('public_url: https://syncer.example.com\n  secret: "0123456789abcdef"')
    assert Browser(open_inn).get("/account").status == 403


def test_where_it_listens_counts_more_than_what_the_file_says_by_now() -> None:
    def is_here(server: str) -> bool:
        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "server": (server, 8321)}
        return access._is_here(Request(scope), Web(host="127.0.0.1"))

    assert is_here("127.0.0.1")
    assert not is_here("192.168.1.5")


def everything(inn: Inn, browser: Browser, **headers: str) -> dict[str, tuple[int, str]]:
    """(what is asked for) -> (status, where it leads), of every page, action and their likes under /api."""
    found = {}
    for view in VIEWS:
        found[f"GET {view.path}"] = browser.get(a_path(view.path), **headers)
        found[f"GET /api{view.path}"] = browser.get(f"/api{a_path(view.path)}".rstrip("/"), **headers)
    for download in DOWNLOADS:
        found[f"GET {download.path}"] = browser.get(a_path(download.path), **headers)
    for action in sorted(ACTIONS, key=lambda each: each.path == "/account/everywhere"):
        found[f"POST {action.path}"] = browser.post(a_path(action.path), None, **headers)
        found[f"POST /api{action.path}"] = browser.order(a_path(action.path), {}, **headers)
    found["GET /api/openapi.json"] = browser.get("/api/openapi.json", **headers)
    return {name: (answer.status, answer.headers.get("location", "")) for name, answer in found.items()}


def test_off_loopback_without_a_sign_in_nothing_that_shows_leads_opens(tmp_path: Path, sqlite_template: Path) -> None:
    with inn_on_sqlite(tmp_path, sqlite_template, "host: 0.0.0.0") as inn:
        browser = Browser(inn)
        assert {each: told for each, told in everything(inn, browser).items() if told[0] != 403} == {}
        assert browser.get("/sign-in").status == 403
        assert browser.sign_in("ana").status == 403
        assert [browser.get(path).status for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
        assert browser.post("/hooks/crm").status == 404
        assert browser.get("/answers/x").status == 404
        assert browser.get("/static/syncer.css").status == 200


# with a sign-in


def test_nobody_sees_anything_before_signing_in(inn: Inn) -> None:
    for each, (status, location) in everything(inn, Browser(inn)).items():
        if " /api" in each:
            assert status == 401, each
        else:
            assert (status, location.partition("?")[0]) == (303, "/sign-in"), each


def test_a_part_of_a_page_that_was_left_open_leads_the_whole_page_to_the_sign_in(inn: Inn) -> None:
    answer = Browser(inn).get("/account", **{"HX-Request": "true"})
    assert (answer.status, answer.headers["hx-redirect"]) == (401, "/sign-in?to=/account")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_what_takes_a_higher_role_is_refused_on_pages_and_api_alike(inn: Inn, role: Any) -> None:
    browser = inn.user("ana", role)
    bearer = {"Authorization": f"Bearer {inn.token(role)}"}
    mine, of_token = everything(inn, browser), everything(inn, Browser(inn), **bearer)
    who = Viewer("ana", role, "password")
    listed: tuple[Any, ...] = (*VIEWS, *ACTIONS)
    for each in listed:
        method = "GET" if each in VIEWS else "POST"
        asked = (
            mine[f"{method} {each.path}"],
            mine[f"{method} /api{each.path}"],
            of_token[f"{method} /api{each.path}"],
        )
        if each.path == "/account/everywhere":
            continue  # it ends what asks
        if who.may(each.role):
            assert all(status not in (401, 403) for status, _ in asked[1:]), each.path
        else:
            assert [status for status, _ in asked] == [403] * 3, each.path


def test_every_action_takes_at_least_an_operator_but_what_one_does_to_oneself() -> None:
    assert {each.path for each in ACTIONS if each.role == "viewer"} <= {
        "/account/everywhere", "/account/password", "/what-if/count",
    }  # fmt: skip


def test_every_route_is_known_to_be_guarded_or_to_need_no_guard(inn: Inn) -> None:
    paths = [*(each.path for each in VIEWS), *(each.path for each in ACTIONS)]
    guarded = {
        *paths,
        *(f"/api{each}".rstrip("/") for each in paths),
        "/api/openapi.json",
        *(each.path for each in DOWNLOADS),
    }
    for route in create_app(lambda: inn.app, Hooks(lambda: inn.app, lambda: None)).routes:
        assert isinstance(route, Route | Mount)
        assert route.path in guarded | OPEN, f"{route.path}: say here why it needs no sign-in, or make it a view"


def test_signing_in_leads_back_to_what_was_asked_for_and_out_again(either_inn: Inn) -> None:
    accounts.add_user(either_inn.app, HERE, "Ana", "operator", PASSWORD)
    browser = Browser(either_inn)
    there = browser.get("/account?x=1").headers["location"]
    assert there == "/sign-in?to=/account%3Fx%3D1"
    assert 'value="/account?x=1"' in browser.get(there).data.decode()
    answer = browser.sign_in(" ANA ", to="/account?x=1")
    assert (answer.status, answer.headers["location"]) == (303, "/account?x=1")
    told = orjson.loads(browser.get("/api/account").data)
    assert told == {"name": "ana", "role": "operator", "source": "password", "sessions": 1, "masked": False}
    held = browser.session
    assert browser.post("/sign-out").status == 303
    assert browser.session is None
    assert "You have signed out." in browser.get("/sign-in").data.decode()
    assert "You have signed out." not in browser.get("/sign-in").data.decode(), "once"
    assert Browser(either_inn, {"syncer_session": held or ""}).get("/api/account").status == 401, "ended there, too"
    assert [act for act, *_ in either_inn.acts()] == ["user_added", "signed_in", "signed_out"]


def test_signing_out_is_a_post(inn: Inn) -> None:
    browser = inn.user("ana")
    assert browser.get("/sign-out").status == 405
    assert browser.get("/api/account").status == 200


def test_only_the_hash_of_a_session_is_kept_and_the_cookie_is_out_of_reach(inn: Inn) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    answer = Browser(inn).sign_in("ana")
    cookie = answer.headers["set-cookie"]
    value = cookie.partition(";")[0].partition("=")[2]
    assert len(value) >= 43
    assert value not in str(inn.rows("sessions"))
    assert {each.strip().lower() for each in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=lax"}
    assert PASSWORD not in str(inn.rows("users") + inn.rows("audit"))


def test_over_https_the_cookie_is_for_this_host_alone(inn: Inn) -> None:
    inn.configure(f"public_url: https://syncer.example.com\n  {SIGN_IN}")
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    cookie = Browser(inn).sign_in("ana").headers["set-cookie"]
    assert cookie.startswith("__Host-syncer_session=")
    assert "secure" in cookie.lower()
    assert "domain" not in cookie.lower()
    value = cookie.partition(";")[0].partition("=")[2]
    assert Browser(inn, {"syncer_session": value}).get("/api/account").status == 401, (
        "its other name counts for nothing"
    )


@pytest.mark.parametrize(("steps", "status"), [((59, 59, 59), 200), ((59, 61), 401), ((50,) * 15, 401)])
def test_a_session_ends_when_nothing_is_done_for_an_hour_and_after_twelve(
    inn: Inn, steps: tuple[int, ...], status: int
) -> None:
    browser, last = inn.user("ana"), 200
    for minutes in steps:
        inn.later += timedelta(minutes=minutes)
        last = browser.get("/api/account").status
        at = inn.clock()
        if last == 200:
            assert soon(lambda at=at: _seen(inn) > at - timedelta(minutes=1))  # type: ignore[misc]
    assert last == status


def _seen(inn: Inn) -> Any:
    with inn.app.store.reading() as tx:
        return max(
            each.seen_at
            for (digest, *_) in tx.exec_driver_sql("SELECT digest FROM sessions").all()
            if (each := sessions.find(tx, digest)) is not None
        )


def test_use_is_written_down_at_most_once_a_minute(inn: Inn) -> None:
    browser = inn.user("ana")
    begun = _seen(inn)
    inn.later += timedelta(seconds=50)
    browser.get("/api/account")
    assert not soon_changes(inn, begun)
    inn.later += timedelta(seconds=20)
    browser.get("/api/account")
    assert soon(lambda: _seen(inn) > begun)


def soon_changes(inn: Inn, before: Any) -> bool:
    time.sleep(0.2)
    return bool(_seen(inn) != before)


@pytest.mark.parametrize("how", ["password", "role", "removed", "everywhere"])
def test_sessions_end_where_the_account_changes(either_inn: Inn, how: str) -> None:
    browser, other = either_inn.user("ana", "operator"), either_inn.user("eva", "admin")
    second = Browser(either_inn)
    second.sign_in("ana")
    if how == "password":
        accounts.set_password(either_inn.app, HERE, "ana", "another long password")
    elif how == "role":
        accounts.set_role(either_inn.app, HERE, "ana", "admin")
    elif how == "removed":
        accounts.remove_user(either_inn.app, HERE, "ana")
    else:
        assert browser.post("/account/everywhere").headers["location"] == "/sign-in"
    assert [each.get("/api/account").status for each in (browser, second, other)] == [401, 401, 200]


def test_shorter_sessions_hold_for_those_that_are_open_and_passwords_can_be_switched_off(inn: Inn) -> None:
    browser = inn.user("ana")
    inn.later = timedelta(minutes=31)
    inn.configure("sign_in: {session: 30m, idle: 30m}")
    assert browser.get("/api/account").status == 401


def test_one_changes_ones_own_password_by_the_old_one(inn: Inn) -> None:
    browser, new = inn.user("ana"), "  a new long password  "
    wrong = browser.post("/account/password", {"current": "not the password", "new": new})
    assert (wrong.status, browser.get("/api/account").status) == (409, 200)
    assert browser.post("/account/password", {"current": PASSWORD, "new": "short"}).status == 409
    assert browser.post("/account/password", {"current": PASSWORD, "new": new}).status == 303
    assert browser.get("/api/account").status == 401, "signs in anew"
    assert Browser(inn).sign_in("ana").status == 401
    assert Browser(inn).sign_in("ana", new.strip()).status == 401, "blanks count"
    assert Browser(inn).sign_in("ana", new).status == 303


def test_a_program_changes_no_password_and_ends_no_sessions(inn: Inn) -> None:
    inn.user("ana")
    bearer = {"Authorization": f"Bearer {inn.token('admin')}"}
    assert Browser(inn).order("/account/password", {"current": PASSWORD, "new": PASSWORD + "!"}, **bearer).status == 409
    assert Browser(inn).order("/account/everywhere", {}, **bearer).status == 409


def test_a_hash_made_with_less_work_is_made_anew_at_the_next_sign_in(inn: Inn, monkeypatch: pytest.MonkeyPatch) -> None:
    inn.user("ana")
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert Browser(inn).sign_in("ana").status == 303
    with inn.app.store.reading() as tx:
        ana = users.look(tx, "ana")
    assert ana is not None
    assert "m=16,t=2" in (ana.password or "")
    assert Browser(inn).sign_in("ana").status == 303


def test_a_password_that_is_changed_while_it_is_compared_opens_nothing(
    inn: Inn, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)

    def slow(known: str | None, password: str) -> bool:
        accounts.set_password(inn.app, HERE, "ana", "another long password")
        return True

    monkeypatch.setattr(passwords, "fits", slow)
    assert Browser(inn).sign_in("ana").status == 401
    assert inn.rows("sessions") == []


# too often


def test_five_failures_of_one_name_from_one_place_close_it_for_a_quarter_of_an_hour(either_inn: Inn) -> None:
    accounts.add_user(either_inn.app, HERE, "ana", "viewer", PASSWORD)
    accounts.add_user(either_inn.app, HERE, "eva", "viewer", PASSWORD)
    browser = Browser(either_inn)
    assert [browser.sign_in("ana", "wrong").status for _ in range(7)] == [401] * 5 + [429] * 2
    answer = browser.sign_in("ana")
    assert (answer.status, answer.headers["retry-after"]) == (429, "900")
    assert [act for act, *_ in either_inn.acts()].count("sign_in_failed") == 5, "what is refused fills no table"
    assert browser.sign_in("eva").status == 303, "others come in"
    either_inn.later = signing_in.WINDOW + timedelta(seconds=1)
    assert browser.sign_in("ana").status == 303


def fail(inn: Inn, about: str, address: str, times: int) -> None:
    with inn.app.store.writing() as tx:
        for _ in range(times):
            audit.note(tx, Entry(inn.clock(), about, "sign_in_failed", about, address))


@pytest.mark.parametrize(("times", "status"), [(19, 303), (20, 429)])
def test_twenty_failures_of_one_name_from_anywhere_close_it(inn: Inn, times: int, status: int) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    for each in range(times):
        fail(inn, "ana", f"203.0.113.{each}", 1)
    assert Browser(inn).sign_in("ana").status == status


@pytest.mark.parametrize(("times", "status"), [(49, 303), (50, 429)])
def test_fifty_failures_from_one_place_close_it_for_all_names(inn: Inn, times: int, status: int) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    for each in range(times):
        fail(inn, f"n{each}", "127.0.0.1", 1)
    assert Browser(inn).sign_in("ana").status == status


def test_where_one_comes_from_is_not_what_a_header_says(inn: Inn) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    browser = Browser(inn)
    for each in range(5):
        assert browser.post(
            "/sign-in", {"name": "ana", "password": "wrong"}, **{"X-Forwarded-For": f"203.0.113.{each}"}
        ).status == 401  # fmt: skip
    assert browser.sign_in("ana").status == 429
    assert {address for act, _, address in inn.acts() if act == "sign_in_failed"} == {"127.0.0.1"}


def test_a_household_of_ipv6_is_one_place(inn: Inn) -> None:
    for each in range(50):
        signing_in.note_failure(inn.app, "x", f"2001:db8:1:2::{each:x}", "password")
    assert not signing_in.may_try(inn.app, "2001:db8:1:2:ffff::1")
    assert signing_in.may_try(inn.app, "2001:db8:1:3::1")


def test_no_password_is_compared_where_it_is_closed_and_as_much_work_is_done_for_nobody(
    inn: Inn, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    asked: list[bool] = []

    class Counting:
        def verify(self, known: str, password: str) -> bool:
            asked.append(known.startswith("$argon2id$"))
            return PasswordHasher().verify(known, password)

        def hash(self, password: str) -> str:
            return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    Browser(inn).sign_in("ana", "wrong")
    Browser(inn).sign_in("nobody", "wrong")
    assert asked == [True, True]
    fail(inn, "ana", "127.0.0.1", 5)
    assert Browser(inn).sign_in("ana").status == 429
    assert len(asked) == 2


def test_what_was_typed_for_a_name_that_nobody_has_is_not_kept(inn: Inn) -> None:
    answer = Browser(inn).sign_in(PASSWORD, "ana")
    assert answer.status == 401
    assert PASSWORD not in str(inn.rows("audit"))
    assert re.fullmatch(r"unknown #[0-9a-f]{4}", inn.acts()[-1][1])


def test_a_wrong_name_and_a_wrong_password_are_told_alike(inn: Inn) -> None:
    accounts.add_user(inn.app, HERE, "ana", "viewer", PASSWORD)
    wrong, nobody = (Browser(inn).sign_in(name, "wrong") for name in ("ana", "eva"))
    assert (wrong.status, nobody.status) == (401, 401)
    assert wrong.data.replace(b'value="ana"', b"") == nobody.data.replace(b'value="eva"', b"")


# tokens


def test_a_token_opens_the_api_with_its_role_and_its_use_is_written_down(either_inn: Inn) -> None:
    bearer = {"Authorization": f"Bearer {either_inn.token('viewer')}"}
    browser = Browser(either_inn)
    assert orjson.loads(browser.get("/api/account", **bearer).data)["source"] == "token"
    assert soon(lambda: accounts.known_tokens(either_inn.app)[0].used_at is not None)
    assert browser.get("/account", **bearer).status == 401, "pages are for people"


@pytest.mark.parametrize(
    "header",
    ["Bearer ", "Bearer syncer_nothing", "Basic YW5hOmFuYQ==", "syncer_x", "Bearer \u00e9", "Bearer a b", "Bearer"],
)
def test_what_is_no_token_of_ours_opens_nothing(inn: Inn, header: str) -> None:
    browser = inn.user("ana", "admin")
    assert browser.get("/api/account", Authorization=header).status == 401, "nor does the cookie beside it"


def test_a_token_is_over_after_its_day_and_when_it_is_revoked(either_inn: Inn) -> None:
    short = {"Authorization": f"Bearer {either_inn.token('viewer', either_inn.clock() + timedelta(days=1))}"}
    long = {"Authorization": f"bearer {either_inn.token('viewer')}"}
    browser = Browser(either_inn)
    assert [browser.get("/api/account", **each).status for each in (short, long)] == [200, 200]
    either_inn.later = timedelta(days=1, seconds=1)
    assert [browser.get("/api/account", **each).status for each in (short, long)] == [401, 200]
    accounts.revoke_token(either_inn.app, HERE, 2)
    assert browser.get("/api/account", **long).status == 401


def test_a_token_counts_also_at_this_machine(open_inn: Inn) -> None:
    browser = Browser(open_inn)
    bearer = {"Authorization": f"Bearer {open_inn.token('viewer')}"}
    assert orjson.loads(browser.get("/api/account", **bearer).data)["role"] == "viewer"
    assert browser.get("/api/account", Authorization="Bearer syncer_wrong").status == 401


# users, tokens and the audit log, as pages


def test_an_admin_adds_changes_and_removes_users_on_the_page(either_inn: Inn) -> None:
    eva = either_inn.user("eva", "admin")
    assert eva.post("/users/add", {"name": "Ana", "role": "viewer", "password": PASSWORD}).status == 303
    assert "ana may sign in now" in eva.get("/users").data.decode()
    ana = Browser(either_inn)
    ana.sign_in("ana")
    assert ana.get("/users").status == 403
    assert eva.post("/users/role", {"name": "ana", "role": "admin"}).status == 303
    ana.sign_in("ana")
    assert ana.get("/users").status == 200
    assert eva.post("/users/remove", {"name": "ana"}).status == 303
    assert ana.get("/users").status == 303
    assert [each["name"] for each in orjson.loads(eva.get("/api/users").data)["users"]] == ["eva"]
    told = orjson.loads(eva.get("/api/audit").data)["entries"]
    assert [(each["who"], each["act"], each["about"]) for each in told if each["who"] == "eva"][:-1] == [
        ("eva", act, "ana") for act in ("user_removed", "role_changed", "user_added")
    ]
    assert {each["address"] for each in told if each["who"] == "eva"} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/users/add", {"name": "eva", "password": PASSWORD}, 409),
        ("/users/add", {"name": "ana", "password": "short"}, 409),
        ("/users/add", {"name": "ana", "password": PASSWORD, "role": "boss"}, 400),
        ("/users/add", {"name": "ana", "password": PASSWORD, "more": "1"}, 400),
        ("/users/add", {"name": "ana"}, 400),
        ("/users/remove", {"name": "nobody"}, 404),
        ("/users/role", {"name": "nobody", "role": "admin"}, 404),
        ("/users/tokens/revoke", {"id": "77"}, 404),
        ("/users/tokens/revoke", {"id": "x"}, 400),
        ("/users/tokens/add", {"name": "x", "until": "2020-01-01"}, 409),
        ("/users/tokens/add", {"name": "x", "until": "9999-12-31"}, 409),
        ("/users/tokens/add", {"name": "x", "until": "soon"}, 400),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    inn: Inn, path: str, form: dict[str, str], status: int
) -> None:
    eva = inn.user("eva", "admin")
    before = inn.rows("users") + inn.rows("api_tokens") + inn.rows("audit")
    answer = eva.post(path, form)
    assert answer.status == status
    assert form.get("password", PASSWORD) not in answer.data.decode()
    assert inn.rows("users") + inn.rows("api_tokens") + inn.rows("audit") == before


def test_a_token_is_shown_once_on_the_page_and_told_once_by_the_api(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    answer = eva.post("/users/tokens/add", {"name": "Grafana", "role": "viewer", "until": "2099-01-01"})
    assert answer.status == 200
    (token,) = re.findall(r"syncer_[\w-]{43}", answer.data.decode())
    assert token not in str(answer.headers)
    told = orjson.loads(eva.order("/users/tokens/add", {"name": "Excel", "role": "operator"}).data)
    for each in (token, told["once"]):
        assert Browser(inn).get("/api/account", Authorization=f"Bearer {each}").status == 200
        assert each not in eva.get("/users").data.decode()
        assert each not in str(inn.rows("api_tokens") + inn.rows("audit"))
    assert eva.post("/users/tokens/revoke", {"id": "1"}).status == 303
    assert Browser(inn).get("/api/account", Authorization=f"Bearer {token}").status == 401


def _tokens_of(browser: Browser, *made: tuple[str, str]) -> list[str]:
    """That somebody makes: of each its name and role."""
    return [orjson.loads(browser.order("/users/tokens/add", {"name": name, "role": role}).data)["once"]
            for name, role in made]  # fmt: skip


def _opened_by(inn: Inn, tokens: list[str]) -> list[int]:
    return [Browser(inn).get("/api/account", Authorization=f"Bearer {each}").status for each in tokens]


def test_with_an_admin_go_the_tokens_that_they_have_made_and_those_made_with_them(either_inn: Inn) -> None:
    ana, eva = either_inn.user("ana", "admin"), either_inn.user("eva", "admin")
    (robot, looks) = _tokens_of(ana, ("robot", "admin"), ("looks", "viewer"))
    made = Browser(either_inn).order(
        "/users/tokens/add", {"name": "its own", "role": "admin"}, Authorization=f"Bearer {robot}"
    )
    tokens = [robot, looks, orjson.loads(made.data)["once"]]
    (of_eva,) = _tokens_of(eva, ("backup", "admin"))
    page = eva.get("/users").data.decode()
    assert "robot #1 (admin), looks #2 (viewer), its own #3 (admin)" in page, "told before"
    told = orjson.loads(eva.order("/users/remove", {"name": "ana"}).data)
    assert (told["said"], told["facts"]) == ("users_removed_tokens", {"name": "ana", "tokens": 3})
    assert _opened_by(either_inn, [*tokens, of_eva]) == [401, 401, 401, 200]
    assert [(act, about) for act, about, _ in either_inn.acts()][-4:] == [
        ("user_removed", "ana"), ("token_revoked", "robot #1"), ("token_revoked", "looks #2"),
        ("token_revoked", "its own #3"),
    ]  # fmt: skip


def test_with_a_role_go_the_tokens_that_may_do_more_than_what_is_left(inn: Inn) -> None:
    ana, eva = inn.user("ana", "admin"), inn.user("eva", "admin")
    tokens = _tokens_of(ana, ("a", "viewer"), ("b", "operator"), ("c", "admin"))
    assert eva.post("/users/role", {"name": "ana", "role": "operator"}).status == 303
    assert "Revoked API tokens that they had created: 1." in eva.get("/users").data.decode()
    assert _opened_by(inn, tokens) == [200, 200, 401]
    assert eva.post("/users/role", {"name": "ana", "role": "admin"}).status == 303
    assert _opened_by(inn, tokens) == [200, 200, 401], "what is revoked stays so"
    assert inn.acts()[-1][0] == "role_changed"


@pytest.mark.parametrize(("path", "more"), [("/users/remove", {}), ("/users/role", {"role": "operator"})])
def test_the_last_admin_with_a_password_stays(either_inn: Inn, path: str, more: dict[str, str]) -> None:
    eva = either_inn.user("eva", "admin")
    either_inn.user("ana", "operator")
    refused = eva.order(path, {"name": "eva", **more})
    assert (refused.status, orjson.loads(refused.data)["error"]["code"]) == (409, "SY266")
    assert "make somebody else one first" in eva.post(path, {"name": "eva", **more}).data.decode()
    assert eva.get("/users").status == 200
    assert eva.post("/users/role", {"name": "ana", "role": "admin"}).status == 303
    assert eva.post(path, {"name": "eva", **more}).status == 303


def test_the_last_admin_with_a_password_may_go_where_nobody_signs_in_by_one(open_inn: Inn) -> None:
    accounts.add_user(open_inn.app, HERE, "eva", "admin", PASSWORD)
    assert Browser(open_inn).post("/users/remove", {"name": "eva"}).status == 303


def test_nobody_is_removed_and_nothing_revoked_at_the_first_click(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    inn.token()
    page = eva.get("/users").data.decode()
    unfolded = "".join(re.findall(r"<details>.*?</details>", page, re.DOTALL))
    for action in ("/users/role", "/users/remove", "/users/tokens/revoke"):
        assert page.count(f'action="{action}"') == unfolded.count(f'action="{action}"') == 1


def test_the_log_of_acts_is_paged_by_what_came_before(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    fail(inn, "x", "203.0.113.7", 150)
    first = orjson.loads(eva.get("/api/audit").data)
    second = orjson.loads(eva.get(f"/api/audit?before={first['older']}").data)
    ids = [each["id"] for each in (*first["entries"], *second["entries"])]
    assert ids == list(range(152, 0, -1))
    assert second["older"] is None
    assert f"/audit?before={first['older']}" in eva.get("/audit").data.decode()
    assert eva.get("/audit?before=x").status == 400


def test_the_audit_log_tells_in_words_what_was_done(inn: Inn) -> None:
    eva = inn.user("eva", "admin")
    later: Any = "taught_to_sing"  # by a newer syncer
    with inn.app.store.writing() as tx:
        for act in (*get_args(Act), later):
            audit.note(tx, Entry(inn.clock(), "eva", act, "crm", details={"until": None, "role": "viewer"}))
    for language, phrases in enumerate(zip(*(PHRASES[f"audit_did_{act}"] for act in get_args(Act)), strict=True)):
        eva.cookies[LANGUAGE_COOKIE] = ("en", "es")[language]
        told = eva.get("/audit").data.decode()
        assert all(f"<td>{each}</td>" in told for each in (*phrases, later))
        assert "role: viewer" in told
        assert "until" not in told


def test_old_entries_and_sessions_go_at_a_sign_in(either_inn: Inn) -> None:
    either_inn.user("eva")
    either_inn.later = timedelta(days=401)
    Browser(either_inn).sign_in("eva")
    assert [act for act, *_ in either_inn.acts()] == ["signed_in"]
    assert len(either_inn.rows("sessions")) == 1


def test_a_viewer_sees_addresses_in_part_where_that_is_wanted(inn: Inn) -> None:
    inn.configure(f"mask_emails: true\n  {SIGN_IN}")
    viewer, operator = inn.user("ana@acme.es", "viewer"), inn.user("eva@acme.es", "operator")
    assert orjson.loads(viewer.get("/api/account").data)["name"] == "a…@acme.es"
    assert orjson.loads(operator.get("/api/account").data)["name"] == "eva@acme.es"


# the language


def test_anybody_chooses_the_language(inn: Inn) -> None:
    browser = Browser(inn)
    answer = browser.post("/language", {"language": "es", "to": "/sign-in?to=/users"})
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?to=/users")
    assert "Iniciar sesión" in browser.get("/sign-in").data.decode()
    assert browser.post("/language", {"language": "xx"}).status == 400
