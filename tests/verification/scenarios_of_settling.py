"""Stories aimed at the guards of settling, of giving back and of cancelling."""

from __future__ import annotations

import asyncio
from functools import partial

from prebooking.local.venue.twin import CallPlan, TwinReply
from tests.verification import interference
from tests.verification.fault_plan import Loss
from tests.verification.scenarios import CLAIM, SILENT, run_scenario, runs
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase
from tests.verification.simulation import Simulation

FAIL = "fail_prebooking_v1"


def _a_late_failure(sim_database: SimDatabase, *, after_the_next: bool) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 31)
        await asyncio.sleep(20)
        return []

    late = [Loss(delay_before=32.5), Loss(acts=False, ends="silent"), Loss(acts=False, ends="silent")]
    books = {
        "i0": [CallPlan(acts=False, answer=TwinReply(422))],
        "i1": [CallPlan(delay_after=0 if after_the_next else 4)],
    }
    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", FAIL): late}, books=books))


a_failure_is_written_while_the_next_one_holds_the_row = partial(_a_late_failure, after_the_next=False)
a_failure_is_written_after_the_end = partial(_a_late_failure, after_the_next=True)


def a_call_is_cut_off(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 12, 40, 75)
        await asyncio.sleep(20)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [SILENT]}))


def a_call_is_cut_off_and_then_all_goes_well(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 60, 120, 180)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [SILENT]}), quiet_from=10)


def a_page_in_place_of_an_answer(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 40)
        await asyncio.sleep(10)
        return []

    page = CallPlan(acts=False, answer=TwinReply(200, body=b"<html>"))
    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [page]}))


def a_venue_cannot_tell(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 40, 60, 105)  # it is held back for a minute
        await asyncio.sleep(20)
        return []

    return run_scenario(
        sim_database,
        scenario,
        faults=ScriptedFaults(books={"i0": [SILENT]}, asks={"i1": [CallPlan(acts=False, answer=TwinReply(500))]}),
    )


def one_joins_right_after_a_call(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        venue = sim.add_venue()
        sim.opening(1, venue=venue)
        await runs(sim, 0)
        await asyncio.sleep(0.001)
        sim.opening(1, venue=venue, made=0.001)
        await runs(sim, *(0.002 * number for number in range(1, 40)), 20)
        await asyncio.sleep(20)
        return []

    # The first run's next claim is slow, so that another run takes who has joined.
    claims = {("i0", CLAIM): [Loss(), Loss(), Loss(delay_before=1)]}
    return run_scenario(sim_database, scenario, faults=ScriptedFaults(pace=0.0002, losses=claims))


def _cancelled_in_doubt(sim_database: SimDatabase, *, directly: bool) -> list[str]:
    """A row that is at the venue, nobody knows, and nobody holds: the venue could not tell."""

    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1)
        await runs(sim, 0, 40)
        await asyncio.sleep(15)
        interference.cancel(sim, row, directly=directly)
        await runs(sim, 60)
        await asyncio.sleep(20)
        return []

    return run_scenario(
        sim_database,
        scenario,
        faults=ScriptedFaults(books={"i0": [SILENT]}, asks={"i1": [CallPlan(acts=False, answer=TwinReply(500))]}),
    )


cancelled_by_writing = partial(_cancelled_in_doubt, directly=True)
cancelled_by_asking = partial(_cancelled_in_doubt, directly=False)


def edited_while_it_is_being_booked(sim_database: SimDatabase) -> list[str]:
    """An app writes another class and another member into rows that are held for their opening."""

    async def scenario(sim: Simulation) -> list[str]:
        rows = sim.opening(2, at=3)
        await runs(sim, 0, lead=5)
        await asyncio.sleep(1)
        interference.edit(sim, rows[0], new_class=True, new_member=False)
        interference.edit(sim, rows[1], new_class=False, new_member=True)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario)
