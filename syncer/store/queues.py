"""The fleet's queue: a schema of PostgreSQL's with the tables of one version of the queue's library.

It rings and knows nothing that is not known elsewhere, so a schema is made where it is missing and dropped where nobody
uses it; none is ever migrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql
from sqlalchemy import ColumnElement, Connection, func, select, text
from sqlalchemy.exc import ProgrammingError

from syncer.errors import ConfigError
from syncer.store.database import Store
from syncer.store.sql import now_ms

Call = Literal["sync", "resume", "follow", "deliver", "score"]
"""What is done for a connection; "score" for a run of one."""

PREFIX = "syncer_queue_"
_LOCK = 0x53594E51  # of everybody who makes or drops a schema
_UNUSED_MS = 24 * 3600 * 1000
_DEAD_S = 30.0  # a worker of the queue's tells every 10 s that it lives


@dataclass(frozen=True, slots=True)
class Queue:
    """One schema. Its name is made of letters, digits and underscores."""

    schema: str

    def waits(self, call: Call, connection: ColumnElement[str]) -> ColumnElement[bool]:
        """Whether such a job for the connection of that name waits already."""
        jobs = f"SELECT args->>'name' FROM {self.schema}.procrastinate_jobs WHERE status = 'todo' AND task_name = "
        return connection.in_(text(f"{jobs}'{call}'"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that could begin now."""

    jobs: int
    oldest_s: float  # how long the first of them has waited


def make(store: Store, queue: Queue, script: str) -> None:
    """Make the schema by the library's own script unless it is there, say that it is used, and drop those that nobody
    has used for a day. ConfigError (SY242) where the database does not let us."""
    try:
        with store.writing() as tx:
            tx.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            if _jobs_of(tx, queue.schema) is None:
                _begin(tx, queue, script)
            used_ms = tx.execute(select(now_ms(tx))).scalar_one()
            tx.execute(text(f"COMMENT ON SCHEMA {queue.schema} IS 'used at {used_ms}'"))
            for schema in _unused(tx, used_ms):
                tx.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise ConfigError(
            f"the database {store.name} does not let us make the schema {queue.schema}, in which workers keep their "
            "queue; GRANT CREATE ON DATABASE … TO this user",
            code="SY242",
        ) from error


def _jobs_of(tx: Connection, schema: str) -> str | None:
    found: str | None = tx.execute(
        text("SELECT to_regclass(:jobs)::text"), {"jobs": f"{schema}.procrastinate_jobs"}
    ).scalar()
    return found


def _begin(tx: Connection, queue: Queue, script: str) -> None:
    tx.execute(text(f"CREATE SCHEMA IF NOT EXISTS {queue.schema}"))
    with inside(tx, queue):
        driver(tx).execute(sql.SQL(script))  # several statements, which SQLAlchemy would not pass on


@contextmanager
def inside(tx: Connection, queue: Queue) -> Iterator[None]:
    """In the block, names without a schema are the queue's."""
    tx.execute(text(f"SET LOCAL search_path TO {queue.schema}"))
    yield
    tx.execute(text("SET LOCAL search_path TO DEFAULT"))


def driver(tx: Connection) -> psycopg.Connection[Any]:
    """The driver's own connection of a transaction on PostgreSQL."""
    connection = tx.connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def _unused(tx: Connection, now: int) -> list[str]:
    """A schema without our comment is somebody else's."""
    found = tx.execute(
        text(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix) AND nspname ~ '^[a-z0-9_]+$'"
            " AND substring(obj_description(oid, 'pg_namespace') FROM '^used at ([0-9]+)$')::bigint < :before"
        ),
        {"prefix": PREFIX, "before": now - _UNUSED_MS},
    )
    return sorted(found.scalars())


def drop_left(tx: Connection, queue: Queue) -> None:
    """Forget jobs whose worker died over them: whoever needs one rings again."""
    with inside(tx, queue):
        tx.execute(text("SELECT procrastinate_prune_stalled_workers_v1(:seconds)"), {"seconds": _DEAD_S})
        tx.execute(text("DELETE FROM procrastinate_jobs WHERE status <> 'todo' AND worker_id IS NULL"))


def forget(tx: Connection, queue: Queue, call: Call, name: str) -> None:
    """Such jobs for the connection of that name that have not begun."""
    theirs = "status = 'todo' AND task_name = :call AND args->>'name' = :name"
    with inside(tx, queue):
        tx.execute(text(f"DELETE FROM procrastinate_jobs WHERE {theirs}"), {"call": call, "name": name})


def waiting(tx: Connection) -> Waiting | None:
    """What waits in the queues of all versions; None: there is no queue."""
    if tx.dialect.name != "postgresql":
        return None
    like = {"prefix": PREFIX}
    schemas = tx.execute(text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix)"), like).scalars()
    found = [_waiting(tx, schema) for schema in sorted(schemas) if _jobs_of(tx, schema) is not None]
    if not found:
        return None
    return Waiting(sum(each.jobs for each in found), max(each.oldest_s for each in found))


def _waiting(tx: Connection, schema: str) -> Waiting:
    could = "status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())"
    since = f"SELECT min(at) FROM {schema}.procrastinate_events e WHERE e.job_id = j.id"
    row = tx.execute(
        text(
            f"SELECT count(*), coalesce(extract(epoch FROM now() - min(({since}))), 0)"
            f" FROM {schema}.procrastinate_jobs j WHERE {could}"
        )
    ).one()
    return Waiting(row[0], max(float(row[1]), 0.0))
