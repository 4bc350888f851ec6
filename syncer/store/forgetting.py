"""Forgetting a person because they ask for it: erased in every table, held against runs, searched for afterwards.

Whoever works on a connection has leads in memory and messages on the way, so its lease is taken first: a run that is
under way ends before, and none that was frozen writes after. The tombstones stay (see `erasure`), so that a CRM that
goes on showing the person brings nothing back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from syncer.errors import TemporaryError
from syncer.model import RecordKey
from syncer.store import erasure, leases, people, traces
from syncer.store.database import Store
from syncer.store.erasure import WIPED, Tally
from syncer.store.leases import Lease
from syncer.store.records import Forgotten, email_key
from syncer.store.sql import among, keys_among
from syncer.store.tables import (
    RECORD_KEY,
    activity_links,
    answers,
    handoffs,
    leads,
    metadata,
    notices,
    overrides,
    past_versions,
    readings,
    records,
    transitions,
)

_POLL_S = 0.25
PATIENCE_S = 10.0  # with somebody who reads the database while its log shall be emptied
_LOCKED_FOR_S = 10
_UNREMOVABLE = re.compile(r"([0-9]+) (?:are dead but not yet removable|dead row versions cannot be removed)")


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of the leads: their records, what they can be known by, how many rows tell of them, and the
    connections whose runs may have them in memory."""

    leads: tuple[int, ...]
    keys: tuple[RecordKey, ...]
    emails: tuple[str, ...]  # as they are compared
    traces: tuple[traces.Trace, ...]
    rows: Mapping[str, int]
    connections: tuple[str, ...]


def held(tx: Connection, lead_ids: Sequence[int]) -> Held:
    found = tx.execute(select(*RECORD_KEY, records.c.email_key).where(among(tx, records.c.lead_id, lead_ids)))
    shown = found.all()
    keys = tuple(sorted(RecordKey(*row[:3]) for row in shown))
    homes = set(tx.execute(select(leads.c.connection).where(among(tx, leads.c.id, lead_ids))).scalars())
    known = traces.of_leads(tx, lead_ids)
    emails = {email_key(each.value) or "" for each in known if each.kind == "e-mail address"}
    return Held(
        tuple(lead_ids),
        keys,
        tuple(sorted(emails)),
        known,
        _rows(tx, lead_ids, keys),
        tuple(sorted(homes | {key.connection for key in keys})),
    )


def _rows(tx: Connection, lead_ids: Sequence[int], keys: Sequence[RecordKey]) -> dict[str, int]:
    """Table -> how many of its rows tell of them."""

    def count(table: Table, *where: Any) -> int:
        return tx.execute(select(func.count()).select_from(table).where(*where)).scalar_one()

    def of_records(table: Table) -> Any:
        return keys_among(tx, (table.c.connection, table.c.object, table.c.record_id), keys)

    told = select(handoffs.c.key).where(among(tx, handoffs.c.lead_id, lead_ids))
    counted = {records.name: len(keys)}
    counted |= {table.name: count(table, of_records(table)) for table in (activity_links, readings, past_versions)}
    counted |= {table.name: count(table, among(tx, table.c.lead_id, lead_ids)) for table in _OF_LEADS}
    return counted | {table.name: count(table, table.c.handoff_key.in_(told)) for table in (notices, answers)}


_OF_LEADS = (handoffs, overrides, transitions)


@contextmanager
def leased(
    store: Store, connections: Sequence[str], holder: str, wait_s: float, tell: Callable[[str], None]
) -> Iterator[list[Lease]]:
    """The leases of all these connections; TemporaryError (SY221) where one is not free in time. `tell` is given the
    name of the first one that has to be waited for."""
    until, waited = time.monotonic() + wait_s, False
    with ExitStack() as stack:
        taken: list[Lease] = []
        for name in sorted(connections):
            while (lease := leases.take(store, name, holder=holder, ttl_s=leases.ttl_s(store))) is None:
                if time.monotonic() >= until:
                    raise TemporaryError(
                        f"{name}: a run is at work and may hold what is to be forgotten; nothing was erased; try again "
                        "when it has ended, or wait for it longer with --timeout",
                        code="SY221",
                    )
                if not waited:
                    tell(name)
                waited = True
                time.sleep(_POLL_S)
                for own in taken:  # on PostgreSQL they last for seconds
                    with store.writing(own):
                        pass
            stack.callback(leases.release, store, lease)
            taken.append(lease)
        yield taken


def forget(store: Store, held_leases: Sequence[Lease], person: Held, by: Forgotten) -> tuple[Held, Tally]:
    """Erase it all in one transaction; (what was held, which a run may have changed since `person` was read, what was
    erased). TemporaryError (SY221) where one of the leads has become another's, or has got a record of a connection
    whose lease was not taken, since then: nothing is erased."""
    with store.writing() as tx:
        for lease in held_leases:
            leases.renew(tx, lease)
        people.lock(tx)  # nobody joins or splits them meanwhile
        theirs = select(*RECORD_KEY).where(among(tx, records.c.lead_id, person.leads))
        if tuple(sorted(RecordKey(*row) for row in tx.execute(theirs))) != person.keys:
            raise TemporaryError(
                "what is known of them changed just now, and nothing was erased; try again", code="SY221"
            )
        return held(tx, person.leads), erasure.forget(tx, person.leads, by)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a SQLite database; `clean`: no byte of it names the person."""

    name: str
    size: int
    clean: bool


def database_files(store: Store) -> tuple[Path, ...]:
    """A SQLite database's own, as far as they are there; of PostgreSQL none can be seen from here."""
    if store.dialect != "sqlite":
        return ()
    path = store.name.removeprefix("sqlite:///")
    files = (Path(path), Path(f"{path}-wal"), Path(f"{path}-shm"))
    return tuple(each for each in files if each.is_file())


def search_files(store: Store, sought: Sequence[str], patience_s: float = PATIENCE_S) -> tuple[File, ...]:
    """The bytes of the database. Its log cannot be emptied while somebody reads, so that is tried for a while."""
    until = time.monotonic() + patience_s
    while True:
        found = tuple(
            File(each.name, each.stat().st_size, not traces.in_file(each, sought)) for each in database_files(store)
        )
        if all(each.clean for each in found) or time.monotonic() >= until:
            return found
        with store.writing() as tx:
            tx.info[WIPED] = True
        time.sleep(_POLL_S)


def vacuum(store: Store, tables: Sequence[str]) -> dict[str, str]:
    """PostgreSQL keeps old versions of rows until its tables are vacuumed: table -> why that could not be done, or not
    wholly. Empty on SQLite, which overwrites what is deleted."""
    if store.dialect == "sqlite":
        return {}
    with store.writing() as tx:
        engine: Engine = tx.engine
    told = {name: _vacuum(engine, name) for name in tables if name in metadata.tables}
    return {name: why for name, why in told.items() if why}


def _vacuum(engine: Engine, table: str) -> str:
    said: list[tuple[str, str]] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        severity = notice.severity_nonlocalized or notice.severity or ""
        said.append((severity, f"{notice.message_primary} {notice.message_detail or ''}"))

    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            raw: Any = connection.connection.driver_connection
            raw.add_notice_handler(hear)
            try:
                connection.execute(text(f"SET lock_timeout = '{_LOCKED_FOR_S}s'"))
                connection.execute(text(f"VACUUM (VERBOSE) {table}"))
            finally:
                connection.execute(text("RESET lock_timeout"))
                raw.remove_notice_handler(hear)
    except DBAPIError as error:
        return " ".join(str(error.orig).split())
    return _trouble(said)


def _trouble(said: Sequence[tuple[str, str]]) -> str:
    """PostgreSQL only warns of a table that it may not vacuum, and of rows that somebody may still see it only speaks
    where it is asked to, in the language of its server. `said`: (severity, text)."""
    refused = next((told for severity, told in said if severity == "WARNING"), "")
    if refused:
        return refused.strip()
    counts = [int(count) for _, told in said for count in _UNREMOVABLE.findall(told)]
    if not counts:
        return "the server does not say in English how many old row versions are left"
    return f"{sum(counts)} old row versions are still seen by transactions that began before" if sum(counts) else ""
