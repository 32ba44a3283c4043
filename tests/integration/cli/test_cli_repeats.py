"""`prebooking repeat`: what is added, shown and refused, at a webhook venue and at a box."""

from __future__ import annotations

import re
import shlex
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tests.support.postgrest import IMITATION
from tests.support.repeats import make
from tests.support.terminal import ANA, MADRID, Terminal, day

TERMINAL_REST = IMITATION  # starts at once

DATA = '{"class_id": "wod-{day}-{starts_at}", "room": 2}'


def mine(terminal: Terminal, rule: str = "2 days before") -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "Europe/Madrid", "--opens", rule)


def weekday(ahead: int) -> str:
    return f"{day(ahead):%A}".lower()


def repeat(terminal: Terminal, *more: str, ahead: int = 4, data: str = DATA) -> str:
    return terminal.succeeds("repeat", "add", "mine", weekday(ahead), "18:00", "-m", ANA, "--data", data, *more)


def classes(terminal: Terminal, status: str = "pending") -> list[tuple[date, str]]:
    rows = terminal.rows(f"select expires_at from prebookings where status = '{status}' order by 1")  # noqa: S608
    return [(at.astimezone(MADRID).date(), f"{at.astimezone(MADRID):%H:%M}") for (at,) in rows]


@pytest.mark.parametrize("spelling", ["{}", "{:.3}", "{:.4}"])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_a_repeat_names_its_next_two_classes(terminal: Terminal, spelling: str, case: Any) -> None:
    mine(terminal)
    words = [
        "repeat",
        "add",
        "mine",
        spelling.format(case(weekday(4))),
        "18:00",
        "-m",
        ANA,
        "--data",
        DATA,
        "--class",
        " WOD ",
    ]
    output = terminal.succeeds(*words)
    assert f"Asked for WOD at Mine every {day(4):%A} at 18:00, for {ANA}." in output
    assert f"{day(4):%a %d %b} 18:00: booking opens {day(2):%a %d %b} 18:00 (in " in output
    assert f"{day(11):%a %d %b} 18:00: booking opens " in output
    assert classes(terminal) == [(day(4), "18:00"), (day(11), "18:00")]
    [data, _] = terminal.rows("select booking_data from prebookings order by expires_at")
    assert data[0] == {
        "class_id": f"wod-{day(4)}-18:00", "day": str(day(4)), "starts_at": "18:00", "room": 2, "class_name": "WOD",
    }  # fmt: skip


def test_a_class_whose_booking_is_open_already_is_named_with_the_command(terminal: Terminal) -> None:
    mine(terminal, "10 days before")
    output = repeat(terminal)
    assert f'Booking of {day(4):%a %d %b} is open already, so the repeat leaves it out: prebooking add "Mine"' in output
    assert f'prebooking add "Mine" {day(4)} 18:00' in output
    assert classes(terminal)[0][0] == day(11)
    [command] = re.findall("prebooking (add .*)", output)
    terminal.succeeds(*shlex.split(command))
    assert classes(terminal)[0] == (day(4), "18:00")


def test_later_choices_are_named_and_stand_after_the_first(terminal: Terminal) -> None:
    mine(terminal)
    output = repeat(terminal, "--else", "19:30", "--else", f"{weekday(5)[:3]} 07:00 Yoga", "--class", "WOD")
    assert f"Else {day(4):%A} at 19:30: WOD." in output
    assert f"Else {day(5):%A} at 07:00: Yoga." in output
    first = [(day(4), "18:00"), (day(4), "19:30"), (day(5), "07:00")]
    assert classes(terminal)[:3] == first
    names = terminal.rows("select booking_data ->> 'class_name' from prebookings order by expires_at limit 3")
    assert names == [("WOD",), ("WOD",), ("Yoga",)]
    chained = terminal.rows("select count(*) from prebookings where stands_after is not null")
    assert chained == [(4,)]


def test_a_repeat_ends_with_its_last_day(terminal: Terminal) -> None:
    mine(terminal)
    assert f" until {day(9)}, for" in repeat(terminal, "--until", str(day(9)))
    assert classes(terminal) == [(day(4), "18:00")]
    assert f"until {day(9)}" in terminal.succeeds("repeat", "list")


def test_repeats_are_listed_paused_resumed_and_removed(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal, "--class", "WOD")
    [listed] = terminal.run("repeat", "list", "--json").json
    assert (listed["weekday"], listed["starts_at"], listed["class_name"]) == (day(4).isoweekday(), "18:00", "WOD")
    short = listed["id"][:8]
    line = terminal.succeeds("repeat", "list", "-m", ANA).splitlines()[2]
    assert line.split()[:5] == [short, "WOD", "Mine", f"{day(4):%a}", "18:00"]
    assert line.split()[-1] == "active"

    output = terminal.succeeds("repeat", "pause", short)
    assert f"Paused: WOD at Mine, every {day(4):%A} at 18:00, for {ANA}." in output
    assert f"Cancelled: WOD at Mine, {day(4):%a %d %b} 18:00" in output
    assert f"`prebooking repeat resume {short}`" in output
    assert (len(classes(terminal)), len(classes(terminal, "cancelled"))) == (0, 2)
    assert terminal.succeeds("repeat", "list").splitlines()[2].split()[-1] == "paused"

    output = terminal.succeeds("repeat", "resume", short)
    assert f"Asked for: WOD at Mine, {day(11):%a %d %b} 18:00" in output
    assert len(classes(terminal)) == 2

    terminal.connection.execute(
        "update prebookings set maybe_sent = true where id = (select max(id::text)::uuid from prebookings"
        " where status = 'pending')"
    )
    output = terminal.succeeds("repeat", "remove", short)
    assert "Removed: WOD at Mine" in output
    assert output.count("Cancelled: WOD") == 1
    assert output.count("Not cancelled, because it may be at the venue: WOD at Mine") == 1
    assert "No repeats for ana@example.com" in terminal.succeeds("repeat", "list", "-m", ANA)
    assert f'There is no repeat "{short}".' in terminal.fails("repeat", "remove", short)


def test_what_hinders_a_repeat_is_shown(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal)
    terminal.connection.execute("update venues set opening_rule = null")
    make(terminal.connection)
    listed = terminal.succeeds("repeat", "list")
    assert "look below" in listed
    assert "no_rule: its venue has no rule when booking opens" in listed


@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        (["tuesdy", "18:00"], 2, '"tuesdy" is not a weekday: write it like tuesday or tue.'),
        (["tu", "18:00"], 2, '"tu" is not a weekday'),
        (["2026-12-01", "18:00"], 2, "is not a weekday"),
        (["tue", "6pm"], 2, '"6pm" is not a time of day: write it like 08:00.'),
        (["tue", "25:00"], 2, "is not a time of day"),
        (["tue", "18:00", "--class", " \u200b "], 2, "--class is the name of a class, 1 to 100 characters"),
        (["tue", "18:00", "--class", "x" * 101], 2, "--class is the name of a class, 1 to 100 characters"),
        (["tue", "18:00", "--until", "2020-01-01"], 2, "is over: today is"),
        (["tue", "18:00", "--until", "soon"], 2, '"soon" is not a day'),
        (["tue", "18:00", "--until", "today"], 1, "No class of it opens for booking until today"),
        (["tue", "18:00", "--else", "18:00"], 2, "Tuesday 18:00 is chosen twice"),
        (["tue", "18:00", "--else", "late"], 2, "is not a time of day: write it like"),
        (["tue", "18:00", "--else", "2030-01-01 18:00"], 2, 'write it like "19:30" or "wed 07:00", without a date'),
        (["tue", "18:00", "--else", "tomorrow 18:00"], 2, "without a date"),
        (["tue", "18:00", *["--else", "19:00"] * 4], 2, "3 times at most"),
        (["tue", "18:00", "--else", "sat 18:00"], 1, "Saturday 18:00 begins before booking opens for Tuesday 18:00"),
        (["tue", "18:00", "--else", "sun 18:00"], 1, "Sunday 18:00 begins before booking opens for Tuesday 18:00"),
        (["tue", "18:00", "--waiting-list"], 2, "--waiting-list is for AimHarder"),
        (["tue", "18:00", "--data", "4711"], 2, 'not a JSON object: write it like \'{"class_id": "wod-{day}'),
        (["tue", "18:00", "--data", '{"class_id": true}'], 2, "needs a class_id"),
        (["tue", "18:00", "--data", '{"class_id": "4711"}'], 2, "so that of a repeat needs {day}"),
        (["tue", "18:00", "--data", '{"class_id": "{day}"}', "--else", "19:00"], 2, "needs {starts_at}"),
        (["tue", "18:00", "--data", '{"class_id": "{day} {hour}"}'], 2, "{hour} is not replaced in a class_id"),
        (["tue", "18:00", "--data", f'{{"n": "{"x" * 6100}"}}'], 2, "--data is too long: at most 6144 bytes"),
    ],
)
def test_bad_input_is_refused_with_the_cure(terminal: Terminal, words: list[str], code: int, cure: str) -> None:
    mine(terminal)
    data = [] if "--data" in words else ["--data", DATA]
    assert cure in terminal.fails("repeat", "add", "mine", *words, "-m", ANA, *data, code=code)
    assert terminal.rows("select * from repeats") == []


def test_a_webhook_venue_needs_data_and_a_rule(terminal: Terminal) -> None:
    terminal.succeeds("venue", "add", "Bare", "--provider", "webhook", "--zone", "Europe/Madrid")
    ask = ["repeat", "add", "bare", "tue", "18:00", "-m", ANA]
    assert 'prebooking venue edit "Bare" --opens "4 days before"' in terminal.fails(*ask, "--data", DATA)
    terminal.succeeds("venue", "edit", "Bare", "--opens", "4 days before")
    assert 'say which class it is with --data \'{"class_id": "wod-{day}-{starts_at}"}\'' in terminal.fails(*ask)
    assert "Whose is it?" in terminal.fails(*ask[:-2], code=2)
    terminal.succeeds(*ask, "--data", '{"note": "without a class_id"}')


def test_a_second_repeat_at_that_hour_is_refused_with_the_id_of_the_first(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal)
    [(id_,)] = terminal.rows("select id from repeats")
    output = terminal.fails("repeat", "add", "mine", weekday(4), "18:00", "-m", ANA.upper(), "--data", DATA)
    assert f"remove it first: prebooking repeat remove {str(id_)[:8]}" in output


def test_a_venue_with_repeats_says_what_becomes_of_them(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal)
    assert "remove its 1 repeat (`prebooking repeat list`) and cancel them" in terminal.fails("venue", "remove", "mine")
    output = terminal.succeeds("venue", "edit", "mine", "--opens", "3 days before")
    assert "except those of repeats, which move within a minute" in output
    make(terminal.connection)
    opens = terminal.rows("select available_at from prebookings order by 1")
    assert [at.astimezone(MADRID).date() for (at,) in opens] == [day(1), day(8)]
    terminal.connection.execute("update prebookings set status = 'cancelled', settled_at = now() - interval '500 days'")
    assert "0 logins, 1 repeat and 2 prebookings" in terminal.succeeds("venue", "remove", "mine")


# a box with a timetable


def box(terminal: Terminal, *more: str) -> str:
    return terminal.succeeds("repeat", "add", "box centro", weekday(6), "19:30", "-m", ANA, *more)


@pytest.mark.parametrize("more", [["--class", "wod"], ["--class", "wo"], ["--class", "1001"]])
def test_the_name_is_that_of_the_timetable(terminal: Terminal, more: list[str]) -> None:
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(6), name="WOD")
    terminal.offer("1002", day=day(6), name="Yoga")
    output = box(terminal, *more, "--waiting-list")
    assert f"Asked for WOD at Box Centro every {day(6):%A} at 19:30" in output
    rows = terminal.rows("select booking_data, class_unknown, warning from prebookings order by expires_at")
    assert rows[0] == (
        {"day": f"{day(6):%Y%m%d}", "starts_at": "19:30", "class_name": "WOD", "insist": 1}, True, None,
    )  # fmt: skip
    assert len(rows) == 2


def test_without_a_name_it_is_any_class_at_that_hour(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(6), name="WOD")
    terminal.offer("1002", day=day(6), at="20:30", name="Yoga")
    output = box(terminal, "--else", "20:30")
    assert f"Asked for the class at Box Centro every {day(6):%A}" in output
    [(data,), *_] = terminal.rows("select booking_data from prebookings order by expires_at")
    assert data == {"day": f"{day(6):%Y%m%d}", "starts_at": "19:30"}


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["--class", "Pilates"], 'No class "Pilates" begins at 19:30 on'),
        ([], "Several begin at 19:30: WOD (1001), Yoga (1002). Say which with --class"),
        (["--class", "WOD", "--else", "21:00"], "No class begins at 21:00 on"),
    ],
)
def test_a_class_that_the_timetable_does_not_have_is_refused_unless_anyway(
    terminal: Terminal, words: list[str], cure: str
) -> None:
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(6), name="WOD")
    terminal.offer("1002", day=day(6), name="Yoga")
    ask = ["repeat", "add", "box centro", weekday(6), "19:30", "-m", ANA]
    assert cure in terminal.fails(*ask, *words)
    assert terminal.rows("select * from repeats") == []
    terminal.succeeds(*ask, *words, "--anyway")


def test_a_day_that_is_not_published_yet_is_accepted(terminal: Terminal) -> None:
    terminal.add_box()
    with terminal.environment.context() as here:
        here.setattr(terminal.twin, "classes", {})
        terminal.connection.execute("update venues set provider_box_id = '4242'")
        output = box(terminal, "--class", "WOD")
    assert f'prebooking login "Box Centro" --member {ANA} --remember' in output
    number = ["repeat", "add", "box centro", weekday(5), "19:30", "-m", ANA, "--class", "1001"]
    assert "The number of a class is that of one day: give its name" in terminal.fails(*number, code=2)
    assert "--data is for venues that your own endpoint books" in terminal.fails(*number, "--data", DATA, code=2)


def test_the_timetable_of_the_next_class_is_read_once_per_day(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for hour in ("19:30", "20:30"):
        terminal.offer(hour.replace(":", ""), day=day(6), at=hour)
    before = len(terminal.twin.ledger.arrivals(None))
    box(terminal, "--class", "WOD", "--else", "20:30")
    assert len(terminal.twin.ledger.arrivals(None)) - before == 1
    begins = datetime.fromisoformat(f"{day(6)}T19:30").replace(tzinfo=MADRID)
    assert classes(terminal)[0] == (begins.date(), "19:30")
    assert begins - timedelta(days=4) == min(at for (at,) in terminal.rows("select available_at from prebookings"))
