"""The frame around every page."""

from __future__ import annotations

import re

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
