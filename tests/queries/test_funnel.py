"""The funnel: what was put into a base against what is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from syncer.app import App, settings_classes
from syncer.errors import NotFound
from syncer.queries import funnel
from syncer.queries.comparison import comparison, sources_of
from syncer.queries.funnel import Count, Flow
from syncer.settings import load_project, process_settings
from syncer.store import Store, runs
from tests.store.moves import NOW, Base, ago

PROJECT = """\
version: 1
timezone: {timezone}
connections:
  crm: {{type: hubspot, token: "${{TOKEN}}"}}
  other: {{type: hubspot, token: "${{TOKEN}}"}}
models: [{{use: es.yml, for: {{country: [ES]}}}}, {{use: b2b.yml}}]
handoff: {{when: sql, notifiers: {{team: {{type: slack, url: "https://hooks.example/x"}}}}, notify: [team]}}
"""
MODEL = """\
name: {name}
fit:
  rules:
    - {{name: Decision maker, when: {{jobtitle: [CEO]}}, points: 12}}
    - {{name: "Company (20 to 1,000)", when: {{size: {{at_least: 20}}}}, points: 10}}
stages:
  - name: cold
  - {{name: iql, enter: [total >= 15]}}
  - {{name: mql, enter: [total >= 20]}}
  - {{name: sql, enter: [total >= 22]}}
"""
ORDER = ("cold", "iql", "mql", "sql")


def app_over(store: Store, folder: Path, timezone: str = "UTC", now: datetime = NOW) -> App:
    (folder / "syncer.yml").write_text(PROJECT.format(timezone=timezone))
    for name in ("es", "b2b"):
        (folder / f"{name}.yml").write_text(MODEL.format(name=name))
    path = folder / "syncer.yml"
    project = load_project(path, settings_classes(), {"TOKEN": "t"})
    return App(process_settings(folder, config=path), project, store, "test", clock=lambda: now)


@pytest.fixture
def base(store: Store) -> Base:
    return Base(store)


@pytest.fixture
def app(store: Store, tmp_path: Path) -> App:
    return app_over(store, tmp_path)


def period(app: App, days: int = 30) -> funnel.Period:
    return funnel.period(app, funnel.whose(app, None, None, None), days)


def test_an_empty_base_has_every_stage_and_nobody_in_it(app: App) -> None:
    found = funnel.standing(app, funnel.whose(app, None, None, None))
    assert found.counts == tuple(Count(stage, 0) for stage in ORDER)
    told = period(app)
    assert (told.flows, told.causes, told.rules, told.placed, told.up) == ((), (), (), 0, 0)
    assert [each.leads for each in told.days] == [(0, 0, 0, 0)]
    assert all(each.conversion is None and each.median_days is None for each in told.passages)
    assert comparison(app, ["crm"]).models == ()


def test_a_passage_tells_what_came_what_went_and_what_went_on(app: App, base: Base) -> None:
    base.lead(("cold", ago(40)), ("iql", ago(9)), ("mql", ago(6)))
    base.lead(("cold", ago(40)), ("iql", ago(9)))
    base.lead(("iql", ago(5), "profile"))
    base.lead(("mql", ago(40)), ("iql", ago(3)))
    told = period(app)
    iql = told.passages[1]
    assert (iql.stage, iql.entered, iql.new, iql.left, iql.entrants, iql.went_on) == ("iql", 4, 1, 1, 4, 1)
    assert iql.conversion == 0.25
    assert (iql.stays, iql.median_days, iql.p90_days) == (1, 3.0, 3.0)
    assert told.passages[3].conversion is None  # no stage is hotter
    assert (told.up, told.down, told.new, told.placed) == (3, 1, 1, 0)
    assert told.flows == (
        Flow(None, True, "iql", 1),
        Flow("cold", False, "iql", 2),
        Flow("iql", False, "mql", 1),
        Flow("mql", False, "iql", 1),
    )


def test_what_was_placed_at_the_first_sync_is_no_news(app: App, base: Base) -> None:
    for stage in ("cold", "iql", "sql"):
        base.lead((stage, ago(2)))
    told = period(app)
    assert told.placed == 3
    assert told.flows == ()
    assert told.causes == ()
    assert all(each.entered == each.left == 0 for each in told.passages)
    assert [each.leads for each in told.days] == [(1, 1, 0, 1)] * 3  # nothing is known of the days before
    assert str(told.days[0].day) == "2026-03-29"


def test_the_days_are_replayed_backwards_from_now(app: App, base: Base) -> None:
    base.lead(("cold", ago(40)), ("iql", ago(2)), ("mql", ago(1)), ("iql", ago(0.9)), ("sql", ago(0.1)))
    base.lead(("cold", ago(40)))
    base.lead(("mql", ago(2), "activity"))
    told = period(app, 7)
    assert {str(each.day): each.leads for each in told.days} == {
        "2026-03-24": (2, 0, 0, 0),
        "2026-03-25": (2, 0, 0, 0),
        "2026-03-26": (2, 0, 0, 0),
        "2026-03-27": (2, 0, 0, 0),
        "2026-03-28": (2, 0, 0, 0),
        "2026-03-29": (1, 1, 1, 0),
        "2026-03-30": (1, 1, 1, 0),
        "2026-03-31": (1, 0, 1, 1),
    }
    assert told.days[-1].at == NOW


@pytest.mark.parametrize(
    ("timezone", "now", "midnight"),
    [
        ("Europe/Madrid", datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),  # 23 h
        ("Europe/Madrid", datetime(2026, 10, 26, 12, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),  # 25 h
        ("Asia/Kathmandu", datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 3, 29, 18, 15, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2026, 4, 25, 12, tzinfo=UTC), datetime(2026, 4, 23, 22, tzinfo=UTC)),  # has no 00:00
    ],
)
def test_a_day_ends_at_midnight_of_the_projects_clock(
    store: Store, tmp_path: Path, timezone: str, now: datetime, midnight: datetime
) -> None:
    base, app = Base(store), app_over(store, tmp_path, timezone, now)
    base.lead(("cold", now - timedelta(days=60)), ("iql", midnight - timedelta(milliseconds=1)))
    base.lead(("cold", now - timedelta(days=60)), ("mql", midnight))
    day = (midnight - timedelta(milliseconds=1)).astimezone(ZoneInfo(timezone)).date()
    ended = {each.day: each.leads for each in period(app, 7).days}
    assert len(ended) == 8
    assert ended[day - timedelta(days=1)] == (2, 0, 0, 0)
    assert ended[day] == (1, 1, 0, 0)
    assert ended[day + timedelta(days=1)] == (0, 1, 1, 0)


def test_every_day_has_as_many_leads_as_there_were_also_where_leads_were_merged(app: App, base: Base) -> None:
    merged = base.lead(("cold", ago(20)), ("mql", ago(3)), stage="iql")
    base.move(merged, None, "iql", ago(6), cause="baseline")
    base.lead(("cold", ago(20)))
    days = {str(each.day): each.leads for each in period(app).days}
    assert all(sum(each) == 2 and min(each) >= 0 for each in days.values())
    assert days["2026-03-20"] == (2, 0, 0, 0)
    assert days["2026-03-26"] == (1, 1, 0, 0)


def test_who_is_gone_counts_nowhere(app: App, base: Base) -> None:
    base.lead(("cold", ago(40)), ("sql", ago(1)), live=False)
    told = period(app)
    assert told.flows == ()
    assert told.days[-1].leads == (0, 0, 0, 0)


def test_stages_that_the_rules_no_longer_know_are_one(app: App, base: Base) -> None:
    base.lead(("cold", ago(40)), ("warm", ago(9)), ("hot", ago(8)), ("sql", ago(7)))
    base.lead(("cold", ago(40)), ("hot", ago(6)))
    found = funnel.standing(app, funnel.whose(app, None, None, None))
    assert found.counts[-1] == Count(None, 1)
    told = period(app)
    assert told.stages == (*ORDER, None)
    assert told.flows == (Flow("cold", False, None, 2), Flow(None, False, "sql", 1))
    assert (told.passages[-1].entered, told.passages[-1].conversion) == (2, None)
    assert (told.up, told.down) == (0, 0)
    assert comparison(app, ["crm"]).stages == (*ORDER, None)
    assert {str(each.day): each.leads for each in told.days}["2026-03-23"] == (1, 0, 0, 0, 1)


def test_a_merged_lead_may_have_come_from_a_stage_that_the_rules_no_longer_know(app: App, base: Base) -> None:
    lead = base.lead(("cold", ago(20)), ("sql", ago(3)))
    base.move(lead, "warm", "iql", ago(5))
    told = period(app)
    assert told.flows == (Flow("cold", False, "sql", 1), Flow(None, False, "iql", 1))
    assert all(sum(each.leads) == 1 for each in told.days)


def test_causes_are_of_moves_into_the_stage_that_is_handed_over(app: App, base: Base) -> None:
    base.lead(("cold", ago(40)), ("sql", ago(1), "override"))
    base.lead(("cold", ago(40)), ("sql", ago(2)))
    base.lead(("mql", ago(40)), ("sql", ago(3)))
    base.lead(("sql", ago(4)))
    base.lead(("cold", ago(40)), ("mql", ago(4), "fading"))
    assert [(each.cause, each.moves) for each in period(app).causes] == [("activity", 2), ("override", 1)]


def test_rules_are_ranked_by_the_points_they_gave_and_their_evidence_stays_behind(app: App, base: Base) -> None:
    lead = base.lead(("sql", ago(1)))
    base.hand_over(lead, "+12 Decision maker (jobtitle = CEO of Ana Ruiz)", "+10 Company (20 to 1,000) (size = 140)")
    base.hand_over(lead, "+12.5 Decision maker (x)", "-25 Unsubscribed (y)", at=ago(1))
    base.hand_over(lead, "ana said so: (budget)", "+1e+03 Rich (z)", at=ago(2))
    base.hand_over(lead, at=ago(3))
    told = period(app)
    assert told.handoffs == 3
    assert [(each.rule, each.handoffs, each.hundredths) for each in told.rules] == [
        ("Rich", 1, 100_000),
        ("Decision maker", 2, 2450),
        ("Company (20 to 1,000)", 1, 1000),
    ]


def test_sources_and_models_are_compared_whole(app: App, base: Base) -> None:
    for number in range(25):
        base.lead(("cold", ago(9)), source=f"s{number:02}")
    for stage in ("sql", "sql", "cold"):
        base.lead((stage, ago(9)), source="Webinar", model="es@7")
    base.lead(("cold", ago(9)), model="before@1")
    found = comparison(app, ["crm"])
    assert len(found.sources) == 22
    first, *_, rest, unknown = found.sources
    assert (first.name, first.counts, first.leads) == ("Webinar", (1, 0, 0, 2), 3)
    assert first.ready == pytest.approx(2 / 3)
    assert (rest.name, rest.kind, rest.leads) == (None, "rest", 6)
    assert (unknown.kind, unknown.leads) == ("unknown", 1)
    assert [(each.name, each.kind, each.leads) for each in found.models] == [
        ("b2b", "named", 25), ("es", "named", 3), (None, "rest", 1),
    ]  # fmt: skip
    assert "Webinar" in sources_of(found)
    assert len(sources_of(found)) == 20


def test_a_connection_and_a_model_must_be_known(app: App) -> None:
    with pytest.raises(NotFound, match="no connection is called 'x'"):
        funnel.whose(app, "x", None, None)
    with pytest.raises(NotFound, match="no model is called 'x'; there are: es, b2b"):
        funnel.whose(app, None, None, "x")
    assert funnel.whose(app, "other", None, None).connections == ("other",)


def test_syncs_are_told_of_each_connection_in_their_order(app: App, store: Store) -> None:
    with store.writing() as tx:
        runs.lock_connection(tx, "crm")
        run = runs.start(tx, "crm", ago(0.2))
        runs.finish(tx, run, "waiting", {}, None, ago(0.1))
        runs.set_due(tx, "crm", NOW + timedelta(minutes=9))
        runs.set_baseline(tx, "crm", ago(5))
    crm, other = funnel.syncs(app, ["crm", "other"])
    assert (crm.connection, crm.outcome, crm.ended_at, crm.first_at) == ("crm", "waiting", ago(0.1), ago(5))
    assert crm.next_at == NOW + timedelta(minutes=9)
    assert (other.connection, other.outcome, other.ended_at, other.at_work) == ("other", None, None, False)


def test_late_and_open_handoffs_are_counted(app: App, base: Base) -> None:
    base.hand_over(base.lead(("sql", ago(1))), at=ago(1), due_at=ago(0.5))
    base.hand_over(base.lead(("sql", ago(1))), at=ago(1), due_at=NOW + timedelta(hours=1))
    base.hand_over(base.lead(("sql", ago(1))), at=ago(1), due_at=ago(0.5), touched_at=ago(0.7))
    found = funnel.standing(app, funnel.whose(app, None, None, None))
    assert (found.open_handoffs, found.late_handoffs) == (2, 1)


@pytest.mark.parametrize(
    ("source", "model", "counts"),
    [("Web", None, (2, 1)), ("nowhere", None, (0, 0)), (None, "es", (1, 1)), ("Web", "es", (1, 1)),
     ("Fair", "es", (0, 0))],
)  # fmt: skip
def test_of_some_leads_only_their_handoffs_are_counted(
    app: App, base: Base, source: str | None, model: str | None, counts: tuple[int, int]
) -> None:
    soon = NOW + timedelta(hours=1)
    base.hand_over(base.lead(("sql", ago(1)), source="Web", model="es@1"), at=ago(1), due_at=ago(0.5))
    base.hand_over(base.lead(("sql", ago(1)), source="Web"), at=ago(1), due_at=soon)
    base.hand_over(base.lead(("sql", ago(1)), source="Fair"), at=ago(1), due_at=ago(0.5))
    found = funnel.standing(app, funnel.whose(app, None, source, model))
    assert (found.open_handoffs, found.late_handoffs) == counts


def test_where_nothing_is_handed_over_the_hottest_stage_is_looked_at(app: App) -> None:
    assert funnel.ready_stage(replace(app.project, handoff=None)) == "sql"
