"""The function in separate processes, with real sockets and a real Postgres: overlapping, counted, killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from anyio.from_thread import start_blocking_portal

from prebooking.local.function import Function
from prebooking.local.stack import Stack
from prebooking.local.venue.twin import CallPlan
from tests.support.stacks import ends, opening


@pytest.fixture(scope="module")
def function(stack: Stack) -> Iterator[Function]:
    with stack.function() as function:
        yield function.ready()


def calls(stack: Stack, rows: list[UUID]) -> list[UUID]:
    """Return the rows of the booking calls that arrived, in order."""
    return [UUID(a.prebooking_id) for a in stack.ledger.arrivals() if UUID(a.prebooking_id) in rows]


@pytest.mark.parametrize("triggers", [2, 10])
def test_overlapping_triggers_are_answered_and_send_each_row_once(
    stack: Stack, function: Function, triggers: int
) -> None:
    rows = opening(stack, 20)
    with ThreadPoolExecutor(triggers) as callers:
        answers = list(callers.map(lambda _: function.trigger(), range(triggers)))
    assert [answer.status_code for answer in answers] == [200] * triggers
    assert len({answer.json()["instance_id"] for answer in answers}) == triggers
    assert sum(answer.json()["details"]["completed"] for answer in answers) == 20
    assert calls(stack, rows) == rows
    assert ends(stack, rows) == {("completed", "booked")}


def test_two_instances_do_not_book_the_same_opening(stack: Stack, function: Function) -> None:
    rows = opening(stack, 20)
    with stack.function() as other, ThreadPoolExecutor(2) as callers:
        other.ready()
        answers = list(callers.map(lambda one: one.trigger().json(), [function, other]))
    assert sorted(answer["details"]["total"] for answer in answers) == [0, 20]
    assert calls(stack, rows) == rows


def test_an_instance_killed_during_calls_loses_and_doubles_no_place(stack: Stack, function: Function) -> None:
    rows = opening(stack, 4)
    for row in rows[:3]:
        stack.twin.script(row, CallPlan(delay_after=30))
    with stack.function() as doomed, ThreadPoolExecutor(1) as caller:
        answer = caller.submit(doomed.ready().trigger)  # the last row may be sent before the kill
        assert stack.ledger.wait_for(lambda: len(calls(stack, rows)) == 3, seconds=20)
        doomed.kill()
        assert answer.exception() is not None
    assert ends(stack, rows[:3]) == {("pending", None)}
    # The lease, shortened: production waits 30 s.
    stack.connection.execute(
        "update prebookings set claimed_until = clock_timestamp() - interval '1 second',"
        " turn_until = clock_timestamp() - interval '1 second' where id = any(%s)",
        [rows],
    )
    assert function.trigger().status_code == 200
    assert {status for status, _ in ends(stack, rows)} == {"completed"}
    assert ends(stack, rows[:3]) == {("completed", "reconciled")}
    assert stack.ledger.double_bookings() == {}
    assert [len(stack.ledger.bookings_of(row)) for row in rows] == [1] * 4
    assert len(calls(stack, rows)) == 4


@dataclass
class Connections:
    """The connections of a venue: opened in total, open now, and the largest number open at once."""

    made: int = 0
    open: int = 0
    most: int = 0


@asynccontextmanager
async def counting(address: str, connections: Connections) -> AsyncIterator[str]:
    """Proxy the venue, and count the connections that the function opens."""
    target = urlsplit(address)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.made += 1
        connections.open += 1
        connections.most = max(connections.most, connections.open)
        back, forth = await asyncio.open_connection(target.hostname, target.port)

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pipe(reader, forth), pipe(back, writer), return_exceptions=True)
        connections.open -= 1

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}{target.path}"


def test_each_call_has_its_own_connection_and_the_order_is_kept(stack: Stack) -> None:
    """A kept connection may be closed by the venue, or occupy a worker that others need."""
    connections = Connections()
    rows = opening(stack, 40)
    for row in rows:
        stack.twin.script(row, CallPlan(delay_after=0.26))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(counting(stack.environment["BOOKING_WEBHOOK_URL"], connections)) as counted,
        stack.function(BOOKING_WEBHOOK_URL=counted) as function,
    ):
        summary = function.ready().trigger().json()
    assert summary["outcomes"] == {"booked": 40}
    assert connections.made == 40
    assert 1 < connections.most < 40
    assert calls(stack, rows) == rows
