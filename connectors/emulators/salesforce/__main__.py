"""`python -m connectors.emulators.salesforce --port 8080 --token secret`: an org to talk to, until interrupted.

Prints one JSON line {"url", "tokens", "username", "password", "org_id"} when it is ready.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.http.faults import Faults
from connectors.emulators.salesforce.http.instance import PASSWORD, TOKEN, Access, Instance
from connectors.emulators.salesforce.http.limits import Limits
from connectors.emulators.salesforce.http.oauth import ConnectedApp
from connectors.emulators.salesforce.http.server import serve
from connectors.emulators.salesforce.org import Org


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m connectors.emulators.salesforce", description="A Salesforce org in memory."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--token", action="append", help="an access token of the admin; may be repeated")
    parser.add_argument("--client", metavar="ID:SECRET", help="a connected app that runs as the admin")
    parser.add_argument("--public-key", type=Path, metavar="PEM", help="against which the app's assertions are checked")
    parser.add_argument("--no-limits", action="store_true", help="switch the allowances off")
    parser.add_argument("--person-accounts", action="store_true", help="an org with person accounts")
    parser.add_argument("--frozen", type=_moment, metavar="TIME", help="time stands still at this ISO time with zone")
    parser.add_argument("--seed", type=int, default=0, help="of the random faults")
    return parser.parse_args(words)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("the time needs a zone, as in 2026-11-22T09:00:00Z")
    return moment


def _instance(asked: argparse.Namespace) -> Instance:
    clock = Clock(asked.frozen, frozen=asked.frozen is not None)
    instance = Instance(
        Org.stock(clock, person_accounts=asked.person_accounts),
        Access(tuple(asked.token or [TOKEN])),
        limits=None if asked.no_limits else Limits(),
        faults=Faults(seed=asked.seed),
    )
    if asked.client:
        client_id, _, secret = asked.client.partition(":")
        name = instance.username(instance.org.admin_id)
        key = asked.public_key.read_text() if asked.public_key else None
        app = ConnectedApp(client_id, secret, run_as=name, public_key=key, refresh_tokens={"emulator-refresh": name})
        instance.doorman.install(app)
    return instance


def main(words: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; the exit code is 0."""
    asked = _arguments(words)
    instance = _instance(asked)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    org = instance.org
    with serve(instance, asked.port, asked.host) as url:
        told = {"url": url, "tokens": asked.token or [TOKEN], "username": instance.username(org.admin_id)}
        print(json.dumps({**told, "password": PASSWORD, "org_id": org.org_id}), flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
