"""One lead: why it stands where it stands, what happened, and a person's word on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from syncer.overruling import LetGo, Speaker, Word, end_of, let_go, speak
from syncer.queries import lead as queries
from syncer.queries.course import Course, course
from syncer.queries.explaining import find_one, insist_on_memory
from syncer.queries.lead import LeadShown
from syncer.queries.timelines import Timeline, place_of
from syncer.web.counting import Counted
from syncer.web.views import Action, Asked, Asking, Done, View

_FRESH = timedelta(minutes=1)


def _is_place(text: str) -> str:
    place_of(text)
    return text


Number = Annotated[int, Field(ge=1, lt=2**63)]
PlaceText = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_is_place)]


class OfLead(Asked):
    lead: Number


class AskedLead(OfLead):
    """`at`: as `syncer explain --at` takes it, but of a day its end."""

    at: Annotated[str, StringConstraints(max_length=40)] | None = None


class AskedRecord(Asked):
    record: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]  # "connection/object/id"


class AskedTimeline(OfLead):
    before: PlaceText | None = None


class Overridden(OfLead):
    stage: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    reason: Annotated[str, StringConstraints(max_length=1_000)] = ""
    until: date | None = None  # the last day on which it holds; None: until somebody takes it back


@dataclass(frozen=True, slots=True)
class TimelineShown:
    lead: int
    timeline: Timeline


@dataclass(frozen=True, slots=True)
class CourseShown:
    """`counted.value` None: it is being replayed, or could not be."""

    lead: int
    counted: Counted[Course]


def _lead(asking: Asking, asked: AskedLead) -> LeadShown:
    return queries.show(asking.app, asked.lead, queries.moment_of(asking.app, asked.at))


def _by_record(asking: Asking, asked: AskedRecord) -> LeadShown:
    return queries.show(asking.app, find_one(asking.app, asked.record))


def _timeline(asking: Asking, asked: AskedTimeline) -> TimelineShown:
    before = place_of(asked.before) if asked.before is not None else None
    return TimelineShown(asked.lead, queries.timeline_of(asking.app, asked.lead, before))


def _course(asking: Asking, asked: OfLead) -> CourseShown:
    app = asking.app
    if not queries.is_known(app, asked.lead):
        return CourseShown(asked.lead, Counted(Course(())))
    return CourseShown(asked.lead, asking.counting.ask(("course", asked.lead), lambda: course(app, asked.lead), _FRESH))


def _override(asking: Asking, asked: Overridden) -> Done:
    _insist_on_memory(asking, asked.lead)
    until = end_of(asked.until, asking.app, "until") if asked.until is not None else None
    spoken = speak(asking.app, asked.lead, Word(asked.stage, asked.reason, until), _speaker(asking))
    said = f"lead_overridden_{spoken.waits}" if spoken.waits else "lead_overridden"
    return Done(said, f"/leads/{asked.lead}", {"stage": asked.stage.upper(), "who": asking.who.name})


def _end_override(asking: Asking, asked: OfLead) -> Done:
    _insist_on_memory(asking, asked.lead)
    done = let_go(asking.app, asked.lead, _speaker(asking))
    return Done(_came_of(done), f"/leads/{asked.lead}", {"connections": done.connections})


def _came_of(done: LetGo) -> str:
    if done.silenced:
        return "lead_let_go_silenced"
    return "lead_let_go" if done.was_held else "lead_not_held"


def _insist_on_memory(asking: Asking, lead: int) -> None:
    insist_on_memory(asking.app, lead, f"lead {lead}")


def _speaker(asking: Asking) -> Speaker:
    return Speaker(asking.who.name, "page", asking.address)


# `/leads/by` comes before the path that takes any word in its place.
VIEWS: tuple[View[Any, Any], ...] = (
    View("/leads/by", "lead_by", AskedRecord, LeadShown, _by_record),
    View("/leads/{lead}", "lead", AskedLead, LeadShown, _lead),
    View("/leads/{lead}/timeline", "lead_timeline", AskedTimeline, TimelineShown, _timeline),
    View("/leads/{lead}/course", "lead_course", OfLead, CourseShown, _course),
)
ACTIONS: tuple[Action[Any], ...] = (
    Action("/leads/{lead}/override", "lead_override", Overridden, _override),
    Action("/leads/{lead}/override/end", "lead_override_end", OfLead, _end_override),
)
