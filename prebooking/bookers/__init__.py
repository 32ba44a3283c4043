"""The interface that every venue system's booker implements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from prebooking.model import Kind, Outcome, Prebooking, Venue


async def no_wait() -> None:
    """Return immediately. The default of ``Gate.wait``."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The wait and the last check of a call before its first byte.

    The call first awaits ``wait``, which returns at the call's slot, and then checks its connection. Then it calls
    ``mark_sent``, which records that the first byte is sent now, or raises SendRefused if it must not be sent.
    """

    mark_sent: Callable[[], None]
    wait: Callable[[], Awaitable[None]] = no_wait


# Returned if the connection was closed or became too old before the slot: the call can be repeated at once.
STALE_CONNECTION = Outcome(Kind.NOT_SENT, detail="stale connection")


class Booker(Protocol):
    """Makes one invocation's requests to one venue.

    Attributes:
        max_unclear_calls: a row with as many calls without a clear answer, over all runs, is rejected.

    """

    max_unclear_calls: float

    def is_ready(self, row: Prebooking) -> bool:
        """Return whether the row can be booked without ``prepare``."""
        ...

    # The timeout is an argument because each call gets the time that is left in the run.
    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - as said above
        """Do what is needed before this row can be booked, such as a login. Return None if it can be booked now.

        Otherwise return the reason: ``session_expired`` or ``bad_data`` if it is permanent, else another kind.
        ``renew``: replace the login even if it looks valid, because the venue answered "log in again".
        """
        ...

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - as said above
        """Send at most one booking call, after the gate's checks, and return the meaning of the answer.

        Never retries, and raises no error for a bad or missing answer. Returns ``not_sent`` if the first byte was not
        sent, and ``unsure`` if it was sent and no clear answer arrived within ``timeout`` seconds.

        Raises:
            BadBookingData: the row cannot be turned into a request.
            SendRefused: ``gate.mark_sent`` refused the call. Nothing was sent.

        """
        ...

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - as said above
        """Query whether the member has the place: booked, waitlisted, not_booked, missing, cannot_tell. Books nothing.

        Can also return ``blocked`` or ``session_expired``. After the latter, prepare again and repeat the query.
        """
        ...


# Opens a venue's booker for one invocation, with its own connection pool. Leaving the context closes the pool.
OpenBooker = Callable[[Venue], AbstractAsyncContextManager[Booker]]
