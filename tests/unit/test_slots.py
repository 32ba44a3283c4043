"""A queue of slots without calls, on a virtual clock."""

from __future__ import annotations

import asyncio

from prebooking.clock import DatabaseTime, Deadline, Reading
from prebooking.run.slots import SlotQueue
from tests.support.doubles import VirtualClock, run_virtual


class PatientClock(VirtualClock):
    """Fails after a thousand readings, because its reader then loops without letting time pass."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        assert self.looks < 1000, f"looks without end at {super().monotonic()}"
        return super().monotonic()


def test_an_end_within_the_clock_s_precision_is_reached() -> None:
    """8.2 - 0.2 is a little less than 8, and so little is left that 8.2 plus it is 8.2."""

    async def grant() -> float:
        await asyncio.sleep(0.2)
        clock = PatientClock()
        now = Reading.of(clock)
        queue = SlotQueue(clock=clock, time=DatabaseTime(clock, clock.now(), now, now), stagger=0.05)
        await queue.grant(until=Deadline(clock, now, 8.0).by_monotonic_clock())
        return clock.monotonic()

    assert 8.2 <= run_virtual(grant()) < 8.21
