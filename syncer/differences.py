"""Why a score is not what it was: the difference between two times, split exactly by cause. Pure.

The way from the one time to the other is walked once. Between two times at which something became known, only the
clock has moved: that is `fading`. At such a time itself the causes come in a fixed order, and each takes what changes
when it is added to those before: merge, profile, activity, model. So the parts add up, whatever happens together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from syncer import scoring
from syncer.history import History, KnownActivity, Version, signals_at
from syncer.model import Cause, Score, Signals
from syncer.rules import Model, Segment
from syncer.scoring import Evaluation, Matched
from syncer.scoring.ledger import Bound, bound_id, bound_of, cap_id

_BOUNDS: tuple[Bound, ...] = ("max", "min")

CAUSES: tuple[Cause, ...] = ("activity", "profile", "fading", "model", "override", "merge")
MOST_SPANS = 300
MOST_FACTS = 500_000
"""More times than this many, or so many that more than so many facts would be looked at in all, are taken together with
their neighbours: a lead of ten thousand mails is no long wait."""

Rulebook = tuple[datetime, tuple[Segment, ...]]
"""(in force since, the rules)."""

_MOMENT = timedelta(milliseconds=1)  # the kernel's finest time


@dataclass(frozen=True, slots=True)
class Shift:
    """What one line of the ledger gave more, or less, than before."""

    rule: str  # the rule's id; "came.cap" and "fit.max" for what a cap or a bound takes back
    name: str
    dimension: str
    hundredths: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one cause did by one time; only steps that changed a line are kept."""

    at: datetime  # for fading the end of the stretch
    cause: Cause
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """The scores at two times (sums only) and every step between them: `before` and all shifts give `after`."""

    before: Score  # model "": no model was for the lead then
    after: Score
    steps: tuple[Step, ...]

    @property
    def parts(self) -> dict[Cause, dict[str, int]]:
        """Cause -> dimension -> hundredths, every cause and every dimension of either score; they add up exactly.
        An override moves stages, never points."""
        names = dict.fromkeys([*self.before.dimensions, *self.after.dimensions])
        names |= dict.fromkeys(shift.dimension for step in self.steps for shift in step.shifts)
        parts: dict[Cause, dict[str, int]] = {cause: dict.fromkeys(names, 0) for cause in CAUSES}
        for step in self.steps:
            for shift in step.shifts:
                parts[step.cause][shift.dimension] += shift.hundredths
        return parts


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the rules give for what is known, at one time."""

    signals: Signals
    model: Model | None = None  # None: no model is for the lead
    matched: Matched | None = None
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (dimension, id) -> hundredths; never 0


@dataclass(frozen=True, slots=True)
class _Case:
    history: History
    rulebooks: Sequence[Rulebook]
    times: Mapping[Cause, Sequence[datetime]]  # when something came for each cause, the earliest first
    merges: frozenset[datetime]  # what records show at these times came with a merge

    def news(self, cause: Cause, since: datetime, until: datetime) -> bool:
        """Did anything come for the cause after `since` and by `until`?"""
        times = self.times[cause]
        return bisect_right(times, since) < bisect_right(times, until)


def difference(history: History, rulebooks: Sequence[Rulebook], start: datetime, end: datetime) -> Difference:
    """The score at `start`, at `end`, and what made the difference.

    rulebooks: the oldest first; the first one also holds before its time. ValueError where there is none, or where
    the end is before the start.
    """
    if not rulebooks or end < start:
        raise ValueError("a difference needs rules, and an end that is not before its start")
    merges = frozenset(version.since for version in history.versions if _joins(version))
    case = _Case(history, rulebooks, _times(history, rulebooks, merges), merges)
    before = last = _sums(signals_at(history, start), _rules_at(rulebooks, start), start)
    steps: list[Step] = []
    for since, until in _spans(case, start, end):
        for cause, signals, rules in _states(case, last.signals, since, until):
            found = _sums(signals, rules, until, last)
            shifts = tuple(_shifts(last, found))
            if shifts:
                steps.append(Step(until, cause, shifts))
            last = found
    return Difference(_score(before, start), _score(last, end), tuple(steps))


def _spans(case: _Case, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From each time at which something came to the next; the last one ends at `end`."""
    times = sorted({at for times in case.times.values() for at in times if start < at <= end})
    facts = len(case.history.versions) + len(case.history.activities) + len(case.history.readings)
    spans = min(len(times), MOST_SPANS, MOST_FACTS // max(facts, 1) + 1)
    ends = [times[(number + 1) * len(times) // spans - 1] for number in range(spans)]
    return pairwise(dict.fromkeys([start, *ends, end]))


def _states(
    case: _Case, known: Signals, since: datetime, until: datetime
) -> Iterator[tuple[Cause, Signals, tuple[Segment, ...]]]:
    """The lead as of `until` with what was `known` by `since`, then with one cause's news added after the other. Causes
    without news are left out."""
    history, rules = case.history, _rules_at(case.rulebooks, since)
    yield "fading", _not_yet(known, since, until), rules
    if case.news("merge", since, until):
        versions = [each for each in history.versions if each.since <= (until if each.since in case.merges else since)]
        yield "merge", _not_yet(_shown_early(history, versions, since), since, until), rules
    if case.news("profile", since, until):
        versions = [each for each in history.versions if each.since <= until]
        yield "profile", _not_yet(_shown_early(history, versions, since), since, until), rules
    now = signals_at(history, until)
    if case.news("activity", since, until):
        yield "activity", now, rules
    if case.news("model", since, until):
        yield "model", now, _rules_at(case.rulebooks, until)


def _times(history: History, rulebooks: Sequence[Rulebook], merges: frozenset[datetime]) -> dict[Cause, list[datetime]]:
    """Cause -> the times at which it had something new."""
    times: dict[Cause, list[datetime]] = {cause: [] for cause in ("merge", "profile", "activity", "model")}
    for version in history.versions:
        times["merge" if version.since in merges else "profile"].append(version.since)
    for activity in history.activities:
        known = _known_since(activity)
        times["activity"] += [known, max(known, activity.signal.at), activity.until or known]
    for reading in history.readings:
        times["activity"] += [reading.seen_at, max(reading.seen_at, reading.last_at or reading.seen_at)]
    times["model"] += [since for since, _ in rulebooks[1:]]
    return {cause: sorted(every) for cause, every in times.items()}


def _joins(version: Version) -> bool:
    """A record joined the lead, or was absorbed by another of its records. What the survivor shows from the same moment
    on came with it: some CRMs even give it a new id."""
    return version.joined or (version.counts and not version.live)


def _known_since(activity: KnownActivity) -> datetime:
    return activity.signal.seen_at or activity.signal.at


def _shown_early(history: History, versions: Iterable[Version], since: datetime) -> Signals:
    """What was known by `since`, if the records had shown these versions by then already."""
    early = (replace(each, since=min(each.since, since), true_since=each.true_since or each.since) for each in versions)
    return signals_at(replace(history, versions=tuple(early)), since)


def _not_yet(signals: Signals, since: datetime, until: datetime) -> Signals:
    """With what was known already but only took place after `since` (a meeting in the calendar) still to come: that its
    time came is an activity, not fading."""
    later = until + _MOMENT
    activities = tuple(replace(each, at=later) if since < each.at <= until else each for each in signals.activities)
    readings = tuple(
        replace(each, last_at=later) if each.last_at is not None and since < each.last_at <= until else each
        for each in signals.readings
    )
    waits = activities != signals.activities or readings != signals.readings
    return replace(signals, activities=activities, readings=readings) if waits else signals


def _rules_at(rulebooks: Sequence[Rulebook], moment: datetime) -> tuple[Segment, ...]:
    found = rulebooks[0][1]
    for since, rules in rulebooks:
        found = rules if since <= moment else found
    return found


def _sums(signals: Signals, rules: Iterable[Segment], as_of: datetime, last: _Sums | None = None) -> _Sums:
    """last: the state before; what was matched for it is not matched again."""
    model = next((each.model for each in rules if each.when is None or scoring.passes(each.when, signals, as_of)), None)
    if model is None:
        return _Sums(signals)
    matched = last.matched if last and last.signals is signals and last.model is model else None
    matched = matched or scoring.match([signals], model)
    evaluation = scoring.evaluate(matched, model, as_of)
    return _Sums(signals, model, matched, {key: points for key, points in _lines(model, evaluation) if points})


def _lines(model: Model, evaluation: Evaluation) -> Iterator[tuple[tuple[str, str], int]]:
    for number, (dimension, rule) in enumerate(model.rules):
        yield (dimension.name, rule.id), int(evaluation.rules[0, number])
        yield (dimension.name, cap_id(rule.id)), int(evaluation.caps[0, number])
    for number, dimension in enumerate(model.dimensions):
        change = int(evaluation.bounds[0, number])
        yield (dimension.name, bound_id(dimension, bound_of(change))), change


def _shifts(before: _Sums, after: _Sums) -> Iterator[Shift]:
    names = {**_names(before.model), **_names(after.model)}
    for dimension, rule in dict.fromkeys([*before.lines, *after.lines]):
        change = after.lines.get((dimension, rule), 0) - before.lines.get((dimension, rule), 0)
        if change:
            yield Shift(rule, names[dimension, rule], dimension, change)


def _names(model: Model | None) -> dict[tuple[str, str], str]:
    """(dimension, id) -> the name of every line that the model can write."""
    names: dict[tuple[str, str], str] = {}
    for dimension in model.dimensions if model else ():
        names |= {(dimension.name, bound_id(dimension, bound)): f"{dimension.name}: {bound}" for bound in _BOUNDS}
        names |= {(dimension.name, cap_id(rule.id)): f"{rule.name}: cap" for rule in dimension.rules}
        names |= {(dimension.name, rule.id): rule.name for rule in dimension.rules}
    return names


def _score(sums: _Sums, as_of: datetime) -> Score:
    dimensions = {each.name: 0 for each in sums.model.dimensions} if sums.model else {}
    for (dimension, _), points in sums.lines.items():
        dimensions[dimension] += points
    version = sums.model.version if sums.model else ""
    return Score(sums.signals.lead, as_of, version, dimensions, sum(dimensions.values()))
