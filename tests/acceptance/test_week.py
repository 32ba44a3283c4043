"""The demo of a week: what its calendar shows, and contradictions that its report must find."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from rich.console import Console

from prebooking.local.demo.checker import PrebookingRow, read_rows
from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.twin import Arrival, State
from prebooking.local.virtual_world import CommittedDatabase
from prebooking.local.week.report import MOST_REQUESTS, WeekReport
from prebooking.local.week.scenario import BEGINS, ENDS, PASSWORD, ZONE, Week, kept_log
from prebooking.local.week.world import WeekWorld


class PlayedWeek:
    """A week that was played, its output, and its report again."""

    def __init__(self, owner: psycopg.Connection[object], authenticator: psycopg.Connection[object]) -> None:
        self.world = WeekWorld(CommittedDatabase(owner, authenticator), begins=BEGINS)
        self.text = io.StringIO()
        with kept_log() as self.log:
            self.code = self.world.run(Week(self.world, self._console(), self.log).run())

    def _console(self) -> Console:
        return Console(file=self.text, width=80, markup=False, highlight=False)

    def rows(self) -> list[PrebookingRow]:
        return read_rows(self.world.connection)

    def report(self) -> tuple[int, list[str]]:
        """Return the exit code of a new report, and the questions that it answers with no."""
        self.text = io.StringIO()
        code = WeekReport(self.world, self._console(), zone=ZONE, until=ENDS).show(self.log, secrets=[PASSWORD])
        lines = self.text.getvalue().splitlines()
        return code, [line.removeprefix("  NO   ") for line in lines if line.startswith("  NO ")]


@pytest.fixture(scope="module")
def week() -> Iterator[PlayedWeek]:
    with LocalPostgres() as postgres:
        apply_migrations(postgres.dsn())
        with (
            psycopg.connect(postgres.dsn(), autocommit=True) as owner,
            psycopg.connect(postgres.dsn(user="authenticator"), autocommit=True) as authenticator,
        ):
            yield PlayedWeek(owner, authenticator)


def test_the_members_get_what_they_asked_for_once(week: PlayedWeek) -> None:
    assert week.code == 0, week.text.getvalue()
    lines = week.text.getvalue().splitlines()
    days = [line.split()[1::3] for line in lines if line.startswith("member ")]
    assert days == [["Tue", "Thu", "Tue"]]
    cells = {line[:8].strip() or "later": line[8:].rstrip() for line in lines[lines.index("The calendar") + 2 :][:4]}
    assert cells == {
        "Ana": "18:00 given back  18:00 booked      18:00 booked",
        "Ben": "18:00 booked      18:00 away        18:00 booked",
        "Cleo": "18:00 full        18:00 booked      18:00 booked",
        "later": "19:30 booked      19:30 not needed  19:30 not needed",
    }
    assert "They agree." in lines
    assert {"class_moved:", "class_renamed:"} <= set(week.text.getvalue().split())
    assert max(map(len, lines)) <= 80
    assert week.text.getvalue().isascii()


def test_one_login_per_member_and_opening_is_made_automatically(week: PlayedWeek) -> None:
    """Four logins are by hand: the first ones, and one before a place is given back."""
    logins = week.world.twin.ledger.arrivals(path="/api/login")
    openings = {(row.user_email, row.available_at) for row in week.rows() if row.fired_at}
    assert len(logins) - 4 == len(openings) == 9


def book_again(week: PlayedWeek) -> None:
    act = next(act for act in week.world.twin.ledger.bookings() if act.state is State.BOOKED)
    week.world.twin.ledger.write(replace(act, booking_id="1"))


def ask_for_the_timetable(week: PlayedWeek) -> None:
    for _ in range(MOST_REQUESTS):
        week.world.twin.ledger.write(Arrival(BEGINS, "GET", path=BOOKINGS, books=False))


def log_the_password(week: PlayedWeek) -> None:
    week.log.append(f"login {PASSWORD}")


def log_a_cookie(week: PlayedWeek) -> None:
    week.log[-1] = f"cookie {week.world.twin.members.secrets()[0]}"


CONTRADICTIONS: dict[str, tuple[Callable[[PlayedWeek], None], str]] = {
    "two places": (book_again, "completed: exactly one place at the venue"),
    "many requests": (ask_for_the_timetable, f"at most {MOST_REQUESTS} requests"),
    "password": (log_the_password, "no password, cookie or token in any log line"),
    "cookie": (log_a_cookie, "no password, cookie or token in any log line"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_the_report_finds_contradictions(week: PlayedWeek, what: str) -> None:
    contradict, question = CONTRADICTIONS[what]
    contradict(week)
    code, answered_no = week.report()
    assert (code, question in answered_no) == (1, True)


def test_the_report_finds_a_late_call(week: PlayedWeek) -> None:
    week.world.connection.execute("alter table public.prebookings disable trigger user")
    week.world.connection.execute(
        "update public.prebookings set fired_at = fired_at + interval '2 seconds' where fired_at is not null"
    )
    assert "every opening was met within a second" in week.report()[1]
