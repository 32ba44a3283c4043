"""A scenario in which the database's clock is set while a row is held."""

from __future__ import annotations

import asyncio

from tests.proof.ground import Ground
from tests.proof.scenes import runs, sent, told, unless
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
