"""From a change in the portal to sales, by webhook: a running daemon, with a search that lags by minutes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from syncer.model import Run
from syncer.store import Store, hints, open_store, runs
from tests.runs.house import ENVIRONMENT, House
from tests.terminal import Process
from tests.web.calling import SECRET, Caller, changes, free_port

pytestmark = pytest.mark.slow  # each waits for a daemon

PATIENCE_S = 30.0
"""What takes a few seconds may take so long where the machine is busy; the interval is 15 minutes."""
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The daemon is the same on both; what the database does for it, the first test looks at."""
SUBSCRIPTIONS = ("contact.propertyChange:jobtitle", "contact.associationChange", "contact.privacyDeletion")


@pytest.fixture
def kept(house: House) -> Iterator[Store]:
    """The daemon's database, looked at from outside."""
    store = open_store(house.database_url)
    yield store
    store.close()


@contextmanager
def daemon(house: House, caller: Caller, *, listens: bool = True, **wishes: float) -> Iterator[Process]:
    """A daemon that syncs every 15 minutes; HubSpot calls it, or with `listens=False` nobody does. `wishes`: constants
    of syncer.daemon, or syncer.service's WATCH_S; with any, pauses between the tries of one request last no time."""
    house.setup()
    version = "v3" if house.database_url.startswith("sqlite") else "2026-09"
    url = f"{caller.origin}/hooks/crm"
    path = house.folder / "syncer.yml"
    hooks = f"    api_version: '{version}'\n    webhooks:\n      secret: ${{HUBSPOT_APP_SECRET}}\n      url: {url}\n"
    text = path.read_text().replace("    lag: 0s\n", "    lag: 0s\n" + hooks)
    path.write_text(f"{text}web: {{port: {caller.port}}}\n")
    if listens:
        house.control("webhooks", url=url, secret=SECRET, subscriptions=SUBSCRIPTIONS)
    words = ["--config", str(path), "--database-url", house.database_url, "--log-style", "json", "daemon"]
    environment = {**ENVIRONMENT, "HUBSPOT_APP_SECRET": SECRET, "SYNCER_DRAIN_S": "5"}
    told = {f"syncer.{'service' if name == 'WATCH_S' else 'daemon'}:{name}": value for name, value in wishes.items()}
    program = ["-m", "tests.impatient", orjson.dumps(told).decode()] if wishes else ["-m", "syncer.cli"]
    with Process([*program, *words], house.folder, environment) as process:
        yield process
        assert process.stop(10) == 0
        assert process.events("hook_crashed") + process.events("run_crashed") == []
    caller.pool.clear()


def all_runs(store: Store) -> Sequence[Run]:
    """The latest first."""
    with store.reading() as tx:
        return runs.last(tx, "crm", 100)


def due(store: Store) -> datetime:
    with store.reading() as tx:
        return runs.due_at(tx, "crm") or datetime.now(UTC)


def rests(store: Store) -> bool:
    """The first run is over, and the next one far away."""
    return due(store) > datetime.now(UTC) + timedelta(minutes=10)


def quiet(store: Store) -> bool:
    """No hint waits, and nothing runs."""
    with store.reading() as tx:
        return not hints.waiting(tx, "crm", 1) and runs.last(tx, "crm")[0].outcome != "running"


def test_case_49_sales_is_told_within_seconds_though_search_lags_and_the_interval_is_long(
    house: House, kept: Store
) -> None:
    ana = house.person(country="MX", jobtitle="Directora", email="ana@acme.example")
    cold = house.person(country="FR")
    house.meeting(ana)
    with daemon(house, Caller(free_port())) as process:
        process.until(lambda: rests(kept), "the first run is done")
        house.control("manners", index_lag_s=600)
        (first,) = all_runs(kept)
        next_run = due(kept)
        house.forget_calls()

        begun = time.monotonic()
        house.meeting(ana)
        process.until(house.told, "sales is told", within_s=PATIENCE_S)
        took_s = time.monotonic() - begun
        (told,) = house.told()
        assert told["lead"]["email"] == "ana@acme.example"

        house.edit(cold, jobtitle="Directora general")
        process.until(lambda: house.shown(cold)["ls_score"] == "10", "the other is scored anew", within_s=PATIENCE_S)
        process.until(lambda: quiet(kept), "all hints are settled")
        assert house.pool.request("GET", f"{house.url}/_emulator/calls").json()["search"] == 0
        assert took_s < PATIENCE_S
        assert due(kept) == next_run, "the full run keeps its own time"
        assert {run.outcome for run in all_runs(kept)} == {"ok"}
        assert all_runs(kept)[-1].id == first.id
        log = process.stderr
        assert "ana@acme.example" not in log
        assert SECRET not in log
    assert len(house.hook.received) == 1


@on_sqlite
def test_case_49_no_event_is_believed_and_one_that_is_lost_changes_nothing_at_the_next_interval(
    house: House, kept: Store
) -> None:
    ana = house.person(country="MX", jobtitle="Directora", email="ana@acme.example")
    house.meeting(ana)
    cold = house.person(country="FR")
    caller = Caller(free_port())
    with daemon(house, caller, listens=False) as process:
        process.until(lambda: rests(kept), "the first run is done")
        lie = {"subscriptionType": "contact.propertyChange", "objectId": int(cold), "propertyName": "country"}
        gone = {"subscriptionType": "contact.deletion", "objectId": 10**9}
        assert caller.hook("crm", orjson.dumps([{**lie, "propertyValue": "ES"}, gone])) == 204
        process.until(lambda: len(all_runs(kept)) == 2 and quiet(kept), "the hints are followed")

        house.meeting(ana)
        house.pass_time()
        assert caller.hook("crm", changes(ana), secret="forged") == 401
        time.sleep(0.5)
        assert len(all_runs(kept)) == 2, "nobody has told"
        with kept.writing() as tx:
            runs.ring(tx, "crm", datetime.now(UTC))  # as if the interval were over
        process.until(house.told, "sales is told", within_s=PATIENCE_S)
    assert [told["lead"]["email"] for told in house.told()] == ["ana@acme.example"]
    assert house.shown(cold)["ls_stage"] == "cold"


@on_sqlite
def test_a_burst_of_hooks_is_followed_by_few_runs(house: House, kept: Store) -> None:
    people = [house.person(country="FR") for _ in range(6)]
    caller = Caller(free_port())
    with daemon(house, caller, listens=False) as process:
        process.until(lambda: rests(kept), "the first run is done")
        begun = time.monotonic()
        while time.monotonic() - begun < 3.5:
            for person in people:
                assert caller.hook("crm", changes(person)) == 204
        process.until(lambda: quiet(kept), "all hints are settled")
        span_s = time.monotonic() - begun
        assert 2 <= len(all_runs(kept)) <= 2 + span_s / 3 + 1


@on_sqlite
def test_hints_wait_while_the_crm_is_down_or_has_asked_for_patience_and_never_meet_a_full_run(
    house: House, kept: Store
) -> None:
    person = house.person(country="FR")
    caller = Caller(free_port())
    with daemon(house, caller, listens=False, HINTS_S=0.2, WATCH_S=0.5) as process:
        process.until(lambda: rests(kept), "the first run is done")
        house.control("faults", faults=[{"status": 503, "path": "contacts/batch/read"}])
        assert caller.hook("crm", changes(person)) == 204
        process.until(lambda: process.events("connection_failing"), "the outage is noticed")
        time.sleep(2)
        failed = len(all_runs(kept)) - 1
        assert 1 <= failed <= 4, "each pause is twice as long as the one before"
        assert len(process.events("connection_failing")) == 1
        house.control("faults", faults=[])
        process.until(lambda: quiet(kept), "the hint is followed")

        with kept.writing() as tx:
            runs.park(tx, "crm", datetime.now(UTC) + timedelta(hours=1), "it has asked for patience")
        known = len(all_runs(kept))
        assert caller.hook("crm", changes(person)) == 204
        time.sleep(1.2)
        assert len(all_runs(kept)) == known
        house.control("faults", faults=[{"path": "contacts/batch/read", "hang_s": 1.5, "times": 1}])
        with kept.writing() as tx:
            runs.unpark(tx, "crm")
        process.until(lambda: len(all_runs(kept)) > known, "it is followed again")
        with kept.writing() as tx:
            runs.ring(tx, "crm", datetime.now(UTC))
        process.until(lambda: len(all_runs(kept)) > known + 1 and quiet(kept), "the full run has waited for its turn")
    short, full = all_runs(kept)[1::-1]
    assert short.finished_at is not None
    assert short.finished_at <= full.started_at
