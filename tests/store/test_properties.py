"""What must hold whatever the CRM sends, in whatever order, however often."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.model import (
    Activity,
    Change,
    Contribution,
    Cursor,
    Decision,
    Handoff,
    LeadPlan,
    Override,
    Page,
    Reading,
    Record,
    RecordKey,
    Score,
    StageState,
    Standing,
)
from syncer.store import Store, decisions, mirror, runs
from syncer.store.payloads import PLAN
from tests.store.samples import NOW, decided

_connections = (f"crm{number}" for number in itertools.count())
"""Every example works on a connection of its own, in the same database."""

RECORDS = "1234"
SHOWN = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass(frozen=True)
class History:
    """Everything a CRM ever shows, piece by piece in the order it happened; and in the end who is gone. That is told
    with no time of its own: a CRM that has told it shows them no more."""

    pieces: tuple[Record | Activity | Reading, ...]
    gone: tuple[Record, ...]

    def of(self, connection: str) -> list[Page]:
        return [_page(connection, piece) for piece in self.pieces]

    def end_of(self, connection: str) -> list[Page]:
        return [_page(connection, piece) for piece in self.gone]


def _page(connection: str, piece: Record | Activity | Reading) -> Page:
    def moved(key: RecordKey) -> RecordKey:
        return key._replace(connection=connection)

    if isinstance(piece, Record):
        absorber = moved(piece.merged_into) if piece.merged_into else None
        return Page(Cursor(""), records=(replace(piece, key=moved(piece.key), merged_into=absorber),))
    if isinstance(piece, Activity):
        keys = tuple(moved(key) for key in piece.records)
        return Page(Cursor(""), activities=(replace(piece, connection=connection, records=keys),))
    return Page(Cursor(""), readings=(replace(piece, record=moved(piece.record)),))


def key(record_id: str) -> RecordKey:
    return RecordKey("", "contacts", record_id)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A few people, their versions, merges, deletions, activities and counters."""
    pieces: list[Record | Activity | Reading] = []
    gone: list[Record] = []
    for record_id in RECORDS:
        survivor = draw(st.sampled_from([None, None, *RECORDS]))
        merged_from = draw(st.integers(0, 4))
        for version in range(draw(st.integers(0, 4))):
            shown = Record(
                key(record_id),
                NOW + timedelta(minutes=version),
                email=draw(st.sampled_from([None, "ana@x.es", "ANA@x.es"])),
                fields={"v": version, "x": draw(st.sampled_from([None, "", "a", 1, 0.5, True]))},
                stage=draw(st.sampled_from([None, "mql", "sql"])),
                merged_into=key(survivor) if survivor and version >= merged_from else None,
            )
            if version == 3 and draw(st.booleans()):
                gone.append(replace(shown, deleted=True))
            else:
                pieces.append(shown)
    for number in range(draw(st.integers(0, 4))):
        belongs = draw(st.sets(st.sampled_from([*RECORDS, "never seen"])))
        pieces.append(
            Activity("", f"calls/{number}", "call", NOW + timedelta(hours=number), tuple(map(key, sorted(belongs))))
        )
    return History(tuple(pieces), tuple(gone))


def store_pages(store: Store, connection: str, pages: Sequence[Page]) -> None:
    with store.writing() as tx:
        for page in pages:
            mirror.store_page(tx, connection, "contacts", page, NOW)


def seen(store: Store, connection: str) -> Any:
    """The mirror without what may differ: numbers of leads, revisions, what touched them."""
    leads = [lead for chunk in mirror.chunks(store, connection, which="all", now=NOW) for lead in chunk]
    shown = [
        (
            [replace(each, key=each.key._replace(connection="any")) for each in lead.records],
            dict(lead.signals.fields),
            lead.signals.activities,
            [(each.record[1:], each.kind, each.value, each.last_at, each.seen_at) for each in lead.signals.readings],
        )
        for lead in leads
    ]
    with store.reading() as tx:
        together = [tuple(mirror.find(tx, f"{connection}/contacts/{record_id}")) for record_id in RECORDS]
    first_place = [together.index(each) if each else None for each in together]
    return sorted(shown, key=repr), first_place


@SHOWN
@given(history=histories(), order=st.randoms(use_true_random=False))
def test_pages_in_any_order_and_repeated_give_the_same_mirror(store: Store, history: History, order: Any) -> None:
    straight, shuffled = next(_connections), next(_connections)
    store_pages(store, straight, history.of(straight) + history.end_of(straight))
    pages = history.of(shuffled) + [page for page in history.of(shuffled) if order.random() < 0.5]
    order.shuffle(pages)
    ends = history.end_of(shuffled) * 2
    order.shuffle(ends)
    store_pages(store, shuffled, pages + ends)
    assert seen(store, shuffled) == seen(store, straight)


@SHOWN
@given(history=histories())
def test_the_whole_history_in_one_page_gives_the_same_mirror(store: Store, history: History) -> None:
    straight, at_once = next(_connections), next(_connections)
    store_pages(store, straight, history.of(straight) + history.end_of(straight))
    pages = history.of(at_once)
    whole = Page(
        Cursor(""),
        records=tuple(record for page in pages for record in page.records),
        activities=tuple(activity for page in pages for activity in page.activities),
    )
    store_pages(store, at_once, [whole, *history.end_of(at_once)])
    assert seen(store, at_once) == seen(store, straight)


@SHOWN
@given(history=histories(), back_to=st.integers(0, 20))
def test_a_pull_repeated_from_an_earlier_cursor_touches_nothing(store: Store, history: History, back_to: int) -> None:
    connection = next(_connections)
    gone = {each.key.id for each in history.gone}
    pages = history.of(connection) + history.end_of(connection)
    store_pages(store, connection, pages)
    leads = [lead for chunk in mirror.chunks(store, connection, which="all", now=NOW) for lead in chunk]
    with store.writing() as tx:
        decisions.apply(
            tx, runs.start(tx, connection, NOW), [LeadPlan(decided(lead, "cold")) for lead in leads], (), NOW
        )
    shown = [each for each in pages[back_to:] if all(one.deleted or one.key.id not in gone for one in each.records)]
    store_pages(store, connection, shown)
    assert list(mirror.chunks(store, connection, which="due", now=NOW)) == []
    after = [lead for chunk in mirror.chunks(store, connection, which="all", now=NOW) for lead in chunk]
    assert [(lead.id, lead.revision) for lead in after] == [(lead.id, lead.revision) for lead in leads]


@SHOWN
@given(values=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8), back_to=st.integers(0, 8))
def test_a_counter_is_kept_as_its_changes_also_when_readings_are_repeated(
    store: Store, values: list[tuple[int, bool]], back_to: int
) -> None:
    connection = next(_connections)
    counted = RecordKey(connection, "contacts", "1")
    readings = [
        Reading(counted, "open", value, NOW if dated else None, NOW + timedelta(hours=hour))
        for hour, (value, dated) in enumerate(values)
    ]
    pages = [Page(Cursor(""), readings=(reading,)) for reading in readings]
    record = Record(counted, NOW)
    store_pages(store, connection, [*pages, *pages[back_to:], Page(Cursor(""), (record,))])
    (lead,) = next(mirror.chunks(store, connection, which="all", now=NOW))
    changes = [next(same) for _, same in itertools.groupby(readings, key=lambda each: (each.value, each.last_at))]
    assert list(lead.signals.readings) == changes


texts = st.text(max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
values = st.one_of(st.none(), texts, whole, st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
fields = st.dictionaries(texts, values, max_size=4)
causes: Any = st.sampled_from(["baseline", "activity", "profile", "fading", "model", "override", "merge"])
keys = st.builds(RecordKey, texts, texts, texts)
standings = st.builds(Standing, *(st.none() | kind for kind in (whole, texts, texts, texts)))
stage_states = st.builds(
    StageState, texts, texts, times, whole, st.sampled_from(["rules", "person", "protected", "veto"]), causes
)
contributions = st.builds(Contribution, texts, texts, texts, whole, texts, texts)
scores = st.builds(
    Score,
    whole,
    times,
    texts,
    st.dictionaries(texts, whole, max_size=4),
    whole,
    st.lists(contributions, max_size=3).map(tuple),
)
overrides = st.builds(Override, texts, texts, texts, texts, times, st.none() | times)
plans = st.builds(
    LeadPlan,
    st.builds(
        Decision,
        lead=whole,
        revision=whole,
        score=scores,
        before=st.none() | stage_states,
        after=stage_states,
        previous_total=st.none() | whole,
        next_look=st.none() | times,
        override=st.none() | overrides,
        veto=st.none() | texts,
    ),
    st.lists(st.builds(Change, keys, standings, standings, causes), max_size=2).map(tuple),
    st.none()
    | st.builds(
        Handoff,
        key=texts,
        lead=whole,
        record=keys,
        episode=whole,
        stage=texts,
        total=whole,
        at=times,
        email=st.none() | texts,
        name=st.none() | texts,
        owner=st.none() | texts,
        url=st.none() | texts,
        fields=fields,
        reasons=st.lists(texts, max_size=3).map(tuple),
    ),
)


@settings(max_examples=100, deadline=None)
@given(plan=plans)
def test_a_plan_comes_back_exactly_from_its_text(plan: LeadPlan) -> None:
    again = PLAN.value(PLAN.text(plan))
    assert again == plan
    assert PLAN.text(again) == PLAN.text(plan)
    if plan.handoff is not None and again.handoff is not None:
        assert [type(value) for value in again.handoff.fields.values()] == [
            type(value) for value in plan.handoff.fields.values()
        ]


@SHOWN
@given(planned=st.lists(plans, max_size=4, unique_by=lambda plan: plan.decision.lead))
def test_a_plan_comes_back_exactly_from_the_database(store: Store, planned: list[LeadPlan]) -> None:
    kept = [plan for plan in planned if plan.decision.lead > 0]
    with store.writing() as tx:
        run = runs.start(tx, "crm", NOW)
        decisions.save_plan(tx, run, kept)
    with store.reading() as tx:
        found = [plan for chunk in decisions.plan_of(tx, run, size=2) for plan in chunk]
    assert found == sorted(kept, key=lambda plan: plan.decision.lead)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800"])
def test_a_plan_with_texts_that_a_database_refuses_is_kept_all_the_same(store: Store, text: str) -> None:
    record = Record(RecordKey("crm", "contacts", "1"), NOW)
    store_pages(store, "crm", [Page(Cursor(""), (record,))])
    (lead,) = next(mirror.chunks(store, "crm", which="all", now=NOW))
    plan = LeadPlan(decided(lead, "cold", veto=text))
    with store.writing() as tx:
        decisions.save_plan(tx, 1, [plan])
        ((again,),) = decisions.plan_of(tx, 1)
        decisions.apply(tx, 1, [again], (), NOW)
    assert again.decision.veto == text.replace("\ud800", "?")
