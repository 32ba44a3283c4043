"""Simulates a database, a venue system and its members, and runs instances of the real function against them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from api.cron.session_keeper import EVERY
from prebooking.function.invocation import run_once
from prebooking.local.venue.twin import Arrival
from prebooking.model import Summary
from prebooking.upkeep.run import UpkeepSummary, keep_up
from tests.support.doubles import EPOCH
from tests.verification.database_clock import DatabaseClock
from tests.verification.fault_plan import FaultPlan
from tests.verification.instance import Instance
from tests.verification.sim_database import SimDatabase
from tests.verification.sim_prebooking import SimPrebooking, SimRun
from tests.verification.sim_world import SimWorld
from tests.verification.systems import KINDS, SystemKind

_PREBOOKING = """
insert into public.prebookings
  (id, venue_id, user_email, booking_data, available_at, expires_at, created_at, stands_after)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class Simulation(SimWorld):
    """A simulation of members, venues and their classes.

    ``database_skew`` and ``venue_skew`` are how far the clocks of the database and of the venue are ahead.
    """

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
        rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        venue = {"protection": kind.protection, "skew": timedelta(seconds=venue_skew)}
        super().__init__(sim_database, rng, faults or FaultPlan(), **venue)
        self.database_clock = DatabaseClock(database_skew)
        self.kind, self.system = kind, kind.system(self.twin)
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

    # the database's clock

    def database_time(self) -> datetime:
        return self.database_clock.read(self.now())

    def step_database_clock(self, by: float) -> None:
        """Set the database's clock forward or back by this many seconds."""
        self.database_clock.set(self.now(), by)
        self.note(f"the database's clock is set by {by:+.3f} s, and shows {self.database_time()}")

    # members and venues

    def add_venue(self) -> UUID:
        """Add a venue of this simulation's venue system."""
        venue = self.new_id()
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
        row = self.new_id()
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

    def row_of(self, arrival: Arrival) -> str:
        """Return the id of the prebooking that a call is for: in the call, or else by member and class."""
        about = (arrival.member, arrival.class_id)
        row = self._by_class.get(about) or self._by_member.get(arrival.member)  # none: no request about a member
        return arrival.prebooking_id or (str(row) if row else "")

    # instances

    def invoke(self, instance: Instance | None = None, **environment: str) -> asyncio.Task[None]:
        """Run the scheduler once in an instance."""
        instance = instance or Instance(f"i{len(self.runs)}")
        run = SimRun(instance, self.now())
        instance_id = self.new_id()
        self.runs[instance_id] = run
        self.note(f"{instance.name}: starts as {str(instance_id)[:8]}")
        self.longest_lease = max(self.longest_lease, self.settings(**environment).lease_seconds)

        def ends(summary: Summary) -> None:
            run.summary = summary
            self.note(f"{instance.name}: responds {summary.message}, {summary.details} {summary.outcomes}")

        return self.start(instance, run_once, ends, instance_id, **environment)

    def keep(self, instance: Instance) -> asyncio.Task[None]:
        """Run upkeep once in an instance, as with its former trigger."""
        self.keepers.append(instance)
        self.note(f"{instance.name}: starts as upkeep")

        def ends(kept: UpkeepSummary) -> None:
            self.note(f"{instance.name}: responds {kept.details}")

        return self.start(instance, partial(keep_up, every=EVERY), ends, self.new_id())
