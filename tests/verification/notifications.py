"""Random scenarios of the outbox, each from a seed: kills, lost answers, and receivers that fail in every way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import UUID

from tests.support.notifications import EVENTS
from tests.verification.fault_plan import FaultPlan, RpcPlan, Step
from tests.verification.instance import Instance
from tests.verification.outbox import OutboxSimulation
from tests.verification.outbox_checker import I12, OutboxTrace
from tests.verification.part import Part, Result, Share
from tests.verification.receivers import FOREVER, Plan
from tests.verification.sim_database import SimDatabase, new_sim_database

HOUR = 3600.0
_LEASES_END = 75.0  # seconds after the last fault
_ENDS = 27 * HOUR  # every message has ended before
_MOST_UPKEEPS = 200
ENDS = "the simulation of the outbox ends"
MEMBERS = ("ana@example.com", "ben@example.com", "cleo@example.com")
_FIRST = ("booked", "booked", "waitlisted", "failed", "warned", "class_warned", "cancelled")


class ProcessFaults(FaultPlan):
    """Kills and freezes of instances, and lost, late and refused calls of the database, until the faults end."""

    def __init__(self, rng: random.Random, ends: float) -> None:
        self._rng, self._ends = rng, ends
        self._database = rng.choice([0.0, 0.05, 0.2, 0.4])
        self._process = rng.choice([0.0, 0.3, 0.6])
        self._steps: dict[str, tuple[int, Callable[[Instance], None]]] = {}
        self.now: Callable[[], float] = lambda: 0.0

    def enter(self, instance: Instance) -> None:
        """Draw whether, and at which step, an instance is killed or frozen."""
        rng = self._rng
        if rng.random() < self._process and self.now() < self._ends:
            fault: Callable[[Instance], None] = Instance.kill
            if rng.random() < 0.5:
                fault = partial(Instance.halt, seconds=rng.choice([12.0, 70.0, 130.0]), wall_stopped=rng.random() < 0.3)
            self._steps[instance.name] = (rng.randint(1, 12), fault)

    def at_step(self, instance: Instance, step: Step) -> None:
        left, fault = self._steps.get(instance.name, (0, Instance.kill))
        if left:
            self._steps[instance.name] = (left - 1, fault)
            if left == 1:
                fault(instance)

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        rng = self._rng
        if self.now() >= self._ends or rng.random() >= self._database:
            return RpcPlan()
        return rng.choice(
            [
                RpcPlan(acts=False, ends="broken"),
                RpcPlan(ends="broken"),
                RpcPlan(ends="silent"),
                RpcPlan(delay_before=rng.uniform(0, 4)),
                RpcPlan(delay_after=rng.uniform(0, 4)),
                RpcPlan(acts=False, error=(503, "PGRST001")),
            ]
        )

    def travel_time(self, what: Literal["database", "connect", "venue"]) -> float:
        return self._rng.uniform(0.002, 0.05)


@dataclass(slots=True)
class OutboxResult:
    """The result of a seed."""

    seed: int
    violations: dict[str, list[str]]
    counts: Counter[str]
    timeline: list[str] = field(default_factory=list)


class OutboxScenario:
    """The events of a seed, which are drawn beforehand."""

    def __init__(self, sim_database: SimDatabase, seed: int) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.ends = rng.uniform(30, 180)
        self.quiet_from = self.ends + _LEASES_END
        self._faults = ProcessFaults(random.Random(seed + 1), self.ends)  # noqa: S311 - as above
        self.sim = OutboxSimulation(sim_database, rng, self._faults, faults_end=self.ends)
        self._faults.now = self.sim.now
        if rng.random() < 0.15:
            self.sim.kinds.remove(rng.choice(self.sim.kinds))
        self._rows: dict[UUID, str] = {}
        self._long_outages = int(rng.random() < 0.3)
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._add_channels()
        self._schedule_events()
        self._schedule_upkeeps()

    def _at(self, instant: float, event: Callable[[], Any]) -> None:
        self._events.append((instant, len(self._events), event))

    def _add_channels(self) -> None:
        rng = self._rng
        for member in (*MEMBERS, None):
            most = 1 if member is None else 2
            for kind in rng.sample(["webhook", "mail", "ntfy", "telegram"], rng.randint(0, most)):
                events = EVENTS if rng.random() < 0.8 else rng.sample(EVENTS, 3)
                if kind == "webhook" and any(one.kind == "webhook" for one in self.sim.receivers.values()):
                    continue  # all members share the operator's address, and a ledger here is one channel's
                self.sim.add_channel(member, kind, list(events), **self._receiver())

    def _receiver(self) -> dict[str, Any]:
        """Draw how a receiver fails; at most one per scenario takes nothing for hours, a day, or for ever."""
        rng = self._rng
        when_down: Plan = rng.choice(["refuses", "hangs"])
        begins = rng.choice([0.0, rng.uniform(0, self.ends)])
        if self._long_outages and rng.random() < 0.5:
            self._long_outages -= 1
            for_ever: dict[str, Any] = {"down": (0.0, FOREVER), "when_down": rng.choice([when_down, when_down, "gone"])}
            return rng.choice(
                [for_ever, {"down": (begins, begins + rng.uniform(1, 22) * HOUR), "when_down": when_down}]
            )
        brief = {"down": (begins, begins + rng.uniform(10, 300)), "when_down": when_down}
        return rng.choice([{}, {}, {"rate": rng.choice([0.3, 0.9])}, brief])

    def _schedule_events(self) -> None:
        """Schedule what happens to prebookings, some of it after the faults, and what happens to channels."""
        rng = self._rng
        for _ in range(rng.randint(1, 5)):
            self._at(rng.uniform(0, self.ends), partial(self._change_a_row, rng.choice(MEMBERS)))
        for _ in range(rng.randint(0, 3)):
            self._at(self.quiet_from + rng.uniform(0, 100), partial(self._change_a_row, rng.choice(MEMBERS)))
        if rng.random() < 0.1 and not self._long_outages:
            for _ in range(12):
                self._at(rng.choice([1.0, self.quiet_from]), partial(self._change_a_row, MEMBERS[0]))
        if rng.random() < 0.2:
            self._at(rng.uniform(0, self.ends), self._remove_one)
        if rng.random() < 0.1:
            self._at(rng.uniform(0, self.ends), partial(self._forget, rng.choice(MEMBERS)))

    def _change_a_row(self, member: str) -> None:
        """Change a new prebooking of a member, and maybe change it again."""
        rng, row = self._rng, self.sim.add_row(member)
        self._rows[row] = member
        what = rng.choice(_FIRST)
        if rng.random() < 0.1:
            self.sim.happen(member, row, what, rolled_back=True)
        self.sim.happen(member, row, what)
        if what in ("warned", "class_warned") and rng.random() < 0.5:
            self.sim.happen(member, row, "booked")
        elif what in ("booked", "waitlisted") and rng.random() < 0.4:
            self.sim.happen(member, row, "moved_up" if what == "waitlisted" else "given_back")

    def _remove_one(self) -> None:
        if self.sim.channels:
            self.sim.remove_channel(self._rng.choice(list(self.sim.channels)))

    def _forget(self, member: str) -> None:
        self.sim.forget(member, {row for row, owner in self._rows.items() if owner == member})

    def _schedule_upkeeps(self) -> None:
        """Schedule upkeep every minute, mostly, and some that overlap."""
        rng = self._rng
        for minute in range(int((self.quiet_from + 120) // 60) + 1):
            if minute * 60 > self.ends or rng.random() < 0.9:
                self._at(minute * 60 + rng.uniform(0, 2), self._invoke)
        for _ in range(rng.choice([0, 0, 1, 3])):
            self._at(rng.uniform(0, self.ends), self._invoke)
        for _ in range(rng.choice([0, 1])):
            self._at(rng.choice([60.0, 120.0]) + rng.uniform(0, 2), self._invoke)

    def _invoke(self) -> None:
        instance = Instance(f"u{len(self.sim.instances)}", skew=self._rng.uniform(-2.5, 2.5))
        self._faults.enter(instance)
        self.sim.invoke(instance)

    async def run(self) -> OutboxTrace:
        """Run all events, then upkeep at each minute in which a message is due, until every message has ended."""
        for instant, _, event in sorted(self._events, key=lambda each: each[:2]):
            await asyncio.sleep(max(0.0, instant - self.sim.now()))
            event()
        while self.sim.now() < _ENDS and len(self.sim.instances) < _MOST_UPKEEPS:
            await asyncio.sleep(20)
            due = self.sim.next_at()
            if due is None:
                break
            await asyncio.sleep(max(0.0, -(-max(due, self.sim.now()) // 60) * 60 - self.sim.now()))
            self._invoke()
        await asyncio.sleep(20)
        await self.sim.drain()
        return OutboxTrace(self.sim, quiet_from=self.quiet_from)


def run(sim_database: SimDatabase, seed: int, *, traced: bool = False) -> OutboxResult:
    """Run one seed and check it. A simulation that does not end is a violation too."""
    none: dict[str, list[str]] = {name: [] for name in I12}
    try:
        with sim_database.scenario():
            scenario = OutboxScenario(sim_database, seed)
            scenario.sim.timeline = [] if traced else None

            async def run_and_check() -> OutboxResult:
                trace = await scenario.run()
                found = {name: sorted(question(trace)) for name, question in I12.items()}
                return OutboxResult(seed, found | {ENDS: []}, scenario.sim.counts, scenario.sim.timeline or [])

            result: OutboxResult = scenario.sim.run(run_and_check())
            return result
    except Exception as exc:  # noqa: BLE001 - any exception is reported with the seed
        return OutboxResult(seed, none | {ENDS: [f"{type(exc).__name__}: {exc}"]}, Counter(seeds=1))


_TOTALS = {
    "seeds": "simulations of the outbox, each from a seed",
    "expected": "expected messages, one per event and channel",
    "attempts": "attempts to send them",
    "twice": "messages that a receiver got again, with the same id",
    "dead": "messages that ended as dead",
    "upkeeps": "invocations of upkeep",
    "killed": "of these killed",
}


def _run(share: Share) -> Iterable[Result]:
    with new_sim_database() as sim_database:
        first = share.size.first
        results = [run(sim_database, seed) for seed in share.select(range(first, first + share.size.seeds))]
    totals = sum((each.counts for each in results), Counter[str]())
    for name, what in _TOTALS.items():
        yield Result(what, totals[name])
    for name in (*I12, ENDS):
        broken = [each for each in results if each.violations[name]]
        violations = [f"seed {each.seed}: {violation}" for each in broken for violation in each.violations[name][:3]]
        again = f"make prove PART=notifications FIRST={broken[0].seed} SEEDS=1" if broken else ""
        yield Result(name, totals["expected"], violations, again)


PART = Part("notifications", _run, shares=4)
