"""How a row ends, or does not, when its run is cut off, its venue refuses it, or an earlier call of it is in doubt."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from prebooking.bookers import Gate
from prebooking.errors import BadBookingData
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.bookers import ScriptedBooker
from tests.support.boxes import Gym
from tests.support.database import Database
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import World


@pytest.mark.parametrize("clear", [Kind.TOO_EARLY, Kind.SESSION_EXPIRED])
def test_a_call_that_is_cut_off_after_a_clear_answer_is_in_doubt(world: World, clear: Kind) -> None:
    """I1: given back with the clear answer to the first call, the row would be sent again while the second acts."""
    [row] = world.opening(1)

    class Hangs(ScriptedBooker):
        async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
            await super().book(row, timeout=timeout, gate=gate)
            if len(self.calls) == 2:
                await asyncio.Event().wait()
            return Outcome(clear)

    world.use(Hangs())
    summary = world.run(world.invoke())
    assert summary.details["unsure"] == 1
    assert world.row(row)["attempts"] == 2
    assert world.row(row)["claimed_by"] is not None


def test_a_row_whose_login_could_not_be_renewed_goes_back_with_its_clear_answer(world: World) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), login=Outcome(Kind.CANNOT_TELL)))
    summary = world.run(world.invoke())
    assert (world.row(row)["claimed_by"], world.row(row)["maybe_sent"]) == (None, False)
    assert summary.outcomes == {"logged_out": 1}


def test_a_row_whose_login_is_over_when_it_is_renewed_after_a_call_has_failed(world: World) -> None:
    rows = world.opening(1)
    world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), login=Outcome(Kind.SESSION_EXPIRED)))
    world.run(world.invoke())
    assert world.ends(rows) == [("failed", "session_expired")]


def test_a_login_that_is_over_says_nothing_about_a_row_in_doubt(database: Database) -> None:
    """I4: the call before may have got the place."""
    gym = Gym(World(database))
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    gym.connection.execute("update public.prebookings set maybe_sent = true where true")
    gym.connection.execute("update public.member_sessions set expired_at = refreshed_at where true")
    summary = gym.world.run(gym.invoke())
    assert gym.world.ends([row]) == [("pending", None)]
    assert gym.world.row(row)["maybe_sent"]
    assert summary.outcomes == {"cannot_tell": 1}


@pytest.mark.parametrize(
    ("blocks", "attempts", "end"),
    [(3, 3, ("failed", "rejected")), (3, 4, ("pending", None)), (2, 2, ("pending", None))],
)
def test_a_row_is_given_up_unasked_only_if_each_of_its_calls_was_refused(
    world: World, blocks: int, attempts: int, end: tuple[str, str | None]
) -> None:
    """I4: one call without a clear answer may have got the place."""
    venue = add_venue(world.connection, answered_at=EPOCH - timedelta(minutes=1))
    blocked: dict[str, Any] = {"blocks": blocks, "blocked_at": EPOCH - timedelta(minutes=5), "maybe_sent": True}
    [row] = world.opening(1, at=-600, venue=venue, attempts=attempts, **blocked)
    world.use(ScriptedBooker(found=Outcome(Kind.CANNOT_TELL)))
    world.run(world.invoke())
    assert world.ends([row]) == [end]


def test_where_a_key_books_once_a_row_in_doubt_is_sent_again_and_nobody_is_asked(world: World) -> None:
    world.twin.can_tell = False
    [row] = world.opening(1, venue=add_venue(world.connection, idempotent=True), maybe_sent=True)
    world.run(world.invoke())
    assert world.ends([row]) == [("completed", "booked")]
    assert world.twin.ledger.arrivals("GET") == []


def test_a_venue_that_does_not_accept_a_connection_for_seconds_is_not_tried_again_in_the_run(world: World) -> None:
    world.opening(1)
    tries = []

    class OutOfReach(ScriptedBooker):
        async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
            tries.append(row.id)
            await asyncio.sleep(2.6)
            return Outcome(Kind.NOT_SENT)

    world.use(OutOfReach())
    world.run(world.invoke())
    assert len(tries) == 1


def test_a_row_that_can_be_no_request_any_more_stays_in_doubt_where_it_may_have_been_sent(world: World) -> None:
    """I4: such a row has failed only if it was never sent."""
    venue = add_venue(world.connection, idempotent=True)
    rows = [*world.opening(1, venue=venue, maybe_sent=True), *world.opening(1, venue=venue)]

    class Unbuildable(ScriptedBooker):
        async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
            raise BadBookingData("It is no request.")

    world.use(Unbuildable())
    world.run(world.invoke())
    assert world.ends(rows) == [("pending", None), ("failed", "bad_data")]


def test_a_row_counts_the_calls_of_all_its_runs(world: World) -> None:
    [row] = world.opening(1, attempts=3)
    world.use(ScriptedBooker(Outcome(Kind.UNSURE)))
    world.run(world.invoke())
    assert world.row(row)["attempts"] == 4
