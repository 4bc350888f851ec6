"""What happened with one lead, in one list: what it did, how its stage moved, what people said, what sales was told and
answered. The latest first, in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Literal, get_args

from sqlalchemy import Connection

from syncer.app import App
from syncer.handoff.text import clipped
from syncer.handoff.wording import words as wording
from syncer.model import Activity, Answer, Reading
from syncer.store import answers, decisions, handed_over, timelines
from syncer.store.columns import from_ms, to_ms
from syncer.store.timelines import Message

Kind = Literal["answer", "acted", "message", "handoff", "word_ended", "word", "move", "counter", "activity"]
"""Of what happened at the same time, the first of these is shown first."""

_RANKS = {kind: rank for rank, kind in enumerate(get_args(Kind))}
_MOST = 100  # events in one part
_MOST_FACTS = 4  # fields of one activity
_LONGEST_FACT = 120
_LONGEST_COUNT = 9  # digits
_LAST = datetime.max.replace(tzinfo=UTC)
_TELLING = ("campaign", "form", "outcome", "page", "subject", "title")  # fields that say most of an activity
_KNOWN_KINDS = frozenset(wording("en")["kinds"]) & frozenset(wording("es")["kinds"])


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. What stands in it besides depends on its kind."""

    at: datetime
    kind: Kind
    what: str  # activity, counter, acted: the kind of activity (acted: or "stage") · move, word, handoff: the stage ·
    # message: handoff, reminder, escalation, assignment · answer: accepted or rejected
    key: str  # by which it is told from others of its time and kind
    named: bool = False  # there are words for that kind of activity in each language
    facts: tuple[tuple[str, str], ...] = ()  # of an activity: what its fields say
    count: int | None = None  # of a counter: where it stands then
    more: int | None = None  # of a counter: by how much it has risen; None: it was seen for the first time
    before: str | None = None  # of a move: the stage before; None: it was new
    cause: str | None = None  # of a move
    total_hundredths: int | None = None  # of a move and a hand-off
    run: int | None = None  # of a move
    who: str = ""  # who said, was told or answered
    text: str = ""  # why it was said
    source: str = ""  # where it was said, or over which channel it was told


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of the list ends: at this time, of whose events so many were shown. Keys of events stand in no
    address: a record's may be an e-mail address, which not everybody sees whole."""

    at: datetime
    shown: int

    def __str__(self) -> str:
        return f"{to_ms(self.at)}.{self.shown}"


@dataclass(frozen=True, slots=True)
class Timeline:
    events: tuple[Event, ...]
    earlier: str | None = None  # the place to go on from; None: this is all


@dataclass(frozen=True, slots=True)
class Handed:
    """One hand-off of the lead, with what came of it."""

    key: str
    at: datetime
    stage: str
    total_hundredths: int
    assigned_to: str | None
    told_at: datetime | None
    due_at: datetime | None
    touched_at: datetime | None
    touched_by: str | None
    closed_at: datetime | None
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]


def place_of(text: str) -> Place:
    """What `Place` was written as. ValueError for anything else."""
    at, dot, shown = text.partition(".")
    if not (dot and text.isascii() and at.isdigit() and shown.isdigit() and len(shown) <= _LONGEST_COUNT):
        raise ValueError("this is no place in a timeline; follow the link on the page, or ask without it")
    try:
        return Place(from_ms(int(at)), int(shown))
    except (OverflowError, ValueError):
        raise ValueError("this is no time") from None


def timeline(
    app: App, lead: int, *, before: Place | None = None, by: datetime | None = None, moves_only: bool = False
) -> Timeline:
    """At most 100 events: those before a place in the list, and none that happened after `by`. NotFound (SY067) is not
    raised: of a lead that there is not, nothing happened."""
    place = before or Place(_LAST, 0)
    if by is not None and by < place.at:
        place = Place(by, 0)
    with app.store.reading() as tx:
        found = list(_moves(tx, lead))
        if not moves_only:
            found += [*_words(tx, lead, app.clock()), *_handoffs(handed(tx, lead)), *_counters(tx, lead)]
        found = sorted((each for each in found if to_ms(each.at) <= to_ms(place.at)), key=_order)
        known = sum(to_ms(each.at) == to_ms(place.at) for each in found)  # activities stand behind them
        ordered = found[min(place.shown, known) :]
        if not moves_only:
            ordered = sorted([*ordered, *_activities(tx, lead, place.at, max(0, place.shown - known))], key=_order)
    shown = tuple(ordered[:_MOST])
    return Timeline(shown, str(_end(shown, place)) if len(ordered) > len(shown) else None)


def _order(event: Event) -> tuple[int, int, str]:
    """Activities are sorted already, as the database compares their ids; sorting again keeps that."""
    return -to_ms(event.at), _RANKS[event.kind], "" if event.kind == "activity" else event.key


def _end(shown: tuple[Event, ...], begun: Place) -> Place:
    last = to_ms(shown[-1].at)
    of_that_time = sum(to_ms(each.at) == last for each in shown)
    return Place(shown[-1].at, of_that_time + (begun.shown if last == to_ms(begun.at) else 0))


def _activities(tx: Connection, lead: int, by: datetime, passed: int) -> Iterator[Event]:
    """One more than fits, so that it is known whether there are more."""
    for each in timelines.activities_of(tx, lead, _MOST + 1, by=by, passed=passed):
        key = f"{each.connection}/{each.id}"
        yield Event(each.at, "activity", each.kind, key, named=each.kind in _KNOWN_KINDS, facts=_facts(each))


def _facts(activity: Activity) -> tuple[tuple[str, str], ...]:
    """What it was about comes first."""
    ordered = sorted(activity.fields.items(), key=lambda each: (each[0] not in _TELLING, each[0]))
    told = [(name, str(value)) for name, value in ordered if value not in (None, "")]
    return tuple((clipped(name, 60), clipped(value, _LONGEST_FACT)) for name, value in told[:_MOST_FACTS])


def _counters(tx: Connection, lead: int) -> Iterator[Event]:
    def counter(reading: Reading) -> tuple[str, str]:
        return str(reading.record), reading.kind

    for (record, _), seen in groupby(timelines.readings_of(tx, lead), counter):
        first, *later = seen
        if first.value > 0:
            yield _counted(first, None, record)
        for before, now in pairwise([first, *later]):
            if now.value > before.value:
                yield _counted(now, now.value - before.value, record)


def _counted(reading: Reading, more: int | None, record: str) -> Event:
    at, named = reading.last_at or reading.seen_at, reading.kind in _KNOWN_KINDS
    key = f"{record}/{reading.kind}/{to_ms(reading.seen_at)}"
    return Event(at, "counter", reading.kind, key, named=named, count=reading.value, more=more)


def _moves(tx: Connection, lead: int) -> Iterator[Event]:
    for each in decisions.transitions(tx, lead)[::-1]:
        yield Event(
            each.at, "move", each.after, f"{each.episode}/{each.after}", before=each.before, cause=each.cause,
            total_hundredths=each.total, run=each.run,
        )  # fmt: skip


def _words(tx: Connection, lead: int, now: datetime) -> Iterator[Event]:
    for each in decisions.overrides(tx, lead)[::-1]:
        said = Event(each.since, "word", each.stage, each.stage, who=each.author, text=each.reason, source=each.source)
        yield said
        if each.until is not None and each.until <= now:
            yield replace(said, at=each.until, kind="word_ended")


def handed(tx: Connection, lead: int) -> tuple[Handed, ...]:
    """Every hand-off of the lead, the latest first."""
    keys = [each.key for each in handed_over.of_lead(tx, lead)]
    if not keys:
        return ()
    said, messages = answers.of(tx, keys), timelines.messages_of(tx, keys)
    return tuple(
        Handed(
            key=each.handoff.key,
            at=each.handoff.at,
            stage=each.handoff.stage,
            total_hundredths=each.handoff.total,
            assigned_to=each.handoff.assigned_to,
            told_at=each.told_at,
            due_at=each.due_at,
            touched_at=each.touched_at,
            touched_by=each.touched_by,
            closed_at=each.closed_at,
            messages=tuple(message for message in messages if message.handoff == each.handoff.key),
            answers=tuple(said.get(each.handoff.key, ())),
        )
        for each in handed_over.with_keys(tx, keys)
    )


def _handoffs(found: Iterable[Handed]) -> Iterator[Event]:
    for each in found:
        yield Event(each.at, "handoff", each.stage, each.key, total_hundredths=each.total_hundredths)
        for told in (message for message in each.messages if message.sent_at is not None):
            if told.sent_at is not None:
                yield Event(told.sent_at, "message", told.kind, told.key, who=told.recipient, source=told.channel)
        if each.touched_at is not None:
            acted = each.touched_by or ""
            yield Event(each.touched_at, "acted", acted, each.key, named=acted in _KNOWN_KINDS)
        for said in each.answers:
            what = "accepted" if said.accepted else "rejected"
            yield Event(said.at, "answer", what, each.key, who=said.author, text=said.reason, source=said.source)
