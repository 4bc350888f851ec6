"""Logging in, and what becomes of sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.emulators.salesforce import ConnectedApp, serve
from connectors.salesforce import tokens
from connectors.salesforce.client import Client, Request
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, TemporaryError
from syncer.log import redact
from tests.connectors.salesforce.orgs import House, house, let_waits_pass
from tests.connectors.salesforce.test_faults import retold

ADMIN = "admin@emulated.example"
SECRET, GIVEN = "s3cret-of-the-app", "5Aep861-first-refresh-token"
APP = ConnectedApp("3MVG9.client", SECRET, run_as=ADMIN, refresh_tokens={GIVEN: ADMIN})
BY_SECRET: dict[str, Any] = {"client_credentials": {"client_id": APP.client_id, "client_secret": SECRET}}
BY_REFRESH: dict[str, Any] = {"refresh": {"client_id": APP.client_id, "client_secret": SECRET, "refresh_token": GIVEN}}
TOKEN_ROUTE = "/services/oauth2/token"


@contextmanager
def guarded(**app: Any) -> Iterator[House]:
    """An org that an app may enter."""
    with house(apps=[replace(APP, **app)]) as org:
        org.control("tokens", app=_told(replace(APP, run_as=_admin(org), refresh_tokens={GIVEN: _admin(org)}, **app)))
        yield org


def _admin(org: House) -> str:
    return org.instance.username(org.org.admin_id)


def _told(app: ConnectedApp) -> dict[str, Any]:
    return {name: getattr(app, name) for name in ConnectedApp.__dataclass_fields__}


def org_id(client: Client) -> str:
    """By a query, so that the session counts."""
    rows = client.query_all_rows("reading the organization", "SELECT Id FROM Organization LIMIT 1", all_rows=False)
    return str(rows[0]["Id"])


def logins(org: House) -> int:
    return sum(org.statuses(TOKEN_ROUTE).values())


@cache
def _keys() -> tuple[str, str]:
    """(private, public), as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _jwt(org: House, **changes: object) -> dict[str, Any]:
    return {"jwt": {"client_id": APP.client_id, "username": _admin(org), "private_key": _keys()[0], **changes}}


def test_each_way_in_reaches_the_org(tmp_path: Path) -> None:
    with guarded(public_key=_keys()[1]) as org:
        ways: tuple[dict[str, Any], ...] = ({}, BY_SECRET, BY_REFRESH, _jwt(org))
        for way in ways:
            assert org_id(org.client(Wanted(folder=tmp_path), **way)) == org.org.org_id
        assert logins(org) == len(ways) - 1


def test_the_key_of_a_jwt_may_lie_in_a_file_beside_the_project(tmp_path: Path) -> None:
    (tmp_path / "sf.pem").write_text(_keys()[0])
    with guarded(public_key=_keys()[1]) as org:
        way = _jwt(org, private_key=None, private_key_file="sf.pem")
        assert org_id(org.client(Wanted(folder=tmp_path), **way)) == org.org.org_id
        missing = _jwt(org, private_key=None, private_key_file="nowhere.pem")
        with pytest.raises(ConfigError, match=r"nowhere\.pem cannot be read: No such file.*private_key_file"):
            org_id(org.client(Wanted(folder=tmp_path), **missing))


@pytest.mark.parametrize("spoilt", [None, "-----BEGIN PRIVATE KEY-----", "\xff"], ids=["absent", "no key", "no text"])
def test_a_key_file_that_is_mended_is_taken_without_a_new_start(tmp_path: Path, spoilt: str | None) -> None:
    kept = tmp_path / "sf.pem"
    if spoilt is not None:
        kept.write_text(spoilt, encoding="latin-1")
    with guarded(public_key=_keys()[1]) as org:
        client = org.client(Wanted(folder=tmp_path), **_jwt(org, private_key=None, private_key_file="sf.pem"))
        with pytest.raises(ConfigError, match=r"cannot be read|cannot sign") as raised:
            org_id(client)
        assert raised.value.code == "SY149"
        kept.write_text(_keys()[0])
        assert org_id(client) == org.org.org_id


def test_a_key_that_cannot_sign_is_told_without_showing_it(tmp_path: Path) -> None:
    broken = "-----BEGIN PRIVATE KEY-----\nnot-a-key-at-all\n-----END PRIVATE KEY-----"
    with guarded() as org, pytest.raises(ConfigError, match="cannot sign: it must be an RSA key") as raised:
        org_id(org.client(**_jwt(org, private_key=broken)))
    assert "not-a-key-at-all" not in str(raised.value)


def test_an_assertion_bears_the_time_of_the_org_and_not_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(public_key=_keys()[1]) as org:
        let_waits_pass(monkeypatch, org)
        org.let_pass(900)  # its clock is a quarter of an hour ahead; an assertion may lie three minutes off
        assert org_id(org.client(**_jwt(org))) == org.org.org_id


def test_case_21_a_session_that_ends_within_a_result_costs_one_login() -> None:
    with guarded() as org:
        org.leads(1000)
        client = org.client(**BY_SECRET)
        org.behave(page_rows=100)
        pages = client.query("reading Lead", "SELECT Id FROM Lead ORDER BY Id", page=200)
        seen = [row["Id"] for _ in range(5) for row in next(pages).rows]
        org.control("tokens", expire=True)
        seen += [row["Id"] for page in pages for row in page.rows]
        assert len(set(seen)) == len(seen) == 1000
        assert logins(org) == 2


def test_case_21_sixteen_threads_meet_an_expired_session_and_log_in_once() -> None:
    with guarded() as org:
        client = org.client(at_once=16, **BY_SECRET)
        org_id(client)
        org.control("tokens", expire=True)
        org.forget()
        asked = [lambda: client.get("reading limits", "/limits") for _ in range(64)]
        assert all("DailyApiRequests" in each for each in client.together(asked))
        assert logins(org) == 1


def test_case_21_connectors_of_one_login_share_its_session() -> None:
    with guarded() as org:
        one, other = org.client(**BY_SECRET), org.client(name="second", **BY_SECRET)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(org_id, (one, other)))
        assert logins(org) == 1


def test_case_21_a_batch_that_meets_an_expired_session_is_worked_once() -> None:
    with guarded() as org:
        lead = org.leads(1)[0]
        client = org.client(**BY_SECRET)
        org_id(client)
        org.control("tokens", expire=True)
        row = {"attributes": {"type": "Lead"}, "id": lead, "Rating": "Hot"}
        body = {"allOrNone": False, "records": [row]}
        answer = client.ask(Request("writing", "PATCH", "/composite/sobjects", body, kind="write", shape=list))
        assert [each["success"] for each in answer.body] == [True]
        assert [each["id"] for each in org.writes()] == [lead]


def test_case_22_sessions_that_are_worth_nothing_cost_two_logins_at_most() -> None:
    with guarded() as org:
        org.behave(session="expired")
        client = org.client(at_once=8, **BY_SECRET)
        for _ in range(3):
            with pytest.raises(ConfigError, match=r"does not accept the session|none of the sessions") as raised:
                list(client.together([partial(org_id, client)] * 8))
            assert raised.value.code == "SY140"
        assert logins(org) <= 2


def test_case_22_sessions_that_are_worth_nothing_any_more_cost_two_logins_at_most() -> None:
    with guarded() as org:
        client = org.client(at_once=8, **BY_SECRET)
        org_id(client)
        org.behave(session="expired")
        org.forget()
        with pytest.raises(ConfigError, match=r"does not accept the session|none of the sessions"):
            list(client.together([partial(org_id, client)] * 16))
        assert logins(org) <= 2


def test_case_22_one_fresh_session_that_ends_at_once_is_bad_luck() -> None:
    with guarded() as org:
        client = org.client(**BY_SECRET)
        org_id(client)
        org.fault(path="/query", expire=True, times=2)
        assert org_id(client) == org.org.org_id
        assert logins(org) == 3


def test_case_22_after_ten_minutes_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded() as org:
        let_waits_pass(monkeypatch, org)
        org.behave(session="expired")
        client = org.client(**BY_SECRET)
        with pytest.raises(ConfigError):
            org_id(client)
        org.behave(session="ok")
        with pytest.raises(ConfigError, match="no more logins for ten minutes"):
            org_id(client)
        org.let_pass(601)
        assert org_id(client) == org.org.org_id


def test_case_22_logins_that_give_the_refused_session_once_more_cost_two_in_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def the_same(answer: Any) -> Any:
        return {**answer, "access_token": "00D!worth.nothing"}

    with guarded() as org, retold(org, "/oauth2/token", the_same) as there:
        let_waits_pass(monkeypatch, org)
        client = there.client(**BY_SECRET)
        for rounds in (1, 2):
            for _ in range(3):
                with pytest.raises(ConfigError, match="no more logins for ten minutes") as raised:
                    org_id(client)
                assert raised.value.code == "SY140"
            assert logins(org) == 2 * rounds
            org.let_pass(601)


def test_case_22_a_session_that_is_mended_is_taken_after_the_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def the_first(answer: Any) -> Any:
        given.append(answer["access_token"])
        return {**answer, "access_token": given[0]}

    with guarded() as org, retold(org, "/oauth2/token", the_first) as there:
        let_waits_pass(monkeypatch, org)
        org.behave(session="expired")
        client = there.client(**BY_SECRET)
        with pytest.raises(ConfigError, match="no more logins for ten minutes"):
            org_id(client)
        org.behave(session="ok")
        org.let_pass(601)
        assert org_id(client) == org.org.org_id


def test_case_23_a_session_that_is_not_for_rest_is_never_renewed() -> None:
    with guarded() as org:
        client = org.client(**BY_SECRET)
        org_id(client)
        org.behave(session="not_for_rest")
        org.forget()
        with pytest.raises(ConfigError, match="scope `api`") as raised:
            org_id(client)
        assert raised.value.code == "SY140"
        assert logins(org) == 0


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client_id", "inactive_user"])
def test_case_23_a_refused_login_is_not_tried_again(error: str) -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": error, "description": "not so"})
        for _ in range(3):
            client = org.client(**BY_SECRET)  # as each run of a daemon makes it
            with pytest.raises(ConfigError, match=f"{error}: not so") as raised:
                list(client.together([partial(org_id, client)] * 4))
            assert raised.value.code == "SY141"
        assert logins(org) == 1
        org.control("tokens", refuse=None)
        changed: dict[str, Any] = {"client_credentials": {"client_id": APP.client_id, "client_secret": f"{SECRET}-2"}}
        with pytest.raises(ConfigError, match="invalid_client"):
            org_id(org.client(**changed))  # other settings are another login


def test_case_23_a_wrong_secret_is_sent_once_whatever_the_status() -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": "invalid_client", "description": "not so", "status": 401})
        with pytest.raises(ConfigError, match="correct `client_id` and `client_secret`") as raised:
            org_id(org.client(**BY_SECRET))
        assert raised.value.code == "SY141"
        assert logins(org) == 1


@pytest.mark.parametrize("status", [302, 404])
def test_a_login_at_an_address_that_is_no_orgs_is_told_as_such(status: int) -> None:
    with guarded() as org:
        org.fault(path="oauth2/token", status=status, body="html")
        with pytest.raises(ConfigError, match=r"crm: logging in: .*correct `instance_url`") as raised:
            org_id(org.client(**BY_SECRET))
        assert raised.value.code == "SY148"
        assert logins(org) == 1


def test_case_23_trouble_on_the_way_to_a_login_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded() as org:
        waits = let_waits_pass(monkeypatch, org)
        org.fault(path="oauth2/token", status=503, body="html", times=2)
        assert org_id(org.client(**BY_SECRET)) == org.org.org_id
        assert logins(org) == 3
        assert waits


def test_a_user_who_logs_in_too_often_is_left_alone_for_an_hour() -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": "invalid_grant", "description": "login rate exceeded"})
        with pytest.raises(TemporaryError, match="too many logins") as raised:
            org_id(org.client(**BY_SECRET))
        assert raised.value.retry_after_s == 3600
        assert logins(org) == 1


def test_case_24_an_org_that_moves_is_followed() -> None:
    with guarded() as org, house() as elsewhere:
        client = org.client(**BY_SECRET)
        org_id(client)
        with _also_at(org) as there:
            org.behave(instance_url=there)
            org.forget()
            assert org_id(client) == org.org.org_id
            assert logins(org) == 1
            assert elsewhere.calls()["total"] == 0
            org.forget()
            client.get("reading limits", "/limits")
            assert (org.statuses("/limits"), logins(org)) == ({200: 1}, 0)


@contextmanager
def _also_at(org: House) -> Iterator[str]:
    with serve(org.instance) as url:
        yield url


@pytest.mark.parametrize("address", ["http://evil.example.com", "nowhere", "https://acme.lightning.force.com"])
def test_case_24_a_login_that_leads_to_no_org_is_not_followed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded() as org:
        let_waits_pass(monkeypatch, org)
        org.behave(instance_url=address)
        with pytest.raises(TemporaryError, match="names no address of an org"):
            org_id(org.client(**BY_SECRET))


def test_a_rotated_refresh_token_outlives_the_process(tmp_path: Path) -> None:
    with guarded(rotate=True) as org:
        wish = Wanted(folder=tmp_path)
        org_id(org.client(wish, **BY_REFRESH))
        kept = tmp_path / ".syncer" / "salesforce-crm.json"
        newer = orjson.loads(kept.read_bytes())["refresh_token"]
        assert newer != GIVEN
        assert kept.stat().st_mode & 0o777 == 0o600
        tokens._renewed.clear()  # another process
        org_id(org.client(wish, **BY_REFRESH))
        assert org.statuses(TOKEN_ROUTE) == {200: 2}
        assert orjson.loads(kept.read_bytes())["refresh_token"] != newer


def test_a_rotated_refresh_token_outlives_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    in_the_way = tmp_path / ".syncer" / "salesforce-crm.json.new"
    in_the_way.mkdir(parents=True)
    with guarded(rotate=True) as org:
        client = org.client(Wanted(folder=tmp_path), **BY_REFRESH)
        for _ in range(3):
            with pytest.raises(ConfigError, match="cannot be written") as raised:
                org_id(client)
            assert raised.value.code == "SY149"
        assert logins(org) == 1  # none is spent on what could not be kept either
        in_the_way.rmdir()
        assert org_id(client) == org.org.org_id
        tokens._renewed.clear()  # another process
        assert org_id(org.client(Wanted(folder=tmp_path), **BY_REFRESH)) == org.org.org_id
        assert org.statuses(TOKEN_ROUTE) == {200: 3}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("access_token", "new session has another shape"),
        ("refresh_token", "new refresh token has another shape"),
        ("instance_url", "names no address of an org"),
    ],
)
def test_what_a_login_gives_in_another_shape_is_told_with_the_connection(
    tmp_path: Path, part: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(answer: Any) -> Any:
        return {**answer, part: "a b"}

    with guarded() as org, retold(org, "/oauth2/token", spoil) as there:
        let_waits_pass(monkeypatch, org)
        with pytest.raises(TemporaryError, match=f"^second: logging in: .*{told}"):
            org_id(there.client(Wanted(folder=tmp_path), name="second", **BY_REFRESH))


def test_a_token_file_of_other_settings_does_not_count(tmp_path: Path) -> None:
    kept = tmp_path / ".syncer" / "salesforce-crm.json"
    kept.parent.mkdir()
    kept.write_bytes(orjson.dumps({"for": "somebody else", "refresh_token": "theirs"}))
    with guarded(rotate=True) as org:
        assert org_id(org.client(Wanted(folder=tmp_path), **BY_REFRESH)) == org.org.org_id


@pytest.mark.parametrize("content", [b"{", b'{"for": "OURS"}', b'{"for": "OURS", "refresh_token": "a b"}'])
def test_a_token_file_that_was_spoilt_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    with guarded(rotate=True) as org:
        client = org.client(Wanted(folder=tmp_path), **BY_REFRESH)
        org_id(client)
        kept = tmp_path / ".syncer" / "salesforce-crm.json"
        ours = orjson.loads(kept.read_bytes())["for"]
        kept.write_bytes(content.replace(b"OURS", ours.encode()))
        tokens._renewed.clear()
        with pytest.raises(ConfigError, match=r"cannot be read.*delete the file") as raised:
            org_id(org.client(Wanted(folder=tmp_path), **BY_REFRESH))
        assert raised.value.code == "SY149"


def test_secrets_are_in_no_message_and_no_log(tmp_path: Path) -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": "invalid_grant", "description": f"never heard of {SECRET}"})
        with pytest.raises(ConfigError) as raised:
            org_id(org.client(Wanted(folder=tmp_path), **BY_REFRESH))
        assert SECRET not in str(raised.value)
        assert redact(f"{SECRET} {GIVEN}") == "*** ***"
        org.control("tokens", refuse=None)
        tokens._renewed.clear()
        client = org.client(**BY_SECRET)
        org_id(client)
        assert redact(_session(client)) == "***"
        assert _session(client) not in repr(client._door)


def _session(client: Client) -> str:
    assert client._door is not None
    return client._door[0].token


def test_a_stop_ends_the_wait_for_somebody_elses_login() -> None:
    stop = threading.Event()
    with guarded() as org:
        org.fault(path="oauth2/token", hang_s=5)
        slow, waiting = org.client(**BY_SECRET), org.client(Wanted(stop=stop), **BY_SECRET)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(slow.get, "reading limits", "/limits")
            threading.Timer(0.3, stop.set).start()
            with pytest.raises(Stopped):
                org_id(waiting)
            org.no_faults()
            org.let_pass(5)
