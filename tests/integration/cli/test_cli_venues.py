"""`prebooking venue`: adding, changing and removing venues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, HOST, Terminal

TERMINAL_REST = IMITATION  # starts at once; test_cli_add and test_cli_status use the real one

WORDS = ["--zone", "Europe/Madrid", "--opens", "4 days before"]


def settled(terminal: Terminal, venue: UUID) -> None:
    ended = {"status": "completed", "outcome": "booked", "settled_at": datetime.now(UTC)}
    add_prebooking(terminal.connection, venue, user_email=ANA, **ended)


# add


@pytest.mark.parametrize(
    "host",
    ["xn--x.aimharder.com", "xn--.aimharder.com", "-a.aimharder.com", "a_b.aimharder.com", "ñ.aimharder.com", "a b.es"],
)
def test_a_host_that_is_not_a_box_is_refused(terminal: Terminal, host: str) -> None:
    output = terminal.fails("venue", "add", "Box", "--host", host, *WORDS, code=2)
    assert "<box>.aimharder.com or <box>.aimharder.es" in output
    assert terminal.rows("select * from venues") == []


@pytest.mark.parametrize("option", ["--host", "--box"])
def test_a_webhook_venue_has_neither_host_nor_box(terminal: Terminal, option: str) -> None:
    words = ["--provider", "webhook", "--zone", "UTC", option, "42"]
    output = terminal.fails("venue", "add", "Mine", *words, code=2)
    assert f"{option} is for AimHarder" in output
    assert terminal.rows("select * from venues") == []


# edit


def test_an_edit_changes_only_the_named_fields(terminal: Terminal) -> None:
    terminal.add_box()
    terminal.succeeds("venue", "edit", "Box Centro", "--name", "Box Sur", "--opens", "72 hours before")
    terminal.succeeds("venue", "edit", "box sur", "--zone", "Atlantic/Canary", "--box", "43")
    assert terminal.rows("select name, host, timezone, opening_rule, provider_box_id, enabled from venues") == [
        ("Box Sur", HOST, "Atlantic/Canary", "72 hours before", "43", True)
    ]


def test_an_endpoint_can_be_declared_idempotent(terminal: Terminal) -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "UTC")
    terminal.succeeds("venue", "edit", "Mine", "--idempotent")
    assert terminal.rows("select idempotent from venues") == [(True,)]
    terminal.succeeds("venue", "edit", "Mine", "--no-idempotent")
    assert terminal.rows("select idempotent from venues") == [(False,)]


def test_the_limit_of_late_cancellations_is_set_kept_and_removed(terminal: Terminal) -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "UTC")
    terminal.succeeds("venue", "edit", "Mine", "--late-cancel", "4")
    terminal.succeeds("venue", "edit", "Mine", "--name", "Ours")
    assert terminal.rows("select late_cancel_hours from venues") == [(4,)]
    terminal.succeeds("venue", "edit", "Ours", "--late-cancel", "0")
    assert terminal.rows("select late_cancel_hours from venues") == [(None,)]


@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        ([], 2, "Say what to change: --name"),
        (["--late-cancel", "169"], 2, "from 1 to 168, or 0"),
        (["--name", ""], 2, "1 to 60 characters"),
        (["--zone", "Europe/Madird"], 2, "did you mean Europe/Madrid?"),
        (["--opens", "next week"], 2, "3 days before at 20:00"),
        (["--box", "4x"], 2, "is a number"),
        (["--idempotent"], 2, "AimHarder knows no keys"),
        (["--name", "BOX NORTE"], 1, 'There is a venue "Box Norte" already'),
    ],
)
def test_an_impossible_change_is_refused_with_the_cure(
    terminal: Terminal, words: list[str], code: int, cure: str
) -> None:
    terminal.add_box()
    add_venue(terminal.connection, name="Box Norte")
    before = terminal.rows("select * from venues order by id")
    assert cure in terminal.fails("venue", "edit", "Box Centro", *words, code=code)
    assert terminal.rows("select * from venues order by id") == before


def test_the_number_of_another_venue_s_box_is_refused(terminal: Terminal) -> None:
    for name, box in (("One", "1"), ("Two", "2")):
        terminal.succeeds("venue", "add", name, "--host", HOST, "--box", box, *WORDS)
    assert 'That box is here already, as "One"' in terminal.fails("venue", "edit", "Two", "--box", "1")


def test_after_a_changed_rule_pending_prebookings_keep_their_openings(terminal: Terminal) -> None:
    venue = add_venue(terminal.connection, name="Mine")
    add_prebooking(terminal.connection, venue, available_at=datetime.now(UTC) + timedelta(hours=1))
    assert "1 waiting keep their openings" in terminal.succeeds("venue", "edit", "Mine", "--opens", "2 days before")


# remove


def test_a_venue_is_removed_with_its_logins_and_ended_prebookings(terminal: Terminal) -> None:
    mine, other = add_venue(terminal.connection, name="Mine"), add_venue(terminal.connection, name="Other")
    for venue in (mine, other):
        add_session(terminal.connection, venue, ANA)
        settled(terminal, venue)
    assert "Removed Mine, with 1 login and 1 prebooking that had ended" in terminal.succeeds("venue", "remove", "mine")
    assert terminal.rows("select name from venues") == [("Other",)]
    assert terminal.rows("select venue_id from prebookings union all select venue_id from member_sessions") == [
        (other,),
        (other,),
    ]


def test_a_venue_with_pending_prebookings_is_not_removed(terminal: Terminal) -> None:
    venue = add_venue(terminal.connection, name="Mine")
    add_prebooking(terminal.connection, venue)
    settled(terminal, venue)
    output = terminal.fails("venue", "remove", "Mine")
    assert "1 prebooking still to be booked at Mine: cancel them first, or pause" in output
    assert len(terminal.rows("select * from prebookings")) == 2


def test_removing_a_venue_needs_its_whole_name(terminal: Terminal) -> None:
    add_venue(terminal.connection, name="Box Centro")
    assert 'There is no venue "box": there is Box Centro.' in terminal.fails("venue", "remove", "box")
    terminal.succeeds("venue", "remove", "BOX centro")
