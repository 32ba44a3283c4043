"""The interface of a fault plan, by which the simulation decides what fails; this one lets nothing fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prebooking.local.venue.twin import Arrival, CallPlan
from tests.verification.instance import Instance

Step = Literal["database request", "database response", "connect", "venue request", "venue response"]
Fault = Callable[[Instance], None]


@dataclass(frozen=True, slots=True)
class RpcPlan:
    """How one call of a database function goes.

    Attributes:
        delay_before: seconds before it is executed.
        acts: whether it is executed.
        delay_after: seconds before its response arrives.
        ends: with a response, with a broken connection, or never.
        error: a status and a code that a gateway in front of the database responds with instead.

    """

    delay_before: float = 0.0
    acts: bool = True
    delay_after: float = 0.0
    ends: Literal["answered", "broken", "silent"] = "answered"
    error: tuple[int, str] | None = None


class FaultPlan:
    """A plan without faults, in which every request and response takes a few milliseconds."""

    def at_step(self, instance: Instance, step: Step) -> None:
        """Kill or halt the instance at this step, if that is planned."""

    def rpc_plan(self, instance: Instance, function: str) -> RpcPlan:
        """Return the plan of a call of a database function."""
        return RpcPlan()

    def call_plan(self, instance: Instance, arrival: Arrival) -> CallPlan:
        """Return the plan of a call that has arrived at the venue."""
        return CallPlan()

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        """Return the seconds after which the venue acts on a call whose plan is not to act, or None for never."""
        return None

    def refuses_connection(self, instance: Instance) -> bool:
        """Return whether the venue refuses a connection."""
        return False

    def travel_time(self, what: Literal["database", "connect", "venue"]) -> float:
        """Return the seconds that one way takes."""
        return {"database": 0.005, "connect": 0.01, "venue": 0.02}[what]
