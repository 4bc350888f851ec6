"""The emulator as a thread and as a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import urllib3

from connectors.emulators.hubspot import Fault, Faults, Portal, serve
from tests.connectors.emulators.hubspot.portals import Client

ROOT = Path(__file__).resolve().parents[4]


def test_a_served_portal_stops_with_its_block_though_a_request_hangs() -> None:
    portal = Portal(faults=Faults(Fault(path="owners", hang_s=60)))
    with serve(portal) as url:
        client = Client(url)
        assert client.get("/crm/v3/objects/contacts").status == 200
        waiting = threading.Thread(target=_ask_and_be_cut_off, args=(client,))
        waiting.start()
    waiting.join(10)
    client.close()
    assert not waiting.is_alive()
    assert [each.name for each in threading.enumerate()].count("hubspot-emulator") == 1  # the session's own


def _ask_and_be_cut_off(client: Client) -> None:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        client.get("/crm/v3/owners")


def test_the_command_prints_its_address_serves_and_stops_when_told() -> None:
    command = [sys.executable, "-W", "error", "-m", "connectors.emulators.hubspot", "--token", "t", "--no-limits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=os.environ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        client = Client(ready["url"], "t")
        status = client.get("/crm/v3/objects/contacts").status
        client.close()
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (status, ready["tokens"], process.returncode, errors) == (200, ["t"], 0, b"")
