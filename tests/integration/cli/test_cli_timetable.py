"""`prebooking classes` and `prebooking add` at an AimHarder venue."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prebooking.local.venue.twin import Arrival, CallPlan, TwinReply
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, HOST, MADRID, PASSWORD, Terminal, day

TERMINAL_REST = IMITATION  # starts at once; these tests are about input and output

# classes


def test_classes_are_listed_with_the_member_s_places(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(1), at="07:00", name="WOD")
    terminal.offer("1002", day=day(1), at="19:30", name="Open [red]Box\x1b[2J", places=3)
    _book(terminal, "1001")
    lines = terminal.succeeds("classes", "box centro", "tomorrow", "-m", ANA).splitlines()
    assert [line.split()[:2] for line in lines[3:]] == [["07:00", "WOD"], ["19:30", "Open"]]
    assert ["booked" in line for line in lines[3:]] == [True, False]
    assert "Open [red]Box�[2J" in lines[4]
    assert "is open" in lines[4]
    found = terminal.run("classes", "box centro", "tomorrow", "--json").json
    assert [(one["class_id"], one["taken"], one["places"], one["yours"]) for one in found] == [
        ("1001", 1, 10, None),
        ("1002", 0, 3, None),
    ]


@pytest.mark.parametrize(
    ("wanted", "code", "cure"),
    [
        ("2020-01-01", 2, "is over: today is"),
        ("2026-02-30", 2, "write it like 2026-12-04"),
        ("20261204", 2, "write it like 2026-12-04"),
        ("soon", 2, "or say today or tomorrow"),
    ],
)
def test_an_invalid_or_past_day_is_refused(terminal: Terminal, wanted: str, code: int, cure: str) -> None:
    terminal.add_box()
    assert cure in terminal.fails("classes", "box centro", wanted, code=code)


def test_a_box_without_a_number_asks_for_a_login(terminal: Terminal) -> None:
    terminal.add_box()
    assert 'prebooking login "Box Centro" finds it' in terminal.fails("classes", "box centro", "tomorrow")


def test_a_day_without_classes_is_reported(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    assert "has no classes on" in terminal.succeeds("classes", "box centro", "today")


@pytest.mark.parametrize(
    ("status", "body", "cure"),
    [
        (200, b"<html>maintenance</html>", "cannot be read"),
        (403, b"<html>no</html>", "blocks this address (HTTP 403)"),
        (302, b"", "cannot be read (HTTP 302)"),
        (500, b"", "cannot be read (HTTP 500)"),
        (200, b'{"bookings": "none"}', "cannot be read"),
    ],
)
def test_an_unreadable_timetable_is_one_error_message(terminal: Terminal, status: int, body: bytes, cure: str) -> None:
    terminal.add_box_and_member()
    terminal.twin.plan = lambda _: CallPlan(answer=TwinReply(status, {}, body))
    output = terminal.fails("classes", "box centro", "tomorrow")
    assert cure in output
    assert "maintenance" not in output


# add


def test_one_of_several_classes_at_an_hour_is_chosen_by_name(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for number, name in (("1", "WOD"), ("2", "WOD Competition"), ("3", "Open Box")):
        terminal.offer(number, day=day(6), name=name)
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA]
    assert "Open Box (3), WOD (1), WOD Competition (2). Say which with --class" in terminal.fails(*ask)
    assert 'No class "yoga" begins at 19:30' in terminal.fails(*ask, "--class", "yoga")
    for name, number in (("wod", "1"), ("comp", "2"), ("open box", "3")):
        terminal.succeeds(*ask, "--class", name, "--anyway")
        assert terminal.rows("select booking_data ->> 'class_id' from prebookings order by created_at")[-1] == (number,)


def test_one_of_two_classes_with_the_same_name_is_chosen_by_number(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for number in ("1001", "1002"):
        terminal.offer(number, day=day(6))
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA, "--class"]
    assert "WOD (1001), WOD (1002)" in terminal.fails(*ask, "WOD")
    terminal.succeeds(*ask, "1002")
    assert terminal.rows("select booking_data ->> 'class_id' from prebookings") == [("1002",)]


def test_an_hour_without_a_class_is_refused_with_the_hours_that_have_one(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    output = terminal.fails("add", "box centro", str(day(6)), "7:00", "-m", ANA)
    assert "there is 19:30 WOD" in output
    assert terminal.rows("select * from prebookings") == []


@pytest.mark.parametrize("hour", ["24:00", "19", "7pm", "19:30:00", ""])
def test_an_invalid_hour_is_refused(terminal: Terminal, hour: str) -> None:
    assert "write it like 08:00" in terminal.fails("add", "box centro", "today", hour, "-m", ANA, code=2)


def test_a_second_prebooking_of_a_class_is_refused(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA]
    terminal.succeeds(*ask)
    assert "waits for this class already" in terminal.fails(*ask)
    assert len(terminal.rows("select * from prebookings")) == 1


def test_a_class_that_the_member_has_already_booked_needs_again(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(1))
    _book(terminal, "1001")
    ask = ["add", "box centro", "tomorrow", "19:30", "-m", ANA]
    assert "has a place in WOD already" in terminal.fails(*ask)
    terminal.succeeds(*ask, "--again")


def test_a_class_that_has_begun_is_refused(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    now = datetime.now(MADRID)
    terminal.offer(day=now.date(), at=f"{now:%H:%M}")
    output = terminal.fails("add", "box centro", "today", f"{now:%H:%M}", "-m", ANA, code=2)
    assert "has begun" in output or "is over" in output
    assert terminal.rows("select * from prebookings") == []


@pytest.mark.parametrize(
    ("opens", "utc"), [("2026-01-05 20:00", "2026-01-05 19:00"), ("2026-01-05T20:00:30+00:00", "2026-01-05 20:00")]
)
def test_opens_overrides_the_opening_rule(terminal: Terminal, opens: str, utc: str) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    terminal.succeeds("add", "box centro", str(day(6)), "19:30", "-m", ANA, "--opens", opens)
    [(at,)] = terminal.rows("select available_at from prebookings")
    assert f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" == utc


def test_an_opening_after_the_class_or_an_unreadable_one_is_refused(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA, "--opens"]
    assert "begun already" in terminal.fails(*ask, f"{day(6)} 19:30", code=2)
    assert "on the gym's clock" in terminal.fails(*ask, "tomorrow at noon", code=2)
    assert terminal.rows("select * from prebookings") == []


def test_the_waiting_list_option_sets_insist(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    terminal.succeeds("add", "box centro", str(day(6)), "19:30", "-m", ANA, "--waiting-list")
    assert terminal.rows("select booking_data -> 'insist' from prebookings") == [(1,)]


def test_add_without_a_working_login_is_refused(terminal: Terminal) -> None:
    terminal.add_box()
    terminal.offer(day=day(6))
    ask = ["add", "box centro", str(day(6)), "19:30", "-m", ANA]
    assert f'prebooking login "Box Centro" --member {ANA}' in terminal.fails(*ask)
    terminal.twin.join(ANA, PASSWORD)
    terminal.succeeds("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    terminal.connection.execute("update member_sessions set expired_at = now()")
    assert f'prebooking login "Box Centro" --member {ANA}' in terminal.fails(*ask)


def test_a_login_sealed_for_another_member_is_refused(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.offer(day=day(6))
    terminal.connection.execute("update member_sessions set user_email = 'ben@example.com'")
    output = terminal.fails("add", "box centro", str(day(6)), "19:30", "-m", "ben@example.com")
    assert "log in again" in output
    assert terminal.rows("select * from prebookings") == []


def _book(terminal: Terminal, class_id: str) -> None:
    """Book a place for Ana at the venue, without a prebooking."""
    arrival = Arrival(terminal.twin.now(), "POST", "", ANA, class_id, HOST, path="/api/book", books=True)
    assert terminal.twin.book(arrival).booking_id
