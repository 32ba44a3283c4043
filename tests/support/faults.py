"""A fault at one step of an invocation: an answer that is lost, or a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal

from tests.support.world import World

Fault = Literal["before", "after", "killed before", "killed after"]

FAULTS: list[Fault] = ["before", "after", "killed before", "killed after"]


class FaultAtStep:
    """Disturbs the step with this number, counted from 0; every later step works.

    The steps are the calls of the database, and those for which a subclass calls ``is_disturbed``.
    """

    def __init__(self, world: World, step: int, fault: Fault | None) -> None:
        self._step, self._fault, self.steps = step, fault, list[str]()
        self._task: asyncio.Task[Any] | None = None
        world.to_database.loses = lambda function: str(self._fault).split()[-1] if self.is_disturbed(function) else ""

    @property
    def acts(self) -> bool:
        """Whether the disturbed step is carried out."""
        return str(self._fault).endswith("after")

    def is_disturbed(self, name: str) -> bool:
        """Return whether this step is disturbed. A killed invocation does nothing after its next ``await``."""
        self.steps.append(name)
        disturbed = self._fault is not None and len(self.steps) - 1 == self._step
        if disturbed and str(self._fault).startswith("killed") and self._task:
            self._task.cancel()
        return disturbed

    async def invoke(self, invocation: Coroutine[Any, Any, Any]) -> None:
        """Run the invocation that is disturbed until it ends."""
        self._task = asyncio.create_task(invocation)
        await asyncio.wait([self._task])
