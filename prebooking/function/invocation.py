"""Creates the objects of one invocation and runs it. Invocations share no mutable state."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import httpx

from prebooking.bookers.adapter import Invocation, open_systems, preload
from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.database.prebookings import PrebookingStore
from prebooking.log import Log
from prebooking.model import Summary
from prebooking.run.hold import read_clock_while_held
from prebooking.run.scheduler import PrebookingScheduler
from prebooking.settings import Settings, key_id

preload()


async def run_once(
    settings: Settings,
    *,
    instance_id: UUID,
    guard: Deadline,
    clock: Clock,
    log: Log,
    by_hand: bool = False,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
) -> Summary:
    """Book the due rows once, and return the summary. The transports replace the network in tests.

    ``by_hand``: a person starts the run, so it is not recorded as a call of the trigger.
    """
    async with (
        create_isolated_supabase(settings, instance_id, clock=clock, transport=to_database) as database,
        open_systems(settings.systems, Invocation(settings, database, instance_id, clock, to_venues)) as bookers,
    ):
        scheduler = PrebookingScheduler(
            store=PrebookingStore(database, instance_id=instance_id, clock=clock, by_hand=by_hand),
            bookers=bookers,
            settings=settings,
            keys=[key_id(key) for key in settings.session_keys],
            read_clock=partial(read_clock_while_held, database),
            guard=guard,
            clock=clock,
            log=log,
        )
        return await scheduler.run()
