"""Hand-offs: who shall act on which, by when, whom they were told, and how soon that went."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from syncer.app import App
from syncer.errors import NotFound
from syncer.handoff import Audience
from syncer.handoff.messages import reasons_offered
from syncer.handoff.text import clipped, one_line, web_link
from syncer.log import redact
from syncer.model import Answer, Notice
from syncer.queries import handoffs as queries
from syncer.queries import outbox
from syncer.queries.accounts import By
from syncer.settings.values import Language
from syncer.store import answers, handed_over
from syncer.store.columns import from_ms, to_ms
from syncer.store.handed_over import NOBODY, HandedOver, Load, Only, Spread, Wanted
from syncer.web.counting import Counted
from syncer.web.guarding import own_path
from syncer.web.views import Action, Asked, Asking, Done, View

AT_ONCE = 50
USUAL_DAYS = 7 * queries.WEEKS
NOBODY_ASKED = "-"
_FRESH_FOR = timedelta(minutes=1)
_MOST_REASONS = 10
_LONGEST_KEY, _LONGEST_TEXT, _LONGEST_NAME = 1_000, 200, 80
_HERE = "/handoffs"
_PLACE = re.compile("([0-9]{1,14})[.]([0-9]{0,14})[.]([0-9]{1,18})")  # up to the year 5138


class AskedHandoffs(Asked):
    """`days`: of the last so many days; left out: of any time, with figures of the last 8 weeks. `person`: an address,
    or "-" for those on which nobody in particular shall act. `after`: what the page before gave as `next`."""

    connection: str | None = None
    only: Literal["open", "late", "unsent", "all"] = "open"
    days: int | None = Field(default=None, ge=1, le=3650)
    person: str | None = Field(default=None, max_length=320)
    after: str | None = Field(default=None, max_length=100)

    @field_validator("after")
    @classmethod
    def _leads_somewhere(cls, text: str | None) -> str | None:
        if text is not None:
            place_of(text)
        return text


@dataclass(frozen=True, slots=True)
class Message:
    """Whom it was told over which channel. States: see store.outbox."""

    key: str
    channel: str
    recipient: str
    kind: str
    state: str
    attempts: int
    why: str | None  # what became of the last attempt
    may_repeat: bool  # it may have arrived before


@dataclass(frozen=True, slots=True)
class Said:
    accepted: bool
    author: str
    source: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One hand-off."""

    key: str
    connection: str
    lead: int
    name: str
    url: str | None
    stage: str
    score_hundredths: int
    at: datetime
    person: str | None  # who shall act
    route: str | None  # see model.Handoff
    told_at: datetime | None
    due_at: datetime | None
    is_open: bool
    is_late: bool
    touched_at: datetime | None
    touched_by: str | None
    closed_at: datetime | None
    answers: tuple[Said, ...]
    messages: tuple[Message, ...]
    may_accept: bool
    may_reject: bool


@dataclass(frozen=True, slots=True)
class Delay(Spread):
    """In a picture: from where to where on its axis, 0 to 100."""

    @property
    def begins(self) -> float:
        return _along(self.median_ms or 0)

    @property
    def ends(self) -> float:
        return max(_along(self.p90_ms or 0), self.begins + 1)


_MARKS = (0, 60_000, 3_600_000, 86_400_000, 604_800_000, 2_419_200_000)
"""Milliseconds at the marks of the axis, equally far apart: nothing, a minute, an hour, a day, a week, four weeks."""


def _along(ms: int) -> float:
    for place, (low, high) in enumerate(pairwise(_MARKS)):
        if ms < high:
            return 100 * (place + (ms - low) / (high - low)) / (len(_MARKS) - 1)
    return 100.0


@dataclass(frozen=True, slots=True)
class Rejections:
    reason: str  # "": none was given
    count: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the hand-offs of the period come to, and what everybody still has to do; shares from 0 to 1, None of
    nothing."""

    since: datetime
    handoffs: int
    timed: int  # those whose time is over, or on which sales has acted while it ran
    in_time: int
    in_time_share: float | None
    system: Delay
    human: Delay
    human_work: Delay
    accepted: int
    rejected: int
    accepted_share: float | None  # of those that were answered
    rejected_for: tuple[Rejections, ...]  # the most frequent reasons
    rejected_otherwise: int
    levels: queries.ServiceLevels
    open: int
    late: int
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    reason: str
    shown: Mapping[str, str]  # language -> in its words


@dataclass(frozen=True, slots=True)
class Handoffs:
    now: datetime
    configured: bool  # the project hands leads over
    rows: tuple[Row, ...]
    next: str | None  # to be asked for as `after`; None: these are the last ones
    figures: Counted[Figures]
    reasons: tuple[Offered, ...]  # that can be chosen for a lead that is not ready


def show(asking: Asking, asked: AskedHandoffs) -> Handoffs:
    app, now = asking.app, asking.app.clock()
    names = tuple(each.name for each in app.chosen(asked.connection))
    wanted = Wanted(names, now, _only(asked), _since(asked, now), person=_person(asked))
    with app.store.reading() as tx:
        place = handed_over.place_of(tx, *place_of(asked.after)) if asked.after is not None else None
        found = handed_over.after(tx, wanted, place, AT_ONCE + 1)
        shown = found[:AT_ONCE]
        said = answers.of(tx, [each.handoff.key for each in shown])
    key = ("handoffs", names, asked.days, wanted.person)
    return Handoffs(
        now=now,
        configured=app.project.handoff is not None,
        rows=tuple(_row(each, said.get(each.handoff.key, ()), now) for each in shown),
        next=told_place(shown[-1], wanted) if len(found) > AT_ONCE else None,
        figures=asking.counting.ask(key, lambda: _figures(app, asked), _FRESH_FOR),
        reasons=_offered(app),
    )


def _only(asked: AskedHandoffs) -> Only | None:
    return next((each for each in get_args(Only) if each == asked.only), None)


def _since(asked: AskedHandoffs, now: datetime) -> datetime | None:
    return None if asked.days is None else now - timedelta(days=asked.days)


def _person(asked: AskedHandoffs) -> str | None:
    if asked.person is None:
        return None
    return NOBODY if asked.person == NOBODY_ASKED else asked.person.lower()


def told_place(last: HandedOver, wanted: Wanted) -> str:
    """Numbers alone: the hand-off's key names a record, whose id may be an address that not everybody sees whole."""
    due_at = last.due_at if wanted.only in ("open", "late") else None
    return f"{to_ms(last.handoff.at)}.{'' if due_at is None else to_ms(due_at)}.{last.lead}"


def place_of(text: str) -> tuple[int, datetime, datetime | None]:
    """The lead of a hand-off, when that was made, and by when it is due. ValueError for what `told_place` has not
    made."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError("this is no place in the list; begin with the first page")
    at, due_at, lead = found.groups()
    return int(lead), from_ms(int(at)), from_ms(int(due_at)) if due_at else None


def _row(each: HandedOver, said: Sequence[Answer], now: datetime) -> Row:
    handoff, closed = each.handoff, each.closed_at is not None
    rejected = any(not answer.accepted for answer in said)
    return Row(
        key=handoff.key,
        connection=handoff.record.connection,
        lead=each.lead,
        name=clipped(queries.lead_name(handoff), _LONGEST_TEXT),
        url=web_link(handoff.url),
        stage=one_line(handoff.stage),
        score_hundredths=handoff.total,
        at=handoff.at,
        person=handoff.assigned_to or handoff.owner,
        route=handoff.route,
        told_at=each.told_at,
        due_at=each.due_at,
        is_open=each.is_open(),
        is_late=each.is_late(now),
        touched_at=each.touched_at,
        touched_by=each.touched_by,
        closed_at=each.closed_at,
        answers=tuple(Said(one.accepted, one.author, one.source, one.reason, one.at) for one in said),
        messages=tuple(map(_message, each.notices)),
        may_accept=not closed and not said,
        may_reject=not closed and not rejected,
    )


def _message(notice: Notice) -> Message:
    why = clipped(redact(notice.error), _LONGEST_TEXT) if notice.error else None
    return Message(
        notice.key, notice.channel, notice.recipient, notice.kind, notice.state, notice.attempts, why, notice.unsure
    )


def _offered(app: App) -> tuple[Offered, ...]:
    settings = app.project.handoff
    if settings is None:
        return ()
    languages: tuple[Language, ...] = get_args(Language)
    told = {each: Audience(each, app.project.timezone, settings.templates) for each in languages}
    shown = {each: dict(reasons_offered(settings.answers.reasons, told[each])) for each in languages}
    return tuple(
        Offered(reason, {each: shown[each][reason] for each in languages})
        for reason in dict.fromkeys(settings.answers.reasons)
    )


def _figures(app: App, asked: AskedHandoffs) -> Figures:
    """Counted beside, so by its own clock."""
    now, names = app.clock(), tuple(each.name for each in app.chosen(asked.connection))
    since = now - timedelta(days=asked.days or USUAL_DAYS)
    wanted = Wanted(names, now, since=since, person=_person(asked))
    with app.store.reading() as tx:
        sums = queries.sums(tx, wanted)
        levels = queries.service_levels(tx, wanted, app.project.timezone)
        loads, still = queries.loads(tx, names, now), handed_over.tally(tx, Wanted(names, now, "open"))
    rejected = sum(sums.reasons.values())
    most = tuple(Rejections(reason, count) for reason, count in islice(sums.reasons.items(), _MOST_REASONS))
    return Figures(
        since=since,
        handoffs=sums.tally.handoffs,
        timed=sums.figures.timed,
        in_time=sums.tally.in_time,
        in_time_share=sums.in_time.value,
        system=_delay(sums.figures.system),
        human=_delay(sums.figures.human),
        human_work=_delay(sums.figures.human_work),
        accepted=sums.accepted,
        rejected=rejected,
        accepted_share=sums.taken.value,
        rejected_for=most,
        rejected_otherwise=rejected - sum(each.count for each in most),
        levels=levels,
        open=still.open,
        late=still.late,
        loads=loads,
    )


def _delay(spread: Spread) -> Delay:
    return Delay(spread.of, spread.median_ms, spread.p90_ms)


class AskedAnswer(Asked):
    """`back`: the page of ours to come back to."""

    handoff: str = Field(max_length=_LONGEST_KEY)
    back: str | None = None


class AskedRejection(AskedAnswer):
    """One of the reasons that are offered, own words, or both."""

    reason: str = Field(default="", max_length=_LONGEST_TEXT)
    note: str = Field(default="", max_length=_LONGEST_TEXT, validate_default=True)

    @field_validator("note")
    @classmethod
    def _says_why(cls, note: str, told: ValidationInfo) -> str:
        if not one_line(note) and not one_line(told.data.get("reason", "")):
            raise ValueError("say why the lead is not ready: choose a reason, or write one")
        return note

    @property
    def why(self) -> str:
        return ": ".join(filter(None, (one_line(self.reason), one_line(self.note))))


def accept(asking: Asking, asked: AskedAnswer) -> Done:
    return _answer(asking, asked, "")


def reject(asking: Asking, asked: AskedRejection) -> Done:
    return _answer(asking, asked, asked.why)


def _answer(asking: Asking, asked: AskedAnswer, why: str) -> Done:
    """`why` "": it is accepted."""
    app = asking.app
    said = Answer(not why, asking.who.name, app.clock(), "page", why)
    with app.store.writing() as tx:
        found = handed_over.with_keys(tx, [asked.handoff])
        name = queries.lead_name(found[0].handoff) if found else clipped(asked.handoff, _LONGEST_NAME)
        taken = queries.answer(tx, asked.handoff, queries.Spoken(said, asking.address), app.project, name)
    phrase = "accepted" if said.accepted else "rejected_goes" if taken.goes_to else "rejected"
    facts = {"lead": clipped(name, _LONGEST_NAME), "stage": (taken.goes_to or "").upper()}
    return Done(f"handoffs_done_{phrase}", own_path(asked.back, _HERE), facts)


class AskedMessage(Asked):
    """`message`: its key, whole."""

    message: str = Field(max_length=_LONGEST_KEY)
    back: str | None = None


class AskedDrop(AskedMessage):
    reason: str = Field(default="", max_length=_LONGEST_TEXT)


def retry(asking: Asking, asked: AskedMessage) -> Done:
    app = asking.app
    with app.store.writing() as tx:
        notice = _known(app, outbox.with_key(tx, asked.message))
        (again, *_) = outbox.retry(tx, app, [notice], By(asking.who.name, asking.address)).ready
    facts = {"channel": notice.channel, "lead": clipped(queries.lead_name(notice.handoff), _LONGEST_NAME)}
    phrase = "handoffs_done_retry_marked" if again.unsure else "handoffs_done_retry"
    return Done(phrase, own_path(asked.back, _HERE), facts)


def drop(asking: Asking, asked: AskedDrop) -> Done:
    app = asking.app
    with app.store.writing() as tx:
        notice = _known(app, outbox.with_key(tx, asked.message))
        outbox.drop(tx, app, [notice], By(asking.who.name, asking.address), one_line(asked.reason))
    facts = {"channel": notice.channel, "lead": clipped(queries.lead_name(notice.handoff), _LONGEST_NAME)}
    return Done("handoffs_done_drop", own_path(asked.back, _HERE), facts)


def _known(app: App, notice: Notice) -> Notice:
    """One of a connection that the project no longer has is nobody's business here."""
    if all(notice.handoff.record.connection != each.name for each in app.project.connections):
        raise NotFound(f"there is no message {notice.key[: outbox.KEY_LENGTH]}", code="SY276")
    return notice


VIEWS: tuple[View[AskedHandoffs, Handoffs], ...] = (View(_HERE, "handoffs", AskedHandoffs, Handoffs, show),)
ACTIONS = (
    Action(f"{_HERE}/accept", "handoff_accept", AskedAnswer, accept),
    Action(f"{_HERE}/reject", "handoff_reject", AskedRejection, reject),
    Action(f"{_HERE}/messages/retry", "message_retry", AskedMessage, retry),
    Action(f"{_HERE}/messages/drop", "message_drop", AskedDrop, drop),
)
