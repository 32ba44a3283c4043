"""Rows that need a login, or the confirmation of an earlier call, before they can be called."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prebooking.local.venue.twin import HANG, Arrival, CallPlan, TwinReply
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.bookers import ScriptedBooker, raises
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import BOOKED, PENDING, RECONCILED, World, gaps


def seconds(arrivals: list[Arrival]) -> list[float]:
    return [(arrival.at - EPOCH).total_seconds() for arrival in arrivals]


def test_confirmations_keep_the_stagger(world: World) -> None:
    rows = world.opening(8, maybe_sent=True)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 8
    asked = seconds(world.twin.ledger.arrivals("GET"))
    assert min(gaps(asked)) >= 0.05 - 1e-9


def test_a_row_with_setbacks_is_confirmed_after_all_others_have_their_slots(world: World) -> None:
    venue = add_venue(world.connection)
    fresh = world.opening(20, venue=venue)
    [behind] = world.opening(
        1, at=-60, venue=venue, maybe_sent=True, setbacks=1, retry_after=EPOCH - timedelta(seconds=1)
    )
    world.run(world.invoke())
    assert world.ends([*fresh, behind]) == [BOOKED] * 21
    assert seconds(world.twin.ledger.arrivals("GET"))[0] > 0.5


def test_a_row_confirmed_while_others_wait_keeps_their_stagger(world: World) -> None:
    """I6: it is sent before them, but not in the slot of one of them."""
    venue = add_venue(world.connection)
    cleared = world.opening(3, at=-1, venue=venue, maybe_sent=True)
    rows = world.opening(10, venue=venue)
    world.run(world.invoke())
    assert world.ends([*cleared, *rows]) == [BOOKED] * 13
    assert min(gaps(world.sent())) >= 0.05 - 1e-9


@pytest.mark.parametrize("raised", [RuntimeError("canary"), asyncio.CancelledError("canary")])
def test_a_row_whose_preparation_raises_gets_a_setback(world: World, raised: BaseException) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker(ready=False, on_prepare=raises(raised)))
    summary = world.run(world.invoke())
    found = world.row(row)
    assert (found["claimed_by"], found["maybe_sent"], found["setbacks"]) == (None, False, 1)
    assert found["retry_after"] > EPOCH + timedelta(seconds=30)
    assert summary.outcomes == {"not_ready": 1}


def test_an_earlier_failed_login_is_kept_when_a_later_one_is_blocked(world: World) -> None:
    """The first row could not log in. The second one's login is blocked, and all unsent rows are released."""
    logins = {row: Outcome(kind) for row, kind in zip(world.opening(2), (Kind.CANNOT_TELL, Kind.BLOCKED), strict=True)}
    first, second = logins

    class Logins(ScriptedBooker):
        async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ARG002, ASYNC109 - see Booker
            return logins[row.id]

    world.use(Logins(ready=False))
    world.run(world.invoke())
    assert world.held((first, second)) == [None, None]
    assert world.row(first)["setbacks"] == 1


def test_a_running_confirmation_settles_its_row_when_another_row_is_blocked(world: World) -> None:
    venue = add_venue(world.connection)
    [asked] = world.opening(1, at=-1, venue=venue, maybe_sent=True)
    [blocked] = world.opening(1, venue=venue)

    async def steps() -> None:
        world.twin.book(world.booking_call(asked))  # by the call of an earlier run
        await world.invoke()

    def plan(arrival: Arrival) -> CallPlan:
        return CallPlan(delay_before=1.0) if arrival.method == "GET" else CallPlan(acts=False, answer=TwinReply(429))

    world.twin.plan = plan
    world.run(steps())
    assert world.ends([asked, blocked]) == [RECONCILED, PENDING]
    assert world.row(asked)["answered_at"] is None, "the column is for calls of this run"


def test_a_row_confirmed_after_its_venue_was_paused_is_released_at_once(world: World) -> None:
    venue = add_venue(world.connection)
    [asked] = world.opening(1, at=-1, venue=venue, maybe_sent=True)
    world.opening(1, venue=venue)
    world.twin.plan = lambda a: (
        CallPlan(delay_before=1.0) if a.method == "GET" else CallPlan(acts=False, answer=TwinReply(429))
    )
    summary = world.run(world.invoke())
    assert (world.row(asked)["claimed_by"], world.row(asked)["maybe_sent"]) == (None, False)
    assert summary.execution_time_ms < 2000


def test_an_exception_after_a_confirmation_keeps_its_result(world: World) -> None:
    [row] = world.opening(1, maybe_sent=True)
    world.use(ScriptedBooker(found=Outcome(Kind.NOT_BOOKED), on_book=raises(RuntimeError("canary"))))
    world.run(world.invoke())
    assert (world.row(row)["claimed_by"], world.row(row)["maybe_sent"]) == (None, False)


def test_a_call_connects_shortly_before_its_opening(world: World) -> None:
    """Servers close connections that are idle for a few seconds."""
    world.opening(3, at=3.0)
    connected = world.record_connections(0.01)
    world.run(world.invoke(LEAD_SECONDS="3"))
    assert min(connected) >= 3 - 0.6 - 0.01


def test_the_next_call_starts_after_the_first_byte_of_the_previous_one(world: World) -> None:
    """Building the next request at the same instant would delay the bytes of the previous one."""
    world.opening(6)
    connected = world.record_connections(0.0)
    world.run(world.invoke())
    left = [at - 0.02 for at in world.sent()]
    assert connected[4] >= left[0] + 0.004, "four may connect at once"


def test_a_hanging_confirmation_takes_two_seconds(world: World) -> None:
    world.opening(1, maybe_sent=True)
    world.twin.plan = lambda _: CallPlan(acts=False, answer=HANG)
    summary = world.run(world.invoke())
    assert summary.outcomes == {"cannot_tell": 1}
    assert 2000 <= summary.execution_time_ms < 2500


@pytest.mark.parametrize(("answered_after", "questions"), [(5.5, 1), (6.5, 0)])
def test_an_unclear_answer_shortly_before_the_guard_is_confirmed_by_the_next_run(
    world: World, answered_after: float, questions: int
) -> None:
    """A confirmation takes at most two seconds, and the guard is at eight."""
    [row] = world.opening(1)
    world.twin.script(row, CallPlan(delay_after=answered_after, answer=TwinReply(502)))
    summary = world.run(world.invoke())
    assert len(world.twin.ledger.arrivals("GET")) == questions
    assert world.ends([row]) == [RECONCILED if questions else PENDING]
    assert summary.details["unsure"] == 1 - questions
