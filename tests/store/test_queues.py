"""The queue's schema: made where it is missing, dropped where nobody uses it. On PostgreSQL alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from procrastinate.schema import SchemaManager
from sqlalchemy import text

from syncer.errors import ConfigError
from syncer.store import Store, open_store, queues
from syncer.store.queues import Queue
from tests.conftest import PostgreSQL

QUEUE = Queue("syncer_queue_0_1")
SCRIPT = SchemaManager.get_schema()


@pytest.fixture(scope="module")
def database(postgresql: PostgreSQL) -> Iterator[str]:
    url = postgresql.new_database()
    yield url
    postgresql.drop(url)


@pytest.fixture
def fleet(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def schemas(store: Store) -> list[str]:
    with store.reading() as tx:
        found = tx.execute(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'syncer%' ORDER BY 1"))
        return list(found.scalars())


def test_six_that_begin_at_once_on_an_empty_database_make_one_queue(database: str) -> None:
    def begin(_number: int) -> int:
        store = open_store(database)
        try:
            queues.make(store, QUEUE, SCRIPT)
            with store.reading() as tx:
                found = queues.waiting(tx)
            return -1 if found is None else found.jobs
        finally:
            store.close()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(begin, range(6))) == [0] * 6


def test_a_queue_that_nobody_has_used_for_a_day_is_dropped_and_others_are_left_alone(fleet: Store) -> None:
    yesterday = round((time.time() - 25 * 3600) * 1000)
    with fleet.writing() as tx:
        for schema, comment in (
            ("syncer_queue_0_0", f"used at {yesterday}"),
            ("syncer_queue_0_2", f"used at {yesterday + 7_200_000}"),
            ("syncer_queue_of_mine", "of somebody else"),
            ("syncer_other", f"used at {yesterday}"),
        ):
            tx.execute(text(f"CREATE SCHEMA {schema}"))
            tx.execute(text(f"COMMENT ON SCHEMA {schema} IS '{comment}'"))
    queues.make(fleet, QUEUE, SCRIPT)
    assert schemas(fleet) == ["syncer_other", "syncer_queue_0_1", "syncer_queue_0_2", "syncer_queue_of_mine"]
    queues.make(fleet, QUEUE, SCRIPT)
    assert len(schemas(fleet)) == 4


def test_where_we_may_not_make_a_schema_a_person_is_told_what_to_grant(fleet: Store, database: str) -> None:
    with fleet.writing() as tx:
        tx.execute(text("CREATE ROLE modest LOGIN"))
        tx.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO modest"))
    modest = open_store(database.replace("postgres:@", "modest:@"), migrate=False)
    try:
        with pytest.raises(ConfigError, match="GRANT CREATE ON DATABASE") as raised:
            queues.make(modest, QUEUE, SCRIPT)
        assert raised.value.code == "SY242"
    finally:
        modest.close()
        with fleet.writing() as tx:
            tx.execute(text("DROP OWNED BY modest"))
            tx.execute(text("DROP ROLE modest"))


def test_a_job_whose_worker_died_over_it_is_forgotten_and_one_of_a_living_worker_is_not(fleet: Store) -> None:
    queues.make(fleet, QUEUE, SCRIPT)
    with fleet.writing() as tx:
        tx.execute(text(f"SET LOCAL search_path TO {QUEUE.schema}"))
        for age_s in (3, 40):
            worker = tx.execute(text("SELECT worker_id FROM procrastinate_register_worker_v1()")).scalar_one()
            beat = f"UPDATE procrastinate_workers SET last_heartbeat = now() - interval '{age_s}s' WHERE id = {worker}"
            tx.execute(text(beat))
            columns = "(queue_name, task_name, status, worker_id)"
            job = f"INSERT INTO procrastinate_jobs {columns} VALUES ('syncer', 'of {age_s}', 'doing', {worker})"
            tx.execute(text(job))
    with fleet.writing() as tx:
        queues.drop_left(tx, QUEUE)
        assert tx.execute(text(f"SELECT task_name FROM {QUEUE.schema}.procrastinate_jobs")).scalars().all() == ["of 3"]
