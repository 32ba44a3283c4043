"""Only a halted instance stops; a frozen one resumes by its own clocks, a killed one never does."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.doubles import EPOCH
from tests.verification.instance import Instance, in_simulation, run_instances


async def _tick(ticks: list[float], seconds: float = 1.0) -> None:
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(seconds)
            ticks.append(loop.time())
    finally:
        ticks.append(-1.0)


def test_a_killed_instance_runs_no_callback_and_no_finally() -> None:
    async def scenario() -> tuple[list[float], list[float]]:
        one, other, ticks, others = Instance("one"), Instance("other"), list[float](), list[float]()
        tasks = [one.start(_tick(ticks)), other.start(_tick(others))]
        await asyncio.sleep(2.5)
        one.kill()
        await asyncio.sleep(2)
        result = (list(ticks), list(others))
        one.resume()
        for task in tasks:
            task.cancel()
        return result

    assert run_instances(scenario()) == ([1, 2], [1, 2, 3, 4])


@pytest.mark.parametrize("stopped", [{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
def test_a_frozen_instance_resumes_by_its_own_clocks(stopped: dict[str, bool]) -> None:
    async def scenario() -> tuple[list[float], float, float]:
        one, ticks = Instance("one"), list[float]()
        task = one.start(_tick(ticks))
        await asyncio.sleep(1.5)
        one.halt(10, **stopped)
        await asyncio.sleep(11.2)
        result = (list(ticks), (one.now() - EPOCH).total_seconds(), one.behind)
        task.cancel()
        return result

    ticks, wall, behind = run_instances(scenario())
    assert wall == pytest.approx(2.7 if stopped.get("wall_stopped") else 12.7)
    assert behind == (10 if stopped.get("monotonic_stopped") else 0)
    assert ticks == ([1, 2] if stopped.get("monotonic_stopped") else [1, 11.5, 12.5])


def test_a_request_arrives_after_its_instance_is_killed() -> None:
    async def scenario() -> list[str]:
        arrived = list[str]()

        async def travel() -> None:
            await asyncio.sleep(1)
            arrived.append("arrived")

        async def send() -> None:
            in_simulation(travel())
            await asyncio.Event().wait()

        one = Instance("one")
        task = one.start(send())
        await asyncio.sleep(0.5)
        one.kill()
        await asyncio.sleep(1)
        one.resume()
        task.cancel()
        return arrived

    assert run_instances(scenario()) == ["arrived"]
