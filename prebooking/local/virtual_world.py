"""The database and the functions on a virtual clock. The SQL, the functions and the clients are the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

import httpx
import psycopg

from prebooking.clock import Clock, Deadline
from prebooking.local import rest
from prebooking.local.keys import Keys
from prebooking.local.venue.server import TwinTransport
from prebooking.local.venue.twin import VenueTwin
from prebooking.local.virtual_time import EPOCH, VirtualClock, run_virtual
from prebooking.log import Log
from prebooking.settings import Settings

T = TypeVar("T")

_CLOCK = """
create schema testing;
create table testing.clock (instant timestamptz);
insert into testing.clock values (null);
grant usage on schema testing to service_role;
grant select on testing.clock to service_role;
create or replace function public.prebooking_clock() returns timestamptz
language sql volatile security invoker set search_path = ''
as 'select coalesce((select instant from testing.clock), clock_timestamp())';
"""


def set_clock(owner: psycopg.Connection[Any], instant: datetime | None) -> None:
    """Stop the database's clock at this instant, for every connection; None: real time."""
    if owner.execute("select to_regclass('testing.clock')").fetchone() == (None,):
        owner.execute(_CLOCK)
    owner.execute("update testing.clock set instant = %s", [instant])


class WorldDatabase(Protocol):
    """A database whose clock can be set, and whose functions can be called as the service role."""

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection of the owner."""

    def set_clock(self, instant: datetime) -> None:
        """Stop the database's clock at this instant."""

    def call(self, function: str, body: bytes, *, at: datetime) -> rest.RestReply:
        """Call a function when the database's clock shows this instant, and return the response of Supabase."""


class CommittedDatabase:
    """A database in which every call commits, so that other sessions see its rows.

    ``authenticator`` is a connection in this role.
    """

    def __init__(self, owner: psycopg.Connection[Any], authenticator: psycopg.Connection[Any]) -> None:
        self.connection, self._authenticator, self._keys = owner, authenticator, Keys()

    def set_clock(self, instant: datetime) -> None:
        """Stop the database's clock at this instant, for every connection."""
        set_clock(self.connection, instant)

    def call(self, function: str, body: bytes, *, at: datetime) -> rest.RestReply:
        """Call a function in its own transaction."""
        self.set_clock(at)
        headers = {"apikey": self._keys.secret}
        return rest.call(self._authenticator, keys=self._keys, function=function, headers=headers, body=body)


class DatabaseTransport(httpx.AsyncBaseTransport):
    """Executes RPCs. A statement takes no virtual time.

    Attributes:
        there, back: seconds of virtual time from the client to the database, and back.
        loses: gets a function's name before each call and returns how the call ends: "" with its answer, "before" or
            "after" for a connection that breaks before or after the statement, "hangs" for no answer.
        calls: the names of the functions that were called.

    """

    def __init__(self, execute: Callable[[str, bytes], rest.RestReply]) -> None:
        self.execute = execute
        self.there = self.back = 0.005
        self.loses: Callable[[str], str] = lambda _: ""
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Execute an RPC at the virtual instant at which it arrives."""
        function = request.url.path.rpartition("/")[2]
        await asyncio.sleep(self.there)
        self.calls.append(function)
        loss = self.loses(function)
        if loss == "hangs":
            await asyncio.Event().wait()
        if loss != "before":
            reply = self.execute(function, request.content)
        await asyncio.sleep(self.back)
        if loss:
            raise httpx.ReadError("lost", request=request)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)


class VirtualWorld:
    """A database, a venue twin, and calls of the functions, on one virtual loop.

    Attributes:
        connection: the connection of the database's owner.
        environment: the variables of every call.
        clock: the clocks of a machine that are right.
        database_skew: how far the database's clock is ahead.
        twin: the venue system.
        to_database, to_venues: the transports of every call.

    """

    def __init__(
        self, database: WorldDatabase, environment: Mapping[str, str], *, epoch: datetime = EPOCH, **venue: Any
    ) -> None:
        self.connection, self.environment = database.connection, environment
        self.clock, self.database_skew = VirtualClock(epoch=epoch), timedelta(0)
        self.twin = VenueTwin(now=self.clock.now, secret=environment.get("BOOKING_WEBHOOK_SECRET", ""), **venue)
        self.to_database, self.to_venues = DatabaseTransport(self.execute), TwinTransport(self.twin)
        self._database = database
        database.set_clock(epoch)

    def settings(self, **environment: str) -> Settings:
        """Return the settings of a call, with these variables added to the environment."""
        return Settings.from_environment({**self.environment, **environment})

    async def call(
        self,
        function: Callable[..., Awaitable[T]],
        *,
        clock: Clock | None = None,
        guard: float | None = None,
        instance_id: UUID | None = None,
        log: Log | None = None,
        **environment: str,
    ) -> T:
        """Call ``run_once`` or ``keep_up``, with these variables added to the environment."""
        about = (self.settings(**environment), clock or self.clock, self.to_database, self.to_venues)
        return await call_function(function, *about, guard=guard, instance_id=instance_id, log=log)

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run the steps, then wait until every request has arrived; return the result of the steps."""
        return run_virtual(self._run_and_drain(steps))

    async def _run_and_drain(self, steps: Coroutine[Any, Any, T]) -> T:
        result = await steps
        await self.drain()
        return result

    async def drain(self) -> None:
        """Wait until every request that is under way has arrived."""
        await self.to_venues.drain()

    def execute(self, function: str, body: bytes) -> rest.RestReply:
        """Call a function of the database now."""
        return self._database.call(function, body, at=self.database_time())

    def database_time(self) -> datetime:
        """Return what the database's clock shows now."""
        return self.clock.now() + self.database_skew

    def set_database_clock(self) -> None:
        """Set the clock of the real database to the virtual one."""
        self._database.set_clock(self.database_time())


async def call_function(
    function: Callable[..., Awaitable[T]],
    settings: Settings,
    clock: Clock,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
    *,
    guard: float | None = None,
    instance_id: UUID | None = None,
    log: Log | None = None,
) -> T:
    """Call ``run_once`` or ``keep_up`` as its endpoint does, with this clock; without transports, on sockets."""
    instance_id = instance_id or uuid4()
    return await function(
        settings,
        instance_id=instance_id,
        guard=Deadline.within(clock, settings.execution_timeout_seconds if guard is None else guard),
        clock=clock,
        log=log or Log(instance_id=instance_id),
        to_database=to_database,
        to_venues=to_venues,
    )
