"""Access tokens: renewed ahead of their end or once when refused, kept in a file, shared by threads and processes."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.emulators.hubspot.tokens import OAuthApp, Token
from connectors.hubspot import HubSpot
from connectors.hubspot.client import Request
from connectors.hubspot.refusals import read_problem, translate_renewal
from connectors.hubspot.settings import Settings
from connectors.hubspot.tokens import Exchange, Fixed, Renewed, _Kept, credentials
from syncer import log, retry
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, TemporaryError
from syncer.settings import digest, load_project
from tests.connectors.hubspot.portals import STAGES, TOKEN, Office, let_waits_pass, office, records
from tests.settings.samples import project_folder

COUNTRY = Wanted(fields=("country",), stages=STAGES)
SECRET, FIRST = "the-app's-own-secret", "refresh-token-of-the-install"
APP = OAuthApp("app-1", SECRET, FIRST)
MINUTE = 60.0


@contextmanager
def connected(app: OAuthApp = APP) -> Iterator[Office]:
    with office(keys=(app, Token(TOKEN))) as portal:
        yield portal


def hubspot(portal: Office, folder: Path, wanted: Wanted = COUNTRY, **told: str) -> HubSpot:
    app = {"client_id": "app-1", "client_secret": SECRET, "refresh_token": FIRST, **told}
    return portal.hubspot(wanted, token=None, oauth={"token_file": str(folder / "token.json"), **app})


def renewed(crm: HubSpot, folder: Path) -> Renewed:
    return Renewed(oauth_of(crm._settings), folder / "token.json")


def renewals(portal: Office) -> dict[int, int]:
    return portal.statuses("/oauth/token")


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "token.json").read_bytes())
    return found


def test_case_33_a_token_that_expires_in_the_middle_of_a_pull_is_renewed_once(tmp_path: Path) -> None:
    with connected() as portal:
        people = portal.add(250)
        portal.settle()
        pages = hubspot(portal, tmp_path).pull("contacts", None)
        first = next(pages)
        portal.portal.doorman.expire(portal.portal.clock.now_ms())
        found = records([first, *pages])
        assert set(found) == set(people)
        assert renewals(portal) == {200: 2}
        assert 401 in {each["status"] for each in portal.calls()["routes"]}


def test_case_33_a_token_is_renewed_ahead_of_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with connected() as portal:
        let_waits_pass(monkeypatch, portal)
        crm = hubspot(portal, tmp_path)
        for _ in range(20):  # an hour and a half
            retry.wait(4.5 * MINUTE, threading.Event())
            crm._client.account()
        assert renewals(portal) == {200: 4}
        assert {each["status"] for each in portal.calls()["routes"]} == {200}


def test_case_33_all_threads_connections_and_runs_share_one_renewal(tmp_path: Path) -> None:
    with connected() as portal:
        one, other = hubspot(portal, tmp_path), hubspot(portal, tmp_path)
        list(one._client.together([one._client.account] * 8))
        assert renewals(portal) == {200: 1}
        portal.portal.doorman.expire(portal.portal.clock.now_ms())
        both = [client.start(client.account) for client in (one._client, other._client) for _ in range(8)]
        assert {each.result(20).portal for each in both} == {"44237313"}
        assert renewals(portal) == {200: 2}
        hubspot(portal, tmp_path).account()
        assert renewals(portal) == {200: 2}


def test_case_33_a_rotated_refresh_token_is_kept_for_the_next_process(tmp_path: Path) -> None:
    with connected() as portal:
        renew_in_another_process(portal, tmp_path)
        first = kept(tmp_path)
        assert first["refresh_token"] not in (FIRST, "")
        assert (tmp_path / "token.json").stat().st_mode & 0o777 == 0o600
        hubspot(portal, tmp_path).account()
        assert renewals(portal) == {200: 1}  # its access token serves us as well
        portal.portal.doorman.expire(portal.portal.clock.now_ms())
        renew_in_another_process(portal, tmp_path)
        assert kept(tmp_path)["refresh_token"] != first["refresh_token"]
        hubspot(portal, tmp_path).account()
        assert renewals(portal) == {200: 2}


def renew_in_another_process(portal: Office, folder: Path) -> None:
    oauth = {"client_id": "app-1", "client_secret": SECRET, "refresh_token": FIRST}
    told = {
        "base_url": portal.url,
        "api_version": portal.api_version,
        "oauth": {**oauth, "token_file": str(folder / "token.json")},
    }
    words = [sys.executable, "-c", _ANOTHER, orjson.dumps(told).decode()]
    subprocess.run(words, check=True, timeout=60)


_ANOTHER = """
import sys, orjson
from connectors.hubspot import HubSpot
from connectors.hubspot.settings import Settings
from syncer.connector import Wanted
HubSpot("crm", Settings.model_validate(orjson.loads(sys.argv[1])), Wanted()).account()
"""


def test_processes_that_find_the_token_expired_together_renew_it_once(tmp_path: Path) -> None:
    """Two that know nothing of each other in one process are like two processes: the lock is on the file."""
    settings = {"client_id": "app-1", "client_secret": SECRET, "refresh_token": FIRST}
    with connected() as portal:
        crm = hubspot(portal, tmp_path)
        apps = [renewed(crm, tmp_path) for _ in range(6)]
        exchange = Exchange(crm._client._renew, crm._client.now, threading.Event())
        tokens: list[str] = []
        threads = [threading.Thread(target=lambda app=each: tokens.append(app.bearer(exchange))) for each in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert (len(tokens), len(set(tokens))) == (6, 1)
        assert renewals(portal) == {200: 1}
        assert set(settings.values()).isdisjoint(tokens)


def oauth_of(settings: Settings) -> Any:
    assert settings.oauth is not None
    return settings.oauth


def test_who_waits_for_another_process_to_renew_can_be_stopped(tmp_path: Path) -> None:
    with connected() as portal:
        crm = hubspot(portal, tmp_path)
        app, stop = renewed(crm, tmp_path), threading.Event()
        with app._file.locked(threading.Event()):
            threading.Timer(0.3, stop.set).start()
            with pytest.raises(Stopped):
                renewed(crm, tmp_path).bearer(Exchange(crm._client._renew, crm._client.now, stop))
        assert renewals(portal) == {}


def test_case_34_a_withdrawn_refresh_token_stops_the_connector_until_a_person_reconnects(tmp_path: Path) -> None:
    with connected() as portal:
        portal.portal.doorman.revoke(FIRST)
        for _ in range(3):  # three runs
            with pytest.raises(ConfigError, match="reconnect needed") as caught:
                list(hubspot(portal, tmp_path).pull("contacts", None))
            assert caught.value.code == "SY028"
        assert renewals(portal) == {400: 1}
        portal.portal.doorman._refresh_tokens.add("refresh-token-of-the-second-install")
        assert hubspot(portal, tmp_path, refresh_token="refresh-token-of-the-second-install").account()
        assert renewals(portal) == {400: 1, 200: 1}


def test_case_34_a_portal_that_is_closed_to_the_app_needs_a_person_too(tmp_path: Path) -> None:
    with connected() as portal:
        portal.portal.doorman.closed = True
        with pytest.raises(ConfigError, match="reconnect needed"):
            hubspot(portal, tmp_path).account()


def test_case_34_a_wrong_app_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with connected() as portal:
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"oauth\.client_secret") as caught:
                hubspot(portal, tmp_path, client_secret="not the app's secret").account()
            assert caught.value.code == "SY027"
        assert renewals(portal) == {400: 1}
        assert hubspot(portal, tmp_path).account()


def test_case_34_trouble_while_renewing_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with connected() as portal:
        let_waits_pass(monkeypatch, portal)
        portal.fault(path="/oauth/", times=1, status=502, body="html")
        portal.fault(path="/oauth/", times=1, status=200, body="html")
        portal.fault(path="/oauth/", times=1, drop="before")
        assert hubspot(portal, tmp_path).account()
        portal.portal.doorman.expire(portal.portal.clock.now_ms())
        portal.fault(path="/oauth/", status=503)
        for _ in range(2):
            with pytest.raises(TemporaryError, match="renewing the access"):
                hubspot(portal, tmp_path).account()
        portal.control("faults", faults=[])
        assert hubspot(portal, tmp_path).account()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}, "SY028"),  # version v1
        ({"error": "invalid_grant", "error_description": "expired"}, "SY028"),
        ({"error": "access_denied", "status": "BAD_HUB"}, "SY028"),
        ({"error": "invalid_client", "status": "BAD_CLIENT_SECRET"}, "SY027"),
        ({"status": "BAD_CLIENT_ID", "message": "missing or invalid client id"}, "SY027"),
        ("<html>", "SY027"),
    ],
    ids=str,
)
def test_what_hubspot_says_to_a_renewal_is_told_apart(body: object, code: str) -> None:
    problem = read_problem(400, body if isinstance(body, str) else orjson.dumps(body), {})
    error = translate_renewal(problem, "crm: renewing the access", midnight_s=0)
    assert isinstance(error, ConfigError)
    assert error.code == code


def test_tokens_of_other_settings_in_the_file_do_not_count(tmp_path: Path) -> None:
    with connected() as portal:
        hubspot(portal, tmp_path).account()
        portal.portal.doorman._refresh_tokens.add("refresh-token-of-the-second-install")
        hubspot(portal, tmp_path, refresh_token="refresh-token-of-the-second-install").account()
        assert renewals(portal) == {200: 2}


@pytest.mark.parametrize("content", [b"", b"{", b'{"for": "%s"}', b'{"for": "%s", "until": "soon"}'], ids=repr)
def test_a_token_file_that_is_damaged_is_told_and_not_overwritten(tmp_path: Path, content: bytes) -> None:
    with connected() as portal:
        crm = hubspot(portal, tmp_path)
        owner = crm._client._credentials.identity.encode()
        (tmp_path / "token.json").write_bytes(content.replace(b"%s", owner))
        if content.endswith(b'%s"}'):
            assert crm.account()  # nothing is known yet: as good as no file
            return
        with pytest.raises(ConfigError, match=r"token\.json cannot be read.*delete the file") as caught:
            crm.account()
        assert caught.value.code == "SY026"
        assert (tmp_path / "token.json").read_bytes() == content.replace(b"%s", owner)


def test_a_folder_that_cannot_be_written_to_is_told_before_a_token_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with connected() as portal:
        with pytest.raises(ConfigError, match=r"cannot be written.*oauth\.token_file"):
            hubspot(portal, tmp_path / "file").account()
        assert renewals(portal) == {}


def test_a_write_that_was_cut_off_leaves_the_old_tokens(tmp_path: Path) -> None:
    with connected() as portal:
        hubspot(portal, tmp_path).account()
        (tmp_path / "token.json.new").write_text("half of a tok")
        os.chmod(tmp_path / "token.json.new", 0o644)
        portal.portal.doorman.expire(portal.portal.clock.now_ms())
        hubspot(portal, tmp_path).account()
        assert kept(tmp_path)["access_token"] in portal.portal.doorman.tokens
        assert (tmp_path / "token.json").stat().st_mode & 0o777 == 0o600
        assert sorted(each.name for each in tmp_path.iterdir()) == ["token.json", "token.json.lock"]


def test_no_token_is_ever_told(tmp_path: Path) -> None:
    told = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.set_up("DEBUG", stream=told)
        with connected() as portal:
            crm = hubspot(portal, tmp_path)
            crm.account()
            access, refresh = kept(tmp_path)["access_token"], kept(tmp_path)["refresh_token"]
            logging.getLogger("connectors.hubspot").error(f"{SECRET} {FIRST} {access} {refresh}")
            portal.portal.doorman.tokens.clear()
            portal.portal.doorman.revoke(refresh)
            with pytest.raises(ConfigError) as caught:
                crm._client.account()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    for secret in (SECRET, FIRST, access, refresh):
        assert secret not in told.getvalue() + str(caught.value)
    assert "*** *** *** ***" in told.getvalue()


def test_each_connection_keeps_its_tokens_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = OAuthApp("app-2", SECRET, "refresh-token-of-another-install")
    for name, app in (("north", APP), ("south", other)):
        told = {"client_id": app.client_id, "client_secret": SECRET, "refresh_token": app.refresh_token}
        with connected(app) as portal:
            assert portal.hubspot(COUNTRY, name=name, token=None, oauth=told).account()
    kept = [orjson.loads((tmp_path / ".syncer" / f"hubspot-{each}.json").read_bytes()) for each in ("north", "south")]
    assert kept[0]["for"] != kept[1]["for"]


def test_no_value_that_holds_a_secret_shows_it_when_it_is_printed() -> None:
    held = (
        Fixed("pat-of-the-portal"),
        _Kept("refresh-secret", "access-secret", datetime(2026, 11, 1, tzinfo=UTC)),
        Request("renewing", "POST", "/oauth/token", form={"client_secret": "app-secret"}),
    )
    for word in ("pat-of", "refresh-secret", "access-secret", "app-secret"):
        assert word not in repr(held)


def test_the_secret_of_webhooks_is_blotted_out_of_logs() -> None:
    secret = "the-hooks-very-own-secret"
    with office() as portal:
        portal.hubspot(webhooks={"secret": secret, "url": "https://syncer.example.com/hooks/crm"})
    assert secret not in log.redact(f"signed with {secret}")


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} ", "\t{}"])
def test_case_35_a_key_with_white_space_around_it_is_taken_without(around: str) -> None:
    with office() as portal:
        assert portal.hubspot(token=around.format(TOKEN)).account() == "hubspot:44237313"


def test_case_35_a_rotated_key_is_picked_up_without_a_restart(tmp_path: Path) -> None:
    old, new = "service-key-of-last-year", "service-key-of-this-year"
    secret = tmp_path / "key"
    secret.write_text(f"{old}\n")
    with office(keys=(Token(old), Token(new))) as portal:
        file = project_folder(tmp_path, PROJECT.format(url=portal.url, version=portal.api_version))
        project = load_project(file, {"hubspot": Settings}, {})
        before = digest(project.files)
        assert connector(project.connections[0].settings).account()
        portal.portal.doorman.revoke(old)
        with pytest.raises(ConfigError, match="valid service key") as caught:
            connector(project.connections[0].settings).account()
        assert old not in str(caught.value)
        secret.write_text(f"{new}\r\n")
        assert digest(project.files) != before  # what the daemon looks at every few seconds
        again = load_project(file, {"hubspot": Settings}, {})
        assert again.fingerprint != project.fingerprint
        assert connector(again.connections[0].settings).account()


def connector(settings: Any) -> HubSpot:
    return HubSpot("crm", settings, Wanted())


PROJECT = """
connections:
  crm: {{type: hubspot, token: "${{file:key}}", base_url: "{url}", api_version: "{version}"}}
models: models/b2b.yml
"""


def test_a_token_file_lies_beside_the_project_and_not_where_somebody_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = tmp_path / "project"
    project.mkdir()
    oauth = {"client_id": "app", "client_secret": "s3cr3t-of-app", "refresh_token": "r3fr3sh-token"}
    settings = Settings.model_validate({"oauth": oauth})
    found = credentials("crm", settings, project)
    assert isinstance(found, Renewed)
    assert found._file.path == project / ".syncer" / "hubspot-crm.json"
