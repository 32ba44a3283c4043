"""Members' places after the booking: whether a member still has one, and giving it back.

A venue system with Ability.GIVE_BACK has a module ``give_back`` in its package, with a function ``open_places``. The
booking path imports none of this.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import Protocol, cast

import httpx

from prebooking.clock import Clock, Deadline
from prebooking.database.sessions import SessionStore
from prebooking.model import Kind, Prebooking, Venue
from prebooking.settings import VenueSettings
from prebooking.systems import SYSTEMS

FOUND = (Kind.BOOKED, Kind.WAITLISTED)


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """The venue's answer about a member's place in a class.

    Attributes:
        kind: booked, waitlisted or not_booked; otherwise why the venue has not told: missing, cannot_tell,
            session_expired or blocked.
        position: on the waiting list; None if the venue does not tell it.

    """

    kind: Kind
    booking_id: str | None = None
    position: int | None = None


class CancelAnswer(Enum):
    """The venue's answer to the call that gives a place back."""

    DONE = auto()
    LATE = auto()  # nothing was done: it is so late that the member loses the credit
    REFUSED = auto()  # nothing was done
    UNABLE = auto()  # nothing was done: this venue cannot give places back
    BLOCKED = auto()  # the venue blocks us, or refuses the deployment's secret
    UNCLEAR = auto()  # no answer, or one that cannot be read: it may have been done


class Places(Protocol):
    """Makes requests about members' places to one venue.

    Attributes:
        must_be_found: a place is given back only after the venue has shown it.

    """

    must_be_found: bool

    async def find(self, row: Prebooking, *, until: Deadline) -> MemberPlace:
        """Return the member's place, with a session that is refreshed if needed. Changes no place, raises no error."""
        ...

    # The timeout is an argument because a command waits longer than upkeep.
    async def cancel(self, row: Prebooking, place: MemberPlace, *, late: bool, timeout: float) -> CancelAnswer:  # noqa: ASYNC109 - as said above
        """Give the place back, in one call. ``late``: also if the member loses the credit.

        Never retries, and raises no error for a bad or missing answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlaceAccess:
    """What is needed for requests about places. ``to_venues`` replaces the network in tests."""

    settings: VenueSettings
    sessions: SessionStore
    clock: Clock
    to_venues: httpx.AsyncBaseTransport | None = None


class PlaceSystem(Protocol):
    """The module ``give_back`` of a venue system's package."""

    def open_places(self, venue: Venue, access: PlaceAccess) -> AbstractAsyncContextManager[Places]:
        """Open a venue with its own connections, which are closed at the end."""
        ...


def open_places(venue: Venue, access: PlaceAccess) -> AbstractAsyncContextManager[Places]:
    """Open a venue of a system with Ability.GIVE_BACK."""
    module = import_module(f"{SYSTEMS[venue.provider].module}.give_back")
    return cast("PlaceSystem", module).open_places(venue, access)
