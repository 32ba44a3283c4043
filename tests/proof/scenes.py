"""Stories aimed at one guard each: all goes well with the guard, and something is violated without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from prebooking.local.venue import HANG, Fate
from tests.proof.case import Case
from tests.proof.fates import Loss
from tests.proof.ground import Ground
from tests.proof.instance import Instance
from tests.proof.judge import judge
from tests.proof.script import Script
from tests.proof.systems import KINDS, Kind
from tests.proof.universe import Universe

Scene = Callable[[Ground], list[str]]
Story = Callable[[Universe], Coroutine[Any, Any, list[str]]]

CLAIM = "claim_due_prebookings_v1"
WITHOUT, _, CAPACITY_FIRST, IDEMPOTENT, BOX, BOX_WITHOUT = KINDS
SILENT = Fate(answer=HANG)  # it has acted, and nobody hears of it


def told(
    ground: Ground,
    story: Story,
    *,
    fates: Script | None = None,
    kind: Kind = WITHOUT,
    quiet_from: float | None = None,
    **how: Any,
) -> list[str]:
    """Play a story; return what it complains of itself, and what is violated at its end."""
    with ground.story():
        world = Universe(ground, kind=kind, fates=fates or Script(), **how)

        async def all_of_it() -> list[str]:
            complaints = await story(world)
            await world.settled_down()
            wrong = judge(Case(world, quiet_from=world.now() if quiet_from is None else quiet_from))
            return complaints + [f"{name}: {each}" for name, found in wrong.items() for each in found]

        return world.play(all_of_it())


def status(world: Universe, row: UUID) -> tuple[Any, ...]:
    query = "select status, outcome, claimed_by from public.prebookings where id = %s"
    return world.connection.execute(query, [row]).fetchone() or ()


def unless(met: object, complaint: str) -> list[str]:
    return [] if met else [complaint]


def sent(world: Universe, row: UUID) -> list[float]:
    return [sent.at for sent in world.venue_wire.sent if sent.books and sent.row == str(row)]


async def runs(world: Universe, *instants: float, lead: float = 0) -> None:
    """Trigger at these instants of the world's time."""
    for instant in instants:
        await asyncio.sleep(max(0.0, instant - world.now()))
        world.invoke(LEAD_SECONDS=str(lead))


# the claim


def two_at_once(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(10)
        await runs(world, 0, 0.2, 40)
        await asyncio.sleep(20)
        return []

    return told(ground, story)


def one_joins_during_a_turn(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        venue = world.add_venue()
        world.opening(20, venue=venue)
        await runs(world, 0)
        await asyncio.sleep(0.3)
        world.opening(3, venue=venue, made=0.3)
        await runs(world, 0.4, 20)
        await asyncio.sleep(20)
        return []

    return told(ground, story)


def one_joins_behind_a_dead_holder(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        venue = world.add_venue()
        world.opening(3, venue=venue)
        await runs(world, 0)
        await asyncio.sleep(1)
        [late] = world.opening(1, venue=venue, made=1)
        await runs(world, 9.5)
        await asyncio.sleep(5)
        return unless(sent(world, late), "who stands behind a dead holder's rows waits for their lease")

    return told(ground, story, fates=Script(blows={("i0", "hears the database", 1): Instance.kill}))


def a_venue_acts_late(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(1)
        await runs(world, 0, 12, 40)
        await asyncio.sleep(20)
        return []

    return told(ground, story, fates=Script(books={"i0": [Fate(delay_before=20, answer=HANG)]}))


def a_holder_dies_after_sending(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(2)
        await runs(world, 0, 40)
        await asyncio.sleep(20)
        return []

    return told(ground, story, fates=Script(blows={("i0", "hears the venue", 1): Instance.kill}))


def the_answer_of_a_claim_is_lost(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1)
        await runs(world, 0)
        await asyncio.sleep(5)
        return unless(status(world, row)[0] == "completed", "what a claim took whose answer was lost is not fired")

    return told(ground, story, fates=Script(losses={("i0", CLAIM): [Loss(ends="broken")]}))


def a_claim_comes_after_its_run(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        venue = world.add_venue()
        world.opening(1, venue=venue)
        await runs(world, 0)
        await asyncio.sleep(6)
        [late] = world.opening(1, venue=venue, made=6)
        await asyncio.sleep(6)
        return unless(status(world, late)[2] is None, "a run that is over holds a row")

    return told(ground, story, fates=Script(losses={("i0", CLAIM): [Loss(delay_before=11)]}))


def a_class_begins_while_an_answer_is_under_way(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        [row] = world.opening(1, lasts=3)
        await runs(world, 0, 4)
        await asyncio.sleep(10)
        return unless(status(world, row)[0] == "completed", "a booking whose answer came is not known of")

    return told(ground, story, fates=Script(books={"i0": [Fate(delay_after=5)]}))


def a_class_begins_before_anybody_can_ask(ground: Ground) -> list[str]:
    async def story(world: Universe) -> list[str]:
        world.opening(1, lasts=20)
        await runs(world, 0, 60)
        await asyncio.sleep(10)
        return []

    return told(ground, story, fates=Script(books={"i0": [SILENT]}))
