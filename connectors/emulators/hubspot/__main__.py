"""`python -m connectors.emulators.hubspot --port 8080 --token secret`: a portal to talk to, until interrupted.

Prints one JSON line {"url", "tokens"} when it is ready.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from connectors.emulators.hubspot.faults import Faults
from connectors.emulators.hubspot.limits import Limits
from connectors.emulators.hubspot.portal import Manners, Portal
from connectors.emulators.hubspot.server import serve
from connectors.emulators.hubspot.tokens import Token


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m connectors.emulators.hubspot", description="A HubSpot portal in memory."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--token", action="append", help="an access token that may do everything; may be repeated")
    parser.add_argument("--no-limits", action="store_true", help="switch the rate limits off")
    parser.add_argument(
        "--index-lag", type=float, default=Manners().index_lag_s, metavar="SECONDS", help="how late search is"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random faults")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; the exit code is 0."""
    asked = _arguments(words)
    tokens = asked.token or ["emulator-token"]
    portal = Portal(
        tokens=[Token(each) for each in tokens],
        limits=None if asked.no_limits else Limits(),
        manners=Manners(index_lag_s=asked.index_lag),
        faults=Faults(seed=asked.seed),
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with serve(portal, asked.port, asked.host) as url:
        print(json.dumps({"url": url, "tokens": tokens}), flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
