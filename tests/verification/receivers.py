"""Receivers of messages, each with a ledger, and a channel that carries messages to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from prebooking.channels import Delivery, Message, SendResult
from prebooking.local.virtual_time import seconds_passed
from tests.verification.fault_plan import FaultPlan, Step
from tests.verification.instance import Instance, current, in_simulation

# What a receiver does with one message:
#   takes           it takes it, and answers
#   lost            it takes it, and its answer is lost
#   silent          it takes it, and never answers
#   late            it takes it up to two minutes later, and does not answer
#   stuck           it takes it, and the channel ignores its timeout
#   raises          the channel raises an exception before it sends
#   raises_after    the channel raises an exception after the receiver has taken it
#   refuses, hangs  it does not take it, and answers so, or does not answer
#   gone            it does not exist any more
Plan = Literal["takes", "lost", "silent", "late", "stuck", "raises", "raises_after", "refuses", "hangs", "gone"]
_FAULTS: list[Plan] = ["lost", "silent", "late", "stuck", "raises", "raises_after", "refuses", "hangs"]
_ACTS = {"takes", "lost", "silent", "stuck", "raises_after"}
_LATEST = 120.0  # seconds after which a receiver that acts late has acted
FOREVER = 10.0**9
MADE_UP = "made up"  # the text of the exceptions that a channel raises


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a receiver has taken."""

    at: float
    id: UUID
    unsure: bool  # it says that an earlier attempt may have arrived


@dataclass(slots=True)
class SimReceiver:
    """A receiver of one channel.

    Attributes:
        kind, address: of the channel.
        down: from which second until which one it takes nothing.
        when_down: what it does then.
        rate: the probability of a fault of one attempt, before the faults end.

    """

    kind: str
    address: str
    down: tuple[float, float] = (0.0, 0.0)
    when_down: Plan = "refuses"
    rate: float = 0.0
    taken: list[Taken] = field(default_factory=list)
    attempts: int = 0

    @property
    def compares_ids(self) -> bool:
        return self.kind != "telegram"

    @property
    def is_lost(self) -> bool:
        """Whether no message can arrive within a day."""
        return self.when_down == "gone" or self.down[1] == FOREVER

    @property
    def never_fails(self) -> bool:
        return self.down[1] == 0.0

    def plan(self, now: float, rng: random.Random, *, faults: bool) -> Plan:
        """Draw what it does with an attempt."""
        if self.down[0] <= now < self.down[1]:
            return self.when_down
        return rng.choice(_FAULTS) if faults and rng.random() < self.rate else "takes"


class ScriptedChannel:
    """A channel whose receivers follow a plan, and act even if the sender is killed."""

    def __init__(
        self, find: Callable[[str], SimReceiver], faults: FaultPlan, rng: random.Random, faults_end: float
    ) -> None:
        self._find, self._faults, self._rng, self._faults_end = find, faults, rng, faults_end
        self.under_way = set[asyncio.Task[None]]()

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
        instance, receiver = current(), self._find(message.address)
        plan = receiver.plan(seconds_passed(), self._rng, faults=seconds_passed() < self._faults_end)
        receiver.attempts += 1
        if plan == "raises":
            raise ValueError(MADE_UP)
        await self._step(instance, "venue request")
        if plan in _ACTS or plan == "late":
            self._deliver(receiver, message, self._rng.uniform(1, _LATEST) if plan == "late" else 0.0)
        if plan == "stuck":
            await asyncio.Event().wait()
        result = await self._result(plan, timeout)
        await self._step(instance, "venue response")
        if plan == "raises_after":
            raise ValueError(MADE_UP)
        return Delivery(result)

    async def _result(self, plan: Plan, seconds: float) -> SendResult:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(2 * self._faults.travel_time("venue"))
                if plan in ("silent", "late", "hangs"):
                    await asyncio.Event().wait()
        except TimeoutError:
            return SendResult.UNSURE
        answers = {"refuses": SendResult.NOT_SENT, "gone": SendResult.GONE, "lost": SendResult.UNSURE}
        return answers.get(plan, SendResult.SENT)

    def _deliver(self, receiver: SimReceiver, message: Message, later: float) -> None:
        async def act() -> None:
            await asyncio.sleep(self._faults.travel_time("venue") + later)
            receiver.taken.append(Taken(seconds_passed(), message.id, message.unsure))

        task = in_simulation(act(), name="a message under way")
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard, context=Context())

    async def _step(self, instance: Instance, step: Step) -> None:
        self._faults.at_step(instance, step)
        if instance.halted:
            await asyncio.sleep(0)  # a halted instance does not get past this line
