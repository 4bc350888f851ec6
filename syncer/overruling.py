"""A person's word on a lead's stage, spoken and taken back: what the command line and the pages do alike.

The word, and the note of it in the audit log, are one transaction. Then whoever decides the lead is told to run soon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import structlog
from sqlalchemy import Connection

from syncer.app import App
from syncer.by_hand import last_moment
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Override, RecordKey
from syncer.planning import belongs_to_others
from syncer.store import audit, decisions, mirror, runs

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks, and over what."""

    name: str
    source: str  # as of `Override`: "command", "page"
    address: str | None = None  # where the request came from


@dataclass(frozen=True, slots=True)
class Word:
    """The stage that a person wants a lead to have."""

    stage: str
    reason: str = ""
    until: datetime | None = None  # None: until somebody takes it back


Waits = Literal["others", "gone", ""]
"""Why a word is kept but does not count yet: the lead's stage belongs to others, or it is gone from its CRM."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a word has done."""

    before: str | None  # the stage that the lead had; None: none yet
    waits: Waits


@dataclass(frozen=True, slots=True)
class LetGo:
    """What taking a word back has done. Neither: nothing was set by hand."""

    was_held: bool
    silenced: tuple[RecordKey, ...]  # records whose fields say nothing any more until they are written anew

    @property
    def connections(self) -> str:
        """Those of the silenced records, in words."""
        return ", ".join(sorted({key.connection for key in self.silenced}))


def end_of(day: date, app: App, option: str) -> datetime:
    """The last moment of a day to come, in the project's time zone. ConfigError (SY089) for one that is past; `option`
    is what the error calls it."""
    try:
        end = last_moment(day, app.project.timezone)
    except OverflowError:
        raise ConfigError(f"{option} {day} lies too far ahead; leave it out for good", code="SY089") from None
    if end <= app.clock():
        raise ConfigError(f"{option} {day} is past; name a day to come", code="SY089")
    return end


def speak(app: App, lead: int, word: Word, speaker: Speaker) -> Spoken:
    """From now on the lead has this stage, whatever the rules say. ConfigError (SY088) for a stage that there is none
    of, NotFound (SY067) for such a lead."""
    if word.stage not in app.project.stages:
        known = ", ".join(app.project.stages)
        raise ConfigError(f"no stage is called '{word.stage}'; there are: {known}", code="SY088")
    now = app.clock()
    with app.store.writing() as tx:
        before = decisions.lead_state(tx, lead).stage
        said = Override(word.stage, speaker.name, word.reason, speaker.source, now, word.until)
        decisions.set_override(tx, lead, said)
        until = word.until.isoformat() if word.until else None
        _note(tx, "override", (lead, now), speaker, {"stage": word.stage, "until": until})
        home = mirror.home(tx, lead)
    _ring(app, home)
    whose = mirror.lead(app.store, lead, now, deeds=False)
    waits: Waits = "gone" if not whose.records else "others" if belongs_to_others(whose) else ""
    return Spoken(before.stage if before else None, waits)


def let_go(app: App, lead: int, speaker: Speaker) -> LetGo:
    """Whatever was set by hand ends now, and the rules decide again. NotFound (SY067)."""
    now = app.clock()
    with app.store.writing() as tx:
        kept = decisions.lead_state(tx, lead, now).override
        silenced = tuple(decisions.end_override(tx, lead, now))
        found = LetGo(kept is not None and kept.holds(now), silenced)
        if found.was_held or found.silenced:
            stage = kept.stage if kept is not None and found.was_held else None
            _note(tx, "override_ended", (lead, now), speaker, {"stage": stage})
        home = mirror.home(tx, lead)
    if found.was_held or found.silenced:
        _ring(app, home)
    return found


def _note(
    tx: Connection, act: audit.Act, of: tuple[int, datetime], speaker: Speaker, details: Mapping[str, str | None]
) -> None:
    """of: the lead and the time. The reason is a person's own words on another person, and is not repeated there."""
    lead, at = of
    known = mirror.faces(tx, [lead]).get(lead)
    told: dict[str, Any] = {name: value for name, value in details.items() if value is not None}
    about = str(known[0]) if known else f"lead {lead}"
    audit.note(tx, audit.Entry(at, speaker.name, act, about, speaker.address, {"source": speaker.source, **told}))


def _ring(app: App, home: str) -> None:
    """In a transaction of its own: whoever stores a page holds the connection's row before those of leads. What was
    said is said; where this cannot be done, the run that is due anyway obeys it."""
    try:
        with app.store.writing() as tx:
            runs.ring(tx, home, app.clock())
    except TemporaryError as failure:
        log.warning("not_rung", connection=home, reason=failure.message)
