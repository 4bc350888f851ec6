"""Runs and the rows of connections."""

from __future__ import annotations

import pytest

from syncer.errors import NotFound
from syncer.model import Run
from syncer.store import Store, open_store, runs
from tests.store.samples import HOUR, NOW


def test_a_run_is_kept_from_its_start_to_its_end(store: Store) -> None:
    with store.writing() as tx:
        first = runs.start(tx, "crm", NOW)
        assert runs.get(tx, first) == Run(first, "crm", NOW)
        runs.finish(tx, first, "partial", {"read": 3}, "one stream failed", NOW + HOUR)
        second = runs.start(tx, "crm", NOW + HOUR)
        runs.start(tx, "other", NOW)
        assert runs.get(tx, first) == Run(first, "crm", NOW, NOW + HOUR, "partial", {"read": 3}, "one stream failed")
        assert [run.id for run in runs.last(tx, "crm", 5)] == [second, first]
        assert [run.id for run in runs.last(tx, "crm", 1)] == [second]


def test_a_run_that_does_not_exist_is_said_to_be_missing(store: Store) -> None:
    with store.writing() as tx:
        with pytest.raises(NotFound):
            runs.get(tx, 99)
        with pytest.raises(NotFound):
            runs.finish(tx, 99, "ok", {}, None, NOW)


def test_runs_that_a_crash_left_open_are_closed_as_crashed(store: Store) -> None:
    with store.writing() as tx:
        left = runs.start(tx, "crm", NOW)
        others = runs.start(tx, "other", NOW)
        assert runs.interrupted(tx, "crm", NOW + HOUR) == 1
        assert runs.get(tx, left).outcome == "crashed"
        assert runs.get(tx, left).finished_at == NOW + HOUR
        assert runs.get(tx, others).outcome == "running"


def test_a_connection_remembers_its_account_baseline_models_and_due_time(store: Store) -> None:
    with store.writing() as tx:
        assert runs.account(tx, "crm") is None
        assert runs.models(tx, "crm") is None
        assert runs.due_at(tx, "crm") is None
        assert not runs.baseline_done(tx, "crm")
        runs.set_account(tx, "crm", "hubspot:1")
        runs.set_baseline(tx, "crm", NOW)
        runs.set_models(tx, "crm", "b2b@1")
        runs.set_due(tx, "crm", NOW + HOUR)
    with store.reading() as tx:
        assert runs.account(tx, "crm") == "hubspot:1"
        assert runs.baseline_done(tx, "crm")
        assert runs.models(tx, "crm") == "b2b@1"
        assert runs.due_at(tx, "crm") == NOW + HOUR
        assert not runs.baseline_done(tx, "other")


def test_a_database_keeps_its_name(store: Store, database_url: str) -> None:
    with store.reading() as tx:
        name = runs.installation(tx)
    again = open_store(database_url)
    with again.reading() as tx:
        assert runs.installation(tx) == name
    again.close()
    assert len(name) == 12
