"""The data that all rows of one venue share in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from prebooking.bookers import Booker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.log import Log
from prebooking.model import Attempt, Kind, Outcome, Venue
from prebooking.run.slots import SlotQueue


@dataclass(slots=True, kw_only=True)
class VenueContext:
    """What the attempts at one venue share in one run.

    Attributes:
        slots: decides when each call may be sent.
        settle: starts to write a row's final outcome.
        release: starts to release unsent rows and to pause the venue, for the given seconds.
        attempts: the rows of this venue.
        stopped: no further booking call may be sent.
        completed: number of rows booked by calls of this run.
        booker: the venue's booker. It is set when it is open, before any row is called.

    """

    venue: Venue
    slots: SlotQueue
    clock: Clock
    time: DatabaseTime
    last_start: Deadline
    guard: Deadline
    settle: Callable[[Attempt, Outcome], None]
    release: Callable[[UUID, list[Attempt], float], None]
    log: Log
    attempts: list[Attempt] = field(default_factory=list)
    stopped: bool = False
    completed: int = 0
    booker: Booker = field(init=False)

    def stop(self, why: str, outcome: Outcome, *, pause: float) -> None:
        """Send nothing more to this venue in this run. Release its unsent rows, and pause it for ``pause`` seconds."""
        if self.stopped:
            return
        self.stopped = True
        self.slots.close()
        self.log.warning(why, venue=self.venue.id, outcome=outcome.kind, detail=outcome.detail)
        unsent = [a for a in self.attempts if not a.calls and not a.row.maybe_sent and _has_no_answer(a.outcome)]
        self.release(self.venue.id, unsent, pause)


def _has_no_answer(outcome: Outcome | None) -> bool:
    return outcome is None or outcome.kind is Kind.NOT_SENT
