"""Outcomes that arrive within a short time are written together, and a row that cannot be written stops no other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from prebooking.bookers import Gate
from prebooking.local.venue.twin import CallPlan
from prebooking.local.virtual_time import seconds_passed
from prebooking.model import Outcome, Prebooking, Summary
from tests.support.bookers import ScriptedBooker
from tests.support.world import BOOKED, COMPLETE, PENDING, RECONCILED, SETTLE, World


def answered_together(world: World, members: int) -> list[UUID]:
    """Add rows of an opening whose answers all arrive about half a second after the last call."""
    rows = world.opening(members)
    for number, row in enumerate(rows):
        world.twin.script(row, CallPlan(delay_after=0.5 + 0.05 * (members - number)))
    return rows


def writes(world: World) -> list[str]:
    return [name for name in world.to_database.calls if name in (COMPLETE, SETTLE)]


def test_outcomes_that_arrive_together_are_written_in_one_call(world: World) -> None:
    rows = answered_together(world, 5)
    summary = world.run(world.invoke())
    assert writes(world) == [SETTLE]
    assert world.ends(rows) == [BOOKED] * 5
    assert (summary.success, summary.details["completed"], summary.outcomes) == (True, 5, {"booked": 5})


def test_the_last_outcome_is_written_alone_and_does_not_wait_for_others(world: World) -> None:
    rows = world.opening(1)
    summary = world.run(world.invoke())
    assert (writes(world), world.ends(rows)) == ([COMPLETE], [BOOKED])
    assert summary.execution_time_ms < 150


def test_no_call_writes_more_than_fifty_outcomes(world: World) -> None:
    rows = answered_together(world, 60)
    world.run(world.invoke())
    assert writes(world) == [SETTLE] * 2
    assert world.ends(rows) == [BOOKED] * 60


def test_an_outcome_waits_at_most_a_fifth_of_a_second_for_a_slow_venue(world: World) -> None:
    quick, slow = world.opening(2)
    world.twin.script(slow, CallPlan(delay_after=5))

    async def steps() -> str:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.4)
        state = world.row(quick)["status"]
        await run
        return str(state)

    assert world.run(steps()) == "completed"


class LateBooker(ScriptedBooker):
    """Has an answer right before the guard for the first row, and does not end its call for the second one."""

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        answer = await super().book(row, timeout=timeout, gate=gate)
        number = len(self.calls)
        while seconds_passed() < (2.99 if number == 1 else 3.4):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return answer


def test_no_outcome_waits_for_others_after_the_guard(world: World) -> None:
    first, _ = world.opening(2)
    world.use(LateBooker())
    written_at = list[float]()

    def note(called: str) -> str:
        if called == COMPLETE:
            written_at.append(seconds_passed())
        return ""

    world.to_database.loses = note
    world.run(world.invoke(guard=3))
    assert world.ends([first]) == [BOOKED]
    assert 2.99 < written_at[0] < 3.02


def test_a_locked_row_delays_no_other(world: World) -> None:
    rows = answered_together(world, 3)

    async def steps() -> tuple[list[Any], Summary]:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.3)
        with world.locked(rows[1]):
            await asyncio.sleep(0.6)
            meanwhile = world.ends(rows)
        return meanwhile, await run

    world.other_session(COMPLETE)
    meanwhile, summary = world.run(steps())
    assert meanwhile == [BOOKED, PENDING, BOOKED]
    assert world.ends(rows) == [BOOKED] * 3
    assert (writes(world)[0], summary.details["completed"]) == (SETTLE, 3)


def test_a_row_that_is_taken_over_is_lost_and_the_others_are_settled(world: World) -> None:
    rows = answered_together(world, 3)

    def take_over(called: str) -> str:
        if called == SETTLE:
            query = "update public.prebookings set claimed_by = gen_random_uuid() where id = %s"
            world.connection.execute(query, [rows[1]])
        return ""

    world.to_database.loses = take_over
    summary = world.run(world.invoke())
    assert world.ends(rows) == [BOOKED, PENDING, BOOKED]
    assert (summary.details["completed"], summary.details["lost"]) == (2, 1)


def test_an_outcome_that_the_database_refuses_prevents_no_other(world: World) -> None:
    rows = answered_together(world, 3)
    rule = f"alter table public.prebookings add check (id <> '{rows[1]}' or status = 'pending')"
    world.connection.execute(rule.encode())
    summary = world.run(world.invoke())
    assert world.ends(rows) == [BOOKED, PENDING, BOOKED]
    assert (summary.success, summary.details["completed"], summary.details["unsure"]) == (False, 2, 1)


def test_a_database_of_an_older_version_gets_each_outcome_alone(world: World) -> None:
    rows = answered_together(world, 3)
    world.connection.execute("drop function public.settle_prebookings_v1")
    summary = world.run(world.invoke())
    assert writes(world) == [SETTLE] + [COMPLETE] * 3
    assert (world.ends(rows), summary.success) == ([BOOKED] * 3, True)


@pytest.mark.parametrize("answer", ["[true]", "true", "[true, 1, 2]", "{}"])
def test_an_answer_that_does_not_fit_the_outcomes_is_refused(world: World, answer: str) -> None:
    """Each outcome is then written alone, which counts nothing twice."""
    rows = answered_together(world, 3)
    world.connection.execute(
        f"""create or replace function public.settle_prebookings_v1(p_instance uuid, p_results jsonb) returns jsonb
        language sql as $$ select '{answer}'::jsonb $$""".encode()
    )
    summary = world.run(world.invoke())
    assert (world.ends(rows), summary.success) == ([BOOKED] * 3, True)
    assert [world.row(row)["attempts"] for row in rows] == [1] * 3


def test_outcomes_of_a_run_that_is_killed_before_it_writes_are_reconciled(world: World) -> None:
    rows = answered_together(world, 2)

    async def steps() -> None:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.63)  # the answers have arrived
        world.to_database.loses = lambda _: "hangs"
        run.cancel()
        await asyncio.wait([run])
        world.to_database.loses = lambda _: ""
        await asyncio.sleep(60)
        await world.invoke()

    world.run(steps())
    assert world.ends(rows) == [RECONCILED] * 2
    assert len(world.twin.ledger.bookings()) == 2
