"""The meaning of a model, written a second time and as plainly as possible: one lead, one rule, one activity at a time.

Nothing here is fast and nothing here is shared with the kernel. Exact numbers only: `Decimal` for the curves of fading,
`Fraction` for sums. Where kernel and reference differ, one of them is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

from syncer.model import ActivitySignal, Reading, Signals, Value
from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Burst,
    Condition,
    Dimension,
    Fade,
    FieldTest,
    Follows,
    Ignore,
    Model,
    Rule,
)

BILLION = 10**9
MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MONDAY = datetime(1900, 1, 1)  # noqa: DTZ001  (a wall clock has no zone)


@dataclass(frozen=True)
class Told:
    """What the reference says of one lead; hundredths everywhere."""

    rules: list[int]
    caps: list[int]
    bounds: list[int]
    dimensions: list[int]
    total: int
    paid: list[int]
    shortcuts: list[bool]
    vetoes: list[bool]


def told(signals: Signals, model: Model, as_of: datetime) -> Told:
    """Everything a model says of one lead as of a time."""
    now = floored(as_of)
    activities = cleaned(history(signals, model), signals.fields, model)
    rules, caps, paid, bounds, dimensions = [], [], [], [], []
    for dimension in model.dimensions:
        lines = 0
        for rule in dimension.rules:
            points, count = rule_points(rule, signals.fields, activities, (now, model.timezone))
            kept = points if rule.cap is None else max(-rule.cap, min(rule.cap, points))
            rules.append(points)
            paid.append(count)
            caps.append(kept - points)
            lines += kept
        bounded = within(dimension, lines)
        bounds.append(bounded - lines)
        dimensions.append(bounded)
    return Told(
        rules=rules,
        caps=caps,
        bounds=bounds,
        dimensions=dimensions,
        total=sum(dimensions),
        paid=paid,
        shortcuts=[any(holds(c, signals.fields, activities, now) for c in stage.or_any) for stage in model.stages],
        vetoes=[holds(veto.when, signals.fields, activities, now) for veto in model.vetoes],
    )


def within(dimension: Dimension, points: int) -> int:
    if dimension.max is not None and points > dimension.max:
        points = dimension.max
    if dimension.min is not None and points < dimension.min:
        points = dimension.min
    return points


def rule_points(
    rule: Rule, fields: Mapping[str, Value], activities: Sequence[ActivitySignal], clock: tuple[datetime, str]
) -> tuple[int, int]:
    """(hundredths before the cap, how many activities paid)."""
    now, timezone = clock
    counted = rule.counted
    if counted is None:
        return (rule.points, 1) if holds(rule.when, fields, activities, now) else (0, 0)
    if isinstance(rule.when, All):
        others = [part for part in rule.when.conditions if part is not counted]
        if not all(holds(part, fields, activities, now) for part in others):
            return 0, 0
    paying = payers(rule, in_window(counted, activities, now), timezone)
    exact = sum((Fraction(factor(rule.fade, now - at) * rule.points, BILLION) for at in paying), Fraction(0))
    return round(exact), len(paying)  # round() of a Fraction takes halves to the even one


def payers(rule: Rule, matching: Sequence[datetime], timezone: str) -> list[datetime]:
    """The times that pay: frequency, then `at_least`, then each or the newest."""
    kept = sorted(matching)
    if rule.frequency is not None:
        seen: dict[int, int] = defaultdict(int)
        first = []
        for at in kept:
            window = wall_window(at, rule.frequency.every_ms, timezone)
            seen[window] += 1
            if seen[window] <= rule.frequency.count:
                first.append(at)
        kept = first
    if len(kept) < rule.at_least:
        return []
    return kept[rule.at_least - 1 :] if rule.each else [kept[-1]]


def wall_window(at: datetime, every_ms: int, timezone: str) -> int:
    """Number of the calendar window on the zone's wall clock, counted from Monday 1900-01-01."""
    wall = at.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    return (wall - FIRST_MONDAY) // timedelta(milliseconds=every_ms)


def factor(fade: Fade, age: timedelta) -> int:
    """How many billionths are left at an age."""
    hours, half_life = age // HOUR, fade.half_life_hours
    if fade.curve == "none" or half_life <= 0:
        return BILLION
    with localcontext() as context:
        context.prec = 80
        if fade.curve == "exponential":
            halvings, rest = divmod(hours, half_life)
            left = Decimal(2) ** -halvings * (Decimal("0.5") ** (Decimal(rest) / half_life) if rest else 1)
        elif fade.curve == "step":
            left = Decimal(2) ** -(hours // half_life)
        else:
            return round(max(Fraction(0), 1 - Fraction(hours, 2 * half_life)) * BILLION)
        return int((left * BILLION).to_integral_value(ROUND_HALF_EVEN))


def in_window(test: ActivityTest, activities: Iterable[ActivitySignal], now: datetime) -> list[datetime]:
    """Times of the activities that pass a test as of now."""
    found = []
    for activity in activities:
        at = floored(activity.at)
        if activity.kind != test.kind or at > now:
            continue
        if test.in_last_ms is not None and now - at > timedelta(milliseconds=test.in_last_ms):
            continue
        if all(field_holds(each, activity.fields, at) for each in test.tests):
            found.append(at)
    return found


def history(signals: Signals, model: Model) -> list[ActivitySignal]:
    """The activities, and those inferred from counters."""
    found = list(signals.activities)
    before: dict[tuple[object, str], Reading] = {}
    for reading in signals.readings:
        last = before.get((reading.record, reading.kind))
        if last is not None:
            count = reading.value - last.value
        else:
            count = {"ignore": 0, "once": 1 if reading.value > 0 else 0, "all": reading.value}[model.first_reading]
        at = reading.last_at if reading.last_at is not None else reading.seen_at
        found += [ActivitySignal(reading.kind, at, observed=True)] * max(0, min(count, 1000))
        before[reading.record, reading.kind] = reading
    return found


def cleaned(activities: list[ActivitySignal], fields: Mapping[str, Value], model: Model) -> list[ActivitySignal]:
    """The activities that no ignoring rule voids."""
    return [
        activities[number]
        for number in range(len(activities))
        if not any(voids(ignore, number, activities, fields) for ignore in model.ignores)
    ]


def voids(ignore: Ignore, number: int, activities: list[ActivitySignal], fields: Mapping[str, Value]) -> bool:
    activity = activities[number]
    if not meant(ignore, activity, fields):
        return False
    if ignore.follows is None and ignore.burst is None:
        return True
    if activity.observed:
        return False  # a counter does not tell the moment
    if ignore.follows is not None and not follows(ignore.follows, activity, activities):
        return False
    if ignore.burst is None:
        return True
    crowd = [
        (place, each)
        for place, each in enumerate(activities)
        if not each.observed
        and meant(ignore, each, fields)
        and (ignore.follows is None or follows(ignore.follows, each, activities))
        and tied(activity, each, ignore.burst.same)
    ]
    return any(
        crowded(start.at, crowd, ignore.burst) and floored(start.at) <= floored(activity.at) <= end_of(start.at, ignore)
        for _, start in crowd
    )


def end_of(start: datetime, ignore: Ignore) -> datetime:
    assert ignore.burst is not None
    return floored(start) + timedelta(milliseconds=ignore.burst.within_ms)


def crowded(start: datetime, crowd: list[tuple[int, ActivitySignal]], burst: Burst) -> bool:
    """Do too many stand in the window that begins then?"""
    end = floored(start) + timedelta(milliseconds=burst.within_ms)
    inside = [(place, each) for place, each in crowd if floored(start) <= floored(each.at) <= end]
    return len({one_of_its_own(place, each, burst.distinct) for place, each in inside}) > burst.more_than


def one_of_its_own(place: int, activity: ActivitySignal, distinct: str | None) -> str:
    shown = known_text(activity, distinct) if distinct else None
    return f"{place}" if shown is None else f"value {shown}"


def meant(ignore: Ignore, activity: ActivitySignal, fields: Mapping[str, Value]) -> bool:
    if ignore.lead is not None and not holds(ignore.lead, fields, [], activity.at):
        return False
    right_kind = len(ignore.kinds) == 0 or activity.kind in ignore.kinds
    return right_kind and all(field_holds(each, activity.fields, floored(activity.at)) for each in ignore.tests)


def follows(relation: Follows, activity: ActivitySignal, activities: list[ActivitySignal]) -> bool:
    for earlier in activities:
        gap = floored(activity.at) - floored(earlier.at)
        near = timedelta(0) <= gap <= timedelta(milliseconds=relation.within_ms)
        if earlier.kind == relation.kind and not earlier.observed and near and tied(earlier, activity, relation.same):
            return True
    return False


def tied(one: ActivitySignal, other: ActivitySignal, name: str | None) -> bool:
    if name is None:
        return True
    return known_text(one, name) is not None and known_text(one, name) == known_text(other, name)


def known_text(activity: ActivitySignal, name: str) -> str | None:
    value = activity.fields.get(name)
    if value is None or (isinstance(value, str) and value.strip() == ""):
        return None
    return plain(written(value))


def holds(
    condition: Condition, fields: Mapping[str, Value], activities: Sequence[ActivitySignal], now: datetime
) -> bool:
    if isinstance(condition, FieldTest):
        return field_holds(condition, fields, now)
    if isinstance(condition, ActivityTest):
        return bool(in_window(condition, activities, now))
    answers = [holds(part, fields, activities, now) for part in condition.conditions]
    if isinstance(condition, All):
        return all(answers)
    return any(answers) if isinstance(condition, AnyOf) else not any(answers)


def field_holds(test: FieldTest, fields: Mapping[str, Value], now: datetime) -> bool:
    """One test on one field; a field that is not set, or cannot be read as asked, passes only `is_set: false`."""
    value = fields.get(test.field)
    missing = value is None or (isinstance(value, str) and value.strip() == "")
    if test.operator == "is_set":
        return (not missing) == (test.argument is not test.negated)
    answer = None if missing else answer_of(test, value, now)
    return False if answer is None else answer is not test.negated


def answer_of(test: FieldTest, value: Value, now: datetime) -> bool | None:
    """None where the value cannot be read as the asked type."""
    if test.operator in ("older_than", "newer_than"):
        moment = moment_of(value)
        if moment is None:
            return None
        span = timedelta(milliseconds=argument_number(test.argument))
        if test.operator == "older_than":
            return now - moment > span
        return timedelta(0) <= now - moment <= span
    if test.operator in ("between", "at_least", "over", "under", "at_most"):
        return numeric(test, number_of(value))
    return textual(test, value)


def numeric(test: FieldTest, value: Decimal | None) -> bool | None:
    if value is None:
        return None
    if test.operator == "between":
        assert isinstance(test.argument, tuple)
        low, high = test.argument
        return Decimal(str(low)) <= value <= Decimal(str(high))
    wanted = Decimal(str(test.argument))
    return {
        "at_least": value >= wanted,
        "over": value > wanted,
        "under": value < wanted,
        "at_most": value <= wanted,
    }[test.operator]


def textual(test: FieldTest, value: Value) -> bool | None:
    wanted = test.argument if isinstance(test.argument, tuple) else (test.argument,)
    have = written(value)
    if test.operator == "any_of":
        return any(same(have, value, each, test.exact) for each in wanted)
    if test.operator == "contains":
        parts = [str(each) if test.exact else plain(str(each)) for each in wanted]
        return any(part in (have if test.exact else plain(have)) for part in parts)
    if test.operator == "domain_in":
        domain = plain(have).split("@")[-1]
        return domain in [plain(str(each)) for each in wanted] if "." in domain else None
    assert test.operator == "matches"
    if test.exact:
        return re.search(str(test.argument), have) is not None
    return re.search(bare(str(test.argument)), bare(have), re.IGNORECASE) is not None


def same(have: str, value: Value, wanted: str | float | bool, exact: bool) -> bool:
    if not isinstance(wanted, bool | str):
        number = number_of(value)
        if number is not None and number == Decimal(str(wanted)):
            return True
    text = written(wanted)
    return have == text if exact else plain(have) == plain(text)


def written(value: Value) -> str:
    """The value as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value).strip()


def bare(text: str) -> str:
    """Without accents."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def plain(text: str) -> str:
    """Without accents, case, doubled blanks."""
    return " ".join(bare(unicodedata.normalize("NFKD", text)).casefold().split())


def number_of(value: Value) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if re.search(r"[^0-9.eE+-]", text):
        return None  # "1,234", "1_000", "nan", "0x1f" are not plain notation
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def moment_of(value: Value) -> datetime | None:
    """A date or time in ISO 8601, or epoch milliseconds; a date is midnight in UTC."""
    number = number_of(value)
    if number is not None:
        return EPOCH + int(number) * MILLISECOND if abs(number) >= 10**10 else None
    try:
        read = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return floored(read if read.tzinfo else read.replace(tzinfo=UTC))


def argument_number(argument: object) -> float:
    assert isinstance(argument, int | float)
    return argument


def floored(moment: datetime) -> datetime:
    """Cut to whole milliseconds."""
    return EPOCH + (moment - EPOCH) // MILLISECOND * MILLISECOND
