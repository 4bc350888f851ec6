"""Giving new hand-offs to people: chosen once, in the transaction that keeps them, so that a crash, a replay and a
second process find the choice that was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from syncer.handoff.choosing import Turns, choose, day_begins
from syncer.handoff.routing import first_recipient, picking_team, route_of
from syncer.model import Handoff, LeadPlan
from syncer.settings import HandoffSettings, Route, Team
from syncer.store import turns


@dataclass(slots=True)
class _Round:
    """One transaction's choices as they go: each counts for the next."""

    settings: HandoffSettings
    at: datetime
    loads: Counter[str]
    turns: dict[str, Turns]
    changed: set[str] = field(default_factory=set)


def assign(tx: Connection, plans: Sequence[LeadPlan], settings: HandoffSettings, at: datetime) -> list[LeadPlan]:
    """The plans, their hand-offs with who shall act; one that is kept already has who was chosen then."""
    keys = [each.handoff.key for each in plans if each.handoff is not None]
    if not keys:
        return list(plans)
    if settings.teams:
        turns.hold(tx)
    given = turns.given(tx, keys)
    loads = turns.loads(tx, day_begins(settings.people.values(), at))
    going = _Round(settings, at, Counter(loads), dict(turns.all_turns(tx)))
    assigned = [replace(each, handoff=_given(each.handoff, given, going)) if each.handoff else each for each in plans]
    turns.keep(tx, {name: going.turns[name] for name in going.changed})
    return assigned


def _given(handoff: Handoff, given: dict[str, str | None], going: _Round) -> Handoff:
    if handoff.key in given:
        return replace(handoff, assigned_to=given[handoff.key])
    route = route_of(handoff, going.settings)
    address = _address(handoff, route, going)
    if address is not None:
        going.loads[address.lower()] += 1
    return replace(handoff, assigned_to=address, route=", ".join(route.to) if route is not None else "")


def _address(handoff: Handoff, route: Route | None, going: _Round) -> str | None:
    team = picking_team(route, going.settings) if route is not None else None
    if route is None or team is None:
        return first_recipient(handoff, going.settings)
    return _from(team, route, going)


def _from(team: Team, route: Route, going: _Round) -> str:
    known = going.turns.get(team.name, {})
    chosen = choose(team, going.loads, known, going.at, insist=route.fallback is None)
    if chosen is None and route.fallback is not None:
        return route.fallback
    if chosen is None:
        raise AssertionError("whoever insists on a member of a team gets one")
    person, going.turns[team.name] = chosen
    going.changed.add(team.name)
    return person.email
