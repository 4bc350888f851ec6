"""A backup holds everything, exactly, and goes into either database; or nothing happens, and one sentence says why."""

from __future__ import annotations

import fcntl
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)

from syncer.errors import ConfigError, TemporaryError
from syncer.store import Store, backups, erasure, leases, open_store, runs, schema, tables
from syncer.store.backups import Manifest
from syncer.store.records import Forgotten
from syncer.store.tables import metadata
from tests.conftest import PostgreSQL
from tests.store.samples import NOW, all_leads, put, record, the_lead
from tests.store.test_schema import a_row_in_every_table

TRAVELLING = [each for each in metadata.sorted_tables if each.name not in backups._STAYS]
ODD = ("", "\\N", "\\", "a\tb\nc\r\n", "\"quoted\", 'so'", "naïve 🦊 \u2028 \ufeff", "{}", "NULL", " x ", "\x01\x7f")
WHOLE = (2**63 - 1, -(2**63), 0, 1)


@pytest.fixture
def other(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A database of the other kind, with our schema and nothing in it."""
    if database_url.startswith("postgresql"):
        with closing(open_store(f"sqlite:///{tmp_path / 'other.db'}")) as opened:
            yield opened
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with closing(open_store(server.store_database())) as opened:
        yield opened


@pytest.fixture
def sample(sqlite_template: Path, tmp_path: Path) -> Path:
    """A small backup."""
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with closing(open_store(f"sqlite:///{tmp_path / 'syncer.db'}")) as store:
        put(store, record("1"))
        with store.writing() as tx:
            runs.start(tx, "crm", NOW)
        saved(store, tmp_path / "backup.zip")
    return tmp_path / "backup.zip"


def saved(store: Store, path: Path) -> Manifest:
    return backups.back_up(store, path, NOW)


def put_back(store: Store, path: Path, *, replace: bool = False, latest: bool = True) -> None:
    with backups.opened(path) as archive:
        backups.restore(store, archive, replace=replace, latest=latest)


def _columns(name: str) -> list[Column[Any]]:
    return [column for column in metadata.tables[name].columns if column.computed is None]


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Table -> its rows as the driver gives them, but for booleans, which only PostgreSQL's has."""
    found = {}
    with store.reading() as tx:
        for name in (table.name for table in TRAVELLING):
            listed = ", ".join(f'"{column.name}"' for column in _columns(name))
            rows = tx.exec_driver_sql(f'SELECT {listed} FROM "{name}"').all()
            plain = [tuple(int(each) if isinstance(each, bool) else each for each in row) for row in rows]
            found[name] = sorted(plain, key=repr)
    return found


def fill(tx: Connection) -> None:
    """Ten rows into each table, with everything that could be taken for something else on the way."""
    for name in (table.name for table in TRAVELLING if table.name != "installations"):
        columns = _columns(name)
        listed, marks = ", ".join(f'"{each.name}"' for each in columns), ", ".join(f":{each.name}" for each in columns)
        rows = [{column.name: _odd(column, number) for column in columns} for number in range(10)]
        tx.execute(text(f'INSERT INTO "{name}" ({listed}) VALUES ({marks})'), rows)


def _odd(column: Column[Any], number: int) -> Any:
    kind, named = str(getattr(column.type, "impl", column.type)), column.primary_key or column.foreign_keys
    if column.nullable and number % 3 == 0:
        return None
    if isinstance(column.type, LargeBinary):
        return bytes(range(number * 20, number * 25))
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if kind == "TEXT":
        return f"{number}{ODD[number]}" if named else ODD[number]
    return number + 1 if named or kind == "INTEGER" else WHOLE[number % len(WHOLE)]


@pytest.mark.parametrize("where", ["same", "other"])
def test_what_is_restored_into_either_database_is_exactly_what_was_there(
    store: Store, other: Store, tmp_path: Path, where: str
) -> None:
    with store.writing() as tx:
        fill(tx)
    before = contents(store)
    made = saved(store, tmp_path / "backup.zip")
    assert all(len(rows) == 10 for name, rows in before.items() if name != "installations")
    assert {part.table: part.rows for part in made.parts} == {name: len(rows) for name, rows in before.items()}
    target = other if where == "other" else store
    put_back(target, tmp_path / "backup.zip", replace=True)
    assert contents(target) == {**before, "connections": [_without_bell(row) for row in before["connections"]]}
    again = saved(target, tmp_path / "again.zip")
    assert [part.sha256 for part in again.parts if part.table != "connections"] == [
        part.sha256 for part in made.parts if part.table != "connections"
    ], "one file for both databases"


def _without_bell(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """`rung_at` is by the clock of a database."""
    names = [column.name for column in _columns("connections")]
    return tuple(None if name == "rung_at" else value for name, value in zip(names, row, strict=True))


def test_the_schema_is_the_same_afterwards_and_the_indexes_are_back(store: Store, tmp_path: Path) -> None:
    put(store, record("1"))
    before = _indexes(store)
    saved(store, tmp_path / "backup.zip")
    put_back(store, tmp_path / "backup.zip", replace=True)
    assert len(before) > 10
    assert _indexes(store) == before


def _indexes(store: Store) -> list[str]:
    everywhere = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    }
    with store.reading() as tx:
        return sorted(tx.execute(text(everywhere[store.dialect])).scalars())


def test_a_number_that_was_given_is_not_given_again_after_a_restore(store: Store, other: Store, tmp_path: Path) -> None:
    with store.writing() as tx:
        given = [runs.start(tx, "crm", NOW) for _ in range(3)]
        tx.execute(text("DELETE FROM runs WHERE id > 1"))
    saved(store, tmp_path / "backup.zip")
    put_back(other, tmp_path / "backup.zip")
    with other.writing() as tx:
        assert runs.start(tx, "crm", NOW) == max(given) + 1


def test_neither_leases_nor_tables_of_others_travel_or_are_touched(store: Store, other: Store, tmp_path: Path) -> None:
    for each in (store, other):
        with each.writing() as tx:
            tx.execute(text("CREATE TABLE IF NOT EXISTS procrastinate_jobs (id integer)"))
            tx.execute(text("INSERT INTO procrastinate_jobs VALUES (7)"))
    leases.take(store, "crm", holder="someone", ttl_s=60)
    made = saved(store, tmp_path / "backup.zip")
    put_back(other, tmp_path / "backup.zip")
    assert not {part.table for part in made.parts} & {"leases", "procrastinate_jobs"}
    with other.writing() as tx:
        assert tx.execute(text("SELECT id FROM procrastinate_jobs")).scalars().all() == [7]
        assert tx.execute(select(tables.leases)).all() == []
    for each in (store, other):
        with each.writing() as tx:
            tx.execute(text("DROP TABLE procrastinate_jobs"))


def test_a_backup_of_an_older_schema_is_brought_up_to_date_as_it_is_restored(store: Store, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'older.db'}")
    with engine.begin() as tx:
        schema.make(tx, "0002")
        before = a_row_in_every_table(tx)
    with closing(Store("older", engine, engine)) as older:
        assert saved(older, tmp_path / "backup.zip").revision == "0002"
    put_back(store, tmp_path / "backup.zip")
    with store.reading() as tx:
        here = MetaData()
        here.reflect(tx)
        for name, row in before.items():
            if name in backups._STAYS:
                continue
            found = tx.execute(select(here.tables[name])).one()._mapping
            assert {column: found[column] for column in row} == row, name
        assert schema.schema_state(tx).up_to_date


@pytest.mark.parametrize("newer", [{"revision": "9001"}, {"format": 99}])
def test_a_backup_of_a_newer_syncer_is_refused(sample: Path, newer: dict[str, Any]) -> None:
    _change(sample, lambda manifest, _: manifest.update(newer))
    assert "newer syncer" in _refusal(sample, "SY230")


Members = dict[str, bytes]


def _change(path: Path, how: Callable[[dict[str, Any], Members], Any]) -> None:
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    manifest = orjson.loads(members.pop("manifest.json"))
    how(manifest, members)
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in {**members, "manifest.json": orjson.dumps(manifest)}.items():
            packed.writestr(name, content)


def _other_rows(_: dict[str, Any], members: Members) -> None:
    members["runs.jsonl"] = members["runs.jsonl"].replace(b'"crm"', b'"crx"')


def _one_table_less(_: dict[str, Any], members: Members) -> None:
    del members["leads.jsonl"]


def _no_manifest_of_ours(manifest: dict[str, Any], _: Members) -> None:
    del manifest["parts"][0]["sha256"]


@pytest.mark.parametrize("how", [_other_rows, _one_table_less, _no_manifest_of_ours])
def test_a_backup_that_was_changed_is_refused(sample: Path, how: Callable[[dict[str, Any], Members], None]) -> None:
    _change(sample, how)
    _refusal(sample, "SY229")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_backup_that_is_not_whole_is_refused(sample: Path, share: float) -> None:
    whole = sample.read_bytes()
    sample.write_bytes(whole[: int(len(whole) * share)])
    _refusal(sample, "SY229")


def test_a_backup_with_a_byte_changed_is_refused_wherever_that_is(sample: Path) -> None:
    whole = sample.read_bytes()
    with zipfile.ZipFile(sample) as packed:
        starts = [each.header_offset + 30 + len(each.filename) for each in packed.infolist() if each.compress_size > 40]
    for start in starts:
        sample.write_bytes(whole[: start + 20] + bytes([whole[start + 20] ^ 0x41]) + whole[start + 21 :])
        _refusal(sample, "SY229")
    assert len(starts) >= 3


def _refusal(path: Path, code: str) -> str:
    with pytest.raises(ConfigError) as refused, backups.opened(path):
        raise AssertionError("it was opened")
    assert refused.value.code == code
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message
    return refused.value.message


def _of_nobody(manifest: dict[str, Any], members: Members) -> None:
    """Records of a lead that is not there, in a file that says it is whole."""
    members["leads.jsonl"] = b""
    for part in manifest["parts"]:
        if part["table"] == "leads":
            part |= {"rows": 0, "sha256": sha256(b"").hexdigest()}


def _of_another_width(manifest: dict[str, Any], members: Members) -> None:
    members["runs.jsonl"] = b'[[1,"crm"]]\n'
    for part in manifest["parts"]:
        if part["table"] == "runs":
            part |= {"rows": 1, "sha256": sha256(members["runs.jsonl"]).hexdigest()}


def _with_no_value(manifest: dict[str, Any], members: Members) -> None:
    rows = orjson.loads(members["runs.jsonl"])
    for part in manifest["parts"]:
        if part["table"] == "runs":
            kind = part["columns"].index("kind")
            members["runs.jsonl"] = orjson.dumps([[*row[:kind], {}, *row[kind + 1 :]] for row in rows])
            part |= {"sha256": sha256(members["runs.jsonl"]).hexdigest()}


def _with_a_number_too_large(manifest: dict[str, Any], members: Members) -> None:
    for part in manifest["parts"]:
        if part["table"] == "runs":
            members["runs.jsonl"] = orjson.dumps([[2**64 - 1] * len(part["columns"])])
            part |= {"sha256": sha256(members["runs.jsonl"]).hexdigest()}


def _with_another_column(manifest: dict[str, Any], _: Members) -> None:
    for part in manifest["parts"]:
        if part["table"] == "runs":
            part["columns"] = [*part["columns"], "id; DROP TABLE leads"]


@pytest.mark.parametrize(
    "how", [_of_nobody, _of_another_width, _with_no_value, _with_a_number_too_large, _with_another_column]
)
def test_rows_that_do_not_fit_each_other_leave_what_was_there(
    store: Store, tmp_path: Path, how: Callable[[dict[str, Any], Members], None]
) -> None:
    put(store, record("1"), record("2"))
    with store.writing() as tx:
        runs.start(tx, "crm", NOW)
    saved(store, tmp_path / "backup.zip")
    _change(tmp_path / "backup.zip", how)
    put(store, record("3"))
    before = contents(store)
    with pytest.raises(ConfigError, match="nothing was restored") as refused:
        put_back(store, tmp_path / "backup.zip", replace=True)
    assert refused.value.code == "SY231"
    assert "\n" not in refused.value.message
    assert contents(store) == before
    put(store, record("4"))  # a number is not given twice


def test_where_the_disk_is_full_the_database_stays_as_it_was(sample: Path) -> None:
    with closing(open_store(f"sqlite:///{sample.parent / 'large.db'}")) as large:
        put(large, *(record(str(number), fields={"text": "x" * 400}) for number in range(1000)))
        saved(large, sample.parent / "large.zip")
    with closing(open_store(f"sqlite:///{sample.parent / 'syncer.db'}")) as store:
        before = contents(store)
        _full_from_now_on(store)
        with pytest.raises(TemporaryError, match="database or disk is full"):
            put_back(store, sample.parent / "large.zip", replace=True)
        assert contents(store) == before


def _full_from_now_on(store: Store) -> None:
    """A few pages are left; SQLite then answers as on a full disk."""
    with store.reading() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(store._writer, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages + 5}"))
    store._writer.dispose()


def test_a_database_in_use_is_replaced_only_where_that_is_asked_for(store: Store, tmp_path: Path) -> None:
    put(store, record("1"))
    saved(store, tmp_path / "backup.zip")
    before = contents(store)
    put(store, record("2"))
    with pytest.raises(ConfigError, match="--replace") as refused:
        put_back(store, tmp_path / "backup.zip")
    assert refused.value.code == "SY232"
    assert len(contents(store)["leads"]) == 2
    put_back(store, tmp_path / "backup.zip", replace=True)
    assert contents(store) == before


def test_who_was_erased_since_the_backup_stays_so_in_the_database_that_knows_it(store: Store, tmp_path: Path) -> None:
    put(store, *(record(each, email=f"{each}@acme.es", name="Zsofia") for each in ("1", "2", "3")))
    saved(store, tmp_path / "backup.zip")
    put(store, record("4", email="4@acme.es"), record("3", minute=1, deleted=True))
    put(store, record("3", minute=1, deleted=True, erased=True))
    by = Forgotten(NOW, "privacy desk")
    forgotten = [the_lead(store, each).id for each in ("1", "4")]
    with store.writing() as tx:
        erasure.forget(tx, forgotten, by)
    put_back(store, tmp_path / "backup.zip", replace=True)
    put(store, record("1", minute=2, email="1@acme.es"), record("4", minute=2, email="4@acme.es"))
    with store.reading() as tx:
        found = tx.execute(select(tables.records.c.id, tables.records.c.email))
        assert {row.id: row.email for row in found} == {
            "1": None, "2": "2@acme.es", "3": None, "4": None,
        }  # fmt: skip
        assert [erasure.forgotten(tx, the_lead(store, each).id) for each in ("1", "4")] == [by, by]
    assert [lead.records[0].key.id for lead in all_leads(store)] == ["2"]


@pytest.mark.parametrize("latest", [False, True])
def test_a_word_on_a_plan_that_may_have_been_used_since_the_backup_does_not_come_back(
    store: Store, tmp_path: Path, latest: bool
) -> None:
    with store.writing() as tx:
        run = runs.start(tx, "crm", NOW, "full", "settings")
        runs.finish(tx, run, "waiting", {"stage_changes": 9000}, None, NOW)
        runs.approve(tx, "crm", runs.Approval(run, "settings", 9000, 500, "ana", NOW))
    backups.back_up(store, tmp_path / "backup.zip", NOW)
    with store.writing() as tx:
        assert runs.use_approval(tx, "crm", "settings") is not None
        runs.start(tx, "crm", NOW, "full", "settings")
    with backups.opened(tmp_path / "backup.zip") as archive:
        backups.restore(store, archive, replace=True, latest=latest)
    with store.reading() as tx:
        waits = runs.waits(tx, "crm")
        assert waits is not None
        assert waits.id == run, "a person may look again"
        assert (runs.approved(tx, "crm") is not None) == latest


def test_while_a_process_is_at_work_nothing_is_restored(store: Store, tmp_path: Path) -> None:
    saved(store, tmp_path / "backup.zip")
    lease = leases.take(store, "crm", holder="another machine", ttl_s=60)
    assert lease is not None
    with pytest.raises(ConfigError, match="another machine is at work") as refused:
        put_back(store, tmp_path / "backup.zip")
    assert refused.value.code == "SY233"
    leases.release(store, lease)
    put_back(store, tmp_path / "backup.zip")


def test_who_was_frozen_while_a_backup_was_restored_finds_itself_fenced(store: Store, tmp_path: Path) -> None:
    lease = leases.take(store, "crm", holder="frozen", ttl_s=60)
    assert lease is not None
    saved(store, tmp_path / "backup.zip")
    with store.writing() as tx:
        tx.execute(update(tables.leases).values(expires_at=1))
    put_back(store, tmp_path / "backup.zip")
    assert leases.time_left(store, lease) == 0
    anew = leases.take(store, "crm", holder="next", ttl_s=60)
    assert anew is not None
    assert anew.epoch > lease.epoch


def test_a_backup_shows_one_moment_while_others_write(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with store.writing() as tx:  # hints are read long before runs are
                number = runs.start(tx, "crm", NOW)
                values = {"connection": "crm", "object": "contacts", "id": str(number), "at": NOW}
                tx.execute(insert(tables.hints).values(values))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [saved(store, tmp_path / f"{number}.zip") for number in range(3)]
    finally:
        stop.set()
        writer.join()
    assert [each.rows("hints") for each in made] == [each.rows("runs") for each in made]
    assert made[0].rows("runs") < made[-1].rows("runs"), "it went on writing"


def test_a_backup_is_private_and_replaces_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    (tmp_path / ".backup.zip.unfinished").write_text("of a process that was killed")
    saved(store, path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        saved(store, path)
    assert refused.value.code == "SY227"
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_two_that_write_one_backup_at_once_do_not_mix_theirs(store: Store, tmp_path: Path) -> None:
    with (tmp_path / ".backup.zip.unfinished").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is writing") as refused:
            saved(store, tmp_path / "backup.zip")
    assert refused.value.code == "SY227"
    saved(store, tmp_path / "backup.zip")


@pytest.mark.parametrize("name", ["no/backup.zip", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_and_left_clean(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written") as refused:
        saved(store, tmp_path / name)
    assert refused.value.code == "SY228"
    assert not list(tmp_path.glob(".*"))
