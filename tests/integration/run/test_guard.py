"""Hanging, failing and cut-off calls: the run ends in time, and every row is settled, released or leased."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from prebooking.local.venue.twin import HANG, CallPlan
from tests.support.calls import run as run_row
from tests.support.doubles import VirtualClock
from tests.support.world import BOOKED, CLAIM, COMPLETE, FINISH, PENDING, RECONCILED, SETTLE, World


def test_a_hundred_hanging_calls_are_cut_at_the_guard_and_stay_pending(world: World) -> None:
    rows = world.opening(100)
    world.twin.plan = lambda _: CallPlan(answer=HANG)
    summary = world.run(world.invoke())  # the virtual loop fails if a task is left
    assert summary.execution_time_ms <= 8500
    assert (summary.success, summary.timed_out) == (True, True)
    assert summary.details == {"total": 100, "completed": 0, "failed": 0, "released": 0, "unsure": 100, "lost": 0}
    assert set(world.ends(rows)) == {PENDING}


def test_no_outcome_is_lost_at_the_guard(world: World) -> None:
    """Fifty runs with answers shortly before and after the guard: those before it are in the database."""
    dice = random.Random(7)  # noqa: S311 - test data, not a secret
    for _ in range(50):
        rows = world.opening(4)
        delays = [dice.uniform(2.8, 3.05) for _ in rows]
        for row, delay in zip(rows, delays, strict=True):
            world.twin.script(row, CallPlan(delay_after=delay))
        summary = world.run(world.invoke(guard=3))
        answered = summary.details["completed"]
        assert Counter(world.ends(rows)) == Counter({BOOKED: answered, PENDING: 4 - answered})
        assert summary.success
        world.connection.execute("truncate public.prebookings cascade")


def test_a_row_between_two_calls_at_the_guard_is_released(world: World) -> None:
    [row] = world.opening(1)
    world.twin.skew -= world.twin.skew.resolution * 3_600_000_000
    summary = world.run(world.invoke(guard=2.4))  # calls at 0.03 and 0.32; the last start is at 0.4
    found = world.row(row)
    assert (found["status"], found["claimed_by"], found["maybe_sent"]) == ("pending", None, False)
    assert found["attempts"] == 2
    assert found["early_since"] is not None
    assert summary.details["released"] == 1


def test_a_claim_whose_answer_was_lost_is_repeated_and_claims_nothing_twice(world: World) -> None:
    rows = world.opening(150)
    world.lose(CLAIM, "after")
    summary = world.run(world.invoke())
    assert summary.success
    assert 115 <= summary.details["total"] <= 125, "the rows of the lost answer, once"
    assert set(world.ends(rows[:110])) == {BOOKED}


@pytest.mark.parametrize("loss", ["before", "after", "hangs"])
def test_a_run_without_an_answered_claim_fails_and_holds_no_row(world: World, loss: str) -> None:
    rows = world.opening(3)
    world.lose(CLAIM, loss, loss, loss)
    summary = world.run(world.invoke())
    assert not summary.success
    assert summary.execution_time_ms <= 9000
    assert world.held(rows) == [None] * 3
    assert run_row(world.connection, summary.instance_id)["closed_at"] is not None
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 3


@pytest.mark.parametrize(("function", "members"), [(COMPLETE, 1), (SETTLE, 2), (FINISH, 2)])
@pytest.mark.parametrize("loss", ["before", "after"])
def test_a_write_whose_answer_was_lost_is_repeated_and_counts_once(
    world: World, function: str, members: int, loss: str
) -> None:
    rows = world.opening(members)
    world.lose(function, loss, loss)
    summary = world.run(world.invoke())
    assert summary.success
    assert world.ends(rows) == [BOOKED] * members
    assert [world.row(row)["attempts"] for row in rows] == [1] * members


@pytest.mark.parametrize(("function", "members"), [(COMPLETE, 1), (SETTLE, 2)])
@pytest.mark.parametrize("loss", ["before", "after", "hangs"])
def test_an_outcome_that_cannot_be_written_is_reconciled_later(
    world: World, function: str, members: int, loss: str
) -> None:
    rows = world.opening(members)
    world.lose(function, *[loss] * 3)

    async def two_minutes() -> Any:
        first = await world.invoke()
        await asyncio.sleep(60)
        await world.invoke()
        return first

    summary = world.run(two_minutes())
    assert not summary.success
    assert summary.details["unsure"] == members
    assert {end[0] for end in world.ends(rows)} == {"completed"}
    assert len(world.twin.ledger.bookings()) == members


def test_a_database_that_hangs_after_the_claim_costs_no_booking(world: World) -> None:
    rows = world.opening(5)
    world.to_database.loses = lambda called: "hangs" if called != CLAIM else ""

    async def back_after_a_minute() -> bool:
        summary = await world.invoke()
        world.to_database.loses = lambda _: ""
        assert summary.execution_time_ms <= 9100
        await asyncio.sleep(60)
        await world.invoke()
        return summary.success

    assert not world.run(back_after_a_minute())
    assert world.ends(rows) == [RECONCILED] * 5
    assert len(world.twin.ledger.arrivals()) == 5


def test_an_unexpected_error_fails_the_run_and_releases_the_rows(world: World) -> None:
    rows = world.opening(3)

    def fail(_: object) -> float:
        raise RuntimeError("unexpected")

    world.to_venues.connect = fail
    summary = world.run(world.invoke())
    assert not summary.success
    assert world.held(rows) == [None] * 3


def test_a_run_that_cannot_claim_because_another_run_claims_succeeds(world: World) -> None:
    [row] = world.opening(1)
    other = world.other_session(CLAIM, FINISH)
    with other.transaction():
        other.execute("select public.prebooking_lock()")
        summary = world.run(world.invoke())
    assert (summary.success, summary.message) == (True, "Another run holds the lock of the claims")
    assert summary.execution_time_ms <= 6100
    assert world.ends([row]) == [PENDING]


def test_a_claim_is_repeated_until_the_other_run_has_claimed(world: World) -> None:
    rows = world.opening(1)
    other = world.other_session(CLAIM)

    async def steps() -> None:
        other.execute("select pg_advisory_lock(7301, 1)")
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(1)
        other.execute("select pg_advisory_unlock_all()")
        await run

    world.run(steps())
    assert world.ends(rows) == [BOOKED]


def test_a_request_with_no_time_left_claims_nothing(world: World) -> None:
    [row] = world.opening(1)
    summary = world.run(world.invoke(clock=VirtualClock(), guard=1.5))
    assert summary.success
    assert (world.to_database.calls, world.ends([row])) == (["claims_since_v1"], [PENDING])


def test_a_claim_whose_answer_was_lost_is_released_although_later_tries_were_busy(world: World) -> None:
    rows = world.opening(3)
    other = world.other_session(CLAIM)
    tries = 0

    def loses(called: str) -> str:
        nonlocal tries
        tries += called == CLAIM
        if tries == 2:
            other.execute("select pg_advisory_lock(7301, 1)")
        if called == FINISH:
            other.execute("select pg_advisory_unlock_all()")
        return "after" if tries == 1 else ""

    world.to_database.loses = loses
    summary = world.run(world.invoke())
    assert (summary.success, summary.message) == (True, "Another run holds the lock of the claims")
    assert world.held(rows) == [None] * 3


def test_outcomes_that_cannot_be_written_leave_time_for_the_end_of_the_run(world: World) -> None:
    world.opening(1)
    world.to_database.loses = lambda function: "hangs" if function == COMPLETE else ""
    summary = world.run(world.invoke(guard=3))
    assert summary.execution_time_ms <= 4000
    query = "select claimed, closed_at is not null from public.prebooking_runs"
    assert world.connection.execute(query).fetchall() == [(1, True)]
