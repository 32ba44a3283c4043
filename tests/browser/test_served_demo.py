"""The page on the local stack after the demo: every section has what the endpoint and the database have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.opened import OpenPage, ServedDemo
from tests.support.factories import add_prebooking, add_venue

HOSTILE = "<b>b</b><script>hurt=1</script>"  # a venue's name has at most 40 characters on the page


@pytest.fixture
def page(open_page: OpenPage, demo: ServedDemo) -> Iterator[Page]:
    """The page with the real data, without a complaint of the browser at the end."""
    opened = open_page(site=demo.function.address)
    yield opened.drawn(demo.token)
    assert opened.complaints() == []


def numbers(page: Page, rows: str) -> dict[str, str]:
    """Return the first two cells of a table's rows."""
    cells = "(rows) => rows.map((row) => [...row.children].slice(0, 2).map((cell) => cell.textContent))"
    return {second: first for first, second in page.locator(rows).evaluate_all(cells)}


def test_every_call_of_the_demo_is_a_dot_and_a_row(page: Page, demo: ServedDemo) -> None:
    calls = demo.query(
        "select id::text, lateness_ms from prebookings where lateness_ms is not null and created_at < available_at"
    )
    assert len(calls) > 20
    shown = "(dots) => dots.map((dot) => dot.dataset.id)"
    assert sorted(page.locator("#lateness .dot[role]").evaluate_all(shown)) == sorted(id_ for id_, _ in calls)
    figures = page.locator("#lateness-figures dd").all_inner_texts()
    assert figures[3] == str(len(calls))
    page.locator("#lateness summary").press("Enter")
    expect(page.locator("#lateness tbody tr")).to_have_count(len(calls))
    latest = max(ms for _, ms in calls)
    expected = page.evaluate("(ms) => import('/page.js').then((module) => module.duration(ms))", latest)
    assert figures[2] == expected == page.locator("#lateness tbody td:nth-child(3)").first.inner_text()


def test_the_outcomes_and_the_reasons_are_those_of_the_database(page: Page, demo: ServedDemo) -> None:
    ends = dict(demo.query("select status, count(*)::int from prebookings where status <> 'pending' group by 1"))
    expected = [f"{ends.get(status, 0)} {status}" for status in ("completed", "failed", "cancelled")]
    label = page.locator("#outcomes > svg").get_attribute("aria-label")
    assert label == f"In 30 days {', '.join(expected)}. The table has each day."
    failures = demo.query("select outcome, count(*)::int from prebookings where status = 'failed' group by 1")
    shown = numbers(page, "#failures tbody tr")
    assert {text.split()[-1]: int(count) for text, count in shown.items()} == dict(failures)
    page.locator("#outcomes summary").press("Enter")
    expect(page.locator("#days tbody tr")).to_have_count(30)
    heights = "(bars) => bars.reduce((sum, bar) => sum + bar.height.baseVal.value, 0)"
    assert page.locator("#outcomes rect").evaluate_all(heights) > 0


def test_the_runs_of_the_demo_are_in_the_strip_and_the_killed_one_is_cut_off(page: Page, demo: ServedDemo) -> None:
    (runs,), *_ = demo.query("select count(*)::int from prebooking_runs")
    answer = demo.status()["runs"]
    assert len(answer["runs"]) == runs
    cut = [run for run in answer["runs"] if run["cut_off"]]
    assert page.locator("#runs .run").count() == runs - page.locator("#runs .cut").count()
    assert page.locator("#runs .cut").count() >= len(cut) - 1
    page.locator("#runs summary").press("Enter")
    expect(page.locator("#strip tbody tr")).to_have_count(runs + len(answer["gaps"]))
    names = page.locator("#triggers tbody td:first-child").all_inner_texts()
    assert names == [one["trigger"] for one in answer["triggers"]]


def test_the_state_is_that_of_the_endpoint(page: Page, demo: ServedDemo) -> None:
    problems = demo.status()["state"]["problems"]
    shown = page.locator("#problems li").all_inner_texts()
    assert len(shown) == len(problems)
    assert all(problem["text"].split("`")[0] in text for problem, text in zip(problems, shown, strict=True))


def test_a_call_of_the_demo_has_its_time_line_and_its_address(page: Page, demo: ServedDemo) -> None:
    (row, email), *_ = demo.query(
        "select id::text, user_email from prebookings where outcome = 'booked' and created_at < available_at limit 1"
    )
    page.locator(f'#lateness .dot[data-id="{row}"]').press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("completed: booked")
    expect(dialog.locator("li")).to_have_count(6)
    steps = dialog.locator("li strong").all_inner_texts()
    assert set(steps) == {"added", "opened", "claimed", "sent", "answered", "settled"}
    assert (steps[0], steps[-3:]) == ("added", ["sent", "answered", "settled"])
    who = dialog.locator("#timeline-who button")
    assert email not in dialog.inner_text()
    who.click()
    expect(who).to_have_text(email)
    assert len(demo.log.with_all_of("address_shown", row)) == 1
    assert not demo.log.contain(email)


def add_opening(demo: ServedDemo) -> list[str]:
    """Add a venue with a hostile name, whose class opens in three hours for two members, one of them hostile."""
    owner = demo.stack.connection
    venue = add_venue(owner, name=HOSTILE)
    opens = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
    rows = [
        add_prebooking(
            owner,
            venue,
            user_email=email,
            booking_data={"class_id": "1", "class_name": HOSTILE},
            available_at=opens,
            expires_at=opens + timedelta(days=1),
        )
        for email in ("ana@example.com", '"<i>x</i>"@example.com')
    ]
    owner.execute("update venues set enabled = false where id = %s", [venue])
    return [str(row) for row in rows]


def test_what_opens_next_and_why_it_would_fail(open_page: OpenPage, demo: ServedDemo) -> None:
    rows = add_opening(demo)
    opened = open_page(site=demo.function.address)
    page = opened.drawn(demo.token)
    (opening,) = demo.status()["openings"]
    row = page.locator("#openings tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(f"{HOSTILE}2 waiting")
    expect(row).to_contain_text(f"2 \u00d7 {opening['problems'][0]['text']}")
    expect(page.locator("#openings .trouble")).to_have_count(1)
    row.locator("summary").press("Enter")
    masked = [one["member"] for one in opening["rows"]]
    assert row.locator("details .part button:first-child").all_inner_texts() == masked
    row.locator("details button").first.click()
    expect(row.locator("details button").first).to_contain_text("@example.com")
    assert page.locator("main b, main i, main script").count() == 0
    assert page.evaluate("window.hurt") is None
    row.get_by_role("button", name="time line").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(f"{HOSTILE} at {HOSTILE}")
    assert len(rows) == len(masked)
    assert opened.complaints() == []


def test_the_wrong_token_is_told_kindly_by_the_real_endpoint(open_page: OpenPage, demo: ServedDemo) -> None:
    page = open_page(site=demo.function.address).go(demo.stack.environment["CRON_SECRET"])
    expect(page.get_by_role("alert")).to_contain_text("This token was not accepted.")
    assert page.evaluate("sessionStorage.length") == 0


def test_without_its_setting_the_page_names_it(open_page: OpenPage, demo: ServedDemo) -> None:
    with demo.stack.function(STATUS_SECRET="") as function:
        page = open_page(site=function.ready().address).go(demo.token)
        expect(page.get_by_role("heading", name="This page is switched off")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1600])
def test_the_story_is_accessible_and_fits(
    open_page: OpenPage, demo: ServedDemo, width: int, scheme: str, screenshots: Path
) -> None:
    page = open_page(width, scheme, site=demo.function.address).drawn(demo.token)
    page.screenshot(path=screenshots / f"demo-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
