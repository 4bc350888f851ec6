"""Our own share of the CRM's requests: where it is used up reading rests, and sales is still told; who is handed over
goes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from connectors.emulators.hubspot import Limits
from syncer.errors import ShareUsed, TemporaryError
from syncer.parts import Asked, Parts, Report
from syncer.run import deliver, follow, sync
from syncer.store import Store, outbox, runs, write_backs
from tests.connectors.memory import Memory
from tests.runs.house import House, house_on
from tests.runs.test_sweep import World

pytestmark = pytest.mark.slow  # whole runs under a budget, again and again

HANDOFF = "handoff: {when: warm, wait: 1h, notifiers: {todo: {type: task}}, notify: [todo]}\n"
DAILY = 1000
LATER = {"Retry-After": "86400"}  # HubSpot moves the portal; for a day


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[House]:
    """A lead who is MQL and settled, in a portal that allows 1,000 requests a day."""
    with house_on(tmp_path, database_url, limits=Limits(daily=DAILY, ten_secondly=10_000)) as built:
        path = built.folder / "syncer.yml"
        told = "  todo: {type: task}\n  notify: [hook, todo]"
        path.write_text(path.read_text().replace("notify: [hook]", told))
        built.setup()
        built.meeting(built.person(country="MX", jobtitle="Directora de compras"))
        built.sync()
        yield built


def test_a_share_of_the_day_that_is_used_up_stops_reading_alone(house: House) -> None:
    (person,) = [each["id"] for each in house.control("dump", objectType="contacts")["results"]]
    house.meeting(person)
    house.control("faults", faults=[{"path": "/batch/update", "status": 477, "headers": LATER}])
    assert "write" in house.sync().failures, "she is decided, and waits to be written and told"
    house.control("faults", faults=[])
    house.meeting(person)
    spend(house, 9 * DAILY // 10)
    for written in (1, 0):  # the next run finds nothing to do, and reads as little
        house.forget_calls()
        report = house.sync()
        assert report.failures.keys() == {"contacts"}, "no other stream is asked for either"
        assert isinstance(report.failures["contacts"], ShareUsed)
        assert (report.outcome, report.counts["written"], report.counts["read"]) == ("partial", written, 0)
        assert asked(house, "/search") == 0
    assert house.shown(person)["ls_stage"] == "sql"
    assert len(house.told()) == 1
    assert len(house.control("dump", objectType="tasks")["results"]) == 1
    with house.app() as app, app.store.reading() as tx:
        assert runs.parked(tx, "crm", datetime.now(UTC)) is None
    spend(house, -DAILY)
    assert house.sync().counts["activities"] > 0, "what was left is read once there is a share again"


def test_a_whole_share_that_is_used_up_leaves_the_portal_alone(house: House) -> None:
    spend(house, DAILY)
    with house.app() as app:
        parts = app.parts("crm")
        with pytest.raises(TemporaryError, match="used up") as caught:
            sync(parts)
        assert not isinstance(caught.value, ShareUsed)
        with app.store.reading() as tx:
            assert runs.parked(tx, "crm", datetime.now(UTC)) is not None


def spend(house: House, requests: int) -> None:
    """Earlier runs of the day have sent so many."""
    with house.app() as app, app.store.writing() as tx:
        told = runs.start(tx, "crm", app.clock())
        runs.finish(tx, told, "ok", {"read_calls": requests}, None, app.clock())


def asked(house: House, path: str) -> int:
    shown = orjson.loads(house.pool.request("GET", f"{house.url}/_emulator/calls").data)
    return sum(int(each["count"]) for each in shown["routes"] if path in each["route"])


# ---- beside a CRM in memory ----


@pytest.fixture
def world(tmp_path: Path, store: Store) -> World:
    """Three people, all cold, all written; who is warm is told of."""
    made = World(tmp_path, store, more=HANDOFF)
    for each in ("1", "2", "3"):
        made.crm.put(each, email=f"person{each}@acme.test", forms=0)
    made.sync()
    made.sync()
    made.forget_calls()
    return made


def notices(world: World) -> dict[str, int]:
    with world.store.reading() as tx:
        return {str(state): count for state, count in outbox.counts(tx, "crm").items()}


def used_up(world: World, what: str) -> None:
    world.crm.trouble, world.crm.troubled = ShareUsed("our share is used up", retry_after_s=7200), what


def test_a_share_that_ends_in_the_middle_ends_all_reading_of_the_run(world: World) -> None:
    world.crm.put("3", forms=1)
    world.crm.act("m2", "meeting", "2")
    world.hint("1")
    used_up(world, "deeds")
    report = world.sync()
    assert (report.outcome, world.crm.people["3"].standing.stage) == ("partial", "warm"), "what is decided is written"
    assert (world.asked("fetch"), world.asked("sweep"), world.hinted()) == (0, 0, 1)
    assert parked(world) is None
    world.crm.trouble = None
    world.sync()
    assert world.asked("fetch") > 0
    assert world.hinted() == 0


def test_hints_wait_for_a_share_and_park_nothing(world: World) -> None:
    world.hint("1")
    used_up(world, "fetch")
    with pytest.raises(ShareUsed):
        follow(world.parts())
    assert (parked(world), world.hinted()) == (None, 1)


def test_what_the_share_was_too_small_to_write_is_left_to_the_next_run(world: World) -> None:
    world.crm.put("3", forms=1)
    used_up(world, "write")
    report = world.sync()
    assert isinstance(report.failures["write"], ShareUsed)
    calls = dict(world.crm.calls)
    assert (deliver(world.parts()), world.crm.calls, parked(world)) == (None, calls, None)
    world.crm.trouble = None
    assert deliver(world.parts()) is None
    assert world.sync().counts["written"] == 1
    assert world.crm.people["3"].standing.stage == "warm"


@pytest.mark.parametrize("finds_out", [follow, deliver])
def test_what_the_share_was_too_small_for_is_not_tried_again_before_the_next_run(
    world: World, finds_out: Callable[[Parts], Report | None]
) -> None:
    world.crm.put("3", forms=1)
    if finds_out is deliver:
        world.crm.refused["3"] = "locked"
        world.sync()
        with world.store.writing() as tx:
            write_backs.try_again(tx, "crm")
    world.hint("3")
    used_up(world, "write")
    report = finds_out(world.parts())
    assert report is not None
    assert isinstance(report.failures["write"], ShareUsed)
    calls = dict(world.crm.calls)
    assert (deliver(world.parts()), world.crm.calls) == (None, calls)
    world.crm.trouble = None
    world.crm.refused.clear()
    world.sync()
    assert world.crm.people["3"].standing.stage == "warm"


def test_while_only_reading_rests_what_was_put_off_is_written_between_runs(world: World) -> None:
    world.crm.put("3", forms=1)
    world.crm.refused["3"] = "locked"
    world.sync()
    with world.store.writing() as tx:
        write_backs.try_again(tx, "crm")
    used_up(world, "pull")
    world.crm.refused.clear()
    assert isinstance(deliver(world.parts()), Report)
    assert world.crm.people["3"].standing.stage == "warm"


def parked(world: World) -> runs.Parked | None:
    with world.store.reading() as tx:
        return runs.parked(tx, "crm", world.now)


def test_who_is_handed_over_is_written_before_those_of_a_later_stage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.crm.put("1", forms=1)  # warm, which is handed over
    world.crm.put("3", forms=1)
    world.crm.act("m2", "meeting", "3")  # hot, which comes after it
    monkeypatch.setattr(Memory, "batch", 1, raising=False)
    order: list[str | None] = []
    write = Memory.write

    def noting(memory: Memory, changes: object) -> object:
        order.extend(each.after.stage for each in changes)  # type: ignore[attr-defined]
        return write(memory, changes)  # type: ignore[arg-type]

    monkeypatch.setattr(Memory, "write", noting)
    world.sync()
    assert order == ["warm", "hot"]


def test_a_stage_of_ours_that_the_crm_keeps_back_holds_the_notice_until_it_is_taken(world: World) -> None:
    world.crm.put("3", forms=1)
    world.crm.stages_stuck.add("3")
    assert world.sync().counts["refused"] == 1
    world.now += timedelta(hours=2)
    deliver(world.parts())
    assert notices(world) == {"waiting": 1}
    world.crm.stages_stuck.clear()
    world.sync(Asked(full=True))
    assert "waiting" not in notices(world)


def test_what_was_answered_before_an_error_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Memory.write

    def breaking(memory: Memory, changes: object) -> object:
        yield from write(memory, changes)  # type: ignore[arg-type]
        raise ShareUsed("our share is used up", retry_after_s=7200)

    monkeypatch.setattr(Memory, "write", breaking)
    world.crm.put("3", forms=1)
    report = world.sync()
    assert report.counts["written"] == 1
    assert "waiting" not in notices(world), "sales need not wait for what comes after"
