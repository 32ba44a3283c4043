"""A fault plan that is drawn at random, and that injects no fault after a given second."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from prebooking.local.venue.twin import ANSWER, DROP, HANG, AnswerKind, Arrival, CallPlan, TwinReply
from tests.verification.database_clock import forward_within
from tests.verification.fault_plan import FaultPlan, RpcPlan, Step
from tests.verification.instance import Instance
from tests.verification.systems import SystemKind

GUARD = 8.0  # seconds from an invocation's start: EXECUTION_TIMEOUT_SECONDS
# Seconds from an invocation's start: a venue that acts later may book twice (docs/guarantees.md).
ACTS_WITHIN = GUARD + 15.0

_UNCLEAR = (200, 202, 302, 408, 500, 502, 503)  # with a body that is no clear response, so 200 too
# Unclear responses: the venue may act on the call nevertheless. A box has more of them than an endpoint.
_OF_ANY_VENUE: tuple[AnswerKind | TwinReply, ...] = (
    DROP,
    HANG,
    *map(TwinReply, (202, 302, 408, 500, 502, 503, 504)),
    *(TwinReply(200, body=body) for body in (b"<html>", b"null", b"[]", b'{"state": "bo')),
)
_OF_A_BOX: tuple[AnswerKind | TwinReply, ...] = (
    TwinReply(400),
    TwinReply(200, body=b"{}"),
    TwinReply(200, body=b'{"bookState": null}'),
)
_BLOCKING = (401, 403, 404, 405, 429)
_ERRORS = ((503, "PGRST001"), (500, "57014"), (500, "55P03"), (504, "PGRST003"), (500, "40P01"), (502, ""))


@dataclass(frozen=True, slots=True)
class FaultRates:
    """The probabilities of the faults."""

    database: float = 0.0  # of a call
    venue: float = 0.0  # of a call
    blocking: float = 0.0  # of a call: pauses the venue for five minutes
    unreachable: float = 0.0  # of a connection
    blocks_one: float = 0.0  # of a scenario: every call for one row is blocked
    outage: float = 0.0  # of a scenario: all connections are refused for up to two minutes
    refusing: float = 0.0  # of a call: a clear refusal without a reason
    killed: float = 0.0  # of an instance
    frozen: float = 0.0  # of an instance

    @classmethod
    def of(cls, rng: random.Random) -> FaultRates:
        """Draw rates that are mostly low, so that most runs get far enough to be tested."""
        return cls(
            database=rng.choice([0.0, 0.05, 0.2, 0.5]),
            venue=rng.choice([0.0, 0.1, 0.3, 0.7]),
            blocking=rng.choice([0.0, 0.0, 0.02]),
            unreachable=rng.choice([0.0, 0.0, 0.1, 0.4]),
            blocks_one=0.15,
            outage=0.15,
            refusing=rng.choice([0.0, 0.0, 0.03]),
            killed=rng.choice([0.0, 0.2, 0.5]),
            frozen=rng.choice([0.0, 0.2, 0.5]),
        )


class RandomFaults(FaultPlan):
    """Random faults until ``ends``, in seconds of simulation time. Their effects last until ``quiet_from``."""

    def __init__(self, rng: random.Random, rates: FaultRates, *, ends: float, kind: SystemKind) -> None:
        self._rng, self._rates, self._ends, self._refusal = rng, rates, ends, kind.refusal
        self._unclear: tuple[AnswerKind | TwinReply, ...] = _OF_ANY_VENUE + (_OF_A_BOX if kind.is_box else ())
        self._blocks_one, self._blocked_row = rng.random() < rates.blocks_one, ""
        begins = rng.uniform(0, ends) if rng.random() < rates.outage else ends
        self._outage = (begins, begins + rng.uniform(20, 120))
        self.clock_steps: Sequence[tuple[float, float]] = ()  # of the database's clock: second and size
        self.quiet_from = ends
        self.venue_can_tell = True
        self.now: Callable[[], float] = lambda: 0.0
        self._injections: dict[Instance, tuple[int, Literal["kill", "halt"]]] = {}
        self._steps: dict[Instance, int] = {}
        self._acts_later: float | None = None
        self.started: dict[Instance, float] = {}

    def enter(self, instance: Instance) -> None:
        """Register an instance, and draw whether and at which of its steps it is killed or frozen."""
        self.started[instance] = self.now()
        step = self._rng.randint(1, self._rng.choice([4, 12, 40]))
        if self._draw(self._rates.killed):
            self._injections[instance] = (step, "kill")
        elif self._draw(self._rates.frozen):
            self._injections[instance] = (step, "halt")

    def inject(self, instance: Instance, fault: str) -> None:
        """Kill an instance, or freeze it with at most one of its clocks."""
        if fault == "kill":
            instance.kill()
            return
        seconds = self._rng.choice([self._rng.uniform(0.2, 4), 12, 35, 70, 130])
        stopped = self._rng.choice([{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
        self._has_effect_for(seconds)
        instance.halt(seconds, **stopped)

    def at_step(self, instance: Instance, step: Step) -> None:
        self._steps[instance] = self._steps.get(instance, 0) + 1
        at, fault = self._injections.get(instance, (0, "kill"))
        if at == self._steps[instance] and self.now() < self._ends:
            self.inject(instance, fault)

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        if not self._draw(self._rates.database):
            return RpcPlan()
        plan = self._rng.choice(
            [
                RpcPlan(delay_before=self._rng.uniform(0, 1.9)),
                RpcPlan(delay_before=self._rng.uniform(0, self._rng.choice([12, 60]))),  # long after the caller gave up
                RpcPlan(delay_after=self._rng.uniform(0, 4)),
                RpcPlan(acts=False, ends="broken"),
                RpcPlan(ends="broken"),
                RpcPlan(acts=False, ends="silent"),
                RpcPlan(ends="silent"),
                RpcPlan(acts=False, error=self._rng.choice(_ERRORS)),
                RpcPlan(error=self._rng.choice(_ERRORS)),
            ]
        )
        self._has_effect_for(plan.delay_before + plan.delay_after)
        return plan

    def call_plan(self, instance: Instance, arrival: Arrival) -> CallPlan:
        if self._is_blocked(arrival):
            return CallPlan(acts=False, answer=TwinReply(403))
        if self._draw(self._rates.blocking):
            status = self._rng.choice(_BLOCKING)  # 401 means clearly that nothing was done
            # A venue that acts on a call that it blocks must be able to confirm it later. Otherwise the row is rejected
            # after three blocked calls if no other row was blocked.
            may_act = status != 401 and self.venue_can_tell
            return CallPlan(acts=may_act and self._draw(0.5), answer=TwinReply(status))
        if self._refusal and arrival.books and self._draw(self._rates.refusing):
            return CallPlan(acts=False, answer=self._refusal)
        if not self._draw(self._rates.venue):
            return CallPlan()
        self._acts_later = None
        latest = self._latest(instance)
        if arrival.books and self._draw(0.3):
            self._acts_later = self._rng.uniform(0, latest)
            self._has_effect_for(self._acts_later)
            return CallPlan(acts=False, answer=self._rng.choice(self._unclear))
        delay = self._rng.choice([0.0, self._rng.uniform(0, 3), self._rng.uniform(0, 25)])
        acts = self._draw(0.6)
        answers: list[AnswerKind | TwinReply] = [DROP, HANG, TwinReply(self._rng.choice(_UNCLEAR), body=b"<html>")]
        answer = self._rng.choice([*answers, ANSWER] if acts else answers)
        plan = CallPlan(min(delay, latest), acts, self._rng.choice([0.0, self._rng.uniform(0, 6)]), answer)
        self._has_effect_for(plan.delay_before + plan.delay_after)
        return plan

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        seconds, self._acts_later = self._acts_later, None
        return seconds

    def _latest(self, instance: Instance) -> float:
        """Return the seconds within which a venue must act on a call.

        A step forward of the database's clock shortens the lease, and therefore the venue's time.
        """
        started = self.started[instance]
        acts_within = ACTS_WITHIN - forward_within(self.clock_steps, started)
        return max(0.0, started + acts_within - self.now() - 0.001)

    def clock_set(self, by: float) -> None:
        """Note a step of the database's clock: leases and pauses last longer if it was set back."""
        self._has_effect_for(max(0.0, -by))

    def _is_blocked(self, arrival: Arrival) -> bool:
        """Return whether this is a call for the blocked row, which is the first that is called."""
        if not (self._blocks_one and arrival.books and arrival.method == "POST" and self.now() < self._ends):
            return False
        row = arrival.prebooking_id or arrival.member
        self._blocked_row = self._blocked_row or row
        return row == self._blocked_row

    def refuses_connection(self, instance: Instance) -> bool:
        begins, ends = self._outage
        if begins <= self.now() < min(ends, self._ends):
            return True
        return self._draw(self._rates.unreachable)

    def travel_time(self, what: Literal["database", "connect", "venue"]) -> float:
        return self._rng.choice([0.001, 0.01, 0.04, self._rng.uniform(0.001, 0.15)])

    def _draw(self, probability: float) -> bool:
        return self.now() < self._ends and self._rng.random() < probability

    def _has_effect_for(self, seconds: float) -> None:
        self.quiet_from = max(self.quiet_from, self.now() + seconds)
