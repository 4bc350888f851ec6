"""Whose turn it is, and how much of a person's day is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from syncer.model import LeadPlan
from syncer.store import Store, turns
from tests.store.samples import HOUR, NOW, apply, decided, handoff, put, record, the_lead


def give(store: Store, record_id: str, address: str | None, hours: int = 0) -> str:
    """A hand-off of the record's lead to somebody, so many hours after NOW; its key."""
    put(store, record(record_id))
    lead = the_lead(store, record_id)
    told = replace(handoff(lead), assigned_to=address)
    apply(store, LeadPlan(decided(lead, "sql"), (), told), at=NOW + hours * HOUR)
    return told.key


def test_turns_come_back_as_they_were_kept_last(store: Store) -> None:
    with store.writing() as tx:
        assert turns.all_turns(tx) == {}
        turns.keep(tx, {"latam": {"ana": (2, -1), "luis": (1, 1)}, "emea": {"eva": (1, 0)}})
        turns.keep(tx, {"latam": {"ana": (2, 1), "luis": (1, -1)}})
        turns.keep(tx, {})
    with store.reading() as tx:
        assert turns.all_turns(tx) == {"latam": {"ana": (2, 1), "luis": (1, -1)}, "emea": {"eva": (1, 0)}}


def test_a_day_holds_what_was_given_since_it_began(store: Store) -> None:
    for number, (address, hours) in enumerate((("Ana@us.com", -2), ("ana@us.com", 0), ("ana@us.com", 1), (None, 1))):
        give(store, str(number), address, hours)
    give(store, "9", "luis@us.com", 1)
    with store.reading() as tx:
        since_now = turns.loads(tx, {"ana@us.com": NOW, "luis@us.com": NOW + timedelta(days=1), "eva@us.com": NOW})
        before = turns.loads(tx, {"ana@us.com": NOW - 3 * HOUR})
    assert since_now == {"ana@us.com": 2}
    assert before == {"ana@us.com": 3}


def test_what_is_kept_tells_whom_it_was_given_to(store: Store) -> None:
    given, nobodys = give(store, "1", "Ana@us.com"), give(store, "2", None)
    with store.reading() as tx:
        assert turns.given(tx, [given, nobodys, "another"]) == {given: "Ana@us.com", nobodys: None}
