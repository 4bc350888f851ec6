"""A CRM that asks for patience is left alone until then, and nothing else suffers: a daemon beside two portals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from connectors.emulators.hubspot import Manners, Portal, serve
from syncer.errors import TemporaryError
from syncer.model import Run
from syncer.store import Store, open_store, runs, write_backs
from tests.runs.house import ENVIRONMENT, House, house_on
from tests.terminal import Process

pytestmark = pytest.mark.slow  # each lives through several runs, some through days

CONNECTION = """\
  {name}:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    api_version: '{version}'
    lag: 0s
"""
PROJECT = """\
version: 1
connections:
{connections}
sync: {{every: {every}}}
models: model.yml
handoff:
  when: sql
  wait: 3s
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}, secret: "${{HOOK_SECRET}}"}}
  notify: [hook]
"""
DAY = timedelta(days=1)


@dataclass
class Two:
    """Portals a and b of one project; b never asks for patience."""

    a: House
    b: House
    store: Store

    def write_project(self, every: str) -> None:
        version = "v3" if self.store.dialect == "sqlite" else "2026-09"
        urls = {"a": self.a.url, "b": self.b.url}
        told = "".join(CONNECTION.format(name=name, url=url, version=version) for name, url in urls.items())
        (self.a.folder / "syncer.yml").write_text(PROJECT.format(connections=told, hook=self.a.hook.url, every=every))

    def daemon(self) -> Process:
        """With short waits; whatever a CRM asks for within a request is no wait at all."""
        told = {"syncer.service:WATCH_S": 0.2, "syncer.daemon:DELIVER_S": 0.3}
        project = ["--config", str(self.a.folder / "syncer.yml"), "--database-url", self.a.database_url]
        words = ["-m", "tests.impatient", orjson.dumps(told).decode(), *project, "--log-style", "json", "daemon"]
        return Process(words, self.a.folder, {**ENVIRONMENT, "SYNCER_DRAIN_S": "5"})

    def ended(self, name: str, outcome: str) -> list[Run]:
        with self.store.reading() as tx:
            return [run for run in runs.last(tx, name, 500) if run.outcome == outcome]

    def parked(self, name: str) -> runs.Parked | None:
        with self.store.reading() as tx:
            return runs.parked(tx, name, datetime.now(UTC))

    def calls(self) -> int:
        answer = self.a.pool.request("GET", f"{self.a.url}/_emulator/calls")
        shown: dict[str, Any] = orjson.loads(answer.data)
        return sum(route["count"] for route in shown["routes"])


@pytest.fixture
def two(tmp_path: Path, database_url: str) -> Iterator[Two]:
    """A lead in each, with all fields; never synced."""
    with ExitStack() as stack:
        a = stack.enter_context(house_on(tmp_path, database_url))
        portal = Portal(manners=Manners(index_lag_s=0))
        b = replace(a, portal=portal, url=stack.enter_context(serve(portal)))
        store = open_store(database_url)
        stack.callback(store.close)
        both = Two(a, b, store)
        both.write_project("1s")
        for house, name in ((a, "a"), (b, "b")):
            done = house.cli("setup", name, "--apply")
            assert done.exit_code == 0, done.output
            house.person(country="ES")
            house.pass_time()
        yield both


def test_case_23_the_days_limit_leaves_the_portal_alone_until_its_midnight_and_the_other_connection_goes_on(
    two: Two,
) -> None:
    with two.daemon() as process:
        process.until(lambda: two.ended("a", "ok") and two.ended("b", "ok"), "both are read")
        two.a.control("faults", faults=[{"path": "^(?!/_emulator|/account)", "policy": "DAILY"}])
        process.until(lambda: two.parked("a"), "it is left alone")
        told, goes_on = two.parked("a"), len(two.ended("b", "ok"))
        time.sleep(0.5)  # what was under way when it was parked
        two.a.forget_calls()
        process.until(lambda: len(two.ended("b", "ok")) >= goes_on + 3, "the other one goes on")
        assert two.calls() == 0, "nothing is read and nothing is written"
        assert len(two.ended("a", "failed")) == 1, "no hot loop"
        assert [event["connection"] for event in process.events("connection_failing")] == ["a"]
        assert told is not None
        local = told.until.astimezone(ZoneInfo(two.a.portal.manners.time_zone))
        assert timedelta(0) <= local - local.replace(hour=0, minute=0, second=0, microsecond=0) < timedelta(minutes=5)
        _is_shown(two, told)
        begun = time.monotonic()
        assert process.stop(6) == 0
        assert time.monotonic() - begun < 5, "nobody waits for midnight"


def _is_shown(two: Two, told: runs.Parked) -> None:
    shown = two.a.json("status")["connections"]
    assert datetime.fromisoformat(shown["a"]["parked"]["until"]) == told.until
    assert "requests of the day" in shown["a"]["parked"]["reason"]
    assert datetime.fromisoformat(shown["a"]["next_run"]) >= told.until
    assert shown["b"]["parked"] is None
    (line,) = [each for each in two.a.cli("status").stdout.splitlines() if "left alone" in each]
    assert f"until {told.until:%d %b %Y %H:%M}" in line


def test_case_23_a_person_who_runs_it_meanwhile_is_told_and_its_first_good_answer_ends_the_wait(two: Two) -> None:
    two.write_project("1h")
    two.a.control("faults", faults=[{"path": "^(?!/_emulator|/account)", "policy": "DAILY"}])
    with two.daemon() as process:
        process.until(lambda: two.parked("a") and two.ended("b", "ok"), "it is left alone")
        tried = two.a.cli("run", "a")
        assert tried.exit_code == TemporaryError.exit_code
        assert "trying all the same" in tried.stderr
        assert two.parked("a") is not None
        two.a.control("faults", faults=[])
        assert two.a.cli("run", "a").exit_code == 0
        assert two.parked("a") is None
        assert two.a.cli("run", "a").stderr == ""
        assert two.a.json("status")["connections"]["a"]["parked"] is None
        process.until(lambda: process.events("connection_failing"), "it was told once")
        assert process.stop(6) == 0


def test_a_daemon_says_at_its_start_who_is_left_alone_and_tries_them_once_their_settings_change(two: Two) -> None:
    two.write_project("1h")
    with two.store.writing() as tx:
        runs.park(tx, "a", datetime.now(UTC) + timedelta(hours=3), "our share of the day is used up")
    with two.daemon() as process:
        process.until(lambda: two.ended("b", "ok"), "the other one runs")
        (told,) = process.events("connection_left_alone")
        assert (told["connection"], told["reason"]) == ("a", "our share of the day is used up")
        path = two.a.folder / "syncer.yml"
        path.write_text(path.read_text().replace("every: 1h", "every: 2h"))
        process.until(lambda: process.events("reloaded"), "the change is taken")
        assert two.parked("a") is not None, "nothing of this connection has changed"
        path.write_text(path.read_text().replace("lag: 0s", "lag: 1s", 1))
        process.until(lambda: two.ended("a", "ok"), "it is tried at once")
        assert (two.parked("a"), len(two.ended("b", "ok"))) == (None, 1)
        assert process.stop(6) == 0


def test_case_25_a_portal_that_moves_for_a_day_keeps_what_was_to_be_written_and_sales_is_told(two: Two) -> None:
    two.write_project("1h")
    with two.daemon() as process:
        process.until(lambda: two.ended("a", "ok") and two.ended("b", "ok"), "both are read")
        assert process.stop(6) == 0
    ready = two.a.person(country="MX", jobtitle="Directora")
    two.a.meeting(ready)
    two.a.meeting(ready)
    two.a.control("faults", faults=[{"path": "/batch/update", "status": 477, "headers": {"Retry-After": "86400"}}])
    assert two.a.cli("run", "a").exit_code == TemporaryError.exit_code
    two.a.forget_calls()
    assert two.a.told() == [], "it waits for the CRM to show the stage, and then no longer"
    with two.daemon() as process:
        process.until(two.a.told, "sales is told, which needs no CRM")
        time.sleep(1)  # some more deliveries
        assert process.stop(6) == 0
    assert two.calls() == 0
    parked = two.parked("a")
    assert parked is not None
    assert DAY - timedelta(minutes=10) < parked.until - datetime.now(UTC) < DAY
    with two.store.reading() as tx:
        assert write_backs.counts(tx, "a") == {"pending": 1, "put_off": 0, "given_up": 0}, "no attempt is counted"
    two.a.control("faults", faults=[])
    assert two.a.cli("run", "a").exit_code == 0
    assert two.a.shown(ready)["ls_stage"] == "sql"
    assert len(two.a.told()) == 1
