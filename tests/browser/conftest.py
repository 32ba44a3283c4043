"""An installed Chromium, pages that report what it complains about, and the local stack after the demo."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, sync_playwright
from rich.console import Console

from prebooking.local.demo.walkthrough import run_demo
from prebooking.local.function import PATH, UPKEEP, Function
from prebooking.local.stack import local_stack
from tests.browser.installed import NO_CHROMIUM, chromium
from tests.browser.opened import TIMEOUT, LogLines, Opened, OpenPage, ServedDemo

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ZONE = "Europe/Madrid"
SCREENSHOTS = Path(__file__).parents[2] / ".screenshots"
# What the browser complains about, and by how much boxes have moved without a key or a click.
_WATCH = """
window.reports = []; window.shifts = [];
addEventListener("securitypolicyviolation", (event) => reports.push(event.violatedDirective + " " + event.blockedURI));
new PerformanceObserver((list) => shifts.push(...list.getEntries().filter((one) => !one.hadRecentInput)
  .map((one) => ({ by: one.value, what: one.sources.map((source) => String(source.node?.outerHTML).slice(0, 200)) }))))
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if (path := chromium(os.environ)) is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def files() -> Iterator[str]:
    """The address of a function without settings: it serves the page's files, and tests answer for its data."""
    log: list[str] = []
    with Function({}, log=log.append) as function:
        yield function.ready().address


@pytest.fixture
def open_page(browser: Browser, files: str) -> Iterator[OpenPage]:
    """Return a function that prepares a page; it is closed at the end of the test."""
    with ExitStack() as ends:

        def prepare(
            width: int = 1600, scheme: str = "light", *, site: str = files, height: int = 900, **options: Any
        ) -> Opened:
            context = browser.new_context(
                viewport=ViewportSize(width=width, height=height),
                color_scheme="dark" if scheme == "dark" else "light",
                timezone_id=ZONE,
                reduced_motion="reduce",
                **options,
            )
            ends.callback(context.close)
            context.set_default_timeout(TIMEOUT)
            page = context.new_page()
            page.add_init_script(_WATCH)
            opened = Opened(page, site)
            page.on("pageerror", lambda error: opened.errors.append(str(error)))
            page.on("console", lambda message: opened.errors.append(message.text) if message.type == "error" else None)
            return opened

        yield prepare


@pytest.fixture(scope="session")
def demo() -> Iterator[ServedDemo]:
    """The demo: four venues, six openings, a killed run. The real functions settle every row."""
    quiet = Console(file=io.StringIO())
    with ThreadPoolExecutor(4) as threads, local_stack() as stack:
        # In a thread, because playwright's loop runs in this one.
        threads.submit(run_demo, stack, threads, quiet).result()
        log = LogLines()
        with stack.function(log=log.add) as function:
            for path in (PATH, UPKEEP):
                function.trigger(path)
            yield ServedDemo(stack, function, log)


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder of the screenshots, which git ignores; emptied once per session."""
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir()
    return SCREENSHOTS
