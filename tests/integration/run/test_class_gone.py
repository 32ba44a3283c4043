"""The gym changes a class at AimHarder while a member's call is in doubt: the row ends after a second look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.twin import DROP, CallPlan, VenueTwin
from tests.support.boxes import Gym
from tests.support.database import Database
from tests.support.world import World

Change = Callable[[VenueTwin, str], None]


def another_number(twin: VenueTwin, class_id: str) -> None:
    twin.classes["9999"] = twin.classes.pop(class_id)


def another_day(twin: VenueTwin, class_id: str) -> None:
    twin.classes[class_id] = replace(twin.classes[class_id], day="20991231")


def taken_off(twin: VenueTwin, class_id: str) -> None:
    del twin.classes[class_id]


CHANGES = [another_number, another_day, taken_off]


@pytest.fixture
def gym(database: Database) -> Gym:
    return Gym(World(database))


async def cut_off_then(change: Change, gym: Gym, email: str, class_id: str) -> None:
    """Lose the first call before the box acts on it, then change the class."""
    gym.twin.script(email, CallPlan(acts=False, answer=DROP))
    await gym.invoke()
    change(gym.twin, class_id)


async def minutes(gym: Gym, runs: int) -> None:
    """Trigger once a minute."""
    for _ in range(runs):
        await asyncio.sleep(60)
        await gym.invoke()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_class_is_gone_after_a_second_look(gym: Gym, change: Change) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook(email, class_id)

    async def steps() -> int:
        await cut_off_then(change, gym, email, class_id)
        await minutes(gym, 1)
        assert gym.world.ends([row]) == [("pending", None)], "one look at a list proves nothing"
        await minutes(gym, 4)
        asked = len(gym.calls(BOOKINGS))
        await minutes(gym, 3)
        return len(gym.calls(BOOKINGS)) - asked

    assert gym.world.run(steps()) == 0, "nothing is asked once the row has ended"
    assert gym.world.ends([row]) == [("failed", "class_gone")]
    assert gym.twin.ledger.bookings() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_timetable_read_without_a_login_makes_no_class_gone(gym: Gym, change: Change) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook(email, class_id)

    async def steps() -> None:
        await cut_off_then(change, gym, email, class_id)
        gym.twin.members.log_out(email)
        await minutes(gym, 8)

    gym.world.run(steps())
    assert gym.world.ends([row]) == [("pending", None)]
    assert len(gym.calls(BOOKINGS)) <= 8
