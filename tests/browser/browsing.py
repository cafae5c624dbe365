"""Debian's Chromium, driven as a reader would use it, and what every page has to be."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.journey.deployment import Deployment
from tests.missing import missing
from tests.web.ops.operators import PASSWORD

# A phone, a tablet, a desk.
WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")
SCREENSHOTS = Path(__file__).parent / "screenshots"
_PICTURES = bool(os.environ.get("PICTURES"))
_OURS = re.compile(r"^(http://(localhost|127\.0\.0\.1):\d+/|data:|about:)")
# The shell draws no window of its own, which takes more than a third of the CPU.
_BINARIES = ("chromium-headless-shell", "chromium", "chromium-browser")
_UNANSWERED = ("htmx:afterRequest", "htmx:sendError")
_LEVELS = """["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]"""
# Finds violations of WCAG 2.2 A and AA, but for colours.
_STRUCTURE = f"""async () => (await axe.run({{
  runOnly: {_LEVELS}, rules: {{"color-contrast": {{enabled: false}}}}, resultTypes: ["violations"],
  preload: {{assets: ["media"]}},
}})).violations"""
# Finds what is too pale. That takes long, so a row is left out if an earlier one of its table has
# the same markup, but for words and addresses.
_PALE = """async () => {
  for (const body of document.querySelectorAll("tbody")) {
    const seen = new Set();
    for (const row of body.rows) {
      row.removeAttribute("data-repeats");
      const kind = row.outerHTML.replace(/[^<>]*[^<>\\s][^<>]*(?=<)/g, "…")
        .replace(/ (id|href|value|action|datetime)="[^"]+"/g, "");
      row.toggleAttribute("data-repeats", seen.has(kind));
      seen.add(kind);
    }
  }
  const kinds = {exclude: [["[data-repeats]"]]};
  const colours = {runOnly: ["color-contrast"], resultTypes: ["violations"]};
  return (await axe.run(kinds, colours)).violations;
}"""

# What ends beyond the card that holds it, but for what is in something that scrolls or clips.
_BEYOND = """() => [...document.querySelectorAll(".card *")].filter((element) => {
  const card = element.parentElement.closest(".card");
  if (!card || !element.checkVisibility()) return false;  // as what is folded away
  if (element.getBoundingClientRect().right <= card.getBoundingClientRect().right + 1) return false;
  for (let at = element.parentElement; ; at = at.parentElement) {
    if (getComputedStyle(at).overflowX !== "visible") return false;
    if (at === card) return true;
  }
}).map((element) => element.outerHTML.slice(0, 200))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a browser; without one the test skips, or fails where CI requires it."""
    binary = next(filter(None, map(shutil.which, _BINARIES)), None)
    if binary is None:
        missing("chromium", "apt-get install -y chromium-headless-shell")
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=binary,
            # Its sandbox does not work as root, which containers like to be.
            chromium_sandbox=os.geteuid() != 0,
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Reader:
    """Somebody at a browser, in a time zone of their own; everything that went wrong is kept."""

    context: BrowserContext
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Browser, *, javascript: bool = True) -> "Reader":
        """Return a reader with an empty browser."""
        context = browser.new_context(
            java_script_enabled=javascript,
            timezone_id="America/New_York",
            locale="en-US",
            # A picture taken while a colour changes would be of neither.
            reduced_motion="reduce",
        )
        reader = cls(context)
        context.on("request", reader._note_request)
        context.on("weberror", lambda error: reader.wrong.append(str(error.error)))
        context.on("console", lambda said: reader._listen(said.type, said.text))
        context.on("requestfailed", reader._note_failure)
        context.set_default_timeout(60_000)
        return reader

    def page(self) -> Page:
        """Return a new page."""
        return self.context.new_page()

    def _note_request(self, request: Request) -> None:
        if not _OURS.match(request.url):
            self.wrong.append(f"asked for {request.url}")

    def _listen(self, kind: str, text: str) -> None:
        # A status that is no 2xx is told as an error too; tests look at statuses themselves. And
        # htmx tells of a request that got no answer, whatever the reason: see below.
        known = text.startswith(("Failed to load resource", *_UNANSWERED))
        if kind == "error" and not known:
            self.wrong.append(text)

    def _note_failure(self, request: Request) -> None:
        # Whoever goes to another page gives up what the first has asked for.
        given_up = request.failure == "net::ERR_ABORTED"
        if not given_up and _OURS.match(request.url):
            self.wrong.append(f"{request.url}: {request.failure}")


def look(page: Page, name: str, widths: Sequence[int] = WIDTHS) -> None:
    """Look at the page in each width, by day and by night, and fail for what is wrong.

    Nothing may be wider than the window or leave its card at the right, and axe-core may find no
    violation of WCAG 2.2 AA. With PICTURES set it keeps what it saw.
    """
    found: list[str] = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        # A window that closes by itself waits for who is there.
        page.mouse.move(0, width // 100)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{name}-{width}: {wide} px wide")
        found += [f"{name}-{width}: beyond its card: {it}" for it in page.evaluate(_BEYOND)]
        found += [f"{name}-{width}: {problem}" for problem in _violations(page, _STRUCTURE)]
    # Where a row is a card and where it is a row: what is between has one of both.
    for width, scheme in product(sorted({min(widths), max(widths)}), SCHEMES):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        where = f"{name}-{width}-{scheme}"
        page.mouse.move(0, len(scheme))
        if _PICTURES:
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"{where}.png", full_page=True)
        found += [f"{where}: {problem}" for problem in _violations(page, _PALE)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})
    assert not found, "\n".join(found)


def _violations(page: Page, axe_run: str) -> list[str]:
    if not page.evaluate("'axe' in window"):  # it stays until the page is another
        page.evaluate(Axe().axe_script)
    results = page.evaluate(axe_run)
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in results
        for node in violation["nodes"]
    ]


def log_in(page: Page, deployment: Deployment, path: str = "/ops/") -> None:
    page.goto(f"{deployment.receivers[0]}{path}")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
