"""The later claims of a run."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from prebooking.model import Summary
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_prebooking, add_venue
from tests.support.world import World

BOOKED = ("completed", "booked")
CLAIM, FAIL = "claim_due_prebookings_v1", "fail_prebooking_v1"


def noted_claims(world: World) -> list[float]:
    """Return a list to which every claim's instant will be added, in seconds since the epoch."""
    instants: list[float] = []

    def note(called: str) -> str:
        if called == CLAIM:
            instants.append((VirtualClock().now() - EPOCH).total_seconds())
        return ""

    world.to_database.loses = note
    return instants


async def locked_for(seconds: float, world: World, row: UUID) -> Summary:
    """Invoke the function while another connection holds a row's lock for some seconds."""
    other = world.database.connect()
    with other.transaction():
        other.execute("select from public.prebookings where id = %s for update", [row])
        run = asyncio.create_task(world.invoke(LEAD_SECONDS="1"))
        await asyncio.sleep(seconds)
    return await run


@pytest.mark.parametrize("seconds", [0.05, 1.2])
def test_a_locked_row_is_claimed_by_the_same_run_later(world: World, seconds: float) -> None:
    [row] = world.opening(1)
    world.run(locked_for(seconds, world, row))
    assert world.ends([row]) == [BOOKED]


def test_a_run_gives_up_on_a_row_that_stays_locked(world: World) -> None:
    [row] = world.opening(1)
    summary = world.run(locked_for(4.0, world, row))
    assert (summary.execution_time_ms < 2000, summary.message) == (
        True,
        "No prebookings ready; 1 due row locked by another transaction",
    )


def test_a_claim_without_time_for_its_answer_is_not_started(world: World) -> None:
    rows = world.opening(1)
    world.to_database.there = world.to_database.back = 0.15
    summary = world.run(world.invoke(guard=2.45))  # the first claim is answered 0.15 s before the last start
    assert world.ends(rows) == [BOOKED]
    assert (summary.success, summary.timed_out, world.to_database.calls.count(CLAIM)) == (True, False, 1)


def test_a_faster_later_claim_corrects_the_database_clock(world: World) -> None:
    [row] = world.opening(1, at=0.5)
    world.to_database.back = 0.3

    def quicker(called: str) -> str:
        world.to_database.back = 0.005 if world.to_database.calls.count(CLAIM) > 1 else 0.3
        return ""

    world.to_database.loses = quicker
    world.run(locked_for(0.2, world, row))
    assert world.ends([row]) == [BOOKED]
    assert 0.5 <= world.sent()[0] - 0.02 <= 0.512


def test_the_first_of_two_openings_is_met_exactly(world: World) -> None:
    """The questions about the database's clock end before it, although another row is held for longer."""
    venue = add_venue(world.connection)
    rows = [*world.opening(1, at=1.1, venue=venue), *world.opening(1, at=4.9, venue=venue)]
    asked = 0

    def slow_at_first(called: str) -> str:
        nonlocal asked
        asked += called in (CLAIM, "prebooking_clock")  # the claim and the first question are answered slowly
        world.to_database.back = 0.3 if called == CLAIM or asked == 2 else 0.01
        return ""

    world.to_database.loses = slow_at_first
    world.run(world.invoke(LEAD_SECONDS="5"))
    assert world.ends(rows) == [BOOKED] * 2
    assert 1.1 <= world.sent()[0] - 0.02 <= 1.112


@pytest.mark.parametrize("in_doubt", [False, True])
def test_nothing_is_claimed_while_claimed_rows_wait_for_slots(world: World, *, in_doubt: bool) -> None:
    """Each claim takes the lock of all claims, so a run that cannot send more yet does not claim."""
    rows = world.opening(10 if in_doubt else 30, maybe_sent=in_doubt)
    claims = noted_claims(world)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * len(rows)
    assert claims[1] > world.sent()[-6], "but for the last ones, which connect and wait, all have left"


def test_nothing_is_claimed_while_rows_of_a_later_claim_wait_for_slots(world: World) -> None:
    venue = add_venue(world.connection)
    rows = world.opening(1, venue=venue)
    claims = noted_claims(world)

    async def scenario() -> None:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.007)  # the first claim is carried out after 5 ms, the second one after 15 ms
        rows.extend(world.opening(30, at=0, venue=venue))
        await run

    world.run(scenario())
    assert world.ends(rows) == [BOOKED] * 31
    assert claims[1] < 0.02
    assert claims[2] > world.sent()[-6]


@pytest.mark.parametrize("first", [0, 1])
def test_a_row_that_waits_for_its_opening_does_not_delay_later_claims(world: World, first: int) -> None:
    venue, other = add_venue(world.connection), add_venue(world.connection)
    world.opening(first, venue=venue)

    async def scenario() -> list[tuple[str, str | None]]:
        run = asyncio.create_task(world.invoke(LEAD_SECONDS="5"))
        await asyncio.sleep(0.007 * first)
        world.opening(1, at=4.9, venue=venue)
        await asyncio.sleep(0.05)
        late = world.opening(1, venue=other)
        await asyncio.sleep(1)
        ends = world.ends(late)
        await run
        return ends

    assert world.run(scenario()) == [BOOKED]


def test_a_later_claim_that_times_out_does_not_fail_the_run(world: World) -> None:
    rows = world.opening(1)
    other = world.database.connect()
    other.execute("alter function public.claim_due_prebookings_v1 set lock_timeout = '10ms'")

    def busy(called: str) -> str:
        if called == CLAIM and world.to_database.calls.count(CLAIM) > 1:
            other.execute("select pg_advisory_lock(7301, 1)")
        if called == "finish_run_v1":
            other.execute("select pg_advisory_unlock_all()")
        return ""

    world.to_database.loses = busy
    summary = world.run(world.invoke())
    assert world.ends(rows) == [BOOKED]
    assert (summary.success, summary.message) == (True, "Processed 1 prebooking")
    assert "claims_since_v1" not in world.to_database.calls


def test_an_unreadable_row_is_settled_once(world: World) -> None:
    venue = add_venue(world.connection)
    world.opening(1, venue=venue)
    bad = add_prebooking(world.connection, venue, available_at=EPOCH)
    world.connection.execute("update prebookings set booking_data = '{\"n\": 1e5000}' where id = %s", [bad])
    world.to_database.loses = lambda called: (
        "before" if world.to_database.calls.count(called) == 1 and called == FAIL else ""
    )
    world.run(world.invoke())
    assert world.ends([bad]) == [("failed", "bad_data")]
    assert world.to_database.calls.count(FAIL) == 2, "one try was lost, and one was answered"


def test_a_run_that_could_not_end_frees_its_opening_at_its_guard(world: World) -> None:
    venue = add_venue(world.connection)
    world.opening(1, venue=venue)
    world.to_database.loses = lambda called: "" if called == CLAIM else "hangs"

    async def scenario() -> list[UUID]:
        await world.invoke()
        world.to_database.loses = lambda _: ""
        later = world.opening(1, venue=venue)
        await world.invoke()
        return later

    assert world.ends(world.run(scenario())) == [BOOKED]


def test_no_more_rows_are_held_than_the_stagger_allows(world: World) -> None:
    """The other rows are left to later runs."""
    world.opening(30)
    summary = world.run(world.invoke(STAGGER_MS="500"))
    assert summary.details["completed"] == 12
    assert summary.details["released"] <= 1


def test_a_run_repeats_its_claim_soon_while_another_one_claims(world: World) -> None:
    rows = world.opening(1)
    other = world.database.connect()
    other.execute("alter function public.claim_due_prebookings_v1 set lock_timeout = '10ms'")

    async def scenario() -> None:
        other.execute("select pg_advisory_lock(7301, 1)")
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.5)
        other.execute("select pg_advisory_unlock_all()")
        await run

    world.run(scenario())
    assert world.ends(rows) == [BOOKED]
    assert world.sent()[0] < 1
