"""One run of the function in its own process, measured at the venue's socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

from prebooking.local.function import Function
from prebooking.local.stack import Stack

STAGGER = 0.05
ANSWER = 0.04  # seconds: the venue's time to answer


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    with stack.function() as function:
        function.ready().trigger()
        for members in (10, 40, 90):
            took = spread(stack, function, members)
            ideal = (members - 1) * STAGGER
            yield f"{members} due rows leave, against 50 ms each", f"{took / ideal:.3f}", f"{took * 1000:.0f} ms"
        took = crowd(stack, function, venues=25, members=20)
        yield (
            "500 due rows at 25 venues leave from one invocation, against 50 ms each of a venue",
            f"{took / (19 * STAGGER):.2f}",
            f"{took:.2f} s, {500 / took:.0f} a second",
        )
        idle, first = zip(*(first_call(stack, function) for _ in range(15)), strict=True)
        beyond = median(one - other for one, other in zip(first, idle, strict=True))
        yield (
            "request to first call, against a request with nothing due",
            f"{median(first) / median(idle):.2f}",
            f"{median(first) * 1000:.1f} ms, {beyond * 1000:.1f} ms beyond the claim's round trip",
        )


def spread(stack: Stack, function: Function, members: int) -> float:
    """Return the seconds between the first and the last first call."""
    before = len(stack.ledger.first_calls())
    opening(stack, members)
    function.trigger()
    sent = [arrival.at for arrival in stack.ledger.first_calls()[before:]]
    assert len(sent) == members
    return (sent[-1] - sent[0]).total_seconds()


def crowd(stack: Stack, function: Function, *, venues: int, members: int) -> float:
    """Return the seconds between the first and the last first call of many venues, which are called in parallel."""
    before = len(stack.ledger.first_calls())
    for _ in range(venues):
        opening(stack, members)
    function.trigger()
    sent = [arrival.at for arrival in stack.ledger.first_calls()[before:]]
    assert len(sent) == venues * members
    return (max(sent) - min(sent)).total_seconds()


def first_call(stack: Stack, function: Function) -> tuple[float, float]:
    """Return the seconds of a request with nothing due, and from a request to the arrival of its first call."""
    start = time.perf_counter()
    function.trigger()
    idle = time.perf_counter() - start
    before = len(stack.ledger.arrivals())
    opening(stack, 1)
    asked = datetime.now(UTC)
    function.trigger()
    return idle, (stack.ledger.arrivals()[before].at - asked).total_seconds()


def opening(stack: Stack, members: int) -> None:
    class_id, opens = str(uuid4()), datetime.now(UTC)
    stack.twin.open_class(class_id, opens_at=opens, capacity=members)
    stack.connection.execute(
        "with v as (insert into venues (name, provider, timezone) values ('bench', 'webhook', 'UTC') returning id) "
        "insert into prebookings (venue_id, user_email, booking_data, available_at) "
        "select v.id, 'member' || n || '@example.com', jsonb_build_object('class_id', %s::text), %s "
        "from v, generate_series(1, %s) n",
        [class_id, opens, members],
    )
