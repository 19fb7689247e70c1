"""Makes the pictures of docs/app.md: `hf-unlearn demo`, then `python scripts/make_screenshots.py outputs/demo`.

It needs the extra `app`, Playwright and a Chromium (or its path in CHROMIUM).
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hf_unlearn.app.options import Options
from hf_unlearn.app.server import served

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH, HEIGHT = 1000, 900
# Milliseconds.
PATIENCE = 600_000


def make_screenshots(demo: Path, folder: Path) -> None:
    """Take the demo's model through the page, and write what it shows before, during and after a run."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    os.chdir(demo.parent)
    with tempfile.TemporaryDirectory() as output_dir, sync_playwright() as playwright:
        options = Options(
            model=f"{demo.name}/original",
            dataset=f"{demo.name}/dataset",
            output_dir=output_dir,
            forget_classes=("eight",),
        )
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with served(options) as up:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(PATIENCE)
            page.goto(up.url)
            page.click("button#check")
            page.wait_for_selector("dl.plan")
            _write(page.screenshot(full_page=True), folder / "app_check.webp")
            page.click("button#forget")
            page.wait_for_selector("table.classes")
            page.evaluate("document.querySelector('.verdict').scrollIntoView({block: 'start'})")
            page.mouse.wheel(0, -12)
            # The bars of the page glide.
            page.wait_for_timeout(1000)
            _write(page.screenshot(), folder / "app_outcome.webp")
        browser.close()


def _write(png: bytes, path: Path) -> None:
    from PIL import Image

    image: Any = Image.open(io.BytesIO(png)).convert("RGB")
    image.save(path, quality=80, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("demo", type=Path, help="what hf-unlearn demo left")
    make_screenshots(parser.parse_args().demo.resolve(), IMAGES)


if __name__ == "__main__":
    main()
