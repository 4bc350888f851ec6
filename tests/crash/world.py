"""The world around the processes that die: an emulated CRM, two receivers, a project, and a database of each kind.

All of it outlives them. A `Scene` is one moment of it that can be brought back as often as it takes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any, Protocol

import orjson
import psycopg
from sqlalchemy import Connection, Table, select

from connectors.emulators.hubspot import Clock, Manners, Portal, serve
from connectors.emulators.hubspot.merging import merge
from connectors.emulators.hubspot.portal import known_type
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.routes.control import answer_control
from connectors.emulators.hubspot.shelf import Shelf
from connectors.emulators.sample import SampleBase, act, build, load
from connectors.hubspot.marks import keys_in
from syncer.app import App, examples, opened
from syncer.connector import Destination
from syncer.settings import ProcessSettings
from syncer.store import leases, open_store, tables
from tests.conftest import PostgreSQL
from tests.crash.child import TOKEN, Ending, Order
from tests.receivers import HttpReceiver, SmtpReceiver

ROOT = Path(__file__).parents[2]
LEADS = 130
_BETWEEN_S = 2.0  # HubSpot tells its time in whole seconds: what happens in this one is read in the next
_PROJECT = """\
version: 1
connections:
  crm:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    api_version: "{version}"
    lag: 0s
    search_rate: 100
    write:
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
sync: {{max_stage_changes: 1000, max_handoffs: 1000}}
models: models/demo.yml
handoff:
  when: sql
  wait: 5m
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}}}
    mail: {{type: email, host: 127.0.0.1, port: {port}, security: none, from: syncer@nimbo.example}}
    todo: {{type: task, due_in: 1d}}
  repeats: {{email: {email}}}
  route:
    - {{to: [owner], fallback: sales@nimbo.example}}
  notify: [hook, mail, todo]
"""

Rows = Mapping[str, tuple[Any, ...]]
"""What is known of each record, by its id."""


@dataclass(frozen=True, slots=True)
class Times:
    """When the runs of a scenario take place."""

    baseline: datetime
    second: datetime  # after the leads acted
    later: datetime  # when everything that waited is due


@dataclass(frozen=True, slots=True)
class Shelved:
    """A portal's records at one moment."""

    records: Mapping[str, list[Record]]
    merged: Mapping[str, dict[int, int]]  # by kind: id -> id of the record that absorbed it
    links: Any

    @classmethod
    def of(cls, portal: Portal) -> Shelved:
        records = {name: list(shelf.live.values()) for name, shelf in portal.shelves.items()}
        merged = {name: dict(shelf.merged_into) for name, shelf in portal.shelves.items()}
        return cls(records, merged, deepcopy(portal.links))

    def bring_back(self, portal: Portal) -> None:
        """And nothing fails any more."""
        for name, records in self.records.items():
            shelf = Shelf(tuple(portal.shelves[name].unique))
            shelf.load(records)
            shelf.merged_into = dict(self.merged[name])
            portal.shelves[name] = shelf
        portal.links = deepcopy(self.links)
        portal.faults.clear()


@dataclass(frozen=True, slots=True)
class Scene:
    """The CRM's records, and a database to copy."""

    crm: Shelved
    database: str


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one notice."""

    key: str
    channel: str
    recipient: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True, repr=False)
class EndState:
    """What must be the same however often processes died on the way."""

    shown: Rows  # by the CRM: score, stage, reasons, lifecycle stage
    decided: Rows  # in the database: where each lead stands
    paths: Rows  # every transition of each lead
    handoffs: tuple[tuple[str, int, str], ...]  # record, episode, stage
    notices: tuple[Told, ...]
    pending: int  # write-backs

    def leads_unlike(self, other: EndState) -> set[str]:
        """The ids of the records that differ."""
        pairs = ((self.shown, other.shown), (self.decided, other.decided), (self.paths, other.paths))
        return {key for one, two in pairs for key in {*one, *two} if one.get(key) != two.get(key)}

    def keys(self, channel: str) -> set[str]:
        return {each.key for each in self.notices if each.channel == channel}


class Databases(Protocol):
    """Where the databases come from."""

    def empty(self) -> str: ...

    def copy(self, url: str) -> str: ...

    def drop(self, url: str) -> None: ...


@dataclass
class Files:
    """SQLite databases in a folder."""

    folder: Path
    made: int = 0

    def empty(self) -> str:
        url = self._new()
        open_store(url).close()
        return url

    def copy(self, url: str) -> str:
        """Of one that nobody has open and that was closed in good order: then it is one file."""
        source, target = _path(url), self._new()
        assert not source.with_name(f"{source.name}-wal").exists()
        shutil.copy(source, _path(target))
        return target

    def drop(self, url: str) -> None:
        for path in self.folder.glob(f"{_path(url).name}*"):
            path.unlink()

    def _new(self) -> str:
        self.made += 1
        return f"sqlite:///{self.folder / f'{self.made:04}.db'}"


@dataclass
class Server:
    """Databases of one PostgreSQL server."""

    server: PostgreSQL
    made: int = 0

    def empty(self) -> str:
        url = self.server.new_database()
        open_store(url).close()
        return url

    def copy(self, url: str) -> str:
        """Of one that nobody has open."""
        self.made += 1
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE crash_{self.made} TEMPLATE {_name(url)}".encode())
        return self.server.url(f"crash_{self.made}")

    def drop(self, url: str) -> None:
        self.server.drop(url)


def _name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


class Children:
    """The parent of the processes that die (see `child.py`). Use as a context."""

    def __init__(self, complaints: Path) -> None:
        self._complaints = complaints

    def __enter__(self) -> Children:
        self._log = self._complaints.open("wb")
        command = [sys.executable, "-m", "tests.crash.child"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate(timeout=30)
        self._log.close()

    def run(self, order: Order) -> Ending:
        """Start a process and wait until it is dead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(asdict(order)) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self.complaints
        return Ending(**orjson.loads(line))

    @property
    def complaints(self) -> str:
        return self._complaints.read_text(encoding="utf-8", errors="replace")[-4000:]


@dataclass(repr=False)
class World:
    """Everything but the database."""

    portal: Portal
    url: str
    hook: HttpReceiver
    mail: SmtpReceiver
    folder: Path
    base: SampleBase
    times: Times
    children: Children
    databases: Databases
    project: Path = field(init=False)
    cautious: Path = field(init=False)  # the same project, that repeats no e-mail

    def __post_init__(self) -> None:
        self.project = self._write_project("syncer.yml", email="resend")
        self.cautious = self._write_project("cautious.yml", email="hold")

    def _write_project(self, name: str, email: str) -> Path:
        path = self.folder / name
        version = "v3" if isinstance(self.databases, Files) else "2026-09"  # the two families of HubSpot's API
        named = {"url": self.url, "hook": self.hook.url, "port": self.mail.port, "email": email, "version": version}
        path.write_text(_PROJECT.format(**named), encoding="utf-8")
        return path

    # scenes

    def scene(self, database: str) -> Scene:
        """Now."""
        return Scene(Shelved.of(self.portal), database)

    def go_back(self, scene: Scene) -> str:
        """The CRM is as it was, nobody was told anything; -> the URL of a database as it was."""
        scene.crm.bring_back(self.portal)
        self.hook.received.clear()
        self.mail.received.clear()
        return self.databases.copy(scene.database)

    def act(self) -> None:
        """The sample's cast acts; two of three others fill in a form, and half of these ask for a demo in it; a person
        moves one lead by hand, and merges two."""
        act(self.url, self.times.second)
        at = (self.times.second - timedelta(minutes=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
        others = [each for each in self._contacts() if each.id % 3]
        for number, each in enumerate(others):
            form = "Ask for a demo" if number % 2 else "Guide to expense reports"
            count = str(int(each.values.get("num_conversion_events", "0")) + 1)
            # Of these HubSpot calculates all but the last, which alone changes the contact's modified time.
            answers = {"recent_conversion_date": at, "recent_conversion_event_name": form, "hs_latest_source": "DIRECT"}
            self.control("calculate", id=str(each.id), properties={"num_conversion_events": count, **answers})
        cold, other = [each for each in self._contacts() if each.values.get("ls_stage") == "cold"][:2]
        fitting = next(each for each in self._contacts() if each.values.get("ls_stage") == "iql")
        self.control("edit", id=str(cold.id), properties={"ls_stage": "iql"})
        merge(self.portal, known_type("contacts"), fitting, other)

    def _contacts(self) -> list[Record]:
        return sorted(self.portal.shelves["contacts"].live.values(), key=lambda each: each.id)

    def control(self, name: str, **body: Any) -> Any:
        answer = answer_control(self.portal, "POST", name, body)
        assert answer.status == 200, answer.body
        return answer.body

    # runs

    def order(self, database: str, now: datetime) -> Order:
        return Order(str(self.project), database, now.isoformat())

    def start(self, order: Order) -> Ending:
        """Start a process at once, whoever died before it, and wait until it is dead."""
        self.control("clock", advance_s=_BETWEEN_S)
        return self.children.run(order)

    def finish(self, order: Order) -> int:
        """Start a process until one ends by itself; -> how many that took."""
        for starts in range(1, 4):
            ending = self.start(order)
            if ending == Ending(0, 0):
                return starts
        raise AssertionError(f"no run came to its end: {ending}\n{self.children.complaints}")

    def lease_holder(self, database: str) -> str | None:
        """Whose lease has not ended."""
        with closing(open_store(database)) as store, store.reading() as tx:
            held = leases.holder_of(tx, "crm")
        return held[0] if held is not None and held[1] > datetime.now(UTC) else None

    def writes_of(self, order: Order) -> int:
        """How many write requests a run sends."""
        self.portal.calls.reset()
        self.finish(order)
        count: int = self.portal.calls.shown()["write"]
        return count

    def end_state(self, database: str) -> EndState:
        with closing(open_store(database)) as store, store.reading() as tx:
            return _end_state(tx, self._shown())

    def _shown(self) -> Rows:
        names = ("ls_score", "ls_stage", "ls_score_reasons", "lifecyclestage")
        rows = self.control("dump", objectType="contacts")["results"]
        return {row["id"]: tuple(row["properties"].get(name) for name in names) for row in rows}

    def hook_keys(self) -> Counter[str]:
        return Counter(str(each.key) for each in self.hook.received)

    def mail_keys(self) -> Counter[str]:
        return Counter(each.key for each in self.mail.received)

    def task_keys(self) -> Counter[str]:
        """Of every task in the CRM that carries one."""
        rows = self.control("dump", objectType="tasks")["results"]
        return Counter(key for row in rows for key in keys_in(row["properties"].get("hs_task_body", "")))

    @contextmanager
    def app(self, database: str) -> Iterator[App]:
        process = ProcessSettings.model_validate({"config": self.project, "database_url": database})
        with opened(process, {"HUBSPOT_TOKEN": TOKEN}) as app:
            yield app


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """The scenario without any death: its scenes, and how it ends."""

    world: World
    name: str  # of the kind of database
    fresh: Scene  # before the first run
    acted: Scene  # after the first run, and after the leads acted
    end: EndState


def was_killed(ending: Ending) -> bool:
    return ending.signal == SIGKILL


def _end_state(tx: Connection, shown: Rows) -> EndState:
    leads, moves, notices = tables.leads, tables.transitions, tables.notices
    living = select(tables.records).where(tables.records.c.merged_into.is_(None))
    records = {row.lead_id: row.id for row in tx.execute(living)}
    columns = ("stage", "automatic", "since", "episode", "held_by", "cause", "total", "model", "veto", "touched")
    decided = {records[row.id]: tuple(getattr(row, name) for name in columns) for row in tx.execute(select(leads))}
    paths: dict[str, tuple[Any, ...]] = {}
    for row in tx.execute(select(moves).order_by(moves.c.lead_id, moves.c.id)):
        step = (row.at, row.before, row.after, row.cause, row.total, row.episode)
        paths[records[row.lead_id]] = (*paths.get(records[row.lead_id], ()), step)
    told = tx.execute(select(notices).order_by(notices.c.key))
    return EndState(
        shown=shown,
        decided=decided,
        paths=paths,
        handoffs=tuple(sorted(_handoff(row.payload, row.stage) for row in tx.execute(select(tables.handoffs)))),
        notices=tuple(Told(row.key, row.channel, row.recipient, row.state, row.error) for row in told),
        pending=_count(tx, tables.write_backs),
    )


def _handoff(payload: str, stage: str) -> tuple[str, int, str]:
    told = orjson.loads(payload)
    return "/".join(told["record"]), told["episode"], stage


def _count(tx: Connection, write_backs: Table) -> int:
    return len(tx.execute(select(write_backs.c.id).where(write_backs.c.pending.is_not(None))).all())


@contextmanager
def built(folder: Path, databases: Databases) -> Iterator[World]:
    """A world with a sample base in its CRM and the fields to write to, before any run."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = Times(now - timedelta(hours=1), now, now + timedelta(minutes=20))
    base = build(now=times.baseline, leads=LEADS)
    portal = Portal(limits=None, manners=Manners(index_lag_s=0.0, merge_keeps_primary_id=True), clock=Clock(now))
    load(portal, base)
    (folder / "models").mkdir()
    shutil.copy(examples() / "models" / "demo.yml", folder / "models")
    shutil.copytree(examples() / "lists", folder / "lists")
    with ExitStack() as stack:
        url = stack.enter_context(serve(portal))
        hook, mail = stack.enter_context(HttpReceiver()), stack.enter_context(SmtpReceiver())
        children = stack.enter_context(Children(folder / "complaints.txt"))
        world = World(portal, url, hook, mail, folder, base, times, children, databases)
        _create_fields(world)
        yield world


def _create_fields(world: World) -> None:
    database = world.databases.empty()
    with world.app(database) as app:
        connector = app.connector(app.connection())
        assert isinstance(connector, Destination)
        for change in connector.setup():
            if not change.exists:
                connector.create(change)
    world.databases.drop(database)
