"""What a person can be known by, and a search for it through every table and every byte: the proof of an erasure.

Looked for are values that name one person alone: e-mail addresses, whole names, phone numbers, the address of their
page in the CRM. Not a company, a city or a job, which colleagues share, nor a single word of a name, which others bear.
"""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import orjson
from sqlalchemy import Column, Connection, LargeBinary, Text, func, select, type_coerce

from syncer.model import RecordKey, Value
from syncer.store.columns import CleanText, Json
from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, keys_among
from syncer.store.tables import RECORD_KEY, audit, handoffs, metadata, past_versions, records

Kind = Literal["e-mail address", "name", "phone number", "page in the CRM"]

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,250}\.[^@\s]{2,63}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{5,24}")
_OF_PHONES = ("phone", "mobile", "tel", "fax", "movil", "móvil", "whatsapp")
_FEWEST_DIGITS = 7
_SHORTEST_ADDRESS = 6
_OF_MAIL = ("mail", "correo")
_KEYS = frozenset({"id", "record_id", "key", "handoff_key", "record", "merged_into", "digest"})
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError, EOFError, ValueError)
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
    than the e-mail address; without them the person would come back. `within`: the needles that stand within longer
    words, as ana@acme.es in mariana@acme.es: those are somebody else's, but no byte of a file can tell."""

    cells: int
    found: tuple[Found, ...] = ()
    keys: int = 0
    within: frozenset[str] = frozenset()


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
    if email and "@" in email and len(email.strip()) >= _SHORTEST_ADDRESS:  # not "-" or "n/a"
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
    cells, found, within = 0, [], set[str]()
    for table in metadata.sorted_tables if sought else ():
        if columns := [each for each in table.c if isinstance(each.type, CleanText | Json | LargeBinary)]:
            cells += sum(tx.execute(select(*(func.count(each) for each in columns)).select_from(table)).one())
            hits, only_within = _search_table(tx, columns, sought)
            found += [Found(table.name, each.name, hits[each.name]) for each in columns if hits[each.name]]
            within |= only_within
    theirs = [each for each in found if in_keys and _names_records(each)]
    others = tuple(each for each in found if each not in theirs)
    return Searched(cells, others, sum(each.cells for each in theirs), frozenset(within))


def _names_records(found: Found) -> bool:
    """A hand-off's payload repeats the key of its record, and an act may be about it."""
    return found.column in _KEYS or (found.table, found.column) in ((handoffs.name, "payload"), (audit.name, "about"))


def _search_table(
    tx: Connection, columns: Sequence[Column[Any]], sought: Sequence[str]
) -> tuple[Counter[str], set[str]]:
    """(column -> how many of its cells name the person, the needles that stand within longer words there). Many cells
    are looked through at once, which takes a tenth of the time, and one by one where there is something."""
    hits, within = Counter[str](), set[str]()
    texts = [each if isinstance(each.type, LargeBinary) else type_coerce(each, Text) for each in columns]
    with tx.execute(select(*texts).execution_options(yield_per=_ROWS)) as found:
        for rows in found.partitions():
            shown = [[_as_text(cell) for cell in row] for row in rows]
            if not names("\0".join(cell for row in shown for cell in row), sought):
                continue
            for row in shown:
                for column, cell in zip(columns, row, strict=True):
                    named, only_within = _said(cell, sought)
                    hits[column.name] += named
                    within |= only_within
    return hits, within


def _as_text(content: str | bytes | None) -> str:
    return content if isinstance(content, str) else bytes(content or b"").decode("utf-8", "replace")


def _said(text: str, sought: Sequence[str]) -> tuple[bool, set[str]]:
    """(whether one of the needles stands there by itself, those that stand there within longer words)."""
    ways = (_small(text), text.lower())
    there = {each for each in sought if any(each in way for way in ways)}
    alone = {each for each in there if any(_alone(each).search(way) for way in ways)}
    return bool(alone), there - alone


@lru_cache(maxsize=1024)
def _alone(needle: str) -> re.Pattern[str]:
    """Not as a part of somebody else's: ana@acme.es of mariana@acme.es, /contacts/5 of /contacts/51. What JSON escapes
    ends in a letter, and is none. The digits of a phone number are the same one behind others."""
    if _PHONE.fullmatch(needle):
        return re.compile(re.escape(needle))
    begins = r"(?:(?<!\w)(?<!\w[.+-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))"
    return re.compile(rf"{begins}{re.escape(needle)}(?!\w)")


def borne_by_others(tx: Connection, traces: Iterable[Trace]) -> dict[Trace, int]:
    """The names that other records bear still, and how many do: asked once the person's own are erased. They name
    nobody alone."""
    own = [each for each in traces if each.kind == "name"]
    counts = Counter[Trace]()
    shown = select(records.c.name).where(records.c.name.is_not(None)).execution_options(yield_per=_ROWS)
    with tx.execute(shown) as found:
        for many in found.scalars().partitions() if own else ():
            whole = "\0".join(many)
            for trace in (each for each in own if names(whole, needles([each]))):
                counts[trace] += sum(_said(each, needles([trace]))[0] for each in many)
    return {trace: count for trace, count in counts.items() if count}


def in_file(path: Path, sought: Sequence[str]) -> bool:
    """Whether a byte of the file names the person; a workbook is looked into. OSError where it cannot be read."""
    texts = list({written for each in sought for written in _encoded(each)})
    with path.open("rb") as file:
        if _in_stream(file, texts):
            return True
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_in_member(archive, each, texts) for each in archive.namelist())
    except _BROKEN as error:
        raise OSError(f"it is not a whole archive: {error}") from error


def _encoded(needle: str) -> Iterator[bytes]:
    """As files write it, Excel's CSV files too."""
    yield from (needle.encode(coding) for coding in ("utf-8", "utf-16-le"))
    with suppress(UnicodeEncodeError):
        yield needle.encode("cp1252")


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
