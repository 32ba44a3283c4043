"""The demo as a process, and its checker with contradictions that it must report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prebooking.local.demo.checker import QUESTIONS, BothSides, PrebookingRow
from prebooking.local.demo.messages import each_member_was_told_once
from prebooking.local.inbox import Inbox, ReceivedMessage
from prebooking.local.scenario import AHEAD, AT_ONCE, BOX, FULL, LEFT_BEHIND, SLOW
from prebooking.local.venue.twin import Act, Arrival, Ledger, State

ROOT = Path(__file__).parents[2]
VENUE = UUID(int=7)
OPENS = datetime(2026, 10, 24, 6, tzinfo=UTC)


def test_the_demo_runs_and_finds_that_ledger_and_database_agree(tmp_path: Path) -> None:
    """With spaces in the paths of the project and of the temporary folder."""
    here, temporary = tmp_path / "my projects" / "the demo", tmp_path / "for a while"
    for folder in ("prebooking", "api", "supabase", "public"):
        shutil.copytree(ROOT / folder, here / folder)
    for file in ("pyproject.toml", "vercel.json"):
        shutil.copy(ROOT / file, here)
    temporary.mkdir()
    command = [sys.executable, "-m", "prebooking.local.demo"]
    environment = {**os.environ, "PYTHONPATH": str(here), "TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "They agree." in lines
    assert "  yes  each member was told once, as it ended" in lines
    told = [words[0] for words in map(str.split, lines) if len(words) > 2 and words[1] in {"mail", "ntfy"}]
    members = [name for who in (LEFT_BEHIND, AT_ONCE, FULL, AHEAD, BOX, SLOW) for name in who.members.split()]
    table = [words for words in map(str.split, lines) if len(words) == 7 and words[5] in {"completed:", "failed:"}]
    ends = {words[0]: words[6] for words in table}
    assert sorted(ends) == sorted(members) == sorted(told)
    assert len(members) == 34
    assert {"booked", "waitlisted", "full", "reconciled"} <= set(ends.values())
    assert max(map(len, lines)) <= 80
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


def ms(milliseconds: float) -> datetime:
    return OPENS + timedelta(milliseconds=milliseconds)


def row(number: int, **how: Any) -> PrebookingRow:
    """A member who asked an hour ahead, and was called in turn and booked."""
    asked = OPENS - timedelta(hours=1, seconds=-number)
    about = (f"m{number}@example.com", VENUE, None, "wod", "wod", OPENS, asked)
    return replace(
        PrebookingRow(
            UUID(int=number), *about, "completed", "booked", f"b-{number}", ms(50 * number), None, None, None
        ),
        **how,
    )


def call(number: int, at: float | None = None) -> Arrival:
    when = ms(50 * number + 1 if at is None else at)
    return Arrival(when, "POST", str(UUID(int=number)), f"m{number}@example.com", "wod", str(VENUE))


def place(number: int, state: State = State.BOOKED, *, who: int | None = None) -> Act:
    who = number if who is None else who
    about = (str(UUID(int=who)), f"m{who}@example.com", "wod", str(VENUE))
    return Act(ms(50 * number + 2), state, f"b-{number}", *about)


def complaints(rows: list[PrebookingRow], entries: list[Arrival | Act]) -> list[str]:
    ledger = Ledger()
    for entry in entries:
        ledger.write(entry)
    both = BothSides(rows, ledger)
    return [complaint for ask in QUESTIONS.values() for complaint in ask(both)]


FULL_ROW = {"status": "failed", "outcome": "full", "booking_id": None}
ROWS = [row(0), row(1, outcome="waitlisted"), row(2, **FULL_ROW)]
_SECOND_PLACE = replace(place(3, who=1), class_id="else", prebooking_id=str(UUID(int=3)))
LEDGER: list[Arrival | Act] = [call(0), place(0), call(1), place(1, State.WAITLISTED), call(2)]


def test_the_checker_accepts_matching_sides() -> None:
    assert complaints(ROWS, LEDGER) == []


def later(number: int, after: int, **how: Any) -> PrebookingRow:
    """A later choice of the member of another row, in a class of its own."""
    return row(
        number,
        user_email=f"m{after}@example.com",
        class_id="else",
        class_name="else",
        stands_after=UUID(int=after),
        **how,
    )


def test_the_checker_accepts_later_choices_that_are_not_needed_or_promoted() -> None:
    booked = replace(place(4, who=2), class_id="else", prebooking_id=str(UUID(int=4)))
    called = replace(call(4), member="m2@example.com", class_id="else")
    not_needed = later(3, 0, status="cancelled", outcome=None, booking_id=None, fired_at=None)
    promoted = later(4, 2, created_at=OPENS - timedelta(hours=2), promoted_at=ms(5000), fired_at=ms(6000))
    assert complaints([promoted, *ROWS, not_needed], [*LEDGER, called, booked]) == []


def test_the_checker_accepts_a_place_that_was_given_back_and_the_one_that_moved_up() -> None:
    back = [replace(place(0), state=State.CANCELLED), replace(place(1), state=State.BOOKED)]
    given_back = row(0, given_back_at=ms(900))
    assert complaints([given_back, *ROWS[1:]], [*LEDGER, *back]) == []
    again = replace(row(3), user_email="m0@example.com")
    booked = replace(place(0), prebooking_id=str(again.id), booking_id="b-3")
    entries = [*LEDGER, *back, replace(call(0, 151), prebooking_id=str(again.id)), booked]
    assert complaints([given_back, *ROWS[1:], again], entries) == []


@pytest.mark.parametrize(
    ("rows", "entries", "complaint"),
    [
        ([row(0, status="pending", outcome=None), *ROWS[1:]], LEDGER, "M0 (wod) is still pending"),
        (ROWS, [*LEDGER, place(3, who=0)], "M0 (wod) is completed, and has 2 places at the venue"),
        (ROWS, [*LEDGER, place(3, who=0)], "m0@example.com has two places in wod"),
        (ROWS, [*LEDGER, place(9)], "b-9 at the venue belongs to no prebooking"),
        (ROWS, [call(0), *LEDGER[2:]], "M0 (wod) is completed, and has 0 places at the venue"),
        (ROWS, [*LEDGER, place(2)], "M2 (wod) is failed (full), and has a place at the venue"),
        ([row(0), row(1), ROWS[2]], LEDGER, "M1 (wod) is booked, but waitlisted at the venue"),
        ([row(0, booking_id="b-5"), *ROWS[1:]], LEDGER, "M0 (wod) is booking b-5, but b-0 at the venue"),
        ([row(0, given_back_at=ms(9)), *ROWS[1:]], LEDGER, "M0 (wod) was given back, and has a place at the venue"),
        ([row(0, outcome="waitlisted"), *ROWS[1:]], LEDGER, "M0 (wod) is waitlisted, but booked at the venue"),
        (ROWS, [call(0, -3), *LEDGER[1:]], "M0 (wod) was called 3 ms before the opening"),
        (ROWS, [*LEDGER[2:], *LEDGER[:2]], "M1 (wod) was called before M0 (wod)"),
        ([row(0, fired_at=ms(1.1)), *ROWS[1:]], LEDGER, "M1 (wod) was called 49 ms after M0 (wod)"),
        ([*ROWS[:2], row(2, **FULL_ROW, fired_at=ms(2001))], LEDGER, "M2 (wod) was called 2001 ms after the opening"),
        (
            [*ROWS, later(3, 1)],
            [*LEDGER, _SECOND_PLACE],
            "M1 (else) has a place, and M1 (wod) too, which is a choice of the same request",
        ),
    ],
)
def test_the_checker_reports_every_broken_promise(
    rows: list[PrebookingRow], entries: list[Arrival | Act], complaint: str
) -> None:
    assert complaint in complaints(rows, entries)


def test_the_checker_matches_by_member_and_class_at_venues_without_prebooking_ids() -> None:
    box = "box.aimharder.com"
    at_the_box = [row(number, host=box, class_id="2001") for number in range(2)]
    entries: list[Arrival | Act] = []
    for number in range(2):
        entries.append(replace(call(number), prebooking_id="", class_id="2001", venue=box))
        entries.append(replace(place(number), prebooking_id="", class_id="2001", venue=box))
    assert complaints(at_the_box, entries) == []
    assert complaints(at_the_box, entries[:3]) == ["M1 (wod) is completed, and has 0 places at the venue"]
    assert "m0@example.com has two places in 2001" in complaints(at_the_box, [*entries, entries[1]])


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda ask: ask.__name__)
def test_every_question_of_the_checker_can_fail(question: Callable[[BothSides], object]) -> None:
    ledger = Ledger()
    for entry in (call(1, -5), place(1), place(9, who=1), call(0), call(2), place(2)):
        ledger.write(entry)
    broken = [row(0, fired_at=ms(3000)), row(1, fired_at=ms(3001)), ROWS[2], row(3, status="pending", outcome=None)]
    broken.append(row(4, user_email="m2@example.com", given_back_at=ms(9)))
    broken.append(row(5, stands_after=UUID(int=4), user_email="m1@example.com"))
    assert list(question(BothSides(broken, ledger)))  # type: ignore[call-overload]


def told(number: int, text: str, *, to: str = "", id_: str = "") -> ReceivedMessage:
    return ReceivedMessage(id_ or str(number), "mail", to or f"m{number}@example.com", "", text)


BOOKED, WAITING = "You are booked: wod at Forge.", "You are on the waiting list: wod at Forge."
NOT_BOOKED = "Not booked: wod at Forge. The class was full. Look whether the venue has a waiting list."
TOLD = [told(0, BOOKED), told(1, WAITING, to="m1"), told(2, NOT_BOOKED)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (TOLD, []),
        (TOLD[1:], ["M0 (wod) was told 0 times"]),
        ([*TOLD, told(0, BOOKED, id_="7")], ["M0 (wod) was told 2 times"]),
        ([*TOLD, TOLD[0]], ["a message to m0@example.com arrived 2 times"]),
        ([told(0, WAITING), *TOLD[1:]], [f"M0 (wod) ended as booked, and was told: {WAITING}"]),
        (
            [*TOLD[:2], told(2, NOT_BOOKED.replace("full", "gone"))],
            [f"M2 (wod) ended as full, and was told: {NOT_BOOKED.replace('full', 'gone')}"],
        ),
        ([*TOLD, told(9, BOOKED)], ["a message to m9@example.com is about no prebooking"]),
    ],
)
def test_the_checker_reports_what_was_not_told_once(messages: list[ReceivedMessage], expected: list[str]) -> None:
    inbox = Inbox()
    for message in messages:
        inbox.put(message)
    assert list(each_member_was_told_once(ROWS, inbox)) == expected
