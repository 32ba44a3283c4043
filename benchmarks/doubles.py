"""Two triggers at the same time: the number of bookings that are sent twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx

from benchmarks.peers import Task, plain_cron
from benchmarks.report import Row
from benchmarks.run import opening
from benchmarks.venue_socket import venue_socket
from prebooking.local.stack import Stack

OPENINGS, MEMBERS = 5, 20


def measure(stack: Stack) -> dict[str, int]:
    """Return the number of double bookings, ours first."""
    return {"ours": ours(stack), "a plain cron job": theirs(stack)}


def figures(doubles: dict[str, int]) -> Iterator[Row]:
    for name, number in doubles.items():
        what = f"double bookings under two overlapping triggers, {name}"
        yield what, f"{number}", f"of {OPENINGS * MEMBERS} prebookings"


def faults(doubles: dict[str, int]) -> Iterator[str]:
    """Yield what must not happen."""
    if doubles["ours"]:
        yield f"{doubles['ours']} double bookings of ours under two overlapping triggers"


def ours(stack: Stack) -> int:
    """Return the number of double bookings at a venue without protection."""
    before = len(stack.ledger.double_bookings())
    with stack.function() as function, ThreadPoolExecutor(2) as cron:
        function.ready()
        for _ in range(OPENINGS):
            opening(stack, MEMBERS)
            list(cron.map(lambda _: function.trigger(), range(2)))
    return len(stack.ledger.double_bookings()) - before


def theirs(stack: Stack) -> int:
    """Return the number of requests beyond one per prebooking."""
    beyond = 0
    with venue_socket() as (venue, url):
        for number in range(OPENINGS):
            dsn = stack.postgres.create_database(f"plain_{number}")
            venue.arrivals.clear()
            asyncio.run(_twice(Task(dsn, "staggered", restarted=False), url))
            beyond += len(venue.arrivals) - MEMBERS
            stack.postgres.drop_database(f"plain_{number}")
    return beyond


async def _twice(task: Task, url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as group:

        async def book(booking: str) -> None:
            await client.post(url, json={"member": booking})

        schedule = await plain_cron.start(task, book, group)
        await schedule(datetime.fromtimestamp(time.time(), UTC), [str(number) for number in range(MEMBERS)])
        group.create_task(plain_cron.run(task, book))
