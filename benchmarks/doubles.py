"""Two triggers at the same time: the number of bookings that are sent twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.peers import Task, plain_cron
from benchmarks.run import opening
from benchmarks.venue_socket import venue_socket
from prebooking.local.stack import Stack

OPENINGS, MEMBERS = 5, 20


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    prebookings = OPENINGS * MEMBERS
    for name, doubles in (("ours", ours(stack)), ("a plain cron job", theirs(stack))):
        yield f"double bookings under two overlapping triggers, {name}", f"{doubles}", f"of {prebookings} prebookings"


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
            asyncio.run(_twice(Task(dsn, url, time.time(), MEMBERS, "staggered")))
            beyond += len(venue.arrivals) - MEMBERS
            stack.postgres.drop_database(f"plain_{number}")
    return beyond


async def _twice(task: Task) -> None:
    with psycopg.connect(task.dsn, autocommit=True) as connection:
        plain_cron.add_prebookings(connection, task)
    await asyncio.gather(plain_cron.invocation(task), plain_cron.invocation(task))
