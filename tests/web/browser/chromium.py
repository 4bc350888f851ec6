"""Debian's Chromium, driven by Playwright: one visit at a time, with all that a page complains of.

Playwright brings no browser here and downloads none. Chromium is kept from calling anybody by itself: no name but this
machine's is ever looked up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from syncer.settings.values import Language
from syncer.web.site import LANGUAGE_COOKIE

FLAGS = (
    "--no-sandbox",  # the tests run as root in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
MISSING = (
    "Chromium is not installed: apt-get install --no-install-recommends chromium fonts-dejavu-core, or .ci/run, does it"
)
SLOWEST_MS = 20_000.0  # until a page stands still
_NAMES = ("chromium", "chromium-browser")
_COMPLAINTS = ("error", "warning")
_MEANT_TO_FAIL = 400

# What the policy forbids is told to the console as well, but not in every case.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation",
  (event) => console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
# Nothing is being asked for or counted, and each chart is drawn.
_STANDS_STILL = """
() => document.readyState === "complete"
  && !document.querySelector(".htmx-request, [hx-trigger*='load']")
  && [...document.querySelectorAll("[data-chart]")].every((place) => place.querySelector("svg"))
"""


def installed() -> str | None:
    """Where Chromium is."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody sees the pages."""

    name: str
    width: int = 1280
    height: int = 900
    theme: Literal["light", "dark"] = "light"
    language: Language = "en"
    scripts: bool = True


LIGHT = Look("light")
DARK = Look("dark", theme="dark", language="es")
PHONE = Look("phone", 375, 812, language="es")
NIGHT = Look("phone-dark", 375, 812, theme="dark")
LOOKS = (LIGHT, DARK, PHONE, NIGHT)


@dataclass
class Visit:
    """A page that is open, and what it has complained of."""

    page: Page
    look: Look
    complaints: list[str] = field(default_factory=list)

    def go(self, address: str) -> None:
        """Open an address of the site and wait until it stands still."""
        self.page.goto(address, wait_until="load")
        self.settle()

    def settle(self) -> None:
        if self.look.scripts:
            self.page.wait_for_function(_STANDS_STILL, timeout=SLOWEST_MS)

    def sideways_px(self) -> int:
        """How far the page itself can be scrolled sideways."""
        found: int = self.page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
        return found

    def shoot(self, name: str) -> None:
        """A picture of the whole page for a person to look at, where SYNCER_SHOTS says."""
        if folder := os.environ.get("SYNCER_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.{self.look.name}.png", full_page=True)


@contextmanager
def visiting(
    browser: Browser, origin: str, look: Look, *, cookie: tuple[str, str] | None = None, bypass_csp: bool = False
) -> Iterator[Visit]:
    """A browser of somebody new. `cookie`: their session's; `bypass_csp`: scripts of ours may be put into the pages."""
    context = browser.new_context(
        base_url=origin, viewport={"width": look.width, "height": look.height}, color_scheme=look.theme,
        java_script_enabled=look.scripts, bypass_csp=bypass_csp, locale="en-GB", timezone_id="Europe/Madrid",
    )  # fmt: skip
    try:
        held = [(LANGUAGE_COOKIE, look.language), *([cookie] if cookie else [])]
        context.add_cookies([{"name": name, "value": value, "url": origin} for name, value in held])
        visit = Visit(context.new_page(), look)
        _listen(context, visit)
        yield visit
    finally:
        context.close()


def _listen(context: BrowserContext, visit: Visit) -> None:
    context.add_init_script(_TELL_VIOLATIONS)

    def said(message: ConsoleMessage) -> None:
        if message.type in _COMPLAINTS:
            visit.complaints.append(f"console {message.type}: {message.text}")

    def failed(request: Request) -> None:
        visit.complaints.append(f"request failed: {request.method} {request.url} {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= _MEANT_TO_FAIL:
            visit.complaints.append(f"answer {response.status}: {response.request.method} {response.url}")

    def broke(error: Any) -> None:
        visit.complaints.append(f"script: {error}")

    visit.page.on("console", said)
    visit.page.on("requestfailed", failed)
    visit.page.on("response", answered)
    visit.page.on("pageerror", broke)
