"""Upkeep is killed, or a call of it is lost, at every step: a later call goes on, and nothing is done twice.

The steps are all calls of the database and of the venue in an undisturbed invocation.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.ledger import Arrival
from prebooking.local.venue.twin import DROP, CallPlan
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH
from tests.support.world import World

Fault = Literal["before", "after", "killed before", "killed after"]

FAULTS: list[Fault] = ["before", "after", "killed before", "killed after"]
STEPS = 2 + 2 * 2  # what is due, the claim of the days, and per day a request and the storing of its result
DAYS = ["20300114", "20300115"]


class FaultAtStep:
    """Disturbs the step with this number, counted from 0; every later step works."""

    def __init__(self, gym: Gym, step: int, fault: Fault | None) -> None:
        self._step, self._fault, self._gym, self.steps = step, fault, gym, list[str]()
        self.task: asyncio.Task[Any] | None = None
        gym.world.to_database.loses, gym.twin.plan = self._at_the_database, self._at_the_venue

    def _strikes(self, name: str) -> bool:
        self.steps.append(name)
        return self._fault is not None and len(self.steps) - 1 == self._step

    def _at_the_database(self, function: str) -> str:
        if not self._strikes(function):
            return ""
        self._kill()
        return str(self._fault).rpartition(" ")[2]

    def _at_the_venue(self, arrival: Arrival) -> CallPlan:
        if not self._strikes(arrival.path):
            return CallPlan()
        self._kill()
        return CallPlan(acts=self._fault in ("after", "killed after"), answer=DROP)

    def _kill(self) -> None:
        """Cancel the invocation at its next ``await``: it does nothing more."""
        if str(self._fault).startswith("killed") and self.task:
            self.task.cancel()


def ask(gym: Gym, day: str, class_id: str) -> UUID:
    """Add a prebooking whose class has another number now."""
    gym.twin.open_class(class_id, opens_at=EPOCH, capacity=9, name="WOD", time="18:00", day=day, box=gym.host)
    meant = {"day": day, "starts_at": "18:00", "class_name": "WOD", "class_id": f"{class_id}0"}
    return gym.prebook_data("ana@example.com", meant, EPOCH + timedelta(hours=8))


async def invoke(gym: Gym, fault: FaultAtStep) -> None:
    fault.task = asyncio.create_task(gym.keep_up())
    await asyncio.wait([fault.task])


@pytest.fixture
def rows(gym: Gym) -> list[UUID]:
    return [ask(gym, day, class_id) for day, class_id in zip(DAYS, ("7001", "7002"), strict=True)]


def found(world: World, rows: list[UUID]) -> list[str]:
    return [world.row(row)["booking_data"]["class_id"] for row in rows]


def test_an_undisturbed_invocation_has_these_steps(gym: Gym, rows: list[UUID]) -> None:
    fault = FaultAtStep(gym, 0, None)
    gym.world.run(invoke(gym, fault))
    assert len(fault.steps) == STEPS
    assert found(gym.world, rows) == ["7001", "7002"]


@pytest.mark.grid
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", range(STEPS))
def test_a_fault_at_any_step_is_made_up_for(gym: Gym, rows: list[UUID], step: int, fault: Fault) -> None:
    struck = FaultAtStep(gym, step, fault)

    async def scenario() -> None:
        await invoke(gym, struck)
        for _ in range(
            16
        ):  # the lease takes half a minute, and a day that could not be read waits for a quarter of an hour
            await asyncio.sleep(60)
            await gym.keep_up()

    gym.world.run(scenario())
    assert len(struck.steps) > step
    assert found(gym.world, rows) == ["7001", "7002"]
    reads = gym.twin.ledger.arrivals("GET", path=BOOKINGS)
    assert 2 <= len(reads) <= 4, "each day once, and those that the fault has left once more"
    leased = gym.connection.execute("select count(*) from public.class_days where leased_by is not null").fetchone()
    assert leased == (0,)
