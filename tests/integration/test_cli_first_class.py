"""From an empty database to a class that is asked for: the four commands, and each way in which they can go wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.terminal import ANA, BOX, HOST, MADRID, PASSWORD, Terminal, day


def test_four_commands_ask_for_a_class(terminal: Terminal) -> None:
    terminal.twin.open_box(HOST, box_id=BOX, name="Box Centro")
    terminal.twin.join(ANA, PASSWORD)
    terminal.offer(day=day(6))
    added = terminal.does(
        "venue", "add", "Box Centro", "--host", HOST, "--zone", "Europe/Madrid", "--opens", "4 days before"
    )
    assert "booking opens 4 days before" in added
    logged_in = terminal.does("login", "Box Centro", "--member", ANA, typed=f"{PASSWORD}\n")
    assert f"{ANA} is logged in at Box Centro" in logged_in
    listed = terminal.does("classes", "box", str(day(6)), "--member", ANA)
    assert "19:30" in listed
    assert "0/10" in listed
    asked = terminal.does("add", "box", str(day(6)), "19:30", "--member", ANA)
    opens = datetime.combine(day(2), datetime.min.time().replace(hour=19, minute=30), MADRID)
    assert f"{opens:%a %d %b %H:%M}" in asked
    [(email, data, available_at, expires_at, status)] = terminal.rows(
        "select user_email, booking_data, available_at, expires_at, status from prebookings"
    )
    assert (email, status, available_at) == (ANA, "pending", opens)
    assert expires_at == datetime.combine(day(6), opens.time(), MADRID)
    assert data == {
        "class_id": "1001",
        "day": f"{day(6):%Y%m%d}",
        "class_name": "WOD",
        "starts_at": expires_at.astimezone(UTC).isoformat(),
    }
