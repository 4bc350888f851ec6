"""What is done when the bell rings: two connections to CRMs in memory, a clock that is moved, and an operator who
listens on loopback."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from pydantic import BaseModel, SecretStr

from syncer import ringing as module
from syncer.app import App, quiet
from syncer.connector import Wanted
from syncer.errors import ConfigError, LeaseLost, Stopped, SyncerError, TemporaryError
from syncer.model import RecordKey
from syncer.parts import Asked, Parts, Report
from syncer.planning import Limits
from syncer.ringing import OPEN_FOR, Ringing
from syncer.run import sync
from syncer.settings import ProcessSettings, Project, load_project
from syncer.store import Store, database, hints, leases, open_store, runs
from tests.connectors.memory import Crm, Memory, MemorySettings
from tests.receivers import HttpReceiver, Reply

EVERY, SECOND, HOUR = timedelta(minutes=15), timedelta(seconds=1), timedelta(hours=1)
MODEL = """\
name: small
fit: {rules: [{name: Asked for a demo, when: {forms: {at_least: 1}}, points: 40}]}
stages: [{name: cold}, {name: hot, enter: [fit >= 40]}]
"""
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections: {{a: {{type: memory}}, b: {{type: memory}}}}
models: model.yml
sync: {{every: 15m, max_stage_changes: 1}}
handoff:
  notifiers: {{ops: {{type: webhook, private_addresses: true, url: "{hook}", timeout_s: 1}}}}
alerts: {{notify: [ops]}}
"""
DAILY = ("page_stored", "plan_applied", "run_finished", "delivery_put_off")  # events of the log that are no news
NOTHING: Mapping[str, str] = {}
REFUSED = ConfigError("a: the CRM does not accept the token; correct it", code="SY100")
DOWN = TemporaryError("a: the CRM is unwell (503)", code="SY101")


class AnySettings(BaseModel):
    token: SecretStr = SecretStr("memory-token")


@dataclass(frozen=True)
class MemoryApp(App):
    """An app whose connections lead to CRMs in memory. `meanwhile`: what happens in the middle of each run."""

    crms: dict[str, Crm] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)

    def parts(self, name: str | None = None, progress: Any = quiet) -> Parts:
        connection = self.connection(name)
        self.meanwhile.get(connection.name, lambda: None)()
        settings = MemorySettings(crm=self.crms[connection.name])
        wanted = Wanted(self.project.needed_fields, self.project.needed_activities, self.project.stages, self.stop)
        source = Memory(connection.name, settings, wanted)
        given = (connection.name, source, self.store, self.project, self.holder, self.clock, self.stop)
        return Parts(*given, writable=frozenset(self.crms), destination=source)


@dataclass
class House:
    """`now` is moved by hand; whatever is told is kept."""

    folder: Path
    store: Store
    hook: HttpReceiver
    now: datetime = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
    crms: dict[str, Crm] = field(default_factory=lambda: {"a": Crm(), "b": Crm()})
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    tries: list[datetime] = field(default_factory=list)  # of `a`

    def gaps(self) -> list[timedelta]:
        return [later - sooner for sooner, later in pairwise(self.tries)]

    def project(self, changes: Mapping[str, str] = NOTHING) -> Project:
        """`changes`: what stands in the file -> what stands there instead."""
        text = PROJECT.format(hook=self.hook.url)
        for before, after in changes.items():
            text = text.replace(before, after)
        (self.folder / "model.yml").write_text(MODEL)
        (self.folder / "syncer.yml").write_text(text)
        return load_project(self.folder / "syncer.yml", {"memory": AnySettings}, {})

    def ringing(self, project: Project | None = None) -> Ringing:
        process = ProcessSettings(config=self.folder / "syncer.yml")
        given = (process, project or self.project(), self.store, leases.this_process(), threading.Event())
        return Ringing(MemoryApp(*given, clock=lambda: self.now, crms=self.crms, meanwhile=self.meanwhile))

    def alerts(self) -> list[tuple[str, str]]:
        told = [orjson.loads(each.body) for each in self.hook.received]
        return [(each["state"], each["connection"]) for each in told]

    def live(self, ringing: Ringing, span: timedelta, step: timedelta = timedelta(seconds=30)) -> None:
        """`a` is rung for whenever it is due, as a daemon does."""
        ends, due = self.now + span, ringing.first("a")
        while self.now < ends:
            if self.now >= due:
                before = self.now
                rung = ringing.run("a")
                assert rung.again > before, "a hot loop"
                due = rung.again
                self.tries.append(before)
            self.now += step

    def failures(self) -> int:
        with self.store.reading() as tx:
            return runs.failures(tx, "a")

    def due(self) -> datetime | None:
        with self.store.reading() as tx:
            return runs.due_at(tx, "a")


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with HttpReceiver() as hook, closing(open_store(f"sqlite:///{tmp_path / 'syncer.db'}")) as store:
        yield House(tmp_path, store, hook)


@pytest.fixture
def told() -> Iterator[Callable[[], list[str]]]:
    """The events of the log, without those of every run."""
    with structlog.testing.capture_logs() as events:
        yield lambda: [each["event"] for each in events if each["event"] not in DAILY]


# what only a person can mend


def test_a_refused_login_is_tried_three_times_and_then_once_an_hour_and_a_person_is_told_once(
    house: House, told: Callable[[], list[str]]
) -> None:
    house.crms["a"].trouble = REFUSED
    ringing = house.ringing()
    house.live(ringing, timedelta(hours=6))
    assert house.gaps() == [timedelta(minutes=1), timedelta(minutes=2), *[OPEN_FOR] * 5]
    assert house.alerts() == [("needs_a_person", "a")]
    assert told().count("connection_failing") == told().count("connection_needs_a_person") == 1
    body = orjson.loads(house.hook.received[0].body)
    assert (body["code"], body["reason"]) == ("SY100", REFUSED.message)
    assert body["at"] == "2026-11-02T11:00:00+01:00", "since the first refusal, by the project's clock"
    assert "syncer run a" in body["help"]
    house.crms["a"].trouble = None
    house.live(ringing, timedelta(hours=2))
    assert house.alerts() == [("needs_a_person", "a"), ("recovered", "a")]
    assert told().count("connection_recovered") == told().count("connection_needs_nobody") == 1
    assert house.failures() == 0


def test_that_the_crm_was_down_before_is_no_refusal(house: House) -> None:
    ringing = house.ringing()
    house.crms["a"].trouble = DOWN
    house.live(ringing, HOUR)
    assert house.failures() > 3
    house.crms["a"].trouble = REFUSED
    house.now += HOUR
    ringing.run("a")
    assert (house.failures(), house.alerts()) == (1, [])


def test_a_passing_trouble_is_tried_again_ever_more_seldom_and_nobody_is_called(house: House) -> None:
    house.crms["a"].trouble = DOWN
    house.live(house.ringing(), timedelta(hours=5))
    gaps = house.gaps()
    assert gaps[:4] == [timedelta(minutes=each) for each in (1, 2, 4, 8)]
    assert max(gaps) == HOUR
    assert house.alerts() == []


def test_where_nobody_could_be_told_it_is_tried_again_after_the_next_run(house: House) -> None:
    house.crms["a"].trouble = REFUSED
    house.hook.script.extend([Reply(503), Reply(503)])
    ringing = house.ringing()
    house.live(ringing, timedelta(hours=4))
    keys = [each.key for each in house.hook.received]
    assert len(keys) == 3, "twice in vain, and never again once it has arrived"
    assert len(set(keys)) == 1, "the receiver knows a repeat by its key"


def test_changed_settings_are_tried_at_once_and_the_person_is_not_told_twice(house: House) -> None:
    house.crms["a"].trouble = REFUSED
    house.live(house.ringing(), HOUR)
    wrong_again = house.ringing(house.project({"a: {type: memory}": "a: {type: memory, token: another}"}))
    assert wrong_again.first("a") == house.now
    assert house.failures() == 0
    house.live(wrong_again, HOUR)
    assert house.alerts() == [("needs_a_person", "a")]
    house.crms["a"].trouble = None
    mended = house.ringing(house.project({"a: {type: memory}": "a: {type: memory, token: a third one}"}))
    house.live(mended, SECOND)
    assert house.alerts() == [("needs_a_person", "a"), ("recovered", "a")]


def test_a_person_who_runs_it_by_hand_ends_the_wait_and_the_next_run_tells_that_it_works(house: House) -> None:
    house.crms["a"].trouble = REFUSED
    ringing = house.ringing()
    house.live(ringing, HOUR)
    house.crms["a"].trouble = None
    sync(ringing.app.parts("a"))  # what `syncer run a` does
    with house.store.reading() as tx:
        assert runs.parked(tx, "a", house.now) is None
    house.live(ringing, 2 * EVERY)
    assert house.alerts() == [("needs_a_person", "a"), ("recovered", "a")]


def test_the_fuse_is_told_once_and_is_no_outage(house: House, told: Callable[[], list[str]]) -> None:
    ringing = house.ringing()
    for forms in (0, 1):
        for person in ("1", "2", "3"):
            house.crms["a"].put(person, forms=forms)
        house.live(ringing, EVERY if forms == 0 else HOUR)
    assert house.alerts() == [("needs_a_person", "a")]
    assert told().count("connection_failing") == 1
    assert house.failures() == 0
    assert len(house.tries) == 5, "each interval, for the person may have mended it"
    sync(ringing.app.parts("a"), Asked(limits=Limits(3, 3)))
    house.live(ringing, 2 * EVERY)
    assert house.alerts() == [("needs_a_person", "a"), ("recovered", "a")]


def test_another_trouble_for_a_person_is_told_although_the_first_one_has_not_ended_well(house: House) -> None:
    house.crms["a"].trouble = REFUSED
    ringing = house.ringing()
    house.live(ringing, HOUR)
    house.crms["a"].trouble = ConfigError("a: the scope is missing", code="SY102")
    house.live(ringing, 3 * HOUR)
    assert house.alerts() == [("needs_a_person", "a")] * 2


def test_without_alerts_the_log_alone_tells_it_once(house: House, told: Callable[[], list[str]]) -> None:
    house.crms["a"].trouble = REFUSED
    house.live(house.ringing(house.project({"alerts: {notify: [ops]}": ""})), timedelta(hours=5))
    assert house.alerts() == []
    assert told().count("connection_needs_a_person") == 1


def test_what_is_missing_in_one_part_opens_no_circuit(house: House) -> None:
    ringing = house.ringing()
    house.crms["a"].trouble, house.crms["a"].troubled = REFUSED, "deeds"
    house.live(ringing, HOUR)
    assert (len(house.tries), house.alerts()) == (4, [])


# bugs, leases, several processes


def test_a_bug_is_tried_again_ever_more_seldom_and_never_by_a_person(
    house: House, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_parts: Parts) -> None:
        raise RuntimeError("a planted bug")

    monkeypatch.setattr(module, "sync", broken)
    house.live(house.ringing(), HOUR)
    assert house.gaps() == [timedelta(minutes=each) for each in (1, 2, 4, 8, 16)]
    assert (set(told()), house.alerts()) == ({"run_crashed"}, [])


@pytest.mark.parametrize("error", [LeaseLost("gone", code="SY064"), Stopped("asked to stop")])
def test_a_run_that_was_taken_over_or_stopped_leaves_the_due_time_to_who_goes_on(
    error: SyncerError, house: House, told: Callable[[], list[str]]
) -> None:
    ringing = house.ringing()
    due = ringing.first("a")
    house.crms["a"].trouble = error
    assert ringing.run("a").again <= house.now + timedelta(seconds=10)
    assert (house.due(), house.failures()) == (due, 0)
    assert "connection_failing" not in told()


def test_two_processes_tell_the_same_outage_once(house: House, told: Callable[[], list[str]]) -> None:
    house.crms["a"].trouble = DOWN
    for ringing in (house.ringing(), house.ringing(), house.ringing()):
        ringing.run("a")
        house.now += HOUR
    assert told().count("connection_failing") == 1
    house.crms["a"].trouble = None
    for ringing in (house.ringing(), house.ringing()):
        ringing.run("a")
        house.now += HOUR
    assert told().count("connection_recovered") == 1


def test_who_rings_between_a_run_of_another_process_and_its_next_due_time_does_not_run_it_again(house: House) -> None:
    ringing, other = house.ringing(), house.ringing()
    due = ringing.first("a")
    sync(other.app.parts("a"))  # and it has not yet set the next due time
    assert house.due() == due
    before = house.crms["a"].calls["read"]
    assert ringing.run("a").again == house.now + EVERY
    assert house.crms["a"].calls["read"] == before
    with house.store.writing() as tx:
        runs.ring(tx, "a", house.now + SECOND)
    house.now += SECOND
    ringing.run("a")
    assert house.crms["a"].calls["read"] > before, "but a ring since then is heard"


# the clock


@pytest.mark.parametrize("step", [-HOUR, HOUR, timedelta(days=1)])
def test_a_clock_that_is_set_in_the_middle_of_a_run_delays_the_next_one_by_no_more_than_an_interval(
    step: timedelta, house: House
) -> None:
    ringing = house.ringing()

    def set_clock() -> None:
        house.now += step

    house.meanwhile["a"] = set_clock
    rung = ringing.run("a")
    assert house.now < rung.again <= house.now + EVERY


def test_a_run_that_began_by_a_clock_that_was_ahead_serves_no_due_time(house: House) -> None:
    ringing = house.ringing()
    ringing.run("a")
    house.now -= HOUR
    assert ringing.first("a") <= house.now + EVERY
    house.now += EVERY
    before = house.crms["a"].calls["read"]
    ringing.run("a")
    assert house.crms["a"].calls["read"] > before


# the database


def test_a_database_that_is_away_is_told_once_for_all_connections_and_its_return_once(
    house: House, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with closing(open_store(f"sqlite:///{house.folder / 'syncer.db'}")) as impatient:
        ringing = house.ringing()
        ringing.app = replace(ringing.app, store=impatient)
        with closing(sqlite3.connect(house.folder / "syncer.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")  # reading works all the while
            for _ in range(3):
                for name in ("a", "b"):
                    assert not ringing.run(name).well
            assert told() == ["database_failing"]
            assert ringing.standing() == "0 of 2 connections well"
            assert ringing.run("a").again - house.now <= timedelta(minutes=1)
        assert ringing.run("a").well
        assert told() == ["database_failing"], "there is another one that it has kept from its run"
        assert ringing.run("b").well
        assert told() == ["database_failing", "database_recovered"]
        assert ringing.standing() == "2 of 2 connections well"


def test_a_database_that_takes_only_little_is_told_once_though_runs_end(
    house: House, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: what the CRM tells finds no room, and a run that has read nothing does."""
    full = TemporaryError("the database did not do its part: no space left on device", code="SY066")
    ringing, room = house.ringing(), False

    def run(parts: Parts) -> Report:
        report = sync(parts)
        if parts.name == "a" and not room:
            report.failures["contacts"] = full
        return report

    monkeypatch.setattr(module, "sync", run)
    for _ in range(3):
        assert not ringing.run("a").well
        assert ringing.run("b").well
        house.now += HOUR
    assert told() == ["database_failing"]
    room = True
    assert ringing.run("a").well
    assert told() == ["database_failing", "database_recovered"]


def test_hints_that_cannot_be_followed_for_want_of_a_database_break_nothing(
    house: House, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    house.crms["a"].put("1")
    with closing(open_store(f"sqlite:///{house.folder / 'syncer.db'}")) as impatient:
        ringing = house.ringing()
        ringing.app = replace(ringing.app, store=impatient)
        ringing.run("a")
        with house.store.writing() as tx:
            hints.hint(tx, [RecordKey("a", "people", "1")], house.now)
        with closing(sqlite3.connect(house.folder / "syncer.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            assert not ringing.follow("a").hints
        assert ringing.follow("a").hints
    assert told() == ["database_failing"]


# reload


def test_a_connection_that_leaves_the_project_in_the_middle_of_its_run_ends_it_well_and_is_not_run_again(
    house: House, told: Callable[[], list[str]]
) -> None:
    ringing = house.ringing()
    without = house.project({"a: {type: memory}, ": ""})

    def leaves() -> None:
        ringing.app = replace(ringing.app, project=without)

    house.meanwhile["a"] = leaves
    assert ringing.run("a").well
    assert ringing.names == ["b"]
    reads = house.crms["a"].calls["read"]
    house.now += HOUR
    ringing.run("a")
    ringing.follow("a")
    ringing.deliver("a")
    assert house.crms["a"].calls["read"] == reads
    assert told() == []


def test_of_the_pages_only_their_address_needs_a_restart(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signs in, what is masked, and where browsers find them holds from the next request on."""

    def with_web(told: str) -> Project:
        return house.project({"alerts:": f"web: {told}\nalerts:"})

    ringing, warned = house.ringing(with_web("{}")), []
    for told in ("{mask_emails: true, public_url: 'https://a.example'}", "{port: 8322}"):
        monkeypatch.setattr(module, "read_project", lambda _process, told=told: with_web(told))
        with structlog.testing.capture_logs() as logs:
            ringing.read_again(ringing.app.process)
        warned.append([each["event"] for each in logs if each["event"] == "web_unchanged"])
    assert warned == [[], ["web_unchanged"]]


def test_settings_that_are_mended_while_a_run_fails_are_tried_at_once(house: House) -> None:
    house.crms["a"].trouble = REFUSED
    ringing = house.ringing()
    house.live(ringing, HOUR)
    mended = house.project({"a: {type: memory}": "a: {type: memory, token: mended}"})

    def reload() -> None:
        ringing.app = replace(ringing.app, project=mended)

    house.meanwhile["a"] = reload
    house.now += HOUR
    assert ringing.run("a").again == house.now
    assert house.failures() == 0
