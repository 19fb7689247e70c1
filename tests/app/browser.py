"""A headless Chromium that is there already: the page is looked at as a person would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Playwright's own browsers are not looked for: a distribution's package is enough.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESKTOP, PHONE = 1280, 390
# A machine may be busy with other things.
PATIENCE = 120_000


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A Chromium; the test is left out where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra dev)")
    path = chromium()
    if path is None:
        pytest.skip(f"there is no Chromium here: none of {', '.join(NAMES)}, and CHROMIUM names none")
    with sync_api.sync_playwright() as playwright:
        # As root a sandbox cannot be made, and what is looked at is our own page.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A tab that looks at the page, with what went wrong in it, and how often it was clicked.

    Attributes:
        faults: errors of scripts, and what the console says of faults.
        elsewhere: addresses that it asked for besides the page's own.
    """

    def __init__(self, browser: Any, url: str, width: int = DESKTOP, ready: str = "#check"):
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.clicks = 0
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        # An alert is what a script in a name would show.
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url, url))
        self.page.goto(url)
        self.page.wait_for_selector(ready)

    def _asked(self, address: str, own: str) -> None:
        if not address.startswith((own, "data:", "blob:")):
            self.elsewhere.append(address)

    def click(self, selector: str) -> None:
        """Click, and count it."""
        self.clicks += 1
        self.page.click(selector)

    def write(self, box: str, text: str) -> None:
        """Click into a box and write; that is one click."""
        field = f"#{box} input, #{box} textarea"
        self.click(field)
        self.page.fill(field, text)

    def check(self) -> None:
        """Ask what the run comes to, and wait for the answer."""
        self.click("#check button, button#check")
        self.page.wait_for_selector("dl.plan, #status .error")

    def forget(self) -> None:
        """Run, and wait for the end."""
        self.click("#forget button, button#forget")
        self.page.wait_for_selector(".verdict, #status .error")

    def text(self, selector: str) -> str:
        """What a person reads there."""
        return str(self.page.inner_text(selector))

    def overflows(self) -> list[str]:
        """What reaches beyond the right edge and is not in something that scrolls, as tags with their classes."""
        found: list[str] = self.page.evaluate(
            """() => {
                const scrolls = e => e && (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(e).overflowX)
                    || scrolls(e.parentElement));
                const wide = [...document.body.querySelectorAll('*')].filter(e => {
                    const box = e.getBoundingClientRect();
                    return box.width > 0 && box.right > window.innerWidth + 1 && !scrolls(e.parentElement);
                });
                return wide.map(e => e.tagName + '.' + (e.className.baseVal ?? e.className));
            }"""
        )
        return found

    def small_texts(self, least: float = 11.0) -> list[str]:
        """Texts of fewer pixels than `least`, as they are seen; drawings scaled with the page among them."""
        found: list[str] = self.page.evaluate(
            """least => {
                const small = [];
                for (const e of document.body.querySelectorAll('*')) {
                    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
                    const box = e.getBoundingClientRect();
                    if (!own || !box.width || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
                    const svg = e.closest('svg');
                    const scale = svg && svg.viewBox.baseVal.width
                        ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
                    const size = parseFloat(getComputedStyle(e).fontSize) * scale;
                    if (size < least) small.push(size.toFixed(1) + ': ' + e.textContent.trim().slice(0, 40));
                }
                return small;
            }""",
            least,
        )
        return found
