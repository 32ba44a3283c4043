"""`prebooking logout` and `forget`: what is removed, what is kept, and that other members keep everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claimed
from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal, now

TERMINAL_REST = IMITATION  # starts at once; test_cli_add and test_cli_status use the real one

BEN = "ben@example.com"


def ended(terminal: Terminal, venue: UUID, member: str = ANA, **overrides: Any) -> UUID:
    """Add a completed prebooking with personal data in every column that can hold it."""
    row = {"status": "completed", "outcome": "booked", "settled_at": now(), "booking_id": "778899", "fired_at": now()}
    row |= {"booking_data": {"class_id": "4711", "day": "20300111", "class_name": "WOD", "note": f"for {member}"}}
    row |= {"user_email": member, "warning": "session_expired: log in again.", "available_at": now(-1)}
    return add_prebooking(terminal.connection, venue, **row | overrides)


def rows_of(terminal: Terminal, member: str) -> list[dict[str, Any]]:
    """Return a member's rows of prebookings."""
    query = "select to_jsonb(p) from prebookings p where user_email = %s order by id"
    found = [row for (row,) in terminal.connection.execute(query, [member]).fetchall()]
    return [row | {"id": UUID(row["id"])} for row in found]


def everything(terminal: Terminal) -> str:
    return str([terminal.rows("select * from prebookings"), terminal.rows("select * from member_sessions")])


def test_only_the_named_member_is_forgotten(terminal: Terminal) -> None:
    centro, norte = (add_venue(terminal.connection, name=name) for name in ("Centro", "Norte"))
    for venue, member in ((centro, ANA), (norte, ANA), (centro, BEN)):
        add_session(terminal.connection, venue, member)
    booked, waiting = (
        ended(terminal, centro),
        add_prebooking(terminal.connection, norte, user_email="Ana@Example.com", available_at=now(60)),
    )
    ended(terminal, norte, BEN)
    add_prebooking(terminal.connection, centro, user_email=BEN, available_at=now(60))
    of_ben = rows_of(terminal, BEN)
    output = terminal.succeeds("forget", "Ana@example.com")
    assert (
        "Removed of Ana@example.com: 2 logins, 0 repeats, 0 absences, 0 channels, 1 prebooking that waited;" in output
    )
    assert " 2 prebookings without a name are left." in output
    assert "ana" not in everything(terminal).lower()
    assert rows_of(terminal, BEN) == of_ben
    assert {row["id"]: row["status"] for row in rows_of(terminal, "forgotten")} == {
        booked: "completed",
        waiting: "cancelled",
    }
    [left] = [row for row in rows_of(terminal, "forgotten") if row["id"] == booked]
    assert (left["outcome"], left["booking_id"], left["warning"]) == ("booked", None, None)
    assert left["booking_data"] == {"class_id": "4711", "day": "20300111"}
    assert left["lateness_ms"] > 0, "the figures keep what they count"
    assert terminal.rows("select user_email from member_sessions") == [(BEN,)]


def test_a_prebooking_that_is_being_booked_is_kept_and_reported(terminal: Terminal) -> None:
    venue = add_venue(terminal.connection)
    held = add_prebooking(terminal.connection, venue, user_email=ANA)
    assert claimed(terminal.connection, uuid4()) == [held]
    add_prebooking(terminal.connection, venue, user_email=ANA, maybe_sent=True)
    output = terminal.succeeds("forget", ANA)
    assert "may be at the venue already: 2 prebookings. Repeat this command then." in output
    assert terminal.rows("select status, user_email from prebookings") == [("pending", ANA)] * 2
    terminal.connection.execute(
        "update prebookings set status = 'failed', outcome = 'full', settled_at = now(),"
        " claimed_by = null, claimed_until = null, turn_until = null"
    )
    assert "2 prebookings without a name" in terminal.succeeds("forget", ANA)
    assert ANA not in everything(terminal)


def test_forgetting_an_unknown_member_fails(terminal: Terminal) -> None:
    assert "Nothing is kept of ana@example.com" in terminal.fails("forget", ANA)
    terminal.environment.setenv("PREBOOKING_MEMBER", ANA)
    assert "Who is to be forgotten?" in terminal.fails("forget", "", code=2)


def test_a_member_logs_out_at_one_venue(terminal: Terminal) -> None:
    for name in ("Centro", "Norte"):
        add_session(terminal.connection, add_venue(terminal.connection, name=name), ANA)
    assert f"{ANA} is logged out at Centro" in terminal.succeeds("logout", "Centro", "-m", ANA.upper().lower())
    assert terminal.rows("select v.name from member_sessions s join venues v on v.id = s.venue_id") == [("Norte",)]
    assert f"{ANA} has no login at Centro" in terminal.fails("logout", "Centro", "-m", ANA)
    assert "Whose is it?" in terminal.fails("logout", "Norte", code=2)


NOT_ASCII = ["\u212aim@example.com", "añá@example.com", "ana@exämple.com", "ana\u200b@example.com"]


@pytest.mark.parametrize("words", [["forget"], ["list", "-m"], ["logout", "Centro", "-m"], ["cancel", "1", "-m"]])
@pytest.mark.parametrize("member", NOT_ASCII)
def test_an_address_that_is_not_ascii_is_refused(terminal: Terminal, words: list[str], member: str) -> None:
    add_session(terminal.connection, add_venue(terminal.connection, name="Centro"), "kim@example.com")
    assert "not an e-mail address in plain ASCII characters" in terminal.fails(*words, member, code=2)
    assert len(terminal.rows("select * from member_sessions")) == 1
