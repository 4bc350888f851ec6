"""Runs and the rows of connections."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncer.errors import NotFound
from syncer.model import Run
from syncer.rules import Dimension, Model, Segment, Stage, segments_text
from syncer.store import Store, flows, open_store, runs
from tests.store.samples import HOUR, NOW

DAY = timedelta(days=1)


def test_a_run_is_kept_from_its_start_to_its_end(store: Store) -> None:
    with store.writing() as tx:
        first = runs.start(tx, "crm", NOW)
        assert runs.get(tx, first) == Run(first, "crm", NOW)
        runs.finish(tx, first, "partial", {"read": 3}, "one stream failed", NOW + HOUR)
        second = runs.start(tx, "crm", NOW + HOUR)
        runs.start(tx, "other", NOW)
        assert runs.get(tx, first) == Run(first, "crm", NOW, NOW + HOUR, "partial", {"read": 3}, "one stream failed")
        assert [run.id for run in runs.last(tx, "crm", 5)] == [second, first]
        assert [run.id for run in runs.last(tx, "crm", 1)] == [second]


def test_a_run_that_does_not_exist_is_said_to_be_missing(store: Store) -> None:
    with store.writing() as tx:
        with pytest.raises(NotFound):
            runs.get(tx, 99)
        with pytest.raises(NotFound):
            runs.finish(tx, 99, "ok", {}, None, NOW)


def test_runs_of_one_kind_are_told_apart(store: Store) -> None:
    with store.writing() as tx:
        first, second = (runs.start(tx, "crm", NOW + hour * HOUR) for hour in (0, 2))
        quick = runs.start(tx, "crm", NOW + 3 * HOUR, "quick")
        assert [run.id for run in runs.last(tx, "crm", 9)] == [quick, second, first]
        assert [run.id for run in runs.last(tx, "crm", 9, kind="full")] == [second, first]
        assert [run.id for run in runs.last(tx, "crm", 1, kind="quick")] == [quick]


def test_old_runs_are_dropped_when_one_starts_a_few_at_a_time_and_the_quick_ones_soonest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_DROPPED", 2)
    with store.writing() as tx:
        for _ in range(3):
            runs.start(tx, "crm", NOW, "quick")
        full = runs.start(tx, "crm", NOW)
        others = runs.start(tx, "other", NOW, "quick")
    left: list[int] = []
    for at in (7 * DAY, 7 * DAY + HOUR, 8 * DAY, 400 * DAY, 400 * DAY + HOUR):
        with store.writing() as tx:
            latest = runs.start(tx, "crm", NOW + at)
            runs.finish(tx, latest, "ok", {}, None, NOW + at)
            left.append(len(runs.last(tx, "crm", 99)) - len(left))
    assert left == [5, 3, 2, 2, 1], "two of three quick ones, the third, and after a year the full one"
    with store.reading() as tx:
        assert [run.id for run in runs.last(tx, "other", 9, "quick")] == [others]
        with pytest.raises(NotFound):
            runs.get(tx, full)


def test_what_runs_counted_since_then_is_summed_whatever_their_kind(store: Store) -> None:
    with store.writing() as tx:
        kinds: tuple[runs.Kind, ...] = ("full", "quick", "full", "quick")
        for hour, kind in enumerate(kinds):
            run = runs.start(tx, "crm", NOW + hour * HOUR, kind)
            runs.finish(tx, run, "ok", {"read_calls": 10**hour, "write_calls": 2 * 10**hour}, None, NOW + hour * HOUR)
        runs.start(tx, "crm", NOW + 4 * HOUR)  # it has not counted yet
        other = runs.start(tx, "other", NOW + 4 * HOUR)
        runs.finish(tx, other, "ok", {"read_calls": 5}, None, NOW + 5 * HOUR)
        assert runs.spent(tx, "crm", NOW + HOUR) == 3330
        assert runs.counted(tx, "crm", ("read_calls",), NOW + 2 * HOUR) == 1100
        assert runs.spent(tx, "crm", NOW + 9 * HOUR) == 0


def test_runs_that_a_crash_left_open_are_closed_as_crashed(store: Store) -> None:
    with store.writing() as tx:
        left = runs.start(tx, "crm", NOW)
        others = runs.start(tx, "other", NOW)
        assert runs.interrupted(tx, "crm", NOW + HOUR) == 1
        assert runs.get(tx, left).outcome == "crashed"
        assert runs.get(tx, left).finished_at == NOW + HOUR
        assert runs.get(tx, others).outcome == "running"


def test_a_connection_remembers_its_account_baseline_models_and_due_time(store: Store) -> None:
    with store.writing() as tx:
        assert runs.account(tx, "crm") is None
        assert runs.models(tx, "crm") is None
        assert runs.due_at(tx, "crm") is None
        assert not runs.baseline_done(tx, "crm")
        runs.set_account(tx, "crm", "hubspot:1")
        runs.set_baseline(tx, "crm", NOW)
        runs.set_models(tx, "crm", "b2b@1")
        runs.set_due(tx, "crm", NOW + HOUR)
    with store.reading() as tx:
        assert runs.account(tx, "crm") == "hubspot:1"
        assert runs.baseline_done(tx, "crm")
        assert runs.models(tx, "crm") == "b2b@1"
        assert runs.due_at(tx, "crm") == NOW + HOUR
        assert not runs.baseline_done(tx, "other")


def test_a_database_keeps_its_name(store: Store, database_url: str) -> None:
    with store.reading() as tx:
        name = runs.installation(tx)
    again = open_store(database_url)
    with again.reading() as tx:
        assert runs.installation(tx) == name
    again.close()
    assert len(name) == 12


def rules(name: str) -> tuple[Segment, ...]:
    return (Segment(Model(name, "UTC", (Dimension("fit", ()),), (Stage("cold"), Stage("sql")))),)


def test_what_the_rules_said_at_any_time_can_be_looked_up(store: Store) -> None:
    first, second = rules("first"), rules("second")
    with store.writing() as tx:
        runs.keep_rules(tx, "crm", segments_text(first), NOW)
        runs.keep_rules(tx, "crm", segments_text(second), NOW + HOUR)
        runs.keep_rules(tx, "other", segments_text(second), NOW - HOUR)
    before, after = (NOW - timedelta(milliseconds=1), NOW + HOUR - timedelta(milliseconds=1))
    with store.reading() as tx:
        assert runs.rules_at(tx, "crm", before) is None
        assert runs.rules_at(tx, "crm", NOW) == runs.rules_at(tx, "crm", after) == first
        assert runs.rules_at(tx, "crm", NOW + HOUR) == second
        assert runs.rules_between(tx, "crm", before, NOW + HOUR) == [(NOW, first), (NOW + HOUR, second)]
        assert runs.rules_between(tx, "crm", NOW, NOW + HOUR) == [(NOW + HOUR, second)]
        assert runs.rules_between(tx, "crm", NOW, after) == []


def test_rules_that_stay_the_same_are_kept_once_and_those_that_come_back_again(store: Store) -> None:
    one, other = rules("one"), rules("other")
    with store.writing() as tx:
        for hour, said in enumerate((one, one, other, one)):
            runs.keep_rules(tx, "crm", segments_text(said), NOW + hour * HOUR)
        kept = runs.rules_between(tx, "crm", NOW - HOUR, NOW + 9 * HOUR)
    assert kept == [(NOW, one), (NOW + 2 * HOUR, other), (NOW + 3 * HOUR, one)]


@pytest.mark.parametrize("back", [timedelta(0), HOUR])
def test_rules_of_the_same_millisecond_or_of_a_clock_set_back_take_the_place_of_the_last(
    store: Store, back: timedelta
) -> None:
    with store.writing() as tx:
        runs.keep_rules(tx, "crm", segments_text(rules("one")), NOW)
        runs.keep_rules(tx, "crm", segments_text(rules("other")), NOW - back)
        assert runs.rules_at(tx, "crm", NOW) == rules("other")
        assert runs.rules_at(tx, "crm", NOW - HOUR) is None


def test_when_a_base_was_scored_first_stays(store: Store) -> None:
    with store.writing() as tx:
        runs.set_baseline(tx, "crm", NOW)
        runs.set_baseline(tx, "crm", NOW + HOUR)
    with store.reading() as tx:
        assert flows.first_syncs(tx, ["crm", "other"]) == {"crm": NOW}
