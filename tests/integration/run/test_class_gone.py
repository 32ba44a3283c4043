"""A class that changes at AimHarder while a call is in doubt: the row ends after a second look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.twin import DROP, CallPlan, VenueTwin
from tests.support.boxes import Gym
from tests.support.database import Database
from tests.support.world import PENDING, World

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
    """Lose the first call before the box handles it, then change the class."""
    gym.twin.script(email, CallPlan(acts=False, answer=DROP))
    await gym.invoke()
    change(gym.twin, class_id)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_class_is_gone_after_a_second_look(gym: Gym, change: Change) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook(email, class_id)

    async def steps() -> int:
        await cut_off_then(change, gym, email, class_id)
        await asyncio.sleep(60)
        await gym.invoke_each_minute(1)
        assert gym.world.ends([row]) == [PENDING], "one look at the timetable is no proof"
        await gym.invoke_each_minute(4)
        asked = len(gym.calls(BOOKINGS))
        await gym.invoke_each_minute(3)
        return len(gym.calls(BOOKINGS)) - asked

    assert gym.world.run(steps()) == 0, "the venue is not asked after the row has ended"
    assert gym.world.ends([row]) == [("failed", "class_gone")]
    assert gym.twin.ledger.bookings() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_timetable_read_without_a_login_makes_no_class_gone(gym: Gym, change: Change) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook(email, class_id)

    async def steps() -> None:
        await cut_off_then(change, gym, email, class_id)
        gym.twin.members.log_out(email)
        await asyncio.sleep(60)
        await gym.invoke_each_minute(8)

    gym.world.run(steps())
    assert gym.world.ends([row]) == [PENDING]
    assert len(gym.calls(BOOKINGS)) <= 8
