"""The funnel: where leads stand, how they moved in a period, how long that takes, and what made them ready.

Moves are those that were recorded. Whatever was placed while a base was first read (cause `baseline`) is told apart: it
is no news.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import NotFound
from syncer.model import Cause
from syncer.settings import Project
from syncer.store import flows, vitals
from syncer.store.columns import to_ms
from syncer.store.flows import Movement, Whose
from syncer.store.handed_over import Spread

_MOST_RULES = 10
_REASON = re.compile(r"([+-]?[\d.]+(?:e[+-]?\d+)?) (.+)", re.DOTALL)  # "+12 Decision maker (jobtitle = CEO)"
_NOTHING = Spread(0, None, None)

Stage = str | None
"""A stage's name. None: one that the rules no longer know."""


@dataclass(frozen=True, slots=True)
class Sync:
    """How the full runs of a connection stand."""

    connection: str
    began_at: datetime | None  # the last run that has ended; None: none has yet
    ended_at: datetime | None
    outcome: str | None  # ok, partial, failed, crashed, stopped; waiting: its plan is held back at the fuse
    next_at: datetime | None  # None: at once
    rests_until: datetime | None  # its CRM is left alone until then
    at_work: bool
    first_at: datetime | None  # when the base was scored first; moves are known from then on


@dataclass(frozen=True, slots=True)
class Count:
    stage: Stage
    leads: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the leads stand now."""

    counts: tuple[Count, ...]  # coldest first; what the rules no longer know comes last, if there is any
    leads: int
    open_handoffs: int
    late_handoffs: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What has become of a stage in the period. What was placed while the base was first read counts nowhere here."""

    stage: Stage
    entered: int  # moves into it, new leads among them
    new: int  # leads that began in it
    left: int
    entrants: int  # different leads among those that entered
    went_on: int  # of these, those that have stood in a hotter stage since
    conversion: float | None  # 0 to 1; None where nobody entered, or no stage is hotter
    stays: int  # stays that ended, and whose beginning is known
    median_days: float | None  # half of them took no longer
    p90_days: float | None  # nine in ten took no longer


@dataclass(frozen=True, slots=True)
class Flow:
    """Moves from one stage into another."""

    before: Stage
    new: bool  # from nowhere: leads that began there; `before` is None
    after: Stage
    moves: int


@dataclass(frozen=True, slots=True)
class Day:
    """The leads in each stage at the end of a day by the project's clock; of today, now."""

    day: date
    at: datetime  # its last moment
    leads: tuple[int, ...]  # in the order of Period.stages


@dataclass(frozen=True, slots=True)
class ByCause:
    cause: Cause
    moves: int


@dataclass(frozen=True, slots=True)
class ByRule:
    """A rule that was among the strongest reasons of hand-offs."""

    rule: str
    handoffs: int
    hundredths: int  # points that it gave them together


@dataclass(frozen=True, slots=True)
class Period:
    """What happened from `since` until `until`."""

    since: datetime
    until: datetime
    stages: tuple[Stage, ...]
    passages: tuple[Passage, ...]
    flows: tuple[Flow, ...]
    up: int  # moves into a hotter stage
    down: int
    new: int  # leads that came in
    placed: int  # moves by which the base was first placed
    days: tuple[Day, ...]  # from the first sync on
    causes: tuple[ByCause, ...]  # of moves into the stage that is handed over, the most frequent first
    handoffs: int  # whose reasons are known
    rules: tuple[ByRule, ...]  # what gave most points first


def ready_stage(project: Project) -> str:
    """The stage that is handed over; where none is, the hottest."""
    return project.handoff.when if project.handoff is not None else project.stages[-1]


def models(project: Project) -> tuple[str, ...]:
    """The names of the models that score the project's segments."""
    return tuple(dict.fromkeys(segment.model.name for segment in project.segments))


def whose(app: App, connection: str | None, source: str | None, model: str | None) -> Whose:
    """NotFound (SY080) for a connection that is none, and for a model that is none."""
    known = models(app.project)
    if model is not None and model not in known:
        raise NotFound(f"no model is called '{model}'; there are: {', '.join(known)}", code="SY080")
    return Whose(tuple(each.name for each in app.chosen(connection)), source, model)


def syncs(app: App, names: Sequence[str]) -> tuple[Sync, ...]:
    """Of each connection, in that order."""
    now = app.clock()
    with app.store.reading() as tx:
        known = {each.connection: each for each in vitals.pulses(tx, names, now)}
        first = flows.first_syncs(tx, names)
    return tuple(_sync(name, known.get(name), first.get(name)) for name in names)


def _sync(name: str, pulse: vitals.Pulse | None, first_at: datetime | None) -> Sync:
    if pulse is None:
        return Sync(name, None, None, None, None, None, at_work=False, first_at=None)
    return Sync(
        connection=name,
        began_at=pulse.began_at,
        ended_at=pulse.ended_at,
        outcome=pulse.outcome,
        next_at=pulse.due_at,
        rests_until=pulse.rests_until,
        at_work=pulse.at_work,
        first_at=first_at,
    )


def standing(app: App, whose: Whose) -> Standing:
    with app.store.reading() as tx:
        counts = _known(app.project, flows.stages_now(tx, whose))
        waiting = flows.open_handoffs(tx, whose, app.clock())
    shown = tuple(Count(stage, counts[stage]) for stage in stages_of(app.project, counts))
    return Standing(shown, sum(counts.values()), *waiting)


def _known(project: Project, counts: Mapping[str, int]) -> Counter[Stage]:
    """Stages that the rules do not know any more are one, called None."""
    found: Counter[Stage] = Counter()
    for stage, count in counts.items():
        found[stage if stage in project.stages else None] += count
    return found


def stages_of(project: Project, seen: Iterable[Stage]) -> tuple[Stage, ...]:
    """All of the project's, the coldest first, then None if it was seen."""
    return (*project.stages, *((None,) if None in seen else ()))


def period(app: App, whose: Whose, days: int) -> Period:
    """Today and the days before it, so many together. One state of the database, read in its own time."""
    now, project = app.clock(), app.project
    ends = _ends_of_days(now, days, project.timezone)
    with app.store.reading() as tx:
        counts = _known(project, flows.stages_now(tx, whose))
        tally = _Tally(project, ends)
        ranks = {stage: rank for rank, stage in enumerate(project.stages)}
        for moved in flows.movements(tx, whose, ends[0], _slot_ms(ends), ranks):
            tally.add(moved)
        stays = flows.stays(tx, whose, ends[0])
        handoffs, rules = _rules(tx, whose, project, ends[0])
    stages = stages_of(project, {*counts, *tally.seen})
    return Period(
        since=ends[0],
        until=now,
        stages=stages,
        passages=tuple(tally.passage(stage, stays) for stage in stages),
        flows=tuple(tally.flows(stages)),
        up=tally.up,
        down=tally.down,
        new=sum(tally.new.values()),
        placed=tally.placed,
        days=_replayed(tally, counts, stages, (*ends, now), project.timezone),
        causes=tuple(ByCause(cause, moves) for cause, moves in tally.causes.most_common()),
        handoffs=handoffs,
        rules=rules,
    )


def _ends_of_days(now: datetime, days: int, timezone: str) -> list[datetime]:
    """When the day before the period ended, and each of its days but today, which has not."""
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    firsts = (today - timedelta(days=back) for back in range(days - 1, -1, -1))
    return [datetime.combine(first, time(), zone).astimezone(UTC) for first in firsts]


def _slot_ms(ends: Sequence[datetime]) -> int:
    """The longest span of which all these moments are multiples, so that no slot lies in two days: an hour, mostly."""
    return math.gcd(*map(to_ms, ends))


class _Tally:
    """What the movements come to, added one by one."""

    def __init__(self, project: Project, ends: Sequence[datetime]) -> None:
        self._ready = ready_stage(project)
        self._ranks = {stage: rank for rank, stage in enumerate(project.stages)}
        self._ends = [to_ms(end) for end in ends]
        self.seen: set[Stage] = set()
        self.changes: dict[int, Counter[Stage]] = defaultdict(Counter)  # by the number of the day
        self.causes: Counter[Cause] = Counter()
        self.new: Counter[Stage] = Counter()
        self.entered: Counter[Stage] = Counter()
        self.left: Counter[Stage] = Counter()
        self.entrants: Counter[Stage] = Counter()
        self.went_on: Counter[Stage] = Counter()
        self.placed = self.up = self.down = 0
        self._flows: Counter[tuple[Stage, bool, Stage]] = Counter()

    def add(self, moved: Movement) -> None:
        self._replay(moved)
        if moved.cause == "baseline":
            self.placed += moved.moves
            return
        before, after, new = self._name(moved.before), self._name(moved.after), moved.before is None
        if before == after and not new:
            return  # from one stage that the rules no longer know into another
        self.seen |= {after} if new else {before, after}
        self._flows[before, new, after] += moved.moves
        self.entered[after] += moved.moves
        self.entrants[after] += moved.entered
        self.went_on[after] += moved.went_on
        if moved.after == self._ready:
            self.causes[moved.cause] += moved.moves
        if new:
            self.new[after] += moved.moves
            return
        self.left[before] += moved.moves
        if before is not None and after is not None:
            self.up += moved.moves * (self._ranks[after] > self._ranks[before])
            self.down += moved.moves * (self._ranks[after] < self._ranks[before])

    def _replay(self, moved: Movement) -> None:
        """Also what is no news changes how many are where."""
        changes = self.changes[bisect_right(self._ends, to_ms(moved.at))]
        changes[self._name(moved.stands)] += moved.moves
        self.seen.add(self._name(moved.stands))
        if moved.stood is not None:
            changes[self._name(moved.stood)] -= moved.moves
            self.seen.add(self._name(moved.stood))

    def _name(self, stage: str | None) -> Stage:
        return stage if stage in self._ranks else None

    def passage(self, stage: Stage, stays: Mapping[str, Spread]) -> Passage:
        has_next = stage is not None and self._ranks[stage] + 1 < len(self._ranks)
        entrants, went_on = self.entrants[stage], self.went_on[stage]
        spread = _NOTHING if stage is None else stays.get(stage, _NOTHING)
        return Passage(
            stage=stage,
            entered=self.entered[stage],
            new=self.new[stage],
            left=self.left[stage],
            entrants=entrants,
            went_on=went_on,
            conversion=went_on / entrants if has_next and entrants else None,
            stays=spread.of,
            median_days=_days(spread.median_ms),
            p90_days=_days(spread.p90_ms),
        )

    def flows(self, stages: Sequence[Stage]) -> Iterator[Flow]:
        """From the coldest stage to the hottest; what is new comes first."""
        order = {stage: number for number, stage in enumerate(stages)}
        ranked = sorted(self._flows, key=lambda flow: (-1 if flow[1] else order[flow[0]], order[flow[2]]))
        for before, new, after in ranked:
            yield Flow(before, new, after, self._flows[before, new, after])


def _days(span_ms: int | None) -> float | None:
    return None if span_ms is None else round(span_ms / 86_400_000, 2)


def _replayed(
    tally: _Tally, counts: Mapping[Stage, int], stages: Sequence[Stage], ends: Sequence[datetime], timezone: str
) -> tuple[Day, ...]:
    """Backwards from now, a day at a time, down to the first day at whose end anybody stood anywhere. `ends`: of the
    days, and now."""
    zone, here = ZoneInfo(timezone), Counter(counts)
    found: list[Day] = []
    for number in range(len(ends) - 1, -1, -1):
        is_today = number == len(ends) - 1
        end = ends[number] if is_today else ends[number] - timedelta(milliseconds=1)
        found.append(Day(end.astimezone(zone).date(), end, tuple(here[stage] for stage in stages)))
        here.subtract(tally.changes[number])
    while len(found) > 1 and not any(found[-1].leads):
        found.pop()
    return tuple(reversed(found))


def _rules(tx: Connection, whose: Whose, project: Project, since: datetime) -> tuple[int, tuple[ByRule, ...]]:
    """How many hand-offs there were whose reasons are known, and the rules that gave them most."""
    names = _Names(project)
    known, told, given = 0, Counter[str](), Counter[str]()
    for reasons in flows.reasons(tx, whose, ready_stage(project), since):
        lines = [line for line in map(names.line, reasons) if line is not None]
        known += bool(lines)
        for name, hundredths in lines:
            if hundredths > 0:
                told[name] += 1
                given[name] += hundredths
    best = sorted(given, key=lambda name: (-given[name], name))[:_MOST_RULES]
    return known, tuple(ByRule(name, told[name], given[name]) for name in best)


class _Names:
    """Knows a rule in a line that people read. Its evidence, which is of a person, stays behind."""

    def __init__(self, project: Project) -> None:
        rules = {rule.name for segment in project.segments for _, rule in segment.model.rules}
        self._bracketed = sorted((name for name in rules if " (" in name), key=len, reverse=True)

    def line(self, reason: str) -> tuple[str, int] | None:
        """(rule, hundredths); None for a line that is no rule's."""
        read = _REASON.fullmatch(reason)
        if read is None:
            return None
        points, text = read.groups()
        own = next((name for name in self._bracketed if text.startswith(f"{name} (")), None)
        return own or text.partition(" (")[0], round(float(points) * 100)
