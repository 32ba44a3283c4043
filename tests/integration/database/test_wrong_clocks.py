"""The function's own clock is set in the middle of a run: what is surely unsent goes back, and the summary is true."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prebooking.model import Summary
from tests.support.calls import prebooking
from tests.support.doubles import VirtualClock
from tests.support.factories import add_venue
from tests.support.world import World

BOOKED = ("completed", "booked")
ROWS = 20
STEP = 0.31  # seconds after the trigger at which the clock is set: some rows are sent by then, some are not


def _set_clock_in_a_run(world: World, step: timedelta, *, lead: str = "1") -> Summary:
    clock = VirtualClock()

    async def scenario() -> Summary:
        run = asyncio.create_task(world.invoke(clock=clock, LEAD_SECONDS=lead))
        await asyncio.sleep(STEP)
        clock.wall_skew += step
        return await run

    return world.run(scenario())


@pytest.mark.parametrize("ahead", [0.0, 1.0], ids=["while it fires", "while it holds"])
@pytest.mark.parametrize("hours", [1, -1, 24 * 365])
def test_a_clock_change_in_a_run_leaves_no_unsent_row_in_doubt(world: World, *, ahead: float, hours: int) -> None:
    """The venue cannot confirm, so that a row in doubt would end as ``unknown``."""
    world.twin.can_tell = False
    rows = world.opening(ROWS, at=ahead, venue=add_venue(world.connection))
    summary = _set_clock_in_a_run(world, timedelta(hours=hours), lead="2")
    called = {arrival.prebooking_id for arrival in world.twin.ledger.first_calls()}
    stored = [prebooking(world.connection, row) for row in rows]
    assert [row["claimed_by"] is None and not row["maybe_sent"] for row in stored] == [True] * ROWS
    assert [row["status"] for row in stored] == [
        "completed" if str(row["id"]) in called else "pending" for row in stored
    ]
    assert summary.details["completed"] == len(called)
    assert summary.details["released"] == ROWS - len(called), "the summary has what was written"
    assert (summary.details["unsure"], summary.success) == (0, True)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * ROWS


def test_a_summary_counts_rows_as_released_only_if_written(world: World) -> None:
    rows = world.opening(ROWS)
    world.to_database.loses = lambda function: "before" if function == "finish_run_v1" else ""
    summary = _set_clock_in_a_run(world, timedelta(hours=1))
    unsent = sum(prebooking(world.connection, row)["claimed_by"] is not None for row in rows)
    assert unsent > 0
    assert (summary.details["released"], summary.details["unsure"], summary.success) == (0, unsent, False)


def test_a_forward_step_of_the_database_s_clock_is_followed(
    world: World,
) -> None:
    """The clock is two seconds slow when the run claims, and is set right a second later."""
    rows = world.opening(2, at=3.0)
    world.database_skew = timedelta(seconds=-2)

    async def scenario() -> None:
        run = asyncio.create_task(world.invoke(LEAD_SECONDS="5"))
        await asyncio.sleep(1.0)
        world.database_skew = timedelta(0)
        await run

    world.run(scenario())
    assert world.ends(rows) == [BOOKED] * 2
    assert world.sent() == pytest.approx([3.03, 3.08], abs=0.01), "not two seconds late, as it would have been before"
