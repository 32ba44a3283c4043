"""Lists show readable rows and name unreadable ones; logins are listed without their sealed session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal

TERMINAL_REST = IMITATION  # starts at once; these tests are about input and output


def unchecked(terminal: Terminal) -> None:
    """Drop the limits on instants, as in a database of an older version."""
    terminal.connection.execute("alter domain prebooking_instant drop constraint prebooking_instant_check")


@pytest.mark.parametrize("end", ["20000-01-01", "infinity"])
@pytest.mark.parametrize("words", [["list"], ["list", "--json"]])
def test_an_unreadable_prebooking_is_named_and_hides_no_other(terminal: Terminal, end: str, words: list[str]) -> None:
    venue = add_venue(terminal.connection)
    good, bad = (add_prebooking(terminal.connection, venue) for _ in range(2))
    unchecked(terminal)
    terminal.connection.execute("update prebookings set expires_at = %s where id = %s", [end, bad])
    result = terminal.run(*words)
    assert result.code == 1
    assert str(good)[:8] in result.out
    assert f"Error: Not shown: {bad}" in result.err
    assert "cannot be read: correct expires_at in the database." in result.err
    assert "Cancelled" in terminal.succeeds("cancel", str(good))


def test_the_list_shows_that_a_class_is_not_found_yet(terminal: Terminal) -> None:
    box = add_venue(terminal.connection, provider="aimharder", host="box.aimharder.com")
    add_prebooking(terminal.connection, box, booking_data={"day": "20300114", "starts_at": "18:00"})
    assert "class not found yet" in terminal.succeeds("list")
    [one] = terminal.run("list", "--json").json
    assert one["class_unknown"] is True


def test_the_list_shows_what_differs_from_the_class_that_was_asked_for(terminal: Terminal) -> None:
    warnings = {"warning": "session_expired: log in again.", "class_warning": "class_gone: no such class."}
    row = str(add_prebooking(terminal.connection, add_venue(terminal.connection), **warnings))
    output = terminal.succeeds("list")
    assert all(f"{row[:8]}: {warning}" in output for warning in warnings.values())
    [one] = terminal.run("list", "--json").json
    assert one["class_warning"] == warnings["class_warning"]


@pytest.mark.parametrize("words", [["venue", "list"], ["venue", "list", "--json"]])
def test_an_unreadable_venue_is_named_and_hides_no_other(terminal: Terminal, words: list[str]) -> None:
    add_venue(terminal.connection, name="Good")
    bad = add_venue(terminal.connection, name="Bad")
    unchecked(terminal)
    terminal.connection.execute("update venues set paused_until = 'infinity' where id = %s", [bad])
    result = terminal.run(*words)
    assert result.code == 1
    assert "Good" in result.out
    assert "Bad" in result.err
    assert "correct paused_until in the database" in result.err
    assert "is paused" in terminal.succeeds("venue", "pause", "Good")


def test_logins_are_listed_with_their_next_opening_and_without_the_session(terminal: Terminal) -> None:
    now = datetime.now(UTC)
    centro, norte = (add_venue(terminal.connection, name=name) for name in ("Centro", "Norte"))
    add_session(terminal.connection, centro, ANA, sealed="TheSealedOne", refreshed_at=now - timedelta(minutes=7))
    add_session(terminal.connection, norte, "ben@example.com", sealed="TheSealedOne", refreshed_at=now, expired_at=now)
    add_prebooking(terminal.connection, centro, user_email=ANA, available_at=now + timedelta(hours=2))
    [ana, ben] = terminal.succeeds("login", "list").splitlines()[2:]
    assert ana.split()[:6] == [ANA, "Centro", "kept", "7", "min", "ago"]
    assert "asks for a new login" in ben
    assert ben.rstrip().endswith("-")
    result = terminal.run("login", "list", "--json", "-m", ANA)
    assert [(one["user_email"], one["venue"]) for one in result.json] == [(ANA, "Centro")]
    assert "TheSealedOne" not in result.out + ana + ben


def test_an_empty_list_of_logins_explains_how_to_log_in(terminal: Terminal) -> None:
    assert "prebooking login VENUE --member EMAIL" in terminal.succeeds("login", "list")
    assert "Usage" in terminal.run("login").out + terminal.run("login").err


def test_a_login_works_at_a_venue_called_list(terminal: Terminal) -> None:
    add_venue(terminal.connection, name="list")
    assert "has no timetable" in terminal.fails("login", "at", "list", "-m", ANA, stdin="x\n")
