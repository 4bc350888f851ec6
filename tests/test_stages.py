"""The stage machine: section 6 of the meaning, sentence by sentence, and what must hold for any lead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.model import Cause, Override, StageState
from syncer.rules import ActivityTest, All, Gate, Measure, Model, Stage, Veto
from syncer.stages import Ahead, Hands, Marks, Occasion, gates_to_stay, missing, next_state, passes

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(days=10)
NAMES = ("cold", "iql", "mql", "sql")
NOBODY = Hands()


def at_least(measure: Measure, points: int) -> Gate:
    return Gate(measure, ">=", points * 100)


def model_of(*vetoes: Veto, **changed: dict[str, Any]) -> Model:
    """The stages of the article; `sql={...}` changes one."""
    stages = (
        Stage("cold"),
        Stage("iql", enter=(at_least("fit", 40),)),
        Stage(
            "mql", enter=(at_least("engagement", 20), Gate("need", ">", 0)), leave_below=(at_least("engagement", 12),)
        ),
        Stage("sql", enter=(at_least("fit", 60), at_least("engagement", 40))),
    )
    return Model("m", "UTC", (), tuple(replace(stage, **changed.get(stage.name, {})) for stage in stages), vetoes)


def veto(hold_at: str = "cold") -> Veto:
    return Veto("v", "Competitor", All(()), hold_at)


def marks(fit: int = 0, engagement: int = 0, need: int = 0, **more: Any) -> Marks:
    """Whole points."""
    dimensions = {"fit": fit * 100, "engagement": engagement * 100, "need": need * 100}
    return Marks(dimensions, sum(dimensions.values()), **more)


COLD, IQL, MQL, SQL = marks(), marks(40), marks(40, 20, 1), marks(60, 40, 1)


def state(stage: str, automatic: str | None = None, **more: Any) -> StageState:
    return StageState(stage, automatic or stage, more.pop("since", EARLIER), **more)


def by_hand(stage: str) -> Hands:
    return Hands(Override(stage, "marta@acme.es", "knows them", "crm", EARLIER))


def step(
    before: StageState | None, seen: Marks, model: Model | None = None, hands: Hands = NOBODY, cause: Cause = "activity"
) -> StageState:
    return next_state(before, seen, model or model_of(), hands, Occasion(NOW, cause, "sql"))


class TestGates:
    @pytest.mark.parametrize(("seen", "stage"), [(COLD, "cold"), (IQL, "iql"), (MQL, "mql"), (SQL, "sql")])
    @pytest.mark.parametrize("before", [None, "cold"])
    def test_a_lead_stands_where_its_gates_put_it(self, seen: Marks, stage: str, before: str | None) -> None:
        assert step(state(before) if before else None, seen).stage == stage

    def test_interest_without_profile_never_passes_iql(self) -> None:
        assert step(None, marks(fit=39, engagement=1000, need=1000)).stage == "cold"

    def test_profile_without_interest_stays_iql(self) -> None:
        assert step(None, marks(fit=1000)).stage == "iql"

    def test_the_gates_before_must_all_be_passed(self) -> None:
        assert step(None, marks(fit=60, engagement=40, need=0)).stage == "iql"

    @pytest.mark.parametrize(
        ("comparison", "below", "equal", "above"),
        [(">=", False, True, True), (">", False, False, True), ("<=", True, True, False), ("<", True, False, False)],
    )
    def test_gates_compare_exact_hundredths(self, comparison: Any, below: bool, equal: bool, above: bool) -> None:
        gate = Gate("fit", comparison, 4000)
        answers = [passes(gate, Marks({"fit": points}, 0)) for points in (3999, 4000, 4001)]
        assert answers == [below, equal, above]

    def test_a_gate_may_ask_for_the_total_or_for_a_dimension_without_rules(self) -> None:
        assert passes(at_least("total", 5), Marks({"fit": 0}, 500))
        assert not passes(at_least("total", 5), Marks({"fit": 500}, 499))
        assert not passes(Gate("need", ">", 0), Marks({}, 500))
        assert passes(Gate("need", ">=", 0), Marks({}, 500))

    @given(
        st.integers(-10_000, 3_999), st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from((None, *NAMES[:1]))
    )
    def test_no_interest_whatever_makes_up_for_a_missing_profile(
        self, fit: int, engagement: int, need: int, before: str | None
    ) -> None:
        seen = Marks(
            {"fit": fit, "engagement": engagement, "need": need}, fit + engagement + need, frozenset({"sql", "mql"})
        )
        assert step(state(before) if before else None, seen).stage == "cold"


class TestShortcuts:
    def test_a_shortcut_passes_the_stages_own_gates(self) -> None:
        assert step(None, replace(MQL, shortcuts=frozenset({"sql"}))).stage == "sql"

    def test_a_shortcut_never_passes_the_gates_before(self) -> None:
        assert step(None, replace(IQL, shortcuts=frozenset({"sql"}))).stage == "iql"

    def test_skip_gates_passes_them_all(self) -> None:
        jump = model_of(sql={"skip_gates": True})
        assert step(None, replace(COLD, shortcuts=frozenset({"sql"})), jump).stage == "sql"
        assert step(None, COLD, jump).stage == "cold"

    def test_skip_gates_opens_no_stage_after_it(self) -> None:
        jump = model_of(iql={"skip_gates": False}, mql={"skip_gates": True})
        seen = marks(fit=0, engagement=100, need=1, shortcuts=frozenset({"mql"}))
        assert step(None, seen, jump).stage == "mql"
        model = replace(jump, stages=(*jump.stages, Stage("hot")))
        assert step(None, seen, model).stage == "mql"

    def test_two_shortcuts_in_a_row_work_together(self) -> None:
        assert step(None, replace(IQL, shortcuts=frozenset({"mql", "sql"}))).stage == "sql"

    def test_when_the_shortcut_ends_the_lead_falls_back(self) -> None:
        assert step(state("sql"), MQL).stage == "mql"


class TestSlack:
    @pytest.mark.parametrize(("engagement", "stage"), [(20, "mql"), (19, "mql"), (12, "mql"), (11, "iql")])
    def test_within_the_slack_a_lead_stays(self, engagement: int, stage: str) -> None:
        assert step(state("mql"), marks(40, engagement, 1)).stage == stage

    def test_slack_helps_nobody_in(self) -> None:
        for before in (None, state("cold"), state("iql")):
            assert step(before, marks(40, 19, 1)).stage == "iql"

    def test_slack_of_the_stages_before_holds_too(self) -> None:
        loose = model_of(sql={"enter": (at_least("fit", 60),)})
        assert step(state("sql"), marks(60, 12, 1), loose).stage == "sql"
        assert step(state("iql"), marks(60, 12, 1), loose).stage == "iql"

    def test_gates_on_other_measures_hold_as_before(self) -> None:
        assert step(state("mql"), marks(40, 19, 0)).stage == "iql"
        assert step(state("mql"), marks(39, 19, 1)).stage == "cold"
        kept = gates_to_stay(model_of().stages[2])
        assert set(kept) == {at_least("engagement", 12), Gate("need", ">", 0)}

    @given(st.lists(st.integers(1200, 1999), min_size=1, max_size=10))
    def test_nobody_flaps_within_the_slack(self, walk: list[int]) -> None:
        now: StageState | None = state("mql")
        for engagement in walk:
            now = step(now, Marks({"fit": 4000, "engagement": engagement, "need": 100}, 0))
        assert now == state("mql")


class TestGoingDown:
    def test_without_dwell_a_lead_falls_at_once_and_all_the_way(self) -> None:
        assert step(state("sql", since=NOW), COLD).stage == "cold"

    @pytest.mark.parametrize(("hours", "stage"), [(0, "mql"), (23.999, "mql"), (24, "cold"), (25, "cold")])
    def test_dwell_keeps_a_lead_at_least_that_long(self, hours: float, stage: str) -> None:
        model = model_of(mql={"dwell_ms": 24 * 3_600_000})
        assert step(state("mql", since=NOW - timedelta(hours=hours)), COLD, model).stage == stage

    def test_dwell_keeps_nobody_from_going_up(self) -> None:
        assert step(state("mql", since=NOW), SQL, model_of(mql={"dwell_ms": 10**9})).stage == "sql"

    def test_a_stage_that_does_not_fall_back_keeps_its_leads(self) -> None:
        model = model_of(mql={"falls_back": False})
        assert step(state("mql"), COLD, model).stage == "mql"
        assert step(state("sql"), COLD, model).stage == "mql"
        assert step(state("mql"), SQL, model).stage == "sql"

    def test_from_an_owned_stage_only_a_person_moves_a_lead_down(self) -> None:
        model = model_of(sql={"owned_by": "sales"})
        assert step(state("sql"), COLD, model).stage == "sql"
        assert step(state("sql"), COLD, model, by_hand("iql")).stage == "iql"

    def test_an_owned_stage_also_stops_a_fall_from_above(self) -> None:
        model = model_of(mql={"owned_by": "marketing"})
        assert step(state("sql"), COLD, model).stage == "mql"

    def test_a_stage_the_model_no_longer_has_is_left_for_what_the_points_say(self) -> None:
        assert step(state("hot"), IQL).stage == "iql"


class TestVetoes:
    @pytest.mark.parametrize(
        ("hold_at", "seen", "stage"), [("cold", SQL, "cold"), ("iql", SQL, "iql"), ("iql", COLD, "cold")]
    )
    def test_a_veto_holds_a_lead_whatever_the_points(self, hold_at: str, seen: Marks, stage: str) -> None:
        for before in (None, state("cold"), state("mql")):
            assert step(before, replace(seen, vetoes=(veto(hold_at),))).stage == stage

    def test_the_coldest_of_several_vetoes_holds(self) -> None:
        assert step(None, replace(SQL, vetoes=(veto("mql"), veto("iql")))).stage == "iql"

    def test_a_veto_waits_for_no_dwell_and_no_falls_back(self) -> None:
        model = model_of(mql={"dwell_ms": 10**12, "falls_back": False})
        assert step(state("mql", since=NOW), replace(MQL, vetoes=(veto(),)), model).stage == "cold"

    def test_a_veto_that_ends_a_stay_lets_the_lead_fall_on_in_one_step(self) -> None:
        kept = model_of(mql={"falls_back": False})
        assert step(state("mql"), replace(COLD, vetoes=(veto("iql"),)), kept).stage == "cold"
        owned = model_of(mql={"owned_by": "marketing"})
        assert step(state("sql"), replace(COLD, vetoes=(veto("mql"),)), owned).stage == "mql"

    def test_a_veto_stops_shortcuts_too(self) -> None:
        jump = model_of(sql={"skip_gates": True})
        assert step(None, replace(SQL, shortcuts=frozenset({"sql"}), vetoes=(veto(),)), jump).stage == "cold"

    def test_held_by_says_veto_only_where_it_holds(self) -> None:
        assert step(None, replace(SQL, vetoes=(veto("iql"),))).held_by == "veto"
        assert step(None, replace(COLD, vetoes=(veto("iql"),))).held_by == "rules"
        assert step(None, SQL).held_by == "rules"

    def test_a_veto_takes_nobody_out_of_a_stage_that_people_own_but_lets_nobody_rise_from_it(self) -> None:
        model = model_of(mql={"owned_by": "marketing"})
        stopped = step(state("mql"), replace(SQL, vetoes=(veto(),)), model)
        assert (stopped.stage, stopped.held_by) == ("mql", "rules")
        assert step(state("mql"), replace(SQL, vetoes=(veto("sql"),)), model).stage == "sql"

    def test_when_the_veto_ends_the_points_decide_again(self) -> None:
        held = step(state("sql"), replace(SQL, vetoes=(veto(),)))
        assert step(held, SQL).stage == "sql"


class TestPeople:
    def test_an_override_fixes_the_stage_and_the_rules_go_on_computing_theirs(self) -> None:
        held = step(state("iql"), SQL, hands=by_hand("mql"))
        assert (held.stage, held.automatic, held.held_by, held.cause) == ("mql", "sql", "person", "override")
        later = step(held, IQL, hands=by_hand("mql"))
        assert (later.stage, later.automatic) == ("mql", "iql")
        back = step(later, IQL)
        assert (back.stage, back.held_by) == ("iql", "rules")

    def test_an_override_stands_over_a_veto(self) -> None:
        held = step(state("cold"), replace(SQL, vetoes=(veto(),)), hands=by_hand("sql"))
        assert (held.stage, held.automatic, held.held_by) == ("sql", "cold", "person")

    def test_a_person_who_moved_a_lead_up_into_an_owned_stage_and_lets_go_gives_it_back_to_the_rules(self) -> None:
        model = model_of(sql={"owned_by": "sales"})
        held = step(state("iql"), IQL, model, by_hand("sql"))
        assert (held.stage, held.automatic) == ("sql", "iql"), "what the rules would say is not what the person said"
        assert step(held, IQL, model).stage == "iql"

    def test_a_lead_moved_out_of_an_owned_stage_is_the_rules_business_again(self) -> None:
        """Else it would come back, and be handed over again, on points that it lost long ago."""
        model = model_of(sql={"owned_by": "sales"})
        out = step(state("sql"), SQL, model, by_hand("iql"))
        assert (out.stage, out.automatic) == ("iql", "sql")
        faded = step(out, IQL, model, by_hand("iql"))
        assert (faded.stage, faded.automatic) == ("iql", "iql")
        assert step(faded, IQL, model).stage == "iql"

    def test_a_lead_moved_up_out_of_an_owned_stage_is_the_rules_business_again_too(self) -> None:
        model = model_of(mql={"owned_by": "marketing"})
        assert step(state("mql"), COLD, model).automatic == "mql"
        assert step(state("mql"), COLD, model, by_hand("sql")).automatic == "cold"

    def test_slack_is_for_where_the_rules_stood_and_a_person_who_moves_a_lead_down_takes_it_away(self) -> None:
        within = marks(40, 15, 1)
        assert step(state("mql"), within, hands=by_hand("iql")).automatic == "iql"
        assert step(state("iql"), within, hands=by_hand("sql")).automatic == "iql", "one who moves it up gives none"
        assert step(state("iql", automatic="mql"), within, hands=by_hand("iql")).automatic == "mql", "said before"

    def test_a_word_for_or_a_state_in_a_stage_that_is_no_more_does_no_harm(self) -> None:
        said = step(state("mql"), marks(40, 15, 1), hands=by_hand("hot"))
        assert (said.stage, said.automatic) == ("hot", "mql")
        assert step(state("hot"), MQL, hands=by_hand("cold")).automatic == "mql"

    def test_it_comes_back_on_points_that_still_hold(self) -> None:
        model = model_of(sql={"owned_by": "sales"})
        out = step(state("sql", episode=1), SQL, model, by_hand("iql"))
        back = step(out, SQL, model)
        assert (back.stage, back.episode) == ("sql", 2)

    def test_a_protected_lead_is_never_touched(self) -> None:
        for hands in (Hands(protected=True), replace(by_hand("sql"), protected=True)):
            kept = step(state("mql", episode=2), COLD, hands=hands)
            assert (kept.stage, kept.held_by, kept.since, kept.episode) == ("mql", "protected", EARLIER, 2)

    def test_a_protected_lead_never_seen_before_is_cold_and_opens_no_episode(self) -> None:
        first = step(None, SQL, hands=Hands(protected=True))
        assert (first.stage, first.automatic, first.episode, first.held_by) == ("cold", "sql", 0, "protected")
        told_of_cold = Occasion(NOW, "activity", "cold")
        assert next_state(None, SQL, model_of(), Hands(protected=True), told_of_cold).episode == 0
        assert next_state(None, COLD, model_of(), NOBODY, told_of_cold).episode == 1


class TestMissing:
    """What `explain` says is missing for the next stage."""

    def test_the_shut_gates_of_the_next_stage_are_missing(self) -> None:
        shut = (at_least("engagement", 20), Gate("need", ">", 0))
        assert missing(state("iql"), marks(40, 5, 0), model_of()) == Ahead("mql", shut)
        assert missing(state("iql"), marks(40, 20, 0), model_of()) == Ahead("mql", shut[1:])

    def test_gates_of_the_stages_on_the_way_count_with_the_slack_the_lead_has_there(self) -> None:
        assert missing(state("mql"), marks(60, 12, 1), model_of()) == Ahead("sql", (at_least("engagement", 40),))
        shut = (at_least("fit", 40), at_least("engagement", 12), Gate("need", ">", 0), at_least("fit", 60),
                at_least("engagement", 40))  # fmt: skip
        assert missing(state("mql"), marks(39, 11, 0), model_of()) == Ahead("sql", shut)

    def test_the_next_stage_is_the_one_after_where_the_rules_have_the_lead(self) -> None:
        found = missing(state("sql", automatic="cold"), COLD, model_of())
        assert found == Ahead("iql", (at_least("fit", 40),))

    def test_nothing_is_missing_at_the_top(self) -> None:
        assert missing(state("sql"), COLD, model_of()) is None

    def test_a_shortcut_that_holds_leaves_nothing_missing_of_its_stage(self) -> None:
        seen = marks(50, shortcuts=frozenset({"mql"}))
        shut = (at_least("fit", 60), at_least("engagement", 40))
        assert missing(state("mql"), seen, model_of()) == Ahead("sql", shut)
        assert missing(state("iql"), seen, model_of()) == Ahead("mql", ())
        assert missing(state("cold"), replace(seen, dimensions={}), model_of()) == Ahead("iql", (at_least("fit", 40),))

    def test_a_shortcut_that_would_do_instead_of_what_is_missing_is_told(self) -> None:
        demo = (ActivityTest("demo_request"),)
        own, all_ = model_of(sql={"or_any": demo}), model_of(sql={"or_any": demo, "skip_gates": True})
        shut = (at_least("engagement", 40),)
        assert missing(state("mql"), marks(60, 20, 1), own) == Ahead("sql", shut, demo)
        assert missing(state("mql"), marks(60, 20, 1), all_) == Ahead("sql", shut, demo, skip_gates=True)
        no_need = (Gate("need", ">", 0),)
        assert missing(state("mql"), marks(60, 40), own) == Ahead("sql", no_need), "it leads past sql's own gates only"
        assert missing(state("mql"), marks(60, 40), all_) == Ahead("sql", no_need, demo, skip_gates=True)

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_what_is_missing_and_nothing_else_keeps_a_lead_out(self, data: st.DataObject) -> None:
        model = model_of(**{name: {"skip_gates": data.draw(st.booleans())} for name in NAMES[1:]})
        stands = state(data.draw(st.sampled_from(NAMES[:-1])))
        points = {name: data.draw(st.integers(-100, 7000)) for name in ("fit", "engagement", "need")}
        seen = Marks(points, 0, data.draw(st.frozensets(st.sampled_from(NAMES[1:]))))
        ahead = missing(stands, seen, model)
        assert ahead is not None

        def enters(points: dict[str, int]) -> bool:
            after = step(stands, replace(seen, dimensions=points), model).stage
            return model.stage_rank(after) >= model.stage_rank(ahead.stage)

        met = {gate.measure: gate.threshold + (gate.comparison == ">") for gate in ahead.gates}
        met = {name: max(threshold, points[name]) for name, threshold in met.items()}
        assert enters(points | met)
        for name in met:
            assert not enters(points | met | {name: points[name]})


class TestBooks:
    def test_since_and_cause_change_only_with_the_stage(self) -> None:
        before = state("mql", episode=3, cause="profile")
        assert step(before, MQL, cause="fading") == before
        moved = step(before, IQL, cause="fading")
        assert (moved.since, moved.cause, moved.episode) == (NOW, "fading", 3)

    def test_only_entering_the_hand_off_stage_opens_an_episode(self) -> None:
        first = step(None, SQL)
        assert first.episode == 1
        assert step(first, SQL).episode == 1
        fallen = step(first, IQL)
        assert fallen.episode == 1
        assert step(fallen, SQL).episode == 2
        assert next_state(None, SQL, model_of(), NOBODY, Occasion(NOW, "activity", None)).episode == 0

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_for_any_lead_the_machine_keeps_its_promises(self, data: st.DataObject) -> None:
        points = st.integers(-100, 7000)
        model = model_of(
            mql={"dwell_ms": data.draw(st.sampled_from((0, 10**6, 10**10))), "falls_back": data.draw(st.booleans())},
            sql={"owned_by": data.draw(st.sampled_from((None, "sales")))},
        )
        names = st.sampled_from(NAMES)
        before = data.draw(
            st.one_of(
                st.none(),
                st.builds(state, names, names, since=st.sampled_from((NOW, EARLIER)), episode=st.integers(0, 3)),
            )
        )
        dimensions = {name: data.draw(points) for name in ("fit", "engagement", "need")}
        held = data.draw(st.lists(st.builds(veto, names), max_size=2).map(tuple))
        seen = Marks(dimensions, sum(dimensions.values()), data.draw(st.frozensets(names)), held)
        hands = data.draw(st.one_of(st.just(NOBODY), st.builds(by_hand, names), st.just(Hands(protected=True))))
        after = step(before, seen, model, hands)
        _check_promises(before, after, (seen, model, hands))
        assert step(after, seen, model, hands) == after  # nothing new, nothing moves


def _check_promises(before: StageState | None, after: StageState, asked: tuple[Marks, Model, Hands]) -> None:
    seen, model, hands = asked
    if before is not None and before.stage == after.stage:
        assert (after.since, after.episode, after.cause) == (before.since, before.episode, before.cause)
    else:
        qualified = after.stage == "sql" and not hands.protected
        assert (after.since, after.episode) == (NOW, (before.episode if before else 0) + qualified)
    if hands.protected:
        assert after.stage == (before.stage if before else "cold")
    elif hands.override:
        assert (after.stage, after.held_by) == (hands.override.stage, "person")
    else:
        assert after.stage == after.automatic
        owned = before is not None and before.stage == before.automatic == "sql" and model.stages[3].owned_by
        if owned:
            assert after.stage == "sql"
        for each in () if owned else seen.vetoes:
            assert model.stage_rank(after.stage) <= model.stage_rank(each.hold_at)
        if before is None and not seen.vetoes:
            assert after.stage == _climbed(seen, model)


def _climbed(seen: Marks, model: Model) -> str:
    """Gate after gate, as a person would."""
    name = model.stages[0].name
    for stage in model.stages[1:]:
        if stage.name not in seen.shortcuts and not all(passes(gate, seen) for gate in stage.enter):
            break
        name = stage.name
    return name
