"""Hand-offs are listed in an order people can work by, page after page, and counted by person, week and route."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from syncer.model import Answer
from syncer.queries import handoffs as queries
from syncer.store import Store, answers, erasure, handed_over, outbox
from syncer.store.handed_over import NOBODY, HandedOver, Kept, Load, Only, Place, Wanted
from tests.handed import Desk, desk, names
from tests.store import samples as store_tests
from tests.store.samples import record

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BOTH = Wanted(("crm", "other"), NOW)


@pytest.fixture
def put(store: Store) -> Desk:
    return desk(store)


def all_pages(put: Desk, wanted: Wanted, size: int) -> list[HandedOver]:
    """Read page by page, each from where the one before ended."""
    found: list[HandedOver] = []
    place = None
    with put.store.reading() as tx:
        while page := handed_over.after(tx, wanted, place, size):
            assert len(page) <= size
            found += page
            last = page[-1]
            place = Place(last.handoff.at, last.handoff.key, last.due_at if wanted.only in ("open", "late") else None)
    return found


def some(put: Desk) -> dict[str, HandedOver]:
    """Many, of two connections, a lot of them at the same time, due then or never, open or not."""
    rnd = random.Random(7)
    for number in range(90):
        at, due = NOW - rnd.randrange(4) * DAY, rnd.choice([None, *(NOW + hours * HOUR for hours in (-30, -2, 3, 3))])
        touched = rnd.choice([None, None, NOW - HOUR])
        closed = rnd.choice([None, None, NOW])
        connection = rnd.choice(["crm", "other"])
        put.put(f"n{number}", at, connection, due_at=due, touched_at=touched, closed_at=closed)
    with put.store.reading() as tx:
        return {each.handoff.key: each for each in handed_over.listed(tx, BOTH)}


def urgency(each: HandedOver) -> tuple[datetime, datetime, str]:
    assert each.due_at is not None
    return each.due_at, each.handoff.at, each.handoff.key


def lateness(each: HandedOver) -> tuple[datetime, str]:
    return each.handoff.at, each.handoff.key


def expected(known: Sequence[HandedOver], only: Only | None) -> list[str]:
    if only is None:
        return names(sorted(known, key=lateness, reverse=True))
    still = [each for each in known if each.is_open() and (only == "open" or each.is_late(NOW))]
    timed = sorted((each for each in still if each.due_at), key=urgency)
    return names([*timed, *sorted((each for each in still if not each.due_at), key=lateness, reverse=True)])


@pytest.mark.parametrize(("only", "size"), list(product((None, "open", "late"), (1, 7, 100))))
def test_page_after_page_shows_each_once_in_an_order_to_work_by(put: Desk, only: Only | None, size: int) -> None:
    known = list(some(put).values())
    wanted = replace(BOTH, only=only)
    found = names(all_pages(put, wanted, size))
    assert found == expected(known, only)
    assert len(found) > 5
    one = [each for each in known if each.handoff.record.connection == "other"]
    assert names(all_pages(put, replace(wanted, connections=("other",)), size)) == expected(one, only)


def test_what_is_handed_over_while_somebody_turns_the_pages_moves_nothing(put: Desk) -> None:
    for number in range(6):
        put.put(f"n{number}", NOW - number * HOUR)
    with put.store.reading() as tx:
        first = handed_over.after(tx, BOTH, None, 3)
    put.put("new", NOW + HOUR)
    with put.store.reading() as tx:
        rest = handed_over.after(tx, BOTH, Place(first[-1].handoff.at, first[-1].handoff.key), 9)
    assert names([*first, *rest]) == [f"n{number}" for number in range(6)]


@pytest.mark.parametrize("only", [None, "open"])
def test_a_place_is_found_again_by_numbers_and_where_it_is_gone_nothing_is_left_out(
    put: Desk, only: Only | None
) -> None:
    due = None if only is None else NOW
    for name in ("a", "b"):
        put.put(name, NOW, due_at=due)
    put.put("before", NOW - HOUR, due_at=due)
    put.put("after", NOW + HOUR, due_at=due)
    with put.store.reading() as tx:
        a, b, gone = (handed_over.place_of(tx, put.lead + more, NOW, due) for more in (0, 0, 1))
        assert a == b
        rest = ["before"] if only is None else ["after"]
        wanted = replace(BOTH, only=only)
        second = "a" if only is None else "b"
        assert names(handed_over.after(tx, wanted, a, 9)) == [second, *rest]
        assert set(names(handed_over.after(tx, wanted, gone, 9))) == {"a", "b", *rest}


def test_only_those_of_a_person_and_of_a_time_are_shown(put: Desk) -> None:
    put.put("given", NOW, assigned_to="Ana@Acme.es", owner="luis@acme.es")
    put.put("owned", NOW - HOUR, owner="ANA@acme.es")
    put.put("other", NOW - 2 * HOUR, owner="luis@acme.es")
    put.put("nobodys", NOW - 3 * HOUR)
    hers = replace(BOTH, person="ana@acme.es")
    assert names(all_pages(put, hers, 9)) == ["given", "owned"]
    assert names(all_pages(put, replace(hers, only="open"), 9)) == ["given", "owned"]
    assert names(all_pages(put, replace(BOTH, person=NOBODY), 9)) == ["nobodys"]
    assert names(all_pages(put, replace(BOTH, since=NOW - 2 * HOUR, until=NOW), 9)) == ["owned", "other"]


def test_those_with_messages_that_did_not_go_out_are_found(put: Desk) -> None:
    for name, state in (("fine", "sent"), ("lost", "dead"), ("unsure", "uncertain"), ("ended", "dropped")):
        put.tell(put.put(name, NOW), "mail", state=state)
    assert sorted(names(all_pages(put, replace(BOTH, only="unsent"), 1))) == ["lost", "unsure"]


def test_everybody_sees_how_much_is_left_to_them_who_has_the_most_late_ones_first(put: Desk) -> None:
    for name, owner, due in (("a", "ana@x.es", 2), ("b", "ana@x.es", 5), ("c", "luis@x.es", -1), ("d", None, None)):
        put.put(name, NOW - DAY, owner=owner, due_at=None if due is None else NOW + due * HOUR)
    put.put("done", NOW - DAY, owner="luis@x.es", due_at=NOW - 9 * HOUR, touched_at=NOW - 5 * HOUR)
    put.put("left", NOW - DAY, owner="luis@x.es", due_at=NOW - 9 * HOUR, closed_at=NOW)
    put.put("elsewhere", NOW, "third", owner="eva@x.es")
    with put.store.reading() as tx:
        assert queries.loads(tx, ("crm", "other"), NOW) == (
            Load("luis@x.es", 1, 1, NOW - HOUR),
            Load("ana@x.es", 2, 0, NOW + 2 * HOUR),
            Load(None, 1, 0, None),
        )


def test_weeks_begin_on_monday_at_midnight_there_also_where_the_clocks_were_changed() -> None:
    begins = queries.week_begins(datetime(2026, 11, 2, 0, 30, tzinfo=UTC), "Europe/Madrid", 3)
    assert [each.astimezone(UTC) for each in begins] == [
        datetime(2026, 10, 18, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),  # winter time since that very night
        datetime(2026, 11, 1, 23, tzinfo=UTC),
    ]
    sunday = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert queries.week_begins(sunday, "UTC", 1) == (datetime(2026, 11, 16, tzinfo=UTC),)
    assert queries.week_begins(sunday, "Asia/Tokyo", 1)[0].astimezone(UTC) == datetime(2026, 11, 22, 15, tzinfo=UTC)


def test_the_service_level_tells_weeks_and_routes_apart(put: Desk) -> None:
    monday = datetime(2026, 11, 15, 23, tzinfo=UTC)  # there
    early: dict[str, Any] = {"due_at": NOW - HOUR, "touched_at": NOW - 2 * HOUR}
    late: dict[str, Any] = {"due_at": NOW - HOUR, "touched_at": NOW}
    put.put("in time", monday, route="owner", **early)
    put.put("late", monday, route="owner", **late)
    put.put("overdue", monday, route="owner", due_at=NOW - HOUR)
    put.put("acted on while it runs", monday, route="owner", due_at=NOW + HOUR, touched_at=NOW)
    put.put("still running", monday, route="owner", due_at=NOW + HOUR)
    put.put("left before it was due", monday, route="owner", due_at=NOW - HOUR, closed_at=NOW - 2 * HOUR)
    put.put("no time set", monday, route="owner", touched_at=NOW)
    put.put("no route", monday - timedelta(milliseconds=1), route="", **early)
    put.put("kept without its route", monday - 7 * DAY, **late)
    put.put("too long ago", monday - 49 * DAY - timedelta(hours=1, milliseconds=1), route="owner", **late)
    with put.store.reading() as tx:
        found = queries.service_levels(tx, BOTH, "Europe/Madrid")
    assert (len(found.weeks), found.weeks[-1]) == (8, monday)
    levels = {each.route: (each.weeks[-2:], each.whole) for each in found.routes}
    none = Kept(0, 0)
    assert levels == {
        "owner": ((none, Kept(4, 2)), Kept(4, 2)),
        "": ((Kept(1, 1), none), Kept(1, 1)),
        None: ((Kept(1, 0), none), Kept(1, 0)),
    }
    assert (found.every.weeks[-2:], found.every.whole) == ((Kept(2, 1), Kept(4, 2)), Kept(6, 3))
    assert found.routes[0].route == "owner"


def test_who_was_accepted_and_rejected_afterwards_counts_as_rejected(put: Desk) -> None:
    said = {yes: Answer(yes, "luis", NOW, "page", "" if yes else "no budget") for yes in (True, False)}
    put.say(put.put("yes", NOW), said[True])
    put.say(put.put("no", NOW), said[False])
    put.say(put.put("yes and no", NOW), said[True], said[False])
    put.put("nothing", NOW)
    put.say(put.put("long ago", NOW - 99 * DAY), said[True])
    with put.store.reading() as tx:
        sums = queries.sums(tx, replace(BOTH, since=NOW - DAY))
        assert answers.count_accepted(tx, BOTH) == 2
    assert (sums.accepted, dict(sums.reasons), sums.taken.value) == (1, {"no budget": 2}, 1 / 3)
    assert sums.tally.handoffs == 4


def test_of_no_hand_offs_at_all_nothing_is_known(store: Store) -> None:
    with store.reading() as tx:
        assert handed_over.after(tx, BOTH, None, 9) == []
        sums, found = queries.sums(tx, BOTH), queries.service_levels(tx, BOTH, "UTC")
        assert queries.loads(tx, BOTH.connections, NOW) == ()
    assert (sums.accepted, sums.taken.value, sums.in_time.value, sums.figures.system.median_ms) == (0, None, None, None)
    assert (found.routes, found.every.whole) == ((), Kept(0, 0))


def test_who_shall_act_changes_with_the_owner_and_is_forgotten_with_the_person(put: Desk) -> None:
    store_tests.put(put.store, record("1", owner="luis@acme.es"))
    handoff = put.put("1", NOW, owner="eva@acme.es")
    hers, his = (replace(BOTH, person=f"{name}@acme.es") for name in ("eva", "luis"))
    assert names(all_pages(put, hers, 9)) == ["1"]
    with put.store.writing() as tx:
        outbox.renew_owner(tx, handoff)
    assert (names(all_pages(put, hers, 9)), names(all_pages(put, his, 9))) == ([], ["1"])
    with put.store.writing() as tx:
        erasure.erase(tx, [handoff.record], NOW)
    assert (names(all_pages(put, his, 9)), names(all_pages(put, replace(BOTH, person=NOBODY), 9))) == ([], ["1"])
