"""The open database: engines set up for one writer on SQLite and for many on PostgreSQL, transactions, leases checked.

An error of the driver leaves here as `TemporaryError` where patience helps (locked, unreachable, full), and as it is
where it is a bug. No message and no repr carries the URL's password or a statement's values.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from syncer.errors import ConfigError, TemporaryError
from syncer.store import schema
from syncer.store.erasure import WIPED
from syncer.store.leases import Lease, renew

BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10
LOCK_TIMEOUT_S = 60
IDLE_TIMEOUT_S = 15  # a frozen process holds its rows no longer; its transaction is rolled back
_EMPTY_WITHIN_S = 0.5
_PASSING = ("locked", "busy", "full", "disk i/o", "unable to open")  # in SQLite's messages
_STOOD_STILL = "25P03"  # PostgreSQL has ended a transaction in which nothing happened for too long
_TAKES_NO_WRITES = "25006"  # nor does a standby, and a disk that is full as some providers have it
KEPT_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A server that is gone without a word is missed within these seconds, and milliseconds, instead of in a quarter of an
hour."""


@dataclass(frozen=True, slots=True)
class Store:
    """One open database, safe to share between threads: each block of `reading` or `writing` has its own connection."""

    name: str  # for messages: without user, password and options
    _reader: Engine = field(repr=False)
    _writer: Engine = field(repr=False)

    @property
    def dialect(self) -> str:
        return self._writer.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and cannot write."""
        with _translated(self.name), self._reader.begin() as tx:
            yield tx

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[Connection]:
        """A transaction that writes; committed at the end of the block, rolled back on any exception.

        With a lease, its first statement renews the lease for its whole `ttl_s`; `LeaseLost` if another took over.
        """
        with _translated(self.name, writes=True), self._writer.begin() as tx:
            tx.info.pop(WIPED, None)
            began = time.monotonic()
            if lease is not None:
                renew(tx, lease)
            yield tx
            if lease is not None and time.monotonic() - began > lease.ttl_s / 3:
                renew(tx, lease)  # who waits for its row must not find that it has ended meanwhile
            wiped = tx.info.pop(WIPED, False)
        if wiped and self.dialect == "sqlite":
            self._empty_log()

    def _empty_log(self) -> None:
        """Who was erased stands in the write-ahead log until it is emptied. Somebody who reads just now may keep us
        from it: then the next erasure does it, or the last process that closes the file."""
        with closing(self._writer.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {_EMPTY_WITHIN_S * 1000:.0f}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()


def open_store(url: str, *, migrate: bool = True) -> Store:
    """Open the database, bringing its schema up to date (or, without `migrate`, insisting that it is).

    ConfigError: SY060 not a URL of ours, SY061 cannot be opened, SY062 written by a newer syncer, SY063 needs a
    migration. TemporaryError: SY066 the server does not answer.
    """
    parsed = _parse(url)
    store = _open_sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _open_postgresql(parsed)
    try:
        with _opening(store.name):
            schema.bring_up_to_date(store._writer, migrate=migrate)
    except BaseException:
        store.close()
        raise
    return store


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        known = parsed.get_backend_name() in ("sqlite", "postgresql", "postgres")
    except (ArgumentError, NoSuchModuleError, ValueError):
        known = False
    if not known:  # the URL itself is not shown: it may hold a password
        raise ConfigError(
            "the database URL is not understood; write sqlite:///syncer.db or postgresql://user:password@host/name",
            code="SY060",
        )
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    return parsed.set(drivername="postgresql+psycopg")


def _open_sqlite(url: URL) -> Store:
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        raise ConfigError(
            "the database must be a file, because several processes share it; write sqlite:///syncer.db", code="SY060"
        )
    path = Path(url.database or "")
    if not path.parent.is_dir():
        raise ConfigError(f"the folder of the database {path} does not exist; create {path.parent}", code="SY061")
    _create_private(path)
    reader, writer = (_sqlite_engine(url, reads) for reads in (True, False))
    return Store(f"sqlite:///{path}", reader, writer)


def _create_private(path: Path) -> None:
    """The file holds personal data: only its owner reads it. One that exists keeps the rights it has, and is not even
    opened: to close it would end the locks that this process holds on it already."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigError(f"the database {path} cannot be opened: {error.strerror}", code="SY061") from error


def _sqlite_engine(url: URL, reads: bool) -> Engine:
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=5, max_overflow=50
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves: the driver's own way begins too late
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased must not lie about in free pages
        connection.execute(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _open_postgresql(url: URL) -> Store:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, **KEPT_ALIVE},
        pool_size=5,
        max_overflow=50,
        pool_pre_ping=True,
    )
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    writer = engine.execution_options()

    @event.listens_for(engine, "checkin")
    def _as_the_server_has_it(connection: psycopg.Connection[Any] | None, _record: Any) -> None:
        """After a reader, SQLAlchemy would have it ask for READ WRITE: a standby calls that a thing that it cannot do,
        and a database that was set to take no writes would take them."""
        if connection is not None and not connection.closed:
            connection.read_only = None

    @event.listens_for(writer, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s';"
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'"
        )

    host = url.host or url.query.get("host") or "localhost"
    return Store(f"postgresql://{host}/{url.database or ''}", reader, writer)


@contextmanager
def _translated(name: str, *, writes: bool = False) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and "malformed" in str(error.orig):
            message = f"the database {name} is damaged; restore it from a backup, or move it away to begin anew"
            raise ConfigError(message, code="SY061") from error
        if not _passes(error) and not (writes and _takes_no_writes(error)):
            raise
        raise TemporaryError(f"the database {name} did not do its part: {_words(error)}", code="SY066") from error


@contextmanager
def _opening(name: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not _passes(error) and not isinstance(error.orig, sqlite3.DatabaseError):
            raise
        message = f"the database {name} cannot be opened: {_words(error)}"
        if _is_away(error):
            raise TemporaryError(message, code="SY066") from error
        raise ConfigError(message, code="SY061") from error


def _passes(error: DBAPIError) -> bool:
    if isinstance(error.orig, psycopg.OperationalError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, psycopg.Error):
        return error.orig.sqlstate == _STOOD_STILL
    return isinstance(error.orig, sqlite3.OperationalError) and any(word in str(error.orig) for word in _PASSING)


def _takes_no_writes(error: DBAPIError) -> bool:
    if isinstance(error.orig, psycopg.Error):
        return error.orig.sqlstate == _TAKES_NO_WRITES
    return "readonly database" in str(error.orig)


def _is_away(error: DBAPIError) -> bool:
    """Whether a server has not answered, or is about to start or to end, rather than refused us: after a power cut the
    database may come up last, and whoever supervises us shall try again."""
    words = _words(error)
    moving = ("starting up", "shutting down", "in recovery")
    return isinstance(error.orig, psycopg.OperationalError) and (
        "FATAL" not in words or any(each in words for each in moving)
    )


def _words(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())
