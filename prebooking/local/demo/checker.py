"""Checks that the venue's ledger and the database agree: one function per promise of the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from prebooking.local.venue.ledger import wish_of
from prebooking.local.venue.twin import Act, Arrival, Ledger, State

STAGGER = 0.050  # seconds between the first calls of an opening
PROMISE = 2.0  # seconds after the opening: the calls of rows that were added before it are sent by then

_ROWS = """
select p.id, user_email, venue_id, host,
       coalesce(booking_data ->> 'class_name', booking_data ->> 'class_id') as class_name,
       booking_data ->> 'class_id' as class_id, available_at, p.created_at, status, outcome, booking_id, fired_at
from public.prebookings p join public.venues v on v.id = venue_id order by available_at, p.created_at, p.id
"""


@dataclass(frozen=True, slots=True)
class PrebookingRow:
    """A prebooking as the database has it."""

    id: UUID
    user_email: str
    venue_id: UUID
    host: str | None  # of a venue that is told of no prebookings
    class_name: str
    class_id: str
    available_at: datetime
    created_at: datetime
    status: str
    outcome: str | None
    booking_id: str | None
    fired_at: datetime | None

    @property
    def name(self) -> str:
        """Return the name of the row in a complaint."""
        return f"{self.member} ({self.class_name})"

    @property
    def member(self) -> str:
        """Return the member's first name."""
        return self.user_email.partition("@")[0].capitalize()

    @property
    def wish(self) -> str:
        """Return the name that the venue's ledger has for it."""
        return wish_of("" if self.host else str(self.id), self.user_email, self.class_id, self.host or "")

    @property
    def was_ahead(self) -> bool:
        """Return whether the prebooking was added before its opening."""
        return self.created_at < self.available_at


@dataclass(frozen=True, slots=True)
class BothSides:
    """Both sides: the database's rows, in the order of the line, and what the venue has written down."""

    rows: Sequence[PrebookingRow]
    ledger: Ledger

    def arrival(self, row: PrebookingRow) -> Arrival | None:
        """Return the row's first call at the venue."""
        return next((call for call in self.ledger.first_calls() if call.wish == row.wish), None)

    def places(self, row: PrebookingRow) -> list[Act]:
        """Return the places the row's member was given for it."""
        return [act for act in self.ledger.bookings() if act.wish == row.wish]

    def openings(self) -> list[list[PrebookingRow]]:
        """Return the rows grouped by venue and opening."""
        groups = groupby(sorted(self.rows, key=_opening), key=_opening)  # a stable sort: each keeps its order
        return [list(group) for _, group in groups]


def read_rows(connection: psycopg.Connection[Any]) -> list[PrebookingRow]:
    """Return all prebookings in the order of the line."""
    return connection.cursor(row_factory=class_row(PrebookingRow)).execute(_ROWS).fetchall()


def everyone_has_an_end(both: BothSides) -> Iterator[str]:
    """Every row is completed or failed."""
    return (f"{row.name} is still pending" for row in both.rows if row.status not in {"completed", "failed"})


def completed_is_booked(both: BothSides) -> Iterator[str]:
    """Completed: the ledger has one place, of the same kind and number."""
    for row in both.rows:
        if row.status == "completed":
            places = both.places(row)
            if len(places) != 1:
                yield f"{row.name} is completed, and has {len(places)} places at the venue"
            elif (places[0].state is State.WAITLISTED) != (row.outcome == "waitlisted"):
                yield f"{row.name} is {row.outcome}, but {places[0].state} at the venue"
            elif row.booking_id not in {None, places[0].booking_id}:
                yield f"{row.name} is booking {row.booking_id}, but {places[0].booking_id} at the venue"


def failed_is_not_booked(both: BothSides) -> Iterator[str]:
    """Failed: the ledger has no place."""
    return (
        f"{row.name} has failed ({row.outcome}), and has a place at the venue"
        for row in both.rows
        if row.status == "failed" and both.places(row)
    )


def nobody_is_booked_twice(both: BothSides) -> Iterator[str]:
    """No member has two places in a class, and every place belongs to a prebooking."""
    ours = {row.wish for row in both.rows}
    seen = set()
    for place in both.ledger.bookings():
        if (place.member, place.class_id) in seen:
            yield f"{place.member} has two places in {place.class_id}"
        if place.wish not in ours:
            yield f"{place.booking_id} at the venue is nobody's prebooking"
        seen.add((place.member, place.class_id))


def nobody_is_early(both: BothSides) -> Iterator[str]:
    """No call reached the venue before the opening."""
    for row in both.rows:
        call = both.arrival(row)
        if call and call.at < row.available_at:
            yield f"{row.name} was called {_ms(row.available_at, call.at)} ms before the opening"


def first_come_first_served(both: BothSides) -> Iterator[str]:
    """First come, first served: calls reach the venue in the order of the line."""
    came = [call.wish for call in both.ledger.first_calls()]
    for line in both.openings():
        called = [row for row in line if row.wish in came]
        for before, after in pairwise(called):
            if came.index(before.wish) > came.index(after.wish):
                yield f"{after.name} was called before {before.name}"


def calls_keep_their_distance(both: BothSides) -> Iterator[str]:
    """First calls of an opening left at least a stagger apart, by the database's clock."""
    for line in both.openings():
        fired = sorted(((row.fired_at, row) for row in line if row.fired_at), key=lambda pair: pair[0])
        for (earlier, before), (later, after) in pairwise(fired):
            if (later - earlier).total_seconds() < STAGGER - 2e-6:  # both are rounded to microseconds
                yield f"{after.name} was called {_ms(later, earlier)} ms after {before.name}"


def the_promise_is_kept(both: BothSides) -> Iterator[str]:
    """Rows that were added before the opening were called within two seconds of it."""
    for row in both.rows:
        if row.was_ahead and row.fired_at and (row.fired_at - row.available_at).total_seconds() > PROMISE:
            yield f"{row.name} was called {_ms(row.fired_at, row.available_at)} ms after the opening"


QUESTIONS: dict[str, Callable[[BothSides], Iterator[str]]] = {
    "every prebooking has an end": everyone_has_an_end,
    "completed: exactly one place at the venue": completed_is_booked,
    "failed: no place at the venue": failed_is_not_booked,
    "nobody is booked twice": nobody_is_booked_twice,
    "no call before its opening": nobody_is_early,
    "first come, first served": first_come_first_served,
    f"calls of an opening at least {STAGGER * 1000:.0f} ms apart": calls_keep_their_distance,
    f"calls of those who asked ahead within {PROMISE:.0f} s of the opening": the_promise_is_kept,
}


def _opening(row: PrebookingRow) -> tuple[UUID, datetime]:
    return (row.venue_id, row.available_at)


def _ms(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
