"""Leads in, plans out: whichever way a lead is looked at, whole or by its footprint, the same is decided."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.deciding import Decided, decide, fingerprint, unmoved
from syncer.model import (
    ActivitySignal,
    Lead,
    LeadPlan,
    LeadState,
    Record,
    RecordKey,
    Signals,
    Standing,
    WriteState,
)
from syncer.rules import (
    ActivityTest,
    Dimension,
    Fade,
    FieldTest,
    Gate,
    Model,
    Rule,
    Segment,
    Stage,
    Veto,
)
from tests.scoring import worlds
from tests.test_planning import POLICY

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
UNDECIDED = LeadState()
SPAIN = FieldTest("country", "any_of", ("ES",))
MEETING = Rule("meeting", "Met us", ActivityTest("meeting"), 4000, fade=Fade("exponential", 24 * 30))
economical = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def model(name: str = "m", *vetoes: Veto) -> Model:
    stages = (Stage("cold"), Stage("sql", enter=(Gate("engagement", ">=", 2000),)))
    return Model(name, "UTC", (Dimension("engagement", (MEETING,)),), stages, vetoes, version=f"{name}@1")


def lead(number: int, signals: Signals, state: LeadState = UNDECIDED) -> Lead:
    record = Record(RecordKey("crm", "contacts", str(number)), NOW - timedelta(days=9), email=f"p{number}@x.example")
    confirmed = Standing((state.total or 0) // 100 * 100, state.stage.stage) if state.stage else Standing()
    shown = replace(record, stage=confirmed.stage)
    write = WriteState(confirmed, seen=state.stage is not None)
    return Lead(number, 1, (shown,), replace(signals, lead=number), state, {record.key: write})


def met(days_ago: float) -> Signals:
    return Signals(0, {"country": "ES"}, (ActivitySignal("meeting", NOW - timedelta(days=days_ago)),))


def decided_then(each: Lead, planned: LeadPlan) -> Lead:
    """The lead after the plan was carried out and the CRM has confirmed it."""
    decision = planned.decision
    state = LeadState(
        stage=decision.after,
        total=decision.score.total,
        dimensions=decision.score.dimensions,
        model=decision.score.model,
        scored_at=decision.score.as_of,
        next_look=decision.next_look,
    )
    return lead(each.id, each.signals, state)


def by_footprint(leads: Sequence[Lead], decided: Decided) -> list[Lead]:
    """As the store gives leads that nothing happened to: without their activities."""
    return [
        replace(each, footprint=decided.footprints[each.id], signals=replace(each.signals, activities=(), readings=()))
        for each in leads
    ]


def essence(plans: Sequence[LeadPlan]) -> dict[int, LeadPlan]:
    return {planned.decision.lead: planned for planned in plans}


@economical
@given(
    rules=worlds.models(), people=st.lists(worlds.leads, min_size=1, max_size=4), hours=st.sampled_from((0, 1, 30, 999))
)
def test_a_lead_looked_at_by_its_footprint_gets_the_plan_it_gets_when_read_whole(
    rules: Model, people: list[Signals], hours: int
) -> None:
    segments, policy = (Segment(rules),), replace(POLICY, handoff_stage="sql")
    leads = [lead(number, signals) for number, signals in enumerate(people, start=1)]
    first = decide(leads, segments, policy, worlds.AS_OF)
    leads = [decided_then(each, planned) for each, planned in zip(leads, first.plans, strict=True)]
    later = worlds.AS_OF + timedelta(hours=hours)
    whole = essence(decide(leads, segments, policy, later).plans)
    quiet = essence(unmoved(by_footprint(leads, first), segments, policy, later))
    assert quiet == {number: whole[number] for number in quiet}
    seen = {n for n, each in whole.items() if each.changes or each.handoff or each.decision.moved}
    assert set(whole) - set(quiet) == seen


@economical
@given(rules=worlds.models(), people=st.lists(worlds.leads, min_size=1, max_size=4))
def test_after_apply_nothing_is_left_to_plan(rules: Model, people: list[Signals]) -> None:
    leads = [lead(number, signals) for number, signals in enumerate(people, start=1)]
    first = decide(leads, (Segment(rules),), POLICY, worlds.AS_OF)
    leads = [decided_then(each, planned) for each, planned in zip(leads, first.plans, strict=True)]
    for planned in decide(leads, (Segment(rules),), POLICY, worlds.AS_OF).plans:
        assert (planned.changes, planned.handoff, planned.decision.moved) == ((), None, False)


@economical
@given(people=st.lists(worlds.leads, min_size=2, max_size=6), rules=worlds.models(), size=st.integers(1, 5))
def test_chunk_size_and_thread_count_change_nothing(people: list[Signals], rules: Model, size: int) -> None:
    leads = [lead(number, signals) for number, signals in enumerate(people, start=1)]

    def decided(some: Sequence[Lead]) -> tuple[LeadPlan, ...]:
        return decide(some, (Segment(rules),), POLICY, worlds.AS_OF).plans

    together = decided(leads)
    chunks = [leads[start : start + size] for start in range(0, len(leads), size)]
    for threads in (1, 4):
        with ThreadPoolExecutor(threads) as pool:
            assert tuple(planned for plans in pool.map(decided, chunks) for planned in plans) == together


def test_the_first_segment_that_fits_scores_the_lead_and_one_that_fits_none_has_no_plan() -> None:
    segments = (Segment(model("es"), SPAIN), Segment(model("fr"), FieldTest("country", "any_of", ("FR", "ES"))))
    leads = [lead(n, Signals(n, {"country": country})) for n, country in ((1, "ES"), (2, "FR"), (3, "PT"))]
    plans = decide(leads, segments, POLICY, NOW).plans
    assert [(planned.decision.lead, planned.decision.score.model) for planned in plans] == [(1, "es@1"), (2, "fr@1")]


def test_a_segment_that_time_alone_moves_is_looked_at_when_it_does() -> None:
    new = FieldTest("born", "newer_than", 86_400_000)
    segments = (Segment(model("new"), new), Segment(model("rest")))
    born = lead(1, Signals(1, {"born": (NOW - timedelta(hours=23)).isoformat()}))
    (planned,) = decide([born], segments, POLICY, NOW).plans
    turn = NOW + timedelta(hours=1, milliseconds=1)
    assert (planned.decision.score.model, planned.decision.next_look) == ("new@1", turn)
    (planned,) = decide([born], segments, POLICY, turn).plans
    assert (planned.decision.score.model, planned.decision.next_look) == ("rest@1", None)


def test_rules_whose_segments_depend_on_time_keep_no_footprints() -> None:
    assert fingerprint((Segment(model(), FieldTest("born", "newer_than", 1)),)) is None
    assert fingerprint((Segment(model(), ActivityTest("demo")),)) is None
    assert fingerprint((Segment(model(), SPAIN),)) is not None


def test_rules_of_another_meaning_have_another_fingerprint() -> None:
    one = (Segment(model(), SPAIN), Segment(model("b")))
    assert fingerprint(one) == fingerprint((Segment(model(), SPAIN), Segment(model("b"))))
    others = (
        one[::-1],
        one[:1],
        (Segment(model()), one[1]),
        (Segment(model("m", Veto("v", "V", SPAIN, "cold"))), one[1]),
    )
    assert len({fingerprint(one), *map(fingerprint, others)}) == 5


def test_a_footprint_under_a_model_that_is_no_more_settles_nobody() -> None:
    leads = [lead(1, met(1))]
    old = decide(leads, (Segment(model("old")),), POLICY, NOW)
    assert unmoved(by_footprint(leads, old), (Segment(model("new")),), POLICY, NOW) == []


def test_the_words_of_a_quiet_plan_are_left_out_and_those_of_a_seen_one_are_there() -> None:
    decided = decide([lead(1, met(1))], (Segment(model()),), POLICY, NOW)
    assert [line.rule for line in decided.plans[0].decision.score.contributions] == ["meeting"]
    standing = [decided_then(lead(1, met(1)), decided.plans[0])]
    assert decide(standing, (Segment(model()),), POLICY, NOW).plans[0].decision.score.contributions == ()


def test_one_model_under_two_segments_plans_a_lead_once() -> None:
    segments = (Segment(model(), SPAIN), Segment(model("b"), FieldTest("x", "is_set", True)), Segment(model()))
    leads = [lead(1, met(80))]
    first = decide(leads, segments, POLICY, NOW)
    leads = [decided_then(leads[0], first.plans[0])]
    assert len(unmoved(by_footprint(leads, first), segments, POLICY, NOW)) == 1
