"""What every venue system must be able to do, and which ones there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from prebooking.model import Outcome, Prebooking, Venue

# Awaited right before a call's first byte leaves: returns when it may leave, raises SendRefused if it may not.
Gate = Callable[[], Awaitable[None]]


class Booker(Protocol):
    """One venue, as one invocation talks to it."""

    # A timeout is an argument because it differs from call to call: the time that is left.
    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109
        """Send exactly one booking call, after the gate has opened, and say what the answer means.

        Never retries, and never raises for an answer or for the lack of one: ``not_sent`` if the first byte did not
        leave, ``unsure`` if it did and nothing clear came back within ``timeout`` seconds.

        Raises:
            BadBookingData: the row cannot be turned into a request.
            SendRefused: the gate did not open.

        """
        ...

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109
        """Ask the venue whether the member has the place: booked, waitlisted, not_booked, or unknown. Books nothing."""
        ...


# Opens the booker of a venue for one invocation: a pool of its own, closed at the end.
OpenBooker = Callable[[Venue], AbstractAsyncContextManager[Booker]]
