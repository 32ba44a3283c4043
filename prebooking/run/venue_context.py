"""What the attempts at one venue share in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prebooking.bookers import Booker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.log import Log
from prebooking.model import Attempt, Outcome
from prebooking.run.slots import SlotQueue

BLOCKED_PAUSE = 300.0  # seconds for which a venue that blocks us is left alone
UNREACHABLE_PAUSE = 60.0  # seconds for which a venue that cannot be reached is left alone


@dataclass(slots=True)
class VenueContext:
    """What the attempts at one venue share in one run.

    Attributes:
        settle: writes a final outcome.
        release: gives the venue's unsent rows back, and pauses the venue; its argument is in seconds.
        stopped: no first byte leaves any more.
        completed: rows that a call of this run has booked.

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
        """Send nothing more to this venue in this run, and leave it alone for ``pause`` seconds after it."""
        if self.stopped:
            return
        self.stopped = True
        self.slots.close()
        self.log.warning(why, venue=self.venue_id, outcome=outcome.kind, detail=outcome.detail)
        self.release(pause)
