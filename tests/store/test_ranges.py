"""Ranges of leads: cut so that each lead is in one, and each claimed by one at a time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, text, update

from syncer.store import Store, ranges
from syncer.store.ranges import Range, Wanted
from syncer.store.tables import leads, score_ranges

ALL = Wanted("crm", None)
TEMPLATE = Range(7, 0, 0, "rules", {"as_of": "today"})


@pytest.fixture(autouse=True)
def base(store: Store) -> None:
    """95 leads that live, and some that do not count."""
    with store.writing() as tx:
        tx.execute(insert(leads), [{"connection": "crm", "stage": "cold", "live": n % 20 != 0} for n in range(100)])
        tx.execute(insert(leads), [{"connection": "other"}])
        tx.execute(update(leads).where(leads.c.id % 2 == 1).values(touched=1))


def cut(store: Store, wanted: Wanted = ALL, size: int = 10) -> list[tuple[int, int]]:
    with store.writing() as tx:
        ranges.cut(tx, wanted, size, TEMPLATE)
        ends = select(score_ranges.c.first_lead, score_ranges.c.last_lead).order_by(score_ranges.c.first_lead)
        return [(first, last) for first, last in tx.execute(ends)]


def test_each_lead_is_in_one_range_of_the_size_that_was_asked_for(store: Store) -> None:
    for wanted, number in ((ALL, 95), (Wanted("crm", datetime.now(UTC)), 45)):
        with store.reading() as tx:
            assert ranges.count(tx, wanted) == number
            found = tx.execute(select(leads.c.id).where(wanted.condition())).scalars().all()
        ends = cut(store, wanted)
        sizes = [sum(first <= lead <= last for lead in found) for first, last in ends]
        assert (sum(sizes), set(sizes[:-1])) == (number, {10})
        assert [first for first, _ in ends[1:]] > [last for _, last in ends[:-1]]


def test_a_claim_takes_one_range_however_many_claim_at_once(store: Store) -> None:
    cut(store, size=2)
    taken: list[tuple[str, int]] = []

    def claim_on(holder: str) -> None:
        while True:
            with store.writing() as tx:
                if store.dialect == "postgresql":  # the plan that it may choose, once it knows how few there are
                    for way in ("hashagg", "hashjoin", "mergejoin", "material", "indexscan", "bitmapscan"):
                        tx.execute(text(f"SET LOCAL enable_{way} = off"))
                found = ranges.claim(tx, 7, holder)
            if found is None:
                return
            taken.append((holder, found.first))

    threads = [threading.Thread(target=claim_on, args=(f"holder {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        kept = tx.execute(select(score_ranges.c.taken_by, score_ranges.c.first_lead)).all()
    assert sorted(taken) == sorted((holder, first) for holder, first in kept), "nobody has one that it was not told of"
    assert len(taken) == 48


def test_what_was_claimed_by_somebody_who_died_is_claimed_again_and_then_is_no_more_the_first_one_s(
    store: Store,
) -> None:
    cut(store, size=100)
    with store.writing() as tx:
        first = ranges.claim(tx, 7, "first")
        assert first is not None
        assert ranges.claim(tx, 7, "second") is None
        assert ranges.renew(tx, first, "first")
        tx.execute(update(score_ranges).values(taken_until=0))
        assert ranges.claim(tx, 7, "second") == first
        assert not ranges.renew(tx, first, "first")
        assert not ranges.finish(tx, first, "first", {})
        assert ranges.left(tx, 7) == 1
        assert ranges.finish(tx, first, "second", {"scored": 95})
        assert (ranges.left(tx, 7), ranges.counts(tx, 7)) == (0, [{"scored": 95}])
        assert ranges.claim(tx, 7, "third") is None


def test_what_is_given_back_is_free_at_once_and_what_is_done_stays_done(store: Store) -> None:
    cut(store, size=100)
    with store.writing() as tx:
        taken = ranges.claim(tx, 7, "first")
        assert taken is not None
        ranges.give_back(tx, taken, "first")
        assert ranges.claim(tx, 7, "second") == taken
        ranges.finish(tx, taken, "second", {})
        ranges.give_back(tx, taken, "second")
        assert ranges.left(tx, 7) == 0
