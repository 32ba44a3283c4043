"""Stories aimed at the guards of the line and its calls."""

from __future__ import annotations

import asyncio
from functools import partial

from prebooking.local.venue import DROP, HANG, Canned, Fate
from prebooking.local.venue_aimharder import TOKEN_UPDATE
from tests.proof import interference
from tests.proof.fates import Loss
from tests.proof.ground import Ground
from tests.proof.instance import Instance
from tests.proof.scenes import (
    BOX,
    BOX_WITHOUT,
    CAPACITY_FIRST,
    CLAIM,
    IDEMPOTENT,
    SILENT,
    runs,
    sent,
    status,
    told,
    unless,
)
from tests.proof.script import Script
from tests.proof.universe import Universe


def a_refusal_is_ones_own_booking(ground: Ground) -> list[str]:
    """The venue acts later than promised, between the question and the next call, and then is full."""

    async def story(world: Universe) -> list[str]:
        world.opening(1, capacity=1)
        await runs(world, 0, 30.5)
        await asyncio.sleep(20)
        return []

    books = {"i0": [Fate(delay_before=30.58, answer=HANG)], "i1": [Fate(delay_before=0.6)]}
    return told(ground, story, kind=CAPACITY_FIRST, fates=Script(books=books))


def a_venue_acts_after_its_gateway_gave_up(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(1)
        await runs(world, 0, 40)
        await asyncio.sleep(20)
        return []

    return told(ground, story, fates=Script(books={"i0": [Fate(acts=False, answer=Canned(504))]}, later=[15.0]))


def a_second_call_is_too_early_and_the_first_is_acted_on(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1)
        await runs(world, 0)
        await asyncio.sleep(20)
        interference.cancel(world, row)
        await runs(world, 40)
        await asyncio.sleep(10)
        return []

    books = {"i0": [Fate(acts=False, answer=Canned(502)), Fate(acts=False, answer=Canned(425))]}
    return told(ground, story, kind=IDEMPOTENT, fates=Script(books=books, later=[15.0]))


def a_connection_breaks_after_the_venue_has_acted(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(1)
        await runs(world, 0, 40)
        await asyncio.sleep(20)
        return []

    return told(ground, story, fates=Script(books={"i0": [Fate(answer=DROP)]}))


def _frozen_before_a_send(ground: Ground, *, wall: bool = False, monotonic: bool = False) -> list[str]:
    """Frozen right before a first byte, so that no timer comes in between; it thaws when another one has sent it."""

    async def story(world: Universe) -> list[str]:
        world.opening(3)
        await runs(world, 0, 35)
        await asyncio.sleep(30)
        return []

    blow = partial(Instance.halt, seconds=45, wall_stopped=wall, monotonic_stopped=monotonic)
    return told(ground, story, fates=Script(blows={("i0", "sends", 1): blow}))


frozen = _frozen_before_a_send
frozen_with_its_wall_clock = partial(_frozen_before_a_send, wall=True)
frozen_with_its_monotonic_clock = partial(_frozen_before_a_send, monotonic=True)


def a_class_begins_while_its_row_stands_in_line(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        venue = world.add_venue()
        world.opening(20, venue=venue, at=-1)
        world.opening(1, venue=venue, lasts=0.5)
        await runs(world, 0, 60)
        await asyncio.sleep(10)
        return []

    return told(ground, story)


def a_trigger_comes_early(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        rows = world.opening(3, at=2)
        await runs(world, 0, lead=3)
        await asyncio.sleep(10)
        return unless(all(sent(world, row) for row in rows), "who waits for an opening is not sent at it")

    return told(ground, story, fates=Script(losses={("i0", CLAIM): [Loss(delay_before=0.4)]}))


def a_trigger_comes_early_and_nobody_holds(ground: Ground) -> list[str]:
    """Then the first calls are refused at their first byte; the next trigger sends them."""

    async def story(world: Universe) -> list[str]:
        world.opening(3, at=2)
        await runs(world, 0, lead=3)
        await runs(world, 60)
        await asyncio.sleep(10)
        return []

    return told(ground, story, fates=Script(losses={("i0", CLAIM): [Loss(delay_before=0.4)]}))


def many_wait(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(5)
        await runs(world, 0)
        await asyncio.sleep(10)
        return []

    return told(ground, story)


def the_first_connection_is_slow(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(4)
        await runs(world, 0)
        await asyncio.sleep(10)
        return []

    return told(ground, story, fates=Script(connects=[0.5]))


def a_venue_whose_clock_is_behind(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1)
        await runs(world, 0, 60)
        await asyncio.sleep(10)
        return unless(status(world, row)[0] == "completed", "a venue that said too early once was believed for ever")

    return told(ground, story, venue_skew=-5)


def a_member_is_logged_out_while_in_doubt(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1, lasts=200, session_age=1190)
        await runs(world, 0)
        await asyncio.sleep(20)
        world.twin.members.log_out(world.wishes[row].member)
        await runs(world, 40, 105, 210)
        await asyncio.sleep(10)
        return []

    return told(ground, story, kind=BOX, fates=Script(books={"i0": [SILENT]}))


def a_session_dies_while_its_row_is_in_doubt(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1)
        await runs(world, 0)
        await asyncio.sleep(20)
        world.twin.members.expire(world.wishes[row].member)
        await runs(world, 40)
        await asyncio.sleep(10)
        return []

    return told(ground, story, kind=BOX_WITHOUT, fates=Script(books={"i0": [SILENT]}))


def two_refresh_one_login(ground: Ground) -> list[str]:
    """A token that refreshes a login works once. One is busy with it when a call is answered "log in again"."""

    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1, session_age=1300)
        world.twin.script(world.wishes[row].member, Fate(delay_after=1.0), path=TOKEN_UPDATE)
        world.keep(Instance("k0"))
        await runs(world, 0.3, 75)
        await asyncio.sleep(10)
        return unless(status(world, row)[0] == "completed", "a login was lost, because two refreshed it at once")

    return told(ground, story, kind=BOX)
