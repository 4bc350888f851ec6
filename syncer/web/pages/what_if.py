"""What if: other thresholds and points, and at once who would move, what sales would get in each week, and how well it
would have told who was won. On a sample first; on all leads where somebody asks for it. Kept as a proposal, never put
in force from here."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Self
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from syncer.app import App, Progress
from syncer.errors import ConfigError
from syncer.queries import trying
from syncer.queries.simulating import Mover, Simulation, simulation
from syncer.queries.tallying import Showing, Side, Task, sampled, tallied
from syncer.queries.trying import NAME, Proposal, Tried
from syncer.rules import DIMENSIONS, rules_version
from syncer.settings.dials import Dial, Kind
from syncer.settings.rewriting import number_text
from syncer.simulation import days_until
from syncer.store import audit, mirror
from syncer.web.counting import Counted, Counting
from syncer.web.long_counting import LongCounting, Tell
from syncer.web.views import Action, Asked, Asking, Done, View

SAMPLE = 2000  # leads, counted within a second or two
WEEKS = 8
_FRESH = timedelta(minutes=1)
_WAITS_S = 3.0  # a page that waits for its figures asks every second
_SHOWN = 50  # leads that move
_MOST_NUMBERS, _LONGEST = 500, 100  # in an address; characters of each
_GROUPS = ("stages", *DIMENSIONS, "")
_SIGNS = {">=": "≥", ">": ">", "<=": "≤", "<": "<"}

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]


class Numbers(Asked):
    """Beside its own fields, numbers by the names of the dials: `rule.target-country.points=8`."""

    model_config = ConfigDict(extra="allow", frozen=True, str_strip_whitespace=True)
    __pydantic_extra__: dict[str, str | float] = Field(init=False)

    connection: str | None = None
    proposal: Name | None = Field(None, alias="with")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.proposal is not None and self.given:
            raise ValueError("numbers and a proposal do not go together; give one of them")
        if len(self.given) > _MOST_NUMBERS or any(len(each) > _LONGEST for each in self.given.values()):
            raise ValueError(f"at most {_MOST_NUMBERS} numbers can be tried at a time, of {_LONGEST} characters")
        return self

    @property
    def given(self) -> dict[str, str]:
        sent = self.__pydantic_extra__.items()
        return {name: value if isinstance(value, str) else number_text(value) for name, value in sent}


class WhatIfAsked(Numbers):
    all: bool = False  # of all leads, where somebody has had them counted
    moved: str = ""  # "mql:sql": only who moves from one to the other

    @field_validator("moved")
    @classmethod
    def _names_two(cls, moved: str) -> str:
        if moved and moved.count(":") != 1:
            raise ValueError("write two stages, as in mql:sql")
        return moved


class Saved(Numbers):
    name: Name  # of the new proposal


@dataclass(frozen=True, slots=True)
class Number:
    """One that can be tried."""

    name: str  # in the address
    kind: Kind
    about: str  # the rule or the stage; "": the dimension itself, or the model
    measure: str  # of a threshold
    sign: str  # of a threshold, as "≥"
    unit: str  # of a half-life: s, m, h, d or w
    now: str
    tried: str
    changed: bool
    least: float  # of the slider, as the next two
    most: float
    step: float
    problem: str


@dataclass(frozen=True, slots=True)
class Group:
    """The numbers of a dimension, of the stages, or ("") of the model as a whole."""

    model: str
    name: str
    changed: bool  # some of them, or something is wrong with one
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted, of how many leads."""

    simulation: Simulation
    looked_at: int
    leads: int  # in the connections asked for
    took_s: float


@dataclass(frozen=True, slots=True)
class Whole:
    """How far the count of all leads is. state: running, done, failed, replaced (by another one)."""

    state: str
    done: int
    of: int
    why: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    models: int
    groups: tuple[Group, ...]
    changed: tuple[Number, ...]
    mistakes: tuple[str, ...]  # beside what is wrong with single numbers
    proposal: str | None  # the one that is shown
    more: bool  # it differs in more than these numbers
    query: str  # the shortest address of what is tried
    counting: bool
    failed: str
    found: Found | None
    moves: tuple[Mover, ...]  # the first of them
    moved: tuple[str, ...]  # only those from one of these stages to the other
    means: tuple[float, ...]  # hand-offs a week, by each of the two
    whole: Whole | None
    whole_s: float  # about so long a count of all leads takes
    proposals: tuple[Proposal, ...]


def _shown(asking: Asking, asked: WhatIfAsked) -> WhatIf:
    app, found = asking.app, _tried(asking.app, asked)
    app.chosen(asked.connection)
    numbers = [_number(found, name) for name in found.dials]
    counted: Counted[Found | None] = Counted()
    whole: Whole | None = None
    if found.sides:
        key = _key(app, asked.connection, found.sides)
        told = _counts_of(asking).all.look(key) if asked.all else None
        whole = None if told is None else Whole(told.state, told.done, told.of, told.why)
        done = told is not None and told.state == "done"
        counted = Counted(told.value, told.at) if told and done else _sampled(asking, asked.connection, found.sides)
    moved = tuple(asked.moved.split(":")) if asked.moved else ()
    of = counted.value
    return WhatIf(
        models=len({dial.model for dial in found.dials.values()}),
        groups=_groups(found, numbers),
        changed=tuple(each for each in numbers if each.changed),
        mistakes=found.mistakes,
        proposal=asked.proposal,
        more=found.more,
        query=_query(asked, found.changed),
        counting=counted.running,
        failed=counted.failed,
        found=of,
        moves=() if of is None else _moves(of.simulation, moved),
        moved=moved,
        means=() if of is None else tuple(sum(side.handoffs) / WEEKS for side in of.simulation.sides),
        whole=whole,
        whole_s=0 if of is None else of.took_s * of.leads / max(of.looked_at, 1),
        proposals=trying.proposals(app),
    )


def _tried(app: App, asked: Numbers) -> Tried:
    return trying.tried(app, asked.given) if asked.proposal is None else trying.proposed(app, asked.proposal)


# The numbers.


def _number(found: Tried, name: str) -> Number:
    dial, problem = found.dials[name], found.problems.get(name, "")
    measure, comparison = dial.gate
    least, most, step = _slider(dial)
    return Number(
        name=name,
        kind=dial.kind,
        about=dial.about,
        measure=measure,
        sign=_SIGNS.get(comparison, ""),
        unit=dial.after.strip(),
        now=dial.number,
        tried=found.changed.get(name, dial.number),
        changed=name in found.changed,
        least=least,
        most=most,
        step=step,
        problem=problem,
    )


def _slider(dial: Dial) -> tuple[float, float, float]:
    """(lowest, highest, step): twice as much as it is, and no less than twenty."""
    number = float(dial.number)
    reach, step = max(20.0, 2 * abs(number)), 1.0 if number == int(number) else 0.25
    if dial.kind in ("cap", "max", "half_life"):
        return 1.0, reach, step
    return (-reach, 0.0, step) if number < 0 else (0.0, reach, step)


def _groups(found: Tried, numbers: Sequence[Number]) -> tuple[Group, ...]:
    models = tuple(dict.fromkeys(dial.model for dial in found.dials.values()))
    grouped = (
        (model, name, tuple(each for each in numbers if _stands_in(found.dials[each.name], model, name)))
        for model in models
        for name in _GROUPS
    )
    return tuple(
        Group(model, name, any(each.changed or each.problem for each in inside), inside)
        for model, name, inside in grouped
        if inside
    )


def _stands_in(dial: Dial, model: str, group: str) -> bool:
    return (dial.model, dial.group) == (model, group)


def _query(asked: Numbers, changed: Mapping[str, str]) -> str:
    named = {"with": asked.proposal} if asked.proposal is not None else changed
    connection = {"connection": asked.connection} if asked.connection is not None else {}
    return urlencode({**connection, **named})


# The figures.


def _key(app: App, connection: str | None, sides: Sequence[Side]) -> Hashable:
    meaning = tuple((side.name, rules_version(side.rules.segments), side.rules.handoff_stage) for side in sides)
    return "what_if", id(app.store), connection, app.project.fingerprint, meaning


def _task(app: App, sides: tuple[Side, ...]) -> Task:
    return Task(sides, days_until(app.clock(), WEEKS), app.project.outcome, most_moves=_SHOWN)


@dataclass(frozen=True)
class _Counts:
    """What is being counted for the pages of one door."""

    all: LongCounting
    asked_at: dict[Hashable, float]  # of each sample, by the monotonic clock


_counts: WeakKeyDictionary[Counting, _Counts] = WeakKeyDictionary()


def _counts_of(asking: Asking) -> _Counts:
    return _counts.setdefault(asking.counting, _Counts(LongCounting(asking.app.clock), {}))


def _sampled(asking: Asking, connection: str | None, sides: tuple[Side, ...]) -> Counted[Found | None]:
    """The figures of a sample. Who moves a slider on waits for the last one alone: what waits in line for a place to be
    counted, and nobody asks for any more, is passed over, and counted when it is asked for again."""
    key, asked_at = _key(asking.app, connection, sides), _counts_of(asking).asked_at
    if len(asked_at) > _MOST_NUMBERS:
        asked_at.clear()  # who still waits asks again
    asked_at[key] = time.monotonic()

    def work() -> Found | None:
        waited_s = time.monotonic() - asked_at.pop(key, 0.0)
        return None if waited_s > _WAITS_S else _of_some(asking.app, connection, sides)

    found = asking.counting.ask(key, work, _FRESH)
    passed_over = found.value is None and found.at is not None and not found.failed
    return asking.counting.ask(key, work, timedelta(0)) if passed_over else found


def _of_some(app: App, connection: str | None, sides: tuple[Side, ...]) -> Found:
    began = time.monotonic()
    some, leads = sampled(app, connection, SAMPLE)
    task = replace(_task(app, sides), only=some)
    looked_at = leads if some is None else sum(map(len, some.values()))
    found = simulation(tallied(app, connection, task), task)
    return Found(found, looked_at, leads, time.monotonic() - began)


def _of_all(app: App, connection: str | None, sides: tuple[Side, ...], tell: Tell) -> Found:
    began = time.monotonic()
    with app.store.reading() as tx:
        leads = sum(mirror.count(tx, each.name) for each in app.chosen(connection))
    task = _task(app, sides)
    found = simulation(tallied(app, connection, task, _telling(tell, leads)), task)
    return Found(found, leads, leads, time.monotonic() - began)


def _telling(tell: Tell, of: int) -> Showing:
    @contextmanager
    def showing(_connection: str) -> Any:
        def moves(_step: str, _what: str, done: int, _of: int | None) -> None:
            tell(done, of)

        told: Progress = moves
        yield told

    return showing


def _moves(found: Simulation, between: Sequence[str]) -> tuple[Mover, ...]:
    return tuple(each for each in found.moves if not between or each.stages == tuple(between))[:_SHOWN]


# What can be done.


def _count(asking: Asking, asked: Numbers) -> Done:
    """Begin to count all leads, instead of what is being counted for somebody else."""
    app, found = asking.app, _tried(asking.app, asked)
    app.chosen(asked.connection)
    if not found.sides:
        raise ConfigError("; ".join((*found.mistakes, *found.problems.values())), code="SY282")
    key = _key(app, asked.connection, found.sides)
    _counts_of(asking).all.begin(key, partial(_of_all, app, asked.connection, found.sides))
    query = _query(asked, found.changed)
    return Done("what_if_count_begun", f"/what-if?{query}&all=1" if query else "/what-if?all=1", {})


def _save(asking: Asking, asked: Saved) -> Done:
    """The file first, while nobody waits for the database; no proposal stays of which the audit log says nothing."""
    app = asking.app
    found = trying.save(app, asked.given, asked.name)
    details = {"numbers": list(found.settings)}
    try:
        with app.store.writing() as tx:
            audit.note(tx, audit.Entry(app.clock(), asking.who.name, "proposal", asked.name, asking.address, details))
    except BaseException:
        trying.take_back(app, asked.name)
        raise
    return Done("what_if_saved", f"/what-if?with={asked.name}", {"name": f"{trying.FOLDER}/{asked.name}.yml"})


VIEWS: tuple[View[Any, Any], ...] = (View("/what-if", "what_if", WhatIfAsked, WhatIf, _shown),)
ACTIONS: tuple[Action[Any], ...] = (
    Action("/what-if/count", "what_if_count", Numbers, _count, role="viewer"),
    Action("/what-if/proposals", "what_if_save", Saved, _save),
)
