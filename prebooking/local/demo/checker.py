"""Checks that the venue's ledger and the database agree. The demo, the tests and the simulation ask the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from prebooking.local.venue.twin import Act, Arrival, Ledger, State

STAGGER = 0.050  # seconds between the first calls of an opening
SHORTEST_GAP = STAGGER - 2e-6  # seconds; the instants of two calls are rounded to microseconds
PROMISE = 2.0  # seconds after the opening: the calls of rows that were added before it are sent by then

ROWS = """
select p.id, user_email, venue_id, host,
       coalesce(booking_data ->> 'class_name', booking_data ->> 'class_id') as class_name,
       booking_data ->> 'class_id' as class_id, available_at, p.created_at, status, outcome, booking_id, fired_at,
       given_back_at, stands_after, promoted_at
from public.prebookings p join public.venues v on v.id = venue_id order by available_at, p.created_at, p.id
"""


@dataclass(frozen=True, slots=True)
class PlaceKey:
    """The member and the class of a place. ``venue`` is the venue's id, or the host of an AimHarder box."""

    member: str
    class_id: str
    venue: str

    @classmethod
    def of(cls, entry: Arrival | Act) -> PlaceKey:
        """Return the key of the place that the ledger's entry is about."""
        return cls(entry.member.lower(), entry.class_id, entry.venue)


@dataclass(frozen=True, slots=True)
class PrebookingRow:
    """A prebooking as the database has it."""

    id: UUID
    user_email: str
    venue_id: UUID
    host: str | None  # of a venue whose calls contain no prebooking id
    class_name: str
    class_id: str
    available_at: datetime
    created_at: datetime
    status: str
    outcome: str | None
    booking_id: str | None
    fired_at: datetime | None
    given_back_at: datetime | None
    stands_after: UUID | None  # the earlier choice
    promoted_at: datetime | None

    @property
    def name(self) -> str:
        """Return the name of the row in a complaint."""
        return f"{self.member} ({self.class_name})"

    @property
    def member(self) -> str:
        """Return the member's first name."""
        return self.user_email.partition("@")[0].capitalize()

    @property
    def key(self) -> PlaceKey:
        """Return the key of the place that is booked for the row."""
        return PlaceKey(self.user_email.lower(), self.class_id, self.host or str(self.venue_id))

    @property
    def was_ahead(self) -> bool:
        """Return whether the prebooking was added, and a later choice promoted, before its opening."""
        return max(self.created_at, self.promoted_at or self.created_at) < self.available_at


@dataclass(frozen=True)
class BothSides:
    """The database's rows, in the order of the queue, and the venue's ledger.

    ``excused`` are failed, cancelled and given back rows that may have a place, because the scheduler could not find
    out, or because the member has booked it in another way.
    """

    rows: Sequence[PrebookingRow]
    ledger: Ledger
    excused: Collection[UUID] = ()

    def arrival(self, row: PrebookingRow) -> Arrival | None:
        """Return the row's first call at the venue."""
        return self._first_calls.get(str(row.id)) or self._first_calls.get(row.key)

    @cached_property
    def _first_calls(self) -> dict[str | PlaceKey, Arrival]:
        """Return the first calls, by prebooking where the call contains its id, else by member and class."""
        return {call.prebooking_id or PlaceKey.of(call): call for call in self.ledger.first_calls()}

    def places(self, key: PlaceKey) -> list[Act]:
        """Return the places that a member has in a class."""
        return self._places.get(key, [])

    @cached_property
    def _places(self) -> dict[PlaceKey, list[Act]]:
        places: defaultdict[PlaceKey, list[Act]] = defaultdict(list)
        for act in self.ledger.bookings():
            places[PlaceKey.of(act)].append(act)
        return places

    def openings(self) -> list[list[PrebookingRow]]:
        """Return the rows grouped by venue and opening."""
        groups = groupby(sorted(self.rows, key=_opening), key=_opening)  # a stable sort: each keeps its order
        return [list(group) for _, group in groups]


Question = Callable[[BothSides], Iterator[str]]


def read_rows(connection: psycopg.Connection[Any]) -> list[PrebookingRow]:
    """Return all prebookings in the order of the queue."""
    return connection.cursor(row_factory=class_row(PrebookingRow)).execute(ROWS).fetchall()


def every_row_is_terminal(both: BothSides) -> Iterator[str]:
    """Find rows that are not completed or failed. A later choice that is not needed is cancelled."""
    for row in both.rows:
        if row.status not in {"completed", "failed"} and not (row.status == "cancelled" and row.stands_after):
            yield f"{row.name} is still {row.status}"


def completed_is_booked(both: BothSides) -> Iterator[str]:
    """Find completed rows, not given back, without exactly one place of the same state and booking id."""
    for row in both.rows:
        if row.status == "completed" and not row.given_back_at:
            places = both.places(row.key)
            if len(places) != 1:
                yield f"{row.name} is completed, and has {len(places)} places at the venue"
            elif not _is_in_state(both.ledger, places[0], row.outcome):
                yield f"{row.name} is {row.outcome}, but {places[0].state} at the venue"
            elif row.booking_id not in {None, places[0].booking_id}:
                yield f"{row.name} is booking {row.booking_id}, but {places[0].booking_id} at the venue"


def _is_in_state(ledger: Ledger, place: Act, outcome: str | None) -> bool:
    """Return whether a place fits an outcome. A waitlisted one may have become booked when another was given back."""
    if outcome == "waitlisted":
        return place.state is State.WAITLISTED or ledger.was_waitlisted(place.booking_id)
    return place.state is not State.WAITLISTED


def given_back_is_not_booked(both: BothSides) -> Iterator[str]:
    """Find given back rows with a place, unless the class was asked for again."""
    again = {row.key for row in both.rows if row.status == "completed" and not row.given_back_at}
    for row in both.rows:
        if row.given_back_at and row.key not in again and row.id not in both.excused and both.places(row.key):
            yield f"{row.name} was given back, and has a place at the venue"


def failed_is_not_booked(both: BothSides) -> Iterator[str]:
    """Find failed and cancelled rows with a place."""
    return (
        f"{row.name} is {row.status} ({row.outcome}), and has a place at the venue"
        for row in both.rows
        if row.status in {"failed", "cancelled"} and row.id not in both.excused and both.places(row.key)
    )


def no_member_is_booked_twice(both: BothSides) -> Iterator[str]:
    """Find members with two places in a class, and places that belong to no prebooking."""
    keys = {str(row.id): row.key for row in both.rows}
    seen = set()
    for place in both.ledger.bookings():
        key = PlaceKey.of(place)
        if (key.member, key.class_id) in seen:
            yield f"{place.member} has two places in {place.class_id}"
        if keys.get(place.prebooking_id) != key if place.prebooking_id else key not in keys.values():
            yield f"{place.booking_id} at the venue belongs to no prebooking"
        seen.add((key.member, key.class_id))


def at_most_one_choice_has_a_place(both: BothSides) -> Iterator[str]:
    """Find requests of which two choices have a place; one on a waiting list counts, one booked by hand does not."""
    rows = {row.id: row for row in both.rows}
    placed: dict[UUID, PrebookingRow] = {}
    for row in both.rows:
        first = row
        while first.stands_after in rows:
            first = rows[first.stands_after]
        if both.places(row.key) and (row.id not in both.excused or row.outcome == "unknown"):
            other = placed.setdefault(first.id, row)
            if other is not row:
                yield f"{row.name} has a place, and {other.name} too, which is a choice of the same request"


def no_call_is_early(both: BothSides) -> Iterator[str]:
    """Find rows whose first call reached the venue before the opening."""
    for row in both.rows:
        call = both.arrival(row)
        if call and call.at < row.available_at:
            yield f"{row.name} was called {_ms(row.available_at, call.at)} ms before the opening"


def first_come_first_served(both: BothSides) -> Iterator[str]:
    """Find rows whose first call reached the venue before that of a row ahead of them in the queue."""
    calls = both.ledger.first_calls()
    for rows in both.openings():
        called = [(row, calls.index(call)) for row in rows if not row.promoted_at and (call := both.arrival(row))]
        for (before, position), (after, next_position) in pairwise(called):
            if position > next_position:
                yield f"{after.name} was called before {before.name}"


def calls_are_a_stagger_apart(both: BothSides) -> Iterator[str]:
    """Find first calls of an opening that were sent less than a stagger apart, by the database's clock."""
    for rows in both.openings():
        fired = sorted(((row.fired_at, row) for row in rows if row.fired_at), key=lambda pair: pair[0])
        for (earlier, before), (later, after) in pairwise(fired):
            if (later - earlier).total_seconds() < SHORTEST_GAP:
                yield f"{after.name} was called {_ms(later, earlier)} ms after {before.name}"


def calls_are_prompt(both: BothSides) -> Iterator[str]:
    """Find rows that were added before the opening and called more than two seconds after it."""
    for row in both.rows:
        if row.was_ahead and row.fired_at and (row.fired_at - row.available_at).total_seconds() > PROMISE:
            yield f"{row.name} was called {_ms(row.fired_at, row.available_at)} ms after the opening"


QUESTIONS: dict[str, Question] = {
    "every prebooking is completed or failed": every_row_is_terminal,
    "completed: exactly one place at the venue": completed_is_booked,
    "given back: no place at the venue": given_back_is_not_booked,
    "failed: no place at the venue": failed_is_not_booked,
    "no member is booked twice": no_member_is_booked_twice,
    "at most one choice of a request has a place": at_most_one_choice_has_a_place,
    "no call before its opening": no_call_is_early,
    "first come, first served": first_come_first_served,
    f"calls of an opening at least {STAGGER * 1000:.0f} ms apart": calls_are_a_stagger_apart,
    f"calls of rows added ahead within {PROMISE:.0f} s of the opening": calls_are_prompt,
}


def _opening(row: PrebookingRow) -> tuple[UUID, datetime]:
    return (row.venue_id, row.available_at)


def _ms(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
