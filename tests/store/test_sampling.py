"""A sample is from all over the base, never of the dead, and the same each time."""

from __future__ import annotations

from sqlalchemy import insert, update

from syncer.store import Store
from syncer.store.sampling import sample
from syncer.store.tables import leads


def _filled(store: Store, size: int) -> list[int]:
    with store.writing() as tx:
        tx.execute(insert(leads), [{"connection": "crm"} for _ in range(size)])
        tx.execute(insert(leads), [{"connection": "other"} for _ in range(10)])
    with store.reading() as tx:
        return sample(tx, "crm", size)


def test_a_small_base_is_its_own_sample(store: Store) -> None:
    ids = _filled(store, 20)
    assert len(ids) == len(set(ids)) == 20
    with store.reading() as tx:
        assert sample(tx, "crm", 1000) == ids
        assert len(sample(tx, "other", 1000)) == 10


def test_a_sample_has_old_and_new_leads_alike_and_is_the_same_each_time(store: Store) -> None:
    ids = _filled(store, 2000)
    with store.reading() as tx:
        found = sample(tx, "crm", 200)
        assert sample(tx, "crm", 200) == found
    tenths = [sum(low <= each < low + 200 for each in found) for low in range(ids[0], ids[0] + 2000, 200)]
    assert sum(tenths) == 200
    assert min(tenths) >= 10


def test_leads_without_a_live_record_are_in_no_sample(store: Store) -> None:
    ids = _filled(store, 20)
    with store.writing() as tx:
        tx.execute(update(leads).where(leads.c.id == ids[3]).values(live=False))
    with store.reading() as tx:
        assert sample(tx, "crm", 100) == [each for each in ids if each != ids[3]]
