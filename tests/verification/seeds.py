"""Random scenarios, each from a seed: minutes of overlapping instances with faults, then minutes without."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from rich.console import Console

from prebooking.local.venue.page import Page
from prebooking.local.venue.twin import Protection
from tests.verification import interference
from tests.verification.checker import INVARIANTS, check
from tests.verification.database_clock import draw_steps
from tests.verification.instance import Instance
from tests.verification.part import Part, Result, Share
from tests.verification.random_faults import FaultRates, RandomFaults
from tests.verification.sim_database import SimDatabase, new_sim_database
from tests.verification.simulation import Simulation
from tests.verification.systems import KINDS, OTHER_KEY
from tests.verification.trace import Trace

_PAUSE = "update public.venues set paused_until = %s where id = %s"
_PENDING = "select count(*) from public.prebookings where status = 'pending'"
_BOOKED = "select id from public.prebookings where status = 'completed' and given_back_at is null"
_CLAIMED = "select id from public.prebookings where claimed_by is not null"
_SHORTEST = 3 * 60.0  # seconds of a scenario
ENDS = "the simulation ends"
_LONGEST = 20 * 60.0  # seconds; a scenario that takes longer is stuck


@dataclass(slots=True)
class SeedResult:
    """The result of a seed: the violations of each invariant, and how many cases each was checked on."""

    seed: int
    violations: dict[str, list[str]]
    checked: Counter[str]
    counts: Counter[str]
    timeline: list[str] = field(default_factory=list)


class RandomScenario:
    """The events of a seed, which are drawn beforehand, and the simulation in which they happen."""

    def __init__(self, sim_database: SimDatabase, seed: int) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.ends = rng.uniform(60, 360)  # seconds; no fault is injected afterwards
        self._kind = kind = KINDS[seed % len(KINDS)]
        self._late_rng = random.Random(seed + 2)  # noqa: S311 - as above
        fault_rng = random.Random(seed + 1)  # noqa: S311 - as above
        self.random_faults = RandomFaults(fault_rng, FaultRates.of(rng), ends=self.ends, kind=kind)
        behind = rng.choice([rng.uniform(-2.5, 2.5), rng.uniform(-2.5, 2.5), rng.uniform(-30, -3)])
        skews = {"database_skew": rng.uniform(-2.5, 2.5), "venue_skew": behind}
        self.sim = Simulation(sim_database, seed=seed, kind=kind, faults=self.random_faults, **skews)
        self.random_faults.now = self.sim.now
        self.sim.twin.page = Page.at_random(rng)
        self.sim.twin.can_tell = self.random_faults.venue_can_tell = kind.is_box or rng.random() < 0.85
        self._leads = rng.choice([["0"], ["3"], ["5"], ["0", "3", "5"]])
        self._staggers, self._leases = rng.choice([["50"], ["50", "80"]]), rng.choice([["30"], ["30", "40"]])
        self._has_other_deployment = rng.random() < 0.2
        self._venues = [self.sim.add_venue() for _ in range(rng.randint(1, 3))]
        self._openings = list[float]()
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._offers: dict[UUID, list[tuple[float, dict[str, Any]]]] = {venue: [] for venue in self._venues}
        self._schedule_openings()
        self._schedule_choices()
        self._schedule_triggers()
        self._schedule_interference()

    # the events

    def _at(self, instant: float, event: Callable[[], Any]) -> None:
        self._events.append((instant, len(self._events), event))

    def _schedule_openings(self) -> None:
        """Schedule openings: some now, some later, with prebookings added long before and some added late."""
        rng = self._rng
        for _ in range(rng.randint(1, 4)):
            members = rng.choice([1, 2, 3, 5, 8, 12, rng.randint(13, 50)])
            if rng.random() < 0.01:  # more rows of a venue than one claim takes
                members = rng.randint(201, 240)
            at = rng.choice([rng.uniform(-3, 0), 0.0, 60.0, rng.uniform(0, self.ends + 20)])
            venue = rng.choice(self._venues)
            offer = self.sim.offer(venue, at=at, capacity=rng.choice([1000, 1000, 3]), waiting=rng.choice([0, 0, 2]))
            lasts = rng.choice([86_400.0, 86_400.0, rng.uniform(20, 400)])
            age = rng.choice([0.0, 0.0, 900.0, 1300.0, 1900.0])  # seconds since the members logged in
            add = partial(self._add, venue=venue, offer=offer, at=at, lasts=lasts, session_age=age)
            self._at(0.0, partial(add, members))
            self._openings.append(at)
            self._offers[venue].append((at, offer))
            for _ in range(rng.choice([0, 0, 1, 4])):
                late = max(0.01, at + rng.choice([rng.uniform(-1, 30), rng.uniform(0, 6)]))
                self._at(late, partial(add, rng.randint(1, 3), made=late))

    def _schedule_choices(self) -> None:
        """Schedule members who ask for one of several classes, of which the first ones are mostly full."""
        rng = self._rng
        for _ in range(rng.choice([0, 1, 1, 2])):
            venue, first = rng.choice(self._venues), rng.choice([rng.uniform(-3, 0), 60.0, rng.uniform(0, self.ends)])
            classes = rng.sample(self._offers[venue], rng.randint(0, min(2, len(self._offers[venue]))))
            for _ in range(rng.randint(2, 4) - len(classes)):
                at = first + rng.choice([0.0, rng.uniform(-30, 90)])
                places = {"capacity": rng.choice([0, 1, 1, 2, 1000]), "waiting": rng.choice([0, 0, 1])}
                classes.append((at, self.sim.offer(venue, at=at, **places)))
            if len(classes) > 1:
                how: dict[str, Any] = {"made": rng.choice([0.0, 0.0, max(0.01, first + rng.uniform(-1, 30))])}
                how |= {"lasts": rng.choice([86_400.0, 86_400.0, rng.uniform(120, 600)])}
                how |= {"session_age": rng.choice([0.0, 0.0, 900.0, 1900.0])}
                add = partial(self.sim.add_choices, venue=venue, classes=rng.sample(classes, len(classes)), **how)
                self._at(how["made"], partial(add, rng.randint(1, 6)))
                self._openings.append(first)

    def _add(self, members: int, **how: Any) -> None:
        if how["at"] + how["lasts"] > how.get("made", 0.0):
            self.sim.add_opening(members, **how)

    def _schedule_triggers(self) -> None:
        """Schedule the cron every minute, and up to nine invocations that overlap."""
        rng = self._rng
        for minute in range(int(_LONGEST // 60)):
            if minute * 60 > self.ends - 60 or rng.random() < 0.9:
                self._at(minute * 60 + rng.uniform(0, 2), self._invoke)
        around = rng.choice(self._openings)
        for _ in range(rng.randint(0, 9)):
            self._at(max(0.0, around + rng.uniform(-5, rng.choice([1, 10, 60]))), self._invoke_besides)

    def _invoke_besides(self) -> None:
        """Invoke besides the cron, possibly in another deployment with another key."""
        is_other = self._has_other_deployment and self._rng.random() < 0.5
        self._invoke(**({"SESSION_ENCRYPTION_KEY": OTHER_KEY} if is_other else {}))

    def _invoke(self, **environment: str) -> None:
        instance = Instance(f"i{len(self.sim.runs)}", skew=self._rng.uniform(-2.5, 2.5))
        self.random_faults.enter(instance)
        rng = self._rng
        settings = {"LEAD_SECONDS": rng.choice(self._leads), "STAGGER_MS": rng.choice(self._staggers)}
        self.sim.invoke(instance, **settings, LEASE_SECONDS=rng.choice(self._leases), **environment)

    def _keep(self) -> None:
        instance = Instance(f"k{len(self.sim.keepers)}", skew=self._rng.uniform(-2.5, 2.5))
        self.random_faults.enter(instance)
        self.sim.keep(instance)

    def _schedule_interference(self) -> None:
        """Schedule cancellations, pauses, bookings by hand, and faults at an instant instead of at a step."""
        rng = self._rng
        for _ in range(rng.choice([0, 0, 1, 3, 6])):
            self._at(rng.uniform(0, self.ends), self._cancel_one)
        for _ in range(rng.choice([0, 1, 3]) if self._kind.is_box else 0):
            self._at(rng.choice([0.0, 60.0, rng.uniform(0, self.ends)]), self._keep)
        if rng.random() < 0.2:
            seconds = rng.uniform(5, 90)
            self._at(rng.uniform(0, self.ends), lambda: self._pause(rng.choice(self._venues), seconds))
        for _ in range(rng.choice([0, 0, 2, 5])):
            self._at(rng.uniform(0, self.ends), self._inject_one)

        for _ in range(rng.choice([0, 0, 1, 4])):
            self._at(rng.uniform(0, self.ends), self._step_a_clock)
        # Only at venues that give a member one place in a class.
        for _ in range(rng.choice([0, 0, 1, 4]) if self._kind.protection is Protection.DUPLICATES else 0):
            self._at(rng.uniform(0, self.ends), lambda: interference.book_by_hand(self.sim, self._one()))
        self._schedule_clock_steps_and_edits()
        for _ in range(self._late_rng.choice([0, 0, 1, 4])):
            self._at(self._late_rng.uniform(0, self.ends), self._give_back_one)

    def _schedule_clock_steps_and_edits(self) -> None:
        """Schedule steps of the database's clock, and edits of prebookings, mostly while they are being booked."""
        rng = self._rng
        self.random_faults.clock_steps = draw_steps(rng, self._openings, self.ends)
        for at, by in self.random_faults.clock_steps:
            self._at(at, partial(self._step_the_database, by))
        for _ in range(rng.choice([0, 0, 1, 4])):
            at = rng.choice([rng.uniform(0, self.ends), rng.choice(self._openings) + rng.uniform(-3, 40)])
            new_class, new_member = rng.choice([(True, False), (False, True), (True, True)])
            self._at(min(max(at, 0.01), self.ends), partial(self._edit_one, new_class=new_class, new_member=new_member))
        for _ in range(rng.choice([0, 0, 1, 4])):
            self._at(
                rng.uniform(0, self.ends), lambda: interference.move_opening(self.sim, self._one(), rng.uniform(1, 70))
            )

    def _one(self) -> UUID:
        return self._rng.choice(sorted(self.sim.prebookings))

    def _give_back_one(self) -> None:
        if booked := sorted(row for (row,) in self.sim.connection.execute(_BOOKED).fetchall()):
            interference.give_back(self.sim, self._late_rng.choice(booked))

    def _cancel_one(self) -> None:
        interference.cancel(self.sim, self._one(), directly=self._rng.random() < 0.3)

    def _step_a_clock(self) -> None:
        alive = [run.instance for run in self.sim.runs.values() if run.summary is None]
        if alive:
            self._rng.choice(alive).wall_skew += timedelta(seconds=self._rng.uniform(-40, 40))

    def _step_the_database(self, by: float) -> None:
        self.sim.step_database_clock(by)
        self.random_faults.clock_set(by)

    def _edit_one(self, **what: bool) -> None:
        claimed = sorted(row for (row,) in self.sim.connection.execute(_CLAIMED).fetchall())
        row = self._rng.choice(claimed) if claimed and self._rng.random() < 0.5 else self._one()
        interference.edit(self.sim, row, **what)

    def _pause(self, venue: UUID, seconds: float) -> None:
        self.sim.connection.execute(_PAUSE, [self.sim.database_clock.read(self.sim.now() + seconds), venue])
        self.sim.note(f"venue {str(venue)[:8]} is paused for {seconds:.0f} s")

    def _inject_one(self) -> None:
        alive = [run.instance for run in self.sim.runs.values() if run.summary is None and not run.instance.halted]
        if alive:
            self.random_faults.inject(self._rng.choice(alive), self._rng.choice(["kill", "halt"]))

    # the run

    async def run(self) -> Trace:
        """Run all events, until every row is terminal or the time for it is over, and return the trace."""
        for instant, _, event in sorted(self._events, key=lambda each: each[:2]):
            await asyncio.sleep(max(0.0, instant - self.sim.now()))
            if instant > max(self.ends, _SHORTEST) and self._is_over():
                break
            event()
        await self.sim.drain()
        return Trace(self.sim, quiet_from=self.random_faults.quiet_from)

    def _is_over(self) -> bool:
        if self.sim.runs and any(run.summary is None and not run.instance.killed for run in self.sim.runs.values()):
            return False
        (left,) = self.sim.connection.execute(_PENDING).fetchone() or (0,)
        return left == 0


def run(sim_database: SimDatabase, seed: int, *, traced: bool = False) -> SeedResult:
    """Run one seed and check it. A simulation that does not end is a violation too."""
    try:
        return _run_seed(sim_database, seed, traced=traced)
    except Exception as exc:  # noqa: BLE001 - any exception is reported with the seed
        violations: dict[str, list[str]] = {name: [] for name in INVARIANTS}
        return SeedResult(seed, violations | {ENDS: [f"{type(exc).__name__}: {exc}"]}, Counter(), Counter(seeds=1))


def _run_seed(sim_database: SimDatabase, seed: int, *, traced: bool) -> SeedResult:
    with sim_database.scenario():
        scenario = RandomScenario(sim_database, seed)
        sim = scenario.sim
        sim.timeline = [] if traced else None

        async def run_and_check() -> SeedResult:
            trace = await scenario.run()
            counts = Counter(
                seeds=1,
                minutes=round(sim.now() / 60),
                invocations=len(sim.runs),
                killed=sum(run.instance.killed for run in sim.runs.values()),
                database=len(sim.to_database.calls),
                venue=len(sim.to_venues.sent),
                by_hand=len(sim.booked_by_hand),
                moved=len(sim.moved),
                edited=sim.edits[True],
                not_edited=sim.edits[False],
                clock_steps=sim.database_clock.steps,
                choices=len(trace.later),
                promoted=len(trace.promoted),
            )
            checked = Counter({name: count(trace) for name, (_, count) in INVARIANTS.items()} | {ENDS: 1})
            return SeedResult(seed, check(trace) | {ENDS: []}, checked, counts, sim.timeline or [])

        return sim.run(run_and_check())


def _run(share: Share) -> Iterable[Result]:
    with new_sim_database() as sim_database:
        first = share.size.first
        results = [run(sim_database, seed) for seed in share.select(range(first, first + share.size.seeds))]
    totals = sum((each.counts for each in results), Counter[str]())
    for name, what in _TOTALS.items():
        yield Result(what, totals[name])
    for name in (*INVARIANTS, ENDS):
        broken = [each for each in results if each.violations[name]]
        violations = [f"seed {each.seed}: {violation}" for each in broken for violation in each.violations[name][:3]]
        again = f"make prove SEED={broken[0].seed}" if broken else ""
        yield Result(name, sum(each.checked[name] for each in results), violations, again)


_TOTALS = {
    "seeds": "simulations, each from a seed",
    "minutes": "simulated minutes",
    "invocations": "invocations",
    "killed": "of them killed",
    "database": "calls of database functions",
    "venue": "calls to venues",
    "by_hand": "places booked by hand",
    "moved": "openings that were edited",
    "edited": "classes and members that were edited",
    "not_edited": "edits that were refused, because the row was being booked",
    "clock_steps": "steps of the database's clock",
    "choices": "later choices",
    "promoted": "of them promoted",
}

PART = Part("simulation", _run, shares=8)


def replay(seed: int) -> int:
    """Print the timeline and the violations of a seed."""
    console = Console(width=int(os.environ.get("COLUMNS", "160")))
    with new_sim_database() as sim_database:
        result = run(sim_database, seed, traced=True)
    for line in result.timeline:
        console.print(line, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")
    wrong = [f"{name}: {violation}" for name, found in result.violations.items() for violation in found]
    for line in wrong or ["no violation"]:
        console.print(line, markup=False)
    return 1 if wrong else 0
