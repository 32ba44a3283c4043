"""What can become of a call, and of the instance that makes it. By itself nothing: a story says what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prebooking.local.venue.twin import Arrival, CallPlan
from tests.verification.instance import Instance

Step = Literal["asks the database", "hears the database", "connects", "sends", "hears the venue"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What becomes of a call of the database; delays in seconds, before and after it is carried out.

    ``ends``: with its answer, with a broken connection, or never. ``error``: a status and code that are answered
    instead, by something that stands before the database.
    """

    delay_before: float = 0.0
    acts: bool = True
    delay_after: float = 0.0
    ends: Literal["answered", "broken", "silent"] = "answered"
    error: tuple[int, str] | None = None


class FaultPlan:
    """Nothing goes wrong, and everything takes a few milliseconds."""

    def step(self, instance: Instance, step: Step) -> None:
        """Kill the instance or halt it here, if that is its fate."""

    def database(self, instance: Instance, function: str) -> Loss:
        """Say what becomes of a call of one of the database's functions."""
        return Loss()

    def venue(self, instance: Instance, arrival: Arrival) -> CallPlan:
        """Say what becomes of a call that has arrived at the venue."""
        return CallPlan()

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        """Say in how many seconds the venue acts on a call after all, whose fate is that it does not act."""
        return None

    def refuses(self, instance: Instance) -> bool:
        """Say whether the venue cannot be connected to."""
        return False

    def travel(self, what: Literal["database", "connect", "venue"]) -> float:
        """Return how long one way takes, in seconds."""
        return {"database": 0.005, "connect": 0.01, "venue": 0.02}[what]
