"""Sweeps: what one comes across is marked, what it does not come across is known, and it goes on where it stood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from syncer.model import Activity, Cursor, Page, Record
from syncer.store import Store, mirror, sweeps
from syncer.store.sweeps import Sweep
from tests.store.samples import HOUR, NOW, activity, record, settle, the_lead

DAY = timedelta(days=1)


def pulled(store: Store, stream: str, *values: Record | Activity, ends: bool = True) -> None:
    """The first whole pull of a stream."""
    with store.writing() as tx:
        mirror.begin(tx, "crm", stream, ())
        mirror.store_page(tx, "crm", stream, page_of("c", *values), NOW)
        if ends:
            mirror.end(tx, "crm", stream, NOW)


def page_of(cursor: str | None, *values: Record | Activity) -> Page:
    records = tuple(each for each in values if isinstance(each, Record))
    done = tuple(each for each in values if isinstance(each, Activity))
    return Page(None if cursor is None else Cursor(cursor), records, done)


def begin(store: Store, stream: str = "contacts", *, anew: bool = False) -> Sweep:
    with store.writing() as tx:
        return sweeps.begin(tx, "crm", stream, NOW + DAY, anew=anew)


def see(store: Store, stream: str, number: int | None, cursor: str | None, *values: Record | Activity) -> None:
    with store.writing() as tx:
        mirror.store_page(tx, "crm", stream, page_of(cursor, *values), NOW + DAY, sweep=number)


def unswept(store: Store, stream: str, number: int, after: str | None = None, limit: int = 100) -> list[str]:
    with store.reading() as tx:
        return sweeps.unswept(tx, "crm", stream, number, after, limit, people=stream == "contacts")


def end(store: Store, stream: str, at: datetime) -> None:
    with store.writing() as tx:
        sweeps.end(tx, "crm", stream, at)


def due(store: Store, every: Mapping[str, timedelta], at: datetime) -> list[str]:
    with store.reading() as tx:
        return sweeps.due(tx, "crm", every, at)


def test_a_page_of_a_sweep_keeps_the_sweeps_cursor_and_leaves_the_pulls_alone(store: Store) -> None:
    pulled(store, "contacts", record("1"))
    assert begin(store) == Sweep(1, None)
    see(store, "contacts", 1, "s1", record("1"))
    with store.reading() as tx:
        assert mirror.cursor(tx, "crm", "contacts") == "c"
    assert begin(store) == Sweep(1, Cursor("s1")), "it goes on where it stood"
    see(store, "contacts", 1, None)
    assert begin(store) == Sweep(1, Cursor("s1")), "a page that is no place takes nothing away"
    assert begin(store, anew=True) == Sweep(2, None)


def test_a_page_and_the_sweeps_cursor_are_one_transaction(store: Store) -> None:
    pulled(store, "contacts", record("1"))
    number = begin(store).number

    def broken() -> None:
        with store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", page_of("s1", record("1"), record("2")), NOW, sweep=number)
            raise OSError("the machine stumbles")

    with pytest.raises(OSError, match="stumbles"):
        broken()
    assert begin(store) == Sweep(1, None)
    assert unswept(store, "contacts", number) == ["1"]


def test_who_was_not_come_across_is_known_in_the_order_of_ids(store: Store) -> None:
    everybody = [record(f"{each}") for each in range(1, 6)]
    pulled(store, "contacts", *everybody, record("6"), record("7", merged_into="1"))
    see(store, "contacts", None, "c", record("6", deleted=True))
    number = begin(store).number
    see(store, "contacts", number, "s", everybody[1])
    assert unswept(store, "contacts", number) == ["1", "3", "4", "5", "6"], "who was deleted may be erased by now"
    assert unswept(store, "contacts", number, "3", 1) == ["4"]
    see(store, "contacts", None, None, everybody[0])
    see(store, "contacts", None, "c2", everybody[2])
    assert unswept(store, "contacts", number) == ["4", "5", "6"], "who came by another way meanwhile is there as well"
    end(store, "contacts", NOW + DAY)
    see(store, "contacts", None, None, record("6", minute=1, deleted=True, erased=True))
    assert unswept(store, "contacts", begin(store).number) == ["1", "2", "3", "4", "5"], "the next looks at all again"


def test_activities_are_told_apart_by_their_stream(store: Store) -> None:
    ids = ("calls/1", "calls/2", "calls/b", "calls0/3", "call/4", "Calls/5", "notes/6")
    pulled(store, "calls", record("1"), *(activity(each, "1") for each in ids))
    number = begin(store, "calls").number
    see(store, "calls", number, "s", activity("calls/1", "1"))
    assert unswept(store, "calls", number) == ["2", "b"]
    assert unswept(store, "calls", number, "2") == ["b"]
    assert unswept(store, "call", number) == ["4"], "an empty stream of people is no stream of activities"


def test_ids_of_any_letters_are_gone_through_once_whatever_the_databases_order(store: Store) -> None:
    ids = ["1", "10", "9", "B", "a", "Z", "-7", "x_1", "x%2", "a/b", "ä", "Ä"]
    pulled(store, "e_v", record("1"), *(activity(f"e_v/{each}", "1") for each in ids), activity("eXv/5", "1"))
    number = begin(store, "e_v").number
    found: list[str] = []
    while some := unswept(store, "e_v", number, found[-1] if found else None, 2):
        found += some
    assert sorted(found) == sorted(ids)


def test_what_a_sweep_shows_without_a_trace_of_change_is_stored_and_touches_its_lead(store: Store) -> None:
    pulled(store, "contacts", record("1", fields={"forms": 0}))
    settle(store)
    see(store, "contacts", begin(store).number, "s", record("1", fields={"forms": 1}))
    assert the_lead(store, "1").signals.fields == {"forms": 1}
    assert the_lead(store, "1").state.touched == {"profile"}


def test_who_was_restored_comes_back_by_a_sweep_or_by_name_however_old_they_are(store: Store) -> None:
    for number in (1, None):
        pulled(store, "contacts", record("1"))
        see(store, "contacts", None, "c", record("1", minute=90, deleted=True))
        see(store, "contacts", None, "c", record("1", minute=-5))
        assert the_lead(store, "1").records == (), "an increment that is older is older"
        begin(store, anew=True)
        see(store, "contacts", number, None, record("1", minute=-5))
        assert [each.modified_at for each in the_lead(store, "1").records] == [NOW - timedelta(minutes=5)]


def test_a_sweep_is_due_after_its_time_and_while_it_is_under_way(store: Store) -> None:
    every = {"contacts": DAY, "calls": 7 * DAY}
    pulled(store, "contacts", record("1"))
    pulled(store, "calls")
    assert due(store, every, NOW + DAY - timedelta(seconds=1)) == []
    assert due(store, every, NOW + DAY) == ["contacts"], "the first whole pull counts as a sweep"
    begin(store)
    assert due(store, every, NOW + DAY) == ["contacts"]
    assert due(store, every, NOW + 7 * DAY) == ["contacts", "calls"], "what is due for longest comes first"
    end(store, "contacts", NOW + 7 * DAY)
    assert due(store, every, NOW + 7 * DAY + HOUR) == ["calls"]
    assert due(store, {"contacts": DAY}, NOW + 7 * DAY + HOUR) == [], "what is off is not due"


def test_a_stream_that_still_tells_history_is_not_swept_and_one_that_was_never_swept_is(store: Store) -> None:
    pulled(store, "contacts", record("1"), ends=False)
    assert due(store, {"contacts": DAY}, NOW + 9 * DAY) == []
    with store.writing() as tx:  # as after the upgrade of an older database, which knew no sweeps
        mirror.store_page(tx, "crm", "calls", page_of("c"), NOW)
    assert due(store, {"contacts": DAY, "calls": DAY}, NOW) == ["calls"]
