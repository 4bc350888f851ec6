"""What if: the page and the API say what `simulate` says, of a sample and of all; proposals are files of their own."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from click.testing import CliRunner

from syncer.app import App
from syncer.cli import cli
from syncer.cli import simulate as simulate_command
from syncer.errors import TemporaryError
from syncer.queries import trying
from syncer.settings.proposals import propose
from syncer.store import audit
from syncer.web.pages import what_if
from syncer.web.phrases.what_if import PHRASES
from tests.web.pages import Pages, pages_over

STRICT = {"stages[3].enter[0]": "34", "rule.wrote-back-to-us.points": "4"}
SETS = ["stages[3].enter[0]=engagement >= 34", "rule.wrote-back-to-us.points=4"]
TIMES = ("as_of", "weeks")


def told(pages: Pages, given: Mapping[str, str], **more: str) -> dict[str, Any]:
    """What the API says once everything is counted."""
    path = f"/what-if?{urlencode({**given, **more})}"
    for _ in range(200):
        found: dict[str, Any] = pages.api(path)
        if not found["counting"] and (found["whole"] is None or found["whole"]["state"] != "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} is not counted yet")


def shown(pages: Pages, given: Mapping[str, str], **more: str) -> str:
    """The page once everything is counted."""
    told(pages, given, **more)
    return pages.page(f"/what-if?{urlencode({**given, **more})}")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


def simulated(pages: Pages, monkeypatch: pytest.MonkeyPatch, as_of: str, *words: str) -> dict[str, Any]:
    """What the command says of the same leads at the same time."""
    app = replace(pages.app, clock=lambda: datetime.fromisoformat(as_of))

    @contextmanager
    def app_of(_ctx: object) -> Iterator[App]:
        yield app

    monkeypatch.setattr(simulate_command, "app_of", app_of)
    result = CliRunner().invoke(cli, ["simulate", *words, "--who", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = orjson.loads(result.stdout)
    return found


def agree(found: dict[str, Any], command: dict[str, Any]) -> None:
    """Every number of the page is the command's."""
    assert found["leads"] == command["leads"]
    assert found["protected"] == command["protected"]
    assert found["stages"] == command["stages"]
    rows = [dict(zip(found["stages"], row, strict=True)) for row in found["matrix"]]
    assert dict(zip(found["stages"], rows, strict=True)) == command["matrix"]
    assert {"up": found["up"], "down": found["down"]} == command["moved"]
    for side, theirs in zip(found["sides"], (command["from"], command["to"]), strict=True):
        assert {name: side[name] for name in ("leads", "handoffs", "qualified_unknown_when", "models")} == {
            name: theirs[name] for name in ("leads", "handoffs", "qualified_unknown_when", "models")
        }
        test, their_test = side["back_test"], theirs["back_test"]
        assert their_test is not None
        assert test["won_that_qualified"]["part"] == their_test["won_that_qualified"]["part"]
        assert [test["qualified_that_won"][end] for end in ("low", "high")] == their_test["qualified_that_won"][
            "interval"
        ]
        assert {name: test[name] for name in ("leads", "auc", "unknown_before")} == {
            name: their_test[name] for name in ("leads", "auc", "unknown_before")
        }
    assert found["ended_earlier"] == command["ended_earlier"]
    assert {(each["lead"], *each["stages"]) for each in found["moves"]} == {
        (each["lead"], each["from"]["stage"], each["to"]["stage"]) for each in command["moves"]
    }


def test_it_opens_on_the_rules_in_force(lasting_pages: Pages) -> None:
    found = told(lasting_pages, {})
    assert found["changed"] == []
    (side,) = found["found"]["simulation"]["sides"]
    assert sum(side["leads"].values()) == found["found"]["simulation"]["leads"]
    assert found["found"]["simulation"]["leads"] + found["found"]["simulation"]["protected"] == 400
    html = shown(lasting_pages, {})
    assert html.count("<h1") == 1
    assert "All 400 leads, as of" in text_of(html)
    assert "What changes" not in html
    assert 'name="stages[3].enter[0]" value="20" data-now="20"' in html
    assert "Save as a proposal" not in html, "there is nothing to save"


def test_the_numbers_are_those_of_the_command(lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(lasting_pages, STRICT)["found"]
    command = simulated(lasting_pages, monkeypatch, found["simulation"]["as_of"], "--set", SETS[0], "--set", SETS[1])
    assert found["simulation"]["down"] > 0
    agree(found["simulation"], command)
    html = text_of(shown(lasting_pages, STRICT))
    assert f"{command['moved']['up']} up, {command['moved']['down']} down" in html
    assert "SQL: engagement ≥ 20 → 34" in html
    for move in command["moves"]:
        assert move["email"] in html


def test_numbers_as_they_are_are_not_sent_on(lasting_pages: Pages) -> None:
    given = {"stages[3].enter[0]": "20.0", "rule.wrote-back-to-us.points": "4"}
    found = told(lasting_pages, given)
    assert [each["name"] for each in found["changed"]] == ["rule.wrote-back-to-us.points"]
    assert found["query"] == "rule.wrote-back-to-us.points=4"


def test_who_moves_between_two_stages_is_found_by_the_matrix(lasting_pages: Pages) -> None:
    html = shown(lasting_pages, STRICT)
    links = re.findall(r'<a href="(/what-if\?[^"]*moved=[^"]*)#movers"', html)
    assert links
    for link in map(unescape, links):
        found = lasting_pages.api(link)
        assert {tuple(each["stages"]) for each in found["moves"]} == {tuple(found["moved"])}
        assert f'href="/leads/{found["moves"][0]["id"]}"' in lasting_pages.page(link)


def test_what_is_wrong_stands_beside_the_number(lasting_pages: Pages) -> None:
    html = lasting_pages.page("/what-if?" + urlencode({"engagement.max": "lots", "stages[2].leave_below[0]": "30"}))
    wrong = re.findall(r'<p class="bad small" data-problem="([^"]*)">([^<]+)<', html)
    assert [(name, unescape(why).split(";")[0]) for name, why in wrong] == [
        ("stages[2].leave_below[0]", "is above `enter` (engagement >= 12): leads would flap"),
        ("engagement.max", "'lots' is not a number of points"),
    ]
    assert html.count("aria-invalid") == 2
    assert "Who stands where" not in html
    assert "These numbers cannot be tried" in html


def test_a_number_that_is_none_is_told_and_nothing_else_is_tried(lasting_pages: Pages) -> None:
    html = text_of(lasting_pages.page("/what-if?rule.nope.points=3&fit.rules=x"))
    assert "rule.nope.points: there is no such number in the rules any more" in html
    assert "fit.rules: there is no such number" in html


@pytest.mark.parametrize(
    "query",
    ["with=../models/demo", "with=x&stages[3].enter[0]=3", "moved=mql", "all=maybe", f"half_life={'9' * 101}",
     urlencode({f"rule.{number}.points": "1" for number in range(501)})],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused(lasting_pages: Pages, query: str) -> None:
    assert lasting_pages.caller.ask("GET", f"/what-if?{query}").status == 400


@pytest.mark.parametrize("query", ["connection=nowhere", "with=nowhere"])
def test_what_is_not_there_is_not_found(lasting_pages: Pages, query: str) -> None:
    assert lasting_pages.caller.ask("GET", f"/what-if?{query}").status == 404


def test_it_speaks_spanish(lasting_pages: Pages) -> None:
    told(lasting_pages, STRICT)
    html = text_of(lasting_pages.page(f"/what-if?{urlencode(STRICT)}", headers={"Cookie": "syncer_language=es"}))
    for phrase in ("¿Y si…?", "Umbrales de las etapas", "Quién se mueve", "Guardar como propuesta"):
        assert phrase in html
    assert all(len(both) == 2 and all(both) for both in PHRASES.values())


def test_no_markup_of_others_reaches_the_page(tmp_path: Path, demo_template: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    shutil.copytree(demo_template, tmp_path / "template")
    model = tmp_path / "template" / "models" / "demo.yml"
    model.write_text(model.read_text().replace("Wrote back to us", f"{evil} wrote"))
    with sqlite3.connect(tmp_path / "template" / "syncer.db") as database:
        database.execute("UPDATE records SET email = ? || id", [evil])
    with pages_over(tmp_path / "template", tmp_path / "pages") as pages:
        html = shown(pages, {"stages[3].enter[0]": "34"})
        assert "<img" not in html
        assert evil in unescape(html)
        moves = told(pages, {"stages[3].enter[0]": "34"})["moves"]
        assert moves[0]["email"].startswith(evil)


def test_without_leads_it_says_what_to_do(tmp_path: Path, demo_template: Path, database_url: str) -> None:
    with pages_over(demo_template, tmp_path / "pages", database_url=database_url) as pages:
        html = text_of(shown(pages, STRICT))
        assert "no lead is known yet; `syncer plan` reads them" in html
        assert "Who stands where" not in html
        assert told(pages, STRICT)["found"] is None


def test_two_connections_are_counted_together_or_one_by_one(tmp_path: Path, demo_template: Path) -> None:
    shutil.copytree(demo_template, tmp_path / "template")
    path = tmp_path / "template" / "syncer.yml"
    both = "connections:\n  other:\n    type: hubspot\n    token: ${HUBSPOT_TOKEN}\n"
    path.write_text(path.read_text().replace("connections:\n", both, 1))
    with sqlite3.connect(tmp_path / "template" / "syncer.db") as database:
        database.execute("UPDATE leads SET connection = 'other' WHERE id % 4 = 0")
    with pages_over(tmp_path / "template", tmp_path / "pages") as pages:
        every, one, other_one = (
            told(pages, STRICT, **which)["found"] for which in ({}, {"connection": "crm"}, {"connection": "other"})
        )
        assert (every["leads"], one["leads"], other_one["leads"]) == (400, 300, 100)
        assert every["simulation"]["down"] == one["simulation"]["down"] + other_one["simulation"]["down"]
        html = shown(pages, STRICT, connection="other")
        assert "<option selected>other</option>" in html
        assert '<input type="hidden" name="connection" value="other">' in html


def test_figures_that_nobody_waits_for_are_passed_over_until_they_are_asked_for_again(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Any] = []
    count = what_if._of_some

    def counted(*given: Any) -> what_if.Found:
        began.append(given)
        return count(*given)

    monkeypatch.setattr(what_if, "_of_some", counted)
    monkeypatch.setattr(what_if, "_WAITS_S", -1.0)
    path = f"/what-if?{urlencode(STRICT)}"
    for _ in range(3):
        assert pages.api(path)["found"] is None
        time.sleep(0.05)
    assert began == []
    monkeypatch.setattr(what_if, "_WAITS_S", 3.0)
    assert told(pages, STRICT)["found"]["leads"] == 400
    assert len(began) == 1


# All leads.


def test_a_sample_comes_first_and_all_are_counted_when_somebody_asks(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "SAMPLE", 100)
    found = told(pages, STRICT)["found"]
    assert (found["looked_at"], found["leads"]) == (100, 400)
    assert found["simulation"]["leads"] + found["simulation"]["protected"] == 100
    html = shown(pages, STRICT)
    assert "A sample of 100 of 400 leads" in text_of(html)
    assert "In the sample, not scaled up." in text_of(html)
    assert told(pages, STRICT, all="1")["found"]["looked_at"] == 100, "looking alone counts nothing"

    answer = pages.submit("/what-if/count", STRICT)
    assert answer.status == 303
    assert answer.headers["Location"] == f"/what-if?{urlencode(STRICT)}&all=1"
    whole = told(pages, STRICT, all="1")
    assert whole["whole"] == {"state": "done", "done": 400, "of": 400, "why": ""}
    assert (whole["found"]["looked_at"], whole["found"]["leads"]) == (400, 400)
    command = simulated(pages, monkeypatch, whole["found"]["simulation"]["as_of"], "--set", SETS[0], "--set", SETS[1])
    assert whole["found"]["simulation"]["matrix"] == [list(row.values()) for row in command["matrix"].values()]
    assert "All 400 leads" in text_of(shown(pages, STRICT, all="1"))
    assert told(pages, STRICT)["found"]["looked_at"] == 100


def test_a_count_of_all_shows_how_far_it_is_and_gives_way_to_another(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "SAMPLE", 100)

    def endless(_app: Any, _connection: Any, _sides: Any, tell: Any) -> None:
        while True:
            tell(120, 400)
            time.sleep(0.01)

    ours = what_if._of_all
    monkeypatch.setattr(what_if, "_of_all", endless)
    assert pages.submit("/what-if/count", STRICT).status == 303
    path = f"/what-if?{urlencode(STRICT)}&all=1"
    for _ in range(200):
        html = pages.page(path)
        if "120 of 400" in html:
            break
        time.sleep(0.05)
    assert "Counting: 120 of 400 leads" in html
    assert '<progress id="counted" max="400" value="120">' in html
    assert f'hx-get="{path.replace("&", "&amp;")}"' in html, "it is asked again"

    monkeypatch.setattr(what_if, "_of_all", ours)
    other = {"stages[3].enter[0]": "30"}
    assert pages.submit("/what-if/count", other).status == 303
    assert told(pages, other, all="1")["whole"]["state"] == "done"
    assert told(pages, STRICT, all="1")["whole"]["state"] == "replaced"
    assert "This count was ended" in shown(pages, STRICT, all="1")


def test_what_cannot_be_tried_is_not_counted(pages: Pages) -> None:
    assert pages.submit("/what-if/count", {"engagement.max": "lots"}).status == 409
    assert pages.submit("/what-if/count", {"rule.nope.points": "3"}).status == 409


# Proposals.


def test_what_is_tried_is_saved_beside_the_project_and_simulates_the_same(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pages.app.project.path.parent
    live = (folder / "models" / "demo.yml").read_bytes()
    answer = pages.submit("/what-if/proposals", {**STRICT, "name": "strict-2"})
    assert answer.status == 303
    assert answer.headers["Location"] == "/what-if?with=strict-2"
    assert (folder / "models" / "demo.yml").read_bytes() == live
    written = (folder / "proposals" / "strict-2.yml").read_text()
    lines = [
        (before, after) for before, after in zip(live.decode().splitlines(), written.splitlines(), strict=True)
        if before != after
    ]  # fmt: skip
    assert lines == [
        ("      points: 8", "      points: 4"),
        ("    enter: [engagement >= 20, readiness >= 8]", "    enter: [engagement >= 34, readiness >= 8]"),
    ]

    found = told(pages, {"with": "strict-2"})
    assert {each["name"]: each["tried"] for each in found["changed"]} == STRICT
    as_of = found["found"]["simulation"]["as_of"]
    command = simulated(pages, monkeypatch, as_of, "--with", str(folder / "proposals" / "strict-2.yml"))
    assert found["found"]["simulation"]["matrix"] == [list(row.values()) for row in command["matrix"].values()]
    assert str(folder) not in pages.caller.ask("GET", "/api/what-if?with=strict-2").data.decode()

    html = shown(pages, {"with": "strict-2"})
    assert "What proposal strict-2 changes" in text_of(html)
    assert 'href="/what-if?with=strict-2" aria-current="true"' in html
    assert "strict-2" in pages.page("/what-if")
    with pages.app.store.reading() as tx:
        (noted,) = audit.entries(tx, None, 10)
    assert (noted.entry.act, noted.entry.about) == ("proposal", "strict-2")
    assert noted.entry.details == {"numbers": SETS}


def test_a_proposal_that_could_not_be_written_is_told_and_not_noted(pages: Pages) -> None:
    form = {**STRICT, "name": "mine"}
    assert pages.submit("/what-if/proposals", form).status == 303
    path = pages.app.project.path.parent / "proposals" / "mine.yml"
    before = path.read_bytes()
    again = pages.submit("/what-if/proposals", {**form, "stages[3].enter[0]": "30"})
    assert again.status == 409
    assert "there is a mine.yml already" in again.data.decode()
    assert path.read_bytes() == before
    for wrong in ({"name": "../mine"}, {"name": ""}, {"name": "a.b"}, {}):
        assert pages.submit("/what-if/proposals", {**STRICT, **wrong}).status == 400
    assert pages.submit("/what-if/proposals", {"name": "none"}).status == 409
    assert pages.submit("/what-if/proposals", {"name": "bad", "engagement.max": "lots"}).status == 409
    with pages.app.store.reading() as tx:
        assert [each.entry.about for each in audit.entries(tx, None, 10)] == ["mine"]
    assert [each.name for each in path.parent.iterdir()] == ["mine.yml"]


def test_a_proposal_that_could_not_be_noted_does_not_stay(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise TemporaryError("the disk is full", code="SY066")

    folder = pages.app.project.path.parent / "proposals"
    with monkeypatch.context() as patched:
        patched.setattr(audit, "note", full)
        assert pages.submit("/what-if/proposals", {**STRICT, "name": "mine"}).status == 503
    assert list(folder.iterdir()) == []
    assert pages.submit("/what-if/proposals", {**STRICT, "name": "mine"}).status == 303
    with pages.app.store.reading() as tx:
        assert [each.entry.about for each in audit.entries(tx, None, 10)] == ["mine"]


def test_while_a_proposal_is_read_and_checked_others_write(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def meanwhile(*given: Any) -> Any:
        database = pages.app.project.path.parent / "syncer.db"
        with closing(sqlite3.connect(database, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            written.append("meanwhile")
        return propose(*given)

    monkeypatch.setattr(trying, "propose", meanwhile)
    assert pages.submit("/what-if/proposals", {**STRICT, "name": "mine"}).status == 303
    assert written == ["meanwhile"]


def test_the_api_saves_as_the_page_does(pages: Pages) -> None:
    body = orjson.dumps({"stages[3].enter[0]": 34, "rule.wrote-back-to-us.points": 4.5, "name": "by-api"})
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    answer = pages.caller.ask("POST", "/api/what-if/proposals", body, headers)
    assert answer.status == 200, answer.data
    text = (pages.app.project.path.parent / "proposals" / "by-api.yml").read_text()
    assert "enter: [engagement >= 34, readiness >= 8]" in text
    assert "points: 4.5" in text


def test_looking_and_counting_takes_no_role_and_saving_does() -> None:
    assert {action.name: action.role for action in what_if.ACTIONS} == {
        "what_if_count": "viewer",
        "what_if_save": "operator",
    }
