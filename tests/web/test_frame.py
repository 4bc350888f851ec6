"""The frame around every page."""

from __future__ import annotations

from tests.web.pages import Pages


def test_a_page_that_is_none_is_not_found(lasting_pages: Pages) -> None:
    assert lasting_pages.caller.ask("GET", "/no-such-page").status == 404
