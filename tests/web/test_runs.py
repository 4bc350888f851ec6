"""Runs and health: what the page and the API say of how connections stand."""

from __future__ import annotations

import ast
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from syncer import lint, run
from syncer.app import App
from syncer.model import Page, RecordKey, Rejected
from syncer.queries import firing as firing_queries
from syncer.queries import standing as standing_queries
from syncer.ringing import Ringing
from syncer.rules import FieldTest
from syncer.store import audit, hints, leases, mirror, runs, tables, workers, write_backs
from syncer.store.audit import Entry
from tests.web.pages import ENVIRON, Pages, pages_over

HOSTILE = "<script>alert(1)</script>"


def counted(pages: Pages, path: str, name: str) -> Any:
    """What the API tells once it is counted."""
    for _ in range(100):
        told = pages.api(path)
        assert told["failed"] == ""
        if told[name] is not None and not told["counting"]:
            return told
    raise AssertionError("it is counted for ever")


def standing(pages: Pages) -> dict[str, Any]:
    told: dict[str, Any] = pages.api("/runs")["connections"][0]
    return told


def reject(pages: Pages, *ids: str, reason: str = "the e-mail address has no @", stream: str = "contacts") -> None:
    page = Page(None, rejected=tuple(Rejected(each, reason) for each in ids))
    with pages.app.store.writing() as tx:
        mirror.store_page(tx, "crm", stream, page, pages.app.clock())


def acts(pages: Pages) -> list[tuple[str, str, str]]:
    with pages.app.store.reading() as tx:
        return [(each.entry.who, each.entry.act, each.entry.about) for each in audit.entries(tx, None, 20)]


def test_the_last_runs_are_ticks_and_rows_of_a_table(lasting_pages: Pages) -> None:
    html, told = lasting_pages.page("/runs"), standing(lasting_pages)
    assert told["name"] == "crm"
    assert told["ticks"]
    assert [each["outcome"] for each in told["ticks"]] == ["ok"] * len(told["ticks"])
    assert html.count("<rect") == len(told["ticks"])
    assert f"The last {len(told['ticks'])} full runs of crm, 0 of them failed." in html
    for each in told["ticks"]:
        assert f'<a href="/runs/{each["run"]}">' in html
        assert 8 <= each["height"] <= 60
    assert max(each["height"] for each in told["ticks"]) == 60


def test_leads_queues_and_requests_are_counted_beside_and_add_up(lasting_pages: Pages) -> None:
    told = counted(lasting_pages, "/runs", "counts")["counts"]["crm"]
    figures = told["figures"]
    with lasting_pages.app.store.reading() as tx:
        assert figures["leads"] == mirror.count(tx, "crm") == sum(figures["stages"].values())
    assert told["requests_today"] >= 0
    assert set(figures["write_backs"]) == {"pending", "put_off", "given_up"}
    assert "Requests to the CRM today" in lasting_pages.page("/runs")


def test_while_it_counts_the_page_asks_for_the_counts_alone(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    figures = standing_queries.figures

    def slowly(app: App, name: str) -> standing_queries.Figures:
        let_go.wait(20)
        return figures(app, name)

    monkeypatch.setattr(standing_queries, "figures", slowly)
    try:
        html = pages.page("/runs?connection=crm")
        assert 'id="runs-counts"' in html
        assert html.count("hx-get=") == 1
        assert 'hx-get="/runs/counts?connection=crm"' in html
        part = pages.page("/runs/counts?connection=crm")
        assert 'hx-get="/runs/counts?connection=crm"' in part
        assert "<svg" not in part
    finally:
        let_go.set()
    counted(pages, "/runs/counts", "counts")
    part = pages.page("/runs/counts")
    assert "hx-get" not in part
    assert "Requests to the CRM today" in part


def test_a_run_that_is_due_with_nobody_at_work_is_late(pages: Pages) -> None:
    app = pages.app
    with app.store.writing() as tx:
        runs.set_due(tx, "crm", app.clock() - timedelta(hours=3))
    assert 10_700 < standing(pages)["late_s"] < 10_900
    assert "late by 3 hours" in pages.page("/runs")
    lease = leases.take(app.store, "crm", holder="somebody", ttl_s=60)
    assert lease is not None
    told = standing(pages)
    assert (told["late_s"], told["held_by"]) == (0.0, "somebody")
    leases.release(app.store, lease)
    with app.store.writing() as tx:
        runs.park(tx, "crm", app.clock() + timedelta(hours=1), f"the CRM asked for patience {HOSTILE}")
    assert standing(pages)["late_s"] == 0.0
    html = pages.page("/runs")
    assert "the CRM asked for patience &lt;script&gt;" in html
    assert HOSTILE not in html


def test_what_fails_is_told_with_its_code_and_marked_by_more_than_a_colour(pages: Pages) -> None:
    app = pages.app
    with app.store.writing() as tx:
        ended = (("failed", f"crm: the token is refused {HOSTILE}"), ("crashed", None), ("partial", "calls"))
        for outcome, error in ended:
            runs.finish(tx, runs.start(tx, "crm", app.clock()), outcome, {}, error, app.clock())
        runs.set_failing(tx, "crm", {"full": "SY100"})
        runs.count_failures(tx, "crm", 2)
    told, html = standing(pages), pages.page("/runs")
    assert [each["outcome"] for each in told["ticks"]][-3:] == ["failed", "crashed", "partial"]
    assert (told["failed"], told["failures_in_a_row"], told["outages"]) == (2, 2, {"full": "SY100"})
    assert told["last_failure"]["outcome"] == "crashed"
    assert html.count(">×</text>") == 2
    assert html.count(">~</text>") == 1
    assert "Full runs fail now: SY100" in html
    assert "the token is refused &lt;script&gt;" in html


def test_a_run_says_what_it_counted_and_one_that_is_none_is_not_found(lasting_pages: Pages) -> None:
    number = standing(lasting_pages)["ticks"][0]["run"]
    told = lasting_pages.api(f"/runs/{number}")
    assert (told["connection"], told["kind"], told["run"]["outcome"]) == ("crm", "full", "ok")
    moves = {(each["before"], each["after"]): each["leads"] for each in told["moves"]}
    assert sum(moves.values()) == told["run"]["counts"]["scored"], "the first run gives everybody a first stage"
    assert all(before is None for before, _ in moves)
    assert "leads scored" in lasting_pages.page(f"/runs/{number}")
    assert lasting_pages.caller.ask("GET", "/runs/999999").status == 404
    assert lasting_pages.caller.ask("GET", "/runs/99999999999999999999").status == 400
    assert lasting_pages.caller.ask("GET", "/runs/one").status == 400


def counts_of_runs() -> set[str]:
    """Whatever the code counts in a run: `….counts["NAME"] += …`, and the two that it counts by their kind."""
    found = {"read_calls", "write_calls", "quick_moves", "quick_handoffs", "writes_saved_up"}
    for path in Path(run.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AugAssign) and ast.unparse(node.target).startswith(
                ("report.counts[", "going.counts[")
            ):
                found |= {str(each.value) for each in ast.walk(node.target) if isinstance(each, ast.Constant)}
    return found


def test_whatever_a_run_counts_has_words(pages: Pages) -> None:
    known, app = counts_of_runs(), pages.app
    assert {"read", "notices_uncertain", "notices_postponed", "swept"} <= known
    with app.store.writing() as tx:
        number = runs.start(tx, "crm", app.clock())
        runs.finish(tx, number, "ok", dict.fromkeys([*known, "of_an_older_version"], 3), None, app.clock())
    for cookie in ({}, {"Cookie": "syncer_language=es"}):
        html = pages.page(f"/runs/{number}", headers=cookie)
        assert re.findall(r'<th scope="row"><code>(\w+)</code>', html) == ["of_an_older_version"]


def test_an_operator_makes_a_run_due(pages: Pages) -> None:
    app = pages.app
    with app.store.writing() as tx:
        runs.set_due(tx, "crm", app.clock() + timedelta(hours=3))
    answer = pages.submit("/runs/now", {"connection": "crm"})
    assert (answer.status, answer.headers["Location"]) == (303, "/runs")
    with app.store.reading() as tx:
        due = runs.due_at(tx, "crm")
    assert due is not None
    assert due <= app.clock()
    assert acts(pages)[0][1:] == ("run_now", "crm")
    assert pages.submit("/runs/now", {"connection": "nobody"}).status == 404
    assert pages.submit("/runs/now", {}).status == 400


def test_the_fleet_and_what_is_wrong_with_it_are_shown(pages: Pages) -> None:
    assert pages.api("/runs")["fleet"] is None
    with pages.app.store.writing() as tx:
        for number, version in enumerate(("0.1.0+aaaaaaaa", "0.1.0+bbbbbbbb")):
            workers.seen(tx, f"host{number}/boot/{number}00/lot", version=version, places=8, busy=number)
    told, html = pages.api("/runs"), pages.page("/runs")
    assert [each["busy"] for each in told["fleet"]["workers"]] == [0, 1]
    assert told["versions"] == ["0.1.0+aaaaaaaa", "0.1.0+bbbbbbbb"]
    assert "They run by different versions or files" in html


def test_the_files_in_force_and_reloads_are_shown_and_no_path_of_the_machine(pages: Pages) -> None:
    with pages.app.store.writing() as tx:
        at = pages.app.clock()
        audit.note(tx, Entry(at, "daemon", "config_refused", "syncer.yml", details={"problems": [f"3:1: {HOSTILE}"]}))
        changed = {"changed": ["sync.every: 15m -> 5m"]}
        audit.note(tx, Entry(at, "daemon", "config_reloaded", "syncer.yml", details=changed))
        audit.note(tx, Entry(at, "eva", "override", "crm/contacts/1"))
    told, html = pages.api("/runs"), pages.page("/runs")
    assert told["fingerprint"] == pages.app.project.fingerprint
    assert "syncer.yml" in [each["name"] for each in told["files"]]
    assert [(each["act"], each["lines"]) for each in told["reloads"]] == [
        ("config_reloaded", ["sync.every: 15m -> 5m"]),
        ("config_refused", [f"3:1: {HOSTILE}"]),
    ]
    assert str(pages.app.project.path.parent) not in html
    assert "sync.every: 15m -&gt; 5m" in html
    assert HOSTILE not in html


def test_the_pages_speak_spanish(lasting_pages: Pages) -> None:
    spanish = {"Cookie": "syncer_language=es"}
    html = lasting_pages.page("/runs", headers=spanish)
    assert "Ejecuciones y estado" in html
    assert "Última ejecución" in html
    for path in ("/runs/rules", "/rejected", "/plans/crm", f"/runs/{standing(lasting_pages)['ticks'][0]['run']}"):
        assert 'lang="es"' in lasting_pages.page(path, headers=spanish)


# rules


def met_by_facts(app: App) -> Counter[str]:
    """Rule -> leads it pays for, from the facts of all leads."""
    found: Counter[str] = Counter()
    (segment,) = app.project.segments
    names = {rule.id: rule.name for _, rule in segment.model.rules}
    for leads in mirror.chunks(app.store, "crm", which="all", now=app.clock()):
        fired = lint.count([lead.signals for lead in leads], segment.model, app.clock()).fired
        found.update({names[rule]: count for rule, count in fired.items()})
    return found


def test_each_rule_is_counted_over_all_leads_by_what_their_facts_meet(lasting_pages: Pages) -> None:
    told = counted(lasting_pages, "/runs/rules", "firing")
    firing, app = told["firing"], lasting_pages.app
    with app.store.reading() as tx:
        assert firing["leads"] == mirror.count(tx, "crm")
    assert (firing["unknown"], firing["sampled"]) == (0, False)
    assert Counter({each["name"]: each["leads"] for each in firing["rules"]}) == met_by_facts(app)
    assert told["never"] == [each["name"] for each in firing["rules"] if not each["leads"]]
    assert [each["leads"] for each in firing["rules"]] == sorted(each["leads"] for each in firing["rules"])
    html = lasting_pages.page("/runs/rules")
    for each in firing["rules"]:
        assert each["where"] in html


def test_leads_that_changed_since_they_were_scored_are_not_guessed_at(pages: Pages) -> None:
    with pages.app.store.writing() as tx:
        tx.execute(update(tables.leads).where(tables.leads.c.id <= 10).values(revision=tables.leads.c.revision + 1))
    firing = firing_queries.count(pages.app)
    assert (firing.unknown, firing.leads) == (10, 390)
    assert all(rule.of == 390 for rule in firing.rules)


def test_where_the_time_chooses_the_model_a_sample_is_read_whole(pages: Pages) -> None:
    (segment,) = pages.app.project.segments
    recent = FieldTest("createdate", "newer_than", 1_000 * 86_400_000)
    timed = replace(pages.app.project, segments=(replace(segment, when=recent), replace(segment, when=None)))
    app = replace(pages.app, project=timed)
    firing = firing_queries.count(app)
    assert firing.sampled
    assert Counter({rule.name: rule.leads for rule in firing.rules}) == met_by_facts(pages.app)


def test_new_settings_and_refused_ones_are_told(pages: Pages) -> None:
    path, app = pages.app.project.path, pages.app
    ringing, text = Ringing(app), path.read_text()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ENVIRON.items():
            patched.setenv(name, value)
        path.write_text(re.sub(r"every: \w+", "every: 7m", text, count=1))
        ringing.read_again(app.process)
        ringing.read_again(app.process)  # nothing is new
        path.write_text(text + "colour: red\n")
        ringing.read_again(app.process)
    refused, taken = pages.api("/runs")["reloads"]
    assert (refused["act"], refused["who"], refused["about"]) == ("config_refused", "daemon", "syncer.yml")
    assert "unknown key 'colour'" in refused["lines"][0]
    assert taken["act"] == "config_reloaded"
    assert [line.partition(" -> ")[2] for line in taken["lines"]] == ["7m"]
    assert ENVIRON["HUBSPOT_TOKEN"] not in pages.page("/runs")


# what could not be read or written


def test_unreadable_records_are_shown_page_by_page_and_asked_for_again(pages: Pages) -> None:
    assert "Nothing was rejected" in pages.page("/rejected")
    reject(pages, *(f"x{number:03}" for number in range(60)))
    reject(pages, "calls/7", reason=HOSTILE, stream="calls")
    first = pages.api("/rejected")
    assert len(first["unread"]) == 50
    assert re.fullmatch(r"\d+\.\d+", *parse_qs(urlsplit(first["next"]).query)["after"]), "it names no record"
    assert pages.api("/rejected?after=999999999999999999.999999999")["unread"] == []
    second = pages.api(first["next"])
    assert second["next"] is None
    ids = [each["id"] for each in first["unread"] + second["unread"]]
    assert sorted(ids) == sorted([*(f"x{number:03}" for number in range(60)), "calls/7"])
    html = pages.page("/rejected")
    assert "&lt;script&gt;alert(1)" in html
    assert HOSTILE not in html
    assert pages.submit("/rejected/read-again", {"connection": "crm", "stream": "calls", "id": "calls/7"}).status == 303
    with pages.app.store.reading() as tx:
        assert [each.key for each in hints.waiting(tx, "crm", 9)] == [RecordKey("crm", "calls", "7")]
    assert acts(pages)[0][1:] == ("read_again", "crm")
    assert pages.submit("/rejected/read-again", {"connection": "crm"}).status == 303
    with pages.app.store.reading() as tx:
        assert len(hints.waiting(tx, "crm", 99)) == 61
    assert pages.submit("/rejected/read-again", {"connection": "crm", "stream": "calls", "id": "no"}).status == 404


def test_writes_that_were_given_up_are_due_again(pages: Pages) -> None:
    app = pages.app
    with app.store.writing() as tx:
        stuck = {"pending": "{}", "pending_stage": "mql", "given_up": True, "reason": HOSTILE}
        tx.execute(update(tables.write_backs).values(stuck))
    told = pages.api("/rejected?what=untaken")
    assert told["untaken"][0]["given_up"] is True
    assert parse_qs(urlsplit(told["next"]).query)["after"] == [f"{told['untaken'][-1]['lead']}.0"]
    assert f'<a href="/leads/{told["untaken"][0]["lead"]}">' in pages.page("/rejected?what=untaken")
    assert len(told["untaken"]) == 50
    assert pages.api(told["next"])["untaken"][0]["id"] != told["untaken"][0]["id"]
    html = pages.page("/rejected?what=untaken")
    assert "given up" in html
    assert HOSTILE not in html
    assert pages.submit("/rejected/write-again", {"connection": "crm"}).status == 303
    with app.store.reading() as tx:
        assert write_backs.counts(tx, "crm")["given_up"] == 0
    assert acts(pages)[0][1:] == ("write_again", "crm")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rejected?connection=nobody", 404),
        ("/rejected?what=other", 400),
        ("/rejected?colour=red", 400),
        ("/rejected?after=contacts.7", 400),
        ("/rejected?after=7", 400),
        ("/runs?connection=nobody", 404),
        ("/runs/counts?connection=nobody", 404),
        ("/plans/nobody", 404),
        ("/plans/crm?after_lead=one", 400),
        ("/runs?x=1", 400),
    ],
)
def test_what_makes_no_sense_is_refused(lasting_pages: Pages, path: str, status: int) -> None:
    for each in (path, f"/api{path}"):
        assert lasting_pages.caller.ask("GET", each).status == status


def test_no_plan_waits_where_the_fuse_let_everything_through(lasting_pages: Pages) -> None:
    assert lasting_pages.api("/plans/crm")["waiting"] is None
    assert "No plan waits" in lasting_pages.page("/plans/crm")


# an empty base, and two connections


@pytest.fixture
def two(tmp_path: Path, demo_template: Path) -> Iterator[Pages]:
    """A second connection, which never ran."""
    template = tmp_path / "template"
    shutil.copytree(demo_template, template)
    path = template / "syncer.yml"
    other = "connections:\n  other:\n    type: hubspot\n    token: ${HUBSPOT_TOKEN}\n    use_at_most: 20%\n"
    path.write_text(path.read_text().replace("connections:\n", other, 1))
    with pages_over(template, tmp_path / "pages") as opened:
        yield opened


def test_of_two_connections_each_tells_its_own_and_one_that_never_ran_says_so(two: Pages) -> None:
    told = counted(two, "/runs", "counts")
    by_name = {each["name"]: each for each in told["connections"]}
    assert set(by_name) == {"crm", "other"}
    assert (by_name["other"]["ticks"], by_name["other"]["last_run"]) == ([], None)
    assert (told["counts"]["other"]["share"], told["counts"]["other"]["figures"]["leads"]) == (0.2, 0)
    assert told["counts"]["crm"]["figures"]["leads"] > 0
    html = two.page("/runs")
    assert "never ran" in html
    assert "of at most 20 %" in html
    assert f"The last {len(by_name['crm']['ticks'])} full runs of crm" in html
    assert "<details>" not in html, "the table of runs stands on the page of one connection"
    one = two.page("/runs?connection=crm")
    assert f'<a href="/runs/{by_name["crm"]["ticks"][0]["run"]}">' in one[one.index("<details>") :]
    assert "never ran" not in one
    assert set(two.api("/runs/counts?connection=crm")["counts"]) == {"crm"}
    assert two.submit("/runs/now", {"connection": "other"}).status == 303
    with two.app.store.reading() as tx:
        assert runs.due_at(tx, "other") is not None


def test_pages_of_an_empty_store_are_whole(two: Pages) -> None:
    assert "Nothing was rejected" in two.page("/rejected?connection=other")
    assert two.api("/plans/other")["waiting"] is None
