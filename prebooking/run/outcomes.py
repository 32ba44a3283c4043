"""Writes the outcomes of rows. Outcomes that arrive within a short time are written in one call of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from prebooking.clock import Deadline
from prebooking.database.prebookings import PrebookingStore
from prebooking.errors import StoreRefused
from prebooking.log import Log
from prebooking.model import Outcome, RowResult

# Seconds for which an outcome waits for others while calls are under way. If the run is killed meanwhile, its rows are
# in doubt, and the next run queries the venue.
GATHER_TIME = 0.2
# Most outcomes in one call, which must take much less time than one try.
MAX_TOGETHER = 50


class OutcomeWriter:
    """The outcomes of a run that are not written yet.

    ``start`` starts a write in a task. ``calls`` returns the tasks that may add an outcome. No outcome waits for others
    after ``guard``, and none is written after ``until``.
    """

    def __init__(
        self,
        store: PrebookingStore,
        *,
        start: Callable[[Coroutine[Any, Any, None]], None],
        calls: Callable[[], Collection[asyncio.Task[Any]]],
        stagger: float,
        guard: Deadline,
        until: Deadline,
        log: Log,
    ) -> None:
        self._store, self._start, self._calls, self._stagger = store, start, calls, stagger
        self._guard, self._until, self._clock, self._log = guard, until, guard.clock, log
        self._waiting: list[tuple[RowResult, Outcome]] = []

    def add(self, result: RowResult, outcome: Outcome) -> None:
        """Write an outcome, together with those that are added until then."""
        self._waiting.append((result, outcome))
        if len(self._waiting) == 1:
            self._start(self._write())

    async def _write(self) -> None:
        if calls := self._calls():
            await asyncio.wait(calls, timeout=min(GATHER_TIME, self._guard.remaining()))
        batch, self._waiting = self._waiting, []
        await self._wait_for_stagger(batch)
        for first in range(0, len(batch), MAX_TOGETHER):
            self._start(self._settle_together(batch[first : first + MAX_TOGETHER]))

    async def _wait_for_stagger(self, batch: list[tuple[RowResult, Outcome]]) -> None:
        """Wait until one stagger after the last call: once its row is settled, another invocation may call."""
        sent_at = max((result.sent_at for result, _ in batch if result.sent_at is not None), default=float("-inf"))
        await self._clock.sleep(max(0.0, sent_at + self._stagger - self._clock.monotonic()))

    async def _settle_together(self, batch: list[tuple[RowResult, Outcome]]) -> None:
        """Write outcomes in one call, and then those alone that this call has not written."""
        for result, outcome in batch if len(batch) == 1 else await self._settle_many(batch):
            self._start(self._settle(result, outcome))

    async def _settle_many(self, batch: list[tuple[RowResult, Outcome]]) -> list[tuple[RowResult, Outcome]]:
        """Write outcomes in one call, and return those that it has not written.

        These are rows that another transaction has locked, and all rows if the database refuses the call: one of them
        may be invalid, or the database has an older version.
        """
        try:
            settled = await self._store.settle_many(batch, until=self._until)
        except StoreRefused as exc:
            self._log.warning("outcomes are written one by one", function=exc.function, code=exc.code)
            return batch
        for (result, outcome), is_settled in zip(batch, settled, strict=True):
            if is_settled is not None:
                self._note(result, outcome, is_settled=is_settled)
        return [one for one, is_settled in zip(batch, settled, strict=True) if is_settled is None]

    async def _settle(self, result: RowResult, outcome: Outcome) -> None:
        is_settled = await self._store.settle(result, outcome, until=self._until)
        self._note(result, outcome, is_settled=is_settled)

    def _note(self, result: RowResult, outcome: Outcome, *, is_settled: bool) -> None:
        result.settled = is_settled
        event = "settled" if is_settled else "lost"
        self._log.info(event, prebooking=result.id, outcome=outcome.kind, calls=result.calls)
