"""Everything that can go wrong, by dice: until an instant, and then no more."""

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
ACTS_WITHIN = (
    GUARD + 15.0
)  # seconds from an invocation's start: a venue that acts later may book twice (docs/guarantees.md)

_UNCLEAR = (200, 202, 302, 408, 500, 502, 503)  # with a body that says nothing, so 200 too
# Unclear answers: the venue may act on the call all the same. A box has more of them than an endpoint.
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
    """How often what goes wrong, as probabilities."""

    database: float = 0.0  # of a call
    venue: float = 0.0  # of a call
    blocking: float = 0.0  # of a call: costs a pause of five minutes
    unreachable: float = 0.0  # of a connection
    blocks_one: float = 0.0  # of a story: one row is blocked whenever it is called, and no other
    outage: float = 0.0  # of a story: for a minute or two no venue can be reached
    refusing: float = 0.0  # of a call: a clear no that comes out of nowhere
    killed: float = 0.0  # of an instance
    frozen: float = 0.0  # of an instance

    @classmethod
    def of(cls, dice: random.Random) -> FaultRates:
        """Draw one: most things go well most of the time, or hardly anything is ever tried."""
        return cls(
            database=dice.choice([0.0, 0.05, 0.2, 0.5]),
            venue=dice.choice([0.0, 0.1, 0.3, 0.7]),
            blocking=dice.choice([0.0, 0.0, 0.02]),
            unreachable=dice.choice([0.0, 0.0, 0.1, 0.4]),
            blocks_one=0.15,
            outage=0.15,
            refusing=dice.choice([0.0, 0.0, 0.03]),
            killed=dice.choice([0.0, 0.2, 0.5]),
            frozen=dice.choice([0.0, 0.2, 0.5]),
        )


class RandomFaults(FaultPlan):
    """Faults by dice until ``ends``, in seconds of the world's time; until ``quiet_from`` one can still be felt."""

    def __init__(self, dice: random.Random, rates: FaultRates, *, ends: float, kind: SystemKind) -> None:
        self._dice, self._weather, self._ends, self._refusal = dice, rates, ends, kind.refusal
        self._unclear: tuple[AnswerKind | TwinReply, ...] = _OF_ANY_VENUE + (_OF_A_BOX if kind.is_box else ())
        self._blocks_one, self._blocked_row = dice.random() < rates.blocks_one, ""
        begins = dice.uniform(0, ends) if dice.random() < rates.outage else ends
        self._outage = (begins, begins + dice.uniform(20, 120))
        self.clock_steps: Sequence[tuple[float, float]] = ()  # of the database's clock: when, and by how much
        self.quiet_from = ends
        self.venue_can_tell = True
        self.now: Callable[[], float] = lambda: 0.0
        self._blows: dict[Instance, tuple[int, Literal["kill", "halt"]]] = {}
        self._steps: dict[Instance, int] = {}
        self._acts_later: float | None = None
        self.started: dict[Instance, float] = {}

    def enter(self, instance: Instance) -> None:
        """Let an instance begin; at which of its steps it is struck, if at all, is decided now."""
        self.started[instance] = self.now()
        step = self._dice.randint(1, self._dice.choice([4, 12, 40]))
        if self._happens(self._weather.killed):
            self._blows[instance] = (step, "kill")
        elif self._happens(self._weather.frozen):
            self._blows[instance] = (step, "halt")

    def inject(self, instance: Instance, fault: str) -> None:
        """Kill an instance, or freeze it, with one of its clocks at most."""
        if fault == "kill":
            instance.kill()
            return
        seconds = self._dice.choice([self._dice.uniform(0.2, 4), 12, 35, 70, 130])
        stopped = self._dice.choice([{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
        self._felt_for(seconds)
        instance.halt(seconds, **stopped)

    def at_step(self, instance: Instance, step: Step) -> None:
        self._steps[instance] = self._steps.get(instance, 0) + 1
        at, fault = self._blows.get(instance, (0, "kill"))
        if at == self._steps[instance] and self.now() < self._ends:
            self.inject(instance, fault)

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        if not self._happens(self._weather.database):
            return RpcPlan()
        loss = self._dice.choice(
            [
                RpcPlan(delay_before=self._dice.uniform(0, 1.9)),
                RpcPlan(delay_before=self._dice.uniform(0, self._dice.choice([12, 60]))),  # given up long before
                RpcPlan(delay_after=self._dice.uniform(0, 4)),
                RpcPlan(acts=False, ends="broken"),
                RpcPlan(ends="broken"),
                RpcPlan(acts=False, ends="silent"),
                RpcPlan(ends="silent"),
                RpcPlan(acts=False, error=self._dice.choice(_ERRORS)),
                RpcPlan(error=self._dice.choice(_ERRORS)),
            ]
        )
        self._felt_for(loss.delay_before + loss.delay_after)
        return loss

    def call_plan(self, instance: Instance, arrival: Arrival) -> CallPlan:
        if self._is_the_blocked_one(arrival):
            return CallPlan(acts=False, answer=TwinReply(403))
        if self._happens(self._weather.blocking):
            status = self._dice.choice(_BLOCKING)  # 401 says clearly that nothing was done
            # If it acts on a call that it blocks, and cannot tell afterwards, nobody can find out: the row is rejected
            # after three blocks that met no other row.
            may_act = status != 401 and self.venue_can_tell
            return CallPlan(acts=may_act and self._happens(0.5), answer=TwinReply(status))
        if self._refusal and arrival.books and self._happens(self._weather.refusing):
            return CallPlan(acts=False, answer=self._refusal)
        if not self._happens(self._weather.venue):
            return CallPlan()
        self._acts_later = None
        longest = self._longest(instance)
        if arrival.books and self._happens(0.3):
            self._acts_later = self._dice.uniform(0, longest)
            self._felt_for(self._acts_later)
            return CallPlan(acts=False, answer=self._dice.choice(self._unclear))
        delay = self._dice.choice([0.0, self._dice.uniform(0, 3), self._dice.uniform(0, 25)])
        acts = self._happens(0.6)
        answers: list[AnswerKind | TwinReply] = [DROP, HANG, TwinReply(self._dice.choice(_UNCLEAR), body=b"<html>")]
        answer = self._dice.choice([*answers, ANSWER] if acts else answers)
        plan = CallPlan(min(delay, longest), acts, self._dice.choice([0.0, self._dice.uniform(0, 6)]), answer)
        self._felt_for(plan.delay_before + plan.delay_after)
        return plan

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        seconds, self._acts_later = self._acts_later, None
        return seconds

    def _longest(self, instance: Instance) -> float:
        """Return within how many seconds a venue must have acted on a call.

        A lease is as much shorter as the database's clock is set forward meanwhile, and so is the venue's time.
        """
        started = self.started[instance]
        acts_within = ACTS_WITHIN - forward_within(self.clock_steps, started)
        return max(0.0, started + acts_within - self.now() - 0.001)

    def clock_set(self, by: float) -> None:
        """Note that the database's clock was set: what is leased or put off lasts longer if it was set back."""
        self._felt_for(max(0.0, -by))

    def _is_the_blocked_one(self, arrival: Arrival) -> bool:
        """Return whether this is a call of the one row that is blocked: the first that is called."""
        if not (self._blocks_one and arrival.books and arrival.method == "POST" and self.now() < self._ends):
            return False
        row = arrival.prebooking_id or arrival.member
        self._blocked_row = self._blocked_row or row
        return row == self._blocked_row

    def refuses_connection(self, instance: Instance) -> bool:
        begins, ends = self._outage
        if begins <= self.now() < min(ends, self._ends):
            return True
        return self._happens(self._weather.unreachable)

    def travel_time(self, what: Literal["database", "connect", "venue"]) -> float:
        return self._dice.choice([0.001, 0.01, 0.04, self._dice.uniform(0.001, 0.15)])

    def _happens(self, probability: float) -> bool:
        return self.now() < self._ends and self._dice.random() < probability

    def _felt_for(self, seconds: float) -> None:
        self.quiet_from = max(self.quiet_from, self.now() + seconds)
