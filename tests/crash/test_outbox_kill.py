"""kill -9 at every named point of the outbox, again and again, and at any moment while a tenth of everything fails:
nobody is left out; who can tell a repeat from news hears once; others never hear more often than something broke off,
and each repeat says what it is.

`SYNCER_KILLS=25 python -m pytest -n 2 -m slow tests/crash/test_outbox_kill.py` kills twenty-five times at each point.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from syncer.handoff.routing import OWNER_CHANNEL
from syncer.handoff.sending import HELD
from tests.crash.telling import DIGESTS, MESSAGES, REMINDER, SINGLY, Arrival, Sales
from tests.crash.telling import HELD as HOLDING
from tests.receivers import DROP, Reply
from tests.reporting import KILLED_TELLING

pytestmark = pytest.mark.slow  # thousands of processes that really die

KILLS = int(os.environ.get("SYNCER_KILLS", "2"))  # at each point
KILLS_OF_MORE = min(10, KILLS)  # at each point of what goes beyond
RANDOM_KILLS = 2 * KILLS  # on each kind of database
_DEATHS_AT_RANDOM = 5  # of processes in a row
_IN_ONE_SCENE = 13
_ONCE = ("recovery", "reminder")  # what a process keeps but once
_LONGEST_S = 0.4  # a process that tells everybody takes about as long


@dataclass(frozen=True, slots=True)
class Point:
    """Where processes die; several places are deaths in turn."""

    places: tuple[str, ...]
    failing: tuple[Reply, ...] = ()  # what the first requests to the webhook and to Slack are answered

    def __str__(self) -> str:
        return " / ".join(place.removeprefix("send: ") for place in self.places)


ARRIVED = "send: after hook arrived"
KEPT = [
    *(Point((f"send: {side} {what} kept",)) for what in ("claim", "sent", "clock") for side in ("before", "after")),
    *(Point((ARRIVED, f"send: {side} recovery kept")) for side in ("before", "after")),
    *(Point((f"send: {side} failure kept",), (Reply(503), DROP) * 8) for side in ("before", "after")),
]
CHANNELS = [
    Point((place,))
    for name in ("hook", *MESSAGES, "todo", OWNER_CHANNEL)
    for place in (f"send: before {name} left", f"send: after {name} arrived")
]
CRM = [Point((f"send: {side} {what}",)) for what in ("task created", "owner written") for side in ("before", "after")]
IN_TURN = [
    Point(("send: after mail arrived", "send: after chat arrived", "send: after post arrived")),
    Point(("send: after claim kept", "send: after recovery kept", "send: before sent kept", "send: after sent kept")),
    Point(("send: after task created", "send: after owner written", "send: before todo left")),
]
OF_DIGESTS = [
    *(Point((f"send: {side} {what} kept",)) for what in ("claim", "sent", "clock") for side in ("before", "after")),
    *(Point((f"send: {side} failure kept",), (Reply(503), DROP) * 8) for side in ("before", "after")),
    *(
        Point((place.format(name),))
        for name in MESSAGES
        for place in ("send: before {} left", "send: after {} arrived")
    ),
    Point(("send: after mail arrived", "send: after recovery kept", "send: before sent kept", "send: after sent kept")),
]
OF_REMINDERS = [
    *(Point((f"send: {side} {what} kept",)) for what in ("claim", "sent") for side in ("before", "after")),
    Point(("send: before reminder kept", "send: after reminder kept", "send: after chat arrived")),
    *(Point((f"send: after {name} arrived",)) for name in MESSAGES),
]


@pytest.mark.parametrize("point", [*KEPT, *CHANNELS, *CRM, *IN_TURN], ids=str)
def test_killed_at_a_point_of_the_outbox_everybody_is_told_and_every_repeat_says_so(
    point: Point, told: Sales, record_property: Callable[[str, object], None]
) -> None:
    tally = _killed_at(point, told, SINGLY, KILLS_OF_MORE if point in IN_TURN else KILLS)
    record_property(KILLED_TELLING, [str(point), told.kind, dict(tally)])


@pytest.mark.parametrize("point", OF_DIGESTS, ids=str)
def test_a_digest_that_may_have_arrived_is_sent_again_as_it_was(
    point: Point, told: Sales, record_property: Callable[[str, object], None]
) -> None:
    tally = _killed_at(point, told, DIGESTS, KILLS_OF_MORE)
    record_property(KILLED_TELLING, [f"digests: {point}", told.kind, dict(tally)])


@pytest.mark.parametrize("point", OF_REMINDERS, ids=str)
def test_everybody_is_reminded_once_however_often_the_process_dies(
    point: Point, told: Sales, record_property: Callable[[str, object], None]
) -> None:
    tally = _killed_at(point, told, SINGLY, KILLS_OF_MORE, reminding=True)
    record_property(KILLED_TELLING, [f"reminders: {point}", told.kind, dict(tally)])


def _killed_at(point: Point, told: Sales, project: str, kills: int, *, reminding: bool = False) -> Counter[str]:
    """In as many scenes as it takes."""
    dice, tally = random.Random(str(point)), Counter[str]()
    while tally["kills"] < kills:
        told.begin(project)
        if reminding:
            told.finish()
            told.wait_for_reminders()
        told.hook.script.extend(point.failing)
        told.chat.script.extend(point.failing)
        _die_in_turn(told, point.places, min(_IN_ONE_SCENE, kills - tally["kills"]), dice)
        told.finish()
        tally.update(_claims(told, reminded=reminding))
    return tally


@pytest.mark.parametrize("channel", MESSAGES)
@pytest.mark.parametrize("side", ["before {} left", "after {} arrived"])
def test_what_may_have_left_is_held_for_a_person_where_the_project_says_so_and_never_repeated(
    channel: str, side: str, told: Sales, record_property: Callable[[str, object], None]
) -> None:
    place, tally = f"send: {side.format(channel)}", Counter[str]()
    while tally["kills"] < KILLS_OF_MORE:
        told.begin(HOLDING)
        _die_in_turn(told, (place,), min(_IN_ONE_SCENE, KILLS_OF_MORE - tally["kills"]), random.Random(place))
        told.finish()
        tally.update(_claims(told))
    assert tally["repeats marked"] == 0
    assert tally["held"] == tally["kills"]
    record_property(KILLED_TELLING, [f"{place.removeprefix('send: ')}, to be held", told.kind, dict(tally)])


def test_killed_at_any_moment_while_a_tenth_of_everything_fails_everybody_is_told(
    told: Sales, record_property: Callable[[str, object], None]
) -> None:
    tally, seed = Counter[str](), 0
    while tally["kills"] < RANDOM_KILLS:
        seed += 1
        dice = random.Random(seed)
        told.begin(SINGLY, failing=random.Random(seed))
        for _ in range(_DEATHS_AT_RANDOM):
            told.start(after_s=dice.uniform(0.005, _LONGEST_S))
        told.finish()
        tally.update(_claims(told, f"seed {seed}"))
    record_property(KILLED_TELLING, ["any moment, 10 % faults", told.kind, dict(tally)])


def _die_in_turn(told: Sales, places: Sequence[str], most: int, dice: random.Random) -> None:
    """Until a process finds nothing left to die of."""
    for number in range(most):
        place = places[number % len(places)]
        nth = 1 if any(what in place for what in _ONCE) else dice.choice((1, 1, 2))
        ending = told.start(place, nth)
        if not ending.signal and nth == 1 and len(places) == 1:
            break
    assert told.kills, f"nobody ever got to {places}"


def _claims(told: Sales, seed: str = "", *, reminded: bool = False) -> Counter[str]:
    """What this suite promises, looked at; and how often it came to it."""
    everybody, kept = frozenset(told.people), told.kept()
    held = [error for _, state, error in kept if state == "dead"]
    assert set(held) <= {HELD}, (seed, held)
    wanted = everybody | ({f"{name}{REMINDER}" for name in everybody} if reminded else set())
    arrivals = {name: told.arrivals(name) for name in MESSAGES}
    lost = {name: wanted - _heard(came) for name, came in arrivals.items()}
    never_told = sum(map(len, lost.values())) - len(held)
    assert never_told <= 0, (seed, "never told", lost)
    repeated = _insist_on_news_only_once(told, seed)
    assert not told.wrong_clocks(), (seed, told.wrong_clocks())
    repeats = [each for came in arrivals.values() for each in _repeats(came)]
    unmarked = [each for each in repeats if not each.marked]
    assert not unmarked, (seed, "repeats that do not say so", arrivals)
    assert len(repeats) <= told.kills + told.unanswered, (seed, "more repeats than broke off", arrivals)
    counts = {"kills": told.kills, "unanswered": told.unanswered, "held": len(held), "lost": max(never_told, 0)}
    counts |= {"repeats marked": len(repeats) - len(unmarked), "repeats unmarked": len(unmarked)}
    return Counter(counts | repeated)


def _insist_on_news_only_once(told: Sales, seed: str) -> dict[str, int]:
    """Of those who know news from repeats: by its key, or because they are asked what they know already. How often
    they were told again and found it out, and how often they did not."""
    everybody, calls, tasks = frozenset(told.people), told.arrivals("hook"), told.tasks()
    keys = {each.key for each in calls}
    assert _heard(calls) == everybody, (seed, "the webhook's receiver never heard of some", calls)
    assert len(keys) == len(everybody), (seed, "one hand-off under several keys", calls)
    assert len(tasks) == len(everybody), (seed, "hand-offs without a task", tasks)
    assert tasks.total() == len(everybody), (seed, "two tasks", tasks)
    assert told.owners() == {told.new_owner: len(everybody)}, (seed, "owners", told.owners())
    twice = len(keys) + tasks.total() - 2 * len(everybody)
    return {"repeats found out": len(calls) - len(keys), "told twice": twice}


def _heard(arrivals: Sequence[Arrival]) -> frozenset[str]:
    return frozenset(name for each in arrivals for name in each.about)


def _repeats(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """What tells something again; it tells of the very same leads as it did the first time."""
    first: set[frozenset[str]] = set()
    again: list[Arrival] = []
    for each in arrivals:
        if each.about not in first:
            assert not frozenset[str]().union(*first) & each.about, ("a digest of other leads than before", arrivals)
        again += [each] if each.about in first else []
        first.add(each.about)
    return again
