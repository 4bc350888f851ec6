"""Which member of a team gets a hand-off: pure.

Each time somebody is chosen, every candidate is credited with their weight and who is chosen pays for all. Among those
who are owed anything it is the turn of whoever would be served too late first (M. Balinski, H. P. Young, "The quota
method of apportionment", 1975): while the same people are candidates, nobody is ever a whole hand-off away from their
share, and with equal weights it goes round in the order of the file. Who is not there is credited with nothing, so
nobody comes back to a heap of leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from fractions import Fraction
from zoneinfo import ZoneInfo

from syncer.settings import Person, Team
from syncer.worktime import is_open

Turns = Mapping[str, tuple[int, int]]
"""Member -> (weight, credit). Those of a team that has changed since begin anew."""

Loads = Mapping[str, int]
"""Address in lower case -> the hand-offs of that person's day; absent: none."""


def choose(
    team: Team, loads: Loads, turns: Turns, at: datetime, *, insist: bool = False
) -> tuple[Person, Turns] | None:
    """Whose turn it is, and the turns afterwards. Those who work at this moment come first, the others all the same.

    None where everybody is away or has had `per_day`; with `insist` then one of those who have the least too many, who
    is away only if all are.
    """
    able = [each for each in team.members if not is_away(each, at) and _beyond(each, loads) == 0]
    if not able and insist:
        able = _least_beyond([each for each in team.members if not is_away(each, at)] or team.members, loads)
    if not able:
        return None
    return _take_turn(team, [each for each in able if is_open(at, each.calendar)] or able, turns)


def is_away(person: Person, at: datetime) -> bool:
    today = _day(person, at)
    return any(first <= today <= last for first, last in person.away)


def day_begins(people: Iterable[Person], at: datetime) -> Mapping[str, datetime]:
    """Address in lower case -> the moment at which this day of that person began, in UTC."""
    return {
        each.email.lower(): datetime.combine(_day(each, at), time.min, ZoneInfo(each.calendar.timezone)).astimezone(UTC)
        for each in people
    }


def _day(person: Person, at: datetime) -> date:
    return at.astimezone(ZoneInfo(person.calendar.timezone)).date()


def _beyond(person: Person, loads: Loads) -> int:
    """By how many one more would be too many for this day."""
    if person.per_day is None:
        return 0
    return max(loads.get(person.email.lower(), 0) + 1 - person.per_day, 0)


def _least_beyond(people: Sequence[Person], loads: Loads) -> list[Person]:
    least = min(_beyond(each, loads) for each in people)
    return [each for each in people if _beyond(each, loads) == least]


def _take_turn(team: Team, candidates: Sequence[Person], turns: Turns) -> tuple[Person, Turns]:
    weights = {each.name: each.weight if team.pick == "weighted" else 1 for each in team.members}
    unchanged = weights == {name: weight for name, (weight, _) in turns.items()}
    credit = {name: turns[name][1] if unchanged else 0 for name in weights}
    whole = sum(weights[each.name] for each in candidates)
    for each in candidates:
        credit[each.name] += weights[each.name]
    owed = [each for each in candidates if credit[each.name] > 0] or candidates
    chosen = min(owed, key=lambda each: _urgency(credit[each.name], weights[each.name], whole))
    credit[chosen.name] -= whole
    return chosen, {name: (weight, credit[name]) for name, weight in weights.items()}


def _urgency(credit: int, weight: int, whole: int) -> tuple[Fraction, int]:
    """In how many hand-offs from now on a whole one will be owed; among equals, who is owed the most first."""
    return Fraction(whole - credit, weight), -credit
