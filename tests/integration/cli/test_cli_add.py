"""`prebooking add`: refused classes, and classes of a webhook venue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.factories import add_prebooking
from tests.support.terminal import ANA, MADRID, Terminal, day

DATA = '{"class_id": "4711", "room": 2}'


def count(terminal: Terminal) -> int:
    return len(terminal.rows("select * from prebookings"))


def mine(terminal: Terminal, *more: str) -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "Europe/Madrid", *more)


# two classes at one hour, and more than five


def test_a_second_class_at_the_same_hour_needs_anyway(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for number, name in (("1", "WOD"), ("2", "Yoga")):
        terminal.offer(number, day=day(6), name=name)
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA, "--class"]
    terminal.succeeds(*ask, "WOD")
    output = terminal.fails(*ask, "Yoga")
    assert f"{ANA} has WOD at Box Centro at that hour" in output
    assert "say --anyway to ask for both" in output
    assert count(terminal) == 1
    terminal.succeeds(*ask, "Yoga", "--anyway")
    assert count(terminal) == 2


def test_a_sixth_prebooking_for_one_opening_is_refused(terminal: Terminal) -> None:
    mine(terminal)
    opens = ["--opens", f"{day(2)} 20:00", "-m", ANA]
    for hour in range(10, 15):
        terminal.succeeds("add", "Mine", str(day(3)), f"{hour}:00", "--data", f'{{"class_id": {hour}}}', *opens)
    output = terminal.fails("add", "Mine", str(day(3)), "15:00", "--data", DATA, *opens)
    assert f"{ANA} has five prebookings for this opening already: cancel one of them first." in output
    assert count(terminal) == 5


# classes


def test_the_timetable_marks_prebooked_classes(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for number, at in (("1001", "07:00"), ("1002", "19:30")):
        terminal.offer(number, day=day(6), at=at)
    terminal.succeeds("add", "box centro", str(day(6)), "19:30", "-m", ANA)
    lines = terminal.succeeds("classes", "box centro", str(day(6)), "-m", ANA).splitlines()[3:]
    assert [("asked for" in line) for line in lines] == [False, True]
    assert "asked for" not in terminal.succeeds("classes", "box centro", str(day(6)))
    found = terminal.run("classes", "box centro", str(day(6)), "-m", ANA, "--json").json
    assert [one["asked_for"] for one in found] == [False, True]
    terminal.succeeds("cancel", terminal.run("list", "--json").json[0]["id"])
    assert "asked for" not in terminal.succeeds("classes", "box centro", str(day(6)), "-m", ANA)


# webhook venues


def test_a_class_at_a_webhook_venue_is_added_with_data(terminal: Terminal) -> None:
    mine(terminal)
    opens = ["--opens", f"{day(2)} 20:00", "--class", "Spinning"]
    output = terminal.succeeds("add", "Mine", str(day(3)), "19:30", "--data", DATA, "-m", ANA, *opens)
    assert "Asked for Spinning at Mine" in output
    begins = datetime.fromisoformat(f"{day(3)}T19:30").replace(tzinfo=MADRID)
    [(data, available_at, expires_at)] = terminal.rows("select booking_data, available_at, expires_at from prebookings")
    assert data == {"class_id": "4711", "room": 2, "class_name": "Spinning"}
    assert expires_at == begins
    assert available_at == datetime.fromisoformat(f"{day(2)}T20:00").replace(tzinfo=MADRID)
    again = ["add", "Mine", str(day(3)), "19:30", "--data", '{"class_id": " 4711 "}', "-m", ANA, *opens]
    assert "waits for this class already" in terminal.fails(*again)


def test_a_webhook_venue_with_a_rule_needs_no_opens_option(terminal: Terminal) -> None:
    mine(terminal, "--opens", "2 days before")
    terminal.succeeds("add", "Mine", str(day(5)), "19:30", "--data", DATA, "-m", ANA)
    [(available_at,)] = terminal.rows("select available_at from prebookings")
    assert available_at == datetime.fromisoformat(f"{day(3)}T19:30").replace(tzinfo=MADRID)


@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        ([], 1, 'say which class it is with --data \'{"class_id": "4711"}\''),
        (["--data", "4711"], 2, "not a JSON object"),
        (["--data", "{class_id: 1}"], 2, "not a JSON object"),
        (["--data", '{"class_id": NaN}'], 2, "not a JSON object"),
        (["--data", '{"class_id": "1", "n": "\\ud800"}'], 2, "not a JSON object"),
        (["--data", '{"class_id": "1", "n": "\\u0000"}'], 2, "not a JSON object"),
        (["--data", "[" * 100_000], 2, "not a JSON object"),
        (["--data", "{}"], 2, "needs a class_id"),
        (["--data", '{"class_id": " "}'], 2, "needs a class_id"),
        (["--data", '{"class_id": true}'], 2, "needs a class_id"),
        (["--data", f'{{"class_id": "1", "n": "{"x" * 6200}"}}'], 2, "at most 6144 bytes"),
        (["--data", DATA], 2, 'say --opens "2026-12-01 20:00"'),
        (["--data", DATA, "--opens", "soon"], 2, "on the gym's clock"),
        (["--data", DATA, "--waiting-list"], 2, "--waiting-list is for AimHarder"),
    ],
)
def test_unusable_data_is_refused_with_the_cure(terminal: Terminal, words: list[str], code: int, cure: str) -> None:
    mine(terminal)
    assert cure in terminal.fails("add", "Mine", str(day(3)), "19:30", "-m", ANA, *words, code=code)
    assert count(terminal) == 0


def test_data_is_refused_at_a_venue_with_a_timetable(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA, "--data", DATA]
    assert "--data is for venues that your own endpoint books" in terminal.fails(*ask, code=2)


# data that cannot be read


@pytest.mark.parametrize("data", [{"class_id": "47 11", "day": "20300111"}, {"class_id": "4711", "day": "11.01.2030"}])
def test_unreadable_booking_data_is_reported_hours_before_the_opening(terminal: Terminal, data: dict[str, Any]) -> None:
    terminal.add_box_and_member()
    [(box,)] = terminal.rows("select id from venues")
    opens = datetime.now(UTC) + timedelta(hours=8)
    row = add_prebooking(terminal.connection, box, user_email=ANA, booking_data=data, available_at=opens)
    assert f"{str(row)[:8]}: bad_data: " in terminal.succeeds("list")
