"""Using the page: its token, its requests, the keyboard, hostile texts, and its formats."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import sample
from tests.browser.opened import Opened, OpenPage

HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>\u202e{{7*7}}'
KNOWN = "00000000-0000-0000-0000-0000000000aa"


def test_the_token_is_taken_from_the_fragment_and_sent_in_the_header_alone(open_page: OpenPage) -> None:
    opened = open_page()
    sent: list[tuple[str, str | None]] = []
    opened.page.on("request", lambda request: sent.append((request.url, request.headers.get("authorization"))))
    opened.answer(sample.empty())
    page = opened.drawn("a-secret-of-some-length")
    assert page.evaluate("location.href") == f"{opened.site}/"
    assert page.evaluate("JSON.stringify([localStorage, document.cookie])") == '[{},""]'
    assert page.evaluate("Object.values(sessionStorage)") == ["a-secret-of-some-length"]
    assert {bearer for url, bearer in sent if "/api/" in url} == {"Bearer a-secret-of-some-length"}
    assert {bearer for url, bearer in sent if "/api/" not in url} == {None}
    assert not [url for url, _ in sent if "secret" in url.partition("#")[0]]
    page.reload()
    page.wait_for_selector("#board[aria-busy=false]")
    page.get_by_role("button", name="Forget the token").click()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_label("Value of STATUS_SECRET")).to_be_focused()
    page.get_by_label("Value of STATUS_SECRET").fill("another-secret-of-some-length")
    page.keyboard.press("Enter")
    page.wait_for_selector("#board[aria-busy=false]")
    assert sent[-1] == (f"{opened.site}/api/status", "Bearer another-secret-of-some-length")


def test_a_new_fragment_in_an_open_page_is_a_new_token(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(401)
    page = opened.go()
    expect(page.get_by_role("alert")).to_contain_text("was not accepted")
    opened.answer(sample.empty())
    page.evaluate("location.hash = 'token=the-right-one'")
    page.wait_for_selector("#board[aria-busy=false]")
    assert page.evaluate("location.href") == f"{opened.site}/"


def test_what_cannot_be_a_token_is_not_sent(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(sample.empty())
    page = opened.go("")
    page.get_by_label("Value of STATUS_SECRET").fill("caf\u00e9 au lait")
    page.get_by_role("button", name="Show the page").click()
    expect(page.get_by_role("alert")).to_contain_text("copy it once more")
    assert opened.asked == []


def test_it_asks_every_15_seconds_one_request_at_a_time_and_a_hidden_tab_asks_nothing(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    opened.answer(sample.empty())
    page = opened.drawn()
    opened.refresh()
    assert opened.asked == ["/api/status"] * 2
    hide(page, hidden=True)
    page.clock.run_for(120_000)
    assert len(opened.asked) == 2
    with page.expect_response("**/api/status"):
        hide(page, hidden=False)
        page.clock.run_for(100)
    assert len(opened.asked) == 3
    held: list[Route] = []
    opened.answer(held.append)
    with page.expect_request("**/api/status"):
        page.clock.run_for(15_500)
    for _ in range(3):
        page.get_by_role("button", name="Refresh").click()
    page.clock.run_for(5000)
    assert len(held) == 1


def hide(page: Page, *, hidden: bool) -> None:
    """Do what the browser does when its tab goes to the background, or comes back."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_with_the_keyboard_alone_a_call_opens_its_time_line_and_the_focus_returns(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(respond_with(sample.busy(dots=60)))
    page = opened.drawn()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('dot')"):
            break
    first = page.evaluate("document.activeElement.dataset.key")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    moved = page.evaluate("document.activeElement.dataset.key")
    assert moved != first
    expect(page.locator("#readout")).to_contain_text("after the opening")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="rowing at Harbour")
    expect(dialog).to_be_visible()
    assert dialog.locator("li strong").all_inner_texts() == [
        "added", "claimed", "opened", "sent", "answered", "settled",
    ]  # fmt: skip
    expect(dialog).to_contain_text("18:00:00.003 Madrid")
    expect(dialog).to_contain_text("+251 ms")
    assert opened.asked[-1] == f"/api/status?prebooking={moved.split()[0]}"
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.dataset.key") == moved


def test_the_end_of_a_call_is_the_last_step_also_if_the_clocks_differ(open_page: OpenPage) -> None:
    opened = open_page()
    one = sample.timeline(KNOWN)
    steps = {step["step"]: step for step in one["steps"]}
    steps["settled"]["at"] = steps["due"]["at"]
    opened.answer(respond_with(sample.busy(dots=3), one))
    page = opened.drawn()
    page.locator("#lateness .dot[role]").first.press("Enter")
    expect(page.locator("#timeline-steps li strong").last).to_have_text("settled")


def test_a_click_near_a_call_opens_its_time_line(open_page: OpenPage) -> None:
    opened = open_page(360)
    opened.answer(respond_with(sample.busy(dots=3)))
    page = opened.drawn()
    dot = page.locator("#lateness .dot").first
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] + 4, box["y"])
    expect(page.get_by_role("dialog", name="rowing at Harbour")).to_be_visible()


def test_the_whole_address_is_asked_for_after_a_click_alone(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(respond_with(sample.busy(dots=3)))
    page = opened.drawn()
    assert opened.asked == ["/api/status"]
    button = page.locator("#doubt button").first
    expect(button).to_have_text("ab…#0001")
    button.click()
    expect(button).to_have_text("whole@example.com")
    assert opened.asked[1:] == ["/api/status?member=00000000-0000-0000-0000-000000000001"]


def respond_with(data: dict[str, Any], one: dict[str, Any] | None = None) -> Any:
    """Return what answers with the page's data, one time line, and one address."""

    def respond(route: Route) -> None:
        if "?prebooking=" in route.request.url:
            route.fulfill(json=one or sample.timeline(KNOWN))
        elif "?member=" in route.request.url:
            route.fulfill(json={"member": "whole@example.com"})
        else:
            route.fulfill(json=data)

    return respond


def hostile(value: Any, name: str = "") -> Any:
    """Return the same answer, with a hostile text in place of every text that comes from people."""
    if isinstance(value, dict):
        return {key: hostile(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, name) for one in value]
    own = {"id", "now", "at", "from", "to", "since", "day", "available_at", "next_question_at", "needed_at", "ends_at"}
    own |= {"last_at", "opened_at", "level", "dots", "step", "timezone"}
    return HOSTILE if isinstance(value, str) and name not in own else value


def test_hostile_texts_are_shown_as_text(open_page: OpenPage) -> None:
    opened = open_page()
    data = hostile(sample.busy(dots=60))
    opened.answer(respond_with(data, hostile(sample.timeline(KNOWN))))
    page = opened.drawn()
    for summary in page.locator("summary").all():
        summary.press("Enter")
    page.locator("#doubt button").nth(1).click()
    expect(page.locator("#timeline-title")).to_contain_text(HOSTILE.replace("\u202e", "\ufffd"))
    assert "\u202e" not in page.locator("body").inner_text()
    page.keyboard.press("Escape")
    for panel in ("problems", "openings", "lateness", "failures", "triggers", "doubt", "logins", "messages", "repeats"):
        expect(page.locator(f"#{panel}")).to_contain_text(HOSTILE[:20])
    assert page.locator("main img, main script, main iframe").count() == 0
    handlers = (
        "(nodes) => nodes.flatMap((node) => [...node.attributes]).filter(({ name }) => name.startsWith('on')).length"
    )
    assert page.locator("*").evaluate_all(handlers) == 0
    assert page.evaluate("window.hurt") is None
    assert opened.complaints() == []


def test_rows_that_look_alike_are_all_shown(open_page: OpenPage) -> None:
    opened = open_page()
    data = sample.busy(dots=60)
    data["lateness"]["venues"] = ["removed"] * len(sample.VENUES)
    for name in ("openings", "logins", "repeats"):
        data[name] = [data[name][0]] * 3
    opened.answer(data)
    page = opened.drawn()
    expect(page.locator("#lateness .legend li")).to_have_count(len(sample.VENUES))
    assert [page.locator(f"#{name} tbody tr").count() for name in ("openings", "logins", "repeats")] == [3, 3, 3]


def test_an_extreme_lateness_is_drawn_within_the_plot(open_page: OpenPage) -> None:
    opened = open_page()
    data = sample.busy(dots=20)
    for n, ms in enumerate((-86_400_000, -700, 0, 40 * 86_400_000)):
        data["lateness"]["dots"][n][2] = ms
    opened.answer(data)
    page = opened.drawn()
    labels = page.locator("#lateness .dot[role]").evaluate_all("(dots) => dots.map((dot) => dot.ariaLabel)")
    assert [label.split(", ")[1] for label in labels[:4]] == [
        "24 h before the opening", "700 ms before the opening", "0 ms after the opening", "40 days after the opening",
    ]  # fmt: skip
    outside = """() => {
      const { top, bottom, left, right } = document.querySelector("#lateness > svg").getBoundingClientRect();
      const boxes = [...document.querySelectorAll("#lateness .dot[role]")].map((dot) => dot.getBoundingClientRect());
      return boxes.filter((b) => b.top < top || b.bottom > bottom || b.left < left || b.right > right).length;
    }"""
    assert page.evaluate(outside) == 0


def test_a_late_answer_about_one_prebooking_is_not_shown_as_another_one(open_page: OpenPage) -> None:
    opened = open_page()
    held: list[Route] = []

    def respond(route: Route) -> None:
        if "?prebooking=" not in route.request.url:
            route.fulfill(json=sample.busy(dots=3))
        elif not held:
            held.append(route)
        else:
            route.fulfill(json=sample.timeline(KNOWN, class_name="the second"))

    opened.answer(respond)
    page = opened.drawn()
    dot = page.locator("#lateness .dot[role]").first
    dot.press("Enter")
    expect(page.locator("#timeline-title")).to_have_text("Loading …")
    page.keyboard.press("Escape")
    dot.press("Enter")
    expect(page.locator("#timeline-title")).to_contain_text("the second")
    with page.expect_response("**/api/status?prebooking=*"):
        held[0].fulfill(json=sample.timeline(KNOWN, class_name="the first"))
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    expect(page.locator("#timeline-title")).to_contain_text("the second")


def test_a_token_that_is_revoked_meanwhile_is_asked_for_again(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(sample.busy(dots=3))
    for press in ("#doubt td button", "#lateness .dot[role]"):
        page = opened.drawn()
        opened.answer(401)
        page.locator(press).first.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("was not accepted")
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.evaluate("sessionStorage.length") == 0
        opened.answer(sample.busy(dots=3))
        page.goto("about:blank")


def test_an_address_that_arrives_after_the_token_was_forgotten_is_not_kept(open_page: OpenPage) -> None:
    opened = open_page()
    held: list[Route] = []
    data = sample.busy(dots=3)
    opened.answer(lambda route: held.append(route) if "?member=" in route.request.url else route.fulfill(json=data))
    page = opened.drawn()
    page.locator("#doubt td button").first.press("Enter")
    page.get_by_role("button", name="Forget the token").press("Enter")
    with page.expect_response("**/api/status?member=*"):
        held[0].fulfill(json={"member": "whole@example.com"})
    page.get_by_label("Value of STATUS_SECRET").fill("another-secret-of-some-length")
    page.keyboard.press("Enter")
    expect(page.locator("#doubt td button").first).to_have_text("ab…#0001")


def test_a_member_who_was_forgotten_is_a_word_and_no_question(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    data = sample.busy(dots=3)
    opened.answer(respond_with(data))
    page = opened.drawn()
    page.locator("#doubt td button").first.click()
    expect(page.locator("#doubt tbody")).to_contain_text("whole@example.com")
    data["in_doubt"][0]["member"] = "forgotten"
    opened.refresh()
    expect(page.locator("#doubt tr td").first).to_contain_text("forgotten")
    expect(page.locator("#doubt tbody")).not_to_contain_text("whole@example.com")
    expect(page.locator("#doubt tr td").first.get_by_role("button")).to_have_count(0)


def test_a_time_zone_that_does_not_exist_is_shown_as_utc(open_page: OpenPage) -> None:
    opened = open_page()
    data = sample.busy(dots=3)
    for row in [*data["openings"], *data["logins"], *data["in_doubt"]]:
        row["timezone"] = "Europe/Nowhere"
    opened.answer(data)
    expect(opened.drawn().locator("#openings tbody tr").first).to_contain_text("UTC")
    assert opened.complaints() == []


def test_every_colour_of_a_venue_has_a_shape_besides(open_page: OpenPage) -> None:
    opened = open_page()
    opened.answer(sample.busy(dots=250))
    page = opened.drawn()
    look = "(nodes) => nodes.map((n) => [n.dataset.venue, n.getAttribute('d'), getComputedStyle(n).fill].join('|'))"
    kinds = set(page.locator("#lateness .dot[role]").evaluate_all(look))
    assert len(kinds) == len({kind.split("|")[1] for kind in kinds}) == len(sample.VENUES)


def test_thirty_venues_look_different(open_page: OpenPage) -> None:
    opened = open_page()
    data = sample.busy(dots=60)
    data["lateness"]["venues"] = [f"Venue {n}" for n in range(30)]
    data["lateness"]["dots"] = [[*dot[:3], n] for n, dot in enumerate(data["lateness"]["dots"][:30])]
    opened.answer(data)
    page = opened.drawn()
    look = "(nodes) => nodes.map((n) => [n.getAttribute('d'), getComputedStyle(n).fill].join('|'))"
    plot, legend = (page.locator(f"#lateness {part}").evaluate_all(look) for part in (".dot[role]", ".legend .dot"))
    assert len(set(plot)) == len(plot) == 30
    assert set(plot) == set(legend)


def test_a_venue_keeps_its_colour_when_the_order_of_the_venues_changes(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.clock.install()
    data = sample.busy(dots=60)
    opened.answer(data)
    page = opened.drawn()
    dots = "(nodes) => Object.fromEntries(nodes.map((n) => [n.ariaLabel.split(',')[0], n.getAttribute('d')]))"
    legend = (
        "(nodes) => Object.fromEntries(nodes.map((n) => [n.textContent, n.querySelector('path').getAttribute('d')]))"
    )
    before = page.locator("#lateness .dot[role]").evaluate_all(dots)
    assert len(set(before.values())) == len(sample.VENUES)
    lateness = data["lateness"]
    turned = [[*dot[:3], len(sample.VENUES) - 1 - dot[3]] for dot in lateness["dots"]]
    opened.answer(data | {"lateness": lateness | {"venues": sample.VENUES[::-1], "dots": turned}})
    opened.refresh()
    assert page.locator("#lateness .legend li").first.inner_text() == sample.VENUES[-1]
    assert page.locator("#lateness .dot[role]").evaluate_all(dots) == before
    assert page.locator("#lateness .legend li").evaluate_all(legend) == before


@pytest.fixture
def module(open_page: OpenPage) -> Opened:
    opened = open_page()
    opened.go("")
    return opened


def call(opened: Opened, expression: str) -> Any:
    utc = "const utc = (at) => new Date(at).toISOString().slice(0, 16)"
    return opened.page.evaluate(f"import('/page.js').then((m) => {{ {utc}; return {expression}; }})")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[0, 3, 999, 1000, 2340, 34000].map(m.duration)", ["0 ms", "3 ms", "999 ms", "1.0 s", "2.3 s", "34 s"]),
        ("[-90, -5000, -240e3].map(m.duration)", ["\u221290 ms", "\u22125.0 s", "\u22124 min"]),
        ("[240e3, 3600e3, 5400e3, 86400e3, 3e9].map(m.duration)", ["4 min", "1 h", "1 h 30 min", "24 h", "35 days"]),
        ("[0, 1, 7, 20, 51, 130].map(m.top)", [1, 1, 10, 20, 100, 200]),
        ("m.ago('2026-11-26T10:00:00Z', Date.UTC(2026, 10, 26, 10, 0, 12))", "12 s ago"),
        ("m.ago('2026-11-26T10:00:00Z', Date.UTC(2026, 10, 26, 9, 58, 0))", "in 2 min"),
        ("m.ago('2026-11-26T10:00:00Z', Date.UTC(2026, 10, 26, 10, 0, 0, 400))", "now"),
        ("m.clock('2020-07-01T16:00:00Z', 'Europe/Madrid')", "Wed 1 Jul 18:00 Madrid"),
        ("m.clock('2020-01-01T16:00:05.250Z', 'America/New_York', 3)", "Wed 1 Jan 11:00:05.250 New York"),
        ("m.place('Etc/UTC')", "UTC"),
        ("[0, 10, 90, 990, -90].map(m.logarithm).map((n) => +n.toFixed(2))", [0, 0.3, 1, 2, -1]),
        ("[0, 5, 10].map(m.linear([0, 10], [100, 0]))", [100, 50, 0]),
        # The clocks go back at 01:00 UTC: that day has 25 hours, and its midnights are 25 hours apart.
        (
            "m.hours(Date.UTC(2026, 9, 24, 12), Date.UTC(2026, 9, 26, 12), 'Europe/Madrid', 24).map(utc)",
            ["2026-10-24T22:00", "2026-10-25T23:00"],
        ),
        ("m.hours(0, 86400e3, 'Asia/Kathmandu', 6).length", 4),
    ],
)
def test_formats_and_scales(module: Opened, expression: str, expected: Any) -> None:
    assert call(module, expression) == expected
