"""Footprints stand in for facts only while nothing has happened to the lead and the rules are the same."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from syncer.model import Footprint, Lead
from syncer.store import Store, footprints, mirror
from syncer.store.tables import lead_states
from tests.store.samples import NOW, activity, put, record

MADE = Footprint("m@1", b"\x80", b"12345678")
LATER = NOW + timedelta(hours=1)


def filled(store: Store) -> list[Lead]:
    """Two leads with an activity each, and their footprints kept under the rules "r1"."""
    put(store, record("1"), record("2"), activity("calls/1", "1"), activity("calls/2", "2"))
    leads = read(store)
    with store.writing() as tx:
        footprints.keep(tx, leads, {lead.id: MADE for lead in leads}, "r1")
    return leads


def read(store: Store, rules: str | None = None) -> list[Lead]:
    return [lead for some in mirror.chunks(store, "crm", which="all", now=LATER, rules=rules) for lead in some]


def test_a_lead_nothing_happened_to_comes_with_its_footprint_and_without_its_activities(store: Store) -> None:
    whole = filled(store)
    assert [len(lead.signals.activities) for lead in whole] == [1, 1]
    light = read(store, "r1")
    assert [(lead.footprint, lead.signals.activities) for lead in light] == [(MADE, ())] * 2
    assert [lead.records for lead in light] == [lead.records for lead in whole]
    assert [lead.signals.fields for lead in light] == [lead.signals.fields for lead in whole]


def test_a_lead_that_something_happened_to_is_read_whole(store: Store) -> None:
    filled(store)
    put(store, activity("calls/9", "2"))
    first, second = read(store, "r1")
    assert (first.footprint, second.footprint) == (MADE, None)
    assert len(second.signals.activities) == 2


def test_under_other_rules_and_without_rules_every_lead_is_read_whole(store: Store) -> None:
    filled(store)
    for rules in ("r2", None):
        assert [(lead.footprint, len(lead.signals.activities)) for lead in read(store, rules)] == [(None, 1)] * 2


def test_a_footprint_made_anew_replaces_the_one_before(store: Store) -> None:
    leads = filled(store)
    again = Footprint("m@2", b"\x00", b"")
    with store.writing() as tx:
        footprints.keep(tx, leads[:1], {leads[0].id: again}, "r2")
    assert [lead.footprint for lead in read(store, "r2")] == [again, None]
    assert [lead.footprint for lead in read(store, "r1")] == [None, MADE]


def test_a_footprint_made_of_what_has_changed_since_is_not_used(store: Store) -> None:
    leads = filled(store)
    put(store, activity("calls/9", "1"))
    with store.writing() as tx:
        footprints.keep(tx, leads, {lead.id: MADE for lead in leads}, "r1")
    assert [lead.footprint for lead in read(store, "r1")] == [None, MADE]


def test_the_footprint_of_a_lead_that_was_merged_away_goes_with_it(store: Store) -> None:
    filled(store)
    put(store, record("1", minute=1, merged_into="2"))
    with store.reading() as tx:
        assert tx.execute(select(func.count()).select_from(lead_states)).scalar_one() == 1


def test_a_record_that_is_deleted_after_it_was_absorbed_takes_its_activities_along(store: Store) -> None:
    put(store, record("1"), record("2", merged_into="1"), activity("calls/1", "2"))
    (lead,) = read(store)
    assert len(lead.signals.activities) == 1
    with store.writing() as tx:
        footprints.keep(tx, [lead], {lead.id: MADE}, "r1")
    put(store, record("2", minute=1, deleted=True))
    (lead,) = read(store, "r1")
    assert (lead.footprint, lead.signals.activities) == (None, ())


def test_a_page_of_footprints_has_every_live_lead_and_none_for_those_that_something_happened_to(store: Store) -> None:
    first, second = filled(store)
    put(store, record("3"), activity("calls/9", "2"))
    with store.reading() as tx:
        told = footprints.page(tx, "crm", "r1", after=0, size=2)
        third = footprints.page(tx, "crm", "r1", after=second.id, size=2)
        assert footprints.page(tx, "other", "r1", after=0, size=2) == []
        assert [its for *_, its in footprints.page(tx, "crm", "r2", after=0, size=9)] == [None] * 3
    assert [(lead, its) for lead, _, its in told] == [(first.id, MADE), (second.id, None)]
    assert told[0][1] == first.revision
    assert told[1][1] > second.revision
    assert [its for *_, its in third] == [None]
