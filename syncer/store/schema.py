"""Bringing the schema up to date: under a lock, after a copy of a SQLite file, and never down from a newer one."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from syncer.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x53594E43  # "SYNC": any number, the same in every syncer


@dataclass(frozen=True, slots=True)
class SchemaState:
    """`current` None: an empty database."""

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        return self.current == self.head


class SchemaBehind(ConfigError):
    """The database's schema is older than this syncer, and nobody has asked to bring it up to date."""

    def __init__(self, state: SchemaState) -> None:
        found = f"its schema is {state.current}" if state.current else "it has no schema yet"
        super().__init__(
            f"the database is not up to date: {found}, this syncer's {state.head}; run: syncer db migrate", code="SY063"
        )
        self.state = state


def alembic_config(*more_versions: Path) -> Config:
    """Alembic without an ini file; `more_versions` are further folders of migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    folders = [MIGRATIONS / "versions", *more_versions]
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    return config


def bring_up_to_date(engine: Engine, *, migrate: bool = True, config: Config | None = None) -> None:
    """Migrate to the newest schema this syncer knows. Several processes may do so at once: one does, the others wait.

    ConfigError: SY062 the schema is newer than this syncer, SY063 (SchemaBehind) it is older and `migrate` is False.
    """
    settings = config or alembic_config()
    with engine.connect() as connection:
        state = schema_state(connection, settings)
    if state.up_to_date:
        return
    if not migrate:
        raise SchemaBehind(state)
    if engine.dialect.name == "sqlite":
        _migrate_sqlite(engine, settings)
    else:
        _migrate_postgresql(engine, settings)


def schema_state(tx: Connection, config: Config | None = None) -> SchemaState:
    """Where the database stands; ConfigError SY062 if that is nothing this syncer knows."""
    scripts = ScriptDirectory.from_config(config or alembic_config())
    head = scripts.get_current_head()
    current = MigrationContext.configure(tx).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise ConfigError(
            f"the database's schema ({current}) is newer than this syncer knows ({head}); update syncer", code="SY062"
        )
    assert head is not None  # the package ships at least one migration
    return SchemaState(current, head)


def copy_of(path: Path, revision: str) -> Path:
    """Where a SQLite file is kept as it was before its schema was changed from that revision."""
    return path.with_name(f"{path.name}.{revision}.bak")


def make(tx: Connection, revision: str) -> None:
    """Bring the schema from whatever it is, or from nothing, to the revision; "head" is the newest. Takes no lock and
    makes no copy: for a database that nobody else knows yet."""
    _upgrade(tx, alembic_config(), revision)


def knows(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def head() -> str:
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert newest is not None  # the package ships at least one migration
    return newest


def _migrate_sqlite(engine: Engine, config: Config) -> None:
    path = Path(engine.url.database or "")
    with _file_lock(path.with_name(f"{path.name}.migrating")):
        with engine.connect() as connection:
            state = schema_state(connection, config)
        if state.up_to_date:
            return
        if state.current is not None:
            _copy(path, copy_of(path, state.current))
        _write_ahead(path)
        with engine.begin() as tx:
            _upgrade(tx, config)


def _write_ahead(path: Path) -> None:
    """Readers beside the one writer. The mode stays in the file; two processes must not switch at once."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _migrate_postgresql(engine: Engine, config: Config) -> None:
    with engine.begin() as tx:
        tx.execute(text("SET LOCAL lock_timeout = 0"))  # another process may be at a long migration
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        if not schema_state(tx, config).up_to_date:
            _upgrade(tx, config)


def _upgrade(tx: Connection, config: Config, revision: str = "head") -> None:
    config.attributes["connection"] = tx
    try:
        command.upgrade(config, revision)
    finally:
        del config.attributes["connection"]


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Held by one process at a time; given back by the system when the process dies."""
    with _closing_handle(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _closing_handle(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        os.close(handle)


def _copy(path: Path, target: Path) -> None:
    """A whole copy of a database that may be in use, with the rights of the original."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=30)) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
    shutil.copymode(path, unfinished)
    unfinished.replace(target)
