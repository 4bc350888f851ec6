"""Two records turn out to be one person."""

from __future__ import annotations

import pytest

from syncer.model import LeadPlan as Plan
from syncer.model import Override, Record, RecordKey, StageState
from syncer.store import Store, decisions, mirror, outbox, write_backs
from tests.store.samples import (
    NOW,
    activity,
    all_leads,
    apply,
    decided,
    due_ids,
    handoff,
    key,
    planned,
    put,
    record,
    settle,
    the_lead,
)


def test_the_absorbed_records_lead_joins_the_survivors(store: Store) -> None:
    put(store, record("1"), record("2"), activity("a", "1"), activity("b", "2", hour=1))
    settle(store)
    survivor = the_lead(store, "2")
    put(store, record("1", minute=1, merged_into="2"))
    (lead,) = all_leads(store)
    assert lead.id == survivor.id == the_lead(store, "1").id
    assert [each.key.id for each in lead.records] == ["2"]
    assert len(lead.signals.activities) == 2
    assert lead.state.touched == {"merge"}
    assert lead.revision == survivor.revision + 1


def test_a_merge_notice_waits_for_a_survivor_that_comes_later(store: Store) -> None:
    put(store, record("1", merged_into="2"), activity("a", "1"))
    assert all_leads(store) == []
    put(store, record("2"))
    (lead,) = all_leads(store)
    assert lead.id == the_lead(store, "1").id
    assert len(lead.signals.activities) == 1


@pytest.mark.parametrize("order", ["123", "321", "213"])
def test_chains_of_merges_end_in_one_lead(store: Store, order: str) -> None:
    chain = {"1": "2", "2": "3", "3": None}
    for record_id in order:
        put(store, record(record_id, merged_into=chain[record_id]))
    (lead,) = all_leads(store)
    assert [each.key.id for each in lead.records] == ["3"]
    assert the_lead(store, "1").id == the_lead(store, "2").id == lead.id


@pytest.mark.parametrize("order", ["123", "321", "213"])
def test_a_chain_of_merges_in_one_page_ends_in_one_lead(store: Store, order: str) -> None:
    put(store, *(record(record_id) for record_id in order))
    chain = {"1": "2", "2": "3", "3": None}
    put(store, *(record(record_id, minute=1, merged_into=chain[record_id]) for record_id in order))
    (lead,) = all_leads(store)
    assert the_lead(store, "1").id == the_lead(store, "2").id == the_lead(store, "3").id == lead.id


def test_a_circle_of_merges_is_one_lead_without_a_live_record(store: Store) -> None:
    put(store, record("1", merged_into="2"), record("2", merged_into="1"), record("3", merged_into="3"))
    assert the_lead(store, "1").id == the_lead(store, "2").id
    assert all_leads(store) == []


def test_a_merge_seen_again_touches_nothing(store: Store) -> None:
    put(store, record("1", merged_into="2"), record("2"))
    settle(store)
    put(store, record("1", merged_into="2"), record("2"))
    assert due_ids(store) == []


def test_the_survivor_keeps_its_stage_and_the_higher_episode_counts(store: Store) -> None:
    put(store, record("1"), record("2"))
    one, two = all_leads(store)
    apply(
        store,
        Plan(decided(one, "sql", after=StageState("sql", "sql", NOW, episode=3))),
        Plan(decided(two, "mql", after=StageState("mql", "mql", NOW, episode=1))),
    )
    put(store, record("1", minute=1, merged_into="2"))
    stage = the_lead(store, "2").state.stage
    assert stage == StageState("mql", "mql", NOW, episode=3)


def test_a_survivor_that_was_never_decided_takes_over_the_absorbed_leads_state(store: Store) -> None:
    put(store, record("1"))
    settle(store, "mql")
    before = the_lead(store, "1").state
    put(store, record("1", minute=1, merged_into="2"), record("2"))
    after = the_lead(store, "2").state
    assert after.touched == {"profile", "merge"}
    assert (after.stage, after.total, after.model, after.scored_at, after.dimensions) == (
        before.stage,
        before.total,
        before.model,
        before.scored_at,
        before.dimensions,
    )


def test_history_overrides_and_hand_offs_move_to_the_survivor(store: Store) -> None:
    put(store, record("1"), record("2"))
    one, two = all_leads(store)
    word = Override("sql", "marta", "knows them", "command", NOW)
    alert = handoff(one)
    apply(store, Plan(decided(one, "sql", override=word), handoff=alert), Plan(decided(two, "mql")))
    put(store, record("1", minute=1, merged_into="2"))
    with store.reading() as tx:
        assert [move.after for move in decisions.transitions(tx, two.id)] == ["sql", "mql"]
        assert decisions.overrides(tx, two.id) == [word]
        assert [found for found, _, _ in outbox.handoffs(tx, "crm")] == [alert]
        assert mirror.count(tx, "crm") == 1
    assert the_lead(store, "2").state.override == word


def test_nothing_is_written_to_an_absorbed_record_any_more(store: Store) -> None:
    put(store, record("1"), record("2"))
    apply(store, *(planned(lead, "sql") for lead in all_leads(store)))
    put(store, record("1", minute=1, merged_into="2"))
    with store.reading() as tx:
        waiting = write_backs.pending(tx, "crm", NOW, order=["sql"], limit=9)
        assert [change.record for change in waiting] == [key("2")]
        assert write_backs.counts(tx, "crm")["pending"] == 1


def test_a_plan_for_a_lead_that_was_absorbed_is_stale(store: Store) -> None:
    put(store, record("1"), record("2"))
    with store.writing() as tx:
        decisions.save_plan(tx, 1, [planned(lead, "sql") for lead in all_leads(store)])
        assert decisions.stale(tx, 1) == 0
    put(store, record("1", minute=1, merged_into="2"))
    with store.reading() as tx:
        assert decisions.stale(tx, 1) == 2


def test_a_person_of_whom_sales_was_told_stays_told_when_the_colder_record_survives(store: Store) -> None:
    put(store, record("hot"), record("cold"))
    hot, cold = the_lead(store, "hot"), the_lead(store, "cold")
    stage = StageState("sql", "sql", NOW, episode=1)
    apply(store, Plan(decided(hot, "sql", after=stage), handoff=handoff(hot)), Plan(decided(cold, "cold")))
    put(store, record("hot", minute=1, merged_into="cold"))
    (joined,) = all_leads(store)
    assert joined.state.stage == stage


@pytest.mark.parametrize("contact_first", [True, False])
def test_a_record_that_was_converted_joins_the_record_of_another_object_that_it_became(
    store: Store, contact_first: bool
) -> None:
    became = RecordKey("crm", "accounts", "1")  # the same id as the record's own
    pages = [record("1", merged_into=became), Record(became, NOW)]
    for each in reversed(pages) if contact_first else pages:
        put(store, each)
    (lead,) = all_leads(store)
    assert [each.key for each in lead.records] == [became]
    assert the_lead(store, "1").id == lead.id
