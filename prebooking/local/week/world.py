"""A gym, its database and the functions on one virtual clock."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from secrets import token_bytes, token_urlsafe
from typing import Any
from uuid import uuid4

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase
from prebooking.function.invocation import run_once
from prebooking.local.keys import Keys
from prebooking.local.venue.twin import Protection
from prebooking.local.virtual_world import VirtualWorld, WorldDatabase
from prebooking.upkeep.run import keep_up

BELL_AHEAD = timedelta(seconds=3)  # how long before an opening the bell calls the function

_NEXT_OPENING = """
select min(available_at) from public.prebookings where status = 'pending' and not waits and available_at > %s
"""


class WeekWorld(VirtualWorld):
    """A virtual world with the bell, the cron and upkeep, which call the functions while the time passes."""

    UPKEEP_EVERY = timedelta(minutes=10)
    CRON_EVERY = timedelta(hours=1)

    def __init__(self, database: WorldDatabase, *, begins: datetime) -> None:
        environment = {
            "CRON_SECRET": token_urlsafe(24),
            "SUPABASE_URL": "http://127.0.0.1:54321",
            "SUPABASE_SERVICE_ROLE_KEY": Keys().secret,
            "SESSION_ENCRYPTION_KEY": b64encode(token_bytes(32)).decode(),
            "LEAD_SECONDS": f"{BELL_AHEAD.total_seconds():g}",
        }
        super().__init__(database, environment, epoch=begins, protection=Protection.DUPLICATES)
        self.on_summary: Callable[[str, dict[str, Any]], None] = lambda _name, _summary: None

    async def sleep_until(self, instant: datetime) -> None:
        """Let the time pass, with the calls of the bell, the cron and upkeep, until an instant."""
        while (now := self.clock.now()) < instant:
            upkeep, cron = _next(now, self.UPKEEP_EVERY), _next(now, self.CRON_EVERY)
            bell = self._next_opening()
            await self._sleep(min(filter(None, (upkeep, cron, bell, instant))))
            if self.clock.now() >= upkeep:
                await self.invoke("upkeep", keep_up)
            if self.clock.now() >= cron or (bell and self.clock.now() >= bell):
                await self.invoke("prebooking_scheduler", run_once)

    async def _sleep(self, until: datetime) -> None:
        await self.clock.sleep((until - self.clock.now()).total_seconds())

    def _next_opening(self) -> datetime | None:
        """Return when the bell calls the function for the next opening."""
        (opens,) = self.connection.execute(_NEXT_OPENING, [self.clock.now() + BELL_AHEAD]).fetchone() or (None,)
        return opens - BELL_AHEAD if opens else None

    async def invoke(self, name: str, function: Callable[..., Awaitable[Any]]) -> None:
        """Call one of the functions as its endpoint does. Raises RuntimeError if it answers 500."""
        answer = await self.call(function)
        if not answer.success:
            raise RuntimeError(f"{name} failed: {answer.as_json()}")
        self.on_summary(name, answer.as_json())

    @asynccontextmanager
    async def supabase(self) -> AsyncIterator[IsolatedSupabase]:
        """Open a client, as a command does."""
        how: dict[str, Any] = {"clock": self.clock, "transport": self.to_database}
        async with create_isolated_supabase(self.settings(), uuid4(), **how) as supabase:
            yield supabase

    def deadline(self) -> Deadline:
        """Return the deadline of a command that starts now."""
        return Deadline.within(self.clock, 15.0)


def _next(now: datetime, every: timedelta) -> datetime:
    """Return the next multiple of a duration after an instant."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + every * (1 + (now - day) // every)
