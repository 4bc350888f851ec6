"""From one machine to the fleet: the same files and the same state, another database and another command."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from syncer.store import open_store, tables
from tests.fleet.chaos import TOLD_LATE, running, wait_until_settled
from tests.fleet.crew import Place, Program, crew
from tests.fleet.farm import ENVIRONMENT, Farm, Server, farm, seats
from tests.fleet.life import Act, Script
from tests.fleet.outcome import Outcome, outcome
from tests.receivers import HttpReceiver
from tests.terminal import clean_environment


@dataclass(frozen=True, slots=True)
class Moved:
    """What is known after the move, and of the first run of each connection after it."""

    farm: Farm
    ended: Outcome
    received: Counter[str]  # how often each key
    told_before: int
    read_first: Mapping[str, int]  # connection -> contacts that its first run in the new place has read
    cursors_kept: bool


def move(folder: Path, connections: int, contacts: int) -> Moved:
    """A daemon on SQLite for one half of a life, two workers on PostgreSQL for the other."""
    seated = seats(connections)
    portals = list(dict.fromkeys(seat.portal for seat in seated))
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    script = Script(portals, contacts, 1.0, when)
    acts = script.acts()
    with Server(folder) as server, farm(folder / "farm", script, seated, HttpReceiver()) as built:
        built.write_project("2s")
        here, there = f"sqlite:///{folder / 'syncer.db'}", server.new_database()
        built.set_up(here)
        daemon = crew(built, Program(("daemon",), here), 1)
        with running(daemon):
            wait_until_settled(built, here, datetime.now(UTC), daemon)
            _live(built, here, daemon, acts[::2])
        told_before, before = len(built.hook.received), _cursors(here)
        _syncer(built, here, "db", "backup", str(folder / "state.backup"))
        _syncer(built, there, "db", "restore", "--latest", str(folder / "state.backup"))
        kept, moved_at = _cursors(there) == before, datetime.now(UTC)
        workers = crew(built, Program(("worker", "--no-web"), there), 2)
        with running(workers):
            _live(built, there, workers, acts[1::2])
        received = Counter(str(each.key) for each in built.hook.received)
        return Moved(built, outcome(built, there), received, told_before, _read_first(there, moved_at), kept)


def _live(built: Farm, database: str, places: Sequence[Place], acts: Sequence[Act]) -> None:
    for act in acts:
        built.act(act)
    wait_until_settled(built, database, datetime.now(UTC) + TOLD_LATE, places)


def _syncer(built: Farm, database: str, *words: str) -> None:
    environment = clean_environment(**ENVIRONMENT, SYNCER_DATABASE_URL=database, SYNCER_CONFIG=str(built.project))
    command = [sys.executable, "-m", "syncer.cli", *words]
    done = subprocess.run(command, cwd=built.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _cursors(database: str) -> set[tuple[str, str, str | None, bool]]:
    table = tables.cursors
    asked = select(table.c.connection, table.c.stream, table.c.cursor, table.c.history)
    with closing(open_store(database)) as store, store.reading() as tx:
        return {(row.connection, row.stream, row.cursor, row.history) for row in tx.execute(asked)}


def _read_first(database: str, since: datetime) -> Mapping[str, int]:
    table, found = tables.runs, {}
    asked = select(table.c.connection, table.c.counts).where(table.c.started_at > since, table.c.outcome == "ok")
    with closing(open_store(database)) as store, store.reading() as tx:
        for row in tx.execute(asked.order_by(table.c.id.desc())):
            found[row.connection] = int(row.counts.get("read", 0))
    return found
