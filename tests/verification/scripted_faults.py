"""Fates as written down: what becomes of which call of which instance, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from prebooking.local.venue.twin import Arrival, CallPlan
from tests.verification.fault_plan import FaultPlan, Loss, Step
from tests.verification.instance import Instance
from tests.verification.steps import Blow


class ScriptedFaults(FaultPlan):
    """Instances are named ``i0``, ``i1`` and so on; what is not written down goes well.

    ``losses``: by instance and function. ``books``, ``asks``: by instance, of booking calls and of others. ``blows``:
    by instance, step and its number. ``connects``: seconds, of the first connections. ``later``: seconds after which
    the venue acts on calls on which it should not have. ``pace``: the length of one way, in seconds.
    """

    def __init__(
        self,
        *,
        losses: Mapping[tuple[str, str], Sequence[Loss]] | None = None,
        books: Mapping[str, Sequence[CallPlan]] | None = None,
        asks: Mapping[str, Sequence[CallPlan]] | None = None,
        blows: Mapping[tuple[str, Step, int], Blow] | None = None,
        connects: Sequence[float] = (),
        later: Sequence[float] = (),
        pace: float = 0.01,
    ) -> None:
        self._losses = {key: list(value) for key, value in (losses or {}).items()}
        self._books = {key: list(value) for key, value in (books or {}).items()}
        self._asks = {key: list(value) for key, value in (asks or {}).items()}
        self._blows, self._connects, self._later, self._pace = dict(blows or {}), list(connects), list(later), pace
        self._steps: dict[tuple[str, Step], int] = {}

    def step(self, instance: Instance, step: Step) -> None:
        number = self._steps[instance.name, step] = self._steps.get((instance.name, step), 0) + 1
        if fault := self._blows.get((instance.name, step, number)):
            fault(instance)

    def database(self, instance: Instance, function: str) -> Loss:
        left = self._losses.get((instance.name, function))
        return left.pop(0) if left else Loss()

    def venue(self, instance: Instance, arrival: Arrival) -> CallPlan:
        is_booking = arrival.books and arrival.method == "POST"
        left = (self._books if is_booking else self._asks).get(instance.name)
        return left.pop(0) if left else CallPlan()

    def acts_later(self, instance: Instance, arrival: Arrival) -> float | None:
        return self._later.pop(0) if self._later else None

    def travel(self, what: Literal["database", "connect", "venue"]) -> float:
        return self._connects.pop(0) if what == "connect" and self._connects else self._pace
