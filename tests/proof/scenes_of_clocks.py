"""Scenarios in which the database's clock is set while a row is held."""

from __future__ import annotations

import asyncio

from tests.proof.fates import Loss
from tests.proof.ground import Ground
from tests.proof.scenes import runs, sent, told, unless
from tests.proof.script import Script
from tests.proof.universe import Universe


def the_clock_is_set_back_during_a_hold(ground: Ground) -> list[str]:
    """A question during the hold finds it out: the call leaves at the opening by the new time."""

    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1, at=3)
        await runs(world, 0, lead=5)
        await asyncio.sleep(1)
        world.step_database_clock(-1.5)
        await asyncio.sleep(5)
        return unless(sent(world, row) and sent(world, row)[0] < 4.6, "who waits for an opening is not sent at it")

    return told(ground, story)


def an_answer_from_before_the_step_comes_late(ground: Ground) -> list[str]:
    """An answer from before the clock was set back comes after one that has told of it, and none comes after it."""

    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1, at=2.6)
        await runs(world, 0, lead=5)
        await asyncio.sleep(1)
        world.step_database_clock(-2.5)
        await asyncio.sleep(5)
        return unless(sent(world, row), "who waits for an opening is not sent at it")

    lost = Loss(ends="silent")
    answers = [Loss(), Loss(delay_after=1.6), Loss(), lost, lost]
    return told(ground, story, fates=Script(losses={("i0", "prebooking_clock"): answers}))
