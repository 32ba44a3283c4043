"""The CPU time of a booking, from claim to settle, beside that of its two requests alone."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.called import OURS, CalledApp
from benchmarks.run import opening
from prebooking.local.stack import Stack

TURNS = 5
MEMBERS = 60


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    with CalledApp(OURS, stack.environment) as app:
        app.call()
        costs = [booked(stack, app) for _ in range(TURNS)]
    yield (
        "CPU of a booking, claim to settle, against 4 ms",
        f"{median(costs) / 0.004:.2f}",
        f"{median(costs) * 1000:.1f} ms, in a run of {MEMBERS} bookings less a run of none",
    )


def booked(stack: Stack, app: CalledApp) -> float:
    """Return the seconds of CPU time that one booking adds to a run."""
    idle = app.call()
    opening(stack, MEMBERS)
    return (app.call() - idle) / MEMBERS
