"""How connections stand: what `syncer status` and the pages tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from syncer.app import App
from syncer.errors import NotFound
from syncer.model import Page, Rejected
from syncer.queries import runs as run_queries
from syncer.queries import standing
from syncer.settings import ProcessSettings, load_project
from syncer.store import Store, decisions, leases, mirror, runs, workers
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


def ended(app: App, outcome: str, ago: timedelta, error: str | None = None, kind: runs.Kind = "full") -> int:
    """A run that began so long ago and took ten seconds."""
    with app.store.writing() as tx:
        number = runs.start(tx, "crm", NOW - ago, kind)
        runs.finish(tx, number, outcome, {"read_calls": 3, "write_calls": 1}, error, NOW - ago + timedelta(seconds=10))
    return number


def test_a_connection_that_never_ran_has_nothing_to_tell(app: App) -> None:
    present = standing.present(app, "quiet")
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
    present = standing.present(app, "crm")
    assert [run.outcome for run in present.last] == ["crashed", "failed", "ok"]
    assert [run.run for run in present.failed][1] == failed
    assert present.last_good == NOW - 3 * HOUR + timedelta(seconds=10)
    assert present.last_quick is not None
    assert (present.last_quick.run, present.quick_today) == (quick, 1)


def test_late_is_who_is_due_with_nobody_at_work_and_no_reason_to_wait(app: App) -> None:
    with app.store.writing() as tx:
        runs.set_due(tx, "crm", NOW - HOUR)
    assert standing.present(app, "crm").late_s(NOW) == 3600
    with app.store.writing() as tx:
        runs.park(tx, "crm", NOW + HOUR, "the CRM asked for patience")
    parked = standing.present(app, "crm")
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


def test_requests_are_those_of_runs_that_began_today_where_the_project_is(app: App) -> None:
    here = replace(app, clock=lambda: NOW.replace(hour=0, minute=30))  # half past one in Madrid
    ended(app, "ok", timedelta(hours=12, minutes=30))  # half past midnight there, and yesterday in Greenwich
    ended(app, "ok", timedelta(hours=13, minutes=30))  # before that midnight
    with app.store.reading() as tx:
        assert standing.requests_today(tx, here, ["crm", "quiet"]) == {"crm": 4, "quiet": 0}


def test_the_fleet_is_late_by_its_most_overdue_connection(app: App) -> None:
    present = [standing.present(app, "crm"), standing.present(app, "quiet")]
    assert standing.fleet(app, present) is None
    with app.store.writing() as tx:
        workers.seen(tx, "host/boot/1/lot", version="1+a", places=4, busy=1)
        runs.set_due(tx, "crm", NOW - timedelta(seconds=90))
    fleet = standing.fleet(app, [standing.present(app, "crm"), standing.present(app, "quiet")])
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
    shown, _ = run_queries.connection(app, "crm")
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
    assert standing.present(at_present, "crm").held_by == "somebody"
    leases.release(app.store, lease)
    assert standing.present(at_present, "crm").held_by is None


def test_a_connection_or_a_run_that_is_none_is_not_found(app: App) -> None:
    with pytest.raises(NotFound, match="no connection is called 'nobody'"):
        run_queries.connection(app, "nobody")
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
