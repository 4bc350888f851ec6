"""How much sooner more workers are done with many connections.

python -m tests.bench.bench_fleet [--connections 40] [--contacts 20] [--workers 1 2 4] [--places 1] [--rounds 3]

Emulated portals in two processes answer after 50 ms, and syncer keeps to the real limits. A round takes each number of
workers once, on a fresh database and fresh portals: until every connection has had its first sync, and then, after
every second lead has done something, a second one. Starting the processes is not counted. The medians are shown, and
how busy the machine was: where its cores have nothing left, more workers cannot help.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg

from tests.fleet.chaos import running
from tests.fleet.crew import Place, Program, busy_s, crew
from tests.fleet.farm import Farm, Server, farm, seats
from tests.fleet.life import Script
from tests.receivers import HttpReceiver

LATENCY_S = 0.05
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until all connections were done; of the processors, those of the workers and of the whole machine."""

    wall_s: float
    workers_s: float
    machine_s: float


@dataclass(frozen=True, slots=True)
class Size:
    """Of what is measured."""

    connections: int
    contacts: int
    places: int


def measure(folder: Path, server: Server, size: Size, workers: int) -> tuple[Took, Took]:
    """A first sync of all, and a second one."""
    seated = seats(size.connections)
    portals = list(dict.fromkeys(seat.portal for seat in seated))
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with farm(folder, Script(portals, size.contacts, 1.0, when), seated, HttpReceiver()) as built:
        built.write_project("1h")
        database = server.new_database()
        built.set_up(database)
        built.control("faults", faults=[{"hang_s": LATENCY_S}])
        words = ("--log-level", "warning", "worker", "--no-web", "--places", str(size.places))
        places = crew(built, Program(words, database), workers)
        _hold(built, database)
        with running(places):
            _until(lambda: _count(database, "SELECT count(*) FROM workers") == workers, "the workers have started")
            first = _timed(built, database, places, "DELETE FROM leases", 1)
            for act in built.script.acts():
                built.act(act)
            time.sleep(1.1)  # HubSpot tells its time in whole seconds
            due = "UPDATE connections SET due_at = extract(epoch FROM now()) * 1000, rung_at = NULL"
            second = _timed(built, database, places, due, 2)
    return first, second


def _hold(built: Farm, database: str) -> None:
    """Nobody begins before all can."""
    later = "extract(epoch FROM now() + interval '1 hour') * 1000"
    with psycopg.connect(database) as connection:
        for seat in built.seats:
            taken = f"INSERT INTO leases VALUES (%s, 'bench', 1, {later})"
            connection.execute(taken.encode(), [seat.name])


def _timed(built: Farm, database: str, places: Sequence[Place], go: str, runs: int) -> Took:
    """From that statement until every connection has finished so many runs."""
    so_many = f"SELECT connection FROM runs WHERE outcome = 'ok' GROUP BY 1 HAVING count(*) >= {runs}"
    done = f"SELECT count(*) FROM ({so_many}) x"
    before = sum(busy_s(place.pid) for place in places), _machine_s()
    with psycopg.connect(database) as connection:
        connection.execute(go.encode())
    began = time.time()
    _until(lambda: _count(database, done) == len(built.seats), "all are done")
    busy = sum(busy_s(place.pid) for place in places), _machine_s()
    with psycopg.connect(database) as connection:
        (latest,) = connection.execute("SELECT max(finished_at) FROM runs").fetchone() or (0,)
    return Took(latest / 1000 - began, busy[0] - before[0], busy[1] - before[1])


def _count(database: str, asked: str) -> int:
    with psycopg.connect(database) as connection:
        (count,) = connection.execute(asked.encode()).fetchone() or (0,)
    return int(count)


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)


def _machine_s() -> float:
    """Seconds that all processors have worked since the machine started."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    idle, waiting = 3, 4
    spent = sum(int(ticks) for number, ticks in enumerate(words) if number not in (idle, waiting))
    return spent / os.sysconf("SC_CLK_TCK")


def _show(workers: int, tooks: Sequence[Took], alone: Sequence[Took]) -> str:
    """Medians; the ratio is that of the medians of the same rounds."""
    wall_s, cores = median(each.wall_s for each in tooks), os.cpu_count() or 1
    ratio = median(each.wall_s for each in alone) / wall_s
    used = median(each.machine_s / each.wall_s for each in tooks)
    own_s = median(each.workers_s for each in tooks)
    spread = f"{min(each.wall_s for each in tooks):.1f} to {max(each.wall_s for each in tooks):.1f}"
    machine = f"{used:.2f} of {cores} cores busy, {own_s:.1f} s of them ours"
    return f"{workers} workers: {wall_s:6.1f} s ({spread}), {ratio:.2f} x as fast; {machine}"


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--contacts", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--places", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended, too
    size = Size(asked.connections, asked.contacts, asked.places)
    found: dict[int, list[tuple[Took, Took]]] = {workers: [] for workers in asked.workers}
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs as a user of its own where we are root
        with Server(folder) as server:
            for number in range(asked.rounds):
                for workers, tooks in found.items():
                    tooks.append(measure(folder / f"{number}-{workers}", server, size, workers))
    for part, what in enumerate(("first sync of all", "a second one")):
        print(what)
        alone = [each[part] for each in found[asked.workers[0]]]
        for workers, tooks in found.items():
            print("  " + _show(workers, [each[part] for each in tooks], alone))


if __name__ == "__main__":
    main(sys.argv[1:])
