"""The end of the demo of a week: the calendar, the requests to the venue, and what its ledger says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.rows import class_row
from rich.console import Console
from rich.table import Table

from prebooking.local.demo.checker import QUESTIONS, BothSides, read_rows
from prebooking.local.week.world import WeekWorld

# The requests that the week may make: without upkeep's limits, one login kept alive takes 48 refreshes per day.
MOST_REQUESTS = 60
_ASKED = (
    "completed: exactly one place at the venue",
    "given back: no place at the venue",
    "failed: no place at the venue",
    "no member is booked twice",
    "at most one choice of a request has a place",
    "no call before its opening",
    "first come, first served",
)
_KINDS = {
    "/api/login": "logins",
    "/api/whoami": "whose login is it",
    "/api/tokenUpdate": "refreshes of a login",
    "/api/bookings": "timetables read",
    "/api/book": "booking calls",
    "/api/cancelBook": "places given back",
}
_ROWS = """
select id, stands_after, initcap(split_part(user_email, '@', 1)) as member, (expires_at at time zone %s) as begins,
       available_at, status, outcome, error_message, class_warning, given_back_at, fired_at, lateness_ms
from public.prebookings where available_at <= %s order by expires_at, created_at
"""


@dataclass(frozen=True, slots=True)
class WeekRow:
    """A prebooking of the week; ``begins`` is in the venue's local time."""

    id: UUID
    stands_after: UUID | None
    member: str
    begins: datetime
    available_at: datetime
    status: str
    outcome: str | None
    error_message: str | None
    class_warning: str | None
    given_back_at: datetime | None
    fired_at: datetime | None
    lateness_ms: int | None

    @property
    def state(self) -> str:
        """Return what the calendar shows."""
        if self.given_back_at:
            return "given back"
        if self.status == "cancelled":
            return (self.error_message or "cancelled").partition(":")[0]
        return self.outcome or ("waits" if self.status == "pending" else self.status)


class WeekReport:
    """The report of one week: of the prebookings that opened ``until`` its end."""

    def __init__(self, world: WeekWorld, console: Console, *, zone: ZoneInfo, until: datetime) -> None:
        self._world, self._console, self._zone = world, console, zone
        rows = world.connection.cursor(row_factory=class_row(WeekRow))
        self._rows: list[WeekRow] = rows.execute(_ROWS.encode(), [zone.key, until]).fetchall()

    def show(self, log: Sequence[str], *, secrets: Iterable[str]) -> int:
        """Print the report, and return 0 if everything agrees, 1 if not."""
        self._console.print("\nThe calendar", style="bold")
        self._console.print(self._calendar())
        self._console.print("\nRequests to the venue in this week", style="bold")
        requests = self._requests()
        for kind, number in requests.items():
            self._console.print(f"  {number:4}  {kind}")
        self._console.print(f"  {sum(requests.values()):4}  in all")
        complaints = self._complaints(log, secrets, sum(requests.values()))
        verdict = f"They disagree, {complaints} times." if complaints else "They agree."
        self._console.print(f"\n{verdict}", style="bold red" if complaints else "bold green")
        return 1 if complaints else 0

    def _calendar(self) -> Table:
        """Return a table with a line per member, and a column per day of classes."""
        days = sorted({row.begins.date() for row in self._rows})
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("member", *(f"{day:%a %d %b}" for day in days)):
            table.add_column(heading, no_wrap=True)
        for member in sorted({row.member for row in self._rows}):
            table.add_row(member, *(self._cell(member, day) for day in days))
        return table

    def _cell(self, member: str, day: date) -> str:
        rows = [row for row in self._rows if (row.member, row.begins.date()) == (member, day)]
        return "\n".join(f"{row.begins:%H:%M} {row.state}" for row in rows)

    def _requests(self) -> dict[str, int]:
        calls = Counter(call.path for call in self._world.twin.ledger.arrivals(None))
        return {kind: calls.pop(path, 0) for path, kind in _KINDS.items()} | calls

    def _complaints(self, log: Sequence[str], secrets: Iterable[str], requests: int) -> int:
        both = BothSides(read_rows(self._world.connection), self._world.twin.ledger)
        answers: dict[str, list[Any]] = {question: list(QUESTIONS[question](both)) for question in _ASKED}
        answers["every opening was met within a second"] = self._late()
        known = [*secrets, *self._world.twin.members.secrets()]
        answers["no password, cookie or token in any log line"] = [
            line for line in log if any(s in line for s in known)
        ]
        answers[f"at most {MOST_REQUESTS} requests"] = [requests] if requests > MOST_REQUESTS else []
        self._console.print("\nThe venue's ledger and the database, side by side", style="bold")
        for question, complaints in answers.items():
            self._console.print(f"  {'NO ' if complaints else 'yes'}  {question}")
            for complaint in complaints:
                self._console.print(f"         {complaint}")
        return sum(map(len, answers.values()))

    def _late(self) -> list[str]:
        """Return the prebookings that were called later than a second after their opening, or not at all."""
        called = [row for row in self._rows if row.status in {"completed", "failed"}]
        late = [row for row in called if row.lateness_ms is None or row.lateness_ms > 1000]  # noqa: PLR2004 - a second
        return [f"{row.member}, {row.begins:%a %H:%M}: {row.lateness_ms} ms" for row in late]
