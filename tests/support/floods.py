"""Floods: many rows that cannot be booked yet, of each kind, at several venues."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

from prebooking.local.venue.twin import Arrival, CallPlan, TwinReply
from tests.support.factories import add_venue
from tests.support.world import World

MEMBERS = 40  # of each flooded venue
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

Flood = Callable[[World, list[UUID], ExitStack], None]


def in_doubt(world: World, venues: list[UUID], _until: ExitStack) -> None:
    """The venue cannot tell the results of calls that were cut off."""
    world.twin.can_tell = False
    for venue in venues:
        world.opening(MEMBERS, venue=venue, at=-60, maybe_sent=True)


def out_of_reach(world: World, venues: list[UUID], _until: ExitStack) -> None:
    names = {str(venue).encode() for venue in venues}
    world.to_venues.refuses = lambda request: any(name in request.content for name in names)
    for venue in venues:
        world.opening(MEMBERS, venue=venue, at=-60)


def times_out(world: World, venues: list[UUID], _until: ExitStack) -> None:
    names = {str(venue).encode() for venue in venues}
    world.to_venues.connect = lambda request: 60.0 if any(name in request.content for name in names) else 0.0
    for venue in venues:
        world.opening(MEMBERS, venue=venue, at=-60)


def blocked(world: World, venues: list[UUID], _until: ExitStack) -> None:
    names = {str(venue) for venue in venues}

    def plan(arrival: Arrival) -> CallPlan:
        return CallPlan(acts=False, answer=TwinReply(403)) if arrival.venue in names else CallPlan()

    world.twin.plan = plan
    for venue in venues:
        world.opening(MEMBERS, venue=venue, at=-60)


def no_login(world: World, venues: list[UUID], _until: ExitStack) -> None:
    for number, _ in enumerate(venues):
        box = add_venue(world.connection, provider="aimharder", host=f"box{number}.aimharder.com")
        world.opening(MEMBERS, venue=box, at=-60)


def locked(world: World, venues: list[UUID], until: ExitStack) -> None:
    rows = [row for venue in venues for row in world.opening(MEMBERS, venue=venue, at=-60)]
    other = world.database.connect()
    until.enter_context(other.transaction())
    other.execute("select from public.prebookings where id = any (%s) for update", [rows])
