"""Whom a hand-off is given to is chosen once, whatever becomes of the process that chose."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from syncer.handoff import assign
from syncer.model import LeadPlan
from syncer.rules import FieldTest
from syncer.settings import HandoffSettings, Person, Route, Team
from syncer.store import Store, decisions, handed_over, runs
from tests.store.samples import HOUR, NOW, decided, handoff, put, record, the_lead

ANA, LUIS = Person("ana", "ana@acme.es"), Person("luis", "luis@acme.es")
ROUTES = (Route(None, ("latam",)),)


def settings(*people: Person, routes: tuple[Route, ...] = ROUTES) -> HandoffSettings:
    members = people or (ANA, LUIS)
    named = {each.name: each for each in members}
    return HandoffSettings("sql", routes=routes, people=named, teams={"latam": Team("latam", members)})


def plans_of(store: Store, *ids: str) -> list[LeadPlan]:
    put(store, *(record(each, owner="eva@acme.es") for each in ids))
    leads = [the_lead(store, each) for each in ids]
    return [LeadPlan(decided(lead, "sql"), (), handoff(lead)) for lead in leads]


def given(plans: Sequence[LeadPlan]) -> list[str | None]:
    return [each.handoff.assigned_to for each in plans if each.handoff is not None]


def hand_over(store: Store, plans: Sequence[LeadPlan], told: HandoffSettings, at: datetime = NOW) -> list[str | None]:
    """One transaction that chooses and keeps."""
    with store.writing() as tx:
        assigned = assign(tx, plans, told, at)
        decisions.apply(tx, runs.start(tx, "crm", at), assigned, (), at)
    return given(assigned)


def test_each_transaction_goes_on_where_the_last_one_ended(store: Store) -> None:
    assert hand_over(store, plans_of(store, "1", "2", "3"), settings()) == [ANA.email, LUIS.email, ANA.email]
    assert hand_over(store, plans_of(store, "4", "5"), settings()) == [LUIS.email, ANA.email]


def test_what_was_given_stays_given_and_takes_no_second_turn(store: Store) -> None:
    plans = plans_of(store, "1", "2", "3")
    chosen = hand_over(store, plans, settings())
    with store.writing() as tx:
        assert given(assign(tx, plans, settings(LUIS), NOW + HOUR)) == chosen
    assert hand_over(store, plans_of(store, "4"), settings()) == [LUIS.email]


def test_a_turn_is_taken_only_together_with_what_it_was_taken_for(store: Store) -> None:
    plans = plans_of(store, "1")
    chosen: list[str | None] = []

    def choose_and_die() -> None:
        with store.writing() as tx:
            chosen.extend(given(assign(tx, plans, settings(), NOW)))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        choose_and_die()
    assert chosen == [ANA.email]
    assert hand_over(store, plans, settings()) == [ANA.email]


def test_two_processes_that_choose_at_once_choose_one_after_the_other(store: Store) -> None:
    first, second = plans_of(store, "1"), plans_of(store, "2")
    chosen: list[str | None] = []
    other = threading.Thread(target=lambda: chosen.extend(hand_over(store, second, settings())))
    with store.writing() as tx:
        assigned = assign(tx, first, settings(), NOW)
        other.start()
        other.join(0.3)
        assert chosen == [], "it waits until this choice is kept"
        decisions.apply(tx, runs.start(tx, "crm", NOW), assigned, (), NOW)
    other.join(30)
    assert (given(assigned), chosen) == ([ANA.email], [LUIS.email])


def test_a_day_has_room_for_so_many_from_whatever_route(store: Store) -> None:
    busy = Person("ana", "Ana@acme.es", per_day=2)
    hers = Route(FieldTest("country", "any_of", ("MX",)), ("ana@acme.es",))
    told = settings(busy, LUIS, routes=(hers, *ROUTES))
    plans = plans_of(store, "1", "2", "3", "4", "5")
    mexican = replace(handoff(the_lead(store, "1")), fields={"country": "MX"})
    assert hand_over(store, [replace(plans[0], handoff=mexican)], told) == ["ana@acme.es"]
    assert hand_over(store, plans[1:], told) == [busy.email, *(LUIS.email,) * 3]
    tomorrow = hand_over(store, plans_of(store, "6", "7"), told, NOW + timedelta(days=1))
    assert tomorrow == [LUIS.email, busy.email], "the turns go on where ana had no room any more"


def test_where_nobody_has_room_the_fallback_gets_it_and_without_one_who_has_the_least_too_many(store: Store) -> None:
    full = tuple(Person(each.name, each.email, per_day=1) for each in (ANA, LUIS))
    helped = settings(*full, routes=(Route(None, ("latam",), fallback="sales@acme.es"),))
    assert hand_over(store, plans_of(store, "1", "2", "3"), helped) == [ANA.email, LUIS.email, "sales@acme.es"]
    alone = hand_over(store, plans_of(store, "4", "5"), settings(*full))
    assert sorted(map(str, alone)) == [ANA.email, LUIS.email]


def test_without_a_team_it_is_the_routes_first_recipients(store: Store) -> None:
    owned = settings(routes=(Route(None, ("owner", "boss@acme.es"), fallback="sales@acme.es"),))
    assert hand_over(store, plans_of(store, "1"), owned) == ["eva@acme.es"]
    assert hand_over(store, plans_of(store, "2"), settings(routes=(Route(None, ("luis",)),))) == [LUIS.email]
    assert hand_over(store, plans_of(store, "3"), HandoffSettings("sql")) == [None]


def test_the_route_that_it_takes_is_kept_with_it(store: Store) -> None:
    hers = Route(FieldTest("country", "any_of", ("MX",)), ("ana@acme.es", "boss@acme.es"))
    plans = plans_of(store, "1", "2", "3")
    mexican = replace(handoff(the_lead(store, "1")), fields={"country": "MX"})
    hand_over(store, [replace(plans[0], handoff=mexican)], settings(routes=(hers,)))
    hand_over(store, plans[1:2], settings(routes=(hers,)))
    hand_over(store, plans[2:], HandoffSettings("sql"))
    with store.reading() as tx:
        found = {each.handoff.record.id: each.handoff.route for each in handed_over.with_keys(tx, keys_of(plans))}
    assert found == {"1": "ana@acme.es, boss@acme.es", "2": "", "3": ""}


def keys_of(plans: Sequence[LeadPlan]) -> list[str]:
    return [each.handoff.key for each in plans if each.handoff is not None]
