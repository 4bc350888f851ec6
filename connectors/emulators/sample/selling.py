"""Nimbo's sales team: whom it is told of it calls, mostly in time; it says whether they are ready, and closes some."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

from connectors.emulators.sample import words
from connectors.emulators.sample.base import TO_CONTACT, Json, SampleBase, row
from connectors.emulators.sample.behaviour import CONNECTED, NO_ANSWER, Activity, Contacted, call

REASONS = ("no budget", "not now", "not a fit", "cannot be reached")
_FIRST_ACTIVITY = 61_490_000_001
_SATURDAY, _OPENS, _CLOSES = 5, 8, 17  # in UTC
_UNTOUCHED = 0.06  # chance that nobody calls
_REACHED = 0.75
_ANSWERED = 0.85  # of those who were reached
_READY = 0.78
_BUYING = 0.6  # of those who are ready
_WON = 0.55
_MEDIAN_H, _WIDTH = 1.6, 1.1  # until somebody calls


@dataclass(frozen=True, slots=True)
class Act:
    """Something that sales does to a lead: it logs an activity, or sets properties."""

    at: datetime
    contact: str
    activity: Activity | None = None
    typed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What sales says of a hand-off; it is nobody's field in the CRM."""

    at: datetime
    email: str  # of the lead
    author: str
    reason: str  # "": they take it


@dataclass
class Sales:
    """What the team has still to do. The same hand-offs always end the same way."""

    base: SampleBase
    _ahead: list[Act] = field(default_factory=list)
    _unsaid: list[Said] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(_FIRST_ACTIVITY))

    def told(self, email: str, at: datetime) -> None:
        """The team hears of a lead."""
        contact, known = self.base.find(email)
        owner = words.OWNERS_BY_ID.get(known.properties.get("hubspot_owner_id", ""), words.OWNERS[0])
        ends = Contacted(email, str(owner.id), owner.email)
        for each in _course(Random(f"{email}/{at:%Y-%m-%d}"), contact, ends, at):
            if isinstance(each, Said):
                self._unsaid.append(each)
            else:
                self._ahead.append(each)

    def says(self, until: datetime) -> list[Said]:
        """What it says up to then, oldest first."""
        due = sorted((each for each in self._unsaid if each.at <= until), key=lambda each: each.at)
        self._unsaid = [each for each in self._unsaid if each.at > until]
        return due

    def acts(self, until: datetime) -> tuple[Json, Json]:
        """What it does up to then: what the control plane's `load` takes, and what `calculate` does."""
        due = sorted((act for act in self._ahead if act.at <= until), key=lambda act: act.at)
        self._ahead = [act for act in self._ahead if act.at > until]
        logged = [(next(self._ids), act.contact, act.activity) for act in due if act.activity is not None]
        rows = [row(each, activity.properties, activity.at, activity.at) for each, _, activity in logged]
        pairs = [[each, int(contact)] for each, contact, _ in logged]
        ties = [{"from": "calls", "to": "contacts", "typeId": TO_CONTACT["calls"], "pairs": pairs}]
        typed: dict[str, dict[str, str]] = {}
        for act in due:
            if act.typed:
                typed.setdefault(act.contact, {}).update(act.typed)
        return {"objects": {"calls": rows}, "associations": ties}, {"objectType": "contacts", "records": typed}


def _course(rng: Random, contact: str, ends: Contacted, told_at: datetime) -> Iterator[Act | Said]:
    if rng.random() < _UNTOUCHED:
        return
    called = _in_office(told_at + timedelta(hours=_MEDIAN_H * rng.lognormvariate(0, _WIDTH)))
    reached = rng.random() < _REACHED
    yield Act(called, contact, call(called, CONNECTED if reached else NO_ANSWER, rng.randint(40, 900), ends))
    if not reached or rng.random() > _ANSWERED:
        return
    answered = called + timedelta(minutes=rng.randint(3, 40))
    if rng.random() > _READY:
        yield Said(answered, ends.email, ends.owner_email, rng.choice(REASONS))
        return
    yield Said(answered, ends.email, ends.owner_email, "")
    if rng.random() < _BUYING:
        offered = _in_office(answered + timedelta(days=rng.uniform(4, 15)))
        yield Act(offered, contact, typed=(("lifecyclestage", "opportunity"),))
        decided = _in_office(offered + timedelta(days=rng.uniform(5, 25)))
        yield Act(decided, contact, typed=(("lifecyclestage", "customer" if rng.random() < _WON else "other"),))


def _in_office(moment: datetime) -> datetime:
    """That moment, or the next morning of a working day."""
    if moment.hour >= _CLOSES:
        moment = (moment + timedelta(days=1)).replace(hour=_OPENS)
    if moment.hour < _OPENS:
        moment = moment.replace(hour=_OPENS)
    while moment.weekday() >= _SATURDAY:
        moment = (moment + timedelta(days=1)).replace(hour=_OPENS)
    return moment.replace(microsecond=0)
