"""Reads the database's clock several times while rows are held, so that calls leave closer to the opening."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from pydantic import AwareDatetime, TypeAdapter

from prebooking.clock import DatabaseTime, Deadline, Reading
from prebooking.database.client import IsolatedSupabase
from prebooking.errors import StoreError

QUESTIONS = 5  # per hold; the quickest of a few answers is near the network's best
SHORTEST_HOLD = 0.15  # seconds; a shorter hold leaves no time for a further reading
QUIET = 0.05  # seconds before the opening without a question, because one could delay the first byte

_instant = TypeAdapter(AwareDatetime).validate_python


async def tighten_while_held(database: IsolatedSupabase, time: DatabaseTime, opening: datetime) -> None:
    """Read the database's clock until shortly before the opening, and tighten ``time`` with each answer.

    Return at the opening at the latest. A question that fails is ignored: the bounds stay as they are.
    """
    clock = time.clock
    shortest = (opening - time.at_most()).total_seconds()
    if shortest <= SHORTEST_HOLD:
        return
    until = Deadline(clock, Reading.of(clock), time.monotonic_at(opening) - clock.monotonic())

    async def ask(after: float) -> None:
        await clock.sleep(after)
        asked = Reading.of(clock)
        with suppress(StoreError):
            answer = await database.call("prebooking_clock", {}, _instant, until=until)
            time.tighten(answer.value, asked, Reading.of(clock))

    # Side by side, so that an answer that is lost or late delays no further question.
    await asyncio.gather(*(ask((shortest - QUIET) * n / QUESTIONS) for n in range(QUESTIONS)))
