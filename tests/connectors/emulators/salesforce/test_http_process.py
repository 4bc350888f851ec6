"""The emulator as a thread and as a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import urllib3

from connectors.emulators.salesforce import Fault, Faults, Instance, serve
from connectors.emulators.salesforce.http.server import THREAD
from tests.connectors.emulators.salesforce.orgs import Client

ROOT = Path(__file__).resolve().parents[4]


def _threads() -> int:
    return [each.name for each in threading.enumerate()].count(THREAD)


def test_a_served_org_stops_with_its_block_though_a_request_hangs() -> None:
    before = _threads()
    with serve(Instance(faults=Faults(Fault(path="recent", hang_s=60)))) as url:
        client = Client(url)
        assert client.get("/limits").status == 200
        waiting = threading.Thread(target=_ask_and_be_cut_off, args=(client,))
        waiting.start()
    waiting.join(10)
    client.close()
    assert not waiting.is_alive()
    assert _threads() == before


def _ask_and_be_cut_off(client: Client) -> None:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        client.get("/recent")


def test_the_command_prints_its_address_serves_and_stops_when_told() -> None:
    command = [sys.executable, "-W", "error", "-m", "connectors.emulators.salesforce", "--token", "t", "--no-limits"]
    command += ["--frozen", "2026-11-22T09:00:00+00:00", "--client", "id:secret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=os.environ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        client = Client(ready["url"], "t")
        reply = client.get("/limits")
        asked = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
        granted = client.form("/services/oauth2/token", **asked).status
        client.close()
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (reply.status, granted, reply.headers["date"]) == (200, 200, "Sun, 22 Nov 2026 09:00:00 GMT")
    assert (ready["tokens"], process.returncode, errors) == (["t"], 0, b"")
