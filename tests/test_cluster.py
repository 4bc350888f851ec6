"""The fleet: bells in this process and real worker processes, on a real PostgreSQL, beside an emulated portal."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import make_url, text

from syncer import cluster
from syncer.cluster import Rota
from syncer.model import RecordKey, Run
from syncer.ringing import Ringing
from syncer.store import Store, hints, leases, open_store, runs, workers
from tests.conftest import PostgreSQL
from tests.receivers import Reply
from tests.runs.house import ENVIRONMENT, House, house_on
from tests.terminal import PATIENCE_S, Process
from tests.test_daemon import set_every

DRAIN_S = 2.0


@pytest.fixture
def house(tmp_path: Path, postgresql: PostgreSQL) -> Iterator[House]:
    """Two leads in a portal with all fields; never synced, due every second."""
    with house_on(tmp_path, postgresql.store_database()) as built:
        built.setup()
        built.person(country="FR")
        built.meeting(built.person(country="MX", jobtitle="Directora", email="warm@acme.example"))
        built.pass_time()
        set_every(built, "1s")
        yield built


@pytest.fixture
def kept(house: House) -> Iterator[Store]:
    """The fleet's database, looked at from outside."""
    store = open_store(house.database_url)
    yield store
    with store.writing() as tx:
        tx.execute(text(f"DROP SCHEMA IF EXISTS {cluster.its_queue().schema} CASCADE"))
    store.close()


@contextmanager
def bell(house: House, places: int = 2) -> Iterator[Rota]:
    """A worker's bell in this process, rung until the block ends."""
    with house.app() as app:
        rota = Rota(Ringing(app), places)
        rota.begin()
        try:
            yield rota
        finally:
            app.stop.set()
            assert rota.end(PATIENCE_S)


def worker(house: House, *words: str, database_url: str = "", **wishes: Any) -> AbstractContextManager[Process]:
    """A process of the fleet. `wishes`: constants, "module__CONSTANT"."""
    told = {f"syncer.{name.replace('__', ':')}": value for name, value in wishes.items()}
    url = database_url or house.database_url
    given = ["--config", str(house.folder / "syncer.yml"), "--database-url", url, "--log-style", "json"]
    environment = {**ENVIRONMENT, "SYNCER_DRAIN_S": str(DRAIN_S)}
    arguments = ["-m", "tests.impatient", orjson.dumps(told).decode(), *given, "worker", "--no-web", *words]
    return Process(arguments, house.folder, environment)


def until(holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain until {what}"
        time.sleep(0.05)


def all_runs(store: Store) -> list[Run]:
    with store.reading() as tx:
        return runs.last(tx, "crm", 100)


def finished(store: Store) -> int:
    return sum(run.outcome == "ok" for run in all_runs(store))


def holder(store: Store) -> str:
    with store.reading() as tx:
        found = leases.holder_of(tx, "crm")
    return "" if found is None else found[0]


def test_a_bell_runs_what_is_due_again_and_again_says_that_it_lives_and_leaves_nothing_behind(
    house: House, kept: Store
) -> None:
    with bell(house):
        until(lambda: finished(kept) >= 2, "two runs are done")
        with kept.reading() as tx:
            (row,) = workers.known(tx)
        assert (row.places, row.busy <= 2) == (2, True)
    with kept.reading() as tx:
        assert workers.known(tx) == []
        assert leases.holder_of(tx, "crm") is None
        doing = tx.execute(text(f"SELECT count(*) FROM {cluster.its_queue().schema}.procrastinate_workers")).scalar()
    assert doing == 0


@pytest.mark.slow
def test_hints_are_followed_long_before_the_next_run_is_due(house: House, kept: Store) -> None:
    house.sync()
    set_every(house, "1h")
    (person,) = house.control("dump", objectType="contacts")["results"][-1:]
    with bell(house):
        until(lambda: _due_in(kept) > timedelta(minutes=30), "the run is done")
        with kept.writing() as tx:
            hints.hint(tx, [RecordKey("crm", "contacts", person["id"])], datetime.now(UTC))
        until(lambda: _quick(kept) == ["ok"], "the hint is followed")


def _due_in(store: Store) -> timedelta:
    with store.reading() as tx:
        due = runs.due_at(tx, "crm")
    return (due or datetime.now(UTC)) - datetime.now(UTC)


def _quick(store: Store) -> list[str]:
    with store.reading() as tx:
        return [run.outcome for run in runs.last(tx, "crm", 10, "quick") if run.finished_at]


def test_a_message_that_could_not_be_sent_is_sent_between_runs(
    house: House, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.handoff.sending._FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr("syncer.store.rings.DELIVER_S", 0.5)
    monkeypatch.setattr(cluster, "UNDELIVERED_S", 0.5)
    house.sync()
    house.meeting(_warm(house))
    house.hook.script.append(Reply(503))
    house.sync()
    assert len(house.hook.received) == 1
    set_every(house, "1h")
    with kept.writing() as tx:
        runs.set_due(tx, "crm", datetime.now(UTC) + timedelta(minutes=50))
    before = finished(kept)
    with bell(house):
        until(lambda: len(house.hook.received) == 2, "sales is told")
    assert finished(kept) == before, "no run has done it"


def _warm(house: House) -> str:
    people = house.control("dump", objectType="contacts")["results"]
    found: str = next(each["id"] for each in people if each["properties"]["email"] == "warm@acme.example")
    return found


@pytest.mark.slow
def test_a_queue_that_somebody_drops_loses_nothing(house: House, kept: Store) -> None:
    with bell(house):
        until(lambda: finished(kept) >= 1, "a run is done")
        with kept.writing() as tx:
            tx.execute(text(f"DROP SCHEMA {cluster.its_queue().schema} CASCADE"))
        before = finished(kept)
        until(lambda: finished(kept) >= before + 2, "it goes on")


def test_a_connection_that_only_other_workers_know_is_left_to_them(
    house: House, kept: Store, caplog: pytest.LogCaptureFixture
) -> None:
    set_every(house, "1h")
    with bell(house) as rota:
        until(lambda: finished(kept) == 1, "its own run is done")
        rota._sync("elsewhere")
    with kept.reading() as tx:
        assert runs.failures(tx, "elsewhere") == 0
        assert runs.last(tx, "elsewhere") == []
    assert [each.levelname for each in caplog.records if "connection_unknown" in str(each.msg)] == ["WARNING"]


def test_with_sqlite_it_says_what_to_set(house: House) -> None:
    result = house.cli("--database-url", f"sqlite:///{house.folder / 'other.db'}", "worker")
    assert result.exit_code == 2
    assert "SY240" in result.stderr
    assert "SYNCER_DATABASE_URL=postgresql://" in result.stderr


def test_without_the_extra_it_says_how_to_install_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    result = house.cli("worker")
    assert result.exit_code == 2
    assert "SY241" in result.stderr
    assert "pip install 'syncer[cluster]'" in result.stderr


@pytest.mark.slow
def test_a_worker_that_is_killed_or_frozen_is_replaced_within_seconds_and_one_that_is_told_leaves_in_time(
    house: House, kept: Store
) -> None:
    house.control("faults", faults=[{"path": "meetings", "hang_s": 0.3}])
    with ExitStack() as open_ones:
        both = [open_ones.enter_context(worker(house)) for _ in range(2)]
        for process in both:
            process.until(lambda process=process: process.events("worker_started"), "it has started")  # type: ignore[misc]
        until(lambda: holder(kept), "one is at work")
        pids = {str(process._popen.pid): process for process in both}
        first = pids[holder(kept).split("/")[2]]
        (second,) = [process for process in both if process is not first]
        first.signal(signal.SIGSTOP)
        done = finished(kept)
        until(
            lambda: finished(kept) > done, "the other one goes on", within_s=25
        )  # if it froze within a transaction, that is ended first
        first.signal(signal.SIGCONT)
        done = finished(kept)
        until(lambda: finished(kept) > done + 1, "both go on")
        first.signal(signal.SIGKILL)
        done = finished(kept)
        until(lambda: finished(kept) > done, "the other one goes on", within_s=15)
        assert second.stop(DRAIN_S + 4) == 0
        assert [event["drained"] for event in second.events("worker_stopped")] == [True]
        assert "Traceback" not in second.stderr
    assert all(run.outcome in ("ok", "crashed", "stopped") for run in all_runs(kept))


class Gate:
    """A port of loopback that leads to PostgreSQL's socket, until it is shut."""

    def __init__(self, url: str) -> None:
        self._socket = f"{make_url(url).query['host']}/.s.PGSQL.5432"
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._shut = False
        port = self._listener.getsockname()[1]
        self.url = make_url(url).set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        threading.Thread(target=self._let_in, daemon=True).start()

    def shut(self) -> None:
        self._shut = True
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def open(self) -> None:
        self._shut = False

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._shut:
                    near.close()
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._socket)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while taken := one.recv(65536):
            other.sendall(taken)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@pytest.mark.slow
def test_a_worker_whose_database_is_gone_for_a_while_comes_back_by_itself_and_says_so_once(
    house: House, kept: Store
) -> None:
    gone_s = float(os.environ.get("SYNCER_TEST_GONE_S", "3"))
    with contextlib.closing(Gate(house.database_url)) as gate, worker(house, database_url=gate.url) as process:
        process.until(lambda: finished(kept) >= 1, "a run is done")
        gate.shut()
        process.until(lambda: process.events("queue_failing"), "it is noticed", within_s=15)
        time.sleep(gone_s)
        done = finished(kept)
        gate.open()
        process.until(lambda: finished(kept) > done + 1, "it works again", within_s=20)
        assert len(process.events("queue_failing")) == 1
        assert len(process.events("queue_recovered")) == 1
        assert process.stop(DRAIN_S + 4) == 0
        assert "Traceback" not in process.stderr
