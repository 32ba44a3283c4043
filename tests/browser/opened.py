"""An open page with the answers to its requests, and the stack behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Page, Route

from prebooking.local.function import STATUS, Function
from prebooking.local.stack import Stack

TIMEOUT = 10_000.0  # ms that one step may take
SECRET = "the-token-of-the-page"


@dataclass
class Opened:
    """An open page, and the errors of its console. ``answers`` are given to the requests of its data, in order."""

    page: Page
    site: str
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # the requests for data: path and query

    def answer(self, handle: Callable[[Route], Any] | dict[str, Any] | int) -> None:
        """Answer all further requests for data with this JSON, this status, or as this function does."""

        def respond(route: Route) -> None:
            self.asked.append(route.request.url.removeprefix(self.site))
            if callable(handle):
                handle(route)
            elif isinstance(handle, int):
                route.fulfill(status=handle, json={"success": False})
            else:
                route.fulfill(json=handle)

        self.page.unroute("**/api/status*")
        self.page.route("**/api/status*", respond)

    def go(self, token: str = SECRET) -> Page:
        """Open the page with this token; an empty one is none."""
        self.page.goto(f"{self.site}/#token={token}" if token else self.site)
        return self.page

    def drawn(self, token: str = SECRET) -> Page:
        """Open the page, and wait until it has drawn its data."""
        self.go(token).wait_for_selector("#board[aria-busy=false]")
        return self.page

    def refresh(self) -> None:
        """Let the time of a refresh pass, and wait until its answer is drawn. The page's clock must be installed."""
        with self.page.expect_response("**/api/status"):
            self.page.clock.run_for(15_500)
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def complaints(self) -> list[Any]:
        """Return the reports of the Content-Security-Policy, and the errors of the console and of scripts."""
        return [*self.page.evaluate("window.reports"), *self.errors]


class LogLines:
    """The lines of a function's log, which another thread reads."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._read = threading.Condition()

    def add(self, line: str) -> None:
        with self._read:
            self._lines.append(line)
            self._read.notify_all()

    def with_all_of(self, *texts: str) -> list[str]:
        """Return the lines that contain all these texts. Waits until there is one, at most TIMEOUT."""

        def found() -> list[str]:
            return [line for line in self._lines if all(text in line for text in texts)]

        with self._read:
            self._read.wait_for(found, TIMEOUT / 1000)
            return found()

    def contain(self, text: str) -> bool:
        return any(text in line for line in self._lines)


@dataclass(frozen=True)
class ServedDemo:
    """The local stack after the demo, with an instance of the function that serves the page, and its log."""

    stack: Stack
    function: Function
    log: LogLines

    @property
    def token(self) -> str:
        return self.stack.environment["STATUS_SECRET"]

    def status(self) -> dict[str, Any]:
        """Return what the endpoint answers now."""
        answer = httpx.get(
            f"{self.function.address}{STATUS}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=TIMEOUT / 1000,
            trust_env=False,
        )
        answer.raise_for_status()
        return dict(answer.json())

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return list(self.stack.connection.execute(statement.encode(), parameters))


OpenPage = Callable[..., Opened]
