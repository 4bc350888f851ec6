"""Browsers over the demo's base. Where there is no Chromium these tests are left out, except in CI, where they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.browser.chromium import MISSING, installed, launched
from tests.web.browser.trouble import session_of, troubled
from tests.web.browser.walk import Walk, troubled_walk_of, walk_of
from tests.web.pages import Pages, demo_folder, pages_over

WEEKS = 12  # that the base looks back on, as the demo's does
MORE = "  source: hs_analytics_source\n"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = installed()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with launched(path) as running:
        yield running


@pytest.fixture(scope="session")
def lived_in(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A base with a past. The browser is asked for first: without one the base is not made."""
    template = demo_folder(tmp_path_factory.mktemp("lived-in"), weeks=WEEKS)
    with pages_over(template, tmp_path_factory.mktemp("browsed") / "pages", MORE) as opened:
        yield opened


@pytest.fixture(scope="session")
def walk(lived_in: Pages) -> Walk:
    return walk_of(lived_in)


@pytest.fixture(scope="session")
def in_trouble(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Like `lived_in`, with what is wrong in it."""
    with troubled(tmp_path_factory.mktemp("troubled")) as opened:
        yield opened


@pytest.fixture(scope="session")
def troubled_walk(in_trouble: Pages) -> Walk:
    return troubled_walk_of(in_trouble, session_of(in_trouble))


@pytest.fixture(scope="session")
def strangers_walk(in_trouble: Pages) -> Walk:
    return troubled_walk_of(in_trouble, None)
