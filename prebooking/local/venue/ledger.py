"""The ledger of the venue twin: every call and every booking. Tests and the demo compare it with the database."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """The state of a booking, or the reason for which there is none."""

    BOOKED = "booked"
    WAITLISTED = "waitlisted"
    NOT_BOOKED = "not_booked"
    ALREADY_BOOKED = "already_booked"
    SAME_HOUR = "same_hour"
    TOO_EARLY = "too_early"
    TOO_LATE = "late"
    FULL = "full"
    CLASS_GONE = "class_gone"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that reached the venue; fields that the call does not contain are empty.

    ``path`` is the path of a protocol with several ones; ``books`` is True for a call that requests a booking.
    """

    at: datetime
    method: str
    prebooking_id: str = ""
    member: str = ""
    class_id: str = ""
    venue: str = ""
    path: str = field(default="", kw_only=True)
    books: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class Act:
    """A change at the venue: a booking (``booked`` or ``waitlisted``), or its cancellation (``cancelled``).

    A waitlisted booking that gets a place later is ``booked`` then, with the same ``booking_id``.
    """

    at: datetime
    state: State
    booking_id: str
    prebooking_id: str
    member: str
    class_id: str
    venue: str


class Ledger:
    """All calls and bookings of a venue, in order. Entries are never changed."""

    def __init__(self) -> None:
        self._entries: list[Arrival | Act] = []

    def write(self, entry: Arrival | Act) -> None:
        """Add an entry."""
        self._entries.append(entry)

    @property
    def entries(self) -> tuple[Arrival | Act, ...]:
        """Return all entries."""
        return tuple(self._entries)

    def arrivals(self, method: str | None = "POST", *, path: str | None = None) -> list[Arrival]:
        """Return the calls with this method and path; None means any."""
        calls = [entry for entry in self.entries if isinstance(entry, Arrival)]
        return [call for call in calls if method in {None, call.method} and path in {None, call.path}]

    def first_calls(self) -> list[Arrival]:
        """Return the first booking call of every prebooking, in the order of their arrival.

        Where calls contain no prebooking id, the first call of each member for each class.
        """
        firsts: dict[str, Arrival] = {}
        for arrival in self.arrivals():
            if arrival.books:
                firsts.setdefault(_booking_key(arrival), arrival)
        return list(firsts.values())

    def bookings(self, *, by: datetime | None = None) -> list[Act]:
        """Return the bookings that are not cancelled, now or at the instant ``by``, in their newest state."""
        acts = [entry for entry in self.entries if isinstance(entry, Act) and (by is None or entry.at <= by)]
        cancelled = {act.booking_id for act in acts if act.state is State.CANCELLED}
        promoted = {act.booking_id for act in acts if act.state is State.BOOKED}
        return [
            act
            for act in acts
            if act.booking_id not in cancelled and (act.state is State.BOOKED or act.booking_id not in promoted)
        ]

    def was_waitlisted(self, booking_id: str) -> bool:
        """Return whether a booking is, or once was, on the waiting list."""
        acts = [entry for entry in self.entries if isinstance(entry, Act) and entry.booking_id == booking_id]
        return any(act.state is State.WAITLISTED for act in acts)

    def cancelled(self, member: str, class_id: str) -> list[Act]:
        """Return the cancellations of a member's bookings of a class."""
        acts = [entry for entry in self.entries if isinstance(entry, Act) and entry.state is State.CANCELLED]
        return [act for act in acts if (act.member, act.class_id) == (member, class_id)]

    def bookings_of(self, prebooking_id: UUID | str) -> list[Act]:
        """Return the bookings of one prebooking; more than one is a fault."""
        return [act for act in self.bookings() if act.prebooking_id == str(prebooking_id)]

    def bookings_of_member(self, member: str, class_id: str, *, venue: str | None = None) -> list[Act]:
        """Return a member's bookings of a class, at one venue or (None) at all."""
        about = (member.lower(), class_id)
        acts = [act for act in self.bookings() if (act.member.lower(), act.class_id) == about]
        return [act for act in acts if venue in {None, act.venue}]

    def double_bookings(self) -> dict[str, list[Act]]:
        """Return the bookings of each prebooking (or member and class) that has more than one."""
        acts: defaultdict[str, list[Act]] = defaultdict(list)
        for act in self.bookings():
            acts[_booking_key(act)].append(act)
        return {key: places for key, places in acts.items() if len(places) > 1}


def _booking_key(entry: Arrival | Act) -> str:
    """Return the prebooking id, or, where calls contain none, the member, the class and the venue."""
    return entry.prebooking_id or f"{entry.member.lower()} in {entry.class_id} at {entry.venue}"
