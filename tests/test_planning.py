"""What is decided, written and told of one lead: edits by people, repeats, causes, silence, the fuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import UnsafePlanError
from syncer.model import (
    ActivitySignal,
    Cause,
    Contribution,
    Lead,
    LeadPlan,
    LeadState,
    Manual,
    Override,
    Reading,
    Record,
    RecordKey,
    Score,
    Signals,
    StageState,
    Standing,
    Told,
    WriteState,
    somebody_in,
)
from syncer.planning import (
    Limits,
    Look,
    Policy,
    cause_of,
    check_fuse,
    edited_stage,
    hands_on,
    known_at,
    nameless_word,
    plan_lead,
    reasons_of,
    resumed,
    shown,
    stage_set_by_others,
    strongest,
)
from syncer.rules import ActivityTest, All, Condition, Dimension, FieldTest, Gate, Model, Rule, Stage, Veto
from syncer.stages import Hands, Marks

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(days=3)
KEY = RecordKey("crm", "contacts", "7")
MODEL = Model(
    "m",
    "UTC",
    (),
    (
        Stage("cold"),
        Stage("mql", enter=(Gate("fit", ">=", 2000),)),
        Stage("sql", enter=(Gate("fit", ">=", 5000),), dwell_ms=24 * 3_600_000),
    ),
    version="m@1",
)
POLICY = Policy("inst", min_step=100, writable=frozenset({"crm"}), handoff_stage="sql")
UNWRITTEN = WriteState(Standing())


def record(**changed: Any) -> Record:
    return replace(Record(KEY, EARLIER, email="ana@acme.es", name="Ana", owner="marta@acme.es", url="u"), **changed)


def written(score: int | None = None, stage: str | None = None, **more: Any) -> WriteState:
    """What the CRM confirmed after the last decision; whole points."""
    return WriteState(Standing(None if score is None else score * 100, stage), seen=True, **more)


def stood(stage: str, **more: Any) -> StageState:
    return StageState(stage, more.pop("automatic", stage), EARLIER, **more)


def decided(stage: str, touched: frozenset[Cause] = frozenset({"activity"}), **more: Any) -> LeadState:
    held: Any = {key: more.pop(key) for key in ("automatic", "episode", "held_by", "cause") if key in more}
    return LeadState(stood(stage, **held), total=0, model="m@1", scored_at=EARLIER, touched=touched, **more)


def lead(
    state: LeadState | None = None, write: WriteState | None = None, *records: Record, signals: Signals | None = None
) -> Lead:
    shows = records or (record(),)
    writes: Mapping[RecordKey, WriteState] = {} if write is None else {shows[0].key: write}
    return Lead(1, 5, shows, signals or Signals(1), state or LeadState(), writes)


def look(points: float, **more: Any) -> Look:
    """A lead of so many points, all of them fit."""
    hundredths = round(points * 100)
    dimensions = {"fit": hundredths}
    score = Score(1, NOW, "m@1", dimensions, hundredths, more.pop("contributions", ()))
    return Look(
        NOW, score, Marks(dimensions, hundredths, vetoes=more.pop("vetoes", ())), more.pop("next_look", None), **more
    )


def plan(who: Lead, seen: Look, policy: Policy = POLICY, model: Model = MODEL) -> LeadPlan:
    return plan_lead(who, seen, model, policy)


class TestWriting:
    def test_the_first_decision_writes_score_stage_and_reasons(self) -> None:
        (change,) = plan(lead(), look(25.99)).changes
        assert (change.record, change.after.score, change.after.stage) == (KEY, 2500, "mql")
        assert change.before == Standing(None, None)
        assert change.moves_stage
        assert change.after.reasons is not None
        assert change.after.reasons.startswith("MQL · 25 points: fit 25")

    @pytest.mark.parametrize(
        ("points", "written_"), [(19.99, 1900), (20.0, 2000), (0.99, 0), (-0.01, -100), (-1.0, -100)]
    )
    def test_what_is_shown_is_rounded_down(self, points: float, written_: int) -> None:
        (change,) = plan(lead(), look(points)).changes
        assert change.after.score == written_
        assert shown(round(points * 100)) == str(written_ // 100)

    def test_nobody_crosses_a_threshold_by_rounding(self) -> None:
        assert plan(lead(), look(49.99)).decision.after.stage == "mql"
        assert plan(lead(), look(50.00)).decision.after.stage == "sql"

    def test_no_change_no_call(self) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage="mql"))
        for points in (25.0, 25.5, 25.99):
            assert plan(who, look(points)).changes == ()

    @pytest.mark.parametrize(("points", "changes"), [(29.99, 0), (30.0, 1), (20.99, 1), (21.0, 0)])
    def test_a_score_is_rewritten_only_when_it_moved_by_min_step(self, points: float, changes: int) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage="mql"))
        assert len(plan(who, look(points), replace(POLICY, min_step=500)).changes) == changes

    def test_without_min_step_still_no_call_without_change(self) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage="mql"))
        assert plan(who, look(25), replace(POLICY, min_step=0)).changes == ()
        assert len(plan(who, look(26), replace(POLICY, min_step=0)).changes) == 1

    def test_a_stage_that_moved_is_written_however_little_the_score_did(self) -> None:
        who = lead(decided("mql"), written(49, "mql"), record(stage="mql"))
        (change,) = plan(who, look(50), replace(POLICY, min_step=10_000)).changes
        assert (change.before.stage, change.after.stage, change.after.score) == ("mql", "sql", 5000)

    def test_a_stage_the_crm_lost_is_written_again(self) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage=None))
        (change,) = plan(who, look(25)).changes
        assert change.after.stage == "mql"
        assert plan(who, look(25)).decision.override is None

    def test_what_is_on_its_way_is_not_sent_twice(self) -> None:
        pending = written(10, "cold", pending=Standing(2500, "mql"))
        who = lead(decided("mql"), pending, record(stage="cold"))
        assert plan(who, look(25)).changes == ()
        assert plan(who, look(26)).changes[0].after.score == 2600

    def test_planning_what_was_just_written_plans_nothing(self) -> None:
        first = plan(lead(), look(25))
        write = WriteState(first.changes[0].after, seen=True)
        who = lead(decided("mql"), write, record(stage="mql"))
        assert plan(who, look(25)).changes == ()

    def test_every_live_record_that_can_be_written_to_is_written_and_no_other(self) -> None:
        other = RecordKey("events", "people", "7")
        records = (
            record(), record(key=other), record(key=RecordKey("crm", "contacts", "8"), deleted=True),
            record(key=RecordKey("sheet", "rows", "7")),
        )  # fmt: skip
        policy = replace(POLICY, writable=frozenset({"crm", "events"}))
        found = plan(lead(None, None, *records), look(25), policy).changes
        assert [change.record for change in found] == [KEY, other]

    @given(st.integers(-(10**6), 10**6), st.integers(-(10**4), 10**4), st.integers(0, 1000))
    def test_a_write_always_brings_the_crm_to_the_rounded_score(self, hundredths: int, before: int, step: int) -> None:
        who = lead(decided("mql"), written(before, "mql"), record(stage="mql"))
        changes = plan(who, look(hundredths / 100), replace(POLICY, min_step=step)).changes
        shows = changes[0].after.score if changes else before * 100
        assert shows is not None
        off = hundredths - shows
        assert 0 <= off < 100 if changes else abs(hundredths // 100 * 100 - shows) < max(step, 1)


class TestPeople:
    def test_a_stage_set_in_the_crm_is_an_override_and_is_not_written_over(self) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage="sql", stage_by="marta@acme.es", modified_at=NOW))
        found = plan(who, look(25))
        assert found.changes == ()
        after, override = found.decision.after, found.decision.override
        assert (after.stage, after.automatic, after.held_by, after.cause) == ("sql", "mql", "person", "override")
        assert override is not None
        assert (override.stage, override.author, override.source, override.since) == (
            "sql",
            "marta@acme.es",
            "crm",
            NOW,
        )
        assert override.until is None

    def test_an_unnamed_person_is_somebody_in_that_crm(self) -> None:
        found = hands_on(lead(decided("mql"), written(25, "mql"), record(stage="cold")), MODEL, POLICY, NOW)
        assert found.override is not None
        assert found.override.author == "somebody in crm"

    def test_respect_for_a_while_ends(self) -> None:
        policy = replace(POLICY, respect_for=timedelta(days=30))
        who = lead(decided("mql"), written(25, "mql"), record(stage="cold"))
        override = plan(who, look(25), policy).decision.override
        assert override is not None
        assert override.until == NOW + timedelta(days=30)

    @pytest.mark.parametrize(("ends", "stage"), [(None, "cold"), (1, "cold"), (0, "mql"), (-1, "mql")])
    def test_a_kept_override_holds_until_its_end(self, ends: int | None, stage: str) -> None:
        until = None if ends is None else NOW + timedelta(seconds=ends)
        kept = Override("cold", "marta", "no budget", "command", EARLIER, until)
        state = decided("cold", frozenset(), held_by="person", automatic="mql", override=kept)
        found = plan(lead(state, written(25, "cold"), record(stage="cold")), look(25))
        assert found.decision.after.stage == stage
        assert found.decision.override == (kept if stage == "cold" else None)
        assert found.decision.after.automatic == "mql"

    def test_overwrite_puts_the_rules_stage_back(self) -> None:
        who = lead(decided("mql"), written(25, "mql"), record(stage="sql"))
        found = plan(who, look(25), replace(POLICY, respect_edits=False))
        assert (found.changes[0].before.stage, found.changes[0].after.stage) == ("sql", "mql")
        assert found.decision.override is None

    def test_what_we_wrote_or_are_writing_is_nobodys_edit(self) -> None:
        pending = written(10, "cold", pending=Standing(2500, "mql"))
        for stage in ("cold", "mql", None):
            assert stage_set_by_others(record(stage=stage), pending) is None
        assert stage_set_by_others(record(stage="sql"), pending) == "sql"

    def test_a_stage_shown_at_the_first_look_at_a_base_is_nobodys_edit(self) -> None:
        assert stage_set_by_others(record(stage="sql"), UNWRITTEN) is None
        assert edited_stage(lead(None, None, record(stage="sql")), replace(POLICY, baseline=True)) is None

    def test_a_stage_with_which_a_lead_comes_into_an_existing_base_is_somebodys_word(self) -> None:
        newcomer = record(stage="mql")
        assert edited_stage(lead(None, None, newcomer), POLICY) == (newcomer, "mql")
        found = plan(lead(None, None, newcomer), look(5))
        assert (found.decision.after.stage, found.decision.after.held_by) == ("mql", "person")

    def test_an_edit_while_a_write_is_on_its_way_wins_over_the_write(self) -> None:
        pending = written(10, "cold", pending=Standing(5000, "sql"))
        found = plan(lead(decided("sql"), pending, record(stage="mql")), look(50))
        assert (found.decision.after.stage, found.decision.after.held_by) == ("mql", "person")
        assert found.changes[0].after.stage == "mql"

    def test_putting_a_lead_back_where_the_rules_have_it_gives_it_back_to_them(self) -> None:
        kept = Override("sql", "marta", "r", "crm", EARLIER)
        state = decided("sql", frozenset({"profile"}), held_by="person", automatic="mql", override=kept)
        found = plan(lead(state, written(25, "sql"), record(stage="mql")), look(25))
        assert (found.decision.after.stage, found.decision.after.held_by) == ("mql", "rules")
        assert found.decision.override is None

    def test_the_crms_own_stage_field_counts_where_it_stands_for_one_of_ours(self) -> None:
        confirmed = WriteState(Standing(2500, "mql", lifecycle="lead"), seen=True)
        moved = record(stage="mql", lifecycle="opportunity", lifecycle_stage="sql")
        assert stage_set_by_others(moved, confirmed) == "sql"
        assert stage_set_by_others(replace(moved, lifecycle="lead"), confirmed) is None
        assert stage_set_by_others(replace(moved, lifecycle_stage="mql"), confirmed) is None
        assert stage_set_by_others(replace(moved, lifecycle_stage=None), confirmed) is None

    def test_a_stage_set_in_any_connection_holds_for_the_whole_lead(self) -> None:
        theirs = record(key=RecordKey("events", "people", "7"), stage="sql")
        who = lead(decided("mql"), written(25, "mql"), record(stage="mql"), theirs)
        who = replace(who, writes={**who.writes, theirs.key: written(25, "mql")})
        found = plan(who, look(25))
        assert found.decision.override is not None
        assert found.decision.override.author == "somebody in events"
        assert [(change.record, change.after.stage) for change in found.changes] == [(KEY, "sql")]

    def test_a_record_that_belongs_to_others_in_any_connection_protects_the_whole_lead(self) -> None:
        customer = record(key=RecordKey("events", "people", "7"), protected=True)
        assert hands_on(lead(decided("mql"), None, record(), customer), MODEL, POLICY, NOW) == Hands(protected=True)

    def test_a_deleted_record_has_no_say(self) -> None:
        gone = record(stage="sql", deleted=True)
        assert hands_on(lead(decided("mql"), written(25, "mql"), gone), MODEL, POLICY, NOW) == Hands()


class TestProtected:
    @pytest.mark.parametrize("theirs", [record(stage="mql", protected=True), record(stage="Customer (old)")])
    def test_a_protected_stage_is_never_touched_but_the_lead_is_still_scored(self, theirs: Record) -> None:
        found = plan(lead(decided("mql", episode=1), written(25, "mql"), theirs), look(80))
        (change,) = found.changes
        assert (change.after.score, change.after.stage) == (8000, None)
        assert not change.moves_stage
        assert found.handoff is None
        assert (found.decision.after.held_by, found.decision.after.stage) == ("protected", "mql")

    def test_a_protected_newcomer_alerts_nobody_even_at_the_hand_off_stage(self) -> None:
        policy = replace(POLICY, handoff_stage="cold")
        found = plan(lead(None, None, record(protected=True)), look(80), policy)
        assert found.handoff is None
        assert found.decision.after.episode == 0

    def test_a_persons_word_outlives_the_time_others_have_the_lead(self) -> None:
        kept = Override("mql", "marta", "r", "command", EARLIER)
        state = decided("mql", held_by="person", automatic="cold", override=kept)
        during = plan(lead(state, written(5, "mql"), record(stage="mql", protected=True)), look(5)).decision
        assert (during.override, during.after.held_by) == (kept, "protected")
        state = replace(state, stage=during.after)
        after = plan(lead(state, written(5, "mql"), record(stage="mql")), look(5)).decision
        assert (after.after.stage, after.after.held_by) == ("mql", "person")


class TestCauses:
    def cause(self, state: LeadState, policy: Policy = POLICY, **seen: Any) -> Cause:
        return cause_of(lead(state), MODEL, policy, look(10, **seen))

    @pytest.mark.parametrize(
        ("touched", "cause"),
        [
            ((), "fading"), (("activity",), "activity"), (("profile",), "profile"),
            (("activity", "profile"), "activity"), (("merge",), "merge"), (("merge", "activity"), "merge"),
            (("override",), "fading"),
        ],
    )  # fmt: skip
    def test_the_cause_is_what_touched_the_lead_else_fading(self, touched: tuple[Cause, ...], cause: Cause) -> None:
        assert self.cause(decided("mql", frozenset(touched))) == cause

    def test_the_first_scoring_of_a_base_is_its_baseline_and_later_leads_have_their_cause(self) -> None:
        new = LeadState(touched=frozenset({"profile"}))
        assert self.cause(new, replace(POLICY, baseline=True)) == "baseline"
        assert self.cause(new) == "profile"
        assert self.cause(replace(new, touched=frozenset({"activity"}))) == "activity"

    def test_a_new_model_is_the_cause_unless_something_else_explains_the_move(self) -> None:
        other = replace(decided("mql", frozenset()), model="m@0")
        assert self.cause(other) == "model"
        acted = replace(other, touched=frozenset({"activity"}))
        assert self.cause(acted) == "activity"
        assert self.cause(acted, had_qualified=True) == "model"
        late = replace(decided("mql"), model="m@1")
        assert self.cause(late, replace(POLICY, history=True), had_qualified=True) == "baseline", "history read late"
        assert self.cause(late, had_qualified=True) == "activity"
        typed = replace(other, touched=frozenset({"activity", "profile"}))
        assert self.cause(typed, had_qualified=True) == "activity", (
            "fields have no history, so the lead has the benefit"
        )

    @pytest.mark.parametrize("also", [(), ("activity",), ("profile",), ("merge", "activity")])
    def test_what_another_connections_history_explains_is_its_baseline(self, also: tuple[Cause, ...]) -> None:
        read_on = decided("mql", frozenset({"baseline", *also}))
        assert self.cause(read_on, had_qualified=True) == "baseline"
        assert self.cause(read_on) == (also[0] if also else "baseline"), "the rest has its own cause"

    def test_a_person_who_lets_go_meanwhile_is_the_cause_all_the_same(self) -> None:
        state = decided("mql", frozenset({"baseline"}), held_by="person")
        assert self.cause(state, had_qualified=True) == "override"

    def test_when_a_person_lets_go_that_is_the_cause(self) -> None:
        assert self.cause(decided("mql", frozenset(), held_by="person")) == "override"

    def test_the_change_and_the_decision_tell_the_same_cause(self) -> None:
        found = plan(lead(decided("cold"), written(5, "cold"), record(stage="cold")), look(25))
        assert (found.changes[0].cause, found.decision.after.cause) == ("activity", "activity")
        assert found.decision.moved
        assert found.decision.before == stood("cold")


class TestHandoff:
    def qualify(self, policy: Policy = POLICY, **state: Any) -> LeadPlan:
        who = lead(
            decided("mql", **state), written(25, "mql"), record(stage="mql"), signals=Signals(1, {"country": "ES"})
        )
        return plan(who, look(60), policy)

    def test_entering_the_hand_off_stage_tells_sales_once(self) -> None:
        told = self.qualify(episode=2).handoff
        assert told is not None
        assert told.key == "inst/crm/contacts/7#3"
        assert (told.lead, told.record, told.episode, told.stage, told.total, told.at) == (1, KEY, 3, "sql", 6000, NOW)
        assert (told.email, told.name, told.owner, told.url) == ("ana@acme.es", "Ana", "marta@acme.es", "u")
        assert told.fields == {"country": "ES"}

    def test_the_key_is_the_same_in_every_replay(self) -> None:
        assert self.qualify() == self.qualify()

    def test_staying_there_tells_nobody_again(self) -> None:
        assert plan(lead(decided("sql"), written(60, "sql"), record(stage="sql")), look(70)).handoff is None

    def test_other_stages_and_no_stage_tell_nobody(self) -> None:
        assert self.qualify(replace(POLICY, handoff_stage="mql")).handoff is None
        assert self.qualify(replace(POLICY, handoff_stage=None)).handoff is None

    def test_a_new_lead_that_qualifies_at_once_is_handed_over(self) -> None:
        assert plan(lead(), look(60)).handoff is not None

    def test_the_baseline_alerts_nobody(self) -> None:
        found = plan(lead(), look(60), replace(POLICY, baseline=True))
        assert found.handoff is None
        assert (found.decision.after.stage, found.decision.after.cause) == ("sql", "baseline")
        assert len(found.changes) == 1

    def test_nobody_is_told_of_anyone_while_the_base_is_still_being_read(self) -> None:
        assert self.qualify(replace(POLICY, baseline=True)).handoff is None

    def test_a_move_that_a_new_model_made_is_written_but_alerts_nobody_unless_asked(self) -> None:
        who = lead(replace(decided("mql", frozenset()), model="m@0"), written(25, "mql"), record(stage="mql"))
        found = plan(who, look(60))
        assert (found.handoff, found.changes[0].after.stage, found.decision.after.cause) == (None, "sql", "model")
        assert plan(who, look(60), replace(POLICY, notify_model_changes=True)).handoff is not None

    def test_a_person_who_sets_the_hand_off_stage_hands_the_lead_over(self) -> None:
        found = plan(lead(decided("mql"), written(25, "mql"), record(stage="sql")), look(25))
        assert found.handoff is not None

    def test_a_lead_whose_records_are_gone_is_handed_to_nobody(self) -> None:
        found = plan(lead(decided("mql"), written(25, "mql"), record(stage="mql", deleted=True)), look(60))
        assert (found.handoff, found.changes) == (None, ())

    def test_sales_is_sent_to_a_record_that_shows_the_stage(self) -> None:
        row = record(key=RecordKey("sheet", "rows", "7"))
        told = plan(lead(None, None, row, record()), look(60)).handoff
        assert told is not None
        assert told.record == KEY
        read_only = plan(lead(None, None, row, record()), look(60), replace(POLICY, writable=frozenset())).handoff
        assert read_only is not None
        assert read_only.record == row.key

    @given(st.integers(0, 20), st.integers(0, 20), st.sampled_from(("sql", "mql")))
    def test_who_comes_back_within_the_cool_down_goes_on_in_the_same_episode(
        self, ago: int, cool: int, of: str
    ) -> None:
        policy, before = replace(POLICY, cool_down=timedelta(days=cool)), self.qualify(episode=2)
        after = resumed(before, Told("inst/crm/contacts/7#2", of, NOW - timedelta(days=ago)), policy)
        if ago >= cool or of != "sql":
            assert after == before
            return
        assert (after.handoff, after.resumes, after.decision.after.episode) == (None, "inst/crm/contacts/7#2", 2)
        assert after.changes == before.changes, "the stage moves as always"
        assert replace(after.decision, after=before.decision.after) == before.decision

    def test_nothing_resumes_what_was_never_told_or_is_not_handed_over(self) -> None:
        policy = replace(POLICY, cool_down=timedelta(days=7))
        assert resumed(self.qualify(), None, policy) == self.qualify()
        silent = self.qualify(replace(policy, baseline=True))
        assert resumed(silent, Told("k", "sql", NOW), policy) == silent

    def test_the_three_strongest_reasons_go_along(self) -> None:
        found = plan(lead(), look(60, contributions=LINES)).handoff
        assert found is not None
        assert found.reasons == ("-20 Student (a = b)", "+12.5 Director (c)", "+3 Opens (2 × open)")


def happened(kind: str, days_ago: float) -> ActivitySignal:
    return ActivitySignal(kind, NOW - timedelta(days=days_ago), seen_at=EARLIER)


def test_a_hand_off_tells_the_last_three_things_that_give_points_and_what_is_missing_of_need_and_readiness() -> None:
    def rule(name: str, when: Condition, points: int = 100) -> Rule:
        return Rule(name, name, when, points, where="m:1")

    sent = (happened("sent", 0.5), happened("open", -1))  # sales did the first; the other is still to come
    did = (happened("open", 1), happened("open", 5), happened("open", 1), happened("visit", 2), happened("visit", 3))
    who = lead(signals=Signals(1, {"country": "ES"}, (*sent, *did)))
    model = replace(
        MODEL,
        dimensions=(
            Dimension("engagement", (rule("Opens", ActivityTest("open")), rule("Visits", ActivityTest("visit")),
                                     rule("Silent", ActivityTest("sent"), -100), rule("Calls", ActivityTest("call")))),
            Dimension("need", (rule("Pain", FieldTest("pain", "is_set", True)),)),
            Dimension("readiness", (rule("Budget", FieldTest("budget", "at_least", 5), 900),
                                    rule("Here", FieldTest("country", "any_of", ("FR",))))),
        ),
    )  # fmt: skip
    told = plan(who, look(60), model=model).handoff
    assert told is not None
    days_ago = [(each.kind, (NOW - each.at).days) for each in told.did]
    assert days_ago == [("open", 1), ("visit", 2), ("visit", 3)]
    assert told.missing == ("Budget (budget is empty)", "Pain (pain is empty)")


LINES = (
    Contribution("opens", "Opens", "engagement", 300, "2 × open", "m:1"),
    Contribution("dir", "Director", "fit", 1250, "c", "m:2"),
    Contribution("stud", "Student", "fit", -2000, "a = b", "m:3"),
    Contribution("also", "Also", "fit", 100, "d", "m:4"),
)


class TestReasons:
    def test_the_sums_come_first_then_the_strongest_lines(self) -> None:
        score = Score(1, NOW, "m@1", {"fit": 1250, "engagement": -50}, 1200, LINES)
        assert reasons_of(score, "mql").splitlines() == [
            "MQL · 12 points: fit 12, engagement -1",
            "-20 Student (a = b)",
            "+12.5 Director (c)",
            "+3 Opens (2 × open)",
            "+1 Also (d)",
        ]

    def test_equal_lines_stand_in_a_fixed_order(self) -> None:
        twins = tuple(replace(LINES[0], rule=rule, name=rule) for rule in ("b", "a", "c"))
        assert [line[3:4] for line in strongest(Score(1, NOW, "m", {}, 0, twins), 9)] == ["a", "b", "c"]

    def test_only_so_much_is_told_as_a_side_bar_holds(self) -> None:
        many = tuple(replace(LINES[0], rule=str(i), evidence="x" * 500) for i in range(20))
        text = reasons_of(Score(1, NOW, "m", {}, 0, many), "cold")
        assert len(text) <= 2_000
        assert text.count("\n") <= 8


class TestAdoption:
    def test_at_the_baseline_the_rules_go_on_from_the_stage_the_crm_shows(self) -> None:
        slack = replace(MODEL.stages[1], leave_below=(Gate("fit", ">=", 1000),))
        model = replace(MODEL, stages=(MODEL.stages[0], slack, MODEL.stages[2]))
        who = lead(None, None, record(stage="mql"))
        baseline = replace(POLICY, baseline=True)
        found = plan(who, look(15), baseline, model)
        assert (found.decision.after.stage, found.decision.before, found.decision.moved) == ("mql", None, False)

    def test_adopting_the_hand_off_stage_opens_no_episode_and_alerts_nobody(self) -> None:
        found = plan(lead(None, None, record(stage="sql")), look(60), replace(POLICY, baseline=True))
        assert (found.decision.after.stage, found.decision.after.episode, found.handoff) == ("sql", 0, None)


class TestNextLook:
    def test_the_end_of_a_dwell_is_looked_at_too(self) -> None:
        dwell_ends = NOW + timedelta(days=1)
        assert plan(lead(), look(60)).decision.next_look == dwell_ends
        sooner, later = NOW + timedelta(hours=2), NOW + timedelta(days=9)
        assert plan(lead(), look(60, next_look=sooner)).decision.next_look == sooner
        assert plan(lead(), look(60, next_look=later)).decision.next_look == dwell_ends

    def test_a_dwell_that_is_over_or_a_stage_without_one_asks_for_no_look(self) -> None:
        assert plan(lead(decided("sql"), written(60, "sql"), record(stage="sql")), look(60)).decision.next_look is None
        assert plan(lead(), look(25)).decision.next_look is None


def test_what_was_known_then_is_what_was_seen_by_then() -> None:
    late, early = NOW + timedelta(seconds=1), NOW - timedelta(days=9)
    activities = (
        ActivitySignal("a", early), ActivitySignal("b", early, seen_at=NOW), ActivitySignal("c", early, seen_at=late),
        ActivitySignal("d", late), ActivitySignal("e", late, seen_at=early),
    )  # fmt: skip
    readings = tuple(Reading(KEY, "open", 1, early, seen) for seen in (early, NOW, late))
    known = known_at(Signals(1, {"f": 1}, activities, readings), NOW)
    assert [each.kind for each in known.activities] == ["a", "b", "e"]
    assert known.readings == readings[:2]
    assert (known.lead, known.fields) == (1, {"f": 1})


def test_a_decision_carries_what_it_was_made_of() -> None:
    held = Veto("v", "Competitor", All(()), "cold")
    made = plan(lead(decided("mql"), written(25, "mql"), record(stage="mql")), look(60, vetoes=(held,))).decision
    assert (made.lead, made.revision, made.previous_total, made.veto) == (1, 5, 0, "Competitor")
    assert (made.after.stage, made.after.held_by, made.score.total) == ("cold", "veto", 6000)


@pytest.mark.parametrize(
    ("moves", "alerts", "code"), [(10, 5, None), (11, 5, "SY051"), (10, 6, "SY052"), (11, 6, "SY051"), (0, 0, None)]
)
def test_the_fuse_stops_more_than_a_person_allowed(moves: int, alerts: int, code: str | None) -> None:
    limits = Limits(stage_changes=10, handoffs=5)
    if code is None:
        check_fuse(moves, alerts, limits, "crm")
        return
    with pytest.raises(UnsafePlanError, match="nothing was written") as caught:
        check_fuse(moves, alerts, limits, "crm")
    assert caught.value.code == code
    assert str(moves if code == "SY051" else alerts) in caught.value.message


class TestFields:
    """A stage chosen in a field that people keep for it: `LeadState.override` has it already."""

    WORD = Override("sql", somebody_in("crm"), "knows them", "field", NOW - timedelta(hours=2))

    def who(self, edited_h: int, word: Override = WORD, **shown: Any) -> Lead:
        """Somebody moved the lead to cold so many hours ago at the latest."""
        shows = record(stage="cold", modified_at=NOW - timedelta(hours=edited_h), **shown)
        return lead(decided("mql", frozenset({"override"}), override=word), written(25, "mql"), shows)

    @pytest.mark.parametrize(("edited_h", "stage"), [(1, "cold"), (2, "sql"), (3, "sql")])
    def test_the_word_spoken_last_wins_and_the_field_where_both_came_together(self, edited_h: int, stage: str) -> None:
        made = plan(self.who(edited_h), look(25)).decision.after
        assert (made.stage, made.automatic, made.held_by) == (stage, "mql", "person")

    @pytest.mark.parametrize(("edited_h", "stage"), [(1, "cold"), (2, "cold"), (3, "sql")])
    def test_an_edit_from_before_a_command_does_not_undo_it(self, edited_h: int, stage: str) -> None:
        word = replace(self.WORD, source="command", author="marta")
        assert plan(self.who(edited_h, word), look(25)).decision.after.stage == stage

    def test_an_edit_under_a_clock_that_is_ahead_is_no_later_than_now(self) -> None:
        found = plan(self.who(-1), look(25)).decision.override
        assert found is not None
        assert (found.stage, found.source, found.since) == ("cold", "crm", NOW)

    def test_who_said_it_is_asked_once_where_the_crm_has_not_told(self) -> None:
        asked = self.who(3, manual=Manual("sql", "knows them"))
        assert nameless_word(asked, NOW) == asked.records[0]
        named = replace(self.WORD, author="ana")
        known = self.who(3, named, manual=Manual("sql"))
        obeyed = replace(asked, state=replace(asked.state, touched=frozenset({"activity"})))
        elsewhere = self.who(3, replace(self.WORD, source="command"), manual=Manual("sql"))
        assert [nameless_word(each, NOW) for each in (known, obeyed, elsewhere, self.who(3))] == [None] * 4

    @pytest.mark.parametrize(("touched", "told"), [({"override"}, True), ({"override", "baseline"}, False)])
    def test_what_stood_in_a_field_before_we_looked_is_nobodys_news(self, touched: set[Cause], told: bool) -> None:
        state = decided("mql", frozenset(touched), override=self.WORD)
        found = plan(lead(state, written(25, "mql"), record(stage="mql")), look(25))
        assert (found.decision.after.stage, found.handoff is not None) == ("sql", told)
        if found.handoff is not None:
            assert found.handoff.reasons[0] == "Set to sql by somebody in crm: knows them"

    def test_a_stage_that_the_model_does_not_know_is_not_obeyed(self) -> None:
        state = decided("mql", override=replace(self.WORD, stage="warm"))
        found = plan(lead(state, written(25, "mql"), record(stage="mql")), look(25)).decision
        assert (found.after.stage, found.after.held_by, found.override) == ("mql", "rules", None)


class TestTakingBack:
    def test_clearing_the_field_in_the_crm_ends_the_edit_that_was_made_there(self) -> None:
        word = Override("mql", "marta", "set in the CRM", "crm", EARLIER)
        who = lead(decided("mql", override=word, held_by="person"), written(5, "mql"), record(stage=None))
        found = plan(who, look(5))
        assert (found.decision.after.stage, found.decision.after.held_by) == ("cold", "rules")
        (change,) = found.changes
        assert change.after.stage == "cold"

    def test_clearing_the_field_ends_no_override_by_command(self) -> None:
        word = Override("mql", "marta", "knows them", "command", EARLIER)
        who = lead(decided("mql", override=word, held_by="person"), written(5, "mql"), record(stage=None))
        assert plan(who, look(5)).decision.after.stage == "mql"

    def test_sales_is_told_that_it_was_a_person_who_made_the_lead_ready(self) -> None:
        word = Override("sql", "marta", "knows them", "command", EARLIER)
        found = plan(lead(decided("mql", override=word), written(5, "mql"), record(stage="mql")), look(5))
        assert found.handoff is not None
        assert found.handoff.reasons[0] == "Set to sql by marta: knows them"
