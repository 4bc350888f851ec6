"""`python -m tests.fleet chaos [--seconds 180] [--workers 3] [--connections 40]`: kills and freezes, then the table.

`python -m tests.fleet soak [--minutes 30] [--connections 20]`: faults of all kinds, memory and files watched.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fleet import chaos, soak

_STEERING = ("workers", "connections", "contacts", "every", "seed")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet")
    commands = parser.add_subparsers(dest="command", required=True)
    striking, soaking = commands.add_parser("chaos"), commands.add_parser("soak")
    blows, trouble = chaos.Asked(), soak.Asked()
    striking.add_argument("--seconds", type=float, default=blows.seconds)
    soaking.add_argument("--minutes", type=float, default=trouble.minutes)
    soaking.add_argument("--restarts", type=int, default=trouble.restarts, help="of the database")
    kinds: tuple[tuple[argparse.ArgumentParser, chaos.Asked | soak.Asked], ...] = (
        (striking, blows),
        (soaking, trouble),
    )
    for each, usual in kinds:
        each.add_argument("--workers", type=int, default=usual.workers)
        each.add_argument("--connections", type=int, default=usual.connections)
        each.add_argument("--contacts", type=int, default=usual.contacts, help="of each portal")
        each.add_argument("--every", default=usual.every, help="`sync.every`")
        each.add_argument("--program", default=" ".join(usual.words), help="what each process runs")
        each.add_argument("--seed", type=int, default=usual.seed)
        each.add_argument("--folder", type=Path, help="an empty one to work in; left out: a temporary one")
    return parser.parse_args(words)


def _table(place: Path, given: argparse.Namespace) -> list[chaos.Line]:
    told = {name: getattr(given, name) for name in _STEERING} | {"words": tuple(given.program.split())}
    if given.command == "chaos":
        return chaos.chaos(place, chaos.Asked(seconds=given.seconds, **told))
    return soak.soak(place, soak.Asked(minutes=given.minutes, restarts=given.restarts, **told))


def main(words: Sequence[str]) -> int:
    """0: everything as wanted."""
    given = _arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended, too
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        place = given.folder or Path(folder)
        place.mkdir(exist_ok=True)
        place.chmod(0o755)  # the server runs as a user of its own where we are root
        lines = _table(place, given)
    print(chaos.table(lines))
    return int(any(line.right is False for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
