"""Scenarios in which the database's clock is set while a row is held."""

from __future__ import annotations

import asyncio

from tests.verification.fault_plan import Loss
from tests.verification.scenarios import expect, run_scenario, runs, sent
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase
from tests.verification.simulation import Simulation


def the_clock_is_set_back_during_a_hold(sim_database: SimDatabase) -> list[str]:
    """A question during the hold finds it out: the call leaves at the opening by the new time."""

    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1, at=3)
        await runs(sim, 0, lead=5)
        await asyncio.sleep(1)
        sim.step_database_clock(-1.5)
        await asyncio.sleep(5)
        return expect(sent(sim, row) and sent(sim, row)[0] < 4.6, "who waits for an opening is not sent at it")

    return run_scenario(sim_database, scenario)


def an_answer_from_before_the_step_comes_late(sim_database: SimDatabase) -> list[str]:
    """An answer from before the clock was set back comes after one that has told of it, and none comes after it."""

    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1, at=2.6)
        await runs(sim, 0, lead=5)
        await asyncio.sleep(1)
        sim.step_database_clock(-2.5)
        await asyncio.sleep(5)
        return expect(sent(sim, row), "who waits for an opening is not sent at it")

    lost = Loss(ends="silent")
    answers = [Loss(), Loss(delay_after=1.6), Loss(), lost, lost]
    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", "prebooking_clock"): answers}))
