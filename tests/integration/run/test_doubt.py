"""A row that may have been sent is not sent again before the venue confirms: cut off, killed, frozen, unanswered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from prebooking.local.venue.twin import DROP, HANG, Arrival, CallPlan, Protection, TwinReply
from tests.support.calls import claimed
from tests.support.database import set_clock
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_venue
from tests.support.world import BOOKED, PENDING, RECONCILED, World, minutes

ACTED_AND_SILENT = CallPlan(answer=HANG)
SILENT = CallPlan(acts=False, answer=HANG)
ACTED_AND_CUT = CallPlan(answer=DROP)
CUT = CallPlan(acts=False, answer=DROP)


@pytest.mark.parametrize("plan", [ACTED_AND_SILENT, SILENT])
def test_a_call_cut_off_at_the_guard_keeps_its_lease(world: World, plan: CallPlan) -> None:
    [row] = world.opening(1)
    world.twin.script(row, plan)
    summary = world.run(world.invoke())
    found = world.row(row)
    assert (found["status"], found["attempts"], found["claimed_by"]) == ("pending", 1, summary.instance_id)
    assert EPOCH < found["fired_at"] < EPOCH + timedelta(seconds=0.1)
    assert summary.timed_out
    assert summary.details["unsure"] == 1


@pytest.mark.parametrize(("plan", "end"), [(ACTED_AND_SILENT, RECONCILED), (SILENT, BOOKED), (CUT, BOOKED)])
@pytest.mark.parametrize("protection", list(Protection))
def test_after_the_lease_the_row_is_confirmed_and_booked_once(
    world: World, plan: CallPlan, end: tuple[str, str], protection: Protection
) -> None:
    world.twin.protection = protection
    [row] = world.opening(1)
    world.twin.script(row, plan)
    world.run(minutes(world, 2))
    assert world.ends([row]) == [end]
    assert len(world.twin.ledger.bookings_of(row)) == 1


def test_a_lost_answer_is_confirmed_in_the_same_run(world: World) -> None:
    rows = world.opening(3)
    world.twin.script(rows[1], ACTED_AND_CUT)
    summary = world.run(world.invoke())
    assert world.ends(rows) == [BOOKED, RECONCILED, BOOKED]
    assert world.row(rows[1])["booking_id"] is not None
    assert summary.details["completed"] == 3


@pytest.mark.parametrize("status", [200, 202, 302, 408, 500, 502, 503])
def test_an_unclear_answer_is_confirmed(world: World, status: int) -> None:
    acted, not_acted = world.opening(2)
    reply = TwinReply(status, {"content-type": "text/html"}, b"<html>oops</html>")
    world.twin.script(acted, CallPlan(answer=reply))
    world.twin.script(not_acted, CallPlan(acts=False, answer=reply))
    world.run(world.invoke())
    assert world.ends([acted, not_acted]) == [RECONCILED, PENDING]
    assert len(world.twin.ledger.arrivals()) == 2, "the row that is not booked is not sent again before its lease ends"


def test_a_row_of_a_dead_run_is_confirmed_before_it_is_sent(world: World) -> None:
    booked, unsent = world.opening(2)
    set_clock(world.connection, EPOCH)
    assert claimed(world.connection, uuid4(), lease_ms=30_000) == [booked, unsent]

    async def steps() -> None:
        await asyncio.sleep(1)
        world.twin.book(world.booking_call(booked))  # by the call of the run that was killed
        await minutes(world, 2)

    world.run(steps())
    assert world.ends([booked, unsent]) == [RECONCILED, BOOKED]
    assert world.twin.ledger.double_bookings() == {}
    assert [arrival.prebooking_id for arrival in world.twin.ledger.arrivals()] == [str(unsent)]


def test_nothing_is_sent_while_the_venue_cannot_tell(world: World) -> None:
    [row] = world.opening(1, expires_at=EPOCH + timedelta(seconds=290))
    world.twin.can_tell = False
    world.twin.script(row, ACTED_AND_SILENT)
    world.run(minutes(world, 4))
    assert (world.row(row)["status"], world.row(row)["maybe_sent"]) == ("pending", True)
    assert len(world.twin.ledger.arrivals("GET")) >= 2
    world.run(later(world, 300))
    assert world.ends([row]) == [("failed", "unknown")]
    assert len(world.twin.ledger.arrivals()) == 1


async def later(world: World, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await world.invoke()


def test_a_refusal_of_a_row_in_doubt_is_confirmed_first(world: World) -> None:
    world.twin.protection = Protection.CAPACITY_FIRST
    [row] = world.opening(1, capacity=1)
    world.twin.script(row, CallPlan(delay_before=31, answer=HANG))  # books before the second call
    world.twin.script(row, CallPlan(delay_before=0.6))

    async def steps() -> None:
        await world.invoke()
        await asyncio.sleep(30.5 - 8.03)
        await world.invoke()

    world.run(steps())
    assert world.ends([row]) == [RECONCILED]
    assert len(world.twin.ledger.bookings_of(row)) == 1


def test_a_confirmed_refusal_of_a_row_in_doubt_is_final(world: World) -> None:
    lost, other = world.opening(2, capacity=1)
    world.twin.script(lost, SILENT)
    world.run(minutes(world, 2))
    assert world.ends([other, lost]) == [BOOKED, ("failed", "full")]


@pytest.mark.parametrize("plan", [ACTED_AND_CUT, CUT])
def test_an_idempotent_venue_gets_the_same_key_again_instead_of_a_question(world: World, plan: CallPlan) -> None:
    world.twin.protection = Protection.IDEMPOTENT
    [row] = world.opening(1, venue=add_venue(world.connection, idempotent=True))
    world.twin.script(row, plan)
    world.run(world.invoke())
    assert world.ends([row]) == [BOOKED]
    assert len(world.twin.ledger.arrivals()) == 2
    assert world.twin.ledger.arrivals("GET") == []
    assert len(world.twin.ledger.bookings_of(row)) == 1


@pytest.mark.parametrize("status", [425, 422])
def test_a_refused_second_call_to_an_idempotent_venue_proves_nothing_about_the_first(world: World, status: int) -> None:
    world.twin.protection = Protection.IDEMPOTENT
    [row] = world.opening(1, venue=add_venue(world.connection, idempotent=True))
    world.twin.script(row, CallPlan(acts=False, answer=TwinReply(502)), CallPlan(acts=False, answer=TwinReply(status)))
    summary = world.run(world.invoke())
    assert world.row(row)["claimed_by"] is not None, "the first call may still be acted on"
    assert summary.outcomes == {"unsure": 1}
    world.run(minutes(world, 2))
    assert world.ends([row]) == [BOOKED]


@pytest.mark.parametrize("stopped", [{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
@pytest.mark.parametrize("seconds", [6.7, 12, 70])  # the last start is after 6 s, the guard after 8
def test_an_instance_that_was_frozen_sends_nothing_afterwards(
    world: World, seconds: float, stopped: dict[str, bool]
) -> None:
    rows = world.opening(30)
    clock = VirtualClock()

    async def steps() -> None:
        run = asyncio.create_task(world.invoke(clock=clock))
        await asyncio.sleep(0.6)
        before = len(world.twin.ledger.arrivals())
        clock.freeze(seconds, **stopped)
        await run
        assert len(world.twin.ledger.arrivals()) == before, "no call is under way 600 ms after the opening"
        await asyncio.sleep(60)
        await minutes(world, 2)  # a run takes ten rows in doubt

    world.run(steps())
    assert world.twin.ledger.double_bookings() == {}
    assert {status for status, _ in world.ends(rows)} == {"completed"}


def test_nothing_is_sent_for_a_class_that_begins_while_its_row_is_in_the_queue(world: World) -> None:
    venue = add_venue(world.connection)
    world.opening(20, venue=venue)
    [row] = world.opening(1, venue=venue, expires_at=EPOCH + timedelta(seconds=0.5))
    world.run(minutes(world, 2))
    assert world.ends([row]) == [("failed", "expired")]
    assert str(row) not in [arrival.prebooking_id for arrival in world.twin.ledger.arrivals()]


def test_a_row_that_another_run_has_taken_over_is_not_settled(world: World) -> None:
    [row] = world.opening(1)
    world.twin.script(row, CallPlan(delay_after=1))

    async def steps() -> dict[str, int]:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.5)
        world.connection.execute("update public.prebookings set claimed_by = %s where id = %s", [uuid4(), row])
        return (await run).details

    assert world.run(steps())["lost"] == 1
    assert world.row(row)["status"] == "pending"


def test_a_confirmation_answered_with_429_pauses_the_venue(world: World) -> None:
    rows = world.opening(20, maybe_sent=True)
    world.twin.plan = lambda _: CallPlan(acts=False, answer=TwinReply(429))
    world.run(world.invoke())
    assert len(world.twin.ledger.arrivals(None)) <= 2
    assert set(world.ends(rows)) == {PENDING}
    world.run(world.invoke())
    assert len(world.twin.ledger.arrivals(None)) <= 2


def test_a_row_in_doubt_that_became_unreadable_does_not_fail(world: World) -> None:
    [row] = world.opening(1)
    world.twin.script(row, ACTED_AND_SILENT)
    world.run(world.invoke())
    world.connection.execute("alter table prebookings disable trigger prebookings_being_booked")
    world.connection.execute("update prebookings set booking_data = '{\"n\": 1e5000}' where id = %s", [row])
    world.run(minutes(world, 2))
    assert world.ends([row]) == [PENDING]


def test_the_only_blocked_row_of_an_idempotent_venue_is_rejected(world: World) -> None:
    world.twin.protection = Protection.IDEMPOTENT
    blocked, *others = world.opening(5, venue=add_venue(world.connection, idempotent=True))

    def plan(arrival: Arrival) -> CallPlan:
        return CallPlan(acts=False, answer=TwinReply(403)) if arrival.prebooking_id == str(blocked) else CallPlan()

    world.twin.plan = plan
    world.run(minutes(world, 15))
    assert world.ends([blocked, *others]) == [("failed", "rejected")] + [BOOKED] * 4
    assert world.row(blocked)["attempts"] <= 5
