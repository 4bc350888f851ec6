"""Whole runs beside a CRM in memory: what no increment shows is found in time, whoever is hinted at is read at once,
and neither delays nor undoes anything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, TemporaryError, UnsafePlanError
from syncer.model import Lead, LeadPlan, Notice, Page, Record, RecordKey, Rejected
from syncer.parts import Asked, Parts, Report, Step, wish_s
from syncer.run import apply_saved, deliver, follow, plan, sync
from syncer.settings import load_project
from syncer.store import Store, hints, leases, mirror, runs, sweeps
from syncer.store.tables import activities, metadata
from tests.connectors.memory import PAGE, Crm, Memory, MemorySettings
from tests.store.samples import apply, decided, handoff, planned, put, record, the_lead

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MODEL = """\
name: small
fit:
  rules:
    - {name: Asked for a demo, when: {forms: {at_least: 1}}, points: 40}
engagement:
  rules:
    - {name: Came to a meeting, when: {activity: meeting}, points: 30}
stages:
  - {name: cold}
  - {name: warm, enter: [total >= 30]}
  - {name: hot, enter: [total >= 70]}
"""
MANY = "max_stage_changes: 1000"
PROJECT = """\
version: 1
connections: {{crm: {{type: memory}}}}
models: model.yml
sync: {{{sync}}}
"""


class NoSettings(BaseModel):
    type: str = "memory"


@dataclass
class World:
    """One connection to a CRM in memory, and a clock that stands still until it is moved."""

    folder: Path
    store: Store
    crm: Crm = field(default_factory=Crm)
    stop: threading.Event = field(default_factory=threading.Event)
    now: datetime = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)  # an hour after the CRM's
    page_takes: timedelta = timedelta(0)  # to sweep
    meanwhile: Callable[[], None] | None = None  # what happens once, while a page is swept
    model: str = MODEL
    more: str = ""  # of the project

    def clock(self) -> datetime:
        return self.now

    def progress(self, step: Step, what: str, done: int, of: int | None) -> None:
        if step == "sweep":
            self.now += self.page_takes
            if self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None

    def parts(self, settings: str = "every: 1h") -> Parts:
        (self.folder / "model.yml").write_text(self.model)
        path = self.folder / "syncer.yml"
        told = settings if "max_stage" in settings else f"{settings}, {MANY}"
        path.write_text(PROJECT.format(sync=told) + self.more)
        project = load_project(path, {"memory": NoSettings}, {})
        wanted = Wanted(project.needed_fields, project.needed_activities, project.stages, self.stop)
        source = Memory("crm", MemorySettings(crm=self.crm), wanted)
        return Parts(
            *("crm", source, self.store, project, leases.this_process(), self.clock, self.stop),
            writable=frozenset({"crm"}),
            destination=source,
            progress=self.progress,
        )

    def sync(self, asked: Asked | None = None, settings: str = "every: 1h") -> Report:
        return sync(self.parts(settings), asked or Asked())

    def follow(self, settings: str = "every: 1h") -> Report:
        return follow(self.parts(settings))

    def hint(self, *people: str) -> None:
        with self.store.writing() as tx:
            hints.hint(tx, [RecordKey("crm", "people", each) for each in people], self.now)

    def hinted(self) -> int:
        with self.store.reading() as tx:
            return len(hints.waiting(tx, "crm", 1000))

    def lead(self, person: str) -> Lead:
        with self.store.reading() as tx:
            (found,) = mirror.find(tx, f"crm/people/{person}")
        return mirror.lead(self.store, found)

    def stage(self, person: str) -> str | None:
        state = self.lead(person).state.stage
        return state.stage if state is not None else None

    def leads(self) -> int:
        with self.store.reading() as tx:
            return mirror.count(tx, "crm")

    def named(self, word: str) -> bool:
        """Whether the word stands in any table."""
        with self.store.reading() as tx:
            return any(word in repr(row) for table in metadata.sorted_tables for row in tx.execute(select(table)))

    def owe(self, what: str) -> None:
        """Something is to be written, or to be told to sales."""
        put(self.store, record("9"))
        lead = the_lead(self.store, "9")
        if what == "writes":
            apply(self.store, planned(lead, "hot"))
            return
        told = handoff(lead)
        notice = Notice(f"{told.key}/mail/rep", told, "mail", "rep", "ready")
        apply(self.store, LeadPlan(decided(lead, "hot"), (), told), notices=(notice,))

    def source_records(self, *people: str) -> tuple[Record, ...]:
        """As the CRM shows them now."""
        parts = self.parts()
        return tuple(parts.source.read_back([RecordKey("crm", "people", each) for each in people]))  # type: ignore[attr-defined]

    def asked(self, what: str) -> int:
        return sum(each[:1] == (what,) for each in self.crm.asked)

    def due(self) -> datetime | None:
        with self.store.reading() as tx:
            return runs.due_at(tx, "crm")

    def warm(self) -> int:
        return sum(each.standing.stage == "warm" for each in self.crm.people.values())

    def forget_calls(self) -> None:
        self.crm.asked.clear()


@pytest.fixture
def world(tmp_path: Path, store: Store) -> World:
    """Three people and a meeting, all read, scored and written, and nothing is left to do."""
    made = World(tmp_path, store)
    for each in ("1", "2", "3"):
        made.crm.put(each, email=f"person{each}@acme.test", forms=0)
    made.crm.act("m1", "meeting", "1")
    made.sync()
    made.sync()  # and our own writes are read again
    made.forget_calls()
    return made


def test_a_value_that_changes_without_a_trace_is_found_within_a_day_and_scored_by_the_next_run(world: World) -> None:
    world.crm.slip("2", forms=1)
    world.now += 23 * HOUR
    assert "swept" not in world.sync().counts
    world.now += HOUR
    report = world.sync()
    assert (report.counts["swept"], report.outcome) == (3, "ok")
    assert report.rings == {"crm"}, "a daemon runs it again at once"
    assert world.stage("2") == "cold", "nobody waits for a sweep"
    assert world.sync().counts["stage_changes"] == 1
    assert world.crm.people["2"].standing.stage == "warm"
    world.now += DAY
    assert world.sync().rings == set(), "what finds nothing rings nobody"


def test_activities_are_swept_once_a_week_and_what_is_deleted_counts_no_more(world: World) -> None:
    assert world.stage("1") == "warm"
    world.crm.cancel("m1")
    for _ in range(6):
        world.now += DAY
        world.sync()
    assert world.lead("1").signals.activities
    world.now += DAY
    assert world.sync().counts["reconciled"] == 1
    world.sync()
    assert (world.lead("1").signals.activities, world.stage("1")) == ((), "cold")


def test_whoever_vanished_leaves_scoring_and_whoever_was_restored_comes_back_with_their_past(world: World) -> None:
    world.crm.vanish("1")
    world.now += DAY
    world.sync()
    assert world.leads() == 2
    world.crm.restore("1")
    world.now += DAY
    world.sync()
    world.sync()
    assert (world.leads(), world.stage("1"), len(world.lead("1").signals.activities)) == (3, "warm", 1)


def test_whoever_was_erased_without_a_word_is_erased_here_when_that_was_told_twice(world: World) -> None:
    world.crm.erase("1")
    world.now += DAY
    world.sync()
    assert (world.leads(), world.named("person1")) == (2, True), "deleted, as a CRM may stumble"
    world.forget_calls()
    world.now += timedelta(minutes=9)
    assert world.follow().run == 0
    world.sync()
    assert world.asked("fetch") == 0, "not so soon"
    world.now += timedelta(minutes=1)
    assert world.follow().counts["hints"] == 1
    assert (world.leads(), world.named("person1"), world.hinted()) == (2, False, 0)


@pytest.mark.parametrize("told_by", ["a sweep", "a look before a write"])
def test_one_wrong_answer_that_somebody_is_gone_for_good_takes_nothing_that_does_not_come_back(
    world: World, told_by: str
) -> None:
    ana = world.crm.people["1"]
    if told_by == "a sweep":
        world.crm.erase("1")
        world.now += DAY
        world.sync()
    else:
        world.crm.trouble, world.crm.troubled = TemporaryError("not now"), "write"
        world.crm.put("1", forms=1)
        world.sync()
        world.crm.trouble, ana = None, world.crm.people["1"]
        world.crm.erase("1")
        assert deliver(world.parts()) is not None
    assert world.leads() == 2
    assert world.follow().run == 0, "not so soon"
    world.crm.people["1"] = ana
    world.now += timedelta(minutes=10)
    world.follow()
    assert (world.leads(), len(world.lead("1").signals.activities)) == (3, 1)


@pytest.mark.parametrize(("people", "missing", "allowed"), [(60, 50, True), (60, 51, False), (2000, 101, False)])
def test_a_sweep_that_misses_too_many_people_deletes_nobody_and_says_so_until_a_person_wants_it_so(
    world: World, people: int, missing: int, allowed: bool
) -> None:
    for each in range(people - 3):
        world.crm.put(f"a{each:04}", email=f"a{each}@acme.test", forms=0)
    world.sync()
    world.sync()
    world.now += DAY
    for each in range(missing):
        world.crm.vanish(f"a{each:04}")
    world.crm.erase("3") if not allowed else None
    report = world.sync()
    if allowed:
        assert (report.outcome, world.leads()) == ("ok", people - missing)
        return
    assert (report.outcome, world.leads(), world.asked("fetch")) == ("partial", people, 0)
    failure = report.failures["sweep"]
    told = f"crm: the CRM does not show {missing + 1:,} of {people:,} people any more; nothing was deleted"
    assert (failure.code, failure.message.partition(";")[0]) == ("SY056", told.partition(";")[0])
    assert "syncer run crm --full" in failure.message
    assert world.sync().outcome == "ok", "it is told once"
    world.now += DAY
    assert list(world.sync().failures) == ["sweep"], "and with the next sweep again"
    world.sync(Asked(full=True))
    assert world.leads() == people - missing - 1


@pytest.mark.parametrize(("every", "pages"), [("9m", 1), ("1h", 2)])
def test_a_sweep_may_take_a_third_of_the_interval_and_five_minutes_and_goes_on_in_the_next_run(
    world: World, every: str, pages: int
) -> None:
    for each in range(PAGE * 3):
        world.crm.put(f"a{each:04}", email=f"a{each}@acme.test", forms=0)
    world.sync()
    world.now += DAY
    world.page_takes = timedelta(minutes=3)
    counts: list[int] = []
    while sum(counts) < PAGE * 3 + 3:
        counts.append(world.sync(settings=f"every: {every}").counts["swept"])
        assert world.sync(settings=f"every: {every}").counts["swept"] == 0, "it is used up, whoever rings"
        world.now += HOUR
    assert counts == [PAGE * pages] * (len(counts) - 1) + [(PAGE * 3) % (PAGE * pages) + 3], "nobody twice, and an end"
    assert world.sync().counts["swept"] == 0


@pytest.mark.parametrize("what", ["hints", "writes", "notices"])
def test_a_sweep_makes_way_for_what_comes_up_meanwhile_after_a_moment(world: World, what: str) -> None:
    for each in range(PAGE * 4):
        world.crm.put(f"a{each:04}", email=f"a{each}@acme.test", forms=0)
    world.sync()
    world.sync()
    world.now += DAY
    world.page_takes = timedelta(seconds=6)

    def comes_up() -> None:
        if what == "hints":
            world.hint("2")
        else:
            world.owe(what)

    world.meanwhile = comes_up
    assert world.sync().counts["swept"] == PAGE * 2, "ten seconds are its own"
    assert world.sync().counts["swept"] == PAGE * 2 + 3, "what waits already when it begins keeps nobody"


@pytest.mark.parametrize(
    "settings", ["sweep: off, sweep_activities: off", "every: 1h, sweep: 100d, sweep_activities: off"]
)
def test_sweeps_may_be_rare_or_off_and_whoever_asks_for_everything_gets_it(world: World, settings: str) -> None:
    world.now += 99 * DAY
    world.crm.slip("2", forms=1)
    world.crm.cancel("m1")
    world.sync(settings=settings)
    assert world.asked("sweep") == 0
    report = world.sync(Asked(full=True), settings)
    assert (report.counts["swept"], report.counts["reconciled"]) == (3, 1)
    assert (world.stage("1"), world.stage("2")) == ("cold", "warm"), "before anything is decided"


def test_everything_is_looked_at_again_in_a_plan_as_well_and_nothing_is_written(world: World) -> None:
    world.crm.slip("2", forms=1)
    report = plan(world.parts(), Asked(full=True))
    assert report.counts["stage_changes"] == 1
    assert world.crm.people["2"].standing.stage == "cold"


def test_a_stream_whose_first_pull_is_not_over_is_not_swept(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, store)
    for each in range(PAGE + 1):
        world.crm.put(f"{each}", email=f"p{each}@acme.test")
    world.parts()
    world.stop.set()
    with pytest.raises(Stopped):
        world.sync()
    world.stop.clear()
    world.now += 9 * DAY
    assert world.sync(Asked(full=True)).counts["swept"] == 0, "it has just been read whole"
    assert world.sync().counts["swept"] == 0


def test_a_sweep_that_fails_is_told_and_undoes_nothing(world: World) -> None:
    world.crm.act("m2", "meeting", "2")
    world.now += DAY
    trouble = TemporaryError("the list is broken")
    world.crm.trouble, world.crm.troubled = trouble, "sweep"
    report = world.sync()
    assert (report.failures, report.outcome) == ({"sweep": trouble}, "partial")
    assert world.crm.people["2"].standing.stage == "warm"
    with world.store.reading() as tx:
        assert sweeps.due(tx, "crm", {"people": DAY}, world.now) == ["people"], "it is tried again"


def stopped_in_a_sweep(world: World, prefix: str) -> None:
    """A sweep of two pages, of which the first is seen."""
    for each in range(PAGE):
        world.crm.put(f"{prefix}{each:04}", email=f"{prefix}{each}@acme.test")
    world.sync()
    world.now += DAY
    parts = world.parts()
    with pytest.raises(Stopped):
        sync(replace(parts, progress=lambda step, *_: world.stop.set() if step == "sweep" else None))
    world.stop.clear()


def test_a_stop_in_the_middle_of_a_sweep_is_heeded_and_the_next_run_goes_on(world: World) -> None:
    stopped_in_a_sweep(world, "a")
    world.forget_calls()
    assert world.sync().counts["swept"] == 3, "the people of the second page"


def test_who_is_new_behind_a_sweep_is_not_asked_for_when_it_ends(world: World) -> None:
    stopped_in_a_sweep(world, "b")
    world.crm.put("0", email="new@acme.test")
    world.forget_calls()
    world.sync()
    assert world.asked("fetch") == 0


# ---- hints ----


def test_whoever_is_hinted_at_is_read_decided_and_written_at_once_with_what_they_did_lately(world: World) -> None:
    world.crm.slip("2", forms=1)
    world.crm.act("m2", "meeting", "2")
    world.crm.put("3", forms=1)
    world.hint("2")
    world.forget_calls()
    report = world.follow()
    assert (report.counts["hints"], report.counts["scored"], report.outcome) == (1, 1, "ok")
    assert world.crm.people["2"].standing.stage == "hot"
    with world.store.reading() as tx:
        assert [run.id for run in runs.last(tx, "crm", 9, "quick")] == [report.run]
    assert world.stage("3") == "cold", "whoever was not hinted at waits for the next run"
    assert (world.asked("pull"), world.asked("sweep"), world.asked("fetch")) == (0, 0, 1)
    assert world.hinted() == 0
    assert world.sync().counts["stage_changes"] == 1


def test_where_nobody_is_hinted_at_nothing_happens(world: World) -> None:
    calls = dict(world.crm.calls)
    assert world.follow().run == 0
    assert world.crm.calls == calls
    with world.store.reading() as tx:
        assert len(runs.last(tx, "crm", 10)) == 2


def test_before_anything_was_ever_read_hints_wait(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, store)
    world.crm.put("1", email="person1@acme.test", forms=1)
    world.hint("1")
    assert world.follow().run == 0
    assert world.hinted() == 1
    world.sync()
    assert (world.hinted(), world.leads()) == (0, 1)


def test_a_whole_run_follows_hints_too_and_a_hint_of_what_is_none_of_ours_is_forgotten(world: World) -> None:
    world.crm.slip("2", forms=1)
    world.hint("2", "nobody")
    with world.store.writing() as tx:
        hints.hint(tx, [RecordKey("crm", "companies", "7")], world.now)
    report = world.sync()
    assert (report.counts["stage_changes"], report.counts["hints"], world.hinted()) == (1, 3, 0)
    assert world.leads() == 3


def test_hints_that_could_not_be_followed_wait(world: World) -> None:
    world.hint("2")
    world.crm.trouble = TemporaryError("not now")
    with pytest.raises(TemporaryError):
        world.follow()
    assert world.hinted() == 1
    world.crm.trouble = None
    world.follow()
    assert world.hinted() == 0


def test_what_could_not_be_read_is_asked_for_by_name_in_every_run_until_it_comes(world: World) -> None:
    world.crm.silent.add("2")
    world.hint("2", "3")
    assert [world.sync().counts["unreadable"] for _ in range(3)] == [1, 1, 1], "once in each run"
    world.crm.silent.clear()
    world.crm.slip("2", forms=2)
    world.forget_calls()
    world.sync()
    assert ("fetch", "people", "2") in world.crm.asked
    assert world.lead("2").signals.fields["forms"] == 2
    world.forget_calls()
    world.sync()
    assert world.asked("fetch") == 0


# ---- what a quick run may not do ----


def test_hints_wait_for_a_full_run_where_the_rules_have_changed_and_it_is_due_at_once(world: World) -> None:
    for each in range(4, 10):
        world.crm.put(f"{each}", email=f"person{each}@acme.test", forms=1, country="ES")
    world.sync()
    world.model = MODEL.replace("forms: {at_least: 1}", "country: [ES]")  # a field that was never read
    world.hint("2")
    assert world.follow().run == 0
    assert (world.hinted(), world.due(), world.crm.people["5"].standing.stage) == (1, world.now, "warm")
    report = world.sync()
    assert (report.counts["hints"], report.counts["stage_changes"], world.stage("5")) == (1, 0, "warm")
    world.model = world.model.replace("points: 40", "points: 20")
    world.hint("2")
    assert (world.follow().run, world.hinted()) == (0, 1), "other points are other rules as well"
    world.sync()
    world.hint("2")
    assert world.follow().counts["hints"] == 1


def test_hints_wait_for_a_full_run_where_more_is_to_be_known_of_people_though_no_rule_has_changed(
    world: World,
) -> None:
    world.more = "outcome: {field: plan, won: [gold]}\n"
    world.hint("2")
    assert world.follow().run == 0
    assert (world.hinted(), world.due()) == (1, world.now)
    assert world.sync().counts["read"] == 3, "all people are read again"
    world.hint("2")
    assert world.follow().counts["hints"] == 1


def test_a_full_run_that_fails_is_not_made_due_by_every_hint(world: World) -> None:
    world.model = MODEL.replace("forms: {at_least: 1}", "country: [ES]")
    world.hint("2")
    world.crm.trouble, world.crm.troubled = TemporaryError("search is down"), "pull"
    with pytest.raises(TemporaryError):
        world.sync()
    with world.store.writing() as tx:
        runs.set_due(tx, "crm", world.now + HOUR)
    assert world.follow().run == 0
    assert world.due() == world.now + HOUR


def test_a_quick_run_asks_for_its_hints_alone(world: World) -> None:
    world.crm.silent |= {"1", "3"}
    world.hint("1", "3")
    world.follow()
    world.forget_calls()
    world.hint("2")
    world.follow()
    assert [each for each in world.crm.asked if each[:1] == ("fetch",)] == [("fetch", "people", "2")]


def test_many_quick_runs_move_no_more_than_the_fuse_allows_a_full_one_and_rest_then(world: World) -> None:
    for each in range(100, 130):
        world.crm.put(f"{each}", email=f"person{each}@acme.test", forms=0)
    world.sync()
    world.sync()
    for each in range(100, 130):
        world.crm.slip(f"{each}", forms=1)
    settings = "every: 1h, max_stage_changes: 20"
    moved = 0
    for first in (100, 108):
        world.hint(*map(str, range(first, first + 8)))
        moved += world.follow(settings).counts["stage_changes"]
        world.now += timedelta(minutes=1)
    world.hint(*map(str, range(116, 124)))
    with pytest.raises(UnsafePlanError) as told:
        world.follow(settings)
    assert (moved, told.value.code, world.warm()) == (16, "SY051", 17)
    world.hint("129")
    assert (world.follow(settings).run, world.hinted()) == (0, 1), "until a full run has met the fuse"
    assert world.sync(settings=settings).counts["stage_changes"] == 9
    world.now += HOUR
    world.hint(*map(str, range(124, 129)))
    assert world.follow(settings).counts["stage_changes"] == 5, "what is an hour old counts no more"


# ---- what they did lately ----


def test_what_somebody_did_before_their_activities_were_first_read_comes_with_the_load(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, store)
    monkeypatch.setattr(Memory, "streams", ("people",))
    world.crm.put("1", email="person1@acme.test", forms=0)
    world.crm.act("m1", "meeting", "1")
    world.sync()
    world.now += 30 * DAY
    monkeypatch.setattr(Memory, "streams", ("people", "deeds"))
    world.hint("1")
    world.follow()
    assert world.lead("1").signals.activities == ()
    world.sync()
    (meeting,) = world.lead("1").signals.activities
    assert meeting.seen_at == meeting.at, "it was there before we looked"


def test_an_activity_that_could_not_be_read_with_its_person_is_asked_for_in_its_own_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Memory.fetch

    def refusing(memory: Memory, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        for page in plain(memory, stream, ids):
            yield replace(page, rejected=(Rejected("deeds/m1", "no answer", retry=True),) if lately else ())

    monkeypatch.setattr(Memory, "fetch", refusing)
    world.hint("1")
    assert world.follow().counts["unreadable"] == 1
    with world.store.reading() as tx:
        assert (mirror.unread(tx, "crm", "people"), mirror.unread(tx, "crm", "deeds")) == ([], ["m1"])
    world.forget_calls()
    world.sync()
    assert [each for each in world.crm.asked if each[:1] == ("fetch",)] == [("fetch", "deeds", "m1")]


def test_an_activity_seen_with_its_person_counts_for_its_own_sweep_alone(world: World) -> None:
    world.now += 6 * DAY
    world.sync()
    world.now += DAY
    with world.store.writing() as tx:
        number = sweeps.begin(tx, "crm", "people", world.now).number
        assert sweeps.begin(tx, "crm", "deeds", world.now).number == number - 1
    world.hint("1")
    world.follow()
    with world.store.reading() as tx:
        assert tx.execute(select(activities.c.swept)).scalar_one() == number - 1


# ---- patience ----


def test_a_crm_that_asks_for_patience_is_asked_no_more_by_the_same_run(world: World) -> None:
    world.crm.act("m2", "meeting", "2")
    world.hint("3")
    world.crm.trouble = TemporaryError("the day's requests are used up", retry_after_s=7200)
    world.crm.troubled = "deeds"
    world.crm.put("3", forms=1)
    report = world.sync()
    assert report.outcome == "partial"
    assert world.stage("3") == "warm", "what was read is decided"
    assert world.crm.people["3"].standing.stage == "cold", "and nothing is written"
    assert world.asked("fetch") == 0
    assert world.hinted() == 1
    with world.store.reading() as tx:
        parked = runs.parked(tx, "crm", world.now)
        assert parked == runs.Parked(world.now + timedelta(hours=2), "the day's requests are used up")
        assert runs.parked(tx, "crm", world.now + timedelta(hours=2)) is None


def test_while_it_is_left_alone_nothing_is_delivered_to_it_and_the_next_good_answer_ends_that(world: World) -> None:
    world.crm.put("3", forms=1)
    world.crm.trouble, world.crm.troubled = TemporaryError("moving", retry_after_s=24 * 3600), "write"
    world.sync()
    world.crm.trouble = None
    calls = dict(world.crm.calls)
    assert deliver(world.parts()) is None
    assert world.crm.calls == calls
    world.sync()
    assert world.crm.people["3"].standing.stage == "warm", "a person's run tries all the same"
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is None


def test_patience_that_a_delivery_meets_is_kept_as_well(world: World) -> None:
    world.crm.put("3", forms=1)
    world.crm.trouble, world.crm.troubled = TemporaryError("unwell"), "write"
    world.sync()
    world.crm.trouble = TemporaryError("the day's requests are used up", retry_after_s=7200)
    assert deliver(world.parts()) is not None
    assert deliver(world.parts()) is None
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is not None


def test_a_short_wish_and_a_fault_that_a_person_must_mend_park_nothing(world: World) -> None:
    for trouble in (TemporaryError("a moment", retry_after_s=60), ConfigError("no scope"), TemporaryError("unwell")):
        world.crm.trouble = trouble
        with pytest.raises(type(trouble)):
            world.sync()
        with world.store.reading() as tx:
            assert runs.parked(tx, "crm", world.now) is None


def test_a_failure_without_an_answer_leaves_the_patience_as_it_was(world: World) -> None:
    world.crm.trouble = TemporaryError("the day's requests are used up", retry_after_s=7200)
    with pytest.raises(TemporaryError):
        world.sync()
    world.crm.trouble = TemporaryError("no connection")
    with pytest.raises(TemporaryError):
        world.sync()
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is not None


@pytest.mark.parametrize("wish", [float("inf"), 1e12, 10.0 * 86400])
def test_no_wish_parks_for_longer_than_a_day_lasts(world: World, wish: float) -> None:
    world.crm.trouble = TemporaryError("for ever", retry_after_s=wish)
    with pytest.raises(TemporaryError):
        world.sync()
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) == runs.Parked(world.now + timedelta(hours=26), "for ever")


@pytest.mark.parametrize("wish", [float("nan"), float("-inf"), -3600.0])
def test_a_wish_without_sense_is_none(world: World, wish: float) -> None:
    world.crm.trouble = TemporaryError("unwell", retry_after_s=wish)
    with pytest.raises(TemporaryError):
        world.sync()
    assert wish_s(world.crm.trouble) == 0
    with world.store.reading() as tx:
        assert runs.last(tx, "crm")[0].outcome == "failed"
        assert runs.parked(tx, "crm", world.now) is None


def test_a_clock_that_is_set_back_ends_what_it_had_parked(world: World) -> None:
    world.now += 400 * DAY
    world.crm.trouble = TemporaryError("the day's requests are used up", retry_after_s=7200)
    with pytest.raises(TemporaryError):
        world.sync()
    world.now -= 400 * DAY
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is None


def test_a_saved_plan_that_asks_the_crm_nothing_ends_no_patience(world: World) -> None:
    empty = plan(world.parts())
    with world.store.writing() as tx:
        runs.park(tx, "crm", world.now + HOUR, "the day's requests are used up")
    assert apply_saved(world.parts(), empty.run).outcome == "ok"
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is not None
    world.crm.put("3", forms=1)
    moving = plan(world.parts())
    with world.store.writing() as tx:
        runs.park(tx, "crm", world.now + HOUR, "the day's requests are used up")
    apply_saved(world.parts(), moving.run)
    with world.store.reading() as tx:
        assert runs.parked(tx, "crm", world.now) is None, "it has taken a write"


def test_somebody_of_whom_only_a_part_makes_no_sense_is_erased_as_anybody_is(world: World) -> None:
    seen = world.source_records("3")
    odd = Rejected("3", "the stage chosen by hand, 'vip', is none of: cold, warm, hot; it is not obeyed")
    with world.store.writing() as tx:
        mirror.store_page(tx, "crm", "people", Page(None, seen, rejected=(odd,)), world.now)
        assert mirror.known(tx, "crm", "people", ["3"]).keys() == {"3"}
        assert mirror.complaints(tx, [seen[0].key]) == [(seen[0].key, odd.reason)]
        assert [each.arrived for each in mirror.rejections(tx, "crm")] == [True]
    world.crm.erase("3")
    for _ in range(3):
        world.now += timedelta(hours=25)
        world.sync()
    assert not world.named("person3@acme.test")
