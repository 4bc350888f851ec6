"""A whole database in one file, the same for SQLite and PostgreSQL, so that it also carries one into the other.

A zip archive: `manifest.json`, and for each table a stream of JSON, each line a list of rows. Booleans are 0 and 1,
bytes are hexadecimal, times are milliseconds, as the tables keep them. It is written out of one transaction and read
into one, with a few hundred rows in memory at a time.

What belongs to the processes that were at work (`_STAYS`), and a queue's own tables, are not in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import orjson
import psycopg
from psycopg import sql
from sqlalchemy import (
    URL,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    create_engine,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

from syncer.errors import ConfigError, TemporaryError
from syncer.model import RecordKey
from syncer.store import erasure, leases, schema
from syncer.store.columns import from_ms
from syncer.store.database import Store
from syncer.store.erasure import WIPED
from syncer.store.outbox import UNSENT
from syncer.store.records import forgotten_of, refresh_live
from syncer.store.runs import installation
from syncer.store.sql import now_ms
from syncer.store.tables import (
    RECORD_KEY,
    connections,
    leads,
    metadata,
    notices,
    records,
    runs,
    score_ranges,
    sessions,
    write_backs,
)
from syncer.store.tables import leases as held
from syncer.store.touching import BITS, touch
from syncer.store.write_backs import KEY

FORMAT = 1
_STAYS = ("leases", "workers", "rates", "score_ranges", "sessions")
_MANIFEST = "manifest.json"
_ROWS = 500  # in one line
_LONGEST_LINE = 1 << 28  # bytes; a line of ours is a few megabytes at most
_BLOCK = 1 << 20
_MISFITS = (DataError, IntegrityError, InterfaceError, ProgrammingError)
_PACKING = 1  # zlib's fastest: a third larger than its best, in a quarter of the time


@dataclass(frozen=True, slots=True)
class Part:
    """One table. `highest`: the highest number that was ever given to a row, where rows are numbered."""

    table: str
    columns: tuple[str, ...]
    rows: int
    sha256: str  # of its stream, unpacked
    highest: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    format: int
    revision: str  # of the schema
    made_at: datetime
    parts: tuple[Part, ...]

    def rows(self, table: str) -> int:
        return next((part.rows for part in self.parts if part.table == table), 0)


@dataclass(frozen=True, slots=True)
class Archive:
    """A backup that is open to be read."""

    path: Path
    manifest: Manifest
    packed: zipfile.ZipFile

    def rows_of(self, part: Part) -> Iterator[list[list[Any]]]:
        """Some at a time."""
        with _readable(self.path), self.packed.open(_member(part.table)) as stream:
            while line := stream.readline(_LONGEST_LINE):
                yield orjson.loads(line)


def back_up(store: Store, target: Path, now: datetime) -> Manifest:
    """Write all that the database holds at one moment; others go on working meanwhile. The file is there when it is
    whole, and only its owner may read it.

    ConfigError: SY227 there is such a file already, SY228 it cannot be written.
    """
    with _new_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_PACKING) as packed:
        with store.reading() as tx:
            revision = schema.schema_state(tx).current or ""
            parts = tuple(_write(packed, tx, table) for table in _travelling(tx))
        manifest = Manifest(FORMAT, revision, now, parts)
        packed.writestr(_MANIFEST, orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
    return manifest


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    try:
        _insist_on_new(target)
        unfinished = target.with_name(f".{target.name}.unfinished")
        handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)  # or of a process that was killed
        with os.fdopen(handle, "wb") as file:
            _insist_on_alone(target, unfinished, handle)
            try:
                file.truncate()
                yield file
                file.flush()
                os.fsync(handle)
                unfinished.replace(target)
                _keep_name(target.parent)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        message = f"the backup {target} cannot be written: {error.strerror or error}; make room, or name another place"
        raise ConfigError(message, code="SY228") from error


def _insist_on_new(target: Path) -> None:
    if target.exists():
        raise ConfigError(f"{target} exists already, and a backup replaces nothing; name another file", code="SY227")


def _insist_on_alone(target: Path, unfinished: Path, handle: int) -> None:
    """Two that write one file would mix theirs, and a half of it get the name of a whole."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(handle), unfinished.stat())  # or it has been finished since we opened it
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:
        message = f"another process is writing the backup {target}; wait for it, or name another file"
        raise ConfigError(message, code="SY227")
    os.fchmod(handle, 0o600)


def _keep_name(folder: Path) -> None:
    """A new name in a folder survives a loss of power only once the folder is written, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _travelling(tx: Connection) -> list[Table]:
    """The tables as they stand in this database, each after those that it refers to."""
    here = MetaData()
    there = set(inspect(tx).get_table_names())
    here.reflect(tx, only=sorted(there & metadata.tables.keys() - set(_STAYS)))
    return here.sorted_tables


def _columns(table: Table) -> list[Column[Any]]:
    """But those that the database computes."""
    return [column for column in table.columns if column.computed is None]


def _write(packed: zipfile.ZipFile, tx: Connection, table: Table) -> Part:
    digest, rows = hashlib.sha256(), 0
    with packed.open(_member(table.name), "w", force_zip64=True) as stream:
        for some in _read(tx, table):
            line = orjson.dumps(some, option=orjson.OPT_APPEND_NEWLINE)
            digest.update(line)
            stream.write(line)
            rows += len(some)
    columns = tuple(column.name for column in _columns(table))
    return Part(table.name, columns, rows, digest.hexdigest(), _highest(tx, table.name))


def _member(table: str) -> str:
    return f"{table}.jsonl"


def _read(tx: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """As the driver reads them: no value of ours is made of them."""
    names = ", ".join(_spelled(column, tx.dialect.name) for column in _columns(table))
    streamed = {"stream_results": True, "max_row_buffer": _ROWS}
    found = tx.exec_driver_sql(f'SELECT {names} FROM "{table.name}"', execution_options=streamed)
    for some in found.yield_per(_ROWS).partitions(_ROWS):
        yield [tuple(row) for row in some]


def _spelled(column: Column[Any], dialect: str) -> str:
    name = f'"{column.name}"'
    if isinstance(column.type, LargeBinary):
        text_of_it = f"encode({name}, 'hex')" if dialect == "postgresql" else f"lower(hex({name}))"
        return f"CASE WHEN {name} IS NOT NULL THEN {text_of_it} END"
    return f"{name}::int" if isinstance(column.type, Boolean) and dialect == "postgresql" else name


def _highest(tx: Connection, table: str) -> int | None:
    """A number is never given twice, though the row that had it may be gone."""
    numbered = metadata.tables[table].autoincrement_column
    if numbered is None:
        return None
    if tx.dialect.name == "postgresql":
        given = (
            "SELECT last_value FROM pg_sequences"
            f" WHERE format('%I.%I', schemaname, sequencename)::regclass = {_SEQUENCE}::regclass"
        )
    else:
        given = "SELECT seq FROM sqlite_sequence WHERE name = :table"
    counted: int | None = tx.execute(text(given), {"table": table}).scalar()
    return max(counted or 0, tx.execute(select(func.max(numbered))).scalar() or 0)


_SEQUENCE = "pg_get_serial_sequence(:table, 'id')"


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A backup, looked through from end to end before it is given.

    ConfigError: SY229 it is none of ours, or not whole, or was changed; SY230 a newer syncer has made it.
    """
    with _readable(path):
        file = path.open("rb")
    with file:
        with _readable(path):
            packed = zipfile.ZipFile(file)
            content = orjson.loads(packed.read(_MANIFEST))
            _insist_on_known(path, content)
            manifest = _manifest(content)
            for part in manifest.parts:
                _insist_on_whole(packed, part)
        yield Archive(path, manifest, packed)


def _insist_on_known(path: Path, content: Mapping[str, Any]) -> None:
    revision = str(content["revision"])
    if int(content["format"]) > FORMAT or not schema.knows(revision):
        theirs, ours = f"format {content['format']}, schema {revision}", f"{FORMAT} and {schema.head()}"
        message = f"the backup {path} was made by a newer syncer ({theirs}; this one knows {ours}); update syncer"
        raise ConfigError(message, code="SY230")


def _manifest(content: Mapping[str, Any]) -> Manifest:
    parts = tuple(Part(**{**part, "columns": tuple(part["columns"])}) for part in content["parts"])
    made_at = datetime.fromisoformat(content["made_at"])
    return Manifest(int(content["format"]), str(content["revision"]), made_at, parts)


def _insist_on_whole(packed: zipfile.ZipFile, part: Part) -> None:
    digest = hashlib.sha256()
    with packed.open(_member(part.table)) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != part.sha256:
        raise ValueError(f"the table {part.table} is not what was written")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever is wrong with the file is told in one sentence."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"the backup {path} cannot be read: {error.strerror or error}", code="SY229") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, RuntimeError) as error:
        message = f"{path} is no whole backup of syncer's ({' '.join(str(error).split())}); take another one"
        raise ConfigError(message, code="SY229") from error


def restore(store: Store, archive: Archive, *, replace: bool = False, latest: bool = False) -> None:
    """Put a backup in the place of all that the database holds, in one transaction. Without `replace` only into one
    that knows no lead and no run. `latest`: nothing has run since it was made; else what may have changed in the CRM
    since then is not relied on (`_doubt`).

    ConfigError: SY231 its rows do not fit each other, SY232 the database is not empty, SY233 a process is at work on
    it.
    """
    if archive.manifest.revision == schema.head():
        _put(store, archive, replace, latest)
        return
    with TemporaryDirectory(prefix="syncer-") as folder, opened(_renewed(archive, Path(folder))) as newer:
        _put(store, newer, replace, latest)


def _renewed(archive: Archive, folder: Path) -> Path:
    """The same backup with the newest schema: put into a database of its own schema, which is brought up to date."""
    engine = create_engine(URL.create("sqlite", database=str(folder / "older.db")), hide_parameters=True)
    older = Store(f"made of {archive.path} in {folder}", engine, engine)
    try:
        with older.writing() as tx:
            schema.make(tx, archive.manifest.revision)
            _empty(tx)
            _load(tx, archive)
            schema.make(tx, "head")
        back_up(older, folder / "newer.zip", archive.manifest.made_at)
    finally:
        older.close()
    return folder / "newer.zip"


def _put(store: Store, archive: Archive, replace: bool, latest: bool) -> None:
    with store.writing() as tx:
        if store.dialect == "postgresql":
            tx.execute(text("LOCK TABLE leases IN EXCLUSIVE MODE"))  # nobody begins to work meanwhile
        _insist_on_room(tx, store.name, replace)
        _insist_on_rest(tx, store.name)
        tx.info[WIPED] = True  # what was there shall not lie about in the log
        here, erased = installation(tx), _erased(tx)
        indexes = _drop_indexes(tx)
        _empty(tx)
        _load(tx, archive)
        tx.execute(update(connections).values(rung_at=None))  # by the clock of another database
        if not latest:
            _doubt(tx)
        for definition in indexes:
            tx.exec_driver_sql(definition)
        if installation(tx) == here:
            _keep_erased(tx, erased)
        tx.execute(update(held).values(epoch=held.c.epoch + 1, expires_at=0))  # who was frozen finds itself fenced
        if store.dialect == "postgresql":
            tx.exec_driver_sql("ANALYZE")


def _insist_on_room(tx: Connection, name: str, replace: bool) -> None:
    used = any(tx.execute(select(table.c.id).limit(1)).first() is not None for table in (leads, runs))
    if used and not replace:
        message = f"the database {name} is in use: it knows leads or runs; --replace puts the backup in their place"
        raise ConfigError(message, code="SY232")


def _insist_on_rest(tx: Connection, name: str) -> None:
    for holder in tx.execute(select(held.c.holder).where(held.c.expires_at > now_ms(tx))).scalars():
        if not leases.is_dead(holder):
            message = f"{holder} is at work on the database {name}; stop every syncer on it first"
            raise ConfigError(message, code="SY233")


def _erased(tx: Connection) -> Sequence[RowMapping]:
    """The tombstones, as the driver reads them."""
    plain = _as_it_stands(tx, records)
    return tx.execute(select(plain).where(plain.c.erased)).mappings().all()


def _keep_erased(tx: Connection, tombstones: Sequence[RowMapping]) -> None:
    """Whom this database knew to be erased since the backup stays so: they did not ask for a while only."""
    plain = _as_it_stands(tx, records)
    for row in tombstones:
        key = RecordKey(*(row[column.name] for column in RECORD_KEY))
        found = tx.execute(select(records.c.lead_id, records.c.erased).where(*_is(key))).first()
        if found is None:  # came after the backup; the CRM may show them still
            lead_id = tx.execute(insert(leads).values(connection=key.connection, live=False).returning(leads.c.id))
            tx.execute(insert(plain).values({**row, "lead_id": lead_id.scalar_one()}))
        elif not found.erased:
            by = forgotten_of(True, orjson.loads(row["fields"]))
            erasure.erase(tx, [key], by.at if by else from_ms(row["modified_at"]), by)
            refresh_live(tx, [found.lead_id])
            touch(tx, {found.lead_id: BITS["profile"]})


def _as_it_stands(tx: Connection, table: Table) -> Table:
    return next(each for each in _travelling(tx) if each.name == table.name)


def _is(key: RecordKey) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(RECORD_KEY, key, strict=True)]


def _drop_indexes(tx: Connection) -> list[str]:
    """They are made again at the end, all rows at once, which takes a fraction of the time. -> how."""
    names = {table.name for table in _travelling(tx)}
    if tx.dialect.name == "postgresql":
        ours = (
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = to_regclass(quote_ident(indexname)))"
        )
    else:
        ours = "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    found = [row for row in tx.exec_driver_sql(ours).all() if row[0] in names]
    for _, index, _ in found:
        tx.exec_driver_sql(f'DROP INDEX "{index}"')
    return [definition for _, _, definition in found]


def _empty(tx: Connection) -> None:
    """Ranges belong to runs, and sessions to the users that were there."""
    there = inspect(tx)
    tables = [*_travelling(tx), *(each for each in (score_ranges, sessions) if there.has_table(each.name))]
    if tx.dialect.name == "postgresql":
        names = ", ".join(f'"{table.name}"' for table in tables)
        tx.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")  # else a rollback would not bring the numbers back
        return
    for table in reversed(tables):
        tx.execute(delete(table))


def _load(tx: Connection, archive: Archive) -> None:
    tables = {table.name: table for table in _travelling(tx)}
    parts = {part.table: part for part in archive.manifest.parts}
    with _fitting(archive.path):
        if tables.keys() != parts.keys():
            raise ValueError(f"it has other tables than its schema: {sorted(tables.keys() ^ parts.keys())}")
        for name, table in tables.items():
            columns = {column.name: column for column in _columns(table)}
            if columns.keys() != set(parts[name].columns):
                raise ValueError(f"{name} has other columns than in its schema")
            _insert(tx, table, [columns[each] for each in parts[name].columns], archive.rows_of(parts[name]))
            _count_on(tx, name, parts[name].highest)


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """A file that is as it was written, and was never written by us."""
    try:
        yield
    except psycopg.OperationalError as error:
        message = f"the database did not do its part: {' '.join(str(error).split())}"
        raise TemporaryError(message, code="SY066") from error
    except (*_MISFITS, psycopg.Error, ValueError, TypeError, OverflowError) as error:
        words = str(getattr(error, "orig", error)).split("\n", 1)[0]
        message = f"the backup {path} does not fit together ({words}); nothing was restored, take another one"
        raise ConfigError(message, code="SY231") from error


def _insert(tx: Connection, table: Table, columns: Sequence[Column[Any]], rows: Iterator[list[list[Any]]]) -> None:
    names = [column.name for column in columns]
    binary = [place for place, column in enumerate(columns) if isinstance(column.type, LargeBinary)]
    if tx.dialect.name == "postgresql":
        _copy(tx, table.name, names, _with_bytes(rows, binary))
        return
    listed, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    statement = f'INSERT INTO "{table.name}" ({listed}) VALUES ({marks})'
    for some in _with_bytes(rows, binary):
        tx.exec_driver_sql(statement, [tuple(row) for row in some])


def _with_bytes(rows: Iterator[list[list[Any]]], binary: Sequence[int]) -> Iterator[list[list[Any]]]:
    for some in rows:
        for row in some if binary else ():
            for place in binary:
                row[place] = None if row[place] is None else bytes.fromhex(row[place])
        yield some


def _copy(tx: Connection, table: str, names: Sequence[str], rows: Iterator[list[list[Any]]]) -> None:
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), listed)
    driver: Any = tx.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for some in rows:
            for row in some:
                copy.write_row(row)


def _count_on(tx: Connection, table: str, highest: int | None) -> None:
    """The next row's number is beyond all that were ever given."""
    numbered = metadata.tables[table]
    if highest is None:
        return
    if tx.dialect.name == "postgresql":
        count_on = f"SELECT setval({_SEQUENCE}, greatest(:highest, 1), :highest > 0)"
        tx.execute(text(count_on), {"table": table, "highest": highest})
    elif numbered.dialect_options["sqlite"]["autoincrement"]:
        tx.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table})
        given = {"table": table, "highest": highest}
        tx.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :highest)"), given)


def _doubt(tx: Connection) -> None:
    """The CRM has gone on since the backup: by our own hand, and we do not know any more what of it that was.

    What it shows is where the next full run of each connection goes on from, as at its baseline: no stage is taken for
    a person's edit, and sales is told of nobody whom that run finds ready, for it may have been told. What was queued
    may have gone out: a task is looked up, a webhook repeated under its key, a message marked or held. What was to be
    written is decided anew. A person's word on a plan at the fuse holds once, and may have been used up.
    """
    same = (KEY[0] == RECORD_KEY[0]) & (KEY[1] == RECORD_KEY[1]) & (KEY[2] == RECORD_KEY[2])
    unwritten = select(records.c.lead_id).select_from(write_backs.join(records, same))
    again = update(leads).where(leads.c.id.in_(unwritten.where(write_backs.c.pending.is_not(None))))
    touched = leads.c.touched.bitwise_or(BITS["profile"])
    tx.execute(again.values(touched=touched, revision=leads.c.revision + 1))
    tx.execute(delete(write_backs))
    queued = update(notices).where(notices.c.state.in_((*UNSENT, "sending")))
    tx.execute(queued.values(state="uncertain", unsure=True))
    tx.execute(update(connections).values(baseline_at=None, due_at=None, approved=None))
