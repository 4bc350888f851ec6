"""Replay equals live: what the rules could see at any time comes out of the store again, whatever was learned later."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from syncer.history import signals_at
from syncer.model import Activity, Cursor, Page, Reading, Record, RecordKey, Signals, Value
from syncer.store import Store, histories, mirror
from syncer.store.tables import leads
from tests.store.samples import HOUR, NOW

_connections = (f"replayed{number}" for number in itertools.count())
"""Every example works on a connection of its own, in the same database."""

MILLISECOND = timedelta(milliseconds=1)
PEOPLE = "12"
Told = Record | Activity | Reading


@dataclass(frozen=True)
class Step:
    """One page: how long after the one before it is stored, and whether it tells what was there before we looked."""

    after: timedelta
    history: bool
    told: tuple[Told, ...]  # times are ages: counted back from when the page is stored


def key(record_id: str) -> RecordKey:
    return RecordKey("", "contacts", record_id)


ids = st.sampled_from(PEOPLE)
ages = st.sampled_from((0, 0, 0, 1, 30)).map(lambda hours: NOW - hours * HOUR)
values: st.SearchStrategy[Value] = st.sampled_from((None, "", "a", "b", 1, 1.0, True))
people = st.builds(
    Record,
    ids.map(key),
    modified_at=ages,
    email=st.sampled_from((None, "ana@x.es", "ANA@x.es", "ben@x.es")),
    fields=st.dictionaries(st.sampled_from(("x", "y", "email")), values, max_size=2),
    deleted=st.sampled_from((False, False, False, True)),
    merged_into=st.one_of(st.none(), st.none(), ids.map(key)),
)
deeds = st.builds(
    Activity,
    st.just(""),
    st.sampled_from(("calls/1", "calls/2")),
    kind=st.sampled_from(("call", "mail")),
    at=ages,
    records=st.sets(st.sampled_from((*PEOPLE, "never seen"))).map(lambda some: tuple(map(key, sorted(some)))),
    fields=st.sampled_from(({}, {"outcome": "held"})),
    deleted=st.sampled_from((False, False, True)),
)
counters = st.builds(Reading, ids.map(key), st.just("open"), st.integers(0, 2), st.none() | ages, seen_at=st.just(NOW))
steps = st.builds(
    Step,
    after=st.sampled_from((timedelta(0), timedelta(0), MILLISECOND, HOUR)),
    history=st.sampled_from((False,) * 7 + (True,)),
    told=st.lists(st.one_of(people, people, deeds, counters), min_size=1, max_size=4).map(tuple),
)


def _page(connection: str, told: Sequence[Told], at: datetime) -> Page:
    def moved(record: RecordKey) -> RecordKey:
        return record._replace(connection=connection)

    def then(age: datetime) -> datetime:
        return at - (NOW - age)

    records, activities, readings = [], [], []
    for each in told:
        if isinstance(each, Record):
            absorber = moved(each.merged_into) if each.merged_into else None
            known = replace(each, key=moved(each.key), modified_at=then(each.modified_at), merged_into=absorber)
            email = each.email and each.email.replace("@", f"@{connection}.")  # of this example's people alone
            records.append(replace(known, email=email))
        elif isinstance(each, Activity):
            theirs = tuple(map(moved, each.records))
            activities.append(replace(each, connection=connection, at=then(each.at), records=theirs))
        else:
            last_at = then(each.last_at) if each.last_at else None
            readings.append(replace(each, record=moved(each.record), last_at=last_at, seen_at=at))
    return Page(Cursor(""), tuple(records), tuple(activities), tuple(readings))


def _live(store: Store, connection: str) -> dict[int, Signals]:
    with store.reading() as tx:
        ids = list(tx.execute(select(leads.c.id).where(leads.c.connection == connection)).scalars())
    return {lead: mirror.lead(store, lead).signals for lead in ids}


@pytest.mark.parametrize("same_person", [False, True])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(story=st.lists(steps, min_size=4, max_size=10))
def test_a_replay_sees_exactly_what_was_seen_live(store: Store, same_person: bool, story: list[Step]) -> None:
    connection, at = next(_connections), NOW
    seen: dict[datetime, dict[int, Signals]] = {}
    with store.writing() as tx:
        mirror.begin(tx, connection, "old", ())  # never ended: its pages tell history
    for step in story:
        if step.after > MILLISECOND and seen:
            seen[at + step.after - MILLISECOND] = seen[at]  # nothing happens until the next page
        at += step.after
        with store.writing() as tx:
            stream, page = "old" if step.history else "new", _page(connection, step.told, at)
            mirror.store_page(tx, connection, stream, page, at, same_person=same_person)
        if step.history:
            seen.clear()  # what was there before we looked counts as known before: earlier replays see it
        seen[at] = _live(store, connection)
    known = {history.lead: history for history in histories.histories(store, list(seen[at]))}
    assert set(known) == set(seen[at])
    for moment, live in seen.items():
        for lead, signals in live.items():
            if lead in known:
                assert signals_at(known[lead], moment) == signals
                assert _kinds(signals_at(known[lead], moment)) == _kinds(signals)


def _kinds(signals: Signals) -> dict[str, type]:
    """1, 1.0 and true are equal to Python, but not to a rule."""
    return {name: type(value) for name, value in signals.fields.items()}
