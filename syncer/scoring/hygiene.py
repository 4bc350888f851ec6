"""Hygiene before points: which of a lead's activities count at all, and which a rule under `ignore` voids.

A relation between activities (one follows another too soon, a burst) is looked for among everything that is known of
the lead, also among what another rule voids; so the order of the rules changes nothing but the name given as reason.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncer.model import ActivitySignal, Reading, Signals, Value
from syncer.rules import ActivityTest, All, AnyOf, Burst, Condition, FieldTest, Follows, Ignore, Model
from syncer.scoring.predicates import RELATIVE, holds_at, predicate
from syncer.scoring.values import epoch_ms, fold, is_set, text

MOST_PER_READING = 1_000
"""A counter that jumps by more than this between two readings is an import, not a person; it counts as this many."""

Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Sifted:
    """A lead's activities, those that counters betray included."""

    kept: tuple[ActivitySignal, ...]
    voided: tuple[tuple[Ignore, ActivitySignal], ...] = ()


def sieve(model: Model) -> Callable[[Signals], Sifted]:
    """What tells a lead's activities apart; its predicates are made once for many leads."""
    ignoring = [(ignore, _finder(ignore)) for ignore in model.ignores]

    def sift(signals: Signals) -> Sifted:
        activities = tuple(activities_of(signals, model))
        void: dict[int, Ignore] = {}
        for ignore, find in ignoring:
            for place in find(signals.fields, activities):
                void.setdefault(place, ignore)
        if not void:
            return Sifted(activities)
        kept = tuple(each for place, each in enumerate(activities) if place not in void)
        return Sifted(kept, tuple((void[place], activities[place]) for place in sorted(void)))

    return sift


def activities_of(signals: Signals, model: Model) -> Iterator[ActivitySignal]:
    """The lead's activities, and those that its counters' readings betray."""
    yield from signals.activities
    previous: Reading | None = None
    for reading in signals.readings:
        same = previous is not None and (previous.record, previous.kind) == (reading.record, reading.kind)
        yield from _observed(reading, previous if same else None, model)
        previous = reading


def _observed(reading: Reading, previous: Reading | None, model: Model) -> Iterator[ActivitySignal]:
    """A rise between two readings is so many activities at the time the CRM reports for the last one.

    What happened before the first reading has only that one date: `first_reading` says how much of it counts.
    """
    rise = reading.value - previous.value if previous else reading.value
    if previous is None and model.first_reading != "all":
        rise = min(rise, 1) if model.first_reading == "once" else 0
    for _ in range(min(rise, MOST_PER_READING)):
        yield ActivitySignal(reading.kind, reading.last_at or reading.seen_at, observed=True)


def remembered(holds: Callable[[Value], bool]) -> Callable[[Value], bool]:
    """The same predicate, asked once per distinct value."""
    answers: dict[tuple[type, Value], bool] = {}

    def asked(value: Value) -> bool:
        key = (type(value), value)  # True == 1 in Python, but not in a rule
        if key not in answers:
            answers[key] = holds(value)
        return answers[key]

    return asked


def meets(tests: Sequence[FieldTest]) -> Callable[[ActivitySignal], bool]:
    """Does an activity pass the tests on its fields? Dates are seen from the activity's own time."""
    plain = [(each.field, remembered(predicate(each))) for each in tests if each.operator not in RELATIVE]
    relative = [each for each in tests if each.operator in RELATIVE]

    def passes(activity: ActivitySignal) -> bool:
        return all(holds(activity.fields.get(name)) for name, holds in plain) and all(
            holds_at(each, activity.fields.get(each.field), epoch_ms(activity.at)) for each in relative
        )

    return passes


_Finder = Callable[[Fields, Sequence[ActivitySignal]], Iterator[int]]


def _finder(ignore: Ignore) -> _Finder:
    """The places of the activities that the rule voids."""
    concerns = _of_fields(ignore.lead) if ignore.lead is not None else lambda fields: True
    passes = meets(ignore.tests)

    def find(fields: Fields, activities: Sequence[ActivitySignal]) -> Iterator[int]:
        if not concerns(fields):
            return
        places = [
            place
            for place, each in enumerate(activities)
            if (not ignore.kinds or each.kind in ignore.kinds) and passes(each)
        ]
        if ignore.follows is not None:
            places = _following(places, activities, ignore.follows)
        yield from places if ignore.burst is None else _in_burst(places, activities, ignore.burst)

    return find


def _of_fields(condition: Condition) -> Callable[[Fields], bool]:
    """A condition on a lead's fields alone, as a function of them."""
    if isinstance(condition, FieldTest):
        name, holds = condition.field, remembered(predicate(condition))
        return lambda fields: holds(fields.get(name))
    if isinstance(condition, ActivityTest):
        raise TypeError("an ignoring rule looks at no activity of the lead's")  # settings never builds such a rule
    parts = [_of_fields(part) for part in condition.conditions]
    if isinstance(condition, All):
        return lambda fields: all(part(fields) for part in parts)
    if isinstance(condition, AnyOf):
        return lambda fields: any(part(fields) for part in parts)
    return lambda fields: not any(part(fields) for part in parts)


def _shared(activity: ActivitySignal, name: str | None) -> str | None:
    """What two activities must have in common; None: nothing is known, so it is tied to no other."""
    if name is None:
        return ""
    value = activity.fields.get(name)
    return fold(text(value)) if is_set(value) else None


def _following(places: Sequence[int], activities: Sequence[ActivitySignal], follows: Follows) -> list[int]:
    """Those that happened at most so long after one of the kind asked for. What a counter betrays has no exact time."""
    earlier: dict[str, list[int]] = defaultdict(list)
    for each in activities:
        shared = _shared(each, follows.same)
        if each.kind == follows.kind and not each.observed and shared is not None:
            earlier[shared].append(epoch_ms(each.at))
    for times in earlier.values():
        times.sort()
    return [place for place in places if _too_soon(activities[place], earlier, follows)]


def _too_soon(activity: ActivitySignal, earlier: Mapping[str, Sequence[int]], follows: Follows) -> bool:
    """earlier: the times of what it may follow, sorted, by what they have in common with it."""
    shared = _shared(activity, follows.same)
    if activity.observed or shared is None:
        return False
    at, times = epoch_ms(activity.at), earlier.get(shared, ())
    before = bisect_right(times, at)
    return before > 0 and at - times[before - 1] <= follows.within_ms


def _in_burst(places: Sequence[int], activities: Sequence[ActivitySignal], burst: Burst) -> list[int]:
    """Those among more than so many within the span."""
    together: dict[str, list[int]] = defaultdict(list)
    for place in sorted(places, key=lambda place: epoch_ms(activities[place].at)):
        shared = _shared(activities[place], burst.same)
        if shared is not None and not activities[place].observed:
            together[shared].append(place)
    return [place for group in together.values() for place in _crowded(group, activities, burst)]


def _crowded(group: Sequence[int], activities: Sequence[ActivitySignal], burst: Burst) -> list[int]:
    """group: places by time. A window slides over it; where it holds too many, all that it holds are of a burst."""
    counted: Counter[str] = Counter()
    first, done = 0, 0
    crowded: list[int] = []
    for last, place in enumerate(group):
        counted[_distinct(place, activities, burst)] += 1
        while epoch_ms(activities[place].at) - epoch_ms(activities[group[first]].at) > burst.within_ms:
            gone = _distinct(group[first], activities, burst)
            counted[gone] -= 1
            if not counted[gone]:
                del counted[gone]
            first += 1
        if len(counted) > burst.more_than:
            crowded.extend(group[max(first, done) : last + 1])
            done = last + 1
    return crowded


def _distinct(place: int, activities: Sequence[ActivitySignal], burst: Burst) -> str:
    """What makes an activity count as one of its own: the field's value; itself where that is not given."""
    value = activities[place].fields.get(burst.distinct) if burst.distinct is not None else None
    return f"={fold(text(value))}" if is_set(value) else str(place)
