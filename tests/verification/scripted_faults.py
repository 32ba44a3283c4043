"""A fault plan that is written down, call by call; every call that it does not mention succeeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from prebooking.local.venue.twin import Arrival, CallPlan
from tests.verification.fault_plan import Fault, FaultPlan, RpcPlan, Step
from tests.verification.instance import Instance


class ScriptedFaults(FaultPlan):
    """The plans of the calls of each instance, in order; the simulation names its instances ``i0``, ``i1``, ...

    Args:
        rpcs: by instance and database function.
        bookings: of booking calls, by instance.
        questions: of all other calls of a venue, by instance.
        injections: by instance, step and the step's number.
        connects: seconds that the first connections take.
        late_acts: seconds after which the venue acts on the first calls whose plan is not to act.
        travel: seconds that one way takes.

    """

    def __init__(
        self,
        *,
        rpcs: Mapping[tuple[str, str], Sequence[RpcPlan]] | None = None,
        bookings: Mapping[str, Sequence[CallPlan]] | None = None,
        questions: Mapping[str, Sequence[CallPlan]] | None = None,
        injections: Mapping[tuple[str, Step, int], Fault] | None = None,
        connects: Sequence[float] = (),
        late_acts: Sequence[float] = (),
        travel: float = 0.01,
    ) -> None:
        self._rpcs = {key: list(plans) for key, plans in (rpcs or {}).items()}
        self._bookings = {key: list(plans) for key, plans in (bookings or {}).items()}
        self._questions = {key: list(plans) for key, plans in (questions or {}).items()}
        self._injections, self._travel = dict(injections or {}), travel
        self._connects, self._late_acts = list(connects), list(late_acts)
        self._steps: dict[tuple[str, Step], int] = {}

    def at_step(self, instance: Instance, step: Step) -> None:
        number = self._steps[instance.name, step] = self._steps.get((instance.name, step), 0) + 1
        if fault := self._injections.get((instance.name, step, number)):
            fault(instance)

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        plans = self._rpcs.get((instance.name, function))
        return plans.pop(0) if plans else RpcPlan()

    def call_plan(self, instance: Instance, arrival: Arrival) -> CallPlan:
        is_booking = arrival.books and arrival.method == "POST"
        plans = (self._bookings if is_booking else self._questions).get(instance.name)
        return plans.pop(0) if plans else CallPlan()

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        return self._late_acts.pop(0) if self._late_acts else None

    def travel_time(self, what: Literal["database", "connect", "venue"]) -> float:
        return self._connects.pop(0) if what == "connect" and self._connects else self._travel
