"""Migrations: once, whole, by one process at a time, never backwards, and never without a copy of the file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    create_engine,
    delete,
    insert,
    inspect,
    make_url,
    select,
    text,
)

from syncer.errors import ConfigError
from syncer.store import Store, histories, open_store, runs, schema, words
from syncer.store.columns import from_ms, to_ms
from syncer.store.tables import metadata
from tests.conftest import PostgreSQL
from tests.store.samples import NOW

LATER = schema.alembic_config(Path(__file__).parent / "later_schema")
HEAD = ScriptDirectory.from_config(schema.alembic_config()).get_current_head()


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """A bare engine on an empty database, beside whatever the store opens."""
    url = make_url(empty_database_url)
    made = create_engine(url if url.get_backend_name() == "sqlite" else url.set(drivername="postgresql+psycopg"))
    yield made
    made.dispose()


def shape(tx: Connection) -> dict[str, Any]:
    """Everything the database says of its tables."""
    seen = inspect(tx)
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in seen.get_columns(name)],
            seen.get_pk_constraint(name),
            sorted(map(str, seen.get_foreign_keys(name))),
            sorted(_index(index) for index in seen.get_indexes(name)),
        )
        for name in seen.get_table_names()
        if name != "alembic_version"
    }


def _index(index: Any) -> str:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": options})


def test_the_migrations_make_exactly_the_tables_we_work_with(
    engine: Engine, empty_database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    open_store(empty_database_url).close()
    with engine.connect() as migrated:
        found = shape(migrated)
    if engine.dialect.name == "sqlite":
        fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        fresh = create_engine(make_url(server.new_database()).set(drivername="postgresql+psycopg"))
    with fresh.begin() as tx:
        metadata.create_all(tx)
        assert shape(tx) == found
    fresh.dispose()
    assert len(found) == len(metadata.tables)


def test_without_migrating_an_empty_database_is_refused(empty_database_url: str) -> None:
    with pytest.raises(ConfigError, match="syncer db migrate") as refused:
        open_store(empty_database_url, migrate=False)
    assert refused.value.code == "SY063"
    open_store(empty_database_url).close()
    open_store(empty_database_url, migrate=False).close()


@pytest.fixture
def own_store(empty_database_url: str) -> Iterator[Store]:
    """On a database of its own, whose schema the test may change."""
    opened = open_store(empty_database_url)
    yield opened
    opened.close()


def upgraded(store: Store) -> None:
    schema.bring_up_to_date(store._writer, config=LATER)


def test_an_older_schema_is_upgraded_with_what_is_in_it(own_store: Store) -> None:
    with own_store.writing() as tx:
        run = runs.start(tx, "crm", NOW)
    upgraded(own_store)
    upgraded(own_store)
    with own_store.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM later")).scalar() == 0
        assert runs.get(tx, run).connection == "crm"


def test_of_words_from_before_their_planned_ends_were_kept_only_those_that_still_hold_have_one(
    engine: Engine, empty_database_url: str
) -> None:
    config = schema.alembic_config()
    ahead = to_ms(datetime.now(UTC) + timedelta(days=9))
    word = "INSERT INTO overrides (lead_id, stage, author, reason, source, since, until) VALUES (1, 'sql', 'x', '', 'y'"
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0012")
        tx.execute(text("INSERT INTO leads (id, connection) VALUES (1, 'crm')"))
        for until in ("NULL", "2000", str(ahead)):
            tx.execute(text(f"{word}, 1000, {until})"))
    store = open_store(empty_database_url)
    with store.reading() as tx:
        told = [word.until for word in words.known_at(tx, 1, from_ms(1500))]
    assert told == [None, None, from_ms(ahead)]
    store.close()


BEFORE_HISTORY = (
    "INSERT INTO leads (id, connection) VALUES (1, 'crm')",
    "INSERT INTO records (connection, object, id, lead_id, modified_at, email, fields, merged_into) VALUES"
    " ('crm', 'contacts', '1', 1, 3000, 'ana@x.es', '{\"title\":\"CEO\"}', NULL),"
    " ('crm', 'contacts', '2', 1, 4000, NULL, '{}', '1')",
    "INSERT INTO activities (connection, id, kind, at, seen_at) VALUES ('crm', 'a', 'call', 1000, 5000)",
    "INSERT INTO activity_links (connection, object, record_id, activity_id) VALUES ('crm', 'contacts', '2', 'a')",
)


def test_of_a_mirror_from_before_histories_what_it_has_was_so_when_the_crm_last_changed_it(
    engine: Engine, empty_database_url: str
) -> None:
    config = schema.alembic_config()
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
        for statement in BEFORE_HISTORY:
            tx.execute(text(statement))
    store = open_store(empty_database_url)
    known = histories.history(store, 1)
    shown, absorbed = known.versions
    assert (shown.since, shown.fields) == (from_ms(3000), {"title": "CEO", "email": "ana@x.es"})
    assert (absorbed.since, absorbed.live, absorbed.counts, absorbed.joined) == (from_ms(4000), False, True, False)
    assert [(each.id, each.signal.seen_at, each.until) for each in known.activities] == [("crm/a", from_ms(5000), None)]
    with store.reading() as tx:
        assert tx.execute(text("SELECT id, merged_object FROM records ORDER BY id")).all() == [
            ("1", None),
            ("2", "contacts"),
        ]
        assert runs.rules_at(tx, "crm", NOW) is None
    store.close()


def a_row_in_every_table(tx: Connection) -> dict[str, dict[str, Any]]:
    """Table -> its only row, as it stands now."""
    here = MetaData()
    here.reflect(tx)
    made = {}
    for table in here.sorted_tables:
        if table.name == "alembic_version":
            continue
        tx.execute(delete(table))
        columns = [column for column in table.columns if column.computed is None]
        tx.execute(insert(table).values({column.name: _something(column) for column in columns}))
        made[table.name] = dict(tx.execute(select(table)).one()._mapping)
    return made


def _something(column: Column[Any]) -> Any:
    kinds: dict[type, Any] = {int: 1, bool: True, bytes: b"x"}
    return kinds.get(column.type.python_type, "1")


CLOCK = (
    "due_at", "look_at", "reminded_at", "escalated_at", "touched_at", "touched_by", "system_ms", "human_ms",
    "human_work_ms",
)  # fmt: skip


ASSIGNED = ("assigned_to", "assigned_at", "for_whom")
PARKED = ("parked_until", "parked_reason")
RINGING = ("settings", "failing", "told_at", "rung_at", "retention_cursor", "retained_at")


def pages_of(tx: Connection) -> list[Any]:
    """Where SQLite keeps each table: one that is written anew stands elsewhere."""
    return list(tx.execute(text("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'")))


def test_what_later_schemas_add_comes_to_a_full_database_without_a_table_being_written_anew(
    engine: Engine, empty_database_url: str
) -> None:
    config = schema.alembic_config()
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0002")
        before = a_row_in_every_table(tx)
        pages = pages_of(tx) if engine.dialect.name == "sqlite" else []
    store = open_store(empty_database_url)
    with store.reading() as tx:
        here = MetaData()
        here.reflect(tx)
        after = {name: dict(tx.execute(select(here.tables[name])).one()._mapping) for name in before}
        assert not pages or set(pages) <= set(pages_of(tx))
    store.close()
    assert len(before) == 22 == len(metadata.tables) - 12, "the others came later"
    assert {name: {column: after[name][column] for column in row} for name, row in before.items()} == before
    added = {name: {column: row[column] for column in row.keys() - before[name].keys()} for name, row in after.items()}
    assert {name: columns for name, columns in added.items() if columns} == {
        "connections": {"failures": 0, "approved": None, **dict.fromkeys((*PARKED, *RINGING))},
        "cursors": {"sweep": 0, "sweep_cursor": None, "sweep_began_at": None, "swept_at": None},
        "records": {"erased": False, "swept": 0, "manual": None},
        "overrides": {"record": None, "planned_until": None},
        "activities": {"modified_at": None, "swept": 0},
        "runs": {"kind": "full", "project": None, "moves": None},
        "decisions": {"move": None},
        "handoffs": {"told_at": 1, **dict.fromkeys((*CLOCK, *ASSIGNED))},  # since the only message of it was sent
        "notices": {"kind": "handoff", "unsure": False, "digest": None},
        "rejected": {"arrived": False},
    }


def test_of_hand_offs_from_before_it_is_known_who_shall_act(engine: Engine, empty_database_url: str) -> None:
    config = schema.alembic_config()
    columns = "key, lead_id, connection, object, record_id, stage, at, assigned_to, payload"
    told = {"given": ("'ana@x.es'", "Luis@x.es"), "owned": ("NULL", "Luis@x.es"), "nobodys": ("NULL", None)}
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0011")
        tx.execute(text("INSERT INTO leads (id, connection) VALUES (1, 'crm')"))
        for key, (given, owner) in told.items():
            values = f"'{key}', 1, 'crm', 'contacts', '1', 'sql', 0, {given}, :payload"
            payload = {"payload": orjson.dumps({"owner": owner}).decode()}
            tx.execute(text(f"INSERT INTO handoffs ({columns}) VALUES ({values})"), payload)
    store = open_store(empty_database_url)
    with store.reading() as tx:
        found = tx.execute(text("SELECT key, for_whom FROM handoffs ORDER BY key")).all()
    store.close()
    assert [tuple(each) for each in found] == [("given", "ana@x.es"), ("nobodys", None), ("owned", "luis@x.es")]


def test_a_newer_schema_is_refused_and_left_alone(own_store: Store, empty_database_url: str) -> None:
    upgraded(own_store)
    with pytest.raises(ConfigError, match="newer") as refused:
        open_store(empty_database_url)
    assert refused.value.code == "SY062"
    with own_store.reading() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9001"


def test_a_sqlite_file_is_copied_before_its_schema_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "syncer.db"
    store = open_store(f"sqlite:///{path}")
    with store.writing() as tx:
        runs.start(tx, "crm", NOW)
    upgraded(store)
    store.close()
    copy = tmp_path / f"syncer.db.{HEAD}.bak"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_new_sqlite_file_is_not_copied_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "syncer.db"
    open_store(f"sqlite:///{path}").close()
    assert not list(tmp_path.glob("*.bak"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_whoever_wants_to_migrate_a_file_waits_for_who_does(tmp_path: Path) -> None:
    opened = threading.Event()

    def open_it() -> None:
        open_store(f"sqlite:///{tmp_path / 'syncer.db'}").close()
        opened.set()

    with (tmp_path / "syncer.db.migrating").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=open_it)
        thread.start()
        assert not opened.wait(0.3)
    assert opened.wait(10)
    thread.join()


def test_whoever_wants_to_migrate_a_server_waits_for_who_does(postgresql: PostgreSQL) -> None:
    url, opened = postgresql.new_database(), threading.Event()

    def open_it() -> None:
        open_store(url).close()
        opened.set()

    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [schema.ADVISORY_LOCK])
        thread = threading.Thread(target=open_it)
        thread.start()
        assert not opened.wait(0.3)
    assert opened.wait(10)
    thread.join()


OPEN_AND_WRITE = """
import sys
from datetime import UTC, datetime
from syncer.store import open_store, runs
sys.stdin.readline()
store = open_store(sys.argv[1])
with store.writing() as tx:
    runs.start(tx, "crm", datetime.now(UTC))
store.close()
"""


@pytest.mark.slow
def test_many_processes_may_open_an_empty_database_at_once(empty_database_url: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN_AND_WRITE, empty_database_url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in started]
    assert said == [""] * 4
    assert [process.returncode for process in started] == [0] * 4
    store = open_store(empty_database_url, migrate=False)
    with store.reading() as tx:
        assert len(runs.last(tx, "crm", 9)) == 4
    store.close()
