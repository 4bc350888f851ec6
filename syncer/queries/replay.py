"""One lead as it was: times as people write them, the rules in force then, and what was known and decided by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from syncer import planning, scoring, stages
from syncer.app import App
from syncer.differences import Rulebook
from syncer.errors import ConfigError, NotFound
from syncer.handoff.text import one_line
from syncer.history import History, signals_at, versions_at
from syncer.model import Lead, LeadState, Override, Signals, StageState, Transition
from syncer.queries.texts import day_and_time
from syncer.rules import Model, Segment
from syncer.settings import duration
from syncer.stages import Hands, Marks, Occasion
from syncer.store import runs

_WRITE = "write a day (2026-11-22), a day and a time (2026-11-22T09:05), an age (7d, 12h) or now"
_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001  # of the project's time zone; nothing was kept before computers were


@dataclass(frozen=True, slots=True)
class Rules:
    """Those that decided a lead at a time. `unknown` says in words why others stand in for them; "": they do not."""

    segments: tuple[Segment, ...]
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """The rules in force from one time to another. `unknown`: as of `Rules`, for the first of them."""

    rulebooks: tuple[Rulebook, ...]
    unknown: str
    unused: bool  # the last are those in the files, which no run has used yet


def moment(option: str, text: str, now: datetime, timezone: str, *, ends: bool = False) -> datetime:
    """The time that an option names, in UTC. A day is its first moment in the time zone, or with `ends` its last; of a
    time that the clocks show twice, the first is meant. ConfigError for what is no time, for one that the clocks skip,
    for one before 1970, and for one that lies ahead (a day that has begun ends now)."""
    zone = ZoneInfo(timezone)
    if text.strip().casefold() == "now":
        return now
    try:
        found = _age(text, now) or _read(text, zone, ends=ends)
    except (ValueError, OverflowError):
        raise ConfigError(f"{option}: '{one_line(text)}' is no time; {_WRITE}", code="SY100") from None
    if found < _FIRST.replace(tzinfo=zone):
        raise ConfigError(f"{option}: {one_line(text)} lies before 1970; nothing was known then", code="SY100")
    if _is_skipped(text, found, zone):
        message = f"there was no {one_line(text)} in {timezone}: the clocks went forward over it"
        raise ConfigError(f"{option}: {message}; write a time before or after", code="SY100")
    if ends and _is_day(text) and found > now and _read(text, zone, ends=False) <= now:
        return now
    if found > now:
        raise ConfigError(f"{option}: {one_line(text)} lies ahead; explain tells what was", code="SY101")
    return found


def _age(text: str, now: datetime) -> datetime | None:
    try:
        return now - duration(text)
    except ValueError:
        return None


def _read(text: str, zone: ZoneInfo, *, ends: bool) -> datetime:
    if _is_day(text):
        day = date.fromisoformat(text) + timedelta(days=ends)
        return (datetime.combine(day, time(), zone)).astimezone(UTC) - timedelta(milliseconds=ends)
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_skipped(text: str, found: datetime, zone: ZoneInfo) -> bool:
    """Is it a time of the clock, without a zone of its own, that the time zone left out when it changed its clocks?"""
    try:
        written = datetime.fromisoformat(text)
    except ValueError:  # an age
        return False
    by_clock = written.tzinfo is None and not _is_day(text)
    return by_clock and found.astimezone(zone).replace(tzinfo=None) != written


def rules_at(app: App, tx: Connection, connection: str, at: datetime, now: datetime) -> Rules:
    """The rules in force then; where they are not known, the oldest ones that are, or those in the files now."""
    known = runs.rules_at(tx, connection, at)
    if known is not None:
        return Rules(known)
    zone = app.project.timezone
    then = f"Which rules were in force on {day_and_time(at, zone)} is not known"
    later = runs.rules_between(tx, connection, at, now)
    if not later:
        return Rules(app.project.segments, f"{then}: no run has kept any yet. These are the rules in the files now.")
    since, segments = later[0]
    return Rules(segments, f"{then}. These are the oldest known, of {day_and_time(since, zone)}.")


def unused(app: App, tx: Connection, connection: str, now: datetime) -> bool:
    """Have the rules in the files changed since a run kept the last ones?"""
    known = runs.rules_at(tx, connection, now)
    return known is not None and _meaning(known) != _meaning(app.project.segments)


def course(app: App, tx: Connection, connection: str, way: tuple[datetime, datetime], now: datetime) -> Course:
    """The rules from the start of the way to its end. Up to now, those in the files are the last: the next run scores
    by them."""
    start, end = way
    first = rules_at(app, tx, connection, start, now)
    found: list[Rulebook] = [(start, first.segments), *runs.rules_between(tx, connection, start, end)]
    unused = end >= now and _meaning(found[-1][1]) != _meaning(app.project.segments)
    if unused:
        found.append((end, app.project.segments))
    return Course(tuple(found), first.unknown, unused)


def _meaning(segments: Sequence[Segment]) -> list[tuple[str, str]]:
    return [(segment.model.version, repr(segment.when)) for segment in segments]


def model_of(signals: Signals, segments: Sequence[Segment], at: datetime) -> Model:
    """The model of the first segment that the lead fits; NotFound where it fits none."""
    (number,) = scoring.first_passed([segment.when for segment in segments], [signals], at)
    if number is None:
        raise NotFound("no model in the project file is for this lead; add one without `for:` at the end", code="SY087")
    return segments[number].model


def signals_then(history: History, at: datetime, selector: str, timezone: str) -> Signals:
    """What was known of the lead then. NotFound where it was not known yet, or was gone."""
    shown = versions_at(history, at)
    then = day_and_time(at, timezone)
    if not shown:
        first = day_and_time(min(version.since for version in history.versions), timezone)
        raise NotFound(f"nothing was known of '{selector}' on {then}; it is known since {first}", code="SY102")
    if not any(versions[-1].live for versions in shown.values()):
        raise NotFound(f"'{selector}' had been deleted by {then}; name a time before that", code="SY102")
    return signals_at(history, at)


def lead_then(lead: Lead, history: History, signals: Signals, state: LeadState, at: datetime) -> Lead:
    """The lead with the records that it had then. Names and owners are those of now: of the past, only what rules look
    at is kept."""
    shown = versions_at(history, at)
    records = tuple(each for each in lead.records if each.key in shown and shown[each.key][-1].live)
    return replace(lead, records=records, signals=signals, state=state)


def state_at(
    lead: Lead, moves: Sequence[Transition], words: Sequence[Override], at: datetime, look: tuple[Model, Marks]
) -> LeadState:
    """Where the lead stood then. With an override in force, where the rules alone would have had it is worked out from
    the points of then, without what it had been before."""
    word = override_at(words, at)
    if lead.state.stage is not None and lead.state.scored_at is not None and lead.state.scored_at <= at:
        return replace(lead.state, override=word)
    model, marks = look
    move = next((each for each in reversed(moves) if each.at <= at), None)
    veto = marks.vetoes[0].name if marks.vetoes else None
    if move is None:
        return LeadState(override=word)
    alone = stages.next_state(None, marks, model, Hands(), Occasion(at, move.cause))
    by_hand = word is not None and word.stage == move.after
    held_by = "person" if by_hand else alone.held_by if alone.stage == move.after else "rules"
    automatic = alone.automatic if by_hand else move.after
    stage = StageState(move.after, automatic, move.at, move.episode, held_by, move.cause)
    return LeadState(stage=stage, override=word, veto=veto)


def override_at(words: Sequence[Override], at: datetime) -> Override | None:
    """The person's word in force then."""
    holding = (each for each in reversed(words) if each.since <= at and each.holds(at))
    return next(holding, None)


def marks_at(signals: Signals, model: Model, at: datetime) -> tuple[scoring.Evaluation, Marks]:
    evaluation = scoring.evaluate(scoring.match([signals], model), model, at)
    return evaluation, planning.marks_of(model, evaluation, 0)
