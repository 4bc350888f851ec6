"""The frame around every page."""

from __future__ import annotations

import re

import orjson
import pytest

from syncer.web.counting import Counted, Counting
from tests.web.guests import soon
from tests.web.pages import Pages


def test_a_page_that_is_none_is_not_found(lasting_pages: Pages) -> None:
    assert lasting_pages.caller.ask("GET", "/no-such-page").status == 404


def test_a_browser_that_asks_for_a_page_that_is_none_gets_one_that_leads_on(lasting_pages: Pages) -> None:
    answer = lasting_pages.caller.ask("GET", "/no-such-page", headers={"Accept": "text/html,*/*"})
    assert answer.status == 404
    page = answer.data.decode()
    assert "There is no such page" in page
    assert 'href="/leads"' in page
    assert "no-such-page" not in page.replace('value="/no-such-page"', "")


def test_the_menu_shows_in_which_part_a_page_is(lasting_pages: Pages) -> None:
    assert '<a href="/runs" aria-current="page">' in lasting_pages.page("/runs")
    assert '<a href="/runs" aria-current="true">' in lasting_pages.page("/rejected")
    assert '<a href="/leads" aria-current="true">' in lasting_pages.page("/leads/1")
    assert "aria-current" not in lasting_pages.page("/account").partition("</nav>")[0]


def test_what_is_named_by_its_contents_is_kept_by_browsers_and_nothing_else_is(lasting_pages: Pages) -> None:
    page = lasting_pages.page("/leads")
    (sheet,) = re.findall(r'href="(/static/syncer\.css\?v=\w+)"', page)
    assert "immutable" in lasting_pages.caller.ask("GET", sheet).headers["cache-control"]
    for path in ("/static/syncer.css", "/leads", "/api/leads"):
        assert lasting_pages.caller.ask("GET", path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/handoffs", "/runs", "/runs/rules", "/what-if", "/leads/1/course"])
def test_what_is_still_counted_can_be_asked_for_again_without_scripts(
    lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(Counting, "ask", lambda *_: Counted(running=True))
    page = lasting_pages.page(path)
    assert re.search(rf'Counting….*<noscript><a href="{path}">Reload</a></noscript>', page, re.DOTALL)


def test_an_error_leaves_the_page_that_asked_as_it_is_and_says_what_is_wrong(lasting_pages: Pages) -> None:
    """What the script does with it is tried in a browser: see browser/test_errors.py."""
    (settings,) = re.findall(r"name=\"htmx-config\" content='(.*?)'", lasting_pages.page("/leads"))
    assert orjson.loads(settings)["noSwap"] == [204, 304, "4xx", "5xx"]
    answer = lasting_pages.caller.ask("GET", "/leads?score_from=x", headers={"Accept": "text/html"})
    assert answer.status == 400
    (told,) = re.findall('<p id="problem">(.*?)</p>', answer.data.decode())
    assert told


def test_a_spanish_page_names_dimensions_and_whole_dates_in_spanish(lasting_pages: Pages) -> None:
    def page() -> str:
        return lasting_pages.page("/runs/rules", {"Cookie": "syncer_language=es"})

    assert soon(lambda: "<tbody>" in page())
    assert {"Perfil", "Interacción"} <= set(re.findall("<td>(.*?)</td>", page()))
    assert re.search(r"a fecha de \d+ [a-z]+ \d{4}, \d\d:\d\d", page())


# Back from what was sent


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("{origin}/leads/1?at=2026-11-01", "/leads/1?at=2026-11-01"),
        ("{origin}//evil.example/", "/"),
        ("https://evil.example/leads/1", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
def test_a_form_that_was_refused_leads_back_to_its_page(lasting_pages: Pages, referer: str, back: str) -> None:
    caller = lasting_pages.caller
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    sent = {**headers, "Referer": referer.format(origin=caller.origin)}
    answer = caller.ask("POST", "/leads/1/override", b"stage=none-such", sent)
    assert answer.status == 409
    html = answer.data.decode()
    assert f'<a href="{back}">' in html
    assert f'name="to" value="{back}"' in html, "the switch of the language"


def test_the_address_of_a_form_is_no_page(lasting_pages: Pages) -> None:
    page = lasting_pages.caller.ask("GET", "/leads/1/override", headers={"Accept": "text/html"})
    assert page.status == 404
    assert "<h1>" in page.data.decode()
    bare = lasting_pages.caller.ask("GET", "/leads/1/override")
    assert (bare.status, bare.headers["Allow"]) == (405, "POST")
