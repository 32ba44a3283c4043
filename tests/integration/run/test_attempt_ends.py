"""The result of a row that is cut off, refused, or in doubt because of an earlier call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from prebooking.bookers import Gate
from prebooking.errors import BadBookingData
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.bookers import ScriptedBooker, hang, raises
from tests.support.boxes import Gym
from tests.support.database import Database
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import BOOKED, PENDING, World


@pytest.mark.parametrize("clear", [Kind.TOO_EARLY, Kind.SESSION_EXPIRED])
def test_a_second_call_that_is_cut_off_leaves_the_row_in_doubt(world: World, clear: Kind) -> None:
    """I1: released with the clear answer to its first call, the row would be sent again while the second one acts."""
    [row] = world.opening(1)

    class HangingSecondCall(ScriptedBooker):
        async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
            answer = await super().book(row, timeout=timeout, gate=gate)
            if len(self.calls) == 2:
                await hang(row)
            return answer

    world.use(HangingSecondCall(Outcome(clear)))
    summary = world.run(world.invoke())
    assert summary.details["unsure"] == 1
    assert world.row(row)["attempts"] == 2
    assert world.row(row)["claimed_by"] is not None


def test_a_row_whose_login_cannot_be_renewed_is_released(world: World) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), login=Outcome(Kind.CANNOT_TELL)))
    summary = world.run(world.invoke())
    assert (world.row(row)["claimed_by"], world.row(row)["maybe_sent"]) == (None, False)
    assert summary.outcomes == {"logged_out": 1}


def test_a_row_whose_login_cannot_be_renewed_because_it_is_over_fails(world: World) -> None:
    rows = world.opening(1)
    world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), login=Outcome(Kind.SESSION_EXPIRED)))
    world.run(world.invoke())
    assert world.ends(rows) == [("failed", "session_expired")]


def test_a_row_in_doubt_does_not_fail_because_its_login_is_over(database: Database) -> None:
    """I4: the call before may have got the place."""
    gym = Gym(World(database))
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    gym.connection.execute("update public.prebookings set maybe_sent = true where true")
    gym.connection.execute("update public.member_sessions set expired_at = refreshed_at where true")
    summary = gym.world.run(gym.invoke())
    assert gym.world.ends([row]) == [PENDING]
    assert gym.world.row(row)["maybe_sent"]
    assert summary.outcomes == {"cannot_tell": 1}


@pytest.mark.parametrize(
    ("blocks", "attempts", "end"),
    [(3, 3, ("failed", "rejected")), (3, 4, PENDING), (2, 2, PENDING)],
)
def test_a_row_is_rejected_without_confirmation_only_if_each_of_its_calls_was_blocked(
    world: World, blocks: int, attempts: int, end: tuple[str, str | None]
) -> None:
    """I4: one call without a clear answer may have got the place."""
    venue = add_venue(world.connection, answered_at=EPOCH - timedelta(minutes=1))
    blocked: dict[str, Any] = {"blocks": blocks, "blocked_at": EPOCH - timedelta(minutes=5), "maybe_sent": True}
    [row] = world.opening(1, at=-600, venue=venue, attempts=attempts, **blocked)
    world.use(ScriptedBooker(found=Outcome(Kind.CANNOT_TELL)))
    world.run(world.invoke())
    assert world.ends([row]) == [end]


def test_an_idempotent_venue_gets_a_row_in_doubt_again_without_a_question(world: World) -> None:
    world.twin.can_tell = False
    [row] = world.opening(1, venue=add_venue(world.connection, idempotent=True), maybe_sent=True)
    world.run(world.invoke())
    assert world.ends([row]) == [BOOKED]
    assert world.twin.ledger.arrivals("GET") == []


def test_a_connection_that_fails_slowly_is_not_tried_again_in_the_run(world: World) -> None:
    world.opening(1)
    tries = list[Prebooking]()

    async def connect_slowly(row: Prebooking) -> None:
        tries.append(row)
        await asyncio.sleep(2.6)

    world.use(ScriptedBooker(Outcome(Kind.NOT_SENT), on_book=connect_slowly))
    world.run(world.invoke())
    assert len(tries) == 1


def test_an_unsendable_row_fails_only_if_it_was_never_sent(world: World) -> None:
    """I4."""
    venue = add_venue(world.connection, idempotent=True)
    rows = [*world.opening(1, venue=venue, maybe_sent=True), *world.opening(1, venue=venue)]
    world.use(ScriptedBooker(on_book=raises(BadBookingData("It is no request."))))
    world.run(world.invoke())
    assert world.ends(rows) == [PENDING, ("failed", "bad_data")]


def test_attempts_count_the_calls_of_all_runs(world: World) -> None:
    [row] = world.opening(1, attempts=3)
    world.use(ScriptedBooker(Outcome(Kind.UNSURE)))
    world.run(world.invoke())
    assert world.row(row)["attempts"] == 4
