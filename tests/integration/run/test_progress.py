"""Rows that cannot be booked yet do not delay others: a flood of each kind, and a healthy opening beside it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from uuid import UUID

import pytest

from prebooking.local.venue.twin import Arrival, CallPlan, TwinReply
from tests.support.factories import add_prebooking, add_venue
from tests.support.floods import KEY, Flood, blocked, in_doubt, locked, no_login, out_of_reach, times_out
from tests.support.world import BOOKED, CLAIM, FINISH, World

ELSEWHERE = [in_doubt, out_of_reach, times_out, blocked, no_login, locked]
AT_THE_SAME_VENUE = [in_doubt, locked]


@pytest.mark.parametrize("venues", [1, 14])
@pytest.mark.parametrize("flood", ELSEWHERE)
def test_a_flood_does_not_delay_a_healthy_venue(world: World, flood: Flood, venues: int) -> None:
    """I2: also with more of them than one claim can hold."""
    flooded = [add_venue(world.connection) for _ in range(venues)]
    assert_booked_on_time(world, flood, flooded, add_venue(world.connection))


@pytest.mark.parametrize("flood", AT_THE_SAME_VENUE)
def test_a_flood_does_not_delay_other_rows_of_its_own_venue(world: World, flood: Flood) -> None:
    venue = add_venue(world.connection)
    assert_booked_on_time(world, flood, [venue], venue)


@pytest.mark.parametrize(("members", "stagger_ms"), [(121, 50), (7, 1000), (30, 250)])
def test_rows_in_doubt_that_would_fill_a_run_do_not_delay_a_fresh_row(
    world: World, members: int, stagger_ms: int
) -> None:
    world.twin.can_tell = False
    venue = add_venue(world.connection)
    world.opening(members, venue=venue, at=-60, maybe_sent=True)
    [fresh] = world.opening(1, venue=venue)
    world.run(world.invoke(STAGGER_MS=str(stagger_ms)))
    assert world.ends([fresh]) == [BOOKED]
    assert world.sent()[0] < 0.2
    assert 0 < len(world.twin.ledger.arrivals("GET")) <= 10, "a few questions per run"


def assert_booked_on_time(world: World, flood: Flood, flooded: list[UUID], healthy: UUID) -> None:
    """Run the scheduler for two minutes until the healthy opening, and require its rows to be booked in order."""
    with ExitStack() as until:
        flood(world, flooded, until)
        rows = world.opening(5, at=120, venue=healthy)

        async def steps() -> None:
            for _ in range(3):
                await world.invoke(SESSION_ENCRYPTION_KEY=KEY)
                await asyncio.sleep(60 - asyncio.get_running_loop().time() % 60)

        world.run(steps())
        calls = [call for call in world.twin.ledger.first_calls() if UUID(call.prebooking_id) in rows]
        assert world.ends(rows) == [BOOKED] * 5
        assert [UUID(call.prebooking_id) for call in calls] == rows
        assert (calls[0].at - world.row(rows[0])["available_at"]).total_seconds() < 0.2


def test_a_row_edited_during_the_claim_is_booked_by_the_same_run(world: World) -> None:
    rows = world.opening(10)
    other = world.database.connect()

    async def steps() -> None:
        with other.transaction():
            other.execute("update public.prebookings set warning = 'edited' where id = %s", [rows[0]])
            run = asyncio.create_task(world.invoke())
            await asyncio.sleep(0.006)
        await run

    world.run(steps())
    assert world.ends(rows) == [BOOKED] * 10, "the same run claims the row when it is free"


def test_a_locked_row_is_reported_and_the_others_are_booked(world: World) -> None:
    first, *rest = world.opening(10)
    with world.locked(first):
        summary = world.run(world.invoke())
    assert world.ends(rest) == [BOOKED] * 9
    assert summary.message == "Processed 9 prebookings; 1 due row locked by another transaction"
    assert summary.execution_time_ms < 3000


def test_a_row_locked_at_the_end_of_a_run_is_released_later(world: World) -> None:
    rows = world.opening(5)
    world.to_venues.refuses = lambda _: True

    async def steps() -> None:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.05)
        with world.locked(rows[0]):
            await asyncio.sleep(0.5)
        await run

    world.run(steps())
    assert world.held(rows) == [None] * 5


@pytest.mark.parametrize("status", [401, 403, 404, 405])
@pytest.mark.parametrize("tells", [True, False])
def test_a_row_that_alone_is_blocked_becomes_last_and_is_then_rejected(
    world: World, status: int, *, tells: bool
) -> None:
    rows = world.opening(13)
    oldest = str(rows[0])
    refused = CallPlan(acts=False, answer=TwinReply(status))

    def plan(arrival: Arrival) -> CallPlan:
        is_refused = arrival.prebooking_id == oldest and (arrival.method == "POST" or not tells)
        return refused if is_refused else CallPlan()

    world.twin.plan = plan

    async def steps() -> None:
        await world.invoke()
        await asyncio.sleep(60)
        for _ in range(5):
            await world.invoke()
            await asyncio.sleep(60)
        assert world.ends(rows[1:]) == [BOOKED] * 12, "all others after one pause of five minutes"
        for _ in range(20):
            await world.invoke()
            await asyncio.sleep(60)

    world.run(steps())
    assert world.ends(rows[:1]) == [("failed", "rejected")]
    assert "accepted others meanwhile" in world.row(rows[0])["error_message"]


def test_an_unreachable_venue_is_paused_for_a_minute_and_then_booked(world: World) -> None:
    rows = world.opening(60)
    world.to_venues.refuses = lambda _: True

    async def steps() -> None:
        await world.invoke()
        assert world.held(rows) == [None] * 60
        world.to_venues.refuses = lambda _: False
        await world.invoke()
        assert world.sent() == [], "the venue is paused"
        await asyncio.sleep(61)
        await world.invoke()

    world.run(steps())
    assert world.ends(rows) == [BOOKED] * 60, "the first answers show that the venue is well again"
    assert world.called() == rows


def test_a_claim_lock_that_is_held_for_more_than_a_minute_is_an_error(world: World) -> None:
    rows = world.opening(1, at=60)
    other = world.other_session(CLAIM, FINISH)

    async def steps() -> list[tuple[bool, str]]:
        answers = []
        await world.invoke()
        other.execute("select pg_advisory_lock(7301, 1)")
        for _ in range(3):
            await asyncio.sleep(55)
            summary = await world.invoke()
            answers.append((summary.success, summary.message))
        other.execute("select pg_advisory_unlock_all()")
        await world.invoke()
        return answers

    first, *_, last = world.run(steps())
    assert first == (True, "Another run holds the lock of the claims")
    assert last[0] is False
    assert "a database session holds the lock of the claims" in last[1]
    assert world.ends(rows) == [BOOKED]


def test_repeated_runs_without_time_to_claim_are_an_error(world: World) -> None:
    rows = world.opening(1)

    async def steps() -> list[tuple[bool, bool, str]]:
        answers = []
        await world.invoke()
        for _ in range(3):
            await asyncio.sleep(60)
            summary = await world.invoke(guard=1.5)
            answers.append((summary.success, summary.timed_out, summary.message))
        return answers

    first, *_, last = world.run(steps())
    assert world.ends(rows) == [BOOKED]
    assert first[:2] == (True, True)
    assert first[2].startswith("No time was left to claim")
    assert last[0] is False


def test_many_rows_of_one_member_do_not_delay_others(world: World) -> None:
    venue = add_venue(world.connection)
    opens = world.row(world.opening(1, venue=venue)[0])["available_at"]
    for number in range(5):
        add_prebooking(
            world.connection,
            venue,
            user_email="greedy@example.com",
            available_at=opens,
            booking_data={"class_id": f"made up {number}"},
        )
    victims = world.opening(3, venue=venue)
    world.run(world.invoke())
    assert world.ends(victims) == [BOOKED] * 3
