"""`db`: what is typed and told; one sentence where something is wrong, and nothing half done."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine

from syncer.cli import cli
from syncer.store import api_tokens, open_store, schema, sessions, users
from syncer.store.api_tokens import ApiToken
from syncer.store.sessions import Session
from syncer.store.users import User
from tests.store.samples import put, record
from tests.terminal import clean_environment

_IN_LITTLE_ROOM = """
import resource, sys
from syncer.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
main(sys.argv[1:])
"""


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Path:
    """With a database of two leads."""
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with closing(open_store(f"sqlite:///{tmp_path / 'syncer.db'}")) as store:
        put(store, record("1"), record("2"))
    return tmp_path


def db(folder: Path, *words: str, database: str = "syncer.db") -> Result:
    url = f"sqlite:///{folder / database}"
    given = ["-c", str(folder / "syncer.yml"), "--database-url", url, "db", *words]
    return CliRunner().invoke(cli, given, catch_exceptions=False)


def leads_in(folder: Path, database: str) -> int:
    with closing(open_store(f"sqlite:///{folder / database}")) as store, store.reading() as tx:
        return len(tx.exec_driver_sql("SELECT id FROM leads").all())


def test_a_backup_is_made_and_restored_without_a_project_file(folder: Path) -> None:
    made = db(folder, "backup", str(folder / "b.zip"))
    assert made.stdout.startswith("2 leads of 1 connection in ")
    assert f"b.zip (schema {schema.head()}, 0.0 MB)" in made.stdout
    put_back = db(folder, "restore", str(folder / "b.zip"), "--latest", database="new.db")
    assert put_back.stdout.startswith(f"2 leads of 1 connection in sqlite:///{folder / 'new.db'}, as of 20")
    assert put_back.stdout.count("\n") == 1
    assert leads_in(folder, "new.db") == 2


def test_a_restore_ends_sessions_and_names_who_may_come_in_again(folder: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with closing(open_store(f"sqlite:///{folder / 'syncer.db'}")) as store:
        with store.writing() as tx:
            users.add(tx, User("ana", "admin", "its hash", at, at))
            users.add(tx, User("eva", "viewer", None, at, at))
            sessions.begin(tx, Session("a digest", "ana", "admin", "password", at, at, at + timedelta(days=9_999)))
            for name in ("robot", "old"):
                number = api_tokens.add(tx, ApiToken(0, name, name, "admin", "ana", at))
            api_tokens.revoke(tx, number, at)
        db(folder, "backup", str(folder / "b.zip"))
        with store.writing() as tx:
            api_tokens.revoke(tx, 1, at)
            users.remove(tx, "ana")
        told = db(folder, "restore", str(folder / "b.zip"), "--replace").stdout
        with store.reading() as tx:
            assert sessions.find(tx, "a digest") is None
            assert [each.name for each in users.listed(tx)] == ["ana", "eva"]
    assert "as they might at the time of the backup: ana (admin), token robot #1 (admin);" in told


def test_a_restore_says_what_the_next_run_will_do(folder: Path) -> None:
    db(folder, "backup", str(folder / "b.zip"))
    told = db(folder, "restore", str(folder / "b.zip"), database="new.db").stdout.splitlines()
    assert "announces nobody" in told[1]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("restore", "b.zip"), "SY232"),
        (("restore", "missing.zip"), "SY229"),
        (("restore", "syncer.db", "--replace"), "SY229"),
        (("backup", "b.zip"), "SY227"),
        (("backup", "."), "SY227"),
        (("backup", "/"), "SY227"),
        (("backup", "no/b.zip"), "SY228"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(folder: Path, words: tuple[str, ...], code: str) -> None:
    db(folder, "backup", str(folder / "b.zip"))
    names = sorted(each.name for each in folder.iterdir())
    result = db(folder, words[0], str(folder / words[1]), *words[2:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error {code}: ")
    assert result.stderr.count("\n") == 1
    assert sorted(each.name for each in folder.iterdir()) == names
    assert leads_in(folder, "syncer.db") == 2


@pytest.mark.parametrize("words", [("backup", "b.zip"), ("migrate", "--check")])
def test_a_database_that_does_not_exist_is_not_made_by_looking_at_it(tmp_path: Path, words: tuple[str, str]) -> None:
    command, word = words
    result = db(tmp_path, command, str(tmp_path / word) if command == "backup" else word)
    assert result.exit_code == 1
    assert result.stderr.startswith("error SY234: there is no database ")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_cannot_be_used_makes_no_database(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("not a backup")
    assert db(tmp_path, "restore", str(tmp_path / "b.zip")).exit_code == 2
    assert [each.name for each in tmp_path.iterdir()] == ["b.zip"]


def test_migrate_says_from_where_to_where_and_where_the_copy_is(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'syncer.db'}")
    with engine.begin() as tx:
        schema.make(tx, "0010")
    engine.dispose()
    checked = db(tmp_path, "migrate", "--check")
    assert checked.exit_code == 1
    assert f"its schema is 0010, this syncer's {schema.head()}; run: syncer db migrate" in checked.stdout
    assert not list(tmp_path.glob("*.bak"))
    copy = tmp_path / "syncer.db.0010.bak"
    told = f"the schema was 0010 and is {schema.head()} now; {copy} is the file as it was\n"
    assert db(tmp_path, "migrate").stdout == told
    assert copy.exists()
    for words in (["migrate"], ["migrate", "--check"]):
        result = db(tmp_path, *words)
        assert (result.exit_code, result.stdout) == (0, f"the schema is up to date: {schema.head()}\n")


def test_migrate_makes_the_schema_of_a_new_database(tmp_path: Path) -> None:
    assert db(tmp_path, "migrate").stdout == f"the database was empty; it has the schema {schema.head()} now\n"


def test_where_there_is_no_room_for_a_backup_nothing_of_it_is_left(folder: Path) -> None:
    """As on a full disk: no file may grow beyond so many bytes. SQLite's own index of its log needs 32 KB."""
    with closing(open_store(f"sqlite:///{folder / 'syncer.db'}")) as store:
        put(store, *(record(str(number), fields={"text": secrets.token_hex(400)}) for number in range(200)))
    done = subprocess.run(
        [sys.executable, "-c", _IN_LITTLE_ROOM, "db", "backup", "b.zip"],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = "error SY228: the backup b.zip cannot be written: File too large; make room, or name another place\n"
    assert (done.returncode, done.stderr) == (2, told)
    assert not list(folder.glob("*b.zip*"))
