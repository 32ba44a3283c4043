"""One world: a database, a venue system, its members, and as many instances of the real function as a story wants."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from prebooking.bookers.aimharder.keeper import keep_sessions
from prebooking.function.invocation import run_once
from prebooking.local import rest
from prebooking.local.venue.twin import Arrival, VenueTwin
from prebooking.settings import Settings
from tests.support.doubles import EPOCH
from tests.support.world import ENVIRONMENT, call_function
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
insert into public.prebookings (id, venue_id, user_email, booking_data, available_at, expires_at, created_at)
values (%s, %s, %s, %s, %s, %s, %s)
"""


class Simulation:
    """A world whose ids come from a seed, so that it can be played again."""

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
        self.dice = random.Random(seed)  # noqa: S311 - made to be played again
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
        self.database_wire = SimDatabaseTransport(self._carry_out, faults, self.note)
        self.venue_wire = SimVenueTransport(self.twin, faults, self.note, self._row_of)
        self.prebookings: dict[UUID, SimPrebooking] = {}
        self._by_member: dict[str, UUID] = {}
        self.versions: dict[UUID, list[tuple[float, SimPrebooking]]] = {}  # of each row: since when it was what
        self.runs: dict[UUID, SimRun] = {}
        self.keepers = list[Instance]()
        self.cancelled: dict[UUID, float] = {}  # prebookings that a member has cancelled, and when
        self.booked_by_hand = set[tuple[str, str]]()  # members and classes
        self.moved = set[UUID]()  # prebookings whose opening somebody has changed
        self.numbers = itertools.count(1)  # of members whom an edit names
        self.edits = Counter[bool]()  # of the class or the member of a prebooking: taken, refused
        self.longest_lease = 30.0  # seconds
        self.timeline: list[str] | None = None
        self.unexpected = list[str]()  # exceptions that nobody foresaw
        self._tasks = list[asyncio.Task[None]]()

    # time

    def now(self) -> float:
        """Return the seconds of the world's time that have passed."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstanceLoop)
        return loop.true_time()

    def database_time(self, seconds: float) -> datetime:
        """Return what the database's clock says so many seconds into the story."""
        return self.database_clock.read(seconds)

    def step_database_clock(self, by: float) -> None:
        """Set the database's clock forward or back by so many seconds."""
        self.database_clock.set(self.now(), by)
        self.note(f"the database's clock is set by {by:+.3f} s, and says {self.database_time(self.now())}")

    def set_database_clock(self) -> None:
        """Let the database's clock say what it says now."""
        self.sim_database.set_clock(self.database_time(self.now()))

    def note(self, what: str) -> None:
        """Write a line of the timeline, if anybody wants one."""
        if self.timeline is not None:
            self.timeline.append(f"{self.now():9.3f}  {what}")

    # members and venues

    def add_venue(self) -> UUID:
        """Add a venue of this world's system."""
        venue = self._uuid()
        self.system.add_venue(self.connection, venue)
        return venue

    def offer(self, venue: UUID, *, at: float = 0.0, capacity: int = 1000, waiting: int = 0) -> dict[str, Any]:
        """Offer a class that opens at an instant of the database's clock; return what a prebooking of it says."""
        return self.system.offer(venue, EPOCH + timedelta(seconds=at), capacity, waiting)

    def opening(
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
        """Let members, who logged in so long ago, wait for a class that opens at an instant of the database's clock."""
        venue, opens = venue or self.add_venue(), EPOCH + timedelta(seconds=at)
        offer = offer or self.offer(venue, at=at, **how)
        prebookings = [
            self._prebooking(venue, offer["class_id"], opens, lasts, made, session_age) for _ in range(members)
        ]
        for prebooking in prebookings:
            self.system.join(self.connection, venue, prebooking.member, old=timedelta(seconds=session_age))
            about = [prebooking.id, venue, prebooking.member, Jsonb(offer)]
            self.connection.execute(_PREBOOKING, [*about, opens, prebooking.expires_at, prebooking.created_at])
        return [prebooking.id for prebooking in prebookings]

    def _prebooking(  # noqa: PLR0917 - what a wish is
        self, venue: UUID, class_id: str, opens: datetime, lasts: float, made: float, session_age: float
    ) -> SimPrebooking:
        created = EPOCH + timedelta(seconds=self.dice.uniform(-3600, 0) if made <= 0 else made)
        expires = opens + timedelta(seconds=lasts)
        row = self._uuid()
        login = self.now() - session_age
        return self.keep_wish(
            SimPrebooking(row, venue, class_id, opens, expires, created, made, login, f"{row}@example.com")
        )

    def keep_wish(self, prebooking: SimPrebooking) -> SimPrebooking:
        """Keep what a row is from now on."""
        self.prebookings[prebooking.id] = prebooking
        self._by_member[prebooking.member] = prebooking.id
        self.versions.setdefault(prebooking.id, []).append((self.now(), prebooking))
        return prebooking

    def _row_of(self, arrival: Arrival) -> str:
        """Return whose prebooking a call is about: some venues are told its id, some only its member."""
        row = self._by_member.get(arrival.member)  # none: a connection that is opened before anybody calls
        return arrival.prebooking_id or (str(row) if row else "")

    def _uuid(self) -> UUID:
        return UUID(int=self.dice.getrandbits(128), version=4)

    async def wait_for_arrivals(self) -> None:
        """Return when everything that is under way has arrived."""
        await self.venue_wire.drain()
        await self.database_wire.drain()

    # instances

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        """Play a story to its end, and let everything that is under way arrive."""

        async def all_of_it() -> T:
            try:
                told = await scenario
                await self.wait_for_arrivals()
                return told
            finally:
                await self._end()

        return run_instances(all_of_it())

    async def _end(self) -> None:
        """Let whoever was stopped run into the end of the world, where nothing can be reached, and end."""
        self.database_wire.over = self.venue_wire.over = True
        self.timeline = None
        for instance in (*(run.instance for run in self.runs.values()), *self.keepers):
            instance.resume()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def invoke(self, instance: Instance | None = None, **environment: str) -> asyncio.Task[None]:
        """Let an instance be the function, once."""
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
        run.summary = await call_function(
            run_once,
            settings,
            clock,
            self.database_wire,
            self.venue_wire,
            instance_id=instance_id,
            log=WatchedLog(self.unexpected, instance_id=instance_id),
        )
        self.note(f"{clock.name}: answers {run.summary.message}, {run.summary.details} {run.summary.outcomes}")

    def keep(self, instance: Instance) -> asyncio.Task[None]:
        """Let an instance be the function that keeps members logged in, once."""
        self.keepers.append(instance)
        self.note(f"{instance.name}: starts to keep members logged in")
        task = instance.start(self._keep(instance, self._uuid(), Settings.from_environment(_ENVIRONMENT)))
        self._tasks.append(task)
        return task

    async def _keep(self, clock: Instance, instance_id: UUID, settings: Settings) -> None:
        kept = await call_function(
            keep_sessions,
            settings,
            clock,
            self.database_wire,
            self.venue_wire,
            instance_id=instance_id,
            log=WatchedLog(self.unexpected, instance_id=instance_id),
        )
        self.note(f"{clock.name}: answers {kept.details}")

    def _carry_out(self, function: str, body: bytes) -> rest.RestReply:
        now = self.now()
        return self.sim_database.call(function, json.loads(body), at=self.database_time(now), seconds=now)
