"""`prebooking skip`, `away` and `absence`: what they cancel, leave, name, refuse and undo."""

from __future__ import annotations

import pytest

from tests.integration.cli.test_cli_repeats import classes, mine, repeat
from tests.support.factories import add_prebooking
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal, day, now

TERMINAL_REST = IMITATION  # starts at once


def in_words(ahead: int) -> str:
    return f"{day(ahead):%a %d %b %Y}"


def test_a_skipped_day_is_cancelled_and_can_be_undone(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal, "--class", "WOD")
    output = terminal.succeeds("skip", str(day(4)), "-m", ANA)
    assert f"{ANA} is away on {in_words(4)}: nothing is asked for by a repeat." in output
    assert f"Cancelled: WOD at Mine, {day(4):%a %d %b} 18:00" in output
    assert classes(terminal) == [(day(11), "18:00")]
    [absence] = terminal.run("absence", "list", "--json").json
    assert f"prebooking absence remove {absence['id'][:8]}" in output
    assert in_words(4) in terminal.succeeds("absence", "list", "-m", ANA)
    output = terminal.succeeds("absence", "remove", absence["id"][:8])
    assert f"Asked for: WOD at Mine, {day(4):%a %d %b} 18:00" in output
    assert classes(terminal) == [(day(4), "18:00"), (day(11), "18:00")]
    assert "Nobody is away" in terminal.succeeds("absence", "list")
    assert 'There is no absence "1"' in terminal.fails("absence", "remove", "1")


def test_booked_classes_are_listed_with_the_command_that_gives_them_back(terminal: Terminal) -> None:
    mine(terminal)
    repeat(terminal)
    [(venue,)] = terminal.rows("select id from venues")
    ended = {"status": "completed", "outcome": "booked", "settled_at": now(), "user_email": ANA}
    starts = {"available_at": now(-60), "expires_at": now(86_400), "booking_data": {"class_id": "1"}}
    booked = add_prebooking(terminal.connection, venue, **ended, **starts)
    held = add_prebooking(
        terminal.connection, venue, user_email=ANA, maybe_sent=True, **starts | {"expires_at": now(172_800)}
    )
    output = terminal.succeeds("away", "today", str(day(20)), "-m", ANA)
    assert f"is away on {in_words(0)} to {in_words(20)}" in output
    assert output.count("Cancelled: ") == 2
    assert "Still booked. To give it back: class 1 at Mine, " in output
    assert f": `prebooking give-back {str(booked)[:8]}`" in output
    assert "Not cancelled, because it may be at the venue: class 1 at Mine" in output
    assert terminal.rows(f"select status from prebookings where id in ('{booked}', '{held}') order by 1") == [  # noqa: S608
        ("completed",),
        ("pending",),
    ]
    assert terminal.rows("select 1 from prebookings where given_back_at is not null") == []


@pytest.mark.parametrize(
    ("first", "last", "code", "cure"),
    [
        (20, 19, 2, "write the first day away first."),
        (-3, -2, 2, "is over: today is "),
        (11, 11, 1, f"{ANA} is away then already, on "),
    ],
)
def test_days_that_make_no_sense_are_refused(terminal: Terminal, first: int, last: int, code: int, cure: str) -> None:
    mine(terminal)
    terminal.succeeds("away", str(day(10)), str(day(12)), "-m", ANA)
    assert cure in terminal.fails("away", str(day(first)), str(day(last)), "-m", ANA, code=code)
    assert len(terminal.rows("select * from absences")) == 1


def test_words_that_are_no_days_are_refused(terminal: Terminal) -> None:
    assert '"christmas" is not a day: write it like 2026-12-04' in terminal.fails(
        "skip", "christmas", "-m", ANA, code=2
    )
    assert "is over: today is " in terminal.fails("skip", "2020-01-01", "-m", ANA, code=2)
    assert "Whose is it?" in terminal.fails("skip", "tomorrow", code=2)
    terminal.succeeds("away", "2020-01-01", "tomorrow", "-m", ANA)
