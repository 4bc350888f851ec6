"""How connections stand: what `syncer status` and the pages tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, event, insert

from syncer.app import App
from syncer.errors import NotFound
from syncer.model import Page, Rejected
from syncer.queries import rejected, standing
from syncer.queries import runs as run_queries
from syncer.queries.accounts import By
from syncer.settings import ProcessSettings, load_project
from syncer.store import Store, decisions, hints, leases, mirror, runs, tables, vitals, workers
from tests.store.samples import HOUR, NOW, all_leads, planned, put, record

PROJECT = """\
version: 1
timezone: Europe/Madrid
connections: {crm: {type: memory}, quiet: {type: memory}}
models: model.yml
"""
MODEL = """\
name: small
fit: {rules: [{name: Asked, when: {forms: {at_least: 1}}, points: 40}]}
stages: [{name: cold}, {name: hot, enter: [fit >= 40]}]
"""


class NoSettings(BaseModel):
    """Of a CRM that is never asked."""


@pytest.fixture
def app(tmp_path: Path, store: Store) -> App:
    (tmp_path / "syncer.yml").write_text(PROJECT)
    (tmp_path / "model.yml").write_text(MODEL)
    project = load_project(tmp_path / "syncer.yml", {"memory": NoSettings}, {})
    return App(ProcessSettings(config=tmp_path / "syncer.yml"), project, store, "test", clock=lambda: NOW)


def told_of(app: App, name: str) -> standing.Present:
    return standing.presents(app, [name])[name]


def ended(app: App, outcome: str, ago: timedelta, error: str | None = None, kind: runs.Kind = "full") -> int:
    """A run that began so long ago and took ten seconds."""
    with app.store.writing() as tx:
        number = runs.start(tx, "crm", NOW - ago, kind)
        runs.finish(tx, number, outcome, {"read_calls": 3, "write_calls": 1}, error, NOW - ago + timedelta(seconds=10))
    return number


def test_a_connection_that_never_ran_has_nothing_to_tell(app: App) -> None:
    present = told_of(app, "quiet")
    assert (present.last, present.last_run, present.last_good, present.next_run) == ((), None, None, None)
    assert present.late_s(NOW) == 0.0
    figures = standing.figures(app, "quiet")
    assert (figures.leads, figures.stages, figures.rejected) == (0, {}, 0)
    assert figures.write_backs == {"pending": 0, "put_off": 0, "given_up": 0}


def test_health_is_that_of_full_runs(app: App) -> None:
    ended(app, "ok", 3 * HOUR)
    failed = ended(app, "failed", 2 * HOUR, "crm: unwell")
    ended(app, "crashed", HOUR)
    quick = ended(app, "ok", timedelta(minutes=5), kind="quick")
    present = told_of(app, "crm")
    assert [run.outcome for run in present.last] == ["crashed", "failed", "ok"]
    assert [run.run for run in present.failed][1] == failed
    assert present.last_good == NOW - 3 * HOUR + timedelta(seconds=10)
    assert present.last_quick is not None
    assert (present.last_quick.run, present.quick_today) == (quick, 1)


def test_late_is_who_is_due_with_nobody_at_work_and_no_reason_to_wait(app: App) -> None:
    with app.store.writing() as tx:
        runs.set_due(tx, "crm", NOW - HOUR)
    assert told_of(app, "crm").late_s(NOW) == 3600
    with app.store.writing() as tx:
        runs.park(tx, "crm", NOW + HOUR, "the CRM asked for patience")
    parked = told_of(app, "crm")
    assert (parked.late_s(NOW), parked.next_run) == (0.0, NOW + HOUR)
    assert parked.parked == standing.Rest(NOW + HOUR, "the CRM asked for patience")


@pytest.mark.parametrize(
    ("last_good", "oldest", "stale"),
    [
        (None, None, False),
        (None, HOUR, True),
        (NOW - HOUR, HOUR, False),
        (NOW - HOUR - timedelta(seconds=1), HOUR, True),
        (NOW - 9 * HOUR, None, False),
    ],
)
def test_stale_is_a_last_good_run_longer_ago_than_it_may_be(
    last_good: datetime | None, oldest: timedelta | None, stale: bool
) -> None:
    assert standing.is_stale(last_good, oldest, NOW) is stale


def test_what_cannot_be_read_is_counted_apart_from_what_is_read_but_for_a_part(app: App) -> None:
    with app.store.writing() as tx:
        told = (Rejected("1", "its stage is none of the model's"), Rejected("2", "no id"), Rejected("3", "no id"))
        mirror.store_page(tx, "crm", "contacts", Page(None, (record("1"),), rejected=told), NOW)
    figures = standing.figures(app, "crm")
    assert (figures.rejected, figures.makes_no_sense) == (2, {"its stage is none of the model's": 1})


def test_many_unreadable_records_are_counted_as_the_metrics_count_them_and_all_asked_for_again(app: App) -> None:
    """However many newer ones were read but for a part."""
    told = [("old", False, 1_200), ("new", True, 1_100), ("newest", True, 7)]
    rows = [
        {"connection": "crm", "stream": "contacts", "id": f"{why}{number}", "reason": why, "arrived": in_part}
        | {"first_seen": NOW + HOUR * place, "last_seen": NOW + HOUR * place}
        for place, (why, in_part, many) in enumerate(told)
        for number in range(many)
    ]
    with app.store.writing() as tx:
        tx.execute(insert(tables.rejected), rows)
    figures = standing.figures(app, "crm")
    assert (figures.rejected, dict(figures.makes_no_sense)) == (1_200, {"new": 1_100, "newest": 7})
    with app.store.reading() as tx:
        assert vitals.unreadable(tx, ["crm"]) == {("crm",): 1_200}
    assert rejected.read_again(app, "crm", None, By("ana")) == 1_200
    with app.store.reading() as tx:
        assert {each.key.id for each in hints.waiting(tx, "crm", 9_999)} == {f"old{number}" for number in range(1_200)}


def test_what_the_crm_did_not_take_is_counted_by_reason_however_much_it_is(app: App) -> None:
    told = {"no such stage": 1_100, "the field is read-only": 3, "crm: busy": 2}
    rows = [
        {"connection": "crm", "object": "contacts", "id": f"{why}{number}", "confirmed": "{}", "reason": why}
        for why, many in told.items()
        for number in range(many)
    ]
    with app.store.writing() as tx:
        tx.execute(insert(tables.write_backs), rows)
    assert list(standing.figures(app, "crm").refused.items()) == list(told.items())


def test_pages_of_what_could_not_be_read_are_told_apart_by_numbers_alone(app: App) -> None:
    """Whatever is seen again meanwhile keeps its place."""
    names = [f"ana{number:03}@acme.es" for number in range(3 * rejected.PAGE - 10)]
    for first, at in ((0, NOW), (120, NOW + HOUR)):  # more than a page of them at the same time
        page = Page(None, rejected=tuple(Rejected(each, "no id") for each in names[first : first + 120]))
        with app.store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", page, at)
    found: list[str] = []
    after: tuple[int, int] | None = None
    for _ in range(9):
        shown = rejected.unread(app, "crm", after)
        found += [each.id for each in shown.rows]
        if (after := shown.after) is None:
            break
        again = Page(None, rejected=(Rejected(names[0], "no id"), Rejected(names[-1], "no id")))
        with app.store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", again, NOW + 3 * HOUR)
    assert found == [*names[120:], *names[:120]]


def test_pages_of_what_was_not_taken_are_told_apart_by_numbers_alone(app: App) -> None:
    names = [f"ana{number:03}@acme.es" for number in range(rejected.PAGE + 7)]
    put(app.store, *(record(each) for each in names))
    with app.store.writing() as tx:
        stuck = [{"connection": "crm", "object": "contacts", "id": each, "confirmed": "{}"} for each in names]
        tx.execute(insert(tables.write_backs), [each | {"reason": "read-only"} for each in stuck])
    first = rejected.untaken(app, "crm")
    leads = {each.lead for each in first.rows}
    assert (len(first.rows), len(leads)) == (rejected.PAGE, rejected.PAGE)
    assert first.after == (first.rows[-1].lead, 0)
    assert [each.id for each in first.rows + rejected.untaken(app, "crm", first.after).rows] == names
    assert rejected.untaken(app, "crm", (10**9, 0)).rows == first.rows, "what it names is gone"


def test_many_connections_are_looked_at_in_as_many_statements_as_two(app: App) -> None:
    ended(app, "ok", HOUR)
    asked: list[Any] = []

    def spoken(*told: Any) -> None:
        asked.append(told)

    counts = []
    event.listen(Engine, "before_cursor_execute", spoken)
    try:
        for names in (["crm", "quiet"], ["crm", *(f"c{number}" for number in range(60))]):
            del asked[:]
            present = standing.presents(app, names)
            counts.append(len(asked))
            assert [each.last_run is not None for each in present.values()] == [name == "crm" for name in names]
    finally:
        event.remove(Engine, "before_cursor_execute", spoken)
    assert counts[0] == counts[1] < 10


def test_each_of_several_connections_tells_its_own(app: App) -> None:
    with app.store.writing() as tx:
        for name, outcome in (("crm", "waiting"), ("quiet", "ok")):
            number = runs.start(tx, name, NOW - HOUR, project="fp")
            runs.finish(tx, number, outcome, {"stage_changes": 9}, None, NOW - HOUR)
            planned_only = runs.start(tx, name, NOW - HOUR / 2)
            runs.finish(tx, planned_only, "planned", {}, None, NOW - HOUR / 2)
            runs.set_due(tx, name, NOW if name == "crm" else NOW + HOUR)
        runs.park(tx, "quiet", NOW + 2 * HOUR, "patience")
        runs.set_failing(tx, "quiet", {"full": "SY100"})
        waits = runs.waits(tx, "crm")
        assert waits is not None
    crm, quiet = standing.presents(app, ["crm", "quiet"]).values()
    assert (crm.waiting, crm.approved, crm.next_run, crm.outages) == (waits.id, False, NOW, {})
    assert (quiet.waiting, quiet.next_run, quiet.outages) == (None, NOW + 2 * HOUR, {"full": "SY100"})
    assert quiet.parked == standing.Rest(NOW + 2 * HOUR, "patience")
    with app.store.writing() as tx:
        runs.approve(tx, "crm", runs.Approval(waits.id, "fp", 9, 0, "ana", NOW))
    assert told_of(app, "crm").approved
    with app.store.writing() as tx:
        runs.start(tx, "crm", NOW)
    assert (told_of(app, "crm").waiting, told_of(app, "crm").approved) == (None, False)


def test_requests_are_those_of_runs_that_began_today_where_the_project_is(app: App) -> None:
    here = replace(app, clock=lambda: NOW.replace(hour=0, minute=30))  # half past one in Madrid
    ended(app, "ok", timedelta(hours=12, minutes=30))  # half past midnight there, and yesterday in Greenwich
    ended(app, "ok", timedelta(hours=13, minutes=30))  # before that midnight
    with app.store.reading() as tx:
        assert standing.requests_today(tx, here, ["crm", "quiet"]) == {"crm": 4, "quiet": 0}


def test_the_fleet_is_late_by_its_most_overdue_connection(app: App) -> None:
    present = [told_of(app, "crm"), told_of(app, "quiet")]
    assert standing.fleet(app, present) is None
    with app.store.writing() as tx:
        workers.seen(tx, "host/boot/1/lot", version="1+a", places=4, busy=1)
        runs.set_due(tx, "crm", NOW - timedelta(seconds=90))
    fleet = standing.fleet(app, [told_of(app, "crm"), told_of(app, "quiet")])
    assert fleet is not None
    assert (fleet.lag_s, fleet.queue) == (90.0, None)
    assert [each.holder for each in fleet.workers] == ["host/boot/1/lot"]


def test_the_longest_of_the_ticks_is_the_highest_and_a_crash_has_no_length(app: App) -> None:
    for minutes in range(95):
        ended(app, "ok", timedelta(minutes=200 - minutes))
    with app.store.writing() as tx:
        long = runs.start(tx, "crm", NOW - timedelta(minutes=90))
        runs.finish(tx, long, "partial", {"stage_changes": 7}, "calls", NOW - timedelta(minutes=80))
        runs.start(tx, "crm", NOW - timedelta(minutes=1))
        runs.interrupted(tx, "crm", NOW)
    (shown,), _ = run_queries.connections(app, ["crm"])
    assert len(shown.ticks) == run_queries.TICKS == 90
    assert [tick.started_at for tick in shown.ticks] == sorted(tick.started_at for tick in shown.ticks)
    assert [(tick.run, tick.height, tick.stage_changes) for tick in shown.ticks if tick.height == 60] == [(long, 60, 7)]
    crashed = shown.ticks[-1]
    assert (crashed.outcome, crashed.seconds, crashed.height) == ("crashed", None, 8)
    assert shown.failed == 1


def test_who_is_at_work_is_told_while_the_lease_holds(app: App) -> None:
    at_present = replace(app, clock=App(app.process, app.project, app.store, "x").clock)
    lease = leases.take(app.store, "crm", holder="somebody", ttl_s=60)
    assert lease is not None
    assert told_of(at_present, "crm").held_by == "somebody"
    leases.release(app.store, lease)
    assert told_of(at_present, "crm").held_by is None


def test_a_connection_or_a_run_that_is_none_is_not_found(app: App) -> None:
    with pytest.raises(NotFound, match="no connection is called 'nobody'"):
        run_queries.connections(app, ["nobody"])
    with pytest.raises(NotFound, match="there is no run 7"):
        run_queries.detail(app, 7)


def test_leads_are_counted_by_stage_in_the_projects_order(app: App) -> None:
    put(app.store, record("1"), record("2"), record("3"), record("4"))
    (*some, never) = all_leads(app.store)
    with app.store.writing() as tx:
        number = runs.start(tx, "crm", NOW)
        for lead, stage in zip(some, ("hot", "cold", "cold"), strict=True):
            decisions.apply(tx, number, [planned(lead, stage)], [], NOW)
    figures = standing.figures(app, "crm")
    assert (figures.leads, list(figures.stages.items())) == (4, [("cold", 2), ("hot", 1)])
    assert figures.write_backs["pending"] == 3
    assert never.state.stage is None
