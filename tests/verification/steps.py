"""Injects a fault at every step of a run: kills, freezes and lost responses.

The steps are those of a run without faults: connects, and requests and responses of the database and the venue. An
instance is killed, or frozen for 12, 70 or 130 s with one of its clocks or none stopped. A lost response belongs to a
call that was executed; it breaks off or never arrives. Then the function is invoked every minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from prebooking.local.venue.twin import DROP, HANG, Arrival, CallPlan
from tests.verification.checker import check
from tests.verification.fault_plan import Fault, FaultPlan, RpcPlan, Step
from tests.verification.instance import Instance
from tests.verification.part import Part, Result, Share
from tests.verification.sim_database import SimDatabase, new_sim_database
from tests.verification.simulation import Simulation
from tests.verification.systems import KINDS, SystemKind
from tests.verification.trace import Trace

FAULTS: Mapping[str, Fault] = {"killed": Instance.kill} | {
    f"frozen for {seconds} s{how}": partial(Instance.halt, seconds=seconds, wall_stopped=wall, monotonic_stopped=mono)
    for seconds in (12, 70, 130)
    for how, wall, mono in (
        ("", False, False),
        (", the wall clock stopped", True, False),
        (", the monotonic clock stopped", False, True),
    )
}
_MINUTES = 3  # of triggers after the run, and one more without: then every row is terminal and every instance resumed
_RUN = 10.0  # seconds after which the faulty run is over or halted


class FaultAt(FaultPlan):
    """Injects a fault at one step of the first instance, and records its steps."""

    def __init__(self, at: int = -1, fault: Fault | None = None) -> None:
        self._at, self._fault = at, fault
        self.steps = list[Step]()

    def at_step(self, instance: Instance, step: Step) -> None:
        if instance.name == "i0":
            self.steps.append(step)
            if len(self.steps) - 1 == self._at and self._fault:
                self._fault(instance)


class LostAt(FaultPlan):
    """Loses the response to one call of the first instance, and counts its calls."""

    def __init__(self, at: int = -1, *, silent: bool = False) -> None:
        self._at, self._silent = at, silent
        self.calls = 0

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        return RpcPlan(ends="silent" if self._silent else "broken") if self._is_it(instance) else RpcPlan()

    def call_plan(self, instance: Instance, arrival: Arrival) -> CallPlan:
        return CallPlan(answer=HANG if self._silent else DROP) if self._is_it(instance) else CallPlan()

    def _is_it(self, instance: Instance) -> bool:
        self.calls += instance.name == "i0"
        return instance.name == "i0" and self.calls - 1 == self._at


@dataclass(frozen=True, slots=True)
class StepScenario:
    """A kind of venue and the faults that are tried there."""

    kind: SystemKind
    faults: FaultPlan
    name: str


async def _run_with_triggers(sim: Simulation) -> Trace:
    """Run a scenario at one venue, and triggers.

    There are openings, one with few places and one with a row in doubt, and a member with three choices, of which the
    first is full.
    """
    venue = sim.add_venue()
    sim.add_opening(3, venue=venue, at=-30, capacity=2)
    [in_doubt] = sim.add_opening(1, venue=venue, at=-60)
    sim.connection.execute("update public.prebookings set maybe_sent = true where id = %s", [in_doubt])
    sim.add_opening(2, venue=venue, at=1.5)
    choices = [(at, sim.offer(venue, at=at, capacity=places)) for at, places in ((-20, 0), (1.5, 1), (-10, 1))]
    sim.add_choices(1, venue=venue, classes=choices)
    sim.invoke(LEAD_SECONDS="3")
    for _ in range(_MINUTES):
        await asyncio.sleep(60)
        sim.invoke()
    await asyncio.sleep(60)
    return Trace(sim, quiet_from=_RUN)


def run(sim_database: SimDatabase, scenario: StepScenario) -> list[str]:
    """Run a scenario and return the violations."""
    with sim_database.scenario():
        sim = Simulation(sim_database, kind=scenario.kind, faults=scenario.faults)

        async def run_and_check() -> dict[str, list[str]]:
            return check(await _run_with_triggers(sim))

        return [
            f"{scenario.name}: {name}: {wrong}" for name, found in sim.run(run_and_check()).items() for wrong in found
        ]


def _fault_scenarios(
    sim_database: SimDatabase, kinds: Iterable[SystemKind], faults: Iterable[str]
) -> Iterator[StepScenario]:
    for kind in kinds:
        run(sim_database, StepScenario(kind, clean := FaultAt(), "clean"))
        for fault in faults:
            for at, step in enumerate(clean.steps):
                yield StepScenario(kind, FaultAt(at, FAULTS[fault]), f"{kind.name}, {fault} at step {at} ({step})")


def _steps(sim_database: SimDatabase, kind: SystemKind) -> int:
    run(sim_database, StepScenario(kind, clean := FaultAt(), "clean"))
    return len(clean.steps)


def _loss_scenarios(sim_database: SimDatabase, kinds: Iterable[SystemKind]) -> Iterator[StepScenario]:
    for kind in kinds:
        run(sim_database, StepScenario(kind, clean := LostAt(), "clean"))
        for silent in (False, True):
            for at in range(clean.calls):
                how = "never arrives" if silent else "breaks off"
                yield StepScenario(kind, LostAt(at, silent=silent), f"{kind.name}, the response to call {at} {how}")


def _run(share: Share) -> Iterable[Result]:
    kinds = KINDS[:1] if share.size.sample else KINDS
    if share.size.sample:
        share = Share(share.size, of=5)  # every fifth step, as of tests that are marked as a grid
    with new_sim_database() as sim_database:
        if share.index == 0:
            yield Result(
                "steps of a clean run, of all kinds of venues", sum(_steps(sim_database, kind) for kind in kinds)
            )
        for fault in ["killed"] if share.size.sample else FAULTS:
            yield _result(
                sim_database,
                f"{fault.split(',')[0]}, at every step",
                share.select(_fault_scenarios(sim_database, kinds, [fault])),
            )
        yield _result(
            sim_database, "the response lost, of every call", share.select(_loss_scenarios(sim_database, kinds))
        )


def _result(sim_database: SimDatabase, what: str, scenarios: Iterable[StepScenario]) -> Result:
    violations = [run(sim_database, scenario) for scenario in scenarios]
    wrong = [each for found in violations for each in found]
    return Result(what, len(violations), wrong, "make prove PART=steps" if wrong else "")


PART = Part("steps", _run, shares=8)
