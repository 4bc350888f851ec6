"""What the rest of the program sees of the settings: one `Project`, checked, and then just values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretBytes, SecretStr

from syncer.rules import Condition, FieldTest, Model, Segment, activity_kinds, leaves
from syncer.settings.alerts import Alerts
from syncer.settings.problems import Steps
from syncer.settings.shapes import OWNER, REASONS, TOUCHES, Apprise, CrmTask, Email, Pick, Slack, Web, Webhook
from syncer.settings.values import Language
from syncer.worktime import ALWAYS, Calendar

__all__ = [
    "OWNER",
    "Alerts",
    "Answers",
    "Apprise",
    "Clock",
    "Connection",
    "CrmTask",
    "Digest",
    "Email",
    "HandoffSettings",
    "OnReject",
    "Outcome",
    "Person",
    "Project",
    "Quiet",
    "Route",
    "Slack",
    "Sync",
    "Team",
    "Web",
    "Webhook",
    "digest",
    "fingerprint",
]


@dataclass(frozen=True, slots=True)
class Connection:
    name: str
    type: str
    settings: BaseModel  # an instance of the connector's own `Settings`
    where: str  # "syncer.yml:6"


@dataclass(frozen=True, slots=True)
class Sync:
    every: timedelta = timedelta(minutes=15)
    max_stage_changes: int = 200
    max_handoffs: int = 50
    min_step: int = 100  # hundredths
    manual_change: Literal["respect", "overwrite", "respect_for"] = "respect"
    respect_for: timedelta | None = None  # None with "respect": until somebody takes it back
    sweep: timedelta | None = timedelta(days=1)  # of people; None: never
    sweep_activities: timedelta | None = timedelta(days=7)
    keep_activities: timedelta | None = None  # None: for ever
    keep_handoffs: timedelta | None = None  # whom a hand-off was about, after it was closed

    @property
    def respect_edits(self) -> bool:
        """Does a stage changed by hand stand over the rules?"""
        return self.manual_change != "overwrite"


@dataclass(frozen=True, slots=True)
class Route:
    when: Condition | None  # None: fits everybody
    to: tuple[str, ...]  # e-mail addresses and names of people and teams; "owner" is the record's owner
    fallback: str | None = None  # in place of an owner that the record does not have, or of a team that has no room
    where: str = ""
    assign: bool = False  # the CRM's record goes to who shall act


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in sales."""

    name: str
    email: str
    per_day: int | None = None  # the most hand-offs on one day there; None: any number
    weight: int = 1  # the share in a team whose `pick` is "weighted"
    away: tuple[tuple[date, date], ...] = ()  # from the first to the last day there, both included
    calendar: Calendar = ALWAYS  # when they work; its time zone is theirs


@dataclass(frozen=True, slots=True)
class Team:
    """People one of whom gets a hand-off; with "all", everyone does."""

    name: str
    members: tuple[Person, ...]  # in the order of the file
    pick: Pick = "round_robin"
    queue: str | None = None  # the CRM's, for a route with `assign`; None: the record goes to the one who was picked


@dataclass(frozen=True, slots=True)
class Quiet:
    """When nobody is disturbed: every day between two minutes after midnight, by the clock there."""

    start: int
    end: int  # before `start`: on the next day
    at_most: timedelta  # after it became ready a message goes out all the same
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Digest:
    """More messages than `above` to one recipient over one channel within `per` become one."""

    above: int = 20
    per: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OnReject:
    """Where a lead goes that sales calls not ready."""

    to: str  # a stage
    hold: timedelta | None = None  # how long the rules leave it there; None: until somebody takes it back


@dataclass(frozen=True, slots=True)
class Answers:
    """How sales answers. `field` None: not in the CRM."""

    reasons: tuple[str, ...] = REASONS  # that are offered for a lead that is not ready
    field: str | None = None  # of a lead, by the name that models use
    reason_field: str | None = None
    accepted: tuple[str | float | bool, ...] = ("accepted",)
    rejected: tuple[str | float | bool, ...] = ("rejected",)

    @property
    def fields(self) -> tuple[str, ...]:
        """Where in the CRM sales answers."""
        return tuple(name for name in (self.field, self.reason_field) if name is not None)


@dataclass(frozen=True, slots=True)
class Clock:
    """How soon sales shall act on a lead. All times are working time since sales was told."""

    calendar: Calendar = ALWAYS
    respond_within: timedelta | None = None  # None: whenever they like; nobody is reminded
    remind_after: timedelta | None = None  # None only where the one before is
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()  # e-mail addresses; none: nothing is escalated
    touched_by: tuple[str, ...] = TOUCHES  # kinds of activities


@dataclass(frozen=True, slots=True)
class HandoffSettings:
    when: str  # the stage that is handed over
    wait: timedelta = timedelta(minutes=15)
    notifiers: Mapping[str, Slack | Email | Webhook | CrmTask | Apprise] = field(default_factory=dict)
    slack_repeats: Literal["resend", "hold"] = "resend"
    email_repeats: Literal["resend", "hold"] = "hold"
    routes: tuple[Route, ...] = ()
    notify: tuple[str, ...] = ()  # names of notifiers
    cool_down: timedelta = timedelta(0)  # after a hand-off; a lead that comes back within it is not announced anew
    clock: Clock = Clock()
    apprise_repeats: Literal["resend", "hold"] = "resend"
    templates: Path | None = None  # a folder with templates that stand in for ours
    people: Mapping[str, Person] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    quiet: Quiet | None = None
    digest: Digest = Digest()
    on_reject: OnReject | None = None  # None: it stays where it is
    answers: Answers = Answers()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a lead's end is told by one of its fields; a lead that passes neither test has not ended."""

    won: FieldTest
    lost: FieldTest | None  # None: nobody says who was lost
    at: str | None = None  # the field with the date of the end


@dataclass(frozen=True, slots=True)
class Project:
    """All settings of one project, checked. Two with the same meaning have the same fingerprint."""

    path: Path
    timezone: str
    language: Language
    connections: tuple[Connection, ...]
    sync: Sync
    segments: tuple[Segment, ...]
    handoff: HandoffSettings | None  # None: nobody is told
    same_person: Literal["email"] | None  # what makes two records one lead; None: only the CRM's own merges
    fingerprint: str
    files: tuple[Path, ...]  # everything that was read, for reload
    outcome: Outcome | None = None  # None: nobody says how leads ended
    web: Web | None = None  # None: nothing listens
    alerts: Alerts | None = None  # None: the log alone says that a connection needs a person
    origins: Mapping[Steps, str] = field(default_factory=dict, repr=False)  # "syncer.yml:7", "env HUBSPOT_TOKEN"

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, coldest first; all segments have the same."""
        return tuple(stage.name for stage in self.segments[0].model.stages)

    @property
    def needed_fields(self) -> tuple[str, ...]:
        """Every field of a lead that a model, a segment, a route, the outcome, an answer or a page looks at; sorted."""
        tests = (leaf for condition in self._conditions() for leaf in leaves(condition))
        names = {leaf.field for leaf in tests if isinstance(leaf, FieldTest)}
        if self.outcome is not None:
            names |= {name for name in (self.outcome.won.field, self.outcome.at) if name}
        if self.handoff is not None:
            names |= {*self.handoff.answers.fields}
        if self.web is not None and self.web.source is not None:
            names.add(self.web.source)
        return tuple(sorted(names))

    @property
    def needed_activities(self) -> tuple[str, ...]:
        """Every kind of activity that a model looks at; sorted."""
        kinds = activity_kinds(self._conditions())
        ignores = [ignore for segment in self.segments for ignore in segment.model.ignores]
        return tuple(sorted(kinds | {ignore.follows.kind for ignore in ignores if ignore.follows is not None}))

    @property
    def wanted_activities(self) -> tuple[str, ...]:
        """Those, and where sales shall act within a time the kinds by which it does; sorted."""
        clock = self.handoff.clock if self.handoff is not None else Clock()
        return tuple(sorted({*self.needed_activities, *(clock.touched_by if clock.respond_within else ())}))

    def _conditions(self) -> list[Condition]:
        conditions = [one for segment in self.segments for one in segment.model.conditions()]
        conditions += [segment.when for segment in self.segments if segment.when is not None]
        conditions += [each.lead for one in self.segments for each in one.model.ignores if each.lead is not None]
        routes = self.handoff.routes if self.handoff is not None else ()
        conditions += [route.when for route in routes if route.when is not None]
        return conditions


def fingerprint(parts: Any) -> str:
    """A hash of the meaning of settings; secrets count by their hash alone, places in files not at all."""
    text = json.dumps(_meaning(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _meaning(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        secret = value.get_secret_value()
        return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()
    if isinstance(value, Model):
        return value.version
    if isinstance(value, BaseModel):
        return {name: _meaning(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _meaning(getattr(value, one.name)) for one in fields(value) if one.name != "where"}
    if isinstance(value, Mapping):
        return {str(name): _meaning(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_meaning(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_meaning(inner)) for inner in value)
    return value if value is None or isinstance(value, bool | int | float | str) else f"{type(value).__name__}:{value}"


def digest(files: Iterable[Path]) -> str:
    """A hash of the files' contents as they are now; a file that cannot be read counts as such. For reload polling."""
    whole = hashlib.sha256()
    for path in files:
        try:
            inside = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            inside = type(error).__name__
        whole.update(f"{path}\0{inside}\0".encode())
    return whole.hexdigest()
