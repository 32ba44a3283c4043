"""A gym, its database and the functions on one virtual clock."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from secrets import token_bytes, token_urlsafe
from typing import Any
from uuid import uuid4

import psycopg

from prebooking.clock import Deadline, Reading
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase
from prebooking.function.invocation import run_once
from prebooking.local.venue.server import TwinTransport
from prebooking.local.venue.twin import Protection, VenueTwin
from prebooking.local.virtual_time import VirtualClock
from prebooking.local.virtual_world import DatabaseTransport, call_function
from prebooking.settings import Settings
from prebooking.upkeep.run import keep_up

BELL_AHEAD = timedelta(seconds=3)  # how long before an opening the bell calls the function

_NEXT_OPENING = """
select min(available_at) from public.prebookings where status = 'pending' and not waits and available_at > %s
"""


class WeekWorld:
    """A database, a venue and the functions.

    ``owner`` and ``authenticator`` are connections to the database in these roles.
    """

    UPKEEP_EVERY = timedelta(minutes=10)
    CRON_EVERY = timedelta(hours=1)

    def __init__(
        self, *, owner: psycopg.Connection[Any], authenticator: psycopg.Connection[Any], begins: datetime
    ) -> None:
        secret = token_urlsafe(24)
        self.clock, self.owner = VirtualClock(epoch=begins), owner
        self.twin = VenueTwin(now=lambda: self.clock.now(), secret=secret, protection=Protection.DUPLICATES)  # noqa: PLW0108 - the clock needs a running loop
        self.database = DatabaseTransport(owner=owner, authenticator=authenticator, epoch=begins)
        self.venue = TwinTransport(self.twin)
        self.settings = Settings.from_environment(
            {
                "CRON_SECRET": token_urlsafe(24),
                "SUPABASE_URL": "http://127.0.0.1:54321",
                "SUPABASE_SERVICE_ROLE_KEY": self.database.keys.secret,
                "SESSION_ENCRYPTION_KEY": b64encode(token_bytes(32)).decode(),
                "LEAD_SECONDS": f"{BELL_AHEAD.total_seconds():g}",
            }
        )
        self.on_summary: Callable[[str, dict[str, Any]], None] = lambda _name, _summary: None

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.clock.now()

    async def sleep_until(self, instant: datetime) -> None:
        """Let the time pass, with the calls of the bell, the cron and upkeep, until an instant."""
        while (now := self.now()) < instant:
            upkeep, cron = _next(now, self.UPKEEP_EVERY), _next(now, self.CRON_EVERY)
            bell = self._next_opening()
            await self._sleep(min(filter(None, (upkeep, cron, bell, instant))))
            if self.now() >= upkeep:
                await self.invoke("upkeep", keep_up)
            if self.now() >= cron or (bell and self.now() >= bell):
                await self.invoke("prebooking_scheduler", run_once)

    async def _sleep(self, until: datetime) -> None:
        await self.clock.sleep((until - self.now()).total_seconds())

    def _next_opening(self) -> datetime | None:
        """Return when the bell calls the function for the next opening."""
        (opens,) = self.owner.execute(_NEXT_OPENING, [self.now() + BELL_AHEAD]).fetchone() or (None,)
        return opens - BELL_AHEAD if opens else None

    async def invoke(self, name: str, function: Callable[..., Awaitable[Any]]) -> None:
        """Call one of the functions as its endpoint does. Raises RuntimeError if it answers 500."""
        answer = await call_function(function, self.settings, self.clock, self.database, self.venue)
        if not answer.success:
            raise RuntimeError(f"{name} failed: {answer.as_json()}")
        self.on_summary(name, answer.as_json())

    @asynccontextmanager
    async def supabase(self) -> AsyncIterator[IsolatedSupabase]:
        """Open a client, as a command does."""
        async with create_isolated_supabase(
            self.settings, uuid4(), clock=self.clock, transport=self.database
        ) as supabase:
            yield supabase

    def deadline(self) -> Deadline:
        """Return the deadline of a command that starts now."""
        return Deadline(self.clock, Reading.of(self.clock), 15.0)


def _next(now: datetime, every: timedelta) -> datetime:
    """Return the next multiple of a duration after an instant."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + every * (1 + (now - day) // every)
