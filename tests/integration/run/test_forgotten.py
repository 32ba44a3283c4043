"""What a row records of earlier runs counts only while it is still true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from prebooking.bookers import Gate
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.bookers import ScriptedBooker
from tests.support.calls import claimed
from tests.support.database import set_clock
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.world import PENDING, RECONCILED, World, minutes


def scripted(*kinds: Kind) -> ScriptedBooker:
    """Return a booker with unclear answers and these results of confirmations."""
    return ScriptedBooker(Outcome(Kind.UNSURE), [Outcome(kind) for kind in kinds])


class Firewall(ScriptedBooker):
    """A venue whose firewall blocks bookings but not confirmations; both take a while."""

    def __init__(self) -> None:
        super().__init__(answer=Outcome(Kind.BLOCKED))
        self.booked: Sequence[UUID] = ()

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        outcome = await super().book(row, timeout=timeout, gate=gate)
        await asyncio.sleep(0.3)
        return outcome

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
        await asyncio.sleep(0.1)
        return Outcome(Kind.BOOKED if row.id in self.booked else Kind.NOT_BOOKED)


def test_a_class_that_was_seen_again_is_not_gone_at_the_next_miss(world: World) -> None:
    """I4: the call that was made when the class was seen may have got the place."""
    [row] = world.opening(1, maybe_sent=True)
    world.use(scripted(Kind.MISSING, Kind.NOT_BOOKED, Kind.CANNOT_TELL, Kind.MISSING, Kind.BOOKED))
    world.run(minutes(world, 10))
    assert world.ends([row]) == [RECONCILED]


def test_an_unrecorded_call_of_a_dead_run_does_not_count_as_blocked(world: World) -> None:
    """I4: the call may have got the place."""
    [row] = world.opening(1)

    async def steps() -> None:
        world.use(ScriptedBooker(answer=Outcome(Kind.BLOCKED)))
        await world.invoke()
        world.connection.execute(
            "update public.venues set paused_until = null, answered_at = %s", [EPOCH + timedelta(minutes=1)]
        )
        await asyncio.sleep(120)
        set_clock(world.connection, VirtualClock().now())
        assert claimed(world.connection, uuid4()) == [row], "by a run that calls the venue and is killed"
        await asyncio.sleep(60)
        world.use(scripted(Kind.CANNOT_TELL))
        await minutes(world, 30)

    world.run(steps())
    assert world.ends([row]) == [PENDING]


@pytest.mark.parametrize("found", [0, 1])
def test_an_answered_confirmation_does_not_prove_that_the_venue_books_others(world: World, found: int) -> None:
    rows = world.opening(12)
    booker = world.use(Firewall())

    async def steps() -> None:
        await minutes(world, 15)
        booker.booked = world.opening(found, maybe_sent=True, at=-60)
        await minutes(world, 45)

    world.run(steps())
    assert world.ends(rows) == [PENDING] * 12
