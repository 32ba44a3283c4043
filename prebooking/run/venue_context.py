"""The data that all rows of one venue share in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prebooking.bookers import Booker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.log import Log
from prebooking.model import Attempt, Outcome
from prebooking.run.slots import SlotQueue


@dataclass(slots=True)
class VenueContext:
    """What the attempts at one venue share in one run.

    Attributes:
        settle: starts to write a row's final outcome.
        release: starts to release the venue's unsent rows and to pause the venue, for the given seconds.
        stopped: no further booking call may be sent.
        completed: number of rows booked by calls of this run.

    """

    venue_id: UUID
    booker: Booker
    slots: SlotQueue
    clock: Clock
    time: DatabaseTime
    last_start: Deadline
    guard: Deadline
    settle: Callable[[Attempt, Outcome], None]
    release: Callable[[float], None]
    log: Log
    stopped: bool = False
    completed: int = 0

    def stop(self, why: str, outcome: Outcome, *, pause: float) -> None:
        """Send nothing more to this venue in this run, and pause it for ``pause`` seconds."""
        if self.stopped:
            return
        self.stopped = True
        self.slots.close()
        self.log.warning(why, venue=self.venue_id, outcome=outcome.kind, detail=outcome.detail)
        self.release(pause)
