"""Opening, reading, writing: what is refused, what is told, and what never shows."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from syncer.errors import ConfigError, TemporaryError
from syncer.store import Store, database, open_store, runs
from tests.conftest import PostgreSQL
from tests.store.samples import NOW


@pytest.mark.parametrize(
    "url",
    [
        "",
        "syncer.db",
        "mysql://u:hunter22@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "postgresql://u:hunter22@h:x/d",
    ],
)
def test_a_url_that_is_none_of_ours_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert refused.value.code == "SY060"
    assert "hunter22" not in refused.value.message


def test_a_database_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as refused:
        open_store(f"sqlite:///{tmp_path}/nowhere/syncer.db")
    assert refused.value.code == "SY061"


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Ana, this is a letter and not a database. " * 100)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="cannot be opened") as refused:
        open_store(f"sqlite:///{path}")
    assert refused.value.code == "SY061"
    assert path.read_bytes() == before


def test_an_unreachable_server_is_told_without_the_password_and_may_answer_later(tmp_path: Path) -> None:
    for url in (
        f"postgresql://ana:hunter22@/crm?host={tmp_path}",
        f"postgresql:///crm?host={tmp_path}&user=ana&password=hunter22",
    ):
        with pytest.raises(TemporaryError, match="cannot be opened") as refused:
            open_store(url)
        assert refused.value.code == "SY066"
        assert "hunter22" not in refused.value.message


def test_a_login_that_the_server_refuses_is_a_persons_to_mend(postgresql: PostgreSQL) -> None:
    url = postgresql.store_database().replace("postgres:", "nobody:", 1)
    with pytest.raises(ConfigError, match="cannot be opened") as refused:
        open_store(url)
    assert refused.value.code == "SY061"


def test_every_spelling_of_postgresql_is_understood(postgresql: PostgreSQL) -> None:
    url = postgresql.store_database()
    for scheme in ("postgresql", "postgresql+psycopg", "postgres"):
        open_store(url.replace("postgresql", scheme, 1)).close()


def test_neither_repr_nor_error_of_an_open_store_shows_the_password(postgresql: PostgreSQL) -> None:
    url = postgresql.store_database().replace("postgres:@", "postgres:hunter22@")
    assert "hunter22" in url
    store = open_store(url)
    assert "hunter22" not in repr(store) + str(store)
    with pytest.raises(DBAPIError) as wrong, store.reading() as tx:
        tx.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": "Ana Pérez"})
    assert "hunter22" not in str(wrong.value)
    assert "Ana" not in str(wrong.value)
    store.close()


def test_a_reading_transaction_cannot_write(store: Store) -> None:
    with pytest.raises(DBAPIError), store.reading() as tx:
        runs.start(tx, "crm", NOW)
    with store.writing() as tx:
        runs.start(tx, "crm", NOW)


def test_a_reading_transaction_sees_one_state_while_others_write(store: Store) -> None:
    with store.reading() as reader:
        assert runs.last(reader, "crm", 9) == []
        with store.writing() as tx:
            runs.start(tx, "crm", NOW)
        assert runs.last(reader, "crm", 9) == []
    with store.reading() as reader:
        assert len(runs.last(reader, "crm", 9)) == 1


def test_whatever_goes_wrong_in_a_writing_transaction_nothing_of_it_stays(store: Store) -> None:
    def interrupted() -> None:
        with store.writing() as tx:
            runs.start(tx, "crm", NOW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.reading() as tx:
        assert runs.last(tx, "crm", 9) == []


def test_many_threads_write_without_losing_anything(store: Store) -> None:
    def work() -> None:
        for _ in range(10):
            with store.writing() as tx:
                runs.set_account(tx, "crm", "hubspot:1")
                runs.start(tx, "crm", NOW)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        assert len(runs.last(tx, "crm", 99)) == 40


def test_a_locked_database_is_a_matter_of_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "syncer.db"
    store = open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryError, match="locked"), store.writing():
            pass
        other.execute("ROLLBACK")
    with store.writing() as tx:
        runs.start(tx, "crm", NOW)
    store.close()


def test_a_connection_that_the_server_cut_is_a_matter_of_patience(postgresql: PostgreSQL) -> None:
    store = open_store(postgresql.store_database())
    cut = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(TemporaryError), store.writing() as tx:
        tx.execute(cut)
    with store.writing() as tx:
        runs.start(tx, "crm", NOW)
    store.close()


def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'syncer.db'}")
    for transaction in (store.reading, store.writing):
        with transaction() as tx:
            found = [tx.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
            assert found == ["wal", 2]
            assert tx.execute(text("PRAGMA foreign_keys")).scalar() == 1
            assert tx.execute(text("PRAGMA secure_delete")).scalar() == 1
            assert tx.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
    store.close()


@pytest.mark.parametrize(
    ("setting", "pause_s"),
    [("SET TRANSACTION READ ONLY", 0.0), ("SET LOCAL idle_in_transaction_session_timeout = '50ms'", 0.2)],
)
def test_a_server_that_takes_no_writes_or_has_ended_a_transaction_that_stood_still_may_pass(
    setting: str, pause_s: float, postgresql: PostgreSQL
) -> None:
    """As a standby does; and as happens to a process that was frozen in the middle of a transaction."""

    def write() -> None:
        with opened.writing() as tx:
            tx.execute(text(setting))
            time.sleep(pause_s)
            runs.set_due(tx, "crm", NOW)

    with closing(open_store(postgresql.store_database())) as opened, pytest.raises(TemporaryError) as refused:
        write()
    assert refused.value.code == "SY066"
