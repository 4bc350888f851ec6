"""Parts by cause: each told apart on a small history, and on random ones that they always add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer import scoring
from syncer.differences import CAUSES, MOST_FACTS, MOST_SPANS, Difference, Rulebook, Shift, difference
from syncer.history import History, KnownActivity, Version, signals_at
from syncer.model import ActivitySignal, Cause, Reading, RecordKey, Value
from syncer.rules import ActivityTest, Dimension, Fade, FieldTest, Model, Rule, Segment, Stage
from tests.scoring import worlds

ANA = RecordKey("crm", "contacts", "1")
TWIN = RecordKey("crm", "contacts", "2")
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 21, tzinfo=UTC)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, number, hour, tzinfo=UTC)


def model(fit: int = 4000, *, maximum: int | None = None) -> Model:
    country = Rule("country", "Target country", FieldTest("country", "any_of", ("es",)), fit)
    came = Rule("came", "Came", ActivityTest("meeting"), 1000, each=True, fade=Fade("step", 24 * 10))
    return Model(
        "small",
        "UTC",
        (Dimension("fit", (country,)), Dimension("engagement", (came,), max=maximum)),
        (Stage("cold"),),
        version=f"small@{fit}",
    )


def rulebook(*models: Model, since: datetime = START - timedelta(days=99)) -> Rulebook:
    return since, tuple(Segment(each) for each in models)


def version(since: datetime, key: RecordKey = ANA, **more: Any) -> Version:
    fields: Mapping[str, Value] = {name: more.pop(name) for name in ("country", "size") if name in more}
    return Version(key, since, fields, **more)


def meeting(at: datetime, *, number: int = 1, key: RecordKey = ANA, **more: datetime | None) -> KnownActivity:
    signal = ActivitySignal("meeting", at, seen_at=more.get("seen"))
    return KnownActivity(f"crm/meetings/{number}", (key,), signal, more.get("until"))


def parts(history: History, *rules: Rulebook, start: datetime = START, end: datetime = END) -> dict[str, int]:
    """Cause -> hundredths; causes that moved nothing are left out."""
    found = difference(history, rules or (rulebook(model()),), start, end)
    assert_adds_up(found)
    return {cause: sum(each.values()) for cause, each in found.parts.items() if any(each.values())}


def assert_adds_up(found: Difference) -> None:
    names = {*found.before.dimensions, *found.after.dimensions}
    for name in names:
        moved = sum(each.get(name, 0) for each in found.parts.values())
        assert found.before.dimensions.get(name, 0) + moved == found.after.dimensions.get(name, 0)
    assert found.before.total + sum(sum(each.values()) for each in found.parts.values()) == found.after.total


def test_a_meeting_is_an_activity_and_its_ageing_is_fading() -> None:
    history = History(1, (version(day(1), country="ES"),), (meeting(day(5)),))
    found = difference(history, [rulebook(model())], START, END)
    assert found.before.dimensions == {"fit": 4000, "engagement": 0}
    assert found.after.dimensions == {"fit": 4000, "engagement": 500}
    assert found.parts["activity"] == {"fit": 0, "engagement": 1000}
    assert found.parts["fading"] == {"fit": 0, "engagement": -500}
    assert tuple(found.parts) == CAUSES
    step = found.steps[0]
    assert (step.at, step.cause, step.shifts) == (day(5), "activity", (Shift("came", "Came", "engagement", 1000),))


def test_a_changed_field_is_profile_and_nothing_known_before_counts_as_nothing() -> None:
    assert parts(History(1, (version(day(3), country="FR"), version(day(9), country="ES")))) == {"profile": 4000}
    assert parts(History(1, (version(day(3), country="ES"), version(day(9))))) == {}
    assert difference(History(1, (version(day(3), country="ES"),)), [rulebook(model())], START, END).before.total == 0


def test_of_two_records_the_one_that_changed_last_counts_in_every_step() -> None:
    earlier = version(START, TWIN), version(day(5), TWIN, country="FR")
    later = version(START), version(day(9), country="ES")
    assert parts(History(1, (*later, *earlier))) == {"profile": 4000}


def test_a_deleted_record_takes_its_activities_with_it_as_profile() -> None:
    gone = version(day(9), country="ES", live=False, counts=False)
    history = History(1, (version(START, country="ES"), gone), (meeting(START),))
    assert parts(history, end=day(10)) == {"profile": -5000}


def test_new_rules_are_model_also_where_another_segment_takes_the_lead() -> None:
    history = History(1, (version(START, country="ES"),))
    assert parts(history, rulebook(model()), rulebook(model(2500), since=day(9))) == {"model": -1500}
    spain = Segment(model(100), FieldTest("country", "any_of", ("es",)))
    assert parts(history, rulebook(model()), (day(9), (spain, Segment(model())))) == {"model": -3900}


def test_a_profile_change_that_leads_to_another_segments_model_is_profile() -> None:
    history = History(1, (version(START, country="FR"), version(day(9), country="ES")), (meeting(day(2)),))
    spain = Segment(model(100, maximum=300), FieldTest("country", "any_of", ("es",)))
    found = difference(history, [(START, (spain, Segment(model())))], START, day(10))
    assert found.parts["profile"] == {"fit": 100, "engagement": -700}
    assert found.before.model == "small@4000"
    assert found.after.model == "small@100"
    assert Shift("engagement.max", "engagement: max", "engagement", -700) in found.steps[-1].shifts


def test_no_model_for_the_lead_is_no_points() -> None:
    spain = Segment(model(), FieldTest("country", "any_of", ("es",)))
    found = difference(History(1, (version(day(3), country="ES"),)), [(START, (spain,))], START, END)
    assert (found.before.model, found.before.total, found.before.dimensions) == ("", 0, {})
    assert found.parts["profile"] == {"fit": 4000, "engagement": 0}


def test_a_record_that_joins_brings_its_fields_and_its_past_as_merge() -> None:
    own, joining = version(START), version(day(9), TWIN, country="ES", joined=True)
    past = meeting(day(2), key=TWIN)
    assert parts(History(1, (own, joining), (past,)), end=day(10)) == {"merge": 5000}


def test_a_record_that_another_one_absorbs_is_merge_not_profile() -> None:
    twins = (version(START), version(START, TWIN, country="ES"))
    absorbed = version(day(9), TWIN, country="ES", live=False)
    assert parts(History(1, (*twins, absorbed))) == {"merge": -4000}


def test_what_happens_at_the_same_time_is_told_apart_in_a_fixed_order() -> None:
    """Each cause takes what it changes when it is added to those before it: merge, profile, activity, model."""
    at = day(9)
    rules = [rulebook(model()), rulebook(model(2000), since=at)]
    changed = version(START), version(at, country="ES")
    joining = version(at, TWIN, joined=True)
    meetings = meeting(at), meeting(day(8), number=2, key=TWIN)
    assert _steps(difference(History(1, changed, meetings[:1]), rules, START, at)) == [
        ("profile", 4000),
        ("activity", 1000),
        ("model", -2000),
    ]
    assert _steps(difference(History(1, (version(START), joining), meetings), rules, START, at)) == [
        ("merge", 1000),
        ("activity", 1000),
    ]


def test_what_the_survivor_of_a_merge_shows_from_then_on_came_with_the_merge() -> None:
    """HubSpot gives the survivor a new id: a new record, with the two it was made of joined to it."""
    at = day(9)
    parents = version(at, live=False, joined=True), version(at, TWIN, live=False, joined=True)
    survivor = version(at, RecordKey("crm", "contacts", "3"), country="ES")
    assert parts(History(1, (*parents, survivor), (meeting(day(8)),)), end=at) == {"merge": 5000}


def _steps(found: Difference) -> list[tuple[Cause, int]]:
    return [(step.cause, sum(each.hundredths for each in step.shifts)) for step in found.steps]


def test_a_meeting_in_the_calendar_is_an_activity_when_its_time_comes() -> None:
    history = History(1, (version(START),), (meeting(day(9), seen=day(2)),))
    assert parts(history, end=day(8)) == {}
    assert parts(history, end=day(9)) == {"activity": 1000}
    assert parts(history, start=day(5), end=day(19)) == {"activity": 1000, "fading": -500}


def test_an_activity_learned_of_late_counts_from_then_on_at_the_strength_it_has_left() -> None:
    history = History(1, (version(START),), (meeting(day(2), seen=day(15)),))
    assert parts(history, end=day(14)) == {}
    assert parts(history) == {"activity": 500}


def test_an_activity_that_is_taken_back_is_activity() -> None:
    history = History(1, (version(START),), (meeting(START, until=day(9)),))
    assert parts(history) == {"activity": -1000}


def test_a_counter_that_rises_is_an_activity_also_where_its_date_lies_ahead() -> None:
    first = Reading(ANA, "meeting", 0, None, day(1))
    rises = Reading(ANA, "meeting", 2, day(7), day(6))
    history = History(1, (version(START),), (), (first, rises))
    assert parts(history, end=day(6)) == {}
    assert parts(history, end=day(8)) == {"activity": 2000}


def test_a_field_that_turns_from_one_to_true_is_not_lost() -> None:
    """1 == True in Python, but not in a rule."""
    rule = Rule("yes", "Yes", FieldTest("size", "any_of", ("true",)), 700)
    asked = replace(model(), dimensions=(Dimension("fit", (rule,)),))
    assert parts(History(1, (version(START, size=1), version(day(9), size=True))), rulebook(asked)) == {"profile": 700}


def test_more_times_than_the_limit_are_taken_together_and_still_add_up() -> None:
    many = tuple(meeting(START + timedelta(hours=number), number=number) for number in range(1, 440))
    history = History(1, (version(START), version(day(9, 1), country="ES")), many)
    found = difference(history, [rulebook(model())], START, END)
    assert_adds_up(found)
    assert found.after == scoring_sums(history, model(), END)
    assert len({step.at for step in found.steps}) <= MOST_SPANS + 1
    assert found.parts["profile"]["fit"] == 4000
    assert found.parts["activity"]["engagement"] == 439_000


def test_the_more_there_is_to_look_at_the_fewer_looks() -> None:
    many = tuple(meeting(START + timedelta(minutes=number), number=number) for number in range(1, 3001))
    found = difference(History(1, (version(START),), many), [rulebook(model())], START, END)
    assert_adds_up(found)
    assert len({step.at for step in found.steps}) <= MOST_FACTS // 3000 + 2 < MOST_SPANS


def test_nothing_changes_in_no_time() -> None:
    history = History(1, (version(START, country="ES"),), (meeting(START),))
    found = difference(history, [rulebook(model())], START, START)
    assert (found.steps, found.before) == ((), found.after)


@pytest.mark.parametrize(("rules", "end"), [((), END), ((rulebook(model()),), START - timedelta(days=1))])
def test_a_difference_without_rules_or_backwards_is_refused(rules: tuple[Rulebook, ...], end: datetime) -> None:
    with pytest.raises(ValueError, match="needs rules, and an end"):
        difference(History(1), rules, START, end)


def scoring_sums(history: History, asked: Model, as_of: datetime) -> Any:
    """The sums as the scoring core gives them, for comparison."""
    return replace(scoring.score(signals_at(history, as_of), asked, as_of), contributions=(), ignored=())


# On random histories


RECORDS = (ANA, TWIN)
_times = worlds.moments


@st.composite
def _versions(draw: st.DrawFn, key: RecordKey) -> tuple[Version, ...]:
    states = st.sampled_from(((True, True), (True, True), (False, True), (False, False)))
    found = []
    for since in sorted(draw(st.lists(_times, min_size=1, max_size=3, unique=True))):
        live, counts = draw(states)
        found.append(Version(key, since, draw(worlds.fields), live, counts, draw(st.booleans())))
    return tuple(found)


@st.composite
def histories(draw: st.DrawFn) -> History:
    activities = []
    for number, signal in enumerate(draw(st.lists(worlds.activities, max_size=6))):
        seen, ends = draw(st.one_of(st.none(), _times)), draw(st.one_of(st.none(), st.none(), _times))
        known = seen or signal.at
        until = ends if ends is not None and ends > known else None
        keys = draw(st.sampled_from(((ANA,), (TWIN,), RECORDS)))
        activities.append(KnownActivity(f"crm/{number}", keys, replace(signal, seen_at=seen), until))
        if until is not None and draw(st.booleans()):  # it was moved to another time, or to somebody else
            later = replace(signal, at=draw(_times), seen_at=until)
            activities.append(KnownActivity(f"crm/{number}", draw(st.sampled_from(((ANA,), (TWIN,)))), later))
    activities.sort(key=lambda each: (each.signal.at, each.id))
    readings = draw(worlds.leads).readings
    versions = (*draw(_versions(ANA)), *draw(_versions(TWIN)))
    return History(1, versions, tuple(activities), readings)


@st.composite
def rulebooks(draw: st.DrawFn) -> tuple[Rulebook, ...]:
    found = []
    for number, since in enumerate(sorted(draw(st.lists(_times, min_size=1, max_size=3, unique=True)))):
        first, last = (replace(draw(worlds.models()), version=f"m@{number}.{place}") for place in (1, 2))
        only = draw(st.booleans())
        segments = (Segment(last),) if only else (Segment(first, draw(worlds.conditions)), Segment(last))
        found.append((since, segments))
    return tuple(found)


def _total(history: History, rules: tuple[Rulebook, ...], as_of: datetime) -> tuple[str, int, dict[str, int]]:
    """Asked of the scoring core directly."""
    signals = signals_at(history, as_of)
    segments = [segments for number, (since, segments) in enumerate(rules) if number == 0 or since <= as_of][-1]
    asked = next(each.model for each in segments if each.when is None or scoring.passes(each.when, signals, as_of))
    found = scoring.score(signals, asked, as_of)
    return found.model, found.total, dict(found.dimensions)


@settings(max_examples=25, deadline=None)
@given(histories(), rulebooks(), st.lists(_times, min_size=2, max_size=2).map(sorted))
def test_the_parts_of_any_history_add_up_to_the_two_scores(
    history: History, rules: tuple[Rulebook, ...], times: list[datetime]
) -> None:
    start, end = times
    found = difference(history, rules, start, end)
    assert_adds_up(found)
    assert (found.before.model, found.before.total, found.before.dimensions) == _total(history, rules, start)
    assert (found.after.model, found.after.total, found.after.dimensions) == _total(history, rules, end)
    assert not any(found.parts["override"].values())


@settings(max_examples=12, deadline=None)
@given(histories(), rulebooks(), st.lists(_times, min_size=3, max_size=3).map(sorted))
def test_the_parts_of_a_way_are_those_of_its_two_halves(
    history: History, rules: tuple[Rulebook, ...], times: list[datetime]
) -> None:
    start, middle, end = times
    whole = _nonzero(difference(history, rules, start, end))
    halves = difference(history, rules, start, middle), difference(history, rules, middle, end)
    assert halves[0].after == halves[1].before
    assert whole == _nonzero(*halves)


@settings(max_examples=8, deadline=None)
@given(histories(), rulebooks(), st.randoms(use_true_random=False))
def test_the_order_in_which_facts_are_listed_means_nothing(
    history: History, rules: tuple[Rulebook, ...], chance: Any
) -> None:
    activities = list(history.activities)
    chance.shuffle(activities)
    start, end = worlds.AS_OF - timedelta(days=60), worlds.AS_OF + timedelta(days=2)
    versions = sorted(history.versions, key=lambda each: each.record, reverse=True)
    shuffled = replace(history, versions=tuple(versions), activities=tuple(activities))
    assert difference(shuffled, rules, start, end) == difference(history, rules, start, end)


def _nonzero(*found: Difference) -> dict[tuple[Cause, str], int]:
    sums: dict[tuple[Cause, str], int] = {}
    for each in found:
        for cause, dimensions in each.parts.items():
            for name, moved in dimensions.items():
                sums[cause, name] = sums.get((cause, name), 0) + moved
    return {key: moved for key, moved in sums.items() if moved}
