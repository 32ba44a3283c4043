"""Stories aimed at one guard each: all goes well with the guard, and something is violated without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from prebooking.local.venue.twin import HANG, CallPlan
from tests.verification.checker import check
from tests.verification.fault_plan import Loss
from tests.verification.instance import Instance
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase
from tests.verification.simulation import Simulation
from tests.verification.systems import KINDS, SystemKind
from tests.verification.trace import Trace

Scene = Callable[[SimDatabase], list[str]]
Story = Callable[[Simulation], Coroutine[Any, Any, list[str]]]

CLAIM = "claim_due_prebookings_v1"
WITHOUT, _, CAPACITY_FIRST, IDEMPOTENT, BOX, BOX_WITHOUT = KINDS
SILENT = CallPlan(answer=HANG)  # it has acted, and nobody hears of it


def run_scenario(
    sim_database: SimDatabase,
    scenario: Story,
    *,
    faults: ScriptedFaults | None = None,
    kind: SystemKind = WITHOUT,
    quiet_from: float | None = None,
    **how: Any,
) -> list[str]:
    """Play a story; return what it complains of itself, and what is violated at its end."""
    with sim_database.scenario():
        sim = Simulation(sim_database, kind=kind, faults=faults or ScriptedFaults(), **how)

        async def all_of_it() -> list[str]:
            complaints = await scenario(sim)
            await sim.settled_down()
            wrong = check(Trace(sim, quiet_from=sim.now() if quiet_from is None else quiet_from))
            return complaints + [f"{name}: {each}" for name, found in wrong.items() for each in found]

        return sim.run(all_of_it())


def status(sim: Simulation, row: UUID) -> tuple[Any, ...]:
    query = "select status, outcome, claimed_by from public.prebookings where id = %s"
    return sim.connection.execute(query, [row]).fetchone() or ()


def expect(met: object, complaint: str) -> list[str]:
    return [] if met else [complaint]


def sent(sim: Simulation, row: UUID) -> list[float]:
    return [sent.at for sent in sim.venue_wire.sent if sent.books and sent.row == str(row)]


async def runs(sim: Simulation, *instants: float, lead: float = 0) -> None:
    """Trigger at these instants of the world's time."""
    for instant in instants:
        await asyncio.sleep(max(0.0, instant - sim.now()))
        sim.invoke(LEAD_SECONDS=str(lead))


# the claim


def two_at_once(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(10)
        await runs(sim, 0, 0.2, 40)
        await asyncio.sleep(20)
        return []

    return run_scenario(sim_database, scenario)


def one_joins_during_a_turn(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        venue = sim.add_venue()
        sim.opening(20, venue=venue)
        await runs(sim, 0)
        await asyncio.sleep(0.3)
        sim.opening(3, venue=venue, made=0.3)
        await runs(sim, 0.4, 20)
        await asyncio.sleep(20)
        return []

    return run_scenario(sim_database, scenario)


def one_joins_behind_a_dead_holder(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        venue = sim.add_venue()
        sim.opening(3, venue=venue)
        await runs(sim, 0)
        await asyncio.sleep(1)
        [late] = sim.opening(1, venue=venue, made=1)
        await runs(sim, 9.5)
        await asyncio.sleep(5)
        return expect(sent(sim, late), "who stands behind a dead holder's rows waits for their lease")

    return run_scenario(
        sim_database, scenario, faults=ScriptedFaults(blows={("i0", "hears the database", 1): Instance.kill})
    )


def a_venue_acts_late(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1)
        await runs(sim, 0, 12, 40)
        await asyncio.sleep(20)
        return []

    return run_scenario(
        sim_database, scenario, faults=ScriptedFaults(books={"i0": [CallPlan(delay_before=20, answer=HANG)]})
    )


def a_holder_dies_after_sending(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(2)
        await runs(sim, 0, 40)
        await asyncio.sleep(20)
        return []

    return run_scenario(
        sim_database, scenario, faults=ScriptedFaults(blows={("i0", "hears the venue", 1): Instance.kill})
    )


def the_answer_of_a_claim_is_lost(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1)
        await runs(sim, 0)
        await asyncio.sleep(5)
        return expect(status(sim, row)[0] == "completed", "what a claim took whose answer was lost is not fired")

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", CLAIM): [Loss(ends="broken")]}))


def a_claim_comes_after_its_run(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        venue = sim.add_venue()
        sim.opening(1, venue=venue)
        await runs(sim, 0)
        await asyncio.sleep(6)
        [late] = sim.opening(1, venue=venue, made=6)
        await asyncio.sleep(6)
        return expect(status(sim, late)[2] is None, "a run that is over holds a row")

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(losses={("i0", CLAIM): [Loss(delay_before=11)]}))


def a_class_begins_while_an_answer_is_under_way(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        [row] = sim.opening(1, lasts=3)
        await runs(sim, 0, 4)
        await asyncio.sleep(10)
        return expect(status(sim, row)[0] == "completed", "a booking whose answer came is not known of")

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [CallPlan(delay_after=5)]}))


def a_class_begins_before_anybody_can_ask(sim_database: SimDatabase) -> list[str]:
    async def scenario(sim: Simulation) -> list[str]:
        sim.opening(1, lasts=20)
        await runs(sim, 0, 60)
        await asyncio.sleep(10)
        return []

    return run_scenario(sim_database, scenario, faults=ScriptedFaults(books={"i0": [SILENT]}))
