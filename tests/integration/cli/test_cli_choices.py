"""`prebooking add --else`: later choices at a box and at a webhook venue, and how they are listed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from prebooking.cli.choices import Choice, ordinal, parse_choices
from prebooking.errors import BadInput
from tests.support.calls import claimed, complete
from tests.support.choices import add_choices, hold, states
from tests.support.factories import add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal, day

TERMINAL_REST = IMITATION  # starts at once

UTC_ZONE = ZoneInfo("UTC")
_ROWS = """
select p.booking_data ->> 'class_id', p.available_at, e.booking_data ->> 'class_id'
from prebookings p left join prebookings e on e.id = p.stands_after order by p.expires_at, p.created_at
"""


@pytest.fixture
def box(terminal: Terminal) -> Terminal:
    """A box with four classes, and a member who has logged in."""
    terminal.add_box_and_member()
    for number, ahead, at, name in (
        ("1001", 6, "18:00", "WOD"),
        ("1002", 6, "19:30", "WOD"),
        ("1003", 6, "19:30", "Yoga"),
        ("1004", 7, "07:00", "Open Box"),
        ("1005", 2, "12:00", "WOD"),
    ):
        terminal.offer(number, day=day(ahead), at=at, name=name)
    return terminal


def ask(*later: str, hour: str = "18:00") -> list[str]:
    return ["add", "box centro", str(day(6)), hour, "-m", ANA, *(word for text in later for word in ("--else", text))]


def test_later_choices_are_added_with_their_own_openings(box: Terminal) -> None:
    output = box.succeeds(*ask("19:30 WOD", f"{day(7)} 07:00 open box")).splitlines()
    rows = box.rows(_ROWS)
    assert [(number, after) for number, _, after in rows] == [("1001", None), ("1002", "1001"), ("1004", "1002")]
    assert rows[2][1] - rows[0][1] == timedelta(hours=13)
    assert output[2].startswith(f"2nd choice: WOD, {day(6):%a %d %b} 19:30. Booking opens {day(2):%a %d %b} 19:30 (in ")
    assert output[3].startswith(
        f"3rd choice: Open Box, {day(7):%a %d %b} 07:00. Booking opens {day(3):%a %d %b} 07:00 (in "
    )
    assert "only if the venue refuses the one before" in output[4]


def test_a_later_choice_has_the_name_of_the_first_unless_it_has_its_own(box: Terminal) -> None:
    box.succeeds(*ask("19:30", f"{day(6)} 19:30 Yoga"), "--class", "WOD")
    assert [number for number, *_ in box.rows(_ROWS)] == ["1001", "1002", "1003"]


def test_choices_are_listed_with_their_number_and_the_reason_of_their_end(terminal: Terminal) -> None:
    connection = terminal.connection
    venue, me = add_venue(connection, name="Mine"), uuid4()
    rows = add_choices(connection, venue, user_email=ANA)
    ids = [str(row)[:8] for row in rows]
    output = terminal.succeeds("list", "-m", ANA)
    assert f"{ids[1]}: 2nd choice of {ids[0]}" in output
    assert f"{ids[2]}: 3rd choice of {ids[0]}" in output
    assert output.count("2nd choice") == 2, "in its state too"
    listed = terminal.run("list", "-m", ANA, "--json").json
    by_id = {one["id"]: (one["choice"], one["first_choice"], one["promoted"]) for one in listed}
    assert by_id[str(rows[0])] == (None, None, False)
    assert by_id[str(rows[2])] == (3, str(rows[0]), False)
    hold(connection, rows[0], me)
    assert complete(connection, rows[0], me)
    assert states(connection, rows) == ["completed", "cancelled", "cancelled"]
    assert f"{ids[1]}: not needed: the earlier choice is booked." in terminal.succeeds("list", "-m", ANA)
    assert claimed(connection, me) == []


@pytest.mark.parametrize(("number", "is_followed"), [(0, True), (1, True), (2, False)])
def test_cancelling_a_choice_says_whether_later_ones_are_cancelled(
    terminal: Terminal, *, number: int, is_followed: bool
) -> None:
    rows = add_choices(terminal.connection, add_venue(terminal.connection), user_email=ANA)
    output = terminal.succeeds("cancel", str(rows[number]), "-m", ANA)
    assert ("Its later choices are cancelled too." in output) == is_followed
    assert states(terminal.connection, rows[number:]) == ["cancelled"] * (3 - number)


@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        (
            ask("19:30"),
            1,
            "Several begin at 19:30: WOD (1002), Yoga (1003). Say which with --else and its name or number.",
        ),
        (ask("20:15"), 1, "No class begins at 20:15 on"),
        (ask("19:30 Pilates"), 1, 'No class "Pilates" begins at 19:30'),
        (ask("19:30 Pilates"), 1, 'Write it like --else "19:30 WOD".'),
        (ask("2090-01-01 07:00"), 1, "There are no classes on Sun 01 Jan 2090, or not yet"),
        (ask("soon"), 2, '--else "soon" is not a time of day: write it like "19:30" or "wed 07:00".'),
        (ask("25:00"), 2, '"25:00" is not a time of day: write it like 08:00.'),
        (ask("someday 07:00"), 2, '"someday" is not a day'),
        (ask("2020-01-01 07:00"), 2, "is over: today is"),
        (ask("19:30 WOD", "19:30 WOD"), 2, "is chosen twice: leave one of the two out."),
        (ask("18:00"), 2, "is chosen twice"),
        (ask(*["19:30 WOD"] * 4), 2, "--else can be given 3 times at most"),
        (ask(f"{day(2)} 12:00"), 1, f"before booking opens for WOD ({day(2):%a %d %b} 18:00): ask for it first"),
        ([*ask("19:30 WOD"), "--opens", "2030-01-01 20:00"], 2, "--opens is for one class: leave it out"),
    ],
)
def test_useless_choices_are_refused_with_the_cure(box: Terminal, words: list[str], code: int, cure: str) -> None:
    assert cure in box.fails(*words, code=code)
    assert box.rows("select * from prebookings") == []


def test_no_choice_is_added_if_one_is_asked_for_already(box: Terminal) -> None:
    box.succeeds(*ask(hour="19:30"), "--class", "WOD")
    assert "waits for this class already" in box.fails(*ask("19:30 WOD"))
    output = box.fails(*ask("19:30 Yoga"))
    assert f"{ANA} has WOD at Box Centro at that hour" in output
    assert len(box.rows("select * from prebookings")) == 1


# webhook venues


def mine(*words: str) -> list[str]:
    return ["add", "Mine", str(day(5)), "18:00", "-m", ANA, *words]


def test_each_choice_at_a_webhook_venue_has_its_own_data(terminal: Terminal) -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "UTC", "--opens", "2 days before")
    first, second = ('{"class_id": "1"}', '{"class_id": "2", "class_name": "Late"}')
    output = terminal.succeeds(*mine("--data", first, "--else", "19:30", "--data", second))
    assert "2nd choice: Late" in output
    assert [(number, after) for number, _, after in terminal.rows(_ROWS)] == [("1", None), ("2", "1")]


@pytest.mark.parametrize(
    ("rule", "words", "cure"),
    [
        (
            True,
            ["--data", '{"class_id": "1"}'],
            "--data is needed once per choice, in their order: there are 2 choices, and 1",
        ),
        (True, ["--data", '{"class_id": 1}', "--data", '{"class_id": " 1"}'], "is chosen twice"),
        (
            False,
            ["--data", '{"class_id": 1}', "--data", '{"class_id": 2}'],
            'venue edit "Mine" --opens "4 days before"',
        ),
    ],
)
def test_choices_at_a_webhook_venue_need_data_and_a_rule(
    terminal: Terminal, *, rule: bool, words: list[str], cure: str
) -> None:
    more = ["--opens", "2 days before"] if rule else []
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "UTC", *more)
    assert cure in terminal.fails(*mine("--else", "19:30", *words), code=2)
    assert terminal.rows("select * from prebookings") == []


# days


@pytest.mark.parametrize(
    ("text", "first", "expected"),
    [
        ("wed 07:00", "2026-12-03", "2026-12-02"),  # a Thursday
        ("FRIDAY 07:00", "2026-12-03", "2026-12-04"),
        ("thu 07:00", "2026-12-03", "2026-12-03"),
        ("mon 07:00", "2026-12-06", "2026-12-07"),  # a Sunday
        ("sun 07:00", "2026-12-03", "2026-12-06"),
        ("mon 07:00", "2026-12-03", "2026-11-30"),
        ("tue 07:00", "2026-12-01", "2026-12-01"),
        ("mon 07:00", "2026-12-01", "2026-11-30"),
        ("sun 07:00", "2026-12-01", "2026-12-06"),  # the Sunday before is over
        ("tomorrow 07:00", "2026-12-03", "2026-12-01"),
    ],
)
def test_a_weekday_is_the_nearest_one_that_is_not_over(text: str, first: str, expected: str) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    choice = Choice(date.fromisoformat(first), time(18), None)
    assert parse_choices(choice, [text], now=now, zone=UTC_ZONE)[1].day == date.fromisoformat(expected)


def test_two_letters_are_no_weekday() -> None:
    choice = Choice(date(2026, 12, 3), time(18), None)
    with pytest.raises(BadInput, match='"we" is not a day'):
        parse_choices(choice, ["we 07:00"], now=datetime(2026, 11, 30, tzinfo=UTC), zone=UTC_ZONE)


def test_the_number_of_the_first_class_is_not_that_of_the_others() -> None:
    first = Choice(date(2026, 12, 3), time(18), "1001")
    choices = parse_choices(first, ["19:30", "20:30 WOD"], now=datetime(2026, 11, 30, tzinfo=UTC), zone=UTC_ZONE)
    assert [choice.class_name for choice in choices] == ["1001", None, "WOD"]


def test_choices_are_counted() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4)] == ["1st choice", "2nd choice", "3rd choice", "4th choice"]
