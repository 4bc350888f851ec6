"""The settings in force, value by value, with the place each comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from syncer.log import BLOT, redact
from syncer.rules import ActivityTest, All, AnyOf, Condition, FieldTest, NoneOf, duration_text
from syncer.settings.problems import Steps, path_text
from syncer.settings.project import Clock, HandoffSettings, Outcome, Person, Project, Quiet, Sync
from syncer.settings.shapes import DAYS
from syncer.worktime import ALWAYS, Calendar

Shown = tuple[Any, str]
"""A value as plain JSON, secrets as ***; and its origin: "syncer.yml:7", "env HUBSPOT_TOKEN", "default"."""


def show(project: Project) -> Mapping[str, Shown]:
    """Path -> value and origin: {"sync.every": ("15m", "syncer.yml:19")}."""
    effective = {
        "timezone": project.timezone,
        "language": project.language,
        "connections": {one.name: {"type": one.type, **_fields(one.settings)} for one in project.connections},
        "sync": _sync(project.sync),
        "models": [_segment(segment.model.version, segment.when) for segment in project.segments],
        "handoff": _handoff(project.handoff) if project.handoff is not None else None,
        "outcome": _outcome(project.outcome) if project.outcome is not None else None,
        "web": project.web,
        "alerts": {"notify": project.alerts.notify, "to": project.alerts.to} if project.alerts is not None else None,
    }
    leaves = dict(_leaves(effective, ()))
    return {path_text(steps): (value, _origin(project.origins, steps)) for steps, value in leaves.items()}


def _sync(sync: Sync) -> dict[str, Any]:
    manual: Any = sync.manual_change
    if sync.respect_for is not None:
        manual = {"respect_for": sync.respect_for}
    return {
        "every": sync.every,
        "max_stage_changes": sync.max_stage_changes,
        "max_handoffs": sync.max_handoffs,
        "min_step": sync.min_step / 100,
        "sweep": sync.sweep or "off",
        "sweep_activities": sync.sweep_activities or "off",
        "keep_activities": sync.keep_activities or "off",
        "keep_handoffs": sync.keep_handoffs or "off",
        "manual_change": manual,
    }


def _segment(version: str, when: Condition | None) -> Any:
    return version if when is None else {"use": version, "for": condition_text(when)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    lost = outcome.lost.argument if outcome.lost is not None else ()
    return {"field": outcome.won.field, "won": outcome.won.argument, "lost": lost, "at": outcome.at}


def _handoff(handoff: HandoffSettings) -> dict[str, Any]:
    routes = [
        {"if": condition_text(route.when) if route.when is not None else "always", "to": route.to}
        | ({"fallback": route.fallback} if route.fallback else {})
        | ({"assign": True} if route.assign else {})
        for route in handoff.routes
    ]
    return {
        "when": handoff.when,
        "wait": handoff.wait,
        "cool_down": handoff.cool_down,
        "notifiers": {name: _fields(notifier) for name, notifier in handoff.notifiers.items()},
        "repeats": {
            "slack": handoff.slack_repeats,
            "email": handoff.email_repeats,
            "apprise": handoff.apprise_repeats,
        },
        "people": {name: _person(each) for name, each in handoff.people.items()},
        "teams": {
            name: {"members": [each.name for each in team.members], "pick": team.pick}
            | ({"queue": team.queue} if team.queue else {})
            for name, team in handoff.teams.items()
        },
        "route": routes,
        "notify": handoff.notify,
        **_clock(handoff.clock),
        "templates": handoff.templates,
        "quiet_hours": _quiet(handoff.quiet) if handoff.quiet is not None else None,
        "digest": {"above": handoff.digest.above, "per": handoff.digest.per},
        "on_reject": asdict(handoff.on_reject) if handoff.on_reject is not None else None,
        "answers": asdict(handoff.answers),
    }


def _quiet(quiet: Quiet) -> dict[str, Any]:
    return {"from": _time_of_day(quiet.start), "to": _time_of_day(quiet.end), "at_most": quiet.at_most}


def _clock(clock: Clock) -> dict[str, Any]:
    return {
        "hours": "always" if clock.calendar == ALWAYS else _hours(clock.calendar),
        "respond_within": clock.respond_within,
        "remind_after": clock.remind_after,
        "escalate_after": clock.escalate_after,
        "escalate_to": clock.escalate_to,
        "touched_by": clock.touched_by,
    }


def _person(person: Person) -> dict[str, Any]:
    return {
        "email": person.email,
        "per_day": person.per_day,
        "weight": person.weight,
        "away": [{"from": first, "to": last} for first, last in person.away],
        "hours": _hours(person.calendar),
    }


def _hours(calendar: Calendar) -> dict[str, Any]:
    """What comes of a section of hours, day by day."""
    told: dict[str, Any] = {"timezone": calendar.timezone, "holidays": sorted(calendar.holidays)}
    for day, spans in zip(DAYS, calendar.week, strict=True):
        told[day] = [f"{_time_of_day(start)}-{_time_of_day(end)}" for start, end in spans]
    return told


def _time_of_day(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _fields(settings: BaseModel) -> dict[str, Any]:
    return {info.alias or name: getattr(settings, name) for name, info in type(settings).model_fields.items()}


def _leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, BaseModel):
        value = _fields(value)
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*steps, str(name)))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping | BaseModel) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*steps, index))
    else:
        yield steps, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return BLOT
    if isinstance(value, timedelta):
        return duration_text(round(value.total_seconds() * 1000))
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return redact(value.as_posix() if isinstance(value, PurePath) else str(value))


def _origin(origins: Mapping[Steps, str], steps: Steps) -> str:
    """Where the value is written: there itself, in parts below it, or in one text that stands for it."""
    if steps in origins:
        return origins[steps]
    below = next((origin for known, origin in origins.items() if known[: len(steps)] == steps), None)
    above = next((origins[one] for one in (steps[:-1], steps[:-2]) if one in origins), None)
    return below or above or "default"


_AGES = ("older_than", "newer_than")


def condition_text(condition: Condition) -> str:
    """A condition in one line: "country any_of MX, CO"."""
    if isinstance(condition, FieldTest):
        asked = condition.argument if isinstance(condition.argument, tuple) else (condition.argument,)
        words = f"{'not_' if condition.negated else ''}{condition.operator}"
        say: Callable[[Any], Any] = duration_text if condition.operator in _AGES else _plain
        return f"{condition.field} {words} {', '.join(str(say(one)) for one in asked)}"
    if isinstance(condition, ActivityTest):
        within = f" in_last {duration_text(condition.in_last_ms)}" if condition.in_last_ms is not None else ""
        tests = "".join(f" with {condition_text(test)}" for test in condition.tests)
        return f"activity {condition.kind}{tests}{within}"
    groups: Mapping[type[All | AnyOf | NoneOf], str] = {All: "all", AnyOf: "any", NoneOf: "none"}
    return f"{groups[type(condition)]}({'; '.join(condition_text(inner) for inner in condition.conditions)})"
