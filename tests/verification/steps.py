"""Every step of a run, one after the other: killed there, frozen there, and the answer of every call lost.

The steps are those of a clean run, counted: an instance asks the database and hears it, connects to the venue, sends
and hears it. Killed: nothing of it runs any more. Frozen: for 12, 70 and 130 s, with either clock standing still or
none. Lost: the call was carried out, and its answer breaks off or never comes. Then a trigger comes every minute.
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
        (", the wall clock standing still", True, False),
        (", the monotonic clock standing still", False, True),
    )
}
_MINUTES = 3  # of triggers after the run, and one more of silence: by then everything has its end, and who froze thaws
_RUN = 10.0  # seconds after which the struck run is over or stands still


class StoppedAt(FaultPlan):
    """Strikes the first instance at one of its steps, and counts them."""

    def __init__(self, at: int = -1, fault: Fault | None = None) -> None:
        self._at, self._fault = at, fault
        self.steps = list[Step]()

    def at_step(self, instance: Instance, step: Step) -> None:
        if instance.name == "i0":
            self.steps.append(step)
            if len(self.steps) - 1 == self._at and self._fault:
                self._fault(instance)


class LostAt(FaultPlan):
    """Loses the answer of one of the first instance's calls, and counts them."""

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
    """What is tried, at a kind of venue."""

    kind: SystemKind
    faults: FaultPlan
    name: str


async def _tell(sim: Simulation) -> Trace:
    """Two openings at one venue, one of them scarce, and a member in doubt; then a trigger every minute."""
    venue = sim.add_venue()
    sim.opening(3, venue=venue, at=-30, capacity=2)
    [doubtful] = sim.opening(1, venue=venue, at=-60)
    sim.connection.execute("update public.prebookings set maybe_sent = true where id = %s", [doubtful])
    sim.opening(2, venue=venue, at=1.5)
    sim.invoke(LEAD_SECONDS="3")
    for _ in range(_MINUTES):
        await asyncio.sleep(60)
        sim.invoke()
    await asyncio.sleep(60)
    return Trace(sim, quiet_from=_RUN)


def run(sim_database: SimDatabase, scenario: StepScenario) -> list[str]:
    """Play a scene and return what is wrong at its end."""
    with sim_database.scenario():
        sim = Simulation(sim_database, kind=scenario.kind, faults=scenario.faults)

        async def told() -> dict[str, list[str]]:
            return check(await _tell(sim))

        return [f"{scenario.name}: {name}: {wrong}" for name, found in sim.run(told()).items() for wrong in found]


def _struck(sim_database: SimDatabase, kinds: Iterable[SystemKind], faults: Iterable[str]) -> Iterator[StepScenario]:
    for kind in kinds:
        run(sim_database, StepScenario(kind, clean := StoppedAt(), "clean"))
        for fault in faults:
            for at, step in enumerate(clean.steps):
                yield StepScenario(kind, StoppedAt(at, FAULTS[fault]), f"{kind.name}, {fault} at step {at} ({step})")


def _steps(sim_database: SimDatabase, kind: SystemKind) -> int:
    run(sim_database, StepScenario(kind, clean := StoppedAt(), "clean"))
    return len(clean.steps)


def _lost(sim_database: SimDatabase, kinds: Iterable[SystemKind]) -> Iterator[StepScenario]:
    for kind in kinds:
        run(sim_database, StepScenario(kind, clean := LostAt(), "clean"))
        for silent in (False, True):
            for at in range(clean.calls):
                how = "never comes" if silent else "breaks off"
                yield StepScenario(kind, LostAt(at, silent=silent), f"{kind.name}, the answer of call {at} {how}")


def _run(share: Share) -> Iterable[Result]:
    kinds = KINDS[:1] if share.size.sample else KINDS
    with new_sim_database() as sim_database:
        if share.index == 0:
            yield Result(
                "steps of a clean run, of all kinds of venues", sum(_steps(sim_database, kind) for kind in kinds)
            )
        for fault in ["killed"] if share.size.sample else FAULTS:
            yield _played(
                sim_database, f"{fault.split(',')[0]}, at every step", share.mine(_struck(sim_database, kinds, [fault]))
            )
        yield _played(sim_database, "the answer lost, of every call", share.mine(_lost(sim_database, kinds)))


def _played(sim_database: SimDatabase, what: str, scenarios: Iterable[StepScenario]) -> Result:
    played = [run(sim_database, scenario) for scenario in scenarios]
    wrong = [violation for found in played for violation in found]
    return Result(what, len(played), wrong, "make prove PART=steps" if wrong else "")


PART = Part("steps", _run, shares=8)
