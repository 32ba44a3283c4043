"""``make screenshot``: draws the picture of the operator's page for README, with the made-up data of sample.py."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from prebooking.local.function import Function
from tests.browser.conftest import FLAGS, ZONE
from tests.browser.installed import NO_CHROMIUM, chromium
from tests.browser.sample import busy

PICTURE = Path(__file__).parents[2] / "docs" / "page.png"
NOW = datetime(2026, 11, 26, 8, 17, 4, tzinfo=UTC)
COLOURS = 128
LARGEST = 150_000  # bytes: it is in the repository


def main() -> int:
    """Write the picture; return 1 if it is too large."""
    if (path := chromium(os.environ)) is None:
        sys.stdout.write(f"{NO_CHROMIUM}\n")
        return 0
    with Function({}, log=print) as function, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1190}, timezone_id=ZONE, color_scheme="light")
        page.clock.install(time=NOW)
        page.route("**/api/status", lambda route: route.fulfill(json=busy(NOW, dots=300)))
        page.goto(f"{function.ready().address}/#token=made-up")
        page.wait_for_selector("#board[aria-busy=false]")
        page.screenshot(path=PICTURE)
        browser.close()
    with Image.open(PICTURE) as picture:
        picture.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE.name}: {size} bytes\n")
    return int(size > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
