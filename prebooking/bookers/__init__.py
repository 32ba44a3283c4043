"""What every venue system must be able to do, and which ones there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from prebooking.model import Kind, Outcome, Prebooking, Venue


async def no_wait() -> None:
    """Be the wait of a call that may leave at once."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a call passes right before its first byte.

    First ``wait`` returns when the call's slot has come. Then the call checks its connection. Only then ``mark_sent``
    notes that the first byte leaves now, or raises SendRefused if it may not.
    """

    mark_sent: Callable[[], None]
    wait: Callable[[], Awaitable[None]] = no_wait


# Returned when a call's connection was closed, or had grown old, before its slot came: it may be made again at once.
STALE_CONNECTION = Outcome(Kind.NOT_SENT, detail="stale connection")


class Booker(Protocol):
    """One venue, as one invocation talks to it.

    Attributes:
        most_calls: about one row, over all runs; after them a row in doubt that is not booked is given up.

    """

    most_calls: float

    def is_ready(self, row: Prebooking) -> bool:
        """Say whether the row can be booked as it is, or has to be prepared first."""
        ...

    # A timeout is an argument because it differs from call to call: the time that is left.
    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - as said above
        """See to whatever a booking of this row needs, a login most of all; None: it can be booked now.

        Otherwise why not: ``session_expired`` or ``bad_data`` if that is for certain, anything else if it may pass.
        ``renew`` it although it looks well: a call was answered "log in again".
        """
        ...

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - as said above
        """Send exactly one booking call, after the gate has opened, and say what the answer means.

        Never retries, and never raises for an answer or for the lack of one: ``not_sent`` if the first byte did not
        leave, ``unsure`` if it did and nothing clear came back within ``timeout`` seconds.

        Raises:
            BadBookingData: the row cannot be turned into a request.
            SendRefused: the gate did not open.

        """
        ...

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - as said above
        """Ask the venue whether the member has the place: booked, waitlisted, not_booked, or unknown. Books nothing.

        Also ``blocked``, and ``session_expired``: prepared anew, it may be asked again.
        """
        ...


# Opens the booker of a venue for one invocation: a pool of its own, closed at the end.
OpenBooker = Callable[[Venue], AbstractAsyncContextManager[Booker]]
