"""The database and the functions on a virtual clock. The SQL, the functions and the clients are the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import psycopg

from prebooking.clock import Clock, Deadline, Reading
from prebooking.local import rest
from prebooking.local.keys import Keys
from prebooking.local.virtual_time import VirtualClock
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


class DatabaseTransport(httpx.AsyncBaseTransport):
    """Executes RPCs. A statement takes no virtual time, and the database's clock is the virtual one.

    Attributes:
        there, back: seconds of virtual time from the client to the database, and back.
        skew: how far the database's clock is ahead.
        loses: gets a function's name before each call and returns how the call ends: "" with its answer, "before" or
            "after" for a connection that breaks before or after the statement, "hangs" for no answer.
        calls: the names of the functions that were called.

    """

    def __init__(
        self,
        *,
        owner: psycopg.Connection[Any],
        authenticator: psycopg.Connection[Any],
        epoch: datetime,
        there: float = 0.005,
        back: float = 0.005,
    ) -> None:
        self.keys, self.there, self.back = Keys(), there, back
        self.skew = timedelta(0)
        self.loses: Callable[[str], str] = lambda _: ""
        self.calls: list[str] = []
        self._owner, self._authenticator, self._epoch = owner, authenticator, epoch
        set_clock(owner, epoch)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Execute an RPC at the virtual instant at which it arrives."""
        function = request.url.path.rpartition("/")[2]
        await asyncio.sleep(self.there)
        self.calls.append(function)
        loss = self.loses(function)
        if loss == "hangs":
            await asyncio.Event().wait()
        if loss != "before":
            reply = self._carry_out(function, request)
        await asyncio.sleep(self.back)
        if loss:
            raise httpx.ReadError("lost", request=request)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)

    def _carry_out(self, function: str, request: httpx.Request) -> rest.RestReply:
        set_clock(self._owner, VirtualClock(epoch=self._epoch, wall_skew=self.skew).now())
        headers, body = {"apikey": self.keys.secret}, request.content
        return rest.call(self._authenticator, keys=self.keys, function=function, headers=headers, body=body)


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
        guard=Deadline(clock, Reading.of(clock), settings.execution_timeout_seconds if guard is None else guard),
        clock=clock,
        log=log or Log(instance_id=instance_id),
        to_database=to_database,
        to_venues=to_venues,
    )
