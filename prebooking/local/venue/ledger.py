"""The ledger of the venue twin: every call that came, every place given. What tests and the demo judge by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """What the venue says about a booking."""

    BOOKED = "booked"
    WAITLISTED = "waitlisted"
    NOT_BOOKED = "not_booked"
    ALREADY_BOOKED = "already_booked"
    SAME_HOUR = "same_hour"
    TOO_EARLY = "too_early"
    FULL = "full"
    CLASS_GONE = "class_gone"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that reached the venue, and what it is about; empty is what it does not say.

    ``path`` tells the calls of a protocol with many kinds of them apart; ``books`` is whether it asks for a place.
    """

    at: datetime
    method: str
    prebooking_id: str = ""
    member: str = ""
    class_id: str = ""
    venue: str = ""
    path: str = field(default="", kw_only=True)
    books: bool = field(default=True, kw_only=True)

    @property
    def wish(self) -> str:
        """Return what all calls for one place have in common."""
        return _wish(self)


@dataclass(frozen=True, slots=True)
class Act:
    """A place given, in the class (``booked``) or on its waiting list (``waitlisted``), or given back."""

    at: datetime
    state: State
    booking_id: str
    prebooking_id: str
    member: str
    class_id: str
    venue: str

    @property
    def wish(self) -> str:
        """Return what it has in common with the calls for it."""
        return _wish(self)


class Ledger:
    """What happened, in order and never changed: the truth that tests and the demo judge by."""

    def __init__(self) -> None:
        self._entries: list[Arrival | Act] = []

    def write(self, entry: Arrival | Act) -> None:
        """Add what has just happened."""
        self._entries.append(entry)

    @property
    def entries(self) -> tuple[Arrival | Act, ...]:
        """Return everything."""
        return tuple(self._entries)

    def arrivals(self, method: str | None = "POST", *, path: str | None = None) -> list[Arrival]:
        """Return the calls that came in, of one method and one path or (None) of all."""
        calls = [entry for entry in self.entries if isinstance(entry, Arrival)]
        return [call for call in calls if method in {None, call.method} and path in {None, call.path}]

    def first_calls(self) -> list[Arrival]:
        """Return the first booking call of every prebooking, as they came in.

        Where the venue is told of no prebooking, it is the first of a member for a class.
        """
        firsts: dict[str, Arrival] = {}
        for arrival in self.arrivals():
            if arrival.books:
                firsts.setdefault(arrival.wish, arrival)
        return list(firsts.values())

    def bookings(self, *, by: datetime | None = None) -> list[Act]:
        """Return every place given and not given back, now or by an earlier instant."""
        acts = [entry for entry in self.entries if isinstance(entry, Act) and (by is None or entry.at <= by)]
        given_back = {act.booking_id for act in acts if act.state is State.CANCELLED}
        return [act for act in acts if act.booking_id not in given_back]

    def given_back(self, member: str, class_id: str) -> list[Act]:
        """Return the places of a member in a class that were given back."""
        acts = [entry for entry in self.entries if isinstance(entry, Act) and entry.state is State.CANCELLED]
        return [act for act in acts if (act.member, act.class_id) == (member, class_id)]

    def bookings_of(self, prebooking_id: UUID | str) -> list[Act]:
        """Return the places one prebooking got: none, one, or proof of a fault."""
        return [act for act in self.bookings() if act.prebooking_id == str(prebooking_id)]

    def bookings_of_member(self, member: str, class_id: str, *, venue: str | None = None) -> list[Act]:
        """Return the places a member has in a class, at one venue or (None) all, where it knows no prebookings."""
        about = (member.lower(), class_id)
        acts = [act for act in self.bookings() if (act.member.lower(), act.class_id) == about]
        return [act for act in acts if venue in {None, act.venue}]

    def double_bookings(self) -> dict[str, list[Act]]:
        """Return the prebookings (without them: a member and a class) with more than one place, with their places."""
        acts: defaultdict[str, list[Act]] = defaultdict(list)
        for act in self.bookings():
            acts[act.wish].append(act)
        return {wish: places for wish, places in acts.items() if len(places) > 1}


def wish_of(prebooking_id: str, member: str, class_id: str, venue: str) -> str:
    """Return what names a wish at a venue: the prebooking, or where it is told of none, who wants what and where."""
    return prebooking_id or f"{member.lower()} in {class_id} at {venue}"


def _wish(entry: Arrival | Act) -> str:
    return wish_of(entry.prebooking_id, entry.member, entry.class_id, entry.venue)
