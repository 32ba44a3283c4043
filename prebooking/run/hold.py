"""Reads the database's clock several times while rows are held, so that calls are sent closer to the opening."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from pydantic import AwareDatetime, TypeAdapter

from prebooking.clock import DatabaseTime, Deadline, Reading
from prebooking.database.client import IsolatedSupabase
from prebooking.errors import StoreError

READINGS = 5  # readings per hold; the fastest of a few answers has almost the lowest latency of the network
SHORTEST_HOLD = 0.15  # seconds; during a shorter hold there is no time for a reading
NO_READING_BEFORE = 0.05  # seconds before the opening in which no reading starts, because it could delay the first byte

_instant = TypeAdapter(AwareDatetime).validate_python


async def read_clock_while_held(database: IsolatedSupabase, time: DatabaseTime, opening: datetime) -> None:
    """Read the database's clock several times before the opening, and tighten the bounds of ``time`` with each answer.

    Returns at the opening at the latest. A reading that fails changes nothing.
    """
    clock = time.clock
    shortest = (opening - time.at_most()).total_seconds()
    if shortest <= SHORTEST_HOLD:
        return
    until = Deadline.within(clock, time.monotonic_at(opening) - clock.monotonic())

    async def ask(after: float) -> None:
        await clock.sleep(after)
        asked = Reading.of(clock)
        with suppress(StoreError):
            answer = await database.call("prebooking_clock", {}, _instant, until=until)
            time.tighten(answer.value, asked, Reading.of(clock))

    # Concurrently, so that a lost or late answer does not delay the next reading.
    await asyncio.gather(*(ask((shortest - NO_READING_BEFORE) * n / READINGS) for n in range(READINGS)))
