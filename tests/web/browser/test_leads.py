"""The list of leads in a real browser: what was typed last is what is shown, and how many there are is read out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from syncer.queries import leads
from syncer.queries.leads import Found, Wish
from tests.web.browser.chromium import LIGHT, SLOWEST_MS, visiting
from tests.web.pages import Pages

pytestmark = pytest.mark.slow

TYPED_MS = 600  # until what is typed is asked for


@pytest.fixture
def page(browser: Browser, lasting_pages: Pages) -> Iterator[Page]:
    with visiting(browser, lasting_pages.caller.origin, LIGHT) as visit:
        visit.page.set_default_timeout(SLOWEST_MS)
        visit.page.goto("/leads")
        yield visit.page


def test_the_list_shows_what_was_typed_last(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, going = threading.Event(), threading.Event()
    found = leads.page

    def slow(app: Any, wish: Wish, *given: Any, **named: Any) -> Found:
        if wish.text == "a":
            asked.set()
            going.wait(20)
        return found(app, wish, *given, **named)

    monkeypatch.setattr(leads, "page", slow)
    for text in ("a", "an", "nobody-is-called-so"):
        page.fill("#q", text)
        page.wait_for_timeout(TYPED_MS)
        assert asked.wait(10)
    going.set()
    expect(page.locator("#found")).to_contain_text("No lead is like that.")
    assert "q=nobody-is-called-so" in page.url


def test_how_many_there_are_is_told_where_a_screen_reader_hears_of_it(page: Page) -> None:
    status = page.locator("#found-told")
    status.evaluate("each => each.dataset.same = 'yes'")
    before = status.inner_text()
    page.check("input[value=sql]")
    expect(status).not_to_have_text(before)
    expect(status).to_have_text(page.get_by_role("heading", level=2).inner_text())
    expect(status).to_have_attribute("data-same", "yes")
