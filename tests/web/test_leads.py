"""The list of leads as people and programs see it, and as a file."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import func, select, update

from syncer.queries import leads as query
from syncer.store import cards, mirror
from syncer.store.tables import lead_cards, leads
from syncer.web import downloading
from syncer.web.pages import leads as page
from tests.web.pages import SMALL, Pages, pages_over

HOSTILE = "=cmd|'/c calc'!A1 <script>alert(1)</script>\"'>{{7*7}}"


def rows(found: Any) -> list[int]:
    return [row["lead"] for row in found["rows"]]


def all_rows(pages: Pages, **asked: Any) -> list[Mapping[str, Any]]:
    """Of every page, one after the other."""
    found = pages.api(f"/leads?{urlencode(asked, doseq=True)}")
    shown = list(found["rows"])
    while found["after"]:
        found = pages.api(f"/leads?{urlencode(asked | {'after': found['after']}, doseq=True)}")
        shown += found["rows"]
    return shown


def in_base(pages: Pages) -> dict[int, Any]:
    """Lead -> its row, as the database has it."""
    with pages.app.store.reading() as tx:
        both = leads.join(lead_cards, lead_cards.c.lead_id == leads.c.id)
        columns = (
            leads.c.id,
            leads.c.stage,
            leads.c.total,
            leads.c.since,
            *(lead_cards.c[n] for n in cards.Card._fields),
        )
        return {row.id: row for row in tx.execute(select(*columns).select_from(both).where(leads.c.live.is_(True)))}


def test_every_lead_is_listed_once_the_highest_score_first(lasting_pages: Pages) -> None:
    shown, known = all_rows(lasting_pages), in_base(lasting_pages)
    assert len(shown) == len(known) > SMALL * 0.9
    assert [row["total_hundredths"] for row in shown] == sorted((each.total for each in known.values()), reverse=True)
    for row in shown:
        each = known[row["lead"]]
        assert (row["name"], row["email"], row["owner"], row["stage"]) == (
            each.name,
            each.email,
            each.owner,
            each.stage,
        )


def test_the_page_shows_what_the_api_tells(lasting_pages: Pages) -> None:
    text, found = lasting_pages.page("/leads"), lasting_pages.api("/leads")
    assert re.findall(r'<a href="/leads/(\d+)">', text) == [str(lead) for lead in rows(found)]
    assert len(rows(found)) == query.PAGE
    assert f"{found['count']} leads" in text
    behind = f"/leads?{urlencode({'after': found['after']})}"
    assert f'href="{behind}"' in text
    second = lasting_pages.page(behind)
    assert 'rel="prev"' in second
    assert 'rel="prev"' not in text


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({"stage": ["sql"]}, lambda row: row["stage"] == "sql"),
        ({"stage": ["sql", "mql"]}, lambda row: row["stage"] in ("sql", "mql")),
        ({"score_from": "40", "score_to": "60.5"}, lambda row: 4_000 <= row["total_hundredths"] <= 6_050),
        ({"score_to": "-1"}, lambda row: row["total_hundredths"] <= -100),
    ],
)
def test_filters_leave_what_fits(lasting_pages: Pages, asked: dict[str, Any], fits: Any) -> None:
    everybody = all_rows(lasting_pages)
    assert all_rows(lasting_pages, **asked) == [row for row in everybody if fits(row)]


def test_an_owner_is_chosen_among_those_there_are(lasting_pages: Pages) -> None:
    owners = lasting_pages.api("/leads")["owners"]
    everybody = all_rows(lasting_pages)
    assert set(owners) == {row["owner"] for row in everybody} - {None}
    for owner in owners[:2]:
        assert all_rows(lasting_pages, owner=owner) == [row for row in everybody if row["owner"] == owner]
        assert f'<option value="{owner}">' in lasting_pages.page("/leads")


def test_people_are_found_by_the_words_of_their_name_and_by_their_address(lasting_pages: Pages) -> None:
    known = in_base(lasting_pages)
    each = next(row for row in known.values() if row.name and " " in row.name and row.email)
    first, last = cards.fold(each.name).split()[:2]
    for text in (each.name.upper(), f"{last} {first}", f"{first[:2]} {last[:3]}", each.email.upper(), each.email[:-3]):
        assert each.id in [row["lead"] for row in all_rows(lasting_pages, q=text)], text
    with lasting_pages.app.store.reading() as tx:
        key, _ = mirror.faces(tx, [each.id])[each.id]
    assert rows(lasting_pages.api(f"/leads?q={quote(str(key))}")) == [each.id]
    assert rows(lasting_pages.api(f"/leads?q={key.id}")) == [each.id]


@pytest.mark.parametrize("sort", ["score", "since", "name"])
def test_pages_go_forth_and_back(lasting_pages: Pages, sort: str) -> None:
    first = lasting_pages.api(f"/leads?sort={sort}")
    second = lasting_pages.api(f"/leads?sort={sort}&after={first['after']}")
    assert not set(rows(first)) & set(rows(second))
    back = lasting_pages.api(f"/leads?sort={sort}&before={second['before']}")
    assert rows(back) == rows(first)
    assert (back["before"], back["after"]) == (None, first["after"])


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("after=x", "after"),
        ("before=%F0%9F%98%80", "before"),
        (f"after={cursor('score', 'a', 1, 0)}", "after"),
        (f"after={cursor('score', 1, 0)}", "after"),
        (f"after={cursor('score', 1, 2.5, 0)}", "after"),
        (f"after={cursor('score', True, 1, 0)}", "after"),
        (f"after={cursor('number', 1, 1, 0)}", "after"),
        (f"after={base64.b64encode(b'7').decode()}", "after"),
        (f"after={base64.b64encode(b'[1e999]').decode()}", "after"),
        *(
            (f"after={cursor('score', *numbers, 0)}", "after")
            for number in (2**62 + 1, 2**63 - 1, 2**63, 2**70, -(2**62) - 1, -(2**63))
            for numbers in ((number, 1), (1, number))
        ),
        (f"sort=name&after={cursor('name', 2**63, 0)}", "after"),
        (f"sort=name&after={cursor('name', 'ana', 0)}", "after"),
        (f"sort=name&after={cursor('name', 'ana', 1, 0)}", "after"),
        (f"sort=name&after={cursor('score', 1, 1, 0)}", "order"),
        (f"after={cursor('score', 1, 1, 0)}&before={cursor('score', 1, 1, 0)}", "after"),
        ("sort=owner", "sort"),
        ("score_from=many", "score_from"),
        ("score_from=nan", "score_from"),
        ("score_to=1e400", "score_to"),
        ("moved=0", "moved"),
        ("moved=99999999", "moved"),
        (f"q={'x' * 201}", "q"),
        ("page=2", "page"),
        ("&".join(["stage=sql"] * 21), "stage"),
    ],
)
def test_what_makes_no_sense_is_refused_with_one_clear_message(lasting_pages: Pages, asked: str, named: str) -> None:
    answer = lasting_pages.caller.ask("GET", f"/api/leads?{asked}")
    assert answer.status == 400, answer.data
    assert named in orjson.loads(answer.data)["error"]["message"]
    assert lasting_pages.caller.ask("GET", f"/leads?{asked}").status == 400


@pytest.mark.parametrize("number", [2**62, -(2**62)])
@pytest.mark.parametrize("where", ["after", "before"])
def test_a_place_at_the_very_end_of_all_numbers_is_a_place(lasting_pages: Pages, where: str, number: int) -> None:
    for place in (cursor("score", number, 1, 1), cursor("score", 1, number, 0)):
        found = lasting_pages.api(f"/leads?{where}={place}")
        for again in filter(None, (found["before"], found["after"])):
            lasting_pages.api(f"/leads?{where}={again}")


def test_where_the_lead_has_gone_that_stood_for_a_place_the_list_begins_anew(lasting_pages: Pages) -> None:
    for where in ("after", "before"):
        found = lasting_pages.api(f"/leads?sort=name&{where}={cursor('name', 2**40, 0)}")
        assert found == lasting_pages.api("/leads?sort=name")


def test_an_unknown_connection_is_not_found(lasting_pages: Pages) -> None:
    assert lasting_pages.caller.ask("GET", "/api/leads?connection=nowhere").status == 404


@pytest.mark.parametrize("text", [HOSTILE, "%", "_", "\\", "'; --", "\x00", "<b>", "a" * 200, "🙂", "\u202e"])
def test_whatever_is_searched_for_is_text(lasting_pages: Pages, text: str) -> None:
    shown = lasting_pages.page(f"/leads?q={quote(text)}&owner={quote(text)}&source={quote(text)}&stage={quote(text)}")
    assert "<script>alert" not in shown
    assert "<b>" not in shown


def test_names_with_markup_are_text_on_the_page_and_no_formula_in_a_file(pages: Pages) -> None:
    with pages.app.store.writing() as tx:
        named = {"name": HOSTILE, "name_key": "!", "owner": HOSTILE, "source": HOSTILE, "email": "@SUM(A1)"}
        tx.execute(update(lead_cards).values(**named))
        tx.execute(update(leads).values(stage="<b>"))
    shown = pages.page("/leads?sort=name")
    assert "<script>alert" not in shown
    assert "<b>" not in shown
    assert "49" not in re.sub(r"\d{3,}", "", shown.split("<table")[1].split("</table")[0]) or "{{7*7}}" in shown
    table = csv_rows(pages, "/leads.csv?q=&owner=")
    assert {row["Name"][:5] for row in table} == {"'=cmd"}
    assert {row["E-mail"] for row in table} == {"'@SUM(A1)"}
    assert {row["Owner"][:2] for row in table} == {"'="}


def csv_rows(pages: Pages, path: str) -> list[dict[str, str]]:
    answer = pages.caller.ask("GET", path)
    assert answer.status == 200, answer.data[:500]
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_a_csv_file_has_every_lead_that_fits(lasting_pages: Pages) -> None:
    for asked in ({}, {"stage": ["sql", "mql"]}, {"q": "an"}, {"score_from": "30", "sort": "name"}):
        table = csv_rows(lasting_pages, f"/leads.csv?{urlencode(asked, doseq=True)}")
        shown = {str(row["lead"]): row for row in all_rows(lasting_pages, **asked)}
        assert [row["Number"] for row in table] == sorted(shown, key=int)
        for row in table:
            each = shown[row["Number"]]
            assert (row["Name"], row["E-mail"], row["Stage"]) == (
                each["name"] or "",
                each["email"] or "",
                each["stage"],
            )
            assert float(row["Score"]) == each["total_hundredths"] / 100


def test_a_workbook_has_the_same_in_the_order_that_was_asked_for(lasting_pages: Pages, tmp_path: Path) -> None:
    answer = lasting_pages.caller.ask("GET", "/leads.xlsx?stage=sql&sort=name")
    assert re.fullmatch(r'attachment; filename="leads-\d{4}-\d\d-\d\d\.xlsx"', answer.headers["content-disposition"])
    table = book(answer.data)
    assert [int(row[-1]) for row in table[1:]] == [
        row["lead"] for row in all_rows(lasting_pages, stage="sql", sort="name")
    ]


def book(data: bytes) -> list[list[Any]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()


def test_a_workbook_that_would_be_too_long_says_so_in_its_last_row(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_IN_A_BOOK", 30)
    monkeypatch.setattr(query, "_CHUNK", 7)
    table = book(lasting_pages.caller.ask("GET", "/leads.xlsx").data)
    assert len(table) == 1 + 30 + 1
    assert [int(row[-1]) for row in table[1:-1]] == rows(lasting_pages.api("/leads"))[:30]
    assert "these are the first 30" in table[-1][0]


def test_files_speak_the_readers_language(lasting_pages: Pages) -> None:
    cookie = {"Cookie": "syncer_language=es"}
    answer = lasting_pages.caller.ask("GET", "/leads.csv?stage=sql", headers=cookie)
    heading, first = answer.data.decode("utf-8-sig").split("\r\n")[:2]
    assert heading == "Nombre;Correo;Etapa;La fija;Puntuación;Responsable;Desde;Origen;Conexión;Número"
    assert re.search(r";sql;[^;]*;\d+(,\d+)?;", first)
    assert "Puntuación" in lasting_pages.page("/leads", headers=cookie)


def test_a_file_that_is_asked_for_wrongly_is_refused(lasting_pages: Pages) -> None:
    for path in ("/leads.csv?after=x", "/leads.xlsx?sort=owner", "/leads.csv?score_from=x"):
        assert lasting_pages.caller.ask("GET", path).status == 400
    assert lasting_pages.caller.ask("GET", "/leads.csv?connection=nowhere").status == 404
    answer = lasting_pages.caller.ask("HEAD", "/leads.csv")
    assert (answer.status, answer.data) == (200, b"")


def test_only_a_few_files_are_made_at_once_and_places_come_back(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, reached = threading.Event(), threading.Semaphore(0)
    every = query.every

    def slow(*given: Any) -> Iterator[Any]:
        reached.release()
        going.wait(10)
        yield from every(*given)

    monkeypatch.setattr(query, "every", slow)
    files = [threading.Thread(target=csv_rows, args=(lasting_pages, "/leads.csv")) for _ in range(downloading.AT_ONCE)]
    for each in files:
        each.start()
    for _ in files:
        assert reached.acquire(timeout=10)
    assert lasting_pages.caller.ask("GET", "/leads.csv").status == 503
    assert lasting_pages.caller.ask("GET", "/leads").status == 200
    going.set()
    for each in files:
        each.join(20)
    for _ in range(downloading.AT_ONCE + 1):
        assert csv_rows(lasting_pages, "/leads.csv?stage=sql")


def test_a_file_that_cannot_be_finished_does_not_look_whole(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = query.every

    def breaking(*given: Any) -> Iterator[Any]:
        yield next(every(*given))
        raise RuntimeError("a planted bug")

    monkeypatch.setattr(query, "every", breaking)
    monkeypatch.setattr(page, "_PART_BYTES", 10)
    request = f"GET /leads.csv HTTP/1.1\r\nHost: 127.0.0.1:{lasting_pages.caller.port}\r\n\r\n".encode()
    got = lasting_pages.caller.raw(request, within_s=10)
    assert got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"\r\n0\r\n\r\n")
    monkeypatch.setattr(query, "every", every)
    assert lasting_pages.caller.raw(request, within_s=10).endswith(b"\r\n0\r\n\r\n")


def test_who_sees_addresses_in_part_sees_them_so_in_lists_and_files_and_still_chooses_an_owner(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lasting_pages.api("/leads")
    monkeypatch.setattr("syncer.web.access.Access.viewer", masked_viewer)
    shown = lasting_pages.api("/leads")
    assert rows(shown) == rows(whole)
    for row in (*shown["rows"], *({"email": each} for each in shown["owners"])):
        assert row["email"] is None or re.fullmatch(r".…@[\w.-]+", row["email"])
    assert not re.search(r"[\w.]{2,}@", lasting_pages.page("/leads").split('<form class="filters"')[1])
    for row in csv_rows(lasting_pages, "/leads.csv"):
        assert row["E-mail"] == "" or re.fullmatch(r".…@[\w.-]+", row["E-mail"])
    owner = shown["owners"][0]
    found = lasting_pages.api(f"/leads?owner={quote(owner)}")
    assert found["rows"]
    assert {row["owner"] for row in found["rows"]} == {owner}


def test_no_place_in_a_list_tells_an_address(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    with pages.app.store.writing() as tx:
        tx.execute(update(lead_cards).values(name=None, name_key=func.lower(lead_cards.c.email)))
        addresses = set(tx.execute(select(lead_cards.c.email)).scalars())
    monkeypatch.setattr("syncer.web.access.Access.viewer", masked_viewer)
    found = pages.api("/leads?sort=name")
    shown, back = rows(found), rows(found)
    while found["after"]:
        found = pages.api(f"/leads?sort=name&after={found['after']}")
        assert not re.search("[@a-df-m]", "".join(told(found)).replace("name", "")), told(found)
        shown += rows(found)
    assert len(shown) == len(set(shown)) == len(in_base(pages))
    assert len(addresses) > query.PAGE
    back = rows(found)
    while found["before"]:
        found = pages.api(f"/leads?sort=name&before={found['before']}")
        back = [each for each in rows(found) if each not in back] + back
    assert back == shown


def told(found: Any) -> list[str]:
    """What the places beside a page say."""
    return [base64.urlsafe_b64decode(found[where]).decode() for where in ("before", "after") if found[where]]


def test_who_sees_addresses_in_part_is_not_told_the_rest_by_a_search(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {each.id: each for each in in_base(lasting_pages).values() if each.email and each.name}
    lead, each = next(iter(known.items()))
    asked = each.email.partition("@")[0] + "@"
    assert lead in rows(lasting_pages.api(f"/leads?q={quote(asked)}"))
    monkeypatch.setattr("syncer.web.access.Access.viewer", masked_viewer)
    for path in (f"/leads?q={quote(asked)}", f"/leads?q={quote(each.email[:-1])}"):
        assert rows(lasting_pages.api(path)) == [], (path, each)
    assert csv_rows(lasting_pages, f"/leads.csv?q={quote(asked)}") == []
    for text in (each.email, each.name):
        assert lead in [row["lead"] for row in all_rows(lasting_pages, q=text)]


def test_the_last_one_asked_for_is_shown_and_its_count_is_read_out(lasting_pages: Pages) -> None:
    before, found = lasting_pages.page("/leads?stage=sql").split('<section id="found"')
    assert 'hx-sync="this:replace"' in before
    count = f"{lasting_pages.api('/leads?stage=sql')['count']} leads"
    status = re.search(r'<p id="(.+?)" class="hidden-text" role="status">(.+?)</p>', before)
    assert status
    assert status[2] == count
    assert f'hx-select-oob="#{status[1]}:innerHTML"' in before
    assert f'<h2 id="found-heading">{count}</h2>' in found
    assert 'role="status"' not in found


def masked_viewer(_self: Any, _request: Any) -> Any:
    from syncer.web.views import Viewer  # noqa: PLC0415  # as the gate gives it

    return Viewer("ana", "viewer", "password", masked=True)


def test_an_empty_base_says_so_in_both_languages(tmp_path: Path, demo_template: Path, sqlite_template: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.write_bytes(sqlite_template.read_bytes())
    with pages_over(demo_template, tmp_path / "pages", database_url=f"sqlite:///{empty}") as pages:
        assert "No lead has been scored yet." in pages.page("/leads")
        assert "Todavía no se ha puntuado ningún lead." in pages.page(
            "/leads", headers={"Cookie": "syncer_language=es"}
        )
        assert "No lead is like that." in pages.page("/leads?q=ana")
        assert pages.api("/leads")["count"] == 0
        assert csv_rows(pages, "/leads.csv") == []


def test_large_numbers_are_written_as_the_language_writes_them(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(query.page(lasting_pages.app, query.Wish(), "score"), count=query.COUNTED, passed_over=10_000)
    monkeypatch.setattr(query, "page", lambda *_given, **_named: found)
    assert "More than 1,000 leads" in lasting_pages.page("/leads")
    spanish = lasting_pages.page("/leads", headers={"Cookie": "syncer_language=es"})
    assert "Más de 1.000 leads" in spanish
    assert "10.000" in spanish
    assert "Seguir buscando" in spanish
