"""The section `handoff` of the project file: whether its parts fit together, and the values that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from syncer.settings.problems import Mistake, Steps, did_you_mean, quoted
from syncer.settings.project import (
    Answers,
    Clock,
    Digest,
    HandoffSettings,
    OnReject,
    Person,
    Quiet,
    Route,
    Team,
)
from syncer.settings.shapes import DAYS, NOTIFIERS, HandoffFile, HoursFile, PersonFile
from syncer.settings.source import Source, at
from syncer.settings.teams import routing_mistakes
from syncer.worktime import ALWAYS, DAY_M, Calendar


def handoff_mistakes(raw: Any, stages: tuple[str, ...]) -> Iterator[Mistake]:
    """What the hand-off names must be there; looks at whatever has the right shape."""
    when = at(raw, "handoff", "when")
    if isinstance(when, str) and stages and when not in stages:
        help = did_you_mean(when, stages, known_as="stages")
        yield Mistake(("handoff", "when"), f"there is no stage {quoted(when)}", help, "SY007")
    yield from _rejected_to_mistakes(raw, stages, when if isinstance(when, str) else None)
    notifiers, notify = at(raw, "handoff", "notifiers"), at(raw, "handoff", "notify")
    known = notifiers if isinstance(notifiers, Mapping) else {}
    named = [notify] if isinstance(notify, str) else notify if isinstance(notify, list) else []
    for rank, name in enumerate(named):
        if isinstance(name, str) and name not in known:
            steps: Steps = ("handoff", "notify", rank) if isinstance(notify, list) else ("handoff", "notify")
            help = did_you_mean(name, known, known_as="notifiers")
            yield Mistake(steps, f"there is no notifier {quoted(name)}", help, "SY007")
    mailed = [name for name in named if isinstance(name, str) and at(known, name, "type") == "email"]
    if mailed and not at(raw, "handoff", "route"):
        message = f"{mailed[0]} sends e-mail, and no route says to whom"
        yield Mistake(("handoff", "route"), message, "write for example - {to: [owner], fallback: sales@...}", "SY010")
    if at(raw, "handoff", "escalate_to") and not mailed:
        message = "what is escalated goes out by e-mail, and `notify` names no notifier that sends it"
        yield Mistake(("handoff", "escalate_to"), message, "add one of type email to `notify`", "SY010", at_key=True)
    elif at(raw, "handoff", "respond_within") and not _reminds(known, named):
        message = "reminders go out by e-mail, Slack or Apprise, and `notify` names no notifier that sends them"
        help = "add one of type email, slack or apprise to `notify`"
        yield Mistake(("handoff", "respond_within"), message, help, "SY010", at_key=True)
    yield from _unheard_mistakes(raw, known)
    yield from routing_mistakes(at(raw, "handoff"))


def _unheard_mistakes(raw: Any, known: Mapping[str, Any]) -> Iterator[Mistake]:
    """Where nobody listens, a button is one that does nothing."""
    if at(raw, "web") is not None:
        return
    for name in known:
        if at(known, name, "type") == "slack" and at(known, name, "signing_secret") is not None:
            message = "the buttons under its messages are heard by nobody: the project has no section `web`"
            steps = ("handoff", "notifiers", name, "signing_secret")
            yield Mistake(steps, message, "add `web: {}`, or leave signing_secret out", "SY010", at_key=True)


def _rejected_to_mistakes(raw: Any, stages: tuple[str, ...], when: str | None) -> Iterator[Mistake]:
    """What sales calls not ready must not be ready again at once."""
    to = at(raw, "handoff", "on_reject", "to")
    steps: Steps = ("handoff", "on_reject", "to")
    if not isinstance(to, str) or not stages:
        return
    handed = when if when in stages else stages[-1]
    if to not in stages:
        yield Mistake(steps, f"there is no stage {quoted(to)}", did_you_mean(to, stages, known_as="stages"), "SY007")
    elif stages.index(to) >= stages.index(handed):
        message = f"{quoted(to)} is no colder than {quoted(handed)}, which is handed to sales"
        yield Mistake(
            steps, message, f"a lead that is not ready goes back: {', '.join(stages[: stages.index(handed)])}", "SY010"
        )


_REMINDING = ("email", "slack", "apprise")


def _reminds(known: Mapping[str, Any], named: Iterable[Any]) -> bool:
    """Whether one of these notifiers takes reminders, or is none at all, which is a mistake of its own."""
    kinds = (at(known, name, "type") if isinstance(name, str) else None for name in named)
    return any(not isinstance(kind, str) or kind not in NOTIFIERS or kind in _REMINDING for kind in kinds)


def handoff_settings(
    shape: HandoffFile, notifiers: Mapping[str, Any], stages: tuple[str, ...], timezone: str, source: Source
) -> HandoffSettings:
    routes = tuple(
        Route(one.when, one.to, one.fallback, f"{source.name}:{source.line_of(('handoff', 'route', rank))}", one.assign)
        for rank, one in enumerate(shape.route)
    )
    repeats, notify, people = shape.repeats, tuple(dict.fromkeys(shape.notify)), _people(shape, timezone)
    return HandoffSettings(
        shape.when or stages[-1], shape.wait, notifiers, repeats.slack, repeats.email, routes, notify, shape.cool_down,
        _clock(shape, timezone), apprise_repeats=repeats.apprise,
        templates=source.path.parent / shape.templates if shape.templates is not None else None,
        people=people, teams=_teams(shape, people), quiet=_quiet(shape, timezone),
        digest=Digest(shape.digest.above, shape.digest.per), on_reject=_on_reject(shape), answers=_answers(shape),
    )  # fmt: skip


def _quiet(shape: HandoffFile, timezone: str) -> Quiet | None:
    """By the clock of those who work there."""
    if shape.quiet_hours is None:
        return None
    zone = (shape.hours.timezone if shape.hours is not None else None) or timezone
    return Quiet(shape.quiet_hours.start % DAY_M, shape.quiet_hours.end % DAY_M, shape.quiet_hours.at_most, zone)


def _on_reject(shape: HandoffFile) -> OnReject | None:
    return OnReject(shape.on_reject.to, shape.on_reject.hold) if shape.on_reject is not None else None


def _answers(shape: HandoffFile) -> Answers:
    told = shape.answers
    return Answers(told.reasons, told.field, told.reason_field, told.accepted, told.rejected)


def _people(shape: HandoffFile, timezone: str) -> Mapping[str, Person]:
    return {name: _person(name, one, shape.hours, timezone) for name, one in shape.people.items()}


def _person(name: str, shape: PersonFile, shared: HoursFile | None, timezone: str) -> Person:
    """Hours of their own leave the zone and the holidays of everybody's in force, unless they name others."""
    usual = replace(ALWAYS, timezone=timezone) if shared is None else _calendar(shared, timezone)
    calendar = usual
    if shape.hours is not None:
        calendar = _calendar(shape.hours, usual.timezone)
        if "holidays" not in shape.hours.model_fields_set:
            calendar = replace(calendar, holidays=usual.holidays)
    away = tuple((each.first, each.last or each.first) for each in shape.away)
    return Person(name, shape.email, shape.per_day, shape.weight, away, calendar)


def _teams(shape: HandoffFile, people: Mapping[str, Person]) -> Mapping[str, Team]:
    return {
        name: Team(name, tuple(people[each] for each in one.members), one.pick, one.queue)
        for name, one in shape.teams.items()
    }


def _clock(shape: HandoffFile, timezone: str) -> Clock:
    """By default who was reminded has as long again before it is escalated."""
    remind_after = shape.remind_after or shape.respond_within
    escalate_after = shape.escalate_after or (remind_after * 2 if remind_after and shape.escalate_to else None)
    return Clock(
        calendar=ALWAYS if shape.hours is None else _calendar(shape.hours, timezone),
        respond_within=shape.respond_within,
        remind_after=remind_after,
        escalate_after=escalate_after,
        escalate_to=shape.escalate_to,
        touched_by=shape.touched_by,
    )


def _calendar(shape: HoursFile, timezone: str) -> Calendar:
    spans = (shape, *shape.also)
    week = (tuple(sorted((each.start, each.end) for each in spans if day in each.days)) for day in DAYS)
    return Calendar(shape.timezone or timezone, tuple(week), frozenset(shape.holidays))
