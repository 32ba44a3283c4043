"""The CPU time of a booking, from claim to settle, beside that of a single plain request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from statistics import median

import httpx

from benchmarks.called import OURS, CalledApp
from benchmarks.run import opening
from prebooking.local.stack import Stack

TURNS = 5
MEMBERS = 60


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    with CalledApp(OURS, stack.environment) as app:
        app.call()
        costs, plain = zip(*((booked(stack, app), asyncio.run(requested(stack))) for _ in range(TURNS)), strict=True)
    yield (
        "CPU of a booking, claim to settle, against one request of httpx with its defaults to the same venue",
        f"{median(costs) / median(plain):.2f}",
        (
            f"{median(costs) * 1000:.1f} ms, in a run of {MEMBERS} bookings less a run of none, and "
            f"{median(plain) * 1000:.1f} ms"
        ),
    )


def booked(stack: Stack, app: CalledApp) -> float:
    """Return the seconds of CPU time that one booking adds to a run."""
    idle = app.call()
    opening(stack, MEMBERS)
    return (app.call() - idle) / MEMBERS


async def requested(stack: Stack) -> float:
    """Return the seconds of CPU time of this thread for one request with its own connection, one stagger apart."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        start = time.thread_time()
        for _ in range(MEMBERS):
            await client.post(stack.environment["BOOKING_WEBHOOK_URL"], json={})
            await asyncio.sleep(0.05)
        return (time.thread_time() - start) / MEMBERS
