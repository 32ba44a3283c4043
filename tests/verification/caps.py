"""Scenarios in which more rows are due, expire or were held back than one claim takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from prebooking.local.demo.checker import every_row_is_terminal
from tests.verification.checker import check
from tests.verification.fault_plan import FaultPlan
from tests.verification.instance import Instance
from tests.verification.part import Part, Result, Share
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase, new_sim_database
from tests.verification.simulation import Simulation
from tests.verification.trace import Trace

Sizes = Callable[[Trace], Iterator[int]]


@dataclass(frozen=True, slots=True)
class CapScenario:
    """A scenario with more rows than a cap.

    Each of ``venues`` has ``rows``, which open at 0 and expire after ``lasts`` seconds. The function is invoked every
    minute from ``first`` on. ``sizes`` returns how many rows each claim has taken of those that ``cap`` limits.
    """

    cap: int
    what: str
    sizes: Sizes
    venues: int
    rows: int
    minutes: int
    first: float = 0.0
    lasts: float = 86_400.0
    faults: Callable[[], FaultPlan] = ScriptedFaults


def held_at_once(trace: Trace) -> Iterator[int]:
    """Return how many rows an invocation holds after each of its claims."""
    holders: dict[UUID, UUID | None] = {}
    for _, changes in groupby(trace.history, key=lambda change: (change.at, change.claimed_by)):
        group = list(changes)
        holders |= {change.id: change.claimed_by for change in group}
        if group[0].claimed_by is not None and group[0].was_claimed_by != group[0].claimed_by:
            yield Counter(holders.values())[group[0].claimed_by]


def expired_at_once(trace: Trace) -> Iterator[int]:
    """Return how many rows each claim has settled because their class had begun."""
    yield from Counter(row.settled_at for row in trace.rows.values() if row.outcome in {"expired", "unknown"}).values()


def taken_over_at_once(trace: Trace) -> Iterator[int]:
    """Return how many rows each claim has taken over from an invocation that died."""
    for claim in trace.claims:
        yield len(claim.took & claim.held_back)


CAP_SCENARIOS: Mapping[str, CapScenario] = {
    "due": CapScenario(500, "claims after which one invocation holds 500 rows", held_at_once, 6, 110, minutes=5),
    "expired": CapScenario(
        5000, "claims that settle 5,000 expired rows", expired_at_once, 1, 5_200, minutes=2, first=60.0, lasts=30.0
    ),
    "held back": CapScenario(
        100,
        "claims that take over 100 rows",
        taken_over_at_once,
        11,
        40,
        minutes=9,
        faults=lambda: ScriptedFaults(injections={("i0", "database response", 1): Instance.kill}),
    ),
}


def run(sim_database: SimDatabase, scenario: CapScenario) -> tuple[int, list[str]]:
    """Run a scenario; return how often its cap was reached, and the violations."""
    with sim_database.scenario():
        sim = Simulation(sim_database, faults=scenario.faults())

        async def run_and_check() -> tuple[int, list[str]]:
            for _ in range(scenario.venues):
                sim.add_opening(scenario.rows, lasts=scenario.lasts)
            await asyncio.sleep(scenario.first)
            for _ in range(scenario.minutes):
                sim.invoke()
                await asyncio.sleep(60)
            trace = Trace(sim, quiet_from=60)
            sizes = list(scenario.sizes(trace))
            wrong = [f"{name}: {each}" for name, found in check(trace).items() for each in found]
            wrong += [f"a claim takes {size} rows at once" for size in sizes if size > scenario.cap]
            wrong += every_row_is_terminal(trace.both)
            return sizes.count(scenario.cap), wrong

        return sim.run(run_and_check())


def _run(share: Share) -> Iterable[Result]:
    for scenario in share.select(CAP_SCENARIOS.values()):
        with new_sim_database() as sim_database:
            reached, wrong = run(sim_database, scenario)
        yield Result(scenario.what, reached, wrong, "make prove PART=caps" if wrong else "")


PART = Part("caps", _run, shares=3)
