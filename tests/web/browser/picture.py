"""Makes .github/funnel.png, the picture in the README, from the demo:

    python -m tests.web.browser.picture

It is to be made anew when the first page changes its looks. Numbers differ a little each time, as the demo is of today.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.web.browser.chromium import MISSING, Look, installed, launched, visiting
from tests.web.pages import demo_folder, pages_over

PATH = Path(__file__).parents[3] / ".github" / "funnel.png"
LEADS, WEEKS = 2000, 12
LOOK = Look("picture", 1280, 1010)


def main() -> None:
    path = installed()
    if path is None:
        raise SystemExit(MISSING)
    with TemporaryDirectory() as folder:
        template = demo_folder(Path(folder) / "demo", LEADS, WEEKS)
        more = "  source: hs_analytics_source\n"
        with (
            pages_over(template, Path(folder) / "pages", more) as pages,
            launched(path) as browser,
            visiting(browser, pages.caller.origin, LOOK) as visit,
        ):
            visit.go("/?days=90")
            visit.page.screenshot(path=PATH)


if __name__ == "__main__":
    main()
