"""A plan is kept, found stale when the world moves on, and applied whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.errors import NotFound, StalePlanError
from syncer.model import LeadPlan, Override, StageState, Standing, Transition
from syncer.store import Store, decisions, mirror, runs, write_backs
from tests.store.samples import (
    HOUR,
    NOW,
    activity,
    all_leads,
    apply,
    decided,
    due_ids,
    key,
    planned,
    put,
    record,
    settle,
    the_lead,
)

WORD = Override("sql", "marta", "knows them", "command", NOW)


def test_a_plan_comes_back_in_chunks_exactly_and_can_be_dropped(store: Store) -> None:
    put(store, *(record(str(number)) for number in range(5)))
    plans = [planned(lead, "mql") for lead in all_leads(store)]
    with store.writing() as tx:
        decisions.save_plan(tx, 7, plans[:3])
        decisions.save_plan(tx, 7, plans[3:])
        decisions.save_plan(tx, 8, plans[:1])
        found = list(decisions.plan_of(tx, 7, size=2))
        assert [len(chunk) for chunk in found] == [2, 2, 1]
        assert [plan for chunk in found for plan in chunk] == plans
        decisions.drop_plan(tx, 7)
        assert list(decisions.plan_of(tx, 7)) == []
        assert list(decisions.plan_of(tx, 8)) == [plans[:1]]


def test_what_is_applied_is_what_stands(store: Store) -> None:
    put(store, record("1"))
    (lead,) = all_leads(store)
    stage = StageState("sql", "mql", NOW, episode=2, held_by="person", cause="override")
    decision = decided(lead, "sql", after=stage, next_look=NOW + HOUR, override=WORD, veto="competitor")
    apply(store, LeadPlan(decision))
    state = the_lead(store, "1").state
    assert state.stage == stage
    assert (state.total, state.dimensions) == (1184, {"fit": 1234, "engagement": -50})
    assert (state.model, state.scored_at, state.next_look) == ("b2b@1", NOW, NOW + HOUR)
    assert (state.override, state.veto, state.touched) == (WORD, "competitor", frozenset())
    assert the_lead(store, "1").revision == lead.revision
    with store.reading() as tx:
        assert decisions.lead_state(tx, lead.id) == state
        assert decisions.stage_counts(tx, "crm") == {"sql": 1}


def test_a_move_is_written_down_once_and_staying_is_not(store: Store) -> None:
    put(store, record("1"))
    settle(store, "cold")
    apply(store, planned(the_lead(store, "1"), "cold", at=NOW + HOUR), at=NOW + HOUR)
    apply(store, planned(the_lead(store, "1"), "mql", at=NOW + 2 * HOUR), at=NOW + 3 * HOUR)
    lead = the_lead(store, "1").id
    with store.reading() as tx:
        moves = decisions.transitions(tx, lead)
        assert moves == [
            Transition(lead, NOW, None, "cold", "baseline", 1184, "b2b@1", 0, 1),
            Transition(lead, NOW + 3 * HOUR, "cold", "mql", "baseline", 1184, "b2b@1", 0, 3),
        ]


def test_a_lead_that_changed_makes_the_plan_stale_and_nothing_of_it_is_applied(store: Store) -> None:
    put(store, record("1"), record("2"))
    plans = [planned(lead, "mql") for lead in all_leads(store)]
    with store.writing() as tx:
        decisions.save_plan(tx, 1, plans)
        assert decisions.stale(tx, 1) == 0
    put(store, activity("a", "2"))
    with store.reading() as tx:
        assert decisions.stale(tx, 1) == 1
    with pytest.raises(StalePlanError):
        apply(store, *plans)
    assert all(lead.state.stage is None for lead in all_leads(store))
    with store.reading() as tx:
        assert runs.last(tx, "crm", 1) == []


def test_a_lead_decided_otherwise_meanwhile_makes_the_plan_stale_although_it_was_not_touched(store: Store) -> None:
    put(store, record("1"))
    settle(store, "cold")
    old = planned(the_lead(store, "1"), "mql")
    with store.writing() as tx:
        decisions.save_plan(tx, 1, [old])
    apply(store, planned(the_lead(store, "1"), "sql", at=NOW + HOUR))
    with store.reading() as tx:
        assert decisions.stale(tx, 1) == 1
    with pytest.raises(StalePlanError):
        apply(store, old)


def test_a_lead_that_left_its_stage_and_came_back_makes_the_plan_stale(store: Store) -> None:
    put(store, record("1"))
    settle(store, "cold")
    old = planned(the_lead(store, "1"), "mql")
    with store.writing() as tx:
        decisions.save_plan(tx, 1, [old])
    apply(store, planned(the_lead(store, "1"), "sql", at=NOW + HOUR))
    apply(store, planned(the_lead(store, "1"), "cold", at=NOW + 2 * HOUR))
    with store.reading() as tx:
        assert decisions.stale(tx, 1) == 1
    with pytest.raises(StalePlanError):
        apply(store, old)


def test_an_override_found_in_the_crm_is_kept_once(store: Store) -> None:
    put(store, record("1"))
    for _ in range(2):
        apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", override=WORD)))
    with store.reading() as tx:
        assert decisions.overrides(tx, the_lead(store, "1").id) == [WORD]


def test_a_newer_override_ends_the_one_before(store: Store) -> None:
    put(store, record("1"))
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", override=WORD)))
    newer = replace(WORD, stage="cold", since=NOW - HOUR)  # the CRM's clock may be behind
    apply(store, LeadPlan(decided(the_lead(store, "1"), "cold", at=NOW + HOUR, override=newer)))
    state = the_lead(store, "1").state
    assert state.override == newer
    with store.reading() as tx:
        assert decisions.overrides(tx, the_lead(store, "1").id) == [replace(WORD, until=NOW + HOUR), newer]


def test_an_override_that_a_decision_no_longer_obeys_has_ended_but_not_while_the_stage_is_protected(
    store: Store,
) -> None:
    put(store, record("1"))
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", override=WORD)))
    protected = StageState("sql", "sql", NOW, held_by="protected")
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", after=protected)))
    assert the_lead(store, "1").state.override == WORD
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", at=NOW + HOUR)))
    assert the_lead(store, "1").state.override == replace(WORD, until=NOW + HOUR)


def test_a_persons_word_touches_the_lead_and_so_does_taking_it_back(store: Store) -> None:
    put(store, record("1"))
    settle(store)
    lead = the_lead(store, "1")
    with store.writing() as tx:
        decisions.set_override(tx, lead.id, WORD)
    spoken = the_lead(store, "1")
    assert spoken.state.override == WORD
    assert spoken.state.touched == {"override"}
    assert spoken.revision == lead.revision + 1
    settle(store)
    with store.writing() as tx:
        decisions.end_override(tx, lead.id, NOW + HOUR)
        with pytest.raises(NotFound):
            decisions.end_override(tx, 4711, NOW)
        with pytest.raises(NotFound):
            decisions.set_override(tx, 4711, WORD)
    assert due_ids(store) == [lead.id]


def test_an_override_that_ended_makes_its_lead_due_once(store: Store) -> None:
    put(store, record("1"))
    until = replace(WORD, until=NOW + HOUR)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql", override=until)))
    assert due_ids(store, NOW + HOUR) == [the_lead(store, "1").id]
    apply(store, LeadPlan(decided(the_lead(store, "1"), "cold", at=NOW + HOUR)))
    assert due_ids(store, NOW + 9 * HOUR) == []
    assert the_lead(store, "1").state.override == until


def test_what_every_record_showed_at_a_decision_is_remembered_without_a_change_too(store: Store) -> None:
    put(store, record("1", stage="mql", lifecycle="lead"))
    assert not the_lead(store, "1").writes[key("1")].seen
    settle(store, "mql")
    write = the_lead(store, "1").writes[key("1")]
    assert (write.seen, write.confirmed, write.pending) == (True, Standing(stage="mql", lifecycle="lead"), None)


def test_an_edit_that_a_decision_took_note_of_is_what_the_record_is_known_to_show(store: Store) -> None:
    put(store, record("1", stage="mql"))
    apply(store, planned(the_lead(store, "1"), "sql"))
    put(store, record("1", minute=1, stage="cold"))
    settle(store, "cold")
    assert the_lead(store, "1").writes[key("1")].confirmed.stage == "cold"


def test_a_change_is_queued_on_top_of_what_the_record_showed(store: Store) -> None:
    put(store, record("1", stage="mql", lifecycle="lead"))
    (lead,) = all_leads(store)
    plan = planned(lead, "sql")
    apply(store, plan)
    write = the_lead(store, "1").writes[key("1")]
    assert write.confirmed == plan.changes[0].before
    assert write.pending == plan.changes[0].after
    with store.reading() as tx:
        assert write_backs.pending(tx, "crm", NOW, order=[], limit=9) == list(plan.changes)


def test_an_empty_plan_is_applied_without_harm(store: Store) -> None:
    apply(store)
    with store.reading() as tx:
        assert decisions.stage_counts(tx, "crm") == {}
        assert mirror.count(tx, "crm") == 0
        with pytest.raises(NotFound):
            decisions.lead_state(tx, 1)


def test_plans_of_runs_that_failed_or_are_old_are_dropped_and_saved_and_waiting_ones_stay(store: Store) -> None:
    put(store, record("1"))
    plans = [planned(lead, "mql") for lead in all_leads(store)]
    with store.writing() as tx:
        old, failed, saved, before, waits, elsewhere = made = [
            runs.start(tx, connection, NOW + hours * HOUR)
            for connection, hours in (("crm", 0), ("crm", 2), ("crm", 2), ("crm", 0), ("crm", 0), ("other", 0))
        ]
        ended = {old: "planned", failed: "failed", saved: "planned", before: "waiting", waits: "waiting"}
        for run, outcome in {**ended, elsewhere: "failed"}.items():
            decisions.save_plan(tx, run, plans)
            runs.finish(tx, run, outcome, {}, None, NOW)
        decisions.drop_old_plans(tx, "crm", NOW + HOUR, waits)
        assert [run for run in made if decisions.has_plan(tx, run)] == [saved, waits, elsewhere]
        decisions.drop_old_plans(tx, "crm", NOW + HOUR)
        assert [run for run in made if decisions.has_plan(tx, run)] == [saved, elsewhere]


def test_a_place_in_a_plan_that_no_database_can_hold_is_one_all_the_same(store: Store) -> None:
    with store.reading() as tx:
        assert decisions.moves_of(tx, 1, 9, after=decisions.Place("mql>sql\x00", 1)) == []
