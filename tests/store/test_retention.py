"""Activities that are too old are dropped, and the rest is as if they had never been there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from syncer.errors import LeaseLost
from syncer.model import Activity, Answer, Cursor, Did, Footprint, LeadPlan, Page, Reading, Signals
from syncer.store import Store, answers, footprints, histories, leases, mirror, outbox, retention
from syncer.store.retention import EVERY, Keep
from syncer.store.tables import (
    activities,
    activity_links,
    connections,
    metadata,
    past_activities,
    past_versions,
)
from tests.store.samples import HOUR, NOW, activity, all_leads, apply, decided, handoff, key, put, record, the_lead

DAY = timedelta(days=1)
KEEP = Keep(activities=10 * DAY)
TICK = timedelta(milliseconds=1)


def walk(store: Store, keep: Keep = KEEP, now: datetime = NOW, slices: int = retention.SLICES) -> int:
    lease = leases.take(store, "crm", holder="test", ttl_s=60)
    assert lease is not None
    try:
        return retention.walk(store, lease, keep, now, slices=slices)
    finally:
        leases.release(store, lease)


def rows(store: Store, table: str) -> int:
    with store.reading() as tx:
        return tx.execute(select(func.count()).select_from(metadata.tables[table])).scalar_one()


def old(name: str, *people: str, age: timedelta, **values: Any) -> Activity:
    return replace(activity(name, *people, **values), at=NOW - age)


def names(store: Store) -> list[str]:
    with store.reading() as tx:
        return list(tx.execute(select(activities.c.id).order_by(activities.c.id)).scalars())


def test_what_is_older_goes_with_its_links_and_what_is_exactly_as_old_stays(store: Store) -> None:
    put(store, record("1"), record("2"))
    put(store, old("a", "1", age=10 * DAY + TICK), old("b", "1", "2", age=10 * DAY), old("c", "2", age=DAY))
    assert walk(store) == 1
    assert names(store) == ["b", "c"]
    assert rows(store, activity_links.name) == 3


def test_a_lead_that_loses_something_is_scored_anew_and_another_is_not(store: Store) -> None:
    put(store, record("1"), record("2"))
    put(store, old("a", "1", age=30 * DAY), old("b", "2", age=DAY))
    kept = all_leads(store)
    with store.writing() as tx:
        footprints.keep(tx, kept, {lead.id: Footprint("m", b"b", b"h") for lead in kept}, "rules")
        tx.execute(metadata.tables["leads"].update().values(touched=0))
    walk(store)
    one, two = (the_lead(store, each) for each in ("1", "2"))
    assert (list(one.state.touched), list(two.state.touched)) == (["activity"], [])
    with store.reading() as tx:
        assert set(footprints.fresh(tx, [one.id, two.id], "rules")) == {two.id}


def test_without_a_span_nothing_is_dropped_and_nothing_is_looked_at(store: Store) -> None:
    put(store, record("1"), old("a", "1", age=3650 * DAY))
    assert walk(store, Keep()) == 0
    assert names(store) == ["a"]
    with store.reading() as tx:
        assert tx.execute(select(connections.c.retained_at)).scalars().all() == [None]


def read_again(store: Store, *deeds: Activity, now: datetime = NOW, cursor: str | None = "c") -> None:
    page = Page(None if cursor is None else Cursor(cursor), activities=deeds)
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "calls", page, now, keep=KEEP.activities)


@pytest.mark.parametrize("cursor", ["c", None])
def test_a_pull_or_a_second_look_does_not_bring_it_back(store: Store, cursor: str | None) -> None:
    put(store, record("1"))
    gone, kept = old("a", "1", age=10 * DAY + TICK), old("b", "1", age=10 * DAY)
    read_again(store, gone, kept, cursor=cursor)
    assert names(store) == ["b"]
    walk(store)
    read_again(store, gone, kept, cursor=cursor)
    assert names(store) == ["b"], "what the walk leaves is what an arrival brings"
    assert walk(store, now=NOW + EVERY) == 1
    read_again(store, gone, kept, now=NOW + EVERY, cursor=cursor)
    assert names(store) == []


def test_one_whose_date_turns_out_to_be_long_ago_goes(store: Store) -> None:
    put(store, record("1"))
    read_again(store, old("a", "1", age=DAY))
    read_again(store, old("a", "1", age=30 * DAY))
    assert names(store) == []
    assert the_lead(store, "1").signals.activities == ()


def test_a_walk_goes_on_where_it_stood_and_rests_for_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    put(store, *(record(f"{each}") for each in range(5)))
    put(store, *(old(f"a{each}", "1", age=(20 if each % 2 else 1) * DAY) for each in range(7)))
    dropped = [walk(store, slices=1) for _ in range(4)]
    assert dropped == [1, 1, 1, 0], "two at a time"
    for _ in range(10):
        walk(store, slices=1)
    put(store, old("late", "1", age=20 * DAY))
    assert walk(store, now=NOW + EVERY - TICK) == 0
    assert walk(store, now=NOW + EVERY) >= 1
    assert "late" not in names(store)


def test_a_clock_that_was_set_back_does_not_stop_it(store: Store) -> None:
    put(store, record("1"))
    walk(store, now=NOW + 300 * DAY)
    put(store, old("a", "1", age=20 * DAY))
    assert walk(store) == 1


def test_whoever_lost_the_lease_drops_nothing(store: Store) -> None:
    put(store, record("1"), old("a", "1", age=20 * DAY))
    frozen = leases.take(store, "crm", holder="frozen", ttl_s=0)
    assert frozen is not None
    walk(store, Keep())
    with pytest.raises(LeaseLost):
        retention.walk(store, frozen, KEEP, NOW)
    assert names(store) == ["a"]


def test_what_was_believed_of_old_activities_and_of_people_goes_too(store: Store) -> None:
    put(store, record("1", fields={"title": "CTO"}))
    read_again(store, old("a", "1", age=9 * DAY, fields={"text": "one"}))
    read_again(store, old("a", "1", age=9 * DAY, fields={"text": "two"}), now=NOW + HOUR)
    put(store, record("1", minute=1, fields={"title": "CEO"}))
    assert (rows(store, past_activities.name), rows(store, past_versions.name)) == (1, 1)
    assert walk(store, now=NOW + DAY) == 0
    assert walk(store, now=NOW + 11 * DAY) == 3
    assert (rows(store, past_activities.name), rows(store, past_versions.name)) == (0, 0)
    lead = the_lead(store, "1")
    assert dict(lead.signals.fields) == {"title": "CEO"}
    (known,) = histories.history(store, lead.id).versions
    assert (dict(known.fields), known.since) == ({"title": "CEO"}, NOW), "known since what it showed before ended"


def test_what_tells_which_of_two_records_was_changed_last_is_kept(store: Store) -> None:
    """The city of the second is the newer one, although something else of the first has changed since."""
    shown = (("1", "Madrid", "CTO"), ("2", "Sevilla", "CTO"), ("1", "Madrid", "CEO"))
    for minute, (each, city, title) in enumerate(shown):
        person = record(each, minute=minute, email="a@b.es", fields={"city": city, "title": title})
        with store.writing() as tx:
            at = NOW + timedelta(minutes=minute)
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), (person,)), at, same_person=True)
    before = dict(the_lead(store, "1").signals.fields)
    assert (before["city"], before["title"]) == ("Sevilla", "CEO")
    walk(store, now=NOW + 400 * DAY)
    assert dict(the_lead(store, "1").signals.fields) == before


def test_a_counter_goes_on_from_its_newest_old_reading(store: Store) -> None:
    put(store, record("1"))
    told = [
        Reading(key("1"), "open", value, None, NOW - age * DAY) for value, age in ((3, 40), (5, 30), (6, 20), (8, 2))
    ]
    put(store, readings=tuple(told))
    assert walk(store) == 2
    assert [each.value for each in the_lead(store, "1").signals.readings] == [6, 8]


def test_a_closed_hand_off_says_no_more_whom_it_was_about(store: Store) -> None:
    put(store, record("1", email="zsofia@acme.es", name="Zsofia Varga", fields={"title": "CEO"}))
    lead = the_lead(store, "1")
    told = replace(handoff(lead), fields={"title": "CEO"}, did=(Did("call", NOW),), missing=("budget",))
    apply(store, LeadPlan(decided(lead, "sql"), handoff=told))
    with store.writing() as tx:
        answers.keep(tx, told.key, Answer(False, "luis@us.com", NOW, "command", "Zsofia has no budget"))
    keep = Keep(handoffs=100 * DAY)
    assert walk(store, keep, NOW + 900 * DAY) == 0, "it is open"
    with store.writing() as tx:
        tx.execute(metadata.tables["handoffs"].update().values(closed_at=NOW + 901 * DAY))
    assert walk(store, keep, NOW + 1000 * DAY) == 0
    assert walk(store, keep, NOW + 1002 * DAY) == 1
    assert walk(store, keep, NOW + 1004 * DAY) == 0, "once"
    with store.reading() as tx:
        ((kept, _, _),) = outbox.handoffs(tx, "crm")
        said = answers.of(tx, [told.key])[told.key]
    assert (kept.key, kept.stage, kept.at, kept.record) == (told.key, told.stage, told.at, told.record)
    assert (kept.email, kept.name, kept.reasons, dict(kept.fields), kept.did, kept.missing) == (
        None,
        None,
        (),
        {},
        (),
        (),
    )
    assert [(each.author, each.reason) for each in said] == [("luis@us.com", "")]


ages = st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["call", "visit"])), max_size=12)


@given(told=ages, counted=st.lists(st.integers(0, 400), max_size=5, unique=True))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_afterwards_the_rules_see_what_they_would_if_it_had_never_been_there(
    store: Store, told: Sequence[tuple[int, str]], counted: Sequence[int]
) -> None:
    deeds = [old(f"a{place}", "1", age=age * HOUR, kind=kind) for place, (age, kind) in enumerate(told)]
    readings = [Reading(key("1"), "open", 400 - age, None, NOW - age * HOUR) for age in counted]
    whole = seen(store, deeds, readings)
    oldest = NOW - 10 * DAY
    base = [each for each in readings if each.seen_at < oldest]
    young = [*sorted(base, key=lambda each: each.seen_at)[-1:], *(each for each in readings if each.seen_at >= oldest)]
    walk(store, now=NOW)
    after = the_lead(store, "1").signals
    never = seen(store, [each for each in deeds if each.at >= oldest], young)
    assert (after.activities, after.readings) == (never.activities, never.readings)
    assert all(each in whole.activities for each in after.activities)


def seen(store: Store, deeds: Sequence[Activity], readings: Sequence[Reading]) -> Signals:
    """What the rules see of a lead of whom this is all."""
    with store.writing() as tx:
        for table in reversed(metadata.sorted_tables):
            if table.name != "installations":
                tx.execute(table.delete())
    put(store, record("1"))
    put(store, *deeds, readings=tuple(readings))
    return the_lead(store, "1").signals
