"""The funnel, over real HTTP: what the page and the API say against what was put in."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, insert, select, update

from syncer.queries import funnel
from syncer.store import Store, runs
from syncer.store.tables import handoffs, lead_cards, leads, transitions
from tests.store.moves import Base
from tests.web.pages import Pages, pages_over

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}"
SPANISH = {"Cookie": "syncer_language=es"}


def shown(page: str) -> str:
    """The text of a page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def row(page: str, name: str) -> list[str]:
    """The cells of the first table's row that begins so; what only a screen reader tells is among them."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    cells = [[shown(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", each, re.DOTALL)] for each in rows]
    return next(each for each in cells if each and each[0] == name)


def charts(page: str) -> list[dict[str, Any]]:
    return [orjson.loads(unescape(each)) for each in re.findall(r"data-chart='(.*?)'", page)]


def told(pages: Pages, query: str = "") -> Any:
    """The API's answer, once all is counted."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = pages.api(query)
        if not found["counting"]:
            return found
        time.sleep(0.05)
    raise AssertionError("it counts for ever")


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def emptied(store: Store) -> Base:
    """The base without any lead's state."""
    with store.writing() as tx:
        for table in (transitions, lead_cards, handoffs):
            if table is handoffs:
                tx.exec_driver_sql("DELETE FROM notices")
            tx.execute(delete(table))
        tx.execute(update(leads).values(live=False))
    return Base(store)


def test_the_page_and_the_api_tell_the_same(lasting_pages: Pages) -> None:
    found, page = told(lasting_pages), lasting_pages.page("/")
    assert found["standing"]["leads"] == 400
    assert sum(each["leads"] for each in found["standing"]["counts"]) == 400
    for count, passage in zip(found["standing"]["counts"], found["period"]["passages"], strict=True):
        cells = row(page, count["stage"].upper())
        assert cells[2:5] == [str(count["leads"]), str(passage["entered"]), str(passage["left"])]
    assert found["period"]["placed"] == 400
    assert "400 placements while the base was first read are no news" in shown(page)
    for rule in found["period"]["rules"]:
        assert row(page, rule["rule"])[1] == str(rule["handoffs"])


def test_it_says_when_the_last_sync_was_and_that_today_was_the_first(lasting_pages: Pages) -> None:
    told(lasting_pages)
    text = shown(lasting_pages.page("/"))
    assert re.search(r"last sync (just now|\d+ \w+ ago)", text)
    assert "So far only today is known" in text
    assert "The first sync was on" in text


def test_the_hand_offs_of_the_period_say_what_made_leads_ready(lasting_pages: Pages) -> None:
    found, page = told(lasting_pages), lasting_pages.page("/")
    with lasting_pages.app.store.reading() as tx:
        handed = len(tx.execute(select(handoffs.c.key)).all())
    assert found["period"]["handoffs"] == handed > 0
    assert found["period"]["causes"] == [{"cause": "activity", "moves": handed}]
    assert row(page, "something they did") == ["something they did", str(handed)]
    assert "What made leads SQL" in page


def test_moves_are_drawn_and_stand_in_a_table(pages: Pages) -> None:
    base = emptied(pages.app.store)
    base.lead(("cold", days_ago(20)), ("iql", days_ago(5)), ("cold", days_ago(1)))
    base.lead(("cold", days_ago(20)), ("iql", days_ago(4)), model="demo@1")
    base.lead(("mql", days_ago(3), "profile"))
    told(pages)
    page = pages.page("/")
    over_time, flow = charts(page)
    assert [each["name"] for each in over_time["series"]] == ["COLD", "IQL", "MQL", "SQL"]
    assert over_time["series"][0]["data"][0] == 2
    assert over_time["series"][0]["data"][-1] == 1
    drawn = {(each["source"], each["target"]): each["value"] for each in flow["series"][0]["links"]}
    assert drawn == {("COLD →", "→ IQL"): 2, ("IQL →", "→ COLD"): 1, ("new →", "→ MQL"): 1}
    assert {name for link in drawn for name in link} == {each["name"] for each in flow["series"][0]["data"]}
    assert over_time["tooltip"]["renderMode"] == flow["tooltip"]["renderMode"] == "richText"
    assert "2 up, 1 down, 1 new leads" in shown(page)
    matrix = page[page.index("From (rows) into (columns)") :]
    assert row(matrix, "new") == ["new", "0", "0", "1", "0"]
    assert row(matrix, "IQL") == ["IQL", "1", "·", "0", "0"]
    assert row(page, "IQL")[3:6] == ["2", "1", "0 % 0 of 2"]


def test_a_long_period_has_a_table_of_every_seventh_day(pages: Pages) -> None:
    base = emptied(pages.app.store)
    base.lead(("cold", days_ago(700)), ("iql", days_ago(100)))
    assert len(told(pages, "?days=365")["period"]["days"]) == 366
    page = pages.page("/?days=365")
    assert "Every seventh day" in page
    assert len(charts(page)[0]["series"][0]["data"]) == 366
    assert page.count('<th scope="row" class="nowrap">') == 54
    assert "(now)" in page


def test_it_is_in_spanish_for_who_reads_spanish(lasting_pages: Pages) -> None:
    told(lasting_pages)
    text = shown(lasting_pages.page("/", SPANISH))
    for words in ("Embudo", "Etapas", "Qué hizo que los leads llegaran a SQL", "Por origen", "últimos 30 días"):
        assert words in text
    for words in ("Entered", "Went on", "sync ", "Stages"):
        assert words not in text


def test_leads_are_compared_by_source_and_chosen_by_it(pages: Pages) -> None:
    with pages.app.store.writing() as tx:
        tx.execute(update(lead_cards).values(source="Fair"))
        (one,) = tx.execute(select(leads.c.id).where(leads.c.stage == "sql").limit(1)).scalars()
        tx.execute(delete(lead_cards).where(lead_cards.c.lead_id == one))
        card = {"lead_id": one, "name_key": "", "words": "", "source": HOSTILE}
        tx.execute(insert(lead_cards).values({name: card[name] for name in card if name in lead_cards.c}))
    found, page = told(pages), pages.page("/")
    assert found["sources"] == sorted([HOSTILE, "Fair"], key=str.casefold)
    assert "<img" not in page
    assert row(page, HOSTILE)[-3:] == ["1", "1", "100 %"]
    (address,) = re.findall(r'href="(/\?source=%3Cimg[^"]*)"', page)
    told(pages, unescape(address).removeprefix("/"))
    chosen = pages.page(unescape(address))
    assert row(chosen, "SQL")[2] == "1"
    assert row(chosen, "COLD")[2] == "0"
    assert "<img" not in chosen
    assert re.search(r"<option selected>&lt;img src=x", chosen)


def test_a_source_that_nobody_has_shows_nobody(lasting_pages: Pages) -> None:
    text = shown(lasting_pages.page("/?source=%00none"))
    assert "No lead fits what is asked for" in text
    assert "\x00" not in text


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("days=8", 400, "8 is not one of 7, 30, 90, 365"),
        ("days=x", 400, "days"),
        ("days=30&days=7", 200, "last 7 days"),
        ("days=%D9%A7", 400, "days"),
        ("sourse=x", 400, "sourse"),
        ("connection=nobody", 404, "no connection is called 'nobody'"),
        ("segment=nobody", 404, "no model is called 'nobody'"),
        (f"source={'x' * 501}", 400, "source"),
    ],
)
def test_wrong_questions_get_a_clear_answer(lasting_pages: Pages, query: str, status: int, says: str) -> None:
    answer = lasting_pages.caller.ask("GET", f"/?{query}")
    assert (answer.status, says in unescape(answer.data.decode())) == (status, True)


def test_a_plan_that_waits_and_late_hand_offs_are_said_with_where_to_go(pages: Pages) -> None:
    store = pages.app.store
    with store.writing() as tx:
        tx.execute(update(handoffs).values(due_at=days_ago(1), touched_at=None))
        late = len(tx.execute(select(handoffs.c.key)).all())
        run = runs.start(tx, "crm", datetime.now(UTC))
        runs.finish(tx, run, "waiting", {}, None, datetime.now(UTC))
    assert told(pages)["standing"]["late_handoffs"] == late
    page = pages.page("/")
    assert "The plan of crm would move more leads than the fuse allows" in shown(page)
    assert f"{late} hand-offs are late" in shown(page)
    assert 'href="/runs"' in page
    assert page.count('href="/handoffs"') == 2  # in the menu, too


def test_while_it_is_counted_the_page_says_so_and_asks_again(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    done, count = threading.Event(), funnel.period

    def slowly(*asked: Any) -> funnel.Period:
        assert done.wait(10)
        return count(*asked)

    monkeypatch.setattr(funnel, "period", slowly)
    page = pages.page("/?days=90")
    assert row(page, "COLD")[2].isdigit()
    assert "Counting…" in page
    assert re.search(r'id="figures"[^>]*aria-busy="true"[^>]*hx-get="/\?days=90"', page)
    assert pages.api("?days=90")["period"] is None
    done.set()
    assert told(pages, "?days=90")["period"] is not None
    page = pages.page("/?days=90")
    assert "Counting" not in page
    assert "aria-busy" not in page


def test_what_cannot_be_counted_is_said(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*asked: Any) -> funnel.Period:
        raise ValueError("ana@acme.es")

    monkeypatch.setattr(funnel, "period", broken)
    assert told(pages)["failed"] != ""
    page = pages.page("/")
    assert "This could not be counted" in page
    assert "ana@acme.es" not in page
    assert row(page, "COLD")[2].isdigit()


def test_a_stage_that_the_rules_no_longer_know_is_called_other(pages: Pages) -> None:
    base = emptied(pages.app.store)
    base.lead(("cold", days_ago(20)), ("warm", days_ago(5)))
    told(pages)
    page = pages.page("/")
    assert row(page, "other")[2:4] == ["1", "1"]
    assert "a stage that the rules no longer know" in shown(page)
    assert "warm" not in shown(page).casefold()


def test_an_empty_base_says_what_to_do(tmp_path: Path, demo_template: Path, sqlite_template: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.write_bytes(sqlite_template.read_bytes())
    with pages_over(demo_template, tmp_path / "pages", database_url=f"sqlite:///{empty}") as pages:
        assert told(pages)["standing"]["leads"] == 0
        text = shown(pages.page("/"))
    assert "No run yet" in text
    assert "syncer run" in text
    assert "never synced" in text


@pytest.fixture
def two(tmp_path: Path, demo_template: Path) -> Any:
    """The demo's project with a second connection and a second model."""
    folder = tmp_path / "template"
    folder.mkdir()
    for path in demo_template.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(demo_template)).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.relative_to(demo_template)).write_bytes(path.read_bytes())
    project = (folder / "syncer.yml").read_text()
    token = "\n  second: {type: hubspot, token: '${HUBSPOT_TOKEN}'}\n"
    project = project.replace("\nsync:", f"{token}sync:", 1)
    project = project.replace("models: models/demo.yml", "models: [{use: models/es.yml, for: {country: [ES]}}, "
                              "{use: models/demo.yml}]")  # fmt: skip
    (folder / "syncer.yml").write_text(project)
    model = (folder / "models" / "demo.yml").read_text()
    (folder / "models" / "es.yml").write_text(model.replace("name: demo\n", "name: es\n", 1))
    with pages_over(folder, tmp_path / "pages") as opened:
        yield opened


def test_connections_and_models_are_told_apart(two: Pages) -> None:
    base = Base(two.app.store)
    for _ in range(3):
        base.lead(("sql", days_ago(2)), connection="second", model="es@1")
    found, page = told(two), two.page("/")
    assert [each["connection"] for each in found["syncs"]] == ["crm", "second"]
    assert found["standing"]["leads"] == 403
    assert found["segments"] == ["es", "demo"]
    assert row(page, "es")[-2:] == ["3", "100 %"]
    assert "second never synced" in shown(page)
    assert told(two, "?connection=second")["standing"]["leads"] == 3
    assert told(two, "?connection=crm&segment=es")["standing"]["leads"] == 0
    assert told(two, "?segment=es")["standing"]["counts"][-1] == {"stage": "sql", "leads": 3}
    page = two.page("/?connection=second&segment=es&days=7")
    assert "<option selected>second</option>" in page
    assert "<option selected>es</option>" in page
    assert 'href="/leads?stage=sql&amp;connection=second"' in page


def test_large_numbers_are_written_as_people_read_them(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = (funnel.Count("cold", 1_234_567), funnel.Count("sql", 0))
    monkeypatch.setattr(funnel, "standing", lambda *asked: funnel.Standing(counts, 1_234_567, 0, 0))
    told(pages)
    assert row(pages.page("/"), "COLD")[2] == "1,234,567"
    assert row(pages.page("/", SPANISH), "COLD")[2] == "1.234.567"
