"""Replays: each promise on a small history, and on random ones that they are what the stage machine says day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer import scoring
from syncer.history import History, KnownActivity, Version, signals_at, versions_at
from syncer.measures import Share
from syncer.model import ActivitySignal, Reading, RecordKey, StageState, Value
from syncer.planning import marks_of
from syncer.rules import ActivityTest, Dimension, FieldTest, Gate, Model, Rule, Segment, Stage, Veto
from syncer.simulation import Ending, RuleSet, Trial, back_test, days_until, ending, replay, trials, walk
from syncer.stages import Hands, Occasion, next_state
from tests.scoring import worlds

NOW = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)
ANA = RecordKey("crm", "contacts", "1")
WON, LOST = FieldTest("phase", "any_of", ("customer",)), FieldTest("phase", "any_of", ("disqualified",))


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def model(*, sql: int = 5000, owned: bool = False, dwell_days: int = 0, slack: int | None = None) -> Model:
    """40 for the country, 30 for each meeting of the last 30 days."""
    country = Rule("country", "Country", FieldTest("country", "any_of", ("ES",)), 4000)
    met = Rule("met", "Met", ActivityTest("meeting", in_last_ms=30 * worlds.DAY_MS), 3000, each=True)
    stay = (Gate("engagement", ">=", slack),) if slack is not None else ()
    last = Stage("sql", enter=(Gate("engagement", ">=", sql),), leave_below=stay, dwell_ms=dwell_days * worlds.DAY_MS)
    return Model(
        "small",
        "UTC",
        (Dimension("fit", (country,)), Dimension("engagement", (met,))),
        (
            Stage("cold"),
            Stage("iql", enter=(Gate("fit", ">=", 4000),)),
            replace(last, owned_by="sales" if owned else None),
        ),
        version="small@0",
    )


def rules(**asked: Any) -> RuleSet:
    return RuleSet((Segment(model(**asked)),), "sql")


def lead(
    *versions: tuple[float, Mapping[str, Value]], meetings: Sequence[float] = (), told: float | None = None
) -> History:
    """Versions as (days ago, fields), meetings as days ago; `told`: all meetings were heard of only then."""
    seen = ago(told) if told is not None else None
    acts = tuple(
        KnownActivity(f"crm/m/{rank}", (ANA,), ActivitySignal("meeting", ago(days), seen_at=seen or ago(days)))
        for rank, days in enumerate(meetings)
    )
    return History(1, tuple(Version(ANA, ago(days), fields) for days, fields in versions), acts)


SPAIN: Mapping[str, Value] = {"country": "ES"}
HOT = lead((80, SPAIN), meetings=(20.5, 10.5))
"""Enters sql ten days ago, and leaves it when the older meeting is 30 days old: in ten days."""


def stages_of(history: History, rules: RuleSet, weeks: int = 4) -> list[str | None]:
    return [
        rules.stages[day.ranks[0]] if day.ranks[0] >= 0 else None
        for day in walk([history], rules, days_until(NOW, weeks))
    ]


def test_the_days_end_now_and_have_the_same_hour() -> None:
    days = days_until(NOW, 2)
    assert len(days) == 15
    assert days[-1] == NOW
    assert {after - before for before, after in pairwise(days)} == {timedelta(days=1)}


def test_a_lead_has_no_stage_before_anything_was_known_of_it() -> None:
    found = stages_of(lead((5.5, SPAIN)), rules())
    assert found == [None] * 23 + ["iql"] * 6


def test_what_was_heard_of_later_does_not_count_before() -> None:
    at_once, later = lead((80, SPAIN), meetings=(20.5, 10.5)), lead((80, SPAIN), meetings=(20.5, 10.5), told=2.5)
    assert stages_of(at_once, rules()).index("sql") == 28 - 10
    assert stages_of(later, rules()).index("sql") == 28 - 2


def test_a_stage_is_left_with_slack_after_dwell_and_never_where_people_own_it() -> None:
    cooled = lead((80, SPAIN), meetings=(45.5, 35.5))  # sql from 35 to 15 days ago, where the gates alone decide
    assert stages_of(cooled, rules(), 6).count("sql") == 20
    assert stages_of(cooled, rules(slack=3000), 6).count("sql") == 30  # one meeting is enough to stay
    assert stages_of(cooled, rules(dwell_days=25), 6).count("sql") == 25
    assert stages_of(cooled, rules(owned=True), 6).count("sql") == 36


def test_time_in_a_stage_begins_again_after_a_fall() -> None:
    waits = model()
    waits = replace(
        waits, stages=(waits.stages[0], replace(waits.stages[1], dwell_ms=10 * worlds.DAY_MS), waits.stages[2])
    )
    fallen = lead((80, SPAIN), (12.5, {"country": "FR"}), meetings=(50.5, 45.5))  # out of sql 20 days ago
    found = stages_of(fallen, RuleSet((Segment(waits),), "sql"))
    assert found == ["sql"] * 8 + ["iql"] * 10 + ["cold"] * 11


def test_an_activity_that_was_taken_back_and_a_counter_count_on_the_days_on_which_they_were_believed() -> None:
    met, other = HOT.activities
    withdrawn = replace(HOT, activities=(replace(met, until=ago(4.5)), other))
    assert stages_of(withdrawn, rules())[-8:] == ["sql"] * 3 + ["iql"] * 5
    counted = replace(lead((80, SPAIN)), readings=(Reading(ANA, "meeting", 1, ago(9), ago(3.5)),))
    assert [int(day.totals[0]) for day in walk([counted], rules(), days_until(NOW, 1))] == [4000] * 4 + [7000] * 4


_BARRED = Veto("no", "No", FieldTest("size", "any_of", (1,)), "iql")
_IDLE = tuple(Veto(f"v{rank}", "V", FieldTest("size", "any_of", (9,)), "cold") for rank in range(70))


@pytest.mark.parametrize(
    ("asked", "vetoes"),
    [({}, (_BARRED,)), ({"slack": 3000}, ()), ({"dwell_days": 25}, (_BARRED, *_IDLE)), ({"owned": True}, (_BARRED,))],
)
def test_leads_go_together_as_each_goes_alone(asked: Any, vetoes: tuple[Veto, ...]) -> None:
    """However alike they look: the same gates passed at another age, in another stage, under a veto or not."""
    people = [
        lead((80 - shift, {**fields, "size": int(shift % 15 == 0)}), meetings=(45.5 - shift, 33.5 - shift))
        for shift in range(0, 30, 5)
        for fields in (SPAIN, {})
    ]
    rule_set, days = RuleSet((Segment(replace(model(**asked), vetoes=vetoes)),), "sql"), days_until(NOW, 7)
    together = np.stack([day.ranks for day in walk(people, rule_set, days)])
    for row, each in enumerate(people):
        assert together[:, row].tolist() == [int(day.ranks[0]) for day in walk([each], rule_set, days)]
    assert set(together.flatten().tolist()) == {0, 1, 2}


def test_a_lead_whose_record_is_gone_is_not_looked_at_and_keeps_its_stage() -> None:
    gone = Version(ANA, ago(5), {}, live=False, counts=False)
    history = replace(HOT, versions=(*HOT.versions, gone))
    active = [bool(day.active[0]) for day in walk([history], rules(), days_until(NOW, 4))]
    assert active == [True] * 23 + [False] * 6
    assert stages_of(history, rules())[-1] == "sql"


def test_a_lead_goes_by_the_first_segment_that_it_fits_on_that_day() -> None:
    hard = replace(model(), stages=(Stage("cold"), Stage("iql", enter=(Gate("fit", ">=", 9000),)), Stage("sql")))
    moved = lead((80, {**SPAIN, "size": 1}), (5.5, {**SPAIN, "size": 900}))
    large = FieldTest("size", "at_least", 500)
    segments = (
        Segment(replace(hard, stages=(*hard.stages[:2], Stage("sql", enter=(Gate("fit", ">=", 9000),)))), large),
    )
    assert stages_of(moved, RuleSet((*segments, Segment(model())), "sql"))[-8:] == ["iql", "iql", *["cold"] * 6]
    alone = stages_of(moved, RuleSet(segments, "sql"))
    assert alone == [None] * 23 + ["cold"] * 6, "no segment is for it before"


def test_sales_get_a_lead_in_the_week_in_which_it_enters_the_stage() -> None:
    assert replay([HOT], rules(), days_until(NOW, 4), [None]).handoffs == (0, 0, 1, 0)


@pytest.mark.parametrize(("days_ago", "week"), [(27, 0), (21, 0), (20, 1), (7, 2), (6, 3), (0, 3)])
def test_a_week_ends_on_the_same_day_as_the_replay(days_ago: int, week: int) -> None:
    entering = lead((80, SPAIN), meetings=(days_ago + 9.5, days_ago + 0.5))
    assert replay([entering], rules(), days_until(NOW, 4), [None]).handoffs == tuple(
        int(each == week) for each in range(4)
    )


def test_a_lead_that_qualifies_twice_is_handed_over_twice() -> None:
    again = lead((80, SPAIN), meetings=(45.5, 40.5, 3.5, 2.5))
    assert sum(replay([again], rules(), days_until(NOW, 6), [None]).handoffs) == 2


def test_the_first_day_hands_nobody_over() -> None:
    just_then = lead((7.4, SPAIN), meetings=(7.2, 7.1))
    for history in (HOT, just_then):
        assert stages_of(history, rules(), 1)[0] == "sql"
        found = replay([history], rules(), days_until(NOW, 1), [None])
        assert (found.handoffs, found.unsure) == ((0,), 0)


def test_a_new_lead_that_qualifies_at_once_is_handed_over_and_one_that_had_acted_before_is_not() -> None:
    new = lead((3.5, SPAIN), meetings=(3.2, 3.1))
    old = lead((3.5, SPAIN), meetings=(25.2, 25.1))  # only its record is new to us
    assert stages_of(new, rules())[-1] == stages_of(old, rules())[-1] == "sql"
    assert replay([new], rules(), days_until(NOW, 1), [None]).handoffs == (1,)
    assert replay([old], rules(), days_until(NOW, 1), [None]).handoffs == (0,)
    assert [replay([each], rules(), days_until(NOW, 1), [None]).unsure for each in (new, old)] == [0, 1]


def test_a_lead_that_has_ended_is_not_handed_over_any_more() -> None:
    assert sum(replay([HOT], rules(), days_until(NOW, 4), [Ending(True, ago(12))]).handoffs) == 0
    assert sum(replay([HOT], rules(), days_until(NOW, 4), [Ending(True, ago(5))]).handoffs) == 1


def test_other_rules_place_the_same_leads_elsewhere() -> None:
    cold = replace(lead((80, {"country": "FR"})), lead=2)
    now = replay([HOT, cold], rules(), days_until(NOW, 4), [None, None])
    stricter = replay([HOT, cold], rules(sql=9000), days_until(NOW, 4), [None, None])
    assert now.stages == ("sql", "cold")
    assert stricter.stages == ("iql", "cold")
    assert now.totals == stricter.totals == (10_000, 0)


def test_nobody_to_replay_is_no_mistake() -> None:
    found = replay([], rules(), days_until(NOW, 2), [])
    assert (found.stages, found.totals, found.handoffs) == ((), (), (0, 0))
    assert trials([], rules(), days_until(NOW, 2), []) == []


# How leads end.


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([(50, {"phase": "lead"}), (9, {"phase": "Customer"})], Ending(True, ago(9))),
        ([(50, {"phase": "lead"}), (9, {"phase": "disqualified"})], Ending(False, ago(9))),
        ([(50, {"phase": "customer"}), (9, {"phase": "customer", "size": 3})], Ending(True, ago(50))),
        ([(50, {"phase": "customer"}), (30, {"phase": "lead"}), (9, {"phase": "customer"})], Ending(True, ago(9))),
        ([(50, {"phase": "customer"}), (9, {"phase": "disqualified"})], Ending(False, ago(9))),
        ([(50, {"phase": "customer"}), (9, {"phase": "lead"})], None),
        ([(50, {})], None),
    ],
)
def test_a_lead_ends_when_its_field_has_said_so_since(versions: Any, expected: Ending | None) -> None:
    assert ending(lead(*versions), WON, LOST, None, NOW) == expected


def test_the_date_of_the_end_counts_where_it_is_earlier_than_the_word() -> None:
    def ended(date: str) -> Ending | None:
        return ending(lead((50, {}), (9, {"phase": "customer", "closed": date})), WON, LOST, "closed", NOW)

    assert ended("2026-11-10") == Ending(True, datetime(2026, 11, 10, tzinfo=UTC))
    assert ended("2027-01-01") == Ending(True, ago(9)), "on the days between it was known already"
    assert ended("soon") == Ending(True, ago(9))


def test_without_values_for_lost_only_won_leads_end() -> None:
    assert ending(lead((9, {"phase": "disqualified"})), WON, None, None, NOW) is None
    assert ending(lead((9, {"phase": "customer"})), WON, None, None, NOW) == Ending(True, ago(9))


# The back-test.


def tried(history: History, end: Ending) -> Trial | None:
    return trials([history], rules(), days_until(NOW, 8), [end])[0]


def test_a_trial_sees_the_days_before_the_end_alone() -> None:
    assert tried(HOT, Ending(True, ago(12))) == Trial(won=True, qualified=False, total=7000)
    assert tried(HOT, Ending(True, ago(10))) == Trial(won=True, qualified=False, total=7000)
    cooling = lead((80, SPAIN), meetings=(45.5, 35.5))  # has 7000 up to six days ago
    assert tried(cooling, Ending(True, ago(5))) == Trial(won=True, qualified=True, total=7000)
    assert tried(HOT, Ending(False, ago(8.9))) == Trial(won=False, qualified=True, total=10_000)


def test_a_fact_that_comes_with_the_end_or_after_it_changes_no_trial() -> None:
    end = Ending(True, ago(12))
    leak: Mapping[str, Value] = {**SPAIN, "phase": "customer"}
    richer = replace(
        HOT,
        versions=(*HOT.versions, Version(ANA, end.at, leak)),
        activities=(*HOT.activities, *lead(meetings=(40, 13), told=11).activities),
    )
    assert tried(richer, end) == tried(HOT, end)


def test_a_lead_that_ended_before_anything_was_known_of_it_is_no_trial() -> None:
    assert tried(lead((5, SPAIN)), Ending(True, ago(5))) is None
    assert tried(lead((5, SPAIN)), Ending(True, ago(3))) is not None


def test_a_lead_that_qualified_once_and_fell_back_before_its_end_has_qualified() -> None:
    cooled = lead((80, SPAIN), meetings=(45.5, 35.5))
    assert tried(cooled, Ending(True, ago(1))) == Trial(won=True, qualified=True, total=4000)


def test_the_back_test_counts_both_ways() -> None:
    known = [
        *([Trial(True, True, 900)] * 20), *([Trial(True, False, 300)] * 5),
        *([Trial(False, True, 600)] * 10), *([Trial(False, False, 100)] * 65),
    ]  # fmt: skip
    found = back_test([*known, None, None])
    assert (found.leads, found.unknown) == (100, 2)
    assert found.won == Share(20, 25)
    assert found.qualified == Share(20, 30)
    assert found.auc == pytest.approx((20 * 75 + 5 * 65) / (25 * 75))
    assert found.lift == pytest.approx(4)


@pytest.mark.parametrize(
    ("trials_", "few"),
    [
        ([Trial(True, True, 1)] * 29, True),
        ([Trial(True, True, 1)] * 30, False),
        ([Trial(True, True, 1), Trial(False, False, 1)] * 20, False),
        ([Trial(True, True, 1)] * 5 + [Trial(False, True, 1)] * 95, True),  # of five won nothing can be said
        ([Trial(True, False, 1)] * 95 + [Trial(False, True, 1)] * 3, True),  # nor of three that qualified
        ([], True),
    ],
)
def test_too_few_leads_and_too_wide_intervals_are_owned_up_to(trials_: list[Trial], few: bool) -> None:
    assert back_test(trials_).too_few is few


def test_a_back_test_without_lost_leads_has_no_auc_and_no_lift() -> None:
    found = back_test([Trial(True, True, 5)] * 40)
    assert (found.auc, found.lift) == (None, None)


# Random histories under random rules.

_DAYS = tuple(worlds.AS_OF - timedelta(days=back) for back in range(15, -1, -1))
_gates = st.builds(
    Gate, st.sampled_from(("total", "fit", "need")), st.sampled_from((">=", "<")), st.integers(-500, 3000)
)
_middle = st.builds(
    Stage,
    name=st.just("iql"),
    enter=st.lists(_gates, max_size=2).map(tuple),
    leave_below=st.lists(_gates, max_size=1).map(tuple),
    or_any=st.lists(worlds.conditions, max_size=1).map(tuple),
    skip_gates=st.booleans(),
    owned_by=st.sampled_from((None, "sales")),
    falls_back=st.booleans(),
    dwell_ms=st.sampled_from((0, 3 * worlds.DAY_MS)),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    times = sorted(draw(st.lists(worlds.moments, min_size=1, max_size=3, unique=True)))
    versions = tuple(Version(ANA, at, draw(worlds.fields), draw(st.sampled_from((True, True, False)))) for at in times)
    acts = []
    for rank, signal in enumerate(draw(st.lists(worlds.activities, max_size=6))):
        seen, until = draw(worlds.moments), draw(st.one_of(st.none(), worlds.moments))
        acts.append(KnownActivity(f"a/{rank}", (ANA,), replace(signal, seen_at=seen), until))
    return History(draw(st.integers(1, 99)), versions, tuple(acts))


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    segments = []
    for number in range(draw(st.integers(1, 2))):
        found = draw(worlds.models())
        stages = (found.stages[0], draw(_middle), replace(draw(_middle), name="sql"))
        when = draw(st.one_of(st.none(), worlds.conditions)) if number == 0 else None
        segments.append(Segment(replace(found, stages=stages), when))
    return RuleSet(tuple(segments), "sql")


def naive(history: History, rules: RuleSet, end: Ending | None) -> list[tuple[str | None, int]]:
    """(stage, total) of each day, one lead and one day at a time."""
    state, total, found = None, 0, []
    for day in _DAYS:
        live = any(versions[-1].live for versions in versions_at(history, day).values())
        signals = signals_at(history, day)
        fits = [one.model for one in rules.segments if one.when is None or scoring.passes(one.when, signals, day)]
        if live and fits and (end is None or day < end.at):
            evaluation = scoring.evaluate(scoring.match([signals], fits[0]), fits[0], day)
            state = next_state(state, marks_of(fits[0], evaluation, 0), fits[0], Hands(), Occasion(day, "fading"))
            total = int(evaluation.total[0])
        found.append((state.stage if isinstance(state, StageState) else None, total))
    return found


@given(st.lists(histories(), min_size=1, max_size=6), rule_sets(), st.data())
@settings(max_examples=25, deadline=None)
def test_the_walk_is_the_stage_machine_day_by_day(people: list[History], rules: RuleSet, data: st.DataObject) -> None:
    ends = [
        Ending(True, at) if at else None
        for at in data.draw(st.lists(st.one_of(st.none(), worlds.moments), min_size=len(people), max_size=len(people)))
    ]
    walked = list(walk(people, rules, _DAYS, ends))
    for row, (history, end) in enumerate(zip(people, ends, strict=True)):
        seen = [(rules.stages[day.ranks[row]] if day.ranks[row] >= 0 else None, int(day.totals[row])) for day in walked]
        assert seen == naive(history, rules, end)
