"""Logging in, and what becomes of sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
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
            assert org.client(Wanted(folder=tmp_path), **way).org_id() == org.org.org_id
        assert logins(org) == len(ways) - 1


def test_the_key_of_a_jwt_may_lie_in_a_file_beside_the_project(tmp_path: Path) -> None:
    (tmp_path / "sf.pem").write_text(_keys()[0])
    with guarded(public_key=_keys()[1]) as org:
        way = _jwt(org, private_key=None, private_key_file="sf.pem")
        assert org.client(Wanted(folder=tmp_path), **way).org_id() == org.org.org_id
        missing = _jwt(org, private_key=None, private_key_file="nowhere.pem")
        with pytest.raises(ConfigError, match=r"nowhere\.pem cannot be read: No such file.*private_key_file"):
            org.client(Wanted(folder=tmp_path), **missing).org_id()


def test_a_key_that_cannot_sign_is_told_without_showing_it(tmp_path: Path) -> None:
    broken = "-----BEGIN PRIVATE KEY-----\nnot-a-key-at-all\n-----END PRIVATE KEY-----"
    with guarded() as org, pytest.raises(ConfigError, match="cannot sign: it must be an RSA key") as raised:
        org.client(**_jwt(org, private_key=broken)).org_id()
    assert "not-a-key-at-all" not in str(raised.value)


def test_an_assertion_bears_the_time_of_the_org_and_not_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(public_key=_keys()[1]) as org:
        let_waits_pass(monkeypatch, org)
        org.let_pass(900)  # its clock is a quarter of an hour ahead; an assertion may lie three minutes off
        assert org.client(**_jwt(org)).org_id() == org.org.org_id


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
        client.org_id()
        org.control("tokens", expire=True)
        org.forget()
        asked = [lambda: client.get("reading limits", "/limits") for _ in range(64)]
        assert all("DailyApiRequests" in each for each in client.together(asked))
        assert logins(org) == 1


def test_case_21_connectors_of_one_login_share_its_session() -> None:
    with guarded() as org:
        one, other = org.client(**BY_SECRET), org.client(name="second", **BY_SECRET)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda client: client.org_id(), (one, other)))
        assert logins(org) == 1


def test_case_21_a_batch_that_meets_an_expired_session_is_worked_once() -> None:
    with guarded() as org:
        lead = org.leads(1)[0]
        client = org.client(**BY_SECRET)
        client.org_id()
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
                list(client.together([client.org_id] * 8))
            assert raised.value.code == "SY140"
        assert logins(org) <= 2


def test_case_22_sessions_that_are_worth_nothing_any_more_cost_two_logins_at_most() -> None:
    with guarded() as org:
        client = org.client(at_once=8, **BY_SECRET)
        client.org_id()
        org.behave(session="expired")
        org.forget()
        with pytest.raises(ConfigError, match=r"does not accept the session|none of the sessions"):
            list(client.together([client.org_id] * 16))
        assert logins(org) <= 2


def test_case_22_one_fresh_session_that_ends_at_once_is_bad_luck() -> None:
    with guarded() as org:
        client = org.client(**BY_SECRET)
        client.org_id()
        org.fault(path="/query", expire=True, times=2)
        assert client.org_id() == org.org.org_id
        assert logins(org) == 3


def test_case_22_after_ten_minutes_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded() as org:
        let_waits_pass(monkeypatch, org)
        org.behave(session="expired")
        client = org.client(**BY_SECRET)
        with pytest.raises(ConfigError):
            client.org_id()
        org.behave(session="ok")
        with pytest.raises(ConfigError, match="no more logins for ten minutes"):
            client.org_id()
        org.let_pass(601)
        assert client.org_id() == org.org.org_id


def test_case_23_a_session_that_is_not_for_rest_is_never_renewed() -> None:
    with guarded() as org:
        client = org.client(**BY_SECRET)
        client.org_id()
        org.behave(session="not_for_rest")
        org.forget()
        with pytest.raises(ConfigError, match="scope `api`") as raised:
            client.org_id()
        assert raised.value.code == "SY140"
        assert logins(org) == 0


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client_id", "inactive_user"])
def test_case_23_a_refused_login_is_not_tried_again(error: str) -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": error, "description": "not so"})
        for _ in range(3):
            client = org.client(**BY_SECRET)  # as each run of a daemon makes it
            with pytest.raises(ConfigError, match=f"{error}: not so") as raised:
                list(client.together([client.org_id] * 4))
            assert raised.value.code == "SY141"
        assert logins(org) == 1
        org.control("tokens", refuse=None)
        changed: dict[str, Any] = {"client_credentials": {"client_id": APP.client_id, "client_secret": f"{SECRET}-2"}}
        with pytest.raises(ConfigError, match="invalid_client"):
            org.client(**changed).org_id()  # other settings are another login


def test_case_23_trouble_on_the_way_to_a_login_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded() as org:
        waits = let_waits_pass(monkeypatch, org)
        org.fault(path="oauth2/token", status=503, body="html", times=2)
        assert org.client(**BY_SECRET).org_id() == org.org.org_id
        assert logins(org) == 3
        assert waits


def test_a_user_who_logs_in_too_often_is_left_alone_for_an_hour() -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": "invalid_grant", "description": "login rate exceeded"})
        with pytest.raises(TemporaryError, match="too many logins") as raised:
            org.client(**BY_SECRET).org_id()
        assert raised.value.retry_after_s == 3600
        assert logins(org) == 1


def test_case_24_an_org_that_moves_is_followed() -> None:
    with guarded() as org, house() as elsewhere:
        client = org.client(**BY_SECRET)
        client.org_id()
        with _also_at(org) as there:
            org.behave(instance_url=there)
            org.forget()
            assert client.org_id() == org.org.org_id
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
            org.client(**BY_SECRET).org_id()


def test_a_rotated_refresh_token_outlives_the_process(tmp_path: Path) -> None:
    with guarded(rotate=True) as org:
        wish = Wanted(folder=tmp_path)
        org.client(wish, **BY_REFRESH).org_id()
        kept = tmp_path / ".syncer" / "salesforce-crm.json"
        newer = orjson.loads(kept.read_bytes())["refresh_token"]
        assert newer != GIVEN
        assert kept.stat().st_mode & 0o777 == 0o600
        tokens._renewed.clear()  # another process
        org.client(wish, **BY_REFRESH).org_id()
        assert org.statuses(TOKEN_ROUTE) == {200: 2}
        assert orjson.loads(kept.read_bytes())["refresh_token"] != newer


def test_a_token_file_of_other_settings_does_not_count(tmp_path: Path) -> None:
    kept = tmp_path / ".syncer" / "salesforce-crm.json"
    kept.parent.mkdir()
    kept.write_bytes(orjson.dumps({"for": "somebody else", "refresh_token": "theirs"}))
    with guarded(rotate=True) as org:
        assert org.client(Wanted(folder=tmp_path), **BY_REFRESH).org_id() == org.org.org_id


@pytest.mark.parametrize("content", [b"{", b'{"for": "OURS"}', b'{"for": "OURS", "refresh_token": "a b"}'])
def test_a_token_file_that_was_spoilt_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    with guarded(rotate=True) as org:
        client = org.client(Wanted(folder=tmp_path), **BY_REFRESH)
        client.org_id()
        kept = tmp_path / ".syncer" / "salesforce-crm.json"
        ours = orjson.loads(kept.read_bytes())["for"]
        kept.write_bytes(content.replace(b"OURS", ours.encode()))
        tokens._renewed.clear()
        with pytest.raises(ConfigError, match=r"cannot be read.*delete the file") as raised:
            org.client(Wanted(folder=tmp_path), **BY_REFRESH).org_id()
        assert raised.value.code == "SY149"


def test_secrets_are_in_no_message_and_no_log(tmp_path: Path) -> None:
    with guarded() as org:
        org.control("tokens", refuse={"error": "invalid_grant", "description": f"never heard of {SECRET}"})
        with pytest.raises(ConfigError) as raised:
            org.client(Wanted(folder=tmp_path), **BY_REFRESH).org_id()
        assert SECRET not in str(raised.value)
        assert redact(f"{SECRET} {GIVEN}") == "*** ***"
        org.control("tokens", refuse=None)
        tokens._renewed.clear()
        client = org.client(**BY_SECRET)
        client.org_id()
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
                waiting.org_id()
            org.no_faults()
            org.let_pass(5)
