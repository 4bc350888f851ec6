"""Every page in a real browser: it complains of nothing, fits a phone, can be used by keyboard and by those who do not
see it, and shows what it can where scripts are off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from syncer.web.pages import VIEWS
from tests.web.browser.chromium import DARK, LIGHT, LOOKS, Look, Visit, visiting
from tests.web.browser.walk import ADDRESSES, Stop, Walk, stops

AXE = Path(__file__).parent.parent / "vendor" / "axe.min.js"
WITHOUT_SCRIPTS = Look("no-scripts", scripts=False)
_STOPS = [pytest.param(each, id=each.name) for each in stops()]
_GRAVE = ("serious", "critical")
_MOST_CONTROLS = 200  # that are looked for on one page
_MOST_PARTS = 4  # that one control is tabbed through: day, month, year, and the calendar

pytestmark = pytest.mark.slow

# Everything that may hold the focus, is seen, and is the way into its group.
_REACHABLE = """
() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility({visibilityProperty: true}) && !each.disabled && each.tabIndex >= 0)
  .filter((each) => each.type !== "hidden" && (each.type !== "radio" || each.checked))
  .map((each, number) => { each.dataset.number = number; return each.outerHTML.slice(0, 160); })
"""
_FOCUSED = """
() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
  return {
    number: here.dataset.number ?? null, name: here.outerHTML.slice(0, 160),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.height > 0
      && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight,
  };
}
"""


def test_the_walk_goes_through_every_view() -> None:
    assert set(ADDRESSES) == {view.path for view in VIEWS}


Goes = Callable[..., Visit]


@pytest.fixture
def goes(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Goes]:
    """Opens a stop in some look, in a browser of its own."""
    with ExitStack() as opened:

        def go(stop: Stop, look: Look = LIGHT, *, bypass_csp: bool = False) -> Visit:
            walk: Walk = request.getfixturevalue(stop.walk)
            going = visiting(browser, walk.origin, look, cookie=walk.cookie, bypass_csp=bypass_csp)
            visit = opened.enter_context(going)
            visit.go(walk.address(stop.address))
            return visit

        yield go


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
@pytest.mark.parametrize("stop", _STOPS)
def test_a_page_complains_of_nothing_and_fits(goes: Goes, look: Look, stop: Stop) -> None:
    visit = goes(stop, look)
    _hover_charts(visit)
    visit.shoot(stop.name)
    assert visit.complaints == []
    assert visit.sideways_px() <= 0
    assert visit.page.locator("html").get_attribute("lang") == visit.look.language
    assert visit.page.locator("h1").count() == 1


def _hover_charts(visit: Visit) -> None:
    """Tooltips are made when the mouse is there."""
    for chart in visit.page.locator(".plot, svg.chart").all():
        if not chart.is_visible():
            continue
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        for part in (0.2, 0.5, 0.8):
            visit.page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] * 0.6)
    visit.page.mouse.move(0, 0)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
@pytest.mark.parametrize("stop", _STOPS)
def test_axe_finds_no_grave_fault(goes: Goes, look: Look, stop: Stop) -> None:
    assert _grave_faults(goes(stop, look, bypass_csp=True)) == []


def _grave_faults(visit: Visit) -> list[tuple[str, str, list[str]]]:
    """What is wrong, in words, and where; with everything unfolded that can be."""
    visit.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    visit.page.add_script_tag(path=AXE)
    found = visit.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    grave = [each for each in found["violations"] if each["impact"] in _GRAVE]
    return [(each["id"], each["help"], [node["html"] for node in each["nodes"]]) for each in grave]


@pytest.mark.parametrize("stop", _STOPS)
def test_every_control_is_reached_by_keyboard_and_shows_that_it_is(goes: Goes, stop: Stop) -> None:
    visit = goes(stop)
    wanted: list[str] = visit.page.evaluate(_REACHABLE)[:_MOST_CONTROLS]
    reached: set[str] = set()
    for _ in range(len(wanted) * _MOST_PARTS):
        if len(reached) == len(wanted):
            break
        visit.page.keyboard.press("Tab")
        focused = visit.page.evaluate(_FOCUSED)
        if focused["number"] is None or int(focused["number"]) >= len(wanted):
            continue
        reached.add(focused["number"])
        assert focused["outlined"], focused
        assert focused["seen"], focused
    assert [name for number, name in enumerate(wanted) if str(number) not in reached] == []


def test_the_first_tab_leads_past_the_frame(goes: Goes) -> None:
    visit = goes(Stop("funnel", "/"))
    visit.page.keyboard.press("Tab")
    skip = visit.page.locator(".skip")
    box = skip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("stop", _STOPS)
def test_without_scripts_a_page_shows_what_it_has(goes: Goes, stop: Stop) -> None:
    visit = goes(stop, WITHOUT_SCRIPTS)
    assert visit.complaints == []
    heading = visit.page.locator("main h1").inner_text()
    assert heading
    assert visit.page.locator("main").inner_text().replace(heading, "").strip()
    for form in visit.page.locator("form").all():
        assert form.locator("button").count() >= 1


def test_the_language_is_changed_on_the_spot(goes: Goes, walk: Walk) -> None:
    visit = goes(Stop("funnel", "/"))
    visit.page.get_by_role("button", name="Español").click()
    visit.settle()
    assert visit.page.locator("html").get_attribute("lang") == "es"
    assert visit.page.url == f"{walk.origin}/"
    assert visit.complaints == []
