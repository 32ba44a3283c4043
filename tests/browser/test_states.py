"""Each state of the page, at three widths, in light and dark: accessible, without complaints, and nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.browser import sample
from tests.browser.opened import Opened, OpenPage

WIDTHS = [360, 820, 1600]


def form(opened: Opened) -> Page:
    page = opened.go("")
    expect(page.get_by_label("Value of STATUS_SECRET")).to_be_visible()
    return page


def refused(opened: Opened) -> Page:
    opened.answer(401)
    page = opened.go()
    expect(page.get_by_role("alert")).to_contain_text("was not accepted")
    return page


def off(opened: Opened) -> Page:
    opened.answer(404)
    page = opened.go()
    expect(page.get_by_role("heading", name="This page is switched off")).to_be_visible()
    return page


def loading(opened: Opened) -> Page:
    opened.answer(lambda _: None)
    page = opened.go()
    expect(page.get_by_role("status")).to_contain_text("Loading")
    return page


def failed(opened: Opened) -> Page:
    opened.answer(500)
    page = opened.go()
    expect(page.get_by_role("status")).to_contain_text("No answer yet")
    return page


def empty(opened: Opened) -> Page:
    opened.answer(sample.empty())
    page = opened.drawn()
    expect(page.get_by_role("status")).to_contain_text("All is well")
    return page


def busy(opened: Opened) -> Page:
    opened.answer(sample.busy(dots=60))
    return opened.drawn()


def tables(opened: Opened) -> Page:
    """All that can be opened is open."""
    page = busy(opened)
    for summary in page.locator("summary").all():
        summary.press("Enter")
    expect(page.locator("#lateness tbody tr").first).to_be_visible()
    return page


def stale(opened: Opened) -> Page:
    opened.page.clock.install()
    page = busy(opened)
    opened.answer(500)
    opened.refresh()
    expect(page.get_by_role("status")).to_contain_text("Not up to date")
    return page


def timeline(opened: Opened) -> Page:
    def respond(route: Route) -> None:
        one = "prebooking=" in route.request.url
        route.fulfill(json=sample.timeline("00000000-0000-0000-0000-000000000001") if one else sample.busy(dots=60))

    opened.answer(respond)
    page = opened.drawn()
    page.locator("#lateness .dot").first.press("Enter")
    expect(page.get_by_role("dialog", name="rowing at Harbour")).to_be_visible()
    return page


STATES: list[Callable[[Opened], Page]] = [
    form,
    refused,
    off,
    loading,
    failed,
    empty,
    busy,
    tables,
    stale,
    timeline,
]
# What the console says of the request.
FAILED: dict[Callable[[Opened], Page], str] = {
    refused: "401",
    off: "404",
    failed: "500",
    stale: "500",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_is_accessible_and_fits(
    open_page: OpenPage, state: Callable[[Opened], Page], width: int, scheme: str, screenshots: Path
) -> None:
    opened = open_page(width, scheme)
    page = state(opened)
    page.screenshot(path=screenshots / f"{state.__name__}-{width}-{scheme}.png", full_page=state is not timeline)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [one for one in opened.complaints() if FAILED.get(state, "-") not in str(one)] == []
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def long_(opened: Opened, data: dict[str, Any]) -> Page:
    """Texts without a space, as long as a person can make them."""
    word = "W" * 300
    for row in (data["openings"][0], data["repeats"][0], data["logins"][0], data["in_doubt"][0]):
        row["venue"] = word
    data["state"] = {"ok": False, "problems": [{"code": "x", "level": "fail", "text": word, "cure": word}]}
    data["lateness"]["venues"] = [word, *data["lateness"]["venues"][1:]]
    opened.answer(data)
    return opened.drawn()


@pytest.mark.parametrize("width", [320, *WIDTHS])
def test_a_long_word_is_wrapped_and_not_cut_off(open_page: OpenPage, width: int) -> None:
    page = long_(open_page(width), sample.busy(dots=20))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = (
        "(nodes) => nodes.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert page.locator("#state, #board .scroll, #board td, #board h2").evaluate_all(wide) == []


def test_the_first_screen_has_the_state_the_openings_and_the_lateness(open_page: OpenPage) -> None:
    opened = open_page(1600, height=900)
    opened.answer(sample.busy(dots=60))
    page = opened.drawn()
    ends = "(nodes) => nodes.map((node) => node.getBoundingClientRect().bottom)"
    for part in ("#state", "#problems", "#openings", "#lateness"):
        assert max(page.locator(part).evaluate_all(ends)) < 800, part


def test_without_javascript_there_is_a_sentence(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False).go("")
    expect(page.locator("noscript p")).to_contain_text("This page needs JavaScript")
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.get_by_label("Value of STATUS_SECRET")).to_be_hidden()


def test_a_request_without_an_answer_is_given_up_and_offline_is_told(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    loading(opened)
    opened.page.clock.run_for(10_500)
    expect(opened.page.get_by_role("status")).to_contain_text("There was no answer within 10 s.")
    opened.page.unroute("**/api/status*")
    opened.page.context.set_offline(True)
    expect(opened.page.get_by_role("status")).to_contain_text("This device is offline.")
    opened.answer(sample.empty())
    opened.page.context.set_offline(False)
    expect(opened.page.get_by_role("status")).to_contain_text("All is well")


def test_an_answer_with_a_part_of_another_form_leaves_the_last_one_on_the_page(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    data = sample.busy(dots=20)
    opened.answer(data)
    page = opened.drawn()
    for part in ("outcomes", "in_doubt", "openings"):
        opened.answer(data | {part: [None]})
        opened.refresh()
        expect(page.get_by_role("status")).to_contain_text("The answer could not be read.")
        expect(page.locator("#doubt tbody tr")).to_have_count(3)
    opened.answer(data)
    opened.refresh()
    expect(page.get_by_role("status")).to_contain_text("2 members have no usable login")
    assert opened.complaints() == []


@pytest.mark.parametrize("error", ["server_not_configured", "database_not_migrated", "no_answer_of_the_database"])
def test_an_error_that_the_endpoint_names_is_told_with_its_cure(open_page: OpenPage, error: str) -> None:
    sentences = {
        "server_not_configured": "its log names them",
        "database_not_migrated": "Run “prebooking init”",
        "no_answer_of_the_database": "has the error\u2019s code",
    }
    opened = open_page()
    opened.answer(lambda route: route.fulfill(status=500, json={"success": False, "error": error}))
    expect(opened.go().get_by_role("status")).to_contain_text(sentences[error])


@pytest.mark.parametrize("body", ["<html>", "null", "{}", '{"now": 5}', "[]"])
def test_an_answer_that_is_something_else_is_an_error_and_not_a_broken_page(open_page: OpenPage, body: str) -> None:
    opened = open_page()
    opened.page.clock.install()
    opened.answer(lambda route: route.fulfill(body=body))
    page = opened.go()
    expect(page.get_by_role("status")).to_contain_text("The answer could not be read.")
    opened.answer(sample.empty())
    opened.refresh()
    expect(page.get_by_role("status")).to_contain_text("All is well")
    assert opened.complaints() == []


def shorter(data: dict[str, Any]) -> dict[str, Any]:
    """Return another answer, with fewer rows of everything and longer texts."""
    fewer = {name: rows[:1] for name, rows in data.items() if isinstance(rows, list) and name != "outcomes"}
    long = [{"code": "x", "level": "fail", "text": "A long sentence, " * 12, "cure": "with a long cure, " * 12}] * 9
    return data | fewer | {"state": {"ok": False, "problems": long}, "in_doubt_count": 1234}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_refresh_moves_nothing(open_page: OpenPage, width: int) -> None:
    opened = open_page(width)
    opened.page.clock.install()
    answers = [sample.empty(), sample.busy(dots=80), shorter(sample.busy(dots=40)), sample.empty()]
    opened.answer(answers[0])
    page = opened.drawn()
    later: list[dict[str, Any] | int] = [*answers[1:], 500, answers[1]]
    for data in later:
        opened.answer(data)
        opened.refresh()
    assert page.evaluate("window.shifts") == []
    page.evaluate("document.querySelector('#state').before(document.createElement('hr'))")
    page.wait_for_function("() => window.shifts.length > 0")  # the browser does observe it


def later(data: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with other rows in the openings' cells, and without the repeats."""
    for row in data["openings"]:
        row["rows"] = row["rows"][1:]
        row["problems"] = [{"code": "paused", "text": "the venue is paused", "count": 1}]
    return data | {"repeats": []}


def test_a_refresh_keeps_the_focus_and_what_is_open(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    opened.answer(sample.busy(dots=80))
    page = opened.drawn()
    summary = page.locator("#openings summary").nth(2)
    summary.press("Enter")
    page.locator("#lateness summary").press("Enter")
    dot = page.locator("#lateness .dot").nth(5)
    for focused in (summary, dot):
        focused.focus()
        opened.answer(later(sample.busy(dots=80)))
        opened.refresh()
        expect(focused).to_be_focused()
    expect(page.locator("#openings details[open]")).to_have_count(1)
    expect(page.locator("#lateness details[open] tbody tr")).not_to_have_count(0)
