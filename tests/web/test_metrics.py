"""What Prometheus reads: the same figures as `syncer status` and `syncer handoffs`, and nothing of any person."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, insert, update

from syncer.errors import TemporaryError
from syncer.store import Store, decisions, handed_over, leases, mirror, outbox, runs, tables, workers, write_backs
from syncer.store.handed_over import Wanted
from syncer.web import metrics, routes
from tests.web.calling import DeadStore
from tests.web.test_serve import Door, opened_door

README = Path(__file__).parents[2] / "config" / "deploy" / "README.md"
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
EMAIL = "ana@acme.example"
Told = dict[tuple[str, ...], float]
"""(metric, label=value, ...) -> value."""


@contextmanager
def behind(door: Door, store: object) -> Iterator[None]:
    """The door's app has another store meanwhile."""
    right = door.app
    door.app = replace(right, store=cast("Store", store))
    yield
    door.app = right


@pytest.fixture
def door(tmp_path: Path, database_url: str) -> Iterator[Door]:
    with opened_door(tmp_path, database_url) as opened:
        opened.app = replace(opened.app, clock=lambda: NOW)
        yield opened


@pytest.fixture
def sqlite_door(tmp_path: Path, sqlite_template: Path) -> Iterator[Door]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with opened_door(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as opened:
        opened.app = replace(opened.app, clock=lambda: NOW)
        yield opened


@pytest.fixture
def always_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not told twice."""
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    monkeypatch.setattr(metrics, "REST", 0)


def told_by(door: Door) -> Told:
    answer = door.caller.ask("GET", "/metrics")
    assert answer.status == 200
    return {
        _key(sample.name, *(f"{name}={value}" for name, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.data.decode())
        for sample in family.samples
    }


def of_crm(told: Told, metric: str, *labels: str) -> float | None:
    return told.get(_key(metric, "connection=crm", *labels))


def _key(metric: str, *labels: str) -> tuple[str, ...]:
    """The connection first."""
    return metric, *sorted(labels, key=lambda each: (not each.startswith("connection="), each))


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def fill(tx: Connection) -> None:
    """A life of connection "crm", with at least one of everything; of "silent" nothing."""
    _connection(tx)
    _leads(tx)
    _handoffs(tx)
    for state in ("ok", "ok", "failed"):
        run = runs.start(tx, "crm", ago(hours=3))
        runs.finish(
            tx, run, state, {"read_calls": 7, "write_calls": 2}, EMAIL if state == "failed" else None, ago(hours=2)
        )
    quick = runs.start(tx, "crm", ago(hours=1), "quick")
    runs.finish(tx, quick, "ok", {"read_calls": 1}, None, ago(minutes=59))
    yesterday = runs.start(tx, "crm", ago(hours=30))
    runs.finish(tx, yesterday, "ok", {"read_calls": 500}, None, ago(hours=29))
    runs.start(tx, "crm", ago(minutes=1))
    now = datetime.now(UTC)  # the time of workers is the database's
    seen = [(now, 3), (now, 8), (now - workers.ALIVE_FOR - timedelta(minutes=1), 5)]
    rows = [
        {"holder": f"w{n}", "started_at": ago(days=1), "seen_at": at, "version": "1", "places": 8, "busy": busy}
        for n, (at, busy) in enumerate(seen)
    ]
    tx.execute(insert(tables.workers), rows)


def _connection(tx: Connection) -> None:
    row = {"name": "crm", "due_at": ago(minutes=20), "failures": 4, "parked_reason": EMAIL}
    tx.execute(insert(tables.connections), [row])


def _leads(tx: Connection) -> None:
    stages = ["cold", "cold", "iql", "sql", None]
    rows = [{"id": n, "connection": "crm", "stage": stage, "live": True} for n, stage in enumerate(stages, 1)]
    tx.execute(insert(tables.leads), [*rows, {"id": 6, "connection": "crm", "stage": "cold", "live": False}])
    records = [
        {
            "connection": "crm", "object": "contacts", "id": str(n), "lead_id": n, "modified_at": NOW, "since": NOW,
            "email": EMAIL, "email_key": EMAIL, "fields": {"name": "Ana"}, "deleted": n == 6,
        }
        for n in range(1, 7)
    ]  # fmt: skip
    tx.execute(insert(tables.records), records)
    standing = '{"total":1,"stage":"sql"}'
    owed = [(None, None, False), (standing, None, False), (standing, None, False), (standing, NOW, False)]
    owed += [(standing, None, True), (standing, None, False)]  # the last of a record that is deleted
    backs = [
        {
            "connection": "crm", "object": "contacts", "id": str(n), "seen": True, "confirmed": standing,
            "pending": pending, "next_at": next_at, "given_up": given_up,
        }
        for n, (pending, next_at, given_up) in enumerate(owed, 1)
    ]  # fmt: skip
    tx.execute(insert(tables.write_backs), backs)
    hints = [{"connection": "crm", "object": "contacts", "id": str(n), "at": NOW} for n in range(5)]
    tx.execute(insert(tables.hints), hints)
    stranger = {"connection": "crm", "stream": "contacts", "reason": EMAIL, "first_seen": NOW, "last_seen": NOW}
    rejected = [{**stranger, "id": f"r{n}", "arrived": n > 1} for n in range(3)]
    tx.execute(insert(tables.rejected), rejected)


def _handoffs(tx: Connection) -> None:
    """Told after 10, 20, 30 s; one is open and late, one is open."""
    told = [(1, 10, 600, NOW, ago(days=1)), (2, 20, None, None, ago(hours=1)), (3, 30, None, None, NOW + timedelta(1))]
    rows = [
        {
            "key": f"k{n}", "lead_id": n, "connection": "crm", "object": "contacts", "record_id": str(n),
            "stage": "sql", "at": ago(days=2), "payload": "{}", "due_at": due, "touched_at": touched,
            "system_ms": system_s * 1000, "human_ms": None if human_s is None else human_s * 1000,
            "assigned_to": EMAIL,
        }
        for n, system_s, human_s, touched, due in told
    ]  # fmt: skip
    old = {**rows[0], "key": "k9", "at": ago(days=8), "system_ms": 9_999_000, "human_ms": None}
    tx.execute(insert(tables.handoffs), [*rows, old])
    states = ("sent", "sent", "ready", "dead", "uncertain")
    notices = [
        {
            "key": f"n{n}",
            "handoff_key": "k1",
            "connection": "crm",
            "channel": "mail",
            "recipient": EMAIL,
            "state": state,
        }
        for n, state in enumerate(states)
    ]
    tx.execute(insert(tables.notices), notices)


def test_the_figures_are_those_of_status_and_handoffs(door: Door) -> None:
    with door.app.store.writing() as tx:
        fill(tx)
    told = told_by(door)
    with door.app.store.reading() as tx:
        stages, written = decisions.stage_counts(tx, "crm"), write_backs.counts(tx, "crm")
        notices, unread = outbox.counts(tx, "crm"), mirror.rejections(tx, "crm")
        week = Wanted(("crm",), NOW, since=ago(days=7))
        tally, figures = handed_over.tally(tx, Wanted(("crm",), NOW)), handed_over.figures(tx, week)
        spent = runs.spent(tx, "crm", NOW.replace(hour=0))
    assert stages == {"cold": 2, "iql": 1, "sql": 1}
    of_stages = {stage: of_crm(told, "syncer_leads", f"stage={stage}") for stage in ("cold", "iql", "mql", "sql")}
    assert of_stages == {**stages, "mql": 0}
    of_writes = {
        state: of_crm(told, "syncer_write_backs", f"state={state}") for state in ("waiting", "put_off", "given_up")
    }
    assert of_writes == {"waiting": 2, "put_off": 1, "given_up": 1}
    assert written == {"pending": 3, "put_off": 1, "given_up": 1}
    assert {state: of_crm(told, "syncer_notices", f"state={state}") for state in notices} == notices
    assert of_crm(told, "syncer_notices", "state=sending") == 0
    assert (
        (of_crm(told, "syncer_open_handoffs"), of_crm(told, "syncer_late_handoffs"))
        == (tally.open, tally.late)
        == (2, 1)
    )
    delays = {
        (by, rank): of_crm(told, "syncer_handoff_delay_seconds", f"by={by}", f"rank={rank}")
        for by in ("system", "human")
        for rank in ("median", "p90")
    }
    system, human = figures.system, figures.human
    in_ms = {("system", "median"): system.median_ms, ("system", "p90"): system.p90_ms,
             ("human", "median"): human.median_ms, ("human", "p90"): human.p90_ms}  # fmt: skip
    assert delays == {key: (each or 0) / 1000 for key, each in in_ms.items()}
    assert (system.median_ms, system.p90_ms) == (20_000, 30_000)
    assert of_crm(told, "syncer_crm_calls_today") == spent == 28
    assert of_crm(told, "syncer_unreadable_records") == sum(not each.arrived for each in unread) == 2
    assert of_crm(told, "syncer_unread_hints") == 5


def test_runs_are_told_by_their_ends_and_a_run_that_is_on_hides_none_of_them(door: Door) -> None:
    with door.app.store.writing() as tx:
        fill(tx)
    told = told_by(door)
    assert of_crm(told, "syncer_last_run_timestamp_seconds") == ago(hours=2).timestamp()
    assert of_crm(told, "syncer_last_good_run_timestamp_seconds") == ago(hours=2).timestamp()
    assert of_crm(told, "syncer_last_run_duration_seconds") == 3600
    assert [key for key in told if key[0] == "syncer_last_run_outcome"] == [
        ("syncer_last_run_outcome", "connection=crm", "outcome=failed")
    ]
    lately = {key[2:]: value for key, value in told.items() if key[0] == "syncer_runs_last_day"}
    assert lately == {
        ("kind=full", "outcome=ok"): 2,
        ("kind=full", "outcome=failed"): 1,
        ("kind=full", "outcome=running"): 1,
        ("kind=quick", "outcome=ok"): 1,
    }
    assert of_crm(told, "syncer_consecutive_failures") == 4
    assert {key: value for key, value in told.items() if key[0].startswith("syncer_worker")} == {
        ("syncer_workers",): 2,
        ("syncer_worker_places",): 16,
        ("syncer_worker_places_busy",): 11,
    }


def test_a_run_lags_from_its_due_time_until_somebody_is_at_work_on_it(door: Door, always_read: None) -> None:
    with door.app.store.writing() as tx:
        _connection(tx)
    assert of_crm(told_by(door), "syncer_run_lag_seconds") == 20 * 60
    assert of_crm(told_by(door), "syncer_at_work") == 0
    lease = leases.take(door.app.store, "crm", holder="somebody", ttl_s=60)
    assert lease is not None
    told = told_by(door)
    assert (of_crm(told, "syncer_run_lag_seconds"), of_crm(told, "syncer_at_work")) == (0, 1)


def test_who_is_left_alone_does_not_lag(door: Door, always_read: None) -> None:
    until = NOW + timedelta(hours=1)
    with door.app.store.writing() as tx:
        _connection(tx)
        runs.park(tx, "crm", until, "the CRM has asked for it")
    told = told_by(door)
    assert of_crm(told, "syncer_run_lag_seconds") == 0
    assert of_crm(told, "syncer_next_run_timestamp_seconds") == until.timestamp()
    assert of_crm(told, "syncer_left_alone_until_timestamp_seconds") == until.timestamp()
    with door.app.store.writing() as tx:
        tx.execute(update(tables.connections).values(parked_until=ago(minutes=1)))
    assert of_crm(told_by(door), "syncer_left_alone_until_timestamp_seconds") == 0
    assert of_crm(told_by(door), "syncer_run_lag_seconds") == 20 * 60


def test_no_person_is_named(sqlite_door: Door) -> None:
    with sqlite_door.app.store.writing() as tx:
        fill(tx)
    text = sqlite_door.caller.ask("GET", "/metrics").data.decode()
    names = set(re.findall(r"(\w+)=\"", text))
    own = {"connection", "stage", "state", "outcome", "kind", "by", "rank"}
    assert names == own | {"version", "implementation", "major", "minor", "patchlevel", "generation"}
    assert "acme" not in text
    assert "Ana" not in text


def test_nobody_of_whom_nothing_is_known_is_left_out(sqlite_door: Door) -> None:
    told = told_by(sqlite_door)
    for metric in ("syncer_unread_hints", "syncer_open_handoffs", "syncer_crm_calls_today"):
        assert told[metric, "connection=silent"] == 0
    assert not [key for key in told if key[0] == "syncer_last_run_timestamp_seconds"], "a time of 0 would be 1970"


def test_without_its_database_it_says_so_and_tells_of_the_process(sqlite_door: Door) -> None:
    dead = DeadStore(TemporaryError("the database did not answer", code="SY066"))
    with behind(sqlite_door, dead):
        told = told_by(sqlite_door)
    assert told["syncer_database_up",] == 0
    assert told["process_open_fds",] > 0
    assert not [key for key in told if "connection=crm" in key]


class _Counting:
    """A store that counts how often it is read, and takes a moment for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.times = 0

    def reading(self) -> Any:
        with self._lock:
            self.times += 1
        threading.Event().wait(0.1)
        return self._store.reading()


def test_scrapes_that_come_together_or_soon_after_read_the_database_once(sqlite_door: Door) -> None:
    counting = _Counting(sqlite_door.app.store)
    with behind(sqlite_door, counting), ThreadPoolExecutor(3) as scrapers:
        answers = [scrapers.submit(told_by, sqlite_door) for _ in range(3)]
        assert all(each.result()["syncer_database_up",] == 1 for each in answers)
        told_by(sqlite_door)
        assert counting.times == 1


def test_a_reading_that_takes_long_is_told_for_longer(sqlite_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that scrapes never keep a large database at work for more than a tenth of the time."""
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    monkeypatch.setattr(metrics, "REST", 1000)
    counting = _Counting(sqlite_door.app.store)
    with behind(sqlite_door, counting):
        told_by(sqlite_door)
        told_by(sqlite_door)
        assert counting.times == 1


def test_a_scrape_that_was_not_waited_for_is_there_for_the_next_one(
    sqlite_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "METRICS_S", 0.02)
    counting = _Counting(sqlite_door.app.store)
    with behind(sqlite_door, counting):
        assert sqlite_door.caller.ask("GET", "/metrics").status == 503
        monkeypatch.setattr(routes, "METRICS_S", 5.0)
        assert told_by(sqlite_door)["syncer_database_up",] == 1
        assert counting.times == 1


def test_a_bug_is_logged_and_told_to_nobody(sqlite_door: Door) -> None:
    dead = DeadStore(RuntimeError(f"a planted bug that knows {EMAIL}"))
    with behind(sqlite_door, dead), structlog.testing.capture_logs() as logged:
        answer = sqlite_door.caller.ask("GET", "/metrics")
    assert (answer.status, answer.data) == (500, b"")
    assert [(each["event"], each.get("exc_info")) for each in logged] == [("metrics_crashed", True)]


def test_a_reload_is_seen_once_what_was_read_is_old(sqlite_door: Door, always_read: None) -> None:
    assert ("syncer_open_handoffs", "connection=silent") in told_by(sqlite_door)
    kept = sqlite_door.app.project.connections[:1]
    sqlite_door.app = replace(sqlite_door.app, project=replace(sqlite_door.app.project, connections=kept))
    assert ("syncer_open_handoffs", "connection=silent") not in told_by(sqlite_door)


def test_it_is_read_and_not_posted_to(sqlite_door: Door) -> None:
    assert sqlite_door.caller.ask("POST", "/metrics", b"syncer_leads 1").status == 405
    assert sqlite_door.caller.ask("GET", "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_every_metric_stands_in_the_table_of_the_deployment_guide_as_it_is_told() -> None:
    rows = re.findall(r"^\| `(syncer_\w+)` \|([^|]*)\| ([^|]+) \|$", README.read_text(), re.MULTILINE)
    written = {name: metrics.Meaning(told, tuple(re.findall(r"`(\w+)`", labels))) for name, labels, told in rows}
    assert written == metrics.METRICS


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_names_are_as_prometheus_wants_them(sqlite_door: Door) -> None:
    with sqlite_door.app.store.writing() as tx:
        fill(tx)
    text = sqlite_door.caller.ask("GET", "/metrics").data
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b""), checked.stderr.decode()
