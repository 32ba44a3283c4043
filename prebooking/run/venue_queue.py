"""The part of a run for one venue: its booker and one task per row. An error here does not affect other venues."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any

from prebooking.bookers import OpenBooker
from prebooking.model import Attempt, Kind, Outcome, Prebooking
from prebooking.run.attempt import BookingAttempt
from prebooking.run.venue_context import VenueContext

CLOSING_TIME = 0.5  # seconds within which cancelled calls must end and the booker must close


class VenueQueue:
    """Books the rows of one venue.

    Attributes:
        slots: decides when each call may be sent.
        failed: there was an unexpected error at this venue.
        tasks: the tasks of its rows.

    """

    def __init__(self, open_booker: OpenBooker, context: VenueContext) -> None:
        self.slots, self.failed = context.slots, False
        self._open_booker, self._context = open_booker, context
        self._not_started: list[Attempt] = []  # rows added before the booker is open
        self._is_open = False
        self._booker_stack = AsyncExitStack()
        self._last_preparation_at = float("-inf")  # preparations start one stagger apart, too
        self._preparing = 0
        self._all_prepared = asyncio.Event()
        self._all_prepared.set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._open_task = self._spawn(self._open())
        self._grant_task = asyncio.create_task(self._catch_errors(self.slots.grant(until=context.last_start)))

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Add rows. A row that first needs a login or a confirmation gets its slot after that."""
        self._not_started += attempts
        if self._is_open:
            self._start()

    def planned_seconds(self) -> float:
        """Return the seconds until all rows have been called, if the venue is fast and the openings have passed."""
        return self.slots.planned_seconds() + (len(self._not_started) + self._preparing) * self.slots.stagger

    async def wait_for_slots(self) -> None:
        """Wait until every row has a slot, or is known not to be called."""
        await asyncio.wait([self._open_task])
        await self._all_prepared.wait()
        await self.slots.all_granted.wait()

    async def wait_for_tasks(self) -> None:
        """Wait until all tasks of rows have ended."""
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def cancel(self) -> None:
        """Cancel every call, and close the booker. The result of each row so far is in its Attempt.

        Waits at most CLOSING_TIME for the calls to end. A call that has not ended by then cannot send anything.
        """
        self._context.stopped = True
        self.slots.close()
        for task in (self._grant_task, *self.tasks):
            task.cancel()
        closing = asyncio.create_task(self._catch_errors(self._close()))
        await asyncio.wait([closing], timeout=CLOSING_TIME)
        if closing.cancel() or closing.cancelled():  # a call or the booker did not end in time, or cancelled this task
            self._fail(TimeoutError())

    async def _open(self) -> None:
        self._context.booker = await self._booker_stack.enter_async_context(self._open_booker(self._context.venue))
        self._is_open = True
        self._start()

    async def _close(self) -> None:
        await self.wait_for_tasks()
        await asyncio.wait([self._grant_task])
        await self._booker_stack.aclose()

    def _start(self) -> None:
        new, self._not_started = self._not_started, []
        for attempt in new:
            self._context.attempts.append(attempt)
            try:
                self._spawn(self._work_of(BookingAttempt(attempt, self._context), attempt.row), attempt)
            except Exception as exc:  # noqa: BLE001 - an error of one row must not stop the others
                self._fail(exc, attempt)

    def _work_of(self, booking: BookingAttempt, row: Prebooking) -> Coroutine[Any, Any, None]:
        if booking.is_ready:
            return booking.call(self.slots.add(row))
        now = self._context.clock.monotonic()
        self._last_preparation_at = max(now, self._last_preparation_at + self.slots.stagger)
        self._preparing += 1
        self._all_prepared.clear()
        return self._prepare_then_call(booking, row, self._last_preparation_at - now)

    async def _prepare_then_call(self, booking: BookingAttempt, row: Prebooking, delay: float) -> None:
        """Prepare and confirm the row, then call it in its slot. Ready rows do not wait for this.

        A row without progress in earlier runs waits until the rows in the queue have their slots.
        """
        try:
            if row.had_no_progress:
                await self.slots.all_granted.wait()
            slot = self.slots.add(row) if await booking.prepare_and_confirm(delay=delay) else None
        finally:
            self._preparing -= 1
            if not self._preparing:
                self._all_prepared.set()
        if slot:
            await booking.call(slot)

    # errors

    def _spawn(self, steps: Coroutine[Any, Any, None], attempt: Attempt | None = None) -> asyncio.Task[None]:
        task = asyncio.create_task(self._catch_errors(steps, attempt))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _catch_errors(self, steps: Coroutine[Any, Any, None], attempt: Attempt | None = None) -> None:
        """Run the coroutine, and log an error instead of raising it. A row that was sent keeps its outcome."""
        try:
            await steps
        except asyncio.CancelledError as exc:
            if self.slots.closed:  # the queue is closed: this is our own cancellation
                raise
            self._fail(exc, attempt)  # raised by a booker: we have not cancelled this task
        except Exception as exc:  # noqa: BLE001 - an error of one row must not stop other rows and venues
            self._fail(exc, attempt)

    def _fail(self, exc: BaseException, attempt: Attempt | None = None) -> None:
        self.failed = True
        if attempt and attempt.outcome is None:
            attempt.outcome = Outcome(Kind.NOT_READY)
        self._context.log.unexpected("unexpected", exc, venue=self._context.venue.id)
