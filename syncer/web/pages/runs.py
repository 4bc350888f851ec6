"""Runs and health: how connections stand, what could not be read or written, how often rules fire; and the plan that
waits at the fuse, with a person's word on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import BeforeValidator, Field

from syncer.queries import firing, fuse, rejected, runs, standing
from syncer.queries.accounts import By
from syncer.queries.firing import Firing
from syncer.queries.fuse import Acted, Moved, Waiting
from syncer.queries.rejected import Unread, Untaken
from syncer.queries.rule_changes import RuleChange
from syncer.queries.runs import ConfigFile, ConnectionRuns, Counts, Detail
from syncer.queries.standing import Fleet
from syncer.store import decisions
from syncer.store.decisions import Place
from syncer.web.counting import Counted
from syncer.web.views import Action, Asked, Asking, Done, View

_FRESH = timedelta(seconds=30)
_RULES_FRESH = timedelta(minutes=10)
_RELOADS = 20  # that are shown
_NAME = 200  # characters


def _number(given: object) -> object:
    return int(given) if isinstance(given, str) and given.isascii() and given.isdecimal() else given


_Number = Annotated[int, BeforeValidator(_number), Field(ge=0, lt=2**63)]
_Name = Annotated[str, Field(min_length=1, max_length=_NAME)]
_Id = Annotated[str, Field(min_length=1, max_length=2_000)]


def _by(asking: Asking) -> By:
    return By(asking.who.name, asking.address)


# runs


class NothingAsked(Asked):
    pass


class RunsAsked(Asked):
    """`connection`: of this one alone, with a table of its runs; left out: of all."""

    connection: _Name | None = None


class RunAsked(Asked):
    run: _Number


@dataclass(frozen=True, slots=True)
class CountsShown:
    """`counts` None: still being counted, or it could not be (`failed` says why)."""

    counts: Mapping[str, Counts] | None  # by connection
    counted_at: datetime | None
    counting: bool
    failed: str


@dataclass(frozen=True, slots=True)
class Shown(CountsShown):
    now: datetime
    timezone: str
    stages: tuple[str, ...]  # the coldest first
    connections: tuple[ConnectionRuns, ...]
    fleet: Fleet | None
    versions: tuple[str, ...]  # of the workers that are alive; there should be one
    fingerprint: str  # of the settings in force
    files: tuple[ConfigFile, ...]
    reloads: tuple[Acted, ...]  # taken and refused, the latest first


def _shown(asking: Asking, asked: RunsAsked) -> Shown:
    app = asking.app
    names = [each.name for each in app.chosen(asked.connection)]
    known, present = runs.connections(app, names)
    fleet = standing.fleet(app, present.values())
    return Shown(
        **_counts_of(asking, names),
        now=app.clock(),
        timezone=app.project.timezone,
        stages=app.project.stages,
        connections=known,
        fleet=fleet,
        versions=tuple(sorted(fleet.versions)) if fleet else (),
        fingerprint=app.project.fingerprint,
        files=runs.files(app),
        reloads=fuse.reloads(app, _RELOADS),
    )


def _counts(asking: Asking, asked: RunsAsked) -> CountsShown:
    return CountsShown(**_counts_of(asking, [each.name for each in asking.app.chosen(asked.connection)]))


def _counts_of(asking: Asking, names: Sequence[str]) -> dict[str, Any]:
    """The fields of `CountsShown`. All connections are counted at once, and these are shown."""
    key = ("runs", asking.app.project.fingerprint)
    counted: Counted[Mapping[str, Counts]] = asking.counting.ask(key, partial(runs.counts, asking.app), _FRESH)
    told = None if counted.value is None else {name: counted.value[name] for name in names}
    return {"counts": told, "counted_at": counted.at, "counting": counted.running, "failed": counted.failed}


def _run(asking: Asking, asked: RunAsked) -> Detail:
    return runs.detail(asking.app, asked.run)


class ConnectionNamed(Asked):
    connection: _Name


def _run_now(asking: Asking, asked: ConnectionNamed) -> Done:
    until = rejected.run_now(asking.app, asked.connection, _by(asking))
    facts = {"connection": asked.connection}
    return Done("runs_said_parked" if until else "runs_said_now", "/runs", facts)


# rules


@dataclass(frozen=True, slots=True)
class RulesShown:
    """`firing` None: still being counted, or it could not be (`failed` says why)."""

    firing: Firing | None
    never: tuple[str, ...]  # the rules that fire for nobody
    counted_at: datetime | None
    counting: bool
    failed: str


def _rules(asking: Asking, asked: NothingAsked) -> RulesShown:
    key = ("rules", asking.app.project.fingerprint)
    counted = asking.counting.ask(key, partial(firing.count, asking.app), _RULES_FRESH)
    never = tuple(rule.name for rule in counted.value.never) if counted.value and counted.value.leads else ()
    return RulesShown(counted.value, never, counted.at, counted.running, counted.failed)


# what could not be read or written


class RejectedAsked(Asked):
    """`after`: two numbers that the page before gave in `next`."""

    connection: _Name | None = None
    what: Literal["unread", "untaken"] = "unread"
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}\.[0-9]{1,9}$")] | None = None

    @property
    def place(self) -> rejected.Place | None:
        if self.after is None:
            return None
        number, nth = map(int, self.after.split("."))
        return number, nth


@dataclass(frozen=True, slots=True)
class RejectedShown:
    connection: str
    connections: tuple[str, ...]
    unread: tuple[Unread, ...]  # where that is asked for
    untaken: tuple[Untaken, ...]  # likewise
    next: str | None  # where more are shown


def _rejected(asking: Asking, asked: RejectedAsked) -> RejectedShown:
    app = asking.app
    names = tuple(each.name for each in app.project.connections)
    name = app.connection(asked.connection or next(iter(names), None)).name
    if asked.what == "unread":
        page = rejected.unread(app, name, asked.place)
        return RejectedShown(name, names, page.rows, (), _more_rejected(name, asked.what, page.after))
    taken = rejected.untaken(app, name, asked.place)
    return RejectedShown(name, names, (), taken.rows, _more_rejected(name, asked.what, taken.after))


def _more_rejected(name: str, what: str, after: rejected.Place | None) -> str | None:
    if after is None:
        return None
    return "/rejected?" + urlencode({"connection": name, "what": what, "after": f"{after[0]}.{after[1]}"})


class ReadAgain(ConnectionNamed):
    """Without stream and id: all that we have nothing of."""

    stream: _Name | None = None
    id: _Id | None = None


def _read_again(asking: Asking, asked: ReadAgain) -> Done:
    which = (asked.stream, asked.id) if asked.stream and asked.id else None
    count = rejected.read_again(asking.app, asked.connection, which, _by(asking))
    to = "/rejected?" + urlencode({"connection": asked.connection})
    return Done("runs_said_read_again" if count else "runs_said_nothing", to, {"count": count})


def _write_again(asking: Asking, asked: ConnectionNamed) -> Done:
    count = rejected.write_again(asking.app, asked.connection, _by(asking))
    to = "/rejected?" + urlencode({"connection": asked.connection, "what": "untaken"})
    return Done("runs_said_write_again" if count else "runs_said_nothing", to, {"count": count})


# the fuse


class PlanAsked(ConnectionNamed):
    """`move`: only these leads; `after_move`, `after_lead`: the last one that was shown."""

    move: _Name | None = None
    after_move: _Name | None = None
    after_lead: _Number | None = None


@dataclass(frozen=True, slots=True)
class StageShift:
    """Leads in a stage now and once the plan is carried out; None: still being counted."""

    stage: str
    now: int | None
    after: int | None
    enter: int
    leave: int


@dataclass(frozen=True, slots=True)
class PlanShown:
    """The plan that waits at the fuse; `waiting` None: none does."""

    connection: str
    waiting: Waiting | None
    stages: tuple[StageShift, ...]  # the hottest first
    counting: bool
    leads: tuple[Moved, ...]
    next: str | None  # where more of them are shown
    changes: tuple[RuleChange, ...] | None  # since the leads were decided last; None: by which rules is not known
    reloads: tuple[Acted, ...]


def _plan(asking: Asking, asked: PlanAsked) -> PlanShown:
    app = asking.app
    name = app.connection(asked.connection).name
    waiting = fuse.waiting(app, name)
    if waiting is None:
        return PlanShown(name, None, (), False, (), None, (), ())
    counted = asking.counting.ask(("stages", name), partial(_stage_counts, asking, name), _FRESH)
    after = Place(asked.after_move, asked.after_lead) if asked.after_move and asked.after_lead is not None else None
    leads, place = fuse.moved(app, waiting.run, after, asked.move)
    return PlanShown(
        connection=name,
        waiting=waiting,
        stages=_shifts(asking, waiting, counted.value),
        counting=counted.running and counted.value is None,
        leads=leads,
        next=None if place is None else _more_leads(name, asked.move, place),
        changes=fuse.rule_changes(app, name),
        reloads=fuse.reloads(app, 3),
    )


def _stage_counts(asking: Asking, name: str) -> Mapping[str, int]:
    with asking.app.store.reading() as tx:
        return decisions.stage_counts(tx, name)


def _shifts(asking: Asking, waiting: Waiting, now: Mapping[str, int] | None) -> tuple[StageShift, ...]:
    touched = {stage for move in waiting.moves for stage in (move.before, move.after) if stage is not None}
    known = tuple(reversed(asking.app.project.stages))
    after = None if now is None else fuse.stages_after(now, waiting.moves)
    return tuple(
        StageShift(
            stage=stage,
            now=None if now is None else now.get(stage, 0),
            after=None if after is None else after.get(stage, 0),
            enter=sum(move.leads for move in waiting.moves if move.after == stage),
            leave=sum(move.leads for move in waiting.moves if move.before == stage),
        )
        for stage in (*known, *sorted({*touched, *(now or ())}.difference(known)))
    )


def _more_leads(name: str, move: str | None, place: Place) -> str:
    asked = {"move": move} if move else {}
    return f"{plan_path(name)}?" + urlencode({**asked, "after_move": place.move, "after_lead": place.lead})


def plan_path(connection: str) -> str:
    return f"/plans/{quote(connection, safe='')}"


class PlanNamed(ConnectionNamed):
    run: _Number


def _approve(asking: Asking, asked: PlanNamed) -> Done:
    word = fuse.approve(asking.app, asked.connection, asked.run, _by(asking))
    facts = {"run": asked.run, "moves": word.stage_changes, "handoffs": word.handoffs}
    return Done("runs_said_approved", plan_path(asked.connection), facts)


def _refuse(asking: Asking, asked: PlanNamed) -> Done:
    fuse.refuse(asking.app, asked.connection, asked.run, _by(asking))
    return Done("runs_said_refused", plan_path(asked.connection), {"run": asked.run})


VIEWS = (
    View("/runs", "runs", RunsAsked, Shown, _shown),
    View("/runs/counts", "run_counts", RunsAsked, CountsShown, _counts),
    View("/runs/rules", "run_rules", NothingAsked, RulesShown, _rules),
    View("/runs/{run}", "run", RunAsked, Detail, _run),
    View("/rejected", "rejected", RejectedAsked, RejectedShown, _rejected),
    View("/plans/{connection}", "plan", PlanAsked, PlanShown, _plan),
)
ACTIONS = (
    Action("/runs/now", "run_now", ConnectionNamed, _run_now),
    Action("/rejected/read-again", "read_again", ReadAgain, _read_again),
    Action("/rejected/write-again", "write_again", ConnectionNamed, _write_again),
    Action("/plans/{connection}/approve", "approve", PlanNamed, _approve),
    Action("/plans/{connection}/refuse", "refuse", PlanNamed, _refuse),
)
