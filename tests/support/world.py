"""A world on a virtual clock: the real scheduler, client and SQL, and a venue twin; only the wires are made up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from prebooking.bookers import Booker, OpenBooker
from prebooking.bookers.adapter import Invocation, open_systems
from prebooking.function import invocation
from prebooking.function.invocation import run_once
from prebooking.local.venue.twin import Arrival
from prebooking.local.virtual_time import EPOCH, seconds_passed
from prebooking.local.virtual_world import CommittedDatabase, VirtualWorld
from prebooking.model import Summary, Venue
from tests.support.calls import prebooking
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_venue

T = TypeVar("T")
BookerT = TypeVar("BookerT", bound=Booker)

# status and outcome of a row
PENDING, BOOKED, RECONCILED = ("pending", None), ("completed", "booked"), ("completed", "reconciled")
CLAIM, FINISH = "claim_due_prebookings_v1", "finish_run_v1"
COMPLETE, SETTLE = "complete_prebooking_v1", "settle_prebookings_v1"

ENVIRONMENT = {
    "CRON_SECRET": "the-secret-of-the-cron",
    "SUPABASE_URL": "http://127.0.0.1:54321",
    "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_tests",
    "BOOKING_WEBHOOK_URL": "http://127.0.0.1:9/book",
    "BOOKING_WEBHOOK_SECRET": "the-secret-of-the-venue",
}


class World(VirtualWorld):
    """A virtual world around a test's database, with what tests need."""

    def __init__(self, database: Database, **venue: Any) -> None:
        super().__init__(
            CommittedDatabase(database.connection, database.connect("authenticator")), ENVIRONMENT, **venue
        )
        self.database = database
        self.to_venues.there = self.to_venues.back = 0.02
        self.replace_opener: Callable[[OpenBooker], OpenBooker] = lambda opens: opens
        self._numbers = itertools.count()

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invocation, "open_systems", self._open_systems)
            return super().run(steps)

    @asynccontextmanager
    async def _open_systems(self, names: Iterable[str], of: Invocation) -> AsyncIterator[dict[str, OpenBooker]]:
        async with open_systems(names, of) as openers:
            yield {name: self.replace_opener(opens) for name, opens in openers.items()}

    def use(self, booker: BookerT) -> BookerT:
        """Book every venue with this booker from now on; return it."""

        @asynccontextmanager
        async def opened(_: Venue) -> AsyncIterator[Booker]:
            yield booker

        self.replace_opener = lambda _: opened
        return booker

    def opening(
        self,
        members: int,
        *,
        at: float = 0.0,
        capacity: int = 1000,
        waiting: int = 0,
        venue: UUID | None = None,
        **how: Any,
    ) -> list[UUID]:
        """Add prebookings of this many members, in order, of a class that opens this many seconds after the epoch."""
        class_id, opens = f"class {uuid4()}", EPOCH + timedelta(seconds=at)
        self.twin.open_class(class_id, opens_at=opens, capacity=capacity, waiting_list=waiting)
        venue = venue or add_venue(self.connection)
        values: dict[str, Any] = {"booking_data": {"class_id": class_id}, "available_at": opens} | how
        made = (EPOCH - timedelta(hours=1) + timedelta(seconds=next(self._numbers)) for _ in range(members))
        return [add_prebooking(self.connection, venue, created_at=created_at, **values) for created_at in made]

    async def invoke(self, **how: Any) -> Summary:
        """Run the scheduler once; ``how`` are arguments of ``call``."""
        return await self.call(run_once, **how)

    def booking_call(self, row_id: UUID) -> Arrival:
        """Return a booking call for the row, as the venue receives it."""
        row = self.row(row_id)
        about = (str(row_id), row["user_email"], row["booking_data"]["class_id"], str(row["venue_id"]))
        return Arrival(self.clock.now(), "POST", *about)

    def row(self, row_id: UUID) -> dict[str, Any]:
        """Return all columns of a row."""
        return prebooking(self.connection, row_id)

    def ends(self, rows: list[UUID]) -> list[tuple[str, str | None]]:
        """Return the status and the outcome of each row."""
        query = "select status, outcome from public.prebookings where id = %s"
        return [self.connection.execute(query, [row]).fetchone() or ("gone", None) for row in rows]

    def held(self, rows: Iterable[UUID]) -> list[UUID | None]:
        """Return which invocation holds each row."""
        return [self.row(row)["claimed_by"] for row in rows]

    def paused_until(self, venue: UUID | None = None) -> datetime | None:
        """Return until when a venue is paused; without a venue, until when the only one is."""
        query = "select paused_until from public.venues where id = coalesce(%s, id)"
        [(until,)] = self.connection.execute(query, [venue]).fetchall()
        return until  # type: ignore[no-any-return]

    @contextmanager
    def locked(self, *rows: UUID) -> Iterator[None]:
        """Lock rows in a transaction of another session."""
        other = self.database.connect()
        with other.transaction():
            other.execute("select from public.prebookings where id = any (%s) for update", [list(rows)])
            yield

    def other_session(self, *functions: str) -> Connection:
        """Return another session's connection; these functions then wait only 10 ms for a lock that it holds."""
        other = self.database.connect()
        for function in functions:
            other.execute(f"alter function public.{function} set lock_timeout = '10ms'".encode())
        return other

    def lose(self, function: str, *ends: str | Exception) -> None:
        """Let the next calls of a database function end like this (see ``DatabaseTransport``), or raise it."""
        left = iter(ends)

        def loses(called: str) -> str:
            end = next(left, "") if called == function else ""
            if isinstance(end, Exception):
                raise end
            return end

        self.to_database.loses = loses

    def record_connections(self, seconds: float) -> list[float]:
        """Let each connection to the venue take this long; return a list of the instants at which they are opened."""
        opened_at = list[float]()

        def connect(_: object) -> float:
            opened_at.append(seconds_passed())
            return seconds

        self.to_venues.connect = connect
        return opened_at

    def called(self) -> list[UUID]:
        """Return the rows in the order in which their first calls arrived at the venue."""
        return [UUID(arrival.prebooking_id) for arrival in self.twin.ledger.first_calls()]

    def sent(self) -> list[float]:
        """Return when the first call for each row arrived at the venue, in seconds since the epoch."""
        return [(arrival.at - EPOCH).total_seconds() for arrival in self.twin.ledger.first_calls()]


def gaps(instants: Sequence[float]) -> list[float]:
    """Return the differences between successive instants."""
    return [later - earlier for earlier, later in pairwise(instants)]


async def minutes(world: World, runs: int) -> None:
    """Invoke once per minute."""
    for _ in range(runs):
        await world.invoke()
        await asyncio.sleep(60)
