"""Upkeep is killed, or a call of it is lost, at every step: a later call goes on, and nothing is done twice.

The steps are all calls of the database and of the venue in an undisturbed invocation.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.ledger import Arrival
from prebooking.local.venue.twin import DROP, CallPlan
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH
from tests.support.faults import FAULTS, Fault, FaultAtStep
from tests.support.world import World

STEPS = 2 + 2 * 2  # what is due, the claim of the days, and per day a request and the storing of its result
DAYS = ["20300114", "20300115"]


class FaultOfUpkeep(FaultAtStep):
    """Disturbs a call of the database, or a request to the venue."""

    def __init__(self, gym: Gym, step: int, fault: Fault | None) -> None:
        super().__init__(gym.world, step, fault)
        gym.twin.plan = self._at_the_venue

    def _at_the_venue(self, arrival: Arrival) -> CallPlan:
        return CallPlan(acts=self.acts, answer=DROP) if self.is_disturbed(arrival.path) else CallPlan()


def ask(gym: Gym, day: str, class_id: str) -> UUID:
    """Add a prebooking whose class has another number now."""
    gym.twin.open_class(class_id, opens_at=EPOCH, capacity=9, name="WOD", time="18:00", day=day, box=gym.host)
    meant = {"day": day, "starts_at": "18:00", "class_name": "WOD", "class_id": f"{class_id}0"}
    return gym.prebook_data("ana@example.com", meant, EPOCH + timedelta(hours=8))


@pytest.fixture
def rows(gym: Gym) -> list[UUID]:
    return [ask(gym, day, class_id) for day, class_id in zip(DAYS, ("7001", "7002"), strict=True)]


def found(world: World, rows: list[UUID]) -> list[str]:
    return [world.row(row)["booking_data"]["class_id"] for row in rows]


def test_an_undisturbed_invocation_has_these_steps(gym: Gym, rows: list[UUID]) -> None:
    fault = FaultOfUpkeep(gym, 0, None)
    gym.world.run(fault.invoke(gym.keep_up()))
    assert len(fault.steps) == STEPS
    assert found(gym.world, rows) == ["7001", "7002"]


@pytest.mark.grid
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", range(STEPS))
def test_a_fault_at_any_step_is_made_up_for(gym: Gym, rows: list[UUID], step: int, fault: Fault) -> None:
    struck = FaultOfUpkeep(gym, step, fault)

    async def scenario() -> None:
        await struck.invoke(gym.keep_up())
        # The lease takes half a minute, and a day that could not be read waits for a quarter of an hour.
        for _ in range(16):
            await asyncio.sleep(60)
            await gym.keep_up()

    gym.world.run(scenario())
    assert len(struck.steps) > step
    assert found(gym.world, rows) == ["7001", "7002"]
    reads = gym.twin.ledger.arrivals("GET", path=BOOKINGS)
    assert 2 <= len(reads) <= 4, "each day once, and those that the fault has left once more"
    leased = gym.connection.execute("select count(*) from public.class_days where leased_by is not null").fetchone()
    assert leased == (0,)
