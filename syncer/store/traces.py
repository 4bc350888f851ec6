"""What a person can be known by, and a search for it through every table and every byte: the proof of an erasure.

Looked for are values that name one person alone: e-mail addresses, whole names, phone numbers, the address of their
page in the CRM. Not a company, a city or a job, which colleagues share, nor a single word of a name, which others bear.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    Text,
    cast,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from syncer.model import RecordKey, Value
from syncer.store.columns import CleanText, Json
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, keys_among
from syncer.store.tables import RECORD_KEY, handoffs, metadata, past_versions, records

Kind = Literal["e-mail address", "name", "phone number", "page in the CRM"]

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,250}\.[^@\s]{2,63}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{5,24}")
_OF_PHONES = ("phone", "mobile", "tel", "fax", "movil", "móvil", "whatsapp")
_FEWEST_DIGITS = 7
_OF_MAIL = ("mail", "correo")
_KEYS = frozenset({"id", "record_id", "key", "handoff_key", "record", "merged_into", "digest"})
_CHUNK = 1 << 23  # bytes
_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Trace:
    """One value that names a person, as it was written."""

    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """So many cells of a column name the person still."""

    table: str
    column: str
    cells: int


@dataclass(frozen=True, slots=True)
class Searched:
    """`keys`: cells that name a record whose key is itself such a value, as where a table of leads has no other key
    than the e-mail address; without them the person would come back."""

    cells: int
    found: tuple[Found, ...] = ()
    keys: int = 0


def of_leads(tx: Connection, lead_ids: Sequence[int]) -> tuple[Trace, ...]:
    """What these leads can be known by, as far as the database knows it: now, before, and in what was told of them."""
    theirs = select(*RECORD_KEY, *(records.c[name] for name in ("email", "name", "url", "owner", "fields")))
    rows = tx.execute(theirs.where(among(tx, records.c.lead_id, lead_ids))).all()
    traces: dict[Trace, None] = {}
    for row in rows:
        traces |= dict.fromkeys(_of_face(row.email, row.name, row.url))
        traces |= dict.fromkeys(_of_fields(row.fields, row.owner))
    columns = (past_versions.c.connection, past_versions.c.object, past_versions.c.record_id)
    past = select(past_versions.c.fields).where(keys_among(tx, columns, [RecordKey(*row[:3]) for row in rows]))
    for fields in tx.execute(past).scalars():
        traces |= dict.fromkeys(_of_fields(fields, None))
    told = select(handoffs.c.payload).where(among(tx, handoffs.c.lead_id, lead_ids))
    for each in map(HANDOFF.value, tx.execute(told).scalars()):
        traces |= dict.fromkeys(_of_face(each.email, each.name, each.url))
    return tuple(traces)


def _of_face(email: str | None, name: str | None, url: str | None) -> Iterator[Trace]:
    if email and email.strip():
        yield Trace("e-mail address", email.strip())
    if name and len(name.split()) > 1:
        yield Trace("name", name.strip())
    if url:
        yield Trace("page in the CRM", url)


def _of_fields(fields: Mapping[str, Value] | None, owner: str | None) -> Iterator[Trace]:
    for name, value in (fields or {}).items():
        text, of = str(value or "").strip(), name.casefold()
        if any(word in of for word in _OF_MAIL) and _ADDRESS.fullmatch(text) and text != owner:
            yield Trace("e-mail address", text)
        elif _is_phone(of, text):
            yield Trace("phone number", text)


def _is_phone(field: str, text: str) -> bool:
    told = text.startswith("+") or any(word in field for word in _OF_PHONES)
    return told and bool(_PHONE.fullmatch(text)) and sum(map(str.isdecimal, text)) >= _FEWEST_DIGITS


def needles(traces: Iterable[Trace]) -> tuple[str, ...]:
    """The values as they may be written: in small and in capital letters, and within JSON; what is ASCII in small ones
    alone, because the search does not tell these apart."""
    found: dict[str, None] = {}
    for value in (each.value for each in traces):
        ways = (value, value.lower(), value.upper(), value.title(), value.casefold())
        found |= dict.fromkeys(_small(each) for way in ways for each in (way, orjson.dumps(way).decode()[1:-1]))
    return tuple(found)


def apart_from_keys(traces: Iterable[Trace], keys: Iterable[RecordKey]) -> tuple[str, ...]:
    """The needles but for those values that stand in the keys of the person's own records, and so stay."""
    texts = [key.id for key in keys]
    return needles(each for each in traces if not any(names(text, needles([each])) for text in texts))


def _small(text: str) -> str:
    return text.encode().lower().decode()  # ASCII alone, as SQLite does it


def names(text: str, sought: Sequence[str]) -> bool:
    """Whether the text holds one of the needles."""
    return any(each in way for way in (_small(text), text.lower()) for each in sought)


def search(tx: Connection, sought: Sequence[str], keys: Iterable[RecordKey] = ()) -> Searched:
    """Every text, JSON and binary column of every table. `keys`: of the person's records."""
    in_keys = any(names(key.id, sought) for key in keys)
    cells, found = 0, []
    for table in metadata.sorted_tables:
        for column, filled, hits in _search_table(tx, table, sought):
            cells += filled
            if hits:
                found.append(Found(table.name, column, hits))
    theirs = [each for each in found if in_keys and _names_records(each)]
    return Searched(cells, tuple(each for each in found if each not in theirs), sum(each.cells for each in theirs))


def _names_records(found: Found) -> bool:
    """A hand-off's payload repeats the key of its record."""
    return found.column in _KEYS or (found.table, found.column) == (handoffs.name, "payload")


def _search_table(tx: Connection, table: Table, sought: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(column, how many cells it has, how many of them hold one of the needles)."""
    columns = [each for each in table.c if isinstance(each.type, CleanText | Json | LargeBinary)]
    if not columns or not sought:
        return
    filled = tx.execute(select(*(func.count(each) for each in columns)).select_from(table)).one()
    hits: Sequence[int] = [0] * len(columns)
    if _anywhere(tx, columns, sought):
        wanted = select(*(func.count().filter(_holds(tx, each, sought)) for each in columns))
        hits = tx.execute(wanted.select_from(table)).one()
    for place, column in enumerate(columns):
        yield column.name, filled[place], hits[place]


def _anywhere(tx: Connection, columns: Sequence[Column[Any]], sought: Sequence[str]) -> bool:
    """Whether it is worth asking the database for each cell: Python looks through many at once, at a tenth of that."""
    texts = [type_coerce(each, Text) for each in columns if not isinstance(each.type, LargeBinary)]
    binary = [each for each in columns if isinstance(each.type, LargeBinary)]
    with tx.execute(select(*texts, *binary).execution_options(yield_per=_ROWS)) as found:
        for rows in found.partitions():
            many = [cell for row in rows for cell in row if cell]
            if names("\0".join(each if isinstance(each, str) else _as_text(each) for each in many), sought):
                return True
    return False


def _as_text(content: bytes) -> str:
    return bytes(content).decode("utf-8", "replace")


def _holds(tx: Connection, column: Column[Any], sought: Sequence[str]) -> ColumnElement[bool]:
    """PostgreSQL's lower() knows all letters, SQLite's the ASCII ones; `needles` has both."""
    if isinstance(column.type, LargeBinary):
        return or_(*(_place(tx, column, literal(each.encode(), LargeBinary)) > 0 for each in sought))
    small = func.lower(cast(type_coerce(column, Text), Text))
    return or_(*(_place(tx, small, literal(each, Text)) > 0 for each in sought))


def _place(tx: Connection, where: ColumnElement[Any], what: ColumnElement[Any]) -> ColumnElement[int]:
    if tx.dialect.name == "sqlite":
        return func.instr(where, what)
    return func.strpos(where, what) if not isinstance(what.type, LargeBinary) else func.position(what.op("IN")(where))


def in_file(path: Path, sought: Sequence[str]) -> bool:
    """Whether a byte of the file names the person; a workbook is looked into. OSError where it cannot be read."""
    texts = [each.encode(coding) for each in sought for coding in ("utf-8", "utf-16-le")]
    with path.open("rb") as file:
        if _in_stream(file, texts):
            return True
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_in_member(archive, each, texts) for each in archive.namelist())
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise OSError(f"it is not a whole archive: {error}") from error


def _in_member(archive: zipfile.ZipFile, name: str, texts: Sequence[bytes]) -> bool:
    with archive.open(name) as member:
        return _in_stream(member, texts)


def _in_stream(file: IO[bytes], texts: Sequence[bytes]) -> bool:
    longest, rest = max(map(len, texts), default=1), b""
    while chunk := file.read(_CHUNK):
        content = rest + chunk.lower()
        if any(each in content for each in texts):
            return True
        rest = content[-longest:]
    return False
