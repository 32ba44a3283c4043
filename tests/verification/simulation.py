"""Simulates a database, a venue system and its members, and runs instances of the real function against them."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from api.cron.session_keeper import EVERY
from prebooking.function.invocation import run_once
from prebooking.local import rest
from prebooking.local.venue.twin import Arrival, VenueTwin
from prebooking.local.virtual_world import call_function
from prebooking.settings import Settings
from prebooking.upkeep.run import keep_up
from tests.support.doubles import EPOCH
from tests.support.world import ENVIRONMENT
from tests.verification.database_clock import DatabaseClock
from tests.verification.fault_plan import FaultPlan
from tests.verification.instance import Instance, InstanceLoop, run_instances
from tests.verification.sim_database import SimDatabase
from tests.verification.sim_prebooking import SimPrebooking, SimRun, WatchedLog
from tests.verification.systems import KINDS, SESSION_KEY, SystemKind
from tests.verification.transports import SimDatabaseTransport, SimVenueTransport

T = TypeVar("T")

_ENVIRONMENT = ENVIRONMENT | {"SESSION_ENCRYPTION_KEY": SESSION_KEY}

_PREBOOKING = """
insert into public.prebookings
  (id, venue_id, user_email, booking_data, available_at, expires_at, created_at, stands_after)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class Simulation:
    """A simulation whose ids come from a seed, so that it can be repeated."""

    def __init__(
        self,
        sim_database: SimDatabase,
        *,
        seed: int = 0,
        kind: SystemKind = KINDS[0],
        faults: FaultPlan | None = None,
        database_skew: float = 0.0,
        venue_skew: float = 0.0,
    ) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.sim_database, self.connection = sim_database, sim_database.connection
        self.database_clock = DatabaseClock(database_skew)
        self.twin = VenueTwin(
            now=lambda: EPOCH + timedelta(seconds=self.now()),
            secret=ENVIRONMENT["BOOKING_WEBHOOK_SECRET"],
            protection=kind.protection,
            skew=timedelta(seconds=venue_skew),
        )
        self.kind, self.system = kind, kind.system(self.twin)
        faults = faults or FaultPlan()
        self.database_transport = SimDatabaseTransport(self._execute, faults, self.note)
        self.venue_transport = SimVenueTransport(self.twin, faults, self.note, self._row_of)
        self.prebookings: dict[UUID, SimPrebooking] = {}
        self._by_member: dict[str, UUID] = {}
        self._by_class: dict[tuple[str, str], UUID] = {}
        self.versions: dict[UUID, list[tuple[float, SimPrebooking]]] = {}  # per row: from which second on it was what
        self.runs: dict[UUID, SimRun] = {}
        self.keepers = list[Instance]()
        self.cancelled: dict[UUID, float] = {}  # prebookings that were cancelled, and at which second
        self.booked_by_hand = set[tuple[str, str]]()  # (member, class) that a member has booked directly at the venue
        self.moved = set[UUID]()  # prebookings whose opening was changed
        self.numbers = itertools.count(1)  # of members that an edit adds
        self.edits = Counter[bool]()  # of a class or a member, by whether the database accepted the edit
        self.longest_lease = 30.0  # seconds
        self.timeline: list[str] | None = None
        self.unexpected = list[str]()  # exceptions that the code logs as unexpected
        self._tasks = list[asyncio.Task[None]]()

    # time

    def now(self) -> float:
        """Return the seconds of simulation time that have passed."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstanceLoop)
        return loop.true_time()

    def database_time(self, seconds: float) -> datetime:
        """Return what the database's clock shows at this second of the simulation."""
        return self.database_clock.read(seconds)

    def step_database_clock(self, by: float) -> None:
        """Set the database's clock forward or back by this many seconds."""
        self.database_clock.set(self.now(), by)
        self.note(f"the database's clock is set by {by:+.3f} s, and shows {self.database_time(self.now())}")

    def set_database_clock(self) -> None:
        """Set the clock of the real database to the simulated one."""
        self.sim_database.set_clock(self.database_time(self.now()))

    def note(self, what: str) -> None:
        """Add a line to the timeline, if there is one."""
        if self.timeline is not None:
            self.timeline.append(f"{self.now():9.3f}  {what}")

    # members and venues

    def add_venue(self) -> UUID:
        """Add a venue of this simulation's venue system."""
        venue = self._uuid()
        self.system.add_venue(self.connection, venue)
        return venue

    def offer(self, venue: UUID, *, at: float = 0.0, capacity: int = 1000, waiting: int = 0) -> dict[str, Any]:
        """Offer a class that opens at this second of the database's clock; return the booking data for it."""
        return self.system.offer(venue, EPOCH + timedelta(seconds=at), capacity, waiting)

    def add_opening(
        self,
        members: int,
        *,
        venue: UUID | None = None,
        offer: dict[str, Any] | None = None,
        at: float = 0.0,
        lasts: float = 86_400.0,
        made: float = 0.0,
        session_age: float = 0.0,
        **how: Any,
    ) -> list[UUID]:
        """Add prebookings of new members for one class.

        Args:
            members: how many.
            venue: a new one, if it is None.
            offer: the booking data of an existing class; a new class with the arguments ``how``, if it is None.
            at: second of the database's clock at which the class opens.
            lasts: seconds from the opening to the expiry.
            made: second at which the prebookings are added.
            session_age: seconds since the members logged in.
            **how: arguments of ``offer``.

        """
        venue, opens = venue or self.add_venue(), EPOCH + timedelta(seconds=at)
        offer = offer or self.offer(venue, at=at, **how)
        prebookings = [
            self._prebooking(venue, offer["class_id"], opens, lasts, made, session_age) for _ in range(members)
        ]
        for prebooking in prebookings:
            self.system.join(self.connection, venue, prebooking.member, old=timedelta(seconds=session_age))
            self._insert(prebooking, offer)
        return [prebooking.id for prebooking in prebookings]

    def add_choices(
        self,
        members: int,
        *,
        venue: UUID,
        classes: Sequence[tuple[float, dict[str, Any]]],
        lasts: float = 86_400.0,
        made: float = 0.0,
        session_age: float = 0.0,
    ) -> list[list[UUID]]:
        """Add new members who ask for one of several classes; return the rows of each, the first choice first.

        ``classes`` are the seconds at which they open, and their booking data. The other arguments are those of
        ``add_opening``.
        """
        requests = []
        for _ in range(members):
            choices: list[SimPrebooking] = []
            for at, offer in classes:
                opens = EPOCH + timedelta(seconds=at)
                new = self._prebooking(venue, offer["class_id"], opens, lasts, made, session_age)
                if choices:
                    new = replace(new, member=choices[0].member, after=choices[-1].id)
                choices.append(self.record_version(new))
            self.system.join(self.connection, venue, choices[0].member, old=timedelta(seconds=session_age))
            for choice, (_, offer) in zip(choices, classes, strict=True):
                self._insert(choice, offer)
            requests.append([choice.id for choice in choices])
        return requests

    def _insert(self, prebooking: SimPrebooking, offer: dict[str, Any]) -> None:
        about = [prebooking.id, prebooking.venue, prebooking.member, Jsonb(offer)]
        when = [prebooking.available_at, prebooking.expires_at, prebooking.created_at]
        self.connection.execute(_PREBOOKING, [*about, *when, prebooking.after])

    def _prebooking(  # noqa: PLR0917 - the fields of a prebooking
        self, venue: UUID, class_id: str, opens: datetime, lasts: float, made: float, session_age: float
    ) -> SimPrebooking:
        created = EPOCH + timedelta(seconds=self.rng.uniform(-3600, 0) if made <= 0 else made)
        expires = opens + timedelta(seconds=lasts)
        row = self._uuid()
        login = self.now() - session_age
        return self.record_version(
            SimPrebooking(row, venue, class_id, opens, expires, created, made, login, f"{row}@example.com")
        )

    def record_version(self, prebooking: SimPrebooking) -> SimPrebooking:
        """Record what a row is from now on."""
        self.prebookings[prebooking.id] = prebooking
        self._by_member[prebooking.member] = prebooking.id
        self._by_class[prebooking.member, prebooking.class_id] = prebooking.id
        self.versions.setdefault(prebooking.id, []).append((self.now(), prebooking))
        return prebooking

    def _row_of(self, arrival: Arrival) -> str:
        """Return the id of the prebooking that a call is for: in the call, or else by member and class."""
        about = (arrival.member, arrival.class_id)
        row = self._by_class.get(about) or self._by_member.get(arrival.member)  # none: no request about a member
        return arrival.prebooking_id or (str(row) if row else "")

    def _uuid(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)

    async def wait_for_arrivals(self) -> None:
        """Wait until every request that is under way has arrived."""
        await self.venue_transport.drain()
        await self.database_transport.drain()

    # instances

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        """Run the scenario, and wait until every request that is under way has arrived."""

        async def run_and_end() -> T:
            try:
                result = await scenario
                await self.wait_for_arrivals()
                return result
            finally:
                await self._end()

        return run_instances(run_and_end())

    async def _end(self) -> None:
        """Resume every stopped instance without a network, so that its task ends."""
        self.database_transport.over = self.venue_transport.over = True
        self.timeline = None
        for instance in (*(run.instance for run in self.runs.values()), *self.keepers):
            instance.resume()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def invoke(self, instance: Instance | None = None, **environment: str) -> asyncio.Task[None]:
        """Run the scheduler once in an instance."""
        instance = instance or Instance(f"i{len(self.runs)}")
        run = SimRun(instance, self.now())
        instance_id = self._uuid()
        self.runs[instance_id] = run
        self.note(f"{instance.name}: starts as {str(instance_id)[:8]}")
        settings = Settings.from_environment(_ENVIRONMENT | environment)
        self.longest_lease = max(self.longest_lease, settings.lease_seconds)
        task = instance.start(self._run(run, instance_id, settings))
        self._tasks.append(task)
        return task

    async def _run(self, run: SimRun, instance_id: UUID, settings: Settings) -> None:
        clock = run.instance
        run.summary = await self._call(run_once, clock, instance_id, settings)
        self.note(f"{clock.name}: responds {run.summary.message}, {run.summary.details} {run.summary.outcomes}")

    def keep(self, instance: Instance) -> asyncio.Task[None]:
        """Run upkeep once in an instance, as with its former trigger."""
        self.keepers.append(instance)
        self.note(f"{instance.name}: starts as upkeep")
        task = instance.start(self._keep(instance, self._uuid(), Settings.from_environment(_ENVIRONMENT)))
        self._tasks.append(task)
        return task

    async def _keep(self, clock: Instance, instance_id: UUID, settings: Settings) -> None:
        kept = await self._call(partial(keep_up, every=EVERY), clock, instance_id, settings)
        self.note(f"{clock.name}: responds {kept.details}")

    async def _call(self, function: Callable[..., Awaitable[T]], clock: Instance, by: UUID, settings: Settings) -> T:
        log = WatchedLog(self.unexpected, instance_id=by)
        transports = (self.database_transport, self.venue_transport)
        return await call_function(function, settings, clock, *transports, instance_id=by, log=log)

    def _execute(self, function: str, body: bytes) -> rest.RestReply:
        now = self.now()
        return self.sim_database.call(function, json.loads(body), at=self.database_time(now), seconds=now)
