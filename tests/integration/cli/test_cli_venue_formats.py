"""Venues' pages in unusual formats, and logins that must be able to book."""

from __future__ import annotations

import os

import pytest

from prebooking.local.venue.aimharder import BOOKINGS, WHOAMI
from prebooking.local.venue.page import COOKIES, HOURS, LISTS, NAMES, Page
from prebooking.local.venue.twin import CallPlan
from prebooking.local.venue.verdicts import json_reply
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, PASSWORD, Terminal, day

TERMINAL_REST = IMITATION  # starts at once; these tests are about input and output

OTHER_KEY = "A" * 43 + "="

# classes


@pytest.mark.parametrize("hours", HOURS)
def test_a_class_is_found_by_its_hour_in_every_notation(terminal: Terminal, hours: str) -> None:
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(2), at="18:00", name="WOD")
    terminal.twin.page = Page(hours=hours)
    terminal.succeeds("add", "box centro", str(day(2)), "18:00", "-m", ANA)
    [(begins,)] = terminal.rows("select expires_at at time zone 'Europe/Madrid' from prebookings")
    assert f"{begins:%H:%M}" == "18:00"


@pytest.mark.grid
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("lists", LISTS)
def test_a_class_is_found_by_its_name_in_every_notation(terminal: Terminal, names: str, lists: str) -> None:
    terminal.add_box_and_member()
    for class_id, name in (("1001", "Básica"), ("1002", "Open Básica")):
        terminal.offer(class_id, day=day(2), at="18:00", name=name)
    terminal.twin.page = Page(names=names, lists=lists)
    wanted = "BA\u0301SICA" + " \ufffd" * (names == "surrogate")
    terminal.succeeds("add", "box centro", str(day(2)), "18:00", "--class", wanted, "-m", ANA)
    assert terminal.rows("select booking_data ->> 'class_id' from prebookings") == [("1001",)]


def test_an_unreadable_class_is_listed_as_unreadable(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    lines = [{"id": 7, "className": "WOD", "time": "after lunch"}, {"id": "x y", "className": "Yoga", "time": "9:00"}]
    answer = CallPlan(acts=False, answer=json_reply({"bookings": lines}))
    terminal.twin.script("", answer, answer, method="GET", path=BOOKINGS)
    output = terminal.succeeds("classes", "box centro", "tomorrow")
    assert 'time cannot be read: "WOD" at "after lunch"' in output
    assert 'number cannot be read: "Yoga" at "9:00"' in output
    assert "has no classes" not in output
    found = terminal.run("classes", "box centro", "tomorrow", "--json").json
    assert [(one["name"], one["starts_at"]) for one in found] == [("WOD", None), ("Yoga", None)]


def test_a_closed_or_cancelled_class_is_shown_and_cannot_be_added(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    for class_id, at in (("1001", "07:00"), ("1002", "08:00"), ("1003", "09:00")):
        terminal.offer(class_id, day=day(2), at=at, name="WOD")
    terminal.twin.page = Page(closed={"1001"}, cancelled={"1002"})
    output = terminal.succeeds("classes", "box centro", str(day(2))).splitlines()[3:]
    assert [("closed" in line, "cancelled" in line) for line in output] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert "is closed for bookings at the venue: say --anyway" in terminal.fails(
        "add", "box centro", str(day(2)), "07:00", "-m", ANA
    )
    assert "is cancelled" in terminal.fails("add", "box centro", str(day(2)), "08:00", "--anyway", "-m", ANA)
    assert terminal.rows("select * from prebookings") == []
    terminal.succeeds("add", "box centro", str(day(2)), "07:00", "--anyway", "-m", ANA)


# logins


@pytest.mark.parametrize("cookies", COOKIES)
def test_a_login_is_stored_whatever_the_cookie_s_attributes(terminal: Terminal, cookies: str) -> None:
    terminal.twin.page = Page(cookies=cookies)
    terminal.add_box_and_member()
    terminal.offer("1001", day=day(1), at="07:00", name="WOD")
    assert "WOD" in terminal.succeeds("classes", "box centro", "tomorrow", "-m", ANA)


def test_a_login_without_a_member_is_refused_by_the_command(terminal: Terminal) -> None:
    terminal.add_box()
    terminal.twin.join(ANA, PASSWORD)
    terminal.twin.script(ANA, CallPlan(acts=False, answer=json_reply({"data": []})), method="GET", path=WHOAMI)
    assert "it names nobody" in terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert terminal.rows("select * from member_sessions") == []


def test_a_key_that_sealed_no_stored_login_is_refused_before_the_password_is_used(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.environment.setenv("SESSION_ENCRYPTION_KEY", OTHER_KEY)
    calls = len(terminal.twin.ledger.entries)
    output = terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert "is not the key that encrypted the stored logins" in output
    assert "--new-key" in output
    assert len(terminal.twin.ledger.entries) == calls
    assert terminal.rows("select version from member_sessions") == [(1,)]

    terminal.succeeds("login", "box centro", "--new-key", "-m", ANA, stdin=f"{PASSWORD}\n")
    terminal.succeeds("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert terminal.rows("select version, key_id from member_sessions") == [(3, "66687aadf862bd77")]


def test_a_key_is_rotated_with_the_previous_key_set(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    before = terminal.rows("select key_id from member_sessions")

    terminal.environment.setenv("SESSION_ENCRYPTION_KEY_PREVIOUS", os.environ["SESSION_ENCRYPTION_KEY"])
    terminal.environment.setenv("SESSION_ENCRYPTION_KEY", OTHER_KEY)
    terminal.succeeds("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert terminal.rows("select key_id from member_sessions") != before
