"""The caps of the claim, reached: more rows are due, expire or were held back at once than one claim takes."""

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
class Crowd:
    """A scenario with more rows than a cap.

    ``rows`` are those of each of ``venues``; they open at 0 and expire after ``lasts`` seconds. A trigger comes every
    minute from ``first`` on. ``sizes``: how many rows each claim has taken of what ``cap`` limits.
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


def held_at_once(case: Trace) -> Iterator[int]:
    """Return how many rows an invocation holds after each of its claims."""
    holders: dict[UUID, UUID | None] = {}
    for _, changes in groupby(case.history, key=lambda change: (change.at, change.claimed_by)):
        group = list(changes)
        holders |= {change.id: change.claimed_by for change in group}
        if group[0].claimed_by is not None and group[0].was_claimed_by != group[0].claimed_by:
            yield Counter(holders.values())[group[0].claimed_by]


def expired_at_once(case: Trace) -> Iterator[int]:
    """Return how many rows each claim has ended because their class had begun."""
    yield from Counter(row.settled_at for row in case.rows.values() if row.outcome in {"expired", "unknown"}).values()


def taken_over_at_once(case: Trace) -> Iterator[int]:
    """Return how many rows each claim has taken over from an invocation that died."""
    for claim in case.claims:
        yield len(claim.took & claim.held_back)


CROWDS: Mapping[str, Crowd] = {
    "due": Crowd(500, "claims after which one invocation holds 500 rows", held_at_once, 6, 110, minutes=5),
    "expired": Crowd(5000, "claims that end 5,000 rows", expired_at_once, 1, 5_200, minutes=2, first=60.0, lasts=30.0),
    "held back": Crowd(
        100,
        "claims that take over 100 rows",
        taken_over_at_once,
        11,
        40,
        minutes=9,
        faults=lambda: ScriptedFaults(injections={("i0", "database response", 1): Instance.kill}),
    ),
}


def run(sim_database: SimDatabase, crowd: Crowd) -> tuple[int, list[str]]:
    """Play a scenario; return how often its cap was reached, and what is wrong at its end."""
    with sim_database.scenario():
        sim = Simulation(sim_database, faults=crowd.faults())

        async def played() -> tuple[int, list[str]]:
            for _ in range(crowd.venues):
                sim.opening(crowd.rows, lasts=crowd.lasts)
            await asyncio.sleep(crowd.first)
            for _ in range(crowd.minutes):
                sim.invoke()
                await asyncio.sleep(60)
            case = Trace(sim, quiet_from=60)
            sizes = list(crowd.sizes(case))
            wrong = [f"{name}: {each}" for name, found in check(case).items() for each in found]
            wrong += [f"a claim takes {size} rows at once" for size in sizes if size > crowd.cap]
            wrong += every_row_is_terminal(case.both)
            return sizes.count(crowd.cap), wrong

        return sim.run(played())


def _run(share: Share) -> Iterable[Result]:
    for crowd in share.mine(CROWDS.values()):
        with new_sim_database() as sim_database:
            reached, wrong = run(sim_database, crowd)
        yield Result(crowd.what, reached, wrong, "make prove PART=caps" if wrong else "")


PART = Part("caps", _run, shares=3)
