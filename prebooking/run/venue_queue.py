"""One venue's part of a run: its booker and one task per row. An error here affects no other venue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from prebooking.bookers import OpenBooker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.log import Log
from prebooking.model import Attempt, Kind, Outcome, Prebooking, Venue
from prebooking.run.attempt import BookingAttempt
from prebooking.run.slots import SlotQueue
from prebooking.run.venue_context import VenueContext

CLOSING_TIME = 0.5  # seconds in which cancelled calls must end and the booker must close


class VenueQueue:
    """Books the rows of one venue.

    Attributes:
        slots: when each call may leave.
        failed: there was an unexpected error at this venue.
        tasks: the tasks of its rows.

    """

    def __init__(
        self,
        open_booker: OpenBooker,
        *,
        venue: Venue,
        clock: Clock,
        time: DatabaseTime,
        stagger: float,
        last_start: Deadline,
        guard: Deadline,
        settle: Callable[[Attempt, Outcome], None],
        release: Callable[[UUID, list[Attempt], float], None],
        log: Log,
    ) -> None:
        self.slots = SlotQueue(clock=clock, time=time, stagger=stagger)
        self.failed = False
        self._open_booker, self._venue = open_booker, venue
        self._clock, self._last_start, self._guard = clock, last_start, guard
        self._settle, self._release, self._log = settle, release, log
        self._attempts: list[Attempt] = []
        self._new: list[Attempt] = []  # until the booker is open
        self._context: VenueContext | None = None  # once it is
        self._booker = AsyncExitStack()
        self._prepared_at = float("-inf")  # when the last row began to be prepared: these too begin one stagger apart
        self._preparing = 0
        self._all_prepared = asyncio.Event()
        self._all_prepared.set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._opening = self._spawn(self._open())
        self._granting = asyncio.create_task(self._contained(self.slots.grant(until=last_start)))

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Enqueue these rows. Rows that need a login or a confirmation join the queue once that is done."""
        self._new += attempts
        if self._context:
            self._begin(self._context)

    def busy_for(self) -> float:
        """Return the seconds that the calls in the queue take, if the venue is quick and their opening has come."""
        return self.slots.busy_for() + (len(self._new) + self._preparing) * self.slots.stagger

    async def dispatched(self) -> None:
        """Return when every row has a slot or is not to be called."""
        await asyncio.wait([self._opening])
        await self._all_prepared.wait()
        await self.slots.emptied.wait()

    async def done(self) -> None:
        """Return when no task is left."""
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def cut(self) -> None:
        """Cancel every call, and close the booker. Each row's outcome is in its attempt.

        A call that does not end within CLOSING_TIME is not waited for. It can send nothing more.
        """
        if self._context:
            self._context.stopped = True
        self.slots.close()
        for task in (self._granting, *self.tasks):
            task.cancel()
        closing = asyncio.create_task(self._contained(self._close()))
        await asyncio.wait([closing], timeout=CLOSING_TIME)
        if closing.cancel() or closing.cancelled():  # a call or the booker does not end, or has cancelled this
            self._fail(TimeoutError())

    async def _open(self) -> None:
        booker = await self._booker.enter_async_context(self._open_booker(self._venue))
        self._context = VenueContext(
            venue_id=self._venue.id,
            booker=booker,
            slots=self.slots,
            clock=self._clock,
            time=self.slots.time,
            last_start=self._last_start,
            guard=self._guard,
            settle=self._settle,
            release=self._release_unsent,
            log=self._log,
        )
        self._begin(self._context)

    async def _close(self) -> None:
        await self.done()
        await asyncio.wait([self._granting])
        await self._booker.aclose()

    def _begin(self, context: VenueContext) -> None:
        new, self._new = self._new, []
        for attempt in new:
            self._attempts.append(attempt)
            try:
                self._spawn(self._steps(BookingAttempt(attempt, context), attempt.row), attempt)
            except Exception as exc:  # noqa: BLE001 - an error of one row must not stop the others
                self._fail(exc, attempt)

    def _steps(self, booking: BookingAttempt, row: Prebooking) -> Coroutine[Any, Any, None]:
        if booking.is_ready:
            return booking.call(self.slots.join(row))
        now = self._clock.monotonic()
        self._prepared_at = max(now, self._prepared_at + self.slots.stagger)
        self._preparing += 1
        self._all_prepared.clear()
        return self._prepare_then_call(booking, row, self._prepared_at - now)

    async def _prepare_then_call(self, booking: BookingAttempt, row: Prebooking, delay: float) -> None:
        """Prepare or confirm the row, then enqueue it. Rows that are ready do not wait for it.

        A row that was held up in earlier runs waits until all other rows have their slots.
        """
        try:
            if row.could_not_get_on:
                await self.slots.emptied.wait()
            slot = self.slots.join(row) if await booking.may_be_called(delay=delay) else None
        finally:
            self._preparing -= 1
            if not self._preparing:
                self._all_prepared.set()
        if slot:
            await booking.call(slot)

    def _release_unsent(self, pause: float) -> None:
        unsent = [a for a in self._attempts if not a.calls and not a.row.maybe_sent and _is_open(a.outcome)]
        self._release(self._venue.id, unsent, pause)

    # errors

    def _spawn(self, steps: Coroutine[Any, Any, None], attempt: Attempt | None = None) -> asyncio.Task[None]:
        task = asyncio.create_task(self._contained(steps, attempt))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _contained(self, steps: Coroutine[Any, Any, None], attempt: Attempt | None = None) -> None:
        """Run the steps, and note any error. A row that was sent stays unsure."""
        try:
            await steps
        except asyncio.CancelledError as exc:
            if self.slots.closed:  # nothing is called any more, so tasks are cancelled
                raise
            self._fail(exc, attempt)  # raised by a booker, not by a cancellation of ours
        except Exception as exc:  # noqa: BLE001 - an error of one row must not stop other rows and venues
            self._fail(exc, attempt)

    def _fail(self, exc: BaseException, attempt: Attempt | None = None) -> None:
        self.failed = True
        if attempt and attempt.outcome is None:
            attempt.outcome = Outcome(Kind.NOT_READY)
        self._log.unexpected("unexpected", exc, venue=self._venue.id)


def _is_open(outcome: Outcome | None) -> bool:
    return outcome is None or outcome.kind is Kind.NOT_SENT
