"""The daemon as a real process beside an emulated portal."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.emulators.hubspot import Manners, Portal, serve
from syncer.daemon import Daemon
from syncer.model import RecordKey, Run
from syncer.settings import process_settings
from syncer.store import Store, hints, leases, mirror, open_store, runs
from tests.receivers import Reply
from tests.runs.house import ENVIRONMENT, MODEL, House, house_on
from tests.terminal import Process

DRAIN_S = 2.0


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    """Three leads in a portal with all fields; never synced."""
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with house_on(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as built:
        built.setup()
        built.person(country="FR")
        built.person(country="ES")
        built.meeting(built.person(country="MX", jobtitle="Directora", email="warm@acme.example"))
        built.pass_time()
        set_every(built, "1s")
        yield built


@pytest.fixture
def kept(house: House) -> Iterator[Store]:
    """The daemon's database, looked at from outside."""
    store = open_store(house.database_url)
    yield store
    store.close()


def set_every(house: House, every: str) -> None:
    path = house.folder / "syncer.yml"
    before, _, after = path.read_text().partition("sync: {")
    path.write_text(f"{before}sync: {{every: {every}, max_stage_changes{after.partition('max_stage_changes')[2]}")


def daemon(house: House, **wishes: Any) -> AbstractContextManager[Process]:
    """`wishes`: constants of syncer.daemon or of its neighbours, or "bugs"."""
    elsewhere = {
        "FIRST_PAUSE_S": "syncer.handoff.sending:_FIRST_PAUSE_S",
        "WATCH_S": "syncer.service:WATCH_S",
        "BUSY_S": "syncer.ringing:BUSY_S",
        "bugs": "bugs",
    }
    told = {elsewhere.get(name, f"syncer.daemon:{name}"): value for name, value in wishes.items()}
    words = ["--config", str(house.folder / "syncer.yml"), "--database-url", house.database_url, "--log-style", "json"]
    environment = {**ENVIRONMENT, "SYNCER_DRAIN_S": str(DRAIN_S)}
    return Process(["-m", "tests.impatient", orjson.dumps(told).decode(), *words, "daemon"], house.folder, environment)


def all_runs(store: Store) -> list[Run]:
    """The latest first."""
    with store.reading() as tx:
        return runs.last(tx, "crm", 100)


def finished(store: Store) -> int:
    return sum(run.outcome == "ok" for run in all_runs(store))


def warm_of(house: House) -> str:
    key: str = house.json("explain", "warm@acme.example")["lead"]
    return key.rpartition("/")[2]


def test_it_syncs_at_its_interval_and_tells_sales_in_time(house: House, kept: Store) -> None:
    with daemon(house) as process:
        process.until(lambda: finished(kept) >= 1, "the baseline is done")
        assert house.cli("status", "--max-age", "10s", "--quiet").exit_code == 0
        house.meeting(warm_of(house))
        process.until(lambda: house.told(), "sales is told", within_s=6)
        process.until(lambda: finished(kept) >= 4, "some more runs are done")
        assert process.stop(DRAIN_S + 2) == 0
        assert len(process.events("daemon_stopped")) == 1
    starts = [run.started_at for run in reversed(all_runs(kept))]
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(starts)]
    assert all(0.9 < gap < 3.5 for gap in gaps), gaps
    assert len(house.hook.received) == 1
    assert house.cli("status", "--max-age", "0s", "--quiet").exit_code == 1, "nobody keeps it young any more"


@pytest.mark.slow
def test_the_next_due_time_survives_a_restart(house: House, kept: Store) -> None:
    set_every(house, "1h")
    with daemon(house) as process:
        process.until(lambda: finished(kept) == 1, "the first run is done")
        process.until(lambda: due_in(kept) > timedelta(minutes=50), "the next due time is kept")
        assert process.stop(DRAIN_S + 2) == 0
    with kept.reading() as tx:
        due = runs.due_at(tx, "crm")
    with daemon(house) as process:
        process.until(lambda: process.events("daemon_started"), "it started")
        time.sleep(1)
        assert process.stop(DRAIN_S + 2) == 0
    with kept.reading() as tx:
        assert runs.due_at(tx, "crm") == due
    assert len(all_runs(kept)) == 1


def due_in(store: Store) -> timedelta:
    with store.reading() as tx:
        due = runs.due_at(tx, "crm")
    return (due or datetime.now(UTC)) - datetime.now(UTC)


def ring(store: Store) -> None:
    """As the run of another connection does."""
    with store.writing() as tx:
        runs.ring(tx, "crm", datetime.now(UTC))


@pytest.mark.slow
def test_a_ring_from_another_run_is_heard_long_before_the_next_due_time(house: House, kept: Store) -> None:
    set_every(house, "1h")
    with daemon(house, WATCH_S=0.2) as process:
        process.until(lambda: due_in(kept) > timedelta(minutes=50), "the first run is done")
        ring(kept)
        process.until(lambda: finished(kept) == 2, "it has run again")
        process.until(lambda: due_in(kept) > timedelta(minutes=50), "and waits for its interval")
        assert process.stop(DRAIN_S + 2) == 0
    assert len(all_runs(kept)) == 2


@pytest.mark.slow
def test_a_ring_in_the_middle_of_a_run_is_heard_after_it(house: House, kept: Store) -> None:
    set_every(house, "1h")
    house.control("faults", faults=[{"path": "meetings", "hang_s": 0.5}])
    with daemon(house, WATCH_S=600) as process:
        process.until(lambda: cursor_of(kept, "contacts"), "the run is at work")
        ring(kept)
        process.until(lambda: finished(kept) == 2, "it has run again")
        assert process.stop(DRAIN_S + 2) == 0


def test_sigterm_in_the_middle_of_a_run_keeps_what_was_stored_and_gives_the_lease_back(
    house: House, kept: Store
) -> None:
    set_every(house, "1h")
    house.control("faults", faults=[{"path": "meetings", "hang_s": 1.0}])
    with daemon(house) as process:
        process.until(lambda: cursor_of(kept, "contacts"), "the contacts are stored")
        begun = time.monotonic()
        assert process.stop(DRAIN_S + 2) == 0
        assert time.monotonic() - begun < DRAIN_S + 2
        assert [event["drained"] for event in process.events("daemon_stopped")] == [True]
    (run,) = all_runs(kept)
    assert run.outcome == "stopped"
    assert cursor_of(kept, "contacts") is not None
    with kept.reading() as tx:
        assert leases.holder_of(tx, "crm") is None
    assert due_in(kept) < timedelta(seconds=1), "the next daemon goes on at once"


def cursor_of(store: Store, stream: str) -> str | None:
    with store.reading() as tx:
        return mirror.cursor(tx, "crm", stream)


@pytest.mark.slow
def test_sigterm_while_the_crm_hangs_leaves_in_time(house: House, kept: Store) -> None:
    house.control("faults", faults=[{"path": "meetings", "hang_s": 30.0}])
    with daemon(house) as process:
        process.until(lambda: cursor_of(kept, "contacts"), "the contacts are stored")
        time.sleep(0.5)
        begun = time.monotonic()
        assert process.stop(DRAIN_S + 4) == 0
        assert time.monotonic() - begun >= DRAIN_S
        assert [event["drained"] for event in process.events("daemon_stopped")] == [False]
    assert [run.outcome for run in all_runs(kept)] == ["running"], "as after a crash; the next run goes on"


@pytest.mark.slow
def test_sighup_takes_a_changed_interval_at_once(house: House, kept: Store) -> None:
    set_every(house, "1h")
    with daemon(house, WATCH_S=600) as process:
        process.until(lambda: due_in(kept) > timedelta(minutes=50), "the first run is done")
        set_every(house, "1s")
        process.signal(signal.SIGHUP)
        process.until(lambda: finished(kept) >= 3, "it runs every second", within_s=6)
        assert [event["changed"] for event in process.events("reloaded")] == [True]
        assert process.stop(DRAIN_S + 2) == 0


def test_a_changed_model_is_noticed_and_a_broken_one_is_refused_once_while_the_old_one_goes_on(
    house: House, kept: Store
) -> None:
    model = house.folder / "model.yml"
    with daemon(house, WATCH_S=0.2) as process:
        process.until(lambda: finished(kept) >= 1, "the baseline is done")
        model.write_text(MODEL.replace("points: 40", "points: forty"))
        process.until(lambda: process.events("reload_refused"), "the broken file is noticed")
        runs_then = finished(kept)
        process.until(lambda: finished(kept) >= runs_then + 2, "the old rules go on")
        (refused,) = process.events("reload_refused")
        assert "'forty'" in refused["problems"][0]
        assert process.events("reloaded") == []
        model.write_text(MODEL.replace("points: 40", "points: 41"))
        warm = warm_of_portal(house)
        process.until(lambda: house.shown(warm)["ls_score"] == "81", "the mended rules are in force")
        assert len(process.events("reloaded")) == 1
        assert process.stop(DRAIN_S + 2) == 0


def warm_of_portal(house: House) -> str:
    people = house.control("dump", objectType="contacts")["results"]
    found: str = next(each["id"] for each in people if each["properties"]["email"] == "warm@acme.example")
    return found


@pytest.mark.slow
def test_an_outage_is_told_once_when_it_starts_and_once_when_it_ends(house: House, kept: Store) -> None:
    with daemon(house) as process:
        process.until(lambda: finished(kept) >= 1, "the baseline is done")
        house.control("faults", faults=[{"status": 503, "path": "^(?!/_emulator)"}])
        process.until(lambda: process.events("connection_failing"), "the outage is noticed")
        time.sleep(2.2)  # more runs that fail
        house.control("faults", faults=[])
        process.until(lambda: process.events("connection_recovered"), "its end is noticed")
        process.until(lambda: finished(kept) >= 3, "it goes on")
        assert process.stop(DRAIN_S + 2) == 0
        (failing,) = process.events("connection_failing")
        assert "503" in failing["reason"]
        assert failing["kind"] == "TemporaryError"
        assert len(process.events("connection_recovered")) == 1
        assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_an_outage_of_full_runs_and_one_of_quick_runs_are_told_once_each(house: House, kept: Store) -> None:
    with daemon(house, HINTS_S=0.2, WATCH_S=0.2) as process:
        process.until(lambda: finished(kept) >= 1, "the baseline is done")
        down = [{"status": 503, "path": "search"}, {"status": 403, "path": "contacts/batch/read"}]
        house.control("faults", faults=down)
        with kept.writing() as tx:
            hints.hint(tx, [RecordKey("crm", "contacts", warm_of_portal(house))], datetime.now(UTC))
        process.until(lambda: min(failed(kept, "full"), failed(kept, "quick")) >= 3, "both fail again and again")
        told = [event["kind"] for event in process.events("connection_failing")]
        assert sorted(told) == ["ConfigError", "TemporaryError"]
        house.control("faults", faults=[])
        process.until(lambda: process.events("connection_recovered"), "their end is noticed")
        assert process.stop(DRAIN_S + 2) == 0
        assert len(process.events("connection_recovered")) == 1


def failed(store: Store, kind: runs.Kind) -> int:
    with store.reading() as tx:
        return sum(run.outcome in ("failed", "partial") for run in runs.last(tx, "crm", 100, kind))


@pytest.mark.slow
def test_a_portal_that_is_gone_for_a_while_is_an_outage_too(house: House, kept: Store) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(serve(Portal(manners=Manners(index_lag_s=0))))
        path = house.folder / "syncer.yml"
        path.write_text(path.read_text().replace(house.url, url))
        with daemon(house) as process:
            process.until(lambda: finished(kept) >= 1, "the first run is done")
            stack.close()
            process.until(lambda: process.events("connection_failing"), "the outage is noticed")
            stack.enter_context(serve(Portal(manners=Manners(index_lag_s=0)), port=int(url.rpartition(":")[2])))
            process.until(lambda: process.events("connection_recovered"), "its end is noticed")
            assert process.stop(DRAIN_S + 2) == 0


@pytest.mark.slow
def test_a_bug_in_a_run_stops_neither_the_daemon_nor_the_next_run(house: House, kept: Store) -> None:
    with daemon(house, bugs=2) as process:
        process.until(lambda: finished(kept) >= 1, "a run works")
        assert len(process.events("run_crashed")) == 2
        assert all("a planted bug" in event["exception"] for event in process.events("run_crashed"))
        assert process.stop(DRAIN_S + 2) == 0


@pytest.mark.slow
def test_a_message_that_failed_is_sent_between_runs(house: House, kept: Store) -> None:
    house.sync()
    house.meeting(warm_of_portal(house))
    house.pass_time()
    set_every(house, "1h")
    house.hook.script.extend([Reply(503), Reply(503)])
    with daemon(house, DELIVER_S=0.3, FIRST_PAUSE_S=0.2) as process:
        process.until(lambda: len(house.hook.received) >= 3, "the message has arrived")
        time.sleep(0.7)
        assert process.stop(DRAIN_S + 2) == 0
    assert len(all_runs(kept)) == 2, "no run was needed for it"
    assert len(house.hook.received) == 3
    assert len({each.key for each in house.hook.received}) == 1


@pytest.mark.slow
def test_two_daemons_on_one_database_take_turns(house: House, kept: Store) -> None:
    house.control("faults", faults=[{"path": "search|list|objects/contacts", "hang_s": 0.1}])
    with daemon(house, BUSY_S=0.2) as first, daemon(house, BUSY_S=0.2) as second:
        first.until(lambda: finished(kept) >= 5, "some runs are done")
        assert first.stop(DRAIN_S + 2) == 0
        assert second.stop(DRAIN_S + 2) == 0
        both = [first, second]
        assert all(process.events("connection_failing") == [] for process in both)
    done = [run for run in reversed(all_runs(kept)) if run.finished_at is not None]
    for sooner, later in pairwise(done):
        assert sooner.finished_at is not None
        assert sooner.finished_at <= later.started_at
    span_s = (done[-1].started_at - done[0].started_at).total_seconds()
    assert len(done) <= span_s + 3, "together they run no more often than one"


def test_a_daemon_on_a_wrong_configuration_does_not_start(house: House) -> None:
    (house.folder / "syncer.yml").write_text("version: 2\n")
    with daemon(house) as process:
        assert process.ends() == 2
        assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_a_connection_armed_for_far_ahead_never_waits_longer_than_one_interval(house: House, kept: Store) -> None:
    """As after a clock that was an hour ahead and was set right."""
    with kept.writing() as tx:
        runs.set_due(tx, "crm", datetime.now(UTC) + timedelta(hours=1))
    with daemon(house) as process:
        process.until(lambda: finished(kept) >= 1, "it runs soon", within_s=8)
        assert process.stop(DRAIN_S + 2) == 0


def test_stop_may_be_called_before_run_and_ends_it_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    process = process_settings(house.folder, config=house.folder / "syncer.yml", database_url=house.database_url)
    built = Daemon(process)
    built.stop()
    begun = time.monotonic()
    assert built.run() is True
    assert time.monotonic() - begun < 5
