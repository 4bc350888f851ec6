"""Six processes start at once on a database that is empty or older than they are: one brings it up to date, the others
wait, and all six go on.

SYNCER_SIX_TIMES=5 tries every older schema on each database five times:
SYNCER_SIX_TIMES=5 python -m pytest -m slow tests/crash/test_six_at_once.py
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import MetaData, create_engine, make_url, select, text

from syncer import cli
from syncer.store import open_store, schema
from tests.store.test_schema import a_row_in_every_table
from tests.terminal import PATIENCE_S, clean_environment

pytestmark = pytest.mark.slow

TIMES = int(os.environ.get("SYNCER_SIX_TIMES", "0"))
EVERY = [(kind, revision) for kind in ("sqlite", "postgresql") for revision in (None, "0002", "0010")] * TIMES
CASES = EVERY or [("sqlite", "0010"), ("postgresql", None)]
# Forked where everything is imported already: they come at once, and cost a tenth of six interpreters.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["syncer.cli", "syncer.cli.daemon", "syncer.service", "syncer.store", "syncer.web"])
COMMANDS = (["status"], ["status"], ["run"], ["daemon"], ["db", "migrate"], ["handoffs"])
PROJECT = """\
version: 1
connections:
  sheet: {type: spreadsheet, path: leads.csv, fields: {city: Ciudad}}
models: model.yml
"""
MODEL = """\
name: small
fit:
  rules:
    - {name: In a city we sell to, when: {city: [Madrid]}, points: 40}
stages:
  - {name: cold}
  - {name: hot, enter: [total >= 30]}
"""

Rows = Mapping[str, Mapping[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "syncer.yml").write_text(PROJECT)
    (tmp_path / "model.yml").write_text(MODEL)
    (tmp_path / "leads.csv").write_text("Correo,Ciudad\nana@acme.test,Madrid\n")
    return tmp_path


@pytest.mark.parametrize(("empty_database_url", "revision"), CASES, indirect=["empty_database_url"])
def test_six_processes_that_start_at_once_all_find_the_newest_schema(
    empty_database_url: str, folder: Path, revision: str | None
) -> None:
    before = _older(empty_database_url, revision) if revision else {}
    told = [folder / f"{number}.told" for number in range(len(COMMANDS))]
    with ExitStack() as stack:
        with _nobody_migrates(empty_database_url) as waiting:
            shared = ["--database-url", empty_database_url, "--log-style", "json"]
            pairs = zip(COMMANDS, told, strict=True)
            started = [stack.enter_context(_typed([*shared, *command], its)) for command, its in pairs]
            _wait_until(lambda: waiting() == len(started), "all of them wait")
        daemon = started[COMMANDS.index(["daemon"])]
        for process, command, its in zip(started, COMMANDS, told, strict=True):
            if process is not daemon:
                process.join(PATIENCE_S * 2)
                busy = command == ["run"] and process.exitcode == 4 and "SY070" in its.read_text()  # the daemon had it
                assert process.exitcode == 0 or busy, (command, its.read_text())
        _wait_until(lambda: _is_synced(empty_database_url), "the leads are synced")
        daemon.terminate()
        daemon.join(PATIENCE_S)
        assert daemon.exitcode == 0
    assert not any("Traceback" in each.read_text() for each in told)
    _insist_on_rows(empty_database_url, before)
    if empty_database_url.startswith("sqlite"):
        _insist_on_one_copy(Path(make_url(empty_database_url).database or ""), revision)


@contextmanager
def _typed(words: Sequence[str], told: Path) -> Iterator[ForkServerProcess]:
    """A command in a process of its own; what it says goes into the file. What has not ended by then is killed."""
    process = FORKS.Process(target=_run, args=(words, told))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(words: Sequence[str], told: Path) -> None:
    os.chdir(told.parent)
    os.environ.clear()
    os.environ.update(clean_environment())
    with told.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    cli.main(words)


def _older(url: str, revision: str) -> Rows:
    """Make the schema as it was then; a row in every table."""
    parsed = make_url(url)
    engine = create_engine(
        parsed if parsed.get_backend_name() == "sqlite" else parsed.set(drivername="postgresql+psycopg")
    )
    try:
        with engine.begin() as tx:
            schema.make(tx, revision)
            rows = a_row_in_every_table(tx)
            if tx.dialect.name == "postgresql":  # their numbers were chosen, not drawn
                drawn = "SELECT setval(format('%I', sequencename)::regclass, 1) FROM pg_sequences"
                tx.exec_driver_sql(drawn.replace("%", "%%"))
            return rows
    finally:
        engine.dispose()


def _insist_on_rows(url: str, before: Rows) -> None:
    with closing(open_store(url, migrate=False)) as store, store.reading() as tx:
        here = MetaData()
        here.reflect(tx)
        assert tx.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
        for name, row in before.items():
            found = tx.execute(select(*(here.tables[name].c[column] for column in row))).mappings().all()
            assert row in found, name


def _is_synced(url: str) -> bool:
    with closing(open_store(url, migrate=False)) as store, store.reading() as tx:
        return tx.execute(text("SELECT id FROM runs WHERE connection = 'sheet' AND outcome = 'ok'")).first() is not None


def _insist_on_one_copy(path: Path, revision: str | None) -> None:
    copies = [each.name for each in path.parent.iterdir() if ".bak" in each.name]
    assert copies == ([f"{path.name}.{revision}.bak"] if revision else [])
    for name in copies:
        with closing(sqlite3.connect(path.parent / name)) as copy:
            assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
            assert copy.execute("SELECT count(*) FROM leads").fetchone() == (1,)


@contextmanager
def _nobody_migrates(url: str) -> Iterator[Callable[[], int]]:
    """Hold the lock under which it is done; -> how many wait for it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(f"{parsed.database}.migrating")
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            inode = os.fstat(lock.fileno()).st_ino
            yield lambda: len(re.findall(rf"-> FLOCK .*:{inode} ", Path("/proc/locks").read_text()))
        return
    with psycopg.connect(url) as lock, psycopg.connect(url, autocommit=True) as looker:
        lock.execute("SELECT pg_advisory_xact_lock(%s)", [schema.ADVISORY_LOCK])
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        yield lambda: int((looker.execute(waits).fetchone() or (0,))[0])


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S * 4
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)
