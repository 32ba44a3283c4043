"""The end of a run: what it does after its last start, and what is recorded."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prebooking.local.venue.twin import HANG, CallPlan
from prebooking.model import Summary
from tests.support.calls import run as run_row
from tests.support.doubles import EPOCH
from tests.support.world import CLAIM, FINISH, World


def test_a_row_that_stays_locked_does_not_keep_the_run_from_ending(world: World) -> None:
    rows = world.opening(2)
    world.to_venues.refuses = lambda _: True

    async def steps() -> Summary:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.05)
        with world.locked(rows[0]):
            return await run

    assert world.run(steps()).execution_time_ms < 2000


def test_no_connection_is_opened_after_the_last_start(world: World) -> None:
    rows = world.opening(40)
    connected = world.record_connections(1.0)
    summary = world.run(world.invoke())
    assert max(connected) < 6
    unsent = [row for row in rows if world.row(row)["attempts"] == 0]
    assert len(unsent) > 10
    assert world.held(unsent) == [None] * len(unsent)
    assert summary.success


@pytest.mark.parametrize(("maybe_sent", "outcome"), [(False, "expired"), (True, "unknown")])
def test_a_run_that_only_expires_rows_is_recorded(world: World, outcome: str, *, maybe_sent: bool) -> None:
    rows = world.opening(2, at=-30, expires_at=EPOCH - timedelta(seconds=1), maybe_sent=maybe_sent)
    summary = world.run(world.invoke())
    assert world.ends(rows) == [("failed", outcome)] * 2
    assert (summary.details["failed"], summary.outcomes) == (2, {outcome: 2})
    assert run_row(world.connection, summary.instance_id)["summary"]["outcomes"] == {outcome: 2}


def test_a_row_locked_at_the_end_of_a_run_is_no_failure(world: World) -> None:
    """There is no time for another finish_run: the guard would cut it off, and the run would fail."""
    [hanging], [locked] = world.opening(1), world.opening(1)
    world.twin.script(hanging, CallPlan(answer=HANG))
    world.to_venues.refuses = lambda request: str(locked) in request.headers["Idempotency-Key"]

    def slow(called: str) -> str:
        world.to_database.back = 0.85 if called == FINISH else 0.005
        return ""

    async def steps() -> Summary:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.05)
        with world.locked(locked):
            return await run

    world.to_database.loses = slow
    summary = world.run(steps())
    assert (summary.timed_out, summary.success) == (True, True)
    assert world.to_database.calls.count(FINISH) == 1


def test_a_run_whose_first_claim_was_lost_is_closed_although_later_tries_were_busy(world: World) -> None:
    """The lost claim may still arrive at the database. It must not lease rows to a run that has ended."""
    [row] = world.opening(1, at=60)
    other = world.other_session(CLAIM)
    tries = 0

    def loses(called: str) -> str:
        nonlocal tries
        tries += called == CLAIM
        if tries == 2:
            other.execute("select pg_advisory_lock(7301, 1)")
        if tries == 4:
            other.execute("select pg_advisory_unlock_all()")
        return "before" if tries == 1 else ""

    world.to_database.loses = loses
    summary = world.run(world.invoke())
    assert tries == 4
    assert summary.message == "No prebookings ready"
    assert world.to_database.calls[-1] == FINISH
    assert world.row(row)["claimed_by"] is None


def test_a_run_is_recorded_although_its_last_claim_was_empty(world: World) -> None:
    world.opening(1)
    summary = world.run(world.invoke())
    recorded = run_row(world.connection, summary.instance_id)
    assert recorded["closed_at"] is not None
    assert recorded["summary"]["outcomes"] == {"booked": 1}
