"""Parts of a page in a real browser: what goes wrong while one is asked for costs nothing of what is shown, and whoever
uses the page stays where they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from syncer.errors import TemporaryError
from syncer.queries import timelines
from syncer.web.counting import Counted, Counting
from tests.web.browser.chromium import DARK, LIGHT, SLOWEST_MS, Look, visiting
from tests.web.guests import Inn
from tests.web.pages import Pages
from tests.web.spans import SPANS

pytestmark = pytest.mark.slow

TOO_MUCH = "10000000000"  # points that no lead can have

Shows = Callable[..., Page]


@pytest.fixture
def shows(browser: Browser, lasting_pages: Pages) -> Iterator[Shows]:
    """Opens an address, in one browser after the other."""
    opened = []

    def show(address: str, look: Look = LIGHT) -> Page:
        going = visiting(browser, lasting_pages.caller.origin, look)
        visit = going.__enter__()
        opened.append(going)
        visit.page.set_default_timeout(SLOWEST_MS)
        visit.page.goto(address)
        return visit.page

    yield show
    for going in opened:
        going.__exit__(None, None, None)


def test_a_filter_that_is_refused_leaves_the_list_and_the_address_and_says_why(shows: Shows) -> None:
    page = shows("/leads")
    before = page.locator("#found tbody").inner_text()
    trouble = page.get_by_role("alert")
    expect(trouble).to_have_count(0)
    page.fill("#score_from", TOO_MUCH)
    page.press("#score_from", "Tab")
    expect(trouble).to_be_visible()
    assert len(trouble.inner_text()) > 10
    assert page.locator("#found tbody").inner_text() == before
    assert page.url.endswith("/leads")
    page.fill("#score_from", "30")
    page.press("#score_from", "Tab")
    expect(trouble).to_have_count(0)
    expect(page).to_have_url(re.compile("score_from=30"))
    expect(page.locator("#which")).to_be_visible()
    expect(page.locator("#found")).to_be_visible()


def test_figures_that_could_not_be_asked_for_are_asked_for_again(shows: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    stands, ask = ["counting"], Counting.ask

    def answer(*asked: object) -> Counted[object]:
        if stands[-1] == "busy":
            raise TemporaryError("the database is busy", code="SY064")
        return Counted(running=True) if stands[-1] == "counting" else ask(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Counting, "ask", answer)
    page = shows("/")
    stands.append("busy")
    expect(page.get_by_role("alert")).to_have_text("That did not work just now. This page tries again by itself.")
    expect(page.locator("#figures")).to_contain_text("Counting…")
    stands.append("well")
    expect(page.locator("#figures")).to_contain_text("Entered", timeout=SLOWEST_MS)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_no_answer_at_all_is_told_in_the_readers_language(shows: Shows) -> None:
    page = shows("/leads", DARK)

    def cut_off(route: Route) -> None:
        route.abort("connectionrefused")

    page.route("**/leads?*", cut_off)
    page.fill("#score_from", "30")
    page.press("#score_from", "Tab")
    expect(page.get_by_role("alert")).to_have_text("Ahora mismo no ha sido posible. Inténtelo de nuevo en un minuto.")
    expect(page.locator("#found")).to_be_visible()


def test_whose_session_has_ended_is_led_to_sign_in(browser: Browser, inn: Inn, quick_hashes: None) -> None:
    guest = inn.user("ana")
    name = next(each for each in guest.cookies if each.endswith("syncer_session"))
    with visiting(browser, inn.caller.origin, LIGHT, cookie=(name, guest.cookies[name])) as visit:
        visit.go("/leads")
        guest.post("/account/everywhere")
        visit.page.fill("#score_from", "30")
        visit.page.press("#score_from", "Tab")
        expect(visit.page).to_have_url(re.compile("/sign-in"))


def test_the_language_is_changed_of_what_is_shown_and_not_of_what_was_opened(shows: Shows) -> None:
    page = shows("/leads")
    page.fill("#score_from", "30")
    page.press("#score_from", "Tab")
    expect(page).to_have_url(re.compile("score_from=30"))
    shown = page.url
    page.get_by_role("button", name="Español").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    assert page.url == shown


def test_who_asks_for_earlier_events_by_keyboard_goes_on_at_the_first_of_them(
    shows: Shows, lasting_pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "_MOST", 3)
    page = shows(f"/leads/{lasting_pages.api('/leads?sort=score')['rows'][0]['lead']}")
    page.locator("#earlier a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#timeline .part .part li").first).to_be_focused()


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["en", "es"])
def test_the_time_that_is_left_runs_on_in_the_words_of_the_server(shows: Shows, look: Look) -> None:
    page = shows("/account", look)
    page.clock.set_fixed_time("2026-11-22T12:00:00Z")
    page.goto("/handoffs")
    page.evaluate(
        """(spans) => {
          const list = document.querySelector("[data-now]"), now = list ? Date.parse(list.dataset.now) : Date.now();
          for (const [sign, seconds] of [1, -1].flatMap((sign) => spans.map((each) => [sign, each]))) {
            const place = document.createElement("time");
            place.className = "due of-test";
            place.dateTime = new Date(now + sign * seconds * 1000).toISOString();
            [place.dataset.left, place.dataset.late] = ["left {span}", "late {span}"];
            document.querySelector("main").append(place);
          }
        }""",
        [seconds for seconds, *_ in SPANS],
    )
    words = [each[1 if look.language == "en" else 2] for each in SPANS]
    late = [f"late {said}" for said in words[1:]]  # what is due this very moment is not late
    expect(page.locator(".of-test")).to_have_text([*(f"left {said}" for said in words), f"left {words[0]}", *late])
