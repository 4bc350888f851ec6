"""Whether the people, the teams and the routes of a hand-off fit together, looked at as they stand in the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from syncer.settings.problems import Mistake, Steps, did_you_mean, quoted
from syncer.settings.shapes import OWNER
from syncer.settings.source import at

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TOP: Steps = ("handoff",)


def routing_mistakes(handoff: Any) -> Iterator[Mistake]:
    """Looks at whatever has the right shape; what has not is told elsewhere."""
    people, teams = (_mapping(at(handoff, key)) for key in ("people", "teams"))
    yield from _of_names(people, teams)
    yield from _of_addresses(people)
    for name, team in teams.items():
        yield from _of_members(at(team, "members"), people, (*_TOP, "teams", name, "members"))
    routes = at(handoff, "route")
    for rank, route in enumerate(routes if isinstance(routes, list) else ()):
        yield from _of_route(route, people, teams, (*_TOP, "route", rank))


def _mapping(raw: Any) -> Mapping[str, Any]:
    return {name: inner for name, inner in raw.items() if isinstance(name, str)} if isinstance(raw, Mapping) else {}


def _of_names(people: Mapping[str, Any], teams: Mapping[str, Any]) -> Iterator[Mistake]:
    for key, named in (("people", people), ("teams", teams)):
        for name in named:
            if name == OWNER or not _NAME.fullmatch(name):
                help = "use letters, digits, - and _; owner is the record's owner in the CRM"
                yield Mistake((*_TOP, key, name), f"{quoted(name)} cannot be a name here", help, at_key=True)
    for name in teams:
        if name in people:
            message = f"{quoted(name)} is a person, too"
            yield Mistake((*_TOP, "teams", name), message, "a route must tell them apart", "SY010", at_key=True)


def _of_addresses(people: Mapping[str, Any]) -> Iterator[Mistake]:
    """Who gets how many is counted by address."""
    known: dict[str, str] = {}
    for name, person in people.items():
        email = at(person, "email")
        if not isinstance(email, str):
            continue
        other = known.setdefault(email.lower(), name)
        if other != name:
            message = f"{email} is the address of {quoted(other)}, too"
            yield Mistake((*_TOP, "people", name, "email"), message, "each person needs one of their own", "SY010")


def _of_members(raw: Any, people: Mapping[str, Any], steps: Steps) -> Iterator[Mistake]:
    seen: set[str] = set()
    for place, name in _entries(raw, steps):
        if name not in people:
            help = did_you_mean(name, people, known_as="people")
            yield Mistake(place, f"there is no person {quoted(name)}", help, "SY007")
        elif name in seen:
            yield Mistake(place, f"{quoted(name)} stands twice", "for a larger share: pick: weighted, and a `weight`")
        seen.add(name)


def _of_route(route: Any, people: Mapping[str, Any], teams: Mapping[str, Any], steps: Steps) -> Iterator[Mistake]:
    entries = list(_entries(at(route, "to"), (*steps, "to")))
    known: Collection[str] = {*people, *teams, OWNER}
    for place, name in entries:
        if name not in known and "@" not in name:
            help = did_you_mean(name, known, known_as="people and teams")
            message = f"{quoted(name)} is neither an e-mail address nor 'owner' nor the name of a person or a team"
            yield Mistake(place, message, help, "SY007")
    picking = [place for place, name in entries if name in teams and at(teams[name], "pick") != "all"]
    for place in picking[1:]:
        message = "a second team: one person shall act on a hand-off"
        yield Mistake(place, message, "make one team of both, or give one of them pick: all", "SY010")
    yield from _of_assigning(route, entries, teams, steps)
    names = [name for _, name in entries]
    if at(route, "fallback") is not None and names and OWNER not in names and not picking:
        message = "'fallback' is for what may lead to nobody; here nobody asks for the owner"
        yield Mistake((*steps, "fallback"), f"{message} or for one of a team", code="SY010")


def _of_assigning(
    route: Any, entries: list[tuple[Steps, str]], teams: Mapping[str, Any], steps: Steps
) -> Iterator[Mistake]:
    """A record belongs to one: the first entry says to whom."""
    team = teams.get(entries[0][1]) if entries else None
    if at(route, "assign") is True and at(team, "pick") == "all" and at(team, "queue") is None:
        message = f"all of {quoted(entries[0][1])} hear of it, so there is nobody to give the record to"
        help = "let the team pick one, give it the `queue` of the CRM, or put who shall own it first"
        yield Mistake((*steps, "assign"), message, help, "SY010", at_key=True)


def _entries(raw: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    """The texts of a list, or the one that stands without brackets, each with its place."""
    if isinstance(raw, str):
        yield steps, raw
    for rank, one in enumerate(raw if isinstance(raw, list) else ()):
        if isinstance(one, str):
            yield (*steps, rank), one
