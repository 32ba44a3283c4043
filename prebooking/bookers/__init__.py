"""What the booker of every venue system provides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from prebooking.model import Kind, Outcome, Prebooking, Venue


async def no_wait() -> None:
    """Return at once: the default of ``Gate.wait``."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The last checks of a call before its first byte.

    First ``wait`` returns when the call's slot has come. Then the call checks its connection. Only then ``mark_sent``
    notes that the first byte leaves now, or raises SendRefused if it may not.
    """

    mark_sent: Callable[[], None]
    wait: Callable[[], Awaitable[None]] = no_wait


# Returned when a call's connection was closed, or had grown old, before its slot came: it may be made again at once.
STALE_CONNECTION = Outcome(Kind.NOT_SENT, detail="stale connection")


class Booker(Protocol):
    """The connection of one invocation with one venue.

    Attributes:
        most_calls: about one row, over all runs; after them a row in doubt that is not booked is given up.

    """

    most_calls: float

    def is_ready(self, row: Prebooking) -> bool:
        """Return whether the row can be booked without ``prepare``."""
        ...

    # A timeout is an argument because it differs from call to call: the time that is left.
    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - as said above
        """Obtain what a booking of this row needs, such as a login. Return None if the row can be booked now.

        Otherwise return the reason: ``session_expired`` or ``bad_data`` if permanent, another kind if it may pass.
        ``renew`` replaces a login that looks valid, because a call was answered "log in again".
        """
        ...

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - as said above
        """Send exactly one booking call after the gate has opened, and return the meaning of the answer.

        Never retries, and never raises because of an answer or its absence. Returns ``not_sent`` if the first byte was
        not sent, ``unsure`` if it was and no clear answer arrived within ``timeout`` seconds.

        Raises:
            BadBookingData: the row cannot be turned into a request.
            SendRefused: the gate did not open.

        """
        ...

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - as said above
        """Ask the venue whether the member has the place: booked, waitlisted, not_booked, or unknown. Books nothing.

        May also return ``blocked``, or ``session_expired``: after another ``prepare`` the question can be repeated.
        """
        ...


# Opens the booker of a venue for one invocation: a pool of its own, closed at the end.
OpenBooker = Callable[[Venue], AbstractAsyncContextManager[Booker]]
