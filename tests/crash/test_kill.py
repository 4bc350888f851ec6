"""kill -9 at every boundary of a run, and start again: nothing is lost, nothing is told twice, and every lead stands
where it would stand anyway."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson
import pytest

from connectors.emulators.hubspot import Fault
from syncer.handoff.sending import HELD
from tests.crash.child import Order
from tests.crash.world import Undisturbed, World, was_killed
from tests.receivers import Received
from tests.reporting import KILLED

pytestmark = pytest.mark.slow  # whole runs that really die, and an undisturbed day beside them


@dataclass(frozen=True, slots=True)
class Case:
    """Which run dies, and where: at the first place in its first process, at the second in the next, and so on."""

    run: Literal["baseline", "second"]
    deaths: tuple[tuple[str, int], ...]

    @property
    def step(self) -> str:
        step = self.deaths[0][0].partition(":")[0]
        return "apply" if step == "plan" else step

    def __str__(self) -> str:
        return f"{self.run}, " + ", then ".join(f"{place} {nth}" for place, nth in self.deaths)


def _cases(run: Literal["baseline", "second"], *deaths: str) -> list[Case]:
    """Of "write: after request 2"; several in one text are deaths in a row."""
    found = []
    for text in deaths:
        split = [each.strip().rpartition(" ") for each in text.split(",")]
        found.append(Case(run, tuple((place, int(nth)) for place, _, nth in split)))
    return found


PULL = [
    *_cases("baseline", "pull: before commit 2", "pull: page came 7", "pull: after commit 9, pull: page came 1"),
    *_cases("second", "pull: page came 1", "pull: before commit 1", "pull: after commit 1", "pull: after commit 4"),
    *_cases("second", "pull: before commit 5", "pull: after commit 7"),
    *_cases("second", "pull: page came 3, pull: before commit 2, pull: after commit 1"),
]
APPLY = [
    *_cases("baseline", "plan: after commit 1", "apply: part done 3", "apply: after commit 1"),
    *_cases("second", "plan: before commit 1", "plan: after commit 1", "apply: part done 1", "apply: part done 2"),
    *_cases("second", "apply: before commit 1", "apply: after commit 1"),
    *_cases("second", "plan: after commit 1, apply: part done 1, apply: before commit 1"),
]
SWEEP = [
    *_cases("second", "sweep: page came 2", "sweep: before commit 2", "sweep: after commit 3"),
    *_cases("second", "sweep: after commit 2, sweep: page came 3"),
]
WRITE = [
    *_cases("baseline", "write: after request 1", "write: after commit 3"),
    *_cases("baseline", "write: after request 3, write: after request 1"),
    *_cases("second", "write: before request 1", "write: after request 1", "write: before request 2"),
    *_cases("second", "write: after request 2", "write: before commit 3", "write: after commit 3"),
    *_cases("second", "write: after request 2, write: after request 1, write: after request 2"),
]
SEND = [
    *_cases("second", "send: after commit 1", "send: before commit 2", "send: after commit 2"),
    *_cases("second", "send: before commit 3", "send: after commit 3", "send: before commit 7"),
    *_cases("second", "send: before hook left 1", "send: after hook arrived 1", "send: after hook arrived 4"),
    *_cases("second", "send: before mail left 2", "send: after mail arrived 1"),
    *_cases("second", "send: after hook arrived 2, send: after hook arrived 1, send: before hook left 1"),
    *_cases("second", "send: before commit 5, send: after mail arrived 1, send: after hook arrived 1"),
    *_cases("second", "send: before task created 1", "send: after task created 1", "send: after todo arrived 2"),
    *_cases("second", "send: after task created 2, send: after task created 1, send: before task created 1"),
]


@pytest.mark.parametrize("case", [*PULL, *SWEEP, *APPLY, *WRITE, *SEND], ids=str)
def test_case_31_killed_and_started_again_it_ends_as_if_nothing_had_happened(
    case: Case, undisturbed: Undisturbed, record_property: Callable[[str, object], None]
) -> None:
    tally: Counter[str] = Counter()
    world = undisturbed.world
    database = world.go_back(undisturbed.fresh if case.run == "baseline" else undisturbed.acted)
    dying = world.order(database, world.times.baseline if case.run == "baseline" else world.times.second)
    for place, nth in case.deaths:  # what a sweep has begun, the next run ends
        _kill(world, replace(dying, place=place, nth=nth, full=case.step == "sweep"))
    tally.update({"kills": len(case.deaths), "restarts": len(case.deaths)})
    assert world.finish(dying) == 1
    if case.run == "baseline":
        world.act()
        world.finish(world.order(database, world.times.second))
    finish_and_compare(undisturbed, database, tally)
    in_flight = len(case.deaths) if case.step == "send" else 0
    assert _repeats(world.hook_keys()) + _repeats(world.mail_keys()) <= in_flight
    record_property(KILLED, [case.step, undisturbed.name, dict(tally)])
    world.databases.drop(database)


def test_case_31_killed_at_any_moment_with_a_failing_crm_it_ends_as_if_nothing_had_happened(
    on_sqlite: Undisturbed, record_property: Callable[[str, object], None]
) -> None:
    tally: Counter[str] = Counter()
    dice = random.Random(20260)
    while tally["kills"] < 30:
        database = _second_run_with_deaths(on_sqlite, dice, tally)
        finish_and_compare(on_sqlite, database, tally)
        on_sqlite.world.databases.drop(database)
    record_property(KILLED, ["any", "sqlite", dict(tally)])


def _second_run_with_deaths(undisturbed: Undisturbed, dice: random.Random, tally: Counter[str]) -> str:
    """Up to three processes in a row that die at some moment; the last one is left alone."""
    world = undisturbed.world
    database = world.go_back(undisturbed.acted)
    world.portal.faults.add(
        Fault(share=0.02, status=503), Fault(share=0.02, drop="after"), Fault(share=0.01, body="truncated")
    )
    order = world.order(database, world.times.second)
    for _ in range(3):
        ending = world.start(replace(order, after_s=dice.uniform(0.005, 0.4)))
        assert was_killed(ending) or ending.code == 0, world.children.complaints
        tally["kills"] += was_killed(ending)
    tally["restarts"] += 3
    world.finish(order)
    world.portal.faults.clear()  # a task is sent once a run: what failed then must get through in the last
    return database


def test_the_lease_of_a_dead_process_is_taken_at_once(undisturbed: Undisturbed) -> None:
    world = undisturbed.world
    database = world.go_back(undisturbed.acted)
    order = world.order(database, world.times.second)
    _kill(world, replace(order, place="write: after request"))
    assert world.lease_holder(database) is not None
    assert world.finish(order) == 1
    assert world.lease_holder(database) is None
    world.databases.drop(database)


@pytest.mark.parametrize(("place", "mails"), [("send: before mail left", 0), ("send: after mail arrived", 1)])
def test_an_email_that_may_have_left_is_held_for_a_person_where_the_project_says_so(
    undisturbed: Undisturbed, place: str, mails: int
) -> None:
    world = undisturbed.world
    database = world.go_back(undisturbed.acted)
    order = replace(world.order(database, world.times.second), config=str(world.cautious))
    _kill(world, replace(order, place=place))
    assert len(world.mail.received) == mails
    world.finish(order)
    held = [each for each in world.end_state(database).notices if each.state == "dead"]
    assert [(each.channel, each.error) for each in held] == [("mail", HELD)]
    assert _repeats(world.mail_keys()) == 0
    assert set(world.mail_keys()) == undisturbed.end.keys("mail") - ({held[0].key} if not mails else set())
    world.databases.drop(database)


def _kill(world: World, order: Order) -> None:
    ending = world.start(order)
    assert was_killed(ending), f"never got to {order.place} {order.nth}: {ending}\n{world.children.complaints}"


def finish_and_compare(undisturbed: Undisturbed, database: str, tally: Counter[str]) -> None:
    """One more run when everything that waited is due, then everything is compared, then a run with nothing to do."""
    world, expected = undisturbed.world, undisturbed.end
    last = world.order(database, world.times.later)
    world.finish(last)
    end = world.end_state(database)
    found = {
        "lost": len(_lost(world, undisturbed)),
        "doubled": _doubled(world.hook.distinct),
        "mails lost": len(expected.keys("mail") - set(world.mail_keys())),
        "tasks lost": len(expected.keys("todo") - set(world.task_keys())),
        "tasks doubled": _repeats(world.task_keys()) + len(set(world.task_keys()) - expected.keys("todo")),
        "leads that differ": len(end.leads_unlike(expected)),
    }
    tally.update(found)
    tally["mails repeated"] += _repeats(world.mail_keys())
    assert not any(found.values()), (found, end.leads_unlike(expected))
    assert end == expected
    assert end.pending == 0
    assert {each.state for each in end.notices} == {"sent"}
    assert set(world.hook_keys()) == expected.keys("hook")
    world.portal.faults.clear()
    assert world.writes_of(last) == 0


def _lost(world: World, undisturbed: Undisturbed) -> set[tuple[str, int]]:
    """Hand-offs that a receiver that drops repeats never heard of."""
    expected = {(record, episode) for record, episode, _ in undisturbed.end.handoffs}
    return expected - {*map(_told_of, world.hook.distinct)}


def _doubled(received: Sequence[Received]) -> int:
    """Hand-offs that it took for several, because they came under several keys."""
    keys: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for each in received:
        keys[_told_of(each)].add(str(each.key))
    return sum(len(its_keys) - 1 for its_keys in keys.values())


def _told_of(received: Received) -> tuple[str, int]:
    told = orjson.loads(received.body)
    return told["lead"]["record"], told["episode"]


def _repeats(keys: Counter[str]) -> int:
    return keys.total() - len(keys)


@pytest.mark.parametrize("place", ["apply: after commit", "write: before request"])
def test_sales_is_not_told_of_a_lead_that_somebody_moved_away_before_the_restart(
    undisturbed: Undisturbed, place: str
) -> None:
    world = undisturbed.world
    database = world.go_back(undisturbed.acted)
    order = world.order(database, world.times.second)
    _kill(world, replace(order, place=place))
    moved = undisturbed.end.handoffs[0][0].rpartition("/")[2]
    world.control("edit", id=moved, properties={"ls_stage": "cold"})
    world.finish(order)
    world.finish(world.order(database, world.times.later))
    end = world.end_state(database)
    assert end.shown[moved][1] == "cold"
    assert end.decided[moved][4] == "person"
    told = {_told_of(each) for each in world.hook.received}
    assert told == {(record, episode) for record, episode, _ in undisturbed.end.handoffs[1:]}
    assert len(world.mail.received) == len(told) == len(world.task_keys())
    world.databases.drop(database)
