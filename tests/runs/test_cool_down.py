"""Who leaves the hand-off stage and comes back: one alert for each qualification outside the cool-down, however often
it is planned."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from syncer.model import Notice
from syncer.parts import Asked
from syncer.run import plan
from syncer.store import Store, decisions, handed_over
from tests.receivers import HttpReceiver, Reply
from tests.runs.test_sweep import World

pytestmark = pytest.mark.slow  # weeks of whole runs

COOL_DOWN = timedelta(days=7)
STEP = timedelta(hours=12)
HANDOFF = """\
handoff:
  when: warm
  cool_down: 7d
  notifiers: {{hook: {{type: webhook, private_addresses: true, url: "{url}"}}}}
  notify: [hook]
"""


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def world(tmp_path: Path, store: Store, hook: HttpReceiver) -> World:
    """Eight people, all cold, all written; who is warm is told of."""
    made = World(tmp_path, store, more=HANDOFF.format(url=hook.url))
    for number in range(8):
        made.crm.put(str(number), forms=0)
    made.sync()
    made.sync()
    return made


def turn(world: World, warm: dict[str, bool], after: timedelta = STEP) -> None:
    """Time passes, these people become warm or cold, and a plan is made before it is carried out."""
    world.now += after
    world.crm.now = world.now - timedelta(hours=1)
    for person, is_warm in warm.items():
        world.crm.put(person, forms=int(is_warm))
    plan(world.parts())
    world.sync()


def told(hook: HttpReceiver) -> list[str]:
    """The records that sales was told of, as often as that reached it."""
    return [orjson.loads(each.body)["lead"]["record"].rpartition("/")[2] for each in hook.received]


def of(world: World, person: str) -> list[handed_over.HandedOver]:
    with world.store.reading() as tx:
        found = handed_over.listed(tx, handed_over.Wanted(("crm",), world.now))
    return [each for each in found if each.handoff.record.id == person]


def test_there_is_one_alert_for_each_qualification_outside_the_cool_down(world: World, hook: HttpReceiver) -> None:
    chance = random.Random(7)
    stands = dict.fromkeys(world.crm.people, False)
    alerts: dict[str, list[datetime]] = {person: [] for person in stands}
    resumed = 0
    for _ in range(22):
        moving = {person: not stood for person, stood in stands.items() if chance.random() < 0.4}
        turn(world, moving)
        stands |= moving
        for person in (each for each, is_warm in moving.items() if is_warm):
            if alerts[person] and world.now - alerts[person][-1] < COOL_DOWN:
                resumed += 1
            else:
                alerts[person].append(world.now)
        assert {each: person.standing.stage for each, person in world.crm.people.items()} == {
            each: "warm" if is_warm else "cold" for each, is_warm in stands.items()
        }, "the stage moves as always"
    assert resumed > 10
    assert sum(len(each) > 1 for each in alerts.values()) > 3
    assert {person: told(hook).count(person) for person in stands} == {each: len(at) for each, at in alerts.items()}
    assert len(hook.distinct) == len(hook.received)
    for person, is_warm in stands.items():
        assert [each.handoff.at for each in reversed(of(world, person))] == alerts[person]
        assert sum(each.is_open() for each in of(world, person)) == is_warm, "the hand-off goes on where it stopped"


@pytest.mark.parametrize(("away", "alerts"), [(COOL_DOWN - timedelta(milliseconds=1), 1), (COOL_DOWN, 2)])
def test_the_cool_down_counts_from_the_hand_off_and_ends_sharp(
    world: World, hook: HttpReceiver, away: timedelta, alerts: int
) -> None:
    turn(world, {"1": True})
    turn(world, {"1": False}, timedelta(hours=1))
    turn(world, {"1": True}, away - timedelta(hours=1))
    assert told(hook) == ["1"] * alerts
    with world.store.reading() as tx:
        moves = decisions.transitions(tx, world.lead("1").id)
    assert [(move.after, move.episode) for move in moves] == [("cold", 0), ("warm", 1), ("cold", 1), ("warm", alerts)]


def test_who_came_back_in_silence_is_news_again_after_the_cool_down(world: World, hook: HttpReceiver) -> None:
    for is_warm, after in ((True, 1), (False, 1), (True, 1), (False, 1), (True, 24 * 7)):
        turn(world, {"1": is_warm}, timedelta(hours=after))
    assert [orjson.loads(each.body)["episode"] for each in hook.received] == [1, 2]


def test_an_alert_that_reached_nobody_does_not_silence_the_next_one(world: World, hook: HttpReceiver) -> None:
    hook.script.append(Reply(404))
    turn(world, {"1": True})
    turn(world, {"1": False})
    turn(world, {"1": True})
    states: list[Notice] = [notice for each in of(world, "1") for notice in each.notices]
    assert [each.state for each in states] == ["sent", "dead"]


def test_a_plan_says_that_nobody_is_told_anew_and_the_fuse_does_not_count_it(world: World) -> None:
    turn(world, {"1": True})
    turn(world, {"1": False})
    world.now += STEP
    world.crm.put("1", forms=1)
    report = plan(world.parts())
    with world.store.reading() as tx:
        (planned,) = [each for some in decisions.plan_of(tx, report.run) for each in some]
    assert (planned.handoff, planned.resumes, planned.decision.after.stage) == (
        None,
        of(world, "1")[0].handoff.key,
        "warm",
    )
    assert report.counts["handoffs"] == 0
    assert world.sync(Asked(full=True)).counts["handoffs"] == 0
