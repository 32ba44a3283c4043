"""A virtual world for simulations: its ids come from a seed, and its calls run in instances that can be stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

from prebooking.local.venue.twin import Arrival
from prebooking.local.virtual_time import seconds_passed
from prebooking.local.virtual_world import VirtualWorld
from tests.support.world import ENVIRONMENT
from tests.verification.fault_plan import FaultPlan
from tests.verification.instance import Instance, run_instances
from tests.verification.sim_database import SimDatabase
from tests.verification.sim_prebooking import WatchedLog
from tests.verification.systems import SESSION_KEY
from tests.verification.transports import SimDatabaseTransport, SimVenueTransport

T = TypeVar("T")


class SimWorld(VirtualWorld):
    """A virtual world in one scenario of a database, with a fault plan for its transports."""

    to_database: SimDatabaseTransport
    to_venues: SimVenueTransport

    def __init__(self, sim_database: SimDatabase, rng: random.Random, faults: FaultPlan, **venue: Any) -> None:
        super().__init__(sim_database, ENVIRONMENT | {"SESSION_ENCRYPTION_KEY": SESSION_KEY}, **venue)
        self.sim_database, self.rng = sim_database, rng
        self.to_database = SimDatabaseTransport(self.execute, faults, self.note)
        self.to_venues = SimVenueTransport(self.twin, faults, self.note, self.row_of)
        self.instances = list[Instance]()
        self.unexpected = list[str]()  # exceptions that the code logs as unexpected
        self.timeline: list[str] | None = None
        self._tasks = list[asyncio.Task[None]]()

    def now(self) -> float:
        """Return the seconds of simulation time that have passed."""
        return seconds_passed()

    def note(self, what: str) -> None:
        """Add a line to the timeline, if there is one."""
        if self.timeline is not None:
            self.timeline.append(f"{self.now():9.3f}  {what}")

    def new_id(self) -> UUID:
        """Return the next id of the seed."""
        return UUID(int=self.rng.getrandbits(128), version=4)

    def row_of(self, arrival: Arrival) -> str:
        """Return the id of the prebooking that a call is for."""
        return arrival.prebooking_id

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run the scenario, and wait until every request that is under way has arrived."""

        async def run_and_end() -> T:
            try:
                return await self._run_and_drain(steps)
            finally:
                await self._end()

        return run_instances(run_and_end())

    async def drain(self) -> None:
        await super().drain()
        await self.to_database.drain()

    async def _end(self) -> None:
        """Resume every stopped instance without a network, so that its task ends."""
        self.to_database.over = self.to_venues.over = True
        self.timeline = None
        for instance in self.instances:
            instance.resume()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def start(
        self,
        instance: Instance,
        function: Callable[..., Awaitable[T]],
        done: Callable[[T], object],
        instance_id: UUID,
        **environment: Any,
    ) -> asyncio.Task[None]:
        """Call a function in an instance, and pass its response to ``done``."""

        async def call() -> None:
            log = WatchedLog(self.unexpected, instance_id=instance_id)
            done(await self.call(function, clock=instance, instance_id=instance_id, log=log, **environment))

        self.instances.append(instance)
        self._tasks.append(instance.start(call()))
        return self._tasks[-1]
