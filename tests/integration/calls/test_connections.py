"""Whole runs on real sockets, against endpoints that close connections early or have one worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from prebooking.clock import Clock
from prebooking.function.invocation import run_once
from prebooking.local.virtual_world import call_function
from prebooking.model import Summary
from prebooking.settings import Settings
from tests.support.calls import prebooking
from tests.support.database import Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.peers import Peer, Script, serve
from tests.support.world import ENVIRONMENT

pytestmark = pytest.mark.anyio

MADE = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
LONG = 20.0  # seconds


class Endpoint:
    """A booking endpoint. ``ledger`` counts the bookings per prebooking."""

    def __init__(self, *, idle: float = LONG, workers: int = 100) -> None:
        self.ledger = Counter[str]()
        self._idle, self._workers = idle, asyncio.Semaphore(workers)

    async def handle(self, peer: Peer) -> None:
        """Answer the requests of one connection until it is idle; a worker has one connection at a time."""
        async with self._workers:
            number = 0
            while await self._requested(peer, number + 1):
                number += 1
                self.ledger[_key(bytes(peer.received))] += 1
                await peer.say(MADE)
        peer.close()

    async def _requested(self, peer: Peer, number: int) -> bool:
        steps = [asyncio.create_task(peer.request(number)), asyncio.create_task(peer.ended.wait())]
        await asyncio.wait(steps, timeout=self._idle, return_when=asyncio.FIRST_COMPLETED)
        for step in steps:
            step.cancel()
        await asyncio.wait(steps)
        return not steps[0].cancelled()


def _key(received: bytes) -> str:
    """Return the key of the last request."""
    return received.lower().rpartition(b"idempotency-key: ")[2].partition(b"\r\n")[0].decode()


def add_rows(database: Database, *openings: float) -> list[UUID]:
    """Add a row per opening, in seconds from now, all at one venue."""
    venue, now = add_venue(database.connection), datetime.now(UTC)
    return [
        add_prebooking(database.connection, venue, available_at=now + timedelta(seconds=opens)) for opens in openings
    ]


async def run(rest: Rest, script: Script, **environment: str) -> Summary:
    """Run the scheduler once, with a scripted server as its endpoint."""
    async with serve(script) as server:
        urls = {"SUPABASE_URL": rest.url, "BOOKING_WEBHOOK_URL": server.url}
        key = {"SUPABASE_SERVICE_ROLE_KEY": rest.service_key}
        settings = Settings.from_environment(ENVIRONMENT | urls | key | environment)
        return await call_function(run_once, settings, Clock())


def all_booked_once(database: Database, rows: list[UUID], endpoint: Endpoint) -> bool:
    """Return whether every row is booked in the database and once in the endpoint's ledger."""
    outcomes = {prebooking(database.connection, row)["outcome"] for row in rows}
    return outcomes == {"booked"} and endpoint.ledger == Counter(map(str, rows))


@pytest.mark.parametrize("idle", [2.0, 2.5])
async def test_a_trigger_three_seconds_ahead_books_at_a_server_that_closes_idle_connections(
    database: Database, rest: Rest, idle: float
) -> None:
    endpoint, rows = Endpoint(idle=idle), add_rows(database, *[2.8] * 5)
    await run(rest, endpoint.handle, LEAD_SECONDS="3")
    assert all_booked_once(database, rows, endpoint)
    lateness = [prebooking(database.connection, row)["lateness_ms"] for row in rows]
    assert max(lateness) < 1000, "no connection was closed and opened again at the opening"


async def test_two_openings_are_booked_at_a_server_that_closes_idle_connections(database: Database, rest: Rest) -> None:
    endpoint, rows = Endpoint(idle=2.0), add_rows(database, -0.5, -0.5, 2.2, 2.2, 2.2)
    await run(rest, endpoint.handle, LEAD_SECONDS="3")
    assert all_booked_once(database, rows, endpoint)


async def test_a_server_that_closes_after_accept_leaves_no_row_in_doubt(database: Database, rest: Rest) -> None:
    async def close(peer: Peer) -> None:
        peer.close()

    rows = add_rows(database, 0.8)
    await run(rest, close)
    assert [prebooking(database.connection, row)["attempts"] for row in rows] == [0]
    endpoint = Endpoint()
    database.connection.execute("update public.venues set paused_until = null, troubled_since = null where true")
    await run(rest, endpoint.handle)
    assert all_booked_once(database, rows, endpoint)


async def test_an_endpoint_with_one_worker_and_keep_alive_books_every_row(database: Database, rest: Rest) -> None:
    endpoint, rows = Endpoint(workers=1, idle=5), add_rows(database, *[-0.5] * 8)
    await run(rest, endpoint.handle)
    assert all_booked_once(database, rows, endpoint)


@pytest.mark.parametrize("stagger_ms", [10, 250, 700])
async def test_each_call_needs_one_connection_for_every_stagger(
    database: Database, rest: Rest, stagger_ms: int
) -> None:
    """A connection is opened shortly before its call's slot; one that is older than a second is replaced."""
    endpoint, rows, connections = Endpoint(), add_rows(database, *[0.8] * 5), Counter[str]()

    async def count(peer: Peer) -> None:
        connections["made"] += 1
        await endpoint.handle(peer)

    await run(rest, count, STAGGER_MS=str(stagger_ms))
    assert all_booked_once(database, rows, endpoint)
    assert connections["made"] == len(rows)
