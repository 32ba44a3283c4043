"""Stories aimed at the guards of the line and its calls."""

from __future__ import annotations

import asyncio
from functools import partial

from prebooking.local.venue.aimharder import TOKEN_UPDATE
from prebooking.local.venue.twin import DROP, HANG, CallPlan, TwinReply
from tests.verification import interference
from tests.verification.fault_plan import Loss
from tests.verification.instance import Instance
from tests.verification.scenarios import (
    BOX,
    BOX_WITHOUT,
    CAPACITY_FIRST,
    CLAIM,
    IDEMPOTENT,
    SILENT,
    expect,
    run_scenario,
    runs,
    sent,
    status,
)
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase
from tests.verification.simulation import Simulation


def a_refusal_is_ones_own_booking(sim_database: SimDatabase) -> list[str]:
    """The venue acts later than promised, between the question and the next call, and then is full."""

    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1, capacity=1)
        await runs(sim, 0, 30.5)
        await asyncio.sleep(20)
        return []

    books = {"i0": [CallPlan(delay_before=30.58, answer=HANG)], "i1": [CallPlan(delay_before=0.6)]}
    return run_scenario(sim_database, scenario, kind=CAPACITY_FIRST, faults=ScriptedFaults(books=books))


def a_venue_acts_after_its_gateway_gave_up(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 40)
        await asyncio.sleep(20)
        return []

    return run_scenario(
        sim_database,
        scenario,
        faults=ScriptedFaults(books={"i0": [CallPlan(acts=False, answer=TwinReply(504))]}, later=[15.0]),
    )


def a_second_call_is_too_early_and_the_first_is_acted_on(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1)
        await runs(sim, 0)
        await asyncio.sleep(20)
        interference.cancel(sim, row)
        await runs(sim, 40)
        await asyncio.sleep(10)
        return []

    books = {"i0": [CallPlan(acts=False, answer=TwinReply(502)), CallPlan(acts=False, answer=TwinReply(425))]}
    return run_scenario(sim_database, scenario, kind=IDEMPOTENT, faults=ScriptedFaults(books=books, later=[15.0]))


def a_connection_breaks_after_the_venue_has_acted(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 40)
        await asyncio.sleep(20)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [CallPlan(answer=DROP)]}))


def _frozen_before_a_send(sim_database: SimDatabase, *, wall: bool = False, monotonic: bool = False) -> list[str]:
    """Frozen right before a first byte, so that no timer comes in between; it thaws when another one has sent it."""

    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(3)
        await runs(sim, 0, 35)
        await asyncio.sleep(30)
        return []

    fault = partial(Instance.halt, seconds=45, wall_stopped=wall, monotonic_stopped=monotonic)
    return run_scenario(sim_database, scenario, faults=ScriptedFaults(blows={("i0", "sends", 1): fault}))


frozen = _frozen_before_a_send
frozen_with_its_wall_clock = partial(_frozen_before_a_send, wall=True)
frozen_with_its_monotonic_clock = partial(_frozen_before_a_send, monotonic=True)


def a_class_begins_while_its_row_stands_in_line(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        venue = sim.add_venue()
        sim.opening(20, venue=venue, at=-1)
        sim.opening(1, venue=venue, lasts=0.5)
        await runs(sim, 0, 60)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario)


def a_trigger_comes_early(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        rows = sim.opening(3, at=2)
        await runs(sim, 0, lead=3)
        await asyncio.sleep(10)
        return expect(all(sent(sim, row) for row in rows), "who waits for an opening is not sent at it")

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", CLAIM): [Loss(delay_before=0.4)]}))


def a_trigger_comes_early_and_nobody_holds(sim_database: SimDatabase) -> list[str]:
    """Then the first calls are refused at their first byte; the next trigger sends them."""

    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(3, at=2)
        await runs(sim, 0, lead=3)
        await runs(sim, 60)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", CLAIM): [Loss(delay_before=0.4)]}))


def many_wait(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(5)
        await runs(sim, 0)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario)


def the_first_connection_is_slow(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(4)
        await runs(sim, 0)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(connects=[0.5]))


def a_venue_whose_clock_is_behind(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1)
        await runs(sim, 0, 60)
        await asyncio.sleep(10)
        return expect(status(sim, row)[0] == "completed", "a venue that said too early once was believed for ever")

    return run_scenario(sim_database, scenario, venue_skew=-5)


def a_member_is_logged_out_while_in_doubt(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1, lasts=200, session_age=1190)
        await runs(sim, 0)
        await asyncio.sleep(20)
        sim.twin.members.log_out(sim.prebookings[row].member)
        await runs(sim, 40, 105, 210)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario, kind=BOX, faults=ScriptedFaults(books={"i0": [SILENT]}))


def a_session_dies_while_its_row_is_in_doubt(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1)
        await runs(sim, 0)
        await asyncio.sleep(20)
        sim.twin.members.expire(sim.prebookings[row].member)
        await runs(sim, 40)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario, kind=BOX_WITHOUT, faults=ScriptedFaults(books={"i0": [SILENT]}))


def two_refresh_one_login(sim_database: SimDatabase) -> list[str]:
    """A token that refreshes a login works once. One is busy with it when a call is answered "log in again"."""

    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1, session_age=1300)
        sim.twin.script(sim.prebookings[row].member, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)
        sim.keep(Instance("k0"))
        await runs(sim, 0.3, 75)
        await asyncio.sleep(10)
        return expect(status(sim, row)[0] == "completed", "a login was lost, because two refreshed it at once")

    return run_scenario(sim_database, scenario, kind=BOX)
