"""The CPU time of a warm request to the database: our isolated client beside supabase's default client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from uuid import uuid4

from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.local.stack import Stack
from prebooking.settings import Settings
from supabase import acreate_client

TURNS = 40
CLOCK = Clock()


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    settings = Settings.from_environment(stack.environment)
    ours, default = asyncio.run(in_turns(settings))
    yield (
        "CPU of an isolated client's whole request, against a default client's",
        f"{ours / default:.2f}",
        f"{ours * 1000:.1f} ms against {default * 1000:.1f} ms",
    )


async def in_turns(settings: Settings) -> tuple[float, float]:
    async def isolated() -> None:
        async with create_isolated_supabase(settings, uuid4(), clock=CLOCK) as supabase:
            until = Deadline.within(CLOCK, 5)
            await supabase.call("prebooking_clock", {}, str, until=until)

    async def default() -> None:
        key = settings.supabase_service_role_key.get_secret_value()
        client = await acreate_client(settings.supabase_url, key)
        await client.rpc("prebooking_clock").execute()
        await client.postgrest.aclose()

    costs: dict[Callable[[], Awaitable[None]], list[float]] = {isolated: [], default: []}
    for _ in range(TURNS):
        for request, cost in costs.items():
            before = time.process_time()
            await request()
            cost.append(time.process_time() - before)
    return median(costs[isolated][1:]), median(costs[default][1:])
